//! Instants in microseconds, and the conversion from Arrow's four units.

use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Before everything: the watermark of a partition that has shown no row yet.
    pub const MIN: Self = Self(i64::MIN);
    /// After everything: the watermark of an input that has ended.
    pub const MAX: Self = Self(i64::MAX);

    /// Milliseconds since 1970, rounded down.
    pub fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

impl fmt::Display for Timestamp {
    /// `2026-03-01 12:00:00[.fff[fff]]`, and `-∞` / `end` for the two extremes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => f.write_str("-∞"),
            Self::MAX => f.write_str("end"),
            Self(micros) => match chrono::DateTime::from_timestamp_micros(micros) {
                Some(t) => write!(f, "{}", t.format("%Y-%m-%d %H:%M:%S%.f")),
                None => write!(f, "{micros} µs"),
            },
        }
    }
}

/// The unit of an Arrow timestamp column, for conversion from and to microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Seconds.
    Second,
    /// Milliseconds.
    Milli,
    /// Microseconds.
    Micro,
    /// Nanoseconds.
    Nano,
}

impl Unit {
    /// A value in this unit as microseconds: `None` when it does not fit, rounded down from nanoseconds.
    pub fn to_micros(self, value: i64) -> Option<i64> {
        match self {
            Self::Second => value.checked_mul(1_000_000),
            Self::Milli => value.checked_mul(1_000),
            Self::Micro => Some(value),
            Self::Nano => Some(value.div_euclid(1_000)),
        }
    }

    /// Microseconds as a value in this unit, rounded down: `None` when it does not fit.
    pub fn from_micros(self, micros: i64) -> Option<i64> {
        match self {
            Self::Second => Some(micros.div_euclid(1_000_000)),
            Self::Milli => Some(micros.div_euclid(1_000)),
            Self::Micro => Some(micros),
            Self::Nano => micros.checked_mul(1_000),
        }
    }
}

/// The unit of a timestamp type; microseconds for any other.
pub fn unit_of(data_type: &DataType) -> TimeUnit {
    match data_type {
        DataType::Timestamp(unit, _) => *unit,
        _ => TimeUnit::Microsecond,
    }
}

impl From<TimeUnit> for Unit {
    fn from(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::Second => Self::Second,
            TimeUnit::Millisecond => Self::Milli,
            TimeUnit::Microsecond => Self::Micro,
            TimeUnit::Nanosecond => Self::Nano,
        }
    }
}
