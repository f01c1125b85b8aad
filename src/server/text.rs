//! Values as PostgreSQL writes them: `t`, `{1,2}`, `2026-01-01 00:00:10`, `1 day 02:00:00`, `\x6162`.

use std::fmt::Write;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType,
    Float32Type, Float64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    TimeUnit,
};
use arrow::temporal_conversions::{date32_to_datetime, date64_to_datetime};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use crate::error::{Error, Result};

/// Writes the value of a row, which is not NULL.
///
/// # Errors
/// A value that is out of the range of its own type.
pub(super) fn write(array: &dyn Array, row: usize, out: &mut String) -> Result<()> {
    match array.data_type() {
        DataType::Boolean => out.push(if array.as_boolean().value(row) { 't' } else { 'f' }),
        DataType::Utf8 => out.push_str(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => out.push_str(array.as_string::<i64>().value(row)),
        DataType::Utf8View => out.push_str(array.as_string_view().value(row)),
        DataType::Binary => bytes(array.as_binary::<i32>().value(row), out),
        DataType::LargeBinary => bytes(array.as_binary::<i64>().value(row), out),
        DataType::BinaryView => bytes(array.as_binary_view().value(row), out),
        DataType::FixedSizeBinary(_) => bytes(array.as_fixed_size_binary().value(row), out),
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            float(value.is_nan(), f64::from(value), &format!("{value:e}"), 6, out);
        }
        DataType::Float64 => {
            let value = array.as_primitive::<Float64Type>().value(row);
            float(value.is_nan(), value, &format!("{value:e}"), 15, out);
        }
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Time32(_) | DataType::Time64(_) => {
            moment(array, row, out)?;
        }
        DataType::Interval(unit) => {
            let (months, days, micros) = match unit {
                IntervalUnit::YearMonth => (array.as_primitive::<IntervalYearMonthType>().value(row), 0, 0),
                IntervalUnit::DayTime => {
                    let value = array.as_primitive::<IntervalDayTimeType>().value(row);
                    (0, value.days, i64::from(value.milliseconds) * 1_000)
                }
                IntervalUnit::MonthDayNano => {
                    let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
                    (value.months, value.days, value.nanoseconds / 1_000)
                }
            };
            interval(months, days, micros, out);
        }
        DataType::Duration(unit) => {
            let (value, factor, divisor) = match unit {
                TimeUnit::Second => (array.as_primitive::<DurationSecondType>().value(row), 1_000_000, 1),
                TimeUnit::Millisecond => (array.as_primitive::<DurationMillisecondType>().value(row), 1_000, 1),
                TimeUnit::Microsecond => (array.as_primitive::<DurationMicrosecondType>().value(row), 1, 1),
                TimeUnit::Nanosecond => (array.as_primitive::<DurationNanosecondType>().value(row), 1, 1_000),
            };
            let micros = value.checked_mul(factor).ok_or_else(|| Error::execution("an interval is out of range"))?;
            interval(0, 0, micros / divisor, out);
        }
        DataType::List(_) => items(&array.as_list::<i32>().value(row), out)?,
        DataType::LargeList(_) => items(&array.as_list::<i64>().value(row), out)?,
        DataType::FixedSizeList(..) => items(&array.as_fixed_size_list().value(row), out)?,
        DataType::ListView(_) => items(&array.as_list_view::<i32>().value(row), out)?,
        DataType::LargeListView(_) => items(&array.as_list_view::<i64>().value(row), out)?,
        DataType::Struct(_) => record(array.as_struct().columns(), row, out)?,
        DataType::Map(..) => pairs(array.as_map().value(row).columns(), out)?,
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let key = dictionary.normalized_keys().get(row).copied().unwrap_or_default();
            write(dictionary.values().as_ref(), key, out)?;
        }
        // Integers and decimals are written as everywhere.
        _ => {
            let formatter = ArrayFormatter::try_new(array, &FormatOptions::default())?;
            write!(out, "{}", formatter.value(row)).map_err(|_| Error::execution("a value can't be written"))?;
        }
    }
    Ok(())
}

fn bytes(value: &[u8], out: &mut String) {
    out.push_str("\\x");
    for byte in value {
        let _ = write!(out, "{byte:02x}");
    }
}

/// The shortest digits that are read back as the same number, with an exponent where PostgreSQL has one.
fn float(nan: bool, value: f64, scientific: &str, digits_max: i32, out: &mut String) {
    if nan {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |positive| ("-", positive));
    out.push_str(sign);
    if exponent < -4 || exponent >= digits_max {
        let _ = write!(out, "{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
        return;
    }
    let digits = mantissa.replace('.', "");
    match usize::try_from(exponent) {
        Ok(point) => {
            let whole = point + 1;
            if digits.len() <= whole {
                let _ = write!(out, "{digits:0<whole$}");
            } else {
                let _ = write!(out, "{}.{}", &digits[..whole], &digits[whole..]);
            }
        }
        Err(_) => {
            let zeros = usize::try_from(-exponent - 1).unwrap_or_default();
            let _ = write!(out, "0.{:0<zeros$}{digits}", "");
        }
    }
}

fn moment(array: &dyn Array, row: usize, out: &mut String) -> Result<()> {
    use arrow::datatypes::{
        Date32Type, Date64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    };
    let range = || Error::execution("a point in time is out of range");
    let of_day = |micros: i64, out: &mut String| {
        let time = NaiveTime::from_num_seconds_from_midnight_opt(
            u32::try_from(micros.div_euclid(1_000_000)).map_err(|_| range())?,
            u32::try_from(micros.rem_euclid(1_000_000) * 1_000).map_err(|_| range())?,
        );
        clock(time.ok_or_else(range)?, out);
        Ok::<(), Error>(())
    };
    match array.data_type() {
        DataType::Date32 => {
            let day = date32_to_datetime(array.as_primitive::<Date32Type>().value(row)).ok_or_else(range)?;
            calendar(day.date(), out);
            era(day.date(), out);
        }
        DataType::Date64 => {
            let day = date64_to_datetime(array.as_primitive::<Date64Type>().value(row)).ok_or_else(range)?;
            calendar(day.date(), out);
            era(day.date(), out);
        }
        DataType::Time32(TimeUnit::Second) => {
            of_day(i64::from(array.as_primitive::<Time32SecondType>().value(row)) * 1_000_000, out)?;
        }
        DataType::Time32(_) => {
            of_day(i64::from(array.as_primitive::<Time32MillisecondType>().value(row)) * 1_000, out)?
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            of_day(array.as_primitive::<Time64MicrosecondType>().value(row), out)?
        }
        DataType::Time64(_) => of_day(array.as_primitive::<Time64NanosecondType>().value(row) / 1_000, out)?,
        DataType::Timestamp(unit, zone) => {
            let (seconds, nanos) = match unit {
                TimeUnit::Second => (array.as_primitive::<TimestampSecondType>().value(row), 0),
                TimeUnit::Millisecond => {
                    split(array.as_primitive::<TimestampMillisecondType>().value(row), 1_000, 1_000_000)
                }
                TimeUnit::Microsecond => {
                    split(array.as_primitive::<TimestampMicrosecondType>().value(row), 1_000_000, 1_000)
                }
                TimeUnit::Nanosecond => {
                    split(array.as_primitive::<TimestampNanosecondType>().value(row), 1_000_000_000, 1)
                }
            };
            let at: NaiveDateTime = chrono::DateTime::from_timestamp(seconds, nanos).ok_or_else(range)?.naive_utc();
            calendar(at.date(), out);
            out.push(' ');
            clock(at.time(), out);
            if zone.is_some() {
                out.push_str("+00");
            }
            era(at.date(), out);
        }
        _ => return Err(Error::internal("no point in time")),
    }
    Ok(())
}

fn split(value: i64, per_second: i64, nanos: i64) -> (i64, u32) {
    (value.div_euclid(per_second), u32::try_from(value.rem_euclid(per_second) * nanos).unwrap_or_default())
}

fn calendar(day: NaiveDate, out: &mut String) {
    // The year before 1 is 1 BC.
    let year = if day.year() > 0 { day.year() } else { 1 - day.year() };
    let _ = write!(out, "{year:04}-{:02}-{:02}", day.month(), day.day());
}

fn era(day: NaiveDate, out: &mut String) {
    if day.year() <= 0 {
        out.push_str(" BC");
    }
}

/// PostgreSQL's time has microseconds.
fn clock(time: NaiveTime, out: &mut String) {
    let _ = write!(out, "{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second());
    fraction(time.nanosecond() / 1_000, out);
}

fn fraction(micros: u32, out: &mut String) {
    if micros > 0 {
        let digits = format!("{micros:06}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// `1 year 2 mons -3 days +04:05:06.7`
fn interval(months: i32, days: i32, micros: i64, out: &mut String) {
    let mut first = true;
    let mut negative = false;
    for (value, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if value == 0 {
            continue;
        }
        let space = if first { "" } else { " " };
        let plus = if negative && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        let _ = write!(out, "{space}{plus}{value} {unit}{plural}");
        (first, negative) = (false, value < 0);
    }
    if !first && micros == 0 {
        return;
    }
    let space = if first { "" } else { " " };
    let sign = match micros < 0 {
        true => "-",
        false if negative => "+",
        false => "",
    };
    let total = micros.unsigned_abs();
    let seconds = total / 1_000_000;
    let _ = write!(out, "{space}{sign}{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    fraction(u32::try_from(total % 1_000_000).unwrap_or_default(), out);
}

/// `{1,NULL,"a b"}`
fn items(values: &ArrayRef, out: &mut String) -> Result<()> {
    let nested =
        values.data_type().is_nested() && !matches!(values.data_type(), DataType::Struct(_) | DataType::Map(..));
    let special = |c: char| matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace();
    out.push('{');
    let mut text = String::new();
    for row in 0..values.len() {
        if row > 0 {
            out.push(',');
        }
        if values.is_null(row) {
            out.push_str("NULL");
            continue;
        }
        text.clear();
        write(values.as_ref(), row, &mut text)?;
        if !nested && (text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special)) {
            quoted(&text, '\\', out);
        } else {
            out.push_str(&text);
        }
    }
    out.push('}');
    Ok(())
}

/// `(1,,"a b")`
fn record(columns: &[ArrayRef], row: usize, out: &mut String) -> Result<()> {
    let special = |c: char| matches!(c, '(' | ')' | ',' | '"' | '\\') || c.is_ascii_whitespace();
    out.push('(');
    let mut text = String::new();
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if column.is_null(row) {
            continue;
        }
        text.clear();
        write(column.as_ref(), row, &mut text)?;
        if text.is_empty() || text.contains(special) {
            out.push('"');
            for c in text.chars() {
                if matches!(c, '"' | '\\') {
                    out.push(c);
                }
                out.push(c);
            }
            out.push('"');
        } else {
            out.push_str(&text);
        }
    }
    out.push(')');
    Ok(())
}

/// A map; PostgreSQL has none, so as its hstore writes one: `"a"=>"1", "b"=>NULL`
fn pairs(columns: &[ArrayRef], out: &mut String) -> Result<()> {
    let [keys, values] = columns else { return Err(Error::internal("a map has keys and values")) };
    let mut text = String::new();
    for row in 0..keys.len() {
        if row > 0 {
            out.push_str(", ");
        }
        text.clear();
        write(keys.as_ref(), row, &mut text)?;
        quoted(&text, '\\', out);
        out.push_str("=>");
        if values.is_null(row) {
            out.push_str("NULL");
            continue;
        }
        text.clear();
        write(values.as_ref(), row, &mut text)?;
        quoted(&text, '\\', out);
    }
    Ok(())
}

fn quoted(text: &str, escape: char, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push(escape);
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int64Array,
        IntervalMonthDayNanoArray, ListArray, StringArray, StructArray, Time64MicrosecondArray,
        TimestampMicrosecondArray, TimestampMillisecondArray,
    };
    use arrow::datatypes::{Field, Int64Type, IntervalMonthDayNano};

    use super::*;

    fn texts(array: &dyn Array) -> Vec<String> {
        let one = |row| {
            let mut out = String::new();
            write(array, row, &mut out).unwrap();
            out
        };
        (0..array.len()).map(one).collect()
    }

    /// What PostgreSQL 15 answers to the same values.
    #[test]
    fn numbers() {
        assert_eq!(texts(&BooleanArray::from(vec![true, false])), ["t", "f"]);
        assert_eq!(texts(&Int64Array::from(vec![-1, i64::MAX])), ["-1", "9223372036854775807"]);
        let floats = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (-1.5, "-1.5"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (123_456.789, "123456.789"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.25e-7, "1.25e-07"),
            (1e300, "1e+300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (value, text) in floats {
            assert_eq!(texts(&Float64Array::from(vec![value])), [text]);
        }
        assert_eq!(
            texts(&Float32Array::from(vec![0.1, 100_000.0, 1e6, 16_777_216.0])),
            ["0.1", "100000", "1e+06", "1.6777216e+07"]
        );
        let decimal = Decimal128Array::from(vec![12_345, -5, 0]).with_precision_and_scale(38, 2).unwrap();
        assert_eq!(texts(&decimal), ["123.45", "-0.05", "0.00"]);
    }

    #[test]
    fn points_in_time() {
        let micros =
            TimestampMicrosecondArray::from(vec![1_767_225_610_000_000, 1_500_000, -1, -62_135_596_800_000_001]);
        assert_eq!(
            texts(&micros),
            [
                "2026-01-01 00:00:10",
                "1970-01-01 00:00:01.5",
                "1969-12-31 23:59:59.999999",
                "0001-12-31 23:59:59.999999 BC"
            ]
        );
        let zoned = TimestampMillisecondArray::from(vec![1_767_225_610_250]).with_timezone("Europe/Berlin");
        assert_eq!(texts(&zoned), ["2026-01-01 00:00:10.25+00"]);
        assert_eq!(texts(&Date32Array::from(vec![0, -1])), ["1970-01-01", "1969-12-31"]);
        assert_eq!(texts(&Time64MicrosecondArray::from(vec![3_723_000_000, 1])), ["01:02:03", "00:00:00.000001"]);
    }

    #[test]
    fn intervals() {
        let of = |months, days, micros: i64| {
            let value = IntervalMonthDayNano::new(months, days, micros * 1_000);
            texts(&IntervalMonthDayNanoArray::from(vec![value])).remove(0)
        };
        assert_eq!(of(0, 0, 0), "00:00:00");
        assert_eq!(of(14, 3, 14_706_789_000), "1 year 2 mons 3 days 04:05:06.789");
        assert_eq!(of(0, 1, 0), "1 day");
        assert_eq!(of(0, 0, 100 * 3_600_000_000), "100:00:00");
        assert_eq!(of(-14, 3, -1_000_000), "-1 years -2 mons +3 days -00:00:01");
        assert_eq!(of(0, -1, 1_000_000), "-1 days +00:00:01");
    }

    #[test]
    fn nested() {
        let numbers =
            ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None, Some(2)]), Some(vec![])]);
        assert_eq!(texts(&numbers), ["{1,NULL,2}", "{}"]);
        let words: ArrayRef = Arc::new(StringArray::from(vec!["a", "", "null", "b c", "d\"e\\", "x,y", "(z)"]));
        let mut out = String::new();
        items(&words, &mut out).unwrap();
        assert_eq!(out, r#"{a,"","null","b c","d\"e\\","x,y",(z)}"#);
        let bytes: ArrayRef = Arc::new(BinaryArray::from(vec![&b"ab\x00"[..]]));
        assert_eq!(texts(bytes.as_ref()), ["\\x616200"]);
        let mut out = String::new();
        items(&bytes, &mut out).unwrap();
        assert_eq!(out, r#"{"\\x616200"}"#);
        let field = |name: &str, data_type| Arc::new(Field::new(name, data_type, true));
        let record = StructArray::from(vec![
            (field("a", DataType::Int64), Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
            (field("b", DataType::Utf8), Arc::new(StringArray::from(vec!["x y", "q\""])) as ArrayRef),
        ]);
        assert_eq!(texts(&record), [r#"(1,"x y")"#, r#"(,"q""")"#]);
    }
}
