//! A source at work: on a thread of its own behind a bounded queue, or inline for tests and `step()`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::connector::{Read, Source, SourceBatch};
use crate::error::{Error, Result};

/// How long a source may block in one read: the latency of stopping it.
const READ_WAIT: Duration = Duration::from_millis(50);

/// Wakes the driver when a source has something.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<tokio::sync::Notify>);

impl Wake {
    /// Something has come.
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Waits until something has come.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}

/// What comes from a source, in order.
#[derive(Debug)]
pub(super) enum Item {
    Batch(SourceBatch),
    EndOfPartition(usize),
    End,
}

/// A source that is being read.
pub(super) enum Feed {
    /// Read on the caller's thread.
    Inline(Box<dyn Source>),
    /// Read on a thread of its own.
    Threaded(Arc<Queue>),
}

impl Feed {
    /// Reads a source on a thread of its own, holding at most `bytes_max` decoded bytes.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn threaded(name: &str, source: Box<dyn Source>, bytes_max: usize, wake: Wake) -> Result<Self> {
        let queue = Arc::new(Queue { bytes_max, wake, ..Queue::default() });
        let worker = Arc::clone(&queue);
        std::thread::Builder::new()
            .name(format!("source {name}"))
            .spawn(move || {
                // A source that panics would else look like one that is silent, for ever.
                let filled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.fill(source)));
                if filled.is_err() {
                    worker.push(Err(Error::internal("the source's thread panicked")), true, None);
                }
            })
            .map_err(|e| Error::io(format!("no thread for source '{name}': {e}")))?;
        Ok(Self::Threaded(queue))
    }

    /// The next item, when there is one.
    ///
    /// # Errors
    /// When the source has failed.
    pub(super) fn next(&mut self) -> Result<Option<Item>> {
        match self {
            Self::Threaded(queue) => queue.pop(),
            Self::Inline(source) => Ok(match source.read(Duration::ZERO)? {
                Read::Batch(batch) => Some(Item::Batch(batch)),
                Read::EndOfPartition(partition) => Some(Item::EndOfPartition(partition)),
                Read::End => Some(Item::End),
                Read::Idle => None,
            }),
        }
    }

    /// Whether an item waits; an inline source must be asked.
    pub(super) fn is_ready(&self) -> bool {
        match self {
            Self::Inline(_) => true,
            Self::Threaded(queue) => !queue.lock().items.is_empty(),
        }
    }

    /// Rows that wait.
    pub(super) fn rows_waiting(&self) -> usize {
        match self {
            Self::Inline(_) => 0,
            Self::Threaded(queue) => queue.lock().rows,
        }
    }

    /// Whether the queue holds all it may, or the end: waiting brings no more.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::Inline(_) => true,
            Self::Threaded(queue) => {
                let state = queue.lock();
                state.closed || state.bytes >= queue.bytes_max
            }
        }
    }

    /// What the source says of itself.
    pub(super) fn status(&self) -> Option<String> {
        match self {
            Self::Inline(source) => source.status(),
            Self::Threaded(queue) => queue.lock().status.clone(),
        }
    }

    /// No more reading; what has been read stays.
    pub(super) fn stop(&mut self) {
        if let Self::Threaded(queue) = self {
            // Under the lock: else a thread that is about to wait for space would miss this, and wait for ever.
            let state = queue.lock();
            queue.stop.store(true, Ordering::Relaxed);
            drop(state);
            queue.space.notify_all();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A queue bounded in bytes: a full one blocks the source's thread, and so the sender behind it.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    space: Condvar,
    stop: AtomicBool,
    bytes_max: usize,
    wake: Wake,
}

#[derive(Default)]
struct QueueState {
    items: VecDeque<Result<Item>>,
    bytes: usize,
    rows: usize,
    closed: bool,
    status: Option<String>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the source until it ends or is stopped.
    fn fill(&self, mut source: Box<dyn Source>) {
        while !self.stop.load(Ordering::Relaxed) {
            let read = source.read(READ_WAIT);
            let status = source.status();
            let (item, last) = match read {
                Ok(Read::Idle) => {
                    self.lock().status = status;
                    continue;
                }
                Ok(Read::Batch(batch)) => (Ok(Item::Batch(batch)), false),
                Ok(Read::EndOfPartition(partition)) => (Ok(Item::EndOfPartition(partition)), false),
                Ok(Read::End) => (Ok(Item::End), true),
                Err(error) => (Err(error), true),
            };
            self.push(item, last, status);
            if last {
                return;
            }
        }
        self.push(Ok(Item::End), true, None);
    }

    fn push(&self, item: Result<Item>, last: bool, status: Option<String>) {
        let (bytes, rows) = match &item {
            Ok(Item::Batch(batch)) => (batch.batch.get_array_memory_size(), batch.batch.num_rows()),
            _ => (0, 0),
        };
        let mut state = self.lock();
        while state.bytes >= self.bytes_max && !state.items.is_empty() && !self.stop.load(Ordering::Relaxed) {
            state = self.space.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes += bytes;
        state.rows += rows;
        state.closed |= last;
        state.status = status;
        state.items.push_back(item);
        drop(state);
        self.wake.notify();
    }

    fn pop(&self) -> Result<Option<Item>> {
        let mut state = self.lock();
        let Some(item) = state.items.pop_front() else { return Ok(None) };
        if let Ok(Item::Batch(batch)) = &item {
            state.bytes = state.bytes.saturating_sub(batch.batch.get_array_memory_size());
            state.rows = state.rows.saturating_sub(batch.batch.num_rows());
        }
        drop(state);
        self.space.notify_all();
        item.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Panics;

    impl Source for Panics {
        fn read(&mut self, _: Duration) -> Result<Read> {
            panic!("a bug in a decoder")
        }
    }

    #[tokio::test]
    async fn a_source_that_panics_fails() {
        let wake = Wake::default();
        let mut feed = Feed::threaded("s", Box::new(Panics), 1 << 20, wake.clone()).unwrap();
        wake.wait().await;
        let error = feed.next().unwrap_err();
        assert!(error.message().contains("panicked"), "{error}");
    }
}
