//! Lapse: `WHERE ts > now() - INTERVAL '1' HOUR`. A row enters at one time and leaves at another, both decided by the row alone.
//!
//! Rows that have not entered wait, rows that are in wait to leave; a row whose time is over is forgotten. At every interval what
//! is in is what batch SQL would answer at the interval's wall time; intervals run when a row is due, though none come.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, TimestampMillisecondArray, UInt32Array,
};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Date32Type, Int64Type, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;

use super::contents::StateRows;
use super::context::{OperatorState, QueryContext};
use super::hold::waiting_rows;
use super::operator::{Operate, Run};
use super::weighted::{Weighted, consolidate};
use crate::error::{Error, Result};
use crate::plan::{OperatorId, TimeBound};
use crate::state::{TimedChange, TimedRows};

/// What is fixed when it is planned.
pub(super) struct Lapse {
    pub(super) id: OperatorId,
    pub(super) limits: Vec<Limit>,
    /// The columns of the input that are handed on, which are its first, and their schema.
    pub(super) visible: Vec<usize>,
    pub(super) input: SchemaRef,
    /// The column of weights in the input.
    pub(super) weight: Option<usize>,
    pub(super) weighted: bool,
    pub(super) schema: SchemaRef,
}

/// `value <op> now() + offset`; `now()` in steps (ms).
pub(super) struct Limit {
    pub(super) value: Arc<dyn PhysicalExpr>,
    pub(super) bound: TimeBound,
    pub(super) step: i64,
    pub(super) offset: i64,
}

impl Operate for Arc<Lapse> {
    fn name(&self) -> &'static str {
        "LapseExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(LapseRun { lapse: Arc::clone(self), context, batches: Vec::new() }))
    }
}

/// Rows by the time (ms) at which they enter, and at which they leave.
struct Lapsing {
    waiting: TimedRows,
    inside: TimedRows,
    schema: SchemaRef,
}

impl OperatorState for Lapsing {
    fn commit(&mut self) -> Result<()> {
        self.waiting.commit()?;
        self.inside.commit()
    }

    fn rollback(&mut self) {
        self.waiting.rollback();
        self.inside.rollback();
    }

    fn rows(&self) -> usize {
        self.waiting.len() + self.inside.len()
    }

    fn bytes(&self) -> usize {
        self.waiting.bytes() + self.inside.bytes()
    }

    fn contents(&self) -> Result<Vec<StateRows>> {
        let table = |part, rows: &TimedRows, name: &str| {
            let all = rows.all()?;
            let times = TimestampMillisecondArray::from(all.times.clone());
            waiting_rows(part, &self.schema, all, vec![(name.to_owned(), Arc::new(times))])
        };
        Ok(vec![table("inside", &self.inside, "leaves")?, table("waiting", &self.waiting, "enters")?])
    }

    fn due_at(&self) -> Option<i64> {
        let first = [self.waiting.first_time(), self.inside.first_time()].into_iter().flatten().min();
        first.map(|millis| millis.saturating_mul(1_000))
    }
}

struct LapseRun {
    lapse: Arc<Lapse>,
    context: Arc<QueryContext>,
    batches: Vec<Weighted>,
}

#[async_trait]
impl Run for LapseRun {
    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let weights = match self.lapse.weight {
            Some(i) => batch.column(i).as_primitive::<Int64Type>().values().to_vec(),
            None => vec![1; batch.num_rows()],
        };
        let columns = self.lapse.visible.iter().map(|i| Arc::clone(batch.column(*i))).collect();
        self.batches.push(Weighted { columns, weights });
        Ok(Vec::new())
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let lapse = Arc::clone(&self.lapse);
        let types: Vec<DataType> = lapse.input.fields().iter().map(|f| f.data_type().clone()).collect();
        let now = self.context.interval().now.millis();
        let batches = std::mem::take(&mut self.batches);
        let create = || {
            let (waiting, inside) = (TimedRows::new(&types)?, TimedRows::new(&types)?);
            Ok(Lapsing { waiting, inside, schema: Arc::clone(&lapse.input) })
        };
        let out = self.context.with_state(lapse.id, create, |state| {
            let come = consolidate(&types, batches.iter())?;
            let due = state.waiting.due(now)?;
            let mut gone = state.inside.due(now)?;
            gone.weights.iter_mut().for_each(|w| *w = -*w);
            state.waiting.stage_removal(now);
            state.inside.stage_removal(now);
            let mut out = vec![Weighted { columns: gone.columns, weights: gone.weights }];
            for rows in [Weighted { columns: due.columns, weights: due.weights }, come] {
                out.push(lapse.admit(rows, now, state)?);
            }
            consolidate(&types, out.iter())
        })?;
        Ok(lapse.output(out)?.into_iter().collect())
    }
}

impl Lapse {
    /// Stages rows that wait, for whatever; those that are in now.
    fn admit(&self, rows: Weighted, now: i64, state: &mut Lapsing) -> Result<Weighted> {
        let times = self.times(&rows)?;
        let pick = |keep: &dyn Fn(i64, i64) -> Option<i64>| -> Result<TimedChange> {
            let found = times.iter().enumerate().filter_map(|(row, (from, until))| {
                (from < until && *until > now).then(|| keep(*from, *until)).flatten().map(|time| (row as u32, time))
            });
            let (picks, times): (Vec<u32>, Vec<i64>) = found.unzip();
            let weights = picks.iter().map(|r| rows.weights[*r as usize]).collect();
            let picks = UInt32Array::from(picks);
            let columns = rows.columns.iter().map(|c| take(c, &picks, None)).collect::<Result<Vec<_>, _>>()?;
            Ok(TimedChange { columns, weights, times })
        };
        state.waiting.stage(pick(&|from, _| (from > now).then_some(from))?);
        state.inside.stage(pick(&|from, until| (from <= now && until < i64::MAX).then_some(until))?);
        let inside = pick(&|from, until| (from <= now).then_some(until))?;
        Ok(Weighted { columns: inside.columns, weights: inside.weights })
    }

    /// From when (ms) each row is in, and until when, exclusive. A row without a value never is.
    fn times(&self, rows: &Weighted) -> Result<Vec<(i64, i64)>> {
        let count = rows.weights.len();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.input), rows.columns.clone(), &options)?;
        let mut times = vec![(i64::MIN, i64::MAX); count];
        for limit in &self.limits {
            let values = nanos(&limit.value.evaluate(&batch)?.into_array(count)?)?;
            for ((from, until), value) in times.iter_mut().zip(values) {
                let Some(value) = value else {
                    *until = i64::MIN;
                    continue;
                };
                // The time (ns) at which now() + offset is the value.
                let met = value - i128::from(limit.offset) * NANOS;
                let step = i128::from(limit.step);
                let at_or_after = clamp(-(-met).div_euclid(step * NANOS) * step);
                let after = clamp((met.div_euclid(step * NANOS) + 1) * step);
                match limit.bound {
                    TimeBound::Before => *from = after.max(*from),
                    TimeBound::AtOrBefore => *from = at_or_after.max(*from),
                    TimeBound::After => *until = at_or_after.min(*until),
                    TimeBound::AtOrAfter => *until = after.min(*until),
                }
            }
        }
        Ok(times)
    }

    fn output(&self, rows: Weighted) -> Result<Option<RecordBatch>> {
        if rows.weights.is_empty() {
            return Ok(None);
        }
        let mut columns = rows.columns;
        if self.weighted {
            columns.push(Arc::new(Int64Array::from(rows.weights.clone())));
        } else {
            let copies = |(row, weight): (usize, &i64)| {
                std::iter::repeat_n(row as u32, usize::try_from(*weight).unwrap_or_default())
            };
            let picks = UInt32Array::from_iter_values(rows.weights.iter().enumerate().flat_map(copies));
            columns = columns.iter().map(|c| take(c, &picks, None)).collect::<Result<Vec<_>, _>>()?;
        }
        Ok(Some(RecordBatch::try_new(Arc::clone(&self.schema), columns)?))
    }
}

/// Nanoseconds in what `now()` counts in.
const NANOS: i128 = 1_000_000;

fn clamp(millis: i128) -> i64 {
    // The last moments that there are stand for "always" and "never".
    i64::try_from(millis).unwrap_or(if millis < 0 { i64::MIN + 1 } else { i64::MAX - 1 })
}

/// Timestamps and dates in nanoseconds.
fn nanos(values: &ArrayRef) -> Result<Vec<Option<i128>>> {
    let factor = match values.data_type() {
        DataType::Date32 => {
            let days = values.as_primitive::<Date32Type>();
            return Ok(days.iter().map(|d| d.map(|d| i128::from(d) * 86_400_000 * NANOS)).collect());
        }
        DataType::Timestamp(TimeUnit::Second, _) => 1_000_000_000,
        DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000_000,
        DataType::Timestamp(TimeUnit::Microsecond, _) => 1_000,
        DataType::Timestamp(TimeUnit::Nanosecond, _) => 1,
        other => return Err(Error::internal(format!("a {other} that is compared with now()"))),
    };
    let raw = cast(values, &DataType::Int64)?;
    Ok(raw.as_primitive::<Int64Type>().iter().map(|v| v.map(|v| i128::from(v) * factor)).collect())
}
