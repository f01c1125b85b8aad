//! A query's changes as a stream, for embedders.

use std::pin::Pin;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::{Engine, Outcome, Output, OutputInfo};
use crate::change::Change;
use crate::connector::Sink;
use crate::error::{Error, Result};
use crate::time::IntervalId;

/// A live query started with [`Engine::sql`]. Dropping it stops the query.
pub struct QueryHandle {
    engine: Engine,
    id: u64,
    changes: Option<mpsc::UnboundedReceiver<Change>>,
    notices: Vec<String>,
}

/// The changes of a query, in order.
pub struct ChangeStream {
    changes: mpsc::UnboundedReceiver<Change>,
    /// Keeps the query running for as long as somebody listens.
    _handle: QueryHandle,
}

impl Engine {
    /// Runs a script: DDL, settings, INSERTs, views. Bare SELECTs over streams are refused: see [`Engine::sql`].
    ///
    /// # Errors
    /// The first thing that is wrong; statements before it have taken effect.
    pub async fn run_script(&self, script: &str) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for parsed in crate::sql::parse(script)? {
            outcomes.push(self.execute(&parsed, &mut NoStream).await?);
        }
        Ok(outcomes)
    }

    /// Starts a live query: one SELECT or SUBSCRIBE. It runs as the engine is driven ([`Engine::step`], [`Engine::run`]).
    ///
    /// # Errors
    /// What is wrong with the query, with its place.
    pub async fn sql(&self, query: &str) -> Result<QueryHandle> {
        let mut statements = crate::sql::parse(query)?;
        let (Some(parsed), true) = (statements.pop(), statements.is_empty()) else {
            return Err(Error::sql("one statement is expected"));
        };
        let mut channel = Channel { receiver: None };
        match self.execute(&parsed, &mut channel).await? {
            Outcome::Live { query, notices } => {
                Ok(QueryHandle { engine: self.clone(), id: query, changes: channel.receiver, notices })
            }
            _ => {
                Err(Error::sql("this statement is no live query")
                    .help("run it with run_script, or read a view with query"))
            }
        }
    }

    /// Answers a SELECT over materialized views, as of the last interval.
    ///
    /// # Errors
    /// What is wrong with the query, or that it reads a stream.
    pub async fn query(&self, query: &str) -> Result<Vec<RecordBatch>> {
        let mut statements = crate::sql::parse(query)?;
        let (Some(parsed), true) = (statements.pop(), statements.is_empty()) else {
            return Err(Error::sql("one statement is expected"));
        };
        match self.execute(&parsed, &mut NoStream).await? {
            Outcome::Rows { batches, .. } => Ok(batches),
            _ => Err(Error::sql("this statement has no rows to give")),
        }
    }
}

impl QueryHandle {
    /// Its number.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// What the user should know: which EMIT was chosen, windows that never close.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// What has come out so far and was not taken yet.
    pub fn take(&mut self) -> Vec<Change> {
        let mut all = Vec::new();
        while let Some(change) = self.changes.as_mut().and_then(|c| c.try_recv().ok()) {
            all.push(change);
        }
        all
    }

    /// Its changes as a stream that ends with the query. A closed window's rows are one change.
    #[must_use]
    pub fn stream(mut self) -> ChangeStream {
        let changes = self.changes.take().unwrap_or_else(|| mpsc::unbounded_channel().1);
        ChangeStream { changes, _handle: self }
    }

    /// Stops the query before the next interval.
    pub fn stop(self) {}
}

impl Drop for QueryHandle {
    fn drop(&mut self) {
        self.engine.stop(self.id);
    }
}

impl Stream for ChangeStream {
    type Item = Change;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Change>> {
        self.changes.poll_recv(context)
    }
}

impl ChangeStream {
    /// The next change; `None` when the query has ended.
    pub async fn next_change(&mut self) -> Option<Change> {
        self.next().await
    }
}

struct Channel {
    receiver: Option<mpsc::UnboundedReceiver<Change>>,
}

impl Output for Channel {
    fn open(&mut self, _: &OutputInfo) -> Result<Box<dyn Sink>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.receiver = Some(receiver);
        Ok(Box::new(ChannelSink { sender: Some(sender), staged: Vec::new() }))
    }
}

struct ChannelSink {
    sender: Option<mpsc::UnboundedSender<Change>>,
    staged: Vec<Change>,
}

impl Sink for ChannelSink {
    fn stage(&mut self, _: IntervalId, change: &Change) -> Result<()> {
        self.staged.push(change.clone());
        Ok(())
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        for change in self.staged.drain(..) {
            // Nobody listens any more: the query is about to be stopped.
            if let Some(sender) = &self.sender {
                let _ = sender.send(change);
            }
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.sender = None;
        Ok(())
    }
}

struct NoStream;

impl Output for NoStream {
    fn open(&mut self, _: &OutputInfo) -> Result<Box<dyn Sink>> {
        Err(Error::sql("a bare SELECT over a stream has nowhere to go here")
            .help("start it with Engine::sql, or INSERT INTO a sink"))
    }
}
