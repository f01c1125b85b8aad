//! INSERT, UPDATE, DELETE and TRUNCATE.

use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::commands::refused;
use super::cursor::Cursor;
use super::ddl::names;
use super::query;
use super::statement::{Conflict, ConflictAction, Insert, Name, Statement, Update};
use crate::error::{Error, Result};

/// `INSERT INTO target [(columns)] query`.
pub(super) fn insert(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.span();
    if cursor.at_words(&["INSERT", "OVERWRITE"]) {
        return Ok(refused(
            "INSERT OVERWRITE",
            "write INSERT INTO: a stream's result grows, it is not replaced",
            start,
        ));
    }
    match insert_into(cursor)? {
        Some(insert) => Ok(Statement::Insert(Box::new(insert))),
        None => Ok(refused(
            "INSERT … PARTITION",
            "declare PARTITIONED BY in the sink's DDL; rows find their partition by their values",
            start,
        )),
    }
}

/// The INSERT that is all that is left; `None` for one into a named partition.
pub(super) fn insert_into(cursor: &mut Cursor<'_>) -> Result<Option<Insert>> {
    cursor.expect(&["INSERT"])?;
    cursor.expect(&["INTO"])?;
    cursor.accept(&["TABLE"]);
    let target = cursor.name("the table or sink to insert into")?;
    if cursor.at_words(&["PARTITION"]) {
        return Ok(None);
    }
    let mut columns = Vec::new();
    if cursor.peek(0) == Some(&Token::LParen) {
        let mut inner = *cursor;
        let list = inner.parens("columns")?;
        if !query::starts_query(&list) {
            columns = names(&list)?;
            *cursor = inner;
        }
    }
    let mut source = cursor.split_before(|c| c.at_words(&["ON", "CONFLICT"]) || c.at_words(&["RETURNING"]));
    let query = query::query(&mut source)?;
    let on_conflict = if cursor.at_words(&["ON", "CONFLICT"]) { Some(conflict(cursor)?) } else { None };
    no_returning(cursor)?;
    cursor.finish("the INSERT")?;
    Ok(Some(Insert { target, columns, query, on_conflict }))
}

/// `ON CONFLICT [(columns)] DO NOTHING | DO UPDATE SET c = expr, … [WHERE expr]`.
fn conflict(cursor: &mut Cursor<'_>) -> Result<Conflict> {
    let span = cursor.span();
    cursor.expect(&["ON", "CONFLICT"])?;
    let columns = if cursor.peek(0) == Some(&Token::LParen) { names(&cursor.parens("columns")?)? } else { Vec::new() };
    if cursor.at_words(&["ON", "CONSTRAINT"]) {
        return Err(Error::unsupported("ON CONFLICT ON CONSTRAINT")
            .at(cursor.span().into())
            .help("name the columns of the primary key: ON CONFLICT (id) DO …"));
    }
    cursor.expect(&["DO"])?;
    let action = if cursor.accept(&["NOTHING"]) {
        ConflictAction::Nothing
    } else {
        cursor.expect(&["UPDATE"])?;
        cursor.expect(&["SET"])?;
        let mut list = cursor.split_before(|c| c.at_words(&["WHERE"]) || c.at_words(&["RETURNING"]));
        let assignments = assignments(&mut list)?;
        let selection = if cursor.accept(&["WHERE"]) { Some(Box::new(cursor.expr()?)) } else { None };
        ConflictAction::Update { assignments, selection }
    };
    Ok(Conflict { columns, action, span: span.into() })
}

/// `UPDATE t [AS a] SET c = expr, … [FROM …] [WHERE …]`.
pub(super) fn update(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["UPDATE"])?;
    cursor.accept(&["ONLY"]);
    let (target, alias) = target(cursor, &["SET"])?;
    cursor.expect(&["SET"])?;
    let mut list =
        cursor.split_before(|c| c.at_words(&["FROM"]) || c.at_words(&["WHERE"]) || c.at_words(&["RETURNING"]));
    let assignments = assignments(&mut list)?;
    let from = if cursor.accept(&["FROM"]) { relations(cursor)? } else { Vec::new() };
    let selection = selection(cursor)?;
    Ok(Statement::Update(Box::new(Update { target, alias, assignments, from, selection })))
}

/// `DELETE FROM t [AS a] [USING …] [WHERE …]`.
pub(super) fn delete(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["DELETE"])?;
    cursor.expect(&["FROM"])?;
    cursor.accept(&["ONLY"]);
    let (target, alias) = target(cursor, &["USING", "WHERE", "RETURNING"])?;
    let from = if cursor.accept(&["USING"]) { relations(cursor)? } else { Vec::new() };
    let selection = selection(cursor)?;
    Ok(Statement::Delete(Box::new(Update { target, alias, assignments: Vec::new(), from, selection })))
}

/// `TRUNCATE [TABLE] t`.
pub(super) fn truncate(cursor: &mut Cursor<'_>) -> Result<Statement> {
    cursor.expect(&["TRUNCATE"])?;
    cursor.accept(&["TABLE"]);
    let target = cursor.name("a table")?;
    cursor.finish("TRUNCATE and its table")?;
    let update = Update { target, alias: None, assignments: Vec::new(), from: Vec::new(), selection: None };
    Ok(Statement::Delete(Box::new(update)))
}

/// The table that is changed, and its alias.
fn target(cursor: &mut Cursor<'_>, ends: &[&str]) -> Result<(Name, Option<Name>)> {
    let target = cursor.name("the table to change")?;
    let named = cursor.accept(&["AS"]);
    let ended = cursor.is_done() || ends.iter().any(|word| cursor.at_words(&[word]));
    let alias = if named || !ended { Some(cursor.name("an alias")?) } else { None };
    Ok((target, alias))
}

/// `c = expr, (a, b) = (expr, expr), …`.
fn assignments(list: &mut Cursor<'_>) -> Result<Vec<(Name, ast::Expr)>> {
    let mut all = Vec::new();
    for mut part in list.split_commas() {
        if part.peek(0) == Some(&Token::LParen) {
            let columns = names(&part.parens("columns")?)?;
            expect_equals(&mut part)?;
            part.accept(&["ROW"]);
            let at = part.span();
            let values = part.parens("a value for each column")?.split_commas();
            if values.len() != columns.len() {
                return Err(
                    Error::sql(format!("{} columns are set to {} values", columns.len(), values.len())).at(at.into())
                );
            }
            for (column, mut value) in columns.into_iter().zip(values) {
                all.push((column, value.expr()?));
                value.finish("the value")?;
            }
        } else {
            let column = part.name("a column")?;
            expect_equals(&mut part)?;
            all.push((column, part.expr()?));
        }
        part.finish("the value")?;
    }
    for (n, (column, _)) in all.iter().enumerate() {
        if all[..n].iter().any(|(before, _)| before.value == column.value) {
            return Err(Error::sql(format!("column '{}' is set twice", column.spelled)).at(column.span));
        }
    }
    Ok(all)
}

fn expect_equals(part: &mut Cursor<'_>) -> Result<()> {
    if part.accept_token(&Token::Eq) { Ok(()) } else { Err(part.expected("'='")) }
}

fn relations(cursor: &mut Cursor<'_>) -> Result<Vec<ast::TableWithJoins>> {
    cursor.sqlparser(|parser: &mut Parser<'_>| parser.parse_comma_separated(Parser::parse_table_and_joins))
}

fn selection(cursor: &mut Cursor<'_>) -> Result<Option<ast::Expr>> {
    let selection = if cursor.accept(&["WHERE"]) { Some(cursor.expr()?) } else { None };
    no_returning(cursor)?;
    cursor.finish("the statement")?;
    Ok(selection)
}

fn no_returning(cursor: &Cursor<'_>) -> Result<()> {
    if !cursor.at_words(&["RETURNING"]) {
        return Ok(());
    }
    Err(Error::unsupported("RETURNING does not run yet")
        .at(cursor.span().into())
        .help("leave it out, and SELECT the rows afterwards: they are there when the statement returns"))
}
