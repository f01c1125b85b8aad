//! A bounded queue of bytes between threads that read from outside and the thread of the source.
//!
//! Bounded in bytes: when it is full the threads stop reading, so that a pipe or a TCP peer is held back. Every wait ends
//! when the other side has gone.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::{Error, Result};

/// Bytes that a thread reads at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Something that happened outside.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// Somebody is there: a number and a name for messages.
    Open(u64, Arc<str>),
    /// Bytes from it.
    Bytes(u64, Vec<u8>),
    /// It has gone.
    Close(u64),
}

/// The queue.
pub(super) struct Feed {
    state: Mutex<State>,
    /// Signals the source: something has come, or all is over.
    arrived: Condvar,
    /// Signals the threads: there is room, or nobody wants any more.
    room: Condvar,
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    /// No more will come; perhaps why.
    ended: Option<Result<()>>,
    /// Nobody will read any more.
    stopped: bool,
    status: Option<String>,
}

impl Feed {
    /// A queue of at most `bytes_max` bytes (a single larger event still fits).
    pub(super) fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), arrived: Condvar::new(), room: Condvar::new(), bytes_max })
    }

    /// Adds an event, waiting for room. False when nobody reads any more.
    pub(super) fn push(&self, event: Event) -> bool {
        let size = event.size();
        let mut state = self.lock();
        while !state.stopped && state.bytes > 0 && state.bytes + size > self.bytes_max {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.stopped {
            return false;
        }
        state.bytes += size;
        state.events.push_back(event);
        self.arrived.notify_one();
        true
    }

    /// Adds an event if there is room for it; whether there was.
    pub(super) fn try_push(&self, event: Event) -> bool {
        let size = event.size();
        let mut state = self.lock();
        if state.stopped || (state.bytes > 0 && state.bytes + size > self.bytes_max) {
            return false;
        }
        state.bytes += size;
        state.events.push_back(event);
        self.arrived.notify_one();
        true
    }

    /// Takes what is there, up to about `bytes` of it; waits up to `wait` when nothing is. `None` when all is over.
    ///
    /// # Errors
    /// What ended the feed.
    pub(super) fn take(&self, bytes: usize, wait: Duration) -> Result<Option<Vec<Event>>> {
        let mut state = self.lock();
        if state.events.is_empty() && state.ended.is_none() && !wait.is_zero() {
            let idle = |s: &mut State| s.events.is_empty() && s.ended.is_none() && !s.stopped;
            state = self.arrived.wait_timeout_while(state, wait, idle).unwrap_or_else(PoisonError::into_inner).0;
        }
        let taken = self.pop(&mut state, bytes);
        match &state.ended {
            Some(end) if taken.is_empty() => end.clone().map(|()| None),
            _ => Ok(Some(taken)),
        }
    }

    /// Takes what is there, up to about `bytes` of it, and does not ask whether that is all.
    pub(super) fn take_ready(&self, bytes: usize) -> Vec<Event> {
        self.pop(&mut self.lock(), bytes)
    }

    fn pop(&self, state: &mut State, bytes: usize) -> Vec<Event> {
        let mut taken = Vec::new();
        let mut size = 0;
        while size < bytes
            && let Some(event) = state.events.pop_front()
        {
            size += event.size();
            taken.push(event);
        }
        state.bytes -= size;
        self.room.notify_all();
        taken
    }

    /// Says that no more will come.
    pub(super) fn end(&self, how: Result<()>) {
        self.lock().ended.get_or_insert(how);
        self.arrived.notify_all();
    }

    /// Says that nobody will read any more: every thread that pushes or waits gives up.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.events.clear();
        state.bytes = 0;
        self.room.notify_all();
        self.arrived.notify_all();
    }

    /// Whether nobody will read any more.
    pub(super) fn stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Waits, for a thread that feeds; true when nobody will read any more.
    pub(super) fn pause(&self, wait: Duration) -> bool {
        let state = self.lock();
        let (state, _) =
            self.room.wait_timeout_while(state, wait, |s| !s.stopped).unwrap_or_else(PoisonError::into_inner);
        state.stopped
    }

    /// Sets the line for the status.
    pub(super) fn set_status(&self, status: impl Into<String>) {
        self.lock().status = Some(status.into());
    }

    /// The line for the status.
    pub(super) fn status(&self) -> Option<String> {
        self.lock().status.clone()
    }

    /// Reads a peer to its end (or until nobody reads any more) into the feed; how many bytes came, and how it ended. A reader
    /// that answers `WouldBlock` or `TimedOut` from time to time lets the thread notice that nobody wants any more.
    pub(super) fn pump(&self, peer: u64, mut reader: impl Read) -> (u64, io::Result<()>) {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut bytes = 0;
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return (bytes, Ok(())),
                Ok(n) => {
                    bytes += n as u64;
                    if !self.push(Event::Bytes(peer, buffer[..n].to_vec())) {
                        return (bytes, Ok(()));
                    }
                }
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    if self.stopped() {
                        return (bytes, Ok(()));
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return (bytes, Err(e)),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked left whole events behind: nothing is half done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Event {
    fn size(&self) -> usize {
        // An event without bytes takes room too: clients that only connect and leave must not fill the memory.
        64 + match self {
            Self::Bytes(_, bytes) => bytes.len(),
            Self::Open(..) | Self::Close(_) => 0,
        }
    }
}

/// Starts a thread that reads one stream to its end, which ends the feed.
///
/// # Errors
/// When the system has no thread left.
pub(super) fn read_stream(
    feed: &Arc<Feed>,
    origin: &str,
    open: impl FnOnce() -> Result<Box<dyn Read + Send>> + Send + 'static,
) -> Result<()> {
    let (feed, origin) = (Arc::clone(feed), Arc::<str>::from(origin));
    spawn(&format!("read {origin}"), move || {
        let ended = open().and_then(|mut reader| {
            feed.push(Event::Open(0, origin.clone()));
            let (_, pumped) = feed.pump(0, reader.as_mut());
            feed.push(Event::Close(0));
            pumped.map_err(|e| Error::io(format!("reading {origin}: {e}")))
        });
        feed.end(ended);
    })
}

/// Starts a thread.
///
/// # Errors
/// When the system has none left.
pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
    start(name, run).map(|_| ())
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map_err(|e| Error::io(format!("can't start a thread for {name}: {e}")))
}

/// A thread that is waited for when this is dropped: tell it to stop first. So a port that it listened on is free afterwards.
pub(super) struct Joined(Option<JoinHandle<()>>);

impl Joined {
    /// Starts the thread.
    ///
    /// # Errors
    /// As [`spawn`].
    pub(super) fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<Self> {
        start(name, run).map(|thread| Self(Some(thread)))
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            // A thread that panicked has let go of what it held too.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_full_feed_holds_the_writer_back_until_somebody_reads() {
        let feed = Feed::new(1000);
        let writer = Arc::clone(&feed);
        let thread = std::thread::spawn(move || (0..10).all(|_| writer.push(Event::Bytes(0, vec![0; 400]))));
        let mut bytes = 0;
        while bytes < 4000 {
            assert!(feed.lock().bytes <= 1000);
            for event in feed.take(1, LONG).unwrap().unwrap() {
                bytes += event.size() - 64;
            }
        }
        assert!(thread.join().unwrap());
        assert!(feed.take(1, SHORT).unwrap().unwrap().is_empty());
    }

    #[test]
    fn a_writer_is_freed_when_the_reader_goes() {
        let feed = Feed::new(10);
        let writer = Arc::clone(&feed);
        let thread = std::thread::spawn(move || (0..10).all(|_| writer.push(Event::Bytes(0, vec![0; 400]))));
        feed.take(1, LONG).unwrap();
        feed.stop();
        assert!(!thread.join().unwrap());
    }

    #[test]
    fn the_end_comes_after_what_was_there() {
        let feed = Feed::new(10);
        feed.push(Event::Close(1));
        feed.end(Err(Error::io("gone")));
        assert_eq!(feed.take(1, LONG).unwrap().unwrap().len(), 1);
        assert!(feed.take(1, LONG).is_err());
    }
}
