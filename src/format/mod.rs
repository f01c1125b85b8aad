//! Bytes ⇄ batches: JSON lines, CSV, text lines, access logs, Parquet, Arrow IPC, and the bad-record policy.
//!
//! * A [`Framer`] finds record boundaries in a stream of bytes and bounds the length of a record.
//! * A [`Decoder`] turns whole records into a batch; a bad record never costs its neighbours.
//! * [`Records`] cuts a stream of bytes into blocks of whole records, in bounded memory, for every kind of source.
//! * An [`Encoder`] turns changes into bytes.
//! * [`infer`] looks at the first bytes of an input and says what format and schema it has.
//!
//! Names: a field's name is its SQL name (folded to lower case unless quoted); the spelling in files is the field's metadata
//! [`SPELLING`], when it differs. Knows nothing about where bytes come from.

mod columnar;
mod compress;
mod decode;
mod encode;
mod framing;
mod infer;
mod instant;
mod records;
mod spec;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema};

use crate::change::Change;
use crate::error::Result;

pub use columnar::{ColumnarReader, infer_columnar};
pub use compress::{Compressor, decompress};
pub use encode::{Op, each_move, encode_all};
pub use infer::{Inferred, infer};
pub use records::{Block, OwnedBlock, Records};
pub use spec::{FormatSpec, on_error};

/// Key of the field metadata that holds the name as it is spelled in files, when the SQL name is folded.
pub const SPELLING: &str = "tidemill.spelling";

/// Key of the field metadata that marks a column of the key by which records change rows.
pub const KEY: &str = "tidemill.key";

/// The name of a field as it is spelled in files and on brokers.
///
/// A field that was renamed on its way (`AS u`) keeps its new name: the spelling counts only while it differs in case alone.
pub fn spelling(field: &Field) -> &str {
    match field.metadata().get(SPELLING) {
        Some(spelled) if spelled.to_lowercase() == *field.name() => spelled,
        _ => field.name(),
    }
}

/// A place in an input, for messages about records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, the peer, `stdin`.
    pub origin: Arc<str>,
    /// Number of the record in it, from 1.
    pub record: u64,
}

/// A record that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Where it stood.
    pub place: Place,
    /// What was wrong with it, in lower case.
    pub reason: String,
    /// Its first 4 KiB.
    pub bytes: Vec<u8>,
}

/// What came of a block of records.
#[derive(Debug)]
pub struct Decoded {
    /// The good rows, in order.
    pub batch: RecordBatch,
    /// How many records the block had, good and bad; empty lines are no records.
    pub records: u64,
    /// The bad ones, in order.
    pub bad: Vec<BadRecord>,
}

/// What to do with a bad record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnError {
    /// The query fails, naming the place.
    Fail,
    /// It is counted and skipped.
    Skip,
    /// It is counted and written to the dead-letter relation of the source.
    DeadLetter,
}

/// Finds the end of the last whole record in a stream of bytes.
pub trait Framer: Send {
    /// How many of these bytes are whole records: `None` when there is no end of a record in them. Call it with all the
    /// bytes since the last whole record.
    fn whole(&self, bytes: &[u8]) -> Option<usize>;
}

/// Turns whole records into batches of the projected schema.
pub trait Decoder: Send {
    /// Decodes a block of whole records; the last may lack its newline. `place` is that of the first record.
    ///
    /// # Errors
    /// Only for what is not the fault of a record.
    fn decode(&mut self, block: &[u8], place: &Place) -> Result<Decoded>;

    /// Gives the first record of an input to a decoder that starts further on (after a restart), because that record may be
    /// the header that says which column is which. Only formats with [`FormatSpec::has_header`] look at it.
    ///
    /// # Errors
    /// When the header lacks a column.
    fn header(&mut self, record: &[u8]) -> Result<()> {
        let _ = record;
        Ok(())
    }

    /// Another decoder for the same input, knowing what this one has learned from its first record, so that blocks further on
    /// can be decoded side by side. `None` while it has not learned yet, or when blocks must come to one decoder in order.
    fn fork(&self) -> Option<Box<dyn Decoder>> {
        None
    }
}

/// Turns changes into bytes.
pub trait Encoder: Send {
    /// Appends the bytes of a change. Formats with a header write it before the first.
    ///
    /// # Errors
    /// When a value can't be written in this format.
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()>;

    /// Another encoder that writes as this one goes on to, so that rows can be encoded side by side. `None` when all of them
    /// must come to one encoder in order, or before this one has written what comes once, such as a header.
    fn fork(&self) -> Option<Box<dyn Encoder>> {
        None
    }

    /// Appends what ends a file (the footer of Parquet or Arrow IPC).
    ///
    /// # Errors
    /// As `encode`.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let _ = out;
        Ok(())
    }
}

/// The part of a schema that a plan reads, in the order it reads it.
pub fn project(schema: &Schema, projection: &[usize]) -> Result<Schema> {
    Ok(schema.project(projection)?)
}
