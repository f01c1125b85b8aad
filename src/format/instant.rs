//! Instants as text: ISO 8601 dates, times and timestamps, read and written without a detour through a date library.
//!
//! Reading is lenient in form (`T` or space, with or without seconds, fraction, zone) and strict in value (no 31 February, no
//! hour 24). Writing gives one form: `2026-03-01T12:00:00`, then 3, 6 or 9 digits of fraction when they are not zero.

use std::cell::Cell;

use arrow::datatypes::TimeUnit;

/// An instant as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instant {
    /// Seconds since 1970 of the local time that was written; in UTC once `offset` is subtracted.
    pub(super) seconds: i64,
    /// Nanoseconds of the second.
    pub(super) nanos: u32,
    /// Seconds east of UTC, when a zone was written.
    pub(super) offset: Option<i32>,
    /// Digits of the fraction; `None` when only a date was written.
    pub(super) digits: Option<u32>,
}

impl Instant {
    /// The instant in a unit, in UTC when a zone was written; finer digits are cut off. `None` when it does not fit.
    pub(super) fn to_unit(self, unit: TimeUnit) -> Option<i64> {
        let seconds = self.seconds - i64::from(self.offset.unwrap_or(0));
        let per_second = per_second(unit);
        let fraction = i64::from(self.nanos) / (1_000_000_000 / per_second);
        seconds.checked_mul(per_second)?.checked_add(fraction)
    }
}

/// How many of a unit make a second.
pub(super) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Reads `2026-03-01[T| ]12:00[:00[.123456789]][ ][Z|+01:00|+0100|+01]` or a bare date.
pub(super) fn parse_timestamp(text: &[u8]) -> Option<Instant> {
    let (days, rest) = date(text)?;
    let seconds = days * 86_400;
    let Some((b'T' | b't' | b' ', rest)) = rest.split_first().map(|(b, r)| (*b, r)) else {
        return rest.is_empty().then_some(Instant { seconds, nanos: 0, offset: None, digits: None });
    };
    let (second_of_day, nanos, digits, rest) = time(rest)?;
    Some(Instant { seconds: seconds + second_of_day, nanos, offset: zone(rest)?, digits: Some(digits) })
}

/// Reads a date as days since 1970.
pub(super) fn parse_date(text: &[u8]) -> Option<i32> {
    let (days, rest) = date(text)?;
    rest.is_empty().then_some(days).and_then(|d| i32::try_from(d).ok())
}

/// Reads `12:00[:00[.123]]` as nanoseconds of the day.
pub(super) fn parse_time(text: &[u8]) -> Option<i64> {
    let (second_of_day, nanos, _, rest) = time(text)?;
    rest.is_empty().then_some(second_of_day * 1_000_000_000 + i64::from(nanos))
}

fn digits2(text: &[u8]) -> Option<(i64, &[u8])> {
    match text {
        [a @ b'0'..=b'9', b @ b'0'..=b'9', rest @ ..] => Some((i64::from((a - b'0') * 10 + (b - b'0')), rest)),
        _ => None,
    }
}

fn date(text: &[u8]) -> Option<(i64, &[u8])> {
    let (century, rest) = digits2(text)?;
    let (year, rest) = digits2(rest)?;
    let year = century * 100 + year;
    let (month, rest) = digits2(rest.strip_prefix(b"-")?)?;
    let (day, rest) = digits2(rest.strip_prefix(b"-")?)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=last).contains(&day).then(|| (days_from_civil(year, month, day), rest))
}

/// Second of the day, nanoseconds, digits of the fraction, what follows.
fn time(text: &[u8]) -> Option<(i64, u32, u32, &[u8])> {
    let (hour, rest) = digits2(text)?;
    let (minute, rest) = digits2(rest.strip_prefix(b":")?)?;
    let (second, mut rest) = match rest.strip_prefix(b":") {
        Some(rest) => digits2(rest)?,
        None => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (mut nanos, mut digits) = (0_u32, 0);
    if let [b'.' | b',', b'0'..=b'9', ..] = rest {
        rest = &rest[1..];
        while let [digit @ b'0'..=b'9', after @ ..] = rest {
            if digits < 9 {
                nanos = nanos * 10 + u32::from(digit - b'0');
                digits += 1;
            }
            rest = after;
        }
        nanos *= 10_u32.pow(9 - digits);
    }
    Some((hour * 3600 + minute * 60 + second, nanos, digits, rest))
}

/// The offset of a zone, `Some(None)` when nothing is written.
fn zone(text: &[u8]) -> Option<Option<i32>> {
    let text = text.strip_prefix(b" ").unwrap_or(text);
    let (sign, rest) = match text {
        [] => return Some(None),
        b"Z" | b"z" | b"UTC" => return Some(Some(0)),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, rest) = digits2(rest)?;
    let rest = rest.strip_prefix(b":").unwrap_or(rest);
    let minutes = if rest.is_empty() { 0 } else { digits2(rest).filter(|(_, r)| r.is_empty())?.0 };
    (hours <= 18 && minutes <= 59).then(|| Some(sign * (hours * 3600 + minutes * 60) as i32))
}

/// Howard Hinnant's algorithm: days since 1970 of a date in the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The inverse: year, month, day.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * shifted + 2) / 5 + 1) as u32;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Writes a date.
pub(super) fn write_date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil_from_days(days);
    let ([m, n], [d, e]) = (digits_of(month), digits_of(day));
    if (0..=9999).contains(&year) {
        let ([a, b], [c, y]) = (digits_of((year / 100) as u32), digits_of((year % 100) as u32));
        out.extend_from_slice(&[a, b, c, y, b'-', m, n, b'-', d, e]);
    } else {
        // ISO 8601's form for other years; Arrow's parser reads it too.
        out.extend_from_slice(format!("{year:+05}").as_bytes());
        out.extend_from_slice(&[b'-', m, n, b'-', d, e]);
    }
}

/// Writes timestamps: `2026-03-01T12:00:00.123`, with as many threes of digits behind the point as it takes. The last second
/// is remembered: the next timestamp is mostly in the same one, and then the calendar is not asked.
pub(super) struct TimestampWriter {
    unit: TimeUnit,
    last: Cell<Option<(i64, [u8; 19])>>,
}

impl TimestampWriter {
    /// Writes values in this unit.
    pub(super) fn new(unit: TimeUnit) -> Self {
        Self { unit, last: Cell::new(None) }
    }

    /// Appends a value.
    pub(super) fn write(&self, out: &mut Vec<u8>, value: i64) {
        // Spelled out, as dividing by a constant is much faster.
        let (seconds, nanos) = match self.unit {
            TimeUnit::Second => (value, 0),
            TimeUnit::Millisecond => (value.div_euclid(1_000), value.rem_euclid(1_000) * 1_000_000),
            TimeUnit::Microsecond => (value.div_euclid(1_000_000), value.rem_euclid(1_000_000) * 1_000),
            TimeUnit::Nanosecond => (value.div_euclid(1_000_000_000), value.rem_euclid(1_000_000_000)),
        };
        match self.last.get() {
            Some((last, text)) if last == seconds => out.extend_from_slice(&text),
            _ => {
                let from = out.len();
                write_date(out, seconds.div_euclid(86_400));
                let second_of_day = seconds.rem_euclid(86_400) as u32;
                let ([h, i], [m, n]) = (digits_of(second_of_day / 3600), digits_of(second_of_day / 60 % 60));
                let [s, t] = digits_of(second_of_day % 60);
                out.extend_from_slice(&[b'T', h, i, b':', m, n, b':', s, t]);
                // Years of more than four digits are written anew each time.
                self.last.set(out[from..].try_into().ok().map(|text| (seconds, text)));
            }
        }
        write_fraction(out, nanos as u32);
    }
}

/// Writes nanoseconds of a second as its fraction; nothing when there are none.
fn write_fraction(out: &mut Vec<u8>, nanos: u32) {
    let three = |value: u32| {
        let [b, c] = digits_of(value % 100);
        [b'0' + (value / 100) as u8, b, c]
    };
    let ([a, b, c], [d, e, f]) = (three(nanos / 1_000_000), three(nanos / 1_000 % 1_000));
    let [g, h, i] = three(nanos % 1_000);
    match nanos {
        0 => {}
        _ if nanos.is_multiple_of(1_000_000) => out.extend_from_slice(&[b'.', a, b, c]),
        _ if nanos.is_multiple_of(1_000) => out.extend_from_slice(&[b'.', a, b, c, d, e, f]),
        _ => out.extend_from_slice(&[b'.', a, b, c, d, e, f, g, h, i]),
    }
}

fn digits_of(value: u32) -> [u8; 2] {
    [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<i64> {
        parse_timestamp(text.as_bytes())?.to_unit(TimeUnit::Millisecond)
    }

    #[test]
    fn forms() {
        let noon = Some(1_772_366_400_000);
        for text in [
            "2026-03-01T12:00:00",
            "2026-03-01 12:00",
            "2026-03-01t12:00:00.000",
            "2026-03-01T12:00:00Z",
            "2026-03-01T13:00:00+01:00",
            "2026-03-01T13:30:00+0130",
            "2026-03-01 07:00:00.0 -05",
        ] {
            assert_eq!(millis(text), noon, "{text}");
        }
        assert_eq!(millis("2026-03-01"), Some(1_772_323_200_000));
        assert_eq!(millis("1969-12-31T23:59:59.9999"), Some(-1));
        for text in ["2026-02-29T00:00:00", "2026-03-01T24:00:00", "2026-3-1", "", "2026-03-01T12:00:00 CET", "12:00"] {
            assert_eq!(millis(text), None, "{text}");
        }
    }

    #[test]
    fn out_of_the_nanosecond_range() {
        let far = parse_timestamp(b"2300-01-01T00:00:00").unwrap();
        assert_eq!(far.to_unit(TimeUnit::Nanosecond), None);
        assert!(far.to_unit(TimeUnit::Microsecond).is_some());
    }

    #[test]
    fn round_trip() {
        let writer = TimestampWriter::new(TimeUnit::Microsecond);
        let values =
            [0, -1, 1, 951_782_399_999_999, -62_135_596_800_000_000, 1_772_366_400_123_000, 1_772_366_400_123_456];
        for value in values.into_iter().flat_map(|value| [value, value]) {
            let mut out = Vec::new();
            writer.write(&mut out, value);
            assert_eq!(parse_timestamp(&out).unwrap().to_unit(TimeUnit::Microsecond), Some(value), "{out:?}");
        }
        for (unit, value, text) in [
            (TimeUnit::Second, 1_772_366_400, "2026-03-01T12:00:00"),
            (TimeUnit::Millisecond, 1_772_366_400_120, "2026-03-01T12:00:00.120"),
            (TimeUnit::Nanosecond, 1_772_366_400_000_000_007, "2026-03-01T12:00:00.000000007"),
            (TimeUnit::Second, 253_402_300_800, "+10000-01-01T00:00:00"),
            (TimeUnit::Second, -62_167_219_201, "-0001-12-31T23:59:59"),
        ] {
            let (mut out, writer) = (Vec::new(), TimestampWriter::new(unit));
            writer.write(&mut out, value);
            writer.write(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), text.repeat(2));
        }
    }
}
