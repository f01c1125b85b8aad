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
    /// Event time under a watermark: a row may come as long as the watermark has not passed its time by more than `lag` (µs).
    EventTime { lag: i64 },
    /// The wall clock.
    ProcessingTime,
    /// A column of a window; the window closes once the watermark has passed its end by `lag` (µs).
    Window { role: WindowRole, window: WindowId, spec: WindowSpec, domain: TimeDomain, lag: i64 },
}

/// Tells windowing calls of a plan apart.
pub(super) type WindowId = usize;

impl Attribute {
    /// Whether it is event time under a watermark.
    pub(super) fn is_event_time(self) -> bool {
        matches!(self, Self::EventTime { .. })
    }

    /// The domain of a window over this column.
    pub(super) fn domain(self) -> TimeDomain {
        match self {
            Self::EventTime { .. } => TimeDomain::Event,
            Self::ProcessingTime => TimeDomain::Processing,
            Self::Window { domain, .. } => domain,
            Self::Plain => TimeDomain::Unbounded,
        }
    }

    /// How far (µs) behind the watermark a value of this column may still come, seen from windows `above` it; `None` when
    /// nothing bounds it. `time_gap` is what `window_time` is before the end.
    ///
    /// The rows of a window come when it closes, with times inside of it: its end is never behind the watermark then, but its
    /// start is, by its length. A window above must not close before they have come, or the answer would depend on the cut.
    pub(super) fn lag(self, above: WindowSpec, time_gap: i64) -> Option<i64> {
        let (role, spec, lag) = match self {
            Self::Window { role, spec, lag, .. } => (role, spec, lag),
            Self::EventTime { lag } => return Some(lag),
            Self::ProcessingTime | Self::Plain => return Some(0),
        };
        let behind = match (role, spec) {
            (WindowRole::End, _) => 0,
            (WindowRole::Time, WindowSpec::Session { .. }) => time_gap,
            (WindowRole::Time, _) if matches!(above, WindowSpec::Session { .. }) => time_gap,
            // On one grid of milliseconds the last instant of a window is in the windows that its end closes.
            (WindowRole::Time, _) if spec.is_multiple_of(time_gap) && above.is_multiple_of(time_gap) => 0,
            (WindowRole::Time, _) => time_gap,
            (WindowRole::Start, _) => spec.length()?,
        };
        lag.checked_add(behind)
    }

    /// How far (µs) behind the watermark a value of this column may come at most; `None` when nothing bounds it.
    pub(super) fn behind(self, time_gap: i64) -> Option<i64> {
        match self {
            Self::EventTime { lag } => Some(lag),
            Self::Window { role, spec, domain: TimeDomain::Event, lag, .. } => match role {
                WindowRole::End => Some(lag),
                WindowRole::Time => lag.checked_add(time_gap),
                WindowRole::Start => lag.checked_add(spec.length()?),
            },
            _ => None,
        }
    }

    /// What a column is that is this in some rows and `other` in the rest.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::EventTime { lag }, Self::EventTime { lag: other }) => Self::EventTime { lag: lag.max(other) },
            _ if self == other => self,
            _ => Self::Plain,
        }
    }

    /// The same column where its values may come `lag` (µs) behind the watermark.
    pub(super) fn behind_by(self, lag: i64) -> Self {
        match self {
            Self::EventTime { .. } => Self::EventTime { lag },
            Self::Window { role, window, spec, domain, .. } => Self::Window { role, window, spec, domain, lag },
            other => other,
        }
    }
}
