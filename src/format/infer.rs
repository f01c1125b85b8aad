//! What an input is, from its first bytes: its format, and the names and types of its columns.
//!
//! A guess is only ever made from what is there: a wrong one shows in `DESCRIBE` and is put right by declaring the columns.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use serde_json::Value;

use super::decode::{access_log, csv};
use super::instant::{parse_date, parse_timestamp};
use super::spec::{DELIMITERS, Kind, by_extension};
use super::{FormatSpec, SPELLING};
use crate::error::{Error, Result};

/// What a look at the first bytes of an input showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// Its format.
    pub format: FormatSpec,
    /// Its columns; none for a columnar format, whose file says them itself: see [`super::infer_columnar`].
    pub schema: SchemaRef,
}

/// The format and schema of an input, from its first bytes (decompressed); `format` and `path` are what is known already.
/// The last record of the sample may be cut off. Some ten thousand bytes are enough, a million are better.
///
/// # Errors
/// When the bytes show neither.
pub fn infer(format: Option<&FormatSpec>, path: Option<&str>, sample: &[u8]) -> Result<Inferred> {
    let named = format.cloned().or_else(|| {
        let (kind, tabs) = by_extension(path?)?;
        let mut spec = FormatSpec::of(kind);
        if tabs {
            spec.csv.delimiter = b'\t';
            spec.csv.guess_delimiter = false;
        }
        Some(spec)
    });
    if sample.is_empty() && named.as_ref().is_none_or(|f| f.fixed_schema().is_none()) {
        return Err(Error::data("the input is empty, so there are no columns to see in it")
            .help("declare them: CREATE TABLE name (column TYPE, …) WITH (…)"));
    }
    let text = text(sample);
    let spec = match named {
        Some(spec) => spec,
        None => sniff(sample, text)?,
    };
    let columns = |schema: Schema| Arc::new(schema);
    match spec.kind {
        Kind::Json => Ok(Inferred { schema: columns(json(text)?), format: spec }),
        Kind::Csv => csv_columns(spec, text),
        Kind::Text => Ok(Inferred { schema: line_schema(), format: spec }),
        Kind::AccessLog => Ok(Inferred { schema: access_log::schema(), format: spec }),
        Kind::Parquet | Kind::Arrow => Ok(Inferred { schema: columns(Schema::empty()), format: spec }),
        Kind::Debezium | Kind::Upsert => {
            Err(Error::unsupported(format!("the columns of format '{}' can't be told from its records", spec.name()))
                .help("declare them, and the key that records change rows by: PRIMARY KEY (…) NOT ENFORCED"))
        }
        Kind::Changelog | Kind::Table => {
            Err(Error::unsupported(format!("format '{}' can be written, but not read", spec.name())))
        }
    }
}

/// The schema of lines of text.
pub(super) fn line_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("line", DataType::Utf8, true)]))
}

/// The part of a sample that is text: a character cut in two at its end is dropped, and so is all behind a fault.
fn text(sample: &[u8]) -> &str {
    let sample = sample.strip_prefix(b"\xef\xbb\xbf").unwrap_or(sample);
    match std::str::from_utf8(sample) {
        Ok(text) => text,
        Err(e) => std::str::from_utf8(&sample[..e.valid_up_to()]).unwrap_or_default(),
    }
}

/// The lines of a sample; the last one only when it is whole or the only one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let whole = text.rfind('\n').map_or(text, |end| &text[..end]);
    whole.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn sniff(sample: &[u8], text: &str) -> Result<FormatSpec> {
    if sample.starts_with(b"PAR1") {
        return Ok(FormatSpec::of(Kind::Parquet));
    }
    if sample.starts_with(b"ARROW1") {
        return Ok(FormatSpec::of(Kind::Arrow));
    }
    let first = lines(text).next().unwrap_or_default();
    if first.starts_with('{') {
        return Ok(FormatSpec::of(Kind::Json));
    }
    if first.starts_with('[') && serde_json::from_str::<Value>(first).is_ok() || first == "[" || first.starts_with("[{")
    {
        return Err(json_array());
    }
    if lines(text).take(5).any(|line| access_log::parse(line).is_ok()) {
        return Ok(FormatSpec::of(Kind::AccessLog));
    }
    match delimiter(text) {
        Some(delimiter) => {
            let mut spec = FormatSpec::of(Kind::Csv);
            spec.csv.delimiter = delimiter;
            spec.csv.guess_delimiter = false;
            Ok(spec)
        }
        None => Ok(FormatSpec::of(Kind::Text)),
    }
}

fn json_array() -> Error {
    Error::data("the input is a JSON array, not one JSON object per line").help("turn it into lines: jq -c '.[]'")
}

/// The delimiter that cuts every record into the same number of fields, at least two.
fn delimiter(text: &str) -> Option<u8> {
    let fields = |delimiter: u8| {
        let mut spec = FormatSpec::of(Kind::Csv);
        spec.csv.delimiter = delimiter;
        spec.csv.guess_delimiter = false;
        let mut counts = csv_records(&spec, text).take(100).map(|record| csv::fields(record, &spec.csv).len());
        let first = counts.next()?;
        (first > 1 && counts.all(|count| count == first)).then_some((first, delimiter))
    };
    // The most fields win; of equals, the first in this list.
    DELIMITERS.into_iter().filter_map(fields).rev().max_by_key(|(count, _)| *count).map(|(_, d)| d)
}

fn csv_records<'a>(spec: &FormatSpec, text: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
    let cut = text.rfind('\n').map_or(text, |end| &text[..=end]);
    csv::records(cut, spec.framing())
}

/// What the values of a column have shown so far.
#[derive(Debug, Clone, PartialEq)]
enum Guess {
    Nothing,
    Bool,
    Int,
    /// Beyond 64 bits.
    BigInt,
    Float,
    Date,
    /// With the digits of the finest fraction.
    Time(u32),
    Text,
    List(Box<Guess>),
    Struct(Vec<(String, Guess)>),
}

impl Guess {
    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::Nothing,
            Value::Bool(_) => Self::Bool,
            Value::Number(n) if n.is_i64() => Self::Int,
            Value::Number(n) if n.is_u64() => Self::BigInt,
            Value::Number(_) => Self::Float,
            Value::String(text) => Self::of_time(text),
            Value::Array(items) => Self::List(Box::new(items.iter().map(Self::of).fold(Self::Nothing, Self::join))),
            Value::Object(fields) => Self::Struct(fields.iter().map(|(k, v)| (k.clone(), Self::of(v))).collect()),
        }
    }

    fn of_time(text: &str) -> Self {
        if parse_date(text.as_bytes()).is_some() {
            return Self::Date;
        }
        match parse_timestamp(text.as_bytes()).and_then(|at| at.digits) {
            Some(digits) => Self::Time(digits),
            None => Self::Text,
        }
    }

    /// A field of a CSV record.
    fn of_field(text: &str) -> Self {
        let text = text.trim();
        let digits = text.strip_prefix('-').unwrap_or(text);
        // Zip codes and the like: a number has no leading zero.
        let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
        if digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() && !padded {
            return if text.parse::<i64>().is_ok() { Self::Int } else { Self::Text };
        }
        if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !padded && text.parse::<f64>().is_ok() {
            return Self::Float;
        }
        match text {
            "true" | "false" | "TRUE" | "FALSE" | "True" | "False" => Self::Bool,
            _ => Self::of_time(text),
        }
    }

    fn join(self, other: Self) -> Self {
        use Guess::{BigInt, Date, Float, Int, List, Nothing, Struct, Text, Time};
        match (self, other) {
            (Nothing, other) | (other, Nothing) => other,
            (a, b) if a == b => a,
            (Int, BigInt) | (BigInt, Int) => BigInt,
            (Int | BigInt, Float) | (Float, Int | BigInt) => Float,
            (Date, Time(digits)) | (Time(digits), Date) => Time(digits),
            (Time(a), Time(b)) => Time(a.max(b)),
            (List(a), List(b)) => List(Box::new(a.join(*b))),
            (Struct(mut a), Struct(b)) => {
                for (name, guess) in b {
                    match a.iter_mut().find(|(known, _)| *known == name) {
                        Some((_, known)) => *known = std::mem::replace(known, Nothing).join(guess),
                        None => a.push((name, guess)),
                    }
                }
                Struct(a)
            }
            // Read as the text that stands there.
            _ => Text,
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Nothing | Self::Text => DataType::Utf8,
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int64,
            Self::BigInt => DataType::Decimal128(20, 0),
            Self::Float => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Time(0..=3) => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::Time(4..=6) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Time(_) => DataType::Timestamp(TimeUnit::Nanosecond, None),
            Self::List(item) => DataType::List(Arc::new(Field::new_list_field(item.data_type(), true))),
            // A struct without fields is not a type that SQL has a use for.
            Self::Struct(fields) if fields.is_empty() => DataType::Utf8,
            Self::Struct(fields) => DataType::Struct(self::fields(fields)),
        }
    }
}

fn fields(guesses: &[(String, Guess)]) -> Fields {
    let fields = guesses.iter().map(|(name, guess)| Field::new(name, guess.data_type(), true)).collect::<Vec<_>>();
    fold(fields)
}

/// Folds names to lower case, keeping the spelling; where two would become one, they stay as they are.
fn fold(fields: Vec<Field>) -> Fields {
    let mut seen = HashSet::new();
    let doubled: HashSet<String> =
        fields.iter().map(|f| f.name().to_lowercase()).filter(|name| !seen.insert(name.clone())).collect();
    let one = |field: Field| {
        let lower = field.name().to_lowercase();
        if lower == *field.name() || doubled.contains(&lower) {
            return field;
        }
        let mut metadata = field.metadata().clone();
        metadata.insert(SPELLING.to_owned(), field.name().clone());
        field.with_name(lower).with_metadata(metadata)
    };
    fields.into_iter().map(one).collect()
}

/// The schema of a file with SQL names; the names within structs stay as they are.
pub(super) fn fold_names(schema: &Schema) -> Schema {
    Schema::new(fold(schema.fields().iter().map(|f| f.as_ref().clone().with_metadata(Default::default())).collect()))
}

fn json(text: &str) -> Result<Schema> {
    let mut guess = Guess::Nothing;
    let mut wrong = None;
    for line in lines(text) {
        match serde_json::from_str::<Value>(line) {
            Ok(Value::Object(fields)) => guess = guess.join(Guess::of(&Value::Object(fields))),
            Ok(Value::Array(_)) => return Err(json_array()),
            Ok(_) => wrong = Some("its lines are no JSON objects".to_owned()),
            Err(_) if line.starts_with('[') => return Err(json_array()),
            Err(e) => wrong = Some(format!("no line of it is a JSON object: {e}")),
        }
    }
    match guess {
        Guess::Struct(guesses) if !guesses.is_empty() => Ok(Schema::new(fields(&guesses))),
        Guess::Struct(_) => Err(Error::data("the JSON objects of the input have no keys")),
        _ => {
            let wrong = wrong.unwrap_or_else(|| "it is empty".to_owned());
            Err(Error::data(format!("the columns of the input can't be inferred: {wrong}"))
                .help("there must be one JSON object per line; or declare the columns and the format"))
        }
    }
}

fn csv_columns(mut spec: FormatSpec, text: &str) -> Result<Inferred> {
    if spec.csv.guess_delimiter
        && let Some(found) = delimiter(text)
    {
        spec.csv.delimiter = found;
        spec.csv.guess_delimiter = false;
    }
    let mut records = csv_records(&spec, text).map(|record| csv::fields(record, &spec.csv));
    let Some(first) = records.next() else { return Err(Error::data("the CSV input has no records")) };
    let mut guesses = vec![Guess::Nothing; first.len()];
    for record in records.filter(|record| record.len() == first.len()) {
        for (guess, field) in guesses.iter_mut().zip(record) {
            let shown = field.map_or(Guess::Nothing, |text| Guess::of_field(&text));
            *guess = std::mem::replace(guess, Guess::Nothing).join(shown);
        }
    }
    let header = spec.csv.header.unwrap_or_else(|| looks_like_header(&first, &guesses));
    let names: Vec<String> = if header {
        let name = |(index, name): (usize, &Option<String>)| match name.as_deref().map(str::trim) {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => format!("column{}", index + 1),
        };
        first.iter().enumerate().map(name).collect()
    } else {
        for (guess, field) in guesses.iter_mut().zip(&first) {
            let shown = field.as_ref().map_or(Guess::Nothing, |text| Guess::of_field(text));
            *guess = std::mem::replace(guess, Guess::Nothing).join(shown);
        }
        (1..=first.len()).map(|index| format!("column{index}")).collect()
    };
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(Error::data(format!("the CSV header has the column '{twice}' twice"))
            .help("declare the columns, with header = 'false'"));
    }
    spec.csv.header = Some(header);
    let guesses: Vec<(String, Guess)> = names.into_iter().zip(guesses).collect();
    Ok(Inferred { schema: Arc::new(Schema::new(fields(&guesses))), format: spec })
}

/// Names are words, each another; and where a column below holds anything but text, its name differs from its values.
fn looks_like_header(first: &[Option<String>], below: &[Guess]) -> bool {
    let mut seen = HashSet::new();
    let words = first.iter().all(|field| match field.as_deref().map(str::trim) {
        Some(name) => Guess::of_field(name) == Guess::Text && seen.insert(name),
        None => false,
    });
    if !words {
        return false;
    }
    let differs = below.iter().any(|guess| !matches!(guess, Guess::Text | Guess::Nothing));
    let identifier = |name: &str| {
        name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | ' ' | '-' | '.' | '(' | ')' | '/'))
    };
    differs || first.iter().flatten().all(|name| identifier(name.trim()))
}
