//! What happens, for status lines and embedders; plain data.

use crate::metrics::{QueryMetrics, SourceMetrics};
use crate::time::{IntervalId, Timestamp};

/// Where a run stands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Progress {
    /// The last interval that was decided.
    pub interval: IntervalId,
    /// Wall time since the first interval, in µs.
    pub elapsed_micros: i64,
    /// The sources that are read.
    pub sources: Vec<SourceProgress>,
    /// The queries that run or have ended.
    pub queries: Vec<QueryProgress>,
}

/// Where a source stands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceProgress {
    /// Its table.
    pub name: String,
    /// What it has counted.
    pub metrics: SourceMetrics,
    /// Its watermark, when it has one and rows have moved it.
    pub watermark: Option<Timestamp>,
    /// What holds the watermark back: `bids`, `bids[1]`.
    pub held_by: Option<String>,
    /// Wall time since its last row, in µs.
    pub idle_micros: i64,
    /// No more rows will come.
    pub ended: bool,
    /// What the source says of itself: where it listens, what it waits for.
    pub status: Option<String>,
}

/// Where a query stands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QueryProgress {
    /// Its number.
    pub id: u64,
    /// Its view, its sink, or the beginning of its text.
    pub name: String,
    /// What it has counted.
    pub metrics: QueryMetrics,
    /// The watermark that closes its windows.
    pub watermark: Option<Timestamp>,
    /// The end of the window that closes next.
    pub next_close: Option<Timestamp>,
    /// It has ended.
    pub ended: bool,
    /// Why it has failed.
    pub failed: Option<String>,
}
