//! The rows of a query that goes on: from the driver to one client, as they come.
//!
//! The driver never waits for a client. What the client has not read yet is queued; when more has queued than a bound, the
//! query fails with an error that says so, and the others go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use sqlparser::ast;
use tokio::sync::mpsc;

use super::names::renamed;
use crate::change::Change;
use crate::connector::Sink;
use crate::engine::{Engine, Output, OutputInfo};
use crate::error::{Error, ErrorKind, Result};
use crate::format::each_move;
use crate::time::IntervalId;

/// Name of the column that says what becomes of a row: `+I`, `-U`, `+U`, `-D`.
const OP: &str = "op";
/// The most that waits for one client.
const QUEUE_BYTES_MAX: usize = 256 << 20;

/// The rows of a live query. Dropping it stops the query.
pub(super) struct LiveRows {
    engine: Engine,
    query: u64,
    pub(super) schema: SchemaRef,
    batches: mpsc::UnboundedReceiver<RecordBatch>,
    queued: Arc<AtomicUsize>,
}

impl LiveRows {
    /// The next rows; `None` when the query has ended.
    ///
    /// # Errors
    /// Why the query has failed.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self.batches.recv().await {
            Some(batch) => {
                self.queued.fetch_sub(batch.get_array_memory_size(), Ordering::Relaxed);
                Ok(Some(batch))
            }
            None => match self.engine.failure_of(self.query).await {
                Some(error) => Err(error),
                None => Ok(None),
            },
        }
    }
}

impl Drop for LiveRows {
    fn drop(&mut self) {
        self.engine.stop(self.query);
    }
}

/// The columns of changes: what becomes of the row, and the row.
pub(super) fn with_op(schema: &Schema) -> SchemaRef {
    let op = Arc::new(Field::new(OP, DataType::Utf8, false));
    let fields: Vec<_> = std::iter::once(op).chain(schema.fields().iter().cloned()).collect();
    Arc::new(Schema::new(fields))
}

/// Opens the channel to the client for a query that is about to run.
pub(super) struct LiveOutput<'q> {
    /// A SELECT names its columns.
    query: Option<&'q ast::Query>,
    /// SUBSCRIBE: the column `op` is there even when rows only come.
    subscribed: bool,
    opened: Option<(SchemaRef, mpsc::UnboundedReceiver<RecordBatch>, Arc<AtomicUsize>)>,
}

impl<'q> LiveOutput<'q> {
    pub(super) fn new(subscribed: bool, query: Option<&'q ast::Query>) -> Self {
        Self { query, subscribed, opened: None }
    }

    /// The rows, once the query has been started.
    ///
    /// # Errors
    /// When no query has opened the output.
    pub(super) fn rows(self, engine: &Engine, query: u64) -> Result<LiveRows> {
        let (schema, batches, queued) =
            self.opened.ok_or_else(|| Error::internal("a live query has opened no output"))?;
        Ok(LiveRows { engine: engine.clone(), query, schema, batches, queued })
    }
}

impl Output for LiveOutput<'_> {
    fn open(&mut self, info: &OutputInfo) -> Result<Box<dyn Sink>> {
        let (sender, batches) = mpsc::unbounded_channel();
        let queued = Arc::<AtomicUsize>::default();
        let changes = self.subscribed || !info.append_only;
        let schema = if changes { with_op(&info.schema) } else { info.schema.clone() };
        let named = self.query.map_or_else(|| info.schema.clone(), |query| renamed(&info.schema, query));
        let named = if changes { with_op(&named) } else { named };
        self.opened = Some((named, batches, queued.clone()));
        let key = info.key.clone();
        Ok(Box::new(LiveSink { sender: Some(sender), queued, schema, key, changes, staged: Vec::new() }))
    }
}

struct LiveSink {
    sender: Option<mpsc::UnboundedSender<RecordBatch>>,
    queued: Arc<AtomicUsize>,
    schema: SchemaRef,
    key: Option<Vec<usize>>,
    changes: bool,
    staged: Vec<RecordBatch>,
}

impl LiveSink {
    /// A row per move, `op` in front.
    fn moves(&self, change: &Change) -> Result<RecordBatch> {
        let (mut ops, mut rows) = (Vec::new(), Vec::new());
        each_move(change, self.key.as_deref(), |op, row| {
            ops.push(op.sign());
            rows.push(row as u64);
            Ok(())
        })?;
        let moved = take_record_batch(&change.batch, &UInt64Array::from(rows))?;
        let op: ArrayRef = Arc::new(StringArray::from(ops));
        let columns = std::iter::once(op).chain(moved.columns().iter().cloned()).collect();
        Ok(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

impl Sink for LiveSink {
    fn stage(&mut self, _: IntervalId, change: &Change) -> Result<()> {
        if change.num_rows() > 0 {
            let batch = if self.changes { self.moves(change)? } else { change.batch.clone() };
            self.staged.push(batch);
        }
        Ok(())
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        for batch in self.staged.drain(..) {
            let size = batch.get_array_memory_size();
            if self.queued.fetch_add(size, Ordering::Relaxed) > QUEUE_BYTES_MAX {
                return Err(Error::new(
                    ErrorKind::Limit,
                    format!("the client reads too slowly: more than {} MiB wait for it", QUEUE_BYTES_MAX >> 20),
                )
                .help("select less, or keep the result in a MATERIALIZED VIEW and read that"));
            }
            // A client that has gone stops the query by dropping its rows.
            if let Some(sender) = &self.sender {
                let _ = sender.send(batch);
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.sender = None;
        Ok(())
    }
}
