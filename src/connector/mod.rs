//! Sources and sinks: bytes and positions, one file per system.
//!
//! A [`Source`] is read on a thread of its own and says after each batch where it stands; a [`Sink`] stages what an interval
//! changed and publishes it once the interval is decided, so that the same interval twice is once. A [`Connector`] makes
//! both from the options of a `CREATE TABLE`. Knows nothing about plans and state.

mod ahead;
mod backoff;
mod blackhole;
mod columns;
mod datagen;
mod feed;
mod feed_source;
mod filesystem;
mod nexmark;
mod print;
mod records;
mod registry;
mod socket;
mod stdin;
mod stdout;
#[cfg(test)]
mod testing;
mod url;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::catalog::Description;
use crate::change::Change;
use crate::error::{Error, ErrorKind, Result};
use crate::format::BadRecord;
use crate::host::Host;
use crate::settings::{Options, Settings};
use crate::time::IntervalId;

pub use blackhole::Blackhole;
pub use datagen::Datagen;
pub use filesystem::Filesystem;
pub use nexmark::Nexmark;
pub use print::Print;
pub use registry::Registry;
pub use socket::Socket;
pub use stdin::Stdin;
pub use stdout::Stdout;
pub use url::from_url;

/// Makes sources and sinks of one kind.
pub trait Connector: Send + Sync {
    /// The name in `WITH (connector = '…')`.
    fn name(&self) -> &'static str;

    /// Other names that it is known by.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// What relations with these options reach outside of the engine; whoever may not reach it can't make one.
    fn reach(&self, options: &Options) -> Reach {
        let _ = options;
        Reach::Process
    }

    /// The schema of a relation that was declared without columns: a fixed one, or what the first rows show.
    ///
    /// # Errors
    /// When there is nothing to infer it from.
    fn infer(&self, spec: &RelationSpec) -> Result<SchemaRef> {
        Err(Error::sql(format!("'{}' has no columns", spec.name))
            .help("declare them: CREATE TABLE name (column TYPE, …) WITH (…)"))
    }

    /// Checks the options of a relation, without opening anything: whether it ends by itself, whether it can be read or written.
    ///
    /// # Errors
    /// A wrong or missing option.
    fn describe(&self, spec: &RelationSpec) -> Result<Description>;

    /// Opens the source.
    ///
    /// # Errors
    /// When it can't be reached or an option is wrong.
    fn source(&self, spec: &RelationSpec, projection: &[usize]) -> Result<Box<dyn Source>>;

    /// Opens the sink.
    ///
    /// # Errors
    /// When it can't be reached or an option is wrong.
    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>>;
}

/// What a relation reaches outside of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Nothing: it makes its rows up, or drops them.
    Nothing,
    /// A file, or the files below a folder or that match a glob.
    Path(String),
    /// Other hosts, or a port of this one.
    Network,
    /// What belongs to this process: its stdin and stdout, its memory. Also what is not known.
    Process,
}

/// What a connector is told about a relation.
#[derive(Debug, Clone)]
pub struct RelationSpec {
    /// Its name, for messages.
    pub name: String,
    /// Its physical columns (no computed ones); empty when it was declared without columns.
    pub schema: SchemaRef,
    /// Its options.
    pub options: Options,
    /// The engine's settings.
    pub settings: Settings,
    /// The outside world.
    pub host: Host,
    /// For sinks: columns that identify a row of the changes, when known. A −old directly followed by a +new with the same
    /// key is an update.
    pub key: Option<Vec<usize>>,
}

/// Where a source stands: enough to open it again and go on behind the last row of a batch.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position(pub serde_json::Value);

/// Rows of one partition, in arrival order.
#[derive(Debug)]
pub struct SourceBatch {
    /// The partition they came from, less than the source's number of partitions.
    pub partition: usize,
    /// The projected columns.
    pub batch: RecordBatch,
    /// Records read for it, good and bad.
    pub records: u64,
    /// Bytes read for it.
    pub bytes: u64,
    /// Records that could not be decoded.
    pub bad: Vec<BadRecord>,
    /// Where the source stands behind this batch.
    pub position: Position,
}

/// What a read came to.
#[derive(Debug)]
pub enum Read {
    /// Rows (or only bad records).
    Batch(SourceBatch),
    /// Nothing within the wait.
    Idle,
    /// A partition has ended; the others go on.
    EndOfPartition(usize),
    /// Nothing will come any more.
    End,
}

/// Something that rows come from. It lives on its own thread: `read` may block, but no longer than `wait`.
pub trait Source: Send {
    /// The next rows. One call returns at most `Settings::batch_rows_max` rows and returns what it has rather than wait for more.
    ///
    /// # Errors
    /// When the input is gone for good. What may come back (a peer that went away) is `Idle`, with a log line.
    fn read(&mut self, wait: Duration) -> Result<Read>;

    /// Goes to where an earlier run stood.
    ///
    /// # Errors
    /// When this input can't be replayed, or is not the one that the position is of.
    fn seek(&mut self, position: &Position) -> Result<()> {
        let _ = position;
        Err(Error::unsupported("this source can't be replayed"))
    }

    /// Whether a position can be sought again.
    fn replayable(&self) -> bool {
        false
    }

    /// A line for the status: where it listens, what it waits for.
    fn status(&self) -> Option<String> {
        None
    }
}

/// How often a row may reach the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// Lost when the process dies.
    AtMostOnce,
    /// Repeated when the process dies between publishing and recording it.
    AtLeastOnce,
    /// Once.
    ExactlyOnce,
}

/// Something that changes go to.
pub trait Sink: Send {
    /// Takes what an interval changed; nothing may be visible outside yet.
    ///
    /// # Errors
    /// When a value can't be written.
    fn stage(&mut self, interval: IntervalId, change: &Change) -> Result<()>;

    /// The same for all that an interval changed, in order: a sink that writes bytes has several threads encode them.
    ///
    /// # Errors
    /// As `stage`.
    fn stage_all(&mut self, interval: IntervalId, changes: &[Change]) -> Result<()> {
        changes.iter().try_for_each(|change| self.stage(interval, change))
    }

    /// Makes everything staged up to this interval visible; flushes.
    ///
    /// # Errors
    /// When the outside refuses. `ErrorKind::Io` with a broken pipe means that the reader has gone.
    fn publish(&mut self, interval: IntervalId) -> Result<()>;

    /// Completes the sink: footers, renames, sync. Everything is on disk afterwards.
    ///
    /// # Errors
    /// As `publish`.
    fn close(&mut self) -> Result<()>;

    /// What it promises when the process dies.
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtMostOnce
    }
}

/// A connector shared by the relations made from it.
pub type ConnectorRef = Arc<dyn Connector>;

/// Whether a sink failed because nobody reads its output any more (`| head` has seen enough), which is no failure.
pub fn reader_has_gone(error: &Error) -> bool {
    error.kind() == ErrorKind::Io && error.message().ends_with(READER_GONE)
}

const READER_GONE: &str = "broken pipe";

/// An error of a sink's output.
fn write_error(what: &str, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Error::io(format!("{what}: {READER_GONE}")),
        _ => Error::io(format!("writing {what}: {error}")),
    }
}
