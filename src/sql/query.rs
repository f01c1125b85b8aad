//! A query with its EMIT clause.

use sqlparser::ast::ObjectName;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::cursor::Cursor;
use super::statement::{Emit, EmitMode, Query};
use super::tokens::{as_word, bracket, is_word};
use super::{build, windows};
use crate::error::{Error, Result, nearest};

/// Words that may follow EMIT.
const EMIT_WORDS: &[&str] =
    &["CHANGES", "CHANGELOG", "COMPLETE", "FINAL", "STREAM", "PERIODIC", "EVERY", "ON", "AFTER", "WITH", "IMMEDIATELY"];

/// Reads all that is left as a query, with or without EMIT.
pub(super) fn query(cursor: &mut Cursor<'_>) -> Result<Query> {
    let whole = cursor.rest();
    let source = cursor.source;
    let mut before = cursor.split_before(is_emit);
    let emit_at = whole.len() - cursor.rest().len();
    refuse_inner_emit(before.rest())?;
    let (emit, tail) = if cursor.is_done() {
        (None, None)
    } else {
        let (emit, limit) = emit_clause(cursor)?;
        (Some(emit), limit)
    };
    let mut query = match tail {
        // ksqlDB's `EMIT CHANGES LIMIT 5`: the limit belongs to the query.
        Some(limit) => {
            let spliced: Vec<TokenWithSpan> = whole[..emit_at].iter().chain(limit).cloned().collect();
            plain_query(&mut Cursor::new(source, &spliced))?
        }
        None => plain_query(&mut before)?,
    };
    windows::rewrite_query(&mut query)?;
    Ok(Query { query, emit })
}

/// `SELECT * FROM name`.
pub(super) fn all_of(ident: sqlparser::ast::Ident) -> Query {
    Query { query: build::select_all(build::table(ObjectName::from(vec![ident]))), emit: None }
}

/// Reads all that is left as an EMIT clause.
pub(super) fn emit(cursor: &mut Cursor<'_>) -> Result<Emit> {
    let (emit, limit) = emit_clause(cursor)?;
    match limit {
        None => Ok(emit),
        Some(_) => {
            Err(Error::sql("LIMIT needs a query").at(cursor.span().into()).help("write SELECT * FROM … LIMIT …"))
        }
    }
}

/// Whether a statement that is a query begins here.
pub(super) fn starts_query(cursor: &Cursor<'_>) -> bool {
    match cursor.peek(0) {
        Some(Token::LParen) => true,
        Some(token) => ["SELECT", "WITH", "VALUES", "FROM", "TABLE"].iter().any(|word| is_word(token, word)),
        None => false,
    }
}

fn plain_query(cursor: &mut Cursor<'_>) -> Result<Box<sqlparser::ast::Query>> {
    if cursor.is_done() {
        return Err(cursor.expected("a query"));
    }
    if cursor.at_words(&["TABLE"]) && matches!(cursor.peek(1), Some(Token::Word(_) | Token::SingleQuotedString(_))) {
        cursor.next();
        let ident = cursor.ident("a table")?;
        cursor.finish("TABLE and its name")?;
        return Ok(build::select_all(build::table(ObjectName::from(vec![ident]))));
    }
    if !starts_query(cursor) {
        return Err(cursor.expected("a query"));
    }
    let whole = cursor.rest();
    let query = cursor.sqlparser(|parser| parser.parse_query())?;
    cursor.finish_of(whole, "the query")?;
    Ok(query)
}

/// EMIT as a clause, and no column, table or alias of that name.
fn is_emit(cursor: &Cursor<'_>) -> bool {
    let Some(word) =
        cursor.peek(0).filter(|token| is_word(token, "EMIT")).and_then(|_| cursor.peek(1)).and_then(as_word)
    else {
        return false;
    };
    match word.to_ascii_uppercase().as_str() {
        // `JOIN t emit ON …` is an alias.
        "ON" => cursor.peek(2).and_then(as_word).is_some_and(|w| nearest(w, ["WINDOW", "UPDATE", "CHANGE"]).is_some()),
        "WITH" => cursor.peek(2).is_some_and(|t| is_word(t, "DELAY") || is_word(t, "BATCH")),
        _ => {
            let keyword =
                matches!(cursor.peek(1), Some(Token::Word(w)) if w.keyword != sqlparser::keywords::Keyword::NoKeyword);
            EMIT_WORDS.contains(&word.to_ascii_uppercase().as_str())
                || (!keyword && nearest(word, EMIT_WORDS.iter().copied()).is_some())
        }
    }
}

fn refuse_inner_emit(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut depth = 0;
    for n in 1..tokens.len() {
        depth += bracket(&tokens[n - 1].token);
        let words = [&tokens[n].token, tokens.get(n + 1).map_or(&Token::EOF, |t| &t.token)];
        let clause = is_word(words[0], "EMIT")
            && ["CHANGES", "FINAL", "CHANGELOG", "COMPLETE"].iter().any(|w| is_word(words[1], w));
        if depth > 0 && clause {
            return Err(Error::sql("EMIT stands in parentheses")
                .at(tokens[n].span.into())
                .help("EMIT says when the rows of a whole statement come out: write it at the end"));
        }
    }
    Ok(())
}

type Tail<'a> = Option<&'a [TokenWithSpan]>;

/// The clause from EMIT to the end, and a LIMIT behind it.
fn emit_clause<'a>(cursor: &mut Cursor<'a>) -> Result<(Emit, Tail<'a>)> {
    let start = cursor.span();
    let clause = cursor.split_before(|c| c.at_words(&["LIMIT"]));
    let limit = (!cursor.is_done()).then(|| cursor.rest());
    let mut clause = clause;
    let span = Span::new(start.start, clause.rest_span().end);
    clause.next();
    let streamed = clause.accept(&["STREAM"]);
    let mode = if clause.accept(&["CHANGES"])
        || clause.accept(&["CHANGELOG"])
        || clause.accept(&["ON", "UPDATE"])
        || clause.accept(&["ON", "CHANGE"])
        || (streamed && clause.is_done())
    {
        EmitMode::Changes
    } else if clause.accept(&["FINAL"])
        || clause.accept(&["ON", "WINDOW", "CLOSE"])
        || clause.accept(&["AFTER", "WINDOW", "CLOSE"])
        || clause.accept(&["AFTER", "WATERMARK"])
    {
        EmitMode::OnWindowClose
    } else if clause.accept(&["COMPLETE"]) {
        EmitMode::Complete
    } else {
        refuse_periods(&clause, span)?;
        return Err(unknown_emit(&clause));
    };
    refuse_periods(&clause, span)?;
    clause.finish("the EMIT clause")?;
    Ok((Emit { mode, span: span.into() }, limit))
}

/// Periods and delays that no part of tidemill would keep.
fn refuse_periods(clause: &Cursor<'_>, span: Span) -> Result<()> {
    let refused = |what: &str| Err(Error::unsupported(format!("EMIT … {what} is not run")).at(span.into()));
    if clause.at_words(&["PERIODIC"]) || clause.at_words(&["EVERY"]) {
        return refused("with a period").map_err(|e| {
            e.help("write EMIT CHANGES: changes come out once per interval, and SET interval = '5 s' says how long that is")
        });
    }
    if clause.at_words(&["WITH"]) || clause.at_words(&["AND"]) {
        return refused("WITH DELAY, BATCH or TIMEOUT").map_err(|e| {
            e.help("declare the delay with WATERMARK FOR ts AS ts - INTERVAL '5' SECOND in the table's DDL")
        });
    }
    if clause.at_words(&["AFTER", "DELAY"]) || clause.at_words(&["IMMEDIATELY"]) {
        return refused("with a delay").map_err(|e| e.help("write EMIT CHANGES or EMIT ON WINDOW CLOSE"));
    }
    Ok(())
}

fn unknown_emit(clause: &Cursor<'_>) -> Error {
    let error = match clause.peek(0) {
        Some(token) => Error::sql(format!("EMIT '{token}' is not known")),
        None => Error::sql("EMIT needs to say what comes out"),
    };
    let error = error.at(clause.span().into());
    let word = clause.peek(0).and_then(as_word).and_then(|w| nearest(w, EMIT_WORDS.iter().copied()));
    match word {
        Some(near) if !clause.at_words(&[near]) => error.help(format!("did you mean {near}?")),
        _ => error.help("write EMIT CHANGES, EMIT ON WINDOW CLOSE or EMIT COMPLETE"),
    }
}
