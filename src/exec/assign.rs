//! Assignment of rows to windows: the fan-out of HOP and CUMULATE, and the one place where rows are judged late.
//!
//! A row is late *for a window* when the window's end ≤ the row's watermark, so a row can be late for one HOP window and on
//! time for the next. A row of a SESSION is late when its own time < its watermark: a weaker rule (its own window's end) would
//! let it join a session that another partition, or another cut of the stream, has closed already; the answer would depend
//! on the cut.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Int64Type, SchemaRef, TimeUnit};
use datafusion::physical_expr::PhysicalExpr;

use super::context::QueryContext;
use super::operator::{Operate, Run};
use crate::error::{Error, Result};
use crate::time::{Unit, WindowSpec, window_time_gap};
use async_trait::async_trait;
use datafusion::execution::TaskContext;

/// Puts rows into windows.
#[derive(Clone)]
pub(super) struct Assign {
    pub(super) time: Arc<dyn PhysicalExpr>,
    pub(super) spec: WindowSpec,
    /// Index of the row watermark in the input, when rows are judged by it.
    pub(super) row_watermark: Option<usize>,
    /// The sources whose rows it sees.
    pub(super) sources: Vec<usize>,
    /// Input columns handed on, in front of the window's three and behind them (the weight).
    pub(super) before: Vec<usize>,
    pub(super) after: Vec<usize>,
    pub(super) schema: SchemaRef,
}

impl Operate for Assign {
    fn name(&self) -> &'static str {
        "AssignExec"
    }

    fn assignment(&self) -> Option<&Assign> {
        Some(self)
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(AssignRun {
            time: Arc::clone(&self.time),
            spec: self.spec,
            row_watermark: self.row_watermark,
            sources: self.sources.clone(),
            before: self.before.clone(),
            after: self.after.clone(),
            schema: Arc::clone(&self.schema),
            context,
        }))
    }
}

struct AssignRun {
    time: Arc<dyn PhysicalExpr>,
    spec: WindowSpec,
    row_watermark: Option<usize>,
    sources: Vec<usize>,
    before: Vec<usize>,
    after: Vec<usize>,
    schema: SchemaRef,
    context: Arc<QueryContext>,
}

/// The windows of a batch's rows.
#[derive(Default)]
struct Assigned {
    rows: Vec<u32>,
    starts: Vec<i64>,
    ends: Vec<i64>,
    late: Vec<u32>,
    null_time: u64,
}

#[async_trait]
impl Run for AssignRun {
    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let time = self.time.evaluate(&batch)?.into_array(batch.num_rows())?;
        let (times, unit) = micros(&time)?;
        let watermarks = self.row_watermark.map(|i| batch.column(i).as_primitive::<Int64Type>());
        let assigned = self.assign(&times, watermarks)?;
        let counters = &self.context.counters;
        counters.null_time.fetch_add(assigned.null_time, Ordering::Relaxed);
        if !assigned.late.is_empty() {
            counters.late.fetch_add(assigned.late.len() as u64, Ordering::Relaxed);
            let late = UInt32Array::from(assigned.late.clone());
            let visible = batch.project(&self.before)?;
            self.context.keep_late(&self.sources, arrow::compute::take_record_batch(&visible, &late)?);
        }
        if assigned.rows.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![self.output(&batch, &assigned, unit)?])
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        Ok(Vec::new())
    }
}

impl AssignRun {
    fn assign(&self, times: &Int64Array, watermarks: Option<&Int64Array>) -> Result<Assigned> {
        let mut out = Assigned::default();
        let n = times.len();
        out.rows.reserve(n);
        out.starts.reserve(n);
        out.ends.reserve(n);
        let session = matches!(self.spec, WindowSpec::Session { .. });
        for row in 0..n {
            if times.is_null(row) {
                out.null_time += 1;
                continue;
            }
            let (t, at) = (times.value(row), row as u32);
            let watermark = watermarks.map_or(i64::MIN, |w| w.value(row));
            if session && t < watermark {
                out.late.push(at);
                continue;
            }
            let fits = self.spec.assign(t, |window| {
                if !session && window.end <= watermark {
                    out.late.push(at);
                } else {
                    out.rows.push(at);
                    out.starts.push(window.start);
                    out.ends.push(window.end);
                }
            });
            // An event time at the ends of what can be said (a sentinel, a wrong unit) is no time: it has no window, and
            // takes none of its neighbours with it.
            out.null_time += u64::from(!fits);
        }
        Ok(out)
    }

    fn output(&self, batch: &RecordBatch, assigned: &Assigned, unit: TimeUnit) -> Result<RecordBatch> {
        // One window each and none late: the columns are handed on as they are.
        let whole = assigned.rows.len() == batch.num_rows()
            && assigned.rows.iter().enumerate().all(|(i, row)| i as u32 == *row);
        let indices = UInt32Array::from(assigned.rows.clone());
        let pick = |i: &usize| -> Result<ArrayRef> {
            let column = batch.column(*i);
            Ok(if whole { Arc::clone(column) } else { take(column, &indices, None)? })
        };
        let mut columns = self.before.iter().map(pick).collect::<Result<Vec<_>>>()?;
        let first = columns.len();
        for (i, bounds) in [&assigned.starts, &assigned.ends].into_iter().enumerate() {
            columns.push(timestamps(bounds, unit, self.schema.field(first + i).data_type(), 0)?);
        }
        columns.push(timestamps(
            &assigned.ends,
            unit,
            self.schema.field(first + 2).data_type(),
            window_time_gap(unit),
        )?);
        for i in &self.after {
            columns.push(pick(i)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(assigned.rows.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// Microseconds less `back`, as a timestamp column of this type.
pub(super) fn timestamps(micros: &[i64], unit: TimeUnit, data_type: &DataType, back: i64) -> Result<ArrayRef> {
    let unit = Unit::from(unit);
    let convert = |v: &i64| {
        unit.from_micros(v.saturating_sub(back))
            .ok_or_else(|| Error::execution(format!("window bound {v} µs is out of range")))
    };
    let values = micros.iter().map(convert).collect::<Result<Vec<_>>>()?;
    let array: ArrayRef = Arc::new(Int64Array::from(values));
    Ok(cast(&array, data_type)?)
}

/// A timestamp column in microseconds, and its unit. What does not fit is NULL: such a time is in no window.
///
/// # Errors
/// When it is no timestamp.
pub fn micros(time: &ArrayRef) -> Result<(Int64Array, TimeUnit)> {
    let DataType::Timestamp(unit, _) = time.data_type() else {
        return Err(Error::internal(format!("the time of a window is {}", time.data_type())));
    };
    let raw = cast(time, &DataType::Int64)?;
    let raw = raw.as_primitive::<Int64Type>();
    let factor = match unit {
        TimeUnit::Second => 1_000_000,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => return Ok((raw.clone(), *unit)),
        TimeUnit::Nanosecond => return Ok((raw.unary(|v: i64| v.div_euclid(1_000)), *unit)),
    };
    // All at once where all fit, as they nearly always do: a check per row costs more than the product.
    let limit = i64::MAX.unsigned_abs() / factor;
    if raw.values().iter().fold(true, |fit, v| fit & (v.unsigned_abs() <= limit)) {
        return Ok((raw.unary(|v: i64| v.wrapping_mul(factor as i64)), *unit));
    }
    Ok((raw.unary_opt(|v: i64| v.checked_mul(factor as i64)), *unit))
}
