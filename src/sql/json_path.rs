//! Paths of SQL/JSON (`$.a.b[0]`, `$['a']`) → the keys and places along them.

use sqlparser::ast::{Expr, Spanned, Value};

use super::build;
use crate::error::{Error, Result};

/// The keys and places that a literal path names.
pub(super) fn keys(path: &Expr) -> Result<Vec<Expr>> {
    let literal = match path {
        Expr::Value(value) => value.value.clone().into_string(),
        _ => None,
    };
    let steps = literal.as_deref().and_then(parse).ok_or_else(|| {
        Error::unsupported(format!("{path} as a path into JSON"))
            .at(path.span().into())
            .help("paths are literals like '$.a.b[0]'; wildcards and filters are not run")
    })?;
    let step = |step: Step| match step {
        Step::Key(key) => build::string(&key, path.span()),
        Step::Place(place) => Expr::Value(Value::Number(place, false).with_span(path.span())),
    };
    Ok(steps.into_iter().map(step).collect())
}

#[derive(Debug, PartialEq)]
enum Step {
    Key(String),
    Place(String),
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let path = path.trim();
    let path = path.strip_prefix("lax ").unwrap_or(path).trim_start();
    let mut rest = path.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            let key = &after[..end];
            let unquoted = key.strip_prefix('"').and_then(|k| k.strip_suffix('"'));
            let key = unquoted.unwrap_or(key);
            if key.is_empty()
                || (unquoted.is_none() && !key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-'))
            {
                return None;
            }
            steps.push(Step::Key(key.to_owned()));
            rest = &after[end..];
        } else {
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            let inside = inside.trim();
            let quoted = ['\'', '"'].iter().find_map(|q| inside.strip_prefix(*q)?.strip_suffix(*q));
            steps.push(match quoted {
                Some(key) => Step::Key(key.to_owned()),
                None if !inside.is_empty() && inside.bytes().all(|b| b.is_ascii_digit()) => {
                    Step::Place(inside.to_owned())
                }
                None => return None,
            });
            rest = after;
        }
    }
    Some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let key = |k: &str| Step::Key(k.to_owned());
        assert_eq!(parse("$"), Some(vec![]));
        assert_eq!(parse("$.a.b[0]"), Some(vec![key("a"), key("b"), Step::Place("0".to_owned())]));
        assert_eq!(parse("lax $['a b'].\"c\""), Some(vec![key("a b"), key("c")]));
        for wrong in ["", "a", "$.", "$.*", "$[*]", "$.a[", "$..a", "$[-1]"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
