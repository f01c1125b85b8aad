//! Push tables: rows that the embedding program hands in.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::Engine;
use crate::catalog::{Description, Relation, TableDef, WatermarkDef};
use crate::connector::{Connector, Position, Read, RelationSpec, Sink, Source, SourceBatch};
use crate::error::{Error, Result};
use crate::settings::Options;
use crate::time::parse_duration;

/// Declares a push table.
pub struct PushTableBuilder {
    engine: Engine,
    name: String,
    schema: SchemaRef,
    event_time: Option<String>,
    delay: String,
    partitions: usize,
}

/// A table that rows are pushed into; clones push into the same.
#[derive(Clone)]
pub struct PushTable {
    schema: SchemaRef,
    buffer: Arc<Buffer>,
}

#[derive(Default)]
struct Buffer {
    state: Mutex<BufferState>,
    arrived: Condvar,
}

#[derive(Default)]
struct BufferState {
    waiting: VecDeque<(usize, RecordBatch)>,
    rows_waiting: usize,
    rows_taken: u64,
    ended: bool,
}

/// The connector that push tables are read with.
const CONNECTOR: &str = "push";

/// Rows that may wait in a push table before `push` waits too.
const ROWS_WAITING_MAX: usize = 1 << 20;

impl Engine {
    /// A table that this program pushes rows into. Field names are SQL names: lower case unless queries quote them.
    pub fn push_table(&self, name: &str, schema: SchemaRef) -> PushTableBuilder {
        let engine = self.clone();
        PushTableBuilder {
            engine,
            name: name.to_owned(),
            schema,
            event_time: None,
            delay: "0".to_owned(),
            partitions: 1,
        }
    }
}

impl PushTableBuilder {
    /// The column that carries event time; windows over it close by watermark.
    #[must_use]
    pub fn event_time(mut self, column: &str) -> Self {
        self.event_time = Some(column.to_owned());
        self
    }

    /// How far rows may be out of order (`2s`): the watermark follows the newest row at this distance.
    #[must_use]
    pub fn lateness(mut self, delay: &str) -> Self {
        delay.clone_into(&mut self.delay);
        self
    }

    /// In how many partitions rows come, each in an order of its own.
    #[must_use]
    pub fn partitions(mut self, partitions: usize) -> Self {
        self.partitions = partitions.max(1);
        self
    }

    /// The table.
    ///
    /// # Errors
    /// When the name is taken, or the event time is no timestamp column.
    pub fn create(self) -> Result<PushTable> {
        if self.engine.catalog().get(&self.name).is_some() {
            return Err(Error::sql(format!("'{}' exists already", self.name)));
        }
        let watermark = match &self.event_time {
            None => None,
            Some(column) => {
                let index =
                    self.schema.index_of(column).map_err(|_| Error::sql(format!("there is no column '{column}'")))?;
                if !matches!(self.schema.field(index).data_type(), arrow::datatypes::DataType::Timestamp(..)) {
                    return Err(Error::sql(format!("column '{column}' is not a timestamp")));
                }
                Some(WatermarkDef { column: index, delay_micros: Some(parse_duration(&self.delay)?), expr: None })
            }
        };
        let buffer = Arc::new(Buffer::default());
        let table = TableDef {
            name: self.name.clone(),
            schema: crate::catalog::mark_watermarked(Arc::clone(&self.schema), watermark.as_ref()),
            computed: std::collections::BTreeMap::new(),
            watermark,
            connector: CONNECTOR.to_owned(),
            options: Options::new(),
            description: Description {
                bounded: false,
                // Rows can't be read twice, and a time far ahead of the clock is doubted as from any live source: a program that
                // replays the future says SET max_future_skew = 0.
                live: true,
                readable: true,
                writable: false,
                accepts_changes: false,
                gives_changes: false,
                partitions: self.partitions,
            },
            idle_timeout_micros: None,
            primary_key: Vec::new(),
        };
        if table.watermark.is_some() {
            self.engine.declare_late(&table.name, &table.schema)?;
        }
        self.engine.catalog_mut().put(Relation::Table(Arc::new(table)))?;
        let connector = PushConnector(Arc::clone(&buffer));
        self.engine.shared.pushed.lock().unwrap_or_else(PoisonError::into_inner).insert(self.name, Arc::new(connector));
        Ok(PushTable { schema: self.schema, buffer })
    }
}

impl PushTable {
    /// Pushes rows into partition 0; waits while too many rows wait to be run.
    ///
    /// # Errors
    /// When the batch has other columns, or the table was closed.
    pub async fn push(&self, batch: RecordBatch) -> Result<()> {
        while self.buffer.lock().rows_waiting >= ROWS_WAITING_MAX {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.push_to(0, batch)
    }

    /// Pushes rows into a partition, at once.
    ///
    /// # Errors
    /// As [`PushTable::push`].
    pub fn push_to(&self, partition: usize, batch: RecordBatch) -> Result<()> {
        let same = |(a, b): (&Arc<arrow::datatypes::Field>, &Arc<arrow::datatypes::Field>)| {
            a.name() == b.name() && a.data_type() == b.data_type()
        };
        let given = batch.schema();
        if given.fields().len() != self.schema.fields().len()
            || !given.fields().iter().zip(self.schema.fields()).all(same)
        {
            return Err(Error::data(format!("the batch has columns {given}, the table has {}", self.schema)));
        }
        let mut state = self.buffer.lock();
        if state.ended {
            return Err(Error::data("the table was closed"));
        }
        state.rows_waiting += batch.num_rows();
        state.waiting.push_back((partition, batch));
        drop(state);
        self.buffer.arrived.notify_all();
        Ok(())
    }

    /// No more rows will come: windows close and queries end.
    pub fn close(&self) {
        self.buffer.lock().ended = true;
        self.buffer.arrived.notify_all();
    }
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads what is pushed.
pub(super) struct PushConnector(Arc<Buffer>);

struct PushSource {
    buffer: Arc<Buffer>,
    projection: Vec<usize>,
}

impl Connector for PushConnector {
    fn name(&self) -> &'static str {
        CONNECTOR
    }

    fn describe(&self, _: &RelationSpec) -> Result<Description> {
        Err(Error::internal("push tables are described when they are made"))
    }

    fn source(&self, _: &RelationSpec, projection: &[usize]) -> Result<Box<dyn Source>> {
        Ok(Box::new(PushSource { buffer: Arc::clone(&self.0), projection: projection.to_vec() }))
    }

    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>> {
        Err(Error::sql(format!("'{}' can only be pushed into by its program", spec.name)))
    }
}

impl Source for PushSource {
    fn read(&mut self, wait: Duration) -> Result<Read> {
        let mut state = self.buffer.lock();
        if state.waiting.is_empty() && !state.ended && !wait.is_zero() {
            state = self.buffer.arrived.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        match state.waiting.pop_front() {
            Some((partition, batch)) => {
                let records = batch.num_rows() as u64;
                state.rows_waiting -= batch.num_rows();
                state.rows_taken += records;
                let position = Position(state.rows_taken.into());
                drop(state);
                let bytes = batch.get_array_memory_size() as u64;
                let batch = batch.project(&self.projection)?;
                Ok(Read::Batch(SourceBatch { partition, batch, records, bytes, bad: Vec::new(), position }))
            }
            None if state.ended => Ok(Read::End),
            None => Ok(Read::Idle),
        }
    }
}
