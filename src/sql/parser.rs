//! The front end: a script → its statements.

use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::cursor::Cursor;
use super::source::Source;
use super::statement::{Parsed, Statement};
use super::tokens::is_word;
use super::{bounds, commands, ddl, dml, functions, query, session, tokens};
use crate::error::{Error, Result, nearest};

/// Parses a script: statements apart by `;`.
///
/// # Errors
/// At the first thing that is no SQL of ours, with its place.
pub fn parse(script: &str) -> Result<Vec<Parsed>> {
    bounds::check_text(script)?;
    parse_tokens(script, &tokens::tokenize(script)?)
}

/// As [`parse`], once the tokens are there; they have places in the script.
pub(super) fn parse_tokens(script: &str, tokens: &[TokenWithSpan]) -> Result<Vec<Parsed>> {
    let source = Source::new(script);
    let mut parsed = Vec::new();
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        if first.token == Token::SemiColon {
            rest = &rest[1..];
            continue;
        }
        let (statement, behind) = split_statement(rest);
        rest = behind;
        parsed.push(parse_one(&source, statement)?);
    }
    Ok(parsed)
}

/// The tokens of the first statement, without its semicolon, and what follows.
fn split_statement(tokens: &[TokenWithSpan]) -> (&[TokenWithSpan], &[TokenWithSpan]) {
    let is_set = set_head(tokens).is_some();
    for (n, token) in tokens.iter().enumerate() {
        if token.token != Token::SemiColon {
            continue;
        }
        let ends_set = n > 0 && is_word(&tokens[n - 1].token, "END");
        if !is_set || ends_set {
            return (&tokens[..n], &tokens[n + 1..]);
        }
    }
    (tokens, &[])
}

/// How many tokens the head of a statement set has, when one begins here.
fn set_head(tokens: &[TokenWithSpan]) -> Option<usize> {
    let begins = |words: &[&str]| {
        words.len() <= tokens.len() && words.iter().zip(tokens).all(|(word, token)| is_word(&token.token, word))
    };
    [&["EXECUTE", "STATEMENT", "SET", "BEGIN"][..], &["BEGIN", "STATEMENT", "SET"]]
        .into_iter()
        .find(|words| begins(words))
        .map(<[&str]>::len)
}

fn parse_one(source: &Source<'_>, tokens: &[TokenWithSpan]) -> Result<Parsed> {
    bounds::check_statement(tokens)?;
    let mut cursor = Cursor::new(source, tokens);
    let span = cursor.rest_span();
    let text = cursor.text().to_owned();
    let statement = match set_head(tokens) {
        Some(head) => statement_set(source, tokens, head)?,
        None => statement(&mut cursor)?,
    };
    Ok(Parsed { statement, text, span: span.into() })
}

/// Reads all that is left as one statement.
pub(super) fn statement(cursor: &mut Cursor<'_>) -> Result<Statement> {
    if let Some(not_yet) = commands::not_yet_inside(cursor) {
        return Ok(not_yet);
    }
    if query::starts_query(cursor) {
        return Ok(Statement::Query(Box::new(query::query(cursor)?)));
    }
    if let Some(session) = session::command(cursor)? {
        return Ok(session);
    }
    let Some(word) = cursor.peek_word() else { return Err(cursor.expected("a statement")) };
    match word.as_str() {
        "CREATE" if cursor.at_words(&["CREATE"]) && functions::is_function(cursor) => functions::create(cursor),
        "CREATE" => ddl::create(cursor),
        "DROP" => ddl::drop(cursor),
        "INSERT" => dml::insert(cursor),
        "UPDATE" => dml::update(cursor),
        "DELETE" => dml::delete(cursor),
        "TRUNCATE" => dml::truncate(cursor),
        "FLUSH" => commands::flush(cursor),
        "SUBSCRIBE" => commands::subscribe(cursor),
        "EXPLAIN" => commands::explain(cursor),
        "SET" => commands::set(cursor),
        "COPY" => session::copy(cursor),
        "RESET" => commands::reset(cursor),
        "SHOW" => commands::show(cursor),
        "DESCRIBE" | "DESC" => commands::describe(cursor),
        _ => commands::not_yet(cursor).map_or_else(|| Err(unknown(cursor, &word)), Ok),
    }
}

fn unknown(cursor: &Cursor<'_>, word: &str) -> Error {
    const HEADS: &[&str] = &[
        "SELECT",
        "WITH",
        "VALUES",
        "FROM",
        "CREATE",
        "DROP",
        "INSERT",
        "UPDATE",
        "DELETE",
        "TRUNCATE",
        "FLUSH",
        "SUBSCRIBE",
        "EXPLAIN",
        "SET",
        "RESET",
        "SHOW",
        "DESCRIBE",
        "EXECUTE",
    ];
    let error = Error::sql(format!("no statement begins with '{}'", cursor.peek(0).unwrap_or(&Token::EOF)))
        .at(cursor.span().into());
    match nearest(word, HEADS.iter().copied()) {
        Some(near) => error.help(format!("did you mean {near}?")),
        None => error.help("statements begin with SELECT, CREATE, INSERT, SHOW and so on; DIALECT.md lists them"),
    }
}

/// A name and nothing else.
pub(super) fn one_name(cursor: &mut Cursor<'_>, what: &str) -> Result<super::statement::Name> {
    let name = cursor.name(what)?;
    cursor.finish(what)?;
    Ok(name)
}

/// `EXECUTE STATEMENT SET BEGIN insert; … END`, and `BEGIN STATEMENT SET; insert; … END`.
fn statement_set(source: &Source<'_>, tokens: &[TokenWithSpan], head: usize) -> Result<Statement> {
    let (Some(last), body) = (tokens.last(), &tokens[head..]) else {
        return Err(Error::internal("a statement set without tokens"));
    };
    let place = |span: Span| Error::sql("the statement set has no END").at(span.into());
    if !is_word(&last.token, "END") || body.is_empty() {
        return Err(place(last.span).help("EXECUTE STATEMENT SET BEGIN INSERT INTO …; INSERT INTO …; END;"));
    }
    let body = &body[..body.len() - 1];
    let mut inserts = Vec::new();
    for part in body.split(|t| t.token == Token::SemiColon).filter(|part| !part.is_empty()) {
        let mut cursor = Cursor::new(source, part);
        if let Some(not_yet) = commands::not_yet_inside(&cursor) {
            return Ok(not_yet);
        }
        if !cursor.at_words(&["INSERT"]) {
            return Err(cursor.expected("INSERT").help("a statement set holds INSERT INTO statements only"));
        }
        let start = cursor.span();
        match dml::insert_into(&mut cursor)? {
            Some(insert) => inserts.push(insert),
            None => return Ok(commands::refused("INSERT … PARTITION", "leave PARTITION (…) out", start)),
        }
    }
    if inserts.is_empty() {
        return Err(Error::sql("the statement set is empty").at(last.span.into()));
    }
    Ok(Statement::StatementSet(inserts))
}
