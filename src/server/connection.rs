//! One connection: messages of the protocol → statements of a session, and their answers back.
//!
//! Rows are sent as they come. While a statement runs, the connection listens for a CancelRequest and notices when the client
//! has gone; both give the statement up and free what it holds.

use std::future::Future;
use std::sync::Arc;

use futures::channel::oneshot;
use futures::{SinkExt, StreamExt};
use pgwire::api::portal::Format;
use pgwire::api::results::{FieldInfo, Tag};
use pgwire::api::{
    ClientInfo, ConnectionGuard, ConnectionHandle, ConnectionManager, PgWireConnectionState, PidSecretKeyGenerator,
    auth,
};
use pgwire::error::{ErrorInfo, PgWireError};
use pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};
use pgwire::messages::data::{FieldDescription, NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, PortalSuspended,
    TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{EmptyQueryResponse, ReadyForQuery};
use pgwire::messages::{PgWireBackendMessage as Reply, PgWireFrontendMessage as Message};
use pgwire::tokio::server::{MaybeTls, PgWireMessageServerCodec, negotiate_tls};
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio_util::codec::Framed;

use super::answer::{Answer, AnswerKind, Cursor};
use super::failure::{error_info, refusal};
use super::session::{Failed, Portal, PortalState, Session};
use super::{binding, rows};
use crate::engine::Control;
use crate::error::Error;
use crate::sql;

/// How long a client may take to say who it is.
const STARTUP: std::time::Duration = std::time::Duration::from_secs(60);
/// How often a client that has sent more, unread, is looked at: whether it is still there.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// The tag of COPY.
const COPY: &str = "COPY";

type Wire = Framed<MaybeTls, PgWireMessageServerCodec<()>>;

/// What every connection of a server shares.
pub(super) struct Shared {
    /// Who can be cancelled.
    pub(super) manager: Arc<ConnectionManager>,
    pub(super) keys: pgwire::api::RandomPidSecretKeyGenerator,
    /// When the server ends, no statement begins any more.
    pub(super) control: Control,
}

/// A connection.
pub(super) struct Connection {
    wire: Wire,
    session: Session,
    shared: Arc<Shared>,
    handle: Arc<ConnectionHandle>,
    _registered: ConnectionGuard,
    /// An extended statement has failed: nothing is done until the client has caught up.
    until_sync: bool,
}

/// Why a statement was given up.
enum Ended {
    /// The client is told.
    Failed(Failed),
    /// There is nobody to tell.
    Gone,
}

impl From<Failed> for Ended {
    fn from(info: Failed) -> Self {
        Self::Failed(info)
    }
}

impl From<PgWireError> for Ended {
    fn from(_: PgWireError) -> Self {
        Self::Gone
    }
}

impl From<std::io::Error> for Ended {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

/// Serves one client until it leaves or the server ends.
pub(super) async fn serve(stream: TcpStream, session: Session, shared: Arc<Shared>) {
    let greeted = tokio::time::timeout(STARTUP, greet(stream, session, shared)).await;
    // A client that says nothing, or nonsense, gets no more of an answer.
    if let Ok(Ok(Some(mut connection))) = greeted {
        let _ = connection.talk().await;
        let _ = connection.wire.close().await;
    }
}

/// The first messages; `None` when it was a CancelRequest.
async fn greet(
    stream: TcpStream,
    mut session: Session,
    shared: Arc<Shared>,
) -> Result<Option<Connection>, PgWireError> {
    let Some(mut wire) = negotiate_tls::<()>(stream, None).await? else { return Ok(None) };
    loop {
        match wire.next().await {
            Some(Ok(Message::CancelRequest(cancel))) => {
                shared.manager.cancel(cancel.pid, &cancel.secret_key).await;
                wire.close().await?;
                return Ok(None);
            }
            Some(Ok(Message::Startup(startup))) => {
                if let Err(error) = auth::protocol_negotiation(&mut wire, &startup).await {
                    let info: ErrorInfo = error.into();
                    wire.send(Reply::ErrorResponse(info.into())).await?;
                    return Ok(None);
                }
                auth::save_startup_parameters_to_metadata(&mut wire, &startup);
                let (pid, key) = shared.keys.generate(&wire);
                wire.set_pid_and_secret_key(pid, key.clone());
                let (handle, registered) = shared.manager.register(pid, key);
                session.pid = pid;
                for (name, value) in &startup.parameters {
                    match name.as_str() {
                        "user" => session.user.clone_from(value),
                        "database" => session.database.clone_from(value),
                        "options" | "replication" => {}
                        _ => drop(session.settings.set(name, value)),
                    }
                }
                if !startup.parameters.contains_key("database") {
                    session.database.clone_from(&session.user);
                }
                auth::finish_authentication(&mut wire, &Greeting(session.greeting())).await?;
                wire.set_state(PgWireConnectionState::ReadyForQuery);
                let connection =
                    Connection { wire, session, shared, handle, _registered: registered, until_sync: false };
                return Ok(Some(connection));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(error),
            None => return Ok(None),
        }
    }
}

/// The settings that a client is told when it has connected.
struct Greeting(Vec<(String, String)>);

impl auth::ServerParameterProvider for Greeting {
    fn server_parameters<C: ClientInfo>(&self, _: &C) -> Option<std::collections::HashMap<String, String>> {
        Some(self.0.iter().cloned().collect())
    }
}

impl Connection {
    async fn talk(&mut self) -> Result<(), Ended> {
        let shared = self.shared.clone();
        loop {
            let message = tokio::select! {
                // What was asked for already is answered before the server ends: its Sync, above all.
                biased;
                message = self.wire.next() => message,
                () = shared.control.draining() => return self.dismiss().await,
            };
            match message {
                Some(Ok(Message::Terminate(_))) | None => return Ok(()),
                Some(Err(error)) => {
                    // What is no message of the protocol: nothing behind it can be trusted.
                    let info: ErrorInfo = error.into();
                    self.wire.send(Reply::ErrorResponse(info.into())).await?;
                    return Ok(());
                }
                Some(Ok(message)) => self.message(message).await?,
            }
        }
    }

    async fn dismiss(&mut self) -> Result<(), Ended> {
        let mut info = refusal("57P01", "terminating connection due to administrator command");
        (info.severity, info.severity_nonlocalized) = ("FATAL".to_owned(), Some("FATAL".to_owned()));
        self.wire.send(Reply::ErrorResponse(info.into())).await?;
        Ok(())
    }

    async fn message(&mut self, message: Message) -> Result<(), Ended> {
        let extended = match message {
            Message::Query(query) => {
                if let Some(info) = told(self.simple(&query.query).await)? {
                    self.complain(info).await?;
                }
                return self.ready().await;
            }
            Message::Sync(_) => {
                self.until_sync = false;
                self.session.portals.remove("");
                return self.ready().await;
            }
            Message::Flush(_) => return Ok(self.wire.flush().await?),
            _ if self.until_sync => return Ok(()),
            Message::Parse(parse) => self.parse(parse).await,
            Message::Bind(bind) => self.bind(bind).await,
            Message::Describe(describe) => self.describe(describe).await,
            Message::Execute(execute) => self.execute(execute).await,
            Message::Close(close) => self.close(close).await,
            // COPY data after a COPY that was refused, passwords that nobody asked for.
            _ => return Ok(()),
        };
        if let Some(info) = told(extended)? {
            self.complain(info).await?;
            self.wire.flush().await?;
            self.until_sync = true;
        }
        Ok(())
    }

    async fn complain(&mut self, info: Failed) -> Result<(), Ended> {
        self.session.failed();
        Ok(self.wire.feed(Reply::ErrorResponse((*info).into())).await?)
    }

    async fn ready(&mut self) -> Result<(), Ended> {
        let status = self.session.transaction;
        self.wire.set_transaction_status(status);
        Ok(self.wire.send(Reply::ReadyForQuery(ReadyForQuery::new(status))).await?)
    }

    /// The simple protocol: a text of statements, each answered before the next is run.
    async fn simple(&mut self, text: &str) -> Result<(), Ended> {
        let statements = sql::parse(text).map_err(|e| Box::new(error_info(&e, text)))?;
        if statements.is_empty() {
            return Ok(self.wire.feed(Reply::EmptyQueryResponse(EmptyQueryResponse::new())).await?);
        }
        for parsed in &statements {
            let mut cancelled = self.handle.start_query().await;
            let answer = self.run(parsed, text, &mut cancelled).await?;
            let Some(mut cursor) = self.begin(answer, &Format::UnifiedText).await? else { continue };
            if cursor.tag != COPY {
                self.describe_rows(&cursor.fields.clone()).await?;
            }
            self.send_rows(&mut cursor, 0, text, &mut cancelled).await?;
            self.complete(cursor.tag, cursor.given).await?;
        }
        Ok(())
    }

    /// Runs a statement; one that only looks is given up when it is cancelled or the client has gone.
    async fn run(
        &mut self,
        parsed: &sql::statement::Parsed,
        text: &str,
        cancelled: &mut oneshot::Receiver<()>,
    ) -> Result<Answer, Ended> {
        if self.shared.control.is_draining() {
            return Err(Box::new(refusal("57P01", "the server is ending: no statement begins any more")).into());
        }
        let running = self.session.run(parsed, text);
        if !Session::only_looks(&parsed.statement) {
            return Ok(running.await?);
        }
        tokio::select! {
            answer = running => Ok(answer?),
            _ = &mut *cancelled => Err(cancel().into()),
            () = gone(&self.wire) => Err(Ended::Gone),
        }
    }

    /// Sends what is said before an answer, and the answer itself when it has no rows.
    async fn begin(&mut self, answer: Answer, format: &Format) -> Result<Option<Cursor>, Ended> {
        for notice in answer.notices {
            self.wire.feed(Reply::NoticeResponse(notice.into())).await?;
        }
        match answer.kind {
            AnswerKind::Done(tag) => {
                self.wire.feed(Reply::CommandComplete(Tag::new(&tag).into())).await?;
                Ok(None)
            }
            AnswerKind::Rows(rows, tag) => Ok(Some(Cursor::new(rows, tag, format))),
            AnswerKind::Lines(rows, format) => {
                let (cursor, header) = Cursor::lines(rows, format);
                let columns = i16::try_from(cursor.fields.len()).unwrap_or(i16::MAX);
                let texts = vec![0; cursor.fields.len()];
                self.wire.feed(Reply::CopyOutResponse(CopyOutResponse::new(0, columns, texts))).await?;
                if let Some(header) = header {
                    self.wire.feed(Reply::CopyData(CopyData::new(header.into()))).await?;
                }
                Ok(Some(cursor))
            }
        }
    }

    async fn complete(&mut self, tag: &str, rows: usize) -> Result<(), Ended> {
        if tag == COPY {
            self.wire.feed(Reply::CopyDone(CopyDone::new())).await?;
        }
        let tag = if tag == "SELECT" || tag == COPY { Tag::new(tag).with_rows(rows) } else { Tag::new(tag) };
        Ok(self.wire.feed(Reply::CommandComplete(tag.into())).await?)
    }

    /// Sends rows as they come, at most `rows_max` (0 = all); whether there may be more.
    async fn send_rows(
        &mut self,
        cursor: &mut Cursor,
        rows_max: usize,
        text: &str,
        cancelled: &mut oneshot::Receiver<()>,
    ) -> Result<bool, Ended> {
        let failed = |e: Error| Ended::Failed(Box::new(error_info(&e, text)));
        cursor.given = 0;
        loop {
            while let Some(row) = cursor.ready() {
                let row = row.map_err(failed)?;
                let sent = self.wire.feed(row);
                tokio::select! {
                    biased;
                    _ = &mut *cancelled => return Err(cancel().into()),
                    sent = sent => sent?,
                }
                if cursor.given == rows_max && rows_max > 0 {
                    return Ok(true);
                }
            }
            let more = {
                let waiting = cursor.wait();
                tokio::pin!(waiting);
                match now(&mut waiting).await {
                    Some(more) => more,
                    None => {
                        // Nothing is there: what was sent shall be seen now.
                        self.wire.flush().await?;
                        tokio::select! {
                            more = waiting => more,
                            _ = &mut *cancelled => return Err(cancel().into()),
                            () = gone(&self.wire) => return Err(Ended::Gone),
                        }
                    }
                }
            };
            if !more.map_err(failed)? {
                return Ok(false);
            }
        }
    }

    async fn describe_rows(&mut self, fields: &[FieldInfo]) -> Result<(), Ended> {
        let described = RowDescription::new(fields.iter().map(FieldDescription::from).collect());
        Ok(self.wire.feed(Reply::RowDescription(described)).await?)
    }

    async fn parse(&mut self, message: Parse) -> Result<(), Ended> {
        let prepared = self.session.prepare(&message.query, &message.type_oids).await?;
        self.session.statements.insert(message.name.unwrap_or_default(), Arc::new(prepared));
        Ok(self.wire.feed(Reply::ParseComplete(ParseComplete::new())).await?)
    }

    async fn bind(&mut self, message: Bind) -> Result<(), Ended> {
        let name = message.statement_name.unwrap_or_default();
        let prepared = self.statement(&name)?;
        if message.parameters.len() != prepared.parameters.len() {
            let (given, needed) = (message.parameters.len(), prepared.parameters.len());
            let text = format!(
                "bind message supplies {given} parameters, but prepared statement \"{name}\" requires {needed}"
            );
            return Err(Box::new(refusal("08P01", text)).into());
        }
        let formats = &message.parameter_format_codes;
        if formats.len() > 1 && formats.len() != message.parameters.len() {
            return Err(Box::new(refusal("08P01", "bind message has a wrong number of parameter formats")).into());
        }
        let is_binary = |index: usize| formats.get(if formats.len() == 1 { 0 } else { index }) == Some(&1);
        let values = prepared.parameters.iter().zip(&message.parameters).enumerate();
        let parameters = values
            .map(|(index, (of, value))| binding::parameter(of, value.as_deref(), is_binary(index)))
            .collect::<Result<_, _>>()?;
        let format = match message.result_column_format_codes.as_slice() {
            [] => Format::UnifiedText,
            [one] => Format::from(*one),
            several => Format::Individual(several.to_vec()),
        };
        let portal = Portal { prepared, parameters, format, state: PortalState::Bound };
        self.session.portals.insert(message.portal_name.unwrap_or_default(), portal);
        Ok(self.wire.feed(Reply::BindComplete(BindComplete::new())).await?)
    }

    fn statement(&self, name: &str) -> Result<Arc<super::session::Prepared>, Failed> {
        let found = self.session.statements.get(name).cloned();
        found.ok_or_else(|| Box::new(refusal("26000", format!("prepared statement \"{name}\" does not exist"))))
    }

    async fn describe(&mut self, message: Describe) -> Result<(), Ended> {
        let name = message.name.unwrap_or_default();
        let (prepared, format) = if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            let prepared = self.statement(&name)?;
            let oids = prepared.parameters.iter().map(pgwire::api::Type::oid).collect();
            self.wire.feed(Reply::ParameterDescription(ParameterDescription::new(oids))).await?;
            (prepared, Format::UnifiedText)
        } else {
            let portal = self.session.portals.get(&name).ok_or_else(|| no_portal(&name))?;
            (portal.prepared.clone(), portal.format.clone())
        };
        match &prepared.columns {
            Some(schema) => self.describe_rows(&rows::fields(schema, &format)).await,
            None => Ok(self.wire.feed(Reply::NoData(NoData::new())).await?),
        }
    }

    async fn execute(&mut self, message: Execute) -> Result<(), Ended> {
        let name = message.name.unwrap_or_default();
        let rows_max = usize::try_from(message.max_rows).unwrap_or_default();
        let mut portal = self.session.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        let prepared = portal.prepared.clone();
        let mut cancelled = self.handle.start_query().await;
        let mut cursor = match std::mem::replace(&mut portal.state, PortalState::Bound) {
            PortalState::Running(cursor) => cursor,
            PortalState::Done(tag) => {
                portal.state = PortalState::Done(tag);
                self.session.portals.insert(name, portal);
                return self.complete(tag, 0).await;
            }
            PortalState::Bound if prepared.empty => {
                self.session.portals.insert(name, portal);
                return Ok(self.wire.feed(Reply::EmptyQueryResponse(EmptyQueryResponse::new())).await?);
            }
            PortalState::Bound => {
                let statements = sql::parse_with(&prepared.text, &portal.parameters);
                let statements = statements.map_err(|e| Box::new(error_info(&e, &prepared.text)))?;
                let Some(parsed) = statements.first() else {
                    return Err(Box::new(refusal("42601", "the statement is empty")).into());
                };
                let answer = self.run(parsed, &prepared.text, &mut cancelled).await?;
                let Some(cursor) = self.begin(answer, &portal.format).await? else {
                    portal.state = PortalState::Done("SELECT");
                    self.session.portals.insert(name, portal);
                    return Ok(());
                };
                let types = |fields: &[FieldInfo]| fields.iter().map(|f| f.datatype().oid()).collect::<Vec<_>>();
                let described = prepared.columns.as_ref().map(|schema| types(&rows::fields(schema, &portal.format)));
                if cursor.tag != COPY && described != Some(types(&cursor.fields)) {
                    return Err(Box::new(refusal("0A000", "cached plan must not change result type")).into());
                }
                Box::new(cursor)
            }
        };
        let more = self.send_rows(&mut cursor, rows_max, &prepared.text, &mut cancelled).await?;
        if more {
            portal.state = PortalState::Running(cursor);
            self.wire.feed(Reply::PortalSuspended(PortalSuspended::new())).await?;
        } else {
            portal.state = PortalState::Done(cursor.tag);
            self.complete(cursor.tag, cursor.given).await?;
        }
        self.session.portals.insert(name, portal);
        Ok(())
    }

    async fn close(&mut self, message: Close) -> Result<(), Ended> {
        let name = message.name.unwrap_or_default();
        if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            self.session.statements.remove(&name);
        } else {
            self.session.portals.remove(&name);
        }
        Ok(self.wire.feed(Reply::CloseComplete(CloseComplete::new())).await?)
    }
}

/// What a future gives without waiting.
async fn now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    futures::future::poll_immediate(future).await
}

/// What the client is to be told, when there still is one.
fn told(ended: Result<(), Ended>) -> Result<Option<Failed>, Ended> {
    match ended {
        Ok(()) => Ok(None),
        Err(Ended::Failed(info)) => Ok(Some(info)),
        Err(Ended::Gone) => Err(Ended::Gone),
    }
}

fn cancel() -> Failed {
    Box::new(PgWireError::QueryCanceled.into())
}

fn no_portal(name: &str) -> Failed {
    Box::new(refusal("34000", format!("portal \"{name}\" does not exist")))
}

/// Waits until the client has closed its end.
async fn gone(wire: &Wire) {
    let MaybeTls::Plain(stream) = wire.get_ref() else { return std::future::pending().await };
    loop {
        match stream.ready(Interest::READABLE).await {
            Ok(ready) if ready.is_read_closed() => return,
            // It has sent more, which is read when this statement is over.
            Ok(_) => tokio::time::sleep(LOOK).await,
            Err(_) => return,
        }
    }
}
