//! A Change: the rows that enter (+) or leave (−) a relation in one interval.
//!
//! Rows with a weight are the Z-sets of DBSP (Budiu et al., VLDB 2023). A relation that only ever grows carries no weights
//! and pays nothing for them. Knows nothing about where changes come from or go to.

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

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

    /// The weight of a row.
    pub fn weight(&self, row: usize) -> i64 {
        self.weights.as_ref().map_or(1, |w| w.value(row))
    }

    /// How many rows it has.
    pub fn num_rows(&self) -> usize {
        self.batch.num_rows()
    }
}

/// The schema with a trailing weight column.
pub fn weighted_schema(schema: &Schema) -> SchemaRef {
    let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
    fields.push(Field::new(WEIGHT_COLUMN, DataType::Int64, false).into());
    Schema::new_with_metadata(fields, schema.metadata().clone()).into()
}
