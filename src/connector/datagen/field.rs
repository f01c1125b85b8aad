//! What a generated column holds: its options, and its value in any row as a pure function of seed, column and row.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray, StringArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};

use super::moment::{BASE_MILLIS, parse_moment};
use crate::error::{Error, Result};
use crate::format::spelling;
use crate::settings::Options;
use crate::time::Timestamp;

/// Length of a random text where no option says.
const TEXT_LENGTH: u64 = 16;
/// Elements of a random array where no option says.
const LIST_LENGTH: u64 = 3;
/// The longest text or array.
const LENGTH_MAX: u64 = 1 << 20;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// A column that makes its own values.
#[derive(Debug, Clone)]
pub(super) struct Generated {
    /// Seed of the column, from the seed of the table and the column's name.
    seed: u64,
    null_rate: f64,
    values: Values,
    target: DataType,
}

#[derive(Debug, Clone)]
enum Values {
    /// start, start + 1, …
    Sequence {
        start: i64,
    },
    /// Whole numbers in `min..=max`.
    Numbers {
        min: i64,
        max: i64,
    },
    /// Numbers in `min..max`.
    Reals {
        min: f64,
        max: f64,
    },
    /// Decimals in `min..=max`, in units of the last digit.
    Decimals {
        min: i128,
        max: i128,
        precision: u8,
        scale: i8,
    },
    Booleans,
    /// Lower-case hexadecimal digits, `length` of them, or up to that many.
    Texts {
        length: u64,
        varied: bool,
    },
    /// One of these.
    Choice(Vec<String>),
    /// `base + row * step`, moved back by up to `past`; microseconds.
    Moments {
        base: i64,
        step: f64,
        past: i64,
    },
    /// Days since 1970 in `min..=max`.
    Days {
        min: i64,
        max: i64,
    },
    /// Any second of the day.
    TimesOfDay,
    List {
        length: u64,
        field: FieldRef,
        element: Box<Generated>,
    },
    Row {
        fields: Fields,
        columns: Vec<Generated>,
    },
}

/// What the columns of a table share.
pub(super) struct Table<'a> {
    pub(super) name: &'a str,
    pub(super) options: &'a Options,
    pub(super) seed: u64,
    /// Microseconds of event time between rows, unless a column says otherwise.
    pub(super) step_micros: f64,
    pub(super) now: Timestamp,
}

impl Generated {
    /// The column for a declared field, and after how many rows its sequence ends, when it has one.
    pub(super) fn new(table: &Table<'_>, field: &Field) -> Result<(Self, Option<u64>)> {
        Self::at(table, spelling(field), field.data_type())
    }

    fn at(table: &Table<'_>, path: &str, target: &DataType) -> Result<(Self, Option<u64>)> {
        let own = Own { options: table.options, path };
        let null_rate = own.parse::<f64>("null-rate")?.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&null_rate) {
            return Err(own.wrong("null-rate", format!("is between 0 and 1, not {null_rate}")));
        }
        let mut rows = None;
        let kind = own.get("kind").map(str::to_ascii_lowercase);
        let values = match kind.as_deref() {
            Some("sequence") => {
                let start = own.parse::<i64>("start")?.unwrap_or(0);
                let end = own.parse::<i64>("end")?;
                if let Some(end) = end {
                    let count = end.checked_sub(start).and_then(|n| n.checked_add(1)).filter(|n| *n > 0);
                    let message = || own.wrong("end", format!("is {end}, which does not lie behind the start {start}"));
                    rows = Some(count.ok_or_else(message)? as u64);
                }
                castable(table, path, &DataType::Int64, target)?;
                Values::Sequence { start }
            }
            None | Some("random") => random(table, &own, target)?,
            Some(other) => return Err(own.wrong("kind", format!("is 'random' or 'sequence', not '{other}'"))),
        };
        let seed = path.bytes().fold(mix(table.seed), |seed, byte| mix(seed ^ u64::from(byte)));
        Ok((Self { seed, null_rate, values, target: target.clone() }, rows))
    }

    /// The values of these rows.
    pub(super) fn array(&self, rows: &[u64]) -> Result<ArrayRef> {
        let nulls = (self.null_rate > 0.0).then(|| {
            // A draw of its own, so that the values of the other rows do not depend on it.
            let null = |row: &u64| unit(mix(self.draw(*row) ^ 0x6e75_6c6c)) < self.null_rate;
            NullBuffer::from_iter(rows.iter().map(|row| !null(row)))
        });
        let draws = rows.iter().map(|row| self.draw(*row));
        let array: ArrayRef = match &self.values {
            Values::Sequence { start } => {
                let values: Option<Vec<i64>> =
                    rows.iter().map(|row| i64::try_from(*row).ok().and_then(|row| start.checked_add(row))).collect();
                let values = values.ok_or_else(|| Error::execution("a sequence went beyond the largest BIGINT"))?;
                Arc::new(Int64Array::new(values.into(), nulls))
            }
            Values::Numbers { min, max } => {
                let values: Vec<i64> =
                    draws.map(|draw| within(draw, i128::from(*min), i128::from(*max)) as i64).collect();
                Arc::new(Int64Array::new(values.into(), nulls))
            }
            Values::Reals { min, max } => {
                let values: Vec<f64> = draws.map(|draw| min + unit(draw) * (max - min)).collect();
                Arc::new(Float64Array::new(values.into(), nulls))
            }
            Values::Decimals { min, max, precision, scale } => {
                let values: Vec<i128> = draws.map(|draw| within(draw, *min, *max)).collect();
                Arc::new(Decimal128Array::new(values.into(), nulls).with_precision_and_scale(*precision, *scale)?)
            }
            Values::Booleans => Arc::new(BooleanArray::new(draws.map(|draw| draw >> 63 == 1).collect(), nulls)),
            Values::Texts { length, varied } => {
                let texts = draws.map(|draw| text(draw, *length, *varied));
                Arc::new(with_nulls(StringArray::from_iter_values(texts), nulls))
            }
            Values::Choice(of) => {
                let texts = draws.map(|draw| of[within(draw, 0, of.len() as i128 - 1) as usize].as_str());
                Arc::new(with_nulls(StringArray::from_iter_values(texts), nulls))
            }
            Values::Moments { base, step, past } => {
                let at = |row: &u64| (*row as f64 * step) as i64;
                let back = |row: &u64| within(self.draw(*row), 0, i128::from(*past)) as i64;
                let values: Vec<i64> =
                    rows.iter().map(|row| base.saturating_add(at(row)).saturating_sub(back(row))).collect();
                Arc::new(arrow::array::TimestampMicrosecondArray::new(values.into(), nulls))
            }
            Values::Days { min, max } => {
                let values: Vec<i32> =
                    draws.map(|draw| within(draw, i128::from(*min), i128::from(*max)) as i32).collect();
                Arc::new(arrow::array::Date32Array::new(values.into(), nulls))
            }
            Values::TimesOfDay => {
                let values: Vec<i32> = draws.map(|draw| within(draw, 0, 86_399) as i32).collect();
                Arc::new(arrow::array::Time32SecondArray::new(values.into(), nulls))
            }
            Values::List { length, field, element } => {
                let elements: Vec<u64> =
                    rows.iter().flat_map(|row| (0..*length).map(move |i| mix(row.wrapping_add(mix(i))))).collect();
                let offsets = OffsetBuffer::from_repeated_length(*length as usize, rows.len());
                Arc::new(ListArray::try_new(Arc::clone(field), offsets, element.array(&elements)?, nulls)?)
            }
            Values::Row { fields, columns } => {
                let arrays = columns.iter().map(|column| column.array(rows)).collect::<Result<Vec<_>>>()?;
                Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls, rows.len())?)
            }
        };
        if array.data_type() == &self.target {
            return Ok(array);
        }
        Ok(cast_with_options(&array, &self.target, &CastOptions { safe: false, ..CastOptions::default() })?)
    }

    fn draw(&self, row: u64) -> u64 {
        mix(self.seed ^ mix(row))
    }
}

/// The random values of a type.
fn random(table: &Table<'_>, own: &Own<'_>, target: &DataType) -> Result<Values> {
    if let Some(list) = own.get("values") {
        castable(table, own.path, &DataType::Utf8, target)?;
        let of: Vec<String> = list.split(',').map(|value| value.trim().to_owned()).collect();
        // Every value must be one of the column's type, now and not when it is drawn.
        let array: ArrayRef = Arc::new(StringArray::from_iter_values(&of));
        cast_with_options(&array, target, &CastOptions { safe: false, ..CastOptions::default() })
            .map_err(|e| own.wrong("values", format!("has a value that is no {target}: {e}")))?;
        return Ok(Values::Choice(of));
    }
    Ok(match target {
        DataType::Boolean => Values::Booleans,
        DataType::Int8 => own.numbers(i8::MIN.into(), i8::MAX.into())?,
        DataType::Int16 => own.numbers(i16::MIN.into(), i16::MAX.into())?,
        DataType::Int32 => own.numbers(i32::MIN.into(), i32::MAX.into())?,
        DataType::Int64 => own.numbers(i64::MIN, i64::MAX)?,
        DataType::UInt8 => own.numbers(0, u8::MAX.into())?,
        DataType::UInt16 => own.numbers(0, u16::MAX.into())?,
        DataType::UInt32 => own.numbers(0, u32::MAX.into())?,
        DataType::UInt64 => own.numbers(0, i64::MAX)?,
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let min = own.parse::<f64>("min")?.unwrap_or(0.0);
            let max = own.parse::<f64>("max")?.unwrap_or(1.0);
            if !(min <= max && min.is_finite() && max.is_finite()) {
                return Err(own.wrong("max", format!("is {max}, which is less than the min {min}")));
            }
            Values::Reals { min, max }
        }
        DataType::Decimal128(precision, scale) => {
            let largest = 10_i128.checked_pow(u32::from(*precision)).map_or(i128::MAX, |n| n - 1);
            let min = own.decimal("min", *precision, *scale)?.unwrap_or(-largest);
            let max = own.decimal("max", *precision, *scale)?.unwrap_or(largest);
            if min > max {
                return Err(own.wrong("max", "is less than the min".to_owned()));
            }
            Values::Decimals { min, max, precision: *precision, scale: *scale }
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let varied = own.options.flag(&own.name("var-len"), false)?;
            Values::Texts { length: own.length(TEXT_LENGTH)?, varied }
        }
        DataType::Timestamp(..) => {
            let base = match own.get("base-time").or(table.options.get("base-time")) {
                Some(text) => parse_moment(table.options, "base-time", text, table.now)?,
                None => BASE_MILLIS,
            };
            let step = table.options.duration(&own.name("step"))?.map_or(table.step_micros, |micros| micros as f64);
            let past = table.options.duration(&own.name("max-past"))?.unwrap_or(0);
            Values::Moments { base: base.saturating_mul(1000), step, past }
        }
        DataType::Date32 | DataType::Date64 => {
            let day = |name: &str| -> Result<Option<i64>> {
                let Some(text) = own.get(name) else { return Ok(None) };
                let millis = parse_moment(table.options, &own.name(name), text, table.now)?;
                Ok(Some(millis.div_euclid(MILLIS_PER_DAY)))
            };
            let base = BASE_MILLIS / MILLIS_PER_DAY;
            let (min, max) = (day("min")?.unwrap_or(base - 365), day("max")?.unwrap_or(base + 364));
            if min > max {
                return Err(own.wrong("max", "is before the min".to_owned()));
            }
            Values::Days { min, max }
        }
        DataType::Time32(_) | DataType::Time64(_) => Values::TimesOfDay,
        DataType::List(field) => {
            let path = format!("{}.element", own.path);
            let (element, _) = Generated::at(table, &path, field.data_type())?;
            Values::List { length: own.length(LIST_LENGTH)?, field: Arc::clone(field), element: Box::new(element) }
        }
        DataType::Struct(fields) => {
            let inner = |f: &FieldRef| {
                let path = format!("{}.{}", own.path, spelling(f));
                Ok(Generated::at(table, &path, f.data_type())?.0)
            };
            Values::Row { fields: fields.clone(), columns: fields.iter().map(inner).collect::<Result<_>>()? }
        }
        _ => {
            return Err(Error::unsupported(format!(
                "datagen can't make column '{}' of '{}', of type {target}",
                own.path, table.name
            ))
            .help(format!("give its values: '{}' = 'a, b, c'", own.name("values"))));
        }
    })
}

/// The options of one column.
struct Own<'a> {
    options: &'a Options,
    path: &'a str,
}

impl Own<'_> {
    fn name(&self, option: &str) -> String {
        format!("fields.{}.{option}", self.path)
    }

    fn get(&self, option: &str) -> Option<&str> {
        self.options.get(&self.name(option))
    }

    fn parse<T: std::str::FromStr>(&self, option: &str) -> Result<Option<T>> {
        self.options.parse(&self.name(option))
    }

    fn wrong(&self, option: &str, message: String) -> Error {
        let name = self.name(option);
        self.options.wrong(&name, format!("option '{name}' {message}"))
    }

    fn numbers(&self, least: i64, most: i64) -> Result<Values> {
        let min = self.parse::<i64>("min")?.unwrap_or(least);
        let max = self.parse::<i64>("max")?.unwrap_or(most);
        for (option, value) in [("min", min), ("max", max)] {
            if !(least..=most).contains(&value) {
                return Err(self.wrong(option, format!("is {value}, which the column's type can't hold")));
            }
        }
        if min > max {
            return Err(self.wrong("max", format!("is {max}, which is less than the min {min}")));
        }
        Ok(Values::Numbers { min, max })
    }

    fn decimal(&self, option: &str, precision: u8, scale: i8) -> Result<Option<i128>> {
        let Some(text) = self.get(option) else { return Ok(None) };
        arrow::compute::kernels::cast_utils::parse_decimal::<arrow::datatypes::Decimal128Type>(
            text.trim(),
            precision,
            scale,
        )
        .map(Some)
        .map_err(|_| self.wrong(option, format!("is '{text}', which is no DECIMAL({precision}, {scale})")))
    }

    fn length(&self, default: u64) -> Result<u64> {
        let length = self.parse::<u64>("length")?.unwrap_or(default);
        if length <= LENGTH_MAX {
            return Ok(length);
        }
        Err(self.wrong("length", format!("is {length}, and the most is {LENGTH_MAX}")))
    }
}

fn castable(table: &Table<'_>, path: &str, from: &DataType, to: &DataType) -> Result<()> {
    if from == to || can_cast_types(from, to) {
        return Ok(());
    }
    Err(Error::sql(format!("column '{path}' of '{}' is {to}, which can't be made from {from}", table.name)))
}

fn with_nulls(texts: StringArray, nulls: Option<NullBuffer>) -> StringArray {
    let (offsets, values, _) = texts.into_parts();
    StringArray::new(offsets, values, nulls)
}

/// Letters of a text, 16 to a draw.
fn text(draw: u64, length: u64, varied: bool) -> String {
    let length = if varied && length > 0 { within(mix(draw), 1, i128::from(length)) as u64 } else { length };
    let mut text = String::with_capacity(length as usize);
    let mut draw = draw;
    for i in 0..length {
        if i % 16 == 0 {
            draw = mix(draw);
        }
        text.extend(char::from_digit((draw >> (i % 16 * 4)) as u32 & 15, 16));
    }
    text
}

/// A number in `min..=max` for a draw.
fn within(draw: u64, min: i128, max: i128) -> i128 {
    // Wrapping, as the widest DECIMAL has more values than an i128 is positive.
    let range = max.wrapping_sub(min) as u128 + 1;
    let offset = match u64::try_from(range) {
        Ok(range) => (u128::from(draw) * u128::from(range)) >> 64,
        // Wider than one draw: two of them, and a remainder too small to matter.
        Err(_) => (u128::from(mix(draw)) << 64 | u128::from(draw)) % range,
    };
    min.wrapping_add(offset as i128)
}

/// A number in 0..1 for a draw.
fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64
}

/// A step of SplitMix64: neighbours give numbers that have nothing to do with each other.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_within_the_widest_bounds() {
        let widest = 10_i128.pow(38) - 1;
        for (min, max) in [(-widest, widest), (i64::MIN.into(), i64::MAX.into()), (0, 0), (-1, 1), (5, 1 << 70)] {
            for draw in [0, 1, u64::MAX / 3, u64::MAX - 1, u64::MAX] {
                let value = within(draw, min, max);
                assert!((min..=max).contains(&value), "{value} for {draw} in {min}..={max}");
            }
        }
        assert_eq!((within(0, -1, 1), within(u64::MAX, -1, 1)), (-1, 1));
    }
}
