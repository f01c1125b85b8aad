//! The source over a [`Feed`]: pipes and sockets, whose peers each have their own partial record and are merged in order of
//! arrival, record by record.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use serde_json::json;

use super::feed::{Event, Feed};
use super::records::{BLOCK_BYTES, RecordReader, SAMPLE_BYTES, Shape, named, sample};
use super::{Position, Read, Source, SourceBatch};
use crate::error::{Error, Result};
use crate::format::{FormatSpec, Inferred, infer};

/// How long bytes must fail to come before a sample of a live input is taken to be all there is for now.
const LULL: Duration = Duration::from_millis(50);
/// How often more bytes are waited for once there is a whole line.
const LULLS_MAX: usize = 20;

/// A feed, with what was taken from it for a look.
pub(super) struct Primed {
    feed: Arc<Feed>,
    held: VecDeque<Event>,
    over: bool,
    /// Dropped after the feed has been stopped.
    guard: Option<Box<dyn Any + Send>>,
}

/// The source over a feed.
pub(super) struct FeedSource {
    primed: Primed,
    shape: Shape,
    output: SchemaRef,
    batch_rows_max: usize,
    peers: BTreeMap<u64, Peer>,
    /// A peer that may have more whole records than the last batch took.
    more: Option<u64>,
    records: u64,
    bytes: u64,
}

struct Peer {
    reader: RecordReader,
    closed: bool,
}

impl Primed {
    pub(super) fn new(feed: Arc<Feed>) -> Self {
        Self { feed, held: VecDeque::new(), over: false, guard: None }
    }

    /// Keeps something until the feed has been stopped.
    pub(super) fn on_drop(&mut self, guard: impl Any + Send) {
        self.guard = Some(Box::new(guard));
    }

    /// Looks at the first bytes without losing them: waits until a peer has sent a whole line (up to `wait`; for ever
    /// without), then takes what else comes without a pause.
    ///
    /// # Errors
    /// When the feed failed, or the bytes show no format or schema.
    pub(super) fn infer(&mut self, format: Option<&FormatSpec>, wait: Option<Duration>) -> Result<Option<Inferred>> {
        let mut left = wait;
        let mut lulls = 0;
        loop {
            let (bytes, closed) = self.first_bytes();
            let line = memchr::memchr(b'\n', &bytes).is_some();
            let end = closed || self.over;
            if end || bytes.len() >= SAMPLE_BYTES || (line && lulls >= LULLS_MAX) {
                return self.look(format, &bytes, end).map(Some);
            }
            let pause = if line { LULL } else { left.map_or(LULL * 4, |l| l.min(LULL * 4)) };
            match self.feed.take(SAMPLE_BYTES, pause)? {
                None => self.over = true,
                Some(events) if events.is_empty() && line => return self.look(format, &bytes, end).map(Some),
                Some(events) => {
                    if line {
                        lulls += 1;
                    } else if events.is_empty() {
                        match &mut left {
                            Some(left) if left.is_zero() => return Ok(None),
                            Some(left) => *left = left.saturating_sub(pause),
                            None => {}
                        }
                    }
                    self.held.extend(events);
                }
            }
        }
    }

    /// A line for the status.
    pub(super) fn status(&self) -> Option<String> {
        self.feed.status()
    }

    fn look(&self, format: Option<&FormatSpec>, bytes: &[u8], end: bool) -> Result<Inferred> {
        let sample = sample(bytes, end);
        // Nothing came: an input without rows has lines as much as it has anything else.
        if sample.is_empty() && format.is_none() { lines() } else { infer(format, None, sample) }
    }

    /// The held bytes of the first peer that has sent a whole line (else of the first one), and whether it has gone.
    fn first_bytes(&self) -> (Vec<u8>, bool) {
        let mut peers: BTreeMap<u64, (Vec<u8>, bool)> = BTreeMap::new();
        for event in &self.held {
            match event {
                Event::Open(..) => {}
                Event::Bytes(peer, bytes) => peers.entry(*peer).or_default().0.extend_from_slice(bytes),
                Event::Close(peer) => {
                    peers.entry(*peer).and_modify(|p| p.1 = true);
                }
            }
        }
        let complete = |p: &&(Vec<u8>, bool)| p.1 || memchr::memchr(b'\n', &p.0).is_some();
        peers.values().find(complete).or(peers.values().next()).cloned().unwrap_or_default()
    }
}

impl Drop for Primed {
    fn drop(&mut self) {
        self.feed.stop();
        self.guard = None;
    }
}

/// Plain lines: one column `line`.
pub(super) fn lines() -> Result<Inferred> {
    let format = named("text")?;
    let schema = format.fixed_schema().ok_or_else(|| Error::internal("text has no columns"))?;
    Ok(Inferred { format, schema })
}

impl FeedSource {
    /// Reads a feed into rows of this shape.
    ///
    /// # Errors
    /// When the projection is none of the schema.
    pub(super) fn new(primed: Primed, shape: Shape, batch_rows_max: usize) -> Result<Self> {
        let output = Arc::new(shape.schema.project(&shape.projection)?);
        Ok(Self {
            primed,
            shape,
            output,
            batch_rows_max: batch_rows_max.max(1),
            peers: BTreeMap::new(),
            more: None,
            records: 0,
            bytes: 0,
        })
    }

    /// Takes the next run of bytes of one peer; who it was.
    fn next_peer(&mut self) -> Option<u64> {
        let peer = match self.more.take() {
            Some(peer) => peer,
            None => self.first_peer()?,
        };
        // What follows from the same peer is decoded with it.
        let rows_max = self.batch_rows_max;
        while self.peers.get_mut(&peer).is_some_and(|p| p.reader.has_room(rows_max)) {
            match self.primed.held.front() {
                Some(Event::Bytes(id, _)) if *id == peer => {
                    if let Some(Event::Bytes(id, bytes)) = self.primed.held.pop_front() {
                        self.feed(id, &bytes);
                    }
                }
                Some(Event::Close(id)) if *id == peer => {
                    self.primed.held.pop_front();
                    self.close(peer);
                }
                _ => break,
            }
        }
        Some(peer)
    }

    /// Takes the next event; who it was.
    fn first_peer(&mut self) -> Option<u64> {
        Some(match self.primed.held.pop_front()? {
            Event::Open(id, origin) => {
                let reader = RecordReader::new(self.shape.clone(), origin, None);
                self.peers.insert(id, Peer { reader, closed: false });
                id
            }
            Event::Bytes(id, bytes) => {
                self.feed(id, &bytes);
                id
            }
            Event::Close(id) => {
                self.close(id);
                id
            }
        })
    }

    fn feed(&mut self, id: u64, bytes: &[u8]) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.reader.extend(bytes);
        }
    }

    fn close(&mut self, id: u64) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.closed = true;
        }
    }

    /// Decodes what is held, up to a batch.
    fn decode(&mut self) -> Result<Option<SourceBatch>> {
        let mut batches: Vec<RecordBatch> = Vec::new();
        let mut bad = Vec::new();
        let (mut rows, mut records, mut bytes) = (0, 0, 0);
        // Small pieces are put together; two large ones would only be copied.
        while rows < self.batch_rows_max
            && bytes < BLOCK_BYTES as u64 / 2
            && let Some(id) = self.next_peer()
        {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            if !batches.is_empty() && peer.reader.is_ahead() {
                self.more = Some(id);
                break;
            }
            match peer.reader.next(self.batch_rows_max - rows, peer.closed)? {
                Some(found) => {
                    rows += found.batch.num_rows();
                    records += found.records;
                    bytes += found.bytes;
                    bad.extend(found.bad);
                    batches.push(found.batch);
                    self.more = Some(id);
                }
                None if peer.closed => {
                    self.peers.remove(&id);
                }
                None => {}
            }
        }
        if records == 0 {
            return Ok(None);
        }
        self.records += records;
        self.bytes += bytes;
        let batch = match batches.len() {
            1 => batches.swap_remove(0),
            _ => concat_batches(&self.output, &batches)?,
        };
        let position = Position(json!({ "records": self.records, "bytes": self.bytes }));
        Ok(Some(SourceBatch { partition: 0, batch, records, bytes, bad, position }))
    }
}

impl Source for FeedSource {
    fn read(&mut self, wait: Duration) -> Result<Read> {
        // Before rows are waited for: so that threads that decode have work meanwhile.
        if self.more.is_some() && self.primed.held.is_empty() {
            self.primed.held.extend(self.primed.feed.take_ready(BLOCK_BYTES));
        }
        if let Some(batch) = self.decode()? {
            return Ok(Read::Batch(batch));
        }
        if self.primed.over {
            return Ok(Read::End);
        }
        match self.primed.feed.take(BLOCK_BYTES, wait)? {
            Some(events) => self.primed.held.extend(events),
            None => self.primed.over = true,
        }
        match self.decode()? {
            Some(batch) => Ok(Read::Batch(batch)),
            None if self.primed.over => Ok(Read::End),
            None => Ok(Read::Idle),
        }
    }

    fn status(&self) -> Option<String> {
        self.primed.status()
    }
}
