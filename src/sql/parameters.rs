//! Parameters: `$1`, `$2`, … of a statement that a program sends, and the values that it binds to them.
//!
//! A value takes the place of its parameter before anything is parsed, as a literal of its type, so that every statement may
//! have parameters wherever an expression may stand. The literal's tokens carry the parameter's place: errors point at `$1`.

use std::collections::BTreeSet;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use super::dialect::TidemillDialect;
use super::statement::Parsed;
use super::tokens::{self, is_word};
use super::{bounds, parser, suggest};
use crate::error::{Error, Result};

/// A value for a parameter.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Its type, as SQL spells it: `BIGINT`, `TIMESTAMP(6)`.
    pub sql_type: String,
    /// What it is; `None` is NULL.
    pub value: Option<Literal>,
}

/// What stands in place of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text that the type is read from; text itself when the type is.
    Text(String),
    /// A number that is exact.
    Number(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An array.
    Items(Vec<Option<Literal>>),
}

/// The parameters that a script has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placeholders {
    /// The greatest of their numbers.
    pub count: usize,
    /// The numbers of those that are a count of rows: `LIMIT $1`.
    pub counts: BTreeSet<usize>,
}

/// The parameters of a script.
///
/// # Errors
/// As [`super::parse`], for what is no token of SQL.
pub fn placeholders(script: &str) -> Result<Placeholders> {
    bounds::check_text(script)?;
    let mut found = Placeholders::default();
    let mut counts = false;
    for token in tokens::tokenize(script)? {
        if let Some(number) = number(&token.token) {
            found.count = found.count.max(number);
            if counts {
                found.counts.insert(number);
            }
        }
        counts = is_count(&token.token);
    }
    Ok(found)
}

/// Whether what follows this word is a count of rows.
fn is_count(token: &Token) -> bool {
    is_word(token, "LIMIT") || is_word(token, "OFFSET")
}

/// As [`super::parse`], with values for the parameters of the script.
///
/// # Errors
/// As [`super::parse`]; and when a parameter has no value.
pub fn parse_with(script: &str, parameters: &[Parameter]) -> Result<Vec<Parsed>> {
    bounds::check_text(script)?;
    let mut filled = Vec::new();
    for token in tokens::tokenize(script)? {
        let Some(number) = number(&token.token) else {
            filled.push(token);
            continue;
        };
        let parameter = number.checked_sub(1).and_then(|index| parameters.get(index)).ok_or_else(|| {
            Error::sql(format!("there is no parameter ${number}"))
                .at(token.span.into())
                .help("they are numbered from $1")
        })?;
        let counts = filled.last().is_some_and(|t| is_count(&t.token));
        put(&mut filled, parameter, counts, token.span)?;
    }
    parser::parse_tokens(script, &filled)
}

fn number(token: &Token) -> Option<usize> {
    match token {
        Token::Placeholder(name) => name.strip_prefix('$')?.parse().ok(),
        _ => None,
    }
}

/// The tokens of a value; a count of rows is a bare number, as LIMIT has it.
fn put(out: &mut Vec<TokenWithSpan>, parameter: &Parameter, counts: bool, span: Span) -> Result<()> {
    let is_text = parameter.sql_type == "VARCHAR";
    match &parameter.value {
        Some(Literal::Text(text)) if counts && text.chars().all(|c| c.is_ascii_digit()) => {
            push(out, Token::Number(text.clone(), false), span);
        }
        Some(value @ (Literal::Number(_) | Literal::Bytes(_))) => literal(out, value, span),
        Some(value @ Literal::Text(_)) if is_text => literal(out, value, span),
        value => {
            out.push(tokens::word("CAST", Keyword::CAST, span));
            push(out, Token::LParen, span);
            match value {
                Some(value) => literal(out, value, span),
                None => out.push(tokens::word("NULL", Keyword::NULL, span)),
            }
            out.push(tokens::word("AS", Keyword::AS, span));
            let of_type = Tokenizer::new(&TidemillDialect, &parameter.sql_type).tokenize();
            let of_type = of_type.map_err(|error| suggest::tokenizer_error(&error))?;
            let of_type = of_type.into_iter().filter(|token| !matches!(token, Token::Whitespace(_)));
            out.extend(of_type.map(|token| TokenWithSpan::new(token, span)));
            push(out, Token::RParen, span);
        }
    }
    Ok(())
}

fn literal(out: &mut Vec<TokenWithSpan>, value: &Literal, span: Span) {
    match value {
        Literal::Text(text) => push(out, Token::SingleQuotedString(text.clone()), span),
        Literal::Bytes(bytes) => {
            let hex = bytes.iter().map(|b| format!("{b:02X}")).collect();
            push(out, Token::HexStringLiteral(hex), span);
        }
        Literal::Number(text) => {
            // In brackets: `a-$1` with −5 is no comment.
            push(out, Token::LParen, span);
            if let Some(positive) = text.strip_prefix('-') {
                push(out, Token::Minus, span);
                push(out, Token::Number(positive.to_owned(), false), span);
            } else {
                push(out, Token::Number(text.clone(), false), span);
            }
            push(out, Token::RParen, span);
        }
        Literal::Items(items) => {
            out.push(tokens::word("ARRAY", Keyword::ARRAY, span));
            push(out, Token::LBracket, span);
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    push(out, Token::Comma, span);
                }
                match item {
                    Some(item) => literal(out, item, span),
                    None => out.push(tokens::word("NULL", Keyword::NULL, span)),
                }
            }
            push(out, Token::RBracket, span);
        }
    }
}

fn push(out: &mut Vec<TokenWithSpan>, token: Token, span: Span) {
    out.push(TokenWithSpan::new(token, span));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Statement;

    fn filled(script: &str, parameters: &[Parameter]) -> String {
        match &parse_with(script, parameters).unwrap()[0].statement {
            Statement::Query(query) => query.query.to_string(),
            other => format!("{other:?}"),
        }
    }

    fn of(sql_type: &str, value: Option<Literal>) -> Parameter {
        Parameter { sql_type: sql_type.to_owned(), value }
    }

    #[test]
    fn values_take_the_place_of_parameters() {
        let text = |t: &str| Some(Literal::Text(t.to_owned()));
        let five = of("BIGINT", text("5"));
        assert_eq!(
            filled("SELECT $1, '$1' FROM t WHERE a = $2 LIMIT $1", &[five.clone(), of("VARCHAR", text("it's"))]),
            "SELECT CAST('5' AS BIGINT), '$1' FROM t WHERE a = 'it''s' LIMIT 5"
        );
        assert_eq!(filled("SELECT a-$1", &[of("DECIMAL", Some(Literal::Number("-1.5".into())))]), "SELECT a - (-1.5)");
        assert_eq!(filled("SELECT $1", &[of("TIMESTAMP(6)", None)]), "SELECT CAST(NULL AS TIMESTAMP(6))");
        assert_eq!(filled("SELECT $1", &[of("BYTEA", Some(Literal::Bytes(vec![0, 255])))]), "SELECT X'00FF'");
        let items = vec![text("a"), None];
        assert_eq!(
            filled("SELECT $1", &[of("VARCHAR[]", Some(Literal::Items(items)))]),
            "SELECT CAST(ARRAY['a', NULL] AS VARCHAR[])"
        );
        let found = placeholders("SELECT $2, '$7' LIMIT $1 -- $9").unwrap();
        assert_eq!((found.count, found.counts), (2, BTreeSet::from([1])));
    }

    #[test]
    fn a_value_is_never_read_as_sql() {
        let evil = of("VARCHAR", Some(Literal::Text("'; DROP TABLE t; --".into())));
        assert_eq!(filled("SELECT $1", &[evil]), "SELECT '''; DROP TABLE t; --'");
        let missing = parse_with("SELECT\n $2", &[of("VARCHAR", None)]).unwrap_err();
        assert_eq!(missing.span().map(|s| (s.start.line, s.start.column)), Some((2, 2)));
        assert!(parse_with("SELECT $0", &[]).is_err());
    }
}
