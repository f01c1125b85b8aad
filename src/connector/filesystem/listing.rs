//! Which files there are, oldest first, and what the first of them shows.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::input::{HEAD_BYTES, head};
use super::options::FileOptions;
use super::{open_error, read_error};
use crate::connector::records::sample;
use crate::error::{Error, Result};
use crate::format::{infer, infer_columnar};
use crate::host::{FileMeta, Host};

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) path: PathBuf,
    pub(super) meta: FileMeta,
}

/// Lists the files of a path, a folder or a glob.
pub(super) struct Listing<'a> {
    host: &'a Host,
    options: &'a FileOptions,
}

impl<'a> Listing<'a> {
    pub(super) fn new(host: &'a Host, options: &'a FileOptions) -> Self {
        Self { host, options }
    }

    /// The files, oldest first, then by name.
    ///
    /// # Errors
    /// When a folder can't be listed.
    pub(super) fn files(&self) -> Result<Vec<Listed>> {
        let path = Path::new(&self.options.path);
        let mut files = Vec::new();
        match self.host.files.meta(path) {
            Ok(meta) if !meta.is_dir => files.push(Listed { path: path.to_owned(), meta }),
            _ => self.collect(&self.options.path, &mut files, 0)?,
        }
        files.sort_by(|a, b| (a.meta.modified, &a.path).cmp(&(b.meta.modified, &b.path)));
        Ok(files)
    }

    /// The files, of which there must be one unless it is a folder.
    ///
    /// # Errors
    /// When there is none, with the name of one that is near.
    pub(super) fn some_files(&self) -> Result<Vec<Listed>> {
        let files = self.files()?;
        let path = Path::new(&self.options.path);
        if files.is_empty() && !self.host.files.meta(path).is_ok_and(|m| m.is_dir) {
            let error = if self.options.path.contains(['*', '?', '[']) {
                Error::unreachable(format!("no file matches '{}'", self.options.path))
            } else {
                open_error(self.host, path, &io::ErrorKind::NotFound.into())
            };
            return Err(self.options.path_error(error));
        }
        Ok(files)
    }

    /// The columns that the first file with any bytes shows.
    ///
    /// # Errors
    /// When there is no file yet, or it shows nothing.
    pub(super) fn infer(&self) -> Result<SchemaRef> {
        let files = self.some_files().or_else(|e| if self.waits() { Ok(Vec::new()) } else { Err(e) })?;
        let Some(first) = files.iter().find(|f| f.meta.size > 0).or(files.first()) else {
            // A format with columns of its own needs no sample.
            let format = self.options.format(&self.options.path)?;
            return format.and_then(|f| f.fixed_schema()).ok_or_else(|| {
                let error =
                    Error::unreachable(format!("there are no files in '{}' to tell columns from", self.options.path));
                self.options.path_error(error).help("declare the columns: CREATE TABLE name (column TYPE, …) WITH (…)")
            });
        };
        let schema = self
            .infer_from(first)
            .map_err(|e| self.options.path_error(e.context(format!("'{}'", first.path.display()))))?;
        Ok(self.with_partitions(&schema))
    }

    fn waits(&self) -> bool {
        self.options.mode != super::Mode::Bounded
    }

    fn infer_from(&self, file: &Listed) -> Result<SchemaRef> {
        let name = file.path.to_string_lossy();
        let format = self.options.format(&name)?;
        let open = || self.host.files.open(&file.path).map_err(|e| open_error(self.host, &file.path, &e));
        if let Some(format) = format.as_ref().filter(|f| f.is_columnar()) {
            return infer_columnar(format, open()?);
        }
        let bytes = head(open()?).map_err(|e| read_error(&file.path, &e))?;
        let end = bytes.len() < HEAD_BYTES;
        let inferred = infer(format.as_ref(), Some(&name), sample(&bytes, end))?;
        if inferred.format.is_columnar() { infer_columnar(&inferred.format, open()?) } else { Ok(inferred.schema) }
    }

    /// A schema with the partition columns behind those of the files.
    fn with_partitions(&self, schema: &Schema) -> SchemaRef {
        let mut fields: Vec<_> = schema.fields().iter().cloned().collect();
        for name in &self.options.partitioned_by {
            if !fields.iter().any(|f| f.name().eq_ignore_ascii_case(name)) {
                fields.push(Field::new(name, DataType::Utf8, true).into());
            }
        }
        Schema::new_with_metadata(fields, schema.metadata().clone()).into()
    }

    /// Adds the files of a folder or glob. Folders `name=value` are partitions: their files belong to it.
    fn collect(&self, pattern: &str, files: &mut Vec<Listed>, depth: usize) -> Result<()> {
        const DEPTH_MAX: usize = 16;
        let paths = self.host.files.list(pattern).map_err(|e| open_error(self.host, Path::new(pattern), &e))?;
        for path in paths {
            let Some(name) = path.file_name().map(|n| n.to_string_lossy().into_owned()) else { continue };
            if is_hidden(&name) {
                continue;
            }
            // What has gone since it was listed is no longer there to be read.
            let Ok(meta) = self.host.files.meta(&path) else { continue };
            if !meta.is_dir {
                files.push(Listed { path, meta });
            } else if name.contains('=')
                && depth < DEPTH_MAX
                && let Some(folder) = path.to_str()
            {
                self.collect(folder, files, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Files that writers hide while they write, or that say something about others.
fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_']) || name.ends_with(".tmp")
}

/// Picks the files that are new and no longer being written.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// Files seen in the last listing that may still grow: size and time of change.
    unsettled: HashMap<PathBuf, (u64, i128)>,
}

impl Arrivals {
    /// The files of a listing that are not `known` and have settled: unchanged since the listing before, or for `age`.
    pub(super) fn settled(
        &mut self,
        listed: Vec<Listed>,
        known: impl Fn(&Path) -> bool,
        now: i128,
        age: i128,
    ) -> Vec<Listed> {
        let before = std::mem::take(&mut self.unsettled);
        let mut settled = Vec::new();
        for file in listed {
            if known(&file.path) {
                continue;
            }
            let state = (file.meta.size, file.meta.modified);
            if before.get(&file.path) == Some(&state) || now.saturating_sub(file.meta.modified) >= age {
                settled.push(file);
            } else {
                self.unsettled.insert(file.path, state);
            }
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, size: u64, modified: i128) -> Listed {
        let meta = FileMeta { id: (0, 0), size, modified, is_dir: false, is_file: true };
        Listed { path: name.into(), meta }
    }

    #[test]
    fn a_file_is_read_once_it_has_settled() {
        let mut arrivals = Arrivals::default();
        let known = |p: &Path| p == Path::new("done");
        let names = |files: Vec<Listed>| files.into_iter().map(|f| f.path.display().to_string()).collect::<Vec<_>>();
        let listed = vec![file("done", 1, 0), file("old", 1, 10), file("growing", 1, 95), file("quick", 1, 95)];
        assert_eq!(names(arrivals.settled(listed, known, 100, 50)), ["old"]);
        let listed = vec![file("growing", 2, 99), file("quick", 1, 95)];
        assert_eq!(names(arrivals.settled(listed, known, 101, 50)), ["quick"]);
        assert_eq!(names(arrivals.settled(vec![file("growing", 2, 99)], known, 102, 50)), ["growing"]);
    }
}
