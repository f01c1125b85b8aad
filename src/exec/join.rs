//! Keyed join: what an interval's rows meet on the other side, ΔA⋈B ∪ A⋈ΔB ∪ ΔA⋈ΔB over the rows of both sides by key.
//!
//! Nothing is joined again: an interval reads the rows that its own rows meet, and no others. Outer, semi, anti and mark joins
//! keep with each row how many rows of the other side it has met, so that a row's NULL-extended form leaves when its first match
//! comes, and is back when its last one goes.
//!
//! Rows leave the state when the watermark says that what they could meet has come (an interval join), when the window that they
//! are joined on closes, or when the other side has ended.

mod delta;
mod pairs;
mod versions;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::common::JoinType;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;

use self::delta::Delta;
use self::pairs::{Met, Pairs};
use super::contents::StateRows;
use super::context::{OperatorState, QueryContext};
use super::operator::{Operate, Run};
use super::weighted::{Outlet, Weighted};
use crate::error::Result;
use crate::plan::{OperatorId, TimeDomain};
use crate::state::RowStore;

/// What is fixed when it is planned.
pub(super) struct Join {
    pub(super) id: OperatorId,
    pub(super) join_type: JoinType,
    pub(super) sides: [Side; 2],
    pub(super) filter: Option<Residual>,
    pub(super) sees: Seen,
    /// The order of what comes out, over the columns of the left and then the right; `None`: as they are.
    pub(super) output: Option<Vec<usize>>,
    /// NULL is equal to NULL, as in INTERSECT.
    pub(super) null_equals_null: bool,
    pub(super) unique: Option<Vec<usize>>,
    pub(super) weighted: bool,
    pub(super) schema: SchemaRef,
}

/// Which rows of the right a row of the left is joined with.
pub(super) enum Seen {
    All,
    /// Those of its interval; sources that have to end first.
    Now {
        waits_for: Vec<usize>,
    },
    /// The last that is not after it: the visible column with the time of the right, and how far either side may be behind.
    Version {
        since: usize,
        lags: [i64; 2],
    },
}

/// One input.
pub(super) struct Side {
    pub(super) keys: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) key_types: Vec<DataType>,
    /// The columns that are joined: all but the hidden ones.
    pub(super) visible: Vec<usize>,
    pub(super) types: Vec<DataType>,
    pub(super) names: Vec<String>,
    /// The column of weights.
    pub(super) weight: Option<usize>,
    /// When rows are freed by the watermark.
    pub(super) expiry: Option<Expires>,
    /// When all of these sources have ended, no row of the other side comes any more.
    pub(super) settled_by: Option<Vec<usize>>,
    pub(super) sources: Vec<usize>,
}

/// A row is freed when the time of the other side has passed its own by so much.
pub(super) struct Expires {
    pub(super) time: Arc<dyn PhysicalExpr>,
    /// What is added to the row's time (µs).
    pub(super) after: i64,
    pub(super) domain: TimeDomain,
    pub(super) lag: i64,
    pub(super) sources: Vec<usize>,
}

/// What is asked of a pair beside equal keys.
pub(super) struct Residual {
    pub(super) predicate: Arc<dyn PhysicalExpr>,
    /// Its columns: the side, and the visible column.
    pub(super) columns: Vec<(usize, usize)>,
    pub(super) schema: SchemaRef,
}

impl Operate for Arc<Join> {
    fn name(&self) -> &'static str {
        "JoinExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        Ok(Box::new(JoinRun { join: Arc::clone(self), context, deltas: [Vec::new(), Vec::new()] }))
    }
}

/// The rows of both sides.
struct Stores {
    rows: [RowStore; 2],
    /// The names of their columns.
    names: [Vec<String>; 2],
    /// Rows of the left that wait for the right to be read.
    waiting: Vec<Delta>,
    staged_waiting: Option<Vec<Delta>>,
}

impl OperatorState for Stores {
    fn commit(&mut self) -> Result<()> {
        self.waiting = self.staged_waiting.take().unwrap_or_else(|| std::mem::take(&mut self.waiting));
        self.rows.iter_mut().try_for_each(RowStore::commit)
    }

    fn rollback(&mut self) {
        self.staged_waiting = None;
        self.rows.iter_mut().for_each(RowStore::rollback);
    }

    fn rows(&self) -> usize {
        self.rows.iter().map(RowStore::len).sum::<usize>() + self.waiting.iter().map(Delta::len).sum::<usize>()
    }

    fn bytes(&self) -> usize {
        let waiting = self.waiting.iter().flat_map(|d| &d.columns).map(|c| c.get_array_memory_size());
        self.rows.iter().map(RowStore::bytes).sum::<usize>() + waiting.sum::<usize>()
    }

    fn contents(&self) -> Result<Vec<StateRows>> {
        let table = |(part, (store, names)): (&'static str, (&RowStore, &Vec<String>))| {
            let (columns, weights) = store.all()?;
            let count = weights.len();
            let weights: ArrayRef = Arc::new(Int64Array::from(weights));
            let columns = names.iter().cloned().zip(columns).chain([("weight".to_owned(), weights)]);
            StateRows::new(part, columns.collect(), count)
        };
        ["left", "right"].into_iter().zip(self.rows.iter().zip(&self.names)).map(table).collect()
    }
}

struct JoinRun {
    join: Arc<Join>,
    context: Arc<QueryContext>,
    deltas: [Vec<Delta>; 2],
}

#[async_trait]
impl Run for JoinRun {
    fn push(&mut self, input: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let side = &self.join.sides[input];
        self.deltas[input].push(side.delta(&batch, self.join.null_equals_null)?);
        Ok(Vec::new())
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let (join, context) = (Arc::clone(&self.join), Arc::clone(&self.context));
        let [left, right] = std::mem::take(&mut self.deltas);
        let (read, out) = context.with_state(
            join.id,
            || join.stores(),
            |stores| match &join.sees {
                Seen::All => join.all([left, right], stores, &context),
                Seen::Now { waits_for } => join.now([left, right], stores, context.have_ended(waits_for)),
                Seen::Version { since, lags } => {
                    let horizon =
                        |side: usize| context.closing_time(TimeDomain::Event, lags[side], &join.sides[side].sources);
                    join.version([left, right], stores, *since, [horizon(0), horizon(1)])
                }
            },
        )?;
        context.counters.state_rows_read.fetch_add(read, Ordering::Relaxed);
        join.hand_on(out)
    }
}

impl Join {
    fn stores(&self) -> Result<Stores> {
        let store = |side: &Side| RowStore::new(&side.key_types, &side.types, side.weight.is_some());
        let rows = [store(&self.sides[0])?, store(&self.sides[1])?];
        let names = [self.sides[0].names.clone(), self.sides[1].names.clone()];
        Ok(Stores { rows, names, waiting: Vec::new(), staged_waiting: None })
    }

    /// Every pair there is: what comes out, and how many rows were read.
    fn all(
        &self,
        [left, right]: [Vec<Delta>; 2],
        stores: &mut Stores,
        context: &QueryContext,
    ) -> Result<(u64, Vec<Weighted>)> {
        let deltas = [Delta::concat(left, &self.sides[0])?, Delta::concat(right, &self.sides[1])?];
        let [left, right] = &stores.rows;
        let Met { matches, changes, out, read } = Pairs::new(self, &deltas, [left, right]).meet()?;
        let of_sides = deltas.into_iter().zip(matches).zip(changes);
        for (at, ((delta, matches), changes)) in of_sides.enumerate() {
            let (side, store) = (&self.sides[at], &mut stores.rows[at]);
            if side.settled_by.as_ref().is_some_and(|sources| context.have_ended(sources)) {
                store.stage_clear();
                continue;
            }
            if let Some(e) = &side.expiry {
                store.stage_expiry(context.closing_time(e.domain, e.lag, &e.sources));
            }
            store.stage_matches(changes);
            if let Some(rows) = delta.into_rows(matches)? {
                store.stage(rows);
            }
        }
        Ok((read, out))
    }

    /// Rows of the left with the right as it is; they wait until it may be `looked_at`.
    fn now(
        &self,
        [left, right]: [Vec<Delta>; 2],
        stores: &mut Stores,
        looked_at: bool,
    ) -> Result<(u64, Vec<Weighted>)> {
        let mut all = stores.waiting.clone();
        all.extend(left);
        let left = if looked_at { std::mem::take(&mut all) } else { Vec::new() };
        stores.staged_waiting = Some(all);
        let deltas = [Delta::concat(left, &self.sides[0])?, Delta::concat(right, &self.sides[1])?];
        let [left, right] = &mut stores.rows;
        let met = Pairs::new(self, &deltas, [left, right]).meet()?;
        let [_, delta] = deltas;
        if let Some(rows) = delta.into_rows(None)? {
            right.stage(rows);
        }
        Ok((met.read, met.out))
    }

    /// Whether it is counted how many rows of the other side a row of this one has met.
    fn counts(&self, side: usize) -> bool {
        match self.join_type {
            JoinType::Inner => false,
            JoinType::Full => true,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => side == 0,
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => side == 1,
        }
    }

    /// Whether pairs of rows come out, and not rows of one side alone.
    fn is_of_pairs(&self) -> bool {
        matches!(self.join_type, JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full)
    }

    fn hand_on(&self, mut out: Vec<Weighted>) -> Result<Vec<RecordBatch>> {
        let outlet = Outlet { schema: &self.schema, weighted: self.weighted, unique: self.unique.as_deref() };
        if let Some(order) = &self.output {
            for part in &mut out {
                part.columns = order.iter().filter_map(|i| part.columns.get(*i).map(Arc::clone)).collect();
            }
        }
        let mut weights = out.iter().flat_map(|part| &part.weights);
        // What comes out more than once, or goes again at once, is added up; what was proved to grow can't do so but in a lookup.
        let sums = if self.weighted { weights.any(|w| *w < 0) } else { weights.any(|w| *w != 1) };
        if sums {
            return Ok(outlet.sum(&out)?.into_iter().collect());
        }
        out.into_iter().map(|part| outlet.batch(part)).collect()
    }
}
