//! `WITH (…)` and `FORMAT … ENCODE …` → options.

use sqlparser::tokenizer::Token;

use super::commands::{key_text, raw_value};
use super::cursor::Cursor;
use crate::error::{Error, Result, nearest};
use crate::settings::Options;

/// `WITH (key = value, …)`: keys quoted or not, with dots or not; the cursor is at WITH.
pub(super) fn with_clause(cursor: &mut Cursor<'_>, options: &mut Options) -> Result<()> {
    cursor.next();
    let list = cursor.parens("'(' and options")?;
    put_all(&list, options)
}

fn put_all(list: &Cursor<'_>, options: &mut Options) -> Result<()> {
    let ksql = list.split_commas().iter().any(|option| option.at_words(&["KAFKA_TOPIC"]));
    for mut option in list.split_commas() {
        let span = option.rest_span();
        if option.is_done() {
            return Err(option.expected("an option").help("options are apart by one comma, with none at the end"));
        }
        let key = option.split_before(|c| matches!(c.peek(0), Some(Token::Eq)));
        if key.is_done() {
            return Err(option.expected("an option's name"));
        }
        if !option.accept_token(&Token::Eq) {
            return Err(Error::sql(format!("option '{}' has no value", key_text(&key)))
                .at(span.into())
                .help("write 'name' = 'value'"));
        }
        if option.is_done() {
            return Err(option.expected("a value"));
        }
        if option.rest().iter().any(|t| t.token == Token::Eq) {
            return Err(Error::sql(format!("option '{}' has two values", key_text(&key)))
                .at(span.into())
                .help("a comma is missing before the next option"));
        }
        let name = key_text(&key);
        let mut value = raw_value(&option);
        if ["value_format", "key_format"].contains(&name.to_ascii_lowercase().as_str()) {
            value = value.to_ascii_lowercase();
        }
        options.put(&name, value, Some(span.into()))?;
    }
    if ksql && !options.contains("connector") {
        options.put("connector", "kafka", Some(list.rest_span().into()))?;
    }
    Ok(())
}

/// Whether `FORMAT x ENCODE y` comes next.
pub(super) fn at_format(cursor: &Cursor<'_>) -> bool {
    cursor.at_words(&["FORMAT"]) && matches!(cursor.peek(1), Some(Token::Word(_))) && cursor.peek(2).is_some()
}

/// `FORMAT PLAIN | UPSERT | DEBEZIUM … ENCODE JSON | CSV | … [(options)]` as the option `format`; the cursor is at FORMAT.
pub(super) fn format_clause(cursor: &mut Cursor<'_>, options: &mut Options) -> Result<()> {
    const ENVELOPES: &[&str] = &["PLAIN", "APPEND", "UPSERT", "DEBEZIUM", "MAXWELL", "CANAL", "NATIVE"];
    const ENCODINGS: &[&str] =
        &["JSON", "CSV", "AVRO", "PROTOBUF", "BYTES", "PARQUET", "TEXT", "TEMPLATE", "NATIVE", "MSGPACK", "ARROW"];
    let start = cursor.span();
    cursor.next();
    let envelope = one_of(cursor, ENVELOPES)?;
    cursor.expect(&["ENCODE"])?;
    let encoding = one_of(cursor, ENCODINGS)?.to_ascii_lowercase();
    let format = match envelope {
        "PLAIN" | "APPEND" | "NATIVE" => encoding,
        other => format!("{}-{encoding}", other.to_ascii_lowercase()),
    };
    options.put("format", format, Some(start.into()))?;
    if cursor.peek(0) == Some(&Token::LParen) {
        let list = cursor.parens("options")?;
        put_all(&list, options)?;
    }
    Ok(())
}

fn one_of(cursor: &mut Cursor<'_>, known: &'static [&'static str]) -> Result<&'static str> {
    if let Some(found) = cursor.accept_any(known) {
        return Ok(found);
    }
    let error = cursor.expected(&format!("one of {}", known.join(", ")));
    Err(match cursor.peek_word().as_deref().and_then(|word| nearest(word, known.iter().copied())) {
        Some(near) => error.help(format!("did you mean {near}?")),
        None => error,
    })
}
