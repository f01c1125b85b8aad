//! What a statement comes to, on its way to a client: a tag, or rows as they come.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use pgwire::api::portal::Format;
use pgwire::api::results::FieldInfo;
use pgwire::error::ErrorInfo;
use pgwire::messages::PgWireBackendMessage as Reply;
use pgwire::messages::copy::CopyData;

use super::copy::CopyLines;
use super::live::LiveRows;
use super::rows::{RowEncoder, fields};
use crate::error::Result;
use crate::sql::statement::CopyFormat;

/// What a statement came to.
pub(super) struct Answer {
    pub(super) kind: AnswerKind,
    /// What the user should know, said before the answer.
    pub(super) notices: Vec<ErrorInfo>,
}

pub(super) enum AnswerKind {
    /// It is done; the tag says what.
    Done(String),
    /// Rows, and the tag's first word.
    Rows(Rows, &'static str),
    /// Rows as lines of COPY.
    Lines(Rows, CopyFormat),
}

/// Rows that are there, or that come.
pub(super) enum Rows {
    Here(SchemaRef, VecDeque<RecordBatch>),
    Live(LiveRows),
}

impl Answer {
    pub(super) fn done(tag: impl Into<String>) -> Self {
        Self { kind: AnswerKind::Done(tag.into()), notices: Vec::new() }
    }

    pub(super) fn rows(rows: Rows, tag: &'static str) -> Self {
        Self { kind: AnswerKind::Rows(rows, tag), notices: Vec::new() }
    }

    pub(super) fn noting(mut self, notices: impl IntoIterator<Item = ErrorInfo>) -> Self {
        self.notices.extend(notices);
        self
    }
}

impl Rows {
    pub(super) fn schema(&self) -> &SchemaRef {
        match self {
            Self::Here(schema, _) => schema,
            Self::Live(live) => &live.schema,
        }
    }

    /// The next rows; `None` at the end.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match self {
            Self::Here(_, batches) => Ok(batches.pop_front()),
            Self::Live(live) => live.next().await,
        }
    }
}

/// What becomes of a row.
enum Encoder {
    Rows(RowEncoder),
    Lines(CopyLines),
}

/// Rows and how far they have been sent: what a portal holds between two Executes.
pub(super) struct Cursor {
    rows: Rows,
    encoder: Encoder,
    pub(super) fields: Arc<Vec<FieldInfo>>,
    pub(super) tag: &'static str,
    current: Option<(RecordBatch, usize)>,
    /// How many rows it has given since the client last asked.
    pub(super) given: usize,
}

impl Cursor {
    pub(super) fn new(rows: Rows, tag: &'static str, format: &Format) -> Self {
        let fields = Arc::new(fields(rows.schema(), format));
        let encoder = Encoder::Rows(RowEncoder::new(fields.clone()));
        Self { encoder, rows, fields, tag, current: None, given: 0 }
    }

    /// The same rows as lines of COPY, and the line before them.
    pub(super) fn lines(rows: Rows, format: CopyFormat) -> (Self, Option<String>) {
        let lines = CopyLines::new(format);
        let header = lines.header(rows.schema());
        (Self { encoder: Encoder::Lines(lines), ..Self::new(rows, "COPY", &Format::UnifiedText) }, header)
    }

    /// A row that is there already.
    pub(super) fn ready(&mut self) -> Option<Result<Reply>> {
        let (batch, row) = self.current.as_mut()?;
        if *row == batch.num_rows() {
            self.current = None;
            return None;
        }
        let encoded = match &mut self.encoder {
            Encoder::Rows(rows) => rows.row(batch, *row).map(Reply::DataRow),
            Encoder::Lines(lines) => lines.line(batch, *row).map(|l| Reply::CopyData(CopyData::new(l.into()))),
        };
        *row += 1;
        self.given += 1;
        Some(encoded)
    }

    /// Waits for more rows; whether there are any.
    ///
    /// # Errors
    /// Why the query has failed.
    pub(super) async fn wait(&mut self) -> Result<bool> {
        match self.rows.next().await? {
            Some(batch) => {
                self.current = Some((batch, 0));
                Ok(true)
            }
            None => Ok(false),
        }
    }
}
