//! What a column means in time: followed through projections, so that an aggregate knows when it groups by a window.

use crate::time::WindowSpec;

/// The time that a window closes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimeDomain {
    /// Event time under a watermark.
    Event,
    /// The wall clock.
    Processing,
    /// A column without a watermark: the windows never close.
    Unbounded,
}

/// Which of a window's columns a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowRole {
    /// `window_start`
    Start,
    /// `window_end`
    End,
    /// `window_time`: the end less a millisecond.
    Time,
}

/// What a column of a relation means in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    /// Nothing.
    Plain,
    /// Event time under a watermark.
    EventTime,
    /// The wall clock.
    ProcessingTime,
    /// A column of a window.
    Window { role: WindowRole, window: WindowId, spec: WindowSpec, domain: TimeDomain },
}

/// Tells windowing calls of a plan apart.
pub(super) type WindowId = usize;

impl Attribute {
    /// The domain of a window over this column.
    pub(super) fn domain(self) -> TimeDomain {
        match self {
            Self::EventTime => TimeDomain::Event,
            Self::ProcessingTime => TimeDomain::Processing,
            Self::Window { domain, .. } => domain,
            Self::Plain => TimeDomain::Unbounded,
        }
    }
}
