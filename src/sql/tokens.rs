//! A script → its tokens, without blanks and comments, with type spellings of other engines brought to sqlparser's.
//!
//! | written | becomes |
//! |---|---|
//! | `ROW<a INT, …>`, `ROW(a INT, …)` | `STRUCT<a INT, …>` |
//! | `MAP<K, V>` | `MAP(K, V)` |
//! | `MULTISET<T>` | `ARRAY<T>` |
//! | `TIMESTAMP(3) WITH LOCAL TIME ZONE`, `TIMESTAMP_LTZ(3)` | `TIMESTAMP(3) WITH TIME ZONE` |
//! | `FROM STREAM t` | `FROM t` |
//! | `ASOF [LEFT] JOIN` | `GLOBAL [LEFT] JOIN`, which nobody else may write |
//! | `… MATCH_CONDITION (c) [ON d]` behind it | `… ON (c) [AND d]` |
//!
//! Tokens keep their places, so errors point at what was written.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer, Word};

use super::dialect::TidemillDialect;
use super::suggest;
use crate::error::Result;

/// Tokens of a script.
///
/// # Errors
/// Unterminated strings and comments, at their start.
pub(super) fn tokenize(script: &str) -> Result<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(&TidemillDialect, script)
        .tokenize_with_location()
        .map_err(|error| suggest::tokenizer_error(&error))?;
    let tokens: Vec<_> = tokens.into_iter().filter(|t| !matches!(t.token, Token::Whitespace(_))).collect();
    let mut tokens = rewrite(tokens);
    asof_joins(&mut tokens);
    Ok(tokens)
}

/// sqlparser knows Snowflake's spelling of ASOF joins only, and no LEFT. The words keep their spelling, and mean others.
fn asof_joins(tokens: &mut [TokenWithSpan]) {
    let mut seen = false;
    for at in 0..tokens.len() {
        let next = tokens.get(at + 1).map(|t| &t.token);
        let next_is = |word: &str| next.is_some_and(|t| is_word(t, word));
        if is_word(&tokens[at].token, "ASOF") && ["JOIN", "LEFT", "INNER"].iter().any(|w| next_is(w)) {
            tokens[at] = word("ASOF", Keyword::GLOBAL, tokens[at].span);
            seen = true;
        } else if seen && is_word(&tokens[at].token, "MATCH_CONDITION") && next == Some(&Token::LParen) {
            tokens[at] = word("MATCH_CONDITION", Keyword::ON, tokens[at].span);
            let mut depth = 0;
            let close = tokens[at + 1..].iter().position(|t| {
                depth += bracket(&t.token);
                depth == 0
            });
            let behind = close.map(|n| at + 1 + n + 1);
            if let Some(on) = behind.and_then(|n| tokens.get_mut(n)).filter(|t| is_word(&t.token, "ON")) {
                *on = word("ON", Keyword::AND, on.span);
            }
        }
    }
}

/// Whether a token is this unquoted word.
pub(super) fn is_word(token: &Token, word: &str) -> bool {
    matches!(token, Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// The unquoted word that a token is.
pub(super) fn as_word(token: &Token) -> Option<&str> {
    match token {
        Token::Word(word) if word.quote_style.is_none() => Some(&word.value),
        _ => None,
    }
}

/// How many brackets a token opens (+1) or closes (−1).
pub(super) fn bracket(token: &Token) -> i32 {
    match token {
        Token::LParen | Token::LBracket | Token::LBrace => 1,
        Token::RParen | Token::RBracket | Token::RBrace => -1,
        _ => 0,
    }
}

/// A word that was not written but stands for what was.
pub(super) fn word(value: &str, keyword: Keyword, span: Span) -> TokenWithSpan {
    TokenWithSpan::new(Token::Word(Word { value: value.to_owned(), quote_style: None, keyword }), span)
}

/// What an open angle bracket belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Angle {
    /// Stays `<` … `>`.
    Pointed,
    /// `MAP<` has become `MAP(`.
    Paren,
    /// `ROW(` has become `STRUCT<`: an ordinary parenthesis closes it.
    Row,
    /// Any other bracket in between.
    Other,
}

fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut open: Vec<Angle> = Vec::new();
    let mut at = 0;
    while let Some(current) = tokens.get(at) {
        let next = tokens.get(at + 1).map(|t| &t.token);
        let span = current.span;
        let in_type = matches!(open.last(), Some(Angle::Pointed | Angle::Paren | Angle::Row));
        match &current.token {
            Token::Word(w) if w.quote_style.is_none() && !after_period(&out) => {
                let upper = w.value.to_ascii_uppercase();
                match (upper.as_str(), next) {
                    ("ROW", Some(Token::Lt)) if is_type_ahead(&tokens, at + 2) => {
                        out.push(word("STRUCT", Keyword::STRUCT, span));
                        out.push(tokens[at + 1].clone());
                        open.push(Angle::Pointed);
                        at += 1;
                    }
                    ("ROW", Some(Token::LParen)) if is_field_ahead(&tokens, at + 2) => {
                        out.push(word("STRUCT", Keyword::STRUCT, span));
                        out.push(TokenWithSpan::new(Token::Lt, tokens[at + 1].span));
                        open.push(Angle::Row);
                        at += 1;
                    }
                    ("MAP", Some(Token::Lt)) if is_type_ahead(&tokens, at + 2) => {
                        out.push(current.clone());
                        out.push(TokenWithSpan::new(Token::LParen, tokens[at + 1].span));
                        open.push(Angle::Paren);
                        at += 1;
                    }
                    ("ARRAY" | "STRUCT" | "MULTISET", Some(Token::Lt)) if is_type_ahead(&tokens, at + 2) => {
                        out.push(if upper == "MULTISET" {
                            word("ARRAY", Keyword::ARRAY, span)
                        } else {
                            current.clone()
                        });
                        out.push(tokens[at + 1].clone());
                        open.push(Angle::Pointed);
                        at += 1;
                    }
                    ("TIMESTAMP_LTZ", _) => {
                        out.push(word("TIMESTAMP", Keyword::TIMESTAMP, span));
                        let digits = matches!(next, Some(Token::LParen))
                            && tokens.get(at + 3).is_some_and(|t| t.token == Token::RParen);
                        if digits {
                            out.extend(tokens[at + 1..=at + 3].iter().cloned());
                            at += 3;
                        }
                        out.push(word("WITH", Keyword::WITH, span));
                        out.push(word("TIME", Keyword::TIME, span));
                        out.push(word("ZONE", Keyword::ZONE, span));
                    }
                    ("LOCAL", Some(time)) if is_word(time, "TIME") && last_is(&out, "WITH") => {}
                    ("STREAM", Some(Token::Word(_) | Token::SingleQuotedString(_)))
                        if last_is(&out, "FROM") || last_is(&out, "JOIN") => {}
                    // Fields of a STRUCT are nullable here, whatever they say.
                    ("NOT", Some(null)) if in_type && is_word(null, "NULL") => at += 1,
                    ("NULL", _) if in_type => {}
                    _ => out.push(current.clone()),
                }
            }
            Token::Gt | Token::ShiftRight if in_type => {
                close_angle(&mut out, &mut open, span);
                if current.token == Token::ShiftRight {
                    let second = Span::new(Location::new(span.start.line, span.start.column + 1), span.end);
                    close_angle(&mut out, &mut open, second);
                }
            }
            token => {
                match bracket(token) {
                    1 => open.push(Angle::Other),
                    -1 if open.pop() == Some(Angle::Row) => {
                        out.push(TokenWithSpan::new(Token::Gt, span));
                        at += 1;
                        continue;
                    }
                    _ => {}
                }
                if *token == Token::SemiColon {
                    open.clear();
                }
                out.push(current.clone());
            }
        }
        at += 1;
    }
    out
}

fn close_angle(out: &mut Vec<TokenWithSpan>, open: &mut Vec<Angle>, span: Span) {
    let token = if open.pop() == Some(Angle::Paren) { Token::RParen } else { Token::Gt };
    out.push(TokenWithSpan::new(token, span));
}

fn after_period(out: &[TokenWithSpan]) -> bool {
    out.last().is_some_and(|t| t.token == Token::Period)
}

fn last_is(out: &[TokenWithSpan], word: &str) -> bool {
    out.last().is_some_and(|t| is_word(&t.token, word))
}

/// After `ROW <`: `name type` or a type, and no operand of a comparison.
fn is_type_ahead(tokens: &[TokenWithSpan], at: usize) -> bool {
    let (Some(first), Some(second)) = (tokens.get(at), tokens.get(at + 1)) else { return false };
    match (&first.token, &second.token) {
        (Token::Word(_), Token::Colon) => true,
        (Token::Word(_), Token::Word(w)) => is_type_name(&w.value),
        (Token::Word(w), Token::Comma | Token::Gt | Token::ShiftRight | Token::Lt | Token::LParen) => {
            w.quote_style.is_none() && is_type_name(&w.value)
        }
        _ => false,
    }
}

/// After `ROW (`: `name type`, as in a type and in no constructor.
fn is_field_ahead(tokens: &[TokenWithSpan], at: usize) -> bool {
    let (Some(first), Some(second)) = (tokens.get(at), tokens.get(at + 1)) else { return false };
    matches!((&first.token, &second.token), (Token::Word(_), Token::Word(w)) if w.quote_style.is_none() && is_type_name(&w.value))
}

fn is_type_name(name: &str) -> bool {
    const TYPES: &[&str] = &[
        "ARRAY",
        "BIGINT",
        "BINARY",
        "BOOL",
        "BOOLEAN",
        "BYTEA",
        "BYTES",
        "CHAR",
        "CHARACTER",
        "DATE",
        "DATETIME",
        "DEC",
        "DECIMAL",
        "DOUBLE",
        "FLOAT",
        "FLOAT4",
        "FLOAT8",
        "INT",
        "INT2",
        "INT4",
        "INT8",
        "INT16",
        "INT32",
        "INT64",
        "INTEGER",
        "INTERVAL",
        "JSON",
        "LONG",
        "MAP",
        "MULTISET",
        "NUMERIC",
        "REAL",
        "ROW",
        "SHORT",
        "SMALLINT",
        "STRING",
        "STRUCT",
        "TEXT",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMPTZ",
        "TIMESTAMP_LTZ",
        "TINYINT",
        "UINT32",
        "UINT64",
        "UUID",
        "VARBINARY",
        "VARCHAR",
    ];
    TYPES.iter().any(|known| known.eq_ignore_ascii_case(name))
}
