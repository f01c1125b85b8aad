//! The DataFusion session that queries are planned in: stock but for what is wrong for streams.
//!
//! Switched off by name, each with its reason:
//!
//! * `single_distinct_aggregation_to_group_by` splits a `count(DISTINCT x)` into two aggregates, of which a stream would see the
//!   inner one first; the accumulator for distinct values needs no such help.
//! * `eliminate_group_by_constant` and `propagate_empty_relation` are harmless and stay.
//! * physical rules that act on statistics (`aggregate_statistics`, `join_selection`), on dynamic filters or on sorted prefixes
//!   are not in the list at all: what runs per interval is a linear plan around our own operators.

use std::sync::Arc;

use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::optimizer::Optimizer;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::prelude::SessionConfig;

use super::clock::{self, IntervalClock};
use super::exact::ExactOperators;
use super::intervals::IntervalArithmetic;
use super::json::{self, JsonOperators};
use super::outer_joins::ForgetConstants;
use super::temporal::TemporalJoins;
use super::types::Types;
use super::unnest_call::UnnestCalls;
use super::window_call::WindowCalls;

/// Logical rules that are wrong for streams.
const LOGICAL_RULES_OFF: &[&str] = &["single_distinct_aggregation_to_group_by"];

pub(super) fn state(clock: &Arc<IntervalClock>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_batch_size(64 << 10)
        .with_information_schema(false)
        .set_bool("datafusion.optimizer.enable_dynamic_filter_pushdown", false)
        // A scalar subquery over a stream changes with it: it must be a join, not a value computed once.
        .set_bool("datafusion.optimizer.enable_physical_uncorrelated_scalar_subquery", false)
        .set_bool("datafusion.sql_parser.collect_spans", true)
        // 0.908 is a decimal, as in PostgreSQL and Flink: money times a rate is exact.
        .set_bool("datafusion.sql_parser.parse_float_as_decimal", true)
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
    config.options_mut().optimizer.skip_failed_rules = false;
    let rules = Optimizer::new().rules.into_iter().filter(|rule| !LOGICAL_RULES_OFF.contains(&rule.name())).collect();
    let physical: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(ProjectionPushdown::new())];
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_default_features()
        .with_optimizer_rules(rules)
        .with_physical_optimizer_rules(physical)
        .with_type_planner(Arc::new(Types))
        .with_relation_planners(vec![Arc::new(WindowCalls), Arc::new(UnnestCalls), Arc::new(TemporalJoins)])
        .build();
    state.add_analyzer_rule(Arc::new(ExactOperators));
    let _ = state.register_function_rewrite(Arc::new(ExactOperators));
    for planner in [Arc::new(JsonOperators) as Arc<dyn ExprPlanner>, Arc::new(IntervalArithmetic)] {
        let _ = state.register_expr_planner(planner);
    }
    for function in super::functions::aggregates() {
        let _ = state.register_udaf(function);
    }
    for function in clock::functions(clock).into_iter().chain(super::functions::all()).chain(json::functions()) {
        // Ours win over DataFusion's of the same name: `now()` must not be folded.
        let _ = state.register_udf(function);
    }
    state
}

/// Physical rules of DataFusion 55 that give wrong answers: `aggregate_statistics` counts one distinct value where a constant is counted
/// over no rows, and `FilterPushdown` takes a column of one side of a join for one of the other, and drops rows.
const PHYSICAL_RULES_OFF: &[&str] = &["aggregate_statistics", "FilterPushdown", "FilterPushdown(Post)"];

/// DataFusion's physical rules for plans that run once over all their rows, less those that are wrong; and what is said of the rows
/// of an outer join is forgotten (`ForgetConstants`).
pub fn batch_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let mut rules = PhysicalOptimizer::new().rules;
    rules.retain(|rule| !PHYSICAL_RULES_OFF.contains(&rule.name()));
    // Behind what chooses between joins, before what asks for orders.
    let chosen = rules.iter().position(|rule| rule.name() == "join_selection").map_or(0, |at| at + 1);
    rules.insert(chosen, Arc::new(ForgetConstants));
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_are_off_exist_under_that_name() {
        let all = Optimizer::new();
        for off in LOGICAL_RULES_OFF {
            assert!(all.rules.iter().any(|r| r.name() == *off), "DataFusion has renamed {off}");
        }
        let state = state(&Arc::default());
        assert!(state.optimizers().iter().all(|r| !LOGICAL_RULES_OFF.contains(&r.name())));
    }

    /// A function of wall time that is not volatile would be folded when the plan is made, and stand still.
    #[test]
    fn no_function_of_time_is_folded() {
        use datafusion::logical_expr::Volatility;
        let state = state(&Arc::default());
        let stable = state.scalar_functions().values().filter(|f| f.signature().volatility == Volatility::Stable);
        let nullary = stable.filter(|f| f.signature().type_signature.supports_zero_argument());
        let mut names: Vec<_> = nullary.map(|f| f.name().to_owned()).collect();
        names.retain(|n| n != "version");
        assert_eq!(names, Vec::<String>::new());
    }

    #[test]
    fn physical_rules_are_known_by_their_names() {
        let all = PhysicalOptimizer::new().rules;
        for name in PHYSICAL_RULES_OFF.iter().chain(&["join_selection"]) {
            assert!(all.iter().any(|r| r.name() == *name), "DataFusion has renamed {name}");
        }
        assert_eq!(batch_rules().len(), all.len() - PHYSICAL_RULES_OFF.len() + 1);
    }
}
