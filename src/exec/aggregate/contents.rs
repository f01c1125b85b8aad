//! The groups of an aggregate as rows to read: keys, the states of the functions, and the window that they belong to.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMicrosecondArray};
use arrow::compute::concat;

use super::{Aggregate, NO_WINDOW};
use crate::error::Result;
use crate::exec::contents::StateRows;
use crate::state::StateTable;

impl Aggregate {
    /// The names of the columns that its groups are kept in.
    pub(in crate::exec) fn state_names(&self) -> Vec<String> {
        let keys = self.key.iter().map(|i| self.schema.field(*i).name().clone());
        let states = self.calls.iter().flat_map(|c| c.function.state_fields().unwrap_or_default());
        keys.chain(states.map(|f| f.name().clone())).collect()
    }
}

/// The rows of tables by the end of their window.
pub(super) fn contents_of(tables: &[(i64, &StateTable)], names: &[String]) -> Result<StateRows> {
    let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); names.len()];
    let mut ends = Vec::new();
    for (end, table) in tables {
        let slots = table.slots();
        ends.resize(ends.len() + slots.len(), *end);
        let values = table.read(&slots)?;
        let keys = if values.len() < names.len() { table.keys(&slots)? } else { Vec::new() };
        for (part, column) in parts.iter_mut().zip(keys.into_iter().chain(values)) {
            part.push(column);
        }
    }
    let rows = ends.len();
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    if tables.iter().any(|(end, _)| *end != NO_WINDOW) {
        columns.push(("window_end".to_owned(), Arc::new(TimestampMicrosecondArray::from(ends))));
    }
    for (name, part) in names.iter().zip(&parts) {
        let part: Vec<&dyn arrow::array::Array> = part.iter().map(AsRef::as_ref).collect();
        if !part.is_empty() {
            columns.push((name.clone(), concat(&part)?));
        }
    }
    StateRows::new("", columns, rows)
}
