//! What a user tunes, as plain data with the unit in each name. Knows nothing about who reads it.

mod options;

pub use options::Options;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::time::{format_duration, parse_duration};

/// Settings of an engine, changed by `SET name = value` and by command-line arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Settings {
    /// Length of an interval in microseconds; 0 runs one as soon as rows are there.
    pub interval_micros: i64,
    /// The most rows that one interval takes from each source.
    pub interval_rows_max: usize,
    /// The most bytes of Arrow memory that one interval takes from each source.
    pub interval_bytes_max: usize,
    /// The most rows in a batch that a decoder makes.
    pub batch_rows_max: usize,
    /// The longest record, in bytes; a longer one is a bad record and is skipped without being held in memory.
    pub record_bytes_max: usize,
    /// Silence (µs) after which a live partition no longer holds the watermark; 0 = never.
    pub idle_timeout_micros: i64,
    /// How far (µs) ahead of the wall clock an event time of a live source may be; 0 = any.
    pub future_skew_max_micros: i64,
    /// Bytes that a source may hold decoded but not yet run.
    pub queue_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval_micros: 0,
            interval_rows_max: 1 << 20,
            interval_bytes_max: 256 << 20,
            batch_rows_max: 64 << 10,
            record_bytes_max: 1 << 20,
            idle_timeout_micros: 0,
            future_skew_max_micros: 300_000_000,
            queue_bytes_max: 64 << 20,
        }
    }
}

/// Every setting: its SQL name and what it means. `SHOW ALL` and did-you-mean read this list.
pub const NAMES: &[(&str, &str)] = &[
    ("interval", "length of an interval; 0 = as soon as rows are there"),
    ("max_rows_per_interval", "most rows one interval takes from each source"),
    ("max_bytes_per_interval", "most bytes one interval takes from each source"),
    ("batch_rows", "most rows in a decoded batch"),
    ("max_record_bytes", "longest record; longer ones are bad records"),
    ("idle_timeout", "silence after which a live source no longer holds the watermark; 0 = never"),
    ("max_future_skew", "how far ahead of the clock a live event time may be; 0 = any"),
    ("queue_bytes", "bytes a source may hold decoded but not yet run"),
];

impl Settings {
    /// Sets one by its SQL name.
    ///
    /// # Errors
    /// An unknown name (with the nearest one), or a value that does not parse.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let bytes = |v: &str| parse_bytes(name, v);
        match name.to_ascii_lowercase().replace('-', "_").as_str() {
            "interval" => self.interval_micros = parse_duration(value)?,
            "max_rows_per_interval" => self.interval_rows_max = bytes(value)?.max(1),
            "max_bytes_per_interval" => self.interval_bytes_max = bytes(value)?.max(1),
            "batch_rows" => self.batch_rows_max = bytes(value)?.max(1),
            "max_record_bytes" => self.record_bytes_max = bytes(value)?.max(1),
            "idle_timeout" => self.idle_timeout_micros = parse_duration(value)?,
            "max_future_skew" => self.future_skew_max_micros = parse_duration(value)?,
            "queue_bytes" => self.queue_bytes_max = bytes(value)?.max(1),
            _ => {
                let error = Error::config(format!("there is no setting '{name}'"));
                let nearest = crate::error::nearest(name, NAMES.iter().map(|(n, _)| *n));
                return Err(match nearest {
                    Some(n) => error.help(format!("did you mean '{n}'?")),
                    None => error.help("SHOW ALL lists the settings"),
                });
            }
        }
        Ok(())
    }

    /// The value of one by its SQL name, as `SHOW` prints it.
    pub fn get(&self, name: &str) -> Option<String> {
        Some(match name.to_ascii_lowercase().as_str() {
            "interval" => format_duration(self.interval_micros),
            "max_rows_per_interval" => self.interval_rows_max.to_string(),
            "max_bytes_per_interval" => self.interval_bytes_max.to_string(),
            "batch_rows" => self.batch_rows_max.to_string(),
            "max_record_bytes" => self.record_bytes_max.to_string(),
            "idle_timeout" => format_duration(self.idle_timeout_micros),
            "max_future_skew" => format_duration(self.future_skew_max_micros),
            "queue_bytes" => self.queue_bytes_max.to_string(),
            _ => return None,
        })
    }
}

/// A count of bytes or rows: `1048576`, `64k`, `256 MiB`.
fn parse_bytes(name: &str, text: &str) -> Result<usize> {
    let trimmed = text.trim().trim_matches('\'').to_ascii_lowercase().replace(['_', ' '], "");
    let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (digits, unit) = trimmed.split_at(split);
    let shift = match unit {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => 64,
    };
    let value = digits.parse::<usize>().ok().filter(|_| shift < 64).and_then(|n| n.checked_mul(1 << shift));
    value.ok_or_else(|| {
        Error::config(format!("{name}: '{text}' is not a size")).help("write for example 65536, 64k or 256MiB")
    })
}
