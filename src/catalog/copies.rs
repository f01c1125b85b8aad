//! EXCEPT ALL and INTERSECT ALL count how often a row is there: of three equal rows EXCEPT ALL one, two are left.
//!
//! DataFusion 55 binds them as anti and semi joins, which lose all three or keep all. Rows that are numbered among their
//! equals are all different, and then those joins are right.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, NullEquality};
use datafusion::error::Result;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, Join, JoinConstraint, JoinType, LogicalPlan, LogicalPlanBuilder,
};

/// A bound plan in which EXCEPT ALL and INTERSECT ALL count copies.
///
/// # Errors
/// Only when the plan is inconsistent.
pub(super) fn counted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let count = |node: LogicalPlan| match node {
        LogicalPlan::Join(join) if is_of_copies(&join) => Ok(Transformed::yes(numbered(join)?)),
        other => Ok(Transformed::no(other)),
    };
    Ok(plan.transform_up_with_subqueries(count)?.data)
}

/// Whether a join is how EXCEPT ALL or INTERSECT ALL is bound: no other is over all columns with NULL equal to NULL before it
/// is optimized. Without ALL the rows of the left are distinct, and every row is its only copy.
fn is_of_copies(join: &Join) -> bool {
    matches!(join.join_type, JoinType::LeftAnti | JoinType::LeftSemi)
        && join.null_equality == NullEquality::NullEqualsNull
        && join.filter.is_none()
        && !join.on.is_empty()
        && join.on.len() == join.left.schema().fields().len()
        && !matches!(join.left.as_ref(), LogicalPlan::Distinct(_))
}

fn numbered(join: Join) -> Result<LogicalPlan> {
    let columns: Vec<Expr> = join.left.schema().iter().map(|(q, f)| Expr::Column(Column::from((q, f)))).collect();
    let (left, right): (Vec<Expr>, Vec<Expr>) = join.on.into_iter().unzip();
    let number = |side: &Arc<LogicalPlan>, keys: &[Expr], name: &str| {
        let copy = row_number().partition_by(keys.to_vec()).build()?;
        let number = Expr::Column(Column::new_unqualified(copy.schema_name().to_string())).alias(name);
        let columns = side.schema().iter().map(|(q, f)| Expr::Column(Column::from((q, f))));
        let window = LogicalPlanBuilder::from(side.as_ref().clone()).window([copy])?;
        window.project(columns.chain([number]).collect::<Vec<_>>())?.build().map(Arc::new)
    };
    let (left_copy, right_copy) = ("__copy_of_left", "__copy_of_right");
    let sides = (number(&join.left, &left, left_copy)?, number(&join.right, &right, right_copy)?);
    let copies = (Expr::Column(Column::new_unqualified(left_copy)), Expr::Column(Column::new_unqualified(right_copy)));
    let on = left.into_iter().zip(right).chain([copies]).collect();
    let (equal, constraint) = (NullEquality::NullEqualsNull, JoinConstraint::On);
    let joined = Join::try_new(sides.0, sides.1, on, None, join.join_type, constraint, equal, join.null_aware)?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined)).project(columns)?.build()
}
