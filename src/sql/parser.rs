//! The front end: a script → its statements.

use super::statement::Parsed;
use crate::error::{Error, Result};

/// Parses a script: statements apart by `;`.
///
/// # Errors
/// At the first thing that is no SQL of ours, with its place.
pub fn parse(script: &str) -> Result<Vec<Parsed>> {
    let _ = script;
    Err(Error::internal("not yet"))
}
