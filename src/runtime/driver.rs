//! The loop's body: one interval over all sources and queries.

use datafusion::execution::SessionState;

use super::contents::{Contents, OnConflict};
use super::feed::Wake;
use super::output::Output;
use super::progress::{Progress, QueryProgress};
use super::relation::{Relation, Stage};
use super::running::{Feeds, NewQuery, RunningQuery};
use super::source::{RunningSource, SourceSetup};
use crate::catalog::IntervalClock;
use crate::change::Change;
use crate::connector::Position;
use crate::error::{Error, Result};
use crate::exec::{IntervalInput, SourceInput};
use crate::host::Host;
use crate::settings::Settings;
use crate::time::{IntervalId, Timestamp};
use arrow::array::RecordBatch;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Drives queries over sources, one interval at a time.
pub struct Driver {
    host: Host,
    clock: Arc<IntervalClock>,
    wake: Wake,
    sources: Vec<Option<RunningSource>>,
    /// Views that queries keep, and tables with rows of their own.
    relations: BTreeMap<String, Relation>,
    /// A query comes behind those whose views it reads.
    queries: Vec<RunningQuery>,
    interval: IntervalId,
    now: Timestamp,
    started: Option<Timestamp>,
    last_query: u64,
}

/// What the driver needs to know of a relation that a query reads.
pub enum Input {
    /// How to read it from outside.
    Source(SourceSetup),
    /// It holds rows, and the driver knows it by this name.
    Relation(String),
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
            relations: BTreeMap::new(),
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
    pub fn add(&mut self, new: NewQuery, mut setup: impl FnMut(&str) -> Result<Input>) -> Result<()> {
        let mut inputs = Vec::new();
        for used in &new.query.plan().sources {
            let asked = match setup(&used.table)? {
                Input::Source(asked) => asked,
                Input::Relation(name) => {
                    inputs.push(Feeds::Relation(name));
                    continue;
                }
            };
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
                source.want(&used.columns, used.row_watermark);
            }
            inputs.push(Feeds::Source(index));
        }
        if let Output::View(contents) = &new.output {
            let view = Relation::view(Arc::clone(contents), new.query.plan().append_only);
            self.relations.insert(new.name.clone(), view);
        }
        self.queries.push(RunningQuery::new(new, inputs));
        Ok(())
    }

    /// Adds a table with rows of its own.
    pub fn add_table(&mut self, name: &str, contents: Arc<Mutex<Contents>>, append_only: bool) {
        self.relations.insert(name.to_owned(), Relation::table(contents, append_only));
    }

    /// Forgets a table with rows of its own.
    pub fn remove_table(&mut self, name: &str) {
        self.relations.remove(name);
    }

    /// The running queries that read a relation, by number and name.
    pub fn readers(&self, relation: &str) -> Vec<(u64, String)> {
        let reads = |q: &&RunningQuery| !q.ended && q.inputs.iter().any(|i| *i == Feeds::Relation(relation.to_owned()));
        self.queries.iter().filter(reads).map(|q| (q.id, q.name.clone())).collect()
    }

    /// Changes a stored table: rows leave, then rows come; how many have left. The next interval tells the queries over it.
    ///
    /// # Errors
    /// When there is no such table, or the columns are of other types.
    pub fn write(
        &mut self,
        table: &str,
        gone: Option<&RecordBatch>,
        come: Option<(RecordBatch, OnConflict)>,
    ) -> Result<usize> {
        let relation = self.relations.get_mut(table).ok_or_else(|| no_table(table))?;
        let mut done = Vec::new();
        {
            let mut contents = relation.contents();
            if let Some(gone) = gone {
                done.push(contents.remove(gone)?);
            }
            if let Some((come, on_conflict)) = come {
                done.push(contents.insert(come, on_conflict)?);
            }
        }
        let left = done.first().filter(|_| gone.is_some()).map_or(0, Change::num_rows);
        relation.changed(done);
        Ok(left)
    }

    /// For each of these rows the one of a stored table that has its key, where there is one: their places, and those rows.
    ///
    /// # Errors
    /// As [`Driver::write`].
    pub fn same_key(&self, table: &str, rows: &RecordBatch) -> Result<(Vec<u32>, RecordBatch)> {
        self.relations.get(table).ok_or_else(|| no_table(table))?.contents().same_key(rows)
    }

    /// Stops a query and completes its output.
    ///
    /// # Errors
    /// When its sink can't be completed.
    pub fn stop(&mut self, id: u64) -> Result<bool> {
        let Some(at) = self.queries.iter().position(|q| q.id == id) else { return Ok(false) };
        let mut query = self.queries.remove(at);
        if matches!(query.output, Output::View(_)) {
            self.relations.remove(&query.name);
        }
        self.drop_unused();
        if !query.ended && !query.output.is_at_end() {
            query.output.close(self.interval)?;
        }
        Ok(true)
    }

    /// Whether there is anything to wait for: a query that has not ended, and not only because a table might be changed.
    pub fn is_running(&self) -> bool {
        self.queries.iter().any(RunningQuery::is_waited_for) || self.has_written()
    }

    /// Whether the next interval has changes of stored tables to tell.
    pub fn has_written(&self) -> bool {
        self.relations.values().any(|r| r.has_pending() || r.has_changed())
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
        self.queries.iter().filter(|q| !q.ended).any(due)
            || self.sources.iter().flatten().any(|s| s.is_ready())
            || self.has_written()
    }

    /// Whether the wall clock brings something to a query for which no run goes on.
    pub fn is_lapsing(&self) -> bool {
        let now = self.host.clock.now().0;
        self.queries.iter().any(|q| !q.ended && !q.is_waited_for() && q.query.is_due(now))
    }

    /// Whether it pays to wait for more rows: only files wait, to make large intervals; rows that come as they happen do not.
    pub fn wants_more(&self, settings: &Settings) -> bool {
        let mut sources = self.sources.iter().flatten().filter(|s| !s.has_ended()).peekable();
        sources.peek().is_some() && sources.all(|s| !s.is_live() && !s.has_enough(settings))
    }

    /// Whether a source has as many rows as an interval may take.
    pub fn is_full(&self, settings: &Settings) -> bool {
        self.sources.iter().flatten().any(|s| s.is_full(settings))
    }

    /// Tells every source to stop; what has been read is still run, windows close, and queries end.
    pub fn drain(&mut self) {
        self.sources.iter_mut().flatten().for_each(RunningSource::drain);
        self.relations.values_mut().filter(|r| r.stored).for_each(|r| r.stage = Stage::Ended);
        self.queries.iter_mut().for_each(|q| q.resting = false);
    }

    /// Runs one interval over what the sources have, when there is anything to do.
    ///
    /// # Errors
    /// None as yet: when a source fails, all its queries fail with it, and [`Driver::failures`] says which and why.
    pub async fn step(&mut self, settings: &Settings) -> Result<StepReport> {
        self.run_interval(Some(settings)).await
    }

    /// Runs one interval over what was written into stored tables; no source is read.
    ///
    /// # Errors
    /// As [`Driver::step`].
    pub async fn step_tables(&mut self) -> Result<StepReport> {
        self.run_interval(None).await
    }

    /// One interval; without settings no source is read.
    async fn run_interval(&mut self, settings: Option<&Settings>) -> Result<StepReport> {
        let now = self.host.clock.now().max(self.now);
        // Before rows are taken: columns computed from PROCTIME() are filled as they are.
        self.clock.set(now);
        let before: Vec<i64> = self.sources.iter().map(|s| s.as_ref().map_or(i64::MAX, |s| s.watermark)).collect();
        let inputs = self.poll(settings, now);
        for relation in self.relations.values_mut() {
            relation.write_pending()?;
        }
        let rows_in = inputs.iter().flat_map(|i| &i.batches).map(|b| b.num_rows()).sum();
        let moved = |i: usize| !inputs[i].batches.is_empty() || inputs[i].watermark != before[i];
        let due = |q: &RunningQuery, relations: &BTreeMap<String, Relation>| {
            let wall = q.query.is_due(now.0);
            let fed = |feeds: &Feeds| match feeds {
                Feeds::Source(at) => moved(*at),
                Feeds::Relation(name) => relations.get(name).is_none_or(|r| r.has_changed() || r.failed.is_some()),
            };
            let ends = !q.resting && q.stage(&inputs, relations) != Stage::Live;
            !q.ended && (q.first || wall || ends || q.inputs.iter().any(fed))
        };
        // Views that change make the queries over them due: whether any is due at all shows at those that are due first.
        if !self.queries.iter().any(|q| due(q, &self.relations)) {
            self.relations.values_mut().for_each(Relation::settle);
            self.drop_unused();
            return Ok(StepReport::default());
        }
        self.now = now;
        self.interval = self.interval.next();
        let mut report = StepReport { interval: Some(self.interval), rows_in, ..StepReport::default() };
        for query in &mut self.queries {
            if !due(query, &self.relations) {
                continue;
            }
            let stage = query.stage(&inputs, &self.relations);
            let of_query = query.inputs.iter().map(|feeds| match feeds {
                Feeds::Source(at) => Ok(inputs[*at].clone()),
                Feeds::Relation(name) => match self.relations.get(name) {
                    Some(Relation { failed: Some(why), .. }) => {
                        Err(why.clone().context(format!("'{name}', which it reads, has failed")))
                    }
                    Some(relation) => relation.input(query.first, stage == Stage::Ended),
                    None => Err(Error::execution(format!("'{name}', which it reads, was dropped"))),
                },
            });
            let ran = match of_query.collect::<Result<Vec<_>>>() {
                Ok(sources) => {
                    let input = IntervalInput { id: self.interval, now, first: query.first, sources };
                    query.step(input, stage).await
                }
                Err(error) => Err(error),
            };
            match ran {
                Ok(changes) => {
                    for (source, rows) in query.query.context().take_late() {
                        let table = query.query.plan().sources.get(source).map(|s| s.table.clone());
                        report.late.extend(table.map(|table| (table, rows)));
                    }
                    match &query.output {
                        Output::View(_) => {
                            if let Some(view) = self.relations.get_mut(&query.name) {
                                view.changed(changes.iter().cloned());
                                view.stage = stage;
                            }
                        }
                        Output::Table(name) => match self.relations.get_mut(name) {
                            Some(table) => table.write_next(&changes),
                            None => query.fail(Error::execution(format!("'{name}', which it fills, was dropped"))),
                        },
                        _ => {}
                    }
                    report.changes.push((query.id, changes));
                }
                Err(error) => query.fail(error),
            }
            if let (Some(error), Output::View(_)) = (&query.failed, &query.output)
                && let Some(view) = self.relations.get_mut(&query.name)
            {
                view.failed = Some(error.clone());
            }
        }
        self.relations.values_mut().for_each(Relation::settle);
        self.drop_unused();
        Ok(report)
    }

    /// What each source has for the interval.
    fn poll(&mut self, settings: Option<&Settings>, now: Timestamp) -> Vec<SourceInput> {
        let mut inputs: Vec<SourceInput> = Vec::with_capacity(self.sources.len());
        let nothing = |watermark, ended| SourceInput { batches: Vec::new(), watermark, ended };
        for (index, source) in self.sources.iter_mut().enumerate() {
            let polled = match (source.as_mut(), settings) {
                (None, _) => Ok(nothing(i64::MAX, true)),
                (Some(source), Some(settings)) => source.poll(settings, now),
                (Some(source), None) => Ok(nothing(source.watermark, source.has_ended())),
            };
            inputs.push(polled.unwrap_or_else(|error| {
                // Those that read it fail; what other sources have given meanwhile is not lost to the others.
                for query in self.queries.iter_mut().filter(|q| !q.ended && q.inputs.contains(&Feeds::Source(index))) {
                    query.fail(error.clone());
                    if let (Output::View(_), Some(view)) = (&query.output, self.relations.get_mut(&query.name)) {
                        view.failed = Some(error.clone());
                    }
                }
                *source = None;
                nothing(i64::MAX, true)
            }));
        }
        inputs
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

    /// Whether a query has run its first interval, or never will; `None`: whether all have.
    pub fn has_begun(&self, id: Option<u64>) -> bool {
        let waited = |q: &&RunningQuery| id.is_none_or(|id| q.id == id);
        self.queries.iter().filter(waited).all(|q| !q.first || q.ended)
    }

    /// Why a query has failed, when it has.
    pub fn failure_of(&self, id: u64) -> Option<Error> {
        self.queries.iter().find(|q| q.id == id)?.failed.clone()
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
        let sources = q.inputs.iter().filter_map(|feeds| match feeds {
            Feeds::Source(at) => self.sources[*at].as_ref(),
            Feeds::Relation(_) => None,
        });
        let watermarks = sources.map(|s| s.watermark);
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
            let used = self.queries.iter().any(|q| !q.ended && q.inputs.contains(&Feeds::Source(index)));
            let ended = slot.as_ref().is_some_and(RunningSource::has_ended);
            if !used && !ended {
                *slot = None;
            }
        }
    }
}

fn no_table(name: &str) -> Error {
    Error::internal(format!("no stored table '{name}'"))
}
