//! How a run ended: the exit code, and an error shown at its place in the script that it came from.

use std::sync::Arc;

use super::script::Script;
use crate::error::{Error, ErrorKind, render, render_plain};

/// Exit codes, as the help text lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything ended, or was drained.
    Done,
    /// The SQL is wrong, or a query failed.
    Failed,
    /// The arguments are wrong.
    Usage,
    /// A source or sink can't be reached.
    Unreachable,
    /// `--strict`, and rows were late, bad or quarantined.
    NotStrict,
    /// Stopped half-way by this signal.
    Signal(i32),
}

impl Exit {
    /// The number for the shell.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::NotStrict => 4,
            Self::Signal(number) => u8::try_from(128 + number).unwrap_or(1),
        }
    }
}

/// An error and the script that it is about.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    script: Option<Arc<Script>>,
    usage: bool,
}

impl Failure {
    /// A wrong argument.
    pub(crate) fn usage(error: Error) -> Self {
        Self { error, script: None, usage: true }
    }

    /// An error in this script.
    pub(crate) fn in_script(error: Error, script: &Arc<Script>) -> Self {
        Self { error, script: Some(script.clone()), usage: false }
    }

    /// The same, but the fault lies in the arguments.
    pub(crate) fn into_usage(self) -> Self {
        Self { usage: true, ..self }
    }

    /// How the process ends. A reader that has gone (`| head`) is no failure.
    pub(crate) fn exit(&self) -> Exit {
        match self.error.kind() {
            _ if self.error.is_broken_pipe() => Exit::Done,
            _ if self.usage => Exit::Usage,
            ErrorKind::Unreachable => Exit::Unreachable,
            _ => Exit::Failed,
        }
    }

    /// For a person: the line of SQL with a caret where there is one, help below.
    pub(crate) fn render(&self, color: bool) -> String {
        let show = if color { render } else { render_plain };
        match &self.script {
            Some(script) if self.error.span().is_some() => show(&self.error, &script.text, &script.origin),
            // No script, or no place in it.
            _ => {
                let (error, help, reset) = if color {
                    ("\x1b[1;91merror\x1b[0m\x1b[1m", "\x1b[1;96mhelp\x1b[0m", "\x1b[0m")
                } else {
                    ("error", "help", "")
                };
                let mut text = format!("{error}: {}{reset}", self.error.message());
                for line in self.error.helps() {
                    text.push_str(&format!("\n{help}: {line}"));
                }
                text
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, script: None, usage: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Location, Span};

    #[test]
    fn exit_codes() {
        for (failure, code) in [
            (Failure::from(Error::sql("x")), 1),
            (Failure::from(Error::execution("x")), 1),
            (Failure::from(Error::config("x")), 1),
            (Failure::usage(Error::config("x")), 2),
            (Failure::from(Error::unreachable("x")), 3),
            (Failure::from(Error::io("stdout: Broken pipe (os error 32)")), 0),
            (Failure::from(Error::io("stdout: no space left on device")), 1),
            (Failure::from(Error::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe))), 0),
        ] {
            assert_eq!(failure.exit().code(), code, "{:?}", failure.error);
        }
        assert_eq!(Exit::NotStrict.code(), 4);
        assert_eq!(Exit::Signal(2).code(), 130);
    }

    #[test]
    fn a_caret_needs_its_script() {
        let at = |column| Location { line: 1, column };
        let error = Error::sql("no column 'b'").at(Span { start: at(8), end: at(9) }).help("did you mean 'a'?");
        let script = Arc::new(Script { origin: "q.sql".into(), text: "SELECT b".into(), statements: vec![] });
        let text = Failure::in_script(error.clone(), &script).render(false);
        assert!(text.contains("q.sql:1:8") && text.contains('^'), "{text}");
        let text = Failure::from(error).render(false);
        assert!(!text.contains('^') && text.contains("did you mean 'a'?"), "{text}");
    }
}
