//! Judges rows that no window holds: late iff their own time < their row watermark; a row *at* the watermark is on time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, AsArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Int64Type, SchemaRef};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;

use super::assign::micros;
use super::context::QueryContext;
use super::operator::{Operate, Run};
use crate::error::Result;

/// What is fixed when it is planned.
pub(super) struct Judge {
    pub(super) time: Arc<dyn PhysicalExpr>,
    /// Index of the row watermark in the input.
    pub(super) row_watermark: usize,
    /// Whether rows without a time are handed on.
    pub(super) keeps_null: bool,
    /// The sources whose rows it sees.
    pub(super) sources: Vec<usize>,
    /// Input columns that are handed on.
    pub(super) columns: Vec<usize>,
    pub(super) schema: SchemaRef,
}

impl Operate for Arc<Judge> {
    fn name(&self) -> &'static str {
        "JudgeExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(JudgeRun { judge: Arc::clone(self), context }))
    }
}

struct JudgeRun {
    judge: Arc<Judge>,
    context: Arc<QueryContext>,
}

#[async_trait]
impl Run for JudgeRun {
    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let judge = &self.judge;
        let (times, _) = micros(&judge.time.evaluate(&batch)?.into_array(batch.num_rows())?)?;
        let watermarks = batch.column(judge.row_watermark).as_primitive::<Int64Type>();
        let (mut on_time, mut late, mut without) = (Vec::new(), Vec::new(), 0);
        for row in 0..batch.num_rows() {
            if times.is_null(row) && judge.keeps_null {
                on_time.push(row as u32);
            } else if times.is_null(row) {
                without += 1;
            } else if times.value(row) < watermarks.value(row) {
                late.push(row as u32);
            } else {
                on_time.push(row as u32);
            }
        }
        let counters = &self.context.counters;
        counters.null_time.fetch_add(without, Ordering::Relaxed);
        counters.late.fetch_add(late.len() as u64, Ordering::Relaxed);
        let visible = batch.project(&judge.columns)?;
        if !late.is_empty() {
            self.context.keep_late(&judge.sources, take_record_batch(&visible, &UInt32Array::from(late))?);
        }
        if on_time.is_empty() {
            return Ok(Vec::new());
        }
        let kept = if on_time.len() == batch.num_rows() {
            visible
        } else {
            take_record_batch(&visible, &UInt32Array::from(on_time))?
        };
        let options = RecordBatchOptions::new().with_row_count(Some(kept.num_rows()));
        let columns = kept.columns().to_vec();
        Ok(vec![RecordBatch::try_new_with_options(Arc::clone(&judge.schema), columns, &options)?])
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        Ok(Vec::new())
    }
}
