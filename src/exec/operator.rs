//! The one `ExecutionPlan` of ours: it feeds batches to an [`Operate`]r and hands on what comes out.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions, SchedulingType,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, stream};

use super::assign::Assign;
use super::context::QueryContext;
use crate::error::Result;

/// An operator: what is fixed when the query is planned.
pub(super) trait Operate: Send + Sync {
    /// A name for plans.
    fn name(&self) -> &'static str;

    /// The assignment of rows to windows, when that is what it does: an aggregate may take it over.
    fn assignment(&self) -> Option<&Assign> {
        None
    }

    /// Starts an interval.
    fn start(&self, context: Arc<QueryContext>, task: &Arc<TaskContext>) -> Result<Box<dyn Run>>;
}

/// An operator at work on one interval.
#[async_trait]
pub(super) trait Run: Send {
    /// Whether the operator reads its input in this interval.
    fn reads(&self) -> bool {
        true
    }

    /// Takes a batch of an input; what can be handed on at once is.
    fn push(&mut self, input: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>>;

    /// All inputs of the interval are complete.
    async fn finish(&mut self) -> Result<Vec<RecordBatch>>;
}

/// Runs an operator in a physical plan. The output is one partition; the inputs' partitions are read one after the other.
pub(super) struct OperatorExec {
    operator: Arc<dyn Operate>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    properties: Arc<PlanProperties>,
}

impl OperatorExec {
    pub(super) fn new(operator: Arc<dyn Operate>, inputs: Vec<Arc<dyn ExecutionPlan>>, schema: SchemaRef) -> Self {
        let equivalence = EquivalenceProperties::new(schema);
        // An interval's rows end: to DataFusion every plan of ours is bounded, or it would refuse most of them.
        let properties = PlanProperties::new(
            equivalence,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Self { operator, inputs, properties: Arc::new(properties) }
    }

    /// As [`Operate::assignment`].
    pub(super) fn assignment(&self) -> Option<&Assign> {
        self.operator.assignment()
    }
}

impl fmt::Debug for OperatorExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operator.name())
    }
}

impl DisplayAs for OperatorExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operator.name())
    }
}

impl ExecutionPlan for OperatorExec {
    fn name(&self) -> &'static str {
        self.operator.name()
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self {
            operator: Arc::clone(&self.operator),
            inputs: children,
            properties: Arc::clone(&self.properties),
        }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(&self, partition: usize, task: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(DataFusionError::Internal(format!("{} has one partition", self.operator.name())));
        }
        let context = QueryContext::of(&task)?;
        let run = self.operator.start(context, &task)?;
        let schema = self.schema();
        let state =
            Work { run, inputs: self.inputs.clone(), task, at: 0, partition: 0, current: None, finished: false };
        let batches = stream::try_unfold(state, |mut work| async move {
            match work.next().await? {
                Some(batches) => Ok::<_, DataFusionError>(Some((batches, work))),
                None => Ok(None),
            }
        });
        let flat = batches.flat_map(|result| match result {
            Ok(batches) => stream::iter(batches.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, flat)))
    }
}

struct Work {
    run: Box<dyn Run>,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    task: Arc<TaskContext>,
    /// The input that is read.
    at: usize,
    partition: usize,
    current: Option<SendableRecordBatchStream>,
    finished: bool,
}

impl Work {
    /// The next batches; `None` when the operator has finished.
    async fn next(&mut self) -> DfResult<Option<Vec<RecordBatch>>> {
        if self.finished {
            return Ok(None);
        }
        while self.run.reads() {
            let Some(input) = self.inputs.get(self.at).cloned() else { break };
            if self.partition >= input.output_partitioning().partition_count() {
                self.at += 1;
                self.partition = 0;
                continue;
            }
            let mut stream = match self.current.take() {
                Some(stream) => stream,
                None => input.execute(self.partition, Arc::clone(&self.task))?,
            };
            let Some(batch) = stream.next().await else {
                self.partition += 1;
                continue;
            };
            self.current = Some(stream);
            let batch = batch?;
            if batch.num_rows() > 0 {
                return Ok(Some(self.run.push(self.at, batch)?));
            }
        }
        self.finished = true;
        Ok(Some(self.run.finish().await?))
    }
}
