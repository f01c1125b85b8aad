//! The groups of one window or pane: a flat table of keys and states, fed in place.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::call::{Argument, FlatCall, Function};
use super::distinct::DistinctSet;
use crate::error::Result;
use crate::exec::groups::Call;
use crate::state::{FLAGS, FlatTable, KeyBatch, KeyLayout};

/// Rows taken at a time: what they touch is still in the cache when the next function comes by.
const STRIDE: usize = 1024;

/// What the groups of an aggregate look like.
pub(super) struct Layout {
    pub(super) keys: Arc<KeyLayout>,
    pub(super) calls: Vec<FlatCall>,
    /// The states of a new group.
    initial: Vec<u64>,
    sets: usize,
    one_group: bool,
}

/// Groups and their states.
pub(super) struct Groups {
    pub(super) table: FlatTable,
    pub(super) sets: Vec<DistinctSet>,
    slots: Vec<u32>,
}

impl Layout {
    /// The layout for these keys and calls, when all of the calls have flat states.
    pub(super) fn new(key_types: &[DataType], calls: &[Call]) -> Result<Option<Self>> {
        if calls.len() > FLAGS {
            return Ok(None);
        }
        let keys = KeyLayout::new(key_types)?;
        let first = 1 + keys.words();
        let (mut flat, mut initial, mut sets) = (Vec::new(), Vec::new(), 0);
        for (number, call) in calls.iter().enumerate() {
            let Some(call) = FlatCall::new(call, number, sets, first + initial.len()) else { return Ok(None) };
            sets += usize::from(matches!(call.function, Function::CountDistinct(_)));
            initial.extend_from_slice(call.initial());
            flat.push(call);
        }
        Ok(Some(Self { keys: Arc::new(keys), calls: flat, initial, sets, one_group: key_types.is_empty() }))
    }

    /// The word of a row where the states begin.
    pub(super) fn first_value(&self) -> usize {
        1 + self.keys.words()
    }

    pub(super) fn new_table(&self) -> FlatTable {
        FlatTable::new(&self.keys, &self.initial)
    }

    pub(super) fn new_sets(&self) -> Vec<DistinctSet> {
        (0..self.sets).map(|_| DistinctSet::new(self.one_group)).collect()
    }
}

impl Groups {
    pub(super) fn new(layout: &Layout) -> Self {
        Self { table: layout.new_table(), sets: layout.new_sets(), slots: Vec::new() }
    }

    /// Adds rows.
    pub(super) fn add(&mut self, layout: &Layout, keys: &KeyBatch, arguments: &[Argument]) {
        let mark = layout.calls.iter().zip(arguments).fold(0, |mark, (call, a)| mark | call.mark(a));
        let mut slots = std::mem::take(&mut self.slots);
        let mut from = 0;
        while from < keys.len() {
            let len = (keys.len() - from).min(STRIDE);
            slots.clear();
            self.table.intern(keys, from, len, mark, &mut slots);
            for (call, argument) in layout.calls.iter().zip(arguments) {
                call.update(&mut self.table, &mut self.sets, &slots, argument, from);
            }
            from += len;
        }
        self.slots = slots;
    }

    pub(super) fn commit(&mut self) {
        self.table.commit();
        self.sets.iter_mut().for_each(DistinctSet::commit);
    }

    pub(super) fn rollback(&mut self) {
        self.table.rollback();
        self.sets.iter_mut().for_each(DistinctSet::rollback);
    }

    pub(super) fn bytes(&self) -> usize {
        self.table.bytes() + self.sets.iter().map(DistinctSet::bytes).sum::<usize>()
    }
}
