//! The column list of a DDL: columns, computed and metadata columns, WATERMARK, PRIMARY KEY, LIKE.

use sqlparser::ast::Expr;
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::ddl::names;
use super::parser::one_name;
use super::statement::{ColumnSpec, Name, WatermarkSpec};
use super::suggest;
use super::tokens::as_word;
use crate::error::{Error, Result, nearest};

/// What a column list says.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) columns: Vec<ColumnSpec>,
    pub(super) watermark: Option<WatermarkSpec>,
    pub(super) primary_key: Vec<Name>,
    pub(super) like: Option<Name>,
}

/// Reads the list between the parentheses.
pub(super) fn read(list: &Cursor<'_>) -> Result<Columns> {
    let mut out = Columns::default();
    for mut item in list.split_commas() {
        if item.is_done() {
            return Err(item.expected("a column").help("columns are apart by one comma, with none at the end"));
        }
        read_item(&mut item, &mut out)?;
    }
    for (n, column) in out.columns.iter().enumerate() {
        if out.columns[..n].iter().any(|before| before.name.value == column.name.value) {
            return Err(Error::sql(format!("column '{}' is declared twice", column.name.spelled)).at(column.name.span));
        }
    }
    Ok(out)
}

fn read_item(item: &mut Cursor<'_>, out: &mut Columns) -> Result<()> {
    let at = item.span();
    if item.at_words(&["WATERMARK"]) && item.peek(1).and_then(as_word).is_some_and(|w| w.eq_ignore_ascii_case("FOR")) {
        item.next();
        item.next();
        let watermark = watermark(item)?;
        if out.watermark.replace(watermark).is_some() {
            return Err(Error::sql("a table has one watermark").at(at.into()));
        }
        return Ok(());
    }
    if item.peek(1).and_then(as_word).is_some_and(|w| w.eq_ignore_ascii_case("FOR")) {
        let error = item.expected("a column or WATERMARK FOR");
        let near = item.peek(0).and_then(as_word).and_then(|w| nearest(w, ["WATERMARK"]));
        return Err(near.map_or_else(|| error.clone(), |near| error.clone().help(format!("did you mean {near}?"))));
    }
    if item.accept(&["CONSTRAINT"]) {
        item.ident("a constraint's name")?;
        if !item.at_words(&["PRIMARY"]) {
            return Err(unsupported_constraint(item));
        }
    }
    if item.at_words(&["PRIMARY", "KEY"]) && item.peek(2) == Some(&Token::LParen) {
        item.next();
        item.next();
        let keys = names(&item.parens("columns")?)?;
        enforced(item);
        item.finish("PRIMARY KEY (…)")?;
        return set_key(out, keys, at.into());
    }
    let constraint = item.at_words(&["UNIQUE"]) || item.at_words(&["CHECK"]) || item.at_words(&["FOREIGN", "KEY"]);
    if constraint && (item.peek(1) == Some(&Token::LParen) || item.at_words(&["FOREIGN"])) {
        return Err(unsupported_constraint(item));
    }
    if item.at_words(&["LIKE"]) && item.peek(2).is_none() {
        item.next();
        out.like = Some(one_name(item, "a table")?);
        return Ok(());
    }
    let (column, key) = column(item)?;
    if key {
        set_key(out, vec![column.name.clone()], at.into())?;
    }
    out.columns.push(column);
    Ok(())
}

fn set_key(out: &mut Columns, keys: Vec<Name>, at: crate::error::Span) -> Result<()> {
    if !out.primary_key.is_empty() {
        return Err(Error::sql("a table has one primary key").at(at));
    }
    out.primary_key = keys;
    Ok(())
}

fn unsupported_constraint(item: &Cursor<'_>) -> Error {
    Error::unsupported("only PRIMARY KEY … NOT ENFORCED is a constraint here")
        .at(item.rest_span().into())
        .help("rows of a stream are not checked; filter them with WHERE")
}

/// `WATERMARK FOR c [AS expr] [WITH TTL]`, after FOR.
fn watermark(item: &mut Cursor<'_>) -> Result<WatermarkSpec> {
    let column = item.name("the watermarked column")?;
    let expr = if item.accept(&["AS"]) { Some(item.expr()?) } else { None };
    // RisingWave's WITH TTL: what is older than the watermark is forgotten, as always here.
    item.accept(&["WITH", "TTL"]);
    item.finish("the watermark")?;
    Ok(WatermarkSpec { column, expr })
}

/// One column, and whether it is the primary key.
fn column(item: &mut Cursor<'_>) -> Result<(ColumnSpec, bool)> {
    let name = item.name("a column's name")?;
    let mut column =
        ColumnSpec { name, data_type: None, not_null: false, computed: None, metadata: None, default: None };
    if item.is_done() {
        return Err(item
            .expected("a type")
            .help(format!("write {} and its type, as in id BIGINT", column.name.spelled)));
    }
    if item.accept(&["AS"]) {
        column.computed = Some(item.expr()?);
    } else {
        column.data_type = Some(item.data_type()?);
    }
    let mut key = false;
    while !item.is_done() {
        if item.accept(&["NOT", "NULL"]) {
            column.not_null = true;
        } else if item.accept(&["NULL"]) || item.accept(&["VIRTUAL"]) || item.accept(&["STORED"]) {
            // The default, or a difference that streams don't make.
        } else if item.accept(&["PRIMARY", "KEY"]) {
            enforced(item);
            key = true;
        } else if item.accept(&["METADATA"]) {
            let named = item.accept(&["FROM"]);
            let name = if named { item.string("a metadata key in quotes")? } else { column.name.spelled.clone() };
            column.metadata = Some(name);
        } else if item.accept(&["DEFAULT"]) {
            column.default = Some(item.expr()?);
        } else if item.accept(&["GENERATED"]) {
            item.accept(&["ALWAYS"]);
            item.expect(&["AS"])?;
            column.computed = Some(parenthesized(item)?);
        } else if item.accept(&["AS"]) {
            column.computed = Some(parenthesized(item)?);
        } else if item.accept(&["COMMENT"]) {
            item.string("a comment in quotes")?;
        } else {
            return Err(unknown_option(item));
        }
    }
    Ok((column, key))
}

/// `(expr)` or `expr`.
fn parenthesized(item: &mut Cursor<'_>) -> Result<Expr> {
    Ok(match item.expr()? {
        Expr::Nested(inner) => *inner,
        other => other,
    })
}

fn enforced(item: &mut Cursor<'_>) {
    // Flink demands NOT ENFORCED, others don't know it: keys are never enforced.
    let _ = item.accept(&["NOT", "ENFORCED"]) || item.accept(&["ENFORCED"]);
}

fn unknown_option(item: &Cursor<'_>) -> Error {
    let error = item.expected("',' or ')' after the column");
    let known = ["NOT", "PRIMARY", "METADATA", "DEFAULT", "GENERATED", "COMMENT", "AS", "WATERMARK"];
    match item.peek(0).and_then(as_word).and_then(|word| nearest(word, known)) {
        Some(near) => error.help(format!("did you mean {near}?")),
        None => suggest::with_typo(error, item.rest(), 0).help("a comma may be missing before it"),
    }
}

/// `LIKE other [(INCLUDING ALL)]`, after LIKE.
pub(super) fn like(cursor: &mut Cursor<'_>) -> Result<Name> {
    let name = cursor.name("a table")?;
    if cursor.peek(0) == Some(&Token::LParen) {
        let mut choice = cursor.parens("INCLUDING ALL")?;
        if !choice.accept(&["INCLUDING", "ALL"]) || !choice.is_done() {
            return Err(Error::unsupported("LIKE takes the whole table")
                .at(choice.span().into())
                .help("leave the parentheses out"));
        }
    }
    Ok(name)
}
