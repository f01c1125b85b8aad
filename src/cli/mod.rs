//! The `tidemill` command: arguments, runs of query files, and the shell.
//!
//! Stdout is data and nothing else; words, the status line and logs go to stderr. Everything about queries goes through
//! [`crate::engine`]; nothing here knows how they are planned or run.

mod args;
mod failure;
mod output;
mod repl;
mod run;
mod screen;
mod script;
mod serve;
mod signals;
mod status;
mod verify;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use args::{Invocation, LogFormat, Mode};
use failure::{Exit, Failure};
use run::Run;
use screen::{LogWriter, Screen};
use tracing_subscriber::EnvFilter;

use crate::error::Error;
use crate::host::Host;

/// Plans of deeply nested SQL are walked by recursion; the usual stack is too small for them.
const STACK_BYTES: usize = 16 << 20;

/// Runs the command line; the arguments begin with the program's name, as `std::env::args_os` has them.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let invocation = match Invocation::parse(arguments, std::io::stdin().is_terminal()) {
        Ok(invocation) => invocation,
        Err(error) => {
            // Help that nobody reads to its end is no failure.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let stderr_is_terminal = std::io::stderr().is_terminal();
    let (color, quiet) = match &invocation {
        Ok(i) => (i.options.color.decide(stderr_is_terminal, no_color), i.options.quiet),
        Err(_) => (stderr_is_terminal && !no_color, true),
    };
    let screen = Screen::new(color, !quiet);
    let ended = invocation.map_err(Failure::usage).and_then(|invocation| on_a_big_stack(invocation, screen.clone()));
    let exit = ended.unwrap_or_else(|failure| {
        screen.clear_status();
        let exit = failure.exit();
        if exit != Exit::Done {
            screen.say(&failure.render(color));
        }
        exit
    });
    ExitCode::from(exit.code())
}

fn on_a_big_stack(invocation: Invocation, screen: Screen) -> Result<Exit, Failure> {
    let thread = std::thread::Builder::new().name("tidemill".to_owned()).stack_size(STACK_BYTES);
    let running = thread.spawn(move || go(&invocation, &screen)).map_err(Error::from)?;
    running.join().unwrap_or_else(|_| Err(Error::internal("the main thread panicked").into()))
}

fn go(invocation: &Invocation, screen: &Screen) -> Result<Exit, Failure> {
    let options = &invocation.options;
    log_to(screen, options.log_format);
    let host = Host::system();
    let settings = options.settings().map_err(Failure::usage)?;
    let variables = script::variables(options, &host).map_err(Failure::usage)?;
    let scripts = script::load_all(invocation, &host, &variables)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .map_err(Error::from)?;
    let ended = if invocation.mode == Mode::Shell {
        repl::run(&runtime, options, settings, host, screen.clone(), &scripts, variables)
    } else {
        let run = Run { invocation, scripts: &scripts, settings, host, screen: screen.clone() };
        runtime.block_on(run.go())
    };
    // A source that blocks in a read must not hold the exit up.
    runtime.shutdown_background();
    ended
}

/// Warnings, or what RUST_LOG says, to stderr.
fn log_to(screen: &Screen, format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let writer = LogWriter(screen.clone());
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(screen.color()).with_writer(move || writer.clone());
    // Whoever runs this as a library twice has a logger already.
    let _ = match format {
        LogFormat::Text => logs.with_target(false).try_init(),
        LogFormat::Json => logs.json().try_init(),
    };
}
