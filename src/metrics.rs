//! What is counted, per source and per query; plain data. Knows nothing about who reads it.
//!
//! The books must balance, per source and interval: rows in = rows accepted + late + bad + quarantined.

use serde::Serialize;

/// Counters of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SourceMetrics {
    /// Records read, good or bad.
    pub rows_in: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Records that could not be decoded.
    pub bad: u64,
    /// Rows with an event time too far in the future to be believed.
    pub quarantined: u64,
    /// Rows whose event time is NULL: kept, but in no window.
    pub null_time: u64,
    /// Rows of a partition back from idleness that are behind what was promised without it.
    pub late_after_idle: u64,
}

/// Counters of one query.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct QueryMetrics {
    /// Rows that entered the query.
    pub rows_in: u64,
    /// Rows (or changes) that left it.
    pub rows_out: u64,
    /// Rows that came too late for at least one of their windows, counted once per window missed.
    pub late: u64,
    /// Windows that are open now.
    pub windows_open: u64,
    /// Windows that have closed.
    pub windows_closed: u64,
    /// Rows read from state tables: proportional to the rows of the keys that were touched.
    pub state_rows_read: u64,
    /// Rows held in state tables now.
    pub state_rows: u64,
    /// Bytes held in state tables now.
    pub state_bytes: u64,
}
