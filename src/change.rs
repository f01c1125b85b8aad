//! A Change: the rows that enter (+) or leave (−) a relation in one interval.
//!
//! Rows with a weight are the Z-sets of DBSP (Budiu et al., VLDB 2023). A relation that only ever grows carries no weights
//! and pays nothing for them. Knows nothing about where changes come from or go to.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::error::ArrowError;

/// Name of the trailing column that carries weights inside plans.
pub const WEIGHT_COLUMN: &str = "__weight";

/// Rows that enter or leave a relation, in one interval.
#[derive(Debug, Clone)]
pub struct Change {
    /// The rows, without their weights.
    pub batch: RecordBatch,
    /// A weight per row: +n entered, −n left. `None`: all rows enter once.
    ///
    /// An update is a −old row directly followed by its +new row.
    pub weights: Option<Int64Array>,
}

impl Change {
    /// Rows that all enter.
    pub fn append(batch: RecordBatch) -> Self {
        Self { batch, weights: None }
    }

    /// Takes the trailing weight column off a batch, when there is one.
    pub fn from_weighted(batch: RecordBatch) -> Self {
        let schema = batch.schema();
        let last = schema.fields().len().checked_sub(1).filter(|i| schema.field(*i).name() == WEIGHT_COLUMN);
        let Some(last) = last else { return Self::append(batch) };
        let weights = batch.column(last).as_primitive_opt::<Int64Type>().cloned();
        let mut batch = batch;
        batch.remove_column(last);
        Self { batch, weights }
    }

    /// The rows with their weights as a trailing column: what plans read. The other way of [`Change::from_weighted`].
    ///
    /// # Errors
    /// Never, unless the batch is inconsistent.
    pub fn to_weighted(&self) -> Result<RecordBatch, ArrowError> {
        let rows = self.num_rows();
        let weights = self.weights.clone().unwrap_or_else(|| Int64Array::from(vec![1; rows]));
        let schema = self.batch.schema();
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        fields.push(Field::new(WEIGHT_COLUMN, DataType::Int64, false).into());
        let mut columns = self.batch.columns().to_vec();
        columns.push(Arc::new(weights));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
    }

    /// The weight of a row.
    pub fn weight(&self, row: usize) -> i64 {
        self.weights.as_ref().map_or(1, |w| w.value(row))
    }

    /// How many rows it has.
    pub fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }
}
