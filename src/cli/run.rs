//! Running scripts: plan everything, start everything, drive it until it ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use super::args::{Invocation, Mode};
use super::failure::{Exit, Failure};
use super::output::Printer;
use super::screen::Screen;
use super::script::Script;
use super::signals::{self, Watched};
use super::status::{Meter, Totals, summary};
use crate::engine::{Control, Engine, Outcome, Progress};
use crate::error::Error;
use crate::host::Host;
use crate::settings::Settings;
use crate::sql::statement::{Parsed, Statement};

/// A statement and the script that it stands in.
type Placed<'a> = (&'a Arc<Script>, &'a Parsed);

/// What a run of scripts needs.
pub(crate) struct Run<'a> {
    pub(crate) invocation: &'a Invocation,
    pub(crate) scripts: &'a [Arc<Script>],
    pub(crate) settings: Settings,
    pub(crate) host: Host,
    pub(crate) screen: Screen,
}

impl Run<'_> {
    /// Does what the mode says.
    ///
    /// # Errors
    /// The first thing that went wrong.
    pub(crate) async fn go(&self) -> Result<Exit, Failure> {
        match self.invocation.mode {
            Mode::Check => self.check().await.map(|()| Exit::Done),
            Mode::Explain => self.explain().await.map(|()| Exit::Done),
            Mode::Verify { seeds } => self.verify(seeds).await,
            Mode::Serve => self.serve().await,
            Mode::Run | Mode::Shell => self.run().await,
        }
    }

    pub(super) fn engine(&self) -> Result<Engine, Failure> {
        Ok(Engine::builder().settings(self.settings.clone()).host(self.host.clone()).build())
    }

    pub(super) fn statements(&self) -> impl Iterator<Item = Placed<'_>> {
        self.scripts.iter().flat_map(|script| script.statements.iter().map(move |parsed| (script, parsed)))
    }

    /// Plans every statement in an engine of its own, so that nothing has begun when one of them is wrong.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let engine = self.engine()?;
        for (script, parsed) in self.statements() {
            engine.check(parsed).await.map_err(|e| Failure::in_script(e.at(parsed.span), script))?;
        }
        Ok(())
    }

    /// Prints the plan of every query.
    async fn explain(&self) -> Result<(), Failure> {
        let engine = self.engine()?;
        let mut printer = self.printer(&Control::new())?;
        let mut first = true;
        for (script, parsed) in self.statements() {
            let located = |e: Error| Failure::in_script(e.at(parsed.span), script);
            if explainable(&parsed.statement) {
                let explain = explained(parsed);
                if let Outcome::Rows { schema, batches } =
                    engine.execute(&explain, &mut printer).await.map_err(located)?
                {
                    if !std::mem::take(&mut first) && printer.format.is_none() {
                        printer.text("\n")?;
                    }
                    printer.plan(&schema, &batches)?;
                }
            }
            if !matches!(parsed.statement, Statement::Explain { .. }) {
                engine.check(parsed).await.map_err(located)?;
            }
        }
        Ok(())
    }

    async fn run(&self) -> Result<Exit, Failure> {
        let options = &self.invocation.options;
        let watched = Arc::new(Watched::default());
        signals::handle(watched.clone(), self.screen.clone())?;
        if needs_check(self.statements().map(|(_, parsed)| &parsed.statement)) {
            self.check().await?;
        }
        let engine = self.engine()?;
        let control = Control::new();
        let mut printer = self.printer(&control)?;
        let later = self.start(&engine, &mut printer).await?;
        let Some(mut later) = later else { return Ok(Exit::Done) };

        watched.running(&control);
        let ran = self.drive(&engine, &control, &watched).await;
        self.screen.clear_status();
        let progress = engine.progress();
        if let Err(failure) = ran {
            // Whoever closes the pipe has seen enough, and the counts would stop half-way.
            if !failure.error.is_broken_pipe() {
                self.sum_up(&progress);
            }
            return Err(failure);
        }
        if watched.aborted_by().is_none() {
            for (script, parsed) in later.drain(..) {
                self.execute(&engine, &mut printer, script, parsed).await?;
            }
            engine.finish().await?;
        }
        self.sum_up(&progress);
        if let Some(failed) = progress.queries.iter().find_map(|q| q.failed.as_ref().map(|why| (q, why))) {
            return Err(Error::execution(format!("query {} failed: {}", failed.0.name, failed.1)).into());
        }
        if let Some(signal) = watched.aborted_by() {
            return Ok(Exit::Signal(signal));
        }
        if options.strict && Totals::of(&progress).lost_any() {
            self.screen.say("error: rows were late, bad or quarantined, and --strict was given");
            return Ok(Exit::NotStrict);
        }
        Ok(Exit::Done)
    }

    pub(super) fn printer(&self, control: &Control) -> Result<Printer, Failure> {
        let options = &self.invocation.options;
        let mut printer = Printer::new(self.screen.clone(), self.host.clone());
        printer.format.clone_from(&options.format);
        printer.redirect(options.output.as_deref());
        if let Some(rows) = options.limit {
            printer.limit(rows, control);
        }
        printer.check_format().map_err(Failure::usage)?;
        Ok(printer)
    }

    /// Executes every statement in order, but for those that read what the started queries have yet to answer; `None` when
    /// nothing was started.
    async fn start<'s>(&'s self, engine: &Engine, printer: &mut Printer) -> Result<Option<Vec<Placed<'s>>>, Failure> {
        let mut started = false;
        let mut later: Vec<Placed<'s>> = Vec::new();
        for (script, parsed) in self.statements() {
            if started && (engine.awaits_streams(parsed) || (!later.is_empty() && follows(&parsed.statement))) {
                later.push((script, parsed));
            } else {
                started |= self.execute(engine, printer, script, parsed).await?;
            }
        }
        Ok(started.then_some(later))
    }

    /// Executes one statement; whether it started a query.
    pub(super) async fn execute(
        &self,
        engine: &Engine,
        printer: &mut Printer,
        script: &Arc<Script>,
        parsed: &Parsed,
    ) -> Result<bool, Failure> {
        let located = |e: Error| Failure::in_script(e.at(parsed.span), script);
        match engine.execute(parsed, printer).await.map_err(located)? {
            Outcome::Done(_) => Ok(false),
            Outcome::Rows { schema, batches } => {
                let print = match parsed.statement {
                    Statement::Explain { .. } => printer.plan(&schema, &batches),
                    _ => printer.rows(&schema, &batches),
                };
                // What can't be printed is no fault of the statement.
                print.map(|()| false).map_err(Failure::from)
            }
            Outcome::Started { notices, .. } | Outcome::Live { notices, .. } => {
                if !self.invocation.options.quiet {
                    notices.iter().for_each(|notice| self.screen.say(&format!("note: {notice}")));
                }
                Ok(true)
            }
        }
    }

    /// Drives the engine until it ends, with the status line and `--for`.
    async fn drive(&self, engine: &Engine, control: &Control, watched: &Watched) -> Result<(), Failure> {
        let mut meter = Meter::default();
        let mut observe = |progress: &Progress| {
            watched.observe(progress);
            self.screen.status(meter.line(progress));
        };
        let micros = self.invocation.options.duration.map(i64::unsigned_abs);
        let ran = tokio::select! {
            ran = engine.run(control, &mut observe) => ran,
            never = drain_after(micros, control) => match never {},
        };
        match (ran, self.scripts) {
            (Ok(()), _) => Ok(()),
            // With one script its place is sure; with several the error does not say whose it is.
            (Err(error), [script]) => Err(Failure::in_script(error, script)),
            (Err(error), _) => Err(error.into()),
        }
    }

    pub(super) fn sum_up(&self, progress: &Progress) {
        if !self.invocation.options.quiet {
            self.screen.say(&summary(progress));
        }
    }
}

/// Drains after so many microseconds, if any; the run ends by itself then.
async fn drain_after(micros: Option<u64>, control: &Control) -> Infallible {
    if let Some(micros) = micros {
        tokio::time::sleep(Duration::from_micros(micros)).await;
        control.drain();
    }
    std::future::pending().await
}

/// Whether a statement plans a query that EXPLAIN can show.
fn explainable(statement: &Statement) -> bool {
    match statement {
        Statement::Query(_)
        | Statement::Subscribe(_)
        | Statement::Insert(_)
        | Statement::StatementSet(_)
        | Statement::CreateView(_)
        | Statement::Explain { .. } => true,
        Statement::CreateSink(sink) => sink.query.is_some(),
        Statement::CreateTable(table) => table.query.is_some(),
        _ => false,
    }
}

fn explained(parsed: &Parsed) -> Parsed {
    match parsed.statement {
        Statement::Explain { .. } => parsed.clone(),
        _ => Parsed {
            statement: Statement::Explain { verbose: false, statement: Box::new(parsed.statement.clone()) },
            text: format!("EXPLAIN {}", parsed.text),
            span: parsed.span,
        },
    }
}

/// Whether something could have begun before the last wrong statement is found: then all are planned beforehand.
///
/// Execution itself plans a statement before it has any effect, so one that starts or prints something, and stands last,
/// needs no rehearsal (which would look at its inputs twice).
pub(super) fn needs_check<'a>(statements: impl Iterator<Item = &'a Statement>) -> bool {
    let mut begun = false;
    for statement in statements {
        if begun {
            return true;
        }
        begun = match statement {
            Statement::CreateTable(table) => table.query.is_some(),
            Statement::CreateView(view) => view.materialized,
            Statement::CreateFunction(_) | Statement::Set { .. } | Statement::Reset(_) => false,
            _ => true,
        };
    }
    false
}

/// Whether a statement must keep its place behind a snapshot that waits for the queries to end.
fn follows(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::Show(_)
            | Statement::Describe(_)
            | Statement::Drop { .. }
            | Statement::Insert(_)
            | Statement::Update(_)
            | Statement::Delete(_)
            | Statement::Flush
            | Statement::Query(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statement::Show;

    fn set() -> Statement {
        let at = crate::error::Location { line: 1, column: 1 };
        let span = crate::error::Span { start: at, end: at };
        Statement::Set { name: "interval".into(), value: "1s".into(), span }
    }

    #[test]
    fn only_what_begins_before_another_needs_a_rehearsal() {
        let show = Statement::Show(Show::Tables);
        let insert = Statement::StatementSet(Vec::new());
        assert!(!needs_check([].into_iter()));
        assert!(!needs_check([&set(), &set(), &insert].into_iter()));
        assert!(needs_check([&insert, &set()].into_iter()));
        assert!(needs_check([&show, &insert].into_iter()));
    }

    #[test]
    fn explain_wraps_once() {
        let at = crate::error::Location { line: 1, column: 1 };
        let span = crate::error::Span { start: at, end: at };
        let parsed = Parsed { statement: Statement::StatementSet(Vec::new()), text: "x".into(), span };
        let once = explained(&parsed);
        assert!(explainable(&once.statement) && !explainable(&set()));
        assert_eq!(explained(&once).text, once.text);
    }
}
