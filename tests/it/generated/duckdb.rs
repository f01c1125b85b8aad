//! DuckDB as a second oracle: one Python process, fed cases over a pipe.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tidemill::verify::rows::{Table, float};

use super::case::{Case, Step};
use super::data::TABLES;
use super::query::Reader;

/// Names the Python that has the package `duckdb`.
pub(crate) const VARIABLE: &str = "TIDEMILL_DUCKDB_PYTHON";

/// A running DuckDB.
pub(crate) struct DuckDb {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl DuckDb {
    /// Starts it, where there is one.
    pub(crate) fn start() -> Option<Self> {
        let python = std::env::var(VARIABLE).ok().filter(|p| !p.is_empty())?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/generated/answers.py");
        let mut child = Command::new(&python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{VARIABLE}={python}: {e}"));
        let (to, from) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        Some(Self { child, to, from: BufReader::new(from) })
    }

    /// The answer after every interval, or why there is none.
    pub(crate) fn answers(&mut self, case: &Case) -> Result<Vec<Table>, String> {
        let view = case.views.last().expect("a view");
        let of_interval = |steps: &Vec<Step>| steps.iter().map(|s| s.sql(Reader::DuckDb)).collect::<Vec<String>>();
        let mut ddl: Vec<String> = TABLES.iter().map(|t| t.ddl().replace("TIMESTAMP(3)", "TIMESTAMP_MS")).collect();
        for made in &case.views[..case.views.len() - 1] {
            ddl.push(format!("CREATE VIEW {} AS {}", made.name, made.query.sql(Reader::DuckDb)));
        }
        let request = serde_json::json!({
            "ddl": ddl,
            "intervals": case.intervals.iter().map(of_interval).collect::<Vec<_>>(),
            "query": view.query.sql(Reader::DuckDb),
        });
        let mut line = String::new();
        let sent = self.to.as_mut().map(|to| writeln!(to, "{request}").and_then(|()| to.flush()));
        let read = self.from.read_line(&mut line);
        let lost = || panic!("the DuckDB process is gone");
        if !matches!(sent, Some(Ok(()))) || !matches!(read, Ok(1..)) {
            lost();
        }
        let answer: serde_json::Value = serde_json::from_str(&line).expect("an answer is JSON");
        if let Some(error) = answer["error"].as_str() {
            return Err(error.to_owned());
        }
        let answers: Vec<Vec<Vec<String>>> = serde_json::from_value(answer["answers"].clone()).expect("rows of text");
        let cell = |text: String| match text.strip_prefix("f:") {
            Some(number) => float(number.parse().expect("a number")),
            None => text,
        };
        let table = |rows: Vec<Vec<String>>| {
            let mut table = Table::new();
            for row in rows {
                *table.entry(row.into_iter().map(cell).collect()).or_default() += 1;
            }
            table
        };
        Ok(answers.into_iter().map(table).collect())
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        // It ends when its input does.
        self.to = None;
        let _ = self.child.wait();
    }
}
