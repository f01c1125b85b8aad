//! Where a query's changes go.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::contents::Contents;
use crate::change::Change;
use crate::connector::Sink;
use crate::error::Result;
use crate::exec::Presenter;
use crate::time::IntervalId;

/// Where a query's changes go.
pub enum Output {
    /// To a sink, each interval; a presenter orders the rows of an interval.
    Sink(Box<dyn Sink>, Option<Presenter>),
    /// Into a view, whose readers are told by the driver.
    View(Arc<Mutex<Contents>>),
    /// Into a table with rows of its own, with the next interval: the driver writes them.
    Table(String),
    /// To a sink, the whole result after every interval that changed it.
    Whole {
        /// Where it goes.
        sink: Box<dyn Sink>,
        /// The result so far.
        contents: Box<Contents>,
        /// How it is ordered and cut.
        presenter: Option<Presenter>,
        /// Its columns.
        schema: SchemaRef,
    },
    /// To a sink, once, when the query has ended: the finished result.
    AtEnd {
        /// Where it goes.
        sink: Box<dyn Sink>,
        /// The result so far.
        contents: Box<Contents>,
        /// How it is ordered and cut.
        presenter: Option<Presenter>,
        /// Its columns.
        schema: SchemaRef,
    },
}

/// What of a result a sink is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// What every interval changes.
    Changes,
    /// All of it after every interval that changed it: `EMIT COMPLETE`.
    Whole,
    /// All of it, once, when it is finished.
    Finished,
}

impl Output {
    /// To a sink; `schema` are the columns of the result, which `append_only` only grows.
    ///
    /// # Errors
    /// When the result has a column that can't be held.
    pub fn to(
        sink: Box<dyn Sink>,
        given: Given,
        presenter: Option<Presenter>,
        schema: SchemaRef,
        append_only: bool,
    ) -> Result<Self> {
        if given == Given::Changes {
            return Ok(Self::Sink(sink, presenter));
        }
        let contents = Box::new(Contents::new(Arc::clone(&schema), append_only)?);
        Ok(match given {
            Given::Whole => Self::Whole { sink, contents, presenter, schema },
            _ => Self::AtEnd { sink, contents, presenter, schema },
        })
    }

    /// Hands over what an interval changed; it is visible outside when this returns.
    pub(super) fn deliver(&mut self, interval: IntervalId, changes: &[Change]) -> Result<()> {
        match self {
            Self::Sink(sink, presenter) => {
                match presenter {
                    Some(presenter) if !changes.is_empty() => {
                        let batches: Vec<RecordBatch> = changes.iter().map(|c| c.batch.clone()).collect();
                        let schema = batches[0].schema();
                        sink.stage(interval, &Change::append(presenter.present(&schema, &batches)?))?;
                    }
                    _ => sink.stage_all(interval, changes)?,
                }
                sink.publish(interval)
            }
            Self::View(contents) => {
                let mut contents = contents.lock().unwrap_or_else(PoisonError::into_inner);
                changes.iter().try_for_each(|c| contents.apply(c))
            }
            Self::Table(_) => Ok(()),
            Self::Whole { sink, contents, presenter, schema } => {
                if !changes.is_empty() {
                    changes.iter().try_for_each(|c| contents.apply(c))?;
                    for batch in finished(contents, presenter.as_ref(), schema)? {
                        sink.stage(interval, &Change::append(batch))?;
                    }
                }
                sink.publish(interval)
            }
            Self::AtEnd { contents, .. } => changes.iter().try_for_each(|c| contents.apply(c)),
        }
    }

    /// The query has ended: hands over what was held back and completes the sink. How many rows that was.
    pub(super) fn close(&mut self, interval: IntervalId) -> Result<u64> {
        match self {
            Self::Sink(sink, _) | Self::Whole { sink, .. } => sink.close().map(|()| 0),
            Self::View(_) | Self::Table(_) => Ok(0),
            Self::AtEnd { sink, contents, presenter, schema } => {
                let mut out = 0;
                for batch in finished(contents, presenter.as_ref(), schema)? {
                    out += batch.num_rows() as u64;
                    sink.stage(interval, &Change::append(batch))?;
                }
                sink.publish(interval)?;
                sink.close()?;
                Ok(out)
            }
        }
    }

    /// Whether the finished result is what comes out.
    pub(super) fn is_at_end(&self) -> bool {
        matches!(self, Self::AtEnd { .. })
    }
}

/// A result as it is shown: ordered and cut.
fn finished(contents: &Contents, presenter: Option<&Presenter>, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let rows = contents.rows()?;
    Ok(match presenter {
        Some(presenter) => vec![presenter.present(schema, &rows)?],
        None => rows,
    })
}
