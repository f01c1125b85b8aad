//! A changelog for people, as Flink's print sink shows it: `+I[1, abc, 2026-03-01T12:00:00]`.

use super::cell::Cells;
use super::moves;
use crate::change::Change;
use crate::error::Result;
use crate::format::Encoder;

/// Writes a line per move of a row.
#[derive(Clone)]
pub(super) struct ChangelogEncoder {
    key: Option<Vec<usize>>,
}

impl ChangelogEncoder {
    pub(super) fn new(key: Option<Vec<usize>>) -> Self {
        Self { key }
    }
}

impl Encoder for ChangelogEncoder {
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        let cells = Cells::of_columns(change.batch.columns())?;
        moves::each(change, self.key.as_deref(), |op, row| {
            out.extend_from_slice(op.sign().as_bytes());
            out.push(b'[');
            for (index, cells) in cells.iter().enumerate() {
                if index > 0 {
                    out.extend_from_slice(b", ");
                }
                if cells.is_null(row) {
                    out.extend_from_slice(b"null");
                } else {
                    cells.write_bare(row, out);
                }
            }
            out.extend_from_slice(b"]\n");
            Ok(())
        })
    }

    fn fork(&self) -> Option<Box<dyn Encoder>> {
        Some(Box::new(self.clone()))
    }
}
