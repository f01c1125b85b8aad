//! Files: read to their end, followed as they grow, or picked up as they appear; written one by one or in folders.

mod behind;
mod claims;
mod files;
mod follow;
mod input;
mod listing;
mod options;
mod partition;
mod parts;
mod sink;

use std::collections::BTreeMap;
use std::io::{self, Read as IoRead};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arrow::datatypes::SchemaRef;

use self::claims::Claims;
use self::files::FilesSource;
use self::follow::FollowSource;
use self::input::Reading;
use self::listing::Listing;
use self::options::{FileOptions, Mode};
use self::parts::FolderSink;
use self::sink::FileSink;
use super::columns::Columns;
use super::feed::{Feed, read_stream};
use super::feed_source::{FeedSource, Primed};
use super::records::Shape;
use super::{Connector, Description, RelationSpec, Sink, Source};
use crate::error::{Error, Result, nearest};
use crate::format::Inferred;
use crate::host::{Host, ReadFile};

/// The connector `filesystem`, also `file` and `single_file`.
#[derive(Default)]
pub struct Filesystem {
    /// Pipes that were looked at: their first bytes can't be read again.
    pipes: Mutex<BTreeMap<String, (Primed, Inferred)>>,
    /// Files that are being written.
    written: Claims,
}

impl Filesystem {
    fn pipes(&self) -> MutexGuard<'_, BTreeMap<String, (Primed, Inferred)>> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connector for Filesystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn aliases(&self) -> &'static [&'static str] {
        &["file", "files", "single_file"]
    }

    fn infer(&self, spec: &RelationSpec) -> Result<SchemaRef> {
        let options = FileOptions::new(&spec.options)?;
        let format = options.format(&options.path)?;
        if is_pipe(&spec.host, &options.path) {
            let mut pipes = self.pipes();
            if let Some((_, inferred)) = pipes.get(&options.path) {
                return Ok(inferred.schema.clone());
            }
            let mut primed = open_pipe(spec, &options.path)?;
            let inferred =
                primed.infer(format.as_ref(), None)?.ok_or_else(|| Error::internal("a pipe gave no sample"))?;
            let schema = inferred.schema.clone();
            pipes.insert(options.path.clone(), (primed, inferred));
            return Ok(schema);
        }
        Listing::new(&spec.host, &options).infer()
    }

    fn reach(&self, options: &crate::settings::Options) -> super::Reach {
        let path = options.get("path").unwrap_or_default().trim();
        // A path that is not local is refused where options are read.
        super::Reach::Path(options::local(path).unwrap_or(path).to_owned())
    }

    fn describe(&self, spec: &RelationSpec) -> Result<Description> {
        let options = FileOptions::new(&spec.options)?;
        let format = options.format(&options.path)?;
        Ok(Description {
            bounded: options.mode == Mode::Bounded,
            live: options.mode != Mode::Bounded,
            readable: true,
            writable: true,
            accepts_changes: format.as_ref().is_some_and(|f| f.holds_changes()),
            gives_changes: format.is_some_and(|f| f.gives_changes()),
            partitions: 1,
        })
    }

    fn source(&self, spec: &RelationSpec, projection: &[usize]) -> Result<Box<dyn Source>> {
        let options = FileOptions::new(&spec.options)?;
        if is_pipe(&spec.host, &options.path) {
            let mut format = options.format(&options.path)?;
            let primed = match self.pipes().remove(&options.path) {
                Some((primed, inferred)) => {
                    format = format.or(Some(inferred.format));
                    primed
                }
                None => open_pipe(spec, &options.path)?,
            };
            let shape = Shape::new(spec.schema.clone(), projection, format, &spec.settings);
            return Ok(Box::new(FeedSource::new(primed, shape, spec.settings.batch_rows_max)?));
        }
        let reading = Reading {
            host: spec.host.clone(),
            columns: Columns::new(&spec.schema, projection, &options.partitioned_by)?,
            settings: spec.settings.clone(),
            options: options.clone(),
        };
        Ok(match options.mode {
            Mode::Follow => Box::new(FollowSource::open(reading)?),
            Mode::Bounded | Mode::Watch => Box::new(FilesSource::open(reading)?),
        })
    }

    fn sink(&self, spec: &RelationSpec) -> Result<Box<dyn Sink>> {
        let options = FileOptions::new(&spec.options)?;
        let is_dir = || spec.host.files.meta(Path::new(&options.path)).is_ok_and(|m| m.is_dir);
        if options.folder || is_dir() {
            Ok(Box::new(FolderSink::new(spec, options, self.written.folder())?))
        } else {
            // Two writers of one file would overwrite each other's rows.
            let shared = options.append || is_pipe(&spec.host, &options.path);
            let claim = if shared { None } else { Some(self.written.claim(&options.path)?) };
            Ok(Box::new(FileSink::open(spec, &options, claim)?))
        }
    }
}

/// Whether a path is no file but a stream of bytes: a named pipe, `/dev/stdin`, what `<(…)` of a shell gives.
fn is_pipe(host: &Host, path: &str) -> bool {
    host.files.meta(Path::new(path)).is_ok_and(|m| !m.is_file && !m.is_dir)
}

fn open_pipe(spec: &RelationSpec, path: &str) -> Result<Primed> {
    let feed = Feed::new(spec.settings.queue_bytes_max);
    let (host, name) = (spec.host.clone(), path.to_owned());
    read_stream(&feed, path, move || {
        // Opening a named pipe waits for its writer: that is why it happens on the thread.
        let file = host.files.open(Path::new(&name)).map_err(|e| open_error(&host, Path::new(&name), &e))?;
        Ok(Box::new(Pipe(file)) as Box<dyn IoRead + Send>)
    })?;
    feed.set_status(format!("reading {path}"));
    Ok(Primed::new(feed))
}

struct Pipe(Box<dyn ReadFile>);

impl IoRead for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

/// What to say when a file can't be opened, with the name of a neighbour when it looks like a slip.
fn open_error(host: &Host, path: &Path, error: &io::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound => {
            let missing = Error::unreachable(format!("there is no file '{shown}'"));
            match neighbour(host, path) {
                Some(near) => missing.help(format!("did you mean '{near}'?")),
                None => missing,
            }
        }
        io::ErrorKind::PermissionDenied => Error::unreachable(format!("can't open '{shown}': permission denied"))
            .help("check who may read or write it"),
        _ => Error::unreachable(format!("can't open '{shown}': {error}")),
    }
}

fn neighbour(host: &Host, path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = host.files.list(folder.to_str()?).ok()?;
    let names: Vec<&str> = entries.iter().filter_map(|e| e.file_name()?.to_str()).filter(|n| *n != name).collect();
    let near = nearest(name, names)?;
    Some(path.with_file_name(near).display().to_string())
}

/// Reading a file failed half-way.
fn read_error(path: &Path, error: &io::Error) -> Error {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Error::data(format!("'{shown}' is damaged: {error}")).help("it may have been cut off while it was written")
        }
        _ => Error::io(format!("reading '{shown}': {error}")),
    }
}

#[cfg(test)]
mod tests;
