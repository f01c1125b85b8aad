//! LIMIT over rows that only come, and rows of the text that come once.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};

use super::contents::StateRows;
use super::context::{OperatorState, QueryContext};
use super::operator::{Operate, Run};
use crate::error::Result;
use crate::plan::OperatorId;
use async_trait::async_trait;
use datafusion::execution::TaskContext;

/// Lets the first rows through.
pub(super) struct Limit {
    pub(super) id: OperatorId,
    pub(super) skip: usize,
    pub(super) fetch: usize,
    /// Whether the query has ended with the last row.
    pub(super) ends_query: bool,
}

impl Operate for Limit {
    fn name(&self) -> &'static str {
        "LimitExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        let seen = context.with_state(self.id, || Ok(Count::default()), |count| Ok(count.decided))?;
        Ok(Box::new(LimitRun {
            context,
            id: self.id,
            skip: self.skip,
            end: self.skip.saturating_add(self.fetch),
            ends_query: self.ends_query,
            seen,
        }))
    }
}

/// Rows seen so far.
#[derive(Default)]
struct Count {
    decided: usize,
    staged: Option<usize>,
}

impl OperatorState for Count {
    fn commit(&mut self) -> Result<()> {
        self.decided = self.staged.take().unwrap_or(self.decided);
        Ok(())
    }

    fn rollback(&mut self) {
        self.staged = None;
    }

    fn contents(&self) -> Result<Vec<StateRows>> {
        let seen = Int64Array::from(vec![self.decided as i64]);
        Ok(vec![StateRows::new("", vec![("seen".to_owned(), Arc::new(seen))], 1)?])
    }

    fn rows(&self) -> usize {
        1
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

struct LimitRun {
    context: Arc<QueryContext>,
    id: OperatorId,
    skip: usize,
    end: usize,
    ends_query: bool,
    seen: usize,
}

#[async_trait]
impl Run for LimitRun {
    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let from = self.skip.saturating_sub(self.seen).min(batch.num_rows());
        let to = self.end.saturating_sub(self.seen).min(batch.num_rows());
        self.seen = self.seen.saturating_add(batch.num_rows());
        Ok(if from < to { vec![batch.slice(from, to - from)] } else { Vec::new() })
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let seen = self.seen;
        self.context.with_state(
            self.id,
            || Ok(Count::default()),
            |count| {
                count.staged = Some(seen);
                Ok(())
            },
        )?;
        if self.ends_query && seen >= self.end {
            self.context.finish();
        }
        Ok(Vec::new())
    }
}

/// Lets its input through in the first interval.
pub(super) struct Once;

impl Operate for Once {
    fn name(&self) -> &'static str {
        "OnceExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(OnceRun { first: context.interval().first }))
    }
}

struct OnceRun {
    first: bool,
}

#[async_trait]
impl Run for OnceRun {
    fn reads(&self) -> bool {
        self.first
    }

    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        Ok(vec![batch])
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        Ok(Vec::new())
    }
}
