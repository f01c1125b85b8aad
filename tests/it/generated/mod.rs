//! The law on generated queries: random SQL over random rows, cut into random intervals, against plain DataFusion after every
//! interval.
//!
//! `TIDEMILL_CASES=5000` says how many cases (200 by default, 2,000 in continuous integration), `TIDEMILL_FIRST_SEED` where they
//! begin, `TIDEMILL_SEED=17` runs one of them. A case that fails is shrunk and written as `generated_<seed>.sql` and `.jsonl`.

#![allow(clippy::unwrap_used)]

mod case;
mod data;
mod duckdb;
mod flaws;
mod generator;
mod query;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use case::{Case, Flaw, Verdict};
use duckdb::DuckDb;
use tidemill::verify::rows::{Table, difference};

/// Plans of nested queries are walked by recursion.
const STACK_BYTES: usize = 16 << 20;

/// Failures shown; more would hide the first.
const FAILURES_MAX: usize = 5;

/// What came of many cases.
#[derive(Default)]
struct Tally {
    held: usize,
    compared: usize,
    /// Held by DuckDB too.
    by_duckdb: usize,
    /// DuckDB has no answer, and why.
    not_by_duckdb: BTreeMap<String, usize>,
    /// DataFusion has no answer, and why.
    invalid: BTreeMap<String, usize>,
    refused: BTreeMap<String, usize>,
    failures: Vec<String>,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Runs the cases of these seeds over both cores.
fn run(seeds: std::ops::Range<u64>, flaw: Flaw) -> Tally {
    let tally = Mutex::new(Tally::default());
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut duckdb = DuckDb::start();
        loop {
            let seed = next.fetch_add(1, Ordering::SeqCst);
            if seed >= seeds.end || tally.lock().unwrap().failures.len() >= FAILURES_MAX {
                return;
            }
            let case = Case::new(seed);
            let ran = guarded(&runtime, &case, flaw);
            let failure = match ran {
                Ok(verdict) => {
                    let by_duckdb = match (&verdict, &mut duckdb) {
                        (Verdict::Held(answers), Some(duckdb)) if case.portable => Some(second(duckdb, &case, answers)),
                        _ => None,
                    };
                    let mut tally = tally.lock().unwrap();
                    match by_duckdb {
                        Some(Ok(None)) => tally.by_duckdb += 1,
                        Some(Ok(Some(reason))) => *tally.not_by_duckdb.entry(reason).or_default() += 1,
                        Some(Err(difference)) => tally.failures.push(difference),
                        None => {}
                    }
                    match verdict {
                        Verdict::Held(answers) => {
                            tally.held += 1;
                            tally.compared += answers.len();
                        }
                        Verdict::Refused(reason) => *tally.refused.entry(reason).or_default() += 1,
                        Verdict::Invalid(reason) => {
                            let start = reason.lines().next().unwrap_or_default().chars().take(90).collect();
                            *tally.invalid.entry(start).or_default() += 1;
                        }
                    }
                    continue;
                }
                Err(failure) => failure,
            };
            let report = report(&runtime, case, flaw, failure);
            tally.lock().unwrap().failures.push(report);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores)
            .map(|_| std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).unwrap())
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
    });
    tally.into_inner().unwrap()
}

/// Compares the answers to a case with those of DuckDB; why there are none, where there are none.
fn second(duckdb: &mut DuckDb, case: &Case, answers: &[Table]) -> Result<Option<String>, String> {
    let theirs = match duckdb.answers(case) {
        Ok(theirs) => theirs,
        Err(reason) => return Ok(Some(reason.lines().next().unwrap_or_default().to_owned())),
    };
    for (at, (theirs, ours)) in theirs.iter().zip(answers).enumerate() {
        if theirs != ours {
            let sql = case.views.iter().map(|v| v.query.sql(query::Reader::DuckDb)).collect::<Vec<_>>().join(";\n");
            return Err(format!(
                "TIDEMILL_SEED={}: DuckDB answers otherwise after interval {}:\n{sql}\n{}\n{}",
                case.seed,
                at + 1,
                case.rows(),
                difference(theirs, ours)
            ));
        }
    }
    Ok(None)
}

/// Runs a case; a panic is a failure.
fn guarded(runtime: &tokio::runtime::Runtime, case: &Case, flaw: Flaw) -> Result<Verdict, String> {
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(case.run(flaw))));
    ran.unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().cloned();
        let said = said.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
        Err(format!("it panics: {}", said.unwrap_or_default()))
    })
}

/// Shrinks a failing case and writes it down.
#[allow(clippy::disallowed_methods)]
fn report(runtime: &tokio::runtime::Runtime, case: Case, flaw: Flaw, failure: String) -> String {
    let seed = case.seed;
    let shrunk = catch_unwind(AssertUnwindSafe(|| runtime.block_on(case.clone().shrink(flaw, failure.clone()))));
    let (case, failure) = shrunk.unwrap_or((case, failure));
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("generated_{seed}"));
    for (extension, text) in [("sql", case.sql()), ("jsonl", case.rows())] {
        std::fs::write(path.with_extension(extension), text).unwrap();
    }
    format!("TIDEMILL_SEED={seed} ({}.sql, .jsonl)\n{}\n{}{failure}", path.display(), case.sql(), case.rows())
}

#[test]
fn generated_queries_are_the_batch_answer_after_every_interval() {
    let seeds = match std::env::var("TIDEMILL_SEED").ok().and_then(|s| s.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("TIDEMILL_FIRST_SEED", 0);
            first..first + number("TIDEMILL_CASES", 200)
        }
    };
    let tally = run(seeds.clone(), Flaw::None);
    let refused: usize = tally.refused.values().sum();
    let invalid: usize = tally.invalid.values().sum();
    println!(
        "{} generated cases (seeds {seeds:?}): {} held ({} answers compared), {} refused, {} without an answer",
        tally.held + refused + invalid + tally.failures.len(),
        tally.held,
        tally.compared,
        refused,
        invalid,
    );
    for (reason, times) in &tally.refused {
        println!("  refused {times} ×: {reason}");
    }
    for (reason, times) in &tally.invalid {
        println!("  without an answer {times} ×: {reason}");
    }
    if std::env::var(duckdb::VARIABLE).is_ok_and(|p| !p.is_empty()) {
        println!("{} of them are held by DuckDB too", tally.by_duckdb);
        for (reason, times) in &tally.not_by_duckdb {
            println!("  DuckDB has no answer {times} ×: {reason}");
        }
    } else {
        println!("none was compared with DuckDB: {} names no python that has it", duckdb::VARIABLE);
    }
    assert!(tally.failures.is_empty(), "{} cases fail:\n\n{}", tally.failures.len(), tally.failures.join("\n\n"));
    if seeds.end - seeds.start >= 100 {
        let tried = tally.held + refused;
        assert!(tally.held * 10 >= tried * 8, "only {} of {tried} cases are run: the rest prove nothing", tally.held);
        assert!(tally.held * 10 >= (tried + invalid) * 7, "{invalid} cases have no answer");
    }
}
