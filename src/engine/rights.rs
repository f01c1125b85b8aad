//! What the statements of an engine's handle may reach outside of it.
//!
//! A program that embeds an engine may reach everything. A server hands its clients a handle that may not: they could else
//! read and write whatever the server's user can. Where a relation reaches is asked of its connector, in the one place that
//! every DDL and every bare name passes.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::Engine;
use crate::connector::{Connector, Reach};
use crate::error::{Error, Result, Span};
use crate::host::Files;
use crate::settings::Options;

/// What may be reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    everything: bool,
    folders: Vec<PathBuf>,
    network: bool,
}

impl Rights {
    /// Everything that the process may.
    pub fn all() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Nothing outside of the engine.
    pub fn none() -> Self {
        Self::default()
    }

    /// Files below this folder too.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folders.push(folder.into());
        self
    }

    /// Sockets too: other hosts, and ports of this one.
    #[must_use]
    pub fn network(mut self) -> Self {
        self.network = true;
        self
    }

    /// Whether a path is in one of the folders, links resolved. Of a pattern the part before its first wild card counts.
    fn holds(&self, files: &dyn Files, path: &Path) -> bool {
        let mut fixed = PathBuf::new();
        for component in path.components() {
            match component {
                // What a pattern or a folder that is yet to be made has behind it would not be resolved.
                Component::ParentDir => return false,
                Component::Normal(name) if name.to_string_lossy().contains(['*', '?', '[']) => break,
                _ => fixed.push(component),
            }
        }
        if fixed.as_os_str().is_empty() {
            fixed.push(".");
        }
        let mut there = fixed.as_path();
        let real = loop {
            match files.canonical(there) {
                Ok(real) => break real,
                // It is yet to be made: the folder that is there decides.
                Err(_) => match there.parent() {
                    Some(parent) if parent.as_os_str().is_empty() => there = Path::new("."),
                    Some(parent) => there = parent,
                    None => return false,
                },
            }
        };
        self.folders.iter().filter_map(|folder| files.canonical(folder).ok()).any(|folder| real.starts_with(folder))
    }
}

impl Engine {
    /// Another handle of the same engine, whose statements may reach this and no more.
    #[must_use]
    pub fn limited(&self, rights: Rights) -> Self {
        Self { shared: Arc::clone(&self.shared), rights: Arc::new(rights) }
    }

    /// Whether a relation with these options may be made through this handle.
    pub(super) fn may_reach(&self, connector: &dyn Connector, options: &Options, at: Span) -> Result<()> {
        let rights = self.rights.as_ref();
        if rights.everything {
            return Ok(());
        }
        let refuse = |what: String| Err(Error::denied(what).at(at));
        let mut paths: Vec<String> = options.get("dead_letter").map(str::to_owned).into_iter().collect();
        match connector.reach(options) {
            Reach::Nothing => {}
            Reach::Path(path) => paths.push(path),
            Reach::Network if rights.network => {}
            Reach::Network => {
                return refuse("this server lets no client open sockets".to_owned()).map_err(|e| {
                    e.help("start it with --allow-network, or make the table in the file it is started with")
                });
            }
            Reach::Process => {
                return refuse(format!("no client may use the connector '{}'", connector.name()))
                    .map_err(|e| e.help("make the table in the file that the server is started with"));
            }
        }
        let files = self.shared.host.files.as_ref();
        match paths.iter().find(|path| !rights.holds(files, Path::new(path))) {
            None => Ok(()),
            Some(path) if rights.folders.is_empty() => {
                refuse(format!("this server lets no client reach files ('{path}')")).map_err(|e| {
                    e.help("start it with --allow-files DIR, or make the table in the file it is started with")
                })
            }
            Some(path) => refuse(format!("'{path}' is outside of the folders that clients may reach"))
                .map_err(|e| e.help("--allow-files says which they are; '..' is not followed")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::LocalFiles;

    #[test]
    fn only_what_is_inside_of_a_folder() {
        let all = tempfile::tempdir().unwrap();
        let inside = all.path().join("in");
        let files = LocalFiles;
        files.create_dir(&inside.join("deep")).unwrap();
        files.create(&all.path().join("secret.csv"), false).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(all.path(), inside.join("link")).unwrap();
        let rights = Rights::none().folder(&inside);
        for (path, held) in [
            ("in", true),
            ("in/a.csv", true),
            ("in/deep/*.csv", true),
            ("in/new/folder/a.csv", true),
            ("in/*/a.csv", true),
            ("secret.csv", false),
            ("in/../secret.csv", false),
            ("in/link/secret.csv", false),
            ("in/link/*.csv", false),
            ("inside", false),
            ("*/secret.csv", false),
        ] {
            assert_eq!(rights.holds(&files, &all.path().join(path)), held, "{path}");
        }
        assert!(!rights.holds(&files, Path::new("/etc/passwd")));
        assert!(!rights.holds(&files, Path::new("")));
        assert!(!Rights::none().holds(&files, &inside));
    }
}
