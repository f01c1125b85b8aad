//! Standard output as a sink: rows in a format, JSON lines by default, flushed with every interval.

use std::io::Write;
use std::sync::Arc;

use super::records::named;
use super::{Connector, Description, RelationSpec, Sink, Source, write_error};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::format::{Encoder, FormatSpec, encode_all};
use crate::host;
use crate::settings::Options;
use crate::time::IntervalId;

/// Opens what `stdout` and `print` write to.
pub(super) type OpenOutput = Arc<dyn Fn() -> Box<dyn Write + Send> + Send + Sync>;

/// The connector `stdout`.
pub struct Stdout {
    open: OpenOutput,
}

impl Default for Stdout {
    fn default() -> Self {
        Self::new(host::stdout)
    }
}

impl Stdout {
    /// A connector whose sinks write to what `open` opens.
    pub fn new(open: impl Fn() -> Box<dyn Write + Send> + Send + Sync + 'static) -> Self {
        Self { open: Arc::new(open) }
    }
}

impl Connector for Stdout {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn describe(&self, spec: &RelationSpec) -> Result<Description> {
        let format = format_or_json(&spec.options)?;
        Ok(Description { accepts_changes: format.holds_changes(), ..Description::SINK })
    }

    fn source(&self, _: &RelationSpec, _: &[usize]) -> Result<Box<dyn Source>> {
        Err(Error::config("stdout can't be read").help("read from stdin: connector = 'stdin'"))
    }

    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>> {
        let encoder = format_or_json(&spec.options)?.encoder(&spec.schema, spec.key.as_deref())?;
        Ok(Box::new(StdoutSink { output: (self.open)(), encoder, staged: Vec::new() }))
    }
}

/// The format that the options name, JSON lines when they name none.
pub(super) fn format_or_json(options: &Options) -> Result<FormatSpec> {
    FormatSpec::from_options(options, None)?.map_or_else(|| named("json"), Ok)
}

struct StdoutSink {
    output: Box<dyn Write + Send>,
    encoder: Box<dyn Encoder>,
    /// Encoded, in pieces.
    staged: Vec<Vec<u8>>,
}

impl StdoutSink {
    fn flush(&mut self) -> Result<()> {
        let written = self.staged.drain(..).try_for_each(|piece| self.output.write_all(&piece));
        let written = written.and_then(|()| self.output.flush());
        written.map_err(|e| write_error("stdout", &e))
    }
}

impl Sink for StdoutSink {
    fn stage(&mut self, interval: IntervalId, change: &Change) -> Result<()> {
        self.stage_all(interval, std::slice::from_ref(change))
    }

    fn stage_all(&mut self, _: IntervalId, changes: &[Change]) -> Result<()> {
        encode_all(self.encoder.as_mut(), changes, &mut self.staged)
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        self.flush()
    }

    fn close(&mut self) -> Result<()> {
        let mut end = Vec::new();
        self.encoder.finish(&mut end)?;
        self.staged.push(end);
        self.flush()
    }
}
