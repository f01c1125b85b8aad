//! The parts of the line editor brought together: completion, colours, and when a statement is whole.

use std::borrow::Cow;

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper};

use super::commands::Command;
use super::complete::{Names, complete};
use super::highlight::highlight;
use crate::engine::Engine;
use crate::sql;

/// What the line editor asks.
pub(super) struct ShellHelper {
    pub(super) engine: Engine,
    pub(super) color: bool,
}

impl Helper for ShellHelper {}

impl Hinter for ShellHelper {
    type Hint = String;
}

impl Completer for ShellHelper {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(complete(line, pos, || Names::of(&self.engine)))
    }
}

impl Highlighter for ShellHelper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.color { highlight(line).into() } else { line.into() }
    }

    fn highlight_char(&self, _: &str, _: usize, kind: CmdKind) -> bool {
        self.color && kind != CmdKind::MoveCursor
    }
}

impl Validator for ShellHelper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if is_whole(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// Whether Enter runs the text, or adds a line to it.
fn is_whole(text: &str) -> bool {
    text.trim().is_empty() || Command::is_one(text) || sql::is_complete(text)
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    #[test]
    fn enter_runs_what_is_whole() {
        for (text, whole) in [("", true), ("\\d", true), ("SELECT 1", false), ("SELECT 1;", true), ("  ", true)] {
            assert_eq!(is_whole(text), whole, "{text:?}");
        }
    }
}
