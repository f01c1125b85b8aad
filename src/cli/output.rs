//! Where results go: stdout or a file, in a format, as the rows of a bare SELECT or as a finite result.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::screen::Screen;
use crate::change::Change;
use crate::connector::Sink;
use crate::engine::{Control, Output, OutputInfo};
use crate::error::{Error, Result};
use crate::format::{Encoder, FormatSpec, encode_all};
use crate::host::{Host, WriteFile};
use crate::settings::Options;
use crate::time::IntervalId;

/// Prints results; the shell changes its fields.
pub(crate) struct Printer {
    pub(crate) screen: Screen,
    host: Host,
    /// A format by name; `None`: by the extension of the file, else by who reads.
    pub(crate) format: Option<String>,
    /// One value a line, for finite results that are wide.
    pub(crate) expanded: bool,
    target: Target,
    limit: Option<Arc<Limit>>,
    /// Rows that bare SELECTs have printed.
    printed: Arc<AtomicU64>,
    /// Of the SELECT opened last: nobody wants its rows any more.
    muted: Arc<AtomicBool>,
}

/// Where bytes go.
#[derive(Clone)]
enum Target {
    Stdout(Screen),
    File { path: PathBuf, file: Arc<Mutex<Option<Box<dyn WriteFile>>>> },
}

/// How many more rows may come out of all SELECTs together; the last one ends the run.
struct Limit {
    left: AtomicU64,
    control: Control,
}

impl Printer {
    /// A printer to stdout.
    pub(crate) fn new(screen: Screen, host: Host) -> Self {
        let target = Target::Stdout(screen.clone());
        Self {
            screen,
            host,
            format: None,
            expanded: false,
            target,
            limit: None,
            printed: Arc::default(),
            muted: Arc::default(),
        }
    }

    /// Ends the run after so many rows.
    pub(crate) fn limit(&mut self, rows: u64, control: &Control) {
        self.limit = Some(Arc::new(Limit { left: AtomicU64::new(rows), control: control.clone() }));
    }

    /// Prints to a file (made when there is something for it), or to stdout again.
    pub(crate) fn redirect(&mut self, path: Option<&Path>) {
        self.target = match path {
            Some(path) => Target::File { path: path.to_owned(), file: Arc::default() },
            None => Target::Stdout(self.screen.clone()),
        };
    }

    /// The format that is asked for by name, checked.
    ///
    /// # Errors
    /// An unknown format.
    pub(crate) fn check_format(&self) -> Result<()> {
        self.spec("json").map(|_| ())
    }

    /// Whether a person reads it as it comes.
    pub(crate) fn to_terminal(&self) -> bool {
        matches!(self.target, Target::Stdout(_)) && self.screen.stdout_is_terminal()
    }

    /// What the SELECT opened last still has to say stays off the terminal; it was stopped, and something else is there now.
    pub(crate) fn mute(&self) {
        if self.to_terminal() {
            self.muted.store(true, Ordering::SeqCst);
        }
    }

    /// Rows printed by bare SELECTs so far.
    pub(crate) fn printed(&self) -> u64 {
        self.printed.load(Ordering::Relaxed)
    }

    /// Prints a finite result.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn rows(&self, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
        let mut bytes = Vec::new();
        if self.expanded {
            batches.iter().try_fold(0, |before, batch| expand(batch, before, &mut bytes))?;
        } else {
            let spec = self.spec(if self.to_terminal() { "table" } else { "json" })?;
            let mut encoder = spec.encoder(schema, None)?;
            for batch in batches {
                encoder.encode(&Change::append(batch.clone()), &mut bytes)?;
            }
            encoder.finish(&mut bytes)?;
        }
        self.target.write(&self.host, &bytes)
    }

    /// Prints a plan: its text as it is, unless a format was asked for.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn plan(&self, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
        if self.format.is_some() {
            return self.rows(schema, batches);
        }
        let mut bytes = Vec::new();
        for batch in batches {
            let Some(column) = batch.columns().last() else { continue };
            let texts = ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())?;
            for row in 0..batch.num_rows() {
                writeln!(bytes, "{}", texts.value(row).to_string().trim_end())?;
            }
        }
        self.target.write(&self.host, &bytes)
    }

    /// Prints text, for the shell's own lists.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        self.target.write(&self.host, text.as_bytes())
    }

    /// Prints a small table of texts.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn table(&self, names: &[&str], rows: &[Vec<String>]) -> Result<()> {
        let field = |name: &&str| arrow::datatypes::Field::new(*name, DataType::Utf8, true);
        let schema: SchemaRef = arrow::datatypes::Schema::new(names.iter().map(field).collect::<Vec<_>>()).into();
        let column = |index: usize| -> arrow::array::ArrayRef {
            Arc::new(rows.iter().map(|row| row.get(index).map(String::as_str)).collect::<StringArray>())
        };
        let batch = RecordBatch::try_new(schema.clone(), (0..names.len()).map(column).collect())?;
        self.rows(&schema, &[batch])
    }

    fn spec(&self, otherwise: &str) -> Result<FormatSpec> {
        let mut options = Options::new();
        if let Some(name) = &self.format {
            options.put("format", name, None)?;
        }
        let path = match &self.target {
            Target::File { path, .. } => Some(path.to_string_lossy()),
            Target::Stdout(_) => None,
        };
        if let Some(spec) = FormatSpec::from_options(&options, path.as_deref())? {
            return Ok(spec);
        }
        options.put("format", otherwise, None)?;
        FormatSpec::from_options(&options, None)?
            .ok_or_else(|| Error::internal(format!("there is no format '{otherwise}'")))
    }
}

impl Output for Printer {
    fn open(&mut self, info: &OutputInfo) -> Result<Box<dyn Sink>> {
        let spec = self.spec(match (self.to_terminal(), info.append_only) {
            (false, _) => "json",
            (true, true) => "table",
            (true, false) => "changelog",
        })?;
        if !info.append_only && !spec.holds_changes() {
            return Err(Error::config("this query changes rows that it has printed, and the format can't hold that")
                .help("print changes: --format json, or in the shell \\format changelog")
                .help("or only final rows: end the query with EMIT ON WINDOW CLOSE"));
        }
        if let Target::File { path, file } = &self.target
            && spec.is_columnar()
            && file.lock().is_ok_and(|file| file.is_some())
        {
            return Err(Error::config(format!("'{}' can hold the rows of one SELECT only", path.display()))
                .help("write the others with INSERT INTO a sink of their own"));
        }
        // The file is made now, so that a wrong path is known before anything runs.
        self.target.write(&self.host, &[])?;
        self.muted = Arc::default();
        Ok(Box::new(PrintedRows {
            encoder: spec.encoder(&info.schema, info.key.as_deref())?,
            target: self.target.clone(),
            host: self.host.clone(),
            limit: self.limit.clone(),
            printed: self.printed.clone(),
            muted: self.muted.clone(),
            staged: Vec::new(),
            closed: false,
        }))
    }
}

impl Target {
    fn write(&self, host: &Host, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stdout(_) if bytes.is_empty() => Ok(()),
            Self::Stdout(screen) => screen.write(bytes).map_err(|e| Error::from(e).context("stdout")),
            Self::File { path, file } => {
                let named = |e: std::io::Error| Error::from(e).context(format!("'{}'", path.display()));
                let mut file = file.lock().map_err(|_| Error::internal("the output file is lost"))?;
                if file.is_none() {
                    let made = host.files.create(path, false);
                    *file =
                        Some(made.map_err(|e| Error::unreachable(format!("can't write '{}': {e}", path.display())))?);
                }
                match file.as_mut() {
                    Some(open) => open.write_all(bytes).and_then(|()| open.flush()).map_err(named),
                    None => Ok(()),
                }
            }
        }
    }

    fn sync(&self) -> Result<()> {
        if let Self::File { file, .. } = self
            && let Ok(mut file) = file.lock()
            && let Some(open) = file.as_mut()
        {
            // A pipe or a device has nothing to sync.
            let _ = open.sync();
        }
        Ok(())
    }
}

/// The rows of a bare SELECT on their way out.
struct PrintedRows {
    encoder: Box<dyn Encoder>,
    target: Target,
    host: Host,
    limit: Option<Arc<Limit>>,
    printed: Arc<AtomicU64>,
    muted: Arc<AtomicBool>,
    /// Encoded, in pieces.
    staged: Vec<Vec<u8>>,
    closed: bool,
}

impl PrintedRows {
    fn write_staged(&mut self) -> Result<()> {
        let muted = self.muted.load(Ordering::SeqCst);
        for piece in self.staged.drain(..).filter(|piece| !piece.is_empty() && !muted) {
            self.target.write(&self.host, &piece)?;
        }
        Ok(())
    }

    /// What of a change is still within the limit.
    fn wanted(&self, change: &Change) -> Change {
        let rows = self.limit.as_ref().map_or(change.num_rows(), |limit| limit.take(change.num_rows()));
        if rows == change.num_rows() {
            return change.clone();
        }
        let weights = change.weights.as_ref().map(|w| w.slice(0, rows));
        Change { batch: change.batch.slice(0, rows), weights }
    }

    fn limit_reached(&self) -> bool {
        self.limit.as_ref().is_some_and(|limit| limit.left.load(Ordering::SeqCst) == 0)
    }
}

impl Sink for PrintedRows {
    fn stage(&mut self, interval: IntervalId, change: &Change) -> Result<()> {
        self.stage_all(interval, std::slice::from_ref(change))
    }

    fn stage_all(&mut self, _: IntervalId, changes: &[Change]) -> Result<()> {
        let wanted: Vec<Change> =
            changes.iter().map(|change| self.wanted(change)).filter(|c| c.num_rows() > 0).collect();
        if wanted.is_empty() || self.muted.load(Ordering::SeqCst) {
            return Ok(());
        }
        let rows = wanted.iter().map(Change::num_rows).sum::<usize>();
        self.printed.fetch_add(rows as u64, Ordering::Relaxed);
        encode_all(self.encoder.as_mut(), &wanted, &mut self.staged)
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        if self.limit_reached() {
            self.close()?;
            if let Some(limit) = &self.limit {
                limit.control.abort();
            }
            return Ok(());
        }
        self.write_staged()
    }

    fn close(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        let mut end = Vec::new();
        self.encoder.finish(&mut end)?;
        self.staged.push(end);
        self.write_staged()?;
        self.target.sync()
    }
}

impl Limit {
    /// Takes up to so many rows off what is left.
    fn take(&self, rows: usize) -> usize {
        let mut taken = 0;
        let _ = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            taken = left.min(rows as u64);
            Some(left - taken)
        });
        usize::try_from(taken).unwrap_or(rows)
    }
}

/// Writes each row as a block with a line per column; `before` rows are out already.
fn expand(batch: &RecordBatch, before: usize, out: &mut Vec<u8>) -> Result<usize> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options));
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
    let schema = batch.schema();
    let width = schema.fields().iter().map(|f| f.name().chars().count()).max().unwrap_or(0);
    for row in 0..batch.num_rows() {
        writeln!(out, "-[ row {} ]-", before + row + 1)?;
        for (field, column) in schema.fields().iter().zip(&columns) {
            writeln!(out, "{:width$} | {}", field.name(), column.value(row))?;
        }
    }
    Ok(before + batch.num_rows())
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use arrow::datatypes::{Field, Schema};

    use super::*;

    /// One line a row: its weight and its first value.
    struct Plain;

    impl Encoder for Plain {
        fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
            for row in 0..change.num_rows() {
                writeln!(out, "{}", change.weight(row))?;
            }
            Ok(())
        }

        fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
            out.extend(b"end\n");
            Ok(())
        }
    }

    fn batch(rows: i64) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("n", DataType::Int64, true)]);
        RecordBatch::try_new(schema.into(), vec![Arc::new(Int64Array::from_iter_values(0..rows))]).unwrap()
    }

    fn sink(printer: &Printer) -> PrintedRows {
        PrintedRows {
            encoder: Box::new(Plain),
            target: printer.target.clone(),
            host: printer.host.clone(),
            limit: printer.limit.clone(),
            printed: printer.printed.clone(),
            muted: printer.muted.clone(),
            staged: Vec::new(),
            closed: false,
        }
    }

    #[test]
    fn a_limit_cuts_the_last_change_and_ends_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let control = Control::new();
        let mut printer = Printer::new(Screen::new(false, false), Host::system());
        printer.redirect(Some(&path));
        printer.limit(3, &control);
        let mut sink = sink(&printer);
        sink.stage(IntervalId(1), &Change::append(batch(2))).unwrap();
        sink.publish(IntervalId(1)).unwrap();
        assert!(!control.is_draining());
        let weights = Some(Int64Array::from(vec![-1, 1]));
        sink.stage(IntervalId(2), &Change { batch: batch(2), weights }).unwrap();
        sink.publish(IntervalId(2)).unwrap();
        sink.close().unwrap();
        assert_eq!(printer.printed(), 3);
        let text = super::super::script::read_text(&Host::system(), &path).unwrap();
        assert_eq!(text, "1\n1\n-1\nend\n");
    }

    #[test]
    fn nothing_is_written_before_it_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let mut printer = Printer::new(Screen::new(false, false), Host::system());
        printer.redirect(Some(&path));
        let mut sink = sink(&printer);
        sink.stage(IntervalId(1), &Change::append(batch(2))).unwrap();
        assert!(!path.exists());
        sink.publish(IntervalId(1)).unwrap();
        assert_eq!(super::super::script::read_text(&Host::system(), &path).unwrap(), "1\n1\n");
    }

    #[test]
    fn a_muted_select_says_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let mut printer = Printer::new(Screen::new(false, false), Host::system());
        printer.redirect(Some(&path));
        let mut sink = sink(&printer);
        sink.stage(IntervalId(1), &Change::append(batch(1))).unwrap();
        sink.publish(IntervalId(1)).unwrap();
        sink.stage(IntervalId(2), &Change::append(batch(1))).unwrap();
        printer.muted.store(true, Ordering::SeqCst);
        sink.publish(IntervalId(2)).unwrap();
        sink.close().unwrap();
        assert_eq!(super::super::script::read_text(&Host::system(), &path).unwrap(), "1\n");
    }

    #[test]
    fn a_wrong_path_is_known_at_once() {
        let mut printer = Printer::new(Screen::new(false, false), Host::system());
        printer.redirect(Some(Path::new("/no/such/folder/out.jsonl")));
        let schema = batch(1).schema();
        let info = OutputInfo { query: 1, schema, key: None, append_only: true, bounded: true };
        assert!(printer.open(&info).is_err());
    }

    #[test]
    fn expanded_rows_have_a_line_per_column() {
        let mut out = Vec::new();
        expand(&batch(2), 5, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "-[ row 6 ]-\nn | 0\n-[ row 7 ]-\nn | 1\n");
    }
}
