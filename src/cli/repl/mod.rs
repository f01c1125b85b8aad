//! The shell: statements run as they are typed, streams print until Ctrl-C, and views are kept in the background.
//!
//! The line is read on the shell's own thread, outside of the async runtime. One more thread ([`driver`]) drives queries, so
//! that those in the background go on while somebody types; what they have to say is printed above the prompt.

mod answers;
mod commands;
mod complete;
mod driver;
mod helper;
mod highlight;
mod history;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use commands::Command;
use driver::{Driver, Ended};
use helper::ShellHelper;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Behavior, ColorMode, CompletionType, Config, Editor, ExternalPrinter};

use super::args::Options;
use super::failure::{Exit, Failure};
use super::output::Printer;
use super::screen::Screen;
use super::script::{Script, refuse_stdin};
use super::status::{count, seconds};
use crate::engine::{Engine, Outcome};
use crate::error::Error;
use crate::host::Host;
use crate::settings::Settings;
use crate::sql::statement::{Parsed, Statement};
use crate::time::Timestamp;

/// Runs the shell until it is left; `scripts` run first.
///
/// # Errors
/// When there is no terminal to work with. What is wrong with a statement is said, and the shell goes on.
pub(super) fn run(
    runtime: &tokio::runtime::Runtime,
    options: &Options,
    settings: Settings,
    host: Host,
    screen: Screen,
    scripts: &[Arc<Script>],
    variables: BTreeMap<String, String>,
) -> Result<Exit, Failure> {
    let engine = Engine::builder().settings(settings).host(host.clone()).build();
    let interrupted = Arc::new(AtomicBool::new(false));
    #[cfg(unix)]
    signal_hook::flag::register(signal_hook::consts::SIGINT, interrupted.clone()).map_err(Error::from)?;
    let mut printer = Printer::new(screen.clone(), host.clone());
    printer.format.clone_from(&options.format);
    printer.redirect(options.output.as_deref());
    printer.check_format().map_err(Failure::usage)?;
    let driver = Driver::start(&engine, runtime.handle().clone(), screen.clone())?;
    let mut shell = Shell {
        runtime,
        engine,
        host,
        screen,
        printer,
        driver,
        variables,
        interrupted,
        timing: false,
        quiet: options.quiet,
        includes: 0,
    };
    shell.go(scripts)?;
    shell.leave();
    Ok(Exit::Done)
}

struct Shell<'a> {
    runtime: &'a tokio::runtime::Runtime,
    engine: Engine,
    host: Host,
    screen: Screen,
    printer: Printer,
    driver: Driver,
    variables: BTreeMap<String, String>,
    /// Ctrl-C while something runs.
    interrupted: Arc<AtomicBool>,
    timing: bool,
    quiet: bool,
    includes: usize,
}

impl Shell<'_> {
    fn go(&mut self, scripts: &[Arc<Script>]) -> Result<(), Failure> {
        let mut editor = self.editor().map_err(|e| Error::io(format!("the terminal can't be used: {e}")))?;
        let history = self.load_history(&mut editor);
        if !self.quiet {
            self.print(&format!(
                "tidemill {}: continuous SQL. A statement ends with ; and Ctrl-C stops it.\n\\? lists the commands, \\q leaves.\n",
                env!("CARGO_PKG_VERSION")
            ));
        }
        for script in scripts {
            self.script(script);
        }
        let prompt = if self.screen.color() { ("tide> ", "\x1b[1;36mtide>\x1b[0m ") } else { ("tide> ", "tide> ") };
        loop {
            self.screen.editing(true);
            let line = editor.readline(&prompt);
            self.screen.editing(false);
            match line {
                Ok(line) => {
                    if history::keeps(&line) {
                        let _ = editor.add_history_entry(line.trim_end());
                        if let Some(path) = &history {
                            // A history that can't be written is no reason to stop.
                            let _ = editor.append_history(path);
                        }
                    }
                    if !self.line(&line) {
                        return Ok(());
                    }
                }
                // Ctrl-C clears the line.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(()),
                Err(ReadlineError::Signal(_)) => {}
                Err(error) => return Err(Error::io(format!("the terminal can't be read: {error}")).into()),
            }
        }
    }

    fn editor(&self) -> rustyline::Result<Editor<ShellHelper, FileHistory>> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            .auto_add_history(false)
            .max_history_size(history::LENGTH)?
            .color_mode(if self.screen.color() { ColorMode::Enabled } else { ColorMode::Disabled })
            .behavior(if self.screen.stdout_is_terminal() { Behavior::Stdio } else { Behavior::PreferTerm })
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(ShellHelper { engine: self.engine.clone(), color: self.screen.color() }));
        if let Ok(mut printer) = editor.create_external_printer() {
            self.screen.say_above_prompt(Box::new(move |message| printer.print(message).is_ok()));
        }
        Ok(editor)
    }

    fn load_history(&self, editor: &mut Editor<ShellHelper, FileHistory>) -> Option<PathBuf> {
        let of = |name| std::env::var_os(name).map(PathBuf::from);
        let path = history::path(of("XDG_STATE_HOME"), of("HOME"))?;
        self.host.files.create_dir(path.parent()?).ok()?;
        // There is none the first time.
        let _ = editor.load_history(&path);
        Some(path)
    }

    /// Does what a line says; whether the shell goes on.
    fn line(&mut self, line: &str) -> bool {
        if line.trim().is_empty() {
            return true;
        }
        self.interrupted.store(false, Ordering::SeqCst);
        if Command::is_one(line) {
            return match Command::parse(line).map_err(Failure::from) {
                Ok(Command::Quit) => false,
                Ok(command) => {
                    self.command(command).unwrap_or_else(|failure| self.complain(&failure));
                    true
                }
                Err(failure) => {
                    self.complain(&failure);
                    true
                }
            };
        }
        match Script::parse("input", line.to_owned(), &self.variables) {
            Ok(script) => {
                self.script(&script);
            }
            Err(failure) => self.complain(&failure),
        }
        true
    }

    /// Runs statements up to the first that is wrong or was stopped.
    fn script(&mut self, script: &Arc<Script>) {
        // A query that read the keyboard would take the keys away from the prompt, for ever.
        if let Err(failure) = refuse_stdin(std::slice::from_ref(script)) {
            return self.complain(&failure);
        }
        for parsed in &script.statements {
            match self.statement(script, parsed) {
                Ok(true) => {}
                Ok(false) => return,
                Err(failure) => return self.complain(&failure),
            }
        }
    }

    /// Runs one statement; `false` when Ctrl-C stopped it.
    fn statement(&mut self, script: &Arc<Script>, parsed: &Parsed) -> Result<bool, Failure> {
        let located = |e: Error| Failure::in_script(e.at(parsed.span), script);
        let began = self.host.clock.now();
        let Some(outcome) = self.execute(parsed).map_err(located)? else {
            self.print("stopped\n");
            return Ok(false);
        };
        match outcome {
            Outcome::Done(what) => self.print(&format!("{what}\n")),
            Outcome::Rows { schema, batches } => {
                if matches!(parsed.statement, Statement::Explain { .. }) {
                    self.printer.plan(&schema, &batches)?;
                } else {
                    self.printer.rows(&schema, &batches)?;
                    let rows: usize = batches.iter().map(|b| b.num_rows()).sum();
                    self.footer(rows as u64, began, "");
                    return Ok(true);
                }
            }
            Outcome::Started { query, name, notices } => {
                self.note(&notices);
                self.print(&format!("query {query} ({name}) runs; \\jobs shows it, \\stop {query} stops it\n"));
                self.driver.wake();
            }
            Outcome::Live { query, notices } => {
                self.note(&notices);
                let before = self.printer.printed();
                let ended = self.driver.watch(query, &self.interrupted);
                self.screen.clear_status();
                let rows = self.printer.printed() - before;
                match ended {
                    Ended::ByItself => self.footer(rows, began, ""),
                    Ended::Stopped => {
                        self.printer.mute();
                        self.footer(rows, began, ", stopped");
                        return Ok(false);
                    }
                    Ended::Failed(error) => return Err(located(error)),
                }
                return Ok(true);
            }
        }
        if self.timing {
            self.print(&format!("{}\n", seconds(self.host.clock.now().0 - began.0)));
        }
        Ok(true)
    }

    /// Executes a statement; `None` when Ctrl-C came first.
    fn execute(&mut self, parsed: &Parsed) -> crate::error::Result<Option<Outcome>> {
        let (engine, interrupted) = (self.engine.clone(), self.interrupted.clone());
        let printer = &mut self.printer;
        self.runtime.block_on(async move {
            tokio::select! {
                outcome = engine.execute(parsed, printer) => outcome.map(Some),
                () = ctrl_c(&interrupted) => Ok(None),
            }
        })
    }

    fn footer(&self, rows: u64, began: Timestamp, how: &str) {
        let took = seconds(self.host.clock.now().0 - began.0);
        self.print(&format!("({}, {took}{how})\n", count(rows, "row")));
    }

    fn note(&self, notices: &[String]) {
        if !self.quiet {
            notices.iter().for_each(|notice| self.screen.say(&format!("note: {notice}")));
        }
    }

    fn complain(&self, failure: &Failure) {
        self.screen.say(&failure.render(self.screen.color()));
    }

    /// Words of the shell itself; they go to the terminal even when results go to a file.
    fn print(&self, words: &str) {
        // A terminal that has gone is noticed by the next read.
        let _ = self.screen.write(words.as_bytes());
    }

    fn leave(&self) {
        let running = self.engine.progress().queries.iter().filter(|q| !q.ended && q.failed.is_none()).count();
        if running > 0 && !self.quiet {
            let noun = if running == 1 { "query" } else { "queries" };
            self.print(&format!("stopping {running} {noun}\n"));
        }
        self.driver.quit();
    }
}

/// Waits for Ctrl-C.
async fn ctrl_c(interrupted: &AtomicBool) {
    while !interrupted.swap(false, Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
