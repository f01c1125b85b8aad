//! Text → [`Statement`]: the dialect, the parser, scripts and their variables. `DIALECT.md` is its manual.
//!
//! Built on sqlparser, with a dialect and a thin front end of our own and no fork. What other engines spell differently is
//! brought to one form here, so that nothing behind this module knows about spellings (see [`statement`]).
//! Knows nothing about the catalog and plans: whether a name exists is not its business.

pub mod statement;

mod parser;

pub use parser::{is_complete, parse, substitute};
pub use statement::{Emit, Statement};
