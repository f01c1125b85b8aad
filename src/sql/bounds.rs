//! Bounds that keep hostile or machine-made text from exhausting the stack: sqlparser's trees are as deep as the text, and
//! are walked, printed and dropped recursively.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, ErrorKind, Result};

/// The longest script, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// The deepest nesting of parentheses and brackets.
const NESTING_MAX: usize = 256;
/// The longest run of tokens between two commas, brackets or clauses: `a OR b OR …` makes a tree as deep as the run.
const RUN_MAX: usize = 4_000;
/// The most UNION, INTERSECT and EXCEPT in a statement.
const SET_OPERATIONS_MAX: usize = 256;
/// sqlparser's own bound; a level of parentheses costs it a few.
pub(super) const RECURSION_MAX: usize = 2_048;

/// Refuses text that is too long.
pub(super) fn check_text(script: &str) -> Result<()> {
    if script.len() > TEXT_BYTES_MAX {
        return Err(limit(format!("the SQL text has {} bytes", script.len()))
            .help(format!("at most {TEXT_BYTES_MAX} bytes are read at once; put data in files")));
    }
    Ok(())
}

/// Refuses a statement that is nested too deeply or has too long a run, or whose brackets don't match.
pub(super) fn check_statement(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut open: Vec<(&TokenWithSpan, usize)> = Vec::new();
    let mut run = 0usize;
    let mut angles = 0usize;
    let mut set_operations = 0usize;
    for token in tokens {
        run += 1;
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                open.push((token, run));
                run = 0;
            }
            Token::RParen | Token::RBracket | Token::RBrace => match open.pop() {
                Some((opening, before)) if matching(&opening.token, &token.token) => run = before,
                Some((opening, _)) => {
                    return Err(Error::sql(format!("'{}' does not close '{}'", token.token, opening.token))
                        .at(token.span.into())
                        .help(format!("'{}' was opened at line {}", opening.token, opening.span.start.line)));
                }
                None => {
                    return Err(Error::sql(format!("'{}' closes nothing", token.token)).at(token.span.into()));
                }
            },
            Token::Comma => run = 0,
            Token::Lt => angles += 1,
            Token::Gt => angles = angles.saturating_sub(1),
            Token::Word(w) if w.quote_style.is_none() => match w.keyword {
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => {
                    set_operations += 1;
                    run = 0;
                }
                Keyword::SELECT
                | Keyword::FROM
                | Keyword::WHERE
                | Keyword::GROUP
                | Keyword::HAVING
                | Keyword::ORDER
                | Keyword::WHEN
                | Keyword::THEN
                | Keyword::ELSE
                | Keyword::JOIN
                | Keyword::ON => run = 0,
                _ => {}
            },
            _ => {}
        }
        if open.len() > NESTING_MAX || angles > NESTING_MAX {
            return Err(limit(format!("brackets are nested more than {NESTING_MAX} deep")).at(token.span.into()));
        }
        if run > RUN_MAX {
            return Err(limit("an expression is too long")
                .at(token.span.into())
                .help("write x IN (…) for a long row of ORs, or split the expression in parentheses or statements"));
        }
        if set_operations > SET_OPERATIONS_MAX {
            return Err(limit(format!("more than {SET_OPERATIONS_MAX} UNIONs in a statement")).at(token.span.into()));
        }
    }
    match open.pop() {
        Some((opening, _)) => Err(Error::sql(format!("'{}' is never closed", opening.token)).at(opening.span.into())),
        None => Ok(()),
    }
}

fn matching(opening: &Token, closing: &Token) -> bool {
    matches!(
        (opening, closing),
        (Token::LParen, Token::RParen) | (Token::LBracket, Token::RBracket) | (Token::LBrace, Token::RBrace)
    )
}

fn limit(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Limit, message)
}
