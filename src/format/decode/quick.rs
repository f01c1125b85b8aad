//! Values in their plain form, straight from the bytes into a column.
//!
//! Each of these appends exactly what [`Column::append_number`] or [`Column::append_text`] would for the same text, or nothing
//! at all and returns `None`: then the caller asks those.

use arrow::datatypes::{DataType, TimeUnit};

use super::column::{Column, Values};
use super::scan::{Minute, POWERS, decimal, integer};

impl Column {
    /// Appends the number at `at` if it is a plain one and `ends` says that what follows may follow; where it ends.
    #[inline(always)]
    pub(super) fn quick_number(&mut self, bytes: &[u8], at: usize, ends: impl Fn(u8) -> bool) -> Option<usize> {
        let ends = |end: usize| bytes.get(end).copied().is_some_and(&ends);
        let end = match &mut self.values {
            Values::Int(values, least, most) => {
                let (value, end) = integer(bytes, at)?;
                if !ends(end) || value < *least || value > *most {
                    return None;
                }
                values.push(value);
                end
            }
            Values::Float(values) => {
                let (digits, places, end) = decimal(bytes, at)?;
                // A whole number below 2^53 divided by a power of ten that a double holds exactly is rounded once, and so
                // right.
                if !ends(end) || digits.unsigned_abs() >= 1 << 53 || (digits == 0 && bytes.get(at) == Some(&b'-')) {
                    return None;
                }
                let value = digits as f64 / POWERS[places] as f64;
                values.push(if self.data_type == DataType::Float32 { f64::from(value as f32) } else { value });
                end
            }
            Values::Wide(values, scale, most) => {
                let (digits, places, end) = decimal(bytes, at)?;
                let missing = usize::try_from(*scale).ok()?.checked_sub(places)?;
                let value = i128::from(digits) * i128::from(*POWERS.get(missing)?);
                let unsigned = self.data_type == DataType::UInt64;
                if !ends(end) || value > *most || value < if unsigned { 0 } else { -*most } {
                    return None;
                }
                values.push(value);
                end
            }
            // As a number that counts in the unit of the column.
            Values::Timestamp(values, unit, _, numbers) if unit == numbers => {
                let (value, end) = integer(bytes, at)?;
                if !ends(end) {
                    return None;
                }
                values.push(value);
                end
            }
            _ => return None,
        };
        self.nulls.append_non_null();
        Some(end)
    }

    /// The same for an instant as ISO 8601 writes it.
    #[inline(always)]
    pub(super) fn quick_instant(
        &mut self,
        minute: &mut Minute,
        bytes: &[u8],
        at: usize,
        ends: impl Fn(u8) -> bool,
    ) -> Option<usize> {
        let Values::Timestamp(values, unit, None, _) = &mut self.values else { return None };
        let (seconds, nanos, end) = minute.instant(bytes, at)?;
        if !bytes.get(end).copied().is_some_and(ends) {
            return None;
        }
        let nanos = i64::from(nanos);
        values.push(match unit {
            TimeUnit::Second => seconds,
            TimeUnit::Millisecond => seconds * 1_000 + nanos / 1_000_000,
            TimeUnit::Microsecond => seconds * 1_000_000 + nanos / 1_000,
            TimeUnit::Nanosecond => seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?,
        });
        self.nulls.append_non_null();
        Some(end)
    }

    /// Appends a text to a text column.
    #[inline(always)]
    pub(super) fn quick_text(&mut self, text: &str) -> Option<()> {
        let Values::Text(offsets, all) = &mut self.values else { return None };
        offsets.push(i32::try_from(all.len() + text.len()).ok()?);
        all.push_str(text);
        self.nulls.append_non_null();
        Some(())
    }
}
