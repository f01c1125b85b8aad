//! Windows of event time, [start, end), and their assignment: pure checked integer arithmetic.
//!
//! Windows are aligned to 1970-01-01T00:00:00Z plus `offset`. Window ends are exclusive. A row can belong to several
//! windows (HOP, CUMULATE); a session's extent is not known until it closes, so SESSION has no assignment here.

use std::fmt;

use arrow::datatypes::TimeUnit;

use super::format_duration;
use crate::error::{Error, Result};

/// A stretch of event time, [start, end), in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// First instant in the window.
    pub start: i64,
    /// First instant after the window.
    pub end: i64,
}

/// How rows are put into windows; all lengths in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowSpec {
    /// Windows side by side.
    Tumble {
        /// Length of a window.
        size: i64,
        /// Shift of the alignment.
        offset: i64,
    },
    /// Windows of `size` that start every `slide`: each row is in up to ⌈size ÷ slide⌉ of them.
    Hop {
        /// Distance between starts.
        slide: i64,
        /// Length of a window.
        size: i64,
        /// Shift of the alignment.
        offset: i64,
    },
    /// Windows that begin together and grow by `step` up to `max`: running totals of a day, say.
    Cumulate {
        /// Growth.
        step: i64,
        /// Length of the longest.
        max: i64,
        /// Shift of the alignment.
        offset: i64,
    },
    /// A window per key that lasts until no row came for longer than `gap`: end = last row + gap.
    Session {
        /// The longest silence inside a session.
        gap: i64,
    },
}

/// How far (µs) `window_time` is before `window_end`, on columns of this unit: a millisecond, or a second where there are none.
pub fn window_time_gap(unit: TimeUnit) -> i64 {
    if unit == TimeUnit::Second { 1_000_000 } else { 1_000 }
}

/// The most windows that one row may be in.
const FAN_OUT_MAX: i64 = 1_000;

impl WindowSpec {
    /// The same spec, when its lengths make sense.
    ///
    /// # Errors
    /// A length that is not positive, a HOP whose slide exceeds its size (most likely swapped), a CUMULATE whose max is no
    /// multiple of its step, or more than 1,000 windows per row.
    pub fn validate(self) -> Result<Self> {
        let positive = |n: i64, what: &str| {
            if n > 0 { Ok(()) } else { Err(Error::sql(format!("the {what} of a window must be longer than zero"))) }
        };
        match self {
            Self::Tumble { size, .. } => positive(size, "size")?,
            Self::Hop { slide, size, .. } => {
                positive(slide, "slide")?;
                positive(size, "size")?;
                if slide > size {
                    return Err(Error::sql(format!(
                        "HOP slides by {} but its size is only {}: rows between windows would be lost",
                        format_duration(slide),
                        format_duration(size)
                    ))
                    .help("the slide comes first, then the size: swap the two intervals"));
                }
                if size / slide > FAN_OUT_MAX {
                    return Err(Error::sql(format!("each row would be in {} windows", size / slide))
                        .help(format!("size ÷ slide may be {FAN_OUT_MAX} at most: use a longer slide")));
                }
            }
            Self::Cumulate { step, max, .. } => {
                positive(step, "step")?;
                positive(max, "max size")?;
                if max % step != 0 {
                    return Err(Error::sql("the max size of CUMULATE must be a multiple of its step")
                        .help("the step comes first, then the max size"));
                }
                if max / step > FAN_OUT_MAX {
                    return Err(Error::sql(format!("each row would be in {} windows", max / step))
                        .help(format!("max ÷ step may be {FAN_OUT_MAX} at most: use a longer step")));
                }
            }
            Self::Session { gap } => positive(gap, "gap")?,
        }
        Ok(self)
    }

    /// The length of the longest window; `None` for SESSION, which lasts as long as rows come.
    pub fn length(self) -> Option<i64> {
        match self {
            Self::Tumble { size, .. } | Self::Hop { size, .. } => Some(size),
            Self::Cumulate { max, .. } => Some(max),
            Self::Session { .. } => None,
        }
    }

    /// The panes that its windows are made of; `None` for SESSION.
    pub fn panes(self) -> Option<Panes> {
        match self {
            Self::Tumble { size, offset } => Some(Panes { width: size, offset }),
            Self::Hop { slide, size, offset } => Some(Panes { width: gcd(slide, size), offset }),
            Self::Cumulate { step, offset, .. } => Some(Panes { width: step, offset }),
            Self::Session { .. } => None,
        }
    }

    /// Whether every bound of its windows is a multiple of `unit`, for SESSION given that the rows' times are.
    pub fn is_multiple_of(self, unit: i64) -> bool {
        let lengths = match self {
            Self::Tumble { size, offset } => [size, offset, 0],
            Self::Hop { slide, size, offset } => [slide, size, offset],
            Self::Cumulate { step, max, offset } => [step, max, offset],
            Self::Session { gap } => [gap, 0, 0],
        };
        lengths.iter().all(|l| l % unit == 0)
    }

    /// Calls `emit` with each window that holds `t`, earliest end first; `false` when a bound does not fit in an `i64`.
    ///
    /// For SESSION this is the window of a row alone: [t, t + gap).
    pub fn assign(&self, t: i64, mut emit: impl FnMut(Window)) -> bool {
        match *self {
            Self::Tumble { size, offset } => {
                let Some(start) = floor_to(t, size, offset) else { return false };
                let Some(end) = start.checked_add(size) else { return false };
                emit(Window { start, end });
            }
            Self::Hop { slide, size, offset } => {
                let Some(last_start) = floor_to(t, slide, offset) else { return false };
                let (Some(_), Some(lowest)) = (last_start.checked_add(size), t.checked_sub(size)) else { return false };
                // Starts in (t - size, t], walked upwards so that the windows come out by end.
                let mut start = last_start - (last_start - lowest - 1) / slide * slide;
                while start <= last_start {
                    emit(Window { start, end: start + size });
                    start += slide;
                }
            }
            Self::Cumulate { step, max, offset } => {
                let Some(start) = floor_to(t, max, offset) else { return false };
                let Some(last_end) = start.checked_add(max) else { return false };
                let first_end = start + ((t - start) / step + 1) * step;
                for n in 0..=(last_end - first_end) / step {
                    emit(Window { start, end: first_end + n * step });
                }
            }
            Self::Session { gap } => {
                let Some(end) = t.checked_add(gap) else { return false };
                emit(Window { start: t, end });
            }
        }
        true
    }
}

/// Stretches of equal length side by side: no window begins or ends inside of one, so the rows of a pane are in the same windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Panes {
    width: i64,
    offset: i64,
}

impl Panes {
    /// The pane that holds `t`; `None` when a bound does not fit in an `i64`.
    pub fn of(self, t: i64) -> Option<Window> {
        let start = floor_to(t, self.width, self.offset)?;
        Some(Window { start, end: start.checked_add(self.width)? })
    }
}

fn gcd(mut a: i64, mut b: i64) -> i64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The greatest `offset + k × size` that is not after `t`.
fn floor_to(t: i64, size: i64, offset: i64) -> Option<i64> {
    let shifted = t.checked_sub(offset)?;
    shifted.checked_sub(shifted.rem_euclid(size))?.checked_add(offset)
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = format_duration;
        let offset = match *self {
            Self::Tumble { size, offset } => {
                write!(f, "TUMBLE({}", d(size))?;
                offset
            }
            Self::Hop { slide, size, offset } => {
                write!(f, "HOP(slide {}, size {}", d(slide), d(size))?;
                offset
            }
            Self::Cumulate { step, max, offset } => {
                write!(f, "CUMULATE(step {}, max {}", d(step), d(max))?;
                offset
            }
            Self::Session { gap } => {
                write!(f, "SESSION(gap {}", d(gap))?;
                0
            }
        };
        if offset != 0 {
            write!(f, ", offset {}", d(offset))?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(spec: WindowSpec, t: i64) -> Vec<(i64, i64)> {
        let mut out = Vec::new();
        assert!(spec.assign(t, |w| out.push((w.start, w.end))));
        out
    }

    #[test]
    fn tumble_around_zero_and_with_offset() {
        let spec = WindowSpec::Tumble { size: 10, offset: 0 };
        assert_eq!(windows(spec, 0), [(0, 10)]);
        assert_eq!(windows(spec, 9), [(0, 10)]);
        assert_eq!(windows(spec, -1), [(-10, 0)]);
        assert_eq!(windows(spec, -10), [(-10, 0)]);
        let spec = WindowSpec::Tumble { size: 10, offset: 3 };
        assert_eq!(windows(spec, 2), [(-7, 3)]);
        assert_eq!(windows(spec, 3), [(3, 13)]);
    }

    /// The oracle is the definition: every window of the grid that holds t.
    #[test]
    fn hop_and_cumulate_equal_their_definition() {
        for (slide, size, offset) in [(2, 10, 0), (3, 10, 0), (10, 10, 1), (4, 6, -5), (7, 9, 2)] {
            for t in -40..40 {
                let expected: Vec<_> = (-60..60)
                    .map(|k| k * slide + offset)
                    .filter(|start| *start <= t && t < start + size)
                    .map(|start| (start, start + size))
                    .collect();
                assert_eq!(
                    windows(WindowSpec::Hop { slide, size, offset }, t),
                    expected,
                    "{slide} {size} {offset} {t}"
                );
            }
        }
        for t in -40..40i64 {
            let start = t.div_euclid(12) * 12;
            let expected: Vec<_> = (1..=4).map(|k| (start, start + 3 * k)).filter(|w| t < w.1).collect();
            assert_eq!(windows(WindowSpec::Cumulate { step: 3, max: 12, offset: 0 }, t), expected);
        }
    }

    #[test]
    fn rows_of_a_pane_are_in_the_same_windows() {
        for spec in [
            WindowSpec::Tumble { size: 10, offset: 3 },
            WindowSpec::Hop { slide: 4, size: 10, offset: 1 },
            WindowSpec::Hop { slide: 3, size: 10, offset: 0 },
            WindowSpec::Cumulate { step: 3, max: 12, offset: 2 },
        ] {
            let panes = spec.panes().unwrap();
            for t in -40..40 {
                let pane = panes.of(t).unwrap();
                assert!(pane.start <= t && t < pane.end);
                assert_eq!(windows(spec, t), windows(spec, pane.start), "{spec} {t}");
                for (start, end) in windows(spec, t) {
                    assert!(start <= pane.start && pane.end <= end, "{spec} {t}");
                }
            }
            assert_eq!(panes.of(i64::MAX), None);
        }
        assert_eq!(WindowSpec::Session { gap: 1 }.panes(), None);
    }

    #[test]
    fn extremes_are_refused_not_wrapped() {
        for spec in [
            WindowSpec::Tumble { size: 10, offset: 0 },
            WindowSpec::Hop { slide: 2, size: 10, offset: 0 },
            WindowSpec::Cumulate { step: 5, max: 10, offset: 0 },
            WindowSpec::Session { gap: 10 },
        ] {
            assert!(!spec.assign(i64::MAX, |_| ()), "{spec}");
        }
        assert!(!WindowSpec::Hop { slide: 2, size: 10, offset: 0 }.assign(i64::MIN, |_| ()));
        for back in 0..40 {
            let mut count = 0;
            if (WindowSpec::Cumulate { step: 5, max: 10, offset: 0 }).assign(i64::MAX - back, |_| count += 1) {
                assert!((1..=2).contains(&count), "the end after the last does not fit, and is not asked for");
            }
        }
    }

    #[test]
    fn swapped_hop_names_the_swap() {
        let error = WindowSpec::Hop { slide: 10_000_000, size: 2_000_000, offset: 0 }.validate().unwrap_err();
        assert!(error.helps()[0].contains("swap"), "{error}");
    }
}
