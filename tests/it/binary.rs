//! The binary as a user drives it: pipes, sockets, signals, exit codes. What is waited for has a deadline; nothing just sleeps.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn tidemill(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.args(arguments).env("NO_COLOR", "1").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A process that is killed when a test gives up on it.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the binary runs");
        let out = child.stdout.take().expect("a pipe");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    fn line(&self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {DEADLINE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the output ended before the line"),
        }
    }

    fn rest(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    fn end(&mut self) -> ExitStatus {
        wait(&mut self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[allow(clippy::disallowed_methods)]
fn wait(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child to wait for") {
            return status;
        }
        assert!(began.elapsed() < DEADLINE, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs to the end with this on stdin.
fn run(arguments: &[&str], stdin: &str) -> Output {
    let mut child = tidemill(arguments).stdin(Stdio::piped()).spawn().expect("the binary runs");
    let mut input = child.stdin.take().expect("a pipe");
    // It may end before it has read everything.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    let (mut out, mut err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        err.read_to_end(&mut text).map(|_| text)
    });
    let mut stdout = Vec::new();
    out.read_to_end(&mut stdout).expect("output");
    let status = wait(&mut child);
    Output { status, stdout, stderr: errors.join().expect("a thread").expect("errors") }
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn code(output: &Output, wanted: i32) {
    assert_eq!(output.status.code(), Some(wanted), "stdout:\n{}\nstderr:\n{}", out(output), err(output));
}

#[allow(clippy::disallowed_methods)]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file can be written");
}

#[test]
fn rows_through_a_pipe() {
    let output = run(&["-c", "SELECT a * 2 AS b FROM stdin WHERE a > 1"], "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    code(&output, 0);
    assert_eq!(out(&output), "{\"b\":4}\n{\"b\":6}\n");
}

#[test]
fn quiet_is_quiet() {
    let output =
        run(&["-q", "--format", "csv", "-c", "SELECT k, 1 AS n FROM stdin"], "{\"k\":\"b\"}\n{\"k\":\"a,c\"}\n");
    code(&output, 0);
    assert_eq!(out(&output), "k,n\nb,1\n\"a,c\",1\n");
    assert_eq!(err(&output), "", "--quiet is quiet");
}

#[test]
fn changes_through_a_pipe() {
    let output = run(&["-q", "-c", "SELECT k, count(*) AS n FROM stdin GROUP BY k"], "{\"k\":\"b\"}\n{\"k\":\"b\"}\n");
    code(&output, 0);
    let text = out(&output);
    assert!(text.lines().last().is_some_and(|l| l.contains("\"op\":") && l.contains("\"n\":2")), "{text}");
}

#[test]
fn no_rows_is_no_failure() {
    let output = run(&["-c", "SELECT 1 AS one"], "");
    code(&output, 0);
    assert_eq!(out(&output).trim(), "{\"one\":1}");
}

#[test]
fn an_empty_pipe_says_what_is_missing() {
    let output = run(&["-c", "SELECT * FROM stdin"], "");
    assert_ne!(output.status.code(), None, "it ends by itself");
    assert!(!err(&output).contains("panicked"), "{}", err(&output));
}

#[test]
fn a_mistake_has_a_caret_and_help() {
    let dir = TempDir::new().expect("a folder");
    let script = dir.path().join("q.sql");
    write(
        &script,
        "CREATE TABLE bids (price BIGINT) WITH (connector = 'filesystem', path = 'x.jsonl', format = 'json');\n\
         SELECT price\nFROM bidz;\n",
    );
    let output = run(&[&script.display().to_string()], "");
    code(&output, 1);
    let text = err(&output);
    assert!(text.contains('^') && text.contains("bidz") && text.contains("q.sql"), "{text}");
    assert!(text.contains("3") && text.contains("did you mean") && text.contains("bids"), "{text}");
}

#[test]
fn wrong_arguments() {
    code(&run(&["--no-such-option"], ""), 2);
    let output = run(&["--set", "max_rows_per_intervall=3", "-c", "SELECT 1"], "");
    code(&output, 2);
    assert!(err(&output).contains("did you mean"), "{}", err(&output));
    code(&run(&["--help"], ""), 0);
    code(&run(&["--version"], ""), 0);
}

#[test]
fn what_cannot_be_reached() {
    let dir = TempDir::new().expect("a folder");
    let missing = dir.path().join("missing.jsonl");
    let output = run(&["-c", &format!("SELECT * FROM '{}'", missing.display())], "");
    code(&output, 3);
    assert!(err(&output).contains("missing.jsonl"), "{}", err(&output));
    let output = run(&[&dir.path().join("missing.sql").display().to_string()], "");
    assert!(matches!(output.status.code(), Some(2 | 3)), "{:?} {}", output.status, err(&output));
}

#[test]
fn a_malformed_file() {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("bad.jsonl");
    write(&path, "{\"a\":1}\n{\"a\":\n{\"a\":3}\n");
    let ddl = |extra: &str| {
        format!(
            "CREATE TABLE t (a BIGINT) WITH (connector = 'filesystem', path = '{}', format = 'json'{extra}); SELECT a FROM t;",
            path.display()
        )
    };
    let output = run(&["-c", &ddl("")], "");
    code(&output, 1);
    assert!(err(&output).contains("bad.jsonl") && err(&output).contains('2'), "{}", err(&output));
    let output = run(&["-c", &ddl(", on_error = 'skip'")], "");
    code(&output, 0);
    assert_eq!(out(&output), "{\"a\":1}\n{\"a\":3}\n");
    let output = run(&["--strict", "-c", &ddl(", on_error = 'skip'")], "");
    code(&output, 4);
}

#[test]
fn check_runs_nothing() {
    let output = run(&["check", "queries/tour/02_tumble.sql"], "");
    code(&output, 0);
    assert!(!out(&output).contains("window_start\":"), "{}", out(&output));
    let output = run(&["check", "-c", "SELECT * FROM nowhere"], "");
    code(&output, 1);
}

#[test]
fn explain_shows_the_state() {
    let output = run(&["explain", "queries/tour/02_tumble.sql"], "");
    code(&output, 0);
    let text = out(&output).to_lowercase();
    assert!(text.contains("aggregate") && text.contains("watermark"), "{text}");
}

#[test]
fn the_shipped_files_run() {
    let output = run(&["-q", "queries/tour/02_tumble.sql"], "");
    code(&output, 0);
    assert_eq!(out(&output).lines().count(), 7, "{}", out(&output));
    let output = run(&["-q", "queries/tour/05_views.sql"], "");
    code(&output, 0);
    assert!(out(&output).contains("alarm") && out(&output).contains("total"), "{}", out(&output));
}

#[test]
fn the_reader_goes_away() {
    let mut child = tidemill(&["-q", "-c", "SELECT a FROM stdin"]).stdin(Stdio::piped()).spawn().expect("it runs");
    let mut input = child.stdin.take().expect("a pipe");
    let feeder = std::thread::spawn(move || {
        // More than any pipe holds; it ends when nobody reads any more.
        for n in 0..2_000_000 {
            if writeln!(input, "{{\"a\":{n}}}").is_err() {
                break;
            }
        }
    });
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut first).expect("a line");
    assert_eq!(first, "{\"a\":0}\n");
    // The reader is closed here.
    let status = wait(&mut child);
    feeder.join().expect("the feeder ends");
    assert_eq!(status.code(), Some(0));
    let mut errors = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut errors).expect("text");
    assert!(!errors.contains("panicked") && !errors.to_lowercase().contains("error"), "{errors}");
}

#[test]
fn an_interrupt_drains() {
    let sql = "CREATE TABLE t (k VARCHAR, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH (connector = 'stdin', format = 'json');
               CREATE TABLE seen (k VARCHAR) WITH (connector = 'print');
               INSERT INTO seen SELECT k FROM t;
               SELECT window_end, count(*) AS n FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND) GROUP BY window_start, window_end;";
    let mut command = tidemill(&["-q", "--format", "json", "--set", "max_future_skew=0", "-c", sql]);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    let mut input = running.child.stdin.take().expect("a pipe");
    writeln!(input, "{{\"k\":\"a\",\"ts\":\"2026-01-01T00:00:01\"}}").expect("it reads");
    input.flush().expect("it reads");
    // The row has been seen; its window is open. Nobody closes stdin.
    assert!(running.line().contains('a'));
    running.signal("INT");
    let status = running.end();
    let rest = running.rest();
    assert!(rest.iter().any(|l| l.contains("\"n\":1")), "the open window came out: {rest:?}");
    assert_eq!(status.code(), Some(0));
    drop(input);
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_socket_with_two_clients() {
    // A port that was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let sql = format!(
        "CREATE TABLE t (who VARCHAR, n BIGINT) WITH (connector = 'socket', address = 'tcp://127.0.0.1:{port}', mode = 'listen', format = 'json', on_error = 'skip');
         SELECT who, n FROM t;"
    );
    let mut running = Running::start(tidemill(&["-q", "--format", "json", "-c", &sql]));
    let mut ann = connect(port);
    let mut bob = connect(port);
    writeln!(ann, "{{\"who\":\"ann\",\"n\":1}}").expect("sent");
    assert_eq!(running.line(), "{\"who\":\"ann\",\"n\":1}");
    // Half a line of bob's does not hold up ann.
    write!(bob, "{{\"who\":\"bob\",").expect("sent");
    writeln!(ann, "no json\n{{\"who\":\"ann\",\"n\":2}}").expect("sent");
    assert_eq!(running.line(), "{\"who\":\"ann\",\"n\":2}");
    writeln!(bob, "\"n\":3}}").expect("sent");
    assert_eq!(running.line(), "{\"who\":\"bob\",\"n\":3}");
    drop(ann);
    writeln!(bob, "{{\"who\":\"bob\",\"n\":4}}").expect("sent");
    assert_eq!(running.line(), "{\"who\":\"bob\",\"n\":4}");
    running.signal("INT");
    assert_eq!(running.end().code(), Some(0));
}

#[allow(clippy::disallowed_methods)]
fn connect(port: u16) -> TcpStream {
    let began = Instant::now();
    loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(stream) => return stream,
            Err(error) => assert!(began.elapsed() < DEADLINE, "nobody listens: {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_is_followed() {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("log.jsonl");
    write(&path, "{\"n\":1}\n");
    let sql = format!(
        "CREATE TABLE t (n BIGINT) WITH (connector = 'filesystem', path = '{}', format = 'json', mode = 'tail'); SELECT n FROM t;",
        path.display()
    );
    let mut running = Running::start(tidemill(&["-q", "--format", "json", "-c", &sql]));
    assert_eq!(running.line(), "{\"n\":1}");
    let mut file = OpenOptions::new().append(true).open(&path).expect("the file is there");
    write!(file, "{{\"n\":2}}\n{{\"n\":").expect("written");
    assert_eq!(running.line(), "{\"n\":2}");
    writeln!(file, "3}}").expect("written");
    assert_eq!(running.line(), "{\"n\":3}");
    // Rotated: a new file under the old name.
    std::fs::rename(&path, dir.path().join("log.1")).expect("renamed");
    write(&path, "{\"n\":4}\n");
    assert_eq!(running.line(), "{\"n\":4}");
    running.signal("TERM");
    running.end();
}

#[test]
fn a_limit_ends_a_run() {
    let mut command = tidemill(&["-q", "--limit", "2", "-c", "SELECT a FROM stdin"]);
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    let mut input = running.child.stdin.take().expect("a pipe");
    write!(input, "{{\"a\":1}}\n{{\"a\":2}}\n{{\"a\":3}}\n").expect("it reads");
    input.flush().expect("it reads");
    assert_eq!((running.line(), running.line()), ("{\"a\":1}".to_owned(), "{\"a\":2}".to_owned()));
    assert_eq!(running.end().code(), Some(0));
    assert!(running.rest().is_empty());
    drop(input);
}
