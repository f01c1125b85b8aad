//! JSON lines, parsed straight into columns.
//!
//! One pass, no tree: the type of the column decides how its value is read, and values of keys that no column wants are
//! skipped (though checked: a record that is not JSON is bad whatever part of it the query reads). Keys come in the order of
//! the last record as a rule, so that finding the column of a key is one comparison.
//!
//! A bad record leaves no trace in the columns and no state in the parser, so its neighbours come out whole.

use arrow::datatypes::Schema;
use memchr::memchr;

use super::column::{Column, Values};
use super::row::{Row, Rows};
use super::{NumberUnit, Reason, bad, shown};
use crate::error::Result;
use crate::format::{Decoded, Decoder, Place};

/// How deep arrays and objects may nest in a record.
const DEPTH_MAX: u32 = 64;

/// Decodes one JSON object per line.
pub(crate) struct JsonDecoder {
    rows: Rows,
    scratch: String,
}

impl JsonDecoder {
    /// A decoder of the columns `projection`.
    pub(crate) fn new(schema: &Schema, projection: &[usize], numbers: NumberUnit) -> Result<Self> {
        Ok(Self { rows: Rows::new(schema, projection, numbers)?, scratch: String::new() })
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, block: &[u8], place: &Place) -> Result<Decoded> {
        let (mut records, mut bads) = (0, Vec::new());
        // Checked once for the whole block: only a block with a fault is looked at line by line.
        let all = std::str::from_utf8(block).ok();
        for (number, line, at) in lines(block, place, is_blank) {
            records += 1;
            let text = match all {
                Some(all) => all.get(at..at + line.len()).ok_or_else(|| "not UTF-8".to_owned()),
                None => std::str::from_utf8(line).map_err(|e| format!("not UTF-8 at byte {}", e.valid_up_to())),
            };
            let scratch = &mut self.scratch;
            let added = text.and_then(|text| {
                self.rows.add(|row, count| {
                    let mut parser = Parser { text, at: 0, scratch };
                    parser.record(row, count)
                })
            });
            if let Err(reason) = added {
                bads.push(bad(place, number, reason, line));
            }
        }
        Ok(Decoded { batch: self.rows.finish()?, records, bad: bads })
    }
}

/// Whether a line is white space and so no record.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// The lines of a block that are not blank: number of the record, the line without its end, where it starts in the block.
pub(super) fn lines<'a>(
    block: &'a [u8],
    place: &Place,
    is_blank: fn(&[u8]) -> bool,
) -> impl Iterator<Item = (u64, &'a [u8], usize)> + use<'a> {
    let first = place.record;
    let mut start = if first <= 1 && block.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let mut number = first;
    std::iter::from_fn(move || {
        while start < block.len() {
            let end = memchr(b'\n', &block[start..]).map_or(block.len(), |n| start + n);
            let (at, this) = (start, number);
            start = end + 1;
            number += 1;
            let line = &block[at..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !is_blank(line) {
                return Some((this, line, at));
            }
        }
        None
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Where strings with escapes are put together.
    scratch: &'a mut String,
}

impl<'a> Parser<'a> {
    /// One object and nothing else.
    fn record(&mut self, row: &mut Row, count: usize) -> Result<(), Reason> {
        match self.peek() {
            Some(b'{') => self.object(row, count, 0)?,
            Some(b'[') => return Err("expected a JSON object, found an array".into()),
            _ => return Err(format!("expected a JSON object, found {}", shown(self.text.trim()))),
        }
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(format!("unexpected {} after the object", shown(self.rest()))),
        }
    }

    fn object(&mut self, row: &mut Row, count: usize, depth: u32) -> Result<(), Reason> {
        let depth = deeper(depth)?;
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        for position in 0.. {
            let slot = {
                self.key_starts()?;
                row.slot(position, self.string()?)
            };
            self.expect(b':', "':' after the key")?;
            match row.column(slot, count) {
                Some(column) => self.value(column, depth)?,
                None => self.skip(depth)?,
            }
            if self.ends(b'}')? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn value(&mut self, column: &mut Column, depth: u32) -> Result<(), Reason> {
        let next = self.peek();
        match next {
            Some(b'n') => {
                self.literal("null")?;
                column.append_null()
            }
            Some(b'{' | b'[') if !column.is_scalar() => self.nested(column, depth),
            // An object or array in a VARCHAR column is kept as its text.
            Some(b'{' | b'[') => {
                let start = self.at;
                self.skip(depth)?;
                let raw = &self.text[start..self.at];
                match column.values {
                    Values::Text(..) => column.append_text(raw),
                    _ => Err(column.mismatch(raw)),
                }
            }
            Some(b'"') if column.is_scalar() => column.append_text(self.string()?),
            Some(b't') if column.is_scalar() => self.literal("true").and_then(|()| column.append_bool(true)),
            Some(b'f') if column.is_scalar() => self.literal("false").and_then(|()| column.append_bool(false)),
            Some(b'-' | b'0'..=b'9') if column.is_scalar() => column.append_number(self.number()?),
            _ => {
                let start = self.at;
                self.skip(depth)?;
                Err(column.mismatch(&self.text[start..self.at]))
            }
        }
    }

    fn nested(&mut self, column: &mut Column, depth: u32) -> Result<(), Reason> {
        let count = column.len();
        match (&mut column.values, self.peek()) {
            (Values::Struct(row), Some(b'{')) => {
                self.object(row, count, depth)?;
                row.end(count)?;
            }
            (Values::List(_, child), Some(b'[')) => {
                let depth = deeper(depth)?;
                self.at += 1;
                if self.peek() == Some(b']') {
                    self.at += 1;
                } else {
                    loop {
                        self.value(child, depth)?;
                        if self.ends(b']')? {
                            break;
                        }
                    }
                }
            }
            (Values::Map(_, columns), Some(b'{')) => {
                let depth = deeper(depth)?;
                self.at += 1;
                if self.peek() == Some(b'}') {
                    self.at += 1;
                } else {
                    loop {
                        self.key_starts()?;
                        columns.0.append_text(self.string()?)?;
                        self.expect(b':', "':' after the key")?;
                        self.value(&mut columns.1, depth)?;
                        if self.ends(b'}')? {
                            break;
                        }
                    }
                }
            }
            _ => {
                let start = self.at;
                self.skip(depth)?;
                return Err(column.mismatch(&self.text[start..self.at]));
            }
        }
        column.close()
    }

    /// Passes over a value, checking that it is one.
    fn skip(&mut self, depth: u32) -> Result<(), Reason> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'-' | b'0'..=b'9') => self.number().map(|_| ()),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            Some(open @ (b'{' | b'[')) => {
                let depth = deeper(depth)?;
                let close = if open == b'{' { b'}' } else { b']' };
                self.at += 1;
                if self.peek() == Some(close) {
                    self.at += 1;
                    return Ok(());
                }
                loop {
                    if open == b'{' {
                        self.key_starts()?;
                        self.string()?;
                        self.expect(b':', "':' after the key")?;
                    }
                    self.skip(depth)?;
                    if self.ends(close)? {
                        return Ok(());
                    }
                }
            }
            None => Err(self.truncated()),
            Some(_) => Err(format!("expected a value, found {}", shown(self.rest()))),
        }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                byte => return Some(*byte),
            }
        }
        None
    }

    fn key_starts(&mut self) -> Result<(), Reason> {
        match self.peek() {
            Some(b'"') => Ok(()),
            None => Err(self.truncated()),
            Some(_) => Err(format!("expected a key in quotes, found {}", shown(self.rest()))),
        }
    }

    /// After a member or item: whether the object or array ends here.
    fn ends(&mut self, close: u8) -> Result<bool, Reason> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(false)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            None => Err(self.truncated()),
            Some(_) => Err(format!("expected ',' or '{}', found {}", close as char, shown(self.rest()))),
        }
    }

    fn expect(&mut self, byte: u8, what: &str) -> Result<(), Reason> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            None => Err(self.truncated()),
            Some(_) => Err(format!("expected {what}, found {}", shown(self.rest()))),
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), Reason> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(());
        }
        Err(format!("expected a value, found {}", shown(self.rest())))
    }

    /// The text of a number that follows the grammar of JSON.
    fn number(&mut self) -> Result<&'a str, Reason> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let mut at = start + usize::from(bytes[start] == b'-');
        let whole = at;
        at = digits(at);
        let mut right = at > whole && (bytes[whole] != b'0' || at == whole + 1);
        if bytes.get(at) == Some(&b'.') {
            let fraction = at + 1;
            at = digits(fraction);
            right &= at > fraction;
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            let signed = at + 1;
            let exponent = signed + usize::from(matches!(bytes.get(signed), Some(b'+' | b'-')));
            at = digits(exponent);
            right &= at > exponent;
        }
        if !right {
            return Err(match bytes.get(at) {
                None => self.truncated(),
                Some(_) => format!("expected a number, found {}", shown(self.rest())),
            });
        }
        self.at = at;
        Ok(&self.text[start..at])
    }

    /// The value of a string; the parser stands at its opening quote.
    fn string(&mut self) -> Result<&str, Reason> {
        let bytes = self.text.as_bytes();
        let start = self.at + 1;
        let mut at = start;
        loop {
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(&self.text[start..at]);
                }
                Some(b'\\') => break,
                Some(_) => at += 1,
                None => return Err(self.truncated()),
            }
        }
        self.scratch.clear();
        let mut from = start;
        loop {
            match bytes.get(at) {
                Some(b'"') => {
                    self.scratch.push_str(&self.text[from..at]);
                    self.at = at + 1;
                    return Ok(self.scratch);
                }
                Some(b'\\') => {
                    self.scratch.push_str(&self.text[from..at]);
                    let (c, next) = escape(bytes, at + 1).ok_or_else(|| match bytes.get(at + 1) {
                        None => self.truncated(),
                        Some(_) => format!("{} is not an escape", shown(self.text.get(at..).unwrap_or_default())),
                    })?;
                    self.scratch.push(c);
                    at = next;
                    from = next;
                }
                Some(_) => at += 1,
                None => return Err(self.truncated()),
            }
        }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn truncated(&self) -> Reason {
        "the record ends within a JSON value".into()
    }
}

/// The character of an escape whose letter is at `at`, and where the text goes on.
fn escape(bytes: &[u8], at: usize) -> Option<(char, usize)> {
    let c = match bytes.get(at)? {
        b'"' => '"',
        b'\\' => '\\',
        b'/' => '/',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let high = hex(bytes, at + 1)?;
            if !(0xD800..0xE000).contains(&high) {
                return Some((char::from_u32(high)?, at + 5));
            }
            if !(0xD800..0xDC00).contains(&high) || bytes.get(at + 5..at + 7)? != b"\\u" {
                return None;
            }
            let low = hex(bytes, at + 7).filter(|low| (0xDC00..0xE000).contains(low))?;
            let c = char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))?;
            return Some((c, at + 11));
        }
        _ => return None,
    };
    Some((c, at + 1))
}

fn hex(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.iter().try_fold(0, |value, b| Some(value * 16 + (*b as char).to_digit(16)?))
}

fn deeper(depth: u32) -> Result<u32, Reason> {
    if depth >= DEPTH_MAX { Err(format!("nested deeper than {DEPTH_MAX} levels")) } else { Ok(depth + 1) }
}
