//! A query that runs: a plan made once, its state, and one step per interval.

use std::sync::Arc;

use datafusion::execution::{SessionState, TaskContext};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use futures::StreamExt;

use super::contents::StateRows;
use super::context::{IntervalInput, QueryContext};
use super::lower::lower;
use crate::change::Change;
use crate::error::Result;
use crate::metrics::QueryMetrics;
use crate::plan::{IntervalPlan, OperatorId};

/// A query that runs interval by interval: `run` stages, then `commit` or `rollback` decides.
pub struct Query {
    plan: IntervalPlan,
    physical: Arc<dyn ExecutionPlan>,
    task: Arc<TaskContext>,
    context: Arc<QueryContext>,
}

impl Query {
    /// Lowers a plan, with empty state.
    ///
    /// # Errors
    /// When an expression has no physical form.
    pub async fn new(plan: IntervalPlan, session: &SessionState) -> Result<Self> {
        let physical = lower(&plan, session).await?;
        let context = Arc::new(QueryContext::default());
        let config = session.config().clone().with_extension(Arc::clone(&context));
        let task = TaskContext::from(session).with_session_config(config);
        Ok(Self { plan, physical, task: Arc::new(task), context })
    }

    /// What it runs.
    pub fn plan(&self) -> &IntervalPlan {
        &self.plan
    }

    /// Runs one interval and stages its changes; what comes out, in order.
    ///
    /// # Errors
    /// When an expression fails. The interval then leaves no trace once it is rolled back.
    pub async fn run(&self, input: IntervalInput) -> Result<Vec<Change>> {
        self.context.begin(input);
        // Stock operators keep their streams' state in the plan; without this a second run would panic or leak metrics.
        let plan = reset_plan_states(Arc::clone(&self.physical))?;
        let mut changes = Vec::new();
        for partition in 0..plan.output_partitioning().partition_count() {
            let mut stream = plan.execute(partition, Arc::clone(&self.task))?;
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                if batch.num_rows() > 0 {
                    changes.push(Change::from_weighted(batch));
                }
            }
        }
        Ok(changes)
    }

    /// Makes what the interval staged the base.
    ///
    /// # Errors
    /// Only for broken invariants.
    pub fn commit(&self) -> Result<()> {
        self.context.states().values_mut().try_for_each(|s| s.commit())
    }

    /// Forgets what the interval staged.
    pub fn rollback(&self) {
        self.context.states().values_mut().for_each(|s| s.rollback());
    }

    /// What operators share: counters, late rows.
    pub fn context(&self) -> &QueryContext {
        &self.context
    }

    /// Rows and bytes per operator, by id.
    pub fn state(&self) -> Vec<(usize, usize, usize)> {
        self.context.states().iter().map(|(id, s)| (*id, s.rows(), s.bytes())).collect()
    }

    /// What an operator holds, as rows: none before its first interval, and of an operator that can't be read.
    ///
    /// # Errors
    /// Only when an encoding is broken.
    pub fn contents(&self, operator: OperatorId) -> Result<Vec<StateRows>> {
        self.context.states().get(&operator).map_or_else(|| Ok(Vec::new()), |s| s.contents())
    }

    /// The end (µs) of the window that closes next.
    pub fn next_close(&self) -> Option<i64> {
        self.context.states().values().filter_map(|s| s.windows().1).min()
    }

    /// Whether time alone gives it something to do at `now` (µs): a window of the wall clock closes, or rows are due.
    pub fn is_due(&self, now: i64) -> bool {
        let closes = self.plan.processing_time && self.next_close().is_some_and(|end| end <= now);
        closes || self.context.states().values().filter_map(|s| s.due_at()).any(|at| at <= now)
    }

    /// Fills in what operators count and hold.
    pub fn measure(&self, metrics: &mut QueryMetrics) {
        use std::sync::atomic::Ordering::Relaxed;
        let counters = &self.context.counters;
        metrics.late = counters.late.load(Relaxed);
        metrics.windows_closed = counters.closed.load(Relaxed);
        metrics.state_rows_read = counters.state_rows_read.load(Relaxed);
        let states = self.context.states();
        metrics.windows_open = states.values().map(|s| s.windows().0 as u64).sum();
        metrics.state_rows = states.values().map(|s| s.rows() as u64).sum();
        metrics.state_bytes = states.values().map(|s| s.bytes() as u64).sum();
    }
}
