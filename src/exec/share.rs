//! Share: one input for several readers. The first that reads it in an interval keeps the rows for the others.

use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::execution::TaskContext;

use super::context::QueryContext;
use super::operator::{Operate, Run};
use crate::error::Result;

/// Hands rows on to each of its readers.
pub(super) struct Share {
    pub(super) id: usize,
}

impl Operate for Share {
    fn name(&self) -> &'static str {
        "ShareExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        let kept = context.shared(self.id);
        Ok(Box::new(ShareRun { id: self.id, context, kept, read: Vec::new() }))
    }
}

struct ShareRun {
    id: usize,
    context: Arc<QueryContext>,
    /// What another reader has read.
    kept: Option<Vec<RecordBatch>>,
    read: Vec<RecordBatch>,
}

#[async_trait]
impl Run for ShareRun {
    fn reads(&self) -> bool {
        self.kept.is_none()
    }

    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        self.read.push(batch.clone());
        Ok(vec![batch])
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        Ok(self.kept.take().unwrap_or_else(|| {
            self.context.share(self.id, std::mem::take(&mut self.read));
            Vec::new()
        }))
    }
}
