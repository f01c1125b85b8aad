//! Fixed-width Arrow columns as 64-bit words, and back.

use std::sync::Arc;

use arrow::array::{Array, ArrayData, ArrayRef, AsArray, BooleanArray, make_array};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowNativeType, DataType};

use crate::error::{Error, Result};

/// The bytes that a value of this type takes; `None` when it has no fixed width, or takes more than a word.
pub fn width_in_word(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Boolean => Some(1),
        other => other.primitive_width().filter(|w| *w <= 8),
    }
}

/// The values of a column, a word each. A value under a NULL is anything.
///
/// # Errors
/// When the type is wider than a word.
pub fn to_words(array: &ArrayRef, signed: bool) -> Result<ScalarBuffer<u64>> {
    if let Some(booleans) = array.as_boolean_opt() {
        return Ok(booleans.values().iter().map(u64::from).collect::<Vec<_>>().into());
    }
    let data = array.to_data();
    let wide = |values: Vec<u64>| Ok(ScalarBuffer::from(values));
    match (width_in_word(array.data_type()), signed) {
        (Some(8), _) => native::<u64>(&data),
        (Some(4), false) => wide(native::<u32>(&data)?.iter().map(|v| u64::from(*v)).collect()),
        (Some(4), true) => wide(native::<i32>(&data)?.iter().map(|v| i64::from(*v) as u64).collect()),
        (Some(2), false) => wide(native::<u16>(&data)?.iter().map(|v| u64::from(*v)).collect()),
        (Some(2), true) => wide(native::<i16>(&data)?.iter().map(|v| i64::from(*v) as u64).collect()),
        (Some(1), false) => wide(native::<u8>(&data)?.iter().map(|v| u64::from(*v)).collect()),
        (Some(1), true) => wide(native::<i8>(&data)?.iter().map(|v| i64::from(*v) as u64).collect()),
        _ => Err(Error::internal(format!("{} does not fit in a word", array.data_type()))),
    }
}

/// A column of this type from its words: the low bytes of each.
///
/// # Errors
/// When the type is wider than a word.
pub fn from_words(data_type: &DataType, words: Vec<u64>, valid: Option<NullBuffer>) -> Result<ArrayRef> {
    let rows = words.len();
    if *data_type == DataType::Boolean {
        let values = BooleanBuffer::collect_bool(rows, |i| words[i] & 1 == 1);
        return Ok(Arc::new(BooleanArray::new(values, valid)));
    }
    let buffer = match width_in_word(data_type) {
        Some(8) => Buffer::from_vec(words),
        Some(4) => Buffer::from_vec(words.into_iter().map(|w| w as u32).collect()),
        Some(2) => Buffer::from_vec(words.into_iter().map(|w| w as u16).collect()),
        Some(1) => Buffer::from_vec(words.into_iter().map(|w| w as u8).collect()),
        _ => return Err(Error::internal(format!("{data_type} does not fit in a word"))),
    };
    from_buffer(data_type, buffer, rows, valid)
}

/// A column of a fixed-width type over a buffer of its values.
pub(super) fn from_buffer(
    data_type: &DataType,
    buffer: Buffer,
    rows: usize,
    valid: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let valid = valid.filter(|v| v.null_count() > 0);
    let data = ArrayData::builder(data_type.clone()).len(rows).add_buffer(buffer).nulls(valid).build()?;
    Ok(make_array(data))
}

/// The values of a fixed-width column as numbers of the same width.
pub(super) fn native<T: ArrowNativeType>(data: &ArrayData) -> Result<ScalarBuffer<T>> {
    let buffer = data.buffers().first().ok_or_else(|| Error::internal("a column without values"))?;
    Ok(ScalarBuffer::new(buffer.clone(), data.offset(), data.len()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Int8Array, TimestampMillisecondArray, UInt64Array};

    use super::*;

    #[test]
    fn columns_come_back_as_they_went() {
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(Int8Array::from(vec![Some(-1), None, Some(127)])),
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
            Arc::new(Date32Array::from(vec![-5, 0, 5])),
            Arc::new(UInt64Array::from(vec![u64::MAX, 0, 1])),
            Arc::new(TimestampMillisecondArray::from(vec![Some(-1), Some(7), None]).with_timezone("UTC")),
        ];
        for array in arrays {
            let array = array.slice(1, 2);
            for signed in [false, true] {
                let words = to_words(&array, signed).unwrap();
                let back = from_words(array.data_type(), words.to_vec(), array.nulls().cloned()).unwrap();
                assert_eq!(&back, &array);
            }
        }
        let signed = to_words(&(Arc::new(Int8Array::from(vec![-1])) as ArrayRef), true).unwrap();
        assert_eq!(signed[0] as i64, -1);
    }
}
