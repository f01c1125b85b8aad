//! Rows by their primary key: one row for each key, and a row that is inserted takes the place of the old one.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{interleave, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use std::sync::Arc;

use super::OnConflict;
use crate::change::Change;
use crate::error::Result;
use crate::state::{KeyIndex, StateTable};

/// One row for each key.
pub(super) struct Keyed {
    schema: SchemaRef,
    key: Vec<usize>,
    key_types: Vec<DataType>,
    /// Whole rows, the columns of the key too, by key.
    table: StateTable,
    whole: RowConverter,
}

impl Keyed {
    pub(super) fn new(schema: &SchemaRef, key: &[usize]) -> Result<Self> {
        let all: Vec<DataType> = schema.fields().iter().map(|f| f.data_type().clone()).collect();
        let key_types: Vec<DataType> = key.iter().map(|i| all[*i].clone()).collect();
        let table = StateTable::new(&key_types, &all)?;
        let whole = RowConverter::new(all.into_iter().map(SortField::new).collect())?;
        Ok(Self { schema: Arc::clone(schema), key: key.to_vec(), key_types, table, whole })
    }

    /// Inserts rows; the change that this makes, a −old directly before its +new.
    pub(super) fn insert(&mut self, rows: &RecordBatch, on_conflict: OnConflict) -> Result<Change> {
        let rows = match on_conflict {
            OnConflict::Replace => self.one_per_key(rows, true)?,
            OnConflict::Keep => {
                let first = self.one_per_key(rows, false)?;
                let (there, _) = self.same_key(&first)?;
                let there: std::collections::HashSet<u32> = there.into_iter().collect();
                let fresh = (0..first.num_rows() as u32).filter(|row| !there.contains(row));
                take_record_batch(&first, &UInt32Array::from_iter_values(fresh))?
            }
        };
        let (replaced, old) = self.same_key(&rows)?;
        let (old_bytes, new_bytes) =
            (self.whole.convert_columns(old.columns())?, self.whole.convert_columns(rows.columns())?);
        // (0, i): the i-th old row; (1, i): the i-th new one.
        let (mut picks, mut weights) = (Vec::new(), Vec::new());
        let mut next_old = replaced.iter().enumerate().peekable();
        for row in 0..rows.num_rows() {
            if let Some((at, _)) = next_old.next_if(|(_, replaced)| **replaced as usize == row) {
                if old_bytes.row(at) == new_bytes.row(row) {
                    continue;
                }
                picks.push((0, at));
                weights.push(-1);
            }
            picks.push((1, row));
            weights.push(1);
        }
        let keys = self.keys(&rows);
        self.table.put(&keys, rows.columns(), rows.num_rows())?;
        self.change(&old, &rows, &picks, weights)
    }

    /// Removes the rows that are there, just as they are given; the change that this makes.
    pub(super) fn remove(&mut self, rows: &RecordBatch) -> Result<Change> {
        let rows = self.one_per_key(rows, true)?;
        let slots = self.table.find(&self.keys(&rows), rows.num_rows())?;
        let (there, old) = self.same_key(&rows)?;
        let (old_bytes, given) =
            (self.whole.convert_columns(old.columns())?, self.whole.convert_columns(rows.columns())?);
        let mut gone = Vec::new();
        for (at, row) in there.iter().enumerate() {
            if old_bytes.row(at) == given.row(*row as usize)
                && let Some(slot) = slots[*row as usize]
            {
                self.table.remove(slot);
                gone.push((1, *row as usize));
            }
        }
        let weights = vec![-1; gone.len()];
        self.change(&old, &rows, &gone, weights)
    }

    /// As [`super::Contents::same_key`].
    pub(super) fn same_key(&self, rows: &RecordBatch) -> Result<(Vec<u32>, RecordBatch)> {
        let found = self.table.find(&self.keys(rows), rows.num_rows())?;
        let pairs = found.into_iter().enumerate().filter_map(|(row, slot)| slot.map(|slot| (row as u32, slot)));
        let (places, slots): (Vec<u32>, Vec<u32>) = pairs.unzip();
        Ok((places, self.read(&slots)?))
    }

    /// All rows; `None` when there are none.
    pub(super) fn rows(&self) -> Result<Option<RecordBatch>> {
        let slots = self.table.slots();
        if slots.is_empty() { Ok(None) } else { Ok(Some(self.read(&slots)?)) }
    }

    /// How many rows there are, and their bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.table.len(), self.table.bytes())
    }

    fn read(&self, slots: &[u32]) -> Result<RecordBatch> {
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), self.table.read(slots)?)?)
    }

    fn keys(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        self.key.iter().map(|i| Arc::clone(rows.column(*i))).collect()
    }

    /// The last (or the first) row of each key, in the order of the rows.
    fn one_per_key(&self, rows: &RecordBatch, last: bool) -> Result<RecordBatch> {
        let mut index = KeyIndex::new(&self.key_types)?;
        let slots = index.insert(&self.keys(rows), rows.num_rows())?;
        if index.len() == rows.num_rows() {
            return Ok(rows.clone());
        }
        let mut chosen = vec![u32::MAX; index.capacity()];
        for (row, slot) in slots.into_iter().enumerate() {
            let place = &mut chosen[slot as usize];
            if last || *place == u32::MAX {
                *place = row as u32;
            }
        }
        chosen.sort_unstable();
        Ok(take_record_batch(rows, &UInt32Array::from(chosen))?)
    }

    fn change(
        &self,
        old: &RecordBatch,
        new: &RecordBatch,
        picks: &[(usize, usize)],
        weights: Vec<i64>,
    ) -> Result<Change> {
        let column = |i: usize| Ok(interleave(&[old.column(i).as_ref(), new.column(i).as_ref()], picks)?);
        let columns = (0..self.schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        Ok(Change { batch, weights: Some(Int64Array::from(weights)) })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Field, Int64Type, Schema};

    use super::*;

    fn batch(rows: &[(i64, i64)]) -> RecordBatch {
        let column =
            |of: fn(&(i64, i64)) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.iter().map(of))) };
        RecordBatch::try_new(schema(), vec![column(|r| r.0), column(|r| r.1)]).unwrap()
    }

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, true), Field::new("v", DataType::Int64, true)]))
    }

    fn text(change: &Change) -> Vec<(i64, i64, i64)> {
        let column = |i: usize| change.batch.column(i).as_primitive::<Int64Type>();
        (0..change.num_rows()).map(|r| (column(0).value(r), column(1).value(r), change.weight(r))).collect()
    }

    #[test]
    fn a_row_replaces_the_one_of_its_key() {
        let mut rows = Keyed::new(&schema(), &[0]).unwrap();
        let first = rows.insert(&batch(&[(1, 10), (2, 20), (1, 11)]), OnConflict::Replace).unwrap();
        assert_eq!(text(&first), [(2, 20, 1), (1, 11, 1)], "the last row of a key counts");
        let second = rows.insert(&batch(&[(2, 20), (1, 12), (3, 30)]), OnConflict::Replace).unwrap();
        assert_eq!(text(&second), [(1, 11, -1), (1, 12, 1), (3, 30, 1)], "what stays the same is no change");
        let kept = rows.insert(&batch(&[(1, 99), (4, 40), (4, 41)]), OnConflict::Keep).unwrap();
        assert_eq!(text(&kept), [(4, 40, 1)]);
        let gone = rows.remove(&batch(&[(3, 30), (2, 99), (7, 7)])).unwrap();
        assert_eq!(text(&gone), [(3, 30, -1)], "a row that is not there does not leave");
        assert_eq!(rows.size().0, 3);
    }
}
