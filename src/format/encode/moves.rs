//! A change as the moves of its rows, in Flink's words: +I, −U, +U, −D.

use arrow::array::{DynComparator, make_comparator};
use arrow::compute::SortOptions;

use crate::change::Change;
use crate::error::Result;

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// It enters.
    Insert,
    /// It leaves, as another one with its key comes.
    UpdateBefore,
    /// It comes in place of the one before.
    UpdateAfter,
    /// It leaves.
    Delete,
}

impl Op {
    /// Flink's two characters.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Insert => "+I",
            Self::UpdateBefore => "-U",
            Self::UpdateAfter => "+U",
            Self::Delete => "-D",
        }
    }
}

/// Calls `act` for each copy of each row, in order. A −old directly followed by a +new with an equal key is an update.
///
/// # Errors
/// Those of `act`.
pub fn each(change: &Change, key: Option<&[usize]>, mut act: impl FnMut(Op, usize) -> Result<()>) -> Result<()> {
    let rows = change.num_rows();
    let Some(weights) = &change.weights else { return (0..rows).try_for_each(|row| act(Op::Insert, row)) };
    let same = key.map(|key| comparators(change, key)).transpose()?;
    let is_update = |row: usize| {
        let old = weights.value(row);
        row + 1 < rows
            && old < 0
            && old.checked_neg() == Some(weights.value(row + 1))
            && same.as_ref().is_some_and(|same| same.iter().all(|compare| compare(row, row + 1).is_eq()))
    };
    let mut row = 0;
    while row < rows {
        let weight = weights.value(row);
        if is_update(row) {
            for _ in 0..weight.unsigned_abs() {
                act(Op::UpdateBefore, row)?;
                act(Op::UpdateAfter, row + 1)?;
            }
            row += 2;
            continue;
        }
        let op = if weight > 0 { Op::Insert } else { Op::Delete };
        (0..weight.unsigned_abs()).try_for_each(|_| act(op, row))?;
        row += 1;
    }
    Ok(())
}

fn comparators(change: &Change, key: &[usize]) -> Result<Vec<DynComparator>> {
    let compare = |index: &usize| {
        let column = change.batch.column(*index);
        Ok(make_comparator(column, column, SortOptions::default())?)
    };
    key.iter().filter(|index| **index < change.batch.num_columns()).map(compare).collect()
}
