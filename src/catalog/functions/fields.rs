//! Fields of a moment as BIGINT: `hour(ts)` and the like, in the moment's own zone.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::compute::{DatePart, cast, date_part};
use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::common::cast::as_int64_array;
use datafusion::logical_expr::ScalarUDF;

use super::arguments::Parameter::Moment;
use super::arguments::{Arguments, Declared, bigint_type};

/// The functions of this family.
pub(super) fn all() -> Vec<ScalarUDF> {
    let declared = |name, body| Declared::new(name, &[Moment], bigint_type, body);
    vec![
        declared("year", |a| field(a, DatePart::Year, 0)).function(),
        declared("quarter", |a| field(a, DatePart::Quarter, 0)).function(),
        declared("month", |a| field(a, DatePart::Month, 0)).function(),
        declared("week", |a| field(a, DatePart::Week, 0)).function(),
        declared("dayofyear", |a| field(a, DatePart::DayOfYear, 0)).function(),
        declared("dayofmonth", |a| field(a, DatePart::Day, 0)).named(&["day"]),
        // Sunday is 1.
        declared("dayofweek", |a| field(a, DatePart::DayOfWeekSunday0, 1)).function(),
        declared("hour", |a| field(a, DatePart::Hour, 0)).function(),
        declared("minute", |a| field(a, DatePart::Minute, 0)).function(),
        declared("second", |a| field(a, DatePart::Second, 0)).function(),
    ]
}

fn field(arguments: &Arguments, part: DatePart, first: i64) -> Result<ArrayRef> {
    let (moments, _) = arguments.array(0)?;
    let numbers = cast(&date_part(&moments, part)?, &DataType::Int64)?;
    if first == 0 {
        return Ok(numbers);
    }
    let numbers: Int64Array = as_int64_array(&numbers)?.unary(|n| n + first);
    Ok(Arc::new(numbers))
}
