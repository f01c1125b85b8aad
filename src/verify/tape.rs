//! What a source gave, kept to be given again: a [`Tape`] is recorded once through the engine's own connector.

use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Schema};
use datafusion::common::DFSchema;
use datafusion::execution::SessionState;

use crate::catalog::TableDef;
use crate::connector::{ConnectorRef, Read, RelationSpec};
use crate::error::{Error, Result};
use crate::format::{OnError, on_error};
use crate::time::{Unit, unit_of};

/// How long a read may wait.
const WAIT: Duration = Duration::from_millis(50);

/// The rows of a source in the order in which they came.
pub(super) struct Tape {
    /// The table that they are of.
    pub(super) table: TableDef,
    /// All columns, computed ones too.
    pub(super) rows: RecordBatch,
    /// The columns that came from outside.
    pub(super) physical: RecordBatch,
    /// The partition that each row came in.
    pub(super) partitions: Vec<u32>,
    /// Event times (µs) and what the watermark is made from, when there is one.
    pub(super) times: Option<Times>,
    /// Records that could not be decoded, and were left out as the table's `on_error` says.
    pub(super) bad: u64,
}

/// Event times in microseconds.
pub(super) struct Times {
    /// Of each row.
    pub(super) of: Int64Array,
    /// No time before this comes behind the row.
    pub(super) promised: Int64Array,
}

impl Tape {
    /// Reads a source to its end.
    ///
    /// # Errors
    /// When it can't be read, or has a bad record that it must not have.
    pub(super) fn record(
        table: TableDef,
        connector: &ConnectorRef,
        spec: &RelationSpec,
        session: &SessionState,
    ) -> Result<Self> {
        let all: Vec<usize> = (0..spec.schema.fields().len()).collect();
        let mut source = connector.source(spec, &all)?;
        let default = if table.description.live { OnError::Skip } else { OnError::Fail };
        let policy = on_error(&table.options)?.unwrap_or(default);
        let (mut batches, mut partitions, mut bad) = (Vec::new(), Vec::new(), 0);
        loop {
            match source.read(WAIT)? {
                Read::Batch(read) => {
                    if let (OnError::Fail, Some(first)) = (policy, read.bad.first()) {
                        return Err(Error::data(format!(
                            "bad record in source '{}' at {}, record {}: {}",
                            table.name, first.place.origin, first.place.record, first.reason
                        ))
                        .help("fix the record, or go on without such records: on_error = 'skip'"));
                    }
                    bad += read.bad.len() as u64;
                    partitions.extend(std::iter::repeat_n(read.partition as u32, read.batch.num_rows()));
                    batches.push(read.batch);
                }
                Read::Idle | Read::EndOfPartition(_) => {}
                Read::End => break,
            }
        }
        let physical = concat_batches(&spec.schema, &batches)?;
        let rows = with_computed(&table, &physical, session)?;
        let times = Times::of(&table, &rows, session)?;
        Ok(Self { table, rows, physical, partitions, times, bad })
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        &self.table.name
    }
}

impl Times {
    fn of(table: &TableDef, rows: &RecordBatch, session: &SessionState) -> Result<Option<Self>> {
        let Some(watermark) = &table.watermark else { return Ok(None) };
        let of = micros(rows.column(watermark.column))?;
        let promised = match &watermark.expr {
            Some(expr) => {
                let over = DFSchema::try_from(rows.schema().as_ref().clone())?;
                let expr = session.create_physical_expr(expr.clone(), &over)?;
                micros(&expr.evaluate(rows)?.into_array(rows.num_rows())?)?
            }
            None => {
                let delay = watermark.delay_micros.unwrap_or(0);
                of.unary(|t: i64| t.saturating_sub(delay))
            }
        };
        Ok(Some(Self { of, promised }))
    }
}

/// All columns of a table over those that came from outside.
fn with_computed(table: &TableDef, physical: &RecordBatch, session: &SessionState) -> Result<RecordBatch> {
    let places = table.physical();
    let over = Schema::new(places.iter().map(|i| table.schema.field(*i).clone()).collect::<Vec<_>>());
    let over = DFSchema::try_from(over)?;
    let column = |(i, field): (usize, &arrow::datatypes::FieldRef)| -> Result<ArrayRef> {
        let column = match table.computed.get(&i) {
            Some(expr) => {
                let expr = session.create_physical_expr(expr.clone(), &over)?;
                expr.evaluate(physical)?.into_array(physical.num_rows())?
            }
            None => {
                let at = places.iter().position(|p| *p == i).unwrap_or_default();
                std::sync::Arc::clone(physical.column(at))
            }
        };
        Ok(if column.data_type() == field.data_type() { column } else { cast(&column, field.data_type())? })
    };
    let columns = table.schema.fields().iter().enumerate().map(column).collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(physical.num_rows()));
    Ok(RecordBatch::try_new_with_options(std::sync::Arc::clone(&table.schema), columns, &options)?)
}

/// A timestamp column in µs; what does not fit is no time.
pub(super) fn micros(column: &ArrayRef) -> Result<Int64Array> {
    let unit = Unit::from(unit_of(column.data_type()));
    let raw = cast(column, &DataType::Int64)?;
    let raw: &Int64Array = arrow::array::AsArray::as_primitive(raw.as_ref());
    Ok(raw.unary_opt(|v: i64| unit.to_micros(v)))
}
