//! Regular expressions.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::logical_expr::ScalarUDF;
use regex::Regex;

use super::arguments::Parameter::{Integer, Text};
use super::arguments::{Arguments, Declared, text_type};

/// How many patterns of a column are kept compiled.
const PATTERNS_MAX: usize = 64;

/// The functions of this family.
pub(super) fn all() -> Vec<ScalarUDF> {
    let like = datafusion::functions::regex::regexp_like().as_ref().clone();
    vec![
        // regexp_extract(text, pattern[, group]): what the group (0, the default: the whole pattern) matched first; NULL
        // when nothing did.
        Declared { optional: 1, ..Declared::new("regexp_extract", &[Text, Text, Integer], text_type, regexp_extract) }
            .function(),
        like.with_aliases(["regexp"]),
    ]
}

fn regexp_extract(arguments: &Arguments) -> Result<ArrayRef> {
    let (texts, patterns) = (arguments.texts(0)?, arguments.texts(1)?);
    let groups = (arguments.len() > 2).then(|| arguments.integers(2)).transpose()?;
    let constant = patterns.constant().map(compile).transpose()?;
    let mut compiled: HashMap<String, Regex> = HashMap::new();
    let mut found = StringBuilder::with_capacity(arguments.rows(), 16 * arguments.rows());
    for row in 0..arguments.rows() {
        let group = match &groups {
            Some(groups) => groups.get(row),
            None => Some(0),
        };
        let (Some(text), Some(pattern), Some(group)) = (texts.get(row), patterns.get(row), group) else {
            found.append_null();
            continue;
        };
        let regex = match &constant {
            Some(regex) => regex,
            None => {
                if compiled.len() >= PATTERNS_MAX && !compiled.contains_key(pattern) {
                    compiled.clear();
                }
                if !compiled.contains_key(pattern) {
                    compiled.insert(pattern.to_owned(), compile(pattern)?);
                }
                &compiled[pattern]
            }
        };
        found.append_option(extract(regex, text, group));
    }
    Ok(Arc::new(found.finish()))
}

fn extract<'a>(regex: &Regex, text: &'a str, group: i64) -> Option<&'a str> {
    match usize::try_from(group).ok()? {
        0 => regex.find(text).map(|found| found.as_str()),
        group => regex.captures(text)?.get(group).map(|found| found.as_str()),
    }
}

fn compile(pattern: &str) -> Result<Regex> {
    Regex::new(pattern)
        .map_err(|e| exec_datafusion_err!("'{pattern}' is no regular expression that tidemill knows: {e}"))
}
