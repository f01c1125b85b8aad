//! A stream of bytes cut into records, in bounded memory.
//!
//! Every source of bytes (file, standard input, socket) feeds one of these and takes blocks of whole records out of it:
//!
//! ```text
//! records.fill(&mut reader, bytes)?     or  records.push(bytes);   and at the end of the input  records.finish();
//! while let Some(block) = records.next_block(bytes_max, records_max) {
//!     decoder.decode(block.bytes, &block.place)?;  block.bad;      position = (block.end_offset, block.end_record)
//! }
//! ```
//!
//! A record longer than the bound is dropped up to its end as it streams by, and reported as a bad record: a line of 10 GiB
//! costs no more memory than the bound. In CSV a quote that is never closed would swallow all that follows; so when a record
//! breaks the bound (or the input ends) within quotes, only its first line is bad, and reading goes on with the next line.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr};

use super::decode::{BAD_BYTES, bad};
use super::framing::{Framing, Search};
use super::{BadRecord, Decoded, Decoder, FormatSpec, Place};
use crate::error::Result;

/// The least by which the buffer grows.
const CHUNK: usize = 64 << 10;
/// The most buffers that are kept to be filled again.
const SPARE_MAX: usize = 8;

/// Cuts a stream of bytes into blocks of whole records.
pub struct Records {
    framing: Framing,
    origin: Arc<str>,
    record_bytes_max: usize,
    /// Longer than what is held, so that room is made ready once and not for every read.
    buffer: Vec<u8>,
    /// Where the bytes that are held end in it.
    end: usize,
    /// Where the first byte not handed out stands in it.
    start: usize,
    /// Buffers of blocks that have been decoded elsewhere, to be filled again.
    spare: Vec<Vec<u8>>,
    /// Offset of that byte in the input.
    offset: u64,
    /// Number of the record that starts there, from 1.
    record: u64,
    /// How far the end of that record has been searched, counted from `start`.
    search: Search,
    /// An over-long record is being dropped.
    dropping: Option<Dropping>,
    ended: bool,
}

/// The start of an over-long record, and what of it went by.
struct Dropping {
    head: Vec<u8>,
    start: u64,
    bytes: u64,
}

/// Whole records, as they stood in the input.
#[derive(Debug)]
pub struct Block<'a> {
    /// The records; empty when the block is only a record that was too long.
    pub bytes: &'a [u8],
    /// The place of the first.
    pub place: Place,
    /// A record that was too long to be handed out; it comes in a block of its own.
    pub bad: Option<BadRecord>,
    /// Offset in the input of what follows the block: where to go on after a restart.
    pub end_offset: u64,
    /// Number of the record that follows the block.
    pub end_record: u64,
}

/// A block with the bytes it is made of, to be decoded elsewhere.
#[derive(Debug)]
pub struct OwnedBlock {
    buffer: Vec<u8>,
    range: Range<usize>,
    /// The place of its first record.
    pub place: Place,
    /// As in [`Block`].
    pub bad: Option<BadRecord>,
    /// As in [`Block`].
    pub end_offset: u64,
    /// As in [`Block`].
    pub end_record: u64,
}

impl OwnedBlock {
    /// The records.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(self.range.clone()).unwrap_or_default()
    }
}

impl Records {
    /// Nothing yet of the input `origin`. Records longer than `record_bytes_max` bytes are bad.
    pub fn new(format: &FormatSpec, origin: impl Into<Arc<str>>, record_bytes_max: usize) -> Self {
        Self {
            framing: format.framing(),
            origin: origin.into(),
            record_bytes_max: record_bytes_max.max(1),
            buffer: Vec::new(),
            end: 0,
            start: 0,
            spare: Vec::new(),
            offset: 0,
            record: 1,
            search: Search::default(),
            dropping: None,
            ended: false,
        }
    }

    /// Starts further on: the next byte pushed is at `offset` of the input and starts its record number `record` (from 1).
    /// What was buffered is forgotten.
    pub fn resume(&mut self, offset: u64, record: u64) {
        (self.start, self.end) = (0, 0);
        self.search = Search::default();
        self.dropping = None;
        self.ended = false;
        self.offset = offset;
        self.record = record;
    }

    /// Offset of the next record in the input, and its number: where to go on after a restart.
    pub fn position(&self) -> (u64, u64) {
        (self.dropping.as_ref().map_or(self.offset, |dropping| dropping.start), self.record)
    }

    /// Bytes held that were not handed out.
    pub fn buffered(&self) -> usize {
        self.end - self.start
    }

    /// Adds bytes. Take out what [`Records::next_block`] has before adding more, or they pile up.
    pub fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.buffer[self.end..self.end + bytes.len()].copy_from_slice(bytes);
        self.end += bytes.len();
    }

    /// Reads up to `bytes`, for as long as they take to come; how many came (fewer: the reader is at its end, and
    /// [`Records::finish`] is due).
    ///
    /// # Errors
    /// What the reader reports; nothing is lost then.
    pub fn fill(&mut self, reader: &mut dyn Read, bytes: usize) -> io::Result<usize> {
        self.make_room(bytes);
        let mut filled = 0;
        while filled < bytes {
            match reader.read(&mut self.buffer[self.end..self.end + bytes - filled]) {
                Ok(0) => break,
                Ok(read) => {
                    filled += read;
                    self.end += read;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    /// The input has ended: the last record counts though it lacks its end.
    pub fn finish(&mut self) {
        self.ended = true;
    }

    /// The next whole records: as many as fit into `bytes_max` and `records_max`, though at least one. `None`: push more.
    pub fn next_block(&mut self, bytes_max: usize, records_max: usize) -> Option<Block<'_>> {
        let from = self.start;
        let place = Place { origin: self.origin.clone(), record: self.record };
        let mut bad = None;
        if self.dropping.is_some() {
            // Nothing of it is handed out but the report, once its end is seen.
            bad = Some(self.drop_on()?);
            return Some(self.block(self.start, place, bad));
        }
        let records_max = records_max.max(1);
        let mut taken = 0;
        while taken < records_max {
            match self.cut(bytes_max.saturating_sub(self.start - from), records_max - taken) {
                0 => break,
                records => taken += records,
            }
        }
        while self.start < self.end && taken < records_max {
            let rest = &self.buffer[self.start..self.end];
            let before = self.search;
            let end = match self.framing.end(rest, &mut self.search) {
                Some(end) => end,
                None if rest.len() > self.record_bytes_max || (self.ended && self.search.is_quoted()) => {
                    bad = self.too_long(taken > 0);
                    break;
                }
                None if self.ended => rest.len(),
                None => break,
            };
            if end > self.record_bytes_max + 2 {
                if taken == 0 {
                    bad = Some(self.whole_too_long(end));
                } else {
                    self.search = before;
                }
                break;
            }
            if taken > 0 && self.start - from + end > bytes_max {
                self.search = before;
                break;
            }
            self.advance(end);
            taken += 1;
        }
        (taken > 0 || bad.is_some()).then(|| self.block(from, place, bad))
    }

    /// The next block with its bytes, for another thread.
    pub fn next_owned(&mut self, bytes_max: usize, records_max: usize) -> Option<OwnedBlock> {
        let from = self.start;
        let Block { bytes, place, bad, end_offset, end_record } = self.next_block(bytes_max, records_max)?;
        let length = bytes.len();
        let tail = self.buffered();
        let mut other = self.spare.pop().unwrap_or_default();
        // Mostly the block is all there is but the beginning of one record: then that is moved, and not the block.
        let (moved, range) =
            if tail < length { (self.start..self.end, from..from + length) } else { (from..from + length, 0..length) };
        let room = if tail < length { self.buffer.len() } else { length };
        if other.len() < room {
            other.resize(room, 0);
        }
        other[..moved.len()].copy_from_slice(&self.buffer[moved]);
        if tail < length {
            std::mem::swap(&mut self.buffer, &mut other);
            (self.start, self.end) = (0, tail);
        }
        Some(OwnedBlock { buffer: other, range, place, bad, end_offset, end_record })
    }

    /// Takes back a block that has been decoded, to use its room again.
    pub fn recycle(&mut self, block: OwnedBlock) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(block.buffer);
        }
    }

    /// Takes the next block and decodes it; `None`: push more.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn decode(&mut self, decoder: &mut dyn Decoder, bytes_max: usize, rows_max: usize) -> Result<Option<Decoded>> {
        let Some(block) = self.next_block(bytes_max, rows_max) else { return Ok(None) };
        let mut decoded = decoder.decode(block.bytes, &block.place)?;
        if let Some(bad) = block.bad {
            decoded.records += 1;
            decoded.bad.push(bad);
        }
        Ok(Some(decoded))
    }

    /// Cuts whole records off at once, where each line is one and none can be too long; how many.
    fn cut(&mut self, bytes_max: usize, records_max: usize) -> usize {
        let rest = &self.buffer[self.start..self.end];
        let mut window = &rest[..rest.len().min(bytes_max).min(self.record_bytes_max)];
        if let Framing::Csv { quote, .. } = self.framing {
            // Up to the first quote there is none that could hide a newline.
            if self.search.is_quoted() {
                return 0;
            }
            window = memchr(quote, window).map_or(window, |first| &window[..first]);
        }
        let Some(last) = memrchr(b'\n', window) else { return 0 };
        let mut end = last + 1;
        let mut records = memchr_iter(b'\n', &window[..end]).count();
        if records > records_max {
            records = records_max;
            end = memchr_iter(b'\n', window).nth(records_max - 1).map_or(end, |newline| newline + 1);
        }
        self.start += end;
        self.offset += end as u64;
        self.record += records as u64;
        self.search = Search::default();
        records
    }

    fn block(&self, from: usize, place: Place, bad: Option<BadRecord>) -> Block<'_> {
        let bytes = if bad.is_some() { &[] } else { &self.buffer[from..self.start] };
        Block { bytes, place, bad, end_offset: self.offset, end_record: self.record }
    }

    fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        self.offset += bytes as u64;
        self.record += 1;
        self.search = Search::default();
    }

    /// The record at hand has broken the bound and its end is not in sight. `behind`: whole records stand before it, and are
    /// handed out first.
    fn too_long(&mut self, behind: bool) -> Option<BadRecord> {
        if behind {
            return None;
        }
        let rest = &self.buffer[self.start..self.end];
        if self.search.is_quoted() {
            // Take the quote for a stray one: the record is the line.
            let end = Framing::Lines.end(rest, &mut Search::default()).or(self.ended.then_some(rest.len()));
            if let Some(end) = end {
                let place = Place { origin: self.origin.clone(), record: self.record };
                let reason = "a quote is never closed".to_owned();
                let found = bad(&place, self.record, reason, trimmed(&rest[..end]));
                self.advance(end);
                return Some(found);
            }
        }
        let head = rest[..rest.len().min(BAD_BYTES)].to_vec();
        self.dropping = Some(Dropping { head, start: self.offset, bytes: 0 });
        self.drop_on()
    }

    /// Drops what is there of an over-long record; the report once its end is reached.
    fn drop_on(&mut self) -> Option<BadRecord> {
        let rest = &self.buffer[self.start..self.end];
        let end = Framing::Lines.end(rest, &mut Search::default());
        let gone = end.unwrap_or(rest.len());
        self.start += gone;
        self.offset += gone as u64;
        self.search = Search::default();
        let dropping = self.dropping.as_mut()?;
        dropping.bytes += gone as u64;
        if end.is_none() && !self.ended {
            return None;
        }
        let Dropping { head, bytes, .. } = self.dropping.take()?;
        let found = self.report(&head, bytes);
        self.record += 1;
        Some(found)
    }

    /// The record at hand is whole but too long.
    fn whole_too_long(&mut self, end: usize) -> BadRecord {
        let found = self.report(&self.buffer[self.start..self.start + end], end as u64);
        self.advance(end);
        found
    }

    fn report(&self, bytes: &[u8], length: u64) -> BadRecord {
        let place = Place { origin: self.origin.clone(), record: self.record };
        let reason = format!("the record has {length} bytes, more than max_record_bytes = {}", self.record_bytes_max);
        bad(&place, self.record, reason, trimmed(bytes))
    }

    /// Moves what is left to the front and makes room, in steps and not by doubling, so that memory stays near the bound.
    fn make_room(&mut self, bytes: usize) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < bytes {
            let length = self.end + bytes.max(CHUNK);
            self.buffer.reserve_exact(length - self.buffer.len());
            self.buffer.resize(length, 0);
        }
    }
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
