//! Text → [`Statement`]: the dialect, the parser, scripts and their variables. `DIALECT.md` is its manual.
//!
//! Built on sqlparser, with a dialect and a thin front end of our own and no fork. What other engines spell differently is
//! brought to one form here, so that nothing behind this module knows about spellings (see [`statement`]).
//! Knows nothing about the catalog and plans: whether a name exists is not its business.
//!
//! The way of a script: `tokens` (type spellings, no blanks) → `bounds` → `parser` (statement by statement; ours are read
//! with a `cursor`, expressions and queries by sqlparser in our `dialect`) → `spellings` (expressions), `unnest`, `windows` and `group_windows` (one
//! form of calls in FROM).

pub mod statement;

mod balance;
mod bounds;
mod build;
mod columns;
mod commands;
mod cursor;
mod ddl;
mod dialect;
mod dml;
mod functions;
mod group_windows;
mod joins;
mod json_path;
mod options;
mod parameters;
mod parser;
mod query;
mod script;
mod session;
mod source;
mod spellings;
mod suggest;
mod tokens;
mod types;
mod unnest;
mod variables;
mod windows;

pub use build::select_from;
pub use parameters::{Literal, Parameter, Placeholders, parse_with, placeholders};
pub use parser::parse;
pub use script::is_complete;
pub use statement::{Emit, Statement};
pub use variables::substitute;

#[cfg(test)]
mod tests;
