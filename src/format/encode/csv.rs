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
    field: Vec<u8>,
}

impl CsvEncoder {
    pub(super) fn new(schema: &SchemaRef, options: CsvOptions) -> Self {
        let mut header = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                header.push(options.delimiter);
            }
            write_field(&options, spelling(field).as_bytes(), &mut header);
        }
        header.push(b'\n');
        let header = (options.header != Some(false)).then_some(header);
        Self { options, header, field: Vec::new() }
    }
}

impl Encoder for CsvEncoder {
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        if let Some(header) = self.header.take() {
            out.extend_from_slice(&header);
        }
        let cells = Cells::of_columns(change.batch.columns())?;
        let (options, field) = (&self.options, &mut self.field);
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
                field.clear();
                cells.write_bare(row, field);
                write_field(options, field, out);
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

fn write_field(options: &CsvOptions, text: &[u8], out: &mut Vec<u8>) {
    let Some(quote) = options.quote else {
        out.extend_from_slice(text);
        return;
    };
    let special = |b: &u8| *b == quote || *b == options.delimiter || matches!(b, b'\n' | b'\r');
    let null = options.null.as_deref().unwrap_or_default().as_bytes();
    if !text.iter().any(special) && text != null && !text.is_empty() {
        out.extend_from_slice(text);
        return;
    }
    out.push(quote);
    for byte in text {
        if *byte == quote {
            out.push(quote);
        }
        out.push(*byte);
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
