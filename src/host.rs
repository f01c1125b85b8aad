//! The outside world behind traits: clock, files, network, chance.
//!
//! Nothing else in the crate asks the time, opens a file, dials a host or draws a number, so that tests (and later the crash
//! simulation) can hold all four in their hands. [`Host::system`] is the real world.
//!
//! Knows nothing about formats, SQL or plans.

mod clock;
mod files;
mod network;
mod stdio;

use std::fmt;
use std::sync::Arc;

pub use clock::{Clock, ManualClock, SystemClock};
pub use files::{FileMeta, Files, LocalFiles, ReadFile, WriteFile};
pub use network::{Address, Connection, Listener, Network, SystemNetwork};
pub use stdio::{stdin, stdin_is_terminal, stdout};

/// The four ways out of the process, cheap to clone.
#[derive(Clone)]
pub struct Host {
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The file system.
    pub files: Arc<dyn Files>,
    /// Sockets.
    pub network: Arc<dyn Network>,
    /// The seed that every choice by chance is drawn from (back-off jitter, names of temporary files).
    pub seed: u64,
}

impl Host {
    /// The real clock, disk and network.
    pub fn system() -> Self {
        let clock = SystemClock;
        let seed = clock.now().0 as u64 ^ u64::from(std::process::id()).rotate_left(32);
        Self { clock: Arc::new(clock), files: Arc::new(LocalFiles), network: Arc::new(SystemNetwork), seed }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("now", &self.clock.now()).finish_non_exhaustive()
    }
}
