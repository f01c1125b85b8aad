//! The sink into one file.
//!
//! Rows are written to the file itself with each interval, for whoever reads along; a file of columns is nothing before its
//! footer, so it is written under a hidden name and gets its own when it is complete.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::behind::Behind;
use super::claims::Claim;
use super::open_error;
use super::options::FileOptions;
use crate::change::Change;
use crate::connector::{RelationSpec, Sink, write_error};
use crate::error::{Error, Result};
use crate::format::{Compressor, Encoder, encode_all};
use crate::host::{Host, WriteFile};
use crate::time::IntervalId;

/// Writes one file.
pub(super) struct FileSink {
    host: Host,
    path: PathBuf,
    /// What it is written under until it is complete, when that is not its own name.
    hidden: Option<PathBuf>,
    encoder: Box<dyn Encoder>,
    output: Option<Compressor<Output>>,
    /// Encoded, in pieces.
    staged: Vec<Vec<u8>>,
    behind: Behind,
    /// Kept until the file is complete.
    claim: Option<Claim>,
}

/// A file seen as a stream.
struct Output(Box<dyn WriteFile>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl FileSink {
    /// Creates the file, and the folders above it; empties one that is there unless it is to be appended to.
    ///
    /// # Errors
    /// When it can't be created, or a file of this format can't be appended to.
    pub(super) fn open(spec: &RelationSpec, options: &FileOptions, claim: Option<Claim>) -> Result<Self> {
        let host = spec.host.clone();
        let path = PathBuf::from(&options.path);
        let format = options.sink_format()?;
        let old_size = host.files.meta(&path).map_or(0, |m| m.size);
        if options.append && format.is_columnar() {
            let error = Error::config(format!("a {} file can't be appended to", format.name()));
            return Err(error.help("write a folder of files instead: path = 'dir/'"));
        }
        let mut encoder = format.encoder(&spec.schema, spec.key.as_deref())?;
        if options.append && old_size > 0 && format.has_header() {
            encoder = Box::new(WithoutHeader { encoder, swallowed: false });
        }
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            host.files.create_dir(folder).map_err(|e| open_error(&host, folder, &e))?;
        }
        let hidden = format.is_columnar().then(|| hidden_name(&path, host.seed));
        let target = hidden.as_ref().unwrap_or(&path);
        let file = host.files.create(target, options.append).map_err(|e| open_error(&host, target, &e))?;
        let output = Compressor::by_path(Output(file), &options.path)?;
        Ok(Self {
            host,
            path,
            hidden,
            encoder,
            output: Some(output),
            staged: Vec::new(),
            behind: Behind::default(),
            claim,
        })
    }

    fn write_staged(&mut self) -> Result<()> {
        let Some(output) = &mut self.output else { return Err(Error::internal("a closed file is written to")) };
        let bytes = self.staged.iter().map(Vec::len).sum();
        let written = self.staged.drain(..).try_for_each(|piece| output.write_all(&piece));
        let written = written.and_then(|()| output.flush());
        self.behind.wrote(bytes, output.get_mut().0.as_ref());
        written.map_err(|e| write_error(&format!("'{}'", self.path.display()), &e))
    }
}

impl Sink for FileSink {
    fn stage(&mut self, interval: IntervalId, change: &Change) -> Result<()> {
        self.stage_all(interval, std::slice::from_ref(change))
    }

    fn stage_all(&mut self, _: IntervalId, changes: &[Change]) -> Result<()> {
        encode_all(self.encoder.as_mut(), changes, &mut self.staged)
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        if self.staged.is_empty() { Ok(()) } else { self.write_staged() }
    }

    fn close(&mut self) -> Result<()> {
        if self.output.is_none() {
            return Ok(());
        }
        let mut end = Vec::new();
        self.encoder.finish(&mut end)?;
        self.staged.push(end);
        self.write_staged()?;
        let failed = |e: io::Error| write_error(&format!("'{}'", self.path.display()), &e);
        self.claim = None;
        self.behind.finish().map_err(failed)?;
        let output = self.output.take().map(Compressor::finish).transpose().map_err(failed)?;
        // A pipe or a device has no disk under it.
        let durable = self.hidden.is_some() || self.host.files.meta(&self.path).is_ok_and(|m| m.is_file);
        if !durable {
            return Ok(());
        }
        output.map(|mut file| file.0.sync()).transpose().map_err(failed)?;
        if let Some(hidden) = self.hidden.take() {
            self.host.files.rename(&hidden, &self.path).map_err(failed)?;
        }
        sync_folder(&self.host, &self.path).map_err(failed)
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        // A file that was never completed is nobody's.
        if let Some(hidden) = &self.hidden {
            let _ = self.host.files.remove(hidden);
        }
    }
}

/// Makes the name of a file durable.
pub(super) fn sync_folder(host: &Host, path: &Path) -> io::Result<()> {
    host.files.sync_dir(path.parent().unwrap_or(Path::new("")))
}

/// A name that readers of the folder pass over.
fn hidden_name(path: &Path, seed: u64) -> PathBuf {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{:08x}.tmp", seed as u32))
}

/// Leaves the header out that the file to append to has already.
struct WithoutHeader {
    encoder: Box<dyn Encoder>,
    /// The header has been swallowed.
    swallowed: bool,
}

impl Encoder for WithoutHeader {
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        if !self.swallowed {
            self.swallowed = true;
            let mut header = Vec::new();
            self.encoder.encode(&Change::append(change.batch.slice(0, 0)), &mut header)?;
        }
        self.encoder.encode(change, out)
    }

    fn fork(&self) -> Option<Box<dyn Encoder>> {
        if self.swallowed { self.encoder.fork() } else { None }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.swallowed { self.encoder.finish(out) } else { Ok(()) }
    }
}
