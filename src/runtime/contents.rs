//! The contents of a relation that holds rows, a view or a stored table: rows that came, less rows that left.

mod keyed;

use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;

use self::keyed::Keyed;
use crate::change::Change;
use crate::error::{Error, Result};
use crate::state::KeyIndex;

/// A multiset of rows.
pub struct Contents {
    schema: SchemaRef,
    rows: Rows,
}

enum Rows {
    /// Rows that only come are kept as they came.
    Appended(Vec<RecordBatch>),
    /// Rows that come and go are counted.
    Counted { index: KeyIndex, weights: Vec<i64> },
    /// One row for each key.
    Keyed(Keyed),
}

/// What becomes of a row whose key is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// It takes the place of the old one.
    Replace,
    /// The old one stays.
    Keep,
}

impl Contents {
    /// Nothing yet; `append_only` when rows never leave.
    ///
    /// # Errors
    /// When a column has a type that can't be compared.
    pub fn new(schema: SchemaRef, append_only: bool) -> Result<Self> {
        let rows = if append_only {
            Rows::Appended(Vec::new())
        } else {
            let types: Vec<_> = schema.fields().iter().map(|f| f.data_type().clone()).collect();
            Rows::Counted { index: KeyIndex::new(&types)?, weights: Vec::new() }
        };
        Ok(Self { schema, rows })
    }

    /// Nothing yet; one row for each value of these columns.
    ///
    /// # Errors
    /// When a column has a type that can't be held.
    pub fn keyed(schema: SchemaRef, key: &[usize]) -> Result<Self> {
        let rows = Rows::Keyed(Keyed::new(&schema, key)?);
        Ok(Self { schema, rows })
    }

    /// Inserts rows; the change that this makes. Of rows with the same key the last one counts.
    ///
    /// # Errors
    /// When the columns are of other types.
    pub fn insert(&mut self, rows: RecordBatch, on_conflict: OnConflict) -> Result<Change> {
        if let Rows::Keyed(keyed) = &mut self.rows {
            return keyed.insert(&rows, on_conflict);
        }
        let change = Change::append(rows);
        self.apply(&change)?;
        Ok(change)
    }

    /// Removes rows, those of them that are there; the change that this makes.
    ///
    /// # Errors
    /// When the columns are of other types, or rows are never removed from here.
    pub fn remove(&mut self, rows: &RecordBatch) -> Result<Change> {
        let present = match &mut self.rows {
            Rows::Appended(_) => return Err(Error::internal("rows never leave this table")),
            Rows::Keyed(keyed) => return keyed.remove(rows),
            Rows::Counted { index, weights } => {
                let mut left = std::collections::HashMap::new();
                let found = index.find(rows.columns(), rows.num_rows())?;
                let there = |(row, slot): (usize, Option<u32>)| {
                    let slot = slot?;
                    let left = left.entry(slot).or_insert_with(|| weights[slot as usize]);
                    *left -= 1;
                    (*left >= 0).then_some(row as u32)
                };
                UInt32Array::from_iter_values(found.into_iter().enumerate().filter_map(there))
            }
        };
        let batch = take_record_batch(rows, &present)?;
        let weights = Some(Int64Array::from(vec![-1; batch.num_rows()]));
        let change = Change { batch, weights };
        self.apply(&change)?;
        Ok(change)
    }

    /// For each of these rows the one that has its key now, where there is one: their places, and the rows that are there.
    /// Without a key there is none.
    ///
    /// # Errors
    /// When the columns are of other types.
    pub fn same_key(&self, rows: &RecordBatch) -> Result<(Vec<u32>, RecordBatch)> {
        match &self.rows {
            Rows::Keyed(keyed) => keyed.same_key(rows),
            _ => Ok((Vec::new(), RecordBatch::new_empty(self.schema.clone()))),
        }
    }

    /// Applies a change.
    ///
    /// # Errors
    /// When more of a row leaves than came.
    pub fn apply(&mut self, change: &Change) -> Result<()> {
        match &mut self.rows {
            Rows::Appended(batches) => batches.push(change.batch.clone()),
            Rows::Keyed(_) => return Err(Error::internal("rows with a key are inserted and removed")),
            Rows::Counted { index, weights } => {
                let slots = index.insert(change.batch.columns(), change.num_rows())?;
                weights.resize(index.capacity(), 0);
                for (row, slot) in slots.iter().enumerate() {
                    weights[*slot as usize] += change.weight(row);
                }
                // A −old may stand before the +old it takes back: only the sum of a change must not be negative.
                for slot in slots {
                    let weight = weights[slot as usize];
                    if weight < 0 {
                        return Err(Error::internal("more of a row left a view than had entered it"));
                    }
                    if weight == 0 {
                        index.remove(slot);
                    }
                }
            }
        }
        Ok(())
    }

    /// The rows, each as often as it is in the view.
    ///
    /// # Errors
    /// Only when an encoding is broken.
    pub fn rows(&self) -> Result<Vec<RecordBatch>> {
        match &self.rows {
            Rows::Appended(batches) => Ok(batches.clone()),
            Rows::Keyed(keyed) => Ok(keyed.rows()?.into_iter().collect()),
            Rows::Counted { index, weights } => {
                let mut live: Vec<u32> = index.slots().collect();
                live.sort_unstable();
                let copies = |slot: u32| usize::try_from(weights[slot as usize]).unwrap_or_default();
                let slots: Vec<u32> = live.into_iter().flat_map(|s| std::iter::repeat_n(s, copies(s))).collect();
                if slots.is_empty() {
                    return Ok(Vec::new());
                }
                let columns = index.keys(&slots)?;
                Ok(vec![RecordBatch::try_new(self.schema.clone(), columns)?])
            }
        }
    }

    /// Lets the oldest batches go while there are more rows than this; only rows that were kept as they came have an age.
    pub fn keep_newest(&mut self, rows_max: usize) {
        let Rows::Appended(batches) = &mut self.rows else { return };
        let mut rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let over = batches.iter().take_while(|batch| {
            let goes = rows > rows_max;
            rows -= if goes { batch.num_rows() } else { 0 };
            goes
        });
        let over = over.count();
        batches.drain(..over);
    }

    /// How many rows there are, and their bytes.
    pub fn size(&self) -> (usize, usize) {
        match &self.rows {
            Rows::Appended(batches) => (
                batches.iter().map(RecordBatch::num_rows).sum(),
                batches.iter().map(RecordBatch::get_array_memory_size).sum(),
            ),
            Rows::Counted { index, weights } => (index.len(), index.bytes() + weights.capacity() * 8),
            Rows::Keyed(keyed) => keyed.size(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn the_newest_rows_are_kept() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]));
        let mut contents = Contents::new(Arc::clone(&schema), true).unwrap();
        for first in [0, 10, 20] {
            let rows = Int64Array::from_iter_values(first..first + 10);
            let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(rows)]).unwrap();
            contents.apply(&Change::append(batch)).unwrap();
        }
        contents.keep_newest(30);
        assert_eq!(contents.size().0, 30);
        contents.keep_newest(15);
        assert_eq!(contents.size().0, 10, "whole batches go until no more than fifteen are left");
    }
}
