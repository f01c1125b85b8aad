//! The state of an aggregate: a table per open window, by the window's end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::contents::contents_of;
use super::{Aggregate, NO_WINDOW};
use crate::error::Result;
use crate::exec::contents::StateRows;
use crate::exec::context::OperatorState;
use crate::state::StateTable;

/// A table per open window.
pub(super) struct Tables {
    by_end: BTreeMap<i64, StateTable>,
    closing: Vec<i64>,
    /// Rows read in this interval from windows that close.
    pub(super) read: u64,
    /// How far (µs) time must have passed a window's end to close it.
    lag: i64,
    aggregate: Arc<Aggregate>,
}

impl Tables {
    /// No windows yet.
    pub(super) fn new(aggregate: &Arc<Aggregate>) -> Self {
        let lag = aggregate.window.as_ref().map_or(0, |w| w.lag);
        Self { by_end: BTreeMap::new(), closing: Vec::new(), read: 0, lag, aggregate: Arc::clone(aggregate) }
    }

    /// The table of a window, when the window has been seen before.
    pub(super) fn get(&self, end: i64) -> Option<&StateTable> {
        self.by_end.get(&end)
    }

    /// The table of a window, made when there is none. Until it is committed to it is empty, and an empty table is no window.
    pub(super) fn get_or_create(&mut self, end: i64, aggregate: &Aggregate) -> Result<&mut StateTable> {
        match self.by_end.entry(end) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let mut values = Vec::new();
                for call in &aggregate.calls {
                    values.extend(call.state_types()?);
                }
                Ok(entry.insert(StateTable::new(&aggregate.key_types, &values)?))
            }
        }
    }

    /// The ends of open windows that are not after `time`.
    pub(super) fn ending_by(&self, time: i64) -> Vec<i64> {
        self.by_end
            .range(..=time)
            .filter(|(end, table)| **end != NO_WINDOW && !table.is_empty())
            .map(|(end, _)| *end)
            .collect()
    }

    /// Drops a window's table when the interval is decided.
    pub(super) fn stage_close(&mut self, end: i64) {
        self.closing.push(end);
    }
}

impl OperatorState for Tables {
    fn commit(&mut self) -> Result<()> {
        for end in std::mem::take(&mut self.closing) {
            self.by_end.remove(&end);
        }
        self.by_end.values_mut().try_for_each(StateTable::commit)
    }

    fn rollback(&mut self) {
        self.closing.clear();
        self.by_end.values_mut().for_each(StateTable::rollback);
        self.by_end.retain(|_, table| !table.is_empty());
    }

    fn contents(&self) -> Result<Vec<StateRows>> {
        let tables: Vec<_> = self.by_end.iter().map(|(end, table)| (*end, table)).collect();
        Ok(vec![contents_of(&self.aggregate, &tables)?])
    }

    fn rows(&self) -> usize {
        self.by_end.values().map(StateTable::len).sum()
    }

    fn bytes(&self) -> usize {
        self.by_end.values().map(StateTable::bytes).sum()
    }

    fn windows(&self) -> (usize, Option<i64>) {
        let open = self.by_end.keys().filter(|end| **end != NO_WINDOW);
        (open.clone().count(), open.min().map(|end| end.saturating_add(self.lag)))
    }
}
