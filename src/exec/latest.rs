//! Latest: of the records that came for a key the last counts. It takes the place of the row that is there, or takes it away.
//!
//! What Flink calls changelog normalization: a table of records that change rows (upserts, Debezium's messages) becomes a
//! relation of rows that come and go. The rows of each key are kept, as what leaves is told by the whole row; a record that
//! comes twice changes nothing the second time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::TaskContext;

use super::contents::StateRows;
use super::context::{OperatorState, QueryContext};
use super::key::canonical;
use super::operator::{Operate, Run};
use super::weighted::{Outlet, Weighted, consolidate};
use crate::error::Result;
use crate::plan::OperatorId;
use crate::state::{KeyIndex, RowStore, Rows};

/// What is fixed when it is planned.
pub(super) struct Latest {
    pub(super) id: OperatorId,
    /// The rows of the input, without their weights.
    pub(super) input: SchemaRef,
    /// The columns of the key in the input.
    pub(super) key: Vec<usize>,
    /// The columns of the input that come out.
    pub(super) output: Vec<usize>,
    /// Those that identify a row, when all of the key comes out.
    pub(super) unique: Option<Vec<usize>>,
    pub(super) schema: SchemaRef,
}

impl Operate for Arc<Latest> {
    fn name(&self) -> &'static str {
        "LatestExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(LatestRun { latest: Arc::clone(self), context, batches: Vec::new() }))
    }
}

/// The row of each key.
struct Kept {
    rows: RowStore,
    schema: SchemaRef,
}

impl OperatorState for Kept {
    fn commit(&mut self) -> Result<()> {
        self.rows.commit()
    }

    fn rollback(&mut self) {
        self.rows.rollback();
    }

    fn rows(&self) -> usize {
        self.rows.len()
    }

    fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn contents(&self) -> Result<Vec<StateRows>> {
        let (columns, weights) = self.rows.all()?;
        let names = self.schema.fields().iter().map(|f| f.name().clone());
        Ok(vec![StateRows::new("", names.zip(columns).collect(), weights.len())?])
    }
}

struct LatestRun {
    latest: Arc<Latest>,
    context: Arc<QueryContext>,
    batches: Vec<Weighted>,
}

#[async_trait]
impl Run for LatestRun {
    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let width = self.latest.input.fields().len();
        let weights = batch.column(width).as_primitive::<Int64Type>().values().to_vec();
        self.batches.push(Weighted { columns: batch.columns()[..width].to_vec(), weights });
        Ok(Vec::new())
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let latest = Arc::clone(&self.latest);
        let batches = std::mem::take(&mut self.batches);
        if batches.is_empty() {
            return Ok(Vec::new());
        }
        let types: Vec<DataType> = latest.input.fields().iter().map(|f| f.data_type().clone()).collect();
        let key_types: Vec<DataType> = latest.key.iter().map(|i| types[*i].clone()).collect();
        let (touched, come) = latest.last_of_keys(&key_types, &batches)?;
        let slots: Vec<u32> = touched.slots().collect();
        let keys = touched.keys(&slots)?;
        let create = || Ok(Kept { rows: RowStore::new(&key_types, &types, true)?, schema: Arc::clone(&latest.input) });
        let parts = self.context.with_state(latest.id, create, |kept| {
            let (columns, weights) = kept.rows.read(&keys, slots.len())?;
            self.context.counters.state_rows_read.fetch_add(weights.len() as u64, Ordering::Relaxed);
            let goes = Weighted { columns, weights: weights.into_iter().map(|w| -w).collect() };
            let parts = [goes, come];
            let Weighted { columns, weights } = consolidate(&types, parts.iter())?;
            kept.rows.stage(Rows { keys: latest.keys(&columns), columns, weights, expires: None, matches: None });
            Ok(parts)
        })?;
        let out = parts.map(|part| Weighted {
            columns: latest.output.iter().map(|i| Arc::clone(&part.columns[*i])).collect(),
            weights: part.weights,
        });
        let outlet = Outlet { schema: &latest.schema, weighted: true, unique: latest.unique.as_deref() };
        Ok(outlet.sum(&out)?.into_iter().collect())
    }
}

impl Latest {
    fn keys(&self, columns: &[ArrayRef]) -> Vec<ArrayRef> {
        self.key.iter().map(|i| canonical(Arc::clone(&columns[*i]))).collect()
    }

    /// The keys that rows came for, and of each the last row, where that is one that comes.
    fn last_of_keys(&self, types: &[DataType], batches: &[Weighted]) -> Result<(KeyIndex, Weighted)> {
        let mut touched = KeyIndex::new(types)?;
        let mut last: Vec<Option<(usize, usize)>> = Vec::new();
        for (at, batch) in batches.iter().enumerate() {
            let slots = touched.insert(&self.keys(&batch.columns), batch.weights.len())?;
            last.resize(touched.capacity(), None);
            for (row, slot) in slots.into_iter().enumerate() {
                last[slot as usize] = (batch.weights[row] > 0).then_some((at, row));
            }
        }
        let picks: Vec<(usize, usize)> = last.into_iter().flatten().collect();
        let column = |i: usize| -> Result<ArrayRef> {
            let parts: Vec<&dyn Array> = batches.iter().map(|b| b.columns[i].as_ref()).collect();
            Ok(interleave(&parts, &picks)?)
        };
        let columns = (0..self.input.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
        Ok((touched, Weighted { columns, weights: vec![1; picks.len()] }))
    }
}
