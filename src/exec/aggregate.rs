//! Keyed aggregate: the interval's rows folded into a state table, the touched groups only.
//!
//! Groups of a window live in a table of their own, so that closing a window costs its own rows and drops them whole; groups
//! without a window share one table for ever. Emission is final rows when a window closes ([`EmitAt::Close`]), or what
//! changed in the interval: −old directly followed by +new ([`EmitAt::Change`]).

mod contents;
mod emit;
mod local;
mod tables;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

pub(super) use self::contents::by_time;
use self::local::Local;
use self::tables::Tables;
use super::assign::micros;
use super::context::QueryContext;
use super::groups::{Arguments, Call};
use super::key::canonical;
use super::operator::{Operate, Run};
use crate::error::{Error, Result};
use crate::plan::{EmitAt, OperatorId, WindowRole, WindowUse};
use crate::time::{WindowSpec, window_time_gap};
use async_trait::async_trait;
use datafusion::execution::TaskContext;

/// The table of groups that belong to no window.
const NO_WINDOW: i64 = i64::MAX;

/// A GROUP BY: what is fixed when it is planned.
pub(super) struct Aggregate {
    pub(super) id: OperatorId,
    /// All group expressions; those of the window are not part of a group's key.
    pub(super) group: Vec<Arc<dyn PhysicalExpr>>,
    /// The group expressions that are the key within a window, by index, and their types.
    pub(super) key: Vec<usize>,
    pub(super) key_types: Vec<DataType>,
    pub(super) calls: Vec<Call>,
    pub(super) window: Option<WindowUse>,
    pub(super) emit: EmitAt,
    pub(super) weighted: bool,
    pub(super) schema: SchemaRef,
}

impl Operate for Arc<Aggregate> {
    fn name(&self) -> &'static str {
        "AggregateExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(AggregateRun { aggregate: Arc::clone(self), context, locals: BTreeMap::new() }))
    }
}

/// One interval of an aggregate.
struct AggregateRun {
    aggregate: Arc<Aggregate>,
    context: Arc<QueryContext>,
    /// Groups touched in this interval, by the end of their window.
    locals: BTreeMap<i64, Local>,
}

#[async_trait]
impl Run for AggregateRun {
    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let aggregate = Arc::clone(&self.aggregate);
        let rows = batch.num_rows();
        if rows == 0 {
            return Ok(Vec::new());
        }
        let evaluate = |i: &usize| -> Result<ArrayRef> { Ok(aggregate.group[*i].evaluate(&batch)?.into_array(rows)?) };
        let keys = aggregate.key.iter().map(|i| Ok(canonical(evaluate(i)?))).collect::<Result<Vec<_>>>()?;
        let arguments = aggregate.calls.iter().map(|c| c.arguments(&batch)).collect::<Result<Vec<_>>>()?;
        let Some(window) = &aggregate.window else {
            self.add(NO_WINDOW, &keys, &arguments, rows)?;
            return Ok(Vec::new());
        };
        let ends = window_ends(window, |i| evaluate(&i))?;
        for (end, part) in split_by_window(&ends) {
            match part {
                None => self.add(end, &keys, &arguments, rows)?,
                Some(part) => {
                    let keys = keys.iter().map(|k| take(k, &part, None)).collect::<Result<Vec<_>, _>>()?;
                    let arguments = arguments.iter().map(|a| a.take(&part)).collect::<Result<Vec<_>>>()?;
                    self.add(end, &keys, &arguments, part.len())?;
                }
            }
        }
        Ok(Vec::new())
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let aggregate = Arc::clone(&self.aggregate);
        let context = Arc::clone(&self.context);
        let mut locals = std::mem::take(&mut self.locals);
        if aggregate.group.is_empty() && context.interval().first {
            // Without GROUP BY there is one row from the start: count(*) of nothing is 0.
            let local = match locals.remove(&NO_WINDOW) {
                Some(local) => local,
                None => Local::single(&aggregate)?,
            };
            locals.insert(NO_WINDOW, local);
        }
        let read: u64 = locals.values().map(|l| l.read).sum();
        let closing = aggregate.window.as_ref().map(|w| context.closing_time(w.domain, w.lag, &w.sources));
        context.with_state(
            aggregate.id,
            || Ok(Tables::new(&aggregate)),
            |tables| {
                let mut out = Vec::new();
                let closed = closing.map_or_else(Vec::new, |time| tables.ending_by(time));
                let mut count = 0;
                // Earliest end first, whether this interval has rows of a window or not: the order of a stream's windows must
                // not depend on its cut.
                let mut windows: BTreeMap<i64, Option<Local>> = closed.into_iter().map(|end| (end, None)).collect();
                windows.extend(locals.into_iter().map(|(end, local)| (end, Some(local))));
                for (end, local) in windows {
                    let closes = closing.is_some_and(|time| end <= time);
                    count += u64::from(closes);
                    match (aggregate.emit, local) {
                        (EmitAt::Close, local) if closes => out.extend(aggregate.close(end, local, tables)?),
                        (EmitAt::Close, Some(local)) => aggregate.keep(end, local, tables)?,
                        (EmitAt::Change, Some(local)) => out.extend(aggregate.change(end, local, tables)?),
                        (_, None) => {}
                    }
                    if closes {
                        tables.stage_close(end);
                    }
                }
                context.counters.closed.fetch_add(count, Ordering::Relaxed);
                let read = read + std::mem::take(&mut tables.read);
                context.counters.state_rows_read.fetch_add(read, Ordering::Relaxed);
                Ok(out)
            },
        )
    }
}

impl AggregateRun {
    /// Adds rows of one window.
    fn add(&mut self, end: i64, keys: &[ArrayRef], arguments: &[Arguments], rows: usize) -> Result<()> {
        let aggregate = &self.aggregate;
        let local = match self.locals.entry(end) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Local::new(aggregate)?),
        };
        self.context.with_state(
            aggregate.id,
            || Ok(Tables::new(aggregate)),
            |tables| local.add(tables.get(end), keys, arguments, rows),
        )
    }
}

/// The end (µs) of each row's window, from whichever of the window's columns is grouped by.
pub(super) fn window_ends(window: &WindowUse, evaluate: impl Fn(usize) -> Result<ArrayRef>) -> Result<Int64Array> {
    let rank = |role: &WindowRole| match role {
        WindowRole::End => 0,
        WindowRole::Time => 1,
        WindowRole::Start => 2,
    };
    let (index, role) = window
        .roles
        .iter()
        .min_by_key(|(_, role)| rank(role))
        .ok_or_else(|| Error::internal("a window without columns"))?;
    let (times, unit) = micros(&evaluate(*index)?)?;
    Ok(match role {
        WindowRole::End => times,
        WindowRole::Time => times.unary(|t| t + window_time_gap(unit)),
        WindowRole::Start => {
            let size = match window.spec {
                WindowSpec::Tumble { size, .. } | WindowSpec::Hop { size, .. } => size,
                WindowSpec::Cumulate { .. } | WindowSpec::Session { .. } => {
                    return Err(Error::internal("the start alone does not name this window"));
                }
            };
            times.unary(|t| t + size)
        }
    })
}

/// The rows of each window, in order; `None` stands for all rows, which is the common case of one window per batch.
pub(super) fn split_by_window(ends: &Int64Array) -> Vec<(i64, Option<UInt32Array>)> {
    let values = ends.values();
    let Some(first) = values.first() else { return Vec::new() };
    if values.iter().all(|end| end == first) {
        return vec![(*first, None)];
    }
    let mut rows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    // Rows come in runs of the same window: look a window up once per run.
    let mut start = 0;
    while start < values.len() {
        let end = values[start];
        let len = values[start..].iter().take_while(|e| **e == end).count();
        rows.entry(end).or_default().extend((start..start + len).map(|r| r as u32));
        start += len;
    }
    rows.into_iter().map(|(end, rows)| (end, Some(UInt32Array::from(rows)))).collect()
}

/// The start (µs) of the window that ends at `end`.
pub(super) fn start_of(spec: WindowSpec, end: i64) -> i64 {
    match spec {
        WindowSpec::Tumble { size, .. } | WindowSpec::Hop { size, .. } => end - size,
        WindowSpec::Cumulate { max, offset, .. } => {
            let last = end - 1 - offset;
            last - last.rem_euclid(max) + offset
        }
        WindowSpec::Session { gap } => end - gap,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_split_by_window() {
        let ends = Int64Array::from(vec![10, 10, 20, 10]);
        let parts = split_by_window(&ends);
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].1.as_ref().unwrap().values(), &[0, 1, 3]);
        assert_eq!(parts[1].1.as_ref().unwrap().values(), &[2]);
        assert!(split_by_window(&Int64Array::from(vec![5, 5]))[0].1.is_none());
    }

    #[test]
    fn starts_of_windows() {
        assert_eq!(start_of(WindowSpec::Tumble { size: 10, offset: 3 }, 13), 3);
        let spec = WindowSpec::Cumulate { step: 3, max: 12, offset: 0 };
        for t in -30..30 {
            spec.assign(t, |w| assert_eq!(start_of(spec, w.end), w.start));
        }
    }
}
