//! Rows that wait for a time: a multiset of whole rows, each with the time at which something becomes of it.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;

use super::index::KeyIndex;
use crate::error::{Error, Result};

/// Rows in the order of their times. Reads see the last decided interval.
pub struct TimedRows {
    rows: KeyIndex,
    weights: Vec<i64>,
    times: Vec<i64>,
    by_time: BTreeSet<(i64, u32)>,
    staged: Vec<TimedChange>,
    staged_removal: Option<i64>,
}

/// Rows by column, how often each is there, and the time that it waits for.
#[derive(Debug, Clone)]
pub struct TimedChange {
    /// The rows.
    pub columns: Vec<ArrayRef>,
    /// +n come, −n go.
    pub weights: Vec<i64>,
    /// The time of each, which is a function of the row.
    pub times: Vec<i64>,
}

impl TimedRows {
    /// No rows of these column types.
    ///
    /// # Errors
    /// When a type can't be held.
    pub fn new(columns: &[DataType]) -> Result<Self> {
        Ok(Self {
            rows: KeyIndex::new(columns)?,
            weights: Vec::new(),
            times: Vec::new(),
            by_time: BTreeSet::new(),
            staged: Vec::new(),
            staged_removal: None,
        })
    }

    /// The rows whose time is not after this one, earliest first.
    ///
    /// # Errors
    /// Only when the encoding is broken.
    pub fn due(&self, time: i64) -> Result<TimedChange> {
        let slots: Vec<u32> = self.by_time.range(..=(time, u32::MAX)).map(|(_, slot)| *slot).collect();
        self.read(&slots)
    }

    /// Every row, earliest first.
    ///
    /// # Errors
    /// Only when the encoding is broken.
    pub fn all(&self) -> Result<TimedChange> {
        self.due(i64::MAX)
    }

    fn read(&self, slots: &[u32]) -> Result<TimedChange> {
        Ok(TimedChange {
            columns: self.rows.keys(slots)?,
            weights: slots.iter().map(|s| self.weights[*s as usize]).collect(),
            times: slots.iter().map(|s| self.times[*s as usize]).collect(),
        })
    }

    /// Stages rows that come and go.
    pub fn stage(&mut self, change: TimedChange) {
        self.staged.push(change);
    }

    /// Stages the removal of what [`TimedRows::due`] gives for this time.
    pub fn stage_removal(&mut self, time: i64) {
        self.staged_removal = Some(time);
    }

    /// Makes what is staged the base: due rows leave first, so that what is staged may be due again.
    ///
    /// # Errors
    /// When more of a row goes than came.
    pub fn commit(&mut self) -> Result<()> {
        if let Some(time) = self.staged_removal.take() {
            while let Some((at, slot)) = self.by_time.first().copied().filter(|(at, _)| *at <= time) {
                self.by_time.remove(&(at, slot));
                self.rows.remove(slot);
            }
        }
        for change in std::mem::take(&mut self.staged) {
            self.apply(&change)?;
        }
        Ok(())
    }

    fn apply(&mut self, change: &TimedChange) -> Result<()> {
        let slots = self.rows.insert(&change.columns, change.weights.len())?;
        self.weights.resize(self.rows.capacity(), 0);
        self.times.resize(self.rows.capacity(), 0);
        for ((slot, weight), time) in slots.iter().zip(&change.weights).zip(&change.times) {
            let at = *slot as usize;
            if self.by_time.insert((*time, *slot)) {
                // The slot may have been another row's before.
                self.weights[at] = 0;
                self.times[at] = *time;
            }
            self.weights[at] += weight;
        }
        for slot in slots {
            match self.weights[slot as usize] {
                1.. => {}
                0 => {
                    if self.by_time.remove(&(self.times[slot as usize], slot)) {
                        self.rows.remove(slot);
                    }
                }
                _ => return Err(Error::internal("more of a row left than had come to wait")),
            }
        }
        Ok(())
    }

    /// Forgets what is staged.
    pub fn rollback(&mut self) {
        self.staged.clear();
        self.staged_removal = None;
    }

    /// The earliest time that a row waits for.
    pub fn first_time(&self) -> Option<i64> {
        self.by_time.first().map(|(time, _)| *time)
    }

    /// How many different rows wait.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.weights.capacity() * 8 + self.times.capacity() * 8 + self.by_time.len() * 24
    }
}

impl TimedChange {
    /// The weights as a column.
    pub fn weight_column(&self) -> Int64Array {
        Int64Array::from(self.weights.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn change(rows: &[(i64, i64, i64)]) -> TimedChange {
        TimedChange {
            columns: vec![Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)))],
            weights: rows.iter().map(|r| r.1).collect(),
            times: rows.iter().map(|r| r.2).collect(),
        }
    }

    #[test]
    fn rows_wait_for_their_time() {
        let mut rows = TimedRows::new(&[DataType::Int64]).unwrap();
        rows.stage(change(&[(1, 2, 10), (2, 1, 20), (3, 1, 5)]));
        assert!(rows.is_empty(), "staged rows are not read");
        rows.rollback();
        rows.commit().unwrap();
        assert!(rows.is_empty());
        rows.stage(change(&[(1, 2, 10), (2, 1, 20), (3, 1, 5)]));
        rows.commit().unwrap();
        assert_eq!((rows.due(10).unwrap().times, rows.due(10).unwrap().weights), (vec![5, 10], vec![1, 2]));
        rows.stage(change(&[(1, -1, 10), (2, -1, 20)]));
        rows.commit().unwrap();
        assert_eq!((rows.len(), rows.first_time()), (2, Some(5)));
        // A slot that is free is used again, for another time.
        rows.stage(change(&[(9, 1, 7)]));
        rows.stage_removal(5);
        rows.commit().unwrap();
        assert_eq!(rows.all().unwrap().times, [7, 10]);
        rows.stage_removal(10);
        rows.commit().unwrap();
        assert!(rows.is_empty() && rows.first_time().is_none());
        rows.stage(change(&[(1, -1, 10)]));
        assert!(rows.commit().is_err());
    }
}
