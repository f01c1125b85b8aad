//! sqlparser's errors as ours: the place out of the text, words that say what to do, a did-you-mean for a mistyped keyword.

use sqlparser::keywords::Keyword;
use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, TokenizerError};

use super::tokens::as_word;
use crate::error::{Error, ErrorKind, nearest};

/// Keywords that people mistype; a word near one of these, where sqlparser stumbled, is taken for it.
const KEYWORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "INTERSECT",
    "EXCEPT",
    "JOIN",
    "INNER",
    "OUTER",
    "LEFT",
    "RIGHT",
    "FULL",
    "CROSS",
    "WATERMARK",
    "EMIT",
    "CHANGES",
    "INTERVAL",
    "DESCRIPTOR",
    "PARTITION",
    "VALUES",
    "INSERT",
    "INTO",
    "CREATE",
    "TABLE",
    "VIEW",
    "MATERIALIZED",
    "SOURCE",
    "SINK",
    "WITH",
    "DISTINCT",
    "BETWEEN",
    "CASE",
    "WHEN",
    "THEN",
    "ELSE",
    "METADATA",
    "PRIMARY",
    "ENFORCED",
    "PARTITIONED",
    "FORMAT",
    "ENCODE",
    "OVER",
    "QUALIFY",
    "LATERAL",
    "TUMBLE",
    "SESSION",
    "CUMULATE",
];

/// An error of sqlparser's parser over these tokens; one without a place is at `end`.
pub(super) fn parser_error(error: &ParserError, tokens: &[TokenWithSpan], end: Span) -> Error {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return Error::new(ErrorKind::Limit, "the expression is nested too deeply").at(end.into());
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let (message, place) = split_place(text);
    let found = match place {
        // Some errors have the place of the token behind the one that they name.
        Some(place) => tokens.iter().position(|t| t.span.start == place).map(|n| {
            let named =
                |n: usize| message.rsplit_once("found: ").is_some_and(|(_, name)| tokens[n].token.to_string() == name);
            if n > 0 && !named(n) && named(n - 1) { n - 1 } else { n }
        }),
        // A few errors have no place but name the token: believed when there is one such.
        None => named_token(message, tokens),
    };
    let Some(index) = found else {
        let at = place.map_or(end, |place| Span::new(place, place));
        return with_typo(Error::sql(readable(message)).at(at.into()), tokens, tokens.len());
    };
    with_typo(Error::sql(readable(message)).at(tokens[index].span.into()), tokens, index)
}

/// An error of the tokenizer.
pub(super) fn tokenizer_error(error: &TokenizerError) -> Error {
    let at = Span::new(error.location, error.location);
    let message = error.message.trim_end_matches('.');
    let own = Error::sql(lower_first(message)).at(at.into());
    if message.contains("Unterminated") || message.contains("EOF") {
        own.help("close it; quotes inside a string are doubled: ''")
    } else {
        own
    }
}

/// Adds a did-you-mean when a word at or just before `index` is nearly a keyword.
pub(super) fn with_typo(error: Error, tokens: &[TokenWithSpan], index: usize) -> Error {
    let candidates = [index, index.wrapping_sub(1), index.wrapping_sub(2)];
    let found = candidates.iter().filter_map(|i| tokens.get(*i)).find_map(|token| {
        let word = typed_word(&token.token)?;
        Some((token, word, nearest(word, KEYWORDS.iter().copied())?))
    });
    match found {
        Some((token, word, keyword)) => {
            let own = Error::new(error.kind(), error.message().to_owned()).at(token.span.into());
            error
                .helps()
                .iter()
                .fold(own, |own, help| own.help(help))
                .help(format!("did you mean {keyword} for '{word}'?"))
        }
        None => error,
    }
}

/// A word that is no keyword, and long enough to be a mistyped one.
fn typed_word(token: &Token) -> Option<&str> {
    let word = as_word(token).filter(|word| word.len() >= 4)?;
    let exact = KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word));
    let keyword = matches!(token, Token::Word(w) if w.keyword != Keyword::NoKeyword);
    // FORM is a typo of FROM, and no keyword; FORMAT is one and none.
    (!exact && !keyword).then_some(word)
}

/// `… at Line: 1, Column: 5`
fn split_place(text: &str) -> (&str, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else { return (text, None) };
    let Some((line, column)) = place.split_once(", Column: ") else { return (text, None) };
    match (line.trim().parse(), column.trim().parse()) {
        (Ok(line), Ok(column)) => (message, Some(Location::new(line, column))),
        _ => (text, None),
    }
}

/// The only token of the name that an error ends with.
fn named_token(message: &str, tokens: &[TokenWithSpan]) -> Option<usize> {
    let (_, name) = message.rsplit_once("found: ")?;
    let mut same = tokens.iter().enumerate().filter(|(_, t)| t.token.to_string() == name).map(|(n, _)| n);
    let first = same.next()?;
    same.next().is_none().then_some(first)
}

/// `Expected: x, found: y` → `expected x, found 'y'`.
fn readable(message: &str) -> String {
    let Some(rest) = message.strip_prefix("Expected: ").or_else(|| message.strip_prefix("Expected ")) else {
        return lower_first(message);
    };
    match rest.rsplit_once(", found: ") {
        Some((expected, "EOF")) => format!("expected {expected}, found nothing"),
        Some((expected, found)) => format!("expected {expected}, found '{found}'"),
        None => format!("expected {rest}"),
    }
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), text.chars().nth(1)) {
        (Some(first), Some(second)) if first.is_uppercase() && !second.is_uppercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
