//! The proof: a script's answers as a stream, in many ways, against the answer of batch SQL.
//!
//! [`Verifier::verify`] reads every source of a script to its end, once, through the engine's own connectors. Then it runs the
//! script over these rows again and again ([`Engine`]s of its own, in which sinks only remember): cut into intervals
//! by chance, shuffled so that no row becomes late, in one partition and in two. Each time every output must hold what batch SQL
//! over all the rows answers: rows that come out on close as they are, changes folded, views and snapshots as they stand at the end.
//!
//! Rows that are late as they came are left out of the shuffled runs, where nothing says what they would be late for; runs that
//! keep the order in which rows came have them, and must agree with each other however they are cut.
//!
//! Where batch SQL itself has several answers (LIMIT without an order, `array_agg` without one), so may a stream: such an
//! output is only compared between runs in the order in which rows came.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let script = "CREATE TABLE t (k INT, v INT) WITH (connector = 'datagen', 'number-of-rows' = '50',
//!                   'fields.k.kind' = 'sequence', 'fields.k.start' = '1', 'fields.k.end' = '50');
//!               CREATE MATERIALIZED VIEW per_key AS SELECT k % 3 AS g, count(*) AS n FROM t GROUP BY k % 3";
//! let report = tidemill::verify::Verifier::new().seeds(5).verify(&tidemill::sql::parse(script)?).await?;
//! assert!(report.holds());
//! assert_eq!((report.outputs[0].name.as_str(), report.outputs[0].rows), ("per_key", 3));
//! # Ok(())
//! # }
//! ```

mod arrival;
mod batch;
mod minimal;
pub mod rows;
mod script;
mod shrink;
mod stage;
mod tape;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;

use crate::connector::Registry;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::host::{Host, ManualClock};
use crate::settings::Settings;
use crate::sql::statement::Parsed;

use arrival::Arrival;
pub use rows::{Row, Table};
use script::Asked;
pub use shrink::shrink;
use stage::Stage;
use tape::Tape;

/// Verifies scripts.
pub struct Verifier {
    seeds: u64,
    settings: Settings,
    host: Host,
    registry: Registry,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// What was read.
    pub sources: Vec<SourceReport>,
    /// What came out.
    pub outputs: Vec<OutputReport>,
    /// How often the script ran as a stream.
    pub runs: usize,
    /// The first difference that was found, cut down.
    pub difference: Option<Difference>,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceReport {
    /// Its table.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// Rows that some watermark had passed when they came.
    pub late: usize,
    /// Records that could not be decoded, and were left out.
    pub bad: u64,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputReport {
    /// The view or sink; `select` for a bare SELECT.
    pub name: String,
    /// How many rows the batch answer has.
    pub rows: usize,
    /// Stands for the batch answer: the same on every machine.
    pub digest: u64,
    /// How the streams did.
    pub verdict: Verdict,
}

impl Report {
    /// Whether no stream differed.
    pub fn holds(&self) -> bool {
        self.difference.is_none()
    }
}

/// How an output did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every stream gave the batch answer.
    Same,
    /// Batch SQL has several answers, depending on the order of rows; streams of one order gave one.
    SeveralAnswers,
    /// Some stream did not.
    Differs,
}

/// A stream that gave another answer.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The output.
    pub output: String,
    /// How the rows arrived.
    pub arrival: String,
    /// Rows missing (`-`) and too many (`+`), or the error of the stream.
    pub what: String,
    /// A script that shows it, over few rows; its sources are `FILE.<table>.jsonl`.
    pub sql: String,
    /// The rows of each source as JSON lines, by table.
    pub rows: Vec<(String, String)>,
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl Verifier {
    /// Twenty streams, over the real world.
    pub fn new() -> Self {
        Self { seeds: 20, settings: Settings::default(), host: Host::system(), registry: Registry::with_builtin() }
    }

    /// In how many ways rows arrive.
    #[must_use]
    pub fn seeds(mut self, seeds: u64) -> Self {
        self.seeds = seeds;
        self
    }

    /// Tunables of the engines.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Where files are read.
    #[must_use]
    pub fn host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// The connectors that sources may name.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Runs a script in many ways.
    ///
    /// # Errors
    /// What is wrong with the script, why it can't be verified, or what can't be read. A difference is no error: it is in the
    /// report.
    pub async fn verify(&self, statements: &[Parsed]) -> Result<Report> {
        let planning = self.planning_engine();
        let asked = Asked::of(&planning, statements).await?;
        let tapes = asked.sources.iter().map(|name| record(&planning, name)).collect::<Result<Vec<_>>>()?;
        let run = Run { verifier: self, statements, asked, planning, tapes: Arc::new(tapes) };
        run.go().await
    }

    /// An engine that only plans.
    fn planning_engine(&self) -> Engine {
        Engine::builder()
            .settings(self.settings.clone())
            .host(self.host.clone())
            .registry(self.registry.clone())
            .build()
    }

    /// An engine whose outside world is the stage, and whose clock stands still.
    fn staged_engine(&self, stage: &Arc<Stage>) -> Result<Engine> {
        let now = self.host.clock.now();
        let mut registry = Registry::default();
        for name in self.registry.names() {
            registry.register(stage.instead_of(self.registry.get(name)?));
        }
        Ok(Engine::builder()
            .settings(self.settings.clone())
            .host(self.host.clone())
            .registry(registry)
            .clock(Arc::new(ManualClock::at(now)))
            .inline_sources()
            .build())
    }
}

/// Reads a source, once.
fn record(engine: &Engine, name: &str) -> Result<Tape> {
    let (table, connector, spec) = engine.source_to_record(name)?;
    if table.description.gives_changes {
        return Err(Error::unsupported(format!(
            "the records of '{name}' change rows by their key, and count in their order"
        ))
        .help("verify queries over tables whose rows only come"));
    }
    let session = engine.catalog().session();
    Tape::record(table, &connector, &spec, &session)
}

/// One verification.
struct Run<'a> {
    verifier: &'a Verifier,
    statements: &'a [Parsed],
    asked: Asked,
    planning: Engine,
    tapes: Arc<Vec<Tape>>,
}

type Answers = BTreeMap<String, Table>;

impl Run<'_> {
    async fn go(&self) -> Result<Report> {
        let on_time: Vec<Vec<u32>> = self.tapes.iter().map(arrival::on_time).collect();
        let late: usize = self.tapes.iter().zip(&on_time).map(|(t, rows)| t.rows.num_rows() - rows.len()).sum();
        let batch = self.batch(&on_time).await?;
        let several = self.with_several_answers(&on_time, &batch).await?;
        let mut difference = None;
        let mut runs = 0;

        // In the order in which they came, late rows and all: however it is cut.
        let as_recorded = Arrival::as_recorded(&self.tapes);
        let whole = self.stream(&as_recorded).await?;
        runs += 1;
        if late == 0 {
            difference = self.compare(&as_recorded, &batch, &Ok(whole.clone()), &several).map(|d| (d, as_recorded));
        }
        for seed in 1..=self.verifier.seeds {
            if difference.is_some() {
                break;
            }
            let arrival = if seed.is_multiple_of(3) {
                Arrival::cut(&self.tapes, seed)
            } else {
                Arrival::shuffled(&self.tapes, &on_time, seed)
            };
            let got = self.stream(&arrival).await;
            runs += 1;
            let found = match seed % 3 {
                0 => self.compare(&arrival, &whole, &got, &[]),
                _ => self.compare(&arrival, &batch, &got, &several),
            };
            difference = found.map(|found| (found, arrival));
        }
        let difference = match difference {
            Some((found, arrival)) => Some(self.minimal(found, arrival, &several, late > 0).await?),
            None => None,
        };
        let verdict = |name: &String| match &difference {
            Some(d) if d.output == *name => Verdict::Differs,
            _ if several.contains(name) => Verdict::SeveralAnswers,
            _ => Verdict::Same,
        };
        let output = |(name, table): (&String, &Table)| OutputReport {
            name: name.clone(),
            rows: usize::try_from(rows::count(table)).unwrap_or_default(),
            digest: rows::digest(table),
            verdict: verdict(name),
        };
        let source = |(tape, on_time): (&Tape, &Vec<u32>)| SourceReport {
            name: tape.name().to_owned(),
            rows: tape.rows.num_rows(),
            late: tape.rows.num_rows() - on_time.len(),
            bad: tape.bad,
        };
        Ok(Report {
            sources: self.tapes.iter().zip(&on_time).map(source).collect(),
            outputs: batch.iter().map(output).collect(),
            runs,
            difference,
        })
    }

    /// The batch answer over some rows of each tape, in this order.
    async fn batch(&self, rows: &[Vec<u32>]) -> Result<Answers> {
        let of = |tape: &Tape| -> Result<RecordBatch> {
            let at = self.tapes.iter().position(|t| t.name() == tape.name()).unwrap_or_default();
            Ok(take_record_batch(&tape.rows, &UInt32Array::from(rows[at].clone()))?)
        };
        self.asked.batch(&self.planning, &self.tapes, &of).await
    }

    /// The outputs whose batch answer changes with the order of the rows.
    async fn with_several_answers(&self, rows: &[Vec<u32>], batch: &Answers) -> Result<Vec<String>> {
        let mut several = Vec::new();
        for seed in [1, 2, 3] {
            let order = Arrival::shuffled(&self.tapes, rows, seed);
            let orders: Vec<Vec<u32>> = (0..self.tapes.len())
                .map(|at| {
                    let rows = order.order(at).map(|e| e.row);
                    // Backwards as well, which few shuffles within a watermark come close to.
                    if seed == 3 { rows.collect::<Vec<_>>().into_iter().rev().collect() } else { rows.collect() }
                })
                .collect();
            let other = self.batch(&orders).await?;
            several
                .extend(batch.iter().filter(|(name, table)| other.get(*name) != Some(*table)).map(|(n, _)| n.clone()));
        }
        several.sort();
        several.dedup();
        Ok(several)
    }

    async fn stream(&self, arrival: &Arrival) -> Result<Answers> {
        let stage = Stage::new(&self.tapes, arrival);
        let engine = self.verifier.staged_engine(&stage)?;
        script::play(&engine, &stage, self.statements, &arrival.intervals).await
    }

    /// The first output that differs, and how.
    fn compare(
        &self,
        arrival: &Arrival,
        wanted: &Answers,
        got: &Result<Answers>,
        but: &[String],
    ) -> Option<Difference> {
        let none = Table::new();
        let differs = |output: &str, what: String| Difference {
            output: output.to_owned(),
            arrival: arrival.describe(),
            what,
            sql: String::new(),
            rows: Vec::new(),
        };
        let got = match got {
            Ok(got) => got,
            Err(error) => {
                let first = wanted.keys().next().map_or("", String::as_str);
                return Some(differs(first, format!("  the stream fails: {error}")));
            }
        };
        wanted.iter().filter(|(name, _)| !but.contains(name)).find_map(|(name, wanted)| {
            let got = got.get(name).unwrap_or(&none);
            (got != wanted).then(|| differs(name, rows::difference(wanted, got)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "CREATE TABLE t (v INT, k AS v % 3) WITH (connector = 'datagen',
            'fields.v.kind' = 'sequence', 'fields.v.start' = '1', 'fields.v.end' = '40');
        CREATE MATERIALIZED VIEW per_key AS SELECT k, count(*) AS n, sum(v) AS total FROM t GROUP BY k;
        CREATE TABLE sink (v INT) WITH (connector = 'blackhole');
        INSERT INTO sink SELECT v FROM t WHERE v > 10;
        SELECT k, n FROM per_key";

    async fn run(verifier: &Verifier, statements: &[Parsed], flawed: Option<&str>) -> Result<Report> {
        let planning = verifier.planning_engine();
        let mut asked = Asked::of(&planning, statements).await?;
        if let Some(query) = flawed {
            // The batch answer to another question.
            let mut other = crate::sql::parse(query)?;
            let crate::sql::Statement::Query(query) = other.remove(0).statement else { panic!("a query") };
            asked.outputs.insert("per_key".to_owned(), vec![planning.catalog().bind(&query.query)?]);
        }
        let tapes = asked.sources.iter().map(|name| record(&planning, name)).collect::<Result<Vec<_>>>()?;
        Run { verifier, statements, asked, planning, tapes: Arc::new(tapes) }.go().await
    }

    #[tokio::test]
    async fn views_sinks_and_snapshots_are_outputs() {
        let statements = crate::sql::parse(SCRIPT).unwrap();
        let report = Verifier::new().seeds(6).verify(&statements).await.unwrap();
        assert!(report.holds(), "{:?}", report.difference);
        let outputs: Vec<_> = report.outputs.iter().map(|o| (o.name.as_str(), o.rows, o.verdict)).collect();
        let same = Verdict::Same;
        assert_eq!(outputs, [("per_key", 3, same), ("select", 3, same), ("sink", 30, same)]);
        assert_eq!(report.runs, 7);
        let again = Verifier::new().seeds(1).verify(&statements).await.unwrap();
        assert_eq!(report.outputs, again.outputs, "digests depend on nothing but the answer");
    }

    #[tokio::test]
    async fn a_difference_is_found_and_cut_down() {
        let statements = crate::sql::parse(SCRIPT).unwrap();
        let flaw = "SELECT k, count(*) AS n, sum(v) AS total FROM t WHERE v <> 17 GROUP BY k";
        let report = run(&Verifier::new().seeds(3), &statements, Some(flaw)).await.unwrap();
        let found = report.difference.expect("a row is missing from the batch answer");
        assert_eq!((found.output.as_str(), found.rows.len()), ("per_key", 1));
        let lines: Vec<_> = found.rows[0].1.lines().collect();
        assert!(lines.len() == 1 && lines[0].contains("\"v\":17"), "{lines:?}");
        // The case is a script that runs.
        let parsed = crate::sql::parse(&found.sql).unwrap();
        assert_eq!(parsed.len(), statements.len());
        assert!(
            found.sql.contains("'path' = 'FILE.t.jsonl'") && found.sql.contains("-- rows of t in each interval: 1")
        );
    }

    #[tokio::test]
    async fn late_rows_are_compared_between_cuts() {
        let file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
        let rows = [0, 4, 11, 25, 3, 26, 9, 24].map(|s| format!("{{\"ts\":\"2026-01-01 00:00:{s:02}\",\"v\":{s}}}\n"));
        std::io::Write::write_all(&mut file.as_file(), rows.concat().as_bytes()).unwrap();
        let script = format!(
            "CREATE TABLE t (ts TIMESTAMP(3), v INT, WATERMARK FOR ts AS ts - INTERVAL '2' SECOND)
             WITH (connector = 'filesystem', path = '{}');
             SELECT window_end, count(*) AS n FROM HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)
             GROUP BY window_start, window_end;
             SELECT window_end, count(*) AS n FROM SESSION(TABLE t, DESCRIPTOR(ts), INTERVAL '6' SECOND)
             GROUP BY window_start, window_end",
            file.path().display()
        );
        let report = Verifier::new().seeds(12).verify(&crate::sql::parse(&script).unwrap()).await.unwrap();
        assert!(report.holds(), "{:?}", report.difference);
        assert_eq!((report.sources[0].rows, report.sources[0].late), (8, 2));
    }

    #[tokio::test]
    async fn several_answers_are_said() {
        let script = "CREATE TABLE t (v INT) WITH (connector = 'datagen', 'fields.v.kind' = 'sequence',
                          'fields.v.start' = '1', 'fields.v.end' = '40');
                      CREATE MATERIALIZED VIEW some AS SELECT v FROM (SELECT v FROM t LIMIT 3) AS s";
        let report = Verifier::new().seeds(4).verify(&crate::sql::parse(script).unwrap()).await.unwrap();
        assert!(report.holds(), "{:?}", report.difference);
        assert_eq!(report.outputs[0].verdict, Verdict::SeveralAnswers);
    }

    #[tokio::test]
    async fn what_has_no_one_answer_is_refused() {
        let endless = "CREATE TABLE t (v INT) WITH (connector = 'datagen', 'rows-per-second' = '5');";
        let finite = "CREATE TABLE t (v INT) WITH (connector = 'datagen', 'number-of-rows' = '5');";
        for (script, why) in [
            (format!("{endless} SELECT v FROM t"), "never ends"),
            (format!("{finite} SELECT v FROM t WHERE now() IS NOT NULL"), "depends on when"),
            (format!("{finite} SELECT random() + v FROM t"), "depends on when"),
            (
                format!("{finite} SELECT count(*) FROM TUMBLE(t, now(), INTERVAL '1' MINUTE) GROUP BY window_end"),
                "depends on when",
            ),
            (finite.to_owned(), "no query"),
            (format!("{finite} SELECT w FROM t"), "w"),
        ] {
            let error = Verifier::new().verify(&crate::sql::parse(&script).unwrap()).await.unwrap_err();
            assert!(error.message().contains(why), "{script}: {error}");
        }
    }
}
