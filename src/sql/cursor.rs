//! A place in the tokens of a statement: what the parts of the front end that are ours are written with. Expressions, types
//! and queries go to sqlparser.

use sqlparser::ast::{DataType, Expr, Ident};
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::bounds::RECURSION_MAX;
use super::dialect::TidemillDialect;
use super::source::Source;
use super::statement::Name;
use super::suggest;
use super::tokens::{as_word, bracket, is_word};
use crate::error::{Error, Result, nearest};

/// Tokens still to be read, and where they end in the text.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) source: &'a Source<'a>,
    tokens: &'a [TokenWithSpan],
    /// Place of the last token read or, at the end, of what follows: errors at the end point there.
    last: Span,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a Source<'a>, tokens: &'a [TokenWithSpan]) -> Self {
        let last = tokens.first().map_or(Span::empty(), |t| t.span);
        Self { source, tokens, last }
    }

    /// What is still to be read.
    pub(super) fn rest(&self) -> &'a [TokenWithSpan] {
        self.tokens
    }

    pub(super) fn is_done(&self) -> bool {
        self.tokens.is_empty()
    }

    pub(super) fn peek(&self, n: usize) -> Option<&'a Token> {
        self.tokens.get(n).map(|t| &t.token)
    }

    /// The unquoted word that comes next, in upper case.
    pub(super) fn peek_word(&self) -> Option<String> {
        self.peek(0).and_then(as_word).map(str::to_ascii_uppercase)
    }

    /// Place of the next token; at the end, that of the last one.
    pub(super) fn span(&self) -> Span {
        self.tokens.first().map_or(self.last, |t| t.span)
    }

    /// From the next token to the last one.
    pub(super) fn rest_span(&self) -> Span {
        match (self.tokens.first(), self.tokens.last()) {
            (Some(first), Some(last)) => Span::new(first.span.start, last.span.end),
            _ => self.last,
        }
    }

    pub(super) fn next(&mut self) -> Option<&'a TokenWithSpan> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        self.last = first.span;
        Some(first)
    }

    fn advance(&mut self, n: usize) {
        for _ in 0..n {
            self.next();
        }
    }

    /// Whether these words come next.
    pub(super) fn at_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(n, word)| self.peek(n).is_some_and(|token| is_word(token, word)))
    }

    /// Reads these words when they come next.
    pub(super) fn accept(&mut self, words: &[&str]) -> bool {
        let found = self.at_words(words);
        if found {
            self.advance(words.len());
        }
        found
    }

    /// Reads the first of these words that comes next.
    pub(super) fn accept_any(&mut self, words: &[&'static str]) -> Option<&'static str> {
        words.iter().find(|word| self.accept(&[word])).copied()
    }

    /// Reads these words.
    pub(super) fn expect(&mut self, words: &[&str]) -> Result<()> {
        if self.accept(words) { Ok(()) } else { Err(self.expected(&words.join(" "))) }
    }

    pub(super) fn accept_token(&mut self, token: &Token) -> bool {
        let found = self.peek(0) == Some(token);
        if found {
            self.next();
        }
        found
    }

    /// The error that something else comes next, with a did-you-mean for a mistyped keyword.
    pub(super) fn expected(&self, what: &str) -> Error {
        let error = match self.tokens.first() {
            Some(token) => Error::sql(format!("expected {what}, found '{}'", token.token)).at(token.span.into()),
            None => Error::sql(format!("expected {what}, found nothing")).at(self.last.into()),
        };
        let first_word = what.split(' ').next().unwrap_or_default();
        match self.peek(0).and_then(as_word).and_then(|word| nearest(word, [first_word])) {
            Some(near) if !near.is_empty() => error.help(format!("did you mean {near}?")),
            _ => error,
        }
    }

    /// Refuses anything that is left.
    pub(super) fn finish(&self, after: &str) -> Result<()> {
        match self.tokens.first() {
            None => Ok(()),
            Some(token) => Err(suggest::with_typo(unexpected(token, after), self.tokens, 0)),
        }
    }

    /// The same where these tokens were read as what comes `after`: the mistyped word may be the last of them.
    pub(super) fn finish_of(&self, read: &[TokenWithSpan], after: &str) -> Result<()> {
        let Some(token) = self.tokens.first() else { return Ok(()) };
        let index = read.len().saturating_sub(self.tokens.len());
        Err(suggest::with_typo(unexpected(token, after), read, index))
    }

    /// A one-word name, or a quoted path; a prefix that names the only catalog or schema there is is dropped.
    pub(super) fn name(&mut self, what: &str) -> Result<Name> {
        let start = self.span();
        let mut parts = vec![self.ident(what)?];
        while self.accept_token(&Token::Period) {
            parts.push(self.ident(what)?);
        }
        let known = ["default_catalog", "default_database", "default", "public", "tidemill"];
        let ident = parts.pop().ok_or_else(|| self.expected(what))?;
        if parts.iter().any(|part| !known.contains(&part.value.to_ascii_lowercase().as_str())) {
            let name = parts.iter().chain([&ident]).map(|p| p.value.as_str()).collect::<Vec<_>>().join(".");
            return Err(Error::unsupported(format!("names have one word, not '{name}'"))
                .at(start.into())
                .help(format!("write {}; there are no catalogs and schemas", ident.value)));
        }
        Ok(name_of(&ident))
    }

    /// An identifier; a quoted string counts (paths are relations).
    pub(super) fn ident(&mut self, what: &str) -> Result<Ident> {
        let ident = match self.tokens.first() {
            Some(TokenWithSpan { token: Token::Word(word), span }) => word.to_ident(*span),
            Some(TokenWithSpan { token: Token::SingleQuotedString(path), span }) => {
                Ident::with_quote_and_span('\'', *span, path.as_str())
            }
            _ => return Err(self.expected(what)),
        };
        self.next();
        Ok(ident)
    }

    /// A quoted string.
    pub(super) fn string(&mut self, what: &str) -> Result<String> {
        let text = match self.peek(0) {
            Some(
                Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) | Token::DoubleQuotedString(text),
            ) => text.clone(),
            _ => return Err(self.expected(what)),
        };
        self.next();
        Ok(text)
    }

    /// What stands between the parentheses that come next.
    pub(super) fn parens(&mut self, what: &str) -> Result<Cursor<'a>> {
        if self.peek(0) != Some(&Token::LParen) {
            return Err(self.expected(what));
        }
        let inner = self.tokens;
        let mut depth = 0;
        for (n, token) in inner.iter().enumerate() {
            depth += bracket(&token.token);
            if depth == 0 {
                self.advance(n + 1);
                return Ok(Cursor { source: self.source, tokens: &inner[1..n], last: token.span });
            }
        }
        Err(Error::sql("'(' is never closed").at(self.span().into()))
    }

    /// Splits what is left at its commas, those in brackets (also `STRUCT<a INT, b INT>`) apart. Nothing gives nothing.
    pub(super) fn split_commas(&self) -> Vec<Cursor<'a>> {
        let mut parts = Vec::new();
        if self.tokens.is_empty() {
            return parts;
        }
        let (mut depth, mut angles, mut start) = (0, 0, 0);
        for (n, token) in self.tokens.iter().enumerate() {
            depth += bracket(&token.token);
            match token.token {
                Token::Lt if n > 0 && is_angle_type(&self.tokens[n - 1].token) => angles += 1,
                Token::Gt if angles > 0 => angles -= 1,
                Token::Comma if depth == 0 && angles == 0 => {
                    parts.push(self.part(start, n));
                    start = n + 1;
                }
                _ => {}
            }
        }
        parts.push(self.part(start, self.tokens.len()));
        parts
    }

    /// Splits before the first place, outside brackets, where `found` holds for the rest; all when there is none. Within
    /// `IS DISTINCT FROM` is no such place.
    pub(super) fn split_before(&mut self, found: impl Fn(&Cursor<'a>) -> bool) -> Cursor<'a> {
        let whole = self.tokens;
        let mut depth = 0;
        for n in 0..whole.len() {
            let in_operator = n > 0 && self.part(n - 1, whole.len()).at_words(&["DISTINCT", "FROM"]);
            if depth == 0 && !in_operator && found(&self.part(n, whole.len())) {
                let before = self.part(0, n);
                self.advance(n);
                return before;
            }
            depth += bracket(&whole[n].token);
        }
        let before = *self;
        self.advance(whole.len());
        before
    }

    fn part(&self, from: usize, to: usize) -> Cursor<'a> {
        let last = self.tokens.get(to).or(self.tokens.last()).map_or(self.last, |t| t.span);
        Cursor { source: self.source, tokens: &self.tokens[from..to], last }
    }

    /// An expression.
    pub(super) fn expr(&mut self) -> Result<Expr> {
        let mut expr = self.sqlparser(|parser| parser.parse_expr())?;
        super::windows::rewrite_expr(&mut expr)?;
        Ok(expr)
    }

    /// A type.
    pub(super) fn data_type(&mut self) -> Result<DataType> {
        let mut data_type = self.sqlparser(|parser| parser.parse_data_type())?;
        super::types::normalize(&mut data_type);
        Ok(data_type)
    }

    /// Whatever sqlparser reads from here; the cursor moves behind it.
    pub(super) fn sqlparser<T>(&mut self, read: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>) -> Result<T> {
        let mut parser = Parser::new(&TidemillDialect)
            .with_recursion_limit(RECURSION_MAX)
            .with_tokens_with_locations(self.tokens.to_vec());
        let result = read(&mut parser);
        match result {
            Ok(value) => {
                self.advance(parser.index().min(self.tokens.len()));
                Ok(value)
            }
            Err(error) => Err(suggest::parser_error(&error, self.tokens, self.last_of_rest())),
        }
    }

    /// Where an error at the very end points.
    fn last_of_rest(&self) -> Span {
        self.tokens.last().map_or(self.last, |t| t.span)
    }

    /// The text of what is left, as it was written.
    pub(super) fn text(&self) -> &'a str {
        if self.tokens.is_empty() { "" } else { self.source.slice(self.rest_span()) }
    }
}

fn unexpected(token: &TokenWithSpan, after: &str) -> Error {
    Error::sql(format!("'{}' is not expected after {after}", token.token)).at(token.span.into())
}

/// A name as the catalog knows it.
pub(super) fn name_of(ident: &Ident) -> Name {
    let value = if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() };
    Name { value, spelled: ident.value.clone(), span: ident.span.into() }
}

fn is_angle_type(token: &Token) -> bool {
    ["STRUCT", "ARRAY"].iter().any(|name| is_word(token, name))
}
