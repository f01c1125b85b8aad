//! `COPY (query) TO STDOUT`: rows as lines, in PostgreSQL's text format or as CSV. psql prints them as they come.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;

use super::text;
use crate::error::Result;
use crate::sql::statement::CopyFormat;

/// Makes lines of rows.
pub(super) struct CopyLines {
    format: CopyFormat,
    scratch: String,
}

impl CopyLines {
    pub(super) fn new(format: CopyFormat) -> Self {
        Self { format, scratch: String::new() }
    }

    /// The first line, when it names the columns.
    pub(super) fn header(&self, schema: &Schema) -> Option<String> {
        let mut line = String::new();
        for (index, field) in schema.fields().iter().enumerate() {
            self.separate(index, &mut line);
            self.value(crate::format::spelling(field), &mut line);
        }
        line.push('\n');
        self.format.header.then_some(line)
    }

    /// A row of a batch.
    ///
    /// # Errors
    /// When a value is out of the range of its own type.
    pub(super) fn line(&mut self, batch: &RecordBatch, row: usize) -> Result<String> {
        let mut line = String::new();
        for (index, column) in batch.columns().iter().enumerate() {
            self.separate(index, &mut line);
            if column.is_null(row) {
                line.push_str(if self.format.csv { "" } else { "\\N" });
                continue;
            }
            self.scratch.clear();
            text::write(column.as_ref(), row, &mut self.scratch)?;
            self.value(&self.scratch, &mut line);
        }
        line.push('\n');
        Ok(line)
    }

    fn separate(&self, index: usize, line: &mut String) {
        if index > 0 {
            line.push(if self.format.csv { ',' } else { '\t' });
        }
    }

    fn value(&self, value: &str, line: &mut String) {
        if self.format.csv {
            // An empty text in quotes is no NULL.
            if value.is_empty() || value.contains([',', '"', '\n', '\r']) || value == "\\." {
                line.push('"');
                line.push_str(&value.replace('"', "\"\""));
                line.push('"');
            } else {
                line.push_str(value);
            }
            return;
        }
        for c in value.chars() {
            match c {
                '\\' => line.push_str("\\\\"),
                '\n' => line.push_str("\\n"),
                '\r' => line.push_str("\\r"),
                '\t' => line.push_str("\\t"),
                '\u{8}' => line.push_str("\\b"),
                '\u{c}' => line.push_str("\\f"),
                '\u{b}' => line.push_str("\\v"),
                c => line.push(c),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn lines_as_postgresql_writes_them() {
        let n: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
        let word: ArrayRef = Arc::new(StringArray::from(vec![Some("a\tb\\"), Some(""), Some("x,\"y\"\n")]));
        let batch = RecordBatch::try_from_iter([("n", n), ("a word", word)]).unwrap();
        let lines = |csv, header| {
            let mut lines = CopyLines::new(CopyFormat { csv, header });
            let mut all = lines.header(batch.schema_ref()).unwrap_or_default();
            (0..3).for_each(|row| all.push_str(&lines.line(&batch, row).unwrap()));
            all
        };
        assert_eq!(lines(false, false), "1\ta\\tb\\\\\n\\N\t\n3\tx,\"y\"\\n\n");
        assert_eq!(lines(true, true), "n,a word\n1,a\tb\\\n,\"\"\n3,\"x,\"\"y\"\"\n\"\n");
    }
}
