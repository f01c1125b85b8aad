//! Ending a run from outside: from a signal handler, another task, a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::runtime::Wake;

/// Ends a run; clones speak of the same run.
#[derive(Debug, Clone, Default)]
pub struct Control {
    state: Arc<AtomicU8>,
    wake: Wake,
}

const DRAINING: u8 = 1;
const ABORTED: u8 = 2;

impl Control {
    /// A run that goes on.
    pub fn new() -> Self {
        Self::default()
    }

    /// No more input: what has been read is run, windows close, outputs complete.
    pub fn drain(&self) {
        self.state.fetch_max(DRAINING, Ordering::SeqCst);
        self.wake.notify();
    }

    /// Stop now; open windows are dropped.
    pub fn abort(&self) {
        self.state.fetch_max(ABORTED, Ordering::SeqCst);
        self.wake.notify();
    }

    /// Whether the run was told to end, one way or the other.
    pub fn is_draining(&self) -> bool {
        self.state.load(Ordering::SeqCst) >= DRAINING
    }

    /// Whether the run was told to stop at once.
    pub fn is_aborted(&self) -> bool {
        self.state.load(Ordering::SeqCst) == ABORTED
    }

    /// Waits until something is said.
    pub(super) async fn changed(&self) {
        self.wake.wait().await;
    }
}
