//! The scripts in `tests/slt`, run by sqllogictest against an engine whose clock and steps are records of the script:
//!
//! | record | what it does |
//! |---|---|
//! | `FILE name` + lines | writes a file; `$DIR/name` is its path in SQL |
//! | `PUSH TABLE t (c TYPE, …) [TIME c] [DELAY '2s'] [PARTITIONS n]` | declares a push table |
//! | `PUSH t` or `PUSH t[1]` + JSON lines | pushes rows into (a partition of) it |
//! | `CLOSE t` | ends a push table |
//! | `ADVANCE CLOCK TO '2026-01-01T00:00:05'` or `BY '5s'` | moves the clock, which begins at 2026-01-01T00:00:00 |
//! | `STEP [n]`, `RUN` | runs n intervals, or until nothing happens |
//! | `START q AS SELECT …` | starts a live query under a name |
//! | `TAKE q` | (query) what came out of it since it was last taken |
//! | `FOLD SELECT …` | (query) a live query, its changes folded to the table that they make |
//! | `SOURCE t` | (query) rows_in, bad, quarantined, null_time of the last run |
//! | `LATE` | (query) rows counted late by each query of the last run |
//! | `STATE` | (query) query, operator and rows held, of each operator that runs |
//! | `READ` | (query) rows read from state tables by each query of the last run |
//! | `SHOW FILE 'name'` | (query) the lines of a file |
//!
//! A live SELECT in a `query` record runs until nothing happens and gives the rows that came out, with a first column `op` when
//! rows also leave. Each script is run three times, by the labels `straight`, `one_row` (intervals of a single row) and
//! `few_rows` (intervals of three): a record that is not `onlyif` one of them must give the same rows in all. That is
//! cut-invariance, script by script.
//!
//! `TIDEMILL_SLT=name` runs only scripts with this in their path; with `TIDEMILL_SLT_WRITE=straight` the results of
//! that run are written into them (look at what you get before you believe it).

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner};
use tempfile::TempDir;
use tidemill::change::Change;
use tidemill::engine::{Engine, Outcome, PushTable, QueryHandle};
use tidemill::error::Error;
use tidemill::host::ManualClock;
use tidemill::sql::statement::Statement;
use tidemill::time::{Timestamp, parse_duration};

use crate::rows;

/// A database for sqllogictest.
struct Mill {
    engine: Engine,
    clock: Arc<ManualClock>,
    dir: TempDir,
    pushed: BTreeMap<String, (PushTable, SchemaRef)>,
    live: BTreeMap<String, QueryHandle>,
}

type Output = DBOutput<DefaultColumnType>;

/// An error on one line, so that a regular expression can look for its message and its help.
#[derive(Debug)]
struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("{:?}: {}", error.kind(), error.to_string().replace('\n', " | ")))
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self(text)
    }
}

type Result<T> = std::result::Result<T, Failure>;

impl Mill {
    fn new(rows_per_interval: Option<usize>) -> Self {
        let (engine, clock) = rows::engine();
        if let Some(rows) = rows_per_interval {
            engine.set("max_rows_per_interval", &rows.to_string()).expect("a setting");
        }
        let dir = TempDir::new().expect("a folder for files");
        Self { engine, clock, dir, pushed: BTreeMap::new(), live: BTreeMap::new() }
    }

    async fn record(&mut self, sql: &str) -> Result<Output> {
        let sql = sql.replace("$DIR", &self.dir.path().display().to_string());
        let (head, body) = sql.split_once('\n').unwrap_or((&sql, ""));
        let words: Vec<&str> = head.split_whitespace().collect();
        match words.as_slice() {
            ["FILE", name] => self.file(name, body),
            ["PUSH", "TABLE", ..] => self.push_table(&sql),
            ["PUSH", target] => self.push(target, body),
            ["CLOSE", name] => {
                self.table(name)?.0.close();
                done()
            }
            ["ADVANCE", "CLOCK", "TO", time] => {
                let time = chrono::NaiveDateTime::parse_from_str(time.trim_matches('\''), "%Y-%m-%dT%H:%M:%S%.f")
                    .map_err(|e| e.to_string())?;
                self.clock.set(Timestamp(time.and_utc().timestamp_micros()));
                done()
            }
            ["ADVANCE", "CLOCK", "BY", time @ ..] => {
                self.clock.advance(parse_duration(&time.join(" "))?);
                done()
            }
            ["STEP", steps @ ..] => {
                for _ in 0..steps.first().map_or(1, |n| n.parse().expect("a number of steps")) {
                    self.engine.step().await?;
                }
                done()
            }
            ["RUN"] => {
                rows::run(&self.engine).await?;
                done()
            }
            ["START", name, "AS", ..] => {
                let (_, query) = sql.split_once(" AS ").ok_or_else(|| "START q AS SELECT …".to_owned())?;
                let handle = self.engine.sql(query).await?;
                self.live.insert((*name).to_owned(), handle);
                done()
            }
            ["TAKE", name] => {
                let handle = self.live.get_mut(*name).ok_or_else(|| format!("no query {name} was started"))?;
                Ok(changes(&handle.take()))
            }
            ["DROP", "QUERY", name] => {
                self.live.remove(*name);
                done()
            }
            ["FOLD", ..] => {
                let taken = self.run_live(sql.trim_start_matches("FOLD")).await?;
                let rows = rows::fold(&taken).into_iter();
                let many = |(row, weight): (rows::Row, i64)| {
                    assert!(weight > 0, "more of a row left than came: {row:?}");
                    std::iter::repeat_n(row, usize::try_from(weight).expect("positive"))
                };
                Ok(output(rows.flat_map(many).collect()))
            }
            ["SOURCE", name] => {
                let progress = self.engine.progress();
                let source = progress.sources.iter().rfind(|s| s.name == *name);
                let m = &source.ok_or_else(|| format!("no source {name} ran"))?.metrics;
                let counts = [m.rows_in, m.bad, m.quarantined, m.null_time];
                Ok(output(vec![counts.iter().map(ToString::to_string).collect()]))
            }
            ["LATE"] => {
                let progress = self.engine.progress();
                Ok(output(progress.queries.iter().map(|q| vec![q.metrics.late.to_string()]).collect()))
            }
            ["STATE"] => {
                let row = |o: &tidemill::runtime::OperatorReport| {
                    vec![o.query.clone(), format!("{}#{}", o.kind, o.operator), o.rows.to_string()]
                };
                Ok(output(self.engine.state().await.iter().map(row).collect()))
            }
            ["READ"] => {
                let progress = self.engine.progress();
                let read = |q: &tidemill::runtime::QueryProgress| vec![q.metrics.state_rows_read.to_string()];
                Ok(output(progress.queries.iter().map(read).collect()))
            }
            ["SHOW", "FILE", name] => {
                let path = self.dir.path().join(name.trim_matches('\''));
                Ok(output(read(&path)?.lines().map(|l| vec![l.to_owned()]).collect()))
            }
            _ => self.sql(&sql).await,
        }
    }

    async fn sql(&mut self, sql: &str) -> Result<Output> {
        let mut parsed = tidemill::sql::parse(sql)?;
        if parsed.len() == 1
            && let Some(one) = parsed.pop()
            && matches!(one.statement, Statement::Query(_) | Statement::Subscribe(_))
        {
            if self.engine.is_snapshot(&one) {
                return Ok(output(rows::of_batches(&self.engine.query(sql).await?)));
            }
            return Ok(changes(&self.run_live(sql).await?));
        }
        let mut rows = None;
        for outcome in self.engine.run_script(sql).await? {
            if let Outcome::Rows { batches, .. } = outcome {
                rows = Some(rows::of_batches(&batches));
            }
        }
        rows.map_or_else(done, |rows| Ok(output(rows)))
    }

    /// Runs a live query until nothing happens any more.
    async fn run_live(&mut self, sql: &str) -> Result<Vec<Change>> {
        let mut handle = self.engine.sql(sql).await?;
        rows::run(&self.engine).await?;
        Ok(handle.take())
    }

    #[allow(clippy::disallowed_methods)]
    fn file(&self, name: &str, body: &str) -> Result<Output> {
        let path = self.dir.path().join(name);
        let folder = path.parent().unwrap_or(self.dir.path());
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(&path, format!("{body}\n")))
            .map_err(|e| e.to_string())?;
        done()
    }

    fn push_table(&mut self, sql: &str) -> Result<Output> {
        let wrong = || "PUSH TABLE t (c TYPE, …) [TIME c] [DELAY '2s'] [PARTITIONS n]".to_owned();
        let (name, rest) = sql["PUSH TABLE".len()..].split_once('(').ok_or_else(wrong)?;
        let (columns, options) = rest.rsplit_once(')').ok_or_else(wrong)?;
        // TIMESTAMP(3) has a parenthesis of its own.
        let field = |column: &str| -> Result<Field> {
            let (name, kind) = column.trim().split_once(' ').ok_or_else(wrong)?;
            Ok(Field::new(name, data_type(kind.trim())?, true))
        };
        let schema = Arc::new(Schema::new(columns.split(',').map(field).collect::<Result<Vec<_>>>()?));
        let mut builder = self.engine.push_table(name.trim(), schema.clone());
        let words: Vec<&str> = options.split_whitespace().collect();
        for pair in words.chunks(2) {
            builder = match pair {
                ["TIME", column] => builder.event_time(column),
                ["DELAY", delay] => builder.lateness(delay),
                ["PARTITIONS", n] => builder.partitions(n.parse().map_err(|_| wrong())?),
                _ => return Err(wrong().into()),
            };
        }
        self.pushed.insert(name.trim().to_owned(), (builder.create()?, schema));
        done()
    }

    fn push(&self, target: &str, body: &str) -> Result<Output> {
        let (name, partition) = match target.trim_end_matches(']').split_once('[') {
            Some((name, partition)) => (name, partition.parse().map_err(|_| format!("{target}: no partition"))?),
            None => (target, 0),
        };
        let (table, schema) = self.table(name)?;
        table.push_to(partition, json_rows(schema, body)?)?;
        done()
    }

    fn table(&self, name: &str) -> Result<&(PushTable, SchemaRef)> {
        Ok(self.pushed.get(name).ok_or_else(|| format!("no push table {name}"))?)
    }
}

/// Rows of JSON lines.
pub(crate) fn json_rows(schema: &SchemaRef, text: &str) -> std::result::Result<RecordBatch, String> {
    let reader = arrow::json::ReaderBuilder::new(schema.clone()).build(text.as_bytes()).map_err(|e| e.to_string())?;
    let batches = reader.collect::<std::result::Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
    arrow::compute::concat_batches(schema, &batches).map_err(|e| e.to_string())
}

fn data_type(name: &str) -> Result<DataType> {
    Ok(match name {
        "BIGINT" => DataType::Int64,
        "DOUBLE" => DataType::Float64,
        "VARCHAR" => DataType::Utf8,
        "BOOLEAN" => DataType::Boolean,
        "TIMESTAMP(3)" => DataType::Timestamp(TimeUnit::Millisecond, None),
        "TIMESTAMP" => DataType::Timestamp(TimeUnit::Microsecond, None),
        other => return Err(format!("{other}: no type for a push table").into()),
    })
}

fn done() -> Result<Output> {
    Ok(DBOutput::StatementComplete(0))
}

fn output(rows: Vec<rows::Row>) -> Output {
    let rows: Vec<rows::Row> = rows
        .into_iter()
        .map(|row| row.into_iter().map(|cell| if cell.is_empty() { "(empty)".to_owned() } else { cell }).collect())
        .collect();
    let width = rows.first().map_or(1, Vec::len);
    DBOutput::Rows { types: vec![DefaultColumnType::Any; width], rows }
}

/// Rows of changes; `op` leads them when any row left.
fn changes(changes: &[Change]) -> Output {
    let all: Vec<_> = changes
        .iter()
        .flat_map(|c| rows::of_batch(&c.batch).into_iter().enumerate().map(|(i, r)| (c.weight(i), r)))
        .collect();
    let weighted = all.iter().any(|(weight, _)| *weight != 1);
    let row = |(weight, mut row): (i64, rows::Row)| {
        if weighted {
            row.insert(0, if weight < 0 { "-".to_owned() } else { "+".to_owned() });
        }
        std::iter::repeat_n(row, usize::try_from(weight.abs()).expect("small"))
    };
    output(all.into_iter().flat_map(row).collect())
}

#[allow(clippy::disallowed_methods)]
fn read(path: &Path) -> Result<String> {
    Ok(std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?)
}

#[async_trait]
impl AsyncDB for Mill {
    type Error = Failure;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<Output> {
        self.record(sql).await
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &'static str {
        "tidemill"
    }
}

/// The scripts, in the order of their names.
fn scripts() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("tests/slt is there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "slt") {
                found.push(path);
            }
        }
    }
    if let Ok(part) = std::env::var("TIDEMILL_SLT") {
        found.retain(|p| p.to_string_lossy().contains(&part));
    }
    found.sort();
    found
}

/// Runs every script with intervals of so many rows.
async fn run_all(label: &str, rows_per_interval: Option<usize>) {
    let mut failures = Vec::new();
    let write = std::env::var("TIDEMILL_SLT_WRITE").is_ok_and(|l| l == label);
    for script in scripts() {
        let mut runner = Runner::new(|| async { Ok(Mill::new(rows_per_interval)) });
        runner.add_label(label);
        if write {
            let written = runner
                .update_test_file(
                    &script,
                    " ",
                    sqllogictest::default_validator,
                    sqllogictest::default_normalizer,
                    sqllogictest::default_column_validator,
                )
                .await;
            written.expect("the script can be written");
        } else if let Err(error) = runner.run_file_async(&script).await {
            failures.push(format!("{}", error.display(false)));
        }
    }
    assert!(failures.is_empty(), "{} scripts failed ({label}):\n\n{}", failures.len(), failures.join("\n\n"));
}

#[tokio::test]
async fn scripts_run_straight() {
    run_all("straight", None).await;
}

#[tokio::test]
async fn scripts_run_in_intervals_of_one_row() {
    run_all("one_row", Some(1)).await;
}

#[tokio::test]
async fn scripts_run_in_intervals_of_three_rows() {
    run_all("few_rows", Some(3)).await;
}

#[tokio::test]
async fn a_wrong_script_fails() {
    let script = "statement ok\nFILE a.jsonl\n{\"n\":1}\n\nquery I\nSELECT n FROM '$DIR/a.jsonl'\n----\n2\n";
    let mut runner = Runner::new(|| async { Ok(Mill::new(None)) });
    assert!(runner.run_script_async(script).await.is_err());
}
