//! psql's variables: `:name` (as it is), `:'name'` (as a string), `:"name"` (as a quoted name), put into the text of a script
//! before it is parsed.
//!
//! Nothing is replaced in strings, comments, quoted names and `$$ … $$`; nor in `x::INT`, `a[1:2]`, `a:b` and `12:30`: a
//! variable's colon follows no name, number, quote or closing bracket, and its name begins with a letter or `_`.
//!
//! # Places
//!
//! Errors of later stages have their place in the text that this returns, so show them against that text: the caret is
//! right there, and the reader sees what the variable has become. Line numbers are those of the script as long as no value
//! holds a line break. An unset variable has its place in the script itself.

use std::collections::BTreeMap;

use super::script::{Kind, Piece, is_name, pieces};
use crate::error::{Error, Location, Result, Span, nearest};

/// The script with its variables replaced by their values.
///
/// # Errors
/// At the first variable that is not set.
pub fn substitute(script: &str, variables: &BTreeMap<String, String>) -> Result<String> {
    let mut out = String::with_capacity(script.len());
    let all = pieces(script);
    let mut n = 0;
    while let Some(piece) = all.get(n) {
        let text = &script[piece.start..piece.end];
        if piece.kind != Kind::Code {
            out.push_str(text);
            n += 1;
            continue;
        }
        // A colon at the end of the code may belong to the string or quoted name that follows.
        let next = all.get(n + 1).copied().filter(|next| is_quoted_variable(script, piece, next));
        let code = if next.is_some() { &text[..text.len() - 1] } else { text };
        replace_plain(script, piece.start, code, variables, &mut out)?;
        n += 1;
        if let Some(quoted) = next {
            let name = &script[quoted.start + 1..quoted.end - 1];
            let value = lookup(script, quoted.start - 1..quoted.end, name, variables)?;
            let quote = if quoted.kind == Kind::String { '\'' } else { '"' };
            out.push(quote);
            out.push_str(&value.replace(quote, if quote == '\'' { "''" } else { "\"\"" }));
            out.push(quote);
            n += 1;
        }
    }
    Ok(out)
}

/// Whether `:` at the end of `code` and `next` are `:'name'` or `:"name"`.
fn is_quoted_variable(script: &str, code: &Piece, next: &Piece) -> bool {
    let bytes = script.as_bytes();
    let colon = next.start.wrapping_sub(1);
    matches!(next.kind, Kind::String | Kind::Quoted)
        && next.closed
        && colon >= code.start
        && bytes.get(colon) == Some(&b':')
        && bytes[next.start] != b'`'
        && may_start(bytes, colon)
        && is_identifier(&script[next.start + 1..next.end - 1])
}

fn replace_plain(
    script: &str,
    start: usize,
    code: &str,
    variables: &BTreeMap<String, String>,
    out: &mut String,
) -> Result<()> {
    let bytes = script.as_bytes();
    let mut copied = 0;
    for (n, _) in code.match_indices(':') {
        if n < copied || !may_start(bytes, start + n) {
            continue;
        }
        let rest = &code[n + 1..];
        let name = &rest[..rest.bytes().position(|b| !is_name(b)).unwrap_or(rest.len())];
        if !is_identifier(name) {
            continue;
        }
        let end = n + 1 + name.len();
        out.push_str(&code[copied..n]);
        out.push_str(lookup(script, start + n..start + end, name, variables)?);
        copied = end;
    }
    out.push_str(&code[copied..]);
    Ok(())
}

/// Whether a colon may begin a variable: no name, number, quote, bracket or other colon before it.
fn may_start(bytes: &[u8], colon: usize) -> bool {
    let Some(before) = colon.checked_sub(1).map(|n| bytes[n]) else { return true };
    !is_name(before) && !matches!(before, b':' | b'\'' | b'"' | b'`' | b']' | b')')
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn lookup<'v>(
    script: &str,
    place: std::ops::Range<usize>,
    name: &str,
    variables: &'v BTreeMap<String, String>,
) -> Result<&'v str> {
    if let Some(value) = variables.get(name) {
        return Ok(value);
    }
    let span = Span { start: location(script, place.start), end: location(script, place.end) };
    let error = Error::sql(format!("variable '{name}' is not set")).at(span);
    Err(match nearest(name, variables.keys().map(String::as_str)) {
        Some(near) => error.help(format!("did you mean :{near}?")),
        None => error.help(format!("set it: -v {name}=value on the command line, or \\set {name} value")),
    })
}

fn location(script: &str, at: usize) -> Location {
    let before = &script[..at];
    let line = before.matches('\n').count() as u64 + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u64 + 1;
    Location { line, column }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> BTreeMap<String, String> {
        [("n", "3"), ("name", "O'Neil"), ("col", "my \"col\""), ("table", "bid")]
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    #[test]
    fn three_forms_and_what_is_left_alone() {
        for (input, expected) in [
            ("SELECT :n", "SELECT 3"),
            (":n", "3"),
            ("WHERE a = :n AND b=:n", "WHERE a = 3 AND b=3"),
            ("SELECT :'name'", "SELECT 'O''Neil'"),
            ("SELECT :\"col\"", "SELECT \"my \"\"col\"\"\""),
            ("FROM :table;", "FROM bid;"),
            ("':n' -- :n\n/* :n */ \":n\" `:n` $$ :n $$", "':n' -- :n\n/* :n */ \":n\" `:n` $$ :n $$"),
            ("a::n, a[1:2], a[x:n], '12:30', t:n", "a::n, a[1:2], a[x:n], '12:30', t:n"),
            ("x := 3, a : n", "x := 3, a : n"),
            ("a[:n]", "a[3]"),
            ("ä = :n ö", "ä = 3 ö"),
            (":'n':'n'", "'3':'n'"),
        ] {
            assert_eq!(substitute(input, &variables()).unwrap(), expected, "{input}");
        }
    }

    #[test]
    fn unset_is_an_error_with_its_place() {
        let error = substitute("SELECT 1,\n  :'nmae'", &variables()).unwrap_err();
        assert_eq!(error.span().unwrap().start, Location { line: 2, column: 3 });
        assert_eq!(error.span().unwrap().end, Location { line: 2, column: 10 });
        assert_eq!(error.helps(), ["did you mean :name?"]);
        assert!(substitute(":unknown_one", &variables()).is_err());
    }
}
