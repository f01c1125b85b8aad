//! The bad-record policy: fail, skip, or write the record to a dead-letter file.

use std::io::Write;
use std::path::Path;

use crate::error::{Error, Result};
use crate::format::{BadRecord, OnError};
use crate::host::{Host, WriteFile};

/// What happens to the bad records of one source.
pub(super) struct BadRecords {
    policy: OnError,
    letters: Option<Box<dyn WriteFile>>,
    warned: bool,
}

impl BadRecords {
    /// The policy of a source; dead letters are appended to `path`.
    ///
    /// # Errors
    /// When the dead-letter file can't be written, or none is named.
    pub(super) fn new(policy: OnError, path: Option<&str>, host: &Host) -> Result<Self> {
        let letters = match (policy, path) {
            (OnError::DeadLetter, None) => {
                return Err(Error::config("on_error = 'dead_letter' needs a file")
                    .help("add dead_letter = 'bad.jsonl', or write on_error = 'skip'"));
            }
            (OnError::DeadLetter, Some(path)) => {
                let open = host.files.create(Path::new(path), true);
                Some(open.map_err(|e| Error::unreachable(format!("dead-letter file '{path}': {e}")))?)
            }
            _ => None,
        };
        Ok(Self { policy, letters, warned: false })
    }

    /// Deals with bad records.
    ///
    /// # Errors
    /// The first of them, under `fail`; else when the dead letters can't be written.
    pub(super) fn take(&mut self, source: &str, bad: &[BadRecord]) -> Result<()> {
        let Some(first) = bad.first() else { return Ok(()) };
        match self.policy {
            OnError::Fail => {
                return Err(Error::data(format!(
                    "bad record in source '{source}' at {}, record {}: {}",
                    first.place.origin, first.place.record, first.reason
                ))
                .help("fix the record, or go on without such records: on_error = 'skip' (they are counted) or 'dead_letter'"));
            }
            OnError::Skip => {}
            OnError::DeadLetter => {
                if let Some(file) = &mut self.letters {
                    for record in bad {
                        let letter = serde_json::json!({
                            "source": source,
                            "origin": record.place.origin.as_ref(),
                            "record": record.place.record,
                            "reason": record.reason,
                            "text": String::from_utf8_lossy(&record.bytes),
                        });
                        writeln!(file, "{letter}")?;
                    }
                    file.flush()?;
                }
            }
        }
        if !self.warned {
            self.warned = true;
            tracing::warn!(
                "source '{source}': skipping bad records, the first at {}, record {}: {}",
                first.place.origin,
                first.place.record,
                first.reason
            );
        }
        Ok(())
    }
}
