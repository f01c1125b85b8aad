//! JSON objects read by what the last ones looked like.
//!
//! Records of one input have nearly always the same keys in the same order, so that a guess at the next key is one or two
//! comparisons of eight bytes, and values have nearly always the plain form of their column's type. The guide reads a record
//! as long as that holds. A value in another form is handed to the exact [`Parser`] and the guide goes on behind it; any other
//! surprise (an unknown key, another order, white space in odd places, a fault) and the guide takes back what it appended and
//! leaves the whole record to the exact parser. So what a record means, and whether it is bad, never rests on a guess.
//!
//! It accepts a part of what the exact parser accepts, with the same values: `format/tests/guided.rs` holds that on random
//! records, and `cargo bench --bench formats` times it beside arrow-json.

use memchr::memchr;

use super::column::{Column, Values};
use super::json::Parser;
use super::row::{Given, Row, Slot};
use super::scan::{Minute, decimal, load, string_end};

/// The most keys that a guide knows: records with more of them are all surprises.
const KEYS_MAX: usize = 128;

/// What is expected of the next record.
#[derive(Debug, Clone, Default)]
pub(super) struct Guide {
    members: Vec<Member>,
}

/// A key that may come next, and what to do with its value.
#[derive(Debug, Clone)]
struct Member {
    /// As it stands in records: `"key":`.
    key: Box<[u8]>,
    /// The first and the last eight bytes of that, and which bits of the first count when there are fewer.
    head: u64,
    tail: u64,
    mask: u64,
    column: Option<usize>,
    minute: Minute,
}

impl Guide {
    /// Reads the object at `at` of a text, which begins a line, as row `count`; where the next line begins. `None` for a
    /// surprise: nothing has been appended then.
    #[inline]
    pub(super) fn record(
        &mut self,
        text: &str,
        at: usize,
        row: &mut Row,
        count: usize,
        scratch: &mut String,
    ) -> Option<usize> {
        if self.members.is_empty() || text.as_bytes().get(at) != Some(&b'{') {
            return None;
        }
        let next = self.object(text, at + 1, row, count, scratch);
        if next.is_none() {
            row.truncate(count);
        }
        next
    }

    #[inline(always)]
    fn object(
        &mut self,
        text: &str,
        mut at: usize,
        row: &mut Row,
        count: usize,
        scratch: &mut String,
    ) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut members = self.members.iter_mut();
        let mut given = Given::default();
        loop {
            // A key that does not come is skipped: its column will be NULL.
            let member = members.find(|member| member.is_at(bytes, at))?;
            at += member.key.len();
            at += usize::from(bytes.get(at) == Some(&b' '));
            at = match member.column {
                None => skip(text, at, scratch)?,
                Some(index) => {
                    let column = row.columns.get_mut(index)?;
                    // Else it was given already, under a name that differs in case.
                    if !given.add(index) {
                        return None;
                    }
                    match quick(column, &mut member.minute, text, at) {
                        Some(end) => end,
                        None => exact(text, at, scratch, |parser| parser.value(column, 1))?,
                    }
                }
            };
            match bytes.get(at)? {
                b',' => at += 1 + usize::from(bytes.get(at + 1) == Some(&b' ')),
                b'}' => break,
                _ => return None,
            }
        }
        let next = match bytes.get(at + 1..)? {
            [] => at + 1,
            [b'\n', ..] => at + 2,
            [b'\r', b'\n', ..] => at + 3,
            _ => return None,
        };
        if given.count() < row.columns.len() {
            row.end(count).ok()?;
        }
        Some(next)
    }

    /// Learns from a record that was read exactly: its keys in order. Keys that are missing in it stay, so that records that
    /// leave out what they don't have are no surprise.
    pub(super) fn learn(&mut self, shape: &[(Box<str>, Slot)]) {
        let mut place = 0;
        let mut fresh: Vec<Member> = Vec::new();
        let mut merged = Some(self.members.clone());
        for (key, slot) in shape {
            let Some(member) = Member::new(key, *slot) else { continue };
            if let Some(known) = &mut merged {
                match known.iter().position(|m| m.key == member.key) {
                    Some(found) if found >= place => place = found + 1,
                    // In another order: the old one is given up.
                    Some(_) => merged = None,
                    None if known.len() >= KEYS_MAX => merged = None,
                    None => {
                        known.insert(place, member.clone());
                        place += 1;
                    }
                }
            }
            if fresh.len() < KEYS_MAX {
                fresh.push(member);
            }
        }
        self.members = merged.unwrap_or(fresh);
    }
}

impl Member {
    /// `None` for a key that would have to be escaped.
    fn new(key: &str, slot: Slot) -> Option<Self> {
        if key.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
            return None;
        }
        let key = format!("\"{key}\":").into_bytes();
        let mut padded = key.clone();
        padded.resize(key.len().max(8), 0);
        let column = match slot {
            Slot::Unknown => None,
            Slot::Exact(index) | Slot::Folded(index) => Some(index),
        };
        Some(Self {
            head: load(&padded, 0)?,
            tail: load(&padded, padded.len() - 8)?,
            mask: if key.len() >= 8 { u64::MAX } else { (1 << (8 * key.len())) - 1 },
            key: key.into(),
            column,
            minute: Minute::default(),
        })
    }

    #[inline(always)]
    fn is_at(&self, bytes: &[u8], at: usize) -> bool {
        if load(bytes, at).is_none_or(|head| (head ^ self.head) & self.mask != 0) {
            return false;
        }
        let length = self.key.len();
        length <= 8
            || (load(bytes, at + length - 8) == Some(self.tail)
                && (length <= 16 || bytes.get(at + 8..at + length - 8) == self.key.get(8..length - 8)))
    }
}

/// Appends the value at `at` if it has the plain form of its column's type; where it ends.
#[inline(always)]
fn quick(column: &mut Column, minute: &mut Minute, text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let separates = |byte| matches!(byte, b',' | b'}');
    match (&column.values, bytes.get(at)?) {
        (Values::Text(..), b'"') => {
            let end = string_end(bytes, at + 1)?;
            column.quick_text(text.get(at + 1..end)?)?;
            Some(end + 1)
        }
        (Values::Timestamp(..), b'"') => {
            column.quick_instant(minute, bytes, at + 1, |byte| byte == b'"').map(|end| end + 1)
        }
        (Values::Text(..), _) => None,
        (_, b'-' | b'0'..=b'9') => column.quick_number(bytes, at, separates),
        _ => None,
    }
}

/// Passes over the value at `at`; where it ends.
#[inline(always)]
fn skip(text: &str, at: usize, scratch: &mut String) -> Option<usize> {
    let bytes = text.as_bytes();
    let plain = match bytes.get(at)? {
        b'"' => string_end(bytes, at + 1).map(|end| end + 1),
        b'-' | b'0'..=b'9' => {
            decimal(bytes, at).map(|(.., end)| end).filter(|end| matches!(bytes.get(*end), Some(b',' | b'}')))
        }
        _ => None,
    };
    match plain {
        Some(end) => Some(end),
        None => exact(text, at, scratch, |parser| parser.skip(1)),
    }
}

/// Reads a value by the exact parser, within its line; where it ends.
#[cold]
#[inline(never)]
fn exact(
    text: &str,
    at: usize,
    scratch: &mut String,
    read: impl FnOnce(&mut Parser<'_>) -> Result<(), super::Reason>,
) -> Option<usize> {
    let end = memchr(b'\n', text.as_bytes().get(at..)?).map_or(text.len(), |newline| at + newline);
    let mut parser = Parser { text: text.get(..end)?, at, scratch };
    read(&mut parser).ok()?;
    Some(parser.at)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, Fields};

    use super::*;

    /// What the tests of whole blocks can't see: that plain records are read by the guide, and odd ones are not.
    #[test]
    fn plain_records_are_no_surprise() {
        let fields: Fields =
            vec![Field::new("id", DataType::Int64, true), Field::new("name", DataType::Utf8, true)].into();
        let mut row = Row::new(&fields, None).unwrap();
        let mut guide = Guide::default();
        let mut scratch = String::new();
        for (key, slot) in [("id", Slot::Exact(0)), ("name", Slot::Exact(1)), ("more", Slot::Unknown)] {
            assert_eq!(row.slot(row.keys().len(), key), slot);
        }
        guide.learn(row.keys());
        let padding = "\n".repeat(20);
        let mut reads = |line: &str, count: usize| {
            guide.record(&format!("{line}\n{padding}"), 0, &mut row, count, &mut scratch) == Some(line.len() + 1)
        };
        for (count, line) in [
            r#"{"id":1,"name":"x","more":true}"#,
            r#"{"id": 1, "name": "x", "more": [1, {}]}"#,
            r#"{"name":"a \" in it","more":-1.5}"#,
            r#"{"id":null}"#,
            r#"{"id":"12","name":null,"more":"x"}"#,
        ]
        .iter()
        .enumerate()
        {
            assert!(reads(line, count), "{line}");
        }
        for line in [
            r#"{"name":"x","id":1}"#,
            r#"{"id":1,"id":2}"#,
            r#"{"id":1,"other":2}"#,
            r#"{"id":01}"#,
            r#"{"id":1}}"#,
            r#"{"id":1"#,
            r#"{"name":"x"#,
            r#"{}"#,
            "",
        ] {
            assert!(!reads(line, 5), "{line}");
        }
        assert_eq!(row.columns.iter().map(Column::len).collect::<Vec<_>>(), [5, 5], "nothing of these is left");
    }

    fn keys(guide: &Guide) -> Vec<&str> {
        guide.members.iter().map(|m| std::str::from_utf8(&m.key).unwrap()).collect()
    }

    fn shape(keys: &str) -> Vec<(Box<str>, Slot)> {
        keys.chars().map(|c| (c.to_string().into(), Slot::Unknown)).collect()
    }

    #[test]
    fn keys_are_merged_while_their_order_holds() {
        let mut guide = Guide::default();
        guide.learn(&shape("ac"));
        guide.learn(&shape("abd"));
        guide.learn(&shape("cd"));
        // `cd` came behind `abdc`: only its own order is kept.
        assert_eq!(keys(&guide), ["\"c\":", "\"d\":"]);
        guide.learn(&shape("abc"));
        assert_eq!(keys(&guide), ["\"a\":", "\"b\":", "\"c\":", "\"d\":"]);
        guide.learn(&shape("ba"));
        assert_eq!(keys(&guide), ["\"b\":", "\"a\":"]);
    }

    #[test]
    fn a_key_is_told_from_one_that_begins_like_it() {
        for key in ["a", "abcdef", "abcdefg", "abcdefghijklm", "abcdefghijklmnopqrstuvwxyz"] {
            let member = Member::new(key, Slot::Unknown).unwrap();
            let text = format!("\"{key}\":1,\"more\":2");
            assert!(member.is_at(text.as_bytes(), 0), "{key}");
            for at in 1..=key.len() + 1 {
                let mut other = text.clone().into_bytes();
                other[at] ^= 1;
                assert!(!member.is_at(&other, 0), "{key} {at}");
            }
        }
        assert!(Member::new("a\"b", Slot::Unknown).is_none());
    }
}
