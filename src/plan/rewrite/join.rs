//! Joins become keyed joins: of an interval's rows with all others, by the equality that they are joined on.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::{Expr, ExprSchemable, Join, LogicalPlan};

use super::super::ROW_WATERMARK;
use super::super::attribute::{Attribute, TimeDomain, WindowRole};
use super::super::operator::{JoinOperator, JoinSide, Operator, OperatorNode, RowExpiry, Sees};
use super::bounds::PairBound;
use super::linear::session_first;
use super::recompute::expiry_of;
use super::{Rewriter, Stream, node, with_hidden};
use crate::change::WEIGHT_COLUMN;
use crate::error::Result;
use crate::time::{WindowSpec, format_duration, unit_of, window_time_gap};

impl Rewriter<'_> {
    pub(super) fn join(&mut self, left: Stream, right: Stream, join: &Join, bounds: &[PairBound]) -> Result<Stream> {
        if left.session.is_some() || right.session.is_some() {
            return Err(session_first());
        }
        if join.null_aware {
            return self.null_aware_join(left, right, join);
        }
        if join.on.is_empty() {
            self.notices.push(
                "a join without an equality has no key: a row that comes is compared with all rows of the other side"
                    .to_owned(),
            );
        }
        let (mut expiry, windows) = window_expiry(&left, &right, join)?;
        let (mut left, mut right) = (left, right);
        if windows.is_empty() {
            let judge;
            (expiry, judge) = time_expiry([&left, &right], bounds);
            let [left_time, right_time] = judge;
            left = judged(left, left_time)?;
            right = judged(right, right_time)?;
        }
        let reach = Reach { inputs: [&left, &right], bounds };
        // A row can come out of a join long after its event time, but not after the window that it is joined on has closed, nor
        // longer after than its condition says.
        let keep = |side: usize| {
            let reach = &reach;
            let windows = &windows;
            reach.inputs[side].attributes.iter().enumerate().map(move |(column, a)| match a {
                Attribute::Window { window, .. } if windows.contains(window) => *a,
                _ => reach.behind(side, column).map_or(Attribute::Plain, |lag| a.behind_by(lag)),
            })
        };
        let width = join.schema.fields().len();
        let mut attributes: Vec<Attribute> = match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => keep(1).collect(),
            _ => keep(0).chain(keep(1)).collect(),
        };
        attributes.resize(width, Attribute::Plain);
        let bound = self.bound_of([&left, &right], &expiry, !windows.is_empty());
        let [left_expiry, right_expiry] = expiry;
        let side = |this: &Stream, other: &Stream, expiry| JoinSide {
            expiry,
            settled_by: settled_by(other),
            sources: this.sources.iter().copied().collect(),
        };
        let sides = [side(&left, &right, left_expiry), side(&right, &left, right_expiry)];
        let grows = matches!(join.join_type, JoinType::Inner | JoinType::LeftSemi | JoinType::RightSemi);
        let weighted = !grows || left.has(WEIGHT_COLUMN) || right.has(WEIGHT_COLUMN);
        let names = join.on.iter().map(|(l, r)| if l == r { l.to_string() } else { format!("{l} = {r}") }).collect();
        let id = self.operator("join", names, bound);
        if let Some(state) = self.stateful.get_mut(id).filter(|s| s.bound.is_none()) {
            state.advice = format!("{}; or bound the times of both sides: {BETWEEN}", state.advice);
        }
        let unique = unique_of(&left, &right, join);
        let schema: DFSchema = join.schema.as_ref().clone();
        let schema = if weighted { with_hidden(&schema, WEIGHT_COLUMN)? } else { schema };
        let operator = Operator::Join(Box::new(JoinOperator {
            id,
            join_type: join.join_type,
            on: join.on.clone(),
            filter: join.filter.clone(),
            null_equals_null: join.null_equality == NullEquality::NullEqualsNull,
            sides,
            sees: Sees::All,
            unique: unique.clone(),
            weighted,
        }));
        let sources = left.sources.union(&right.sources).copied().collect();
        let plan = node(operator, [left.plan, right.plan], schema);
        Ok(Stream { plan, attributes, sources, key: unique, session: None })
    }
}

/// The clause that bounds a join in time.
const BETWEEN: &str = "ON … AND r.ts BETWEEN l.ts AND l.ts + INTERVAL '…', with a WATERMARK on both";

impl Rewriter<'_> {
    /// What bounds the rows kept; `None` when nothing bounds those of either side.
    fn bound_of(&self, inputs: [&Stream; 2], expiry: &[Option<RowExpiry>; 2], window: bool) -> Option<String> {
        if window {
            return Some("rows leave when the window in the key closes".to_owned());
        }
        let tables = |stream: &Stream| {
            let names: Vec<_> =
                stream.sources.iter().filter_map(|i| self.sources.get(*i)).map(|s| s.table.as_str()).collect();
            names.join(", ")
        };
        let ends = |stream: &Stream| {
            let ends = |i: &usize| self.sources.get(*i).is_some_and(|s| self.table_ends(&s.table));
            settled_by(stream).is_some() && stream.sources.iter().all(ends)
        };
        let of = |side: usize| {
            let other = inputs[1 - side];
            match &expiry[side] {
                Some(e) => Some(format!(
                    "rows leave once the watermark of {} has passed {}{}",
                    tables(other),
                    e.time,
                    shift(e.after.saturating_sub(1).saturating_add(e.lag))
                )),
                None if ends(other) => Some(format!("rows leave when {} has ended", tables(other))),
                None => None,
            }
        };
        match [of(0), of(1)] {
            [None, None] => None,
            [left, right] => {
                let text = |bound: Option<String>| bound.unwrap_or_else(|| format!("UNBOUNDED: {BETWEEN}"));
                Some(format!("left: {}; right: {}", text(left), text(right)))
            }
        }
    }
}

fn shift(by: i64) -> String {
    match by {
        0 => String::new(),
        1.. => format!(" + {}", format_duration(by)),
        _ => format!(" - {}", format_duration(by.saturating_neg())),
    }
}

/// How far behind the watermark what comes out of a join may be.
struct Reach<'a> {
    inputs: [&'a Stream; 2],
    bounds: &'a [PairBound],
}

impl Reach<'_> {
    /// How far (µs) a column may be behind the watermark when it comes out: a pair comes with its left row or with its right one.
    fn behind(&self, side: usize, column: usize) -> Option<i64> {
        let stream = self.inputs[side];
        let attribute = *stream.attributes.get(column)?;
        let alone = self.promised(side, attribute, column)?;
        let is_it = |expr: &Expr| index_of(stream, expr) == Some(column);
        let with_other = self.bounds.iter().filter_map(|bound| {
            let (this, other) = if side == 0 { (&bound.left, &bound.right) } else { (&bound.right, &bound.left) };
            // right ≤ left + high, so left ≥ right − high; and right ≥ left + low.
            let further = if side == 0 { bound.high? } else { bound.low?.checked_neg()? };
            let column = index_of(self.inputs[1 - side], other).filter(|_| is_it(this))?;
            let promised = self.promised(1 - side, *self.inputs[1 - side].attributes.get(column)?, column)?;
            promised.checked_add(further)
        });
        Some(alone.max(with_other.min()?).max(0))
    }

    /// How far a column of an input may be behind its watermark.
    fn promised(&self, side: usize, attribute: Attribute, column: usize) -> Option<i64> {
        let stream = self.inputs[side];
        // As long as rows have their watermark with them, they have not been judged by it.
        let unjudged = attribute.is_event_time() && stream.has(ROW_WATERMARK);
        let unit = unit_of(stream.schema().field(column).data_type());
        attribute.behind(window_time_gap(unit)).filter(|_| !unjudged)
    }
}

pub(super) fn index_of(stream: &Stream, expr: &Expr) -> Option<usize> {
    expr.try_as_col().and_then(|c| stream.schema().maybe_index_of_column(c))
}

/// The rows of an input that are not late by this time; those without a time are not: they meet none.
pub(super) fn judged(input: Stream, time: Option<Expr>) -> Result<Stream> {
    match time {
        Some(time) => Rewriter::judge_by(input, time, true),
        None => Ok(input),
    }
}

/// What the condition says about when a row has met all that it can: then it is freed. For that the rows of the other side must
/// not be late; which of their times is judged is the second half.
///
/// A row whose changes can be late is never freed: its going could be dropped, and its coming not.
fn time_expiry(inputs: [&Stream; 2], bounds: &[PairBound]) -> ([Option<RowExpiry>; 2], [Option<Expr>; 2]) {
    let (mut expiry, mut judge) = ([None, None], [None, None]);
    for side in [0, 1] {
        let other = inputs[1 - side];
        let found = bounds.iter().find_map(|bound| {
            // The latest time of the other side that a row can meet: left + high, right − low.
            let (this, others, reach) = match side {
                0 => (&bound.left, &bound.right, bound.high?),
                _ => (&bound.right, &bound.left, bound.low?.checked_neg()?),
            };
            let column = index_of(other, others)?;
            let attribute = *other.attributes.get(column)?;
            let lag = attribute.behind(window_time_gap(unit_of(other.schema().field(column).data_type())))?;
            let judged = attribute.is_event_time() && other.has(ROW_WATERMARK);
            if judged && other.has(WEIGHT_COLUMN) {
                return None;
            }
            let after = reach.checked_add(1)?;
            let sources = other.sources.iter().copied().collect();
            let expiry = RowExpiry { time: this.clone(), after, domain: TimeDomain::Event, lag, sources };
            Some((expiry, judged.then(|| others.clone())))
        });
        if let Some((of_side, judged)) = found {
            expiry[side] = Some(of_side);
            judge[1 - side] = judged;
        }
    }
    (expiry, judge)
}

/// The sources with whose end the last row of a relation has come, if it is so.
pub(super) fn settled_by(stream: &Stream) -> Option<Vec<usize>> {
    let mut ends = true;
    let walked = stream.plan.apply(|plan| {
        if let LogicalPlan::Extension(extension) = plan {
            let ours = extension.node.as_any().downcast_ref::<OperatorNode>();
            ends &= ours.is_some_and(|node| node.operator.ends_with_its_sources());
        }
        Ok(TreeNodeRecursion::Continue)
    });
    (walked.is_ok() && ends).then(|| stream.sources.iter().copied().collect())
}

/// Columns that identify a row of the join.
fn unique_of(left: &Stream, right: &Stream, join: &Join) -> Option<Vec<usize>> {
    // A row meets at most one of the other side when it is joined on what identifies those.
    let on_key = |stream: &Stream, side: usize| {
        let on: BTreeSet<usize> =
            join.on.iter().filter_map(|(l, r)| index_of(stream, if side == 0 { l } else { r })).collect();
        stream.key.as_ref().is_some_and(|key| key.iter().all(|k| on.contains(k)))
    };
    let moved = || right.key.as_ref().map(|key| key.iter().map(|k| k + left.attributes.len()).collect::<Vec<_>>());
    match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => left.key.clone(),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => right.key.clone(),
        JoinType::Inner | JoinType::Left if on_key(right, 1) && left.key.is_some() => left.key.clone(),
        JoinType::Inner | JoinType::Right if on_key(left, 0) && right.key.is_some() => moved(),
        JoinType::Inner => {
            Some(left.key.iter().flatten().copied().chain(moved()?).collect()).filter(|_| left.key.is_some())
        }
        JoinType::Left | JoinType::Right | JoinType::Full => None,
    }
}

/// The window that both sides are joined on frees the rows of both when it closes; the windows that this is of either side.
fn window_expiry(left: &Stream, right: &Stream, join: &Join) -> Result<([Option<RowExpiry>; 2], BTreeSet<usize>)> {
    let sources: BTreeSet<usize> = left.sources.union(&right.sources).copied().collect();
    for (position, (l, r)) in join.on.iter().enumerate() {
        let attributes = (left.attribute(l), right.attribute(r));
        // Windows of two calls are the same windows when they are cut alike.
        let (
            Attribute::Window { role, spec, domain, lag, window },
            Attribute::Window { role: role2, spec: spec2, domain: domain2, lag: lag2, window: window2 },
        ) = attributes
        else {
            continue;
        };
        if role != role2 || spec != spec2 || domain != domain2 || lag != lag2 {
            continue;
        }
        let Some(expiry) = expiry_of(position, attributes.0, &sources) else { continue };
        let after = match (role, spec) {
            (WindowRole::End, _) => 0,
            (WindowRole::Time, _) => window_time_gap(unit_of(&l.get_type(left.schema())?)),
            (WindowRole::Start, WindowSpec::Tumble { size, .. } | WindowSpec::Hop { size, .. }) => size,
            (WindowRole::Start, _) => continue,
        };
        let of = |time: &Expr| {
            let sources = expiry.sources.clone();
            Some(RowExpiry { time: time.clone(), after, domain: expiry.domain, lag: expiry.lag, sources })
        };
        return Ok(([of(l), of(r)], BTreeSet::from([window, window2])));
    }
    Ok(([None, None], BTreeSet::new()))
}
