//! Blocks decoded side by side, on threads of their own, and handed on in the order in which they came.
//!
//! Only inputs of which more than a block is there get these threads: for a row that comes now and then a hand-over would be
//! all cost. Each thread has a decoder of its own and is given every n-th block, so that nothing is shared and the order needs
//! no numbers.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::feed::spawn;
use super::records::Rows;
use crate::error::{Error, Result};
use crate::format::{Decoder, OwnedBlock};

/// The most threads of one input: what comes after decoding runs on one.
const THREADS_MAX: usize = 4;
/// Blocks that may wait for each thread, so that it never waits for the source.
const BLOCKS_PER_THREAD: usize = 2;
/// How many inputs at once may have threads of their own, so that a thousand clients don't start thousands.
const INPUTS_MAX: usize = 4;

/// Threads that decode now, of all inputs.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// The threads of one input.
pub(super) struct Ahead {
    threads: Vec<Thread>,
    /// Which thread is given the next block.
    next: usize,
    /// Blocks given and not yet taken, in order.
    given: VecDeque<Given>,
}

struct Thread {
    blocks: SyncSender<(OwnedBlock, u64)>,
    rows: Receiver<Result<(Rows, OwnedBlock)>>,
}

struct Given {
    /// Which thread has it.
    by: usize,
    /// Offset and number of the record behind it.
    end: (u64, u64),
}

/// What came of a block.
pub(super) struct Taken {
    pub(super) rows: Rows,
    /// The block itself, whose room can be used again.
    pub(super) block: OwnedBlock,
    /// Offset and number of the record behind it.
    pub(super) end: (u64, u64),
}

impl Ahead {
    /// Starts the threads; `None` when blocks of this input can't be decoded side by side.
    pub(super) fn start(decoder: &dyn Decoder) -> Option<Self> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        if threads < 2 || THREADS.load(Ordering::Relaxed) + threads > threads * INPUTS_MAX {
            return None;
        }
        let threads = (0..threads).map(|_| Thread::start(decoder.fork()?)).collect::<Option<Vec<_>>>()?;
        Some(Self { threads, next: 0, given: VecDeque::new() })
    }

    /// Whether another block may be given.
    pub(super) fn has_room(&self) -> bool {
        self.given.len() < self.threads.len() * BLOCKS_PER_THREAD
    }

    /// Whether blocks have been given that were not taken.
    pub(super) fn is_busy(&self) -> bool {
        !self.given.is_empty()
    }

    /// Gives a block that takes `bytes` of the input.
    pub(super) fn give(&mut self, block: OwnedBlock, bytes: u64) {
        let (by, end) = (self.next, (block.end_offset, block.end_record));
        self.next = (by + 1) % self.threads.len().max(1);
        if let Some(thread) = self.threads.get(by) {
            // A thread that is gone is told of when its rows are asked for.
            let _ = thread.blocks.send((block, bytes));
        }
        self.given.push_back(Given { by, end });
    }

    /// The oldest block with its rows, and the place behind it; `None` when none was given.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub(super) fn take(&mut self) -> Result<Option<Taken>> {
        let Some(Given { by, end }) = self.given.pop_front() else { return Ok(None) };
        let rows = self.threads.get(by).and_then(|thread| thread.rows.recv().ok());
        let (rows, block) = rows.ok_or_else(|| Error::internal("a thread that decodes has panicked"))??;
        Ok(Some(Taken { rows, block, end }))
    }
}

impl Thread {
    /// It ends when its blocks do, or when nobody takes its rows any more.
    fn start(mut decoder: Box<dyn Decoder>) -> Option<Self> {
        let (blocks, given) = sync_channel::<(OwnedBlock, u64)>(BLOCKS_PER_THREAD);
        let (decoded, rows) = sync_channel(BLOCKS_PER_THREAD);
        let running = Running::new();
        spawn("decode", move || {
            let _running = running;
            for (mut block, bytes) in given {
                let found = decoder.decode(block.bytes(), &block.place);
                let rows = found.map(|found| Rows::new(found, block.bad.take(), block.place.record, bytes));
                if decoded.send(rows.map(|rows| (rows, block))).is_err() {
                    return;
                }
            }
        })
        .ok()?;
        Some(Self { blocks, rows })
    }
}

/// Counts a thread while it runs.
struct Running;

impl Running {
    fn new() -> Self {
        THREADS.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}
