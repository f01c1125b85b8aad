//! One error type for the whole crate: what went wrong, where in the text, and what to do about it.
//!
//! An [`ErrorKind`] answers a single question: *what should the user do?* The message says what was wrong and starts in
//! lower case; `help` lines say what to write instead; `span` is the place in the SQL text, when there is one.
//!
//! Knows nothing about any other module.

mod nearest;
mod render;

use std::fmt;

pub use nearest::nearest;
pub use render::{render, render_plain};

/// The crate's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the user should do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The SQL text is wrong: fix the text at the span.
    Sql,
    /// The SQL text is understood but tidemill does not run it (yet): write what the help says.
    Unsupported,
    /// An option, setting or command-line argument is wrong: fix its value.
    Config,
    /// A record of the input is bad and the policy is to fail: fix the input or choose `on_error = 'skip'`.
    Data,
    /// A file, host or port can't be reached: start it, or fix the name.
    Unreachable,
    /// Reading or writing failed half-way: look at the disk or the peer.
    Io,
    /// A stated bound was reached: raise the bound or send less.
    Limit,
    /// This session may not do that: ask whoever started the server.
    Denied,
    /// A query failed while running (overflow, a failing cast …): fix the expression or the data.
    Execution,
    /// A broken invariant: a bug in tidemill, please report it.
    Internal,
}

/// A place in SQL text; lines and columns count from 1, columns in characters, as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Line, from 1.
    pub line: u64,
    /// Column in characters, from 1.
    pub column: u64,
}

/// A stretch of SQL text, from `start` up to and including the character at `end` (as sqlparser's spans are).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// First character.
    pub start: Location,
    /// One past the last character on the same line, or the start of the last token.
    pub end: Location,
}

/// An error: kind, message, place, help.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    span: Option<Span>,
    help: Vec<String>,
}

impl Error {
    /// An error of this kind; the message starts in lower case and names the object.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), span: None, help: Vec::new() }))
    }

    /// The SQL text is wrong.
    pub fn sql(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Sql, message)
    }

    /// Understood, but not run (yet).
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// A wrong option or setting.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, message)
    }

    /// A bad record under the policy `fail`.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Data, message)
    }

    /// Something outside can't be reached.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unreachable, message)
    }

    /// Reading or writing failed.
    pub fn io(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Io, message)
    }

    /// This session may not do that.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Denied, message)
    }

    /// A query failed while running.
    pub fn execution(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Execution, message)
    }

    /// A broken invariant.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The same error at this place; a place already known wins, as it is nearer to the cause.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        // The parser's word for "nowhere".
        if span.start.line == 0 {
            return self;
        }
        self.0.span.get_or_insert(span);
        self
    }

    /// The same error without its place, for text that the user did not write.
    #[must_use]
    pub fn without_place(mut self) -> Self {
        self.0.span = None;
        self
    }

    /// The same error with one more line of help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help.push(help.into());
        self
    }

    /// The same error, its message begun with what was being done: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// What the user should do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether whoever read the output has gone (`| head`), which is no reason to complain.
    pub fn is_broken_pipe(&self) -> bool {
        self.0.kind == ErrorKind::Io && self.0.message.to_ascii_lowercase().contains("broken pipe")
    }

    /// What was wrong.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where in the SQL text.
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// What to do, a line each.
    pub fn helps(&self) -> &[String] {
        &self.0.help
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(span) = self.0.span {
            write!(f, " (line {}, column {})", span.start.line, span.start.column)?;
        }
        for help in &self.0.help {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::io(error.to_string())
    }
}

impl From<datafusion::error::DataFusionError> for Error {
    /// Keeps the span and help of DataFusion's `Diagnostic`, and our own errors that travelled through it.
    fn from(error: datafusion::error::DataFusionError) -> Self {
        render::from_datafusion(error)
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        datafusion::error::DataFusionError::from(error).into()
    }
}

impl From<Error> for datafusion::error::DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<sqlparser::tokenizer::Span> for Span {
    fn from(span: sqlparser::tokenizer::Span) -> Self {
        let at = |l: sqlparser::tokenizer::Location| Location { line: l.line, column: l.column };
        Self { start: at(span.start), end: at(span.end) }
    }
}
