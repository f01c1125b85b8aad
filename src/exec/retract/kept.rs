//! The groups between intervals: a row each in a table, and beside it the values of functions that look at them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};

use super::Retract;
use super::tally::{Tally, Values};
use crate::error::{Error, Result};
use crate::exec::contents::StateRows;
use crate::exec::context::OperatorState;
use crate::state::StateTable;

/// All groups of an operator.
pub(super) struct Kept {
    /// Key → how many rows, then the columns of each function.
    table: StateTable,
    /// By function (those that need it), by slot.
    values: Vec<Vec<Values>>,
    /// Slots by the time at which they are freed.
    expiring: BTreeMap<i64, Vec<u32>>,
    /// When each slot is freed: it may have been given to another group since it was listed above.
    expires_at: Vec<i64>,
    staged: Option<Staged>,
    staged_expiry: Option<i64>,
    /// Bytes of the values, counted as they come and go: nothing the size of the state is walked.
    heap: usize,
    schema: SchemaRef,
    /// How many columns each function has.
    widths: Vec<usize>,
}

/// What an interval makes of the groups that it touches.
pub(super) struct Staged {
    pub(super) slots: Vec<Option<u32>>,
    pub(super) keys: Vec<ArrayRef>,
    pub(super) lives: Vec<bool>,
    pub(super) rows: Vec<i64>,
    pub(super) columns: Vec<ArrayRef>,
    /// What is added to the values, by function and group.
    pub(super) values: Vec<Vec<Values>>,
    pub(super) expires: Option<Int64Array>,
}

impl Kept {
    pub(super) fn new(retract: &Retract) -> Result<Self> {
        let of_calls = retract.calls.iter().flat_map(|(_, undo)| Tally::types(*undo));
        let columns: Vec<DataType> = std::iter::once(DataType::Int64).chain(of_calls).collect();
        Ok(Self {
            table: StateTable::new(&retract.key_types, &columns)?,
            values: retract.calls.iter().map(|_| Vec::new()).collect(),
            expiring: BTreeMap::new(),
            expires_at: Vec::new(),
            staged: None,
            staged_expiry: None,
            heap: 0,
            schema: Arc::clone(&retract.schema),
            widths: retract.calls.iter().map(|(_, undo)| Tally::types(*undo).len()).collect(),
        })
    }

    pub(super) fn find(&self, keys: &[ArrayRef], groups: usize) -> Result<Vec<Option<u32>>> {
        self.table.find(keys, groups)
    }

    /// The row counts and columns of these groups; NULL where there is none.
    pub(super) fn read(&self, slots: &[Option<u32>]) -> Result<(Vec<i64>, Vec<ArrayRef>)> {
        let found: Vec<u32> = slots.iter().flatten().copied().collect();
        let mut next = 0..found.len() as u32;
        let places: UInt32Array = slots.iter().map(|slot| slot.and_then(|_| next.next())).collect();
        let columns = self.table.read(&found)?;
        let columns = columns.iter().map(|c| take(c, &places, None)).collect::<Result<Vec<_>, _>>()?;
        let Some((rows, columns)) = columns.split_first() else { return Err(Error::internal("groups without rows")) };
        let rows = rows.as_primitive::<Int64Type>().iter().map(Option::unwrap_or_default).collect();
        Ok((rows, columns.to_vec()))
    }

    /// The values that are there for a function of a group.
    pub(super) fn values(&self, function: usize, slot: u32) -> Option<&Values> {
        self.values.get(function)?.get(slot as usize)
    }

    pub(super) fn stage(&mut self, staged: Staged) {
        self.staged = Some(staged);
    }

    pub(super) fn stage_expiry(&mut self, time: Option<i64>) {
        self.staged_expiry = time;
    }

    fn apply(&mut self, staged: &Staged) -> Result<()> {
        let living: Vec<usize> = (0..staged.lives.len()).filter(|g| staged.lives[*g]).collect();
        let picks = UInt32Array::from_iter_values(living.iter().map(|g| *g as u32));
        let pick = |c: &ArrayRef| take(c, &picks, None);
        let keys = staged.keys.iter().map(pick).collect::<Result<Vec<_>, _>>()?;
        let rows: ArrayRef = Arc::new(Int64Array::from(staged.rows.clone()));
        let columns = std::iter::once(&rows).chain(&staged.columns).map(pick).collect::<Result<Vec<_>, _>>()?;
        let slots = self.table.put(&keys, &columns, living.len())?;
        for (group, slot) in living.iter().zip(slots) {
            for (kept, added) in self.values.iter_mut().zip(&staged.values) {
                let Some(added) = added.get(*group) else { continue };
                if kept.len() <= slot as usize {
                    kept.resize_with(slot as usize + 1, Values::new);
                }
                add(&mut kept[slot as usize], added, &mut self.heap)?;
            }
            if let Some(expires) = staged.expires.as_ref().filter(|_| staged.slots[*group].is_none()) {
                let at = expires.value(*group);
                if self.expires_at.len() <= slot as usize {
                    self.expires_at.resize(slot as usize + 1, i64::MAX);
                }
                self.expires_at[slot as usize] = at;
                self.expiring.entry(at).or_default().push(slot);
            }
        }
        let gone = staged.slots.iter().zip(&staged.lives).filter(|(_, lives)| !**lives).filter_map(|(slot, _)| *slot);
        gone.for_each(|slot| self.free(slot));
        Ok(())
    }

    fn free(&mut self, slot: u32) {
        self.table.remove(slot);
        for values in &mut self.values {
            if let Some(values) = values.get_mut(slot as usize) {
                self.heap -= values.keys().map(|v| size_of_value(v)).sum::<usize>();
                values.clear();
            }
        }
        if let Some(at) = self.expires_at.get_mut(slot as usize) {
            *at = i64::MAX;
        }
    }
}

fn add(kept: &mut Values, added: &Values, heap: &mut usize) -> Result<()> {
    for (value, n) in added {
        let before = kept.get(value).copied().unwrap_or_default();
        match before + n {
            count @ 1.. => {
                kept.insert(value.clone(), count);
                *heap += if before == 0 { size_of_value(value) } else { 0 };
            }
            0 => *heap -= kept.remove(value).map_or(0, |_| size_of_value(value)),
            _ => return Err(Error::internal("more of a value left a group than had entered it")),
        }
    }
    Ok(())
}

/// A value, its count, and its share of a node.
fn size_of_value(value: &[u8]) -> usize {
    value.len() + 32
}

impl OperatorState for Kept {
    fn commit(&mut self) -> Result<()> {
        if let Some(staged) = self.staged.take() {
            self.apply(&staged)?;
        }
        if let Some(time) = self.staged_expiry.take() {
            let later = self.expiring.split_off(&time.saturating_add(1));
            for slot in std::mem::replace(&mut self.expiring, later).into_values().flatten() {
                if self.expires_at.get(slot as usize).is_some_and(|at| *at <= time) {
                    self.free(slot);
                }
            }
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.staged = None;
        self.staged_expiry = None;
    }

    fn contents(&self) -> Result<Vec<StateRows>> {
        let slots = self.table.slots();
        let keys = self.table.keys(&slots)?;
        let width = keys.len();
        let name = |i: usize| self.schema.fields().get(i).map(|f| f.name().clone()).unwrap_or_default();
        let mut columns: Vec<(String, ArrayRef)> = keys.into_iter().enumerate().map(|(i, c)| (name(i), c)).collect();
        let mut kept = self.table.read(&slots)?.into_iter();
        columns.extend(kept.next().map(|rows| ("rows".to_owned(), rows)));
        for (number, values) in self.values.iter().enumerate() {
            let name = name(width + number);
            match self.widths.get(number).copied().unwrap_or_default() {
                // The values themselves are encoded; how many there are can be said.
                0 => {
                    let of = |slot: &u32| values.get(*slot as usize).map_or(0, |v| v.len() as i64);
                    let counts = Int64Array::from_iter_values(slots.iter().map(of));
                    columns.push((format!("{name}[values]"), Arc::new(counts)));
                }
                given => {
                    let parts = ["count", "sum"].into_iter().take(given);
                    columns.extend(parts.zip(kept.by_ref()).map(|(part, c)| (format!("{name}[{part}]"), c)));
                }
            }
        }
        Ok(vec![StateRows::new("", columns, slots.len())?])
    }

    fn rows(&self) -> usize {
        self.table.len()
    }

    fn bytes(&self) -> usize {
        let slots = self.values.iter().map(|of| of.capacity() * size_of::<Values>()).sum::<usize>();
        self.table.bytes() + slots + self.heap + self.expires_at.capacity() * 8
    }
}
