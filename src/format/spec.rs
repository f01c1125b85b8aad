//! What format an input or output has, as its options say it, and the parts made from it.

use std::borrow::Cow;

use arrow::datatypes::{SchemaRef, TimeUnit};

use super::decode::access_log::AccessLogDecoder;
use super::decode::changes::ChangesDecoder;
use super::decode::csv::CsvDecoder;
use super::decode::json::JsonDecoder;
use super::decode::text::TextDecoder;
use super::framing::Framing;
use super::{ColumnarReader, Decoder, Encoder, Framer, OnError, columnar, encode};
use crate::error::{Error, Result, nearest};
use crate::host::ReadFile;
use crate::settings::Options;

/// A format with its options.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatSpec {
    pub(super) kind: Kind,
    pub(super) csv: CsvOptions,
    /// The unit of numbers in TIMESTAMP columns; `None`: that of the column.
    pub(super) timestamp_unit: Option<TimeUnit>,
}

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Csv,
    Text,
    AccessLog,
    Parquet,
    Arrow,
    Debezium,
    Upsert,
    Changelog,
    Table,
}

/// Every name of a format; the first one of a kind is its own.
const NAMES: &[(&str, Kind)] = &[
    ("json", Kind::Json),
    ("jsonl", Kind::Json),
    ("ndjson", Kind::Json),
    ("json_lines", Kind::Json),
    ("jsoneachrow", Kind::Json),
    ("csv", Kind::Csv),
    ("tsv", Kind::Csv),
    ("text", Kind::Text),
    ("raw", Kind::Text),
    ("line", Kind::Text),
    ("combined", Kind::AccessLog),
    ("parquet", Kind::Parquet),
    ("arrow", Kind::Arrow),
    ("debezium-json", Kind::Debezium),
    ("debezium", Kind::Debezium),
    ("upsert-json", Kind::Upsert),
    ("changelog", Kind::Changelog),
    ("table", Kind::Table),
];

/// What is tried where nobody names a delimiter.
pub(super) const DELIMITERS: [u8; 4] = *b",\t;|";

/// How CSV is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CsvOptions {
    pub(crate) delimiter: u8,
    /// Nobody named the delimiter: another one may be seen in the first record.
    pub(crate) guess_delimiter: bool,
    /// `None`: a quote is a character like any other.
    pub(crate) quote: Option<u8>,
    /// Whether the first record holds names; `None`: that is to be seen.
    pub(crate) header: Option<bool>,
    /// What stands for NULL; `None`: an empty field without quotes.
    pub(crate) null: Option<String>,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: b',', guess_delimiter: true, quote: Some(b'"'), header: None, null: None }
    }
}

impl CsvOptions {
    /// Where records end.
    pub(super) fn framing(&self) -> Framing {
        match self.quote {
            Some(quote) => Framing::Csv { quote, delimiter: (!self.guess_delimiter).then_some(self.delimiter) },
            None => Framing::Lines,
        }
    }

    /// Whether a field is NULL; an empty text is a value only of a text column, and only in quotes or beside another literal.
    pub(super) fn is_null(&self, text: &str, quoted: bool, is_text: bool) -> bool {
        match &self.null {
            Some(literal) if !quoted && text == literal => true,
            Some(_) => text.is_empty() && !is_text,
            None => text.is_empty() && !(quoted && is_text),
        }
    }
}

impl FormatSpec {
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind, csv: CsvOptions::default(), timestamp_unit: None }
    }

    /// The format that options name (`format = 'json' | 'csv' | …` and what goes with it), else the one that a path's
    /// extension shows; `None` when neither says and it is to be inferred from the bytes.
    ///
    /// # Errors
    /// An unknown format or a wrong option.
    pub fn from_options(options: &Options, path: Option<&str>) -> Result<Option<Self>> {
        let named = match options.get("format") {
            Some(name) => Some((named(options, name)?, name.eq_ignore_ascii_case("tsv"))),
            None => path.and_then(by_extension),
        };
        // All of them are asked for, whatever the format, so that none is taken for a mistake.
        let delimiter = character(options, &["csv.field-delimiter", "delimiter"])?;
        let quote = match options.get_any(&["csv.quote-character", "quote"]) {
            Some("") => Some(None),
            _ => character(options, &["csv.quote-character", "quote"])?.map(Some),
        };
        let header = match (options.get("csv.header").is_some(), options.get("header").is_some()) {
            (true, _) => Some(options.flag("csv.header", true)?),
            (_, true) => Some(options.flag("header", true)?),
            _ => None,
        };
        let null = options.get_any(&["csv.null-literal", "null"]).map(str::to_owned);
        let timestamp_unit = unit(options)?;
        // Both of Flink's timestamp forms are read anyway, and decimals are plain numbers anyway.
        options.get_any(&["json.timestamp-format.standard", "json.encode.decimal-as-plain-number"]);
        let quote = if options.flag("csv.disable-quote-character", false)? { Some(None) } else { quote };
        if options.flag("json.fail-on-missing-field", false)? {
            let error = options.wrong("json.fail-on-missing-field", "a missing key is NULL, it can't be made to fail");
            return Err(error.help("declare the column NOT NULL: then a record without it is bad"));
        }
        if options.flag("csv.allow-comments", false)? {
            let error = options.wrong("csv.allow-comments", "comments in CSV are not supported");
            return Err(error.help("remove them before: grep -v '^#'"));
        }
        on_error(options)?;
        let Some((kind, tabs)) = named else { return Ok(None) };
        let csv = CsvOptions {
            delimiter: delimiter.unwrap_or(if tabs { b'\t' } else { b',' }),
            guess_delimiter: delimiter.is_none() && !tabs,
            quote: quote.unwrap_or(Some(b'"')),
            header,
            null,
        };
        Ok(Some(Self { kind, csv, timestamp_unit }))
    }

    /// Its name, as `format = '…'` takes it.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Csv if self.csv.delimiter == b'\t' => "tsv",
            kind => NAMES.iter().find(|(_, k)| *k == kind).map_or("json", |(name, _)| name),
        }
    }

    /// The options that make it, for `SHOW CREATE` and for a relation whose format was inferred.
    pub fn options(&self) -> Vec<(&'static str, String)> {
        let mut options = vec![("format", self.name().to_owned())];
        if self.kind == Kind::Csv {
            if !matches!(self.csv.delimiter, b',' | b'\t') {
                options.push(("delimiter", char::from(self.csv.delimiter).to_string()));
            }
            options.extend(self.csv.header.map(|header| ("header", header.to_string())));
        }
        options
    }

    /// Whether files of it are read by column (Parquet, Arrow IPC), with [`FormatSpec::read_columnar`], and not record by record.
    pub fn is_columnar(&self) -> bool {
        matches!(self.kind, Kind::Parquet | Kind::Arrow)
    }

    /// Whether the first record of an input may be a header: see [`Decoder::header`].
    pub fn has_header(&self) -> bool {
        self.kind == Kind::Csv && self.csv.header != Some(false)
    }

    /// The schema of a format that has always the same columns, declared or not: `text` and `combined`.
    pub fn fixed_schema(&self) -> Option<SchemaRef> {
        match self.kind {
            Kind::Text => Some(super::infer::line_schema()),
            Kind::AccessLog => Some(super::decode::access_log::schema()),
            _ => None,
        }
    }

    /// Finds record boundaries.
    pub fn framer(&self) -> Box<dyn Framer> {
        Box::new(self.framing())
    }

    pub(super) fn framing(&self) -> Framing {
        match self.kind {
            Kind::Csv => self.csv.framing(),
            _ => Framing::Lines,
        }
    }

    /// Decodes records into the columns `projection` of `schema`. Make one per input: it learns a header from the first record.
    ///
    /// Only what the projection asks for is converted, so a value of the wrong type in another column goes unnoticed.
    ///
    /// # Errors
    /// When a column has a type that the format can't hold.
    pub fn decoder(&self, schema: &SchemaRef, projection: &[usize]) -> Result<Box<dyn Decoder>> {
        let unit = self.timestamp_unit;
        Ok(match self.kind {
            Kind::Json => Box::new(JsonDecoder::new(schema, projection, unit)?),
            Kind::Csv => Box::new(CsvDecoder::new(schema, projection, unit, self.csv.clone())?),
            Kind::Text => Box::new(TextDecoder::new(schema, projection)?),
            Kind::AccessLog => Box::new(AccessLogDecoder::new(schema, projection)?),
            Kind::Parquet | Kind::Arrow => {
                return Err(Error::unsupported(format!("format '{}' can be read from files only", self.name()))
                    .help("use format = 'json' or 'csv'"));
            }
            Kind::Debezium => Box::new(ChangesDecoder::debezium(schema, projection, unit)?),
            Kind::Upsert => Box::new(ChangesDecoder::upsert(schema, projection, unit)?),
            Kind::Changelog | Kind::Table => {
                return Err(Error::unsupported(format!("format '{}' can be written, but not read", self.name()))
                    .help("read it as format = 'json' or 'text'"));
            }
        })
    }

    /// Reads the columns `projection` of `schema` from a columnar file, in batches of at most `batch_rows`.
    ///
    /// # Errors
    /// When the file is none, or lacks a column.
    pub fn read_columnar(
        &self,
        file: Box<dyn ReadFile>,
        schema: &SchemaRef,
        projection: &[usize],
        batch_rows: usize,
    ) -> Result<ColumnarReader> {
        columnar::read(self.kind, file, schema, projection, batch_rows.max(1))
    }

    /// Encodes changes of `schema`; `key` columns tell updates from other pairs (see `Change::weights`).
    ///
    /// # Errors
    /// When a column has a type that the format can't hold.
    pub fn encoder(&self, schema: &SchemaRef, key: Option<&[usize]>) -> Result<Box<dyn Encoder>> {
        encode::encoder(self, schema, key)
    }

    /// Whether rows that leave again can be written (JSON with an `op`, changelog, Debezium, tables on a terminal).
    pub fn holds_changes(&self) -> bool {
        matches!(self.kind, Kind::Json | Kind::Debezium | Kind::Upsert | Kind::Changelog | Kind::Table)
    }

    /// Whether its records, when they are read, change rows by their key.
    pub fn gives_changes(&self) -> bool {
        matches!(self.kind, Kind::Debezium | Kind::Upsert)
    }
}

/// What to do with bad records, when options say it: `on_error = 'fail' | 'skip' | 'dead_letter'`, or Flink's and others'
/// names for the same (`json.ignore-parse-errors = 'true'`, `bad_data = 'drop'`).
///
/// # Errors
/// Another value.
pub fn on_error(options: &Options) -> Result<Option<OnError>> {
    let mut ignore = false;
    for name in ["json.ignore-parse-errors", "csv.ignore-parse-errors", "debezium-json.ignore-parse-errors"] {
        ignore |= options.flag(name, false)?;
    }
    let Some(policy) = options.get("on_error") else { return Ok(ignore.then_some(OnError::Skip)) };
    match policy.to_ascii_lowercase().replace('-', "_").as_str() {
        "fail" | "error" | "stop" => Ok(Some(OnError::Fail)),
        "skip" | "drop" | "ignore" | "continue" => Ok(Some(OnError::Skip)),
        "dead_letter" | "deadletter" | "dlq" => Ok(Some(OnError::DeadLetter)),
        _ => Err(options
            .wrong("on_error", format!("'{policy}' is not a value for option 'on_error'"))
            .help("write 'fail', 'skip' or 'dead_letter'")),
    }
}

fn named(options: &Options, name: &str) -> Result<Kind> {
    let plain = name.trim().to_ascii_lowercase();
    let dashed = plain.replace('_', "-");
    let found = NAMES.iter().find(|(known, _)| known.replace('_', "-") == dashed);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let error = options.wrong("format", format!("there is no format '{name}'"));
        match nearest(&plain, NAMES.iter().map(|(known, _)| *known)) {
            Some(near) => error.help(format!("did you mean '{near}'?")),
            None => error.help(
                "formats: json, csv, tsv, text, combined, parquet, arrow, debezium-json, upsert-json, changelog, table",
            ),
        }
    })
}

/// The format that the extension of a path shows, and whether it has tabs. `.log` may be anything.
pub(super) fn by_extension(path: &str) -> Option<(Kind, bool)> {
    let lower = path.to_ascii_lowercase();
    let plain = lower.strip_suffix(".gz").or_else(|| lower.strip_suffix(".zst")).unwrap_or(&lower);
    let (_, extension) = plain.rsplit_once('.')?;
    Some(match extension {
        "jsonl" | "ndjson" | "json" => (Kind::Json, false),
        "csv" => (Kind::Csv, false),
        "tsv" => (Kind::Csv, true),
        "txt" => (Kind::Text, false),
        "parquet" => (Kind::Parquet, false),
        "arrow" | "ipc" | "feather" => (Kind::Arrow, false),
        _ => return None,
    })
}

/// An option that is one character; tabs may be spelled.
fn character(options: &Options, names: &[&str]) -> Result<Option<u8>> {
    let Some(text) = options.get_any(names) else { return Ok(None) };
    let spelled: Cow<'_, str> = match text.to_ascii_lowercase().as_str() {
        "\\t" | "tab" | "\\u0009" => "\t".into(),
        _ => text.into(),
    };
    match spelled.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(Some(*byte)),
        _ => {
            let name = names.iter().find(|name| options.contains(name)).copied().unwrap_or(names[0]);
            Err(options.wrong(name, format!("option '{name}' is one ASCII character, not '{text}'")))
        }
    }
}

fn unit(options: &Options) -> Result<Option<TimeUnit>> {
    let Some(text) = options.get("timestamp_unit") else { return Ok(None) };
    match text.to_ascii_lowercase().as_str() {
        "s" | "second" | "seconds" => Ok(Some(TimeUnit::Second)),
        "ms" | "millisecond" | "milliseconds" => Ok(Some(TimeUnit::Millisecond)),
        "us" | "µs" | "microsecond" | "microseconds" => Ok(Some(TimeUnit::Microsecond)),
        "ns" | "nanosecond" | "nanoseconds" => Ok(Some(TimeUnit::Nanosecond)),
        _ => Err(options
            .wrong("timestamp_unit", format!("'{text}' is not a unit of time"))
            .help("write 's', 'ms', 'us' or 'ns'")),
    }
}
