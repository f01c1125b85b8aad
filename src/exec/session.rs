//! Session aggregate: rows of a key that follow each other within the gap are one window, [first row, last row + gap).
//!
//! Two rows exactly the gap apart are one session. A session is closed once the watermark has passed its end (a row *at* the
//! watermark may still come and would belong to it). New rows can extend a session, join two, or begin one: the kept states
//! of the sessions that they touch are merged into accumulators and the rows added; untouched sessions cost nothing.

mod state;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{concat_batches, take};
use arrow::datatypes::DataType;

use self::state::{Fresh, Open, Sessions};
use super::aggregate::Aggregate;
use super::assign::{micros, timestamps};
use super::context::QueryContext;
use super::groups::{Accumulators, Arguments, values_of};
use super::key::canonical;
use super::operator::{Operate, Run};
use crate::error::{Error, Result};
use crate::plan::{EmitAt, WindowRole};
use crate::state::KeyIndex;
use crate::time::{unit_of, window_time_gap};

/// An aggregate whose window is a session.
pub(super) struct SessionAggregate {
    pub(super) aggregate: Arc<Aggregate>,
    /// The longest silence inside a session (µs).
    pub(super) gap: i64,
}

impl Operate for Arc<SessionAggregate> {
    fn name(&self) -> &'static str {
        "SessionExec"
    }

    fn start(&self, context: Arc<QueryContext>) -> Result<Box<dyn Run>> {
        let keys = KeyIndex::new(&self.aggregate.key_types)?;
        Ok(Box::new(SessionRun { session: Arc::clone(self), context, keys, rows: Vec::new(), batches: Vec::new() }))
    }
}

struct SessionRun {
    session: Arc<SessionAggregate>,
    context: Arc<QueryContext>,
    /// The keys of the interval.
    keys: KeyIndex,
    /// (key, time, number in arrival order) of every row.
    rows: Vec<(u32, i64, usize)>,
    /// Arguments of each batch and its length.
    batches: Vec<(Vec<Arguments>, usize)>,
}

/// Sessions and rows of one key that are one session now.
struct Cluster {
    key: u32,
    start: i64,
    end: i64,
    rows: Vec<usize>,
    old: Vec<Open>,
}

impl Run for SessionRun {
    fn push(&mut self, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let aggregate = &self.session.aggregate;
        let rows = batch.num_rows();
        let evaluate = |i: &usize| -> Result<ArrayRef> { Ok(aggregate.group[*i].evaluate(&batch)?.into_array(rows)?) };
        let keys = aggregate.key.iter().map(|i| Ok(canonical(evaluate(i)?))).collect::<Result<Vec<_>>>()?;
        let ids = self.keys.insert(&keys, rows)?;
        // The assignment gave each row a window of its own: [time, time + gap).
        let role = aggregate.window.as_ref().and_then(|w| w.roles.first());
        let (index, role) = role.ok_or_else(|| Error::internal("a session without window columns"))?;
        let (times, unit) = micros(&evaluate(index)?)?;
        let shift = match role {
            WindowRole::Start => 0,
            WindowRole::End => self.session.gap,
            WindowRole::Time => self.session.gap - window_time_gap(unit),
        };
        let first = self.rows.len();
        self.rows
            .extend(ids.into_iter().zip(times.values()).enumerate().map(|(i, (id, t))| (id, t - shift, first + i)));
        let arguments = aggregate.calls.iter().map(|c| c.arguments(&batch)).collect::<Result<Vec<_>>>()?;
        self.batches.push((arguments, rows));
        Ok(Vec::new())
    }

    fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let session = Arc::clone(&self.session);
        let aggregate = &session.aggregate;
        let Some(window) = &aggregate.window else { return Err(Error::internal("a session without a window")) };
        let time = self.context.closing_time(window);
        let context = Arc::clone(&self.context);
        context.with_state(
            aggregate.id,
            || Sessions::new(aggregate),
            |sessions| {
                let out = self.step(sessions, time)?;
                Ok(out.filter(|b| b.num_rows() > 0).into_iter().collect())
            },
        )
    }
}

impl SessionRun {
    fn step(&mut self, sessions: &mut Sessions, time: i64) -> Result<Option<RecordBatch>> {
        let session = Arc::clone(&self.session);
        let aggregate = &session.aggregate;
        let closes = |end: i64| end < time || time == i64::MAX;
        let clusters = self.clusters(sessions);
        let (old, states) = self.merge(sessions, &clusters)?;
        let touched: HashSet<u32> = old.iter().copied().collect();
        let mut out = Vec::new();

        // Sessions that nothing touched, but whose time has come.
        let untouched: Vec<u32> = sessions.ending(closes).filter(|slot| !touched.contains(slot)).collect();
        if !untouched.is_empty() && aggregate.emit == EmitAt::Close {
            out.push(self.kept_rows(sessions, &untouched, None)?);
        }
        let mut closed = untouched.len();

        let numbers: Vec<u32> = (0..clusters.len() as u32).collect();
        let (closing, open): (Vec<u32>, Vec<u32>) = numbers.iter().partition(|c| closes(clusters[**c as usize].end));
        closed += closing.len();
        match aggregate.emit {
            EmitAt::Close if !closing.is_empty() => out.push(self.new_rows(&clusters, &closing, &states, None)?),
            EmitAt::Close => {}
            EmitAt::Change => {
                if !old.is_empty() {
                    out.push(self.kept_rows(sessions, &old, Some(-1))?);
                }
                if !clusters.is_empty() {
                    out.push(self.new_rows(&clusters, &numbers, &states, Some(1))?);
                }
            }
        }
        let staying = UInt32Array::from(open.clone());
        let states = states.iter().map(|s| take(s, &staying, None)).collect::<Result<Vec<_>, _>>()?;
        let bounds = open.iter().map(|c| &clusters[*c as usize]);
        let fresh = Fresh {
            keys: self.keys.keys(&bounds.clone().map(|c| c.key).collect::<Vec<_>>())?,
            encoded: bounds.clone().map(|c| self.keys.encoded(c.key).into()).collect(),
            bounds: bounds.map(|c| (c.start, c.end)).collect(),
            states,
        };
        sessions.stage(old.into_iter().chain(untouched).collect(), fresh);
        self.context.counters.closed.fetch_add(closed as u64, Ordering::Relaxed);
        if out.is_empty() { Ok(None) } else { Ok(Some(concat_batches(&aggregate.schema, &out)?)) }
    }

    /// What is one session now, for every key of the interval; kept sessions that no row touches are left out.
    fn clusters(&mut self, sessions: &Sessions) -> Vec<Cluster> {
        self.rows.sort_unstable();
        let gap = self.session.gap;
        let mut clusters: Vec<Cluster> = Vec::new();
        for of_key in self.rows.chunk_by(|a, b| a.0 == b.0) {
            let Some((key, ..)) = of_key.first() else { continue };
            let kept = sessions.of_key(self.keys.encoded(*key));
            let mut items: Vec<(i64, i64, Option<Open>, Option<usize>)> =
                of_key.iter().map(|(_, t, row)| (*t, t + gap, None, Some(*row))).collect();
            items.extend(kept.iter().map(|open| (open.start, open.end, Some(*open), None)));
            items.sort_by_key(|(start, ..)| *start);
            let first = clusters.len();
            for (start, end, open, row) in items {
                let joins = clusters.get_mut(first..).and_then(<[_]>::last_mut).filter(|c| start <= c.end);
                let cluster = match joins {
                    Some(cluster) => cluster,
                    None => {
                        clusters.push(Cluster { key: *key, start, end, rows: Vec::new(), old: Vec::new() });
                        match clusters.last_mut() {
                            Some(cluster) => cluster,
                            None => continue,
                        }
                    }
                };
                cluster.end = cluster.end.max(end);
                cluster.rows.extend(row);
                cluster.old.extend(open);
            }
        }
        clusters.retain(|c| !c.rows.is_empty());
        clusters
    }

    /// The kept sessions that go into clusters, and the state of each cluster.
    fn merge(&self, sessions: &Sessions, clusters: &[Cluster]) -> Result<(Vec<u32>, Vec<ArrayRef>)> {
        let mut group_of = vec![0; self.rows.len()];
        let (mut old, mut old_groups) = (Vec::new(), Vec::new());
        for (group, cluster) in clusters.iter().enumerate() {
            for row in &cluster.rows {
                group_of[*row] = group;
            }
            old.extend(cluster.old.iter().map(|o| o.slot));
            old_groups.extend(cluster.old.iter().map(|_| group));
        }
        let mut accumulators = Accumulators::new(&self.session.aggregate.calls)?;
        if let Some((arguments, _)) = self.batches.first() {
            accumulators.expect_gaps(arguments, clusters.len())?;
        }
        if !old.is_empty() {
            accumulators.merge(&sessions.states(&old)?, &old_groups, clusters.len())?;
        }
        let mut first = 0;
        for (arguments, rows) in &self.batches {
            accumulators.update(arguments, &group_of[first..first + rows], clusters.len())?;
            first += rows;
        }
        Ok((old, if clusters.is_empty() { Vec::new() } else { accumulators.states()? }))
    }

    /// Rows of kept sessions as they were.
    fn kept_rows(&self, sessions: &Sessions, slots: &[u32], weight: Option<i64>) -> Result<RecordBatch> {
        let values = values_of(&self.session.aggregate.calls, &sessions.states(slots)?, slots.len())?;
        self.rows(&sessions.keys(slots)?, &sessions.bounds(slots), values, weight)
    }

    /// Rows of some clusters.
    fn new_rows(
        &self,
        clusters: &[Cluster],
        picked: &[u32],
        states: &[ArrayRef],
        weight: Option<i64>,
    ) -> Result<RecordBatch> {
        let indices = UInt32Array::from(picked.to_vec());
        let states = states.iter().map(|s| take(s, &indices, None)).collect::<Result<Vec<_>, _>>()?;
        let values = values_of(&self.session.aggregate.calls, &states, picked.len())?;
        let of = picked.iter().map(|c| &clusters[*c as usize]);
        let keys = self.keys.keys(&of.clone().map(|c| c.key).collect::<Vec<_>>())?;
        let bounds: Vec<_> = of.map(|c| (c.start, c.end)).collect();
        self.rows(&keys, &bounds, values, weight)
    }

    fn rows(
        &self,
        keys: &[ArrayRef],
        bounds: &[(i64, i64)],
        values: Vec<ArrayRef>,
        weight: Option<i64>,
    ) -> Result<RecordBatch> {
        let aggregate = &self.session.aggregate;
        let mut columns = Vec::with_capacity(aggregate.schema.fields().len());
        for index in 0..aggregate.group.len() {
            if let Some(position) = aggregate.key.iter().position(|k| *k == index) {
                columns.push(Arc::clone(&keys[position]));
                continue;
            }
            let roles = aggregate.window.as_ref().map_or(&[][..], |w| &w.roles);
            let Some((_, role)) = roles.iter().find(|(i, _)| *i == index) else { continue };
            let data_type: &DataType = aggregate.schema.field(index).data_type();
            let (times, back): (Vec<i64>, i64) = match role {
                WindowRole::Start => (bounds.iter().map(|b| b.0).collect(), 0),
                WindowRole::End => (bounds.iter().map(|b| b.1).collect(), 0),
                WindowRole::Time => (bounds.iter().map(|b| b.1).collect(), window_time_gap(unit_of(data_type))),
            };
            columns.push(timestamps(&times, unit_of(data_type), data_type, back)?);
        }
        columns.extend(values);
        if aggregate.weighted {
            columns.push(Arc::new(Int64Array::from(vec![weight.unwrap_or(1); bounds.len()])));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(bounds.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&aggregate.schema), columns, &options)?)
    }
}

/// Ends in order, with the slot that ends then.
type Ends = BTreeSet<(i64, u32)>;
