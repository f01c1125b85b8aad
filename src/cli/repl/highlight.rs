//! Colours for SQL while it is typed. The text itself is never changed, whole or not.

use sqlparser::dialect::GenericDialect;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Whitespace};

use super::complete::is_keyword;

const KEYWORD: &str = "\x1b[1;34m";
const TEXT: &str = "\x1b[32m";
const NUMBER: &str = "\x1b[36m";
const COMMENT: &str = "\x1b[90m";
const COMMAND: &str = "\x1b[35m";
const RESET: &str = "\x1b[0m";

/// The line with colours.
pub(super) fn highlight(line: &str) -> String {
    if line.trim_start().starts_with('\\') {
        return format!("{COMMAND}{line}{RESET}");
    }
    let mut tokens: Vec<TokenWithSpan> = Vec::new();
    let whole = Tokenizer::new(&GenericDialect {}, line)
        .with_unescape(false)
        .tokenize_with_location_into_buf(&mut tokens)
        .is_ok();
    let mut places = Places::new(line);
    let mut coloured = String::with_capacity(line.len() * 2);
    let mut done = 0;
    for token in &tokens {
        let (start, end) = (places.offset(token.span.start), places.offset(token.span.end));
        // A token without a place of its own must not lose or repeat text.
        if start < done || end < start {
            continue;
        }
        coloured.push_str(&line[done..start]);
        paint(&mut coloured, &line[start..end], colour(&token.token));
        done = end;
    }
    // Behind the last whole token: a text or comment that is not closed yet.
    let rest = &line[done..];
    paint(&mut coloured, rest, if whole { None } else { Some(TEXT) });
    coloured
}

fn paint(out: &mut String, text: &str, colour: Option<&str>) {
    match colour {
        Some(colour) if !text.is_empty() => {
            out.push_str(colour);
            out.push_str(text);
            out.push_str(RESET);
        }
        _ => out.push_str(text),
    }
}

fn colour(token: &Token) -> Option<&'static str> {
    match token {
        Token::Word(word) if word.quote_style.is_none() && is_keyword(&word.value) => Some(KEYWORD),
        Token::Number(..) => Some(NUMBER),
        Token::SingleQuotedString(_)
        | Token::EscapedStringLiteral(_)
        | Token::DollarQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::HexStringLiteral(_) => Some(TEXT),
        Token::Whitespace(Whitespace::SingleLineComment { .. } | Whitespace::MultiLineComment(_)) => Some(COMMENT),
        _ => None,
    }
}

/// Lines and columns of one text as byte offsets, asked for in order.
struct Places<'a> {
    text: &'a str,
    line_start: usize,
    line: u64,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, line_start: 0, line: 1 }
    }

    fn offset(&mut self, at: Location) -> usize {
        while self.line < at.line {
            match self.text[self.line_start..].find('\n') {
                Some(end) => self.line_start += end + 1,
                None => return self.text.len(),
            }
            self.line += 1;
        }
        let rest = &self.text[self.line_start..];
        let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX);
        rest.char_indices().nth(column).map_or(self.text.len(), |(i, _)| self.line_start + i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("\x1b[") {
            out.push_str(&rest[..start]);
            let end = rest[start..].find('m').unwrap();
            rest = &rest[start + end + 1..];
        }
        out + rest
    }

    #[test]
    fn colours_never_change_the_text() {
        for line in [
            "",
            "SELECT a, 'x''y' FROM t -- why\nWHERE n > 1.5;",
            "SELECT 'not closed",
            "SELECT /* not closed",
            "SELECT \"Äö\", 'ü' FROM tümbel\n\n WHERE x = $$a\nb$$ AND y",
            "\\d bids",
            "a\tb\r\nc 'x\ny' d",
            "SELECT U&'\\0041' :x :'y' @ # ^ ~ \u{0}",
        ] {
            assert_eq!(plain(&highlight(line)), line);
        }
    }

    #[test]
    fn each_kind_has_its_colour() {
        let line = highlight("SELECT price, 'x', 42 FROM bid -- c");
        for part in ["\x1b[1;34mSELECT", "\x1b[32m'x'", "\x1b[36m42", "\x1b[90m-- c", " price,"] {
            assert!(line.contains(part), "{part:?} in {line:?}");
        }
        assert!(highlight("SELECT 'open").contains("\x1b[32m'open"));
    }
}
