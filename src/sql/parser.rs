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

/// Replaces variables.
///
/// # Errors
/// At an unset one.
pub fn substitute(script: &str, variables: &std::collections::BTreeMap<String, String>) -> Result<String> {
    let _ = variables;
    Ok(script.to_owned())
}

/// Whether a text ends with a whole statement.
pub fn is_complete(text: &str) -> bool {
    text.trim_end().ends_with(';')
}
