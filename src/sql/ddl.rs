//! CREATE TABLE, SOURCE, STREAM, SINK, VIEW and DROP.

use sqlparser::tokenizer::{Span, Token};

use super::columns::{self, Columns};
use super::commands::refused;
use super::cursor::Cursor;
use super::options::{at_format, format_clause, with_clause};
use super::parser::one_name;
use super::query;
use super::statement::{CreateSink, CreateTable, CreateView, Name, RelationKind, Statement};
use crate::error::{Error, Result, nearest};
use crate::settings::Options;

/// What stands before the name.
struct Head {
    or_replace: bool,
    temporary: bool,
    if_not_exists: bool,
}

/// `CREATE …` of a relation.
pub(super) fn create(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.span();
    cursor.expect(&["CREATE"])?;
    let or_replace = cursor.accept(&["OR", "REPLACE"]) || cursor.accept(&["OR", "REFRESH"]);
    let mut temporary = false;
    // EXTERNAL (Proton) and STREAMING, LIVE (Spark) say nothing more here.
    while let Some(word) = cursor.accept_any(&["TEMPORARY", "TEMP", "EXTERNAL", "STREAMING", "LIVE"]) {
        temporary |= word.starts_with("TEMP");
    }
    let materialized = cursor.accept(&["MATERIALIZED"]);
    if materialized && cursor.at_words(&["TABLE"]) {
        return Ok(refused("CREATE MATERIALIZED TABLE", "write CREATE MATERIALIZED VIEW v AS SELECT …", start));
    }
    let kind_span = cursor.span();
    let kind = cursor.accept_any(&["TABLE", "SOURCE", "STREAM", "SINK", "VIEW"]);
    let Some(kind) = kind else {
        cursor.accept(&["UNIQUE"]);
        return if cursor.accept(&["INDEX"]) { index(cursor) } else { create_other(cursor, start) };
    };
    if materialized && kind != "VIEW" {
        return Err(Error::sql(format!("MATERIALIZED goes with VIEW, not {kind}")).at(kind_span.into()));
    }
    let if_not_exists = cursor.accept(&["IF", "NOT", "EXISTS"]);
    let head = Head { or_replace, temporary, if_not_exists };
    match kind {
        "VIEW" => view(cursor, head, materialized),
        "SINK" => sink(cursor, head),
        "TABLE" => table(cursor, head, RelationKind::Table),
        _ => table(cursor, head, RelationKind::Source),
    }
}

fn create_other(cursor: &Cursor<'_>, start: Span) -> Result<Statement> {
    const OTHERS: &[&str] = &[
        "CATALOG",
        "DATABASE",
        "SCHEMA",
        "CONNECTION",
        "SECRET",
        "MODEL",
        "TYPE",
        "USER",
        "ROLE",
        "SEQUENCE",
        "TRIGGER",
        "PROCEDURE",
        "FLOW",
        "SUBSCRIPTION",
        "AGGREGATE",
        "MACRO",
        "POLICY",
        "EXTENSION",
        "CONNECTOR",
    ];
    let Some(word) = cursor.peek_word() else { return Err(cursor.expected("what to create")) };
    if OTHERS.contains(&word.as_str()) {
        let help = match word.as_str() {
            "CATALOG" | "DATABASE" | "SCHEMA" => "there is one catalog, so names need no prefix",
            "CONNECTION" | "SECRET" | "CONNECTOR" => "put the options in the table's WITH (…)",
            _ => "CREATE TABLE, SOURCE, STREAM, SINK, VIEW, MATERIALIZED VIEW and FUNCTION are there",
        };
        return Ok(refused(&format!("CREATE {word}"), help, start));
    }
    let error = cursor.expected("TABLE, SOURCE, STREAM, SINK, VIEW, MATERIALIZED VIEW or FUNCTION");
    let kinds = ["TABLE", "SOURCE", "STREAM", "SINK", "VIEW", "MATERIALIZED", "FUNCTION", "TEMPORARY"];
    Err(match nearest(&word, kinds) {
        Some(near) if error.helps().is_empty() => error.help(format!("did you mean {near}?")),
        _ => error,
    })
}

/// `[CONCURRENTLY] [IF NOT EXISTS] name ON t [USING method] (columns)`, after INDEX.
fn index(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.accept(&["CONCURRENTLY"]);
    let if_not_exists = cursor.accept(&["IF", "NOT", "EXISTS"]);
    let unnamed = cursor.at_words(&["ON"]);
    let mut name = if unnamed { None } else { Some(cursor.name("a name for the index")?) };
    cursor.expect(&["ON"])?;
    let on = cursor.name("a table or view")?;
    if cursor.accept(&["USING"]) {
        cursor.ident("a method")?;
    }
    let list = cursor.parens("columns")?;
    let mut columns = Vec::new();
    for mut part in list.split_commas() {
        if part.rest().len() == 1 || part.peek_word().is_some() {
            columns.push(part.name("a column")?);
        }
    }
    // What else an index may say (INCLUDE, WITH, WHERE) is about how it is kept.
    while cursor.next().is_some() {}
    let named = columns.iter().map(|c| c.value.as_str()).collect::<Vec<_>>().join("_");
    let name = name.take().unwrap_or_else(|| Name { value: format!("{}_{named}_idx", on.value), ..on.clone() });
    Ok(Statement::CreateIndex { name, if_not_exists, on, columns })
}

fn table(cursor: &mut Cursor<'_>, head: Head, kind: RelationKind) -> Result<Statement> {
    let name = cursor.name("a name for the table")?;
    let mut table = CreateTable {
        name,
        kind,
        or_replace: head.or_replace,
        if_not_exists: head.if_not_exists,
        temporary: head.temporary,
        columns: vec![],
        watermark: None,
        primary_key: vec![],
        partitioned_by: vec![],
        options: Options::new(),
        query: None,
        like: None,
        append_only: false,
        on_conflict_keep: false,
    };
    if cursor.peek(0) == Some(&Token::LParen) {
        let list = cursor.parens("columns")?;
        let Columns { columns, watermark, primary_key, like } = columns::read(&list)?;
        (table.columns, table.watermark, table.primary_key, table.like) = (columns, watermark, primary_key, like);
    }
    loop {
        let span = cursor.span();
        if cursor.is_done() {
            break;
        } else if cursor.accept(&["AS"]) {
            let mut query = split_tail(cursor);
            table.query = Some(Box::new(query::query(&mut query)?));
        } else if cursor.at_words(&["WITH"]) {
            with_clause(cursor, &mut table.options)?;
        } else if at_format(cursor) {
            format_clause(cursor, &mut table.options)?;
        } else if cursor.accept(&["PARTITIONED", "BY"]) || cursor.accept(&["PARTITION", "BY"]) {
            let list = cursor.parens("columns")?;
            table.partitioned_by = names(&list)?;
        } else if cursor.accept(&["COMMENT"]) {
            cursor.accept_token(&Token::Eq);
            cursor.string("a comment in quotes")?;
        } else if cursor.accept(&["LIKE"]) {
            table.like = Some(columns::like(cursor)?);
        } else if cursor.accept(&["APPEND", "ONLY"]) {
            table.append_only = true;
        } else if cursor.accept(&["ON", "CONFLICT"]) {
            // RisingWave's: what becomes of a row whose key is there already.
            cursor.accept(&["DO"]);
            match cursor.accept_any(&["NOTHING", "IGNORE", "OVERWRITE", "UPDATE"]) {
                Some("NOTHING" | "IGNORE") => table.on_conflict_keep = true,
                Some("OVERWRITE") => {}
                Some(_) => cursor.expect(&["FULL"])?,
                None => return Err(cursor.expected("DO NOTHING or OVERWRITE")),
            }
        } else if cursor.at_words(&["DISTRIBUTED"]) || cursor.at_words(&["CLUSTERED"]) {
            return Ok(refused("DISTRIBUTED BY", "leave it out: rows are spread by their keys", span));
        } else if cursor.at_words(&["SETTINGS"]) || cursor.at_words(&["TBLPROPERTIES"]) || cursor.at_words(&["OPTIONS"])
        {
            return Err(Error::sql(format!("'{}' is not known", cursor.peek(0).unwrap_or(&Token::EOF)))
                .at(span.into())
                .help("options are written WITH ('name' = 'value', …)"));
        } else if cursor.at_words(&["USING"]) || cursor.at_words(&["FROM"]) || cursor.at_words(&["INCLUDE"]) {
            return Err(cursor.expected("WITH (…)").help("say where it comes from with WITH ('connector' = '…', …)"));
        } else {
            let error = cursor.expected("WITH (…), AS or the end");
            return Err(super::suggest::with_typo(error, cursor.rest(), 0));
        }
    }
    Ok(Statement::CreateTable(Box::new(table)))
}

fn sink(cursor: &mut Cursor<'_>, head: Head) -> Result<Statement> {
    let name = cursor.name("a name for the sink")?;
    let mut sink = CreateSink {
        name,
        if_not_exists: head.if_not_exists,
        columns: vec![],
        query: None,
        into: None,
        options: Options::new(),
    };
    if cursor.peek(0) == Some(&Token::LParen) {
        let list = cursor.parens("columns")?;
        let at = list.span();
        let read = columns::read(&list)?;
        if read.watermark.is_some() || read.like.is_some() {
            return Err(Error::sql("a sink has no watermark and no LIKE").at(at.into()));
        }
        sink.columns = read.columns;
        if !read.primary_key.is_empty() {
            let keys: Vec<String> = read.primary_key.into_iter().map(|name| name.value).collect();
            sink.options.put("primary_key", keys.join(","), Some(at.into()))?;
        }
    }
    while !cursor.is_done() {
        if sink.query.is_none() && cursor.accept(&["FROM"]) {
            let ident = cursor.ident("a table or view")?;
            let mut query = query::all_of(ident);
            if cursor.at_words(&["EMIT"]) {
                let mut clause = split_tail(cursor);
                query.emit = Some(query::emit(&mut clause)?);
            }
            sink.query = Some(Box::new(query));
        } else if sink.query.is_none() && cursor.accept(&["AS"]) {
            let mut query = split_tail(cursor);
            sink.query = Some(Box::new(query::query(&mut query)?));
        } else if sink.into.is_none() && cursor.accept(&["INTO"]) {
            sink.into = Some(cursor.name("a table")?);
        } else if cursor.at_words(&["WITH"]) {
            with_clause(cursor, &mut sink.options)?;
        } else if at_format(cursor) {
            format_clause(cursor, &mut sink.options)?;
        } else {
            let error = cursor.expected("FROM, AS, INTO, WITH (…), FORMAT or the end");
            return Err(super::suggest::with_typo(error, cursor.rest(), 0));
        }
    }
    Ok(Statement::CreateSink(Box::new(sink)))
}

/// The query after AS, without the WITH (…) or FORMAT … ENCODE … that may follow it.
fn split_tail<'a>(cursor: &mut Cursor<'a>) -> Cursor<'a> {
    cursor.split_before(|c| {
        (c.at_words(&["WITH"]) && c.peek(1) == Some(&Token::LParen))
            || (c.at_words(&["FORMAT"]) && matches!(c.peek(2), Some(t) if super::tokens::is_word(t, "ENCODE")))
    })
}

fn view(cursor: &mut Cursor<'_>, head: Head, materialized: bool) -> Result<Statement> {
    let name = cursor.name("a name for the view")?;
    let mut columns = vec![];
    if cursor.peek(0) == Some(&Token::LParen) {
        for mut column in cursor.parens("columns")?.split_commas() {
            columns.push(cursor_name(&mut column)?);
        }
    }
    if cursor.accept(&["COMMENT"]) {
        cursor.string("a comment in quotes")?;
    }
    if cursor.accept(&["INTO"]) {
        return Ok(refused(
            "CREATE MATERIALIZED VIEW … INTO",
            "write CREATE SINK or INSERT INTO … SELECT",
            cursor.span(),
        ));
    }
    if cursor.at_words(&["WITH"]) && cursor.peek(1) == Some(&Token::LParen) {
        return Err(Error::sql("a view has no options").at(cursor.span().into()).help("leave WITH (…) out"));
    }
    cursor.expect(&["AS"])?;
    let query = query::query(cursor)?;
    Ok(Statement::CreateView(Box::new(CreateView {
        name,
        materialized,
        or_replace: head.or_replace,
        if_not_exists: head.if_not_exists,
        columns,
        query: Box::new(query),
    })))
}

/// `name [COMMENT '…']`.
fn cursor_name(cursor: &mut Cursor<'_>) -> Result<Name> {
    let name = cursor.name("a column")?;
    if cursor.accept(&["COMMENT"]) {
        cursor.string("a comment in quotes")?;
    }
    cursor.finish("a column")?;
    Ok(name)
}

/// Names apart by commas.
pub(super) fn names(list: &Cursor<'_>) -> Result<Vec<Name>> {
    list.split_commas().iter_mut().map(|part| one_name(part, "a column")).collect()
}

/// `DROP kind [IF EXISTS] name, … [CASCADE]`.
pub(super) fn drop(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.span();
    cursor.expect(&["DROP"])?;
    cursor.accept_any(&["TEMPORARY", "TEMP"]);
    let kind = if cursor.accept(&["MATERIALIZED"]) {
        cursor.expect(&["VIEW"])?;
        RelationKind::MaterializedView
    } else {
        match cursor.accept_any(&["TABLE", "VIEW", "SOURCE", "STREAM", "SINK", "INDEX", "FUNCTION"]) {
            Some("INDEX") => RelationKind::Index,
            Some("TABLE") => RelationKind::Table,
            Some("VIEW") => RelationKind::View,
            Some("SOURCE" | "STREAM") => RelationKind::Source,
            Some("SINK") => RelationKind::Sink,
            Some(_) => RelationKind::Function,
            None => {
                let word = cursor.peek_word().unwrap_or_default();
                if ["DATABASE", "SCHEMA", "CATALOG", "CONNECTION", "SECRET", "MODEL", "TYPE"].contains(&word.as_str()) {
                    return Ok(refused(&format!("DROP {word}"), "there is none to drop", start));
                }
                return Err(cursor.expected("TABLE, SOURCE, STREAM, SINK, VIEW, MATERIALIZED VIEW or FUNCTION"));
            }
        }
    };
    let if_exists = cursor.accept(&["IF", "EXISTS"]);
    let mut dropped = vec![cursor.name("a name")?];
    while cursor.accept_token(&Token::Comma) {
        dropped.push(cursor.name("a name")?);
    }
    if kind == RelationKind::Function && cursor.peek(0) == Some(&Token::LParen) {
        // `DROP FUNCTION f(INT)`: names are not overloaded.
        cursor.parens("argument types")?;
    }
    let cascade = cursor.accept(&["CASCADE"]);
    cursor.accept(&["RESTRICT"]);
    cursor.finish("DROP and its names")?;
    Ok(Statement::Drop { kind, if_exists, names: dropped, cascade })
}
