//! The rows of a [`RowStore`](super::RowStore) by slot, in one of two forms.
//!
//! Rows that only come are never looked for by what is in them: each has a slot of its own, in flat columns. Rows that come and
//! go must be found again when they go, so equal rows share a slot, in an index over the whole row, and are counted.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::column::{StateColumn, column_of};
use super::index::KeyIndex;
use crate::error::Result;

/// Rows by slot.
pub(super) enum Contents {
    /// Rows that only come.
    Appended {
        columns: Vec<Box<dyn StateColumn>>,
        /// Slots that are used again.
        free: Vec<u32>,
        /// One more than the largest slot ever used.
        end: u32,
    },
    /// Rows that come and go.
    Counted {
        rows: KeyIndex,
        /// How often each row is there.
        weights: Vec<i64>,
    },
}

impl Contents {
    pub(super) fn new(types: &[DataType], counted: bool) -> Result<Self> {
        Ok(if counted {
            Self::Counted { rows: KeyIndex::new(types)?, weights: Vec::new() }
        } else {
            let columns = types.iter().map(column_of).collect::<Result<_>>()?;
            Self::Appended { columns, free: Vec::new(), end: 0 }
        })
    }

    /// The rows at these slots, by column.
    pub(super) fn read(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        match self {
            Self::Appended { columns, .. } => columns.iter().map(|c| c.read(slots)).collect(),
            Self::Counted { rows, .. } => rows.keys(slots),
        }
    }

    /// Some columns of the rows at these slots.
    pub(super) fn read_columns(&self, slots: &[u32], which: &[usize]) -> Result<Vec<ArrayRef>> {
        match self {
            Self::Appended { columns, .. } => {
                which.iter().filter_map(|i| columns.get(*i)).map(|c| c.read(slots)).collect()
            }
            Self::Counted { rows, .. } => {
                let all = rows.keys(slots)?;
                Ok(which.iter().filter_map(|i| all.get(*i).cloned()).collect())
            }
        }
    }

    /// How often the row at a slot is there.
    pub(super) fn weight(&self, slot: u32) -> i64 {
        match self {
            Self::Appended { .. } => 1,
            Self::Counted { weights, .. } => weights.get(slot as usize).copied().unwrap_or_default(),
        }
    }

    /// Forgets the row at a slot.
    pub(super) fn remove(&mut self, slot: u32) {
        match self {
            Self::Appended { columns, free, .. } => {
                columns.iter_mut().for_each(|c| c.clear(slot));
                free.push(slot);
            }
            Self::Counted { rows, weights } => {
                rows.remove(slot);
                if let Some(weight) = weights.get_mut(slot as usize) {
                    *weight = 0;
                }
            }
        }
    }

    /// How many slots are in use.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Appended { free, end, .. } => *end as usize - free.len(),
            Self::Counted { rows, .. } => rows.len(),
        }
    }

    /// One more than the largest slot ever used.
    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Appended { end, .. } => *end as usize,
            Self::Counted { rows, .. } => rows.capacity(),
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Appended { columns, free, .. } => {
                columns.iter().map(|c| c.bytes()).sum::<usize>() + free.capacity() * size_of::<u32>()
            }
            Self::Counted { rows, weights } => rows.bytes() + weights.capacity() * size_of::<i64>(),
        }
    }
}

/// Writes rows that only come; their slots.
pub(super) fn append(
    columns: &mut [Box<dyn StateColumn>],
    free: &mut Vec<u32>,
    end: &mut u32,
    rows: &[ArrayRef],
    count: usize,
) -> Result<Vec<u32>> {
    let again = free.split_off(free.len().saturating_sub(count));
    let fresh = (count - again.len()) as u32;
    let slots: Vec<u32> = again.into_iter().rev().chain(*end..*end + fresh).collect();
    *end += fresh;
    for (column, values) in columns.iter_mut().zip(rows) {
        column.write(&slots, values.as_ref())?;
    }
    Ok(slots)
}
