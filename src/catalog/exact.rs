//! Operators whose meaning in DataFusion would be a wrong answer in silence: whole numbers that wrap around (`checked`), and
//! intervals of which 30 hours are less than a day (`intervals`).

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::{FunctionRewrite, NamePreserver};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use super::{checked, intervals};

/// The rule; it comes after type coercion.
#[derive(Debug)]
pub(super) struct ExactOperators;

impl AnalyzerRule for ExactOperators {
    fn name(&self) -> &str {
        "exact_operators"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        Ok(plan.transform_up_with_subqueries(exact_plan)?.data)
    }
}

fn exact_plan(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        schema = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
    }
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(expr.transform_up(|expr| exact(expr, &schema))?.update_data(|expr| name.restore(expr)))
    })
}

/// Computed columns and watermarks are expressions on their own: DataFusion applies this to them, types settled.
impl FunctionRewrite for ExactOperators {
    fn name(&self) -> &str {
        "exact_operators"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        exact(expr, schema)
    }
}

/// One operator.
fn exact(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    checked::checked(expr, schema)?.transform_data(|expr| intervals::compared(expr, schema))
}
