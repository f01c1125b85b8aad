//! What a statement comes to.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::connector::Sink;
use crate::error::Result;

/// What a statement came to.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It is done; the tag says what: `CREATE TABLE`.
    Done(String),
    /// A finite result: SHOW, DESCRIBE, EXPLAIN, SELECT on views.
    Rows {
        /// Its columns.
        schema: SchemaRef,
        /// Its rows.
        batches: Vec<RecordBatch>,
    },
    /// A continuous query without output of its own: INSERT, CREATE MATERIALIZED VIEW, CREATE SINK.
    Started {
        /// Its number.
        query: u64,
        /// Its view or sink.
        name: String,
        /// What the user should know.
        notices: Vec<String>,
    },
    /// A bare SELECT: its rows go to the sink that [`Output`] opened.
    Live {
        /// Its number.
        query: u64,
        /// What the user should know.
        notices: Vec<String>,
    },
}

/// Opens the sink of a bare live SELECT.
pub trait Output: Send {
    /// A sink for these rows.
    ///
    /// # Errors
    /// When it can't be opened.
    fn open(&mut self, info: &OutputInfo) -> Result<Box<dyn Sink>>;
}

/// What the rows of a live SELECT are.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OutputInfo {
    /// The query's number.
    pub query: u64,
    /// The columns.
    pub schema: SchemaRef,
    /// Columns that identify a row, when known.
    pub key: Option<Vec<usize>>,
    /// Rows never leave.
    pub append_only: bool,
    /// The query ends by itself.
    pub bounded: bool,
}
