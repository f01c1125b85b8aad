//! Lines of text: each is the value of the one column.

use arrow::datatypes::Schema;

use super::bad;
use super::json::lines;
use super::row::{Rows, Slot};
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
        for (number, line, _) in lines(block, place, <[u8]>::is_empty) {
            records += 1;
            let text = std::str::from_utf8(line).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to()));
            let added = text.and_then(|text| {
                self.rows.add(|row, count| match row.column(Slot::Exact(0), count) {
                    Some(column) => column.append_text(text),
                    None => Ok(()),
                })
            });
            if let Err(reason) = added {
                bads.push(bad(place, number, reason, line));
            }
        }
        Ok(Decoded { batch: self.rows.finish()?, records, bad: bads })
    }
}
