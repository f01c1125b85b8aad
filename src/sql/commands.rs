//! Statements around queries: SET, RESET, SHOW, DESCRIBE, EXPLAIN, SUBSCRIBE, and what is parsed but not run yet.

use sqlparser::tokenizer::{Span, Token};

use super::cursor::Cursor;
use super::parser;
use super::query;
use super::statement::{Query, Show, Statement};
use super::tokens::{as_word, is_word};
use crate::error::{Error, Result, nearest};
use crate::settings;

/// A statement that is parsed but not run.
pub(super) fn refused(what: &str, help: &str, span: Span) -> Statement {
    Statement::NotYet { what: what.to_owned(), help: help.to_owned(), span: span.into() }
}

/// Statements by their first words, that are not run.
const NOT_YET: &[(&[&str], &str, &str)] = &[
    (&["MERGE"], "MERGE", "write INSERT INTO … SELECT … ON CONFLICT DO UPDATE SET …"),
    (&["UPSERT"], "UPSERT", "write INSERT INTO; a PRIMARY KEY in the table's DDL makes it upsert"),
    (&["REPLACE"], "REPLACE", "write CREATE OR REPLACE or INSERT INTO"),
    (&["ALTER"], "ALTER", "DROP and CREATE it again"),
    (&["USE"], "USE", "there is one catalog, so names need no prefix"),
    (&["GRANT"], "GRANT", "there are no users and rights"),
    (&["REVOKE"], "REVOKE", "there are no users and rights"),
    (&["CALL"], "CALL", "write SELECT function(…)"),
    (&["PREPARE"], "PREPARE", "variables of a script (:name) do the same"),
    (&["EXECUTE"], "EXECUTE", "only EXECUTE STATEMENT SET BEGIN … END is run"),
    (&["ANALYZE"], "ANALYZE", "streams have no statistics to collect"),
    (&["ADD", "JAR"], "ADD JAR", "write the function in SQL: CREATE FUNCTION f(x INT) RETURNS INT RETURN x + 1"),
    (&["LOAD"], "LOAD MODULE", "all functions are there from the start"),
    (&["UNLOAD"], "UNLOAD MODULE", "all functions are there from the start"),
    (&["PAUSE"], "PAUSE", "DROP the view or sink to stop its query"),
    (&["RESUME"], "RESUME", "DROP the view or sink to stop its query"),
    (&["STOP"], "STOP", "DROP the view or sink to stop its query"),
    (&["CANCEL"], "CANCEL", "DROP the view or sink to stop its query"),
    (&["TERMINATE"], "TERMINATE", "DROP the view or sink to stop its query"),
    (&["PRINT"], "PRINT", "write SELECT * FROM it LIMIT 10"),
    (&["REFRESH"], "REFRESH", "materialized views are always current"),
    (&["LISTEN"], "LISTEN", "write SUBSCRIBE TO name"),
    (&["TAIL"], "TAIL", "write SUBSCRIBE TO name"),
];

/// The statement as one that is not run, when its first words say so.
pub(super) fn not_yet(cursor: &Cursor<'_>) -> Option<Statement> {
    let (_, what, help) = NOT_YET.iter().find(|(words, ..)| cursor.at_words(words))?;
    Some(refused(what, help, cursor.span()))
}

/// Clauses anywhere in a statement that keep it from being run, and that sqlparser does not read in all their spellings.
pub(super) fn not_yet_inside(cursor: &Cursor<'_>) -> Option<Statement> {
    let tokens = cursor.rest();
    for (n, token) in tokens.iter().enumerate() {
        let Some(word) = as_word(&token.token) else { continue };
        let next = tokens.get(n + 1).map(|t| &t.token);
        let next_is = |word: &str| next.is_some_and(|t| is_word(t, word));
        let span = |last: usize| Span::new(token.span.start, tokens.get(n + last).unwrap_or(token).span.end);
        let found = match word.to_ascii_uppercase().as_str() {
            "MATCH_RECOGNIZE" if next == Some(&Token::LParen) => {
                ("MATCH_RECOGNIZE", "patterns over rows are planned; aggregate per window until then", span(0))
            }
            // An ASOF join is told from others by this word, which nobody else may write then.
            "GLOBAL" if ["JOIN", "LEFT", "INNER"].iter().any(|w| next_is(w)) => {
                ("GLOBAL JOIN", "leave out GLOBAL: there is one machine", span(1))
            }
            "WINDOW" if ["TUMBLING", "HOPPING", "SESSION"].iter().any(|w| next_is(w)) => (
                "WINDOW TUMBLING | HOPPING | SESSION (…)",
                "write FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE) … GROUP BY window_start, window_end",
                span(1),
            ),
            "DELAY" if next_is("OF") => (
                "WATERMARK … DELAY OF in a query",
                "declare it in the table's DDL: WATERMARK FOR ts AS ts - INTERVAL '10' SECOND",
                span(1),
            ),
            _ => continue,
        };
        return Some(refused(found.0, found.1, found.2));
    }
    None
}

/// `FLUSH`.
pub(super) fn flush(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["FLUSH"])?;
    cursor.finish("FLUSH")?;
    Ok(Statement::Flush)
}

/// `SUBSCRIBE [TO] name | (query) | query`.
pub(super) fn subscribe(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["SUBSCRIBE"])?;
    cursor.accept(&["TO"]);
    let query = if query::starts_query(cursor) { query::query(cursor)? } else { named(cursor)? };
    Ok(Statement::Subscribe(Box::new(query)))
}

/// A relation's name and perhaps EMIT, as `SELECT * FROM name EMIT …`.
fn named(cursor: &mut Cursor<'_>) -> Result<Query> {
    let ident = cursor.ident("a name or a query")?;
    if cursor.is_done() {
        return Ok(query::all_of(ident));
    }
    cursor.accept(&["AS"]);
    if !cursor.at_words(&["EMIT"]) {
        cursor.finish("the name")?;
    }
    let emit = query::emit(cursor)?;
    Ok(Query { emit: Some(emit), ..query::all_of(ident) })
}

/// `EXPLAIN [PLAN FOR] [VERBOSE | ANALYZE | …] statement`.
pub(super) fn explain(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.span();
    cursor.expect(&["EXPLAIN"])?;
    let mut verbose = false;
    let mut analyze = false;
    // Flink's details are what EXPLAIN VERBOSE prints anyway.
    const FLAGS: &[&str] = &[
        "VERBOSE",
        "ANALYZE",
        "ESTIMATED_COST",
        "CHANGELOG_MODE",
        "JSON_EXECUTION_PLAN",
        "PLAN_ADVICE",
        "EXTENDED",
        "LOGICAL",
        "PHYSICAL",
    ];
    if cursor.peek(0) == Some(&Token::LParen) {
        let mut ahead = *cursor;
        let options = ahead.parens("options")?;
        let flag = options.peek_word().is_some_and(|word| FLAGS.contains(&word.as_str()));
        if flag {
            for option in options.split_commas() {
                verbose |= option.at_words(&["VERBOSE"]);
                analyze |= option.at_words(&["ANALYZE"]);
            }
            *cursor = ahead;
        }
    }
    while let Some(flag) = cursor.accept_any(FLAGS) {
        verbose |= flag != "ANALYZE";
        analyze |= flag == "ANALYZE";
        cursor.accept_token(&Token::Comma);
    }
    cursor.accept(&["PLAN", "FOR"]);
    if analyze {
        return Ok(refused(
            "EXPLAIN ANALYZE",
            "EXPLAIN VERBOSE prints the plan; SHOW STATE and SHOW QUERIES what runs",
            start,
        ));
    }
    if cursor.at_words(&["EXPLAIN"]) {
        return Err(Error::sql("EXPLAIN explains no EXPLAIN").at(cursor.span().into()));
    }
    let inner = if cursor.at_words(&["EXECUTE", "STATEMENT", "SET"]) || cursor.at_words(&["STATEMENT", "SET"]) {
        return Ok(refused("EXPLAIN of a statement set", "explain each of its INSERTs", start));
    } else {
        parser::statement(cursor)?
    };
    match inner {
        not_yet @ Statement::NotYet { .. } => Ok(not_yet),
        inner => Ok(Statement::Explain { verbose, statement: Box::new(inner) }),
    }
}

/// `SET name = value`, `SET name TO value`, `SET 'name' = 'value'`; `SET` alone shows all.
pub(super) fn set(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["SET"])?;
    if cursor.is_done() {
        return Ok(Statement::Show(Show::Settings));
    }
    if !matches!(cursor.peek(1), Some(Token::Eq)) {
        cursor.accept_any(&["SESSION", "LOCAL"]);
    }
    let span = cursor.span();
    if cursor.accept(&["CHARACTERISTICS"]) || cursor.accept(&["TRANSACTION"]) {
        return Ok(Statement::Set { name: "transaction_mode".to_owned(), value: raw_value(cursor), span: span.into() });
    }
    if cursor.accept(&["NAMES"]) {
        return Ok(Statement::Set { name: "client_encoding".to_owned(), value: raw_value(cursor), span: span.into() });
    }
    if cursor.accept(&["TIME", "ZONE"]) {
        let value = raw_value(cursor);
        return Ok(Statement::Set { name: "time_zone".to_owned(), value, span: span.into() });
    }
    let before = cursor.split_before(|c| matches!(c.peek(0), Some(Token::Eq)) || c.at_words(&["TO"]));
    let name = key_text(&before);
    if name.is_empty() {
        return Err(cursor.expected("a setting's name"));
    }
    let span = before.rest_span();
    if cursor.next().is_none() {
        return if before.rest().len() == 1 {
            Ok(Statement::Show(Show::Setting(name)))
        } else {
            Err(cursor.expected("'='").help("SET name = value"))
        };
    }
    if cursor.is_done() {
        return Err(cursor.expected("a value"));
    }
    if cursor.at_words(&["DEFAULT"]) {
        return Ok(Statement::Reset(Some(name)));
    }
    Ok(Statement::Set { name, value: raw_value(cursor), span: span.into() })
}

/// `RESET name | ALL`.
pub(super) fn reset(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["RESET"])?;
    let name = key_text(cursor);
    let all = name.is_empty() || name.eq_ignore_ascii_case("all");
    Ok(Statement::Reset((!all).then_some(name)))
}

/// The name of a setting or option: quoted, or words with dots and dashes.
pub(super) fn key_text(cursor: &Cursor<'_>) -> String {
    match cursor.rest() {
        [single] => match &single.token {
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => text.clone(),
            Token::Word(word) => word.value.clone(),
            _ => cursor.text().to_owned(),
        },
        _ => cursor.text().split_whitespace().collect(),
    }
}

/// A value as it was written, a single string without its quotes.
pub(super) fn raw_value(cursor: &Cursor<'_>) -> String {
    match cursor.rest() {
        [single] => match &single.token {
            Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) | Token::EscapedStringLiteral(text) => {
                text.clone()
            }
            Token::Word(word) => word.value.clone(),
            _ => cursor.text().to_owned(),
        },
        _ => cursor.text().to_owned(),
    }
}

/// `SHOW …`.
pub(super) fn show(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.span();
    cursor.expect(&["SHOW"])?;
    cursor.accept_any(&["FULL", "EXTENDED", "USER"]);
    let at = cursor.span();
    let simple = match cursor.peek_word().as_deref() {
        Some("TABLES" | "SOURCES" | "SINKS" | "STREAMS" | "RELATIONS") => Some(Show::Tables),
        Some("VIEWS") => Some(Show::Views),
        Some("FUNCTIONS") => Some(Show::Functions),
        Some("QUERIES" | "JOBS") => Some(Show::Queries),
        Some("STATE" | "STATES") => Some(Show::State),
        Some("CONNECTORS") => Some(Show::Connectors),
        Some("ALL" | "SETTINGS" | "VARIABLES" | "PARAMETERS" | "PROPERTIES") => Some(Show::Settings),
        _ => None,
    };
    if let Some(show) = simple {
        cursor.next();
        // `SHOW TABLES LIKE '…'` and `FROM db` narrow a list that is short.
        if !(cursor.at_words(&["LIKE"]) || cursor.at_words(&["FROM"]) || cursor.at_words(&["IN"])) {
            cursor.finish("SHOW and its object")?;
        } else {
            return Ok(refused("SHOW … with a filter", "leave the filter out: the list is short", cursor.span()));
        }
        return Ok(Statement::Show(show));
    }
    if cursor.accept(&["MATERIALIZED", "VIEWS"]) {
        cursor.finish("SHOW MATERIALIZED VIEWS")?;
        return Ok(Statement::Show(Show::Views));
    }
    if cursor.accept(&["CREATE"]) {
        cursor.accept(&["MATERIALIZED"]);
        cursor.accept_any(&["TABLE", "VIEW", "SOURCE", "STREAM", "SINK", "FUNCTION"]);
        return Ok(Statement::Show(Show::Create(parser::one_name(cursor, "a name")?)));
    }
    if cursor.accept(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
        return Ok(Statement::Show(Show::Setting("transaction_isolation".to_owned())));
    }
    if cursor.accept(&["TIME", "ZONE"]) {
        return Ok(Statement::Show(Show::Setting("time_zone".to_owned())));
    }
    if cursor.accept(&["COLUMNS"]) {
        if cursor.accept_any(&["FROM", "IN"]).is_none() {
            return Err(cursor.expected("FROM"));
        }
        return Ok(Statement::Show(Show::Columns(parser::one_name(cursor, "a name")?)));
    }
    let words: &[&'static str] = &[
        "DATABASES",
        "CATALOGS",
        "SCHEMAS",
        "MODULES",
        "PARTITIONS",
        "CURRENT",
        "JARS",
        "TOPICS",
        "INDEXES",
        "PROCEDURES",
        "MODELS",
    ];
    if let Some(word) = cursor.accept_any(words) {
        return Ok(refused(
            &format!("SHOW {word}"),
            "SHOW TABLES, VIEWS, FUNCTIONS, QUERIES, STATE, CONNECTORS and ALL are there",
            start,
        ));
    }
    if cursor.is_done() {
        return Err(cursor
            .expected("what to show")
            .help("SHOW TABLES, VIEWS, FUNCTIONS, QUERIES, STATE, CONNECTORS or ALL"));
    }
    let name = key_text(cursor);
    const OBJECTS: &[&str] = &[
        "TABLES",
        "SOURCES",
        "SINKS",
        "VIEWS",
        "FUNCTIONS",
        "QUERIES",
        "JOBS",
        "STATE",
        "CONNECTORS",
        "CREATE",
        "COLUMNS",
        "SETTINGS",
    ];
    let known = settings::NAMES.iter().any(|(known, _)| *known == name.to_ascii_lowercase().replace('-', "_"));
    let first = cursor.peek(0).and_then(as_word).unwrap_or_default();
    if !known && let Some(near) = nearest(first, OBJECTS.iter().copied()) {
        return Err(Error::sql(format!("SHOW {first} is not known"))
            .at(at.into())
            .help(format!("did you mean {near}?")));
    }
    if name.contains(char::is_alphanumeric) && cursor.rest().iter().all(|t| !matches!(t.token, Token::LParen)) {
        return Ok(Statement::Show(Show::Setting(name)));
    }
    Err(cursor.expected("what to show"))
}

/// `DESCRIBE [EXTENDED] name`.
pub(super) fn describe(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.next();
    if cursor.peek(1).is_some() {
        cursor.accept_any(&["EXTENDED", "FORMATTED"]);
        cursor.accept(&["MATERIALIZED"]);
        cursor.accept_any(&["TABLE", "VIEW", "SOURCE", "STREAM", "SINK"]);
    }
    if query::starts_query(cursor) {
        return Ok(refused("DESCRIBE of a query", "write EXPLAIN, or CREATE VIEW and DESCRIBE that", cursor.span()));
    }
    Ok(Statement::Describe(parser::one_name(cursor, "a name")?))
}
