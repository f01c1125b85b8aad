//! A query as the driver runs it: what feeds it, where its changes go, whether more rows can come.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::output::Output;
use super::relation::{Relation, Stage};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::exec::{IntervalInput, Query, SourceInput};
use crate::metrics::QueryMetrics;
use crate::time::IntervalId;

/// A query to be run.
pub struct NewQuery {
    /// Its number, from [`Driver::next_query`](super::Driver::next_query).
    pub id: u64,
    /// Its view, its sink, or the beginning of its text.
    pub name: String,
    /// What runs.
    pub query: Query,
    /// Where its changes go. That of a view is readable under the query's name from then on.
    pub output: Output,
    /// How long it goes on.
    pub lives: Lives,
}

/// How long a query goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lives {
    /// For one interval: over rows that are all here.
    Once,
    /// Until its streams have ended. Over stored tables alone, until it is stopped: somebody watches it.
    WithStreams,
    /// For as long as a stored table that it reads may change, though nothing waits for that. A view always does.
    WithTables,
}

/// A query that has been added.
pub(super) struct RunningQuery {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) query: Query,
    /// Where each of the plan's sources comes from.
    pub(super) inputs: Vec<Feeds>,
    pub(super) output: Output,
    lives: Lives,
    pub(super) metrics: QueryMetrics,
    pub(super) first: bool,
    /// Rows come only when somebody changes a stored table.
    pub(super) resting: bool,
    pub(super) ended: bool,
    pub(super) failed: Option<Error>,
    /// Whether [`Driver::failures`] has told of it.
    pub(super) told: bool,
}

/// What feeds a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Feeds {
    /// A source, by its place.
    Source(usize),
    /// A relation that holds rows, by its name.
    Relation(String),
}

impl RunningQuery {
    pub(super) fn new(new: NewQuery, inputs: Vec<Feeds>) -> Self {
        let NewQuery { id, name, query, output, lives } = new;
        let metrics = QueryMetrics::default();
        let (first, resting, ended, failed, told) = (true, false, false, None, false);
        Self { id, name, query, inputs, output, lives, metrics, first, resting, ended, failed, told }
    }

    /// Whether more rows can come to it.
    pub(super) fn stage(&self, inputs: &[SourceInput], relations: &BTreeMap<String, Relation>) -> Stage {
        let of = |feeds: &Feeds| match feeds {
            Feeds::Source(at) if inputs[*at].ended => Stage::Ended,
            Feeds::Source(_) => Stage::Live,
            Feeds::Relation(name) => relations.get(name).map_or(Stage::Ended, |r| r.stage),
        };
        let stages: Vec<Stage> = self.inputs.iter().map(of).collect();
        let last = stages.iter().copied().max().unwrap_or(Stage::Ended);
        let done = match self.lives {
            Lives::Once => true,
            // It has what streams there were.
            Lives::WithStreams => last == Stage::Resting && stages.contains(&Stage::Ended),
            Lives::WithTables => false,
        };
        if done { Stage::Ended } else { last }
    }

    /// Whether a run goes on for it.
    pub(super) fn is_waited_for(&self) -> bool {
        let rests = self.resting && self.lives == Lives::WithTables;
        !self.ended && !rests
    }

    /// Runs, decides and delivers one interval.
    pub(super) async fn step(&mut self, input: IntervalInput, stage: Stage) -> Result<Vec<Change>> {
        let id = input.id;
        self.metrics.rows_in += input.sources.iter().flat_map(|s| &s.batches).map(|b| b.num_rows() as u64).sum::<u64>();
        // A function that panics, ours, the user's or DataFusion's, fails this query and no other.
        let ran = AssertUnwindSafe(self.query.run(input)).catch_unwind().await;
        let changes = ran.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))?;
        self.query.commit()?;
        self.first = false;
        self.resting = stage == Stage::Resting;
        if !self.output.is_at_end() {
            self.metrics.rows_out += changes.iter().map(|c| c.num_rows() as u64).sum::<u64>();
        }
        self.output.deliver(id, &changes)?;
        if stage == Stage::Ended || self.query.context().is_done() {
            self.ended = true;
            self.metrics.rows_out += self.output.close(id)?;
        }
        Ok(changes)
    }

    pub(super) fn fail(&mut self, error: Error) {
        self.query.rollback();
        self.ended = true;
        // What had been published stays; the sink's own failure to close adds nothing to the error at hand.
        if !self.output.is_at_end() {
            let _ = self.output.close(IntervalId::NONE);
        }
        self.failed = Some(error);
    }
}

/// That a query panicked, with what it said.
fn panicked(panic: &(dyn Any + Send)) -> Error {
    let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Error::internal(format!("a function of the query panicked: {}", said.unwrap_or("it did not say why")))
}
