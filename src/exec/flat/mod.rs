//! Keyed aggregate over flat states: the fast path of [`Aggregate`] for functions whose state is a few words.
//!
//! Groups live in tables that the interval changes in place, row by row as they come, with a log to take it back
//! ([`FlatTable`](crate::state::FlatTable)): nothing is merged per interval, and what an interval costs is its rows. Windows
//! that emit on close are a table each, or are put together from panes when they close, where that gives the same to the last
//! digit: a row of HOP(10 s, 2 s) is then added once and not five times. Everything else (other functions, sessions) is [`Aggregate`]'s, which every query can fall back to; both
//! give the same answers, and the same tests hold them to it.

mod call;
mod contents;
mod distinct;
mod emit;
mod fuse;
mod groups;
mod merge;
mod route;
#[cfg(test)]
mod tests;
mod windows;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{take, take_record_batch};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;

use self::call::{Argument, FlatCall};
use self::groups::Layout;
use self::route::{Parts, Router};
use self::windows::{NO_WINDOW, Place, Windows};
use super::aggregate::{Aggregate, split_by_window, window_ends};
use super::context::QueryContext;
use super::key::canonical;
use super::operator::{Operate, Run};
use crate::error::Result;
use crate::plan::EmitAt;

#[cfg(test)]
thread_local! {
    /// Plans of this thread take the general path: what tests compare with.
    static GENERAL: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// A GROUP BY whose states are flat.
pub(super) struct FlatAggregate {
    aggregate: Arc<Aggregate>,
    layout: Arc<Layout>,
    /// The key expressions over the input.
    keys: Vec<Arc<dyn PhysicalExpr>>,
    feed: Feed,
}

/// How rows find their window.
enum Feed {
    /// There is none.
    Forever,
    /// By the window's columns, which they carry.
    Assigned,
    /// By their time: the assignment is done here.
    Routed(Router),
}

impl FlatAggregate {
    /// The flat form of an aggregate, and what it reads in place of `input`, when all that it computes has flat states.
    pub(super) fn new(
        aggregate: &Arc<Aggregate>,
        input: &Arc<dyn ExecutionPlan>,
    ) -> Result<Option<(Self, Arc<dyn ExecutionPlan>)>> {
        #[cfg(test)]
        if GENERAL.get() {
            return Ok(None);
        }
        let Some(mut layout) = Layout::new(&aggregate.key_types, &aggregate.calls)? else { return Ok(None) };
        let fused = fuse::fuse(aggregate, input, &mut layout.calls)?;
        let (keys, feed, input) = match fused {
            Some(fused) => {
                let by_pane = aggregate.emit == EmitAt::Close && layout.calls.iter().all(FlatCall::merges);
                let router = Router::new(&fused.assign, by_pane);
                (fused.keys, Feed::Routed(router), fused.input)
            }
            None => {
                let keys = aggregate.key.iter().map(|i| Arc::clone(&aggregate.group[*i])).collect();
                let feed = if aggregate.window.is_some() { Feed::Assigned } else { Feed::Forever };
                (keys, feed, Arc::clone(input))
            }
        };
        let flat = Self { aggregate: Arc::clone(aggregate), layout: Arc::new(layout), keys, feed };
        Ok(Some((flat, input)))
    }

    fn new_state(&self) -> Windows {
        let window = self.aggregate.window.as_ref();
        let names = self.aggregate.state_names();
        Windows::new(&self.layout, names, window.map(|w| w.spec), window.map_or(0, |w| w.lag))
    }
}

impl Operate for Arc<FlatAggregate> {
    fn name(&self) -> &'static str {
        "FlatAggregateExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(FlatRun { flat: Arc::clone(self), context }))
    }
}

/// One interval of a flat aggregate.
struct FlatRun {
    flat: Arc<FlatAggregate>,
    context: Arc<QueryContext>,
}

#[async_trait]
impl Run for FlatRun {
    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let (batch, parts) = self.place(batch)?;
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let flat = &self.flat;
        let rows = batch.num_rows();
        // All that can fail comes before the first state is touched.
        let evaluate = |e: &Arc<dyn PhysicalExpr>| -> Result<ArrayRef> { Ok(e.evaluate(&batch)?.into_array(rows)?) };
        let keys = flat.keys.iter().map(|e| Ok(canonical(evaluate(e)?))).collect::<Result<Vec<_>>>()?;
        let arguments = flat.layout.calls.iter().map(|c| c.argument(&batch)).collect::<Result<Vec<_>>>()?;
        self.with_windows(|windows| {
            parts.into_iter().try_for_each(|(place, part)| match part {
                None => flat.add(windows, place, &keys, &arguments, rows),
                Some(part) => {
                    let arguments: Vec<Argument> = arguments.iter().map(|a| a.take(&part)).collect();
                    let (rows, part) = (part.len(), UInt32Array::from(part));
                    let keys = keys.iter().map(|k| take(k, &part, None)).collect::<Result<Vec<_>, _>>()?;
                    flat.add(windows, place, &keys, &arguments, rows)
                }
            })
        })?;
        Ok(Vec::new())
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let flat = &self.flat;
        let window = flat.aggregate.window.as_ref();
        let closing = window.map(|w| self.context.closing_time(w.domain, w.lag, &w.sources));
        let first = flat.aggregate.group.is_empty() && self.context.interval().first;
        let (out, closed, read) = self.with_windows(|windows| {
            if first {
                // Without GROUP BY there is one row from the start: count(*) of nothing is 0.
                windows.groups(Place::Window(NO_WINDOW)).table.the_row(0);
            }
            let mut out = Vec::new();
            let ends = closing.map_or_else(Vec::new, |time| windows.ending_by(time));
            match flat.aggregate.emit {
                EmitAt::Close => {
                    for end in &ends {
                        out.extend(flat.close(*end, windows)?);
                    }
                }
                EmitAt::Change => {
                    for (end, groups) in windows.touched() {
                        out.extend(flat.change(end, groups)?);
                    }
                }
            }
            if let Some(time) = closing {
                windows.stage_close(time);
            }
            Ok((out, ends.len() as u64, windows.take_read()))
        })?;
        self.context.counters.closed.fetch_add(closed, Ordering::Relaxed);
        self.context.counters.state_rows_read.fetch_add(read, Ordering::Relaxed);
        Ok(out)
    }
}

impl FlatRun {
    fn with_windows<T>(&self, work: impl FnOnce(&mut Windows) -> Result<T>) -> Result<T> {
        self.context.with_state(self.flat.aggregate.id, || Ok(self.flat.new_state()), work)
    }

    /// Where a batch's rows go. Late rows, and those without a time, are counted and left out of the batch: nothing else of them
    /// is looked at.
    fn place(&self, batch: RecordBatch) -> Result<(RecordBatch, Parts)> {
        let router = match (&self.flat.feed, &self.flat.aggregate.window) {
            (Feed::Routed(router), _) => router,
            (Feed::Assigned, Some(window)) => {
                let column = |i: usize| -> Result<ArrayRef> {
                    Ok(self.flat.aggregate.group[i].evaluate(&batch)?.into_array(batch.num_rows())?)
                };
                let parts = split_by_window(&window_ends(window, column)?).into_iter();
                let parts = parts.map(|(end, rows)| (Place::Window(end), rows.map(|r| r.values().to_vec()))).collect();
                return Ok((batch, parts));
            }
            _ => return Ok((batch, vec![(Place::Window(NO_WINDOW), None)])),
        };
        let closed_until = self.with_windows(|windows| Ok(windows.closed_until()))?;
        let routed = router.route(&batch, closed_until)?;
        let counters = &self.context.counters;
        counters.null_time.fetch_add(routed.null_time, Ordering::Relaxed);
        if !routed.late.is_empty() {
            counters.late.fetch_add(routed.late.len() as u64, Ordering::Relaxed);
            let late = UInt32Array::from(routed.late.clone());
            self.context.keep_late(&router.sources, take_record_batch(&router.visible(&batch)?, &late)?);
        }
        match routed.without_lost(batch.num_rows()) {
            (parts, None) => Ok((batch, parts)),
            (parts, Some(kept)) => Ok((take_record_batch(&batch, &UInt32Array::from(kept))?, parts)),
        }
    }
}

impl FlatAggregate {
    fn add(
        &self,
        windows: &mut Windows,
        place: Place,
        keys: &[ArrayRef],
        arguments: &[Argument],
        rows: usize,
    ) -> Result<()> {
        let keys = self.layout.keys.encode(keys, rows)?;
        windows.groups(place).add(&self.layout, &keys, arguments);
        Ok(())
    }
}
