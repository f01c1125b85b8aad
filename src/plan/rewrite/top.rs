//! Top-N per key: `row_number() OVER (PARTITION BY k ORDER BY …) <= n` in a condition, of which only the first n rows come out.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, Window, WindowFunctionDefinition};

use super::Rewriter;

/// An OVER of which only the first rows of a partition come out.
pub(super) struct Top {
    window: Window,
    rows: usize,
}

impl Rewriter<'_> {
    /// How many rows of a partition come out of an OVER, when a condition above it says so.
    pub(super) fn first_rows_of(&self, window: &Window) -> Option<usize> {
        self.tops.iter().find(|top| top.window == *window).map(|top| top.rows)
    }
}

/// Every such OVER in a plan. One that is read twice, the second time whole, is none.
pub(super) fn tops(plan: &LogicalPlan) -> Vec<Top> {
    let (mut found, mut windows) = (Vec::new(), Vec::new());
    // What the visitor returns is always Ok.
    let _ = plan.apply(|node| {
        match node {
            LogicalPlan::Filter(filter) => {
                let conjuncts = split_conjunction(&filter.predicate);
                found.extend(conjuncts.into_iter().filter_map(at_most).filter_map(|(column, rows)| {
                    let window = window_of(&filter.input, column)?;
                    Some(Top { window: window.clone(), rows })
                }));
            }
            LogicalPlan::Window(window) => windows.push(window.clone()),
            _ => {}
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found.retain(|top| windows.iter().filter(|w| **w == top.window).count() == 1);
    found
}

/// `column <= n` and what says the same.
fn at_most(condition: &Expr) -> Option<(&Column, usize)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let (column, op, bound) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column(column), bound) => (column, *op, bound),
        (bound, Expr::Column(column)) => (column, op.swap()?, bound),
        _ => return None,
    };
    let Expr::Literal(value, _) = bound else { return None };
    let n = match value {
        ScalarValue::UInt64(Some(n)) => *n,
        ScalarValue::Int64(Some(n)) => u64::try_from(*n).ok()?,
        _ => return None,
    };
    let rows = match op {
        Operator::LtEq | Operator::Eq => n,
        Operator::Lt => n.saturating_sub(1),
        _ => return None,
    };
    Some((column, usize::try_from(rows).ok()?))
}

/// The OVER below projections and conditions whose only function is a `row_number` that becomes this column.
fn window_of<'p>(plan: &'p LogicalPlan, column: &Column) -> Option<&'p Window> {
    match plan {
        LogicalPlan::Filter(filter) => window_of(&filter.input, column),
        LogicalPlan::SubqueryAlias(alias) => {
            let index = alias.schema.maybe_index_of_column(column)?;
            window_of(&alias.input, &Column::from(alias.input.schema().qualified_field(index)))
        }
        LogicalPlan::Projection(projection) => {
            let index = projection.schema.maybe_index_of_column(column)?;
            let mut expr = projection.expr.get(index)?;
            while let Expr::Alias(alias) = expr {
                expr = &alias.expr;
            }
            match expr {
                Expr::Column(inner) => window_of(&projection.input, inner),
                _ => None,
            }
        }
        LogicalPlan::Window(window) => {
            let [function] = window.window_expr.as_slice() else { return None };
            let index = window.schema.maybe_index_of_column(column)?;
            (index + 1 == window.schema.fields().len() && is_row_number(function)).then_some(window)
        }
        _ => None,
    }
}

fn is_row_number(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_row_number(&alias.expr),
        Expr::WindowFunction(call) => {
            matches!(&call.fun, WindowFunctionDefinition::WindowUDF(f) if f.name() == "row_number")
                && call.params.filter.is_none()
        }
        _ => false,
    }
}
