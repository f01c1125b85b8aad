//! An aligned table for people.
//!
//! ```text
//!  auction │  top
//! ─────────┼──────
//!     1007 │ 9120
//! ```
//!
//! The header is written once and the columns are as wide as the first rows need; a wider value that comes later sticks out.
//! Changing relations have a first column `op`.

use arrow::datatypes::SchemaRef;

use super::cell::{Cells, is_number};
use super::moves;
use crate::change::Change;
use crate::error::Result;
use crate::format::Encoder;

/// Writes tables.
pub(super) struct TableEncoder {
    names: Vec<String>,
    right: Vec<bool>,
    key: Option<Vec<usize>>,
    /// Widths in characters, `op` first when there is one; empty until the header is written.
    widths: Vec<usize>,
    has_op: bool,
}

impl TableEncoder {
    pub(super) fn new(schema: &SchemaRef, key: Option<Vec<usize>>) -> Self {
        Self {
            names: schema.fields().iter().map(|f| f.name().clone()).collect(),
            right: schema.fields().iter().map(|f| is_number(f.data_type())).collect(),
            key,
            widths: Vec::new(),
            has_op: false,
        }
    }

    fn header(&mut self, rows: &[Vec<String>], has_op: bool, out: &mut Vec<u8>) {
        self.has_op = has_op;
        if has_op {
            self.names.insert(0, "op".into());
            self.right.insert(0, false);
        }
        let width = |(index, name): (usize, &String)| {
            rows.iter().map(|row| width(&row[index])).max().unwrap_or(0).max(width(name))
        };
        self.widths = self.names.iter().enumerate().map(width).collect();
        self.line(&self.names.clone(), out);
        let rules: Vec<String> = self.widths.iter().map(|width| "─".repeat(width + 2)).collect();
        out.extend_from_slice(rules.join("┼").as_bytes());
        out.push(b'\n');
    }

    fn line(&self, values: &[String], out: &mut Vec<u8>) {
        let mut line = String::new();
        for (index, value) in values.iter().enumerate() {
            line.push_str(if index == 0 { " " } else { " │ " });
            let fill = " ".repeat(self.widths[index].saturating_sub(width(value)));
            let (before, behind) = if self.right[index] { (fill.as_str(), "") } else { ("", fill.as_str()) };
            line.push_str(before);
            line.push_str(value);
            line.push_str(behind);
        }
        out.extend_from_slice(line.trim_end().as_bytes());
        out.push(b'\n');
    }
}

impl Encoder for TableEncoder {
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        let cells = Cells::of_columns(change.batch.columns())?;
        let has_op = if self.widths.is_empty() { change.weights.is_some() } else { self.has_op };
        let mut rows = Vec::with_capacity(change.num_rows());
        moves::each(change, self.key.as_deref(), |op, row| {
            let mut values = Vec::with_capacity(cells.len() + 1);
            if has_op {
                values.push(op.sign().to_owned());
            }
            values.extend(cells.iter().map(|cells| shown(cells, row)));
            rows.push(values);
            Ok(())
        })?;
        if self.widths.is_empty() {
            self.header(&rows, has_op, out);
        }
        rows.iter().for_each(|row| self.line(row, out));
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.widths.is_empty() && !self.names.is_empty() {
            self.header(&[], false, out);
        }
        Ok(())
    }
}

/// A value on one line; NULL is shown, so that it differs from an empty text.
fn shown(cells: &Cells<'_>, row: usize) -> String {
    if cells.is_null(row) {
        return "NULL".into();
    }
    let mut bytes = Vec::new();
    cells.write_bare(row, &mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.contains(char::is_control) { text.escape_debug().to_string() } else { text }
}

/// Characters, which is columns of a terminal for most scripts.
fn width(text: &str) -> usize {
    text.chars().count()
}
