//! What would bound the state of an operator, as a clause of this query.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Extension, LogicalPlan};

use super::super::StatefulOperator;
use super::super::operator::{Operator, OperatorNode, TimeBound};
use super::Rewriter;
use crate::catalog::{Relation, TableDef};

impl Rewriter<'_> {
    /// The clause that would bound an operator of this kind, by the tables that have been read so far.
    pub(super) fn advice(&self, kind: &str) -> String {
        let tables = || {
            self.sources.iter().filter_map(|s| match self.catalog.get(&s.table) {
                Some(Relation::Table(table)) => Some(table.as_ref()),
                _ => None,
            })
        };
        let window = |table: &str, column: &str| format!("TUMBLE(TABLE {table}, DESCRIPTOR({column}), INTERVAL '…')");
        let watermarked = tables().find_map(|t| Some((t, t.watermark.as_ref()?.column)));
        if let Some((table, column)) = watermarked {
            return clause(kind, &window(&table.name, table.schema.field(column).name()));
        }
        let timed = tables().find_map(|t| Some((t, time_column(t)?)));
        match (timed, tables().next()) {
            (Some((table, column)), _) => {
                let clause = clause(kind, &window(&table.name, column));
                format!(
                    "declare WATERMARK FOR {column} AS {column} - INTERVAL '…' in the DDL of {}, and {clause}",
                    table.name
                )
            }
            (None, Some(table)) => {
                let clause = clause(kind, &window(&table.name, "ts"));
                format!("give {} a TIMESTAMP column ts with WATERMARK FOR ts, and {clause}", table.name)
            }
            (None, None) => "it is as large as what it is given".to_owned(),
        }
    }
}

/// Says of operators over rows that all leave as time passes that their state does so too.
pub(super) fn bound_by_time(plan: &LogicalPlan, stateful: &mut [StatefulOperator]) {
    // What the visitor returns is always Ok.
    let _ = plan.apply(|node| {
        if let Some(operator) = operator_of(node)
            && let Some(id) = operator.id()
            && node.inputs().into_iter().all(leaves)
            && let Some(state) = stateful.get_mut(id).filter(|s| s.bound.is_none())
        {
            state.bound = Some("rows leave as time passes, with those of its input".to_owned());
        }
        Ok(TreeNodeRecursion::Continue)
    });
}

/// Whether every row of a plan leaves as time passes.
fn leaves(plan: &LogicalPlan) -> bool {
    if let Some(Operator::Lapse(lapse)) = operator_of(plan)
        && lapse.limits.iter().any(|l| matches!(l.bound, TimeBound::After | TimeBound::AtOrAfter))
    {
        return true;
    }
    let inputs = plan.inputs();
    !inputs.is_empty() && inputs.into_iter().all(leaves)
}

fn operator_of(plan: &LogicalPlan) -> Option<&Operator> {
    let LogicalPlan::Extension(Extension { node }) = plan else { return None };
    node.as_any().downcast_ref::<OperatorNode>().map(|node| &node.operator)
}

/// The first column that a watermark can be declared for.
fn time_column(table: &TableDef) -> Option<&String> {
    table.schema.fields().iter().find(|f| matches!(f.data_type(), DataType::Timestamp(..))).map(|f| f.name())
}

fn clause(kind: &str, window: &str) -> String {
    match kind {
        "join" => format!("join {window} on window_start and window_end of both sides"),
        "over" => format!("PARTITION BY window_start, window_end of {window}"),
        "top-n" => {
            format!(
                "rank within windows: ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY …) <= n over {window}"
            )
        }
        _ => format!("GROUP BY window_start, window_end of {window}"),
    }
}
