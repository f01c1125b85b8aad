//! Rows by key: a multiset of whole rows under each key, for joins and for operators that compute a key's output again from its
//! rows.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;

use super::contents::{Contents, append};
use super::index::KeyIndex;
use crate::error::{Error, Result};

const NONE: u32 = u32::MAX;

/// Rows of one input, by key. Reads see the last decided interval.
pub struct RowStore {
    keys: KeyIndex,
    /// The first and the last row of each key slot.
    ends: Vec<(u32, u32)>,
    /// By row slot.
    links: Vec<Link>,
    contents: Contents,
    /// By row slot: how many rows of another input each has met, where an operator counts it.
    matches: Vec<i64>,
    /// Row slots by the time at which they are freed.
    expiring: BTreeMap<i64, Vec<u32>>,
    /// When each row slot is freed: it may have been given to another row since it was listed above.
    expires_at: Vec<i64>,
    staged: Vec<Rows>,
    staged_matches: Vec<(u32, i64)>,
    staged_expires: Vec<(u32, i64)>,
    staged_expiry: Option<i64>,
    staged_clear: bool,
}

/// The neighbours of a row under its key, oldest first.
#[derive(Clone, Copy)]
struct Link {
    key: u32,
    before: u32,
    after: u32,
}

/// Rows to stage, by column.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Their keys.
    pub keys: Vec<ArrayRef>,
    /// The rows.
    pub columns: Vec<ArrayRef>,
    /// How often each comes (+) or goes (−).
    pub weights: Vec<i64>,
    /// When each is freed (`i64::MAX`: never); `None`: never.
    pub expires: Option<Vec<i64>>,
    /// How many rows of another input each has met, where that is counted.
    pub matches: Option<Vec<i64>>,
}

impl RowStore {
    /// An empty store for rows of these column types under keys of these; `come_and_go` when rows also leave.
    ///
    /// # Errors
    /// When a type can't be held.
    pub fn new(keys: &[DataType], columns: &[DataType], come_and_go: bool) -> Result<Self> {
        Ok(Self {
            keys: KeyIndex::new(keys)?,
            ends: Vec::new(),
            links: Vec::new(),
            contents: Contents::new(columns, come_and_go)?,
            matches: Vec::new(),
            expiring: BTreeMap::new(),
            expires_at: Vec::new(),
            staged: Vec::new(),
            staged_matches: Vec::new(),
            staged_expires: Vec::new(),
            staged_expiry: None,
            staged_clear: false,
        })
    }

    /// The slot of each key, where it has rows.
    ///
    /// # Errors
    /// When the key columns are of other types.
    pub fn find(&self, keys: &[ArrayRef], count: usize) -> Result<Vec<Option<u32>>> {
        self.keys.find(keys, count)
    }

    /// The rows under a key slot, oldest first.
    pub fn rows_of(&self, key: u32) -> impl Iterator<Item = u32> {
        let first = self.ends.get(key as usize).map_or(NONE, |(first, _)| *first);
        let next = |row: u32| Some(row).filter(|r| *r != NONE);
        std::iter::successors(next(first), move |row| next(self.links[*row as usize].after))
    }

    /// The rows at these slots, by column.
    ///
    /// # Errors
    /// Only when an encoding is broken.
    pub fn columns(&self, rows: &[u32]) -> Result<Vec<ArrayRef>> {
        self.contents.read(rows)
    }

    /// Some columns of the rows at these slots.
    ///
    /// # Errors
    /// Only when an encoding is broken.
    pub fn some_columns(&self, rows: &[u32], which: &[usize]) -> Result<Vec<ArrayRef>> {
        self.contents.read_columns(rows, which)
    }

    /// How often a row is there.
    pub fn weight(&self, row: u32) -> i64 {
        self.contents.weight(row)
    }

    /// How many rows of another input a row has met.
    pub fn matches(&self, row: u32) -> i64 {
        self.matches.get(row as usize).copied().unwrap_or_default()
    }

    /// The keys of these rows, by column.
    ///
    /// # Errors
    /// Only when an encoding is broken.
    pub fn keys_of(&self, rows: &[u32]) -> Result<Vec<ArrayRef>> {
        let keys: Vec<u32> = rows.iter().map(|row| self.links[*row as usize].key).collect();
        self.keys.keys(&keys)
    }

    /// When a row expires.
    pub fn expires(&self, row: u32) -> i64 {
        self.expires_at.get(row as usize).copied().unwrap_or(i64::MAX)
    }

    /// The rows that expire by `time`, earliest first.
    pub fn expiring_by(&self, time: i64) -> Vec<u32> {
        let listed = self.expiring.range(..=time).flat_map(|(at, rows)| rows.iter().map(move |row| (*at, *row)));
        // A slot may have been given to another row since it was listed.
        listed.filter(|(at, row)| self.expires_at.get(*row as usize) == Some(at)).map(|(_, row)| row).collect()
    }

    /// The rows under these keys, by column, and their weights; each key may be named once.
    ///
    /// # Errors
    /// When the key columns are of other types.
    pub fn read(&self, keys: &[ArrayRef], count: usize) -> Result<(Vec<ArrayRef>, Vec<i64>)> {
        let slots = self.find(keys, count)?;
        let rows: Vec<u32> = slots.into_iter().flatten().flat_map(|s| self.rows_of(s)).collect();
        let weights = rows.iter().map(|r| self.weight(*r)).collect();
        Ok((self.columns(&rows)?, weights))
    }

    /// Stages rows that come and go.
    pub fn stage(&mut self, rows: Rows) {
        self.staged.push(rows);
    }

    /// Stages changes of how many rows of another input rows have met, by row slot.
    pub fn stage_matches(&mut self, changes: impl IntoIterator<Item = (u32, i64)>) {
        self.staged_matches.extend(changes);
    }

    /// Stages other times at which rows expire, by row slot.
    pub fn stage_expires(&mut self, changes: impl IntoIterator<Item = (u32, i64)>) {
        self.staged_expires.extend(changes);
    }

    /// Stages the freeing of every row that expires by `time`.
    pub fn stage_expiry(&mut self, time: i64) {
        self.staged_expiry = Some(time);
    }

    /// Stages the freeing of all rows, staged ones too.
    pub fn stage_clear(&mut self) {
        self.staged_clear = true;
    }

    /// Makes what is staged the base.
    ///
    /// # Errors
    /// When more of a row goes than came.
    pub fn commit(&mut self) -> Result<()> {
        let staged = std::mem::take(&mut self.staged);
        let expiry = self.staged_expiry.take();
        for (row, change) in std::mem::take(&mut self.staged_matches) {
            if let Some(matches) = self.matches.get_mut(row as usize) {
                *matches += change;
            }
        }
        for (row, at) in std::mem::take(&mut self.staged_expires) {
            self.expires_at.resize(self.contents.capacity(), i64::MAX);
            if let Some(expires) = self.expires_at.get_mut(row as usize) {
                *expires = at;
                if at < i64::MAX {
                    self.expiring.entry(at).or_default().push(row);
                }
            }
        }
        if std::mem::take(&mut self.staged_clear) {
            self.clear();
            return Ok(());
        }
        for rows in staged {
            let rows = match expiry {
                Some(time) => rows.expiring_after(time)?,
                None => rows,
            };
            self.apply(&rows)?;
        }
        if let Some(time) = expiry {
            let later = self.expiring.split_off(&time.saturating_add(1));
            for rows in std::mem::replace(&mut self.expiring, later).into_values() {
                for row in rows {
                    if self.expires_at.get(row as usize).is_some_and(|at| *at <= time) {
                        self.free(row);
                    }
                }
            }
        }
        Ok(())
    }

    /// Forgets what is staged.
    pub fn rollback(&mut self) {
        self.staged.clear();
        self.staged_matches.clear();
        self.staged_expires.clear();
        self.staged_expiry = None;
        self.staged_clear = false;
    }

    /// Every row, by column, and the weights.
    ///
    /// # Errors
    /// Only when the encoding is broken.
    pub fn all(&self) -> Result<(Vec<ArrayRef>, Vec<i64>)> {
        let mut slots: Vec<u32> = self.keys.slots().flat_map(|key| self.rows_of(key)).collect();
        slots.sort_unstable();
        let weights = slots.iter().map(|row| self.weight(*row)).collect();
        Ok((self.columns(&slots)?, weights))
    }

    /// How many different rows it holds.
    pub fn len(&self) -> usize {
        self.contents.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let lists = self.ends.capacity() * size_of::<(u32, u32)>() + self.links.capacity() * size_of::<Link>();
        let counts = (self.matches.capacity() + self.expires_at.capacity()) * size_of::<i64>();
        let expiring: usize = self.expiring.values().map(|rows| rows.capacity() * 4 + size_of::<Vec<u32>>()).sum();
        self.keys.bytes() + self.contents.bytes() + lists + counts + expiring
    }

    fn apply(&mut self, staged: &Rows) -> Result<()> {
        let count = staged.weights.len();
        if count == 0 {
            return Ok(());
        }
        let keys = self.keys.insert(&staged.keys, count)?;
        self.ends.resize(self.keys.capacity(), (NONE, NONE));
        // By row of the batch: its slot, and whether it is the first of this slot.
        let (slots, fresh) = match &mut self.contents {
            Contents::Appended { columns, free, end } => {
                if staged.weights.iter().any(|w| *w < 1) {
                    return Err(Error::internal("a row left an operator's input that was proved to grow only"));
                }
                let all: Vec<u32> = (0..count as u32).collect();
                let copies = || all.iter().flat_map(|i| std::iter::repeat_n(*i, staged.weights[*i as usize] as usize));
                if staged.weights.iter().all(|w| *w == 1) {
                    (append(columns, free, end, &staged.columns, count)?, vec![true; count])
                } else {
                    // Rows of a relation that grows come one by one; weights above one are spelled out.
                    let picks = UInt32Array::from_iter_values(copies());
                    let spelled = staged.pick(&picks, vec![1; picks.len()])?;
                    return self.apply(&spelled);
                }
            }
            Contents::Counted { rows, weights } => {
                let before = rows.find(&staged.columns, count)?;
                let slots = rows.insert(&staged.columns, count)?;
                weights.resize(rows.capacity(), 0);
                let mut seen = HashSet::new();
                // A row that is new to the store may stand in the batch more than once.
                let fresh: Vec<bool> = (0..count).map(|i| before[i].is_none() && seen.insert(slots[i])).collect();
                for i in 0..count {
                    let weight = &mut weights[slots[i] as usize];
                    *weight = if fresh[i] { 0 } else { *weight } + staged.weights[i];
                }
                (slots, fresh)
            }
        };
        self.links.resize(self.contents.capacity(), Link { key: NONE, before: NONE, after: NONE });
        if staged.matches.is_some() {
            self.matches.resize(self.contents.capacity(), 0);
        }
        if staged.expires.is_some() {
            self.expires_at.resize(self.contents.capacity(), i64::MAX);
        }
        for i in (0..count).filter(|i| fresh[*i]) {
            self.link(slots[i], keys[i]);
            if let Some(matches) = &staged.matches {
                self.matches[slots[i] as usize] = matches[i];
            }
            if let Some(expires) = &staged.expires {
                self.expires_at[slots[i] as usize] = expires[i];
                if expires[i] < i64::MAX {
                    self.expiring.entry(expires[i]).or_default().push(slots[i]);
                }
            }
        }
        if let Contents::Counted { weights, .. } = &self.contents {
            let mut gone = Vec::new();
            for slot in slots {
                match weights[slot as usize] {
                    1.. => {}
                    0 => gone.push(slot),
                    _ => return Err(Error::internal("more of a row left an operator's input than had entered it")),
                }
            }
            gone.sort_unstable();
            gone.dedup();
            gone.into_iter().for_each(|row| self.free(row));
        }
        Ok(())
    }

    /// Puts a row behind the others of its key.
    fn link(&mut self, row: u32, key: u32) {
        let (first, last) = self.ends[key as usize];
        self.links[row as usize] = Link { key, before: last, after: NONE };
        if last == NONE {
            self.ends[key as usize] = (row, row);
        } else {
            self.links[last as usize].after = row;
            self.ends[key as usize] = (first, row);
        }
    }

    fn free(&mut self, row: u32) {
        let Link { key, before, after } = self.links[row as usize];
        if before == NONE {
            self.ends[key as usize].0 = after;
        } else {
            self.links[before as usize].after = after;
        }
        if after == NONE {
            self.ends[key as usize].1 = before;
        } else {
            self.links[after as usize].before = before;
        }
        if self.ends[key as usize] == (NONE, NONE) {
            self.keys.remove(key);
        }
        if let Some(at) = self.expires_at.get_mut(row as usize) {
            *at = i64::MAX;
        }
        self.contents.remove(row);
    }

    fn clear(&mut self) {
        let keys: Vec<u32> = self.keys.slots().collect();
        for key in keys {
            let rows: Vec<u32> = self.rows_of(key).collect();
            rows.into_iter().for_each(|row| self.free(row));
        }
        self.expiring.clear();
    }
}

impl Rows {
    /// Some of the rows, with other weights.
    fn pick(&self, picks: &UInt32Array, weights: Vec<i64>) -> Result<Self> {
        let columns = |columns: &[ArrayRef]| columns.iter().map(|c| take(c, picks, None)).collect::<Result<_, _>>();
        let numbers = |numbers: &Option<Vec<i64>>| {
            numbers.as_ref().map(|n| picks.values().iter().map(|i| n[*i as usize]).collect())
        };
        Ok(Self {
            keys: columns(&self.keys)?,
            columns: columns(&self.columns)?,
            weights,
            expires: numbers(&self.expires),
            matches: numbers(&self.matches),
        })
    }

    /// The rows that are not to be freed by `time`.
    fn expiring_after(self, time: i64) -> Result<Self> {
        let Some(expires) = self.expires.as_ref().filter(|e| e.iter().any(|at| *at <= time)) else { return Ok(self) };
        let kept = (0..expires.len() as u32).filter(|i| expires[*i as usize] > time);
        let picks = UInt32Array::from_iter_values(kept);
        let weights = picks.values().iter().map(|i| self.weights[*i as usize]).collect();
        self.pick(&picks, weights)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;

    use super::*;

    fn ints(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn store(come_and_go: bool) -> RowStore {
        RowStore::new(&[DataType::Int64], &[DataType::Int64, DataType::Int64], come_and_go).unwrap()
    }

    fn rows(keys: &[i64], values: &[i64], weights: &[i64], expires: Option<&[i64]>) -> Rows {
        Rows {
            keys: vec![ints(keys)],
            columns: vec![ints(keys), ints(values)],
            weights: weights.to_vec(),
            expires: expires.map(<[i64]>::to_vec),
            matches: None,
        }
    }

    fn weights(store: &RowStore, key: i64) -> Vec<i64> {
        store.read(&[ints(&[key])], 1).unwrap().1
    }

    #[test]
    fn rows_come_and_go() {
        let mut store = store(true);
        store.stage(rows(&[1, 1, 1, 2], &[7, 7, 8, 9], &[1, 1, 1, 1], None));
        assert!(weights(&store, 1).is_empty(), "staged rows are not read");
        store.commit().unwrap();
        assert_eq!(weights(&store, 1), [2, 1]);
        store.stage(rows(&[1, 1], &[7, 8], &[-1, -1], None));
        store.commit().unwrap();
        assert_eq!(weights(&store, 1), [1]);
        // A row that comes and goes at once leaves nothing, its key neither.
        store.stage(rows(&[5, 5], &[1, 1], &[1, -1], None));
        store.commit().unwrap();
        assert_eq!((store.len(), store.keys.len()), (2, 2));
        store.stage(rows(&[1], &[7], &[-2], None));
        assert!(store.commit().is_err());
    }

    #[test]
    fn rows_that_only_come_keep_their_order_and_their_copies() {
        let mut store = store(false);
        store.stage(rows(&[1, 2, 1], &[9, 5, 7], &[1, 1, 1], None));
        store.stage(rows(&[1], &[9], &[2], None));
        store.commit().unwrap();
        let (columns, weights) = store.read(&[ints(&[1])], 1).unwrap();
        assert_eq!(columns[1].as_ref(), &Int64Array::from(vec![9, 7, 9, 9]) as &dyn arrow::array::Array);
        assert_eq!(weights, [1, 1, 1, 1]);
        store.stage(rows(&[1], &[9], &[-1], None));
        assert!(store.commit().is_err(), "nothing can leave it");
    }

    #[test]
    fn rows_expire_one_by_one() {
        for come_and_go in [false, true] {
            let mut store = store(come_and_go);
            store.stage(rows(&[1, 1, 2, 2], &[0, 1, 2, 3], &[1; 4], Some(&[10, 20, 30, i64::MAX])));
            store.stage_expiry(10);
            store.commit().unwrap();
            assert_eq!((store.len(), weights(&store, 1).len(), weights(&store, 2).len()), (3, 1, 2));
            // The freed slot is used again, and the old time of it does not count for the new row.
            store.stage(rows(&[3], &[4], &[1], Some(&[40])));
            store.stage_expiry(30);
            store.commit().unwrap();
            assert_eq!((store.len(), weights(&store, 2).len(), weights(&store, 3).len()), (2, 1, 1));
            store.stage_expiry(i64::MAX);
            store.commit().unwrap();
            assert_eq!(weights(&store, 2).len(), 1, "what never expires stays");
            store.stage_clear();
            store.commit().unwrap();
            assert!(store.is_empty() && store.keys.is_empty());
        }
    }

    #[test]
    fn a_rollback_leaves_no_trace() {
        let mut store = store(false);
        store.stage(Rows { matches: Some(vec![2]), ..rows(&[1], &[1], &[1], Some(&[5])) });
        store.commit().unwrap();
        store.stage(rows(&[1], &[2], &[1], None));
        store.stage_matches([(0, 5)]);
        store.stage_expiry(9);
        store.stage_clear();
        store.rollback();
        store.commit().unwrap();
        assert_eq!((store.len(), store.matches(0)), (1, 2));
        store.stage_matches([(0, -1)]);
        store.commit().unwrap();
        assert_eq!((store.matches(0), store.expiring_by(5)), (1, vec![0]));
        assert_eq!(store.keys_of(&[0]).unwrap()[0].as_ref(), &Int64Array::from(vec![1]) as &dyn arrow::array::Array);
        store.stage_expires([(0, 3)]);
        store.commit().unwrap();
        assert_eq!((store.expires(0), store.expiring_by(5)), (3, vec![0]), "it is listed under its new time only");
        store.stage_expiry(3);
        store.commit().unwrap();
        assert!(store.is_empty() && store.expiring_by(5).is_empty());
    }
}
