//! Windows put together from panes when they close.
//!
//! Windows that follow each other share most of their panes, and mostly their keys. So the table that a window is put together
//! in stays, as a dictionary: each group of a pane is looked up in it once, not once for every window around the pane, and
//! its row there is known from then on. A window then is a walk over its panes without a single look-up: the first pane that
//! has a group copies its state, the others add theirs. Groups that no recent window had make room once they are most of it.

use super::call::Function;
use super::groups::{Groups, Layout};
use crate::state::{ALL_FLAGS, FlatTable, HEAD};

/// Rows taken at a time.
const STRIDE: usize = 1024;

/// The number of a window, in the heads of the rows that it has.
const NUMBER: u64 = u32::MAX as u64;

/// The table that windows are put together in. All it holds can be made again from the panes.
pub(super) struct Merger {
    table: Option<FlatTable>,
    /// Tells tables apart: places in an earlier one mean nothing.
    generation: u64,
    number: u64,
    /// Rows of the window at hand, where they are not all.
    rows: Vec<u64>,
}

/// Where the groups of a pane are in the table.
#[derive(Default)]
pub(super) struct Places {
    generation: u64,
    slots: Vec<u32>,
}

impl Merger {
    pub(super) fn new() -> Self {
        Self { table: None, generation: 1, number: 1, rows: Vec::new() }
    }

    /// Puts groups together, those of earlier panes first; the table, and its rows that are of this window.
    pub(super) fn merge<'a>(
        &'a mut self,
        layout: &Layout,
        parts: &mut [(&Groups, &mut Places)],
    ) -> (&'a FlatTable, Vec<&'a [u64]>) {
        if self.number == NUMBER {
            self.forget();
        }
        // The first numbers are those of rows that no window has had yet.
        self.number = self.number.max(1) + 1;
        let table = self.table.get_or_insert_with(|| layout.new_table());
        // All are looked up before the first is added, as that marks rows by other numbers.
        for (groups, places) in &mut *parts {
            if places.generation != self.generation {
                places.slots.clear();
                places.generation = self.generation;
            }
            table.intern_rows(&groups.table, places.slots.len(), &mut places.slots);
        }
        table.forget_touched();
        for (groups, places) in parts.iter() {
            add(table, layout, groups, &places.slots, self.number);
        }
        count_distinct(table, layout, parts);
        let table: &'a FlatTable = table;
        self.rows.clear();
        let (width, number) = (table.width(), self.number);
        let is_here = |row: &&[u64]| row[HEAD] & NUMBER == number;
        let here = table.blocks().flat_map(|b| b.chunks_exact(width)).filter(is_here).count();
        if here == table.len() {
            return (table, table.blocks().collect());
        }
        for block in table.blocks() {
            block.chunks_exact(width).filter(is_here).for_each(|row| self.rows.extend_from_slice(row));
        }
        (table, vec![self.rows.as_slice()])
    }

    /// Makes room when most of the table is of no use any more.
    pub(super) fn tidy(&mut self) {
        let Some(table) = &self.table else { return };
        let used = if self.rows.is_empty() { table.len() } else { self.rows.len() / table.width() };
        if used * 4 < table.len() {
            self.forget();
        }
        self.rows = Vec::new();
    }

    pub(super) fn bytes(&self) -> usize {
        self.table.as_ref().map_or(0, FlatTable::bytes) + self.rows.capacity() * 8
    }

    /// Forgets the table.
    pub(super) fn forget(&mut self) {
        self.table = None;
        self.generation += 1;
        self.number = 1;
    }
}

impl Places {
    /// Forgets the places of groups from `len` on: they have been taken back.
    pub(super) fn truncate(&mut self, len: usize) {
        self.slots.truncate(len);
    }

    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * 4
    }
}

/// Adds the states of groups to rows of the table.
fn add(table: &mut FlatTable, layout: &Layout, groups: &Groups, slots: &[u32], number: u64) {
    let (width, first) = (table.width(), layout.first_value());
    let mut rest = slots;
    // The rows that have a state of this window already, and whose is to be added.
    let (mut seen, mut theirs) = (Vec::with_capacity(STRIDE), Vec::with_capacity(STRIDE));
    for block in groups.table.blocks() {
        for part in block.chunks(width * STRIDE) {
            let (own, others) = rest.split_at(part.len() / width);
            rest = others;
            seen.clear();
            theirs.clear();
            table.each(own, |i, row| {
                let from = &part[i * width..(i + 1) * width];
                if row[HEAD] & NUMBER == number {
                    seen.push(own[i]);
                    theirs.push(i);
                } else {
                    row[first..].copy_from_slice(&from[first..]);
                    row[HEAD] = row[HEAD] & !NUMBER & !ALL_FLAGS | from[HEAD] & ALL_FLAGS | number;
                }
            });
            if seen.is_empty() {
                continue;
            }
            layout.calls.iter().for_each(|call| call.merge(table, &seen, |i| &part[theirs[i] * width..]));
        }
    }
}

/// Counts the values that the groups of a window have seen together.
fn count_distinct(table: &mut FlatTable, layout: &Layout, parts: &[(&Groups, &mut Places)]) {
    let mut sets = layout.new_sets();
    for call in &layout.calls {
        let Function::CountDistinct(number) = call.function else { continue };
        let Some(whole) = sets.get_mut(number) else { continue };
        for (groups, places) in parts {
            let Some(set) = groups.sets.get(number) else { continue };
            set.each(|slot, value| {
                whole.insert(places.slots[slot as usize], value);
            });
            table.each(&places.slots, |_, row| call.count_none(row));
        }
        whole.each(|slot, _| table.each(&[slot], |_, row| call.count_more(row)));
    }
}
