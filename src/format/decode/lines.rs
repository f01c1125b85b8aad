//! The lines of a block.

use memchr::{memchr, memrchr};

use crate::format::Place;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whether a line is white space and so no record.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// How many bytes at the start of a block are none of its records: the mark that may begin an input.
pub(super) fn skipped(block: &[u8], place: &Place) -> usize {
    if place.record <= 1 && block.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
}

/// The lines of a block that are not blank: number of the record, and the line without its end.
pub(super) fn lines<'a>(
    block: &'a [u8],
    place: &Place,
    is_blank: fn(&[u8]) -> bool,
) -> impl Iterator<Item = (u64, &'a [u8])> + use<'a> {
    let mut start = skipped(block, place);
    let mut number = place.record;
    std::iter::from_fn(move || {
        while start < block.len() {
            let (line, next) = line(block, start);
            let this = number;
            start = next;
            number += 1;
            if !is_blank(line) {
                return Some((this, line));
            }
        }
        None
    })
}

/// The line that begins at a place, without its end, and where the next one begins.
pub(super) fn line(block: &[u8], at: usize) -> (&[u8], usize) {
    let rest = &block[at..];
    let (line, next) = match memchr(b'\n', rest) {
        Some(end) => (&rest[..end], at + end + 1),
        None => (rest, block.len()),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), next)
}

/// A part of a block.
#[derive(Debug, PartialEq)]
pub(super) enum Run<'a> {
    /// Whole lines that are UTF-8.
    Text(&'a str),
    /// A line that is not, without its end, and how many of its bytes are.
    NotText(&'a [u8], usize),
}

/// A block in runs, so that UTF-8 is checked once for all the lines around one that is not.
pub(super) fn runs<'a>(block: &'a [u8], place: &Place) -> impl Iterator<Item = Run<'a>> + use<'a> {
    let mut start = skipped(block, place);
    let mut bad = None;
    std::iter::from_fn(move || {
        if let Some(line) = bad.take() {
            return Some(line);
        }
        if start >= block.len() {
            return None;
        }
        let rest = &block[start..];
        let error = match std::str::from_utf8(rest) {
            Ok(text) => {
                start = block.len();
                return Some(Run::Text(text));
            }
            Err(error) => error,
        };
        let good = memrchr(b'\n', &rest[..error.valid_up_to()]).map_or(0, |newline| newline + 1);
        let (found, next) = line(rest, good);
        start += next;
        let run = Run::NotText(found, error.valid_up_to() - good);
        match std::str::from_utf8(&rest[..good]) {
            Ok(text) if good > 0 => {
                bad = Some(run);
                Some(Run::Text(text))
            }
            _ => Some(run),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(block: &[u8]) -> Vec<Run<'_>> {
        runs(block, &Place { origin: "x".into(), record: 1 }).collect()
    }

    #[test]
    fn a_line_that_is_not_text_stands_alone() {
        assert_eq!(of(b"a\nb"), [Run::Text("a\nb")]);
        assert_eq!(of(b""), []);
        assert_eq!(
            of(b"\xef\xbb\xbfa\nx\xffy\r\n\n\xc3\nb\n"),
            [Run::Text("a\n"), Run::NotText(b"x\xffy", 1), Run::Text("\n"), Run::NotText(b"\xc3", 0), Run::Text("b\n")]
        );
        // A character that the end of a line cuts in two.
        assert_eq!(of(b"\xc3\n\xa9"), [Run::NotText(b"\xc3", 0), Run::NotText(b"\xa9", 0)]);
    }
}
