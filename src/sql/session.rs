//! What programs say to a database server around their queries: transactions, prepared statements, DISCARD, COPY.

use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::statement::{CopyFormat, SessionCommand, Statement};
use super::{commands, parser, query};
use crate::error::Result;

/// The statement as one about the session, when its first words say so.
pub(super) fn command(cursor: &mut Cursor<'_>) -> Result<Option<Statement>> {
    let span = cursor.span();
    let word = cursor.accept_any(&[
        "BEGIN",
        "START",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "SAVEPOINT",
        "RELEASE",
        "DISCARD",
        "DEALLOCATE",
    ]);
    let Some(word) = word else { return Ok(None) };
    let command = match word {
        "BEGIN" => SessionCommand::Begin,
        "START" => {
            cursor.expect(&["TRANSACTION"])?;
            SessionCommand::Start
        }
        "COMMIT" | "END" => SessionCommand::Commit,
        "ROLLBACK" | "ABORT" => {
            cursor.accept_any(&["WORK", "TRANSACTION"]);
            if cursor.accept(&["TO"]) { SessionCommand::RollbackTo } else { SessionCommand::Rollback }
        }
        "SAVEPOINT" => SessionCommand::Savepoint,
        "RELEASE" => SessionCommand::Release,
        "DISCARD" => SessionCommand::Discard,
        _ => {
            cursor.accept(&["PREPARE"]);
            let all = cursor.accept(&["ALL"]);
            let name = if all { None } else { Some(cursor.name("the name of a prepared statement")?.value) };
            cursor.finish("the name")?;
            SessionCommand::Deallocate(name)
        }
    };
    // Isolation levels and names of savepoints change nothing where each statement stands for itself.
    Ok(Some(Statement::Session { command, span: span.into() }))
}

/// `COPY name | (query) TO STDOUT [WITH] [(FORMAT CSV, HEADER)]`; other COPYs are not run.
pub(super) fn copy(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let span = cursor.span();
    let refused = || {
        Ok(commands::refused(
            "COPY",
            "COPY (query) TO STDOUT runs; CREATE TABLE … WITH ('connector' = 'filesystem', …) reads and writes files",
            span,
        ))
    };
    cursor.expect(&["COPY"])?;
    let statement = if cursor.peek(0) == Some(&Token::LParen) {
        let mut inner = cursor.parens("a query")?;
        match parser::statement(&mut inner)? {
            statement @ (Statement::Query(_) | Statement::Subscribe(_)) => statement,
            _ => return refused(),
        }
    } else {
        Statement::Query(Box::new(query::all_of(cursor.ident("a name or a query")?)))
    };
    if !cursor.accept(&["TO", "STDOUT"]) {
        return refused();
    }
    cursor.accept(&["WITH"]);
    let mut inner = if cursor.peek(0) == Some(&Token::LParen) { Some(cursor.parens("options")?) } else { None };
    let options = inner.as_mut().unwrap_or(&mut *cursor);
    let mut format = CopyFormat::default();
    while !options.is_done() {
        options.accept_token(&Token::Comma);
        options.accept(&["FORMAT"]);
        match options.accept_any(&["CSV", "TEXT", "HEADER"]) {
            Some("CSV") => format.csv = true,
            Some("TEXT") => format.csv = false,
            Some(_) => {
                format.header = options.accept_any(&["FALSE", "OFF"]).is_none();
                options.accept_any(&["TRUE", "ON"]);
            }
            None => return Err(options.expected("FORMAT CSV, FORMAT TEXT or HEADER")),
        }
    }
    cursor.finish("COPY")?;
    Ok(Statement::CopyOut { statement: Box::new(statement), format, span: span.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(sql: &str) -> Statement {
        let mut parsed = parser::parse(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(parsed.len(), 1, "{sql}");
        parsed.remove(0).statement
    }

    #[test]
    fn sessions() {
        for (sql, expected) in [
            ("BEGIN", SessionCommand::Begin),
            ("BEGIN TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", SessionCommand::Begin),
            ("start transaction", SessionCommand::Start),
            ("COMMIT WORK", SessionCommand::Commit),
            ("END", SessionCommand::Commit),
            ("ROLLBACK", SessionCommand::Rollback),
            ("ABORT", SessionCommand::Rollback),
            ("ROLLBACK TO SAVEPOINT s", SessionCommand::RollbackTo),
            ("SAVEPOINT s", SessionCommand::Savepoint),
            ("RELEASE s", SessionCommand::Release),
            ("DISCARD ALL", SessionCommand::Discard),
            ("DEALLOCATE ALL", SessionCommand::Deallocate(None)),
            ("DEALLOCATE PREPARE p1", SessionCommand::Deallocate(Some("p1".into()))),
        ] {
            let Statement::Session { command, .. } = one(sql) else { panic!("{sql}") };
            assert_eq!(command, expected, "{sql}");
        }
    }

    #[test]
    fn copies() {
        for (sql, csv, header) in [
            ("COPY t TO STDOUT", false, false),
            ("COPY (SELECT 1) TO STDOUT WITH CSV HEADER", true, true),
            ("COPY (SUBSCRIBE TO v) TO STDOUT (FORMAT csv, HEADER false)", true, false),
            ("COPY (SELECT 1) TO STDOUT (FORMAT text)", false, false),
        ] {
            let Statement::CopyOut { format, .. } = one(sql) else { panic!("{sql}") };
            assert_eq!(format, CopyFormat { csv, header }, "{sql}");
        }
        for sql in ["COPY t FROM STDIN", "COPY t TO '/tmp/x'", "COPY (DROP VIEW v) TO STDOUT"] {
            assert!(matches!(one(sql), Statement::NotYet { .. }), "{sql}");
        }
        assert!(parser::parse("COPY t TO STDOUT (FORMAT binary)").is_err());
    }
}
