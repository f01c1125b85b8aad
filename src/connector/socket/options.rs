//! The options of a relation over a socket.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::Address;
use crate::settings::Options;

/// Which side waits for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Connect,
    Listen,
}

/// What the options say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SocketOptions {
    pub(super) address: Address,
    pub(super) role: Role,
    /// A connection that ended is made again.
    pub(super) reconnect: bool,
    /// Failed tries in a row after which it is given up; `None`: never.
    pub(super) retries: Option<u32>,
    pub(super) connections_max: usize,
    /// How long inference waits for a first line.
    pub(super) infer_timeout: Duration,
}

impl SocketOptions {
    /// Reads the options; claims every one that this connector knows.
    pub(super) fn new(options: &Options) -> Result<Self> {
        let given = options.get_any(&["address", "url"]);
        let (hostname, port) = (options.get_any(&["hostname", "host"]), options.get("port"));
        let mode = role(options)?;
        let (address, natural) = match (given, port) {
            (Some(text), _) => {
                parse_address(text).map_err(|e| match options.span("address").or(options.span("url")) {
                    Some(span) => e.at(span),
                    None => e,
                })?
            }
            (None, Some(port)) => {
                port.trim().parse::<u16>().map_err(|_| options.wrong("port", format!("'{port}' is not a port")))?;
                parse_address(&format!("{}:{}", hostname.unwrap_or_default(), port.trim()))?
            }
            (None, None) => {
                return Err(Error::config("a socket has no address").help(
                    "address = 'tcp://host:9999' connects, 'tcp://:9999' listens, 'unix:///path' connects to a unix socket",
                ));
            }
        };
        let role = mode.unwrap_or(natural);
        let address = match (address, role) {
            (Address::Tcp(place), Role::Listen) if place.starts_with(':') => Address::Tcp(format!("0.0.0.0{place}")),
            (Address::Tcp(place), Role::Connect) if place.starts_with(':') => Address::Tcp(format!("127.0.0.1{place}")),
            (address, _) => address,
        };
        let timeout = options.duration("infer_timeout")?.unwrap_or(5_000_000);
        Ok(Self {
            address,
            role,
            reconnect: options.flag("reconnect", true)?,
            retries: options.parse("connect.retries")?,
            connections_max: options.parse("max_connections")?.unwrap_or(256).max(1),
            infer_timeout: Duration::from_micros(u64::try_from(timeout).unwrap_or(0)),
        })
    }

    /// Whether a source of it ends by itself.
    pub(super) fn ends(&self) -> bool {
        self.role == Role::Connect && !self.reconnect
    }
}

fn role(options: &Options) -> Result<Option<Role>> {
    match options.get("mode").map(str::to_ascii_lowercase).as_deref() {
        None => Ok(None),
        Some("listen" | "server") => Ok(Some(Role::Listen)),
        Some("connect" | "client") => Ok(Some(Role::Connect)),
        Some(other) => Err(options
            .wrong("mode", format!("a socket has no mode '{other}'"))
            .help("mode = 'listen' waits for clients, mode = 'connect' is one")),
    }
}

/// An address and what one does with it when nothing else is said: listen when it names no host, or every host.
fn parse_address(text: &str) -> Result<(Address, Role)> {
    let text = text.trim();
    let wrong = || {
        Error::config(format!("'{text}' is not the address of a socket"))
            .help("write 'tcp://host:9999', 'tcp://:9999' to listen, or 'unix:///path'")
    };
    let (scheme, rest) = text.split_once("://").map_or(("tcp".to_owned(), text), |(s, r)| (s.to_ascii_lowercase(), r));
    match scheme.as_str() {
        "unix" if !rest.is_empty() => Ok((Address::Unix(rest.into()), Role::Connect)),
        "tcp" => {
            let rest = rest.trim_end_matches('/');
            let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
            port.parse::<u16>().map_err(|_| wrong())?;
            let bare_v6 = host.contains(':') && !host.starts_with('[');
            if bare_v6 || host.contains(['/', ' ', '@']) {
                return Err(wrong());
            }
            let (host, role) = match host {
                "" | "*" => ("", Role::Listen),
                "0.0.0.0" | "[::]" => (host, Role::Listen),
                named => (named, Role::Connect),
            };
            Ok((Address::Tcp(format!("{host}:{port}")), role))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(pairs: &[(&str, &str)]) -> Result<(String, Role)> {
        let mut options = Options::new();
        for (name, value) in pairs {
            options.put(name, *value, None)?;
        }
        let parsed = SocketOptions::new(&options)?;
        options.finish("the socket connector")?;
        Ok((parsed.address.to_string(), parsed.role))
    }

    #[test]
    fn addresses_say_who_waits() {
        for (text, address, role) in [
            ("tcp://:9999", "tcp://0.0.0.0:9999", Role::Listen),
            ("TCP://*:9999/", "tcp://0.0.0.0:9999", Role::Listen),
            ("tcp://0.0.0.0:1", "tcp://0.0.0.0:1", Role::Listen),
            ("tcp://host:9999", "tcp://host:9999", Role::Connect),
            ("tcp://[::1]:9999", "tcp://[::1]:9999", Role::Connect),
            ("localhost:9999", "tcp://localhost:9999", Role::Connect),
            ("unix:///run/x", "unix:///run/x", Role::Connect),
        ] {
            assert_eq!(parsed(&[("address", text)]).unwrap(), (address.to_owned(), role), "{text}");
        }
        assert_eq!(parsed(&[("hostname", "h"), ("port", "1")]).unwrap(), ("tcp://h:1".to_owned(), Role::Connect));
        assert_eq!(parsed(&[("port", "1")]).unwrap().1, Role::Listen);
        assert_eq!(parsed(&[("url", "unix:///a"), ("mode", "listen")]).unwrap().1, Role::Listen);
        assert_eq!(parsed(&[("address", ":7"), ("mode", "connect")]).unwrap().0, "tcp://127.0.0.1:7");
        for wrong in
            ["tcp://host", "tcp://host:port", "udp://:9", "tcp://::1:9", "unix://", "tcp://a/b:1", "host:99999"]
        {
            assert!(parsed(&[("address", wrong)]).is_err(), "{wrong}");
        }
        assert!(parsed(&[("port", "x")]).is_err() && parsed(&[("hostname", "h")]).is_err());
        assert!(parsed(&[("address", ":1"), ("mode", "lisen")]).is_err());
    }
}
