//! `EMIT ON WINDOW CLOSE` over a plan that has no aggregate to hold its rows: they are held at the end of it.
//!
//! When a row is final is told by a column of the result: a window's, or an event time. A row that no window holds is late iff its
//! own time < its row watermark; it is judged ahead of the first operator that mixes rows, so that what comes out is the batch
//! answer over the rows that were on time.

use std::cmp::Reverse;

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, Window, WindowFrameBound, WindowFunctionDefinition};

use super::super::ROW_WATERMARK;
use super::super::attribute::{Attribute, TimeDomain, WindowRole};
use super::super::operator::{EmitAt, HoldOperator, HoldTime, JudgeOperator, Operator, OperatorNode};
use super::{Rewriter, Stream, node, qualified};
use crate::change::WEIGHT_COLUMN;
use crate::error::{Error, Result};
use crate::sql::statement::EmitMode;
use crate::time::WindowSpec;

/// Window functions whose value a later row of the partition can't change, when rows are ordered by time and the frame ends at
/// the row.
const LOOKING_BACK: &[&str] = &["row_number", "rank", "dense_rank", "lag", "first_value", "last_value", "nth_value"];

impl Rewriter<'_> {
    /// Whether the query asks for final rows: then row watermarks are led to where rows without a window are judged.
    pub(super) fn holds(&self) -> bool {
        self.emit == Some(EmitMode::OnWindowClose)
    }

    /// Drops rows that are late by their own time, once a window has not judged them. Later operators see none of it.
    pub(super) fn judge(&mut self, input: Stream) -> Result<Stream> {
        let Some(at) = input.attributes.iter().position(|a| a.is_event_time()) else { return Ok(input) };
        if !input.has(ROW_WATERMARK) || input.attributes.iter().any(|a| closing_window(*a)) {
            return Ok(input);
        }
        let time = Expr::Column(Column::from(input.schema().qualified_field(at)));
        Self::judge_by(input, time, false)
    }

    /// Drops rows that are late by this time of theirs.
    pub(super) fn judge_by(input: Stream, time: Expr, keeps_null: bool) -> Result<Stream> {
        let visible = input.attributes.len();
        let mut fields = qualified(input.schema());
        let hidden: Vec<_> = fields.drain(visible..).filter(|(_, f)| f.name() != ROW_WATERMARK).collect();
        fields.extend(hidden);
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        let sources = input.sources.iter().copied().collect();
        let operator = Operator::Judge(JudgeOperator { time, keeps_null, sources });
        Ok(Stream { plan: node(operator, Some(input.plan), schema), ..input })
    }

    /// Holds the rows of the whole query, when they are to come out final and do not do so by themselves.
    pub(super) fn hold(&mut self, stream: Stream) -> Result<Stream> {
        let weighted = stream.has(WEIGHT_COLUMN);
        // Without EMIT, what changes above windows that emit on close is held too.
        let by_default = self.emit.is_none() && self.closes && weighted;
        if !self.holds() && !by_default || !weighted && comes_final(&stream.plan) {
            return Ok(stream);
        }
        let stream = if weighted { stream } else { self.judge(stream)? };
        let Some(FinalBy { times, domain, lag }) = final_by(&stream) else {
            return match (by_default, weighted) {
                (true, _) => Ok(stream),
                (false, false) if self.closes => {
                    self.notices.push(
                        "some rows belong to no window and have no watermarked time: they come out as they come"
                            .to_owned(),
                    );
                    Ok(stream)
                }
                (false, _) => Err(self.never_final(weighted)),
            };
        };
        self.closes = true;
        if domain == TimeDomain::Processing {
            self.processing_time = true;
        }
        let visible = stream.attributes.len();
        let mut fields = qualified(stream.schema());
        fields.truncate(visible);
        let names = times.iter().filter_map(|(i, _)| fields.get(*i)).map(|(_, f)| f.name().clone()).collect();
        let own = times.iter().any(|(_, of)| *of == HoldTime::Own);
        let bound = match (own, domain) {
            (true, _) => "rows leave when the watermark has passed their own time",
            (false, TimeDomain::Processing) => "rows leave when their window closes, by the wall clock",
            (false, _) => "rows leave when their window closes, by the watermark",
        };
        let id = self.operator("hold", names, Some(bound.to_owned()));
        let sources = stream.sources.iter().copied().collect();
        let schema = DFSchema::new_with_metadata(fields, stream.schema().metadata().clone())?;
        let operator = Operator::Hold(HoldOperator { id, times, domain, lag, sources });
        Ok(Stream { plan: node(operator, Some(stream.plan), schema), ..stream })
    }

    fn never_final(&self, weighted: bool) -> Error {
        if self.windows == 0 && !weighted {
            return Error::sql("EMIT ON WINDOW CLOSE, but no column of the result has a watermark")
                .help("declare WATERMARK FOR a time column in the table's DDL, and select that column")
                .help("or leave EMIT out: rows that only come are final as they come");
        }
        Error::sql("EMIT ON WINDOW CLOSE, but nothing in the result says when a row is final")
            .help("select window_start, window_end of a TUMBLE, HOP, CUMULATE or SESSION over a watermarked column, and have them in GROUP BY, in PARTITION BY, and on both sides of a join")
            .help("or emit updates: EMIT CHANGES")
    }
}

/// Whether every row is final when it comes: all are handed on by aggregates that emit on close.
fn comes_final(plan: &LogicalPlan) -> bool {
    let inputs = plan.inputs();
    if let LogicalPlan::Extension(Extension { node }) = plan
        && let Some(OperatorNode { operator, .. }) = node.as_any().downcast_ref::<OperatorNode>()
    {
        match operator {
            Operator::Aggregate(aggregate) => return aggregate.emit == EmitAt::Close,
            Operator::Once => return true,
            _ => {}
        }
    }
    !inputs.is_empty() && inputs.into_iter().all(comes_final)
}

/// What says when a row is final.
struct FinalBy {
    /// Of each row the first of these columns that is not NULL.
    times: Vec<(usize, HoldTime)>,
    /// What passes.
    domain: TimeDomain,
    /// How far (µs) it must have passed.
    lag: i64,
}

/// What says when the rows of a relation are final; `None` when nothing does.
fn final_by(stream: &Stream) -> Option<FinalBy> {
    let columns = || stream.attributes.iter().copied().enumerate();
    // Windows over windows: the outer one counts.
    let last = columns().filter(|(_, a)| closing_window(*a)).max_by_key(|(i, a)| match a {
        Attribute::Window { window, .. } => (*window, Reverse(*i)),
        _ => (0, Reverse(*i)),
    });
    let Some((_, Attribute::Window { spec, domain, lag, .. })) = last else {
        let (own, lag) = columns().find_map(|(i, a)| match a {
            Attribute::EventTime { lag } => Some((i, lag)),
            _ => None,
        })?;
        // A row *at* the watermark may still come.
        return Some(FinalBy { times: vec![(own, HoldTime::Own)], domain: TimeDomain::Event, lag: lag + 1 });
    };
    // The other side of an outer join has the same windows: where the one is NULL, the other is not.
    let mut times: Vec<(usize, HoldTime)> = columns()
        .filter_map(|(index, attribute)| match attribute {
            Attribute::Window { role, spec: s, domain: d, lag: l, .. } if (s, d, l) == (spec, domain, lag) => {
                Some((index, hold_time(role, spec)?))
            }
            _ => None,
        })
        .collect();
    times.sort_by_key(|(index, of)| (*of, *index));
    // A session is closed once its end has been passed, other windows once it is reached.
    let lag = lag + i64::from(matches!(spec, WindowSpec::Session { .. }));
    Some(FinalBy { times, domain, lag })
}

fn hold_time(role: WindowRole, spec: WindowSpec) -> Option<HoldTime> {
    match (role, spec) {
        (WindowRole::End, _) => Some(HoldTime::End),
        (WindowRole::Time, _) => Some(HoldTime::BeforeEnd),
        (WindowRole::Start, WindowSpec::Tumble { size, .. } | WindowSpec::Hop { size, .. }) => {
            Some(HoldTime::Start { size })
        }
        // Such windows that begin together do not end together.
        (WindowRole::Start, WindowSpec::Cumulate { .. } | WindowSpec::Session { .. }) => None,
    }
}

/// Whether a column says when the window of its row closes.
fn closing_window(attribute: Attribute) -> bool {
    match attribute {
        Attribute::Window { role, spec, domain, .. } => {
            domain != TimeDomain::Unbounded && hold_time(role, spec).is_some()
        }
        _ => false,
    }
}

/// Whether OVER gives each row a value that no later row changes, once the watermark has passed the row's event time.
pub(super) fn looks_back(window: &Window, input: &Stream) -> bool {
    window.window_expr.iter().all(|expr| call_of(expr).is_some_and(|call| call_looks_back(call, input)))
}

fn call_of(expr: &Expr) -> Option<&WindowFunction> {
    match expr {
        Expr::Alias(alias) => call_of(&alias.expr),
        Expr::WindowFunction(call) => Some(call.as_ref()),
        _ => None,
    }
}

fn call_looks_back(call: &WindowFunction, input: &Stream) -> bool {
    let by_time = call.params.order_by.first().is_some_and(|key| key.asc && input.attribute(&key.expr).is_event_time());
    let to_the_row = match &call.params.window_frame.end_bound {
        WindowFrameBound::CurrentRow => true,
        WindowFrameBound::Preceding(_) => true,
        WindowFrameBound::Following(_) => false,
    };
    let known = match &call.fun {
        WindowFunctionDefinition::AggregateUDF(_) => to_the_row,
        WindowFunctionDefinition::WindowUDF(function) => {
            // These ignore the frame.
            let ranks = ["row_number", "rank", "dense_rank", "lag"].contains(&function.name());
            LOOKING_BACK.contains(&function.name()) && (ranks || to_the_row)
        }
    };
    let steps_ahead = matches!(&call.fun, WindowFunctionDefinition::WindowUDF(f) if f.name() == "lag")
        && call.params.args.get(1).is_some_and(|step| !is_forward(step));
    by_time && known && !steps_ahead
}

/// Whether a step of LAG is a number from 0 on: a negative one would look ahead.
fn is_forward(step: &Expr) -> bool {
    match step {
        Expr::Literal(value, _) => value.to_string().parse::<i64>().is_ok_and(|n| n >= 0),
        Expr::Cast(cast) => is_forward(&cast.expr),
        _ => false,
    }
}
