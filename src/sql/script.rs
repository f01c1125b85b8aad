//! Scripts as text, before they are SQL: which stretches are code and which are strings, comments and quoted names.
//!
//! A scanner of its own and not sqlparser's tokenizer, because a REPL asks about text that is still being typed, and
//! because variables are put into text before it is tokenized.

/// What a stretch of a script is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Neither of the others.
    Code,
    /// `'…'`, `E'…'`.
    String,
    /// `"…"` or `` `…` ``.
    Quoted,
    /// `-- …` or `/* … */`.
    Comment,
    /// `$tag$ … $tag$`.
    Dollar,
}

/// A stretch of a script, by bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// False for a string, name or block comment that the text ends in.
    pub(super) closed: bool,
}

/// Cuts a script into its stretches, which cover it from start to end.
pub(super) fn pieces(text: &str) -> Vec<Piece> {
    let bytes = text.as_bytes();
    let mut out = Vec::new();
    let mut code = 0;
    let mut at = 0;
    while at < bytes.len() {
        let found = match bytes[at] {
            b'\'' => Some((Kind::String, quoted(bytes, at, b'\'', escapes(bytes, at)))),
            quote @ (b'"' | b'`') => Some((Kind::Quoted, quoted(bytes, at, quote, false))),
            b'-' if bytes.get(at + 1) == Some(&b'-') => Some((Kind::Comment, line_comment(bytes, at))),
            b'/' if bytes.get(at + 1) == Some(&b'*') => Some((Kind::Comment, block_comment(bytes, at))),
            b'$' if at == 0 || !is_name(bytes[at - 1]) => dollar(text, at).map(|end| (Kind::Dollar, end)),
            _ => None,
        };
        let Some((kind, (end, closed))) = found else {
            at += 1;
            continue;
        };
        if code < at {
            out.push(Piece { kind: Kind::Code, start: code, end: at, closed: true });
        }
        out.push(Piece { kind, start: at, end, closed });
        at = end;
        code = end;
    }
    if code < bytes.len() {
        out.push(Piece { kind: Kind::Code, start: code, end: bytes.len(), closed: true });
    }
    out
}

/// Whether a text is whole: nothing is open in it, and it ends with `;` (or says nothing at all). Backslash commands are
/// not SQL and not looked for.
pub fn is_complete(text: &str) -> bool {
    let mut depth = 0i64;
    let mut ended = true;
    // Words of the statement so far (its first, and the last one), to know a statement set and its END.
    let mut head = String::new();
    let mut last = String::new();
    for piece in pieces(text) {
        if !piece.closed {
            return false;
        }
        match piece.kind {
            Kind::Comment => {}
            Kind::Code => {
                for token in words(&text[piece.start..piece.end]) {
                    match token {
                        "(" => depth += 1,
                        ")" => depth = (depth - 1).max(0),
                        ";" => {
                            let set =
                                head.starts_with("EXECUTE STATEMENT SET") || head.starts_with("BEGIN STATEMENT SET");
                            ended = depth == 0 && (!set || last == "END");
                            if ended {
                                head.clear();
                            }
                            last.clear();
                            continue;
                        }
                        _ => {}
                    }
                    ended = false;
                    last = token.to_ascii_uppercase();
                    if head.len() < 32 {
                        head = if head.is_empty() { last.clone() } else { format!("{head} {last}") };
                    }
                }
            }
            _ => {
                ended = false;
                last.clear();
            }
        }
    }
    ended && depth == 0
}

/// Words and single signs of a stretch of code.
fn words(code: &str) -> impl Iterator<Item = &str> {
    let mut rest = code;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let first = rest.chars().next()?;
        let end = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some(word)
    })
}

pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Whether the string at `at` is `E'…'`, whose backslashes escape.
fn escapes(bytes: &[u8], at: usize) -> bool {
    at > 0 && matches!(bytes[at - 1], b'E' | b'e') && (at == 1 || !is_name(bytes[at - 2]))
}

fn quoted(bytes: &[u8], start: usize, quote: u8, escapes: bool) -> (usize, bool) {
    let mut at = start + 1;
    while at < bytes.len() {
        if escapes && bytes[at] == b'\\' {
            at += 2;
        } else if bytes[at] != quote {
            at += 1;
        } else if bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return (at + 1, true);
        }
    }
    (bytes.len(), false)
}

fn line_comment(bytes: &[u8], start: usize) -> (usize, bool) {
    (memchr::memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |n| start + n + 1), true)
}

fn block_comment(bytes: &[u8], start: usize) -> (usize, bool) {
    let (mut depth, mut at) = (0, start);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => {
                depth += 1;
                at += 2;
            }
            Some(b"*/") => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return (at, true);
                }
            }
            _ => at += 1,
        }
    }
    (bytes.len(), false)
}

/// The end of the dollar-quoted string at `start`, when there is one.
fn dollar(text: &str, start: usize) -> Option<(usize, bool)> {
    let tag_len = text[start + 1..].find('$')?;
    let tag = &text[start..start + tag_len + 2];
    let inner = &tag[1..tag.len() - 1];
    let is_tag =
        inner.chars().all(|c| c.is_alphanumeric() || c == '_') && !inner.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return None;
    }
    let body = start + tag.len();
    Some(text[body..].find(tag).map_or((text.len(), false), |n| (body + n + tag.len(), true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_and_not() {
        for text in [
            "",
            "  \n",
            "-- nothing",
            "SELECT 1;",
            "SELECT ';' ; -- ; (",
            "SELECT 1; SELECT 2 /* ; */ ;",
            "SELECT (1);\n",
            "SELECT $$ ; ( $$;",
            "SELECT E'\\'';",
            "SELECT 'it''s';",
            "SELECT `a;b`;",
            "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; INSERT INTO b SELECT 2; END;",
            "BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END;",
            "SELECT 1);",
        ] {
            assert!(is_complete(text), "{text}");
        }
        for text in [
            "SELECT 1",
            "SELECT ';",
            "SELECT (1;",
            "SELECT 1; SELECT 2",
            "SELECT 1 /* ;",
            "SELECT 1 -- ;",
            "SELECT $x$ ; $$ ;",
            "SELECT \"a;",
            "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;",
            "BEGIN STATEMENT SET;",
            "SELECT E'\\';",
        ] {
            assert!(!is_complete(text), "{text}");
        }
    }

    #[test]
    fn pieces_cover_the_text() {
        for text in
            ["a 'b' \"c\" -- d\n/* e /* f */ */ $g$ h $g$ i", "'", "$", "$$", "ä'ö'ü", "a$1 $2", "E'\\", "/*", "-"]
        {
            let mut at = 0;
            for piece in pieces(text) {
                assert_eq!(piece.start, at, "{text}");
                assert!(text.is_char_boundary(piece.end), "{text}");
                at = piece.end;
            }
            assert_eq!(at, text.len(), "{text}");
        }
    }
}
