//! The thread that drives intervals while the shell waits at its prompt.
//!
//! One thread drives all queries, those in the background and the one in the foreground. It sleeps while none runs.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::cli::status::{Meter, count, grouped};
use crate::engine::{Control, Engine, Progress, QueryProgress};
use crate::error::{Error, Result};

/// How often the foreground looks for Ctrl-C.
const LOOK: Duration = Duration::from_millis(50);
/// How long leaving waits for the current interval.
const LEAVE: Duration = Duration::from_secs(2);

/// Drives queries in the background.
pub(super) struct Driver {
    shared: Arc<Shared>,
    engine: Engine,
}

/// How a query in the foreground ended.
#[derive(Debug)]
pub(super) enum Ended {
    ByItself,
    Stopped,
    Failed(Error),
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// There may be something to drive.
    wake: bool,
    quit: bool,
    running: bool,
    control: Control,
    /// The query that somebody watches.
    foreground: Option<u64>,
    /// Why driving failed, for the foreground.
    failure: Option<Error>,
    /// Queries whose end was told.
    told: BTreeSet<u64>,
}

impl Driver {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(engine: &Engine, runtime: tokio::runtime::Handle, screen: Screen) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = (shared.clone(), engine.clone());
        let thread = std::thread::Builder::new().name("driver".to_owned()).stack_size(crate::cli::STACK_BYTES);
        thread.spawn(move || {
            let (shared, engine) = of_thread;
            while let Some(control) = shared.next_run() {
                drive(&shared, &engine, &runtime, &screen, &control);
            }
        })?;
        Ok(Self { shared, engine: engine.clone() })
    }

    /// There is a new query in the background.
    pub(super) fn wake(&self) {
        self.shared.lock().wake = true;
        self.shared.changed.notify_all();
    }

    /// Watches a query until it ends or Ctrl-C stops it.
    pub(super) fn watch(&self, query: u64, interrupted: &AtomicBool) -> Ended {
        {
            let mut state = self.shared.lock();
            (state.foreground, state.failure, state.wake) = (Some(query), None, true);
        }
        self.shared.changed.notify_all();
        let ended = loop {
            if interrupted.swap(false, Ordering::SeqCst) {
                self.engine.stop(query);
                self.wait_until_gone(query);
                break Ended::Stopped;
            }
            let mut state = self.shared.lock();
            // Progress is as of the last interval: it counts for a new query only once a run that knows it is over.
            let over = !state.running && !state.wake;
            if let Some(failure) = state.failure.take() {
                break Ended::Failed(failure);
            }
            drop(state);
            match self.engine.progress().queries.iter().find(|q| q.id == query) {
                Some(QueryProgress { failed: Some(why), .. }) => {
                    let failure = self.shared.lock().failure.take();
                    break Ended::Failed(failure.unwrap_or_else(|| Error::execution(why.as_str())));
                }
                Some(QueryProgress { ended: true, .. }) => break Ended::ByItself,
                _ if over => break Ended::ByItself,
                _ => self.wait(),
            }
        };
        let mut state = self.shared.lock();
        state.foreground = None;
        state.told.insert(query);
        ended
    }

    /// Waits for news, or for the time to look for Ctrl-C again.
    fn wait(&self) {
        let state = self.shared.lock();
        let _ = self.shared.changed.wait_timeout(state, LOOK);
    }

    /// Waits a little until a query that was stopped prints no more.
    fn wait_until_gone(&self, query: u64) {
        for _ in 0..LEAVE.as_millis() / LOOK.as_millis() {
            let alive = self.engine.progress().queries.iter().any(|q| q.id == query && !q.ended && q.failed.is_none());
            if !alive || !self.shared.lock().running {
                return;
            }
            self.wait();
        }
    }

    /// Stops everything and waits a little for the interval that runs.
    pub(super) fn quit(&self) {
        let mut state = self.shared.lock();
        state.quit = true;
        state.control.abort();
        self.shared.changed.notify_all();
        let _ = self.shared.changed.wait_timeout_while(state, LEAVE, |state| state.running);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked left plain data behind.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits until there is something to drive; `None` when the shell is left.
    fn next_run(&self) -> Option<Control> {
        let state = self.lock();
        let waited = self.changed.wait_while(state, |state| !state.wake && !state.quit);
        let mut state = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.quit {
            return None;
        }
        (state.wake, state.running, state.control) = (false, true, Control::new());
        Some(state.control.clone())
    }

    /// The ends of background queries that were not told yet.
    fn news(&self, progress: &Progress) -> Vec<String> {
        let mut state = self.lock();
        let foreground = state.foreground;
        let over = progress.queries.iter().filter(|q| q.ended || q.failed.is_some());
        over.filter(|q| Some(q.id) != foreground && state.told.insert(q.id)).map(news).collect()
    }
}

fn news(query: &QueryProgress) -> String {
    match &query.failed {
        Some(why) => format!("query {} ({}) failed: {why}", query.id, query.name),
        None => {
            let m = &query.metrics;
            let (rows, out) = (count(m.rows_in, "row"), grouped(m.rows_out));
            format!("query {} ({}) has ended: {rows} in, {out} out, {} late", query.id, query.name, grouped(m.late))
        }
    }
}

fn alive(progress: &Progress) -> usize {
    progress.queries.iter().filter(|q| !q.ended && q.failed.is_none()).count()
}

fn failed(progress: &Progress) -> usize {
    progress.queries.iter().filter(|q| q.failed.is_some()).count()
}

/// Drives until every query has ended.
fn drive(shared: &Shared, engine: &Engine, runtime: &tokio::runtime::Handle, screen: &Screen, control: &Control) {
    let failed_before = failed(&engine.progress());
    let mut meter = Meter::default();
    let mut observe = |progress: &Progress| {
        shared.news(progress).iter().for_each(|line| screen.say(line));
        // The lock is held, so that no status line is drawn once the foreground has been left.
        let state = shared.lock();
        if let Some(query) = state.foreground {
            let mut watched = progress.clone();
            watched.queries.retain(|q| q.id == query);
            screen.status(meter.line(&watched));
        }
        drop(state);
        shared.changed.notify_all();
    };
    let ran = runtime.block_on(engine.run(control, &mut observe));
    let progress = engine.progress();
    shared.news(&progress).iter().for_each(|line| screen.say(line));
    let mut state = shared.lock();
    state.running = false;
    if let Err(error) = ran {
        // The other queries go on, but never the same failure for ever.
        state.wake |= alive(&progress) > 0 && failed(&progress) > failed_before;
        if state.foreground.is_some() {
            state.failure = Some(error);
        } else if !state.quit {
            drop(state);
            screen.say(&Failure::from(error).render(screen.color()));
        }
    }
    shared.changed.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::QueryMetrics;
    use crate::time::IntervalId;

    fn query(id: u64, ended: bool, failed: Option<&str>) -> QueryProgress {
        QueryProgress {
            id,
            name: format!("q{id}"),
            metrics: QueryMetrics::default(),
            watermark: None,
            next_close: None,
            ended,
            failed: failed.map(str::to_owned),
        }
    }

    #[test]
    fn the_end_of_a_background_query_is_told_once() {
        let shared = Shared::default();
        shared.lock().foreground = Some(3);
        let queries =
            vec![query(1, true, None), query(2, false, Some("overflow")), query(3, true, None), query(4, false, None)];
        let progress = Progress { interval: IntervalId(1), elapsed_micros: 0, sources: vec![], queries };
        let news = shared.news(&progress);
        assert_eq!(news, ["query 1 (q1) has ended: 0 rows in, 0 out, 0 late", "query 2 (q2) failed: overflow"]);
        assert!(shared.news(&progress).is_empty());
        assert_eq!(alive(&progress), 1);
    }
}
