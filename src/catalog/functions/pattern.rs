//! Patterns of dates and times as Java writes them (`yyyy-MM-dd HH:mm:ss`), for writing and reading.
//!
//! A pattern with a `%` is one of strftime's, as DataFusion takes them.

use std::fmt::Write;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Datelike, FixedOffset, NaiveDateTime, Timelike};
use datafusion::common::{Result, exec_datafusion_err, exec_err};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    /// Two moments in the same stretch of this many microseconds of local time are written alike.
    granularity: i64,
    /// The same as a strftime pattern, for reading.
    strftime: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Literal(String),
    /// A number of a field, with at least this many digits.
    Number(Field, usize),
    /// The first digits of the fraction of a second.
    Fraction(usize),
    Month {
        full: bool,
    },
    Weekday {
        full: bool,
    },
    AmPm,
    /// `Z` for UTC in place of +00:00, and a colon or none.
    Offset {
        z: bool,
        colon: bool,
    },
    Strftime(Vec<Item<'static>>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Field {
    Year,
    YearOfCentury,
    Quarter,
    Month,
    Day,
    DayOfYear,
    WeekdayFromMonday,
    Hour24,
    Hour12,
    Minute,
    Second,
}

impl Pattern {
    /// Compiles a pattern.
    pub(super) fn compile(text: &str) -> Result<Self> {
        if text.contains('%') {
            let items = StrftimeItems::new(text).parse_to_owned();
            let items = items.map_err(|_| exec_datafusion_err!("'{text}' is no strftime pattern"))?;
            return Ok(Self { parts: vec![Part::Strftime(items)], granularity: 1, strftime: text.to_owned() });
        }
        let mut pattern = Self { parts: Vec::new(), granularity: MICROS_PER_DAY, strftime: String::new() };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first == '\'' {
                let (literal, after) = quoted(rest)
                    .ok_or_else(|| exec_datafusion_err!("the quote in the pattern \"{text}\" is not closed"))?;
                pattern.literal(&literal);
                rest = after;
            } else if first.is_ascii_alphabetic() {
                let after = rest.trim_start_matches(first);
                pattern.letters(text, first, rest.len() - after.len())?;
                rest = after;
            } else {
                let (literal, after) = rest.split_at(first.len_utf8());
                pattern.literal(literal);
                rest = after;
            }
        }
        Ok(pattern)
    }

    /// The pattern for reading, in strftime's terms.
    pub(super) fn strftime(&self) -> &str {
        &self.strftime
    }

    fn literal(&mut self, text: &str) {
        self.strftime.push_str(&text.replace('%', "%%"));
        match self.parts.last_mut() {
            Some(Part::Literal(before)) => before.push_str(text),
            _ => self.parts.push(Part::Literal(text.to_owned())),
        }
    }

    fn letters(&mut self, text: &str, letter: char, count: usize) -> Result<()> {
        const HOUR: i64 = 3_600_000_000;
        let number = |field| Part::Number(field, count);
        let (part, granularity, strftime) = match (letter, count) {
            ('y' | 'u', 2) => (Part::Number(Field::YearOfCentury, 2), MICROS_PER_DAY, "%y".to_owned()),
            ('y' | 'u', _) => (number(Field::Year), MICROS_PER_DAY, "%Y".to_owned()),
            ('Q' | 'q', 1 | 2) => (number(Field::Quarter), MICROS_PER_DAY, "%q".to_owned()),
            ('M' | 'L', 1 | 2) => (number(Field::Month), MICROS_PER_DAY, "%m".to_owned()),
            ('M' | 'L', 3) => (Part::Month { full: false }, MICROS_PER_DAY, "%b".to_owned()),
            ('M' | 'L', 4) => (Part::Month { full: true }, MICROS_PER_DAY, "%B".to_owned()),
            ('d', 1 | 2) => (number(Field::Day), MICROS_PER_DAY, "%d".to_owned()),
            ('D', 1..=3) => (number(Field::DayOfYear), MICROS_PER_DAY, "%j".to_owned()),
            ('E', 1..=3) => (Part::Weekday { full: false }, MICROS_PER_DAY, "%a".to_owned()),
            ('E', 4) => (Part::Weekday { full: true }, MICROS_PER_DAY, "%A".to_owned()),
            ('e', 1) => (number(Field::WeekdayFromMonday), MICROS_PER_DAY, "%u".to_owned()),
            ('a', 1) => (Part::AmPm, HOUR, "%p".to_owned()),
            ('H', 1 | 2) => (number(Field::Hour24), HOUR, "%H".to_owned()),
            ('h', 1 | 2) => (number(Field::Hour12), HOUR, "%I".to_owned()),
            ('m', 1 | 2) => (number(Field::Minute), HOUR / 60, "%M".to_owned()),
            ('s', 1 | 2) => (number(Field::Second), HOUR / 3600, "%S".to_owned()),
            ('S', 3) => (Part::Fraction(3), 1, "%3f".to_owned()),
            ('S', 6) => (Part::Fraction(6), 1, "%6f".to_owned()),
            ('S', 9) => (Part::Fraction(9), 1, "%9f".to_owned()),
            ('S', 1..=9) => (Part::Fraction(count), 1, "%f".to_owned()),
            ('X', 3) => (Part::Offset { z: true, colon: true }, 1, "%:z".to_owned()),
            ('X', 2) => (Part::Offset { z: true, colon: false }, 1, "%z".to_owned()),
            ('x', 3) => (Part::Offset { z: false, colon: true }, 1, "%:z".to_owned()),
            ('Z' | 'x', 1..=3) => (Part::Offset { z: false, colon: false }, 1, "%z".to_owned()),
            _ => {
                let letters = letter.to_string().repeat(count);
                return exec_err!(
                    "the letters '{letters}' of the pattern \"{text}\" are not known: letters are \
                     y M d D E a H h m s S Q X Z, and other text stands in single quotes"
                );
            }
        };
        self.parts.push(part);
        self.granularity = self.granularity.min(granularity);
        self.strftime.push_str(&strftime);
        Ok(())
    }

    /// The number of the stretch that a moment lies in: moments with the same number are written alike.
    pub(super) fn stretch(&self, local_micros: i64) -> i64 {
        local_micros.div_euclid(self.granularity)
    }

    /// Replaces `out` by a moment of local time that is `offset` ahead of UTC.
    ///
    /// # Errors
    /// Where a strftime pattern asks for what there is not.
    pub(super) fn write(&self, local: NaiveDateTime, offset: FixedOffset, out: &mut String) -> Result<()> {
        out.clear();
        let failed = |_| exec_datafusion_err!("{local} can't be written with this pattern");
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Number(field, digits) => field.write(&local, *digits, out),
                Part::Fraction(digits) => {
                    let nanos = local.nanosecond() % 1_000_000_000;
                    write!(out, "{:0digits$}", nanos / 10_u32.pow(9 - *digits as u32)).map_err(failed)?;
                }
                Part::Month { full: true } => write!(out, "{}", local.format("%B")).map_err(failed)?,
                Part::Month { full: false } => write!(out, "{}", local.format("%b")).map_err(failed)?,
                Part::Weekday { full: true } => write!(out, "{}", local.format("%A")).map_err(failed)?,
                Part::Weekday { full: false } => write!(out, "{}", local.format("%a")).map_err(failed)?,
                Part::AmPm => out.push_str(if local.hour() < 12 { "AM" } else { "PM" }),
                Part::Offset { z: true, .. } if offset.local_minus_utc() == 0 => out.push('Z'),
                Part::Offset { colon, .. } => {
                    let minutes = offset.local_minus_utc() / 60;
                    let (sign, minutes) = if minutes < 0 { ('-', -minutes) } else { ('+', minutes) };
                    let colon = if *colon { ":" } else { "" };
                    write!(out, "{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60).map_err(failed)?;
                }
                Part::Strftime(items) => {
                    let utc = local.checked_sub_offset(offset).unwrap_or(local);
                    let zoned = DateTime::<FixedOffset>::from_naive_utc_and_offset(utc, offset);
                    write!(out, "{}", zoned.format_with_items(items.iter())).map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}

impl Field {
    fn write(self, local: &NaiveDateTime, digits: usize, out: &mut String) {
        let value = match self {
            Self::Year => {
                let year = local.year();
                if year < 0 {
                    out.push('-');
                }
                year.unsigned_abs()
            }
            Self::YearOfCentury => local.year().rem_euclid(100) as u32,
            Self::Quarter => local.month0() / 3 + 1,
            Self::Month => local.month(),
            Self::Day => local.day(),
            Self::DayOfYear => local.ordinal(),
            Self::WeekdayFromMonday => local.weekday().number_from_monday(),
            Self::Hour24 => local.hour(),
            Self::Hour12 => local.hour12().1,
            Self::Minute => local.minute(),
            Self::Second => local.second(),
        };
        let wide = (1..10).take_while(|n| value >= 10_u32.pow(*n)).count() + 1;
        out.extend(std::iter::repeat_n('0', digits.saturating_sub(wide)));
        out.extend((0..wide).rev().filter_map(|n| char::from_digit(value / 10_u32.pow(n as u32) % 10, 10)));
    }
}

/// The text in quotes that a pattern begins with, and what follows; two quotes are one.
fn quoted(pattern: &str) -> Option<(String, &str)> {
    let inner = pattern.strip_prefix('\'')?;
    if let Some(rest) = inner.strip_prefix('\'') {
        return Some(("'".to_owned(), rest));
    }
    let mut literal = String::new();
    let mut rest = inner;
    loop {
        let (text, after) = rest.split_once('\'')?;
        literal.push_str(text);
        match after.strip_prefix('\'') {
            Some(more) => {
                literal.push('\'');
                rest = more;
            }
            None => return Some((literal, after)),
        }
    }
}
