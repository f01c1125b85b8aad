//! Values written into texts: `format` and `printf`, `hex`, `bin`, and the escapes and parts of URLs.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::ScalarUDF;

use super::arguments::Parameter::{Anything, Integer, IntegerOrText, Text};
use super::arguments::{Arguments, Declared, text_type};

/// The functions of this family.
pub(super) fn all() -> Vec<ScalarUDF> {
    let text = |name, body| Declared::new(name, &[Text], text_type, body).function();
    vec![
        // format(template, …): %s takes the next value, %n$s the nth, %I and %L quote it as a name and a literal; %% is a %.
        Declared { optional: 1, repeats: true, ..Declared::new("format", &[Text, Anything], text_type, format) }
            .named(&["printf"]),
        // hex(number or text): in capitals.
        Declared::new("hex", &[IntegerOrText], text_type, hex).function(),
        // bin(number): its binary digits; a negative one in 64 bits.
        Declared::new("bin", &[Integer], text_type, |a| {
            let numbers = a.integers(0)?;
            texts(a.rows(), |row| Ok(numbers.get(row).map(|n| format!("{n:b}"))))
        })
        .function(),
        text("url_encode", |a| of_text(a, |text| Some(url_encode(text)))),
        text("url_decode", |a| of_text(a, url_decode)),
        // parse_url(url, part [, key]): HOST, PATH, QUERY, REF, PROTOCOL, FILE, AUTHORITY, USERINFO.
        Declared { optional: 1, ..Declared::new("parse_url", &[Text, Text, Text], text_type, parse_url) }.function(),
    ]
}

fn texts(rows: usize, text: impl Fn(usize) -> Result<Option<String>>) -> Result<ArrayRef> {
    let mut written = StringBuilder::with_capacity(rows, 16 * rows);
    for row in 0..rows {
        written.append_option(text(row)?);
    }
    Ok(Arc::new(written.finish()))
}

fn of_text(arguments: &Arguments, write: impl Fn(&str) -> Option<String>) -> Result<ArrayRef> {
    let given = arguments.texts(0)?;
    texts(arguments.rows(), |row| Ok(given.get(row).and_then(&write)))
}

fn format(arguments: &Arguments) -> Result<ArrayRef> {
    let templates = arguments.texts(0)?;
    let values = (1..arguments.len()).map(|i| arguments.texts(i)).collect::<Result<Vec<_>>>()?;
    texts(arguments.rows(), |row| {
        let Some(template) = templates.get(row) else { return Ok(None) };
        fill(template, &values.iter().map(|v| v.get(row)).collect::<Vec<_>>()).map(Some)
    })
}

/// A template with values put in; NULL is nothing for %s and NULL for %L.
fn fill(template: &str, values: &[Option<&str>]) -> Result<String> {
    let mut written = String::new();
    let mut next = 0;
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        written.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 && rest[digits..].starts_with('$') {
            next = rest[..digits].parse::<usize>().unwrap_or(usize::MAX).wrapping_sub(1);
            rest = &rest[digits + 1..];
        }
        let left = rest.starts_with('-');
        rest = rest.strip_prefix('-').unwrap_or(rest);
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let width = rest[..digits].parse::<usize>().unwrap_or(0).min(10_000);
        rest = &rest[digits..];
        let Some(kind) = rest.chars().next() else { return exec_err!("the template '{template}' ends in a %") };
        rest = &rest[kind.len_utf8()..];
        if kind == '%' {
            written.push('%');
            continue;
        }
        let Some(value) = values.get(next) else {
            return exec_err!("the template '{template}' asks for more values than the {} given", values.len());
        };
        next += 1;
        let text = match (kind, value) {
            ('s' | 'd', value) => value.unwrap_or_default().to_owned(),
            ('I', Some(name)) => format!("\"{}\"", name.replace('"', "\"\"")),
            ('I', None) => return exec_err!("NULL is no name for %I"),
            ('L', Some(value)) => format!("'{}'", value.replace('\'', "''")),
            ('L', None) => "NULL".to_owned(),
            _ => return exec_err!("'%{kind}' in a template is not known: write %s, %I, %L or %%"),
        };
        let pad = " ".repeat(width.saturating_sub(text.chars().count()));
        written.extend(if left { [text, pad] } else { [pad, text] });
    }
    Ok(written + rest)
}

fn hex(arguments: &Arguments) -> Result<ArrayRef> {
    if arguments.data_type(0) == DataType::Int64 {
        let numbers = arguments.integers(0)?;
        return texts(arguments.rows(), |row| Ok(numbers.get(row).map(|n| format!("{n:X}"))));
    }
    of_text(arguments, |text| {
        Some(text.bytes().fold(String::with_capacity(2 * text.len()), |mut written, byte| {
            let _ = write!(written, "{byte:02X}");
            written
        }))
    })
}

/// As forms do: letters, digits and `-_.*` stay, a space is a `+`.
fn url_encode(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' => written.push(char::from(byte)),
            b' ' => written.push('+'),
            _ => {
                let _ = write!(written, "%{byte:02X}");
            }
        }
    }
    written
}

/// NULL for what is not encoded like that.
fn url_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |b: u8| char::from(b).to_digit(16);
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn parse_url(arguments: &Arguments) -> Result<ArrayRef> {
    let (urls, parts) = (arguments.texts(0)?, arguments.texts(1)?);
    let keys = (arguments.len() > 2).then(|| arguments.texts(2)).transpose()?;
    texts(arguments.rows(), |row| {
        let (Some(url), Some(part)) = (urls.get(row), parts.get(row)) else { return Ok(None) };
        match &keys {
            None => Ok(part_of_url(url, part).map(str::to_owned)),
            Some(keys) => {
                let Some(key) = keys.get(row) else { return Ok(None) };
                let query = (part == "QUERY").then(|| part_of_url(url, part)).flatten().unwrap_or_default();
                let value = |pair: &str| pair.split_once('=').filter(|(k, _)| *k == key).map(|(_, v)| v.to_owned());
                Ok(query.split('&').find_map(value))
            }
        }
    })
}

fn part_of_url<'a>(url: &'a str, part: &str) -> Option<&'a str> {
    let (protocol, rest) = url.split_once("://")?;
    let (rest, fragment) = rest.split_once('#').map_or((rest, None), |(rest, fragment)| (rest, Some(fragment)));
    let path_at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, file) = rest.split_at(path_at);
    let (path, query) = file.split_once('?').map_or((file, None), |(path, query)| (path, Some(query)));
    let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
    match part {
        "PROTOCOL" => Some(protocol),
        "AUTHORITY" => Some(authority),
        "USERINFO" => user,
        "HOST" => Some(
            host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(h, _)| h),
        ),
        "FILE" => Some(file),
        "PATH" => Some(path),
        "QUERY" => query,
        "REF" => fragment,
        _ => None,
    }
}
