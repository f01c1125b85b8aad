//! The embed API: statements in, changes out. (A stand-in with the final signatures.)

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::connector::Sink;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::metrics::{QueryMetrics, SourceMetrics};
use crate::settings::Settings;
use crate::sql::statement::Parsed;
use crate::time::{IntervalId, Timestamp};

/// The engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    settings: Settings,
}

/// Makes an engine.
pub struct EngineBuilder {
    settings: Settings,
}

impl EngineBuilder {
    /// With these settings.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// In this world.
    #[must_use]
    pub fn host(self, _host: Host) -> Self {
        self
    }

    /// The engine.
    ///
    /// # Errors
    /// When a setting is wrong.
    pub fn build(self) -> Result<Engine> {
        Ok(Engine { settings: self.settings })
    }
}

impl Engine {
    /// Starts to make one.
    pub fn builder() -> EngineBuilder {
        EngineBuilder { settings: Settings::default() }
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// When it can't.
    pub async fn execute(&self, parsed: &Parsed, output: &mut dyn Output) -> Result<Outcome> {
        let _ = (parsed, output);
        Err(Error::internal("not yet"))
    }

    /// As `execute`, but queries are only planned.
    ///
    /// # Errors
    /// When it can't.
    pub async fn check(&self, parsed: &Parsed) -> Result<()> {
        let _ = parsed;
        Err(Error::internal("not yet"))
    }

    /// Whether a statement only reads views and tables, and so ends.
    pub fn is_snapshot(&self, parsed: &Parsed) -> bool {
        let _ = parsed;
        false
    }

    /// Drives intervals.
    ///
    /// # Errors
    /// When a query fails.
    pub async fn run(&self, control: &Control, observe: &mut (dyn FnMut(&Progress) + Send)) -> Result<()> {
        let _ = (control, observe);
        Ok(())
    }

    /// How far everything is.
    pub fn progress(&self) -> Progress {
        Progress { interval: IntervalId::NONE, elapsed_micros: 0, sources: Vec::new(), queries: Vec::new() }
    }

    /// Drops one query.
    pub fn stop(&self, query: u64) {
        let _ = query;
    }

    /// What is in the catalog.
    pub fn relations(&self) -> Vec<RelationInfo> {
        Vec::new()
    }

    /// Names of functions.
    pub fn functions(&self) -> Vec<String> {
        Vec::new()
    }

    /// The settings.
    pub fn settings(&self) -> Settings {
        self.settings.clone()
    }
}

/// A relation.
#[derive(Debug, Clone)]
pub struct RelationInfo {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Names and types of columns.
    pub columns: Vec<(String, String)>,
}

/// Where the rows of a bare SELECT go.
pub trait Output: Send {
    /// Opens the sink.
    ///
    /// # Errors
    /// When it can't.
    fn open(&mut self, info: &OutputInfo) -> Result<Box<dyn Sink>>;
}

/// What comes out of a bare SELECT.
#[derive(Debug, Clone)]
pub struct OutputInfo {
    /// The query.
    pub query: u64,
    /// Its columns.
    pub schema: SchemaRef,
    /// Columns that identify a row.
    pub key: Option<Vec<usize>>,
    /// Rows never leave.
    pub append_only: bool,
    /// The query ends by itself.
    pub bounded: bool,
    /// The engine's settings.
    pub settings: Settings,
}

/// What a statement came to.
#[derive(Debug)]
pub enum Outcome {
    /// `CREATE TABLE`.
    Done(String),
    /// A finite result.
    Rows {
        /// Its columns.
        schema: SchemaRef,
        /// Its rows.
        batches: Vec<RecordBatch>,
    },
    /// INSERT, CREATE MATERIALIZED VIEW, CREATE SINK.
    Started {
        /// The query.
        query: u64,
        /// Its name.
        name: String,
        /// What to tell the user.
        notices: Vec<String>,
    },
    /// A bare SELECT.
    Live {
        /// The query.
        query: u64,
        /// What to tell the user.
        notices: Vec<String>,
    },
}

/// Tells `run` when to end.
#[derive(Debug, Clone, Default)]
pub struct Control {
    draining: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Control {
    /// Nothing is to end yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// No more input; windows close, outputs complete.
    pub fn drain(&self) {
        self.draining.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    /// Stop now.
    pub fn abort(&self) {
        self.drain();
    }

    /// Whether it drains.
    pub fn is_draining(&self) -> bool {
        self.draining.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// How far everything is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// The last interval.
    pub interval: IntervalId,
    /// Since the run began.
    pub elapsed_micros: i64,
    /// Each source.
    pub sources: Vec<SourceProgress>,
    /// Each query.
    pub queries: Vec<QueryProgress>,
}

/// How far a source is.
#[derive(Debug, Clone)]
pub struct SourceProgress {
    /// Its name.
    pub name: String,
    /// Its counters.
    pub metrics: SourceMetrics,
    /// Its watermark.
    pub watermark: Option<Timestamp>,
    /// The partition that holds it.
    pub held_by: Option<String>,
    /// Since its last row.
    pub idle_micros: i64,
    /// It has ended.
    pub ended: bool,
    /// What it says of itself.
    pub status: Option<String>,
}

/// How far a query is.
#[derive(Debug, Clone)]
pub struct QueryProgress {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its counters.
    pub metrics: QueryMetrics,
    /// Its watermark.
    pub watermark: Option<Timestamp>,
    /// End of the next window to close.
    pub next_close: Option<Timestamp>,
    /// It has ended.
    pub ended: bool,
    /// Why it failed.
    pub failed: Option<String>,
}
