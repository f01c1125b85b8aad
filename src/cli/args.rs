//! What was asked for on the command line, and who owns stdin.
//!
//! SQL comes from `-c`, from files, or from stdin when neither is given and nobody sits at it. When it comes from stdin, no
//! query can read its rows from there too: [`super::script`] refuses that once the SQL is parsed.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::error::{Error, Result};
use crate::settings::Settings;
use crate::time::parse_duration;

const EXAMPLES: &str = "\
Examples:
  tidemill                                     a shell (\\? lists its commands)
  tidemill run q.sql                           run a file; its SELECT goes to stdout
  tidemill run q.sql < day.jsonl | jq .        rows on stdin are the relation `stdin`
  tail -F access.log | tidemill -c \"SELECT window_end, status, count(*) FROM TUMBLE(stdin, now(), INTERVAL '5' SECOND) GROUP BY 1, 2\"
  tidemill check q.sql                         plan only: errors with their place, exit 1
  tidemill verify q.sql --seeds 50             does the stream answer as batch SQL does, however its rows arrive?
  tidemill serve q.sql                         run a file, and serve psql -h 127.0.0.1 -p 5433

Exit codes: 0 done or drained, 1 wrong SQL or a failed query, 2 wrong arguments, 3 a source or sink can't be reached,
4 rows were late or bad and --strict was given, 130 aborted by Ctrl-C.";

/// Continuous SQL: the answers of SQL queries, kept up to date over files, sockets and pipes.
#[derive(Debug, Parser)]
#[command(name = "tidemill", version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Query files to run, in order; `-` is stdin
    #[arg(value_name = "FILE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run query files until their inputs end, or for ever
    Run {
        /// Query files, in order; `-` is stdin
        #[arg(value_name = "FILE")]
        paths: Vec<PathBuf>,
    },
    /// Plan query files and say what is wrong with them; nothing runs
    Check {
        /// Query files, in order; `-` is stdin
        #[arg(value_name = "FILE")]
        paths: Vec<PathBuf>,
    },
    /// Run query files as a stream in many ways, and compare each with the batch answer
    ///
    /// Every source is read to its end once. Then the rows are run again and again: cut into intervals by chance, shuffled
    /// within the watermark, in one partition and in two. Sinks are not written. On a difference the exit code is 1, and a
    /// minimal case is written as a .sql and a .jsonl beside it.
    Verify {
        /// Query files, in order; `-` is stdin
        #[arg(value_name = "FILE")]
        paths: Vec<PathBuf>,
        /// In how many ways the rows arrive
        #[arg(long, value_name = "N", default_value_t = 20)]
        seeds: u64,
    },
    /// Serve PostgreSQL's clients (psql, drivers, dashboards), after running query files
    Serve {
        /// Query files to run first, in order
        #[arg(value_name = "FILE")]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        serve: ServeOptions,
    },
    /// Print how the queries of files would run, and what state they keep
    Explain {
        /// Query files, in order; `-` is stdin
        #[arg(value_name = "FILE")]
        paths: Vec<PathBuf>,
    },
}

/// What a server lets its clients do.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ServeOptions {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5433", value_parser = address)]
    pub(crate) pg_addr: SocketAddr,
    /// A folder whose files clients may read and write; may be given several times [default: none]
    #[arg(long, value_name = "DIR")]
    pub(crate) allow_files: Vec<PathBuf>,
    /// Clients may make tables over sockets
    #[arg(long)]
    pub(crate) allow_network: bool,
    /// Listen at an address that others can reach: whoever reaches it is let in, without a password
    #[arg(long)]
    pub(crate) allow_remote: bool,
}

impl Default for ServeOptions {
    fn default() -> Self {
        let pg_addr = SocketAddr::from(([127, 0, 0, 1], 5433));
        Self { pg_addr, allow_files: Vec::new(), allow_network: false, allow_remote: false }
    }
}

fn address(text: &str) -> std::result::Result<SocketAddr, String> {
    let numeric = text.strip_prefix("localhost:").map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    numeric.parse().map_err(|_| "write ADDRESS:PORT, for example 127.0.0.1:5433".to_owned())
}

/// The options; they may stand before or behind the action.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Options {
    /// SQL to run; may be given several times
    #[arg(short = 'c', long = "command", value_name = "SQL", global = true)]
    commands: Vec<String>,
    /// A query file to run; `-` is stdin
    #[arg(short = 'f', long = "file", value_name = "FILE", global = true)]
    files: Vec<PathBuf>,
    /// A file to run first (tables, settings), before a shell too
    #[arg(short = 'i', long = "init", value_name = "FILE", global = true)]
    init: Vec<PathBuf>,
    /// Length of an interval, for example 1s; 0 runs one as soon as rows are there
    #[arg(long, value_name = "TIME", global = true)]
    interval: Option<String>,
    /// A setting, as SET name = value; SHOW ALL lists them
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair, global = true)]
    settings: Vec<(String, String)>,
    /// A variable for :name, :'name' and :"name" in the SQL
    #[arg(short = 'v', long = "var", value_name = "NAME=VALUE", value_parser = pair, global = true)]
    pub(crate) variables: Vec<(String, String)>,
    /// A file of variables, NAME=VALUE on each line; -v wins over it
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) var_file: Vec<PathBuf>,
    /// Format of what SELECT prints: json, csv, table, changelog, …
    /// [default: by the extension of -o; table or changelog in a terminal; else json]
    #[arg(long, value_name = "FORMAT", global = true)]
    pub(crate) format: Option<String>,
    /// Where SELECT prints to, in place of stdout
    #[arg(short = 'o', long, value_name = "FILE", global = true)]
    pub(crate) output: Option<PathBuf>,
    /// End after this many rows have come out of SELECT
    #[arg(long, value_name = "ROWS", global = true)]
    pub(crate) limit: Option<u64>,
    /// Take input for this long, then close what is open and end
    #[arg(long = "for", value_name = "TIME", value_parser = micros, global = true)]
    pub(crate) duration: Option<i64>,
    /// Exit with 4 when rows were late, bad or quarantined
    #[arg(long, global = true)]
    pub(crate) strict: bool,
    /// No status line, no summary, no notes
    #[arg(short = 'q', long, global = true)]
    pub(crate) quiet: bool,
    /// How logs look on stderr (RUST_LOG says what is logged; warnings by default)
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", global = true)]
    pub(crate) log_format: LogFormat,
    /// Colours in errors and in the shell
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", global = true)]
    pub(crate) color: Color,
}

/// How logs look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    /// Whether to colour what goes to a terminal or elsewhere; `no_color` as <https://no-color.org> has it.
    pub(crate) fn decide(self, terminal: bool, no_color: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && !no_color,
        }
    }
}

impl Options {
    /// The engine's settings, as `--set` and `--interval` say.
    ///
    /// # Errors
    /// An unknown setting or a wrong value.
    pub(crate) fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::default();
        for (name, value) in &self.settings {
            settings.set(name, value).map_err(|e| e.context("--set"))?;
        }
        if let Some(interval) = &self.interval {
            settings.set("interval", interval).map_err(|e| e.context("--interval"))?;
        }
        Ok(settings)
    }
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Shell,
    Run,
    Check,
    Explain,
    Verify { seeds: u64 },
    Serve,
}

/// Where a piece of SQL comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SqlSource {
    /// `-c`.
    Command(String),
    /// A file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// The command line, decided.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) mode: Mode,
    pub(crate) init: Vec<SqlSource>,
    pub(crate) scripts: Vec<SqlSource>,
    pub(crate) options: Options,
    pub(crate) serve: ServeOptions,
}

impl Invocation {
    /// Reads arguments; the inner error is clap's (help and version too), to be printed as it is.
    ///
    /// # Errors
    /// Arguments that clap refuses, or that do not go together.
    pub(crate) fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        stdin_is_terminal: bool,
    ) -> std::result::Result<Result<Self>, clap::Error> {
        let matches = Args::command().try_get_matches_from(arguments)?;
        let args = Args::from_arg_matches(&matches)?;
        Ok(decide(args, &matches, stdin_is_terminal))
    }

    /// Whether stdin is read as SQL, and so can't be read as rows.
    pub(crate) fn sql_owns_stdin(&self) -> bool {
        self.init.iter().chain(&self.scripts).any(|s| *s == SqlSource::Stdin)
    }
}

fn decide(args: Args, matches: &ArgMatches, stdin_is_terminal: bool) -> Result<Invocation> {
    let mut serve = ServeOptions::default();
    let (mode, paths) = match args.action {
        None => (None, args.paths),
        Some(Action::Run { paths }) => (Some(Mode::Run), paths),
        Some(Action::Check { paths }) => (Some(Mode::Check), paths),
        Some(Action::Explain { paths }) => (Some(Mode::Explain), paths),
        Some(Action::Verify { paths, seeds }) => (Some(Mode::Verify { seeds }), paths),
        Some(Action::Serve { paths, serve: given }) => {
            if !given.pg_addr.ip().is_loopback() && !given.allow_remote {
                return Err(Error::config(format!("{} can be reached from elsewhere", given.pg_addr)).help(
                    "listen at 127.0.0.1, or add --allow-remote: whoever reaches it is let in, without a password",
                ));
            }
            serve = given;
            (Some(Mode::Serve), paths)
        }
    };
    let mut scripts = in_order(&args.options, matches);
    scripts.extend(paths.into_iter().map(from_path));
    let init: Vec<_> = args.options.init.iter().cloned().map(from_path).collect();
    let mode = match mode {
        None if scripts.is_empty() && stdin_is_terminal => Mode::Shell,
        mode => mode.unwrap_or(Mode::Run),
    };
    if !matches!(mode, Mode::Shell | Mode::Serve) && scripts.is_empty() {
        if stdin_is_terminal {
            return Err(Error::config("no SQL to work on").help("name a file, or give the text with -c 'SELECT …'"));
        }
        scripts.push(SqlSource::Stdin);
    }
    if init.iter().chain(&scripts).filter(|s| **s == SqlSource::Stdin).count() > 1 {
        return Err(Error::config("stdin is named twice as the place of the SQL"));
    }
    Ok(Invocation { mode, init, scripts, options: args.options, serve })
}

fn from_path(path: PathBuf) -> SqlSource {
    if path.as_os_str() == "-" { SqlSource::Stdin } else { SqlSource::File(path) }
}

/// `-c` and `-f` in the order in which they were given.
fn in_order(options: &Options, matches: &ArgMatches) -> Vec<SqlSource> {
    let matches = matches.subcommand().map_or(matches, |(_, inner)| inner);
    let places = |id: &str| matches.indices_of(id).into_iter().flatten().collect::<Vec<_>>();
    let commands = options.commands.iter().cloned().map(SqlSource::Command);
    let files = options.files.iter().cloned().map(from_path);
    let mut placed: Vec<(usize, SqlSource)> =
        places("commands").into_iter().zip(commands).chain(places("files").into_iter().zip(files)).collect();
    placed.sort_by_key(|(place, _)| *place);
    placed.into_iter().map(|(_, source)| source).collect()
}

/// `name=value`.
pub(crate) fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

fn micros(text: &str) -> std::result::Result<i64, String> {
    parse_duration(text).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str], terminal: bool) -> Result<Invocation> {
        let arguments = std::iter::once("tidemill").chain(line.iter().copied()).map(OsString::from);
        Invocation::parse(arguments, terminal).unwrap()
    }

    #[test]
    fn clap_finds_no_fault() {
        Args::command().debug_assert();
    }

    #[test]
    fn who_owns_stdin() {
        let file = |p: &str| SqlSource::File(p.into());
        let command = |c: &str| SqlSource::Command(c.to_owned());
        for (line, terminal, mode, scripts, sql_on_stdin) in [
            (&[][..], true, Mode::Shell, vec![], false),
            (&[], false, Mode::Run, vec![SqlSource::Stdin], true),
            (&["-c", "a"], false, Mode::Run, vec![command("a")], false),
            (&["-c", "a"], true, Mode::Run, vec![command("a")], false),
            (&["q.sql"], false, Mode::Run, vec![file("q.sql")], false),
            (&["run", "q.sql", "r.sql"], false, Mode::Run, vec![file("q.sql"), file("r.sql")], false),
            (&["run", "-"], true, Mode::Run, vec![SqlSource::Stdin], true),
            (&["run"], false, Mode::Run, vec![SqlSource::Stdin], true),
            (&["check", "q.sql"], true, Mode::Check, vec![file("q.sql")], false),
            (&["explain", "-c", "a"], true, Mode::Explain, vec![command("a")], false),
            (&["verify", "q.sql"], true, Mode::Verify { seeds: 20 }, vec![file("q.sql")], false),
            (&["verify", "q.sql", "--seeds", "3"], true, Mode::Verify { seeds: 3 }, vec![file("q.sql")], false),
            (&["serve"], false, Mode::Serve, vec![], false),
            (&["serve", "q.sql", "--pg-addr", "localhost:0"], true, Mode::Serve, vec![file("q.sql")], false),
            (&["-f", "x", "-c", "a", "-f", "y"], true, Mode::Run, vec![file("x"), command("a"), file("y")], false),
        ] {
            let invocation = parse(line, terminal).unwrap();
            assert_eq!(invocation.mode, mode, "{line:?}");
            assert_eq!(invocation.scripts, scripts, "{line:?}");
            assert_eq!(invocation.sql_owns_stdin(), sql_on_stdin, "{line:?}");
        }
        assert!(parse(&["run"], true).is_err(), "nothing to run");
        assert!(parse(&["-f", "-", "-"], false).is_err(), "stdin twice");
        assert!(parse(&["serve", "--pg-addr", "0.0.0.0:5433"], false).is_err(), "anybody could connect");
        assert!(parse(&["serve", "--pg-addr", "0.0.0.0:5433", "--allow-remote"], false).is_ok());
    }

    #[test]
    fn options_on_both_sides_of_the_action() {
        for line in [["--format", "csv", "run", "q.sql"], ["run", "q.sql", "--format", "csv"]] {
            assert_eq!(parse(&line, true).unwrap().options.format.as_deref(), Some("csv"));
        }
    }

    #[test]
    fn settings_come_from_set_and_interval() {
        let options = parse(&["q.sql", "--interval", "2s", "--set", "batch_rows=10"], true).unwrap().options;
        let settings = options.settings().unwrap();
        assert_eq!((settings.interval_micros, settings.batch_rows_max), (2_000_000, 10));
        let wrong = parse(&["q.sql", "--set", "batch_row=10"], true).unwrap().options.settings().unwrap_err();
        assert!(wrong.helps()[0].contains("batch_rows"), "{wrong}");
    }

    #[test]
    fn colour_is_for_terminals() {
        assert!(Color::Auto.decide(true, false));
        assert!(!Color::Auto.decide(true, true));
        assert!(!Color::Auto.decide(false, false));
        assert!(Color::Always.decide(false, true));
        assert!(!Color::Never.decide(true, false));
    }
}
