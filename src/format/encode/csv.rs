//! CSV with a header, and bare lines of text.

use arrow::datatypes::SchemaRef;

use super::cell::Cells;
use super::moves::{self, Op};
use super::no_changes;
use crate::change::Change;
use crate::error::Result;
use crate::format::spec::CsvOptions;
use crate::format::{Encoder, spelling};

/// Writes CSV. An empty text is written as `""`, so that it differs from NULL.
#[derive(Clone)]
pub(super) struct CsvEncoder {
    options: CsvOptions,
    /// Until it has been written.
    header: Option<Vec<u8>>,
}

impl CsvEncoder {
    pub(super) fn new(schema: &SchemaRef, options: CsvOptions) -> Self {
        let mut header = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                header.push(options.delimiter);
            }
            let from = header.len();
            header.extend_from_slice(spelling(field).as_bytes());
            quote_field(&options, &mut header, from);
        }
        header.push(b'\n');
        let header = (options.header != Some(false)).then_some(header);
        Self { options, header }
    }
}

impl Encoder for CsvEncoder {
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        if let Some(header) = self.header.take() {
            out.extend_from_slice(&header);
        }
        let cells = Cells::of_columns(change.batch.columns())?;
        let options = &self.options;
        moves::each(change, None, |op, row| {
            if op != Op::Insert {
                return Err(no_changes("csv"));
            }
            for (index, cells) in cells.iter().enumerate() {
                if index > 0 {
                    out.push(options.delimiter);
                }
                if cells.is_null(row) {
                    out.extend_from_slice(options.null.as_deref().unwrap_or_default().as_bytes());
                    continue;
                }
                let from = out.len();
                cells.write_bare(row, out);
                quote_field(options, out, from);
            }
            out.push(b'\n');
            Ok(())
        })
    }

    fn fork(&self) -> Option<Box<dyn Encoder>> {
        self.header.is_none().then(|| Box::new(self.clone()) as _)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        // A result without rows has columns all the same.
        out.extend_from_slice(&self.header.take().unwrap_or_default());
        Ok(())
    }
}

/// Puts the field that has been written from a place on in quotes, if it needs them.
fn quote_field(options: &CsvOptions, out: &mut Vec<u8>, from: usize) {
    let Some(quote) = options.quote else { return };
    let text = &out[from..];
    let special = |b: u8| (b == quote) | (b == options.delimiter) | (b == b'\n') | (b == b'\r');
    let null = options.null.as_deref().unwrap_or_default().as_bytes();
    // Without a branch per byte, which compiles to a few wide instructions.
    let quoted = text.iter().fold(false, |found, byte| found | special(*byte));
    if !quoted && text != null && !text.is_empty() {
        return;
    }
    let text = text.to_vec();
    out.truncate(from);
    out.push(quote);
    for byte in text {
        if byte == quote {
            out.push(quote);
        }
        out.push(byte);
    }
    out.push(quote);
}

/// Writes the one column, a line per row; a NULL is an empty line.
pub(super) struct LineEncoder;

impl Encoder for LineEncoder {
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        let cells = Cells::of_columns(change.batch.columns())?;
        moves::each(change, None, |op, row| {
            if op != Op::Insert {
                return Err(no_changes("text"));
            }
            cells.iter().for_each(|cells| cells.write_bare(row, out));
            out.push(b'\n');
            Ok(())
        })
    }

    fn fork(&self) -> Option<Box<dyn Encoder>> {
        Some(Box::new(Self))
    }
}
