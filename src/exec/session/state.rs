//! The open sessions: by key, by end, and their states in a table.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};
use arrow::datatypes::DataType;

use super::Ends;
use crate::error::Result;
use crate::exec::aggregate::Aggregate;
use crate::exec::contents::StateRows;
use crate::exec::context::OperatorState;
use crate::state::StateTable;

/// An open session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) slot: u32,
}

/// Sessions that an interval leaves open.
pub(super) struct Fresh {
    pub(super) keys: Vec<ArrayRef>,
    pub(super) encoded: Vec<Arc<[u8]>>,
    pub(super) bounds: Vec<(i64, i64)>,
    pub(super) states: Vec<ArrayRef>,
}

/// Every open session of a query.
pub(super) struct Sessions {
    /// Keyed by the session's key and its start.
    table: StateTable,
    key_columns: usize,
    /// How far (µs) time must have passed an end to close the session.
    lag: i64,
    by_key: HashMap<Arc<[u8]>, Vec<Open>>,
    by_slot: HashMap<u32, (Arc<[u8]>, i64, i64)>,
    by_end: Ends,
    staged: Option<(Vec<u32>, Fresh)>,
    aggregate: Arc<Aggregate>,
}

impl Sessions {
    pub(super) fn new(aggregate: &Arc<Aggregate>) -> Result<Self> {
        let mut keys = aggregate.key_types.clone();
        keys.push(DataType::Int64);
        let mut values = Vec::new();
        for call in &aggregate.calls {
            values.extend(call.state_types()?);
        }
        Ok(Self {
            table: StateTable::new(&keys, &values)?,
            key_columns: aggregate.key_types.len(),
            // A row at the end itself still joins: a session closes once time is past it.
            lag: aggregate.window.as_ref().map_or(0, |w| w.lag).saturating_add(1),
            by_key: HashMap::new(),
            by_slot: HashMap::new(),
            by_end: Ends::new(),
            staged: None,
            aggregate: Arc::clone(aggregate),
        })
    }

    /// The open sessions of a key.
    pub(super) fn of_key(&self, key: &[u8]) -> &[Open] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    /// The slots of sessions whose end satisfies `closes`, earliest first; `closes` holds for a prefix of the ends.
    pub(super) fn ending(&self, closes: impl Fn(i64) -> bool) -> impl Iterator<Item = u32> {
        self.by_end.iter().take_while(move |(end, _)| closes(*end)).map(|(_, slot)| *slot)
    }

    /// The states at these slots.
    pub(super) fn states(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        self.table.read(slots)
    }

    /// The key columns at these slots.
    pub(super) fn keys(&self, slots: &[u32]) -> Result<Vec<ArrayRef>> {
        let mut keys = self.table.keys(slots)?;
        keys.truncate(self.key_columns);
        Ok(keys)
    }

    /// Start and end at these slots.
    pub(super) fn bounds(&self, slots: &[u32]) -> Vec<(i64, i64)> {
        slots.iter().filter_map(|s| self.by_slot.get(s)).map(|(_, start, end)| (*start, *end)).collect()
    }

    /// Stages the sessions that go and those that stay open.
    pub(super) fn stage(&mut self, gone: Vec<u32>, fresh: Fresh) {
        self.staged = Some((gone, fresh));
    }

    fn remove(&mut self, slot: u32) {
        let Some((key, _, end)) = self.by_slot.remove(&slot) else { return };
        self.by_end.remove(&(end, slot));
        self.table.remove(slot);
        if let Some(open) = self.by_key.get_mut(&key) {
            open.retain(|o| o.slot != slot);
            if open.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }
}

impl OperatorState for Sessions {
    fn commit(&mut self) -> Result<()> {
        let Some((gone, fresh)) = self.staged.take() else { return Ok(()) };
        for slot in gone {
            self.remove(slot);
        }
        let starts: ArrayRef = Arc::new(Int64Array::from_iter_values(fresh.bounds.iter().map(|b| b.0)));
        let keys: Vec<ArrayRef> = fresh.keys.into_iter().chain([starts]).collect();
        let slots = self.table.put(&keys, &fresh.states, fresh.bounds.len())?;
        for ((slot, key), (start, end)) in slots.into_iter().zip(fresh.encoded).zip(fresh.bounds) {
            self.by_end.insert((end, slot));
            self.by_slot.insert(slot, (Arc::clone(&key), start, end));
            self.by_key.entry(key).or_default().push(Open { start, end, slot });
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.staged = None;
    }

    fn contents(&self) -> Result<Vec<StateRows>> {
        let slots: Vec<u32> = self.by_end.iter().map(|(_, slot)| *slot).collect();
        let bounds = self.bounds(&slots);
        let of = |at: fn(&(i64, i64)) -> i64| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from_iter_values(bounds.iter().map(at)))
        };
        let mut columns = vec![("window_start".to_owned(), of(|b| b.0)), ("window_end".to_owned(), of(|b| b.1))];
        let kept = self.aggregate.state_columns(self.keys(&slots)?, &self.states(&slots)?, slots.len())?;
        columns.extend(self.aggregate.state_names().into_iter().zip(kept));
        Ok(vec![StateRows::new("", columns, slots.len())?])
    }

    fn rows(&self) -> usize {
        self.by_slot.len()
    }

    fn bytes(&self) -> usize {
        let per_session = 2 * size_of::<Open>() + size_of::<(i64, u32)>() + 64;
        self.table.bytes() + self.by_slot.len() * per_session
    }

    fn windows(&self) -> (usize, Option<i64>) {
        (self.by_slot.len(), self.by_end.first().map(|(end, _)| end.saturating_add(self.lag)))
    }
}
