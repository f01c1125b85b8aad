//! The groups of one window that an interval touches: a dense index over the interval's keys, and accumulators that start
//! from the kept states of those that are in the table already.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{Field, Schema};
use datafusion::logical_expr::EmitTo;
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

use super::Aggregate;
use crate::error::Result;
use crate::exec::groups::{Accumulators, Arguments};
use crate::state::StateTable;

/// Groups touched in an interval.
pub(super) struct Local {
    /// `None` without key columns: there is one group.
    keys: Option<Box<dyn GroupValues>>,
    pub(super) accumulators: Accumulators,
    /// The slot in the table of each group that was there before.
    pub(super) slots: Vec<Option<u32>>,
    groups: Vec<usize>,
    /// Rows read from the table.
    pub(super) read: u64,
}

impl Local {
    pub(super) fn new(aggregate: &Aggregate) -> Result<Self> {
        let keys = if aggregate.key_types.is_empty() {
            None
        } else {
            let field = |(i, t): (usize, &arrow::datatypes::DataType)| Field::new(format!("k{i}"), t.clone(), true);
            let schema = Schema::new(aggregate.key_types.iter().enumerate().map(field).collect::<Vec<_>>());
            Some(new_group_values(Arc::new(schema), &GroupOrdering::None)?)
        };
        let accumulators = Accumulators::new(&aggregate.calls)?;
        Ok(Self { keys, accumulators, slots: Vec::new(), groups: Vec::new(), read: 0 })
    }

    /// The one group of an aggregate without GROUP BY, before any row.
    pub(super) fn single(aggregate: &Aggregate) -> Result<Self> {
        let mut local = Self::new(aggregate)?;
        local.slots.push(None);
        let none = aggregate.calls.iter().map(|c| c.empty_arguments()).collect::<Result<Vec<_>>>()?;
        local.accumulators.expect_gaps(&none, 1)?;
        Ok(local)
    }

    /// How many groups there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Adds rows; groups seen for the first time start from their states in `table`.
    pub(super) fn add(
        &mut self,
        table: Option<&StateTable>,
        keys: &[ArrayRef],
        arguments: &[Arguments],
        rows: usize,
    ) -> Result<()> {
        let before = self.len();
        let total = match &mut self.keys {
            None => {
                self.groups.clear();
                self.groups.resize(rows, 0);
                1
            }
            Some(index) => {
                index.intern(keys, &mut self.groups)?;
                index.len()
            }
        };
        if total > before {
            self.begin(table, keys, arguments, before, total)?;
        }
        self.accumulators.update(arguments, &self.groups, total)
    }

    /// Starts the groups `before..total`, which the current rows have brought.
    fn begin(
        &mut self,
        table: Option<&StateTable>,
        keys: &[ArrayRef],
        arguments: &[Arguments],
        before: usize,
        total: usize,
    ) -> Result<()> {
        self.slots.resize(total, None);
        let Some(table) = table.filter(|t| !t.is_empty()) else { return Ok(()) };
        let mut first_row = vec![u32::MAX; total - before];
        for (row, group) in self.groups.iter().enumerate() {
            if let Some(place) = group.checked_sub(before).and_then(|g| first_row.get_mut(g))
                && *place == u32::MAX
            {
                *place = row as u32;
            }
        }
        let first_row = UInt32Array::from(first_row);
        let fresh = keys.iter().map(|k| take(k, &first_row, None)).collect::<Result<Vec<_>, _>>()?;
        let found = table.find(&fresh, total - before)?;
        let (mut slots, mut groups) = (Vec::new(), Vec::new());
        for (i, slot) in found.into_iter().enumerate() {
            self.slots[before + i] = slot;
            if let Some(slot) = slot {
                slots.push(slot);
                groups.push(before + i);
            }
        }
        if slots.is_empty() {
            return Ok(());
        }
        self.read += slots.len() as u64;
        if slots.len() < total - before {
            self.accumulators.expect_gaps(arguments, total)?;
        }
        self.accumulators.merge(&table.read(&slots)?, &groups, total)
    }

    /// The keys of the groups, by column, in group order. The index is empty afterwards.
    pub(super) fn take_keys(&mut self) -> Result<Vec<ArrayRef>> {
        match &mut self.keys {
            None => Ok(Vec::new()),
            Some(index) => Ok(index.emit(EmitTo::All)?),
        }
    }
}
