//! The values of a column as text: found out once per batch what the column is, then written value by value.

use std::io::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, GenericStringArray, ListArray, MapArray, PrimitiveArray, StringArray,
    StringViewArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Fields, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::error::Result;
use crate::format::instant::{TimestampWriter, write_date};
use crate::format::spelling;

/// A column that writes its values.
pub(super) struct Cells<'a> {
    /// Of the values as they count: those of a dictionary too.
    nulls: Option<NullBuffer>,
    kind: Kind<'a>,
}

enum Kind<'a> {
    Bool(&'a BooleanArray),
    Int8(&'a PrimitiveArray<Int8Type>),
    Int16(&'a PrimitiveArray<Int16Type>),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    UInt8(&'a PrimitiveArray<UInt8Type>),
    UInt16(&'a PrimitiveArray<UInt16Type>),
    UInt32(&'a PrimitiveArray<UInt32Type>),
    UInt64(&'a PrimitiveArray<UInt64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Text(&'a StringArray),
    LargeText(&'a GenericStringArray<i64>),
    TextView(&'a StringViewArray),
    /// Values, what writes them, whether they are instants (with a zone).
    Timestamp(&'a [i64], TimestampWriter, bool),
    Date(&'a PrimitiveArray<Date32Type>),
    /// Values and how many of their digits stand behind the point.
    Decimal(&'a [i128], usize),
    Struct(Vec<(Vec<u8>, Cells<'a>)>),
    List(&'a ListArray, Box<Cells<'a>>),
    Map(&'a MapArray, Box<(Cells<'a>, Cells<'a>)>),
    /// Everything else, as Arrow shows it; whether JSON takes it without quotes (wider decimals).
    Other(ArrayFormatter<'a>, bool),
}

impl<'a> Cells<'a> {
    /// The columns of a batch.
    pub(super) fn of_columns(columns: &'a [ArrayRef]) -> Result<Vec<Self>> {
        columns.iter().map(|column| Self::new(column.as_ref())).collect()
    }

    fn new(array: &'a dyn Array) -> Result<Self> {
        let kind = match array.data_type() {
            DataType::Boolean => Kind::Bool(array.as_boolean()),
            DataType::Int8 => Kind::Int8(array.as_primitive()),
            DataType::Int16 => Kind::Int16(array.as_primitive()),
            DataType::Int32 => Kind::Int32(array.as_primitive()),
            DataType::Int64 => Kind::Int64(array.as_primitive()),
            DataType::UInt8 => Kind::UInt8(array.as_primitive()),
            DataType::UInt16 => Kind::UInt16(array.as_primitive()),
            DataType::UInt32 => Kind::UInt32(array.as_primitive()),
            DataType::UInt64 => Kind::UInt64(array.as_primitive()),
            DataType::Float32 => Kind::Float32(array.as_primitive()),
            DataType::Float64 => Kind::Float64(array.as_primitive()),
            DataType::Utf8 => Kind::Text(array.as_string()),
            DataType::LargeUtf8 => Kind::LargeText(array.as_string()),
            DataType::Utf8View => Kind::TextView(array.as_string_view()),
            DataType::Date32 => Kind::Date(array.as_primitive()),
            DataType::Decimal128(_, scale @ 0..=18) => {
                Kind::Decimal(array.as_primitive::<Decimal128Type>().values(), usize::try_from(*scale).unwrap_or(0))
            }
            DataType::Timestamp(unit, zone) => {
                let values = match unit {
                    TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
                    TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
                    TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
                    TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
                };
                Kind::Timestamp(values, TimestampWriter::new(*unit), zone.is_some())
            }
            DataType::Struct(fields) => {
                let array = array.as_struct();
                let cells = array.columns().iter().map(|column| Self::new(column.as_ref()));
                Kind::Struct(keys(fields).into_iter().zip(cells).map(|(k, c)| Ok((k, c?))).collect::<Result<_>>()?)
            }
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Kind::List(list, Box::new(Self::new(list.values().as_ref())?))
            }
            DataType::Map(..) => {
                let map = array.as_map();
                Kind::Map(map, Box::new((Self::new(map.keys().as_ref())?, Self::new(map.values().as_ref())?)))
            }
            other => {
                let bare = other.is_decimal();
                Kind::Other(ArrayFormatter::try_new(array, &FormatOptions::default())?, bare)
            }
        };
        Ok(Self { nulls: array.logical_nulls(), kind })
    }

    /// Whether the value is NULL.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes the value as JSON.
    pub(super) fn write_json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        match &self.kind {
            Kind::Text(array) => write_string(out, array.value(row)),
            Kind::LargeText(array) => write_string(out, array.value(row)),
            Kind::TextView(array) => write_string(out, array.value(row)),
            Kind::Timestamp(..) | Kind::Date(_) | Kind::Other(_, false) => {
                out.push(b'"');
                let start = out.len();
                self.write_bare(row, out);
                // What Arrow shows of intervals, bytes and times needs no escape; to be sure, look.
                if matches!(self.kind, Kind::Other(..)) && out[start..].iter().any(|b| needs_escape(*b)) {
                    let text = String::from_utf8_lossy(&out[start..]).into_owned();
                    out.truncate(start - 1);
                    write_string(out, &text);
                } else {
                    out.push(b'"');
                }
            }
            Kind::Float32(array) if !array.value(row).is_finite() => {
                write_string(out, not_finite(array.value(row).into()))
            }
            Kind::Float64(array) if !array.value(row).is_finite() => write_string(out, not_finite(array.value(row))),
            Kind::Struct(cells) => {
                out.push(b'{');
                for (index, (key, cells)) in cells.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(key);
                    cells.write_json(row, out);
                }
                out.push(b'}');
            }
            Kind::List(list, cells) => {
                let offsets = list.value_offsets();
                out.push(b'[');
                for (index, item) in (offsets[row]..offsets[row + 1]).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    cells.write_json(item as usize, out);
                }
                out.push(b']');
            }
            Kind::Map(map, cells) => {
                let offsets = map.value_offsets();
                out.push(b'{');
                for (index, item) in (offsets[row]..offsets[row + 1]).enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    let mut key = Vec::new();
                    cells.0.write_bare(item as usize, &mut key);
                    write_string(out, &String::from_utf8_lossy(&key));
                    out.push(b':');
                    cells.1.write_json(item as usize, out);
                }
                out.push(b'}');
            }
            _ => self.write_bare(row, out),
        }
    }

    /// Writes the value as text without quotes; a NULL writes nothing.
    pub(super) fn write_bare(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            return;
        }
        match &self.kind {
            Kind::Bool(array) => out.extend_from_slice(if array.value(row) { b"true" } else { b"false" }),
            Kind::Int8(array) => write_int(out, array.value(row)),
            Kind::Int16(array) => write_int(out, array.value(row)),
            Kind::Int32(array) => write_int(out, array.value(row)),
            Kind::Int64(array) => write_int(out, array.value(row)),
            Kind::UInt8(array) => write_int(out, array.value(row)),
            Kind::UInt16(array) => write_int(out, array.value(row)),
            Kind::UInt32(array) => write_int(out, array.value(row)),
            Kind::UInt64(array) => write_int(out, array.value(row)),
            Kind::Float32(array) => write_float(out, array.value(row).into(), &array.value(row)),
            Kind::Float64(array) => write_float(out, array.value(row), &array.value(row)),
            Kind::Text(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Kind::LargeText(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Kind::TextView(array) => out.extend_from_slice(array.value(row).as_bytes()),
            Kind::Timestamp(values, writer, zoned) => {
                writer.write(out, values[row]);
                if *zoned {
                    out.push(b'Z');
                }
            }
            Kind::Date(array) => write_date(out, array.value(row).into()),
            Kind::Decimal(values, scale) => write_decimal(out, values[row], *scale),
            Kind::Other(formatter, _) => {
                // Writing to memory does not fail.
                let _ = write!(out, "{}", formatter.value(row));
            }
            Kind::Struct(_) | Kind::List(..) | Kind::Map(..) => self.write_json(row, out),
        }
    }
}

/// The keys of JSON objects, ready to be written: `"name":`.
pub(super) fn keys(fields: &Fields) -> Vec<Vec<u8>> {
    let key = |field: &std::sync::Arc<arrow::datatypes::Field>| {
        let mut key = Vec::new();
        write_string(&mut key, spelling(field));
        key.push(b':');
        key
    };
    fields.iter().map(key).collect()
}

/// Whether a column is a number, and so stands at the right in a table.
pub(super) fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn write_int(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// A decimal with all the digits of its scale: `-0.05`.
fn write_decimal(out: &mut Vec<u8>, value: i128, scale: usize) {
    let magnitude = value.unsigned_abs();
    if value < 0 {
        out.push(b'-');
    }
    let unit = 10_u128.pow(scale as u32);
    match u64::try_from(magnitude) {
        // Divisions of 128 bits are slow.
        Ok(magnitude) if scale < 19 => {
            let unit = unit as u64;
            write_int(out, magnitude / unit);
            write_fraction(out, magnitude % unit, scale);
        }
        _ => {
            let whole = magnitude / unit;
            let _ = write!(out, "{whole}");
            write_fraction(out, (magnitude % unit) as u64, scale);
        }
    }
}

/// The digits behind the point, at most 18.
fn write_fraction(out: &mut Vec<u8>, mut value: u64, scale: usize) {
    if scale == 0 {
        return;
    }
    let mut digits = [b'.'; 19];
    for digit in digits[1..=scale].iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[..=scale]);
}

/// The shortest text that reads back as the same number: `1.0`, `0.1`, `1e300`.
fn write_float(out: &mut Vec<u8>, value: f64, shown: &dyn std::fmt::Debug) {
    if value.is_finite() {
        let _ = write!(out, "{shown:?}");
    } else {
        out.extend_from_slice(not_finite(value).as_bytes());
    }
}

fn not_finite(value: f64) -> &'static str {
    match value {
        v if v.is_nan() => "NaN",
        v if v > 0.0 => "Infinity",
        _ => "-Infinity",
    }
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Writes a JSON string.
pub(super) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    // Whole pieces are looked at without a branch per byte, which compiles to a few wide instructions.
    if !bytes.chunks(64).any(|piece| piece.iter().fold(false, |found, byte| found | needs_escape(*byte))) {
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !needs_escape(*byte) {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => out.extend_from_slice(format!("\\u{control:04x}").as_bytes()),
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::DecimalType;

    use super::*;

    #[test]
    fn decimals_as_arrow_shows_them() {
        for scale in [0, 1, 2, 9, 18] {
            for value in [
                0,
                1,
                -1,
                5,
                -99,
                100,
                1_234_567_890_123_456_789,
                i128::from(u64::MAX),
                -(10_i128.pow(37)),
                10_i128.pow(20) + 7,
            ] {
                let mut out = Vec::new();
                write_decimal(&mut out, value, scale);
                let shown = Decimal128Type::format_decimal(value, 38, scale as i8);
                assert_eq!(String::from_utf8(out).unwrap(), shown, "{value} {scale}");
            }
        }
    }

    #[test]
    fn strings_are_escaped_wherever_the_fault_is() {
        for length in [0, 1, 63, 64, 65, 200] {
            for (fault, escaped) in
                [("\"", "\\\""), ("\\", "\\\\"), ("\n", "\\n"), ("\u{1}", "\\u0001"), ("é", "é"), ("\u{7f}", "\u{7f}")]
            {
                let mut out = Vec::new();
                write_string(&mut out, &format!("{}{fault}z", "x".repeat(length)));
                assert_eq!(String::from_utf8(out).unwrap(), format!("\"{}{escaped}z\"", "x".repeat(length)));
            }
        }
    }
}
