//! Bytes of one origin on their way to rows: their format told, cut into blocks of whole records, decoded.

use std::io::{self, Read};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use super::ahead::{Ahead, Taken};
use crate::error::{Error, Result};
use crate::format::{BadRecord, Decoded, Decoder, FormatSpec, Records, infer};
use crate::settings::{Options, Settings};

/// Bytes read at once, and at most decoded at once.
pub(super) const BLOCK_BYTES: usize = 1 << 20;
/// Bytes that a look at an unknown input takes.
pub(super) const SAMPLE_BYTES: usize = 64 << 10;

/// What is to come of the records.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The columns that records hold.
    pub(super) schema: SchemaRef,
    /// Those of them that are wanted.
    pub(super) projection: Vec<usize>,
    /// The format; `None` when the first bytes are to show it.
    pub(super) format: Option<FormatSpec>,
    /// Bytes of the longest record.
    pub(super) record_bytes_max: usize,
}

impl Shape {
    pub(super) fn new(
        schema: SchemaRef,
        projection: &[usize],
        format: Option<FormatSpec>,
        settings: &Settings,
    ) -> Self {
        Self { schema, projection: projection.to_vec(), format, record_bytes_max: settings.record_bytes_max }
    }

    fn start(&self, format: &FormatSpec, origin: Arc<str>) -> Result<Known> {
        let decoder = format.decoder(&self.schema, &self.projection)?;
        let records = Records::new(format, origin, self.record_bytes_max);
        Ok(Known { records, decoder, is_warm: false, ahead: None, taken: (0, 1) })
    }
}

/// Rows out of a [`RecordReader`].
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) batch: RecordBatch,
    /// The number of the first record, from 1.
    pub(super) first: u64,
    /// Records, good and bad.
    pub(super) records: u64,
    /// Bytes they took.
    pub(super) bytes: u64,
    pub(super) bad: Vec<BadRecord>,
}

impl Rows {
    /// What came of a block that takes `bytes` of the input and whose first record has the number `first`; `bad` is a record
    /// that was too long to be in it.
    pub(super) fn new(decoded: Decoded, bad: Option<BadRecord>, first: u64, bytes: u64) -> Self {
        let records = decoded.records + u64::from(bad.is_some());
        let bad = decoded.bad.into_iter().chain(bad).collect();
        Self { batch: decoded.batch, first, records, bytes, bad }
    }
}

/// Turns the bytes of one origin into rows.
pub(super) struct RecordReader {
    shape: Shape,
    /// Helps to tell an unknown format.
    path: Option<String>,
    origin: Arc<str>,
    /// Bytes that came before the format was known.
    unknown: Vec<u8>,
    known: Option<Known>,
}

struct Known {
    records: Records,
    decoder: Box<dyn Decoder>,
    /// The decoder has seen a block, and so what its records look like.
    is_warm: bool,
    /// Threads that decode the blocks behind it, once there is enough to do for them.
    ahead: Option<Ahead>,
    /// Offset and number of the record behind the rows that were taken from those.
    taken: (u64, u64),
}

impl RecordReader {
    /// Reads an origin from its beginning.
    pub(super) fn new(shape: Shape, origin: impl Into<Arc<str>>, path: Option<String>) -> Self {
        Self { shape, path, origin: origin.into(), unknown: Vec::new(), known: None }
    }

    /// Goes on at `offset`, where record number `record` (from 1) begins. `head` are the first bytes of the origin, which
    /// may be needed to understand the rest.
    ///
    /// # Errors
    /// When the format can't be told, or a header lacks a column.
    pub(super) fn resume(&mut self, offset: u64, record: u64, head: &[u8]) -> Result<()> {
        self.restart();
        if offset == 0 {
            return Ok(());
        }
        let format = self.format(head)?;
        let known = self.known.insert(self.shape.start(&format, self.origin.clone())?);
        if format.has_header() {
            let mut first = Records::new(&format, self.origin.clone(), self.shape.record_bytes_max);
            first.push(head);
            first.finish();
            if let Some(block) = first.next_block(head.len(), 1) {
                known.decoder.header(block.bytes)?;
            }
        }
        known.records.resume(offset, record);
        Ok(())
    }

    /// Where the record behind the last rows begins, and its number.
    pub(super) fn position(&self) -> (u64, u64) {
        self.known.as_ref().map_or((0, 1), Known::position)
    }

    /// Bytes held that are not decoded yet.
    pub(super) fn pending(&self) -> usize {
        self.known.as_ref().map_or(self.unknown.len(), |k| k.records.buffered())
    }

    /// Starts again at the beginning: what is held is forgotten.
    pub(super) fn restart(&mut self) {
        self.unknown.clear();
        self.known = None;
    }

    /// Adds bytes.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        match &mut self.known {
            Some(known) => known.records.push(bytes),
            None => self.unknown.extend_from_slice(bytes),
        }
    }

    /// Reads a block from a reader; true at its end.
    ///
    /// # Errors
    /// What the reader reports.
    pub(super) fn fill(&mut self, reader: &mut dyn Read) -> io::Result<bool> {
        let read = match &mut self.known {
            Some(known) => known.records.fill(reader, BLOCK_BYTES)?,
            None => reader.take(BLOCK_BYTES as u64).read_to_end(&mut self.unknown)?,
        };
        Ok(read < BLOCK_BYTES)
    }

    /// Whether more bytes are of use before the next rows are taken. Whole blocks that are held begin to be decoded.
    pub(super) fn has_room(&mut self, rows_max: usize) -> bool {
        let Some(known) = &mut self.known else { return self.unknown.len() < BLOCK_BYTES };
        known.give(rows_max);
        known.records.buffered() < BLOCK_BYTES && known.ahead.as_ref().is_none_or(Ahead::has_room)
    }

    /// Whether threads are at work on the next rows.
    pub(super) fn is_ahead(&self) -> bool {
        self.known.as_ref().and_then(|known| known.ahead.as_ref()).is_some_and(Ahead::is_busy)
    }

    /// Whether more bytes are needed to keep threads at work.
    pub(super) fn is_short(&mut self, rows_max: usize) -> bool {
        self.has_room(rows_max) && self.known.as_ref().is_some_and(|known| known.ahead.is_some())
    }

    /// The next rows, at most `rows_max`. `None` when no whole record is held; at the end of the origin what is left is one.
    ///
    /// # Errors
    /// When the format can't be told or can't hold the columns.
    pub(super) fn next(&mut self, rows_max: usize, end: bool) -> Result<Option<Rows>> {
        if self.known.is_none() && !self.look(end)? {
            return Ok(None);
        }
        match &mut self.known {
            Some(known) => known.next(rows_max, end),
            None => Ok(None),
        }
    }

    /// Sets the decoder up; an unknown format is told from the first bytes once there are enough of them.
    fn look(&mut self, end: bool) -> Result<bool> {
        let held = &self.unknown;
        let line = || memchr::memchr(b'\n', held).is_some();
        let enough = self.shape.format.is_some() || end || held.len() >= SAMPLE_BYTES || line();
        if held.is_empty() || !enough {
            return Ok(false);
        }
        let format = self.format(sample(held, end))?;
        let mut known = self.shape.start(&format, self.origin.clone())?;
        known.records.push(&std::mem::take(&mut self.unknown));
        self.known = Some(known);
        Ok(true)
    }

    fn format(&self, sample: &[u8]) -> Result<FormatSpec> {
        match &self.shape.format {
            Some(format) => Ok(format.clone()),
            None => tell_format(&self.shape.schema, self.path.as_deref(), sample),
        }
    }
}

impl Known {
    fn position(&self) -> (u64, u64) {
        if self.ahead.as_ref().is_some_and(Ahead::is_busy) { self.taken } else { self.records.position() }
    }

    /// Gives the threads what there is for them: only blocks that are about as large as they may be.
    fn give(&mut self, rows_max: usize) {
        while self.is_warm && self.records.buffered() >= BLOCK_BYTES / 2 {
            if self.ahead.is_none() {
                self.ahead = Ahead::start(self.decoder.as_ref());
            }
            let behind = self.position();
            let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.has_room()) else { return };
            let (before, _) = self.records.position();
            let Some(block) = self.records.next_owned(BLOCK_BYTES, rows_max) else { return };
            let bytes = block.end_offset - before;
            self.taken = behind;
            ahead.give(block, bytes);
        }
    }

    fn next(&mut self, rows_max: usize, end: bool) -> Result<Option<Rows>> {
        if end {
            self.records.finish();
        }
        self.give(rows_max);
        if let Some(ahead) = &mut self.ahead
            && let Some(Taken { rows, block, end }) = ahead.take()?
        {
            self.taken = end;
            self.records.recycle(block);
            return Ok(Some(rows));
        }
        let (before, _) = self.records.position();
        let Some(block) = self.records.next_block(BLOCK_BYTES, rows_max) else { return Ok(None) };
        let (first, bytes) = (block.place.record, block.end_offset - before);
        let decoded = self.decoder.decode(block.bytes, &block.place)?;
        self.is_warm = true;
        Ok(Some(Rows::new(decoded, block.bad, first, bytes)))
    }
}

/// The format of an input whose options don't say it, from its columns and first bytes.
///
/// # Errors
/// When the bytes show none.
pub(super) fn tell_format(schema: &Schema, path: Option<&str>, sample: &[u8]) -> Result<FormatSpec> {
    let text = named("text")?;
    let fits_lines = text
        .fixed_schema()
        .is_some_and(|s| s.fields().iter().map(|f| f.name()).eq(schema.fields().iter().map(|f| f.name())));
    if fits_lines {
        return Ok(text);
    }
    let format = infer(None, path, sample)?.format;
    // Lines that show no format are no use for several columns; without a header CSV may look like that.
    if format == text && schema.fields().len() > 1 { named("csv") } else { Ok(format) }
}

/// A format by its name, with no other options.
///
/// # Errors
/// When there is none.
pub(super) fn named(name: &str) -> Result<FormatSpec> {
    let mut options = Options::new();
    options.put("format", name, None)?;
    FormatSpec::from_options(&options, None)?.ok_or_else(|| Error::internal(format!("there is no format '{name}'")))
}

/// The part of the first bytes to look at: whole lines, unless there is none.
pub(super) fn sample(bytes: &[u8], end: bool) -> &[u8] {
    if end && bytes.len() <= SAMPLE_BYTES {
        return bytes;
    }
    let bytes = &bytes[..bytes.len().min(SAMPLE_BYTES)];
    memchr::memrchr(b'\n', bytes).map_or(bytes, |newline| &bytes[..=newline])
}

#[cfg(test)]
mod tests {
    use arrow::compute::concat_batches;
    use arrow::datatypes::{DataType, Field};

    use super::*;

    const ROWS_MAX: usize = 10_000;

    fn reader(record_bytes_max: usize) -> RecordReader {
        let schema = Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, true),
            Field::new("text", DataType::Utf8, true),
        ]));
        let settings = Settings { record_bytes_max, ..Settings::default() };
        let shape = Shape::new(schema, &[0, 1], Some(named("json").unwrap()), &settings);
        RecordReader::new(shape, "test", None)
    }

    /// Several blocks of lines, some of them bad, one of them too long.
    fn input() -> Vec<u8> {
        let mut text = Vec::new();
        for n in 0..60_000 {
            match n % 7919 {
                5 => text.extend_from_slice(b"{\"n\":\n"),
                6 => text.extend_from_slice(b"\n"),
                7 => text.extend_from_slice(format!("{{\"text\":\"{}\"}}\n", "long".repeat(1000)).as_bytes()),
                _ => text.extend_from_slice(format!("{{\"n\":{n},\"text\":\"{}\"}}\n", "x".repeat(n % 100)).as_bytes()),
            }
        }
        text
    }

    /// What a reader makes of an input: its rows, its bad records, and the place behind each batch.
    fn read(mut reader: RecordReader, mut input: &[u8]) -> (RecordBatch, Vec<BadRecord>, Vec<(u64, u64)>, bool) {
        let (mut batches, mut bad, mut places, mut ahead) = (Vec::new(), Vec::new(), vec![reader.position()], false);
        let mut end = false;
        loop {
            while !end && reader.is_short(ROWS_MAX) {
                end = reader.fill(&mut input).unwrap();
            }
            if let Some(rows) = reader.next(ROWS_MAX, end).unwrap() {
                ahead |= reader.is_ahead();
                assert!(rows.batch.num_rows() <= ROWS_MAX);
                let (before, after) = (*places.last().unwrap(), reader.position());
                assert_eq!((before.0 + rows.bytes, before.1), (after.0, rows.first));
                places.push(after);
                batches.push(rows.batch);
                bad.extend(rows.bad);
            } else if end {
                return (concat_batches(&batches[0].schema(), &batches).unwrap(), bad, places, ahead);
            } else {
                end = reader.fill(&mut input).unwrap();
            }
        }
    }

    #[test]
    fn blocks_decoded_side_by_side_come_out_in_order() {
        let input = input();
        // A line at a time: nothing piles up, so nothing is handed to threads.
        let mut serial = reader(2000);
        let (mut batches, mut bads) = (Vec::new(), Vec::new());
        for line in input.split_inclusive(|b| *b == b'\n') {
            serial.extend(line);
            while let Some(rows) = serial.next(ROWS_MAX, false).unwrap() {
                batches.push(rows.batch);
                bads.extend(rows.bad);
            }
        }
        let expected = concat_batches(&batches[0].schema(), &batches).unwrap();
        let (batch, bad, places, ahead) = read(reader(2000), &input);
        assert!(ahead || std::thread::available_parallelism().unwrap().get() == 1, "threads were at work");
        assert_eq!(bad, bads);
        assert_eq!(batch, expected);
        assert!(bad.len() > 10 && places.len() > 5);
        // From each place on, the rest.
        for (offset, record) in places {
            let mut again = reader(2000);
            again.resume(offset, record, &input[..1000]).unwrap();
            let rest = &input[offset as usize..];
            if rest.is_empty() {
                continue;
            }
            let (batch, bad, ..) = read(again, rest);
            assert_eq!(batch, expected.slice(expected.num_rows() - batch.num_rows(), batch.num_rows()));
            assert_eq!(bad, bads[bads.len() - bad.len()..]);
        }
    }
}
