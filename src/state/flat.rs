//! A flat table: keyed rows of 64-bit words that an interval changes in place, with a log to take it back.
//!
//! A row is its head (which interval touched it last, flags, which key columns are NULL), its key, and words that belong to the
//! user of the table. The first change of a row in an interval copies the row into the log, so that the interval can be rolled
//! back, and its changes told, at the cost of the rows that it touched. Where a [`StateTable`](super::StateTable) takes whole
//! columns of new values after the fact, this one is written row by row as they come: what a sum needs.

mod arena;
mod index;
mod keys;
mod rows;
mod words;

use std::sync::Arc;

use arrow::array::ArrayRef;

use self::arena::{Arena, ArenaEnd};
use self::index::SlotIndex;
pub use self::keys::{KeyBatch, KeyLayout};
use self::keys::{Keys, WithKeys};
use self::rows::WordRows;
pub use self::words::{from_words, to_words, width_in_word};
use crate::error::Result;

/// The word of a row that is its head.
pub const HEAD: usize = 0;

/// How many flags a row has.
pub const FLAGS: usize = 24;

/// The interval that last touched a row, in its head.
const STAMP: u64 = u32::MAX as u64;

/// Keys from which on memory is read ahead of the search.
const READ_AHEAD_AT: usize = 1 << 14;

/// The bit of a flag in a row's head.
pub fn flag(number: usize) -> u64 {
    1 << (32 + number)
}

/// Every flag.
pub const ALL_FLAGS: u64 = ((1 << FLAGS) - 1) << 32;

/// Keyed rows of words.
pub struct FlatTable {
    keys: Arc<KeyLayout>,
    /// A new row: a head, room for the key, the user's words as they begin.
    template: Arc<[u64]>,
    index: SlotIndex,
    rows: WordRows,
    arena: Arena,
    /// Rows that the last decided interval left.
    decided: usize,
    decided_arena: ArenaEnd,
    stamp: u32,
    /// Rows touched since, in the order of their first touch; those that were there before are in `before` as they were.
    touched: Vec<u32>,
    before: Vec<u64>,
    hashes: Vec<u32>,
}

/// Rows of a table, as blocks of rows that stand one after the other.
#[derive(Debug, Clone, Copy)]
pub struct Blocks<'a> {
    /// The blocks.
    pub blocks: &'a [&'a [u64]],
    /// Words in a row.
    pub width: usize,
}

impl<'a> Blocks<'a> {
    /// The rows.
    pub fn rows(self) -> impl Iterator<Item = &'a [u64]> {
        self.blocks.iter().flat_map(move |block| block.chunks_exact(self.width))
    }

    /// A word of each row.
    pub fn words(self, word: impl Fn(&[u64]) -> u64) -> Vec<u64> {
        let mut words = Vec::with_capacity(self.len());
        // A loop for each block: one over all of them is not unrolled.
        self.blocks.iter().for_each(|block| words.extend(block.chunks_exact(self.width).map(&word)));
        words
    }

    /// Whether something holds for every row.
    pub fn all(self, holds: impl Fn(&[u64]) -> bool) -> bool {
        self.blocks.iter().all(|block| block.chunks_exact(self.width).all(&holds))
    }

    /// How many rows there are.
    pub fn len(self) -> usize {
        self.blocks.iter().map(|block| block.len()).sum::<usize>() / self.width
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What an interval did to a row.
pub enum Touched<'a> {
    /// It made it.
    New(&'a [u64]),
    /// It changed it, or would have: as it was, and as it is.
    Old(&'a [u64], &'a [u64]),
}

impl FlatTable {
    /// An empty table; `values` are the words of a new row behind its key.
    pub fn new(keys: &Arc<KeyLayout>, values: &[u64]) -> Self {
        let mut template = vec![0; 1 + keys.words()];
        template.extend_from_slice(values);
        Self {
            keys: Arc::clone(keys),
            rows: WordRows::new(template.len()),
            template: template.into(),
            index: SlotIndex::new(),
            arena: Arena::default(),
            decided: 0,
            decided_arena: ArenaEnd::default(),
            stamp: 1,
            touched: Vec::new(),
            before: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// Finds the rows of some keys, makes those that are missing, and sets the flags `mark` in them; a slot per key is added to
    /// `slots`.
    pub fn intern(&mut self, keys: &KeyBatch, from: usize, len: usize, mark: u64, slots: &mut Vec<u32>) {
        let layout = Arc::clone(&self.keys);
        if layout.words() == 0 {
            if len > 0 {
                self.the_row(mark);
                slots.resize(slots.len() + len, 0);
            }
            return;
        }
        layout.with_batch(keys, Intern { table: self, from, len, mark, slots });
    }

    /// As [`FlatTable::intern`], for the keys of another table of this layout, from one of its rows on.
    pub fn intern_rows(&mut self, other: &Self, from: usize, slots: &mut Vec<u32>) {
        let layout = Arc::clone(&self.keys);
        let width = self.width();
        if layout.words() == 0 {
            if other.len() > from {
                self.the_row(0);
                slots.push(0);
            }
            return;
        }
        let mut skip = from;
        for block in other.rows.blocks() {
            let rows = block.len() / width;
            let mut from = skip.min(rows);
            skip -= from;
            while from < rows {
                let len = (rows - from).min(1024);
                let work = Intern { table: self, from, len, mark: 0, slots };
                layout.with_rows(block, width, &other.arena, work);
                from += len;
            }
        }
    }

    /// The one row of a table without key columns.
    pub fn the_row(&mut self, mark: u64) {
        if self.rows.len() == 0 {
            let template = Arc::clone(&self.template);
            let slot = self.rows.push(&template);
            self.touched.push(slot);
            self.rows.row_mut(slot)[HEAD] |= mark | u64::from(self.stamp);
        } else {
            self.touch(0, mark);
        }
    }

    /// Calls `work` with the place in `slots` and the row of each: only rows that were interned in this interval.
    #[inline]
    pub fn each(&mut self, slots: &[u32], work: impl FnMut(usize, &mut [u64])) {
        self.rows.each(slots, work);
    }

    /// All rows, as blocks of rows one after the other.
    pub fn blocks(&self) -> impl Iterator<Item = &[u64]> {
        self.rows.blocks()
    }

    /// The key columns of rows of this table.
    ///
    /// # Errors
    /// Only when an encoding is broken.
    pub fn key_columns(&self, rows: Blocks<'_>) -> Result<Vec<ArrayRef>> {
        self.keys.columns(rows, &self.arena)
    }

    /// What the interval did, in the order of the first touch.
    pub fn touched(&self) -> impl Iterator<Item = Touched<'_>> {
        let mut before = self.before.chunks_exact(self.width());
        self.touched.iter().map(move |slot| {
            let now = self.rows.row(*slot);
            let was = if (*slot as usize) < self.decided { before.next() } else { None };
            was.map_or(Touched::New(now), |was| Touched::Old(was, now))
        })
    }

    /// How many rows the interval touched.
    pub fn touched_len(&self) -> usize {
        self.touched.len()
    }

    /// How many of them were there before.
    pub fn found_len(&self) -> usize {
        self.before.len() / self.width()
    }

    /// Whether the interval touched a row.
    pub fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// Makes what the interval did the base.
    pub fn commit(&mut self) {
        self.decided = self.rows.len();
        self.decided_arena = self.arena.end();
        self.forget_log();
    }

    /// Takes back what the interval did.
    pub fn rollback(&mut self) {
        let width = self.width();
        let old = self.touched.iter().filter(|slot| (**slot as usize) < self.decided);
        for (slot, before) in old.zip(self.before.chunks_exact(width)) {
            self.rows.row_mut(*slot).copy_from_slice(before);
        }
        if self.rows.len() > self.decided {
            self.rows.truncate(self.decided);
            self.arena.truncate(self.decided_arena);
            self.index.clear();
            let mut first = 0;
            let layout = Arc::clone(&self.keys);
            for block in self.rows.blocks() {
                let rows = block.len() / width;
                layout.with_rows(block, width, &self.arena, Reindex { index: &mut self.index, first, rows });
                first += rows;
            }
        }
        self.forget_log();
    }

    /// How many rows there are, those of the running interval included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// Words in a row.
    pub fn width(&self) -> usize {
        self.template.len()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let log = self.touched.capacity() * 4 + self.before.capacity() * 8 + self.hashes.capacity() * 4;
        self.index.bytes() + self.rows.bytes() + self.arena.bytes() + log
    }

    #[inline]
    fn touch(&mut self, slot: u32, mark: u64) {
        let row = self.rows.row_mut(slot);
        let head = row[HEAD];
        if head & STAMP != u64::from(self.stamp) {
            if (slot as usize) < self.decided {
                self.before.extend_from_slice(row);
            }
            self.touched.push(slot);
        }
        row[HEAD] = head & !STAMP | u64::from(self.stamp) | mark;
    }

    /// Forgets what has been touched, for a table whose changes are neither decided nor taken back.
    pub fn forget_touched(&mut self) {
        self.touched.clear();
    }

    fn forget_log(&mut self) {
        // The log of a large interval is not kept for the small ones behind it.
        let keep = (self.rows.len() * self.width() / 8).max(1024);
        self.touched.clear();
        self.before.clear();
        self.touched.shrink_to(keep);
        self.before.shrink_to(keep);
        self.stamp = match self.stamp.checked_add(1) {
            Some(next) => next,
            None => {
                let width = self.width();
                self.rows.blocks_mut().flat_map(|b| b.chunks_exact_mut(width)).for_each(|row| row[HEAD] &= !STAMP);
                1
            }
        };
    }
}

/// Interns keys of one form.
struct Intern<'a> {
    table: &'a mut FlatTable,
    from: usize,
    len: usize,
    mark: u64,
    slots: &'a mut Vec<u32>,
}

impl WithKeys for Intern<'_> {
    fn run<K: Keys>(self, keys: &K) {
        let Self { table, from, len, mark, slots } = self;
        let mut hashes = std::mem::take(&mut table.hashes);
        hashes.clear();
        hashes.extend((from..from + len).map(|i| keys.hash(i)));
        if table.index.len() > READ_AHEAD_AT {
            // The loads do not wait for each other, as those of the search below do.
            let first = slots.len();
            slots.extend(hashes.iter().map(|hash| table.index.first_look(*hash).unwrap_or(0)));
            let heads = slots.drain(first..).fold(0, |seen, slot| seen ^ table.rows.row(slot)[HEAD]);
            std::hint::black_box(heads);
        }
        slots.reserve(len);
        for (i, hash) in (from..from + len).zip(&hashes) {
            let found = table.index.find(*hash, |slot| keys.is(i, table.rows.row(slot), &table.arena));
            let slot = match found {
                Some(slot) => {
                    table.touch(slot, mark);
                    slot
                }
                None => {
                    let slot = table.rows.push(&table.template);
                    let row = table.rows.row_mut(slot);
                    row[HEAD] |= mark | u64::from(table.stamp);
                    keys.write(i, row, &mut table.arena);
                    table.index.insert(*hash, slot);
                    table.touched.push(slot);
                    slot
                }
            };
            slots.push(slot);
        }
        table.hashes = hashes;
    }
}

/// Fills an index from rows.
struct Reindex<'a> {
    index: &'a mut SlotIndex,
    first: usize,
    rows: usize,
}

impl WithKeys for Reindex<'_> {
    fn run<K: Keys>(self, keys: &K) {
        for i in 0..self.rows {
            self.index.insert(keys.hash(i), (self.first + i) as u32);
        }
    }
}

#[cfg(test)]
mod tests;
