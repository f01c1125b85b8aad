//! Ending a run from outside: from a signal handler, another task, a test.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends a run; clones speak of the same run.
#[derive(Debug, Clone, Default)]
pub struct Control {
    state: Arc<watch::Sender<u8>>,
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
        self.say(DRAINING);
    }

    /// Stop now; open windows are dropped.
    pub fn abort(&self) {
        self.say(ABORTED);
    }

    fn say(&self, state: u8) {
        self.state.send_if_modified(|now| {
            let more = *now < state;
            *now = (*now).max(state);
            more
        });
    }

    /// Whether the run was told to end, one way or the other.
    pub fn is_draining(&self) -> bool {
        self.said() >= DRAINING
    }

    /// Whether the run was told to stop at once.
    pub fn is_aborted(&self) -> bool {
        self.said() >= ABORTED
    }

    /// Waits until the run is told to end.
    pub async fn draining(&self) {
        self.beyond(0).await;
    }

    /// Waits until the run is told to stop at once.
    pub async fn aborted(&self) {
        self.beyond(DRAINING).await;
    }

    /// What was said so far.
    pub(super) fn said(&self) -> u8 {
        *self.state.borrow()
    }

    /// Waits until more than that is said.
    pub(super) async fn beyond(&self, said: u8) {
        // The sender is ours: it does not go away while we wait.
        let _ = self.state.subscribe().wait_for(|now| *now > said).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn an_abort_is_never_taken_back() {
        let control = Control::new();
        assert!(control.draining().now_or_never().is_none() && !control.is_draining());
        control.drain();
        assert!(control.draining().now_or_never().is_some() && control.aborted().now_or_never().is_none());
        control.abort();
        control.drain();
        assert!(control.is_aborted() && control.aborted().now_or_never().is_some());
    }
}
