//! The file system as a trait small enough for a test to imitate.

// The one place that may touch files.
#![allow(clippy::disallowed_methods)]

use std::fs;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

/// A file open for reading.
pub trait ReadFile: Read + Seek + Send {
    /// What the open file is now; unlike the path, it can't be renamed away.
    fn meta(&self) -> io::Result<FileMeta>;
}

/// A file open for writing.
pub trait WriteFile: Write + Send {
    /// Makes the written bytes durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Another handle of the same open file, to sync it from another thread; `None` where that is of no use.
    ///
    /// # Errors
    /// When the system has no handle left.
    fn again(&self) -> io::Result<Option<Box<dyn WriteFile>>> {
        Ok(None)
    }
}

/// Identity, size and age of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMeta {
    /// Device and inode: what stays the same when a file is renamed.
    pub id: (u64, u64),
    /// Bytes.
    pub size: u64,
    /// Last modification, in nanoseconds since 1970.
    pub modified: i128,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Whether it is a regular file (not a pipe or a device).
    pub is_file: bool,
}

/// The file system.
pub trait Files: Send + Sync {
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;
    /// What a path points at.
    fn meta(&self, path: &Path) -> io::Result<FileMeta>;
    /// The paths that match a glob pattern, or the entries of a folder, sorted by name.
    fn list(&self, pattern: &str) -> io::Result<Vec<PathBuf>>;
    /// Creates (or empties) a file, or opens it to append.
    fn create(&self, path: &Path, append: bool) -> io::Result<Box<dyn WriteFile>>;
    /// Creates a folder and those above it.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames within one file system, replacing what is there.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The path without links and dots; everything in it must be there.
    fn canonical(&self, path: &Path) -> io::Result<PathBuf>;
    /// Makes the names in a folder durable: what was created in it or renamed into it.
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let _ = path;
        Ok(())
    }
}

/// The real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalFiles;

impl ReadFile for fs::File {
    fn meta(&self) -> io::Result<FileMeta> {
        self.metadata().map(|m| to_meta(&m))
    }
}

impl WriteFile for fs::File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn again(&self) -> io::Result<Option<Box<dyn WriteFile>>> {
        // A pipe or a device has no disk under it.
        if self.metadata()?.is_file() { Ok(Some(Box::new(self.try_clone()?))) } else { Ok(None) }
    }
}

impl Files for LocalFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(fs::File::open(path)?))
    }

    fn meta(&self, path: &Path) -> io::Result<FileMeta> {
        fs::metadata(path).map(|m| to_meta(&m))
    }

    fn list(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let as_path = Path::new(pattern);
        let mut paths = if as_path.is_dir() {
            fs::read_dir(as_path)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?
        } else {
            let found = glob::glob(pattern).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e))?;
            found.map(|path| path.map_err(std::io::Error::from)).collect::<io::Result<Vec<_>>>()?
        };
        paths.sort();
        Ok(paths)
    }

    fn create(&self, path: &Path, append: bool) -> io::Result<Box<dyn WriteFile>> {
        let file = fs::OpenOptions::new().create(true).write(true).append(append).truncate(!append).open(path)?;
        Ok(Box::new(file))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn canonical(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    #[cfg(unix)]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        fs::File::open(path)?.sync_all()
    }
}

#[cfg(unix)]
fn to_meta(m: &fs::Metadata) -> FileMeta {
    use std::os::unix::fs::MetadataExt;
    FileMeta {
        id: (m.dev(), m.ino()),
        size: m.len(),
        modified: i128::from(m.mtime()) * 1_000_000_000 + i128::from(m.mtime_nsec()),
        is_dir: m.is_dir(),
        is_file: m.is_file(),
    }
}

#[cfg(not(unix))]
fn to_meta(m: &fs::Metadata) -> FileMeta {
    let modified = m.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
    FileMeta {
        id: (0, 0),
        size: m.len(),
        modified: modified.map_or(0, |d| d.as_nanos() as i128),
        is_dir: m.is_dir(),
        is_file: m.is_file(),
    }
}
