//! JSON lines, parsed straight into columns.
//!
//! One pass, no tree: the type of the column decides how its value is read, and values of keys that no column wants are
//! skipped (though checked: a record that is not JSON is bad whatever part of it the query reads). A record that looks like
//! those before it is read by the [`Guide`]; the parser here reads all the others, and says what is wrong with bad ones.
//!
//! A bad record leaves no trace in the columns and no state in the parser, so its neighbours come out whole.

use arrow::datatypes::Schema;

use super::column::{Column, Values};
use super::guide::Guide;
use super::lines::{Run, is_blank, line, runs};
use super::row::{Row, Rows};
use super::{NumberUnit, Reason, bad, not_text, shown};
use crate::error::Result;
use crate::format::{Decoded, Decoder, Place};

/// How deep arrays and objects may nest in a record.
const DEPTH_MAX: u32 = 64;
/// How often the guide learns in a block: where every record is a surprise, learning would cost more than it wins.
const LESSONS_MAX: u32 = 64;

/// Decodes one JSON object per line.
pub(crate) struct JsonDecoder {
    rows: Rows,
    guide: Guide,
    scratch: String,
}

impl JsonDecoder {
    /// A decoder of the columns `projection`.
    pub(crate) fn new(schema: &Schema, projection: &[usize], numbers: NumberUnit) -> Result<Self> {
        let rows = Rows::new(schema, projection, numbers)?;
        Ok(Self { rows, guide: Guide::default(), scratch: String::new() })
    }

    /// One that never guesses, to hold the other against.
    #[cfg(test)]
    pub(crate) fn unguided(schema: &Schema, projection: &[usize], numbers: NumberUnit) -> Result<impl Decoder> {
        struct Unguided(JsonDecoder);
        impl Decoder for Unguided {
            fn decode(&mut self, block: &[u8], place: &Place) -> Result<Decoded> {
                self.0.decode_block(block, place, 0)
            }
        }
        Self::new(schema, projection, numbers).map(Unguided)
    }

    fn decode_block(&mut self, block: &[u8], place: &Place, mut lessons: u32) -> Result<Decoded> {
        let (mut records, mut bads) = (0, Vec::new());
        let mut number = place.record;
        for run in runs(block, place) {
            let text = match run {
                Run::Text(text) => text,
                Run::NotText(line, valid) => {
                    bads.push(bad(place, number, not_text(valid), line));
                    records += 1;
                    number += 1;
                    continue;
                }
            };
            let mut at = 0;
            while at < text.len() {
                let (row, count) = (&mut self.rows.row, self.rows.count);
                if let Some(next) = self.guide.record(text, at, row, count, &mut self.scratch) {
                    self.rows.count += 1;
                    records += 1;
                    number += 1;
                    at = next;
                    continue;
                }
                let (line, next) = line(text.as_bytes(), at);
                if !is_blank(line) {
                    records += 1;
                    let scratch = &mut self.scratch;
                    let added = self.rows.add(|row, count| {
                        let text = text.get(at..at + line.len()).unwrap_or_default();
                        Parser { text, at: 0, scratch }.record(row, count)
                    });
                    match added {
                        Ok(()) if lessons > 0 => {
                            lessons -= 1;
                            self.guide.learn(self.rows.row.keys());
                        }
                        Ok(()) => {}
                        Err(reason) => bads.push(bad(place, number, reason, line)),
                    }
                }
                number += 1;
                at = next;
            }
        }
        Ok(Decoded { batch: self.rows.finish()?, records, bad: bads })
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, block: &[u8], place: &Place) -> Result<Decoded> {
        self.decode_block(block, place, LESSONS_MAX)
    }

    fn fork(&self) -> Option<Box<dyn Decoder>> {
        let rows = self.rows.fork().ok()?;
        Some(Box::new(Self { rows, guide: self.guide.clone(), scratch: String::new() }))
    }
}

/// Reads what stands in a text exactly, whatever it is.
pub(super) struct Parser<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    /// Where strings with escapes are put together.
    pub(super) scratch: &'a mut String,
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
        row.begin();
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

    /// Appends the value that comes next to a column.
    pub(super) fn value(&mut self, column: &mut Column, depth: u32) -> Result<(), Reason> {
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
    pub(super) fn skip(&mut self, depth: u32) -> Result<(), Reason> {
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
