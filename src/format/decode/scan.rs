//! Eight bytes at a time: where a text ends, integers, decimals, instants.
//!
//! What the quick paths of JSON and CSV are made of. Each of these gives an answer only for the plain form that nearly every
//! value has, and `None` for anything else, near the end of the bytes too (a load of eight needs eight): the caller then
//! takes the exact path, so nothing here has to know what is an error.
//!
//! Arithmetic wraps on purpose: lanes of bytes in a word borrow and carry.

use crate::format::instant::parse_timestamp;

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The eight bytes at a place.
#[inline(always)]
pub(super) fn load(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk::<8>().map(|chunk| u64::from_le_bytes(*chunk))
}

/// The high bit of each lane that holds `byte`; lanes above the lowest such may be marked wrongly.
#[inline(always)]
fn equal(word: u64, byte: u8) -> u64 {
    let lanes = word ^ LOW.wrapping_mul(byte as u64);
    lanes.wrapping_sub(LOW) & !lanes & HIGH
}

/// The same for lanes below 0x20.
#[inline(always)]
fn control(word: u64) -> u64 {
    word.wrapping_sub(LOW.wrapping_mul(0x20)) & !word & HIGH
}

/// Where a JSON string ends, whose text begins at `at`: the place of its closing quote. `None` when an escape or a control
/// character (a newline above all) comes before it.
#[inline(always)]
pub(super) fn string_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let word = load(bytes, at)?;
        let found = equal(word, b'"') | equal(word, b'\\') | control(word);
        if found != 0 {
            let end = at + lane(found);
            return (bytes.get(end) == Some(&b'"')).then_some(end);
        }
        at += 8;
    }
}

/// Where a CSV field without quotes ends that begins at `at`: the place of a delimiter, a newline or a carriage return. `None`
/// when a quote comes before it.
#[inline(always)]
pub(super) fn field_end(bytes: &[u8], mut at: usize, delimiter: u8, quote: Option<u8>) -> Option<usize> {
    let stop = quote.unwrap_or(delimiter);
    loop {
        let word = load(bytes, at)?;
        let found = equal(word, delimiter) | equal(word, b'\n') | equal(word, b'\r') | equal(word, stop);
        if found != 0 {
            let end = at + lane(found);
            return (bytes.get(end).copied() != quote).then_some(end);
        }
        at += 8;
    }
}

/// Which lane the lowest mark is in.
#[inline(always)]
fn lane(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// How many of the first lanes are digits.
#[inline(always)]
fn digits(word: u64) -> usize {
    let lanes = word ^ LOW.wrapping_mul(b'0' as u64);
    let not = ((lanes & !HIGH).wrapping_add(LOW.wrapping_mul(0x80 - 10)) | lanes) & HIGH;
    lane(not)
}

/// The number that the first `count` lanes spell, 1 to 8 digits.
#[inline(always)]
fn spelled(word: u64, count: usize) -> u64 {
    let word = (word << (64 - 8 * count as u32)) & LOW.wrapping_mul(0x0f);
    let pairs = (word.wrapping_mul(10 * 256 + 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 * 65_536 + 1) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 * 4_294_967_296 + 1) >> 32
}

/// Up to 18 digits: their value, how many they are, and where they end. `None` for none or more.
#[inline(always)]
fn run_of_digits(bytes: &[u8], start: usize) -> Option<(u64, usize, usize)> {
    let word = load(bytes, start)?;
    let count = digits(word);
    if count == 0 {
        return None;
    }
    let value = spelled(word, count);
    if count < 8 {
        return Some((value, count, start + count));
    }
    let word = load(bytes, start + 8)?;
    let more = digits(word);
    if more == 0 {
        return Some((value, 8, start + 8));
    }
    let value = value * POWERS[more] + spelled(word, more);
    if more < 8 {
        return Some((value, 8 + more, start + 8 + more));
    }
    let word = load(bytes, start + 16)?;
    match digits(word) {
        0 => Some((value, 16, start + 16)),
        last @ 1..=2 => Some((value * POWERS[last] + spelled(word, last), 16 + last, start + 16 + last)),
        _ => None,
    }
}

/// Powers of ten.
pub(super) const POWERS: [u64; 19] = {
    let mut powers = [1; 19];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// An integer of at most 18 digits, as JSON has it (no `+`, no leading zero), and where it ends.
#[inline(always)]
pub(super) fn integer(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    let start = at + usize::from(negative);
    let (value, count, end) = run_of_digits(bytes, start)?;
    if count > 1 && bytes.get(start) == Some(&b'0') {
        return None;
    }
    let value = value as i64;
    Some((if negative { -value } else { value }, end))
}

/// A decimal number of at most 18 digits: all its digits as one number, how many of them stand behind the point, and where
/// it ends. `None` for -0.
#[inline(always)]
pub(super) fn decimal(bytes: &[u8], at: usize) -> Option<(i64, usize, usize)> {
    let (whole, point) = integer(bytes, at)?;
    if bytes.get(point) != Some(&b'.') {
        return Some((whole, 0, point));
    }
    let (fraction, count, end) = run_of_digits(bytes, point + 1)?;
    let negative = bytes.get(at) == Some(&b'-');
    if (end - at) > 18 + 1 || (negative && whole == 0 && fraction == 0) {
        return None;
    }
    // At most 18 digits in all: neither overflows.
    let magnitude = whole.unsigned_abs() * POWERS[count] + fraction;
    let value = magnitude as i64;
    Some((if negative { -value } else { value }, count, end))
}

/// Reads instants like `2026-03-01T12:00:59.123` at fixed places. The minute is remembered: the next instant is mostly in the
/// same one, and then two comparisons stand for the calendar.
#[derive(Debug, Clone, Default)]
pub(super) struct Minute {
    text: (u64, u64),
    seconds: i64,
}

impl Minute {
    /// Seconds since 1970, nanoseconds of the second, and where the instant ends, a `Z` included. `None` for other forms.
    #[inline(always)]
    pub(super) fn instant(&mut self, bytes: &[u8], at: usize) -> Option<(i64, u32, usize)> {
        let text = (load(bytes, at)?, load(bytes, at + 8)?);
        if text != self.text || text == (0, 0) {
            self.look_up(bytes.get(at..at + 16)?, text)?;
        }
        let rest = load(bytes, at + 16)?;
        // `:SS`
        let (tens, ones) = ((rest >> 8) as u8 ^ b'0', (rest >> 16) as u8 ^ b'0');
        if rest as u8 != b':' || tens > 5 || ones > 9 {
            return None;
        }
        let seconds = self.seconds + i64::from(tens * 10 + ones);
        let mut end = at + 19;
        let mut nanos = 0;
        if bytes.get(end) == Some(&b'.') {
            let (value, count, behind) = run_of_digits(bytes, end + 1)?;
            if count > 9 {
                return None;
            }
            nanos = (value * POWERS[9 - count]) as u32;
            end = behind;
        }
        if bytes.get(end) == Some(&b'Z') {
            end += 1;
        }
        Some((seconds, nanos, end))
    }

    #[cold]
    fn look_up(&mut self, minute: &[u8], text: (u64, u64)) -> Option<()> {
        // `2026-03-01T12:00`, and nothing that only ends there, such as `2026-03-01 1:00Z`.
        if !matches!(minute, [.., b'T' | b't' | b' ', b'0'..=b'9', b'0'..=b'9', b':', b'0'..=b'9', b'0'..=b'9']) {
            return None;
        }
        let found = parse_timestamp(minute).filter(|at| at.offset.is_none())?;
        (self.text, self.seconds) = (text, found.seconds);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.extend_from_slice(&[b'|'; 24]);
        bytes
    }

    #[test]
    fn strings_end_at_their_quote_only() {
        for length in 0..40 {
            let text = "é".repeat(length / 2) + &"x".repeat(length % 2);
            assert_eq!(string_end(&padded(&format!("{text}\"")), 0), Some(text.len()), "{length}");
            for stop in ["\\\"", "\n\"", "\t\""] {
                assert_eq!(string_end(&padded(&format!("{text}{stop}")), 0), None, "{length}{stop:?}");
            }
            assert_eq!(field_end(&padded(&format!("{text},")), 0, b',', Some(b'"')), Some(text.len()));
            assert_eq!(field_end(&padded(&format!("{text}\r\n")), 0, b',', Some(b'"')), Some(text.len()));
            assert_eq!(field_end(&padded(&format!("{text}\",")), 0, b',', Some(b'"')), None);
            assert_eq!(field_end(&padded(&format!("{text}\",")), 0, b',', None), Some(text.len() + 1));
        }
        assert_eq!(string_end(b"short\"", 0), None, "a load of eight needs eight");
    }

    #[test]
    fn integers_of_every_length() {
        let digits = "9876543210123456789";
        for length in 1..=19 {
            let text = &digits[..length];
            let expected = (length <= 18).then(|| (text.parse().unwrap(), length));
            assert_eq!(integer(&padded(text), 0), expected, "{text}");
            let negative = expected.map(|(value, end): (i64, usize)| (-value, end + 1));
            assert_eq!(integer(&padded(&format!("-{text}")), 0), negative, "-{text}");
        }
        for text in ["", "-", "+1", "01", "-01", "x", ".5"] {
            assert_eq!(integer(&padded(text), 0), None, "{text}");
        }
        for byte in (0..=255_u8).filter(|b| !b.is_ascii_digit()) {
            let mut bytes = padded("12345");
            bytes[2] = byte;
            assert_eq!(integer(&bytes, 0), Some((12, 2)), "{byte}");
        }
    }

    #[test]
    fn decimals() {
        assert_eq!(decimal(&padded("1.25"), 0), Some((125, 2, 4)));
        assert_eq!(decimal(&padded("-0.5"), 0), Some((-5, 1, 4)));
        assert_eq!(decimal(&padded("-7"), 0), Some((-7, 0, 2)));
        assert_eq!(decimal(&padded("123456789.123456789"), 0), Some((123_456_789_123_456_789, 9, 19)));
        for text in ["-0.0", "1.", "1.x", "00.1", "1234567890.123456789", "1.2345678901234567890"] {
            assert_eq!(decimal(&padded(text), 0), None, "{text}");
        }
    }

    #[test]
    fn instants_agree_with_the_lenient_reader() {
        let mut minute = Minute::default();
        for text in [
            "2026-03-01T12:00:00",
            "2026-03-01T12:00:59.1",
            "2026-03-01T12:00:59.123Z",
            "2026-03-01 12:01:01.123456",
            "1969-12-31t23:59:59.123456789",
        ] {
            let at = parse_timestamp(text.as_bytes()).unwrap();
            assert_eq!(minute.instant(&padded(text), 0), Some((at.seconds, at.nanos, text.len())), "{text}");
        }
        for text in [
            "2026-02-30T12:00:00",
            "2026-03-01T24:00:00",
            "2026-03-01T12:00:60",
            "2026-03-01T12:00:5x",
            "2026-03-01T12:00:00.1234567891",
            "2026-03-01",
            "2026-03-01T12-00:00",
        ] {
            assert_eq!(minute.instant(&padded(text), 0), None, "{text}");
        }
    }
}
