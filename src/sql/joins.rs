//! `FOR SYSTEM_TIME AS OF` and `ASOF JOIN`: sqlparser reads them, DataFusion's planner drops the one and refuses the other.
//!
//! Each is put in parentheses with all that is to the left of it, so that it is a relation of its own, which the catalog binds.
//! An ASOF join is one whose `global` is set: `tokens` has written it so, as sqlparser knows but one of its spellings.

use sqlparser::ast::{Join, JoinOperator, ObjectName, Query, SetExpr, TableFactor, TableWithJoins};

use super::build;

/// Puts the joins of a query in parentheses.
pub(super) fn nest(query: &mut Query) {
    in_set(&mut query.body);
}

/// Puts the joins inside parentheses in parentheses of their own, but for the last.
pub(super) fn nest_inside(factor: &mut TableFactor) {
    if let TableFactor::NestedJoin { table_with_joins, .. } = factor {
        let before_last = table_with_joins.joins.len().saturating_sub(1);
        nest_first(table_with_joins, before_last);
    }
}

fn in_set(set: &mut SetExpr) {
    match set {
        SetExpr::Select(select) => {
            for table in &mut select.from {
                let all = table.joins.len();
                nest_first(table, all);
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            in_set(left);
            in_set(right);
        }
        _ => {}
    }
}

/// Those of the first `count` joins that are bound by us.
fn nest_first(table: &mut TableWithJoins, mut count: usize) {
    while let Some(at) = table.joins.iter().take(count).position(is_ours) {
        let rest = table.joins.split_off(at + 1);
        let joins = std::mem::replace(&mut table.joins, rest);
        let relation = std::mem::replace(&mut table.relation, build::table(ObjectName(Vec::new())));
        table.relation =
            TableFactor::NestedJoin { table_with_joins: Box::new(TableWithJoins { relation, joins }), alias: None };
        count -= at + 1;
    }
}

fn is_ours(join: &Join) -> bool {
    let versioned = matches!(&join.relation, TableFactor::Table { version: Some(_), .. });
    join.global || versioned || matches!(join.join_operator, JoinOperator::AsOf { .. })
}
