//! The source operator: hands on the interval's rows of one source, in the columns that the plan reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use super::context::QueryContext;
use super::operator::{Operate, Run};
use crate::error::{Error, Result};
use crate::plan::{OperatorId, ROW_WATERMARK};
use async_trait::async_trait;
use datafusion::execution::TaskContext;

pub(super) struct Source {
    /// Index of the source in the plan.
    pub(super) source: usize,
    /// What comes out, hidden columns last.
    pub(super) schema: SchemaRef,
}

impl Operate for Source {
    fn name(&self) -> &'static str {
        "SourceExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(SourceRun { context, source: self.source, schema: Arc::clone(&self.schema) }))
    }
}

struct SourceRun {
    context: Arc<QueryContext>,
    source: usize,
    schema: SchemaRef,
}

#[async_trait]
impl Run for SourceRun {
    fn push(&mut self, _: usize, _: RecordBatch) -> Result<Vec<RecordBatch>> {
        Err(Error::internal("a source has no input"))
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let interval = self.context.interval();
        let Some(input) = interval.sources.get(self.source) else { return Ok(Vec::new()) };
        input.batches.iter().map(|batch| self.select(batch)).collect()
    }
}

impl SourceRun {
    fn select(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let column = |name: &str| -> Result<ArrayRef> {
            match batch.column_by_name(name) {
                Some(column) => Ok(Arc::clone(column)),
                // A partition whose rows can't be late has no watermark to judge them by.
                None if name == ROW_WATERMARK => Ok(Arc::new(Int64Array::from(vec![i64::MIN; batch.num_rows()]))),
                None => Err(Error::internal(format!("the source did not read column '{name}'"))),
            }
        };
        let columns = self.schema.fields().iter().map(|f| column(f.name())).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// Hands on the rows that an operator gives to the body that it recomputes.
pub(super) struct Slot {
    pub(super) id: OperatorId,
    pub(super) input: usize,
}

impl Operate for Slot {
    fn name(&self) -> &'static str {
        "SlotExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(SlotRun(context.slot(self.id, self.input))))
    }
}

struct SlotRun(Vec<RecordBatch>);

#[async_trait]
impl Run for SlotRun {
    fn push(&mut self, _: usize, _: RecordBatch) -> Result<Vec<RecordBatch>> {
        Err(Error::internal("a slot has no input"))
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        Ok(std::mem::take(&mut self.0))
    }
}
