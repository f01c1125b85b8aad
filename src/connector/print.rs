//! The `print` sink: one line per row of a change, in the changelog form of Flink: `+I[1, a]`, `-U[…]`, `+U[…]`, `-D[…]`.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::stdout::OpenOutput;
use super::{Connector, Description, RelationSpec, Sink, Source, write_error};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::host;
use crate::time::IntervalId;

/// The connector `print`.
pub struct Print {
    open: OpenOutput,
}

impl Default for Print {
    fn default() -> Self {
        Self::new(host::stdout)
    }
}

impl Print {
    /// A connector whose sinks write to what `open` opens.
    pub fn new(open: impl Fn() -> Box<dyn Write + Send> + Send + Sync + 'static) -> Self {
        Self { open: Arc::new(open) }
    }
}

impl Connector for Print {
    fn name(&self) -> &'static str {
        "print"
    }

    fn describe(&self, spec: &RelationSpec) -> Result<Description> {
        spec.options.get("print-identifier");
        Ok(Description { accepts_changes: true, ..Description::SINK })
    }

    fn source(&self, _: &RelationSpec, _: &[usize]) -> Result<Box<dyn Source>> {
        Err(Error::config("print can't be read").help("it is a sink; read files with connector = 'filesystem'"))
    }

    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>> {
        let prefix = spec.options.get("print-identifier").map_or_else(String::new, |id| format!("{id}> "));
        Ok(Box::new(PrintSink { output: (self.open)(), prefix, key: spec.key.clone(), staged: Vec::new() }))
    }
}

struct PrintSink {
    output: Box<dyn Write + Send>,
    prefix: String,
    key: Option<Vec<usize>>,
    staged: Vec<u8>,
}

impl Sink for PrintSink {
    fn stage(&mut self, _: IntervalId, change: &Change) -> Result<()> {
        let options = FormatOptions::default().with_null("NULL");
        let columns = change.batch.columns().iter();
        let columns = columns.map(|c| ArrayFormatter::try_new(c, &options)).collect::<Result<Vec<_>, _>>()?;
        for row in 0..change.num_rows() {
            let kind = kind(change, row, self.key.as_deref())?;
            let mut line = format!("{}{kind}[", self.prefix);
            for (index, column) in columns.iter().enumerate() {
                if index > 0 {
                    line.push_str(", ");
                }
                line.push_str(&column.value(row).try_to_string()?);
            }
            line.push_str("]\n");
            for _ in 0..change.weight(row).unsigned_abs() {
                self.staged.extend_from_slice(line.as_bytes());
            }
        }
        Ok(())
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        let written = self.output.write_all(&self.staged).and_then(|()| self.output.flush());
        self.staged.clear();
        written.map_err(|e| write_error("stdout", &e))
    }

    fn close(&mut self) -> Result<()> {
        self.publish(IntervalId::NONE)
    }
}

/// What a row does to its relation. A −old directly followed by a +new of the same key is an update.
fn kind(change: &Change, row: usize, key: Option<&[usize]>) -> Result<&'static str> {
    let pair = |old: usize, new: usize| -> Result<bool> {
        let update = new < change.num_rows() && change.weight(old) == -1 && change.weight(new) == 1;
        Ok(update && key.map_or(Ok(false), |key| same_key(&change.batch, key, old, new))?)
    };
    Ok(match change.weight(row) {
        1.. if row > 0 && pair(row - 1, row)? => "+U",
        1.. => "+I",
        _ if pair(row, row + 1)? => "-U",
        _ => "-D",
    })
}

fn same_key(batch: &RecordBatch, key: &[usize], old: usize, new: usize) -> Result<bool> {
    for column in key {
        let column = batch.column(*column);
        let compare = arrow::array::make_comparator(column, column, arrow::compute::SortOptions::default())?;
        if compare(old, new).is_ne() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;
    use crate::host::Host;
    use crate::settings::{Options, Settings};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn changes_are_printed_by_kind() {
        let schema =
            Arc::new(Schema::new(vec![Field::new("k", DataType::Int64, false), Field::new("v", DataType::Utf8, true)]));
        let mut options = Options::new();
        options.put("print-identifier", "out", None).unwrap();
        let spec = RelationSpec {
            name: "p".into(),
            schema: schema.clone(),
            options,
            settings: Settings::default(),
            host: Host::system(),
            key: Some(vec![0]),
        };
        let output = Shared::default();
        let shared = output.clone();
        let mut sink = Print::new(move || Box::new(shared.clone())).sink(&spec).unwrap();
        let keys = Int64Array::from(vec![1, 1, 2, 3, 4]);
        let values = StringArray::from(vec![Some("a"), Some("b"), None, Some("x"), Some("y")]);
        let batch = RecordBatch::try_new(schema, vec![Arc::new(keys), Arc::new(values)]).unwrap();
        let change = Change { batch, weights: Some(Int64Array::from(vec![-1, 1, 2, -1, 1])) };
        sink.stage(IntervalId(1), &change).unwrap();
        assert!(output.0.lock().unwrap().is_empty());
        sink.publish(IntervalId(1)).unwrap();
        let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        let expected =
            "out> -U[1, a]\nout> +U[1, b]\nout> +I[2, NULL]\nout> +I[2, NULL]\nout> -D[3, x]\nout> +I[4, y]\n";
        assert_eq!(text, expected);
    }
}
