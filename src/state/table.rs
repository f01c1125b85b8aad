//! A state table: an index over key columns, value columns by slot, and what the running interval has staged.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::column::{StateColumn, column_of};
use super::index::KeyIndex;
use crate::error::Result;

/// The slot of a key that is not in the table yet.
pub const NEW: u32 = u32::MAX;

/// Keyed rows. Reads see the last decided interval; writes are staged until [`StateTable::commit`].
pub struct StateTable {
    index: KeyIndex,
    values: Vec<Box<dyn StateColumn>>,
    staged: Vec<Staged>,
}

/// Rows to write: a slot (or [`NEW`]) per row, keys, values.
struct Staged {
    slots: Vec<u32>,
    keys: Vec<ArrayRef>,
    values: Vec<ArrayRef>,
}

impl StateTable {
    /// An empty table.
    ///
    /// # Errors
    /// When a type can't be held.
    pub fn new(keys: &[DataType], values: &[DataType]) -> Result<Self> {
        let index = KeyIndex::new(keys)?;
        let values = values.iter().map(column_of).collect::<Result<_>>()?;
        Ok(Self { index, values, staged: Vec::new() })
    }

    /// The slot of each key, where it has one.
    ///
    /// # Errors
    /// When the columns are of other types.
    pub fn find(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<Option<u32>>> {
        self.index.find(keys, rows)
    }

    /// The values at these slots, by column.
    ///
    /// # Errors
    /// Only when an encoding is broken.
    pub fn read(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        self.values.iter().map(|column| column.read(slots)).collect()
    }

    /// The keys at these slots, by column.
    ///
    /// # Errors
    /// Only when an encoding is broken.
    pub fn keys(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        self.index.keys(slots)
    }

    /// The slots in use, ascending.
    pub fn slots(&self) -> Vec<u32> {
        let mut slots: Vec<u32> = self.index.slots().collect();
        slots.sort_unstable();
        slots
    }

    /// Stages rows: values for a slot each, or for a key each where the slot is [`NEW`]. A key may be staged once per interval.
    pub fn stage(&mut self, slots: Vec<u32>, keys: Vec<ArrayRef>, values: Vec<ArrayRef>) {
        self.staged.push(Staged { slots, keys, values });
    }

    /// Writes rows at once, for an operator that stages by itself; their slots.
    ///
    /// # Errors
    /// When the columns are of other types.
    pub fn put(&mut self, keys: &[ArrayRef], values: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        let slots = self.index.insert(keys, rows)?;
        for (column, values) in self.values.iter_mut().zip(values) {
            column.write(&slots, values.as_ref())?;
        }
        Ok(slots)
    }

    /// Removes a row at once.
    pub fn remove(&mut self, slot: u32) {
        self.index.remove(slot);
    }

    /// Makes the staged rows the base.
    ///
    /// # Errors
    /// When staged columns are of other types.
    pub fn commit(&mut self) -> Result<()> {
        for Staged { mut slots, keys, values } in std::mem::take(&mut self.staged) {
            let fresh: Vec<usize> = (0..slots.len()).filter(|i| slots[*i] == NEW).collect();
            if !fresh.is_empty() {
                let given = self.index.insert(&rows_of(&keys, &fresh, slots.len())?, fresh.len())?;
                for (row, slot) in fresh.into_iter().zip(given) {
                    slots[row] = slot;
                }
            }
            for (column, values) in self.values.iter_mut().zip(&values) {
                column.write(&slots, values.as_ref())?;
            }
        }
        Ok(())
    }

    /// Forgets the staged rows.
    pub fn rollback(&mut self) {
        self.staged.clear();
    }

    /// How many rows it holds.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it holds none, staged ones included.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty() && self.staged.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.index.bytes() + self.values.iter().map(|c| c.bytes()).sum::<usize>()
    }
}

/// These rows of some columns; the columns themselves when it is all of them.
fn rows_of(columns: &[ArrayRef], rows: &[usize], total: usize) -> Result<Vec<ArrayRef>> {
    if rows.len() == total {
        return Ok(columns.to_vec());
    }
    let indices = arrow::array::UInt32Array::from_iter_values(rows.iter().map(|r| *r as u32));
    Ok(columns.iter().map(|c| arrow::compute::take(c, &indices, None)).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, Int64Array, ListArray, StringArray};
    use arrow::datatypes::{Field, Int64Type};

    use super::*;

    fn ints(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    #[test]
    fn staged_rows_show_after_commit_only() {
        let mut table = StateTable::new(&[DataType::Int64], &[DataType::Int64]).unwrap();
        table.stage(vec![NEW, NEW], vec![ints(&[7, 8])], vec![ints(&[70, 80])]);
        assert_eq!(table.find(&[ints(&[7])], 1).unwrap(), [None]);
        table.rollback();
        table.commit().unwrap();
        assert_eq!(table.len(), 0, "a rolled-back interval leaves no trace");
        table.stage(vec![NEW, NEW], vec![ints(&[7, 8])], vec![ints(&[70, 80])]);
        table.commit().unwrap();
        let slot = table.find(&[ints(&[8])], 1).unwrap()[0].unwrap();
        table.stage(vec![slot, NEW], vec![ints(&[8, 9])], vec![ints(&[81, 90])]);
        assert_eq!(table.read(&[slot]).unwrap()[0].as_primitive::<Int64Type>().value(0), 80);
        table.commit().unwrap();
        assert_eq!(table.read(&[slot]).unwrap()[0].as_primitive::<Int64Type>().value(0), 81);
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn strings_and_lists_are_held_too() {
        let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
        let types = [DataType::Utf8, DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)))];
        let mut table = StateTable::new(&[DataType::Int64], &types).unwrap();
        let text: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), None]));
        table.stage(vec![NEW, NEW], vec![ints(&[1, 2])], vec![text, Arc::new(list.clone())]);
        table.commit().unwrap();
        let back = table.read(&[1, 0]).unwrap();
        assert!(back[0].is_null(0));
        assert_eq!(back[0].as_string::<i32>().value(1), "x");
        assert_eq!(back[1].as_list::<i32>().value(1).len(), 2);
    }
}
