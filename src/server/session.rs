//! One client's session: its settings, its transaction, and what its statements come to.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::error::ErrorInfo;
use pgwire::messages::response::TransactionStatus;

use super::answer::{Answer, AnswerKind, Cursor, Rows};
use super::binding;
use super::failure::{error_info, notice, refusal};
use super::live::{LiveOutput, with_op};
use super::names::{apart, renamed};
use super::settings::{SERVER_VERSION, SessionSettings, Set};
use super::system::{Facts, System};
use crate::engine::{Engine, Outcome};
use crate::error::Error;
use crate::settings::NAMES;
use crate::sql::statement::{Parsed, SessionCommand, Show};
use crate::sql::{self, Parameter, Statement};

/// What goes wrong with a statement, as the client is told.
pub(super) type Failed = Box<ErrorInfo>;

/// A session.
pub(super) struct Session {
    pub(super) engine: Engine,
    system: Arc<System>,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) pid: i32,
    pub(super) settings: SessionSettings,
    pub(super) transaction: TransactionStatus,
    /// A statement of the open transaction has changed something, and ROLLBACK can't undo it.
    changed: bool,
    pub(super) statements: HashMap<String, Arc<Prepared>>,
    pub(super) portals: HashMap<String, Portal>,
}

/// A statement that the client has sent for later.
pub(super) struct Prepared {
    pub(super) text: String,
    /// It says nothing at all.
    pub(super) empty: bool,
    pub(super) parameters: Vec<Type>,
    /// The columns of its rows; `None`: it gives none.
    pub(super) columns: Option<SchemaRef>,
}

/// A prepared statement with values for its parameters.
pub(super) struct Portal {
    pub(super) prepared: Arc<Prepared>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) format: Format,
    pub(super) state: PortalState,
}

/// How far a portal has got.
pub(super) enum PortalState {
    Bound,
    Running(Box<Cursor>),
    Done(&'static str),
}

impl Session {
    pub(super) fn new(engine: Engine, system: Arc<System>) -> Self {
        Self {
            engine,
            system,
            user: "tidemill".to_owned(),
            database: "tidemill".to_owned(),
            pid: 0,
            settings: SessionSettings::default(),
            transaction: TransactionStatus::Idle,
            changed: false,
            statements: HashMap::new(),
            portals: HashMap::new(),
        }
    }

    /// What a client is told when it has connected.
    pub(super) fn greeting(&self) -> Vec<(String, String)> {
        let names = ["client_encoding", "DateStyle", "integer_datetimes", "IntervalStyle", "server_encoding"];
        let more = ["standard_conforming_strings", "TimeZone", "application_name", "is_superuser", "in_hot_standby"];
        let value = |name: &str| (name.to_owned(), self.settings.get(name).unwrap_or_default().to_owned());
        let mut told: Vec<_> = names.iter().chain(&more).map(|name| value(name)).collect();
        told.push(("server_version".to_owned(), SERVER_VERSION.to_owned()));
        told.push(("session_authorization".to_owned(), self.user.clone()));
        told
    }

    /// Reads a statement for later: the types of its parameters, and the columns of its answer.
    pub(super) async fn prepare(&self, text: &str, given: &[u32]) -> Result<Prepared, Failed> {
        let failed = |error: Error| Box::new(error_info(&error, text));
        let placeholders = sql::placeholders(text).map_err(failed)?;
        let count = placeholders.count.max(given.len());
        if count > usize::from(u16::MAX) {
            return Err(Box::new(refusal("54011", "a statement has at most 65535 parameters")));
        }
        let written = sql::parse(text).map_err(failed)?;
        let parsed = match written.as_slice() {
            [] => {
                let (text, parameters) = (text.to_owned(), Vec::new());
                return Ok(Prepared { text, empty: true, parameters, columns: None });
            }
            [parsed] => parsed,
            _ => return Err(Box::new(refusal("42601", "cannot insert multiple commands into a prepared statement"))),
        };
        let mut parameters: Vec<Option<Type>> = (0..count).map(|_| None).collect();
        for (slot, oid) in parameters.iter_mut().zip(given) {
            *slot = Type::from_oid(*oid).filter(|of| *of != Type::UNKNOWN);
        }
        if parameters.iter().any(Option::is_none) {
            let found = match &parsed.statement {
                Statement::Query(query) if self.system.answers(&query.query) => {
                    self.system.parameter_types(&query.query, &self.facts())
                }
                _ => self.engine.parameter_types(parsed),
            };
            let counts = placeholders.counts.iter().map(|number| (*number, DataType::Int64));
            for (number, data_type) in counts.chain(found) {
                if let Some(slot @ None) = parameters.get_mut(number - 1) {
                    *slot = Some(binding::type_of(&data_type));
                }
            }
        }
        let parameters: Vec<Type> = parameters.into_iter().map(|of| of.unwrap_or(Type::TEXT)).collect();
        let nulls: Vec<Parameter> = parameters.iter().map(binding::null).collect();
        let described = match sql::parse_with(text, &nulls).map_err(failed)?.pop() {
            Some(described) => described,
            None => return Err(Box::new(refusal("42601", "the statement is empty"))),
        };
        let columns = self.columns(&described).await.map_err(failed)?;
        Ok(Prepared { text: text.to_owned(), empty: false, parameters, columns })
    }

    /// The columns of a statement's answer.
    async fn columns(&self, parsed: &Parsed) -> crate::error::Result<Option<SchemaRef>> {
        match &parsed.statement {
            Statement::Query(query) if self.system.answers(&query.query) => {
                let schema = self.system.columns(&query.query, &self.facts())?;
                Ok(Some(renamed(&schema, &query.query)))
            }
            Statement::Show(Show::Setting(name)) if !is_of_engine(name) => Ok(Some(text_column(name))),
            statement => {
                let Some(prepared) = self.engine.prepare(&with_values_apart(parsed)).await? else { return Ok(None) };
                let schema = match statement {
                    Statement::Query(query) => renamed(&prepared.schema, &query.query),
                    _ => prepared.schema,
                };
                Ok(Some(if prepared.changes { with_op(&schema) } else { schema }))
            }
        }
    }

    /// Whether a statement only looks: it may be given up half-way without a trace.
    pub(super) fn only_looks(statement: &Statement) -> bool {
        matches!(
            statement,
            Statement::Query(_)
                | Statement::Subscribe(_)
                | Statement::Explain { .. }
                | Statement::Show(_)
                | Statement::Describe(_)
                | Statement::CopyOut { .. }
        )
    }

    /// Runs a statement; `text` is what its places are in.
    pub(super) async fn run(&mut self, parsed: &Parsed, text: &str) -> Result<Answer, Failed> {
        let ends = matches!(
            parsed.statement,
            Statement::Session {
                command: SessionCommand::Commit | SessionCommand::Rollback | SessionCommand::RollbackTo,
                ..
            }
        );
        if self.transaction == TransactionStatus::Error && !ends {
            let message = "current transaction is aborted, commands ignored until end of transaction block";
            return Err(Box::new(refusal("25P02", message)));
        }
        let answer = self.answer(parsed).await.map_err(|refused| match refused {
            Refused::Engine(error) => Box::new(error_info(&error, text)),
            Refused::Session(info) => info,
        });
        if answer.is_ok() && self.transaction == TransactionStatus::Transaction && changes(&parsed.statement) {
            self.changed = true;
        }
        answer
    }

    async fn answer(&mut self, parsed: &Parsed) -> Result<Answer, Refused> {
        match &parsed.statement {
            Statement::Session { command, .. } => Ok(self.command(command)),
            Statement::Set { name, value, .. } if !is_of_engine(name) => self.set(name, value),
            Statement::Reset(None) => {
                self.settings.reset_all();
                Ok(Answer::done("RESET"))
            }
            Statement::Reset(Some(name)) if !is_of_engine(name) => {
                self.settings.reset(name);
                Ok(Answer::done("RESET"))
            }
            Statement::Show(Show::Setting(name)) if !is_of_engine(name) => match self.settings.get(name) {
                Some(value) => {
                    let schema = text_column(name);
                    let column: ArrayRef = Arc::new(StringArray::from(vec![value]));
                    let batch = RecordBatch::try_new(schema.clone(), vec![column]).map_err(Error::from)?;
                    Ok(Answer::rows(Rows::Here(schema, vec![batch].into()), "SHOW"))
                }
                None => {
                    let message = format!("unrecognized configuration parameter \"{name}\"");
                    Err(Refused::Session(Box::new(refusal("42704", message))))
                }
            },
            Statement::CopyOut { statement, format, .. } => {
                let inner =
                    Parsed { statement: statement.as_ref().clone(), text: parsed.text.clone(), span: parsed.span };
                let mut answer = Box::pin(self.answer(&inner)).await?;
                if let AnswerKind::Rows(rows, _) = answer.kind {
                    answer.kind = AnswerKind::Lines(rows, *format);
                }
                Ok(answer)
            }
            Statement::Query(query) if self.system.answers(&query.query) => {
                let (schema, batches) = self.system.answer(&query.query, &self.facts()).await?;
                let schema = renamed(&schema, &query.query);
                Ok(Answer::rows(Rows::Here(schema, batches.into()), "SELECT"))
            }
            _ => self.execute(parsed).await,
        }
    }

    /// What the engine does with a statement.
    async fn execute(&self, parsed: &Parsed) -> Result<Answer, Refused> {
        let subscribed = matches!(parsed.statement, Statement::Subscribe(_));
        let named = match &parsed.statement {
            Statement::Query(query) => Some(query.query.as_ref()),
            _ => None,
        };
        let mut output = LiveOutput::new(subscribed, named);
        let outcome = if Self::only_looks(&parsed.statement) {
            self.engine.execute(&with_values_apart(parsed), &mut output).await?
        } else {
            // In a task of its own: it runs to its end even when the client goes away.
            let (engine, parsed) = (self.engine.clone(), parsed.clone());
            let running = tokio::spawn(async move { engine.execute(&parsed, &mut LiveOutput::new(false, None)).await });
            running.await.map_err(|_| Error::internal("a statement's task panicked"))??
        };
        let said = |notices: Vec<String>| notices.into_iter().map(|n| notice("NOTICE", "00000", n)).collect::<Vec<_>>();
        Ok(match outcome {
            Outcome::Done(tag) => Answer::done(tag),
            Outcome::Rows { schema, batches } => {
                let schema = match &parsed.statement {
                    Statement::Query(query) => renamed(&schema, &query.query),
                    _ => schema,
                };
                Answer::rows(Rows::Here(schema, batches.into()), tag(&parsed.statement))
            }
            Outcome::Started { query, name, mut notices } => {
                if matches!(parsed.statement, Statement::CreateView(_)) {
                    // Who selects from it next finds what there was to find.
                    self.engine.begun(Some(query)).await;
                }
                if matches!(parsed.statement, Statement::Insert(_) | Statement::StatementSet(_)) {
                    notices.push(format!("query {query} ({name}) runs from now on; SHOW QUERIES shows it"));
                }
                Answer::done(started_tag(&parsed.statement)).noting(said(notices))
            }
            Outcome::Live { query, notices } => {
                Answer::rows(Rows::Live(output.rows(&self.engine, query)?), "SELECT").noting(said(notices))
            }
        })
    }

    fn set(&mut self, name: &str, value: &str) -> Result<Answer, Refused> {
        match self.settings.set(name, value) {
            Set::Done => Ok(Answer::done("SET")),
            Set::Unknown => {
                let near = crate::error::nearest(name, NAMES.iter().map(|(known, _)| *known));
                let hint = near.map(|near| format!("did you mean '{near}'?"));
                let mut told = notice("NOTICE", "42704", format!("there is no setting '{name}': it changes nothing"));
                told.hint = hint;
                Ok(Answer::done("SET").noting([told]))
            }
            Set::Fixed(fixed) => {
                let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
                let mut info = refusal("22023", message);
                info.hint = Some(format!("it is always '{fixed}' here"));
                Err(Refused::Session(Box::new(info)))
            }
        }
    }

    fn command(&mut self, command: &SessionCommand) -> Answer {
        let open = self.transaction != TransactionStatus::Idle;
        let warning = |code, message| notice("WARNING", code, message);
        match command {
            SessionCommand::Begin | SessionCommand::Start => {
                let tag = if *command == SessionCommand::Begin { "BEGIN" } else { "START TRANSACTION" };
                let told = open.then(|| warning("25001", "there is already a transaction in progress"));
                if !open {
                    (self.transaction, self.changed) = (TransactionStatus::Transaction, false);
                }
                Answer::done(tag).noting(told)
            }
            SessionCommand::Commit if self.transaction == TransactionStatus::Error => self.roll_back(),
            SessionCommand::Commit => {
                self.transaction = TransactionStatus::Idle;
                let told = (!open).then(|| warning("25P01", "there is no transaction in progress"));
                Answer::done("COMMIT").noting(told)
            }
            SessionCommand::Rollback => {
                let told = (!open).then(|| warning("25P01", "there is no transaction in progress"));
                self.roll_back().noting(told)
            }
            SessionCommand::RollbackTo => {
                self.transaction = TransactionStatus::Transaction;
                Answer::done("ROLLBACK").noting(self.changed.then(not_undone))
            }
            SessionCommand::Savepoint => Answer::done("SAVEPOINT"),
            SessionCommand::Release => Answer::done("RELEASE"),
            SessionCommand::Discard => {
                self.settings.reset_all();
                self.statements.clear();
                self.portals.clear();
                Answer::done("DISCARD ALL")
            }
            SessionCommand::Deallocate(None) => {
                self.statements.clear();
                Answer::done("DEALLOCATE ALL")
            }
            SessionCommand::Deallocate(Some(name)) => {
                self.statements.remove(name);
                Answer::done("DEALLOCATE")
            }
        }
    }

    fn roll_back(&mut self) -> Answer {
        self.transaction = TransactionStatus::Idle;
        Answer::done("ROLLBACK").noting(std::mem::take(&mut self.changed).then(not_undone))
    }

    /// A statement has failed: in a transaction the rest of it is refused, as clients expect.
    pub(super) fn failed(&mut self) {
        self.transaction = self.transaction.to_error_state();
    }

    fn facts(&self) -> Arc<Facts> {
        Arc::new(Facts {
            relations: self.engine.relations(),
            user: self.user.clone(),
            database: self.database.clone(),
            pid: self.pid,
            settings: self.settings.all(),
            engine_settings: {
                let settings = self.engine.settings();
                let value = |(name, what): &(&str, &str)| {
                    ((*name).to_owned(), (settings.get(name).unwrap_or_default(), (*what).to_owned()))
                };
                NAMES.iter().map(value).collect::<BTreeMap<_, _>>()
            },
        })
    }
}

/// Why a statement was refused: by the engine, with a place in the text, or by the session.
enum Refused {
    Engine(Error),
    Session(Failed),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Engine(error)
    }
}

fn not_undone() -> ErrorInfo {
    notice("WARNING", "01000", "nothing was undone: each statement took effect when it ended")
}

/// The statement with names for the values that its SELECT gives back; what the client sees are PostgreSQL's names.
fn with_values_apart(parsed: &Parsed) -> Cow<'_, Parsed> {
    let Statement::Query(query) = &parsed.statement else { return Cow::Borrowed(parsed) };
    let mut query = query.clone();
    apart(&mut query.query);
    Cow::Owned(Parsed { statement: Statement::Query(query), ..parsed.clone() })
}

/// Whether the engine has a setting of this name.
fn is_of_engine(name: &str) -> bool {
    let plain = name.to_ascii_lowercase().replace('-', "_");
    NAMES.iter().any(|(known, _)| *known == plain)
}

fn text_column(name: &str) -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, false)]))
}

fn changes(statement: &Statement) -> bool {
    !Session::only_looks(statement)
        && !matches!(statement, Statement::Session { .. } | Statement::Set { .. } | Statement::Reset(_))
}

/// The tag of an answer with rows.
fn tag(statement: &Statement) -> &'static str {
    match statement {
        Statement::Explain { .. } => "EXPLAIN",
        Statement::Show(_) => "SHOW",
        _ => "SELECT",
    }
}

/// The tag of a statement that has started a query.
fn started_tag(statement: &Statement) -> &'static str {
    match statement {
        Statement::CreateView(view) if view.materialized => "CREATE MATERIALIZED VIEW",
        Statement::CreateView(_) => "CREATE VIEW",
        Statement::CreateTable(_) => "CREATE TABLE",
        Statement::CreateSink(_) => "CREATE SINK",
        // How many rows it will be nobody knows yet.
        Statement::Insert(_) => "INSERT 0 0",
        _ => "EXECUTE",
    }
}
