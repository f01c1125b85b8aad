//! Sinks into sockets: one peer that is connected to, or every client of a listener.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::listen_error;
use super::options::SocketOptions;
use crate::change::Change;
use crate::connector::backoff::Backoff;
use crate::connector::feed::{Event, Feed, Joined, spawn};
use crate::connector::{RelationSpec, Sink};
use crate::error::{Error, Result};
use crate::format::Encoder;
use crate::host::{Connection, Host, Listener};
use crate::time::IntervalId;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a sink that closes waits for peers to take what is left.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
const ACCEPT_POLL: Duration = Duration::from_millis(20);

/// A sink that connects, and connects again. What waits for a peer that is away is bounded; beyond that the query waits too.
pub(super) struct Dialling {
    host: Host,
    options: SocketOptions,
    encoder: Box<dyn Encoder>,
    connection: Option<Box<dyn Connection>>,
    backoff: Backoff,
    /// When to try again, in microseconds of the clock.
    next_try: i64,
    staged: Vec<u8>,
    /// Published, but not sent yet.
    waiting: Vec<u8>,
    waiting_max: usize,
    out: bool,
}

impl Dialling {
    pub(super) fn new(spec: &RelationSpec, options: SocketOptions, encoder: Box<dyn Encoder>) -> Result<Self> {
        let mut sink = Self {
            host: spec.host.clone(),
            backoff: Backoff::new(spec.host.seed, &options.address.to_string()),
            options,
            encoder,
            connection: None,
            next_try: i64::MIN,
            staged: Vec::new(),
            waiting: Vec::new(),
            waiting_max: spec.settings.queue_bytes_max,
            out: false,
        };
        sink.try_to_send()?;
        Ok(sink)
    }

    /// Sends what waits, as far as the peer takes it.
    fn try_to_send(&mut self) -> Result<()> {
        if self.connection.is_none() {
            if self.host.clock.now().0 < self.next_try {
                return Ok(());
            }
            let address = &self.options.address;
            match self.host.network.connect(address, CONNECT_TIMEOUT) {
                Ok(connection) => {
                    if let Err(e) = connection.set_write_timeout(WRITE_TIMEOUT) {
                        return self.failed(&e);
                    }
                    if self.out {
                        tracing::info!(%address, "connected again");
                    }
                    self.out = false;
                    self.connection = Some(connection);
                }
                Err(e) => return self.failed(&e),
            }
        }
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let (sent, result) = send(connection.as_mut(), &self.waiting);
        match result {
            Ok(()) => {
                if !self.waiting.is_empty() {
                    self.backoff.reset();
                }
                self.waiting.clear();
                Ok(())
            }
            Err(e) => {
                connection.close();
                self.connection = None;
                // The next peer gets whole records: the one that was cut comes again.
                let whole = memchr::memrchr(b'\n', &self.waiting[..sent]).map_or(0, |n| n + 1);
                self.waiting.drain(..whole);
                self.failed(&e)
            }
        }
    }

    fn failed(&mut self, error: &io::Error) -> Result<()> {
        let address = &self.options.address;
        if !self.out {
            tracing::warn!(%address, reason = %error, "not connected; trying again");
        }
        self.out = true;
        let wait = self.backoff.failed();
        self.next_try = self.host.clock.now().0.saturating_add(i64::try_from(wait.as_micros()).unwrap_or(i64::MAX));
        let given_up = !self.options.reconnect || self.options.retries.is_some_and(|max| self.backoff.tries() > max);
        if given_up { Err(Error::unreachable(format!("can't write to {address}: {error}"))) } else { Ok(()) }
    }

    /// Tries until no more than `most` bytes wait or the time is over.
    fn drain(&mut self, most: usize, mut patience: Option<Duration>) -> Result<()> {
        loop {
            self.try_to_send()?;
            if self.waiting.len() <= most || patience.is_some_and(|p| p.is_zero()) {
                return Ok(());
            }
            let nap = Duration::from_millis(20);
            self.host.clock.sleep(nap);
            patience = patience.map(|p| p.saturating_sub(nap));
        }
    }
}

/// Sends bytes; how many went.
fn send(connection: &mut dyn Connection, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut sent = 0;
    while sent < bytes.len() {
        match connection.write(&bytes[sent..]) {
            Ok(0) => return (sent, Err(io::ErrorKind::WriteZero.into())),
            Ok(n) => sent += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (sent, Err(e)),
        }
    }
    (sent, connection.flush())
}

impl Sink for Dialling {
    fn stage(&mut self, _: IntervalId, change: &Change) -> Result<()> {
        self.encoder.encode(change, &mut self.staged)
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        self.waiting.append(&mut self.staged);
        self.drain(self.waiting_max, None)
    }

    fn close(&mut self) -> Result<()> {
        self.encoder.finish(&mut self.waiting)?;
        self.drain(0, Some(CLOSE_WAIT))?;
        if let Some(connection) = self.connection.take() {
            connection.close();
        }
        if self.waiting.is_empty() {
            return Ok(());
        }
        let (bytes, address) = (self.waiting.len(), &self.options.address);
        Err(Error::unreachable(format!("{address} did not take the last {bytes} bytes")).help("start the peer first"))
    }
}

/// A sink that listens and sends the same to every client, from when it connects. A client that does not keep up is dropped.
pub(super) struct Broadcast {
    encoder: Box<dyn Encoder>,
    staged: Vec<u8>,
    clients: Arc<Clients>,
    host: Host,
    listening: Option<Joined>,
}

struct Clients {
    /// One queue per client.
    feeds: Mutex<Vec<Client>>,
    /// Stopped when the sink goes.
    listening: Arc<Feed>,
    bytes_max: usize,
}

struct Client {
    name: String,
    queue: Arc<Feed>,
}

impl Broadcast {
    pub(super) fn new(spec: &RelationSpec, options: &SocketOptions, encoder: Box<dyn Encoder>) -> Result<Self> {
        let listener = spec.host.network.listen(&options.address).map_err(|e| listen_error(&options.address, &e))?;
        tracing::info!(relation = %spec.name, "listening on {}", listener.local());
        let clients = Arc::new(Clients {
            feeds: Mutex::default(),
            listening: Feed::new(1),
            bytes_max: (spec.settings.queue_bytes_max / 8).max(1 << 20),
        });
        let (shared, most) = (Arc::clone(&clients), options.connections_max);
        let listening =
            Joined::spawn(&format!("listen {}", options.address), move || shared.accept(listener.as_ref(), most))?;
        Ok(Self { encoder, staged: Vec::new(), clients, host: spec.host.clone(), listening: Some(listening) })
    }
}

impl Clients {
    fn accept(&self, listener: &dyn Listener, most: usize) {
        while !self.listening.stopped() {
            match listener.accept() {
                Ok(Some(client)) if self.lock().len() < most => self.serve(client),
                Ok(Some(client)) => client.close(),
                Ok(None) => {
                    self.listening.pause(ACCEPT_POLL);
                }
                Err(e) => {
                    tracing::warn!(reason = %e, "could not accept a client");
                    self.listening.pause(ACCEPT_POLL * 10);
                }
            }
        }
    }

    fn serve(&self, mut client: Box<dyn Connection>) {
        let name = client.peer();
        let queue = Feed::new(self.bytes_max);
        let thread_queue = Arc::clone(&queue);
        let started = spawn(&format!("write {name}"), move || {
            // A client that takes nothing for this long is away.
            let mut sent = client.set_write_timeout(WRITE_TIMEOUT);
            while sent.is_ok()
                && let Ok(Some(events)) = thread_queue.take(1, Duration::from_secs(3600))
            {
                for event in events {
                    if let Event::Bytes(_, bytes) = event {
                        sent = sent.and_then(|()| client.write_all(&bytes)).and_then(|()| client.flush());
                    }
                }
            }
            thread_queue.stop();
            client.close();
        });
        match started {
            Ok(()) => self.lock().push(Client { name, queue }),
            Err(e) => tracing::warn!(client = %name, reason = %e, "could not serve a client"),
        }
    }

    fn send(&self, bytes: &[u8]) {
        self.lock().retain(|client| {
            if client.queue.stopped() {
                return false;
            }
            let kept = client.queue.try_push(Event::Bytes(0, bytes.to_vec()));
            if !kept {
                tracing::warn!(client = %client.name, "a client does not keep up and is dropped");
                client.queue.stop();
            }
            kept
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Client>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for Broadcast {
    fn stage(&mut self, _: IntervalId, change: &Change) -> Result<()> {
        self.encoder.encode(change, &mut self.staged)
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        if !self.staged.is_empty() {
            self.clients.send(&self.staged);
            self.staged.clear();
        }
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.encoder.finish(&mut self.staged)?;
        self.publish(IntervalId::NONE)?;
        self.clients.listening.stop();
        self.listening = None;
        for client in self.clients.lock().iter() {
            client.queue.end(Ok(()));
        }
        // The threads write what is queued, and then let go.
        let mut patience = CLOSE_WAIT;
        while self.clients.lock().iter().any(|c| !c.queue.stopped()) && !patience.is_zero() {
            let nap = Duration::from_millis(10);
            self.host.clock.sleep(nap);
            patience = patience.saturating_sub(nap);
        }
        Ok(())
    }
}

impl Drop for Broadcast {
    fn drop(&mut self) {
        self.clients.listening.stop();
        for client in self.clients.lock().iter() {
            client.queue.stop();
        }
        self.listening = None;
    }
}
