//! One file as it grows, like `tail -F`: through rotation (renamed, made anew), truncation and deletion, and from before it
//! exists.
//!
//! The open file is read to its end before a new one under the same name is opened, so that what was written just before a
//! rotation is not lost. A line counts when its newline is there; the last one of a file that was rotated away counts
//! without.

use std::io::{self, Read as IoRead, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::input::{Found, Mark, Print, Reading, found, is_compressed, not_the_same};
use super::listing::Listing;
use super::{Mode, open_error, read_error};
use crate::connector::columns::Facts;
use crate::connector::records::{BLOCK_BYTES, RecordReader, SAMPLE_BYTES};
use crate::connector::{Position, Read, Source};
use crate::error::{Error, Result};
use crate::host::{FileMeta, ReadFile};

/// How long to wait before looking for more.
const POLL: Duration = Duration::from_millis(50);
/// How often a file that was rotated away must show nothing new before the one that took its name is opened.
const QUIET_MAX: u32 = 2;

/// Follows one file.
pub(super) struct FollowSource {
    reading: Reading,
    path: PathBuf,
    open: Option<Followed>,
    /// What was said last about the file not being there, so that it is said once.
    missing: bool,
}

/// The file that is open now.
struct Followed {
    file: Box<dyn ReadFile>,
    id: (u64, u64),
    reader: RecordReader,
    facts: Facts,
    /// Bytes read of it.
    read: u64,
    modified: i128,
    print: Print,
    buffer: Vec<u8>,
    /// Looks at its end since another file has its name.
    quiet: u32,
    /// It is rotated away and read to its end.
    over: bool,
}

impl FollowSource {
    /// Opens the file if it is there.
    ///
    /// # Errors
    /// When the path is a folder or a glob, or can't be opened.
    pub(super) fn open(reading: Reading) -> Result<Self> {
        let options = &reading.options;
        let path = PathBuf::from(&options.path);
        let is_dir = reading.host.files.meta(&path).is_ok_and(|m| m.is_dir);
        let is_glob = || {
            options.path.contains(['*', '?', '['])
                && Listing::new(&reading.host, options).files().is_ok_and(|f| f.len() != 1)
        };
        if is_dir || (reading.host.files.meta(&path).is_err() && is_glob()) {
            debug_assert_eq!(options.mode, Mode::Follow);
            let error = Error::config(format!("'{}' is not one file, so it can't be followed", options.path));
            return Err(options.path_error(error).help("mode = 'watch' reads the files of a folder as they appear"));
        }
        let latest = options.latest;
        let mut source = Self { reading, path, open: None, missing: false };
        source.open_file()?;
        if latest && let Some(open) = &mut source.open {
            open.skip_to_last_line().map_err(|e| read_error(&source.path, &e))?;
        }
        Ok(source)
    }

    /// Opens what has the name now.
    fn open_file(&mut self) -> Result<()> {
        match self.reading.host.files.open(&self.path) {
            Ok(file) => {
                let open = Followed::new(&self.reading, &self.path, file)?;
                if self.missing {
                    tracing::info!(file = %self.path.display(), "the file is there");
                }
                self.missing = false;
                self.open = Some(open);
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                if !self.missing {
                    tracing::warn!(file = %self.path.display(), "waiting for the file to appear");
                }
                self.missing = true;
            }
            Err(e) => return Err(open_error(&self.reading.host, &self.path, &e)),
        }
        Ok(())
    }

    /// The next rows that are there now.
    fn step(&mut self) -> Result<Option<Found>> {
        loop {
            let Some(open) = &mut self.open else {
                self.open_file()?;
                if self.open.is_none() {
                    return Ok(None);
                }
                continue;
            };
            let rows_max = self.reading.settings.batch_rows_max.max(1);
            if let Some(rows) = open.reader.next(rows_max, open.over)? {
                return found(&self.reading, &open.facts, rows).map(Some);
            }
            if open.over {
                self.open = None;
                continue;
            }
            if !open.read_more(&self.reading, &self.path).map_err(|e| read_error(&self.path, &e))? {
                return Ok(None);
            }
        }
    }

    fn position(&self) -> Result<Position> {
        let mark = self.open.as_ref().map(|open| {
            let (offset, record) = open.reader.position();
            Mark { path: self.path.clone(), id: open.id, print: open.print.clone(), offset, record }
        });
        serde_json::to_value(mark).map(Position).map_err(|e| Error::internal(format!("a position: {e}")))
    }

    /// The file that a mark is of: under its name, or beside it under another since it was rotated away.
    fn find(&self, mark: &Mark) -> Result<Box<dyn ReadFile>> {
        let files = &self.reading.host.files;
        let fits = |path: &Path, same_id: bool| -> Option<Box<dyn ReadFile>> {
            let mut file = files.open(path).ok()?;
            let meta = file.meta().ok()?;
            let fits = meta.is_file && meta.size >= mark.offset && (!same_id || meta.id == mark.id);
            (fits && mark.print.matches(file.as_mut()).ok()?).then_some(file)
        };
        if let Some(file) = fits(&self.path, true) {
            return Ok(file);
        }
        let name = self.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let beside = files.list(&folder.to_string_lossy()).unwrap_or_default();
        let rotated = |path: &&PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&name));
        // By inode first; a copy that was put back has another one, but the same beginning.
        beside
            .iter()
            .filter(rotated)
            .find_map(|path| fits(path, true))
            .or_else(|| if mark.print.bytes > 0 { fits(&self.path, false) } else { None })
            .ok_or_else(|| not_the_same(&self.path))
    }
}

impl Followed {
    fn new(reading: &Reading, path: &Path, mut file: Box<dyn ReadFile>) -> Result<Self> {
        let failed = |e: io::Error| read_error(path, &e);
        let meta = file.meta().map_err(failed)?;
        let mut head = Vec::new();
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        (&mut file).take(4).read_to_end(&mut head).map_err(failed)?;
        if is_compressed(&head) {
            let error = Error::unsupported(format!("'{}' is compressed, so it can't be followed", path.display()));
            return Err(error.help("read it to its end with mode = 'bounded', or its folder with mode = 'watch'"));
        }
        Ok(Self {
            file,
            id: meta.id,
            reader: reading.records(path, reading.options.format(&reading.options.path)?),
            facts: reading.facts(path, &meta),
            read: 0,
            modified: meta.modified,
            print: Print::default(),
            buffer: Vec::new(),
            quiet: 0,
            over: false,
        })
    }

    /// Reads a block when there is one; false when there is nothing new.
    fn read_more(&mut self, reading: &Reading, path: &Path) -> io::Result<bool> {
        let meta = self.file.meta()?;
        if self.was_cut(&meta)? {
            tracing::warn!(file = %path.display(), dropped = self.reader.pending(), "the file was truncated; reading it from its start");
            self.reader.restart();
            self.read = 0;
            self.print = Print::default();
        }
        self.modified = meta.modified;
        (self.facts.size, self.facts.modified) = (meta.size, meta.modified);
        self.file.seek(SeekFrom::Start(self.read))?;
        self.buffer.clear();
        (&mut self.file).take(BLOCK_BYTES as u64).read_to_end(&mut self.buffer)?;
        if self.buffer.is_empty() {
            self.look_for_another(reading, path);
            return Ok(self.over);
        }
        self.quiet = 0;
        self.read += self.buffer.len() as u64;
        self.reader.extend(&self.buffer);
        self.take_print()?;
        Ok(true)
    }

    /// Whether the file has lost bytes that were read: it is shorter, or begins differently.
    fn was_cut(&mut self, meta: &FileMeta) -> io::Result<bool> {
        Ok(meta.size < self.read
            || (meta.modified != self.modified && self.print.bytes > 0 && !self.print.matches(self.file.as_mut())?))
    }

    /// Remembers the first bytes, as many as there are by now.
    fn take_print(&mut self) -> io::Result<()> {
        if self.print.bytes < 256 && self.print.bytes as u64 != self.read {
            self.file.seek(SeekFrom::Start(0))?;
            let mut head = Vec::new();
            (&mut self.file).take(256).read_to_end(&mut head)?;
            self.print = Print::of(&head, self.read);
        }
        Ok(())
    }

    /// Counts how often the name was another file's while this one showed nothing new.
    fn look_for_another(&mut self, reading: &Reading, path: &Path) {
        let another = reading.host.files.meta(path).is_ok_and(|m| m.id != self.id);
        self.quiet = if another { self.quiet + 1 } else { 0 };
        if self.quiet >= QUIET_MAX {
            tracing::info!(file = %path.display(), "the file was rotated; reading the new one");
            self.over = true;
        }
    }

    /// Starts with the first line that is not complete yet.
    fn skip_to_last_line(&mut self) -> io::Result<()> {
        let size = self.file.meta()?.size;
        let from = size.saturating_sub(SAMPLE_BYTES as u64);
        self.file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        (&mut self.file).take(SAMPLE_BYTES as u64).read_to_end(&mut tail)?;
        let line = memchr::memrchr(b'\n', &tail).map_or(if from == 0 { 0 } else { size }, |n| from + n as u64 + 1);
        self.go_to(line, 1).map_err(|e| io::Error::other(e.message().to_owned()))
    }

    fn go_to(&mut self, offset: u64, record: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut head = Vec::new();
        (&mut self.file).take(SAMPLE_BYTES as u64).read_to_end(&mut head)?;
        self.reader.resume(offset, record, &head)?;
        self.read = offset;
        self.print = Print::of(&head, offset);
        Ok(())
    }
}

impl Source for FollowSource {
    fn read(&mut self, wait: Duration) -> Result<Read> {
        let mut left = wait;
        loop {
            if let Some(found) = self.step()? {
                return Ok(Read::Batch(found.at(self.position()?)));
            }
            if left.is_zero() {
                return Ok(Read::Idle);
            }
            let nap = left.min(POLL);
            self.reading.host.clock.sleep(nap);
            left -= nap;
        }
    }

    fn seek(&mut self, position: &Position) -> Result<()> {
        let mark: Option<Mark> = serde_json::from_value(position.0.clone())
            .map_err(|e| Error::internal(format!("this is no position in a file: {e}")))?;
        let Some(mark) = mark else { return Ok(()) };
        let file = self.find(&mark)?;
        let mut open = Followed::new(&self.reading, &self.path, file)?;
        open.go_to(mark.offset, mark.record)?;
        self.open = Some(open);
        Ok(())
    }

    fn replayable(&self) -> bool {
        true
    }

    fn status(&self) -> Option<String> {
        let path = self.path.display();
        Some(match &self.open {
            None => format!("waiting for {path} to appear"),
            Some(open) => format!("following {path} at byte {}", open.read),
        })
    }
}
