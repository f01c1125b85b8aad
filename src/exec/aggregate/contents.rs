//! The groups of an aggregate as rows to read: the window that they belong to, keys, and the values as of now.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, TimestampMicrosecondArray};
use arrow::compute::concat;

use super::{Aggregate, NO_WINDOW};
use crate::error::Result;
use crate::exec::contents::StateRows;
use crate::exec::groups::values_of;
use crate::state::StateTable;

impl Aggregate {
    /// The names of the columns that its groups are read in: those of the key, then those of the values.
    pub(in crate::exec) fn state_names(&self) -> Vec<String> {
        let values = self.group.len()..self.group.len() + self.calls.len();
        self.key.iter().copied().chain(values).map(|i| self.schema.field(i).name().clone()).collect()
    }

    /// The groups with these keys and states, in such columns.
    pub(in crate::exec) fn state_columns(
        &self,
        keys: Vec<ArrayRef>,
        states: &[ArrayRef],
        rows: usize,
    ) -> Result<Vec<ArrayRef>> {
        Ok(keys.into_iter().chain(values_of(&self.calls, states, rows)?).collect())
    }
}

/// Columns of groups by the time in `column`; `None`: they belong to no window.
pub(in crate::exec) fn by_time(
    column: Option<&str>,
    times: Vec<i64>,
    groups: &[Vec<ArrayRef>],
    names: &[String],
) -> Result<StateRows> {
    let rows = times.len();
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    if let Some(column) = column {
        columns.push((column.to_owned(), Arc::new(TimestampMicrosecondArray::from(times))));
    }
    for (i, name) in names.iter().enumerate() {
        let parts: Vec<&dyn Array> = groups.iter().filter_map(|g| g.get(i)).map(AsRef::as_ref).collect();
        if !parts.is_empty() {
            columns.push((name.clone(), concat(&parts)?));
        }
    }
    StateRows::new("", columns, rows)
}

/// The rows of tables by the end of their window.
pub(super) fn contents_of(aggregate: &Aggregate, tables: &[(i64, &StateTable)]) -> Result<StateRows> {
    let (mut groups, mut ends) = (Vec::new(), Vec::new());
    for (end, table) in tables {
        let slots = table.slots();
        ends.resize(ends.len() + slots.len(), *end);
        let keys = if aggregate.key.is_empty() { Vec::new() } else { table.keys(&slots)? };
        groups.push(aggregate.state_columns(keys, &table.read(&slots)?, slots.len())?);
    }
    let column = tables.iter().any(|(end, _)| *end != NO_WINDOW).then_some("window_end");
    by_time(column, ends, &groups, &aggregate.state_names())
}
