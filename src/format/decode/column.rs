//! One column in the making: values are appended as text, numbers or NULL, and cut back when their record turns out bad.
//!
//! Arrow's own builders can't be cut back, and a bad record must leave no trace; that is why these exist.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, ListArray, MapArray, NullArray, NullBufferBuilder, PrimitiveArray,
    StringArray, StructArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Field, FieldRef, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use chrono::TimeZone;

use super::number::{Excess, parse_decimal, parse_int};
use super::row::Row;
use super::{Reason, shown};
use crate::error::{Error, Result};
use crate::format::instant::{Instant, parse_date, parse_time, parse_timestamp, per_second};
use crate::format::spelling;

/// The unit of a number that stands in a TIMESTAMP column; `None`: that of the column.
pub(crate) type NumberUnit = Option<TimeUnit>;

/// A column in the making.
pub(super) struct Column {
    pub(super) name: Arc<str>,
    pub(super) data_type: DataType,
    nullable: bool,
    pub(super) nulls: NullBufferBuilder,
    pub(super) values: Values,
}

/// Its values; a NULL has some value too.
pub(super) enum Values {
    Nothing,
    Bool(Vec<bool>),
    /// Every integer but the widest unsigned one, with the bounds of its type.
    Int(Vec<i64>, i64, i64),
    /// Decimals, times 10^scale, with the bound of the precision; and the widest unsigned integer.
    Wide(Vec<i128>, i32, i128),
    Float(Vec<f64>),
    /// Offsets and UTF-8.
    Text(Vec<i32>, String),
    /// Timestamps, with the zone of what is written without one when it is not UTC, and the unit of numbers.
    Timestamp(Vec<i64>, TimeUnit, Option<arrow::array::timezone::Tz>, TimeUnit),
    Date(Vec<i32>),
    Time(Vec<i64>, TimeUnit),
    Struct(Box<Row>),
    List(Vec<i32>, Box<Column>),
    /// Offsets, keys, values.
    Map(Vec<i32>, Box<(Column, Column)>),
}

impl Column {
    /// An empty column for a field.
    pub(super) fn new(field: &Field, numbers: NumberUnit) -> Result<Self> {
        let values = match field.data_type() {
            DataType::Null => Values::Nothing,
            DataType::Boolean => Values::Bool(Vec::new()),
            DataType::Int8 => Values::Int(Vec::new(), i8::MIN.into(), i8::MAX.into()),
            DataType::Int16 => Values::Int(Vec::new(), i16::MIN.into(), i16::MAX.into()),
            DataType::Int32 => Values::Int(Vec::new(), i32::MIN.into(), i32::MAX.into()),
            DataType::Int64 => Values::Int(Vec::new(), i64::MIN, i64::MAX),
            DataType::UInt8 => Values::Int(Vec::new(), 0, u8::MAX.into()),
            DataType::UInt16 => Values::Int(Vec::new(), 0, u16::MAX.into()),
            DataType::UInt32 => Values::Int(Vec::new(), 0, u32::MAX.into()),
            DataType::UInt64 => Values::Wide(Vec::new(), 0, u64::MAX.into()),
            DataType::Decimal128(precision, scale) => {
                Values::Wide(Vec::new(), (*scale).into(), 10_i128.pow((*precision).into()) - 1)
            }
            DataType::Float32 | DataType::Float64 => Values::Float(Vec::new()),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Values::Text(vec![0], String::new()),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Values::Text(vec![0], String::new()),
            DataType::Dictionary(_, value) if **value == DataType::Utf8 => Values::Text(vec![0], String::new()),
            DataType::Timestamp(unit, zone) => {
                let zone = match zone.as_deref() {
                    None | Some("UTC" | "Z" | "+00:00" | "Etc/UTC") => None,
                    Some(zone) => Some(zone.parse()?),
                };
                Values::Timestamp(Vec::new(), *unit, zone, numbers.unwrap_or(*unit))
            }
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Time32(unit) | DataType::Time64(unit) => Values::Time(Vec::new(), *unit),
            DataType::Struct(fields) => Values::Struct(Box::new(Row::new(fields, numbers)?)),
            DataType::List(item) => Values::List(vec![0], Box::new(Self::new(item, numbers)?)),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => {
                    let columns = (Self::new(&fields[0], numbers)?, Self::new(&fields[1], numbers)?);
                    Values::Map(vec![0], Box::new(columns))
                }
                _ => return Err(Error::internal(format!("column '{}' is a malformed map", field.name()))),
            },
            other => {
                return Err(Error::unsupported(format!(
                    "column '{}' has type {other}, which can't be read",
                    field.name()
                ))
                .help("declare it VARCHAR and cast it in the query"));
            }
        };
        Ok(Self {
            name: spelling(field).into(),
            data_type: field.data_type().clone(),
            nullable: field.is_nullable(),
            nulls: NullBufferBuilder::new(0),
            values,
        })
    }

    /// Whether it has no fields or items of its own.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(self.values, Values::Struct(_) | Values::List(..) | Values::Map(..))
    }

    /// Whether an empty text is a value of it.
    pub(super) fn is_text(&self) -> bool {
        matches!(self.values, Values::Text(..))
    }

    pub(super) fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Appends NULL.
    pub(super) fn append_null(&mut self) -> Result<(), Reason> {
        if !self.nullable {
            return Err(format!("column '{}' is NOT NULL and has no value", self.name));
        }
        match &mut self.values {
            Values::Nothing => {}
            Values::Bool(values) => values.push(false),
            Values::Int(values, ..) | Values::Timestamp(values, ..) | Values::Time(values, _) => values.push(0),
            Values::Wide(values, ..) => values.push(0),
            Values::Float(values) => values.push(0.0),
            Values::Date(values) => values.push(0),
            Values::Text(offsets, _) | Values::List(offsets, _) | Values::Map(offsets, _) => {
                offsets.push(offsets.last().copied().unwrap_or(0));
            }
            Values::Struct(row) => row.append_null(),
        }
        self.nulls.append_null();
        Ok(())
    }

    /// Appends a place-holder under a NULL of the struct around it, NOT NULL or not.
    pub(super) fn append_masked(&mut self) {
        let nullable = std::mem::replace(&mut self.nullable, true);
        let _ = self.append_null();
        self.nullable = nullable;
    }

    /// Appends a truth value.
    pub(super) fn append_bool(&mut self, value: bool) -> Result<(), Reason> {
        let text = if value { "true" } else { "false" };
        match &mut self.values {
            Values::Bool(values) => values.push(value),
            Values::Text(offsets, all) => push_text(offsets, all, text)?,
            _ => return Err(self.mismatch(text)),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Appends a number, given as its text, which holds the grammar of JSON numbers.
    pub(super) fn append_number(&mut self, text: &str) -> Result<(), Reason> {
        match &mut self.values {
            Values::Timestamp(values, unit, _, numbers) => {
                // Through nanoseconds, so that `1700000000.25` seconds keeps its fraction.
                let nanos = parse_decimal(text, digits_of(*numbers), Excess::Floor);
                let value = nanos.map(|n| n.div_euclid(i128::from(1_000_000_000 / per_second(*unit))));
                match value.and_then(|v| i64::try_from(v).ok()) {
                    Some(value) => values.push(value),
                    None => return Err(self.mismatch(text)),
                }
            }
            Values::Date(values) => match parse_int(text).and_then(|days| i32::try_from(days).ok()) {
                Some(days) => values.push(days),
                None => return Err(self.mismatch(text)),
            },
            Values::Bool(_) | Values::Time(..) => return Err(self.mismatch(text)),
            _ => return self.append_text(text),
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Appends a value from its text (a JSON string, a field of a CSV record).
    pub(super) fn append_text(&mut self, text: &str) -> Result<(), Reason> {
        if let Values::Text(offsets, all) = &mut self.values {
            push_text(offsets, all, text)?;
            self.nulls.append_non_null();
            return Ok(());
        }
        let text = text.trim_ascii();
        let appended = match &mut self.values {
            Values::Bool(values) => parse_bool(text).map(|v| values.push(v)),
            Values::Int(values, least, most) => {
                parse_int(text).filter(|v| (*least..=*most).contains(v)).map(|v| values.push(v))
            }
            Values::Wide(values, scale, most) => {
                let excess = if self.data_type == DataType::UInt64 { Excess::Refuse } else { Excess::Round };
                let least = if self.data_type == DataType::UInt64 { 0 } else { -*most };
                parse_decimal(text, *scale, excess).filter(|v| (least..=*most).contains(v)).map(|v| values.push(v))
            }
            Values::Float(values) => {
                let narrow = self.data_type == DataType::Float32;
                parse_float(text, narrow).map(|v| values.push(v))
            }
            Values::Timestamp(values, unit, zone, _) => match parse_timestamp(text.as_bytes()) {
                Some(at) if at.offset.is_some() || zone.is_none() => at.to_unit(*unit).map(|v| values.push(v)),
                Some(at) => local(zone.as_ref(), at).and_then(|at| at.to_unit(*unit)).map(|v| values.push(v)),
                None if is_number(text) => return self.append_number(text),
                None => None,
            },
            Values::Date(values) => parse_date(text.as_bytes()).map(|v| values.push(v)),
            Values::Time(values, unit) => {
                parse_time(text.as_bytes()).map(|v| values.push(v / (1_000_000_000 / per_second(*unit))))
            }
            _ => None,
        };
        match appended {
            Some(()) => {
                self.nulls.append_non_null();
                Ok(())
            }
            None => Err(self.mismatch(text)),
        }
    }

    /// Appends an instant to a TIMESTAMP column.
    pub(super) fn append_instant(&mut self, at: Instant, text: &str) -> Result<(), Reason> {
        match &mut self.values {
            Values::Timestamp(values, unit, ..) if at.to_unit(*unit).is_some() => {
                values.push(at.to_unit(*unit).unwrap_or(0));
                self.nulls.append_non_null();
                Ok(())
            }
            Values::Text(..) => self.append_text(text),
            _ => Err(self.mismatch(text)),
        }
    }

    /// Marks the struct, list or map whose parts were appended just now as there. `Err` when it is too large.
    pub(super) fn close(&mut self) -> Result<(), Reason> {
        match &mut self.values {
            Values::List(offsets, child) => offsets.push(offset(child.len())?),
            Values::Map(offsets, columns) => offsets.push(offset(columns.0.len())?),
            _ => {}
        }
        self.nulls.append_non_null();
        Ok(())
    }

    /// Cuts it back to its first rows, with all that a row left half done.
    pub(super) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Nothing => {}
            Values::Bool(values) => values.truncate(rows),
            Values::Int(values, ..) | Values::Timestamp(values, ..) | Values::Time(values, _) => values.truncate(rows),
            Values::Wide(values, ..) => values.truncate(rows),
            Values::Float(values) => values.truncate(rows),
            Values::Date(values) => values.truncate(rows),
            Values::Text(offsets, all) => {
                offsets.truncate(rows + 1);
                all.truncate(end(offsets));
            }
            Values::Struct(row) => row.truncate(rows),
            Values::List(offsets, child) => {
                offsets.truncate(rows + 1);
                child.truncate(end(offsets));
            }
            Values::Map(offsets, columns) => {
                offsets.truncate(rows + 1);
                columns.0.truncate(end(offsets));
                columns.1.truncate(end(offsets));
            }
        }
        if self.nulls.len() > rows {
            self.nulls.truncate(rows);
        }
    }

    /// Takes the rows out as an array.
    pub(super) fn finish(&mut self) -> Result<ArrayRef> {
        let rows = self.len();
        let nulls = self.nulls.finish();
        self.nulls = NullBufferBuilder::new(rows);
        let array: ArrayRef = match &mut self.values {
            Values::Nothing => Arc::new(NullArray::new(rows)),
            Values::Bool(values) => Arc::new(BooleanArray::new(std::mem::take(values).into(), nulls)),
            Values::Int(values, ..) => {
                let values = take(values);
                match self.data_type {
                    DataType::Int8 => narrow::<Int8Type>(values, nulls, |v| v as i8),
                    DataType::Int16 => narrow::<Int16Type>(values, nulls, |v| v as i16),
                    DataType::Int32 => narrow::<Int32Type>(values, nulls, |v| v as i32),
                    DataType::UInt8 => narrow::<UInt8Type>(values, nulls, |v| v as u8),
                    DataType::UInt16 => narrow::<UInt16Type>(values, nulls, |v| v as u16),
                    DataType::UInt32 => narrow::<UInt32Type>(values, nulls, |v| v as u32),
                    _ => Arc::new(PrimitiveArray::<Int64Type>::new(values.into(), nulls)),
                }
            }
            Values::Wide(values, ..) => match self.data_type {
                DataType::Decimal128(precision, scale) => {
                    let array = Decimal128Array::new(take(values).into(), nulls);
                    Arc::new(array.with_precision_and_scale(precision, scale)?)
                }
                _ => {
                    let values: Vec<u64> = take(values).into_iter().map(|v| v as u64).collect();
                    Arc::new(PrimitiveArray::<UInt64Type>::new(values.into(), nulls))
                }
            },
            Values::Float(values) if self.data_type == DataType::Float32 => {
                let values: Vec<f32> = take(values).into_iter().map(|v| v as f32).collect();
                Arc::new(PrimitiveArray::<Float32Type>::new(values.into(), nulls))
            }
            Values::Float(values) => Arc::new(PrimitiveArray::<Float64Type>::new(take(values).into(), nulls)),
            Values::Text(offsets, all) => {
                let text = std::mem::replace(all, String::with_capacity(room(all.len())));
                let array = StringArray::try_new(take_offsets(offsets), Buffer::from_vec(text.into_bytes()), nulls)?;
                match self.data_type {
                    DataType::Utf8 => Arc::new(array),
                    _ => cast(&array, &self.data_type)?,
                }
            }
            Values::Timestamp(values, unit, ..) => {
                let values = take(values).into();
                let array: ArrayRef = match unit {
                    TimeUnit::Second => Arc::new(PrimitiveArray::<TimestampSecondType>::new(values, nulls)),
                    TimeUnit::Millisecond => Arc::new(PrimitiveArray::<TimestampMillisecondType>::new(values, nulls)),
                    TimeUnit::Microsecond => Arc::new(PrimitiveArray::<TimestampMicrosecondType>::new(values, nulls)),
                    TimeUnit::Nanosecond => Arc::new(PrimitiveArray::<TimestampNanosecondType>::new(values, nulls)),
                };
                // The values are instants already: only the label changes.
                match &self.data_type {
                    DataType::Timestamp(_, None) => array,
                    labelled => {
                        arrow::array::make_array(array.to_data().into_builder().data_type(labelled.clone()).build()?)
                    }
                }
            }
            Values::Date(values) => Arc::new(PrimitiveArray::<Date32Type>::new(take(values).into(), nulls)),
            Values::Time(values, _) => {
                let array = PrimitiveArray::<Int64Type>::new(take(values).into(), nulls);
                match self.data_type {
                    DataType::Time32(_) => cast(&cast(&array, &DataType::Int32)?, &self.data_type)?,
                    _ => cast(&array, &self.data_type)?,
                }
            }
            Values::Struct(row) => match &self.data_type {
                DataType::Struct(fields) => {
                    Arc::new(StructArray::try_new_with_length(fields.clone(), row.finish()?, nulls, rows)?)
                }
                _ => return Err(Error::internal("a struct column without fields")),
            },
            Values::List(offsets, child) => match &self.data_type {
                DataType::List(item) => {
                    let offsets = take_offsets(offsets);
                    Arc::new(ListArray::try_new(item.clone(), offsets, child.finish()?, nulls)?)
                }
                _ => return Err(Error::internal("a list column without items")),
            },
            Values::Map(offsets, columns) => match &self.data_type {
                DataType::Map(entries, sorted) => {
                    let arrays = vec![columns.0.finish()?, columns.1.finish()?];
                    let entries: FieldRef = entries.clone();
                    let DataType::Struct(fields) = entries.data_type() else {
                        return Err(Error::internal("a map column without entries"));
                    };
                    let structs = StructArray::try_new(fields.clone(), arrays, None)?;
                    Arc::new(MapArray::try_new(entries, take_offsets(offsets), structs, nulls, *sorted)?)
                }
                _ => return Err(Error::internal("a map column without entries")),
            },
        };
        Ok(array)
    }

    /// What is said of a value that does not fit.
    pub(super) fn mismatch(&self, found: &str) -> Reason {
        format!("column '{}': {} is not a {}", self.name, shown(found), type_name(&self.data_type))
    }
}

fn push_text(offsets: &mut Vec<i32>, all: &mut String, text: &str) -> Result<(), Reason> {
    offsets.push(offset(all.len() + text.len())?);
    all.push_str(text);
    Ok(())
}

fn offset(at: usize) -> Result<i32, Reason> {
    i32::try_from(at).map_err(|_| "the block of records holds more than 2 GiB of values".to_owned())
}

fn end(offsets: &[i32]) -> usize {
    offsets.last().map_or(0, |o| *o as usize)
}

/// Takes values out and leaves room for as many: blocks are alike.
fn take<T>(values: &mut Vec<T>) -> Vec<T> {
    let room = Vec::with_capacity(room(values.len()));
    std::mem::replace(values, room)
}

/// Room for the values of the next block: some more than the last had, as to grow would be to move them all.
fn room(last: usize) -> usize {
    last + last / 8
}

fn take_offsets(offsets: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let mut next = Vec::with_capacity(room(offsets.len()));
    next.push(0);
    OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(offsets, next)))
}

fn narrow<T: ArrowPrimitiveType>(values: Vec<i64>, nulls: Option<NullBuffer>, to: fn(i64) -> T::Native) -> ArrayRef {
    let values: Vec<T::Native> = values.into_iter().map(to).collect();
    Arc::new(PrimitiveArray::<T>::new(values.into(), nulls))
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "TRUE" | "True" | "t" | "T" => Some(true),
        "false" | "FALSE" | "False" | "f" | "F" => Some(false),
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

/// A number too large for the type is refused; an infinity must be written as one.
fn parse_float(text: &str, narrow: bool) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    let value = if narrow { f64::from(value as f32) } else { value };
    (!value.is_infinite() || !text.bytes().any(|b| b.is_ascii_digit())).then_some(value)
}

/// Whether the text is all digits, with a sign or a point perhaps: a count of seconds or its fractions.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// Decimal digits from nanoseconds to a unit: the scale that turns a number in that unit into nanoseconds.
fn digits_of(unit: TimeUnit) -> i32 {
    match unit {
        TimeUnit::Second => 9,
        TimeUnit::Millisecond => 6,
        TimeUnit::Microsecond => 3,
        TimeUnit::Nanosecond => 0,
    }
}

/// A time written without a zone, in the zone of the column. One that comes twice when clocks go back is the earlier one;
/// one that is skipped when they go forward is none.
fn local(zone: Option<&arrow::array::timezone::Tz>, at: Instant) -> Option<Instant> {
    let written = chrono::DateTime::from_timestamp(at.seconds, at.nanos)?.naive_utc();
    let meant = zone?.from_local_datetime(&written).earliest()?;
    Some(Instant { seconds: meant.timestamp(), offset: Some(0), ..at })
}

/// The SQL name of a type, for messages.
pub(super) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::UInt8 => "TINYINT UNSIGNED".into(),
        DataType::UInt16 => "SMALLINT UNSIGNED".into(),
        DataType::UInt32 => "INT UNSIGNED".into(),
        DataType::UInt64 => "BIGINT UNSIGNED".into(),
        DataType::Float32 => "REAL".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Timestamp(unit, zone) => {
            let digits = 9 - digits_of(*unit);
            format!("TIMESTAMP({digits}){}", if zone.is_some() { " WITH TIME ZONE" } else { "" })
        }
        DataType::Date32 => "DATE".into(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".into(),
        DataType::Struct(_) => "ROW".into(),
        DataType::List(_) => "ARRAY".into(),
        DataType::Map(..) => "MAP".into(),
        other => other.to_string(),
    }
}
