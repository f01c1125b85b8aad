//! Where a record ends: at a newline, or in CSV at a newline outside quotes.

use memchr::{memchr, memchr2, memrchr};

use super::Framer;
use super::spec::DELIMITERS;

/// The rule by which records end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Every newline ends a record.
    Lines,
    /// A newline within a quoted field does not. A quote opens a field only where a field starts.
    Csv {
        /// The quote.
        quote: u8,
        /// What separates fields; `None`: any of the usual delimiters may.
        delimiter: Option<u8>,
    },
}

/// How far the search for the end of a record has come, so that bytes are looked at once however they arrive.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Search {
    /// Bytes of the record that were searched.
    at: usize,
    /// Within quotes.
    quoted: bool,
    /// Where the last quoted field closed: a quote right behind it opens it again (`""`).
    closed: Option<usize>,
}

impl Framing {
    /// The end of the record that starts the bytes, newline included; `None` when it is not in them.
    pub(super) fn end(self, bytes: &[u8], search: &mut Search) -> Option<usize> {
        let Self::Csv { quote, delimiter } = self else {
            let found = memchr(b'\n', &bytes[search.at..]).map(|n| search.at + n + 1);
            search.at = bytes.len();
            return found;
        };
        while search.at < bytes.len() {
            let rest = &bytes[search.at..];
            let found = if search.quoted { memchr(quote, rest) } else { memchr2(quote, b'\n', rest) };
            let Some(found) = found else { break };
            let at = search.at + found;
            search.at = at + 1;
            if bytes[at] == b'\n' && !search.quoted {
                return Some(at + 1);
            }
            if search.quoted {
                search.quoted = false;
                search.closed = Some(at);
            } else {
                let separates = |byte: u8| delimiter.map_or(DELIMITERS.contains(&byte), |d| d == byte);
                let starts_field = at == 0 || separates(bytes[at - 1]) || bytes[..at] == *b"\xef\xbb\xbf";
                let doubled = at > 0 && search.closed == Some(at - 1);
                search.quoted = starts_field || doubled;
            }
        }
        search.at = bytes.len();
        None
    }
}

impl Search {
    /// Whether the search stands within quotes.
    pub(super) fn is_quoted(&self) -> bool {
        self.quoted
    }
}

impl Framer for Framing {
    fn whole(&self, bytes: &[u8]) -> Option<usize> {
        if *self == Self::Lines {
            return memrchr(b'\n', bytes).map(|n| n + 1);
        }
        let mut whole = 0;
        while let Some(end) = self.end(&bytes[whole..], &mut Search::default()) {
            whole += end;
        }
        (whole > 0).then_some(whole)
    }
}
