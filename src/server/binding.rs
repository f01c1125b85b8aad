//! Values that a client binds to parameters: from PostgreSQL's text or binary forms to literals of SQL.

use arrow::datatypes::{DataType, Field};
use chrono::{DateTime, Duration, NaiveDate};
use pgwire::api::Type;
use pgwire::error::ErrorInfo;
use postgres_types::Kind;

use super::failure::refusal;
use super::{numeric, rows};
use crate::sql::{Literal, Parameter};

/// Days from 1970 to 2000, where PostgreSQL counts from.
const DAYS_TO_2000: i64 = 10_957;

/// The PostgreSQL type of a parameter whose type was found in the query.
pub(super) fn type_of(data_type: &DataType) -> Type {
    rows::pg_type(&Field::new("", data_type.clone(), true).into())
}

/// NULL of a type: it stands for the parameter while a statement is only described.
pub(super) fn null(of: &Type) -> Parameter {
    Parameter { sql_type: sql_type(of), value: None }
}

/// A bound value.
///
/// # Errors
/// When the bytes are no value of the type.
pub(super) fn parameter(of: &Type, bytes: Option<&[u8]>, binary: bool) -> Result<Parameter, Box<ErrorInfo>> {
    let wrong = || Box::new(refusal("22P02", format!("a parameter is no value of type {}", of.name())));
    let value = match bytes {
        None => None,
        Some(bytes) if binary => Some(from_binary(of, bytes).ok_or_else(wrong)?),
        Some(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|_| Box::new(refusal("22021", "a parameter is no UTF-8")))?;
            Some(from_text(of, text).ok_or_else(wrong)?)
        }
    };
    Ok(Parameter { sql_type: sql_type(of), value })
}

/// How our SQL spells a type.
fn sql_type(of: &Type) -> String {
    if let Kind::Array(item) = of.kind() {
        return format!("{}[]", sql_type(item));
    }
    let name = match *of {
        Type::BOOL => "BOOLEAN",
        Type::INT2 => "SMALLINT",
        Type::INT4 => "INT",
        Type::INT8 | Type::OID => "BIGINT",
        Type::FLOAT4 => "REAL",
        Type::FLOAT8 => "DOUBLE PRECISION",
        Type::NUMERIC => "DECIMAL(38, 10)",
        Type::BYTEA => "BYTEA",
        Type::DATE => "DATE",
        Type::TIME => "TIME",
        Type::TIMESTAMP => "TIMESTAMP(6)",
        Type::TIMESTAMPTZ => "TIMESTAMP(6) WITH TIME ZONE",
        Type::INTERVAL => "INTERVAL",
        _ => "VARCHAR",
    };
    name.to_owned()
}

fn from_text(of: &Type, text: &str) -> Option<Literal> {
    if let Kind::Array(item) = of.kind() {
        return items_of(item, text);
    }
    match *of {
        Type::NUMERIC => is_decimal(text.trim()).then(|| Literal::Number(text.trim().to_owned())),
        Type::BYTEA => {
            let hex = text.strip_prefix("\\x")?;
            let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
            (0..hex.len()).step_by(2).map(byte).collect::<Option<_>>().map(Literal::Bytes)
        }
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => {
            text.trim().parse::<i64>().ok().map(|n| Literal::Text(n.to_string()))
        }
        Type::DATE => Some(Literal::Text(dated(text.trim()).map_or(text, |(date, _)| date).to_owned())),
        Type::TIMESTAMP => Some(Literal::Text(match dated(text.trim()) {
            Some((date, rest)) => {
                format!("{date}{}", rest.split(['+', '-', 'Z']).next().unwrap_or_default().trim_end())
            }
            None => text.to_owned(),
        })),
        _ => Some(Literal::Text(text.to_owned())),
    }
}

/// `2026-02-03` and what is behind it. Drivers send dates and local times with a zone, which means nothing to these types:
/// `2026-02-03 +01`, `2026-02-03 04:05:06+01`.
fn dated(text: &str) -> Option<(&str, &str)> {
    let (date, rest) = text.split_at_checked("2026-02-03".len())?;
    date.bytes()
        .enumerate()
        .all(|(at, b)| if matches!(at, 4 | 7) { b == b'-' } else { b.is_ascii_digit() })
        .then_some((date, rest))
}

fn is_decimal(text: &str) -> bool {
    let digits = text.trim_start_matches(['-', '+']);
    text.len() - digits.len() <= 1
        && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        && digits.chars().filter(|c| *c == '.').count() <= 1
        && digits.chars().any(|c| c.is_ascii_digit())
}

fn from_binary(of: &Type, bytes: &[u8]) -> Option<Literal> {
    if let Kind::Array(item) = of.kind() {
        return array(item, bytes);
    }
    let text = match *of {
        Type::BOOL => (*bytes.first()? != 0).to_string(),
        Type::INT2 => i16::from_be_bytes(bytes.try_into().ok()?).to_string(),
        Type::INT4 => i32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        Type::OID => u32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        Type::INT8 => long(bytes)?.to_string(),
        Type::FLOAT4 => f32::from_be_bytes(bytes.try_into().ok()?).to_string(),
        Type::FLOAT8 => f64::from_be_bytes(bytes.try_into().ok()?).to_string(),
        Type::NUMERIC => return numeric::read(bytes).map(Literal::Number),
        Type::BYTEA => return Some(Literal::Bytes(bytes.to_vec())),
        Type::DATE => {
            let days = i64::from(i32::from_be_bytes(bytes.try_into().ok()?)) + DAYS_TO_2000;
            NaiveDate::default().checked_add_signed(Duration::try_days(days)?)?.to_string()
        }
        Type::TIME => DateTime::from_timestamp_micros(long(bytes)?)?.format("%H:%M:%S%.6f").to_string(),
        Type::TIMESTAMP => moment(bytes)?.format("%Y-%m-%d %H:%M:%S%.6f").to_string(),
        Type::TIMESTAMPTZ => moment(bytes)?.format("%Y-%m-%d %H:%M:%S%.6fZ").to_string(),
        Type::INTERVAL => {
            let (micros, days) = (long(bytes.get(..8)?)?, i32::from_be_bytes(bytes.get(8..12)?.try_into().ok()?));
            let months = i32::from_be_bytes(bytes.get(12..16)?.try_into().ok()?);
            let sign = if micros < 0 { "-" } else { "" };
            let micros = micros.unsigned_abs();
            let seconds = format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            format!("{months} months {days} days {seconds} seconds")
        }
        Type::JSONB => std::str::from_utf8(bytes.get(1..)?).ok()?.to_owned(),
        Type::UUID => {
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            let part = |range: std::ops::Range<usize>| hex.get(range);
            [part(0..8)?, part(8..12)?, part(12..16)?, part(16..20)?, part(20..32)?].join("-")
        }
        _ => std::str::from_utf8(bytes).ok()?.to_owned(),
    };
    Some(Literal::Text(text))
}

fn long(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?))
}

/// A point in time, in microseconds since 2000.
fn moment(bytes: &[u8]) -> Option<DateTime<chrono::Utc>> {
    DateTime::from_timestamp_micros(long(bytes)?.checked_add(DAYS_TO_2000 * 86_400_000_000)?)
}

/// An array of one dimension, in binary.
fn array(item: &Type, bytes: &[u8]) -> Option<Literal> {
    let word = |at: usize| Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    match word(0)? {
        0 => return Some(Literal::Items(Vec::new())),
        1 => {}
        _ => return None,
    }
    let count = usize::try_from(word(12)?).ok()?;
    let mut items = Vec::new();
    let mut at = 20;
    for _ in 0..count {
        let length = word(at)?;
        at += 4;
        match usize::try_from(length) {
            Err(_) => items.push(None),
            Ok(length) => {
                items.push(Some(from_binary(item, bytes.get(at..at.checked_add(length)?)?)?));
                at += length;
            }
        }
    }
    Some(Literal::Items(items))
}

/// An array of one dimension, as text: `{1,NULL,"a b"}`.
fn items_of(item: &Type, text: &str) -> Option<Literal> {
    let inner = text.trim().strip_prefix('{')?.strip_suffix('}')?;
    let mut items: Vec<(String, bool)> = Vec::new();
    let mut chars = inner.chars().peekable();
    if inner.trim().is_empty() {
        return Some(Literal::Items(Vec::new()));
    }
    loop {
        let (mut value, mut quoted, mut open) = (String::new(), false, false);
        loop {
            match chars.next() {
                Some('"') => {
                    quoted = true;
                    open = !open;
                }
                Some('\\') => value.push(chars.next()?),
                Some('{' | '}') if !open => return None,
                Some(',') if !open => {
                    chars.peek()?;
                    items.push((value, quoted));
                    break;
                }
                Some(c) => value.push(c),
                None if open => return None,
                None => {
                    items.push((value, quoted));
                    let literal = |(text, quoted): (String, bool)| match quoted {
                        false if text.trim().eq_ignore_ascii_case("null") => Some(None),
                        false => from_text(item, text.trim()).map(Some),
                        true => from_text(item, &text).map(Some),
                    };
                    return items.into_iter().map(literal).collect::<Option<_>>().map(Literal::Items);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: &Type, bytes: &[u8], binary: bool) -> Option<Literal> {
        parameter(of, Some(bytes), binary).unwrap().value
    }

    fn literal(text: &str) -> Option<Literal> {
        Some(Literal::Text(text.to_owned()))
    }

    #[test]
    fn binary_values() {
        assert_eq!(text(&Type::INT4, &5_i32.to_be_bytes(), true), literal("5"));
        assert_eq!(text(&Type::BOOL, &[1], true), literal("true"));
        assert_eq!(text(&Type::FLOAT8, &1.5_f64.to_be_bytes(), true), literal("1.5"));
        assert_eq!(text(&Type::DATE, &1_i32.to_be_bytes(), true), literal("2000-01-02"));
        assert_eq!(text(&Type::TIMESTAMP, &1_500_000_i64.to_be_bytes(), true), literal("2000-01-01 00:00:01.500000"));
        assert_eq!(text(&Type::TIMESTAMPTZ, &0_i64.to_be_bytes(), true), literal("2000-01-01 00:00:00.000000Z"));
        let interval = [&(-1_500_000_i64).to_be_bytes()[..], &2_i32.to_be_bytes(), &1_i32.to_be_bytes()].concat();
        assert_eq!(text(&Type::INTERVAL, &interval, true), literal("1 months 2 days -1.500000 seconds"));
        let words: Vec<u8> = [1_i32, 1, 20, 2, 1].iter().flat_map(|w| w.to_be_bytes()).collect();
        let array =
            [words, 8_i32.to_be_bytes().to_vec(), 7_i64.to_be_bytes().to_vec(), (-1_i32).to_be_bytes().to_vec()];
        assert_eq!(text(&Type::INT8_ARRAY, &array.concat(), true), Some(Literal::Items(vec![literal("7"), None])));
    }

    #[test]
    fn text_values() {
        assert_eq!(text(&Type::BYTEA, b"\\x00ff", false), Some(Literal::Bytes(vec![0, 255])));
        assert_eq!(text(&Type::NUMERIC, b"-1.50", false), Some(Literal::Number("-1.50".into())));
        assert_eq!(text(&Type::DATE, b"2026-02-03 +01", false), literal("2026-02-03"));
        assert_eq!(text(&Type::DATE, b"today", false), literal("today"));
        assert_eq!(text(&Type::TIMESTAMP, b"2026-02-03 04:05:06.5+01", false), literal("2026-02-03 04:05:06.5"));
        assert_eq!(text(&Type::TIMESTAMPTZ, b"2026-02-03 04:05:06+01", false), literal("2026-02-03 04:05:06+01"));
        assert_eq!(text(&Type::UNKNOWN, b"it's", false), literal("it's"));
        let items = vec![literal("a"), None, literal("NULL"), literal("b,\"c")];
        assert_eq!(text(&Type::TEXT_ARRAY, br#"{a,NULL,"NULL","b,\"c"}"#, false), Some(Literal::Items(items)));
        assert_eq!(text(&Type::INT4_ARRAY, b"{}", false), Some(Literal::Items(vec![])));
    }

    #[test]
    fn what_is_no_value_is_refused() {
        for (of, bytes, binary) in [
            (Type::INT4, &[0_u8][..], true),
            (Type::INT4, b"1; DROP TABLE t", false),
            (Type::NUMERIC, b"1e", false),
            (Type::NUMERIC, b"1) OR (1=1", false),
            (Type::BYTEA, b"\\x0", false),
            (Type::TEXT, &[0xFF], false),
            (Type::TIMESTAMP, &i64::MAX.to_be_bytes(), true),
            (Type::DATE, &i32::MAX.to_be_bytes(), true),
            (Type::INT8_ARRAY, &[0, 0, 0, 1, 0, 0], true),
            (Type::INT8_ARRAY, b"{1,2", false),
            (Type::TEXT_ARRAY, b"{a,}", false),
        ] {
            assert!(parameter(&of, Some(bytes), binary).is_err(), "{of} {bytes:?}");
        }
    }
}
