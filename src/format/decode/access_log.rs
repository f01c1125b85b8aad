//! The access logs of Apache and nginx: the common and the combined format.
//!
//! `host ident user [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.1" 200 2326 "referer" "agent"`, the last two in the combined
//! format only. `-` is NULL. A request that is no request line (scanners send such) is the path alone.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::lines::{is_blank, lines};
use super::row::Rows;
use super::{Reason, bad, not_text, shown};
use crate::error::{Error, Result, nearest};
use crate::format::instant::{Instant, parse_timestamp};
use crate::format::{Decoded, Decoder, Place, spelling};

/// The columns, in the order of the log.
const NAMES: [&str; 11] =
    ["host", "ident", "user", "ts", "method", "path", "protocol", "status", "bytes", "referer", "agent"];

const TS: usize = 3;

/// The schema of an access log.
pub(crate) fn schema() -> SchemaRef {
    let data_type = |name: &str| match name {
        "ts" => DataType::Timestamp(TimeUnit::Second, None),
        "status" => DataType::Int32,
        "bytes" => DataType::Int64,
        _ => DataType::Utf8,
    };
    Arc::new(Schema::new(NAMES.iter().map(|name| Field::new(*name, data_type(name), true)).collect::<Vec<_>>()))
}

/// Decodes a line of an access log as a row.
pub(crate) struct AccessLogDecoder {
    rows: Rows,
    /// Per projected column, which part of the line it is.
    parts: Vec<usize>,
}

impl AccessLogDecoder {
    /// A decoder of columns that bear the names of the parts of a line.
    pub(crate) fn new(schema: &Schema, projection: &[usize]) -> Result<Self> {
        let part = |index: &usize| {
            let name = spelling(schema.field(*index));
            NAMES.iter().position(|n| n.eq_ignore_ascii_case(name)).ok_or_else(|| {
                let error = Error::config(format!("an access log has no column '{name}'"));
                match nearest(name, NAMES) {
                    Some(near) => error.help(format!("did you mean '{near}'?")),
                    None => error.help(format!("its columns are: {}", NAMES.join(", "))),
                }
            })
        };
        let parts = projection.iter().map(part).collect::<Result<_>>()?;
        Ok(Self { rows: Rows::new(schema, projection, None)?, parts })
    }
}

impl Decoder for AccessLogDecoder {
    fn decode(&mut self, block: &[u8], place: &Place) -> Result<Decoded> {
        let (mut records, mut bads) = (0, Vec::new());
        for (number, line) in lines(block, place, is_blank) {
            records += 1;
            let text = std::str::from_utf8(line).map_err(|e| not_text(e.valid_up_to()));
            let added = text.and_then(|text| {
                let (parts, at) = parse(text)?;
                self.rows.add(|row, _| {
                    for (column, part) in row.columns.iter_mut().zip(&self.parts) {
                        match parts[*part] {
                            text if *part == TS => column.append_instant(at, text)?,
                            "" | "-" => column.append_null()?,
                            text => column.append_text(text)?,
                        }
                    }
                    Ok(())
                })
            });
            if let Err(reason) = added {
                bads.push(bad(place, number, reason, line));
            }
        }
        Ok(Decoded { batch: self.rows.finish()?, records, bad: bads })
    }

    fn fork(&self) -> Option<Box<dyn Decoder>> {
        Some(Box::new(Self { rows: self.rows.fork().ok()?, parts: self.parts.clone() }))
    }
}

/// The parts of a line, in the order of [`NAMES`], and its time.
pub(crate) fn parse(line: &str) -> Result<([&str; 11], Instant), Reason> {
    let mut parts = [""; 11];
    let mut rest = line.trim();
    for part in &mut parts[..TS] {
        (*part, rest) = rest.split_once(' ').ok_or_else(|| missing("[time]", line))?;
    }
    let open = rest.strip_prefix('[').ok_or_else(|| missing("[time]", rest))?;
    let (time, behind) = open.split_once(']').ok_or_else(|| missing("[time]", rest))?;
    let at =
        parse_time(time).ok_or_else(|| format!("{} is not a time like 10/Oct/2000:13:55:36 -0700", shown(time)))?;
    parts[TS] = time;
    let (request, behind) = quoted(behind).ok_or_else(|| missing("\"request\"", behind))?;
    (parts[4], parts[5], parts[6]) = split_request(request);
    let mut words = behind.trim_start().splitn(3, ' ');
    parts[7] = words.next().filter(|w| !w.is_empty()).ok_or_else(|| missing("the status", behind))?;
    parts[8] = words.next().ok_or_else(|| missing("the bytes", behind))?;
    if let Some(behind) = words.next()
        && let Some((referer, behind)) = quoted(behind)
    {
        parts[9] = referer;
        // What comes behind the agent is somebody's own addition.
        parts[10] = quoted(behind).map_or("", |(agent, _)| agent);
    }
    Ok((parts, at))
}

fn missing(what: &str, rest: &str) -> Reason {
    format!("not a line of an access log: expected {what} at {}", shown(rest))
}

/// A text in quotes, in which `\"` is a quote, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.trim_start().strip_prefix('"')?;
    let bytes = inner.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return Some((inner.get(..at)?, inner.get(at + 1..)?)),
            _ => at += 1,
        }
    }
    None
}

fn split_request(request: &str) -> (&str, &str, &str) {
    if let Some((method, rest)) = request.split_once(' ')
        && let Some((path, protocol)) = rest.rsplit_once(' ')
        && protocol.starts_with("HTTP/")
    {
        return (method, path, protocol);
    }
    ("", request, "")
}

/// `10/Oct/2000:13:55:36 -0700`.
fn parse_time(text: &str) -> Option<Instant> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, clock) = text.split_once(':')?;
    let mut date = date.split('/');
    let day: i64 = date.next()?.parse().ok()?;
    let month = date.next()?;
    let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(month))? as i64 + 1;
    let year: i64 = date.next()?.parse().ok()?;
    // The same checks as for any other date, by way of the same reader.
    let iso = format!("{year:04}-{month:02}-{day:02}T{clock}");
    parse_timestamp(iso.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_combined_and_scanners() {
        let line = r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a b HTTP/1.0" 200 2326"#;
        let (parts, at) = parse(line).unwrap();
        assert_eq!(parts[4..9], ["GET", "/a b", "HTTP/1.0", "200", "2326"]);
        assert_eq!(at.to_unit(TimeUnit::Second), Some(971_211_336));
        let line = r#"::1 - - [10/Oct/2000:13:55:36 +0000] "\x16\x03" 400 - "-" "say \"hi\"" 0.003"#;
        let (parts, _) = parse(line).unwrap();
        assert_eq!(parts[4..], ["", r"\x16\x03", "", "400", "-", "-", r#"say \"hi\""#]);
        for wrong in ["", "x", "a b c d", r#"a b c [32/Oct/2000:00:00:00 +0000] "x" 1 1"#] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
