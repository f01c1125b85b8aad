//! Bytes of one origin on their way to rows: their format told, cut into blocks of whole records, decoded.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};

use crate::error::{Error, Result};
use crate::format::{BadRecord, Decoder, FormatSpec, Records, infer};
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
        Ok(Known { records: Records::new(format, origin, self.record_bytes_max), decoder })
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

    /// Where the next record begins, and its number.
    pub(super) fn position(&self) -> (u64, u64) {
        self.known.as_ref().map_or((0, 1), |k| k.records.position())
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

    /// The next rows, at most `rows_max`. `None` when no whole record is held; at the end of the origin what is left is one.
    ///
    /// # Errors
    /// When the format can't be told or can't hold the columns.
    pub(super) fn next(&mut self, rows_max: usize, end: bool) -> Result<Option<Rows>> {
        if self.known.is_none() && !self.look(end)? {
            return Ok(None);
        }
        let Some(Known { records, decoder }) = &mut self.known else { return Ok(None) };
        if end {
            records.finish();
        }
        let (before, _) = records.position();
        let Some(block) = records.next_block(BLOCK_BYTES, rows_max) else { return Ok(None) };
        let (first, bytes) = (block.place.record, block.end_offset - before);
        let mut decoded = decoder.decode(block.bytes, &block.place)?;
        if let Some(bad) = block.bad {
            decoded.records += 1;
            decoded.bad.push(bad);
        }
        Ok(Some(Rows { batch: decoded.batch, first, records: decoded.records, bytes, bad: decoded.bad }))
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
