//! PostgreSQL's binary form of a decimal: digits to the base of 10,000.

use bytes::{BufMut, BytesMut};

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;

/// Writes a decimal that is given as text: `-123.45`.
pub(super) fn write(text: &str, out: &mut BytesMut) -> Option<()> {
    let (sign, digits) = text.strip_prefix('-').map_or((POSITIVE, text), |positive| (NEGATIVE, positive));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    // Groups of four digits on both sides of the point.
    let zeros = |digits: &str| "0".repeat((4 - digits.len() % 4) % 4);
    let padded = format!("{}{whole}{part}{}", zeros(whole), zeros(part));
    let mut groups = Vec::with_capacity(padded.len() / 4);
    for at in (0..padded.len()).step_by(4) {
        groups.push(padded.get(at..at + 4)?.parse::<i16>().ok()?);
    }
    let mut weight = i16::try_from(whole.len().div_ceil(4)).ok()? - 1;
    let leading = groups.iter().take_while(|group| **group == 0).count();
    groups.drain(..leading);
    weight -= i16::try_from(leading).ok()?;
    while groups.last() == Some(&0) {
        groups.pop();
    }
    if groups.is_empty() {
        weight = 0;
    }
    out.put_i16(i16::try_from(groups.len()).ok()?);
    out.put_i16(weight);
    out.put_u16(if groups.is_empty() { POSITIVE } else { sign });
    out.put_u16(u16::try_from(part.len()).ok()?);
    groups.into_iter().for_each(|group| out.put_i16(group));
    Some(())
}

/// Reads one: the text of the decimal.
pub(super) fn read(bytes: &[u8]) -> Option<String> {
    let word = |index: usize| Some(u16::from_be_bytes(bytes.get(index * 2..index * 2 + 2)?.try_into().ok()?));
    let (count, weight, sign, scale) = (usize::from(word(0)?), word(1)?.cast_signed(), word(2)?, usize::from(word(3)?));
    if sign != POSITIVE && sign != NEGATIVE {
        // NaN and the infinities: no decimal of ours.
        return None;
    }
    let group = |index: i32| match usize::try_from(index) {
        Ok(index) if index < count => word(4 + index),
        _ => Some(0),
    };
    let mut text = String::from(if sign == NEGATIVE { "-" } else { "" });
    let whole_groups = i32::from(weight) + 1;
    let mut whole = String::new();
    for index in 0..whole_groups {
        whole.push_str(&format!("{:04}", group(index)?));
    }
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    let mut part = String::new();
    let mut index = whole_groups;
    while part.len() < scale {
        part.push_str(&format!("{:04}", group(index)?));
        index += 1;
    }
    part.truncate(scale);
    if !part.is_empty() {
        text.push('.');
        text.push_str(&part);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in [
            "0",
            "0.00",
            "1",
            "-1",
            "10000",
            "12345678.9",
            "0.0001",
            "0.00010001",
            "-123.45",
            "99999999999999999999999999999999999999",
            "0.00000000000000000000000000000000000001",
        ] {
            let mut out = BytesMut::new();
            write(text, &mut out).unwrap();
            assert_eq!(read(&out).as_deref(), Some(text));
        }
        let mut out = BytesMut::new();
        write("-12345.678", &mut out).unwrap();
        let words: Vec<i16> = out.chunks(2).map(|w| i16::from_be_bytes([w[0], w[1]])).collect();
        assert_eq!(words, [3, 1, 0x4000, 3, 1, 2345, 6780]);
        assert_eq!(read(&[0, 1]), None);
        assert_eq!(read(&[0, 0, 0, 0, 0xC0, 0, 0, 0]), None, "NaN");
    }
}
