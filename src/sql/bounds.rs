//! Bounds that keep hostile or machine-made text from exhausting the stack: sqlparser's trees are as deep as the text, and
//! are walked, printed and dropped recursively.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::error::{Error, ErrorKind, Result};

/// The longest script, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// The deepest nesting, counted in parentheses; subqueries and types weigh more, as their trees take more stack.
const NESTING_MAX: usize = 100;
/// What a subquery weighs.
const SUBQUERY_WEIGHT: usize = 7;
/// What a level of `ARRAY<…>` weighs.
const TYPE_WEIGHT: usize = 2;
/// The longest run of tokens between two commas, brackets or clauses: `a OR b OR …` makes a tree as deep as the run, until
/// `windows` has balanced it or refused it.
const RUN_MAX: usize = 8_000;
/// The most UNION, INTERSECT and EXCEPT in a statement.
const SET_OPERATIONS_MAX: usize = 64;
/// The most `[…]` in a row.
const SUBSCRIPTS_MAX: usize = 32;
/// The deepest nesting of calls that sqlparser reads in two ways, one after the other: an error inside them takes it twice
/// the time per level.
const TRIED_TWICE_MAX: usize = 8;
/// The deepest tree of an expression, subqueries in it counted with it.
pub(super) const EXPRESSION_DEPTH_MAX: usize = 160;
/// sqlparser's own bound; a level of parentheses costs it a few.
pub(super) const RECURSION_MAX: usize = 1_024;

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
    let mut open: Vec<Open<'_>> = Vec::new();
    let (mut run, mut weight, mut angles) = (0usize, 0usize, 0usize);
    let (mut set_operations, mut subscripts, mut tried_twice) = (0usize, 0usize, 0usize);
    for (n, token) in tokens.iter().enumerate() {
        run += 1;
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                let follows = n > 0 && tokens[n - 1].token == Token::RBracket && token.token == Token::LBracket;
                subscripts = if follows { subscripts + 1 } else { 0 };
                let added = if starts_query(tokens.get(n + 1)) { SUBQUERY_WEIGHT } else { 1 };
                let twice = n > 0 && is_tried_twice(&tokens[n - 1].token);
                open.push(Open { token, run, weight: added, twice });
                weight += added;
                tried_twice += usize::from(twice);
                run = 0;
            }
            Token::RParen | Token::RBracket | Token::RBrace => {
                let Some(opened) = open.pop() else {
                    return Err(Error::sql(format!("'{}' closes nothing", token.token)).at(token.span.into()));
                };
                if !matching(&opened.token.token, &token.token) {
                    let (closing, opening) = (&token.token, &opened.token.token);
                    return Err(Error::sql(format!("'{closing}' does not close '{opening}'"))
                        .at(token.span.into())
                        .help(format!("'{opening}' was opened at line {}", opened.token.span.start.line)));
                }
                run = opened.run;
                weight -= opened.weight;
                tried_twice -= usize::from(opened.twice);
            }
            Token::Comma => run = 0,
            Token::Lt => angles += 1,
            Token::Gt => angles = angles.saturating_sub(1),
            Token::Word(w) if w.quote_style.is_none() => match w.keyword {
                Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => {
                    set_operations += 1;
                    run = 0;
                }
                keyword if CLAUSES.contains(&keyword) => {
                    run = 0;
                    angles = 0;
                }
                Keyword::AND | Keyword::OR => angles = 0,
                _ => {}
            },
            _ => {}
        }
        if weight + TYPE_WEIGHT * angles > NESTING_MAX || tried_twice > TRIED_TWICE_MAX {
            return Err(limit("brackets or subqueries are nested too deeply")
                .at(token.span.into())
                .help("take parts of the query out into views or WITH"));
        }
        if run > RUN_MAX {
            return Err(too_long().at(token.span.into()));
        }
        if set_operations > SET_OPERATIONS_MAX {
            return Err(limit(format!("more than {SET_OPERATIONS_MAX} UNIONs in a statement"))
                .at(token.span.into())
                .help("take some of them out into views"));
        }
        if subscripts > SUBSCRIPTS_MAX {
            return Err(limit(format!("more than {SUBSCRIPTS_MAX} subscripts in a row")).at(token.span.into()));
        }
    }
    match open.pop() {
        Some(opened) => {
            Err(Error::sql(format!("'{}' is never closed", opened.token.token)).at(opened.token.span.into()))
        }
        None => Ok(()),
    }
}

/// An open bracket, and what was counted before it.
struct Open<'a> {
    token: &'a TokenWithSpan,
    run: usize,
    weight: usize,
    twice: bool,
}

/// Words that end a run: what follows them is another tree.
const CLAUSES: &[Keyword] = &[
    Keyword::SELECT,
    Keyword::FROM,
    Keyword::WHERE,
    Keyword::GROUP,
    Keyword::HAVING,
    Keyword::ORDER,
    Keyword::WHEN,
    Keyword::THEN,
    Keyword::ELSE,
    Keyword::JOIN,
    Keyword::ON,
];

fn is_tried_twice(token: &Token) -> bool {
    const CALLS: &[&str] = &[
        "ARRAY",
        "CAST",
        "CEIL",
        "CEILING",
        "CONVERT",
        "EXISTS",
        "EXTRACT",
        "FLOOR",
        "INTERVAL",
        "MATCH",
        "NOT",
        "OVERLAY",
        "POSITION",
        "SAFE_CAST",
        "STRUCT",
        "SUBSTR",
        "SUBSTRING",
        "TRIM",
        "TRY_CAST",
        "TRY_CONVERT",
    ];
    matches!(token, Token::Word(w) if CALLS.iter().any(|call| call.eq_ignore_ascii_case(&w.value)))
}

/// The error for an expression that is too long or too deep.
pub(super) fn too_long() -> Error {
    limit("an expression is too long or too deep")
        .help("write x IN (…) for a long row of ORs, or build the expression up in several queries")
}

fn starts_query(token: Option<&TokenWithSpan>) -> bool {
    matches!(token.map(|t| &t.token), Some(Token::Word(w)) if matches!(w.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::FROM | Keyword::TABLE))
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
