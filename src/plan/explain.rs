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
    let _ = writeln!(out, "{}", plan.logical.display_indent());
    for state in &plan.stateful {
        let key = if state.key.is_empty() { "()".to_owned() } else { state.key.join(", ") };
        let bound = state.bound.as_deref().unwrap_or("UNBOUNDED: add a window, or a WATERMARK to the table");
        let _ = writeln!(out, "State #{} ({}): key {key}; {bound}", state.id, state.kind);
    }
    for notice in &plan.notices {
        let _ = writeln!(out, "Note: {notice}");
    }
    out
}
