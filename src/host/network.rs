//! Stream sockets, TCP and unix, as a trait.

use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

/// One end of a connection.
pub trait Connection: Read + Write + Send {
    /// How long a read may block before it answers `WouldBlock` or `TimedOut`.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;
    /// How long a write may block.
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()>;
    /// Who is at the other end, for messages.
    fn peer(&self) -> String;
    /// A second handle on the same connection.
    fn duplicate(&self) -> io::Result<Box<dyn Connection>>;
    /// Closes both directions, so that a blocked read returns.
    fn close(&self);
}

/// A socket that waits for clients.
pub trait Listener: Send {
    /// The next client; `None` when none is waiting.
    fn accept(&self) -> io::Result<Option<Box<dyn Connection>>>;
    /// The address that was bound, with its real port.
    fn local(&self) -> String;
}

/// The network.
pub trait Network: Send + Sync {
    /// Connects.
    fn connect(&self, address: &Address, timeout: Duration) -> io::Result<Box<dyn Connection>>;
    /// Listens; a unix socket's stale file is replaced.
    fn listen(&self, address: &Address) -> io::Result<Box<dyn Listener>>;
}

/// A host and port, or the path of a unix socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// `host:port`.
    Tcp(String),
    /// The path of a unix socket.
    Unix(std::path::PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host) => write!(f, "tcp://{host}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

pub use system::SystemNetwork;

// The one place that may touch sockets.
#[allow(clippy::disallowed_methods)]
mod system {
    use std::io;
    use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
    #[cfg(unix)]
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::time::Duration;

    use super::{Address, Connection, Listener, Network};

    /// The system's sockets.
    #[derive(Debug, Clone, Copy, Default)]
    pub struct SystemNetwork;

    impl Network for SystemNetwork {
        fn connect(&self, address: &Address, timeout: Duration) -> io::Result<Box<dyn Connection>> {
            match address {
                Address::Tcp(host) => {
                    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
                    for socket in host.to_socket_addrs()? {
                        match TcpStream::connect_timeout(&socket, timeout) {
                            Ok(stream) => {
                                stream.set_nodelay(true)?;
                                return Ok(Box::new(stream));
                            }
                            Err(error) => last = error,
                        }
                    }
                    Err(last)
                }
                #[cfg(unix)]
                Address::Unix(path) => Ok(Box::new(UnixStream::connect(path)?)),
                #[cfg(not(unix))]
                Address::Unix(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "unix sockets need a unix system")),
            }
        }

        fn listen(&self, address: &Address) -> io::Result<Box<dyn Listener>> {
            match address {
                Address::Tcp(host) => {
                    let listener = TcpListener::bind(host)?;
                    listener.set_nonblocking(true)?;
                    Ok(Box::new(listener))
                }
                #[cfg(unix)]
                Address::Unix(path) => {
                    // A socket file that nobody answers on is left over from a process that died.
                    if path.exists() && UnixStream::connect(path).is_err() {
                        std::fs::remove_file(path)?;
                    }
                    let listener = UnixListener::bind(path)?;
                    listener.set_nonblocking(true)?;
                    Ok(Box::new(listener))
                }
                #[cfg(not(unix))]
                Address::Unix(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "unix sockets need a unix system")),
            }
        }
    }

    macro_rules! connection {
        ($stream:ty, $peer:expr) => {
            impl Connection for $stream {
                fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
                    <$stream>::set_read_timeout(self, Some(timeout))
                }

                fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
                    <$stream>::set_write_timeout(self, Some(timeout))
                }

                fn peer(&self) -> String {
                    let name: fn(&$stream) -> String = $peer;
                    name(self)
                }

                fn duplicate(&self) -> io::Result<Box<dyn Connection>> {
                    Ok(Box::new(self.try_clone()?))
                }

                fn close(&self) {
                    // Closing what the peer has already closed is no news.
                    let _ = self.shutdown(Shutdown::Both);
                }
            }
        };
    }

    connection!(TcpStream, |s| s.peer_addr().map_or_else(|_| "a client".to_owned(), |a| a.to_string()));
    #[cfg(unix)]
    connection!(UnixStream, |_| "a unix client".to_owned());

    fn accepted<S: Connection + 'static>(result: io::Result<S>) -> io::Result<Option<Box<dyn Connection>>> {
        match result {
            Ok(stream) => Ok(Some(Box::new(stream))),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    impl Listener for TcpListener {
        fn accept(&self) -> io::Result<Option<Box<dyn Connection>>> {
            accepted(TcpListener::accept(self).and_then(|(stream, _)| {
                stream.set_nonblocking(false)?;
                stream.set_nodelay(true)?;
                Ok(stream)
            }))
        }

        fn local(&self) -> String {
            self.local_addr().map_or_else(|_| "tcp".to_owned(), |a| format!("tcp://{a}"))
        }
    }

    #[cfg(unix)]
    impl Listener for UnixListener {
        fn accept(&self) -> io::Result<Option<Box<dyn Connection>>> {
            accepted(UnixListener::accept(self).and_then(|(stream, _)| {
                stream.set_nonblocking(false)?;
                Ok(stream)
            }))
        }

        fn local(&self) -> String {
            let address = self.local_addr().ok();
            let path = address.as_ref().and_then(|a| a.as_pathname());
            path.map_or_else(|| "unix".to_owned(), |p| format!("unix://{}", p.display()))
        }
    }
}
