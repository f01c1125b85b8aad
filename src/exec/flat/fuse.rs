//! Takes the assignment of rows to windows into the aggregate above it: expressions over the assignment's output become
//! expressions over its input.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

use super::call::FlatCall;
use crate::error::Result;
use crate::exec::aggregate::Aggregate;
use crate::exec::assign::Assign;
use crate::exec::operator::OperatorExec;

/// An assignment under an aggregate, and the aggregate's expressions below it.
pub(super) struct Fused {
    pub(super) assign: Assign,
    /// What the assignment reads.
    pub(super) input: Arc<dyn ExecutionPlan>,
    pub(super) keys: Vec<Arc<dyn PhysicalExpr>>,
}

/// What a column of the aggregate's input is, over the assignment's input; `None` for a column of the window.
type Below = Vec<Option<Arc<dyn PhysicalExpr>>>;

/// Fuses an aggregate with the assignment below it, when nothing but its groups' windows reads the window's columns.
pub(super) fn fuse(
    aggregate: &Aggregate,
    input: &Arc<dyn ExecutionPlan>,
    calls: &mut [FlatCall],
) -> Result<Option<Fused>> {
    let Some(window) = &aggregate.window else { return Ok(None) };
    let (projection, below) = match input.downcast_ref::<ProjectionExec>() {
        Some(projection) => (Some(projection), projection.input()),
        None => (None, input),
    };
    let Some(exec) = below.downcast_ref::<OperatorExec>() else { return Ok(None) };
    let children = exec.children();
    let (Some(assign), [input]) = (exec.assignment(), children.as_slice()) else { return Ok(None) };
    if assign.spec != window.spec {
        return Ok(None);
    }
    let schema = input.schema();
    let column = |i: &usize| Some(Arc::new(Column::new(schema.field(*i).name(), *i)) as Arc<dyn PhysicalExpr>);
    let mut columns: Below = assign.before.iter().map(column).collect();
    columns.extend([None, None, None]);
    columns.extend(assign.after.iter().map(column));
    if let Some(projection) = projection {
        columns = projection.expr().iter().map(|e| push(&e.expr, &columns)).collect::<Result<_>>()?;
    }
    let of_window = |(index, _): &(usize, _)| {
        let group: &Arc<dyn PhysicalExpr> = &aggregate.group[*index];
        group.downcast_ref::<Column>().is_some_and(|c| columns.get(c.index()).is_some_and(Option::is_none))
    };
    if !window.roles.iter().all(of_window) {
        return Ok(None);
    }
    let keys =
        aggregate.key.iter().map(|i| push(&aggregate.group[*i], &columns)).collect::<Result<Option<Vec<_>>>>()?;
    let Some(keys) = keys else { return Ok(None) };
    let mut pushed = Vec::new();
    for call in calls.iter() {
        let expr = |e: &Option<Arc<dyn PhysicalExpr>>| -> Result<_> {
            match e {
                None => Ok(Some(None)),
                Some(e) => Ok(push(e, &columns)?.map(Some)),
            }
        };
        let (Some(argument), Some(filter)) = (expr(&call.argument)?, expr(&call.filter)?) else { return Ok(None) };
        pushed.push((argument, filter));
    }
    for (call, (argument, filter)) in calls.iter_mut().zip(pushed) {
        call.argument = argument;
        call.filter = filter;
    }
    Ok(Some(Fused { assign: assign.clone(), input: Arc::clone(input), keys }))
}

/// An expression with its columns replaced; `None` when it reads a column of the window.
fn push(expr: &Arc<dyn PhysicalExpr>, columns: &Below) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let mut reads_window = false;
    let pushed = Arc::clone(expr).transform_up(|e| {
        let Some(column) = e.downcast_ref::<Column>() else { return Ok(Transformed::no(e)) };
        match columns.get(column.index()) {
            Some(Some(below)) => Ok(Transformed::yes(Arc::clone(below))),
            _ => {
                reads_window = true;
                Ok(Transformed::new(e, false, TreeNodeRecursion::Stop))
            }
        }
    })?;
    Ok(Some(pushed.data).filter(|_| !reads_window))
}
