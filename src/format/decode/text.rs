//! Lines of text: each is the value of the one column.

use arrow::datatypes::Schema;

use super::lines::{Run, line, runs};
use super::row::Rows;
use super::{bad, not_text};
use crate::error::{Error, Result};
use crate::format::{Decoded, Decoder, Place};

/// Decodes a line as a row.
pub(crate) struct TextDecoder {
    rows: Rows,
}

impl TextDecoder {
    /// A decoder of the one column of the schema, or of none.
    pub(crate) fn new(schema: &Schema, projection: &[usize]) -> Result<Self> {
        if schema.fields().len() != 1 {
            let message = format!("format 'text' has one column, the line; {} are declared", schema.fields().len());
            return Err(Error::config(message).help("declare (line VARCHAR), or choose format = 'csv' or 'json'"));
        }
        Ok(Self { rows: Rows::new(schema, projection, None)? })
    }
}

impl Decoder for TextDecoder {
    fn decode(&mut self, block: &[u8], place: &Place) -> Result<Decoded> {
        let (mut records, mut bads) = (0, Vec::new());
        let mut number = place.record;
        for run in runs(block, place) {
            let text = match run {
                Run::Text(text) => text,
                Run::NotText(line, valid) => {
                    bads.push(bad(place, number, not_text(valid), line));
                    records += 1;
                    number += 1;
                    continue;
                }
            };
            let mut at = 0;
            while at < text.len() {
                let (line, next) = line(text.as_bytes(), at);
                if !line.is_empty() {
                    records += 1;
                    let line_text = text.get(at..at + line.len()).unwrap_or_default();
                    // There is the one column, or none.
                    let added =
                        self.rows.row.columns.first_mut().map_or(Ok(()), |column| column.append_text(line_text));
                    match added {
                        Ok(()) => self.rows.count += 1,
                        Err(reason) => bads.push(bad(place, number, reason, line)),
                    }
                }
                number += 1;
                at = next;
            }
        }
        Ok(Decoded { batch: self.rows.finish()?, records, bad: bads })
    }

    fn fork(&self) -> Option<Box<dyn Decoder>> {
        Some(Box::new(Self { rows: self.rows.fork().ok()? }))
    }
}
