//! Moments written as texts, made of numbers, moved and compared.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    ArrayRef, AsArray, Int64Array, StringArray, StringBuilder, TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, Datelike, FixedOffset, Months, NaiveDateTime, Offset, TimeZone};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::arguments::Parameter::{Integer, Moment, MomentOrText, Text};
use super::arguments::{Arguments, Declared, Texts, bigint_type, text_type};
use super::pattern::Pattern;
use super::template;

/// How `from_unixtime` writes and `unix_timestamp` reads without a pattern.
pub(super) const DEFAULT_PATTERN: &str = "yyyy-MM-dd HH:mm:ss";

/// The functions of this family.
pub(super) fn all() -> Vec<ScalarUDF> {
    vec![
        // date_format(moment, pattern): in the moment's own zone. A text is read as a timestamp, NULL when it is none.
        Declared::new("date_format", &[MomentOrText, Text], text_type, date_format).function(),
        // to_char(moment, template): PostgreSQL's templates, Java's and strftime's patterns.
        Declared::new("to_char", &[Moment, Text], text_type, to_char).named(&["to_varchar"]),
        // from_unixtime(seconds[, pattern]): in UTC.
        Declared { optional: 1, ..Declared::new("from_unixtime", &[Integer, Text], text_type, from_unixtime) }
            .function(),
        // to_timestamp_ltz(number[, precision]): seconds (0), milliseconds (3), microseconds (6) since 1970.
        Declared {
            optional: 1,
            ..Declared::new("to_timestamp_ltz", &[Integer, Integer], instant_type, to_timestamp_ltz)
        }
        .function(),
        // timestampdiff(unit, from, to): whole units between two moments.
        Declared::new("timestampdiff", &[Text, Moment, Moment], bigint_type, timestampdiff).function(),
        // timestampadd(unit, count, moment): months and years keep within the month.
        Declared::new("timestampadd", &[Text, Integer, Moment], moved_type, timestampadd).function(),
    ]
}

fn date_format(arguments: &Arguments) -> Result<ArrayRef> {
    let (moments, patterns) = (arguments.moments(0)?, arguments.texts(1)?);
    let zone = moments.zone().map(Tz::from_str).transpose()?;
    format(arguments.rows(), |row| moments.get(row), zone, &patterns)
}

fn to_char(arguments: &Arguments) -> Result<ArrayRef> {
    let moments = arguments.moments(0)?;
    let zone = moments.zone().map(Tz::from_str).transpose()?;
    let given = arguments.texts(1)?;
    let rows = if given.constant().is_some() { 1 } else { arguments.rows() };
    let pattern = |row: usize| given.get(row).map(template::pattern_of_any).transpose();
    let patterns: ArrayRef = Arc::new((0..rows).map(pattern).collect::<Result<StringArray>>()?);
    let patterns = if rows == 1 { Texts::Constant(patterns) } else { Texts::Small(patterns.as_string().clone()) };
    format(arguments.rows(), |row| moments.get(row), zone, &patterns)
}

fn from_unixtime(arguments: &Arguments) -> Result<ArrayRef> {
    let seconds = arguments.integers(0)?;
    let patterns = match arguments.len() {
        2 => arguments.texts(1)?,
        _ => Texts::Constant(Arc::new(arrow::array::StringArray::from(vec![DEFAULT_PATTERN]))),
    };
    format(arguments.rows(), |row| seconds.get(row)?.checked_mul(1_000_000), None, &patterns)
}

/// Writes moments (µs since 1970 UTC) with patterns.
fn format(rows: usize, moment: impl Fn(usize) -> Option<i64>, zone: Option<Tz>, patterns: &Texts) -> Result<ArrayRef> {
    let constant = patterns.constant().map(Pattern::compile).transpose()?;
    let mut written = StringBuilder::with_capacity(rows, rows * 20);
    // Moments that follow each other are mostly written alike, as days are long.
    let mut last = None;
    let mut text = String::new();
    for row in 0..rows {
        let (Some(micros), Some(pattern)) = (moment(row), patterns.get(row)) else {
            written.append_null();
            continue;
        };
        let local = DateTime::from_timestamp_micros(micros).and_then(|utc| {
            let offset = zone.map_or_else(utc_offset, |zone| zone.offset_from_utc_datetime(&utc.naive_utc()).fix());
            Some((utc.naive_utc().checked_add_offset(offset)?, offset))
        });
        let Some((local, offset)) = local else {
            written.append_null();
            continue;
        };
        match &constant {
            Some(pattern) => {
                let stretch = Some((pattern.stretch(local.and_utc().timestamp_micros()), offset));
                if stretch != last {
                    pattern.write(local, offset, &mut text)?;
                    last = stretch;
                }
            }
            None => Pattern::compile(pattern)?.write(local, offset, &mut text)?,
        }
        written.append_value(&text);
    }
    Ok(Arc::new(written.finish()))
}

fn utc_offset() -> FixedOffset {
    chrono::Utc.fix()
}

fn instant_type(_: &[DataType]) -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn to_timestamp_ltz(arguments: &Arguments) -> Result<ArrayRef> {
    let numbers = arguments.integers(0)?;
    let precisions = (arguments.len() > 1).then(|| arguments.integers(1)).transpose()?;
    let millis = |row: usize| -> Result<Option<i64>> {
        let precision = precisions.as_ref().map_or(Some(3), |p| p.get(row));
        let (Some(number), Some(precision)) = (numbers.get(row), precision) else { return Ok(None) };
        Ok(match precision {
            0 => number.checked_mul(1000),
            3 => Some(number),
            6 => Some(number.div_euclid(1_000)),
            9 => Some(number.div_euclid(1_000_000)),
            other => return exec_err!("the precision of to_timestamp_ltz is 0, 3, 6 or 9, not {other}"),
        })
    };
    let millis: TimestampMillisecondArray = (0..arguments.rows()).map(millis).collect::<Result<_>>()?;
    Ok(Arc::new(millis.with_timezone("UTC")))
}

/// Units of time between moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Micros(i64),
    Months(i64),
}

impl FromStr for Unit {
    type Err = datafusion::error::DataFusionError;

    fn from_str(text: &str) -> Result<Self> {
        let upper = text.trim().to_ascii_uppercase();
        let bare = upper.strip_prefix("SQL_TSI_").unwrap_or(&upper);
        Ok(match bare.strip_suffix('S').unwrap_or(bare) {
            "MICROSECOND" => Self::Micros(1),
            "MILLISECOND" => Self::Micros(1_000),
            "SECOND" => Self::Micros(1_000_000),
            "MINUTE" => Self::Micros(60_000_000),
            "HOUR" => Self::Micros(3_600_000_000),
            "DAY" => Self::Micros(86_400_000_000),
            "WEEK" => Self::Micros(604_800_000_000),
            "MONTH" => Self::Months(1),
            "QUARTER" => Self::Months(3),
            "YEAR" => Self::Months(12),
            _ => {
                return exec_err!(
                    "'{text}' is no unit of time: write SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR"
                );
            }
        })
    }
}

fn timestampdiff(arguments: &Arguments) -> Result<ArrayRef> {
    let (units, from, to) = (arguments.texts(0)?, arguments.moments(1)?, arguments.moments(2)?);
    let difference = |row: usize| -> Result<Option<i64>> {
        let (Some(unit), Some(from), Some(to)) = (units.get(row), from.get(row), to.get(row)) else { return Ok(None) };
        Ok(match unit.parse()? {
            Unit::Micros(micros) => to.checked_sub(from).map(|d| d / micros),
            Unit::Months(months) => whole_months(from, to).map(|d| d / months),
        })
    };
    Ok(Arc::new((0..arguments.rows()).map(difference).collect::<Result<Int64Array>>()?))
}

/// Whole months from one moment to another; the last counts only once its day and time are reached.
fn whole_months(from: i64, to: i64) -> Option<i64> {
    if to < from {
        return whole_months(to, from).map(|months| -months);
    }
    let (from, to) = (naive(from)?, naive(to)?);
    let index = |t: &NaiveDateTime| i64::from(t.year()) * 12 + i64::from(t.month0());
    let months = index(&to) - index(&from);
    let reached = (to.day(), to.time()) >= (from.day(), from.time());
    Some(if reached { months } else { months - 1 })
}

fn moved_type(types: &[DataType]) -> DataType {
    match types.last() {
        Some(zoned @ DataType::Timestamp(..)) => zoned.clone(),
        _ => DataType::Timestamp(TimeUnit::Microsecond, None),
    }
}

fn timestampadd(arguments: &Arguments) -> Result<ArrayRef> {
    let (units, counts, moments) = (arguments.texts(0)?, arguments.integers(1)?, arguments.moments(2)?);
    let moved = |row: usize| -> Result<Option<i64>> {
        let (Some(unit), Some(count), Some(at)) = (units.get(row), counts.get(row), moments.get(row)) else {
            return Ok(None);
        };
        let moved = match unit.parse()? {
            Unit::Micros(micros) => count.checked_mul(micros).and_then(|d| at.checked_add(d)),
            Unit::Months(months) => count.checked_mul(months).and_then(|months| add_months(at, months)),
        };
        moved
            .map(Some)
            .ok_or_else(|| exec_datafusion_err!("timestampadd of {count} {unit} leaves the range of timestamps"))
    };
    let moved: TimestampMicrosecondArray = (0..arguments.rows()).map(moved).collect::<Result<_>>()?;
    let moved: ArrayRef = Arc::new(moved.with_timezone_opt(moments.zone()));
    Ok(cast(&moved, &moved_type(&[arguments.data_type(2)]))?)
}

fn add_months(at: i64, months: i64) -> Option<i64> {
    let count = Months::new(u32::try_from(months.unsigned_abs()).ok()?);
    let at = naive(at)?;
    let moved = if months < 0 { at.checked_sub_months(count) } else { at.checked_add_months(count) };
    moved.map(|t| t.and_utc().timestamp_micros())
}

fn naive(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|t| t.naive_utc())
}
