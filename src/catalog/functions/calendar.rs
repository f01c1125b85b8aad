//! The calendar as PostgreSQL reckons with it: `to_char`, `age`, `make_timestamp`, and CEIL to a unit.

use std::sync::Arc;

use arrow::array::{ArrayRef, IntervalMonthDayNanoArray, TimestampMicrosecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::arguments::Parameter::{Integer, Moment, Number, Text};
use super::arguments::{Arguments, Declared};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The functions of this family.
pub(super) fn all() -> Vec<ScalarUDF> {
    vec![
        // age(until, since): whole years, months and days between, and what is left of a day.
        Declared::new("age", &[Moment, Moment], |_| DataType::Interval(IntervalUnit::MonthDayNano), age).function(),
        // make_timestamp(year, month, day, hour, minute, seconds).
        Declared::new(
            "make_timestamp",
            &[Integer, Integer, Integer, Integer, Integer, Number],
            |_| DataType::Timestamp(TimeUnit::Microsecond, None),
            make_timestamp,
        )
        .function(),
        // time_ceil(unit, moment), which is CEIL(moment TO unit).
        Declared::new("time_ceil", &[Text, Moment], |types| types[1].clone(), time_ceil).function(),
    ]
}

fn naive(micros: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp_micros(micros).map(|t| t.naive_utc())
}

fn age(arguments: &Arguments) -> Result<ArrayRef> {
    let (until, since) = (arguments.moments(0)?, arguments.moments(1)?);
    let between = |row: usize| -> Option<IntervalMonthDayNano> {
        let (until, since) = (until.get(row)?, since.get(row)?);
        if until < since {
            let age = years_to_nanos(naive(until)?, naive(since)?)?;
            return Some(IntervalMonthDayNano::new(-age.months, -age.days, -age.nanoseconds));
        }
        years_to_nanos(naive(since)?, naive(until)?)
    };
    Ok(Arc::new((0..arguments.rows()).map(between).collect::<IntervalMonthDayNanoArray>()))
}

/// Fields are subtracted one by one; days are borrowed from the month of the earlier moment.
fn years_to_nanos(since: NaiveDateTime, until: NaiveDateTime) -> Option<IntervalMonthDayNano> {
    let month = |t: &NaiveDateTime| t.year() * 12 + t.month0() as i32;
    let (mut months, mut days) = (month(&until) - month(&since), until.day() as i32 - since.day() as i32);
    let mut nanos = (until.time() - since.time()).num_nanoseconds()?;
    if nanos < 0 {
        nanos += MICROS_PER_DAY * 1_000;
        days -= 1;
    }
    if days < 0 {
        let first = since.date().with_day(1)?;
        days += (first.checked_add_months(Months::new(1))? - first).num_days() as i32;
        months -= 1;
    }
    Some(IntervalMonthDayNano::new(months, days, nanos))
}

fn make_timestamp(arguments: &Arguments) -> Result<ArrayRef> {
    let parts = (0..5).map(|i| arguments.integers(i)).collect::<Result<Vec<_>>>()?;
    let seconds = arguments.numbers(5)?;
    let made = |row: usize| -> Result<Option<i64>> {
        let parts: Option<Vec<i64>> = parts.iter().map(|part| part.get(row)).collect();
        let (Some(parts), Some(seconds)) = (parts, seconds.get(row)) else { return Ok(None) };
        let part = |i: usize| u32::try_from(parts[i]).unwrap_or(u32::MAX);
        let date = i32::try_from(parts[0]).ok().and_then(|year| NaiveDate::from_ymd_opt(year, part(1), part(2)));
        let time = NaiveTime::from_hms_opt(part(3), part(4), 0);
        match (date, time) {
            (Some(date), Some(time)) if (0.0..60.0).contains(&seconds) => {
                let micros = date.and_time(time).and_utc().timestamp_micros();
                Ok(Some(micros + (seconds * 1e6).round() as i64))
            }
            _ => exec_err!("make_timestamp of {parts:?} and {seconds} seconds is no moment"),
        }
    };
    Ok(Arc::new((0..arguments.rows()).map(made).collect::<Result<TimestampMicrosecondArray>>()?))
}

fn time_ceil(arguments: &Arguments) -> Result<ArrayRef> {
    let (units, moments) = (arguments.texts(0)?, arguments.moments(1)?);
    let up = |row: usize| -> Result<Option<i64>> {
        let (Some(unit), Some(at)) = (units.get(row), moments.get(row)) else { return Ok(None) };
        let raised = match unit.to_ascii_uppercase().as_str() {
            "MILLISECOND" => to_multiple(at, 1_000),
            "SECOND" => to_multiple(at, 1_000_000),
            "MINUTE" => to_multiple(at, 60_000_000),
            "HOUR" => to_multiple(at, 3_600_000_000),
            "DAY" => to_multiple(at, MICROS_PER_DAY),
            // Weeks begin on Monday; 1970 began on a Thursday.
            "WEEK" => {
                to_multiple(at - 4 * MICROS_PER_DAY, 7 * MICROS_PER_DAY).and_then(|t| t.checked_add(4 * MICROS_PER_DAY))
            }
            "MONTH" => to_months(at, 1),
            "QUARTER" => to_months(at, 3),
            "YEAR" => to_months(at, 12),
            _ => {
                return exec_err!(
                    "CEIL to '{unit}' is not known: write SECOND, MINUTE, HOUR, DAY, WEEK, MONTH, QUARTER or YEAR"
                );
            }
        };
        raised.map(Some).ok_or_else(|| exec_datafusion_err!("CEIL leaves the range of timestamps"))
    };
    let raised: TimestampMicrosecondArray = (0..arguments.rows()).map(up).collect::<Result<_>>()?;
    let raised: ArrayRef = Arc::new(raised.with_timezone_opt(moments.zone()));
    Ok(cast(&raised, &arguments.data_type(1))?)
}

fn to_multiple(at: i64, unit: i64) -> Option<i64> {
    match at.rem_euclid(unit) {
        0 => Some(at),
        over => at.checked_add(unit - over),
    }
}

fn to_months(at: i64, months: u32) -> Option<i64> {
    let moment = naive(at)?;
    let start = NaiveDate::from_ymd_opt(moment.year(), moment.month0() / months * months + 1, 1)?;
    let start_micros = start.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
    if start_micros == at {
        return Some(at);
    }
    Some(start.checked_add_months(Months::new(months))?.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
}
