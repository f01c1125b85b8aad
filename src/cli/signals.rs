//! Ctrl-C and its relatives: first drain, then abort; SIGUSR1 tells how far the run is.

use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::screen::Screen;
use super::status;
use crate::engine::{Control, Progress};
use crate::error::Result;

/// What a signal finds of a run.
#[derive(Default)]
pub(crate) struct Watched {
    /// Set once queries run; before that there is nothing to drain.
    running: Mutex<Option<Control>>,
    /// The latest progress, for what is said.
    latest: Mutex<Option<Progress>>,
    /// How often the run was asked to end.
    asked: AtomicU32,
    /// The signal that aborted it; 0 = none.
    aborted_by: AtomicI32,
}

impl Watched {
    /// From now on the first signal drains.
    pub(crate) fn running(&self, control: &Control) {
        if let Ok(mut running) = self.running.lock() {
            *running = Some(control.clone());
        }
    }

    /// What is known now.
    pub(crate) fn observe(&self, progress: &Progress) {
        if let Ok(mut latest) = self.latest.lock() {
            *latest = Some(progress.clone());
        }
    }

    /// The signal that aborted the run.
    pub(crate) fn aborted_by(&self) -> Option<i32> {
        Some(self.aborted_by.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }

    /// What to do about being asked to end.
    fn asked_to_end(&self, signal: i32) -> Answer {
        let running = self.running.lock().ok().and_then(|r| r.clone());
        let Some(control) = running else { return Answer::Exit };
        match self.asked.fetch_add(1, Ordering::SeqCst) {
            0 => {
                control.drain();
                let latest = self.latest.lock().ok();
                Answer::Say(status::flushing(latest.as_deref().and_then(Option::as_ref)))
            }
            1 => {
                self.aborted_by.store(signal, Ordering::SeqCst);
                control.abort();
                Answer::Say("stopping; Ctrl-C again to leave without a word".to_owned())
            }
            _ => Answer::Exit,
        }
    }

    fn report(&self) -> String {
        match self.latest.lock().ok().as_deref() {
            Some(Some(progress)) => status::report(progress, None),
            _ => "nothing runs yet\n".to_owned(),
        }
    }
}

/// What is done about a signal.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Say(String),
    Exit,
}

/// Handles signals of this process from now on, on a thread of their own.
///
/// # Errors
/// When the system refuses.
#[cfg(unix)]
pub(crate) fn handle(watched: Arc<Watched>, screen: Screen) -> Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGUSR1])?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGUSR1 {
                screen.say(watched.report().trim_end());
                continue;
            }
            match watched.asked_to_end(signal) {
                Answer::Say(words) => screen.say(&words),
                Answer::Exit => std::process::exit(128 + signal),
            }
        }
    })?;
    Ok(())
}

/// Other systems end the process, as they always do.
#[cfg(not(unix))]
pub(crate) fn handle(watched: Arc<Watched>, screen: Screen) -> Result<()> {
    let _ = (watched, screen);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_drains_then_aborts_then_leaves() {
        let watched = Watched::default();
        assert_eq!(watched.asked_to_end(2), Answer::Exit, "nothing runs: nothing to flush");
        let control = Control::new();
        watched.running(&control);
        let Answer::Say(words) = watched.asked_to_end(2) else { panic!("left at once") };
        assert!(words.contains("Ctrl-C again"), "{words}");
        assert!(control.is_draining());
        assert_eq!(watched.aborted_by(), None);
        assert!(matches!(watched.asked_to_end(2), Answer::Say(_)));
        assert_eq!(watched.aborted_by(), Some(2));
        assert_eq!(watched.asked_to_end(2), Answer::Exit);
    }
}
