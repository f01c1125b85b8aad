//! A script: its text with the variables put in, and its statements.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use sqlparser::ast;

use super::args::{Invocation, Options, SqlSource, pair};
use super::failure::Failure;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::sql;
use crate::sql::statement::{Parsed, Statement};

/// A parsed script.
#[derive(Debug)]
pub(crate) struct Script {
    /// What it is called in messages: `q.sql`, `-c`, `stdin`.
    pub(crate) origin: String,
    /// The text that was parsed, variables put in.
    pub(crate) text: String,
    /// Its statements.
    pub(crate) statements: Vec<Parsed>,
}

impl Script {
    /// Parses a text.
    ///
    /// # Errors
    /// At the first unset variable, and at the first thing that is no SQL.
    pub(crate) fn parse(
        origin: &str,
        text: String,
        variables: &BTreeMap<String, String>,
    ) -> std::result::Result<Arc<Self>, Failure> {
        let located = |error, text: String| {
            Failure::in_script(error, &Arc::new(Self { origin: origin.to_owned(), text, statements: Vec::new() }))
        };
        let substituted = match sql::substitute(&text, variables) {
            Ok(substituted) => substituted,
            Err(error) => return Err(located(error, text)),
        };
        match sql::parse(&substituted) {
            Ok(statements) => Ok(Arc::new(Self { origin: origin.to_owned(), text: substituted, statements })),
            Err(error) => Err(located(error, substituted)),
        }
    }

    /// Reads and parses the SQL of a source.
    ///
    /// # Errors
    /// When it can't be read, and as [`Script::parse`].
    pub(crate) fn load(
        source: &SqlSource,
        host: &Host,
        variables: &BTreeMap<String, String>,
    ) -> std::result::Result<Arc<Self>, Failure> {
        let (origin, text) = match source {
            SqlSource::Command(text) => ("-c".to_owned(), text.clone()),
            SqlSource::File(path) => (path.display().to_string(), read_text(host, path).map_err(Failure::usage)?),
            SqlSource::Stdin => {
                let mut text = String::new();
                std::io::stdin().lock().read_to_string(&mut text).map_err(|e| Error::from(e).context("stdin"))?;
                ("stdin".to_owned(), text)
            }
        };
        Self::parse(&origin, text, variables)
    }
}

/// The init scripts and the scripts of an invocation, all parsed before anything starts.
///
/// # Errors
/// As [`Script::load`]; and when rows are to come from the stdin that the SQL came from.
pub(crate) fn load_all(
    invocation: &Invocation,
    host: &Host,
    variables: &BTreeMap<String, String>,
) -> std::result::Result<Vec<Arc<Script>>, Failure> {
    let sources = invocation.init.iter().chain(&invocation.scripts);
    let scripts =
        sources.map(|source| Script::load(source, host, variables)).collect::<std::result::Result<Vec<_>, _>>()?;
    if invocation.sql_owns_stdin() {
        refuse_stdin(&scripts)?;
    }
    if let Some(output) = &invocation.options.output {
        refuse_output(&scripts, output)?;
    }
    Ok(scripts)
}

/// The variables of `--var-file` and `-v`; the latter win.
///
/// # Errors
/// A file that can't be read, or a line that is no `name=value`.
pub(crate) fn variables(options: &Options, host: &Host) -> Result<BTreeMap<String, String>> {
    let mut variables = BTreeMap::new();
    for path in &options.var_file {
        for (index, line) in read_text(host, path)?.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = || format!("{}:{}", path.display(), index + 1);
            variables.extend([pair(line).map_err(|e| Error::config(format!("{}: {e}", place())))?]);
        }
    }
    variables.extend(options.variables.iter().cloned());
    Ok(variables)
}

/// A whole text file.
///
/// # Errors
/// When it is not there, or no UTF-8.
pub(crate) fn read_text(host: &Host, path: &Path) -> Result<String> {
    let mut text = String::new();
    let read = host.files.open(path).and_then(|mut file| file.read_to_string(&mut text));
    read.map_err(|e| Error::config(format!("can't read '{}': {e}", path.display())))?;
    Ok(text)
}

/// Rows can't come from the stdin that the SQL came from.
pub(super) fn refuse_stdin(scripts: &[Arc<Script>]) -> std::result::Result<(), Failure> {
    let all = || scripts.iter().flat_map(|script| script.statements.iter().map(move |parsed| (script, parsed)));
    let redefined = all().any(|(_, parsed)| defines_stdin(&parsed.statement));
    let reader = all().find(|(_, parsed)| reads_stdin(&parsed.statement, redefined));
    let Some((script, parsed)) = reader else { return Ok(()) };
    let error = Error::config("stdin holds the SQL, so it can't hold the rows of this statement too")
        .at(parsed.span)
        .help("give the SQL with -c '…' or in a file, and leave stdin to the rows");
    Err(Failure::in_script(error, script).into_usage())
}

/// `-o` empties its file, so no statement may read its rows from there.
///
/// # Errors
/// At the first statement that names the file.
pub(super) fn refuse_output(scripts: &[Arc<Script>], output: &Path) -> std::result::Result<(), Failure> {
    let is_output = |text: &str| Path::new(text) == output;
    for script in scripts {
        for parsed in &script.statements {
            let reads = match &parsed.statement {
                Statement::CreateTable(table) => table.options.get("path").is_some_and(is_output),
                Statement::Query(query) | Statement::Subscribe(query) => {
                    ast::visit_relations(query.query.as_ref(), |name| match name.0.as_slice() {
                        [part] if part.as_ident().is_some_and(|i| is_output(&i.value)) => ControlFlow::Break(()),
                        _ => ControlFlow::Continue(()),
                    })
                    .is_break()
                }
                _ => false,
            };
            if reads {
                let error = Error::config(format!("-o would empty '{}' before it is read", output.display()))
                    .at(parsed.span)
                    .help("print to another file, and rename it afterwards");
                return Err(Failure::in_script(error, script).into_usage());
            }
        }
    }
    Ok(())
}

/// Whether a statement makes a relation of its own by the name of stdin.
fn defines_stdin(statement: &Statement) -> bool {
    match statement {
        Statement::CreateTable(table) => table.name.value == "stdin",
        Statement::CreateView(view) => view.name.value == "stdin",
        _ => false,
    }
}

/// Whether a statement takes rows from stdin: by the relation `stdin`, or by a table whose options say so.
fn reads_stdin(statement: &Statement, redefined: bool) -> bool {
    let query = |query: &ast::Query| !redefined && mentions_stdin(query);
    match statement {
        Statement::CreateTable(table) => {
            let connector = table.options.iter().any(|(name, value)| match name {
                "connector" => value.eq_ignore_ascii_case("stdin"),
                "path" => value == "-" || value == "/dev/stdin",
                _ => false,
            });
            connector || table.query.as_ref().is_some_and(|q| query(&q.query))
        }
        Statement::CreateSink(sink) => sink.query.as_ref().is_some_and(|q| query(&q.query)),
        Statement::CreateView(view) => query(&view.query.query),
        Statement::Insert(insert) => query(&insert.query.query),
        Statement::StatementSet(inserts) => inserts.iter().any(|insert| query(&insert.query.query)),
        Statement::Query(q) | Statement::Subscribe(q) => query(&q.query),
        Statement::Explain { statement, .. } => reads_stdin(statement, redefined),
        _ => false,
    }
}

fn mentions_stdin(query: &ast::Query) -> bool {
    ast::visit_relations(query, |name| {
        let found = matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|i| i.value.eq_ignore_ascii_case("stdin")));
        if found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .is_break()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Location, Span};
    use crate::sql::statement::Query;

    fn select(sql: &str) -> Statement {
        let mut parsed = sqlparser::parser::Parser::parse_sql(&sqlparser::dialect::GenericDialect {}, sql).unwrap();
        let Some(ast::Statement::Query(query)) = parsed.pop() else { panic!("{sql}") };
        Statement::Query(Box::new(Query { query, emit: None }))
    }

    #[test]
    fn finds_stdin_wherever_it_stands() {
        for (sql, reads) in [
            ("SELECT * FROM stdin", true),
            ("SELECT * FROM tumble((SELECT * FROM STDIN), ts, INTERVAL '5' SECOND)", true),
            ("SELECT * FROM a WHERE x IN (SELECT y FROM stdin)", true),
            ("WITH c AS (SELECT * FROM stdin) SELECT * FROM c", true),
            ("SELECT stdin FROM a", false),
            ("SELECT * FROM s.stdin", false),
        ] {
            assert_eq!(reads_stdin(&select(sql), false), reads, "{sql}");
            assert!(!reads_stdin(&select(sql), true), "{sql}");
        }
    }

    #[test]
    fn output_is_no_input() {
        let at = Location { line: 1, column: 1 };
        let statement = select("SELECT * FROM \"a.csv\"");
        let parsed = Parsed { statement, text: String::new(), span: Span { start: at, end: at } };
        let script = Arc::new(Script { origin: "-c".into(), text: String::new(), statements: vec![parsed] });
        assert!(refuse_output(std::slice::from_ref(&script), Path::new("a.csv")).is_err());
        assert!(refuse_output(&[script], Path::new("b.csv")).is_ok());
    }

    #[test]
    fn sql_and_rows_cannot_share_stdin() {
        let at = Location { line: 1, column: 1 };
        let parsed = Parsed {
            statement: select("SELECT * FROM stdin"),
            text: "SELECT * FROM stdin".into(),
            span: Span { start: at, end: at },
        };
        let script = Script { origin: "stdin".into(), text: parsed.text.clone(), statements: vec![parsed] };
        let failure = refuse_stdin(&[Arc::new(script)]).unwrap_err();
        assert_eq!(failure.exit().code(), 2);
        assert!(failure.render(false).contains("-c"), "{}", failure.render(false));
    }
}
