//! EXPLAIN: the interval plan as text, with every state table, its key and what bounds it.

use std::fmt::Write;

use super::IntervalPlan;
use crate::sql::statement::EmitMode;

/// The plan, a line per operator, then its state tables, then its notices.
pub fn explain(plan: &IntervalPlan) -> String {
    let mut out = String::new();
    let emit = match plan.emit {
        EmitMode::OnWindowClose => "on window close: final rows only",
        EmitMode::Changes if plan.append_only => "as rows come",
        EmitMode::Changes => "changes, every interval",
        EmitMode::Complete => "the whole result, every interval",
    };
    // Writing to a String can't fail.
    let _ = writeln!(out, "Emit: {emit}");
    for line in plan.logical.display_indent().to_string().lines() {
        let _ = writeln!(out, "{}", with_kind(line));
    }
    for state in &plan.stateful {
        let key = if state.key.is_empty() { "()".to_owned() } else { state.key.join(", ") };
        let bound = state.bound.clone().unwrap_or_else(|| format!("UNBOUNDED: {}", state.advice));
        let _ = writeln!(out, "State {}: key {key}; {bound}", state.name());
    }
    for notice in &plan.notices {
        let _ = writeln!(out, "Note: {notice}");
    }
    out
}

/// A line of the plan; DataFusion's own operators are told by their kind too, which ours say themselves.
fn with_kind(line: &str) -> String {
    let name = line.trim_start().split([':', ' ']).next().unwrap_or_default();
    if !["Projection", "Filter", "Union", "Unnest", "SubqueryAlias"].contains(&name) {
        return line.to_owned();
    }
    line.replacen(name, &format!("{name} (linear)"), 1)
}
