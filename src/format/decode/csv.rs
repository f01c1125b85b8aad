//! CSV and TSV (RFC 4180, quotes optional), parsed straight into columns.
//!
//! With a header, columns are found by name (exactly, else without regard to case) and may come in any order; without one,
//! by position. The header is the first record of an input: a decoder is made per input. Where reading starts further on,
//! [`CsvDecoder::header`] is given that record.
//!
//! A record without quotes whose values have the plain form of their column's type is read in one pass, by [`CsvDecoder::quick`];
//! any other is split into fields first.

use arrow::datatypes::{DataType, Schema};

use super::column::Values;
use super::row::{Given, Rows, Slot};
use super::scan::{Minute, field_end};
use super::{NumberUnit, Reason, bad, lines, not_text};
use crate::error::{Error, Result};
use crate::format::framing::{Framing, Search};
use crate::format::spec::{CsvOptions, DELIMITERS};
use crate::format::{Decoded, Decoder, Place, spelling};

/// Decodes CSV records.
pub(crate) struct CsvDecoder {
    options: CsvOptions,
    /// As the options were given, because it must cut records where the source did.
    framing: Framing,
    rows: Rows,
    /// Names of all the columns, as they are spelled in files.
    names: Vec<String>,
    projection: Vec<usize>,
    columns: Columns,
    fields: Vec<Field>,
    scratch: String,
    /// The last minute of each column.
    minutes: Vec<Minute>,
}

/// Which field of a record is which column.
#[derive(Debug, Clone)]
enum Columns {
    /// The first record will tell.
    Unknown,
    /// By position: how many fields there must be and, per field, the projected column.
    Known(Vec<Slot>),
}

/// A field of a record: its bytes, without quotes.
#[derive(Debug, Clone, Copy)]
struct Field {
    start: usize,
    end: usize,
    quoted: bool,
    /// It holds quotes that must be undone.
    escaped: bool,
}

impl CsvDecoder {
    /// A decoder of the columns `projection`.
    pub(crate) fn new(schema: &Schema, projection: &[usize], numbers: NumberUnit, options: CsvOptions) -> Result<Self> {
        for field in projection.iter().map(|index| schema.field(*index)) {
            if matches!(field.data_type(), DataType::Struct(_) | DataType::List(_) | DataType::Map(..)) {
                let message = format!("column '{}' has type {}, which CSV can't hold", field.name(), field.data_type());
                return Err(Error::unsupported(message).help("declare it VARCHAR, or use format = 'json'"));
            }
        }
        Ok(Self {
            framing: options.framing(),
            options,
            rows: Rows::new(schema, projection, numbers)?,
            names: schema.fields().iter().map(|f| spelling(f).to_owned()).collect(),
            projection: projection.to_vec(),
            columns: Columns::Unknown,
            fields: Vec::new(),
            scratch: String::new(),
            minutes: vec![Minute::default(); projection.len()],
        })
    }

    fn by_position(&self) -> Columns {
        let mut slots = vec![Slot::Unknown; self.names.len()];
        for (column, field) in self.projection.iter().enumerate() {
            slots[*field] = Slot::Exact(column);
        }
        Columns::Known(slots)
    }

    /// Where nobody named the delimiter: the usual one that gives the first record as many fields as there are columns.
    fn guess_delimiter(&mut self, record: &str) {
        if !std::mem::replace(&mut self.options.guess_delimiter, false) || self.names.len() < 2 {
            return;
        }
        let mut count = |delimiter: u8| {
            split(record, &CsvOptions { delimiter, ..self.options.clone() }, &mut self.fields);
            self.fields.len()
        };
        // A header may have other columns than those declared; a lone field is what a wrong delimiter makes.
        if count(self.options.delimiter) < 2
            && let Some(found) = DELIMITERS.into_iter().max_by_key(|d| (count(*d) == self.names.len(), count(*d)))
        {
            self.options.delimiter = found;
        }
    }

    /// Learns the columns from the first record of an input; whether it is a header (and no row).
    fn learn(&mut self, record: &str) -> Result<bool> {
        self.guess_delimiter(record);
        split(record, &self.options, &mut self.fields);
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|f| unquoted(record, *f, self.options.quote, &mut self.scratch).trim().to_owned())
            .collect();
        let known = |name: &String| self.names.iter().any(|n| n.eq_ignore_ascii_case(name));
        let is_header = match self.options.header {
            Some(said) => said,
            None => {
                fields.iter().all(known)
                    || self.names.iter().all(|name| fields.iter().any(|f| f.eq_ignore_ascii_case(name)))
            }
        };
        if !is_header {
            self.columns = self.by_position();
            return Ok(false);
        }
        let mut slots: Vec<Slot> = fields.iter().map(|name| self.rows.row.find(name)).collect();
        for exact in 0..self.rows.row.columns.len() {
            // An exact name beats one that differs in case.
            if slots.contains(&Slot::Exact(exact)) {
                slots.iter_mut().filter(|s| **s == Slot::Folded(exact)).for_each(|s| *s = Slot::Unknown);
            }
        }
        if let Some(lacking) = (0..self.rows.row.columns.len())
            .find(|column| !slots.contains(&Slot::Exact(*column)) && !slots.contains(&Slot::Folded(*column)))
        {
            let name = self.rows.row.columns[lacking].name.to_string();
            let error = Error::data(format!("the CSV header has no column '{name}'"));
            return Err(match crate::error::nearest(&name, fields.iter().map(String::as_str)) {
                Some(near) => error.help(format!("did you mean '{near}'?")),
                None => error
                    .help(format!("its columns are: {}", fields.join(", ")))
                    .help("without a header, say header = 'false'"),
            });
        }
        self.columns = Columns::Known(slots);
        Ok(true)
    }
}

impl Decoder for CsvDecoder {
    fn decode(&mut self, block: &[u8], place: &Place) -> Result<Decoded> {
        let (mut records, mut bads) = (0, Vec::new());
        let framing = self.framing;
        let all = std::str::from_utf8(block).ok();
        let mut at = lines::skipped(block, place);
        let mut number = place.record;
        while at < block.len() {
            if let Some(next) = all.and_then(|all| self.quick_record(all, at)) {
                records += 1;
                number += 1;
                at = next;
                continue;
            }
            let end = framing.end(&block[at..], &mut Search::default()).map_or(block.len(), |end| at + end);
            let line = &block[at..end];
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let (this, from) = (number, at);
            at = end;
            number += 1;
            if line.is_empty() {
                continue;
            }
            let text = match all {
                Some(all) => all.get(from..from + line.len()).ok_or_else(|| "not UTF-8".to_owned()),
                None => std::str::from_utf8(line).map_err(|e| not_text(e.valid_up_to())),
            };
            if let (Columns::Unknown, Ok(text)) = (&self.columns, &text) {
                if this > 1 {
                    self.guess_delimiter(text);
                    self.columns = self.by_position();
                } else if self.learn(text)? {
                    continue;
                }
            }
            records += 1;
            if let Err(reason) = text.and_then(|text| self.add(text)) {
                bads.push(bad(place, this, reason, line));
            }
        }
        Ok(Decoded { batch: self.rows.finish()?, records, bad: bads })
    }

    fn header(&mut self, record: &[u8]) -> Result<()> {
        let record = record.strip_prefix(b"\xef\xbb\xbf").unwrap_or(record);
        let text = std::str::from_utf8(record).map_err(|_| Error::data("the CSV header is not UTF-8"))?;
        self.learn(text.trim_end_matches(['\r', '\n'])).map(|_| ())
    }

    fn fork(&self) -> Option<Box<dyn Decoder>> {
        if matches!(self.columns, Columns::Unknown) {
            return None;
        }
        Some(Box::new(Self {
            options: self.options.clone(),
            framing: self.framing,
            rows: self.rows.fork().ok()?,
            names: self.names.clone(),
            projection: self.projection.clone(),
            columns: self.columns.clone(),
            fields: Vec::new(),
            scratch: String::new(),
            minutes: self.minutes.clone(),
        }))
    }
}

impl CsvDecoder {
    /// Takes the record at `at` in if it is a plain one; where the next one begins. Else nothing of it is appended.
    #[inline]
    fn quick_record(&mut self, all: &str, at: usize) -> Option<usize> {
        let next = self.quick(all, at);
        match next {
            Some(_) => self.rows.count += 1,
            None => self.rows.row.truncate(self.rows.count),
        }
        next
    }

    #[inline(always)]
    fn quick(&mut self, all: &str, mut at: usize) -> Option<usize> {
        let Columns::Known(slots) = &self.columns else { return None };
        let (row, count, options) = (&mut self.rows.row, self.rows.count, &self.options);
        let bytes = all.as_bytes();
        let delimiter = options.delimiter;
        let ends = |byte: u8| byte == delimiter || byte == b'\n' || byte == b'\r';
        // An empty line is no record, not even one of one empty field.
        if ends(*bytes.get(at)?) && bytes[at] != delimiter {
            return None;
        }
        let (mut given, mut end) = (Given::default(), at);
        for (index, slot) in slots.iter().enumerate() {
            if index > 0 {
                if bytes.get(end) != Some(&delimiter) {
                    return None;
                }
                at = end + 1;
            }
            end = match slot {
                Slot::Unknown => field_end(bytes, at, delimiter, options.quote)?,
                Slot::Exact(index) | Slot::Folded(index) => {
                    let column = row.columns.get_mut(*index)?;
                    // Else two fields have the name of one column.
                    if !given.add(*index) {
                        return None;
                    }
                    let quick = match &column.values {
                        // A word for NULL may look like any value.
                        Values::Text(..) => None,
                        _ if options.null.is_some() => None,
                        // A bare number is one in any unit, but `append_text` knows which.
                        Values::Timestamp(..) => column.quick_instant(self.minutes.get_mut(*index)?, bytes, at, ends),
                        _ => column.quick_number(bytes, at, ends),
                    };
                    match quick {
                        Some(end) => end,
                        None => {
                            let end = field_end(bytes, at, delimiter, options.quote)?;
                            let text = all.get(at..end)?;
                            if options.is_null(text, false, column.is_text()) {
                                column.append_null().ok()?;
                            } else if column.is_text() {
                                column.quick_text(text)?;
                            } else {
                                column.append_text(text).ok()?;
                            }
                            end
                        }
                    }
                }
            };
        }
        let next = match bytes.get(end..)? {
            [b'\n', ..] => end + 1,
            [b'\r', b'\n', ..] => end + 2,
            _ => return None,
        };
        if given.count() < row.columns.len() {
            row.end(count).ok()?;
        }
        Some(next)
    }

    fn add(&mut self, record: &str) -> Result<(), Reason> {
        split(record, &self.options, &mut self.fields);
        let Columns::Known(slots) = &self.columns else { return Err("no header".into()) };
        if self.fields.len() != slots.len() {
            return Err(format!("the record has {} fields, expected {}", self.fields.len(), slots.len()));
        }
        let (fields, scratch, options) = (&self.fields, &mut self.scratch, &self.options);
        self.rows.add(|row, count| {
            for (field, slot) in fields.iter().zip(slots) {
                let Some(column) = row.column(*slot, count) else { continue };
                let text = unquoted(record, *field, options.quote, scratch);
                if options.is_null(text, field.quoted, column.is_text()) {
                    column.append_null()?;
                } else {
                    column.append_text(text)?;
                }
            }
            Ok(())
        })
    }
}

/// Finds the fields of a record.
fn split(record: &str, options: &CsvOptions, fields: &mut Vec<Field>) {
    fields.clear();
    let bytes = record.as_bytes();
    let mut at = 0;
    loop {
        if options.quote.is_some() && bytes.get(at).copied() == options.quote {
            let quote = options.quote.unwrap_or(b'"');
            let start = at + 1;
            let (mut end, mut escaped) = (start, false);
            while end < bytes.len() {
                match (bytes[end] == quote, bytes.get(end + 1)) {
                    (true, Some(next)) if *next == quote => {
                        escaped = true;
                        end += 2;
                    }
                    (true, _) => break,
                    _ => end += 1,
                }
            }
            let end = end.min(bytes.len());
            let behind = (end + 1).min(bytes.len());
            let next = memchr::memchr(options.delimiter, &bytes[behind..]).map(|n| behind + n);
            fields.push(Field { start, end, quoted: true, escaped });
            match next {
                Some(next) => at = next + 1,
                None => return,
            }
        } else {
            let next = memchr::memchr(options.delimiter, &bytes[at..]).map(|n| at + n);
            fields.push(Field { start: at, end: next.unwrap_or(bytes.len()), quoted: false, escaped: false });
            match next {
                Some(next) => at = next + 1,
                None => return,
            }
        }
    }
}

fn unquoted<'a>(record: &'a str, field: Field, quote: Option<u8>, scratch: &'a mut String) -> &'a str {
    let text = record.get(field.start..field.end).unwrap_or_default();
    if !field.escaped {
        return text;
    }
    let quote = char::from(quote.unwrap_or(b'"'));
    scratch.clear();
    let mut before = false;
    for c in text.chars() {
        before = c == quote && !before;
        if !before {
            scratch.push(c);
        }
    }
    scratch
}

/// The fields of a record as text, for inference.
pub(crate) fn fields(record: &str, options: &CsvOptions) -> Vec<Option<String>> {
    let mut fields = Vec::new();
    split(record, options, &mut fields);
    let mut scratch = String::new();
    let text = |field: &Field| {
        let text = unquoted(record, *field, options.quote, &mut scratch).to_owned();
        (!options.is_null(&text, field.quoted, false)).then_some(text)
    };
    fields.iter().map(text).collect()
}

/// The records of a text, for inference.
pub(crate) fn records<'a>(text: &'a str, framing: Framing) -> impl Iterator<Item = &'a str> + use<'a> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = framing.end(rest.as_bytes(), &mut Search::default()).unwrap_or(rest.len());
        let (record, behind) = rest.split_at(end);
        rest = behind;
        Some(record.trim_end_matches(['\r', '\n']))
    })
    .filter(|record| !record.is_empty())
}
