//! What an operator finds in its task context: the interval's input and the query's state.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arrow::array::RecordBatch;
use datafusion::execution::TaskContext;

use super::contents::StateRows;
use crate::error::{Error, Result};
use crate::plan::{OperatorId, TimeDomain};
use crate::time::{IntervalId, Timestamp, Watermark};

/// What one interval brings to a query.
#[derive(Debug, Clone)]
pub struct IntervalInput {
    /// Its number.
    pub id: IntervalId,
    /// Wall time of the interval, never less than that of the one before.
    pub now: Timestamp,
    /// The query's first interval.
    pub first: bool,
    /// By index of the plan's sources.
    pub sources: Vec<SourceInput>,
}

/// What one interval brings of one source.
#[derive(Debug, Clone, Default)]
pub struct SourceInput {
    /// Rows, each batch of one partition and in arrival order; the row watermark is a column of them where it is needed.
    pub batches: Vec<RecordBatch>,
    /// The source's watermark behind these rows, in µs.
    pub watermark: Watermark,
    /// No more rows will come.
    pub ended: bool,
}

/// What an operator keeps between intervals.
pub(super) trait OperatorState: Any + Send {
    /// Makes what the interval staged the base.
    fn commit(&mut self) -> Result<()>;
    /// Forgets what the interval staged.
    fn rollback(&mut self);
    /// Rows held.
    fn rows(&self) -> usize;
    /// Bytes held.
    fn bytes(&self) -> usize;
    /// What is held, as rows to read: a table each, as of the last decided interval.
    fn contents(&self) -> Result<Vec<StateRows>> {
        Ok(Vec::new())
    }
    /// When (µs of wall time) rows are due to enter or leave, though none come from the sources.
    fn due_at(&self) -> Option<i64> {
        None
    }
    /// Windows open, and the end (µs) of the one that closes next.
    fn windows(&self) -> (usize, Option<i64>) {
        (0, None)
    }
}

/// What operators count.
#[derive(Debug, Default)]
pub struct Counters {
    /// Rows that were late for a window, once per window missed.
    pub late: AtomicU64,
    /// Rows without an event time, which belong to no window.
    pub null_time: AtomicU64,
    /// Windows closed.
    pub closed: AtomicU64,
    /// Rows read from state tables.
    pub state_rows_read: AtomicU64,
}

/// The state of a query and the interval that it runs.
pub struct QueryContext {
    interval: RwLock<Arc<IntervalInput>>,
    states: Mutex<BTreeMap<OperatorId, Box<dyn OperatorState>>>,
    /// What operators count.
    pub counters: Counters,
    /// Rows that were late in this interval, by source.
    late_rows: Mutex<Vec<(usize, RecordBatch)>>,
    /// A LIMIT has let its last row through.
    done: AtomicBool,
    /// Rows given to the bodies of recompute operators, by operator and input.
    slots: Mutex<BTreeMap<(OperatorId, usize), Vec<RecordBatch>>>,
    /// What shared inputs have brought in this interval.
    shared: Mutex<BTreeMap<usize, Vec<RecordBatch>>>,
}

impl Default for QueryContext {
    fn default() -> Self {
        let input = IntervalInput { id: IntervalId::NONE, now: Timestamp(0), first: true, sources: Vec::new() };
        Self {
            interval: RwLock::new(Arc::new(input)),
            states: Mutex::default(),
            counters: Counters::default(),
            late_rows: Mutex::default(),
            done: AtomicBool::new(false),
            slots: Mutex::default(),
            shared: Mutex::default(),
        }
    }
}

impl QueryContext {
    /// The context of the query that a task belongs to.
    pub(super) fn of(task: &TaskContext) -> Result<Arc<Self>> {
        task.session_config().get_extension::<Self>().ok_or_else(|| Error::internal("an operator ran outside a query"))
    }

    /// The interval that runs.
    pub fn interval(&self) -> Arc<IntervalInput> {
        Arc::clone(&self.interval.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn begin(&self, input: IntervalInput) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).clear();
        *self.interval.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(input);
    }

    /// Works on an operator's state, made by `create` when it has none yet.
    pub(super) fn with_state<S: OperatorState, T>(
        &self,
        id: OperatorId,
        create: impl FnOnce() -> Result<S>,
        work: impl FnOnce(&mut S) -> Result<T>,
    ) -> Result<T> {
        let mut states = self.states();
        let state = match states.entry(id) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Box::new(create()?)),
        };
        let any: &mut dyn Any = state.as_mut();
        let state = any.downcast_mut::<S>().ok_or_else(|| Error::internal("an operator found another's state"))?;
        work(state)
    }

    pub(super) fn states(&self) -> MutexGuard<'_, BTreeMap<OperatorId, Box<dyn OperatorState>>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time up to which windows over these sources are closed (µs); `lag` is how far the watermark must have passed an end.
    pub(super) fn closing_time(&self, domain: TimeDomain, lag: i64, sources: &[usize]) -> Watermark {
        let interval = self.interval();
        let of = |i: &usize| interval.sources.get(*i);
        let time = match domain {
            TimeDomain::Event => sources.iter().filter_map(of).map(|s| s.watermark).min().unwrap_or(i64::MAX),
            TimeDomain::Processing if sources.iter().filter_map(of).all(|s| s.ended) => i64::MAX,
            TimeDomain::Processing => interval.now.0,
            TimeDomain::Unbounded => i64::MIN,
        };
        if time == i64::MAX { time } else { time.saturating_sub(lag) }
    }

    /// Whether none of these sources brings any more rows.
    pub(super) fn have_ended(&self, sources: &[usize]) -> bool {
        let interval = self.interval();
        sources.iter().all(|i| interval.sources.get(*i).is_none_or(|s| s.ended))
    }

    pub(super) fn fill_slot(&self, id: OperatorId, input: usize, rows: RecordBatch) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).insert((id, input), vec![rows]);
    }

    pub(super) fn slot(&self, id: OperatorId, input: usize) -> Vec<RecordBatch> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(&(id, input)).unwrap_or_default()
    }

    /// What another reader of a shared input has read in this interval.
    pub(super) fn shared(&self, id: usize) -> Option<Vec<RecordBatch>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(super) fn share(&self, id: usize, rows: Vec<RecordBatch>) {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).insert(id, rows);
    }

    /// Keeps late rows to be read, when they are of one source.
    pub(super) fn keep_late(&self, sources: &[usize], rows: RecordBatch) {
        if let [source] = sources {
            self.late_rows.lock().unwrap_or_else(PoisonError::into_inner).push((*source, rows));
        }
    }

    /// Takes the rows that were late in this interval, each with the index of its source in the plan.
    pub fn take_late(&self) -> Vec<(usize, RecordBatch)> {
        std::mem::take(&mut *self.late_rows.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn finish(&self) {
        self.done.store(true, Ordering::Relaxed);
    }

    /// Whether the query needs no more rows.
    pub fn is_done(&self) -> bool {
        self.done.load(Ordering::Relaxed)
    }
}
