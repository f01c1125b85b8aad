//! What happens to rows between a source and the queries: computed columns, and each row's watermark.
//!
//! A row of a live source whose event time is further ahead of the clock than is to be believed is quarantined: it would move
//! the watermark and make every honest row late.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::{cast, filter_record_batch, max};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::physical_expr::PhysicalExpr;

use crate::catalog::TableDef;
use crate::error::Result;
use crate::exec::micros;
use crate::plan::ROW_WATERMARK;
use crate::time::{PartitionClock, Timestamp};

/// Turns decoded batches into what queries read.
pub(super) struct Ingest {
    /// Indices (in the table) of the physical columns to read.
    pub(super) projection: Vec<usize>,
    /// Columns of the result: a physical one by its place in the projection, or a computed one.
    columns: Vec<Column>,
    schema: SchemaRef,
    /// The result without the row watermark.
    visible: SchemaRef,
    watermark: Option<WatermarkOf>,
}

enum Column {
    Physical(usize),
    Computed(Arc<dyn PhysicalExpr>),
}

/// What the watermark is made from, over the result's columns.
enum WatermarkOf {
    /// A column, less the partition clock's delay.
    Column(usize),
    /// An expression and the column it is for.
    Expr(Arc<dyn PhysicalExpr>, usize),
}

/// What came of a batch.
pub(super) struct Ingested {
    pub(super) batch: RecordBatch,
    pub(super) quarantined: u64,
    pub(super) null_time: u64,
    pub(super) late_after_idle: u64,
}

impl Ingest {
    /// What reading these columns of a table takes.
    ///
    /// # Errors
    /// When an expression has no physical form.
    pub(super) fn new(table: &TableDef, wanted: &[usize], session: &SessionState) -> Result<Self> {
        let mut wanted: Vec<usize> = wanted.to_vec();
        let columns_of_table = table.source_schema();
        if let Some(watermark) = &table.watermark {
            wanted.push(watermark.column);
            let read = watermark.expr.iter().flat_map(|e| e.column_refs());
            wanted.extend(read.filter_map(|c| columns_of_table.index_of(&c.name).ok()));
        }
        // An expression brings the columns it reads.
        let computed = wanted.iter().filter_map(|i| table.computed.get(i));
        let read: Vec<usize> =
            computed.flat_map(|e| e.column_refs()).filter_map(|c| columns_of_table.index_of(&c.name).ok()).collect();
        let mut projection: Vec<usize> =
            wanted.iter().chain(&read).copied().filter(|i| !table.computed.contains_key(i)).collect();
        projection.sort_unstable();
        projection.dedup();
        wanted.extend(&read);
        wanted.sort_unstable();
        wanted.dedup();

        let decoded = DFSchema::try_from(columns_of_table.project(&projection)?)?;
        let place = |i: &usize| -> Result<Column> {
            match table.computed.get(i) {
                Some(expr) => Ok(Column::Computed(session.create_physical_expr(expr.clone(), &decoded)?)),
                None => Ok(Column::Physical(projection.iter().position(|p| p == i).unwrap_or_default())),
            }
        };
        let columns = wanted.iter().map(place).collect::<Result<Vec<_>>>()?;
        let result = columns_of_table.project(&wanted)?;
        let watermark = match &table.watermark {
            None => None,
            Some(def) => {
                let column = wanted.iter().position(|i| *i == def.column).unwrap_or_default();
                Some(match &def.expr {
                    None => WatermarkOf::Column(column),
                    Some(expr) => {
                        let over = DFSchema::try_from(result.clone())?;
                        WatermarkOf::Expr(session.create_physical_expr(expr.clone(), &over)?, column)
                    }
                })
            }
        };
        let visible = Arc::new(result);
        let mut fields: Vec<_> = visible.fields().iter().cloned().collect();
        if watermark.is_some() {
            fields.push(Arc::new(Field::new(ROW_WATERMARK, DataType::Int64, false)));
        }
        Ok(Self { projection, columns, schema: Arc::new(Schema::new(fields)), visible, watermark })
    }

    /// Computes columns, and row watermarks where rows are `judged` by them; `believed_until` (µs) is the latest event time to
    /// be believed.
    ///
    /// # Errors
    /// When a computed column fails.
    pub(super) fn ingest(
        &self,
        decoded: &RecordBatch,
        clock: &mut PartitionClock,
        now: Timestamp,
        believed_until: Option<i64>,
        judged: bool,
    ) -> Result<Ingested> {
        let rows = decoded.num_rows();
        let evaluate = |column: &Column| -> Result<ArrayRef> {
            Ok(match column {
                Column::Physical(i) => Arc::clone(decoded.column(*i)),
                Column::Computed(expr) => expr.evaluate(decoded)?.into_array(rows)?,
            })
        };
        let mut columns = self.columns.iter().map(evaluate).collect::<Result<Vec<_>>>()?;
        // A computed column's physical type may be narrower than what was declared for it.
        for (column, field) in columns.iter_mut().zip(self.schema.fields()) {
            if column.data_type() != field.data_type() {
                *column = cast(column, field.data_type())?;
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.visible), columns, &options)?;
        let Some(watermark) = &self.watermark else {
            return Ok(Ingested { batch, quarantined: 0, null_time: 0, late_after_idle: 0 });
        };
        let (WatermarkOf::Column(time) | WatermarkOf::Expr(_, time)) = watermark;
        let (batch, times, quarantined) = believe(batch, *time, believed_until)?;
        let null_time = times.null_count() as u64;
        let promised = match watermark {
            WatermarkOf::Column(_) => times,
            WatermarkOf::Expr(expr, _) => micros(&expr.evaluate(&batch)?.into_array(batch.num_rows())?)?.0,
        };
        if !judged && clock.promises_nothing() {
            if batch.num_rows() > 0 {
                clock.advance_to(max(&promised), now);
            }
            return Ok(Ingested { batch, quarantined, null_time, late_after_idle: 0 });
        }
        let mut row_watermarks = Vec::with_capacity(batch.num_rows());
        let late_after_idle = if promised.null_count() == 0 {
            clock.advance(promised.values().iter().map(|t| Some(*t)), now, &mut row_watermarks)
        } else {
            clock.advance(promised.iter(), now, &mut row_watermarks)
        };
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(Int64Array::from(row_watermarks)));
        Ok(Ingested {
            batch: RecordBatch::try_new(Arc::clone(&self.schema), columns)?,
            quarantined,
            null_time,
            late_after_idle,
        })
    }
}

/// The rows whose event time is to be believed, their times in µs, and how many were not believed.
fn believe(batch: RecordBatch, time: usize, until: Option<i64>) -> Result<(RecordBatch, Int64Array, u64)> {
    let times = micros(batch.column(time))?.0;
    let Some(until) = until else { return Ok((batch, times, 0)) };
    if max(&times).is_none_or(|latest| latest <= until) {
        return Ok((batch, times, 0));
    }
    let beyond = |t: Option<i64>| t.is_some_and(|t| t > until);
    let keep: BooleanArray = times.iter().map(|t| Some(!beyond(t))).collect();
    let kept = filter_record_batch(&batch, &keep)?;
    let times = micros(kept.column(time))?.0;
    let lost = batch.num_rows() - kept.num_rows();
    Ok((kept, times, lost as u64))
}
