//! A relation that holds rows: a materialized view, or a table with rows of its own. What an interval changes in it is read by
//! the queries over it in that same interval, so that all of them are of one interval.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};

use super::contents::{Contents, OnConflict};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::exec::SourceInput;

/// Whether more rows can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Nothing will come any more.
    Ended,
    /// Only when somebody changes a stored table.
    Resting,
    /// Rows come.
    Live,
}

/// A relation that holds rows.
pub(super) struct Relation {
    contents: Arc<Mutex<Contents>>,
    /// Rows never leave.
    append_only: bool,
    /// It is a table with rows of its own.
    pub(super) stored: bool,
    /// What the interval that runs has changed.
    changes: Vec<Change>,
    /// What a query that ran writes into the table with the next interval.
    pending: Vec<Change>,
    pub(super) stage: Stage,
    /// Why the query that keeps it has failed.
    pub(super) failed: Option<Error>,
}

impl Relation {
    /// A view that a query keeps.
    pub(super) fn view(contents: Arc<Mutex<Contents>>, append_only: bool) -> Self {
        let (changes, pending) = (Vec::new(), Vec::new());
        Self { contents, append_only, stored: false, changes, pending, stage: Stage::Live, failed: None }
    }

    /// A table with rows of its own.
    pub(super) fn table(contents: Arc<Mutex<Contents>>, append_only: bool) -> Self {
        Self { stored: true, stage: Stage::Resting, ..Self::view(contents, append_only) }
    }

    pub(super) fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what the interval has changed; the contents have it already.
    pub(super) fn changed(&mut self, changes: impl IntoIterator<Item = Change>) {
        self.changes.extend(changes.into_iter().filter(|c| c.num_rows() > 0));
    }

    /// Whether the interval has changed anything.
    pub(super) fn has_changed(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Rows to be written into the table at the beginning of the next interval.
    pub(super) fn write_next(&mut self, changes: &[Change]) {
        self.pending.extend(changes.iter().filter(|c| c.num_rows() > 0).cloned());
    }

    /// Whether rows wait to be written.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what waits.
    pub(super) fn write_pending(&mut self) -> Result<()> {
        for change in std::mem::take(&mut self.pending) {
            let done = {
                let mut contents = self.contents();
                let Some(weights) = &change.weights else {
                    let inserted = contents.insert(change.batch, OnConflict::Replace)?;
                    drop(contents);
                    self.changed([inserted]);
                    continue;
                };
                [contents.remove(&copies(&change.batch, weights, -1)?)?, {
                    contents.insert(copies(&change.batch, weights, 1)?, OnConflict::Replace)?
                }]
            };
            self.changed(done);
        }
        Ok(())
    }

    /// The interval is over.
    pub(super) fn settle(&mut self) {
        self.changes.clear();
    }

    /// What the interval brings to a query: all rows when it is its first, and else what has changed. The query has `ended`
    /// when it waits for no more than this.
    pub(super) fn input(&self, first: bool, ended: bool) -> Result<SourceInput> {
        let all: Vec<Change>;
        let changes = if first {
            all = self.contents().rows()?.into_iter().map(Change::append).collect();
            &all
        } else {
            &self.changes
        };
        let batches = if self.append_only {
            changes.iter().map(|c| c.batch.clone()).collect()
        } else {
            changes.iter().map(Change::to_weighted).collect::<Result<_, _>>()?
        };
        // Its rows carry no event time, so it holds no window open.
        Ok(SourceInput { batches, watermark: i64::MAX, ended: ended || self.stage == Stage::Ended })
    }
}

/// The rows that come (`sign` 1) or go (−1), each as often as it does.
fn copies(batch: &RecordBatch, weights: &Int64Array, sign: i64) -> Result<RecordBatch> {
    let times = |w: &i64| (w * sign).max(0);
    if weights.values().iter().all(|w| times(w) <= 1) {
        let mask = weights.values().iter().map(|w| Some(times(w) == 1)).collect();
        return Ok(filter_record_batch(batch, &mask)?);
    }
    let picks = weights
        .values()
        .iter()
        .enumerate()
        .flat_map(|(row, w)| std::iter::repeat_n(row as u32, usize::try_from(times(w)).unwrap_or_default()));
    Ok(take_record_batch(batch, &UInt32Array::from_iter_values(picks))?)
}
