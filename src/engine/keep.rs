//! Driving an engine for as long as its program lives: statements come while queries run, and when none does it sleeps.

use super::{Control, Engine, Progress};
use crate::error::Error;

impl Engine {
    /// As [`Engine::run`], but goes on when every query has ended, and when one fails, until `control` ends the run. `failed`
    /// hears of what went wrong; the other queries go on.
    pub async fn keep_running(
        &self,
        control: &Control,
        observe: &mut (dyn FnMut(&Progress) + Send),
        failed: &mut (dyn FnMut(Error) + Send),
    ) {
        loop {
            let said = control.said();
            let failures = count_failed(&self.progress());
            let again = match self.run(control, observe).await {
                Ok(()) => false,
                Err(error) => {
                    failed(error);
                    // The other queries go on, but never the same failure for ever.
                    count_failed(&self.progress()) > failures
                }
            };
            if again && !control.is_aborted() {
                continue;
            }
            if control.is_draining() {
                return;
            }
            tokio::select! {
                () = self.shared.wake.wait() => {}
                () = control.beyond(said) => {}
            }
        }
    }
}

fn count_failed(progress: &Progress) -> usize {
    progress.queries.iter().filter(|q| q.failed.is_some()).count()
}
