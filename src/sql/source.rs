//! The text of a script: from sqlparser's places (line and column) to bytes of the text.

use sqlparser::tokenizer::{Location, Span};

/// A script with the start of each of its lines.
pub(super) struct Source<'a> {
    text: &'a str,
    /// Byte at which each line starts, and whether the line is ASCII (columns are bytes then).
    lines: Vec<(usize, bool)>,
}

impl<'a> Source<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut start = 0;
        let mut lines = Vec::new();
        for line in text.split_inclusive('\n') {
            lines.push((start, line.is_ascii()));
            start += line.len();
        }
        lines.push((start, true));
        Self { text, lines }
    }

    /// The byte at which a place stands; the end of the text for a place behind it.
    pub(super) fn offset(&self, at: Location) -> usize {
        let index = usize::try_from(at.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(&(start, ascii)) = self.lines.get(index) else { return self.text.len() };
        let rest = &self.text[start..];
        if ascii {
            return start + column.min(rest.len());
        }
        start + rest.char_indices().nth(column).map_or(rest.len(), |(byte, _)| byte)
    }

    /// The text that a span covers.
    pub(super) fn slice(&self, span: Span) -> &'a str {
        self.text.get(self.offset(span.start)..self.offset(span.end)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_text() {
        let source = Source::new("ab\näö c\n");
        let span = |l, c, m, d| Span::new(Location::new(l, c), Location::new(m, d));
        assert_eq!(source.slice(span(1, 1, 1, 3)), "ab");
        assert_eq!(source.slice(span(2, 2, 2, 5)), "ö c");
        assert_eq!(source.slice(span(1, 2, 2, 2)), "b\nä");
        assert_eq!(source.slice(span(9, 1, 9, 9)), "");
    }
}
