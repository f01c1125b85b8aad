//! The threads that read sockets into a feed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::listen_error;
use super::options::{Role, SocketOptions};
use crate::connector::RelationSpec;
use crate::connector::backoff::Backoff;
use crate::connector::feed::{Event, Feed, Joined, spawn};
use crate::connector::feed_source::Primed;
use crate::error::{Error, Result};
use crate::host::{Connection, Host, Listener};

/// How long a read blocks before its thread looks whether anybody still wants it.
const READ_TIMEOUT: Duration = Duration::from_millis(200);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a listener looks for clients.
const ACCEPT_POLL: Duration = Duration::from_millis(20);

/// Starts to connect or listen.
///
/// # Errors
/// When an address can't be listened on. A peer that does not answer is none: it may come.
pub(super) fn start(spec: &RelationSpec, options: &SocketOptions) -> Result<Primed> {
    let feed = Feed::new(spec.settings.queue_bytes_max);
    let mut primed = Primed::new(Arc::clone(&feed));
    match options.role {
        Role::Connect => {
            let dialler = Dialler { feed: Arc::clone(&feed), host: spec.host.clone(), options: options.clone() };
            feed.set_status(format!("connecting to {}", options.address));
            spawn(&format!("read {}", options.address), move || dialler.run())?;
        }
        Role::Listen => {
            let listener =
                spec.host.network.listen(&options.address).map_err(|e| listen_error(&options.address, &e))?;
            let local = listener.local();
            tracing::info!(relation = %spec.name, "listening on {local}");
            let server = Server {
                feed: Arc::clone(&feed),
                local,
                clients_max: options.connections_max,
                clients: Arc::default(),
                open: Arc::default(),
            };
            server.say();
            primed
                .on_drop(Joined::spawn(&format!("listen {}", options.address), move || server.run(listener.as_ref()))?);
        }
    }
    Ok(primed)
}

/// Connects, and connects again.
struct Dialler {
    feed: Arc<Feed>,
    host: Host,
    options: SocketOptions,
}

impl Dialler {
    fn run(self) {
        let address = &self.options.address;
        let mut backoff = Backoff::new(self.host.seed, &address.to_string());
        // One line in the log per outage.
        let mut out = false;
        for peer in 0.. {
            let reason = match self.host.network.connect(address, CONNECT_TIMEOUT) {
                Ok(mut connection) => {
                    if out {
                        tracing::info!(%address, "connected again");
                    }
                    out = false;
                    self.feed.set_status(format!("connected to {address}"));
                    let (bytes, reason) = read_peer(&self.feed, peer, &address.to_string(), connection.as_mut());
                    connection.close();
                    if bytes > 0 {
                        backoff.reset();
                    }
                    if !self.options.reconnect {
                        return self.feed.end(Ok(()));
                    }
                    reason
                }
                Err(e) => e.to_string(),
            };
            if self.feed.stopped() {
                return;
            }
            if !out {
                tracing::warn!(%address, reason, "not connected; trying again");
            }
            out = true;
            let wait = backoff.failed();
            let tries = backoff.tries();
            if self.options.retries.is_some_and(|max| tries > max) {
                let error = Error::unreachable(format!("can't connect to {address}: {reason}"));
                return self.feed.end(Err(error.help("start the peer, or raise option 'connect.retries'")));
            }
            self.feed.set_status(format!("not connected to {address} ({reason}), try {tries}"));
            if self.feed.pause(wait) {
                return;
            }
        }
    }
}

/// Reads a peer to its end; how many bytes came and why no more will.
fn read_peer(feed: &Feed, peer: u64, origin: &str, connection: &mut dyn Connection) -> (u64, String) {
    if let Err(e) = connection.set_read_timeout(READ_TIMEOUT) {
        return (0, e.to_string());
    }
    feed.push(Event::Open(peer, origin.into()));
    let (bytes, read) = feed.pump(peer, &mut *connection);
    feed.push(Event::Close(peer));
    (bytes, read.map_or_else(|e| e.to_string(), |()| "the peer closed the connection".to_owned()))
}

/// Waits for clients and reads them all.
#[derive(Clone)]
struct Server {
    feed: Arc<Feed>,
    local: String,
    clients_max: usize,
    clients: Arc<AtomicUsize>,
    /// A second handle on every client, to close it when nobody reads any more.
    open: Arc<Mutex<HashMap<u64, Box<dyn Connection>>>>,
}

impl Server {
    fn run(self, listener: &dyn Listener) {
        let mut full = false;
        let mut peer = 0;
        while !self.feed.stopped() {
            match listener.accept() {
                Ok(Some(client)) if self.clients.load(Ordering::SeqCst) >= self.clients_max => {
                    if !full {
                        tracing::warn!(address = %self.local, most = self.clients_max, "refusing clients: option 'max_connections'");
                    }
                    full = true;
                    client.close();
                }
                Ok(Some(client)) => {
                    full = false;
                    peer += 1;
                    self.serve(peer, client);
                }
                Ok(None) => {
                    self.feed.pause(ACCEPT_POLL);
                }
                Err(e) => {
                    // Such as too many open files, or a client that left before it was accepted: the others go on.
                    tracing::warn!(address = %self.local, reason = %e, "could not accept a client");
                    self.feed.pause(ACCEPT_POLL * 10);
                }
            }
        }
        for client in self.lock().values() {
            client.close();
        }
    }

    fn serve(&self, peer: u64, mut client: Box<dyn Connection>) {
        let server = self.clone();
        let name = client.peer();
        match client.duplicate() {
            Ok(second) => {
                self.lock().insert(peer, second);
            }
            Err(e) => tracing::warn!(client = %name, reason = %e, "no second handle on a client"),
        }
        self.clients.fetch_add(1, Ordering::SeqCst);
        self.say();
        let started = spawn(&format!("read {name}"), move || {
            let (bytes, reason) = read_peer(&server.feed, peer, &name, client.as_mut());
            tracing::debug!(client = %name, bytes, reason, "a client has gone");
            server.forget(peer);
        });
        if let Err(e) = started {
            tracing::warn!(address = %self.local, reason = %e, "could not serve a client");
            self.forget(peer);
        }
    }

    fn forget(&self, peer: u64) {
        self.lock().remove(&peer);
        self.clients.fetch_sub(1, Ordering::SeqCst);
        self.say();
    }

    fn say(&self) {
        let status = match self.clients.load(Ordering::SeqCst) {
            0 => format!("listening on {}, no clients", self.local),
            1 => format!("listening on {}, 1 client", self.local),
            n => format!("listening on {}, {n} clients", self.local),
        };
        self.feed.set_status(status);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Box<dyn Connection>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
