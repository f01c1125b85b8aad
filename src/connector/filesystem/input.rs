//! One open file on its way to rows: plain or compressed records, or columns.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;

use super::options::FileOptions;
use super::partition::partitions_of;
use super::{open_error, read_error};
use crate::connector::columns::{Columns, Facts};
use crate::connector::records::{RecordReader, Rows, SAMPLE_BYTES, Shape, sample, tell_format};
use crate::connector::{Position, SourceBatch};
use crate::error::{Error, Result};
use crate::format::{BadRecord, ColumnarReader, FormatSpec, decompress};
use crate::host::{FileMeta, Host, ReadFile};
use crate::settings::Settings;

/// Bytes at the beginning of a file that tell its format and header.
pub(super) const HEAD_BYTES: usize = SAMPLE_BYTES + 1;
/// Bytes at the beginning of a file that tell it from another.
const PRINT_BYTES: usize = 256;

/// What the reading of every file of a relation has in common.
pub(super) struct Reading {
    pub(super) host: Host,
    pub(super) columns: Columns,
    pub(super) settings: Settings,
    pub(super) options: FileOptions,
}

impl Reading {
    /// The format of a file, as far as options, its name and its first bytes show it.
    fn format(&self, path: &Path, sample: &[u8]) -> Result<Option<FormatSpec>> {
        let name = path.display().to_string();
        match self.options.format(&name)? {
            None if !sample.is_empty() => {
                let told = tell_format(&self.columns.records, Some(&name), sample);
                told.map(Some).map_err(|e| e.context(format!("'{name}'")))
            }
            known => Ok(known),
        }
    }

    /// How records of a file of this format become rows.
    pub(super) fn records(&self, path: &Path, format: Option<FormatSpec>) -> RecordReader {
        let name = path.display().to_string();
        let shape = Shape::new(self.columns.records.clone(), &self.columns.wanted, format, &self.settings);
        RecordReader::new(shape, name.as_str(), Some(name.clone()))
    }

    /// What the columns about the file show.
    pub(super) fn facts(&self, path: &Path, meta: &FileMeta) -> Facts {
        Facts {
            path: path.display().to_string(),
            name: path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
            size: meta.size,
            modified: meta.modified,
            partitions: if self.options.partitioned_by.is_empty() { Vec::new() } else { partitions_of(path) },
        }
    }
}

/// Where in a file a record begins, and which file that is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Mark {
    pub(super) path: PathBuf,
    /// Device and inode.
    pub(super) id: (u64, u64),
    pub(super) print: Print,
    /// Bytes before the record, decompressed.
    pub(super) offset: u64,
    /// Its number, from 1; in a file of columns that of the row.
    pub(super) record: u64,
}

/// A fingerprint of the first bytes of a file: an inode may be given to another file, and a restored file gets a new inode.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Print {
    /// Bytes it was taken of.
    pub(super) bytes: usize,
    hash: String,
}

impl Print {
    /// Of the first bytes of a file, as far as they will not change: up to `within`.
    pub(super) fn of(head: &[u8], within: u64) -> Self {
        let bytes = head.len().min(PRINT_BYTES).min(usize::try_from(within).unwrap_or(PRINT_BYTES));
        Self { bytes, hash: format!("{:016x}", fnv(&head[..bytes])) }
    }

    /// Whether a file begins with the same bytes. Its place is moved.
    pub(super) fn matches(&self, file: &mut dyn ReadFile) -> io::Result<bool> {
        file.seek(SeekFrom::Start(0))?;
        let mut head = Vec::with_capacity(self.bytes);
        file.take(self.bytes as u64).read_to_end(&mut head)?;
        Ok(head.len() == self.bytes && *self == Self::of(&head, self.bytes as u64))
    }
}

/// A hash that is the same in every version and on every machine.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The first bytes of a file, decompressed.
pub(super) fn head(file: Box<dyn ReadFile>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    decompress(Box::new(Plain(file)))?.take(HEAD_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An open file.
pub(super) struct Input {
    mark: Mark,
    facts: Facts,
    body: Body,
}

enum Body {
    Records { bytes: Box<dyn Read + Send>, reader: Box<RecordReader>, end: bool },
    Columns { batches: ColumnarReader, skip: u64 },
}

impl Input {
    /// Opens a file, at its beginning or where a mark says.
    ///
    /// # Errors
    /// When it can't be opened, or is not the file that the mark is of.
    pub(super) fn open(reading: &Reading, path: &Path, at: Option<&Mark>) -> Result<Self> {
        let open = || reading.host.files.open(path).map_err(|e| open_error(&reading.host, path, &e));
        let failed = |e: io::Error| read_error(path, &e);
        let mut file = open()?;
        let meta = file.meta().map_err(failed)?;
        if let Some(mark) = at
            && !mark.print.matches(file.as_mut()).map_err(failed)?
        {
            return Err(not_the_same(path));
        }
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut raw = Vec::new();
        (&mut file).take(PRINT_BYTES as u64).read_to_end(&mut raw).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let head = head(open()?).map_err(failed)?;
        let format = reading.format(path, sample(&head, head.len() < HEAD_BYTES))?;
        let (offset, record) = at.map_or((0, 1), |m| (m.offset, m.record));
        let columns = &reading.columns;
        let body = match format {
            // An empty file has no footer either.
            Some(format) if format.is_columnar() && meta.size > 0 => {
                let rows = reading.settings.batch_rows_max;
                let batches = format
                    .read_columnar(file, &columns.records, &columns.wanted, rows)
                    .map_err(|e| e.context(format!("'{}'", path.display())))?;
                Body::Columns { batches, skip: record - 1 }
            }
            format => {
                let mut reader = Box::new(reading.records(path, format));
                reader.resume(offset, record, &head)?;
                let bytes = skip_to(file, offset, &raw).map_err(failed)?;
                Body::Records { bytes, reader, end: false }
            }
        };
        let mark = Mark { path: path.to_owned(), id: meta.id, print: Print::of(&raw, u64::MAX), offset, record };
        Ok(Self { mark, facts: reading.facts(path, &meta), body })
    }

    /// The next rows; `None` at the end of the file.
    ///
    /// # Errors
    /// When reading fails.
    pub(super) fn next(&mut self, reading: &Reading) -> Result<Option<Found>> {
        let rows_max = reading.settings.batch_rows_max.max(1);
        let path = &self.mark.path;
        match &mut self.body {
            Body::Records { bytes, reader, end } => loop {
                while !*end && reader.is_short(rows_max) {
                    *end = reader.fill(bytes.as_mut()).map_err(|e| read_error(path, &e))?;
                }
                if let Some(rows) = reader.next(rows_max, *end)? {
                    (self.mark.offset, self.mark.record) = reader.position();
                    return found(reading, &self.facts, rows).map(Some);
                }
                if *end {
                    return Ok(None);
                }
                *end = reader.fill(bytes.as_mut()).map_err(|e| read_error(path, &e))?;
            },
            Body::Columns { batches, skip } => loop {
                let Some(batch) = batches.next() else { return Ok(None) };
                let mut batch = batch.map_err(|e| e.context(format!("'{}'", path.display())))?;
                let skipped = usize::try_from(*skip).unwrap_or(usize::MAX).min(batch.num_rows());
                *skip -= skipped as u64;
                batch = batch.slice(skipped, batch.num_rows() - skipped);
                if batch.num_rows() == 0 {
                    continue;
                }
                let (first, records) = (self.mark.record, batch.num_rows() as u64);
                self.mark.record += records;
                let bytes = batch.get_array_memory_size() as u64;
                let rows = Rows { batch, first, records, bytes, bad: Vec::new() };
                return found(reading, &self.facts, rows).map(Some);
            },
        }
    }

    /// Where it stands.
    pub(super) fn mark(&self) -> &Mark {
        &self.mark
    }
}

/// Rows of a file, with every wanted column.
pub(super) struct Found {
    batch: RecordBatch,
    records: u64,
    bytes: u64,
    bad: Vec<BadRecord>,
}

impl Found {
    pub(super) fn at(self, position: Position) -> SourceBatch {
        let Self { batch, records, bytes, bad } = self;
        SourceBatch { partition: 0, batch, records, bytes, bad, position }
    }
}

pub(super) fn found(reading: &Reading, facts: &Facts, rows: Rows) -> Result<Found> {
    let batch = reading.columns.assemble(&rows, facts)?;
    Ok(Found { batch, records: rows.records, bytes: rows.bytes, bad: rows.bad })
}

/// The error when a position is of another file.
pub(super) fn not_the_same(path: &Path) -> Error {
    Error::data(format!("'{}' is no longer the file that was read before: it begins differently", path.display()))
        .help("put the old file back, or start the query anew")
}

/// The bytes of a file, decompressed, from an offset on.
fn skip_to(mut file: Box<dyn ReadFile>, offset: u64, raw: &[u8]) -> io::Result<Box<dyn Read + Send>> {
    if !is_compressed(raw) {
        file.seek(SeekFrom::Start(offset))?;
        return Ok(Box::new(Plain(file)));
    }
    let mut bytes = decompress(Box::new(Plain(file)))?;
    io::copy(&mut (&mut bytes).take(offset), &mut io::sink())?;
    Ok(bytes)
}

/// Whether a file begins as gzip and zstd do.
pub(super) fn is_compressed(raw: &[u8]) -> bool {
    raw.starts_with(&[0x1f, 0x8b]) || raw.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
}

/// A file seen as a stream.
struct Plain(Box<dyn ReadFile>);

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}
