//! The queries that ship, as the files say them: straight, in intervals of one row, and in random ones; one answer.
//!
//! They are compared with `tests/golden`, which `tests/golden/make.py` computes with DuckDB; those of `queries/nexmark` over the
//! events that `tests/golden/nexmark.options` describes. What reads stdin or a socket reads a file here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tidemill::catalog::Description;
use tidemill::change::Change;
use tidemill::connector::{Connector, RelationSpec, Sink, Source};
use tidemill::engine::{Engine, Output, OutputInfo};
use tidemill::error::{Error, Result};
use tidemill::host::ManualClock;
use tidemill::sql::statement::Statement;
use tidemill::time::{IntervalId, Timestamp};

use crate::rows::{self, Table};

/// What came out, by relation; `select` for a bare SELECT.
type Answers = BTreeMap<String, Table>;

/// Takes the place of the `print` connector, and of the screen.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<BTreeMap<String, Vec<Change>>>>);

struct CaptureSink {
    name: String,
    to: Capture,
}

impl Sink for CaptureSink {
    fn stage(&mut self, _: IntervalId, change: &Change) -> Result<()> {
        self.to.0.lock().expect("one thread").entry(self.name.clone()).or_default().push(change.clone());
        Ok(())
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Connector for Capture {
    fn name(&self) -> &'static str {
        "print"
    }

    fn describe(&self, spec: &RelationSpec) -> Result<Description> {
        spec.options.get("print-identifier");
        Ok(Description {
            bounded: true,
            live: false,
            readable: false,
            writable: true,
            accepts_changes: true,
            gives_changes: false,
            partitions: 1,
        })
    }

    fn source(&self, spec: &RelationSpec, _: &[usize]) -> Result<Box<dyn Source>> {
        Err(Error::internal(format!("{} is read", spec.name)))
    }

    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>> {
        Ok(Box::new(CaptureSink { name: spec.name.clone(), to: self.clone() }))
    }
}

impl Output for Capture {
    fn open(&mut self, _: &OutputInfo) -> Result<Box<dyn Sink>> {
        Ok(Box::new(CaptureSink { name: "select".to_owned(), to: self.clone() }))
    }
}

/// How many rows the intervals take, one after the other, over and over.
type Cut<'a> = &'a [usize];

/// Runs a script and folds what comes out of it.
async fn run(script: &str, cut: Cut<'_>) -> Result<Answers> {
    let capture = Capture::default();
    let clock = Arc::new(ManualClock::at(Timestamp(rows::START)));
    let engine = Engine::builder().clock(clock).inline_sources().connector(capture.clone()).build();
    engine.set("max_future_skew", "0")?;
    let mut outputs = capture.clone();
    let mut snapshots = Vec::new();
    for parsed in tidemill::sql::parse(script)? {
        if matches!(parsed.statement, Statement::Query(_)) && engine.is_snapshot(&parsed) {
            snapshots.push(parsed.text.clone());
        } else {
            engine.execute(&parsed, &mut outputs).await?;
        }
    }
    let mut quiet = 0;
    for rows in cut.iter().cycle() {
        engine.set("max_rows_per_interval", &rows.to_string())?;
        quiet = if engine.step().await?.interval.is_none() { quiet + 1 } else { 0 };
        if quiet == 8 {
            break;
        }
    }
    let taken = std::mem::take(&mut *capture.0.lock().expect("one thread"));
    let mut answers: Answers = taken.iter().map(|(name, changes)| (name.clone(), rows::fold(changes))).collect();
    for query in snapshots {
        answers.insert("select".to_owned(), rows::table(rows::of_batches(&engine.query(&query).await?)));
    }
    Ok(answers)
}

const CUTS: [(&str, Cut<'static>); 3] =
    [("straight", &[1 << 20]), ("one row", &[1]), ("random", &[7, 1, 30, 2, 100, 3, 13, 1, 1, 64])];

#[allow(clippy::disallowed_methods)]
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn golden(name: &str) -> Answers {
    let mut answers = Answers::new();
    for line in read(Path::new(&format!("tests/golden/{name}.tsv"))).lines() {
        let mut cells = line.split('\t').map(str::to_owned);
        let relation = cells.next().unwrap_or_default();
        *answers.entry(relation).or_default().entry(cells.collect()).or_default() += 1;
    }
    answers
}

fn compare(what: &str, wanted: &Answers, got: &Answers) {
    let none = Table::new();
    for relation in wanted.keys().chain(got.keys()) {
        let (wanted, got) = (wanted.get(relation).unwrap_or(&none), got.get(relation).unwrap_or(&none));
        assert!(wanted == got, "{what}, {relation}:\n{}", rows::difference(wanted, got));
    }
}

/// Runs a file with some of its text replaced, under all cuts, against its golden file.
async fn check(folder: &str, name: &str, replace: &[(&str, &str)]) {
    let mut script = read(Path::new(&format!("queries/{folder}/{name}.sql")));
    for (from, to) in replace {
        assert!(script.contains(from), "{name}: '{from}' is not in it any more");
        script = script.replace(from, to);
    }
    let wanted = golden(&format!("{folder}_{name}"));
    for (label, cut) in CUTS {
        let got = run(&script, cut).await.unwrap_or_else(|e| panic!("{folder}/{name} ({label}): {e}"));
        compare(&format!("{folder}/{name} ({label})"), &wanted, &got);
    }
}

#[allow(clippy::disallowed_methods)]
fn file(dir: &TempDir, text: &str) -> String {
    let path = dir.path().join("input");
    std::fs::write(&path, text).expect("a file can be written");
    path.display().to_string()
}

#[tokio::test]
async fn tour() {
    for name in ["01_select", "02_tumble", "03_hop", "04_sessions", "05_views"] {
        check("tour", name, &[]).await;
    }
}

#[tokio::test]
async fn spark() {
    for name in ["ads", "fraud", "log_files", "monitoring"] {
        check("spark", name, &[]).await;
    }
}

#[tokio::test]
async fn spark_from_pipes_and_sockets() {
    let dir = TempDir::new().expect("a folder");
    let path = file(&dir, "To be  or not\nto be\n\nthat is THE question\nto\n");
    let from = format!("'connector' = 'filesystem', 'path' = '{path}'");
    check("spark", "word_count", &[("'connector' = 'stdin'", &from)]).await;

    let messages = "{\"name\":\"ann\",\"text\":\"hello\"}\n{\"name\":\"bob\",\"text\":\"hi ann\"}\n{\"name\":\"ann\"}\n\
                    what?\n{\"name\":null,\"text\":\"who?\"}\n{\"name\":\"ann\",\"text\":\"bye\"}\n";
    let path = file(&dir, messages);
    let from = format!("'connector' = 'filesystem', 'path' = '{path}'");
    check("spark", "chat", &[("'connector' = 'socket', 'address' = 'tcp://:9998'", &from)]).await;

    let clicks = read(Path::new("queries/data/clicks.jsonl"));
    let first: Vec<&str> = clicks.lines().take(20).collect();
    let path = file(&dir, &(first.join("\n") + "\n"));
    let replace = [
        ("'connector' = 'socket'", "'connector' = 'filesystem'"),
        ("'hostname'  = 'localhost',", ""),
        ("'port'      = '9999'", &*format!("'path' = '{path}'")),
    ];
    check("spark", "click_count", &replace).await;
}

/// Every second query of Nexmark, from the first or the second on: two tests, as they take their time.
async fn nexmark(first: usize) {
    let options = read(Path::new("tests/golden/nexmark.options"));
    let replace = [("'events.num' = '10000', 'first-event.rate' = '100'", options.trim())];
    let names: BTreeSet<String> = std::fs::read_dir("queries/nexmark")
        .expect("the queries are there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| read(path).lines().nth(1).is_some_and(|l| l.starts_with("-- Status: runs now")))
        .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert!(names.len() >= 26, "only {} queries of Nexmark say that they run", names.len());
    for name in names.iter().skip(first).step_by(2) {
        check("nexmark", name, &replace).await;
    }
}

#[tokio::test]
async fn nexmark_one_half() {
    nexmark(0).await;
}

#[tokio::test]
async fn nexmark_other_half() {
    nexmark(1).await;
}
