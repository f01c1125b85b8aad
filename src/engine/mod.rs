//! The public API: an [`Engine`] runs SQL over streams, in your process.
//!
//! Everything else (the binary, servers) goes through it. An engine is cheap to clone, owns no runtime and no logger, and
//! stops its queries when the last clone is dropped. Knows nothing about who embeds it.

mod builder;
mod control;
mod ddl;
mod dml;
mod insert;
mod inspect;
mod keep;
mod late;
mod outcome;
mod prepare;
mod push;
mod rights;
mod select;
mod show;
mod stored;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use arrow::datatypes::SchemaRef;

use crate::catalog::{Catalog, Relation};
use crate::connector::{ConnectorRef, Registry, RelationSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::host::Host;
use crate::runtime::{Contents, Driver, Wake};
use crate::settings::Settings;
use crate::sql::Statement;
use crate::sql::statement::Parsed;
use crate::time::MICROS_PER_SECOND;

pub use builder::EngineBuilder;
pub use control::Control;
pub use outcome::{Outcome, Output, OutputInfo};
pub use prepare::Prepared;
pub use push::{PushTable, PushTableBuilder};
pub use rights::Rights;
pub use stream::{ChangeStream, QueryHandle};

pub(crate) use show::table_ddl;

pub use crate::runtime::{OperatorReport, Progress, QueryProgress, SourceProgress, StepReport};

/// How often a quiet run looks around: for windows of wall time, idle sources, and its observer.
const QUIET_TICK: Duration = Duration::from_millis(100);

/// Runs SQL over streams.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    /// What the statements of this handle may reach.
    rights: Arc<Rights>,
}

struct Shared {
    catalog: RwLock<Catalog>,
    driver: tokio::sync::Mutex<Driver>,
    settings: RwLock<Settings>,
    registry: Registry,
    host: Host,
    /// The contents of materialized views, and of `<table>$late`.
    views: Mutex<BTreeMap<String, View>>,
    /// The driver's, to be had while the driver is at work.
    wake: Wake,
    /// An interval has been run.
    stepped: tokio::sync::Notify,
    /// Queries to stop, asked for while the driver is at work.
    stops: Mutex<Vec<u64>>,
    progress: Mutex<Progress>,
    /// The names of indexes, and what each is on.
    indexes: Mutex<BTreeMap<String, String>>,
    /// The connectors of push tables, by table.
    pushed: Mutex<BTreeMap<String, ConnectorRef>>,
    /// Sources are read on the driver's thread.
    inline: bool,
}

struct View {
    query: Option<u64>,
    contents: Arc<Mutex<Contents>>,
}

/// A relation, as `\d` and completion show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationInfo {
    /// Its name.
    pub name: String,
    /// `table`, `view`, `materialized view`.
    pub kind: &'static str,
    /// Columns and their types.
    pub columns: Vec<(String, String)>,
    /// Its columns, as Arrow knows them.
    pub schema: SchemaRef,
    /// The query of a view.
    pub definition: Option<String>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine with default settings over the real world.
    pub fn new() -> Self {
        EngineBuilder::default().build()
    }

    /// An engine to order.
    pub fn builder() -> EngineBuilder {
        EngineBuilder::default()
    }

    /// Runs one statement. DDL takes effect; continuous queries are registered and run when [`Engine::run`] or
    /// [`Engine::step`] drives them. `outputs` opens the sink of a bare live SELECT.
    ///
    /// # Errors
    /// What is wrong with the statement, with its place; or what can't be opened.
    pub async fn execute(&self, parsed: &Parsed, outputs: &mut dyn Output) -> Result<Outcome> {
        self.run_statement(&parsed.statement, outputs, false).await
    }

    /// As [`Engine::execute`], but queries are only planned and neither sources nor sinks are opened (a schema may be inferred
    /// from a source). DDL takes effect in the catalog, so check a script with an engine of its own.
    ///
    /// # Errors
    /// What is wrong with the statement.
    pub async fn check(&self, parsed: &Parsed) -> Result<()> {
        self.run_statement(&parsed.statement, &mut NoOutput, true).await.map(drop)
    }

    async fn run_statement(&self, statement: &Statement, outputs: &mut dyn Output, check: bool) -> Result<Outcome> {
        match statement {
            Statement::CreateTable(create) => self.create_table(create, check).await,
            Statement::CreateSink(create) => self.create_sink(create, check).await,
            Statement::CreateView(create) => self.create_view(create, check).await,
            Statement::CreateFunction(create) => self.create_function(create),
            Statement::Drop { kind, if_exists, names, cascade } => {
                self.drop_relations(*kind, *if_exists, names, *cascade).await
            }
            Statement::Insert(insert) => self.insert(insert, check).await,
            Statement::Update(update) => self.update(update, check).await,
            Statement::Delete(delete) => self.delete(delete, check).await,
            Statement::Flush => self.flush(check).await,
            Statement::CreateIndex { name, if_not_exists, on, columns } => {
                self.create_index(name, *if_not_exists, on, columns)
            }
            Statement::StatementSet(inserts) => self.insert_all(inserts, check).await,
            Statement::Query(query) => self.select(query, outputs, check).await,
            Statement::Subscribe(query) => self.subscribe(query, outputs, check).await,
            Statement::Explain { verbose, statement } => self.explain(statement, *verbose),
            Statement::Set { name, value, span } => {
                self.settings_mut().set(name, value).map_err(|e| e.at(*span))?;
                Ok(Outcome::Done("SET".to_owned()))
            }
            Statement::Reset(name) => self.reset(name.as_deref()),
            Statement::Show(show) => self.show(show).await,
            Statement::Describe(name) => self.describe(name),
            Statement::CopyOut { span, .. } => {
                Err(Error::unsupported("COPY … TO STDOUT is for clients of a server").at(*span).help("write SELECT"))
            }
            Statement::Session { span, .. } => {
                Err(Error::unsupported("there are no transactions and prepared statements here").at(*span).help(
                    "each statement stands for itself; for several INSERTs write EXECUTE STATEMENT SET BEGIN … END",
                ))
            }
            Statement::NotYet { what, help, span } => {
                Err(Error::unsupported(format!("{what} does not run yet")).at(*span).help(help.clone()))
            }
        }
    }

    /// Whether a statement is a SELECT that gives a snapshot and ends: it reads no stream.
    pub fn is_snapshot(&self, parsed: &Parsed) -> bool {
        match &parsed.statement {
            Statement::Query(query) => self.reads_no_stream(query),
            _ => false,
        }
    }

    /// Whether a statement reads, once, views that streams may still change: a script runs it when its streams have ended.
    pub fn awaits_streams(&self, parsed: &Parsed) -> bool {
        match &parsed.statement {
            Statement::Query(query) => self.reads_no_stream(query) && !self.is_at_rest(query),
            Statement::Insert(insert) => {
                let stored = matches!(self.catalog().get(&insert.target.value), Some(Relation::Stored(..)));
                stored && self.reads_no_stream(&insert.query) && !self.is_at_rest(&insert.query)
            }
            _ => false,
        }
    }

    /// No more statements will come: queries that wait for tables to be changed end, and their outputs are completed.
    ///
    /// # Errors
    /// When a query fails in its last interval.
    pub async fn finish(&self) -> Result<()> {
        let mut driver = self.shared.driver.lock().await;
        driver.drain();
        while driver.is_running() {
            let report = self.step_and_fail(&mut driver).await?;
            if report.interval.is_none() {
                break;
            }
        }
        Ok(())
    }

    /// Runs one interval over what the sources have; nothing runs when there is nothing to do.
    ///
    /// # Errors
    /// When a source or a query fails.
    pub async fn step(&self) -> Result<StepReport> {
        let mut driver = self.shared.driver.lock().await;
        let report = self.step_and_fail(&mut driver).await?;
        self.publish_progress(&driver, &mut |_| ());
        Ok(report)
    }

    /// Runs intervals until every query has ended or `control` ends the run; `observe` is called after every interval and
    /// about ten times a second when it is quiet.
    ///
    /// # Errors
    /// When a source fails, or the first query that fails.
    pub async fn run(&self, control: &Control, observe: &mut (dyn FnMut(&Progress) + Send)) -> Result<()> {
        let mut drained = false;
        let mut deadline = self.shared.host.clock.now();
        loop {
            let said = control.said();
            if control.is_aborted() {
                return Ok(());
            }
            let settings = self.settings();
            let mut driver = self.shared.driver.lock().await;
            self.stop_asked(&mut driver)?;
            if !driver.is_running() {
                self.publish_progress(&driver, observe);
                return Ok(());
            }
            driver.open(|| self.catalog().session(), &settings)?;
            if control.is_draining() && !drained {
                drained = true;
                driver.drain();
            }
            let now = self.shared.host.clock.now();
            let due = settings.interval_micros == 0 || now >= deadline || driver.is_full(&settings) || drained;
            let wait_for_more = driver.wants_more(&settings) && !drained;
            if due && driver.is_ready() && !wait_for_more {
                self.step_and_fail(&mut driver).await?;
                if now >= deadline {
                    deadline = crate::time::Timestamp(now.0.saturating_add(settings.interval_micros));
                }
                self.publish_progress(&driver, observe);
                drop(driver);
                // Let others at the engine in between.
                tokio::task::yield_now().await;
                continue;
            }
            let wake = driver.wake().clone();
            let ready = driver.is_ready() && !wait_for_more;
            drop(driver);
            let until_due = deadline.0.saturating_sub(now.0).clamp(0, MICROS_PER_SECOND / 10);
            let pause = if ready && !due {
                Duration::from_micros(until_due.unsigned_abs()).max(Duration::from_millis(1))
            } else {
                QUIET_TICK
            };
            let woken = async {
                tokio::select! {
                    () = wake.wait() => {}
                    () = control.beyond(said) => {}
                }
            };
            if tokio::time::timeout(pause, woken).await.is_err() {
                let mut driver = self.shared.driver.lock().await;
                if !ready {
                    // Silence moves time too: idle sources, windows of wall time.
                    self.step_and_fail(&mut driver).await?;
                }
                self.publish_progress(&driver, observe);
            }
        }
    }

    /// One interval; a query that failed in it is an error.
    async fn step_and_fail(&self, driver: &mut Driver) -> Result<StepReport> {
        let report = self.step_driver(driver).await?;
        match driver.failures().into_iter().next() {
            Some((_, error)) => {
                self.publish_progress(driver, &mut |_| ());
                Err(error)
            }
            None => Ok(report),
        }
    }

    async fn step_driver(&self, driver: &mut Driver) -> Result<StepReport> {
        self.stop_asked(driver)?;
        let settings = self.settings();
        driver.open(|| self.catalog().session(), &settings)?;
        let report = driver.step(&settings).await?;
        self.shared.stepped.notify_waiters();
        self.keep_late(&report)?;
        Ok(report)
    }

    fn stop_asked(&self, driver: &mut Driver) -> Result<()> {
        let asked = std::mem::take(&mut *self.shared.stops.lock().unwrap_or_else(PoisonError::into_inner));
        for query in asked {
            driver.stop(query)?;
        }
        Ok(())
    }

    fn publish_progress(&self, driver: &Driver, observe: &mut (dyn FnMut(&Progress) + Send)) {
        let progress = driver.progress();
        observe(&progress);
        *self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// Where things stand, as of the last interval.
    pub fn progress(&self) -> Progress {
        self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a query to be stopped before the next interval; its sink is completed.
    pub fn stop(&self, query: u64) {
        self.shared.stops.lock().unwrap_or_else(PoisonError::into_inner).push(query);
        self.shared.wake.notify();
    }

    /// Waits until a query has run its first interval; `None`: until all have. Somebody else must drive the engine.
    pub async fn begun(&self, query: Option<u64>) {
        loop {
            let stepped = self.shared.stepped.notified();
            tokio::pin!(stepped);
            // From here on no step is missed.
            stepped.as_mut().enable();
            if self.shared.driver.lock().await.has_begun(query) {
                return;
            }
            // A query that was dropped meanwhile takes no more steps.
            let _ = tokio::time::timeout(QUIET_TICK, stepped).await;
        }
    }

    /// Why a query has failed, when it has.
    pub async fn failure_of(&self, query: u64) -> Option<Error> {
        self.shared.driver.lock().await.failure_of(query)
    }

    /// What every operator of every query holds.
    pub async fn state(&self) -> Vec<OperatorReport> {
        self.shared.driver.lock().await.state()
    }

    /// Every relation.
    pub fn relations(&self) -> Vec<RelationInfo> {
        let info = |r: &Relation| RelationInfo {
            name: r.name().to_owned(),
            kind: r.kind(),
            columns: r.schema().fields().iter().map(|f| (f.name().clone(), show::type_name(f.data_type()))).collect(),
            schema: r.schema(),
            definition: match r {
                Relation::View(view) | Relation::MaterializedView(view, _) => Some(view.query.query.to_string()),
                Relation::Table(_) | Relation::Stored(..) => None,
            },
        };
        self.catalog().relations().map(info).collect()
    }

    /// The names of all functions, sorted.
    pub fn functions(&self) -> Vec<String> {
        self.catalog().function_names()
    }

    /// The names of the connectors, sorted.
    pub fn connectors(&self) -> Vec<String> {
        self.shared.registry.names().map(str::to_owned).collect()
    }

    /// The settings now.
    pub fn settings(&self) -> Settings {
        self.shared.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes a setting by its SQL name.
    ///
    /// # Errors
    /// An unknown name or a wrong value.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        self.settings_mut().set(name, value)
    }

    fn settings_mut(&self) -> RwLockWriteGuard<'_, Settings> {
        self.shared.settings.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.shared.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn catalog_mut(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.shared.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connector of a table.
    fn connector_of(&self, table: &crate::catalog::TableDef) -> Result<ConnectorRef> {
        let pushed = self.shared.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        match pushed.get(&table.name) {
            Some(connector) => Ok(Arc::clone(connector)),
            None => self.shared.registry.get(&table.connector),
        }
    }

    /// What a connector is told about a relation.
    fn spec(&self, name: &str, schema: arrow::datatypes::SchemaRef, options: crate::settings::Options) -> RelationSpec {
        RelationSpec {
            name: name.to_owned(),
            schema,
            options,
            settings: self.settings(),
            host: self.shared.host.clone(),
            key: None,
        }
    }
}

/// Refuses to open anything: for checks.
struct NoOutput;

impl Output for NoOutput {
    fn open(&mut self, _: &OutputInfo) -> Result<Box<dyn crate::connector::Sink>> {
        Err(Error::new(ErrorKind::Internal, "a check opens nothing"))
    }
}
