//! Hold: keeps rows until time has passed them, and lets them out once, for good.
//!
//! What `EMIT ON WINDOW CLOSE` needs over a plan that has no aggregate to hold the rows: a join, OVER, Top-N per window, rows as
//! they are. Until their window closes rows come and go inside; what is left then comes out, in the order of time. Rows by their
//! own event time come out once the watermark is past it: a row *at* the watermark may still come.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use std::sync::atomic::Ordering;

use super::assign::micros;
use super::contents::StateRows;
use super::context::{OperatorState, QueryContext};
use super::operator::{Operate, Run};
use super::weighted::{Weighted, consolidate};
use crate::error::{Error, Result};
use crate::plan::{HoldOperator, HoldTime};
use crate::state::{TimedChange, TimedRows};
use crate::time::window_time_gap;

/// What is fixed when it is planned.
pub(super) struct Hold {
    pub(super) operator: HoldOperator,
    /// The column of weights in the input; without one, rows only come.
    pub(super) weight: Option<usize>,
    /// The columns of the result, which are the first of the input.
    pub(super) schema: SchemaRef,
}

impl Operate for Arc<Hold> {
    fn name(&self) -> &'static str {
        "HoldExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(HoldRun { hold: Arc::clone(self), context, batches: Vec::new() }))
    }
}

struct Held {
    rows: TimedRows,
    /// How far time has come, decided and staged: what comes behind it comes too late to be let out.
    passed: i64,
    staged_passed: i64,
    lag: i64,
    schema: SchemaRef,
}

impl OperatorState for Held {
    fn commit(&mut self) -> Result<()> {
        self.passed = self.staged_passed;
        self.rows.commit()
    }

    fn rollback(&mut self) {
        self.staged_passed = self.passed;
        self.rows.rollback();
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn contents(&self) -> Result<Vec<StateRows>> {
        Ok(vec![waiting_rows("", &self.schema, self.rows.all()?, Vec::new())?])
    }

    fn windows(&self) -> (usize, Option<i64>) {
        (0, self.rows.first_time().map(|time| time.saturating_add(self.lag)))
    }
}

struct HoldRun {
    hold: Arc<Hold>,
    context: Arc<QueryContext>,
    batches: Vec<Weighted>,
}

#[async_trait]
impl Run for HoldRun {
    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let width = self.hold.schema.fields().len();
        let weights = match self.hold.weight {
            Some(i) => batch.column(i).as_primitive::<Int64Type>().values().to_vec(),
            None => vec![1; batch.num_rows()],
        };
        self.batches.push(Weighted { columns: batch.columns()[..width].to_vec(), weights });
        Ok(Vec::new())
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let hold = Arc::clone(&self.hold);
        let (operator, types) = (&hold.operator, hold.types());
        let time = self.context.closing_time(operator.domain, operator.lag, &operator.sources);
        let batches = std::mem::take(&mut self.batches);
        let create = || {
            let rows = TimedRows::new(&types)?;
            Ok(Held {
                rows,
                passed: i64::MIN,
                staged_passed: i64::MIN,
                lag: operator.lag,
                schema: Arc::clone(&hold.schema),
            })
        };
        let out = self.context.with_state(operator.id, create, |held| {
            let changed = consolidate(&types, batches.iter())?;
            let times = hold.times(&changed.columns, changed.weights.len())?;
            if held.passed > i64::MIN && times.iter().any(|t| *t <= held.passed) {
                return Err(Error::internal("a row changed after its window had closed"));
            }
            let (due, waiting): (Vec<u32>, Vec<u32>) =
                (0..times.len() as u32).partition(|row| times[*row as usize] <= time);
            let kept = held.rows.due(time)?;
            held.rows.stage_removal(time);
            held.rows.stage(pick(&changed, &times, &waiting)?);
            held.staged_passed = held.passed.max(time);
            let due = pick(&changed, &times, &due)?;
            let parts = [kept, due].map(|p| Weighted { columns: p.columns, weights: p.weights });
            consolidate(&types, parts.iter())
        })?;
        let out = hold.let_out(&out)?;
        if let Some((_, windows)) = &out {
            self.context.counters.closed.fetch_add(*windows, Ordering::Relaxed);
        }
        Ok(out.into_iter().map(|(rows, _)| rows).collect())
    }
}

/// Rows that wait, with how often each is there.
pub(super) fn waiting_rows(
    part: &'static str,
    schema: &SchemaRef,
    rows: TimedChange,
    more: Vec<(String, ArrayRef)>,
) -> Result<StateRows> {
    let count = rows.weights.len();
    let weights: ArrayRef = Arc::new(rows.weight_column());
    let names = schema.fields().iter().map(|f| f.name().clone());
    let columns = names.zip(rows.columns).chain([("weight".to_owned(), weights)]).chain(more).collect();
    StateRows::new(part, columns, count)
}

fn pick(from: &Weighted, times: &[i64], rows: &[u32]) -> Result<TimedChange> {
    let picks = UInt32Array::from(rows.to_vec());
    Ok(TimedChange {
        columns: from.columns.iter().map(|c| take(c, &picks, None)).collect::<Result<_, _>>()?,
        weights: rows.iter().map(|r| from.weights[*r as usize]).collect(),
        times: rows.iter().map(|r| times[*r as usize]).collect(),
    })
}

impl Hold {
    fn types(&self) -> Vec<DataType> {
        self.schema.fields().iter().map(|f| f.data_type().clone()).collect()
    }

    /// The time (µs) that each row waits for; a row without any waits for the end of the input.
    fn times(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<i64>> {
        let mut times: Vec<Option<i64>> = vec![None; rows];
        for (index, of) in &self.operator.times {
            let column = columns.get(*index).ok_or_else(|| Error::internal("a hold by a column that is not there"))?;
            let (values, unit) = micros(column)?;
            let shift = match of {
                HoldTime::Own | HoldTime::End => 0,
                HoldTime::BeforeEnd => window_time_gap(unit),
                HoldTime::Start { size } => *size,
            };
            for (time, value) in times.iter_mut().zip(values.iter()) {
                *time = time.or(value.map(|v| v.saturating_add(shift)));
            }
        }
        Ok(times.into_iter().map(|t| t.unwrap_or(i64::MAX)).collect())
    }

    /// The rows that are final, in the order of time, each as often as it is there; and how many windows they are of.
    fn let_out(&self, rows: &Weighted) -> Result<Option<(RecordBatch, u64)>> {
        if rows.weights.is_empty() {
            return Ok(None);
        }
        if rows.weights.iter().any(|w| *w < 0) {
            return Err(Error::internal("a row left a result that it had not come to"));
        }
        let times = self.times(&rows.columns, rows.weights.len())?;
        let mut fields = vec![SortField::new(DataType::Int64)];
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(times.clone()))];
        for column in &rows.columns {
            fields.push(SortField::new(column.data_type().clone()));
            columns.push(Arc::clone(column));
        }
        let keys = RowConverter::new(fields)?.convert_columns(&columns)?;
        let mut order: Vec<u32> = (0..times.len() as u32).collect();
        order.sort_by(|a, b| keys.row(*a as usize).cmp(&keys.row(*b as usize)));
        let of_windows = !self.operator.times.iter().any(|(_, of)| *of == HoldTime::Own);
        let ends = order.iter().map(|r| times[*r as usize]).collect::<std::collections::BTreeSet<_>>();
        let windows = if of_windows { ends.len() as u64 } else { 0 };
        let copies = |r: u32| std::iter::repeat_n(r, usize::try_from(rows.weights[r as usize]).unwrap_or_default());
        let picks = UInt32Array::from_iter_values(order.into_iter().flat_map(copies));
        let columns = rows.columns.iter().map(|c| take(c, &picks, None)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some((RecordBatch::try_new(Arc::clone(&self.schema), columns)?, windows)))
    }
}
