//! The source over many files: all that are there and then the end, or new ones as they appear.

use std::collections::{HashSet, VecDeque};
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::input::{Input, Mark, Reading, fnv, not_the_same};
use super::listing::{Arrivals, Listed, Listing};
use super::options::Mode;
use crate::connector::{Position, Read, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// Reads files one after the other, oldest first.
pub(super) struct FilesSource {
    reading: Reading,
    queue: VecDeque<Listed>,
    current: Option<Input>,
    /// Where to begin the first file of the queue.
    resume: Option<Mark>,
    done: Done,
    arrivals: Arrivals,
    /// When the folder was listed last.
    listed: Timestamp,
    /// Files finished since the last pause.
    finished: usize,
}

/// The files that have been read, as hashes of their paths, which is what grows with their number: kept as text, because a
/// position with all of them is made for every batch.
#[derive(Debug, Default)]
struct Done {
    hashes: HashSet<u64>,
    text: String,
}

#[derive(Serialize, Deserialize)]
struct Place {
    file: Option<Mark>,
    done: String,
}

impl FilesSource {
    /// Lists the files; nothing is opened before the first read.
    ///
    /// # Errors
    /// When there are none and none can appear.
    pub(super) fn open(reading: Reading) -> Result<Self> {
        let mut source = Self {
            queue: VecDeque::new(),
            current: None,
            resume: None,
            done: Done::default(),
            arrivals: Arrivals::default(),
            listed: Timestamp::MIN,
            finished: 0,
            reading,
        };
        match source.reading.options.mode {
            Mode::Watch => source.look_again()?,
            _ => source.queue = Listing::new(&source.reading.host, &source.reading.options).some_files()?.into(),
        }
        Ok(source)
    }

    /// Lists the folder again and queues what is new.
    fn look_again(&mut self) -> Result<()> {
        self.listed = self.reading.host.clock.now();
        let listed = Listing::new(&self.reading.host, &self.reading.options).files()?;
        self.done.keep_only(&listed);
        let queued: HashSet<_> = self.queue.iter().map(|f| f.path.clone()).collect();
        let current = self.current.as_ref().map(|c| c.mark().path.clone());
        let known = |path: &Path| self.done.contains(path) || queued.contains(path) || current.as_deref() == Some(path);
        let age = i128::try_from(self.reading.options.interval.as_nanos()).unwrap_or(i128::MAX);
        let now = i128::from(self.listed.0) * 1000;
        self.queue.extend(self.arrivals.settled(listed, known, now, age));
        Ok(())
    }

    /// Opens the next file; false when there is none.
    fn next_file(&mut self) -> Result<bool> {
        while let Some(next) = self.queue.pop_front() {
            let at = self.resume.take_if(|m| m.path == next.path);
            match Input::open(&self.reading, &next.path, at.as_ref()) {
                Ok(input) => {
                    self.current = Some(input);
                    return Ok(true);
                }
                // It is not lost by us: whoever took it away before it was read has it.
                Err(e) if e.kind() == ErrorKind::Unreachable && self.watches() && self.gone(&next.path) => {
                    tracing::warn!(file = %next.path.display(), "the file went away before it was read");
                }
                Err(e) => return Err(e),
            }
        }
        Ok(false)
    }

    fn gone(&self, path: &Path) -> bool {
        self.reading.host.files.meta(path).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
    }

    fn watches(&self) -> bool {
        self.reading.options.mode == Mode::Watch
    }

    fn position(&self) -> Result<Position> {
        let file = self.current.as_ref().map(|c| c.mark().clone());
        let place = Place { file, done: self.done.text.clone() };
        serde_json::to_value(place).map(Position).map_err(|e| Error::internal(format!("a position: {e}")))
    }

    /// Waits for the next listing, at most `wait`; true when something new is there.
    fn wait(&mut self, wait: Duration) -> Result<bool> {
        let clock = &self.reading.host.clock;
        let since = clock.now().0.saturating_sub(self.listed.0).max(0);
        let due = self.reading.options.interval.saturating_sub(Duration::from_micros(since.unsigned_abs()));
        if !due.is_zero() {
            clock.sleep(due.min(wait));
            if due > wait {
                return Ok(false);
            }
        }
        self.look_again()?;
        Ok(!self.queue.is_empty())
    }
}

impl Source for FilesSource {
    fn read(&mut self, wait: Duration) -> Result<Read> {
        loop {
            if let Some(current) = &mut self.current {
                if let Some(found) = current.next(&self.reading)? {
                    return Ok(Read::Batch(found.at(self.position()?)));
                }
                self.done.add(&current.mark().path);
                self.current = None;
                self.finished += 1;
            }
            if self.reading.options.files_max.is_some_and(|max| self.finished >= max) && !self.queue.is_empty() {
                // A pause is where an interval can be cut.
                self.finished = 0;
                return Ok(Read::Idle);
            }
            if self.next_file()? {
                continue;
            }
            if !self.watches() {
                return Ok(Read::End);
            }
            if !self.wait(wait)? {
                return Ok(Read::Idle);
            }
        }
    }

    fn seek(&mut self, position: &Position) -> Result<()> {
        let place: Place = serde_json::from_value(position.0.clone())
            .map_err(|e| Error::internal(format!("this is no position in files: {e}")))?;
        self.done = Done::from_text(&place.done);
        self.queue.retain(|file| !self.done.contains(&file.path));
        self.current = None;
        if let Some(mark) = place.file {
            let path = self.reading.host.files.meta(&mark.path);
            let meta = path.map_err(|e| super::open_error(&self.reading.host, &mark.path, &e))?;
            if meta.size == 0 && mark.offset > 0 {
                return Err(not_the_same(&mark.path));
            }
            // It comes first, whatever has become of its age.
            self.queue.retain(|file| file.path != mark.path);
            self.queue.push_front(Listed { path: mark.path.clone(), meta });
            self.resume = Some(mark);
        }
        Ok(())
    }

    fn replayable(&self) -> bool {
        true
    }

    fn status(&self) -> Option<String> {
        match &self.current {
            Some(current) => {
                Some(format!("reading {}, {} files to go", current.mark().path.display(), self.queue.len()))
            }
            None if self.watches() => Some(format!("watching {}", self.reading.options.path)),
            None => None,
        }
    }
}

impl Done {
    fn from_text(text: &str) -> Self {
        let hashes = text.split('.').filter_map(|hash| u64::from_str_radix(hash, 16).ok()).collect();
        Self { hashes, text: text.to_owned() }
    }

    fn add(&mut self, path: &Path) {
        let hash = Self::hash(path);
        if self.hashes.insert(hash) {
            self.text.push_str(&format!("{hash:016x}."));
        }
    }

    fn contains(&self, path: &Path) -> bool {
        self.hashes.contains(&Self::hash(path))
    }

    /// Forgets files that are no longer there, so that memory is bounded by the folder.
    fn keep_only(&mut self, listed: &[Listed]) {
        let there: HashSet<u64> = listed.iter().map(|f| Self::hash(&f.path)).collect();
        if self.hashes.iter().all(|hash| there.contains(hash)) {
            return;
        }
        self.hashes.retain(|hash| there.contains(hash));
        let kept: String = self.text.split_inclusive('.').filter(|h| there.contains(&parse(h))).collect();
        self.text = kept;
    }

    fn hash(path: &Path) -> u64 {
        fnv(path.as_os_str().as_encoded_bytes())
    }
}

fn parse(hash: &str) -> u64 {
    u64::from_str_radix(hash.trim_end_matches('.'), 16).unwrap_or(0)
}
