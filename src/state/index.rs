//! From a key to its row slot: a hash table over Arrow's row encoding of the key columns.
//!
//! Slots of removed keys are used again, so that a table whose keys come and go stays as large as its live keys.

use std::hash::BuildHasher;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::error::Result;

/// A hash index from keys of some column types to slots.
pub struct KeyIndex {
    converter: RowConverter,
    table: HashTable<u32>,
    /// The encoded key at each slot; empty where the slot is free.
    keys: Vec<Box<[u8]>>,
    free: Vec<u32>,
    hasher: DefaultHashBuilder,
    heap: usize,
}

impl KeyIndex {
    /// An empty index.
    ///
    /// # Errors
    /// When a type can't be a key.
    pub fn new(types: &[DataType]) -> Result<Self> {
        let converter = RowConverter::new(types.iter().map(|t| SortField::new(t.clone())).collect())?;
        let hasher = DefaultHashBuilder::default();
        Ok(Self { converter, table: HashTable::new(), keys: Vec::new(), free: Vec::new(), hasher, heap: 0 })
    }

    /// The slot of each key; `None` where there is none. Without key columns there is one key, the empty one.
    ///
    /// # Errors
    /// When the columns are of other types.
    pub fn find(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<Option<u32>>> {
        if keys.is_empty() {
            return Ok(vec![self.find_one(&[]); rows]);
        }
        let encoded = self.converter.convert_columns(keys)?;
        Ok(encoded.iter().map(|row| self.find_one(row.as_ref())).collect())
    }

    /// The slot of each key; new keys get one.
    ///
    /// # Errors
    /// When the columns are of other types.
    pub fn insert(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<u32>> {
        if keys.is_empty() {
            return Ok((0..rows).map(|_| self.insert_one(&[])).collect());
        }
        let encoded = self.converter.convert_columns(keys)?;
        Ok(encoded.iter().map(|row| self.insert_one(row.as_ref())).collect())
    }

    /// The keys at these slots, by column.
    ///
    /// # Errors
    /// Only when the encoding is broken.
    pub fn keys(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let parser = self.converter.parser();
        Ok(self.converter.convert_rows(slots.iter().map(|s| parser.parse(&self.keys[*s as usize])))?)
    }

    /// The encoded key at a slot: equal for equal keys of the same types, within one process.
    pub fn encoded(&self, slot: u32) -> &[u8] {
        self.keys.get(slot as usize).map_or(&[], |k| k.as_ref())
    }

    /// Frees a slot.
    pub fn remove(&mut self, slot: u32) {
        let Some(key) = self.keys.get(slot as usize) else { return };
        let hash = self.hasher.hash_one(key.as_ref());
        if let Ok(entry) = self.table.find_entry(hash, |s| *s == slot) {
            entry.remove();
            self.heap -= self.keys[slot as usize].len();
            self.keys[slot as usize] = Box::default();
            self.free.push(slot);
        }
    }

    /// The slots in use, in no order.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.table.iter().copied()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// One more than the largest slot ever used.
    pub fn capacity(&self) -> usize {
        self.keys.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.table.capacity() * 5 + self.keys.capacity() * size_of::<Box<[u8]>>() + self.heap
    }

    fn find_one(&self, key: &[u8]) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        self.table.find(hash, |s| self.keys[*s as usize].as_ref() == key).copied()
    }

    fn insert_one(&mut self, key: &[u8]) -> u32 {
        if let Some(slot) = self.find_one(key) {
            return slot;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.keys.push(Box::default());
            (self.keys.len() - 1) as u32
        });
        self.keys[slot as usize] = key.into();
        self.heap += key.len();
        let (keys, hasher) = (&self.keys, &self.hasher);
        self.table.insert_unique(hasher.hash_one(key), slot, |s| hasher.hash_one(keys[*s as usize].as_ref()));
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn slots_are_stable_and_reused() {
        let mut index = KeyIndex::new(&[DataType::Int64, DataType::Utf8]).unwrap();
        let keys: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from(vec![Some(1), None, Some(1), Some(2)])),
            Arc::new(StringArray::from(vec![Some("a"), None, Some("a"), Some("b")])),
        ];
        assert_eq!(index.insert(&keys, 4).unwrap(), [0, 1, 0, 2]);
        assert_eq!(index.find(&keys, 4).unwrap(), [Some(0), Some(1), Some(0), Some(2)]);
        index.remove(1);
        assert_eq!(index.find(&keys, 4).unwrap(), [Some(0), None, Some(0), Some(2)]);
        assert_eq!(index.len(), 2);
        let back = index.keys(&[2, 0]).unwrap();
        assert_eq!(back[0].as_ref(), &Int64Array::from(vec![2, 1]) as &dyn arrow::array::Array);
        let other: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![9])), Arc::new(StringArray::from(vec!["z"]))];
        assert_eq!(index.insert(&other, 1).unwrap(), [1], "the freed slot is used again");
    }

    #[test]
    fn the_empty_key() {
        let mut index = KeyIndex::new(&[]).unwrap();
        assert_eq!(index.find(&[], 2).unwrap(), [None, None]);
        assert_eq!(index.insert(&[], 3).unwrap(), [0, 0, 0]);
        assert_eq!(index.find(&[], 1).unwrap(), [Some(0)]);
    }
}
