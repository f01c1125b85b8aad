//! Stream sockets, TCP and unix, to connect to or to listen on; a line is a record.
//!
//! A source reads every peer on a thread of its own into one bounded queue: when the queue is full no socket is read, and TCP
//! holds the senders back.

mod options;
mod sink;
mod source;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;

use self::options::{Role, SocketOptions};
use super::feed_source::{FeedSource, Primed, lines};
use super::records::Shape;
use super::stdout::format_or_json;
use super::{Connector, Description, RelationSpec, Sink, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{FormatSpec, Inferred};

/// The connector `socket`, also `tcp`.
#[derive(Default)]
pub struct Socket {
    /// Connections that were looked at, by relation and address: what they sent is kept for the source.
    seen: Mutex<BTreeMap<String, Seen>>,
}

struct Seen {
    inferred: Inferred,
    /// Until a source takes it.
    primed: Option<Primed>,
}

impl Socket {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connector for Socket {
    fn name(&self) -> &'static str {
        "socket"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["tcp", "unix"]
    }

    fn infer(&self, spec: &RelationSpec) -> Result<SchemaRef> {
        let options = SocketOptions::new(&spec.options)?;
        let format = FormatSpec::from_options(&spec.options, None)?;
        if let Some(schema) = format.as_ref().and_then(FormatSpec::fixed_schema) {
            return Ok(schema);
        }
        let mut seen = self.lock();
        let key = key(spec, &options);
        if let Some(Seen { inferred, primed: Some(_) }) = seen.get(&key) {
            return Ok(inferred.schema.clone());
        }
        let mut primed = match source::start(spec, &options) {
            Ok(primed) => primed,
            // A query of this relation is listening there already.
            Err(error) => match seen.get(&key) {
                Some(known) => return Ok(known.inferred.schema.clone()),
                None => return Err(error),
            },
        };
        let wait = options.infer_timeout;
        tracing::info!(relation = %spec.name, "{}: waiting for the first line to tell its columns", primed.status().unwrap_or_default());
        let inferred = match primed.infer(format.as_ref(), Some(wait))? {
            // A line or two say too little: prose has commas too.
            Some(inferred) if format.is_none() && inferred.format.has_header() => lines()?,
            Some(inferred) => inferred,
            None if format.is_none() => {
                tracing::warn!(
                    relation = %spec.name,
                    "nothing came from {} within {wait:?}: taking it for text, with one column 'line' (declare columns or a format to say otherwise)",
                    options.address
                );
                lines()?
            }
            None => {
                let message = format!("nothing came from {} within {wait:?} to tell columns from", options.address);
                return Err(Error::new(ErrorKind::Unreachable, message)
                    .help("declare the columns: CREATE TABLE name (column TYPE, …) WITH (…)"));
            }
        };
        let schema = inferred.schema.clone();
        seen.insert(key, Seen { inferred, primed: Some(primed) });
        Ok(schema)
    }

    fn reach(&self, _: &crate::settings::Options) -> super::Reach {
        super::Reach::Network
    }

    fn describe(&self, spec: &RelationSpec) -> Result<Description> {
        let options = SocketOptions::new(&spec.options)?;
        let format = FormatSpec::from_options(&spec.options, None)?;
        if let Some(columnar) = format.as_ref().filter(|f| f.is_columnar()) {
            let error = Error::unsupported(format!("a socket can't carry format '{}'", columnar.name()));
            return Err(error.help("use format = 'json', 'csv' or 'text'"));
        }
        Ok(Description {
            bounded: options.ends(),
            live: true,
            readable: true,
            writable: true,
            accepts_changes: format_or_json(&spec.options)?.holds_changes(),
            gives_changes: format.is_some_and(|f| f.gives_changes()),
            partitions: 1,
        })
    }

    fn source(&self, spec: &RelationSpec, projection: &[usize]) -> Result<Box<dyn Source>> {
        let options = SocketOptions::new(&spec.options)?;
        let mut format = FormatSpec::from_options(&spec.options, None)?;
        let mut seen = self.lock();
        let known = seen.get_mut(&key(spec, &options));
        let mut primed = None;
        if let Some(known) = known {
            primed = known.primed.take();
            // The columns were told in this format, unless the relation has been declared anew.
            let told = |name: &String| known.inferred.schema.column_with_name(name).is_some();
            let same = spec.schema.fields().iter().all(|f| told(f.name()));
            format = format.or_else(|| same.then(|| known.inferred.format.clone()));
        }
        let primed = primed.map_or_else(|| source::start(spec, &options), Ok)?;
        let shape = Shape::new(spec.schema.clone(), projection, format, &spec.settings);
        Ok(Box::new(FeedSource::new(primed, shape, spec.settings.batch_rows_max)?))
    }

    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>> {
        let options = SocketOptions::new(&spec.options)?;
        let encoder = format_or_json(&spec.options)?.encoder(&spec.schema, spec.key.as_deref())?;
        Ok(match options.role {
            Role::Connect => Box::new(sink::Dialling::new(spec, options, encoder)?),
            Role::Listen => Box::new(sink::Broadcast::new(spec, &options, encoder)?),
        })
    }
}

fn key(spec: &RelationSpec, options: &SocketOptions) -> String {
    format!("{} {}", spec.name, options.address)
}

/// What to say when an address can't be listened on.
fn listen_error(address: &crate::host::Address, error: &std::io::Error) -> Error {
    let failed = Error::unreachable(format!("can't listen on {address}: {error}"));
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            failed.help("another program or query listens there: stop it, or take another port")
        }
        _ => failed,
    }
}

#[cfg(test)]
mod tests;
