//! `tidemill serve` as PostgreSQL's clients find it: a driver in Rust in both protocols, psql and psycopg.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use futures::StreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server that is killed when a test gives up on it.
pub(crate) struct Served {
    child: Child,
    pub(crate) port: u16,
    said: Receiver<String>,
}

impl Served {
    /// Starts the binary, with this script.
    pub(crate) fn start(script: &str, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
        command.args(["serve", "--pg-addr", "127.0.0.1:0", "-c", script]).args(more);
        command.env("NO_COLOR", "1").env_remove("RUST_LOG");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let stderr = child.stderr.take().expect("a pipe");
        let (sender, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut served = Self { child, port: 0, said };
        let mut before = Vec::new();
        loop {
            let line = served.said.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("it does not listen: {before:?}"));
            if let Some(address) = line.strip_prefix("listening at 127.0.0.1:") {
                served.port = address.split(' ').next().and_then(|port| port.parse().ok()).expect("a port");
                return served;
            }
            before.push(line);
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        let config = format!("host=127.0.0.1 port={} user=ann dbname=shop", self.port);
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("it connects");
        tokio::spawn(connection);
        client
    }

    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    pub(crate) fn end(&mut self) -> i32 {
        let began = std::time::Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child to wait for") {
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < DEADLINE, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every row of a simple query, its values apart by `|`, and the tags.
async fn simple(client: &Client, sql: &str) -> Result<Vec<String>, tokio_postgres::Error> {
    let messages = client.simple_query(sql).await?;
    let text = |message| match message {
        SimpleQueryMessage::Row(row) => {
            let value = |i| row.get(i).unwrap_or("NULL").to_owned();
            Some((0..row.len()).map(value).collect::<Vec<_>>().join("|"))
        }
        SimpleQueryMessage::CommandComplete(rows) => Some(format!("({rows})")),
        _ => None,
    };
    Ok(messages.into_iter().filter_map(text).collect())
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("none", tokio_postgres::error::SqlState::code)
}

const TICKS: &str = "CREATE TABLE ticks (n BIGINT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
    WITH (connector = 'datagen', 'rows-per-second' = '50', 'fields.n.kind' = 'sequence', 'fields.n.start' = '0',
          'fields.n.end' = '1000000');";

#[tokio::test]
async fn text_is_as_postgresql_writes_it() {
    let served = Served::start("", &[]);
    let client = served.connect().await;
    for (sql, text) in [
        ("true", "t"),
        ("1 = 2", "f"),
        ("NULL", "NULL"),
        ("make_array(1, 2, NULL)", "{1,2,NULL}"),
        ("make_array('a b', 'c')", "{\"a b\",c}"),
        ("TIMESTAMP '2026-01-01 00:00:10'", "2026-01-01 00:00:10"),
        ("TIMESTAMP '2026-01-01 00:00:10.250'", "2026-01-01 00:00:10.25"),
        ("DATE '2026-01-01'", "2026-01-01"),
        ("INTERVAL '1 day 2 hours'", "1 day 02:00:00"),
        ("CAST(12.50 AS DECIMAL(10, 2))", "12.50"),
        ("CAST(1.5 AS DOUBLE)", "1.5"),
        ("X'00ff'", "\\x00ff"),
        ("'ä'", "ä"),
    ] {
        assert_eq!(simple(&client, &format!("SELECT {sql}")).await.unwrap(), [text, "(1)"], "{sql}");
    }
}

#[tokio::test]
async fn parameters_and_binary_values() {
    let served = Served::start(
        "CREATE MATERIALIZED VIEW v AS SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, NULL)) t(k, w)",
        &[],
    );
    let client = served.connect().await;
    let rows = client.query("SELECT k, w FROM v WHERE k >= $1 ORDER BY k LIMIT $2", &[&2_i64, &5_i64]).await.unwrap();
    let rows: Vec<(i64, Option<String>)> = rows.iter().map(|r| (r.get(0), r.get(1))).collect();
    assert_eq!(rows, [(2, Some("b".into())), (3, None)]);
    let statement = client.prepare("SELECT w FROM v WHERE k = $1 AND w = $2").await.unwrap();
    assert_eq!(statement.params(), [Type::INT8, Type::TEXT]);
    assert_eq!(statement.columns()[0].type_(), &Type::TEXT);
    for (k, w, found) in [(1_i64, "a", 1), (1, "b", 0), (2, "b'; DROP VIEW v; --", 0)] {
        assert_eq!(client.query(&statement, &[&k, &w]).await.unwrap().len(), found);
    }
    let typed = client.prepare_typed("SELECT $1, $2, $3", &[Type::BOOL, Type::FLOAT8, Type::BYTEA]).await.unwrap();
    let row = client.query_one(&typed, &[&true, &1.5_f64, &vec![0_u8, 255]]).await.unwrap();
    assert_eq!((row.get::<_, bool>(0), row.get::<_, f64>(1), row.get::<_, Vec<u8>>(2)), (true, 1.5, vec![0, 255]));
    let nothing = client.query_one(&typed, &[&None::<bool>, &None::<f64>, &None::<Vec<u8>>]).await.unwrap();
    assert_eq!(nothing.get::<_, Option<f64>>(1), None);
    let count = client.query_one("SELECT count(*) AS n, sum(k) FROM v", &[]).await.unwrap();
    assert_eq!(count.get::<_, i64>("n"), 3);
    assert_eq!(count.columns()[1].name(), "sum");
}

#[tokio::test]
async fn errors_have_codes_and_places_and_the_session_goes_on() {
    let served = Served::start("CREATE MATERIALIZED VIEW v AS SELECT * FROM (VALUES (1), (0)) t(k)", &[]);
    let client = served.connect().await;
    for (sql, expected, position) in [
        ("SELECT kk FROM v", "42703", Some(8)),
        ("SELECT k\nFROM w", "42P01", Some(15)),
        ("SELEC 1", "42601", Some(1)),
        ("SELECT nosuch(1)", "42883", Some(8)),
        ("SELECT 1 / k FROM v", "22012", None),
        ("SELECT CAST('x' AS INT)", "22P02", None),
        ("CREATE MATERIALIZED VIEW v AS SELECT 1", "42P07", Some(26)),
        ("MERGE INTO v USING v ON true", "0A000", Some(1)),
        ("SHOW nosuch", "42704", None),
    ] {
        let error = simple(&client, sql).await.unwrap_err();
        assert_eq!(code(&error), expected, "{sql}: {error:?}");
        let place = error.as_db_error().and_then(|e| e.position().cloned());
        if let Some(position) = position {
            assert_eq!(place, Some(tokio_postgres::error::ErrorPosition::Original(position)), "{sql}");
        }
        let prepared = client.query(sql, &[]).await.unwrap_err();
        assert_eq!(code(&prepared), expected, "{sql}, prepared");
        assert_eq!(simple(&client, "SELECT 1").await.unwrap(), ["1", "(1)"], "after {sql}");
    }
    let hint = simple(&client, "SELECT kk FROM v").await.unwrap_err();
    assert_eq!(hint.as_db_error().unwrap().hint(), Some("did you mean 'k'?"));
    // Of several statements those before the wrong one are answered.
    let error = simple(&client, "SELECT 1; SELECT * FROM nosuch; SELECT 2").await.unwrap_err();
    assert_eq!(code(&error), "42P01");
}

#[tokio::test]
async fn several_statements_settings_and_transactions() {
    let served = Served::start("", &[]);
    let client = served.connect().await;
    let all =
        simple(&client, "SELECT 1; ; SELECT 2; SET extra_float_digits = 3; SHOW extra_float_digits").await.unwrap();
    assert_eq!(all, ["1", "(1)", "2", "(1)", "(0)", "3", "(0)"]);
    assert!(simple(&client, " ; ").await.unwrap().iter().all(|line| line == "(0)"), "nothing is answered");
    for sql in [
        "SET client_min_messages TO WARNING",
        "SET application_name = 'x'",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED",
        "SET DateStyle = 'ISO'",
        "DISCARD ALL",
        "RESET ALL",
    ] {
        simple(&client, sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }
    assert_eq!(simple(&client, "SHOW transaction_isolation").await.unwrap()[0], "read committed");
    assert_eq!(simple(&client, "SHOW TRANSACTION ISOLATION LEVEL").await.unwrap()[0], "read committed");
    assert!(simple(&client, "SHOW server_version").await.unwrap()[0].starts_with("15."));
    assert!(simple(&client, "SELECT version()").await.unwrap()[0].contains("tidemill"));
    let who = simple(&client, "SELECT current_schema(), current_database(), current_user").await.unwrap();
    assert_eq!(who[0], "public|shop|ann");
    assert_eq!(simple(&client, "BEGIN; SELECT 1; COMMIT").await.unwrap(), ["(0)", "1", "(1)", "(0)"]);
    simple(&client, "BEGIN").await.unwrap();
    simple(&client, "SELECT nosuch").await.unwrap_err();
    assert_eq!(code(&simple(&client, "SELECT 1").await.unwrap_err()), "25P02");
    simple(&client, "ROLLBACK").await.unwrap();
    assert_eq!(simple(&client, "SELECT 1").await.unwrap()[0], "1");
    // The settings of the engine are there too, and hold for all.
    simple(&client, "SET batch_rows = 1000").await.unwrap();
    let other = served.connect().await;
    assert_eq!(simple(&other, "SHOW batch_rows").await.unwrap()[0], "1000");
}

#[tokio::test]
async fn clients_reach_no_files_unless_they_may() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.csv"), "k\n1\n").unwrap();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    std::fs::write(folder.path().join("in/b.csv"), "k\n2\n").unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let own = format!(
        "CREATE TABLE own (k BIGINT) WITH (connector = 'filesystem', path = '{}', format = 'csv')",
        path("a.csv")
    );
    let read = |name: &str| format!("SELECT * FROM '{}'", path(name));
    let sink = |name: &str| {
        format!("CREATE SINK s{} AS SELECT 1 AS x WITH (connector = 'filesystem', path = '{}')", name.len(), path(name))
    };
    let refused = [
        read("a.csv"),
        format!("EXPLAIN {}", read("a.csv")),
        format!("CREATE VIEW w AS {}", read("a.csv")),
        format!("SELECT (SELECT max(k) FROM '{}')", path("a.csv")),
        format!("CREATE TABLE t WITH (connector = 'filesystem', path = '{}')", path("a.csv")),
        format!("CREATE TABLE t (k BIGINT) WITH (connector = 'datagen', dead_letter = '{}')", path("bad")),
        sink("out.csv"),
        "SELECT * FROM stdin".to_owned(),
        "SELECT * FROM 'tcp://127.0.0.1:9'".to_owned(),
        "CREATE TABLE t (k BIGINT) WITH (connector = 'print')".to_owned(),
    ];
    let served = Served::start(&own, &[]);
    let client = served.connect().await;
    for sql in &refused {
        let error = simple(&client, sql).await.unwrap_err();
        assert_eq!(code(&error), "42501", "{sql}: {error:?}");
        let error = client.prepare(sql).await.map(|_| ());
        let ran = client.query(sql.as_str(), &[]).await.unwrap_err();
        assert_eq!(code(&ran), "42501", "{sql}: {ran:?}, {error:?}");
    }
    assert_eq!(simple(&client, "SELECT * FROM own").await.unwrap(), ["1", "(1)"], "what the server's own file names");
    let inside = path("in");
    let served = Served::start("", &["--allow-files", &inside]);
    let client = served.connect().await;
    assert_eq!(simple(&client, &read("in/b.csv")).await.unwrap(), ["2", "(1)"]);
    for sql in [read("a.csv"), read("in/../a.csv"), sink("out.csv")] {
        assert_eq!(code(&simple(&client, &sql).await.unwrap_err()), "42501", "{sql}");
    }
}

#[tokio::test]
async fn subscribe_streams_until_it_is_cancelled() {
    let served = Served::start(TICKS, &[]);
    let client = served.connect().await;
    let watcher = served.connect().await;
    let cancel = client.cancel_token();
    let rows = client.simple_query_raw("SUBSCRIBE TO ticks").await.unwrap();
    tokio::pin!(rows);
    let mut seen = 0;
    let error = loop {
        match rows.next().await.expect("it does not end") {
            Ok(SimpleQueryMessage::Row(row)) => {
                assert_eq!((row.get("op"), row.get("n")), (Some("+I"), Some(seen.to_string().as_str())));
                seen += 1;
                if seen == 5 {
                    assert!(simple(&watcher, "SHOW QUERIES").await.unwrap().len() == 2, "it runs");
                    cancel.cancel_query(NoTls).await.unwrap();
                }
            }
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(code(&error), "57014");
    assert_eq!(simple(&client, "SELECT 1").await.unwrap(), ["1", "(1)"], "the session is usable");
    until_nothing_runs(&watcher).await;
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_query() {
    let served = Served::start(TICKS, &[]);
    let watcher = served.connect().await;
    {
        let config = format!("host=127.0.0.1 port={} user=bob", served.port);
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        // Nothing will ever come: only the closed connection tells.
        let rows = client.query_raw("SUBSCRIBE (SELECT n FROM ticks WHERE n < 0)", Vec::<i32>::new());
        let first = async {
            let rows = rows.await.unwrap();
            tokio::pin!(rows);
            rows.next().await.is_some()
        };
        assert!(tokio::time::timeout(Duration::from_millis(300), first).await.is_err());
        assert_eq!(simple(&watcher, "SHOW QUERIES").await.unwrap().len(), 2);
        connection.abort();
    }
    until_nothing_runs(&watcher).await;
}

#[tokio::test]
async fn copy_gives_lines_as_they_come() {
    let served = Served::start(TICKS, &[]);
    let client = served.connect().await;
    let whole = client
        .copy_out("COPY (SELECT 1 AS a, NULL AS b UNION ALL SELECT 2, 'x' ORDER BY a) TO STDOUT (FORMAT csv, HEADER)");
    let whole: Vec<_> =
        whole.await.unwrap().map(|bytes| String::from_utf8(bytes.unwrap().to_vec()).unwrap()).collect().await;
    assert_eq!(whole.concat(), "a,b\n1,\n2,x\n");
    let live = client.copy_out("COPY (SUBSCRIBE TO ticks) TO STDOUT").await.unwrap();
    let first: Vec<_> = live.take(3).map(|bytes| String::from_utf8(bytes.unwrap().to_vec()).unwrap()).collect().await;
    let begin = |n: usize| format!("+I\t{n}\t20");
    assert!(first.iter().enumerate().all(|(n, line)| line.starts_with(&begin(n))), "{first:?}");
    for sql in ["COPY ticks FROM STDIN", "COPY ticks TO '/tmp/x'", "COPY (SHOW TABLES) TO STDOUT"] {
        assert_eq!(code(&simple(&served.connect().await, sql).await.unwrap_err()), "0A000", "{sql}");
    }
}

async fn until_nothing_runs(client: &Client) {
    let began = tokio::time::Instant::now();
    while simple(client, "SHOW QUERIES").await.unwrap().len() > 1 {
        assert!(began.elapsed() < DEADLINE, "the query is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_select_over_rows_that_end_ends() {
    let script = "CREATE TABLE few (n BIGINT) WITH (connector = 'datagen', 'number-of-rows' = '100000',
        'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '100000')";
    let served = Served::start(script, &[]);
    let mut client = served.connect().await;
    assert_eq!(simple(&client, "SELECT count(*) FROM few").await.unwrap().last().unwrap(), "(1)");
    let all = client.query("SELECT n FROM few", &[]).await.unwrap();
    assert_eq!(all.len(), 100_000);
    // A portal that is read in pieces goes on where it was.
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("SELECT n FROM few WHERE n <= $1", &[&5_i64]).await.unwrap();
    let mut pieces = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 2).await.unwrap();
        if rows.is_empty() {
            break;
        }
        pieces.push(rows.iter().map(|r| r.get::<_, i64>(0)).collect::<Vec<_>>());
    }
    assert_eq!(pieces, [vec![1, 2], vec![3, 4], vec![5]]);
    transaction.commit().await.unwrap();
}

#[tokio::test]
async fn a_hundred_clients_at_once() {
    let served = Served::start("CREATE MATERIALIZED VIEW v AS SELECT * FROM (VALUES (1), (2)) t(k)", &[]);
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(served.connect().await);
    }
    let answers = clients.iter().map(|c| simple(c, "SELECT sum(k) FROM v"));
    for answer in futures::future::join_all(answers).await {
        assert_eq!(answer.unwrap(), ["3", "(1)"]);
    }
}

#[tokio::test]
async fn sigterm_drains() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.jsonl");
    let script = format!(
        "{TICKS} CREATE SINK s AS SELECT n FROM ticks WITH (connector = 'filesystem', path = '{}', format = 'json')",
        out.display()
    );
    let mut served = Served::start(&script, &[]);
    let idle = served.connect().await;
    let client = served.connect().await;
    let rows = client.query_raw("SUBSCRIBE TO ticks", Vec::<i32>::new()).await.unwrap();
    tokio::pin!(rows);
    let mut seen = 0;
    while let Some(row) = rows.next().await {
        row.expect("it ends well");
        seen += 1;
        if seen == 3 {
            served.signal("TERM");
        }
    }
    assert!(seen >= 3);
    assert_eq!(served.end(), 0);
    assert!(idle.simple_query("SELECT 1").await.is_err(), "nobody is there");
    let written = std::fs::read_to_string(&out).unwrap();
    assert!(written.lines().count() >= 3 && written.ends_with("}\n"), "the output is complete");
}

#[tokio::test]
async fn the_catalog_can_be_read() {
    let served = Served::start(
        "CREATE MATERIALIZED VIEW v AS SELECT 1 AS k, 'a' AS w, CAST(1.5 AS DECIMAL(10, 2)) AS d;
         CREATE VIEW plain AS SELECT k FROM v",
        &[],
    );
    let client = served.connect().await;
    let tables =
        simple(&client, "SELECT table_schema, table_name, table_type FROM information_schema.tables ORDER BY 2");
    assert_eq!(tables.await.unwrap(), ["public|plain|VIEW", "public|v|VIEW", "(2)"]);
    let columns = "SELECT column_name, data_type, is_nullable, numeric_precision FROM information_schema.columns
                   WHERE table_name = $1 ORDER BY ordinal_position";
    let rows = client.query(columns, &[&"v"]).await.unwrap();
    let of =
        |row: &tokio_postgres::Row| (row.get::<_, String>(0), row.get::<_, String>(1), row.get::<_, Option<i32>>(3));
    let rows: Vec<_> = rows.iter().map(of).collect();
    assert_eq!(
        rows,
        [
            ("k".into(), "bigint".into(), Some(64)),
            ("w".into(), "text".into(), None),
            ("d".into(), "numeric".into(), Some(10))
        ]
    );
    let oid = simple(&client, "SELECT 'v'::regclass::oid").await.unwrap();
    let name = simple(&client, &format!("SELECT {}::regclass", oid[0])).await.unwrap();
    assert_eq!(name[0], "v");
    let types = simple(
        &client,
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'v'::regclass ORDER BY attnum",
    );
    assert_eq!(types.await.unwrap(), ["k|bigint", "w|text", "d|numeric(10,2)", "(3)"]);
    let shown = simple(&client, "SHOW TABLES").await.unwrap();
    assert_eq!(shown, ["plain|view", "v|materialized view", "(0)"]);
}

/// A program that the environment names; without it the test is not run, and says so.
fn program(variable: &str, what: &str) -> Option<String> {
    let program = std::env::var(variable).ok().filter(|program| !program.is_empty());
    if program.is_none() {
        println!("NOT RUN: {variable} names no {what}");
    }
    program
}

/// Compares what a client printed with the transcript of an earlier session. `TIDEMILL_RECORD=1` writes the transcript.
fn compare(transcript: &str, printed: &[u8]) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pg").join(transcript);
    let printed = String::from_utf8_lossy(printed).into_owned();
    if std::env::var_os("TIDEMILL_RECORD").is_some() {
        std::fs::write(&path, &printed).expect("the transcript can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (is, was)) in printed.lines().zip(expected.lines()).enumerate() {
        assert_eq!(is, was, "{transcript}, line {}; all of it:\n{printed}", number + 1);
    }
    assert_eq!(printed.lines().count(), expected.lines().count(), "{transcript}; all of it:\n{printed}");
}

fn psql(transcript: &str, script: &str) {
    let Some(psql) = program("TIDEMILL_PSQL", "psql") else { return };
    let served = Served::start(script, &[]);
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pg").join(transcript);
    let shell = format!("exec {psql} -X -a -h 127.0.0.1 -p {} -U ann shop < {} 2>&1", served.port, file.display());
    let mut command = Command::new("sh");
    command.args(["-c", &shell]).env("PGCONNECT_TIMEOUT", "20").env("LC_ALL", "C.UTF-8").env_remove("PGOPTIONS");
    let output = command.output().expect("psql runs");
    compare(&transcript.replace(".sql", ".sql.out"), &output.stdout);
}

fn psycopg(transcript: &str, script: &str) {
    let Some(python) = program("TIDEMILL_PYTHON", "python with psycopg") else { return };
    let served = Served::start(script, &[]);
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pg").join(transcript);
    let output = Command::new(python).arg(file).arg(served.port.to_string()).output().expect("python runs");
    let printed = [output.stdout, output.stderr].concat();
    compare(&transcript.replace(".py", ".py.out"), &printed);
}

#[test]
fn psql_session() {
    psql("session.sql", "");
}

#[test]
fn psycopg_session() {
    psycopg("session.py", TICKS);
}

#[test]
fn psql_changes() {
    psql("changes.sql", "");
}

#[test]
fn psycopg_changes() {
    psycopg("changes.py", "");
}
