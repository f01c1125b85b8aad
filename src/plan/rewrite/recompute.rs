//! Joins, OVER, Top-N, and aggregates over what changes: recomputed for the keys that an interval touches.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::{Aggregate, Expr, Join, LogicalPlan, SortExpr, Window};

use super::super::ROW_WATERMARK;
use super::super::attribute::{Attribute, TimeDomain, WindowRole};
use super::super::operator::{Expiry, Operator, RecomputeOperator, SlotOperator};
use super::hold::looks_back;
use super::linear::session_first;
use super::{Rewriter, Stream, limit_of, node, qualified, with_hidden};
use crate::change::WEIGHT_COLUMN;
use crate::error::{Error, Result};
use crate::time::WindowSpec;

/// What is to be recomputed.
struct Recompute<'a> {
    kind: &'static str,
    /// The stock operator over the original inputs.
    plan: &'a LogicalPlan,
    inputs: Vec<Stream>,
    keys: Vec<Vec<Expr>>,
    order: Vec<SortExpr>,
    unique: Option<Vec<usize>>,
    expiry: Option<Expiry>,
    /// How many rows of a key can ever count.
    keep: Option<usize>,
    /// It is proved that rows only come when the rows of all inputs only come.
    grows: bool,
    attributes: Vec<Attribute>,
}

impl Rewriter<'_> {
    pub(super) fn join(&mut self, left: Stream, right: Stream, join: &Join) -> Result<Stream> {
        let plan = LogicalPlan::Join(join.clone());
        // NOT IN asks whether any row on the right is NULL: that has no key.
        let keyed = !join.on.is_empty() && !join.null_aware;
        let (left_key, right_key) = if keyed { join.on.iter().cloned().unzip() } else { (Vec::new(), Vec::new()) };
        if !keyed {
            self.notices.push(
                "a join without an equality is computed again, whole, in every interval that brings rows".to_owned(),
            );
        }
        let expiry = join_expiry(&left, &right, join);
        let windows: BTreeSet<usize> = join
            .on
            .iter()
            .flat_map(|(l, r)| [left.attribute(l), right.attribute(r)])
            .filter_map(|a| match a {
                Attribute::Window { window, .. } if expiry.is_some() => Some(window),
                _ => None,
            })
            .collect();
        // A row can come out of a join long after its event time, but not after the window that it is joined on has closed.
        let keep = |a: &Attribute| match a {
            Attribute::Window { window, .. } if windows.contains(window) => *a,
            _ => Attribute::Plain,
        };
        let width = join.schema.fields().len();
        let attributes: Vec<Attribute> = match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti => right.attributes.iter().map(keep).collect(),
            _ => left.attributes.iter().chain(&right.attributes).map(keep).collect(),
        };
        let mut attributes: Vec<Attribute> = attributes.into_iter().take(width).collect();
        attributes.resize(width, Attribute::Plain);
        let grows =
            matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi) && !join.null_aware;
        self.recompute(Recompute {
            kind: "join",
            plan: &plan,
            inputs: vec![left, right],
            keys: vec![left_key, right_key],
            order: Vec::new(),
            unique: None,
            expiry,
            keep: None,
            grows,
            attributes,
        })
    }

    /// OVER: the rows of a partition are computed again when one of them comes or goes.
    pub(super) fn over(&mut self, input: Stream, window: &Window) -> Result<Stream> {
        // By time and looking back, the value of a row is final once the watermark has passed it.
        let final_by_time = self.holds() && input.has(ROW_WATERMARK) && looks_back(window, &input);
        let input = if final_by_time { self.judge(input)? } else { input };
        let plan = LogicalPlan::Window(window.clone());
        let mut partitions = window.window_expr.iter().map(partition_of);
        let first = partitions.next().flatten().ok_or_else(|| Error::internal("OVER without a function"))?;
        let same = partitions.all(|p| p.is_some_and(|(keys, order)| keys == first.0 && order == first.1));
        let (keys, mut order) = if same { first } else { (Vec::new(), Vec::new()) };
        if keys.is_empty() {
            self.notices.push(
                "OVER without PARTITION BY is computed again over all rows in every interval that brings some"
                    .to_owned(),
            );
        }
        let rows_kept = self.first_rows_of(window).filter(|_| same && !input.has(WEIGHT_COLUMN));
        let by_key = keys.iter().map(|k| k.clone().sort(true, false));
        order = by_key.chain(order).collect();
        let expiry = key_expiry(&input, &keys);
        let kept: BTreeSet<usize> = keys.iter().filter_map(|k| window_of(input.attribute(k))).collect();
        let keep = |a: &Attribute| match a {
            Attribute::Window { window, .. } if kept.contains(window) => *a,
            Attribute::EventTime if final_by_time => *a,
            _ => Attribute::Plain,
        };
        let mut attributes: Vec<Attribute> = input.attributes.iter().map(keep).collect();
        attributes.resize(window.schema.fields().len(), Attribute::Plain);
        self.recompute(Recompute {
            kind: "over",
            plan: &plan,
            inputs: vec![input],
            keys: vec![keys],
            order,
            unique: None,
            expiry,
            keep: rows_kept,
            grows: false,
            attributes,
        })
    }

    /// ORDER BY … LIMIT: one key, the empty one.
    pub(super) fn top_n(&mut self, input: Stream, plan: &LogicalPlan, order: &[SortExpr]) -> Result<Stream> {
        let attributes = vec![Attribute::Plain; input.attributes.len()];
        let body = match plan {
            // The body sorts and cuts in one go, over the slot.
            LogicalPlan::Limit(limit) => match limit.input.as_ref() {
                LogicalPlan::Sort(sort) => {
                    let sort = datafusion::logical_expr::Sort { fetch: None, ..sort.clone() };
                    LogicalPlan::Limit(datafusion::logical_expr::Limit {
                        input: Arc::new(LogicalPlan::Sort(sort)),
                        ..limit.clone()
                    })
                }
                _ => plan.clone(),
            },
            other => other.clone(),
        };
        let unique = input.key.clone();
        let keep = rows_of(plan).filter(|_| !input.has(WEIGHT_COLUMN));
        self.recompute(Recompute {
            kind: "top-n",
            plan: &body,
            inputs: vec![input],
            keys: vec![Vec::new()],
            order: order.to_vec(),
            unique,
            expiry: None,
            keep,
            grows: false,
            attributes,
        })
    }

    /// GROUP BY over rows that come and go, by functions that can't take a row back.
    pub(super) fn aggregate_again(&mut self, input: Stream, aggregate: &Aggregate) -> Result<Stream> {
        if input.session.is_some() {
            return Err(session_first());
        }
        let plan = LogicalPlan::Aggregate(aggregate.clone());
        let keys = aggregate.group_expr.clone();
        let expiry = key_expiry(&input, &keys);
        let mut attributes: Vec<Attribute> =
            if expiry.is_some() { keys.iter().map(|k| input.attribute(k)).collect() } else { Vec::new() };
        attributes.resize(aggregate.schema.fields().len(), Attribute::Plain);
        let unique = Some((0..keys.len()).collect());
        self.recompute(Recompute {
            kind: "aggregate",
            plan: &plan,
            inputs: vec![input],
            keys: vec![keys],
            order: Vec::new(),
            unique,
            expiry,
            keep: None,
            grows: false,
            attributes,
        })
    }

    fn recompute(&mut self, what: Recompute<'_>) -> Result<Stream> {
        if what.inputs.iter().any(|i| i.session.is_some()) {
            return Err(session_first());
        }
        let names = what.keys.first().map(|keys| keys.iter().map(ToString::to_string).collect()).unwrap_or_default();
        let bound = match (&what.expiry, what.keep) {
            (Some(_), None) => Some("rows leave when the window in the key closes".to_owned()),
            (Some(_), Some(n)) => Some(format!("the first {n} rows of a key, until the window in it closes")),
            (None, Some(n)) if names_are_empty(&what) => Some(format!("the first {n} rows")),
            (None, _) => None,
        };
        let id = self.operator(what.kind, names, bound);
        if let (Some(n), Some(state)) = (what.keep, self.stateful.get_mut(id)) {
            state.advice = format!("the first {n} rows of each key, for good: {}", state.advice);
        }
        let slots = what.inputs.iter().enumerate().map(|(i, input)| {
            let schema = visible(input)?;
            Ok(node(Operator::Slot(SlotOperator { id, input: i }), None, schema))
        });
        let body = over_slots(what.plan, slots.collect::<Result<Vec<_>>>()?)?;
        let weighted = !what.grows || what.inputs.iter().any(|i| i.has(WEIGHT_COLUMN));
        let schema: DFSchema = body.schema().as_ref().clone();
        let schema = if weighted { with_hidden(&schema, WEIGHT_COLUMN)? } else { schema };
        let sources = what.inputs.iter().flat_map(|i| i.sources.iter().copied()).collect();
        let operator = Operator::Recompute(RecomputeOperator {
            id,
            body,
            keys: what.keys,
            order: what.order,
            unique: what.unique.clone(),
            expiry: what.expiry,
            keep: what.keep,
            weighted,
        });
        let plan = node(operator, what.inputs.into_iter().map(|i| i.plan), schema);
        Ok(Stream { plan, attributes: what.attributes, sources, key: what.unique, session: None })
    }
}

fn names_are_empty(what: &Recompute<'_>) -> bool {
    what.keys.iter().all(Vec::is_empty)
}

/// How many rows OFFSET and LIMIT look at; `None` without a LIMIT.
fn rows_of(plan: &LogicalPlan) -> Option<usize> {
    match plan {
        LogicalPlan::Limit(limit) => {
            let (skip, fetch) = limit_of(limit).ok()?;
            skip.checked_add(fetch?)
        }
        LogicalPlan::Sort(sort) => sort.fetch,
        _ => None,
    }
}

/// The stock operator with its inputs replaced by slots.
fn over_slots(plan: &LogicalPlan, mut slots: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    if let LogicalPlan::Limit(limit) = plan
        && let LogicalPlan::Sort(sort) = limit.input.as_ref()
    {
        let Some(slot) = slots.pop() else { return Err(Error::internal("a sort without input")) };
        let sort = datafusion::logical_expr::Sort { input: Arc::new(slot), ..sort.clone() };
        let limit = datafusion::logical_expr::Limit { input: Arc::new(LogicalPlan::Sort(sort)), ..limit.clone() };
        return Ok(LogicalPlan::Limit(limit));
    }
    Ok(plan.with_new_exprs(plan.expressions(), slots)?)
}

/// The columns of a relation without the hidden ones.
fn visible(input: &Stream) -> Result<DFSchema> {
    let mut fields = qualified(input.schema());
    fields.truncate(input.attributes.len());
    Ok(DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?)
}

/// PARTITION BY and ORDER BY of a window function.
fn partition_of(expr: &Expr) -> Option<(Vec<Expr>, Vec<SortExpr>)> {
    match expr {
        Expr::Alias(alias) => partition_of(&alias.expr),
        Expr::WindowFunction(function) => {
            Some((function.params.partition_by.clone(), function.params.order_by.clone()))
        }
        _ => None,
    }
}

fn window_of(attribute: Attribute) -> Option<usize> {
    match attribute {
        Attribute::Window { window, domain, .. } if domain != TimeDomain::Unbounded => Some(window),
        _ => None,
    }
}

/// The window in a key whose closing frees the key's rows.
pub(super) fn key_expiry(input: &Stream, keys: &[Expr]) -> Option<Expiry> {
    keys.iter().enumerate().find_map(|(position, key)| expiry_of(position, input.attribute(key), &input.sources))
}

/// The window that both sides are joined on.
fn join_expiry(left: &Stream, right: &Stream, join: &Join) -> Option<Expiry> {
    let sources: BTreeSet<usize> = left.sources.union(&right.sources).copied().collect();
    join.on.iter().enumerate().find_map(|(position, (l, r))| {
        let (left, right) = (left.attribute(l), right.attribute(r));
        // Windows of two calls are the same windows when they are cut alike.
        let same = match (left, right) {
            (
                Attribute::Window { role, spec, domain, lag, .. },
                Attribute::Window { role: role2, spec: spec2, domain: domain2, lag: lag2, .. },
            ) => role == role2 && spec == spec2 && domain == domain2 && lag == lag2,
            _ => false,
        };
        same.then(|| expiry_of(position, left, &sources)).flatten()
    })
}

fn expiry_of(position: usize, attribute: Attribute, sources: &BTreeSet<usize>) -> Option<Expiry> {
    let Attribute::Window { role, spec, domain, lag, .. } = attribute else { return None };
    let named_by_start = !matches!(spec, WindowSpec::Cumulate { .. } | WindowSpec::Session { .. });
    if domain == TimeDomain::Unbounded || (role == WindowRole::Start && !named_by_start) {
        return None;
    }
    // A session is closed once its end has been passed, other windows once it is reached.
    let lag = lag + i64::from(matches!(spec, WindowSpec::Session { .. }));
    Some(Expiry { position, role, spec, domain, lag, sources: sources.iter().copied().collect() })
}
