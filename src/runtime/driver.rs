//! The loop's body: one interval over all sources and queries.

use datafusion::execution::SessionState;

use super::feed::Wake;
use super::output::Output;
use super::progress::{Progress, QueryProgress};
use super::source::{RunningSource, SourceSetup};
use crate::catalog::IntervalClock;
use crate::change::Change;
use crate::connector::Position;
use crate::error::{Error, Result};
use crate::exec::{IntervalInput, Query, SourceInput};
use crate::host::Host;
use crate::metrics::QueryMetrics;
use crate::settings::Settings;
use crate::time::{IntervalId, Timestamp};
use std::sync::Arc;

/// Drives queries over sources, one interval at a time.
pub struct Driver {
    host: Host,
    clock: Arc<IntervalClock>,
    wake: Wake,
    sources: Vec<Option<RunningSource>>,
    queries: Vec<RunningQuery>,
    interval: IntervalId,
    now: Timestamp,
    started: Option<Timestamp>,
    last_query: u64,
}

pub(super) struct RunningQuery {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) query: Query,
    /// The driver's source of each of the plan's sources.
    sources: Vec<usize>,
    output: Output,
    metrics: QueryMetrics,
    first: bool,
    ended: bool,
    failed: Option<Error>,
    /// Whether [`Driver::failures`] has told of it.
    told: bool,
}

/// What one interval did.
#[derive(Debug, Clone, Default)]
pub struct StepReport {
    /// The interval, when one ran: with nothing to do there is none.
    pub interval: Option<IntervalId>,
    /// Rows taken from sources.
    pub rows_in: usize,
    /// What came out of each query, by its number.
    pub changes: Vec<(u64, Vec<Change>)>,
    /// Rows that were late, by the table they came from.
    pub late: Vec<(String, arrow::array::RecordBatch)>,
}

impl Driver {
    /// A driver without queries.
    pub fn new(host: Host, clock: Arc<IntervalClock>) -> Self {
        let now = host.clock.now();
        clock.set(now);
        Self {
            host,
            clock,
            wake: Wake::default(),
            sources: Vec::new(),
            queries: Vec::new(),
            interval: IntervalId::NONE,
            now,
            started: None,
            last_query: 0,
        }
    }

    /// Wakes when a source has something.
    pub fn wake(&self) -> &Wake {
        &self.wake
    }

    /// The number of the next query.
    pub fn next_query(&mut self) -> u64 {
        self.last_query += 1;
        self.last_query
    }

    /// Adds a query. Its sources are shared with those queries added since the last interval; a source that runs already is
    /// joined only when it is live, as rows that have passed can't be read again from it.
    ///
    /// # Errors
    /// When it asks a running live source for columns that this does not read.
    pub fn add(
        &mut self,
        id: u64,
        name: String,
        query: Query,
        output: Output,
        mut setup: impl FnMut(&str) -> Result<SourceSetup>,
    ) -> Result<()> {
        let mut sources = Vec::new();
        for used in &query.plan().sources {
            let asked = setup(&used.table)?;
            let same = |s: &RunningSource| s.reads(&asked) && s.serves(&used.columns) && !s.has_ended();
            let found = self.sources.iter().position(|s| s.as_ref().is_some_and(same));
            let index = match found {
                Some(index) => index,
                None => {
                    self.sources.push(Some(RunningSource::new(asked, self.now)));
                    self.sources.len() - 1
                }
            };
            if let Some(Some(source)) = self.sources.get_mut(index) {
                source.want(&used.columns);
            }
            sources.push(index);
        }
        let metrics = QueryMetrics::default();
        self.queries.push(RunningQuery {
            id,
            name,
            query,
            sources,
            output,
            metrics,
            first: true,
            ended: false,
            failed: None,
            told: false,
        });
        Ok(())
    }

    /// Stops a query and completes its output.
    ///
    /// # Errors
    /// When its sink can't be completed.
    pub fn stop(&mut self, id: u64) -> Result<bool> {
        let Some(at) = self.queries.iter().position(|q| q.id == id) else { return Ok(false) };
        let mut query = self.queries.remove(at);
        self.drop_unused();
        if !query.ended && !query.output.is_at_end() {
            query.output.close(self.interval)?;
        }
        Ok(true)
    }

    /// Whether any query has not ended.
    pub fn is_running(&self) -> bool {
        self.queries.iter().any(|q| !q.ended)
    }

    /// Opens sources that have not been opened yet; `session` is asked for only when there are any, as making one is no work
    /// for every interval.
    ///
    /// # Errors
    /// The first that can't be.
    pub fn open(&mut self, session: impl FnOnce() -> SessionState, settings: &Settings) -> Result<()> {
        self.started.get_or_insert_with(|| self.host.clock.now());
        if self.sources.iter().flatten().all(RunningSource::is_open) {
            return Ok(());
        }
        let session = session();
        for source in self.sources.iter_mut().flatten() {
            source.open(&session, settings, &self.host, &self.wake)?;
        }
        Ok(())
    }

    /// Whether an interval would have something to do now: rows, a query that has not begun, what the wall clock brings.
    pub fn is_ready(&self) -> bool {
        let now = self.host.clock.now().0;
        let due = |q: &RunningQuery| q.first || q.query.is_due(now);
        self.queries.iter().filter(|q| !q.ended).any(due) || self.sources.iter().flatten().any(|s| s.is_ready())
    }

    /// Whether it pays to wait for more rows: only files wait, to make large intervals; rows that come as they happen do not.
    pub fn wants_more(&self, settings: &Settings) -> bool {
        let mut sources = self.sources.iter().flatten().filter(|s| !s.has_ended()).peekable();
        sources.peek().is_some() && sources.all(|s| !s.is_live() && !s.is_full(settings))
    }

    /// Whether a source has as many rows as an interval may take.
    pub fn is_full(&self, settings: &Settings) -> bool {
        self.sources.iter().flatten().any(|s| s.is_full(settings))
    }

    /// Tells every source to stop; what has been read is still run, windows close, and queries end.
    pub fn drain(&mut self) {
        self.sources.iter_mut().flatten().for_each(RunningSource::drain);
    }

    /// Runs one interval over what the sources have, when there is anything to do.
    ///
    /// # Errors
    /// None as yet: when a source fails, all its queries fail with it, and [`Driver::failures`] says which and why.
    pub async fn step(&mut self, settings: &Settings) -> Result<StepReport> {
        let now = self.host.clock.now().max(self.now);
        // Before rows are taken: columns computed from PROCTIME() are filled as they are.
        self.clock.set(now);
        let before: Vec<i64> = self.sources.iter().map(|s| s.as_ref().map_or(i64::MAX, |s| s.watermark)).collect();
        let mut inputs: Vec<SourceInput> = Vec::with_capacity(self.sources.len());
        let nothing = || SourceInput { batches: Vec::new(), watermark: i64::MAX, ended: true };
        for (index, source) in self.sources.iter_mut().enumerate() {
            inputs.push(match source.as_mut().map(|s| s.poll(settings, now)) {
                Some(Ok(input)) => input,
                Some(Err(error)) => {
                    // Those that read it fail; what other sources have given meanwhile is not lost to the others.
                    let readers = self.queries.iter_mut().filter(|q| !q.ended && q.sources.contains(&index));
                    readers.for_each(|q| q.fail(error.clone()));
                    *source = None;
                    nothing()
                }
                None => nothing(),
            });
        }
        let rows_in = inputs.iter().flat_map(|i| &i.batches).map(|b| b.num_rows()).sum();
        let moved = |i: usize| !inputs[i].batches.is_empty() || inputs[i].watermark != before[i];
        let due = |q: &RunningQuery| {
            let wall = q.query.is_due(now.0);
            let ends = q.sources.iter().all(|s| inputs[*s].ended);
            !q.ended && (q.first || wall || ends || q.sources.iter().any(|s| moved(*s)))
        };
        let work: Vec<usize> = (0..self.queries.len()).filter(|q| due(&self.queries[*q])).collect();
        if work.is_empty() {
            self.drop_unused();
            return Ok(StepReport::default());
        }
        self.now = now;
        self.interval = self.interval.next();
        let mut report = StepReport { interval: Some(self.interval), rows_in, ..StepReport::default() };
        for at in work {
            let query = &mut self.queries[at];
            let of_query = query.sources.iter().map(|s| inputs[*s].clone()).collect();
            let input = IntervalInput { id: self.interval, now, first: query.first, sources: of_query };
            match query.step(input).await {
                Ok(changes) => {
                    let late = query.query.context().take_late();
                    if let [table] = query.query.plan().sources.as_slice() {
                        report.late.extend(late.into_iter().map(|rows| (table.table.clone(), rows)));
                    }
                    report.changes.push((query.id, changes));
                }
                Err(error) => query.fail(error),
            }
        }
        self.drop_unused();
        Ok(report)
    }

    /// The queries that have failed since this was last asked, with why; they have left.
    pub fn failures(&mut self) -> Vec<(u64, Error)> {
        let new = self.queries.iter_mut().filter(|q| q.failed.is_some() && !q.told);
        let tell = |q: &mut RunningQuery| {
            q.told = true;
            q.failed.clone().map(|error| (q.id, error))
        };
        new.filter_map(tell).collect()
    }

    /// Where things stand.
    pub fn progress(&self) -> Progress {
        let now = self.host.clock.now();
        let started = self.started.unwrap_or(now);
        Progress {
            interval: self.interval,
            elapsed_micros: now.0.saturating_sub(started.0),
            sources: self.sources.iter().flatten().map(|s| s.progress(now)).collect(),
            queries: self.queries.iter().map(|q| self.query_progress(q)).collect(),
        }
    }

    /// Every query that it has.
    pub(super) fn queries(&self) -> &[RunningQuery] {
        &self.queries
    }

    /// Where each source stands behind the rows that have been run: what a checkpoint records.
    pub fn positions(&self) -> Vec<(String, Option<Position>)> {
        let all = self.sources.iter().flatten();
        all.map(|s| (s.name().to_owned(), s.position().cloned())).collect()
    }

    fn query_progress(&self, q: &RunningQuery) -> QueryProgress {
        let mut metrics = q.metrics.clone();
        q.query.measure(&mut metrics);
        let watermarks = q.sources.iter().filter_map(|s| self.sources[*s].as_ref()).map(|s| s.watermark);
        QueryProgress {
            id: q.id,
            name: q.name.clone(),
            metrics,
            watermark: watermarks.min().map(Timestamp).filter(|w| *w != Timestamp::MIN),
            next_close: q.query.next_close().map(Timestamp),
            ended: q.ended,
            failed: q.failed.as_ref().map(ToString::to_string),
        }
    }

    /// Lets go of sources that no running query reads.
    fn drop_unused(&mut self) {
        for (index, slot) in self.sources.iter_mut().enumerate() {
            let used = self.queries.iter().any(|q| !q.ended && q.sources.contains(&index));
            let ended = slot.as_ref().is_some_and(RunningSource::has_ended);
            if !used && !ended {
                *slot = None;
            }
        }
    }
}

impl RunningQuery {
    /// Runs, decides and delivers one interval.
    async fn step(&mut self, input: IntervalInput) -> Result<Vec<Change>> {
        let id = input.id;
        let ends = input.sources.iter().all(|s| s.ended);
        self.metrics.rows_in += input.sources.iter().flat_map(|s| &s.batches).map(|b| b.num_rows() as u64).sum::<u64>();
        let changes = self.query.run(input).await?;
        self.query.commit()?;
        self.first = false;
        if !self.output.is_at_end() {
            self.metrics.rows_out += changes.iter().map(|c| c.num_rows() as u64).sum::<u64>();
        }
        self.output.deliver(id, &changes)?;
        if ends || self.query.context().is_done() {
            self.ended = true;
            self.metrics.rows_out += self.output.close(id)?;
        }
        Ok(changes)
    }

    fn fail(&mut self, error: Error) {
        self.query.rollback();
        self.ended = true;
        // What had been published stays; the sink's own failure to close adds nothing to the error at hand.
        if !self.output.is_at_end() {
            let _ = self.output.close(IntervalId::NONE);
        }
        self.failed = Some(error);
    }
}
