//! Incrementalize: an optimized logical plan over tables → the plan that one interval runs.
//!
//! The walk is bottom-up. Linear nodes stay DataFusion's, with the hidden columns led through them; what needs state becomes
//! an [`Operator`]; what does not run yet is refused with its place. On the way it follows what columns mean in time
//! ([`Attribute`]), proves which relations only grow, and which columns identify a row.

mod advice;
mod aggregate;
mod bounds;
mod hold;
mod join;
mod lapse;
mod latest;
mod linear;
mod recompute;
mod retract;
mod sets;
mod temporal;
mod top;
mod window;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, Extension, FetchType, LogicalPlan, SkipType, TableScan};
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::TableReference;

use super::attribute::{Attribute, WindowId};
use super::locate::{Clause, locate};
use super::operator::{LimitOperator, Operator, OperatorId, OperatorNode, SourceOperator};
use super::{IntervalPlan, Presentation, Purpose, ROW_WATERMARK, SourceUse, StatefulOperator};
use crate::catalog::{Catalog, Relation, TableDef, TemporalNode, WindowNode, snapshot_name, stream_name};
use crate::change::WEIGHT_COLUMN;
use crate::error::{Error, Result};
use crate::sql::statement::{EmitMode, Query};

/// Rewrites an optimized plan.
pub(super) fn incrementalize(
    catalog: &Catalog,
    query: &Query,
    plan: &LogicalPlan,
    purpose: Purpose,
) -> Result<IntervalPlan> {
    let emit = match purpose {
        Purpose::View => Some(EmitMode::Changes),
        Purpose::Output => query.emit.as_ref().map(|e| e.mode),
    };
    // The whole result is the sum of its changes.
    let whole = emit == Some(EmitMode::Complete);
    let emit = if whole { Some(EmitMode::Changes) } else { emit };
    let mut rewriter = Rewriter {
        catalog,
        text: &query.query,
        emit,
        whole,
        sources: Vec::new(),
        stateful: Vec::new(),
        notices: Vec::new(),
        windows: 0,
        closes: false,
        processing_time: false,
        last: None,
        tops: top::tops(plan),
        shares: 0,
    };
    refuse_hidden_names(plan)?;
    rewriter.last = last_limit(plan);
    let (plan, presentation) = rewriter.split_presentation(plan)?;
    let stream = rewriter.rewrite(plan, rewriter.holds())?;
    if stream.session.is_some() {
        return Err(linear::session_first());
    }
    let place = query.emit.as_ref().map(|e| e.span);
    let mut stream = rewriter.hold(stream).map_err(|e| place.into_iter().fold(e, Error::at))?;
    advice::bound_by_time(&stream.plan, &mut rewriter.stateful);
    let presentation = match presentation {
        // What changes has no order that could be kept interval by interval: an old row stands before its new one. A view
        // has none at all.
        Some(order) if purpose == Purpose::View || (!order.whole && stream.has(WEIGHT_COLUMN)) => {
            for step in &order.then {
                stream = linear::projection(stream, &step.expr)?;
            }
            rewriter.notices.push("ORDER BY does not order changes; a stream as a whole has no order".to_owned());
            None
        }
        Some(order) if !order.whole => {
            let notice = "ORDER BY orders the rows of each interval; a stream as a whole has no order";
            rewriter.notices.push(notice.to_owned());
            Some(order)
        }
        other => other,
    };
    if let Some((table, column)) = rewriter.window_without_watermark(plan) {
        rewriter.notices.push(format!(
            "windows over '{column}' never close by themselves: declare WATERMARK FOR {column} in the DDL of '{table}'"
        ));
    }
    let append_only = !stream.has(WEIGHT_COLUMN);
    Ok(IntervalPlan {
        logical: stream.plan,
        sources: rewriter.sources,
        append_only,
        // Columns are dropped by what is done at last.
        key: stream.key.filter(|_| presentation.as_ref().is_none_or(|p| p.then.is_empty())),
        emit: match emit {
            _ if whole => EmitMode::Complete,
            Some(EmitMode::Changes) => EmitMode::Changes,
            _ if rewriter.closes => EmitMode::OnWindowClose,
            _ => EmitMode::Changes,
        },
        stateful: rewriter.stateful,
        processing_time: rewriter.processing_time,
        presentation,
        notices: rewriter.notices,
    })
}

/// The rewriter's view of a relation.
struct Stream {
    plan: LogicalPlan,
    /// What each visible column means in time.
    attributes: Vec<Attribute>,
    /// The sources beneath.
    sources: BTreeSet<usize>,
    /// Visible columns that identify a row.
    key: Option<Vec<usize>>,
    /// The relation is rows of sessions that are not merged yet; the visible columns that the sessions are per.
    session: Option<(WindowId, Vec<usize>)>,
}

impl Stream {
    fn schema(&self) -> &DFSchema {
        self.plan.schema()
    }

    fn has(&self, hidden: &str) -> bool {
        self.hidden(hidden).is_some()
    }

    /// A hidden column, as an expression.
    fn hidden(&self, name: &str) -> Option<Expr> {
        self.schema().iter().find(|(_, f)| f.name() == name).map(|(q, f)| Expr::Column(Column::from((q, f))))
    }

    /// The hidden columns in order.
    fn hidden_all(&self) -> Vec<Expr> {
        [ROW_WATERMARK, WEIGHT_COLUMN].iter().filter_map(|name| self.hidden(name)).collect()
    }

    /// What an expression over this relation means in time.
    fn attribute(&self, expr: &Expr) -> Attribute {
        match expr {
            Expr::Alias(alias) => self.attribute(&alias.expr),
            Expr::Column(column) => self
                .schema()
                .maybe_index_of_column(column)
                .and_then(|i| self.attributes.get(i).copied())
                .unwrap_or(Attribute::Plain),
            other if crate::catalog::is_clock_call(other) => Attribute::ProcessingTime,
            _ => Attribute::Plain,
        }
    }
}

struct Rewriter<'a> {
    catalog: &'a Catalog,
    text: &'a sqlparser::ast::Query,
    emit: Option<EmitMode>,
    /// What comes out is the whole result, every time.
    whole: bool,
    sources: Vec<SourceUse>,
    stateful: Vec<StatefulOperator>,
    notices: Vec<String>,
    windows: WindowId,
    /// Some operator emits on close.
    closes: bool,
    processing_time: bool,
    /// A LIMIT that every row of the result passes at once: with its last row the query has ended.
    last: Option<&'a LogicalPlan>,
    /// OVERs of which only the first rows of a partition come out.
    tops: Vec<top::Top>,
    /// How many inputs are shared.
    shares: usize,
}

impl Rewriter<'_> {
    /// Rewrites a node; `want_watermark` when a window above judges rows by their row watermark.
    fn rewrite(&mut self, plan: &LogicalPlan, want_watermark: bool) -> Result<Stream> {
        self.refuse_subqueries(plan)?;
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, want_watermark),
            LogicalPlan::Projection(projection) => {
                let input = self.rewrite(&projection.input, want_watermark)?;
                linear::projection(input, &projection.expr)
            }
            LogicalPlan::Filter(filter) => {
                let input = self.rewrite(&filter.input, want_watermark)?;
                self.condition(input, &filter.predicate)
            }
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.rewrite(&alias.input, want_watermark)?;
                linear::alias(input, &alias.alias)
            }
            LogicalPlan::Union(union) => {
                let inputs =
                    union.inputs.iter().map(|i| self.rewrite(i, want_watermark)).collect::<Result<Vec<_>>>()?;
                linear::union(inputs)
            }
            LogicalPlan::Unnest(unnest) => {
                let input = self.rewrite(&unnest.input, want_watermark)?;
                linear::unnest(input, unnest)
            }
            LogicalPlan::EmptyRelation(_) | LogicalPlan::Values(_) => Ok(once(plan)),
            LogicalPlan::Aggregate(aggregate) => {
                let input = self.rewrite(&aggregate.input, self.holds())?;
                self.aggregate(input, aggregate)
            }
            LogicalPlan::Extension(Extension { node }) => match node.as_any().downcast_ref::<WindowNode>() {
                Some(window) => {
                    let input = self.rewrite(window.input(), true)?;
                    self.window(input, window, want_watermark)
                }
                None => match node.as_any().downcast_ref::<TemporalNode>() {
                    Some(temporal) => self.temporal(temporal, want_watermark),
                    None => Err(Error::internal(format!("no rule for {}", node.name()))),
                },
            },
            LogicalPlan::Limit(limit) => {
                let (skip, fetch) = limit_of(limit)?;
                // A column that only the order needs is dropped between the two: cut first, then drop it.
                if let LogicalPlan::Projection(projection) = limit.input.as_ref()
                    && projects_an_order(&projection.input)
                {
                    let cut = datafusion::logical_expr::Limit { input: Arc::clone(&projection.input), ..limit.clone() };
                    let input = self.rewrite(&LogicalPlan::Limit(cut), want_watermark)?;
                    return linear::projection(input, &projection.expr);
                }
                if let LogicalPlan::Sort(sort) = limit.input.as_ref() {
                    let input = self.rewrite(&sort.input, false)?;
                    return self.top_n(input, plan, &sort.expr);
                }
                let input = self.rewrite(&limit.input, want_watermark)?;
                match fetch {
                    Some(fetch) if !input.has(WEIGHT_COLUMN) => {
                        // Such a node below others only: what is above may hold rows back, or have other inputs.
                        self.limit(input, skip, fetch, self.last.is_some_and(|last| std::ptr::eq(last, plan)))
                    }
                    _ => self.top_n(input, plan, &[]),
                }
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => {
                let input = self.rewrite(&sort.input, false)?;
                self.top_n(input, plan, &sort.expr)
            }
            // Without a limit, the order of a part of a query means nothing.
            LogicalPlan::Sort(sort) => self.rewrite(&sort.input, want_watermark),
            LogicalPlan::Join(join) => {
                // Where the condition bounds times, the watermark frees rows, and rows are judged by it.
                let bounds = bounds::time_bounds(join);
                let left = self.rewrite(&join.left, !bounds.is_empty())?;
                let right = self.rewrite(&join.right, !bounds.is_empty())?;
                self.join(left, right, join, &bounds)
            }
            LogicalPlan::Window(window) => {
                let input = self.rewrite(&window.input, self.holds())?;
                self.over(input, window)
            }
            LogicalPlan::Distinct(_) => Err(self.not_yet("DISTINCT ON over a stream", Clause::OrderBy)),
            LogicalPlan::RecursiveQuery(_) => Err(self.not_yet("WITH RECURSIVE over a stream", Clause::SetOperation)),
            LogicalPlan::Subquery(_) => Err(self.not_yet("a subquery over a stream", Clause::Subquery)),
            other => Err(Error::unsupported(format!("{} does not run over streams", name_of(other)))),
        }
    }

    /// That something does not run yet, with its place and what does.
    fn not_yet(&self, what: &str, clause: Clause) -> Error {
        let error = Error::unsupported(format!("{what} does not run yet"));
        let error = locate(self.text, clause).into_iter().fold(error, Error::at);
        error.help(match clause {
            Clause::Join | Clause::Subquery => {
                "write it as a join; whether a list has an element is array_has(list, x), and its elements are rows by UNNEST(list) in FROM"
            }
            Clause::OrderBy => "QUALIFY row_number() OVER (PARTITION BY … ORDER BY …) = 1 keeps one row for each key",
            _ => "write it as separate queries",
        })
    }

    fn refuse_subqueries(&self, plan: &LogicalPlan) -> Result<()> {
        let mut found = false;
        plan.apply_expressions(|expr| {
            expr.apply(|e| {
                found |= matches!(
                    e,
                    Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
                );
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        if found { Err(self.not_yet("a subquery over a stream", Clause::Subquery)) } else { Ok(()) }
    }

    fn scan(&mut self, scan: &TableScan, want_watermark: bool) -> Result<Stream> {
        let Some(name) = stream_name(scan) else { return self.held(scan) };
        let Some(Relation::Table(table)) = self.catalog.get(&name) else {
            return Err(Error::internal(format!("no table '{name}'")));
        };
        let table: Arc<TableDef> = Arc::clone(table);
        if table.description.gives_changes {
            return self.latest(scan, &table);
        }
        let all: Vec<usize> = (0..table.schema.fields().len()).collect();
        let columns = scan.projection.clone().unwrap_or(all);
        let source = self.source(&name, &columns);
        let watermark = table.watermark.as_ref().filter(|_| want_watermark);
        let mut schema = scan.projected_schema.as_ref().clone();
        self.sources[source].row_watermark |= watermark.is_some();
        if watermark.is_some() {
            schema = with_hidden(&schema, ROW_WATERMARK)?;
        }
        let attribute = |column: &usize| match &table.watermark {
            Some(w) if w.column == *column => Attribute::EventTime { lag: 0 },
            _ if table.computed.get(column).is_some_and(crate::catalog::is_clock_call) => Attribute::ProcessingTime,
            _ => Attribute::Plain,
        };
        let operator = Operator::Source(SourceOperator {
            source,
            table: name,
            columns: columns.iter().map(|i| table.schema.field(*i).name().clone()).collect(),
            row_watermark: watermark.is_some(),
        });
        Ok(Stream {
            plan: node(operator, None, schema),
            attributes: columns.iter().map(attribute).collect(),
            sources: BTreeSet::from([source]),
            key: None,
            session: None,
        })
    }

    /// A relation that holds rows: its rows in the first interval, and then what changes in it.
    fn held(&mut self, scan: &TableScan) -> Result<Stream> {
        let name = snapshot_name(scan).unwrap_or_default();
        let (append_only, key) = match self.catalog.get(&name) {
            Some(Relation::Stored(table, _)) => {
                let key = Some(table.primary_key.clone()).filter(|key| !key.is_empty());
                (table.append_only, key)
            }
            Some(Relation::MaterializedView(view, _)) => match &view.growth {
                Some(growth) => (growth.append_only, growth.key.clone()),
                None => {
                    return Err(Error::unsupported(format!("a continuous query can't read '{name}'"))
                        .help("SELECT from it on its own: that gives a snapshot"));
                }
            },
            _ => return Err(Error::internal(format!("no relation '{}' that holds rows", scan.table_name))),
        };
        let columns: Vec<usize> =
            scan.projection.clone().unwrap_or_else(|| (0..scan.source.schema().fields().len()).collect());
        let source = self.source(&name, &columns);
        let mut schema = scan.projected_schema.as_ref().clone();
        if !append_only {
            schema = with_hidden(&schema, WEIGHT_COLUMN)?;
        }
        let key = key.and_then(|key| key.iter().map(|k| columns.iter().position(|c| c == k)).collect());
        let of_scan = scan.source.schema();
        let operator = Operator::Source(SourceOperator {
            source,
            table: name,
            columns: columns.iter().map(|i| of_scan.field(*i).name().clone()).collect(),
            row_watermark: false,
        });
        Ok(Stream {
            plan: node(operator, None, schema),
            attributes: vec![Attribute::Plain; columns.len()],
            sources: BTreeSet::from([source]),
            key,
            session: None,
        })
    }

    /// The index of a source that is read with these columns too.
    fn source(&mut self, table: &str, columns: &[usize]) -> usize {
        let at = self.sources.iter().position(|s| s.table == table).unwrap_or_else(|| {
            self.sources.push(SourceUse { table: table.to_owned(), columns: Vec::new(), row_watermark: false });
            self.sources.len() - 1
        });
        let known = &mut self.sources[at].columns;
        known.extend_from_slice(columns);
        known.sort_unstable();
        known.dedup();
        at
    }

    fn limit(&mut self, input: Stream, skip: usize, fetch: usize, ends_query: bool) -> Result<Stream> {
        let id = self.operator("limit", Vec::new(), Some("one counter".to_owned()));
        let schema = input.schema().clone();
        let operator = Operator::Limit(LimitOperator { id, skip, fetch, ends_query });
        Ok(Stream { plan: node(operator, Some(input.plan), schema), ..input })
    }

    /// The id of a new operator that keeps state.
    fn operator(&mut self, kind: &'static str, key: Vec<String>, bound: Option<String>) -> OperatorId {
        let id = self.stateful.len();
        let advice = if bound.is_some() { String::new() } else { self.advice(kind) };
        self.stateful.push(StatefulOperator { id, kind, key, bound, advice });
        id
    }

    /// Takes ORDER BY, LIMIT and OFFSET off the top of a plan, where they only order and cut a finished result: when every
    /// input ends by itself, or the whole result comes out each time. Over a stream LIMIT stays part of the query, and ORDER BY alone orders what an interval brings.
    fn split_presentation<'p>(&mut self, plan: &'p LogicalPlan) -> Result<(&'p LogicalPlan, Option<Presentation>)> {
        let finished = self.whole || (self.emit.is_none() && self.is_bounded(plan)?);
        match plan {
            LogicalPlan::Limit(limit) if finished => {
                let (skip, fetch) = limit_of(limit)?;
                Ok(match limit.input.as_ref() {
                    LogicalPlan::Projection(_) if projects_an_order(&limit.input) => {
                        match self.split_presentation(&limit.input)? {
                            (input, Some(presentation)) => (input, Some(presentation.cut(skip, fetch))),
                            (_, None) => (plan, None),
                        }
                    }
                    LogicalPlan::Sort(sort) => (
                        &sort.input,
                        Some(Presentation { whole: true, sort: sort.expr.clone(), skip, fetch, then: Vec::new() }),
                    ),
                    // Without an order, the first rows will do: the query can end when it has them.
                    _ => (plan, None),
                })
            }
            LogicalPlan::Sort(sort) if finished || sort.fetch.is_none() => {
                let (sort_by, fetch) = (sort.expr.clone(), sort.fetch);
                let presentation = Presentation { whole: finished, sort: sort_by, skip: 0, fetch, then: Vec::new() };
                Ok((&sort.input, Some(presentation)))
            }
            // Columns that only order the rows are dropped when that is done.
            LogicalPlan::Projection(projection) if projects_an_order(&projection.input) => {
                Ok(match self.split_presentation(&projection.input)? {
                    (input, Some(mut presentation)) => {
                        presentation.then.push(projection.clone());
                        (input, Some(presentation))
                    }
                    (_, None) => (plan, None),
                })
            }
            _ => Ok((plan, None)),
        }
    }

    /// Whether everything that a plan reads ends by itself.
    fn is_bounded(&self, plan: &LogicalPlan) -> Result<bool> {
        let mut bounded = true;
        plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                let name = stream_name(scan).or_else(|| snapshot_name(scan));
                bounded &= name.is_some_and(|name| self.catalog.is_bounded(&name));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(bounded)
    }

    /// Whether a table ends by itself.
    fn table_ends(&self, name: &str) -> bool {
        matches!(self.catalog.get(name), Some(Relation::Table(t)) if t.description.bounded && !t.description.live)
    }

    /// The table and column of a window that nothing closes, for a notice.
    fn window_without_watermark(&self, plan: &LogicalPlan) -> Option<(String, String)> {
        if self.closes || self.processing_time || self.windows == 0 {
            return None;
        }
        let mut found = None;
        let _ = plan.apply(|node| {
            if let LogicalPlan::Extension(e) = node
                && let Some(window) = e.node.as_any().downcast_ref::<WindowNode>()
                && let Expr::Column(column) = window.time()
                && let Some(source) = self.sources.first()
                && let Some(Relation::Table(table)) = self.catalog.get(&source.table)
                && table.watermark.is_none()
            {
                found = Some((table.name.clone(), column.name.clone()));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        found
    }
}

/// Columns that look like the hidden ones would be taken for them.
fn refuse_hidden_names(plan: &LogicalPlan) -> Result<()> {
    let mut found = None;
    plan.apply(|node| {
        let hidden = [ROW_WATERMARK, WEIGHT_COLUMN]
            .into_iter()
            .find(|name| node.schema().fields().iter().any(|field| field.name() == name));
        found = found.or(hidden);
        Ok(TreeNodeRecursion::Continue)
    })?;
    match found {
        None => Ok(()),
        Some(name) => Err(Error::sql(format!("a column can't be named '{name}': the engine uses that name itself"))
            .help("give it another name with AS")),
    }
}

/// The LIMIT under nothing but filters and projections.
fn last_limit(plan: &LogicalPlan) -> Option<&LogicalPlan> {
    match plan {
        LogicalPlan::Limit(_) => Some(plan),
        LogicalPlan::Projection(projection) => last_limit(&projection.input),
        LogicalPlan::Filter(filter) => last_limit(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => last_limit(&alias.input),
        _ => None,
    }
}

/// Whether a plan is an ordered one, with columns dropped from it or not.
fn projects_an_order(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Sort(_) => true,
        LogicalPlan::Limit(limit) => matches!(*limit.input, LogicalPlan::Sort(_)),
        LogicalPlan::Projection(projection) => projects_an_order(&projection.input),
        _ => false,
    }
}

fn limit_of(limit: &datafusion::logical_expr::Limit) -> Result<(usize, Option<usize>)> {
    match (limit.get_skip_type()?, limit.get_fetch_type()?) {
        (SkipType::Literal(skip), FetchType::Literal(fetch)) => Ok((skip, fetch)),
        _ => Err(Error::sql("LIMIT and OFFSET take a number")),
    }
}

/// Rows of the text: they come in the first interval.
fn once(plan: &LogicalPlan) -> Stream {
    let schema = plan.schema().as_ref().clone();
    let width = schema.fields().len();
    Stream {
        plan: node(Operator::Once, Some(plan.clone()), schema),
        attributes: vec![Attribute::Plain; width],
        sources: BTreeSet::new(),
        key: None,
        session: None,
    }
}

/// The logical node of an operator.
fn node(operator: Operator, inputs: impl IntoIterator<Item = LogicalPlan>, schema: DFSchema) -> LogicalPlan {
    let node = OperatorNode { operator, inputs: inputs.into_iter().collect(), schema: Arc::new(schema) };
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

/// A schema with one more, hidden column.
fn with_hidden(schema: &DFSchema, name: &str) -> Result<DFSchema> {
    let mut fields = qualified(schema);
    fields.push((None, Arc::new(Field::new(name, DataType::Int64, false))));
    Ok(DFSchema::new_with_metadata(fields, schema.metadata().clone())?)
}

/// The fields of a schema with their qualifiers.
fn qualified(schema: &DFSchema) -> Vec<(Option<TableReference>, FieldRef)> {
    schema.iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect()
}

fn name_of(plan: &LogicalPlan) -> String {
    plan.display().to_string().split(':').next().unwrap_or_default().to_owned()
}
