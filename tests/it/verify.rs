//! `tidemill verify` over the queries that ship, and as a user runs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tidemill::verify::{Verdict, Verifier};

/// Verifies a script; how many outputs there were.
async fn holds(name: &str, script: &str, seeds: u64) -> usize {
    let statements = tidemill::sql::parse(script).unwrap_or_else(|e| panic!("{name}: {e}"));
    let report = Verifier::new().seeds(seeds).verify(&statements).await.unwrap_or_else(|e| panic!("{name}: {e:?}"));
    assert!(report.holds(), "{name}: {:#?}", report.difference);
    assert!(report.outputs.iter().all(|o| o.verdict == Verdict::Same), "{name}: {:?}", report.outputs);
    report.outputs.len()
}

#[allow(clippy::disallowed_methods)]
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[tokio::test]
async fn the_tour() {
    for name in ["01_select", "02_tumble", "03_hop", "04_sessions", "05_views"] {
        holds(name, &read(Path::new(&format!("queries/tour/{name}.sql"))), 3).await;
    }
}

#[tokio::test]
async fn what_people_do_with_spark() {
    for name in ["ads", "fraud", "log_files", "monitoring"] {
        holds(name, &read(Path::new(&format!("queries/spark/{name}.sql"))), 3).await;
    }
}

fn verify(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.current_dir(folder).arg("verify").args(arguments).env("NO_COLOR", "1").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).output().expect("the binary runs")
}

#[test]
fn the_command_prints_a_table_and_writes_nothing() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let done = verify(&root, &["queries/tour/02_tumble.sql", "--seeds", "2"]);
    let text = String::from_utf8(done.stdout).expect("text");
    assert!(done.status.success(), "{text}{}", String::from_utf8_lossy(&done.stderr));
    let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["source", "rows", "late", "bad"]);
    assert_eq!(lines[1][0], "bids");
    assert_eq!((lines[4][0], lines[4][1], lines[4][3]), ("select", "7", "ok"), "{text}");
    assert_eq!(text.lines().next_back(), Some("3 streams: each gave the batch answer"));

    let folder = tempfile::tempdir().expect("a folder");
    let sink = "CREATE TABLE t (v INT) WITH (connector = 'datagen', 'number-of-rows' = '5');
                CREATE TABLE o (v INT) WITH (connector = 'filesystem', path = 'o.jsonl'); INSERT INTO o SELECT v FROM t";
    let done = verify(folder.path(), &["-c", sink, "--seeds", "2"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(folder.path().read_dir().expect("a folder").count(), 0, "sinks are not written");
}

#[test]
fn the_command_refuses_with_a_place() {
    let script = "CREATE TABLE t (v INT) WITH (connector = 'datagen');\nSELECT v FROM t";
    let done = verify(Path::new("."), &["-c", script]);
    let text = String::from_utf8(done.stderr).expect("text");
    assert_eq!(done.status.code(), Some(1), "{text}");
    assert!(text.contains("source 't' never ends") && text.contains("-c:2:1"), "{text}");
}
