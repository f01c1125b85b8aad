//! A server that speaks PostgreSQL's protocol, so that its programs (psql, drivers, dashboards) connect to an engine.
//!
//! A [`Server`] listens and gives every client a `session` of its own on one engine; `connection` turns the messages of the
//! protocol into statements and their answers into messages. Rows are sent as they come: SUBSCRIBE and a SELECT over a stream
//! go on until the client cancels or leaves. What PostgreSQL's programs read of its system catalog (psql's `\d`) is answered by
//! `system` from tables that are made from the engine's relations.
//!
//! The messages, their codec and the binary forms of values are pgwire's and arrow-pg's. Their handlers are not used: these
//! collect a whole answer before its first row is sent, and do not notice a client that has gone.
//!
//! Whoever reaches the port is let in, without a password. What statements may reach outside is up to the engine's handle
//! that the server is given ([`Engine::limited`]). Knows nothing about how queries run.

mod answer;
mod binding;
mod connection;
mod copy;
mod failure;
mod live;
mod names;
mod numeric;
mod rows;
mod session;
mod settings;
mod system;
mod text;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pgwire::api::{ConnectionManager, RandomPidSecretKeyGenerator};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use connection::Shared;
use session::Session;
use system::System;

use crate::engine::{Control, Engine};
use crate::error::{Error, Result};

/// How long a server that ends waits for clients to take what they asked for.
const LEAVE: Duration = Duration::from_secs(10);
/// The most clients at a time.
const CONNECTIONS_MAX: usize = 1_000;

/// A server that listens and has not accepted anybody yet.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Listens at an address; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken, or is none of this machine's.
    pub async fn bind(address: SocketAddr) -> Result<Self> {
        let listened = TcpListener::bind(address).await;
        let listener = listened.map_err(|e| Error::unreachable(format!("can't listen at {address}: {e}")))?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves clients with this engine, which somebody else drives, until `control` says that it ends. Then nobody is let in
    /// any more, statements that run end, and clients have a little while to take their answers.
    pub async fn serve(self, engine: Engine, control: &Control) {
        let shared = Arc::new(Shared {
            manager: Arc::new(ConnectionManager::new()),
            keys: RandomPidSecretKeyGenerator::default(),
            control: control.clone(),
        });
        let system = Arc::new(System::new());
        let mut clients = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept(), if clients.len() < CONNECTIONS_MAX => accepted,
                Some(_) = clients.join_next() => continue,
                () = control.draining() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let session = Session::new(engine.clone(), system.clone());
                    clients.spawn(connection::serve(stream, session, shared.clone()));
                }
                Err(error) => {
                    // Too many open files, a client that left in between: later is better than never.
                    tracing::warn!("a client can't be accepted: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        let left = async { while clients.join_next().await.is_some() {} };
        tokio::select! {
            left = tokio::time::timeout(LEAVE, left) => {
                if left.is_err() {
                    tracing::warn!("clients that do not read are left behind");
                }
            }
            () = control.aborted() => {}
        }
    }
}
