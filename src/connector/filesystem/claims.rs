//! Who writes which file: two queries that write the same one would overwrite each other without a word.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// The files that are being written, and how many folders have been.
#[derive(Clone, Default)]
pub(super) struct Claims {
    files: Arc<Mutex<BTreeSet<PathBuf>>>,
    folders: Arc<AtomicU32>,
}

/// A file that is one writer's until this is dropped.
pub(super) struct Claim {
    claims: Claims,
    path: PathBuf,
}

impl Claims {
    /// Takes a file.
    ///
    /// # Errors
    /// When somebody else has it.
    pub(super) fn claim(&self, path: &str) -> Result<Claim> {
        // `a//b` and `./a/b` are `a/b`.
        let name: PathBuf = Path::new(path).components().filter(|c| *c != std::path::Component::CurDir).collect();
        if !self.files.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
            return Err(Error::config(format!("'{path}' is being written by another query already"))
                .help("let one query write both: INSERT INTO … SELECT … UNION ALL SELECT …")
                .help("or write a folder, where each has files of its own: path = 'dir/'"));
        }
        Ok(Claim { claims: self.clone(), path: name })
    }

    /// A number for a writer of a folder, so that two of them never give their files the same name.
    pub(super) fn folder(&self) -> u32 {
        self.folders.fetch_add(1, Ordering::Relaxed)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.files.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_at_a_time() {
        let claims = Claims::default();
        let first = claims.claim("out/a.jsonl").unwrap();
        assert!(claims.claim("./out//a.jsonl").is_err());
        assert!(claims.claim("out/b.jsonl").is_ok());
        drop(first);
        assert!(claims.claim("out/a.jsonl").is_ok());
    }
}
