//! Keyed recompute: fetch the rows of the keys that an interval touches, before and after; run the stock operator on both; the
//! difference is what comes out.
//!
//! It makes every operator with a key correct: OVER, Top-N, NOT IN, aggregates over rows that come and go. An
//! operator without a key has the empty one, and is computed again whole. The rows are given to the stock operator in an order
//! that depends on the rows alone, so that what it does with ties depends neither on arrival nor on how the stream was cut,
//! and the result "before" is the one that came out the last time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;

use super::assign::micros;
use super::contents::StateRows;
use super::context::{OperatorState, QueryContext};
use super::key::canonical;
use super::operator::{Operate, Run};
use super::weighted::{Outlet, Weighted, consolidate};
use crate::error::{Error, Result};
use crate::plan::{Expiry, OperatorId, WindowRole};
use crate::state::{KeyIndex, RowStore, Rows};
use crate::time::{WindowSpec, window_time_gap};

/// What is fixed when it is planned.
pub(super) struct Recompute {
    pub(super) id: OperatorId,
    pub(super) body: Arc<dyn ExecutionPlan>,
    pub(super) inputs: Vec<Input>,
    pub(super) key_types: Vec<DataType>,
    pub(super) order: Vec<(Arc<dyn PhysicalExpr>, SortOptions)>,
    pub(super) unique: Option<Vec<usize>>,
    pub(super) expiry: Option<Expiry>,
    pub(super) keep: Option<usize>,
    pub(super) schema: SchemaRef,
}

/// One input.
pub(super) struct Input {
    /// The key, over all columns.
    pub(super) keys: Vec<Arc<dyn PhysicalExpr>>,
    /// The columns that the body sees.
    pub(super) visible: Vec<usize>,
    pub(super) schema: SchemaRef,
    /// The column of weights.
    pub(super) weight: Option<usize>,
}

impl Input {
    /// The keys of rows, whose columns are those that the body sees: the first of the input.
    fn keys_of(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>> {
        self.keys.iter().map(|k| Ok(k.evaluate(rows)?.into_array(rows.num_rows())?)).collect()
    }
}

/// What an interval brings of one input.
struct Delta {
    keys: Vec<ArrayRef>,
    rows: Weighted,
}

impl Operate for Arc<Recompute> {
    fn name(&self) -> &'static str {
        "RecomputeExec"
    }

    fn start(&self, context: Arc<QueryContext>, task: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        let deltas = self.inputs.iter().map(|_| Vec::new()).collect();
        Ok(Box::new(RecomputeRun { recompute: Arc::clone(self), context, task: Arc::clone(task), deltas }))
    }
}

/// The rows of every input.
struct Stores(Vec<(RowStore, SchemaRef)>);

impl OperatorState for Stores {
    fn commit(&mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(|(store, _)| store.commit())
    }

    fn rollback(&mut self) {
        self.0.iter_mut().for_each(|(store, _)| store.rollback());
    }

    fn rows(&self) -> usize {
        self.0.iter().map(|(store, _)| store.len()).sum()
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(store, _)| store.bytes()).sum()
    }

    fn contents(&self) -> Result<Vec<StateRows>> {
        let parts: &[&str] = if self.0.len() == 2 { &["left", "right"] } else { &[""] };
        let table = |(part, (store, schema)): (&&'static str, &(RowStore, SchemaRef))| {
            let (columns, weights) = store.all()?;
            let count = weights.len();
            let weights: ArrayRef = Arc::new(Int64Array::from(weights));
            let names = schema.fields().iter().map(|f| f.name().clone());
            StateRows::new(part, names.zip(columns).chain([("weight".to_owned(), weights)]).collect(), count)
        };
        parts.iter().zip(&self.0).map(table).collect()
    }
}

struct RecomputeRun {
    recompute: Arc<Recompute>,
    context: Arc<QueryContext>,
    task: Arc<TaskContext>,
    deltas: Vec<Vec<Delta>>,
}

#[async_trait]
impl Run for RecomputeRun {
    fn push(&mut self, input: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let spec = &self.recompute.inputs[input];
        let rows = batch.num_rows();
        let key = |k: &Arc<dyn PhysicalExpr>| Ok(canonical(k.evaluate(&batch)?.into_array(rows)?));
        let keys = spec.keys.iter().map(key).collect::<Result<Vec<_>>>()?;
        let columns = spec.visible.iter().map(|i| Arc::clone(batch.column(*i))).collect();
        let weights = match spec.weight {
            Some(i) => batch.column(i).as_primitive::<Int64Type>().values().to_vec(),
            None => vec![1; rows],
        };
        self.deltas[input].push(Delta { keys, rows: Weighted { columns, weights } });
        Ok(Vec::new())
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let recompute = Arc::clone(&self.recompute);
        let first = self.context.interval().first;
        let touched = self.touched(first)?;
        let rows = self.before_and_after(touched.as_ref())?;
        let Some((before, after)) = rows else { return Ok(Vec::new()) };
        // The first interval of a key without columns: nothing has come out yet, not even the row of an empty aggregate.
        let nothing_yet = first && recompute.key_types.is_empty();
        let before = if nothing_yet { Vec::new() } else { self.compute(before).await? };
        let after = self.compute(after).await?;
        Ok(recompute.difference(&before, &after)?.into_iter().collect())
    }
}

/// Rows of every input.
type Inputs = Vec<RecordBatch>;

impl RecomputeRun {
    /// The keys of the interval; `None` when there are none.
    fn touched(&self, first: bool) -> Result<Option<KeyIndex>> {
        let mut index = KeyIndex::new(&self.recompute.key_types)?;
        for delta in self.deltas.iter().flatten() {
            index.insert(&delta.keys, delta.rows.weights.len())?;
        }
        if first && self.recompute.key_types.is_empty() {
            index.insert(&[], 1)?;
        }
        Ok(Some(index).filter(|i| !i.is_empty()))
    }

    /// The rows of the touched keys without and with the interval's changes, which are staged.
    fn before_and_after(&mut self, touched: Option<&KeyIndex>) -> Result<Option<(Inputs, Inputs)>> {
        let recompute = Arc::clone(&self.recompute);
        let deltas = std::mem::take(&mut self.deltas);
        let create = || recompute.stores();
        let closing = recompute.expiry.as_ref().map(|e| self.context.closing_time(e.domain, e.lag, &e.sources));
        self.context.with_state(recompute.id, create, |stores| {
            if let Some(time) = closing {
                stores.0.iter_mut().for_each(|(store, _)| store.stage_expiry(time));
            }
            let Some(touched) = touched else { return Ok(None) };
            let count = touched.len();
            let slots: Vec<u32> = touched.slots().collect();
            let keys = if recompute.key_types.is_empty() { Vec::new() } else { touched.keys(&slots)? };
            let (mut before, mut after) = (Vec::new(), Vec::new());
            for (((store, _), input), deltas) in stores.0.iter_mut().zip(&recompute.inputs).zip(deltas) {
                let (columns, weights) = store.read(&keys, count)?;
                self.context.counters.state_rows_read.fetch_add(weights.len() as u64, Ordering::Relaxed);
                let kept = Weighted { columns, weights };
                let changes = deltas.iter().map(|d| &d.rows);
                let now = recompute.arrange(input, std::iter::once(&kept).chain(changes))?;
                let was = recompute.arrange(input, std::iter::once(&kept))?;
                if let Some(keep) = recompute.keep {
                    let first = recompute.first_of_keys(input, now, keep)?;
                    if let Some(delta) = recompute.exchange(input, &was, &first)? {
                        store.stage(recompute.to_stage(delta)?);
                    }
                    after.push(first);
                    before.push(was);
                    continue;
                }
                after.push(now);
                before.push(was);
                for delta in deltas {
                    store.stage(recompute.to_stage(delta)?);
                }
            }
            Ok(Some((before, after)))
        })
    }

    /// Runs the body over rows of every input.
    async fn compute(&self, rows: Inputs) -> Result<Vec<RecordBatch>> {
        for (input, rows) in rows.into_iter().enumerate() {
            self.context.fill_slot(self.recompute.id, input, rows);
        }
        let plan = reset_plan_states(Arc::clone(&self.recompute.body))?;
        let mut out = Vec::new();
        for partition in 0..plan.output_partitioning().partition_count() {
            let mut stream = plan.execute(partition, Arc::clone(&self.task))?;
            while let Some(batch) = stream.next().await {
                out.push(batch?);
            }
        }
        Ok(out)
    }
}

impl Recompute {
    fn stores(&self) -> Result<Stores> {
        let store = |input: &Input| {
            let columns: Vec<DataType> = input.schema.fields().iter().map(|f| f.data_type().clone()).collect();
            let come_and_go = input.weight.is_some() || self.keep.is_some();
            Ok((RowStore::new(&self.key_types, &columns, come_and_go)?, Arc::clone(&input.schema)))
        };
        Ok(Stores(self.inputs.iter().map(store).collect::<Result<_>>()?))
    }

    /// Rows with their changes applied, each as often as it is there, in an order that depends on the rows alone.
    fn arrange<'a>(&self, input: &Input, parts: impl Iterator<Item = &'a Weighted>) -> Result<RecordBatch> {
        let types: Vec<DataType> = input.schema.fields().iter().map(|f| f.data_type().clone()).collect();
        let all = consolidate(&types, parts)?;
        let indices = all
            .weights
            .iter()
            .enumerate()
            .flat_map(|(i, w)| std::iter::repeat_n(i as u32, usize::try_from(*w).unwrap_or_default()));
        let indices = UInt32Array::from_iter_values(indices);
        let columns = all.columns.iter().map(|c| take(c, &indices, None)).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(indices.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&input.schema), columns, &options)?;
        self.sorted(batch)
    }

    fn sorted(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if batch.num_rows() < 2 || batch.num_columns() == 0 {
            return Ok(batch);
        }
        let (mut fields, mut columns) = (Vec::new(), Vec::new());
        for (expr, options) in &self.order {
            let column = expr.evaluate(&batch)?.into_array(batch.num_rows())?;
            fields.push(SortField::new_with_options(column.data_type().clone(), *options));
            columns.push(column);
        }
        for column in batch.columns() {
            fields.push(SortField::new(column.data_type().clone()));
            columns.push(Arc::clone(column));
        }
        let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
        let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
        order.sort_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
        Ok(arrow::compute::take_record_batch(&batch, &UInt32Array::from(order))?)
    }

    /// The first rows of each key, of rows in order.
    fn first_of_keys(&self, input: &Input, rows: RecordBatch, keep: usize) -> Result<RecordBatch> {
        if self.key_types.is_empty() {
            let len = keep.min(rows.num_rows());
            return Ok(rows.slice(0, len));
        }
        let keys = input.keys_of(&rows)?;
        let mut index = KeyIndex::new(&self.key_types)?;
        let slots = index.insert(&keys, rows.num_rows())?;
        let mut seen = vec![0_usize; index.capacity()];
        let stays = |(row, slot): (usize, &u32)| {
            let count = &mut seen[*slot as usize];
            *count += 1;
            (*count <= keep).then_some(row as u32)
        };
        let picks: UInt32Array = slots.iter().enumerate().filter_map(stays).collect::<Vec<_>>().into();
        Ok(arrow::compute::take_record_batch(&rows, &picks)?)
    }

    /// What makes the rows that are kept of those that were.
    fn exchange(&self, input: &Input, was: &RecordBatch, now: &RecordBatch) -> Result<Option<Delta>> {
        let types: Vec<DataType> = input.schema.fields().iter().map(|f| f.data_type().clone()).collect();
        let part = |batch: &RecordBatch, weight| Weighted {
            columns: batch.columns().to_vec(),
            weights: vec![weight; batch.num_rows()],
        };
        let rows = consolidate(&types, [part(was, -1), part(now, 1)].iter())?;
        if rows.weights.is_empty() {
            return Ok(None);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.weights.len()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&input.schema), rows.columns.clone(), &options)?;
        Ok(Some(Delta { keys: input.keys_of(&batch)?, rows }))
    }

    fn to_stage(&self, delta: Delta) -> Result<Rows> {
        let expires = self.expiry.as_ref().map(|e| expiry_times(e, &delta.keys)).transpose()?;
        let expires = expires.map(|e| e.values().to_vec());
        let Weighted { columns, weights } = delta.rows;
        Ok(Rows { keys: delta.keys, columns, weights, expires, matches: None })
    }

    /// After − before.
    fn difference(&self, before: &[RecordBatch], after: &[RecordBatch]) -> Result<Option<RecordBatch>> {
        let part = |batch: &RecordBatch, weight: i64| Weighted {
            columns: batch.columns().to_vec(),
            weights: vec![weight; batch.num_rows()],
        };
        let parts: Vec<Weighted> = before.iter().map(|b| part(b, -1)).chain(after.iter().map(|b| part(b, 1))).collect();
        let outlet = Outlet { schema: &self.schema, weighted: true, unique: self.unique.as_deref() };
        outlet.sum(&parts)
    }
}

/// When each row's key is freed (µs): the end of the window in it.
pub(super) fn expiry_times(expiry: &Expiry, keys: &[ArrayRef]) -> Result<Int64Array> {
    let column = keys.get(expiry.position).ok_or_else(|| Error::internal("a window that is not in the key"))?;
    let (times, unit) = micros(column)?;
    let shift = match (expiry.role, expiry.spec) {
        (WindowRole::End, _) => 0,
        (WindowRole::Time, _) => window_time_gap(unit),
        (WindowRole::Start, WindowSpec::Tumble { size, .. } | WindowSpec::Hop { size, .. }) => size,
        (WindowRole::Start, _) => return Err(Error::internal("the start alone does not name this window")),
    };
    // A row whose window is NULL belongs to no window that could free it.
    let end = |t: Option<i64>| t.map_or(i64::MAX, |t| t.saturating_add(shift));
    Ok(Int64Array::from_iter_values(times.iter().map(end)))
}
