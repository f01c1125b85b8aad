//! Debezium's envelope: `{"before":…,"after":…,"op":"c"}`; an update (`u`) is one message with both rows.

use arrow::datatypes::SchemaRef;

use super::cell::Cells;
use super::json::Objects;
use super::moves::{self, Op};
use crate::change::Change;
use crate::error::Result;
use crate::format::Encoder;

/// Writes a message per insert, update or delete.
#[derive(Clone)]
pub(super) struct DebeziumEncoder {
    objects: Objects,
    key: Option<Vec<usize>>,
}

impl DebeziumEncoder {
    pub(super) fn new(schema: &SchemaRef, key: Option<Vec<usize>>) -> Self {
        Self { objects: Objects::new(schema.fields()), key }
    }
}

impl Encoder for DebeziumEncoder {
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        let cells = Cells::of_columns(change.batch.columns())?;
        moves::each(change, self.key.as_deref(), |op, row| {
            // The second half of an update ends the message that the first half began.
            if op != Op::UpdateAfter {
                out.extend_from_slice(b"{\"before\":");
            }
            match op {
                Op::Insert => {
                    out.extend_from_slice(b"null,\"after\":");
                    self.objects.write(&cells, row, out);
                    out.extend_from_slice(b",\"op\":\"c\"}\n");
                }
                Op::Delete => {
                    self.objects.write(&cells, row, out);
                    out.extend_from_slice(b",\"after\":null,\"op\":\"d\"}\n");
                }
                Op::UpdateBefore => {
                    self.objects.write(&cells, row, out);
                    out.extend_from_slice(b",\"after\":");
                }
                Op::UpdateAfter => {
                    self.objects.write(&cells, row, out);
                    out.extend_from_slice(b",\"op\":\"u\"}\n");
                }
            }
            Ok(())
        })
    }

    fn fork(&self) -> Option<Box<dyn Encoder>> {
        Some(Box::new(self.clone()))
    }
}
