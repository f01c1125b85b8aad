//! GROUP BY and DISTINCT become keyed aggregates.

use std::collections::BTreeSet;

use datafusion::common::DFSchema;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable};

use super::super::ROW_WATERMARK;
use super::super::attribute::{Attribute, TimeDomain, WindowRole};
use super::super::operator::{AggregateOperator, EmitAt, Operator, WindowUse};
use super::linear::session_first;
use super::retract::undo_all;
use super::{Rewriter, Stream, node, with_hidden};
use crate::change::WEIGHT_COLUMN;
use crate::error::Result;
use crate::sql::statement::EmitMode;
use crate::time::{WindowSpec, unit_of};

impl Rewriter<'_> {
    pub(super) fn aggregate(&mut self, input: Stream, aggregate: &Aggregate) -> Result<Stream> {
        let sets = aggregate.group_expr.iter().any(|e| matches!(e, Expr::GroupingSet(_)));
        if sets {
            return self.grouping_sets(input, aggregate);
        }
        if input.has(WEIGHT_COLUMN) {
            return match undo_all(aggregate, input.schema()) {
                Some(undo) => self.retract(input, aggregate, undo),
                None => self.aggregate_again(input, aggregate),
            };
        }
        let (input, attributes) = self.group_attributes(input, aggregate)?;
        let window = window_use(&attributes, &input);
        if input.session.is_some() {
            check_session(&input, aggregate, window.as_ref())?;
        }
        let closes = window.is_some() && self.emit != Some(EmitMode::Changes);
        if closes {
            self.closes = true;
        }
        if window.is_none() && attributes.is_empty() && self.windows > 0 && !self.closes {
            self.notices.push("no column of the window is in GROUP BY: the result is over all time".to_owned());
        } else if window.is_none() && self.windows > 0 && !self.closes && !self.has_unbounded_window(&attributes) {
            self.notices.push(
                "no column of the window is in GROUP BY, so groups run over all time; add window_start, window_end for one row per window"
                    .to_owned(),
            );
        }
        let emit = if closes { EmitAt::Close } else { EmitAt::Change };
        // DISTINCT over rows that only come gives rows that only come; but sessions grow, and their bounds change.
        let weighted = !closes && (!aggregate.aggr_expr.is_empty() || input.session.is_some());
        let key_names = aggregate.group_expr.iter().map(ToString::to_string).collect();
        let kind = if input.session.is_some() { "session" } else { "aggregate" };
        let bound = window.as_ref().map(|w| {
            let by = if w.domain == TimeDomain::Event { "watermark" } else { "wall clock" };
            format!("rows leave when their window closes, by the {by}")
        });
        let id = self.operator(kind, key_names, bound);
        let schema: &DFSchema = &aggregate.schema;
        let schema = if weighted { with_hidden(schema, WEIGHT_COLUMN)? } else { schema.clone() };
        let operator = Operator::Aggregate(AggregateOperator {
            id,
            group: aggregate.group_expr.clone(),
            aggregates: aggregate.aggr_expr.clone(),
            window: window.clone(),
            emit,
            weighted,
        });
        let groups = aggregate.group_expr.len();
        let mut out = attributes;
        // Rows come when that window closes: other times in them may be far behind the watermark then. And the windows of a
        // group that never closes say nothing about when its rows are final.
        for (index, attribute) in out.iter_mut().enumerate() {
            let of_window = window.as_ref().is_some_and(|w| w.columns.contains(&index));
            if !of_window {
                *attribute = Attribute::Plain;
            }
        }
        out.resize(groups + aggregate.aggr_expr.len(), Attribute::Plain);
        Ok(Stream {
            plan: node(operator, Some(input.plan), schema),
            attributes: out,
            sources: input.sources,
            key: Some((0..groups).collect()),
            session: None,
        })
    }

    /// What the group expressions mean in time. Where final rows are asked for, an event time in GROUP BY is a window of one
    /// instant: [t, t + 1 µs) closes once the watermark has passed t, by the very rule of rows that no window holds.
    fn group_attributes(&mut self, input: Stream, aggregate: &Aggregate) -> Result<(Stream, Vec<Attribute>)> {
        let of =
            |input: &Stream| -> Vec<Attribute> { aggregate.group_expr.iter().map(|e| input.attribute(e)).collect() };
        let attributes = of(&input);
        let in_window = attributes.iter().any(|a| matches!(a, Attribute::Window { .. }));
        let whole_micros =
            |e: &Expr| e.get_type(input.schema()).is_ok_and(|t| unit_of(&t) != arrow::datatypes::TimeUnit::Nanosecond);
        let mut pairs = aggregate.group_expr.iter().zip(&attributes);
        let by_time = pairs.any(|(e, a)| a.is_event_time() && whole_micros(e));
        if !self.holds() || in_window || !by_time || input.session.is_some() || !input.has(ROW_WATERMARK) {
            return Ok((input, attributes));
        }
        let input = self.judge(input)?;
        let window = self.windows;
        self.windows += 1;
        let instant = |a| match a {
            Attribute::EventTime { lag } => Attribute::Window {
                role: WindowRole::Start,
                window,
                spec: WindowSpec::Tumble { size: 1, offset: 0 },
                domain: TimeDomain::Event,
                lag,
            },
            other => other,
        };
        let attributes = of(&input).into_iter().map(instant).collect();
        Ok((input, attributes))
    }

    fn has_unbounded_window(&self, attributes: &[Attribute]) -> bool {
        attributes.iter().any(|a| matches!(a, Attribute::Window { .. }))
    }
}

/// How the groups belong to windows that close.
fn window_use(attributes: &[Attribute], input: &Stream) -> Option<WindowUse> {
    let of_window = attributes.iter().enumerate().filter_map(|(i, a)| match a {
        Attribute::Window { role, window, spec, domain, lag } if *domain != TimeDomain::Unbounded => {
            Some((i, *role, *window, *spec, *domain, *lag))
        }
        _ => None,
    });
    let found: Vec<_> = of_window.collect();
    let (_, _, window, spec, domain, mut lag) = *found.first()?;
    let mut roles: Vec<_> = found.iter().filter(|f| f.2 == window).map(|f| (f.0, f.1)).collect();
    let columns = roles.iter().map(|(i, _)| *i).collect();
    // Windows of CUMULATE and SESSION that begin together do not end together: their start alone does not say when they close.
    let start_only = roles.iter().all(|(_, role)| *role == WindowRole::Start);
    if start_only && matches!(spec, WindowSpec::Cumulate { .. } | WindowSpec::Session { .. }) {
        return None;
    }
    let merges = input.session.is_some();
    if matches!(spec, WindowSpec::Session { .. }) && !merges {
        // Sessions that are merged already: those that end together began at different times, so their start is part of the
        // key; and they come once the watermark is past their end, not at it.
        roles.retain(|(_, role)| *role != WindowRole::Start);
        lag += 1;
    }
    let sources = input.sources.iter().copied().collect();
    Some(WindowUse { roles, columns, spec, merges, domain, lag, sources })
}

/// A session's rows must be grouped by its window and by exactly what the sessions are per.
fn check_session(input: &Stream, aggregate: &Aggregate, window: Option<&WindowUse>) -> Result<()> {
    let Some((_, keys)) = &input.session else { return Ok(()) };
    let Some(window) = window else { return Err(session_first()) };
    let in_window: BTreeSet<usize> = window.columns.iter().copied().collect();
    let mut grouped = BTreeSet::new();
    for (_, expr) in aggregate.group_expr.iter().enumerate().filter(|(i, _)| !in_window.contains(i)) {
        let column = expr.try_as_col().and_then(|c| input.schema().maybe_index_of_column(c));
        grouped.insert(column.ok_or_else(session_first)?);
    }
    if grouped == keys.iter().copied().collect() {
        return Ok(());
    }
    Err(session_first().help("GROUP BY window_start, window_end and the columns of PARTITION BY, no more and no less"))
}
