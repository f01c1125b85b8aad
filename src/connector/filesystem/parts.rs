//! The sink into a folder of part files, perhaps in partitions `dt=2026-03-01/`.
//!
//! A part is written under a hidden name and renamed when the interval that completes it is published: whoever reads the
//! folder sees whole files only. A part is complete with its interval, unless options let it grow older or larger.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;

use super::open_error;
use super::options::{FileOptions, Success};
use super::partition::folders;
use super::sink::sync_folder;
use crate::change::Change;
use crate::connector::{RelationSpec, Sink, write_error};
use crate::error::{Error, Result, nearest};
use crate::format::{Encoder, FormatSpec};
use crate::host::Host;
use crate::time::IntervalId;

/// Bytes of a part that are held before they are written to its hidden file.
const BUFFER_BYTES: usize = 1 << 20;

/// Writes a folder.
pub(super) struct FolderSink {
    host: Host,
    root: PathBuf,
    options: FileOptions,
    format: FormatSpec,
    extension: String,
    /// The columns that are written.
    schema: SchemaRef,
    /// Where they are in a change.
    written: Vec<usize>,
    key: Option<Vec<usize>>,
    /// Where the partition columns are in a change.
    partitioned: Vec<usize>,
    /// Parts by folder, in the order of their beginning.
    parts: BTreeMap<String, Vec<Part>>,
    /// Parts made so far, for their names.
    made: u64,
    /// Which writer of the run this is.
    writer: u32,
    /// Folders that got files but no `_SUCCESS` yet.
    unmarked: Vec<PathBuf>,
}

/// A file in the making.
struct Part {
    /// The last interval in it.
    interval: IntervalId,
    /// When it was begun, in microseconds.
    since: i64,
    hidden: PathBuf,
    path: PathBuf,
    encoder: Box<dyn Encoder>,
    /// Encoded, but not in the hidden file yet.
    buffer: Vec<u8>,
    bytes: u64,
    created: bool,
}

impl FolderSink {
    /// Checks the columns and creates the folder.
    ///
    /// # Errors
    /// An unknown partition column, or a folder that can't be created.
    pub(super) fn new(spec: &RelationSpec, options: FileOptions, writer: u32) -> Result<Self> {
        let fields = spec.schema.fields();
        let mut partitioned = Vec::new();
        for name in &options.partitioned_by {
            let found = fields.iter().position(|f| f.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
                let error = Error::config(format!("'{}' has no column '{name}' to be partitioned by", spec.name));
                match nearest(name, fields.iter().map(|f| f.name().as_str())) {
                    Some(near) => error.help(format!("did you mean '{near}'?")),
                    None => error,
                }
            })?;
            partitioned.push(found);
        }
        let written: Vec<_> = (0..fields.len()).filter(|i| !partitioned.contains(i)).collect();
        if written.is_empty() {
            return Err(Error::config(format!("every column of '{}' is a partition column", spec.name))
                .help("leave at least one column to be written into the files"));
        }
        let key = spec.key.as_ref().and_then(|key| {
            key.iter().map(|column| written.iter().position(|w| w == column)).collect::<Option<Vec<_>>>()
        });
        let format = options.sink_format()?;
        let root = PathBuf::from(&options.path);
        let host = spec.host.clone();
        host.files.create_dir(&root).map_err(|e| open_error(&host, &root, &e))?;
        let extension = match format.name() {
            "json" | "debezium-json" | "upsert-json" => "jsonl",
            "text" | "changelog" | "table" => "txt",
            name => name,
        };
        Ok(Self {
            host,
            root,
            extension: extension.to_owned(),
            schema: spec.schema.project(&written)?.into(),
            format,
            written,
            key,
            partitioned,
            parts: BTreeMap::new(),
            made: 0,
            writer,
            unmarked: Vec::new(),
            options,
        })
    }

    /// The part that rows of a folder go to.
    fn part(&mut self, interval: IntervalId, folder: String) -> Result<&mut Part> {
        let grows = self.options.part_micros > 0;
        let parts = self.parts.entry(folder.clone()).or_default();
        let fits = parts.last().is_some_and(|p| (grows || p.interval == interval) && p.bytes < self.options.part_bytes);
        if !fits {
            self.made += 1;
            // The seed keeps runs apart (and, with the writer, queries of one run), the interval says where rows came from, the number keeps parts apart.
            let seed = (self.host.seed as u32).wrapping_add(self.writer);
            let name = format!("part-{seed:08x}-{:06}-{}.{}", interval.0, self.made, self.extension);
            let folder = if folder.is_empty() { self.root.clone() } else { self.root.join(&folder) };
            parts.push(Part {
                interval,
                since: self.host.clock.now().0,
                hidden: folder.join(format!(".{name}.tmp")),
                path: folder.join(name),
                encoder: self.format.encoder(&self.schema, self.key.as_deref())?,
                buffer: Vec::new(),
                bytes: 0,
                created: false,
            });
        }
        let part = parts.last_mut().ok_or_else(|| Error::internal("a part is missing"))?;
        part.interval = interval;
        Ok(part)
    }

    /// Completes the parts that are due: all of them at the end.
    fn complete(&mut self, up_to: Option<IntervalId>) -> Result<()> {
        let now = self.host.clock.now().0;
        let options = &self.options;
        let due = |part: &Part| match up_to {
            None => true,
            Some(interval) => {
                let old = now.saturating_sub(part.since) >= options.part_micros || part.bytes >= options.part_bytes;
                part.interval <= interval && old
            }
        };
        let mut renamed = Vec::new();
        for parts in self.parts.values_mut() {
            let (complete, rest) = std::mem::take(parts).into_iter().partition::<Vec<_>, _>(due);
            *parts = rest;
            for mut part in complete {
                part.finish(&self.host).map_err(|e| write_error(&format!("'{}'", part.path.display()), &e))?;
                renamed.push(part.path);
            }
        }
        self.parts.retain(|_, parts| !parts.is_empty());
        self.sync_folders(renamed)?;
        if up_to.is_none() || self.options.success == Success::AtPublish {
            self.mark_success()?;
        }
        Ok(())
    }

    fn sync_folders(&mut self, renamed: Vec<PathBuf>) -> Result<()> {
        let mut folders: Vec<PathBuf> = renamed.iter().filter_map(|p| p.parent().map(Path::to_owned)).collect();
        folders.sort();
        folders.dedup();
        for folder in folders {
            self.host.files.sync_dir(&folder).map_err(|e| write_error(&format!("'{}'", folder.display()), &e))?;
            if !self.unmarked.contains(&folder) {
                self.unmarked.push(folder);
            }
        }
        Ok(())
    }

    fn mark_success(&mut self) -> Result<()> {
        if self.options.success == Success::Never {
            return Ok(());
        }
        for folder in std::mem::take(&mut self.unmarked) {
            let path = folder.join("_SUCCESS");
            let written = self.host.files.create(&path, false).and_then(|mut file| file.sync());
            written
                .and_then(|()| sync_folder(&self.host, &path))
                .map_err(|e| write_error(&format!("'{}'", path.display()), &e))?;
        }
        Ok(())
    }
}

impl Part {
    fn encode(&mut self, host: &Host, change: &Change) -> Result<()> {
        let before = self.buffer.len();
        self.encoder.encode(change, &mut self.buffer)?;
        self.bytes += (self.buffer.len() - before) as u64;
        if self.buffer.len() >= BUFFER_BYTES {
            append(host, &self.hidden, &mut self.created, &self.buffer)
                .map_err(|e| write_error(&format!("'{}'", self.hidden.display()), &e))?;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Writes what is left, makes it durable and gives the file its name.
    fn finish(&mut self, host: &Host) -> io::Result<()> {
        self.encoder.finish(&mut self.buffer).map_err(|e| io::Error::other(e.message().to_owned()))?;
        append(host, &self.hidden, &mut self.created, &self.buffer)?;
        host.files.create(&self.hidden, true)?.sync()?;
        host.files.rename(&self.hidden, &self.path)
    }
}

/// Adds bytes to a hidden file. It is not kept open: there may be more partitions than open files are allowed.
fn append(host: &Host, path: &Path, created: &mut bool, bytes: &[u8]) -> io::Result<()> {
    if !*created && let Some(folder) = path.parent() {
        host.files.create_dir(folder)?;
    }
    let mut file = host.files.create(path, *created)?;
    *created = true;
    io::Write::write_all(&mut file, bytes)?;
    io::Write::flush(&mut file)
}

impl Sink for FolderSink {
    fn stage(&mut self, interval: IntervalId, change: &Change) -> Result<()> {
        let host = self.host.clone();
        for (folder, rows) in by_folder(change, &self.partitioned)? {
            let part = pick(change, rows.as_ref(), &self.written)?;
            self.part(interval, folder)?.encode(&host, &part)?;
        }
        Ok(())
    }

    fn publish(&mut self, interval: IntervalId) -> Result<()> {
        self.complete(Some(interval))
    }

    fn close(&mut self) -> Result<()> {
        self.complete(None)
    }
}

impl Drop for FolderSink {
    fn drop(&mut self) {
        // Parts that were never completed are nobody's.
        for part in self.parts.values().flatten().filter(|p| p.created) {
            let _ = self.host.files.remove(&part.hidden);
        }
    }
}

/// The rows of each folder, in order; `None` for all rows.
fn by_folder(change: &Change, partitioned: &[usize]) -> Result<Vec<(String, Option<UInt32Array>)>> {
    if change.num_rows() == 0 {
        return Ok(Vec::new());
    }
    if partitioned.is_empty() {
        return Ok(vec![(String::new(), None)]);
    }
    let mut rows: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (row, folder) in folders(&change.batch, partitioned)?.into_iter().enumerate() {
        rows.entry(folder).or_default().push(u32::try_from(row).unwrap_or(u32::MAX));
    }
    Ok(rows.into_iter().map(|(folder, rows)| (folder, Some(rows.into()))).collect())
}

/// Some rows and columns of a change.
fn pick(change: &Change, rows: Option<&UInt32Array>, columns: &[usize]) -> Result<Change> {
    let batch = change.batch.project(columns)?;
    let Some(rows) = rows else { return Ok(Change { batch, weights: change.weights.clone() }) };
    let taken = batch.columns().iter().map(|c| take(c, rows, None)).collect::<Result<Vec<_>, _>>()?;
    let weights =
        change.weights.as_ref().map(|w| rows.values().iter().map(|r| w.value(*r as usize)).collect::<Int64Array>());
    Ok(Change { batch: RecordBatch::try_new(batch.schema(), taken)?, weights })
}
