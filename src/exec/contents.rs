//! State tables as rows that SQL can read.

use std::collections::HashSet;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use std::sync::Arc;

use crate::error::Result;

/// What a state table holds.
#[derive(Debug, Clone)]
pub struct StateRows {
    /// Which of the operator's tables: `left`, `right`; empty when it has one.
    pub part: &'static str,
    /// Key columns first.
    pub rows: RecordBatch,
}

impl StateRows {
    /// A table of these columns; one whose name was given before gets a number.
    ///
    /// # Errors
    /// When the columns differ in length.
    pub(super) fn new(part: &'static str, columns: Vec<(String, ArrayRef)>, rows: usize) -> Result<Self> {
        let mut names = HashSet::new();
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (name, array) in columns {
            let mut unique = name.clone();
            let mut number = 1;
            while !names.insert(unique.clone()) {
                number += 1;
                unique = format!("{name}_{number}");
            }
            fields.push(Field::new(unique, array.data_type().clone(), true));
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Self { part, rows: RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)? })
    }
}
