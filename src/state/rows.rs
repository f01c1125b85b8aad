//! Rows by key: a multiset of whole rows under each key, for operators that compute a key's output again from its rows.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;

use super::index::KeyIndex;
use crate::error::{Error, Result};

/// Rows of one input, by key. Reads see the last decided interval.
pub struct RowStore {
    keys: KeyIndex,
    /// The rows of each key slot.
    of_key: Vec<Vec<u32>>,
    rows: KeyIndex,
    weights: Vec<i64>,
    /// Key slots by the time at which they are freed.
    expiring: BTreeMap<i64, Vec<u32>>,
    /// When each key slot is freed: a slot may have been given to another key since it was listed above.
    expires_at: Vec<i64>,
    staged: Vec<Staged>,
    staged_expiry: Option<i64>,
}

struct Staged {
    keys: Vec<ArrayRef>,
    rows: Vec<ArrayRef>,
    weights: Int64Array,
    /// When each row's key is freed; `None`: never.
    expires: Option<Int64Array>,
}

impl RowStore {
    /// An empty store for rows of these column types under keys of these.
    ///
    /// # Errors
    /// When a type can't be held.
    pub fn new(keys: &[DataType], columns: &[DataType]) -> Result<Self> {
        Ok(Self {
            keys: KeyIndex::new(keys)?,
            of_key: Vec::new(),
            rows: KeyIndex::new(columns)?,
            weights: Vec::new(),
            expiring: BTreeMap::new(),
            expires_at: Vec::new(),
            staged: Vec::new(),
            staged_expiry: None,
        })
    }

    /// The rows under these keys, by column, and their weights; each key may be named once.
    ///
    /// # Errors
    /// When the key columns are of other types.
    pub fn read(&self, keys: &[ArrayRef], count: usize) -> Result<(Vec<ArrayRef>, Vec<i64>)> {
        let slots = self.keys.find(keys, count)?;
        let rows: Vec<u32> =
            slots.into_iter().flatten().filter_map(|s| self.of_key.get(s as usize)).flatten().copied().collect();
        let weights = rows.iter().map(|r| self.weights[*r as usize]).collect();
        Ok((self.rows.keys(&rows)?, weights))
    }

    /// Stages rows that come (+) and go (−); `expires` says when each row's key is freed.
    pub fn stage(
        &mut self,
        keys: Vec<ArrayRef>,
        rows: Vec<ArrayRef>,
        weights: Int64Array,
        expires: Option<Int64Array>,
    ) {
        self.staged.push(Staged { keys, rows, weights, expires });
    }

    /// Stages the freeing of every key that expires by `time`.
    pub fn stage_expiry(&mut self, time: i64) {
        self.staged_expiry = Some(time);
    }

    /// Makes what is staged the base.
    ///
    /// # Errors
    /// When more of a row goes than came.
    pub fn commit(&mut self) -> Result<()> {
        for staged in std::mem::take(&mut self.staged) {
            self.apply(&staged)?;
        }
        if let Some(time) = self.staged_expiry.take() {
            let later = self.expiring.split_off(&time.saturating_add(1));
            for slots in std::mem::replace(&mut self.expiring, later).into_values() {
                slots.into_iter().for_each(|slot| self.free(slot, time));
            }
        }
        Ok(())
    }

    /// Forgets what is staged.
    pub fn rollback(&mut self) {
        self.staged.clear();
        self.staged_expiry = None;
    }

    /// Every row, by column, and the weights.
    ///
    /// # Errors
    /// Only when the encoding is broken.
    pub fn all(&self) -> Result<(Vec<ArrayRef>, Vec<i64>)> {
        let mut slots: Vec<u32> = self.rows.slots().collect();
        slots.sort_unstable();
        let weights = slots.iter().map(|r| self.weights[*r as usize]).collect();
        Ok((self.rows.keys(&slots)?, weights))
    }

    /// How many different rows it holds.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        // Each row is in the list of its key: counted, not walked.
        let lists = self.rows.len() * 4 + self.of_key.capacity() * size_of::<Vec<u32>>();
        self.keys.bytes() + self.rows.bytes() + self.weights.capacity() * 8 + lists
    }

    fn apply(&mut self, staged: &Staged) -> Result<()> {
        let count = staged.weights.len();
        let keys = self.keys.insert(&staged.keys, count)?;
        self.of_key.resize_with(self.keys.capacity(), Vec::new);
        self.expires_at.resize(self.keys.capacity(), i64::MAX);
        let mut fresh = HashSet::new();
        let before = self.rows.find(&staged.rows, count)?;
        let rows = self.rows.insert(&staged.rows, count)?;
        self.weights.resize(self.rows.capacity(), 0);
        for i in 0..count {
            let (key, row) = (keys[i], rows[i]);
            // A row that is new to the store may stand in the batch more than once.
            if before[i].is_none() && fresh.insert(row) {
                if self.of_key[key as usize].is_empty()
                    && let Some(expires) = &staged.expires
                {
                    self.expires_at[key as usize] = expires.value(i);
                    self.expiring.entry(expires.value(i)).or_default().push(key);
                }
                self.of_key[key as usize].push(row);
                self.weights[row as usize] = 0;
            }
            self.weights[row as usize] += staged.weights.value(i);
        }
        for i in 0..count {
            let (key, row) = (keys[i], rows[i]);
            match self.weights[row as usize] {
                1.. => {}
                0 => {
                    self.rows.remove(row);
                    let of_key = &mut self.of_key[key as usize];
                    of_key.retain(|r| *r != row);
                    if of_key.is_empty() {
                        self.keys.remove(key);
                    }
                }
                _ => return Err(Error::internal("more of a row left an operator's input than had entered it")),
            }
        }
        Ok(())
    }

    fn free(&mut self, key: u32, time: i64) {
        if self.expires_at.get(key as usize).is_none_or(|at| *at > time) {
            return;
        }
        let Some(rows) = self.of_key.get_mut(key as usize).map(std::mem::take) else { return };
        for row in rows {
            self.weights[row as usize] = 0;
            self.rows.remove(row);
        }
        self.keys.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn ints(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn store() -> RowStore {
        RowStore::new(&[DataType::Int64], &[DataType::Int64, DataType::Int64]).unwrap()
    }

    fn weights(store: &RowStore, key: i64) -> Vec<i64> {
        store.read(&[ints(&[key])], 1).unwrap().1
    }

    #[test]
    fn rows_come_and_go() {
        let mut rows = store();
        rows.stage(
            vec![ints(&[1, 1, 1, 2])],
            vec![ints(&[1, 1, 1, 2]), ints(&[7, 7, 8, 9])],
            vec![1, 1, 1, 1].into(),
            None,
        );
        assert!(weights(&rows, 1).is_empty(), "staged rows are not read");
        rows.commit().unwrap();
        assert_eq!(weights(&rows, 1), [2, 1]);
        rows.stage(vec![ints(&[1, 1])], vec![ints(&[1, 1]), ints(&[7, 8])], vec![-1, -1].into(), None);
        rows.commit().unwrap();
        assert_eq!(weights(&rows, 1), [1]);
        rows.stage(vec![ints(&[1])], vec![ints(&[1]), ints(&[7])], vec![-2].into(), None);
        assert!(rows.commit().is_err());
    }

    #[test]
    fn keys_expire() {
        let mut rows = store();
        let expires = Some(Int64Array::from(vec![10, 20]));
        rows.stage(vec![ints(&[1, 2])], vec![ints(&[1, 2]), ints(&[0, 0])], vec![1, 1].into(), expires);
        rows.stage_expiry(10);
        rows.commit().unwrap();
        assert_eq!((rows.len(), weights(&rows, 2).len()), (1, 1));
        rows.stage_expiry(20);
        rows.commit().unwrap();
        assert!(rows.is_empty());
    }
}
