//! NOT IN, OVER, Top-N, and aggregates over what changes: recomputed for the keys that an interval touches.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::DFSchema;
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
    attributes: Vec<Attribute>,
}

impl Rewriter<'_> {
    /// NOT IN, which asks whether any row on the right is NULL: it has no key.
    pub(super) fn null_aware_join(&mut self, left: Stream, right: Stream, join: &Join) -> Result<Stream> {
        self.notices.push(
            "NOT IN over what may be NULL is computed again, whole, in every interval that brings rows: \
             NOT EXISTS, or IS NOT NULL inside, is not"
                .to_owned(),
        );
        let plan = LogicalPlan::Join(join.clone());
        self.recompute(Recompute {
            kind: "not in",
            plan: &plan,
            inputs: vec![left, right],
            keys: vec![Vec::new(), Vec::new()],
            order: Vec::new(),
            unique: None,
            expiry: None,
            keep: None,
            attributes: vec![Attribute::Plain; join.schema.fields().len()],
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
            Attribute::EventTime { .. } if final_by_time => *a,
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
        let schema = with_hidden(body.schema(), WEIGHT_COLUMN)?;
        let sources = what.inputs.iter().flat_map(|i| i.sources.iter().copied()).collect();
        let operator = Operator::Recompute(RecomputeOperator {
            id,
            body,
            keys: what.keys,
            order: what.order,
            unique: what.unique.clone(),
            expiry: what.expiry,
            keep: what.keep,
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

pub(super) fn expiry_of(position: usize, attribute: Attribute, sources: &BTreeSet<usize>) -> Option<Expiry> {
    let Attribute::Window { role, spec, domain, lag, .. } = attribute else { return None };
    let named_by_start = !matches!(spec, WindowSpec::Cumulate { .. } | WindowSpec::Session { .. });
    if domain == TimeDomain::Unbounded || (role == WindowRole::Start && !named_by_start) {
        return None;
    }
    // A session is closed once its end has been passed, other windows once it is reached.
    let lag = lag + i64::from(matches!(spec, WindowSpec::Session { .. }));
    Some(Expiry { position, role, spec, domain, lag, sources: sources.iter().copied().collect() })
}
