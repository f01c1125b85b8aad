//! The outside world of a verified script: sources give what is on their tapes when they are told to, and sinks only remember.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;

use super::arrival::{Arrival, Event};
use super::tape::Tape;
use crate::catalog::Description;
use crate::change::Change;
use crate::connector::{Connector, ConnectorRef, Position, Read, RelationSpec, Sink, Source, SourceBatch};
use crate::engine::{Output, OutputInfo};
use crate::error::{Error, Result};
use crate::time::IntervalId;

/// What sources give, and what sinks were given.
pub(super) struct Stage {
    tapes: Arc<Vec<Tape>>,
    orders: Vec<Vec<Event>>,
    partitions: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many rows of each tape may be read so far.
    released: Vec<usize>,
    ended: bool,
    taken: BTreeMap<String, Vec<Change>>,
}

impl Stage {
    pub(super) fn new(tapes: &Arc<Vec<Tape>>, arrival: &Arrival) -> Arc<Self> {
        Arc::new(Self {
            orders: (0..tapes.len()).map(|at| arrival.order(at).collect()).collect(),
            tapes: Arc::clone(tapes),
            partitions: arrival.partitions,
            state: Mutex::new(State { released: vec![0; tapes.len()], ..State::default() }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the rows of the next interval through.
    pub(super) fn release(&self, interval: &[Event]) {
        let mut state = self.lock();
        for event in interval {
            if let Some(released) = state.released.get_mut(event.tape as usize) {
                *released += 1;
            }
        }
    }

    /// No more rows will come.
    pub(super) fn end(&self) {
        self.lock().ended = true;
    }

    /// What each sink was given.
    pub(super) fn taken(&self) -> BTreeMap<String, Vec<Change>> {
        std::mem::take(&mut self.lock().taken)
    }

    fn tape(&self, name: &str) -> Option<usize> {
        self.tapes.iter().position(|t| t.name() == name)
    }

    /// A connector in place of this one.
    pub(super) fn instead_of(self: &Arc<Self>, inner: ConnectorRef) -> Staged {
        Staged { inner, stage: Arc::clone(self) }
    }
}

/// A connector's place, taken by the stage.
pub(super) struct Staged {
    inner: ConnectorRef,
    stage: Arc<Stage>,
}

impl Connector for Staged {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.inner.aliases()
    }

    fn infer(&self, spec: &RelationSpec) -> Result<SchemaRef> {
        match self.stage.tape(&spec.name) {
            Some(at) => Ok(self.stage.tapes[at].physical.schema()),
            None => self.inner.infer(spec),
        }
    }

    fn describe(&self, spec: &RelationSpec) -> Result<Description> {
        let described = self.inner.describe(spec)?;
        Ok(match self.stage.tape(&spec.name) {
            Some(_) => Description { bounded: true, live: false, partitions: self.stage.partitions, ..described },
            None => described,
        })
    }

    fn source(&self, spec: &RelationSpec, projection: &[usize]) -> Result<Box<dyn Source>> {
        let tape = self.stage.tape(&spec.name);
        let tape = tape.ok_or_else(|| Error::internal(format!("'{}' was not recorded", spec.name)))?;
        Ok(Box::new(Replay { stage: Arc::clone(&self.stage), tape, projection: projection.to_vec(), at: 0 }))
    }

    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Memory { stage: Arc::clone(&self.stage), name: spec.name.clone() }))
    }
}

struct Replay {
    stage: Arc<Stage>,
    tape: usize,
    projection: Vec<usize>,
    at: usize,
}

impl Source for Replay {
    fn read(&mut self, _: Duration) -> Result<Read> {
        let (released, ended) = {
            let state = self.stage.lock();
            (state.released[self.tape], state.ended)
        };
        let waiting = &self.stage.orders[self.tape][self.at..released];
        let Some(run) = waiting.chunk_by(|a, b| a.partition == b.partition).next() else {
            return Ok(if ended { Read::End } else { Read::Idle });
        };
        let rows: UInt32Array = run.iter().map(|e| e.row).collect();
        self.at += run.len();
        let tape = &self.stage.tapes[self.tape];
        let batch = take_record_batch(&tape.physical.project(&self.projection)?, &rows)?;
        Ok(Read::Batch(SourceBatch {
            partition: run[0].partition as usize,
            records: run.len() as u64,
            bytes: 0,
            bad: Vec::new(),
            position: Position(self.at.into()),
            batch,
        }))
    }
}

/// A sink that keeps what it is given.
struct Memory {
    stage: Arc<Stage>,
    name: String,
}

impl Sink for Memory {
    fn stage(&mut self, _: IntervalId, change: &Change) -> Result<()> {
        self.stage.lock().taken.entry(self.name.clone()).or_default().push(change.clone());
        Ok(())
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Where the rows of a bare SELECT go.
pub(super) struct Selected {
    pub(super) stage: Arc<Stage>,
    pub(super) name: String,
}

impl Output for Selected {
    fn open(&mut self, _: &OutputInfo) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Memory { stage: Arc::clone(&self.stage), name: self.name.clone() }))
    }
}
