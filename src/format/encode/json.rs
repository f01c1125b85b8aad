//! JSON lines: an object per row, keys as they are spelled in files, every NULL written out.
//!
//! A row of a changing relation begins with the key `op`: `+I`, `-U`, `+U` or `-D` (`__op` where the row has a column `op`). As
//! `upsert-json` every row has one, and the old rows of updates are left out.

use arrow::datatypes::{Fields, SchemaRef};

use super::cell::{Cells, keys};
use super::moves;
use crate::change::Change;
use crate::error::Result;
use crate::format::{Encoder, spelling};

/// Writes JSON lines.
#[derive(Clone)]
pub(super) struct JsonEncoder {
    keys: Vec<Vec<u8>>,
    op: &'static [u8],
    key: Option<Vec<usize>>,
    /// Only what readers by key need: the new row of an update, which every row has an `op` beside.
    upsert: bool,
}

impl JsonEncoder {
    pub(super) fn new(schema: &SchemaRef, key: Option<Vec<usize>>) -> Self {
        let taken = schema.fields().iter().any(|field| spelling(field) == "op");
        Self { keys: keys(schema.fields()), op: if taken { b"\"__op\":\"" } else { b"\"op\":\"" }, key, upsert: false }
    }

    pub(super) fn upsert(schema: &SchemaRef, key: Option<Vec<usize>>) -> Self {
        Self { upsert: true, ..Self::new(schema, key) }
    }
}

impl Encoder for JsonEncoder {
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        let cells = Cells::of_columns(change.batch.columns())?;
        let changing = change.weights.is_some() || self.upsert;
        moves::each(change, self.key.as_deref(), |op, row| {
            if self.upsert && op == moves::Op::UpdateBefore {
                return Ok(());
            }
            out.push(b'{');
            if changing {
                out.extend_from_slice(self.op);
                out.extend_from_slice(op.sign().as_bytes());
                out.extend_from_slice(if cells.is_empty() { b"\"" } else { b"\"," });
            }
            write_members(&self.keys, &cells, row, out);
            out.extend_from_slice(b"}\n");
            Ok(())
        })
    }

    fn fork(&self) -> Option<Box<dyn Encoder>> {
        Some(Box::new(self.clone()))
    }
}

/// Writes `"a":1,"b":2`.
fn write_members(keys: &[Vec<u8>], cells: &[Cells<'_>], row: usize, out: &mut Vec<u8>) {
    for (index, (key, cells)) in keys.iter().zip(cells).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        cells.write_json(row, out);
    }
}

/// Rows as JSON objects, for formats that wrap them.
#[derive(Clone)]
pub(super) struct Objects(Vec<Vec<u8>>);

impl Objects {
    pub(super) fn new(fields: &Fields) -> Self {
        Self(keys(fields))
    }

    pub(super) fn write(&self, cells: &[Cells<'_>], row: usize, out: &mut Vec<u8>) {
        out.push(b'{');
        write_members(&self.0, cells, row, out);
        out.push(b'}');
    }
}
