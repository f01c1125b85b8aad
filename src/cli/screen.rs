//! The terminal as one thing: data on stdout, words on stderr, and a status line at the bottom that neither tears.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Prints a message above a prompt that is being edited.
pub(crate) type AbovePrompt = Box<dyn FnMut(String) -> bool + Send>;

/// Stdout, stderr and the status line; clones share them.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Inner>);

struct Inner {
    status: ProgressBar,
    /// The status line is drawn, so that what is printed must go above it.
    shown: AtomicBool,
    above_prompt: Mutex<Option<AbovePrompt>>,
    /// A line is being edited, so that words must go through the line editor.
    editing: AtomicBool,
    stdout_is_terminal: bool,
    color: bool,
}

impl Screen {
    /// The process's own; the status line shows only when stderr is a terminal and `status` is wanted.
    pub(crate) fn new(color: bool, status: bool) -> Self {
        let bar = if status && io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            // A wrong template would only be less pretty.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        } else {
            ProgressBar::hidden()
        };
        let stdout_is_terminal = io::stdout().is_terminal();
        Self(Arc::new(Inner {
            status: bar,
            shown: AtomicBool::new(false),
            above_prompt: Mutex::new(None),
            editing: AtomicBool::new(false),
            stdout_is_terminal,
            color,
        }))
    }

    /// Whether somebody looks at stdout.
    pub(crate) fn stdout_is_terminal(&self) -> bool {
        self.0.stdout_is_terminal
    }

    /// Whether words may be coloured.
    pub(crate) fn color(&self) -> bool {
        self.0.color
    }

    /// While a line is edited, says through the line editor, which keeps its prompt whole.
    pub(crate) fn say_above_prompt(&self, print: AbovePrompt) {
        if let Ok(mut above) = self.0.above_prompt.lock() {
            *above = Some(print);
        }
    }

    /// Data to stdout, at once.
    ///
    /// # Errors
    /// When stdout is closed or full.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let write = || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes)?;
            stdout.flush()
        };
        if self.0.stdout_is_terminal { self.above_status(write) } else { write() }
    }

    /// Marks the time in which a line is being edited.
    pub(crate) fn editing(&self, yes: bool) {
        self.0.editing.store(yes, Ordering::SeqCst);
    }

    /// Words to stderr (or above the prompt). A stderr that is closed is nobody's loss.
    pub(crate) fn say(&self, words: &str) {
        if self.0.editing.load(Ordering::SeqCst)
            && let Ok(mut above) = self.0.above_prompt.lock()
            && let Some(print) = above.as_mut()
            && print(format!("{words}\n"))
        {
            return;
        }
        self.above_status(|| {
            let _ = writeln!(io::stderr().lock(), "{words}");
        });
    }

    /// Shows this text as the status line.
    pub(crate) fn status(&self, text: String) {
        if !self.0.shown.swap(true, Ordering::SeqCst) {
            self.0.status.reset();
        }
        self.0.status.set_message(text);
        self.0.status.tick();
    }

    /// Takes the status line away until the next `status`.
    pub(crate) fn clear_status(&self) {
        if self.0.shown.swap(false, Ordering::SeqCst) {
            self.0.status.finish_and_clear();
        }
    }

    /// Prints while the status line is out of the way.
    fn above_status<T>(&self, print: impl FnOnce() -> T) -> T {
        if self.0.shown.load(Ordering::SeqCst) { self.0.status.suspend(print) } else { print() }
    }
}

/// Where logs go: stderr, without tearing the status line.
#[derive(Clone)]
pub(crate) struct LogWriter(pub(crate) Screen);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.above_status(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
