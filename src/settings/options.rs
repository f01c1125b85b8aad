//! The options of a `WITH (…)` clause: names without regard to case, each with its place in the text.
//!
//! Other engines' names for the same thing are accepted: an alias is turned into tidemill's own name when the option is put
//! in. Whoever builds something from options takes what it knows and calls [`Options::finish`], so that a mistyped option
//! is an error and not a silent default.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use crate::error::{Error, Result, Span, nearest};

/// Aliases: another engine's option name and ours.
const ALIASES: &[(&str, &str)] = &[
    ("properties.bootstrap.servers", "brokers"),
    ("properties.bootstrap.server", "brokers"),
    ("bootstrap.servers", "brokers"),
    ("bootstrap_servers", "brokers"),
    ("source.offset", "scan.startup.mode"),
    // Flink's before 1.11.
    ("connector.type", "connector"),
    ("connector.path", "path"),
    ("format.type", "format"),
    ("auto.offset.reset", "scan.startup.mode"),
    ("event_time_field", "event_time"),
    ("timestamp", "event_time"),
    ("value.format", "format"),
    ("value_format", "format"),
    ("kafka_topic", "topic"),
    ("scan.watermark.idle-timeout", "idle_timeout"),
    ("table.exec.source.idle-timeout", "idle_timeout"),
    ("bad_data", "on_error"),
];

/// The value of an option and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OptionValue {
    value: String,
    span: Option<Span>,
}

/// The options of a relation.
#[derive(Default)]
pub struct Options {
    values: BTreeMap<String, OptionValue>,
    /// Names that somebody asked for: what is left over at the end is a mistake.
    known: Mutex<BTreeSet<String>>,
}

impl Options {
    /// No options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an option in, under its own name or an alias.
    ///
    /// # Errors
    /// When it was there already with another value.
    pub fn put(&mut self, name: &str, value: impl Into<String>, span: Option<Span>) -> Result<()> {
        let name = canonical(name);
        let value = value.into();
        if let Some(before) = self.values.get(&name)
            && before.value != value
        {
            let error = Error::config(format!("option '{name}' is given twice, as '{}' and '{value}'", before.value));
            return Err(located(error, span));
        }
        self.values.insert(name, OptionValue { value, span });
        Ok(())
    }

    /// The value of an option, when given.
    pub fn get(&self, name: &str) -> Option<&str> {
        let name = canonical(name);
        if let Ok(mut known) = self.known.lock() {
            known.insert(name.clone());
        }
        self.values.get(&name).map(|v| v.value.as_str())
    }

    /// The value of the first of several names that is given.
    pub fn get_any(&self, names: &[&str]) -> Option<&str> {
        names.iter().fold(None, |found, name| {
            let value = self.get(name);
            found.or(value)
        })
    }

    /// The value of an option that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn require(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| Error::config(format!("option '{name}' is missing")))
    }

    /// An option parsed from its text.
    ///
    /// # Errors
    /// When the text does not parse.
    pub fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        self.get(name)
            .map(|text| {
                text.trim()
                    .parse()
                    .map_err(|_| self.wrong(name, format!("'{text}' is not a value for option '{name}'")))
            })
            .transpose()
    }

    /// A yes or no, `default` when not given.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("true" | "1" | "yes" | "on") => Ok(true),
            Some("false" | "0" | "no" | "off") => Ok(false),
            Some(other) => Err(self.wrong(name, format!("option '{name}' is true or false, not '{other}'"))),
        }
    }

    /// A duration in microseconds.
    ///
    /// # Errors
    /// When the text is no duration.
    pub fn duration(&self, name: &str) -> Result<Option<i64>> {
        self.get(name)
            .map(|text| {
                crate::time::parse_duration(text)
                    .map_err(|e| located(e.context(format!("option '{name}'")), self.span(name)))
            })
            .transpose()
    }

    /// An error about this option, at its place.
    pub fn wrong(&self, name: &str, message: impl Into<String>) -> Error {
        located(Error::config(message), self.span(name))
    }

    /// Where an option stands.
    pub fn span(&self, name: &str) -> Option<Span> {
        self.values.get(&canonical(name)).and_then(|v| v.span)
    }

    /// Whether an option is given, without claiming to know it.
    pub fn contains(&self, name: &str) -> bool {
        self.values.contains_key(&canonical(name))
    }

    /// Every option in name order; for `SHOW CREATE`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, v)| (name.as_str(), v.value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Refuses options that nobody asked for.
    ///
    /// # Errors
    /// Names the first unknown option and the nearest known one.
    pub fn finish(&self, of: &str) -> Result<()> {
        let Ok(known) = self.known.lock() else { return Ok(()) };
        let Some((name, value)) = self.values.iter().find(|(name, _)| !known.contains(*name)) else { return Ok(()) };
        let error = Error::config(format!("{of} has no option '{name}'"));
        let error = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => error.help(format!("did you mean '{near}'?")),
            None => error.help(format!("options: {}", known.iter().cloned().collect::<Vec<_>>().join(", "))),
        };
        Err(located(error, value.span))
    }
}

/// The one name of an option: in lower case, words joined by `_` however they were joined, aliases resolved.
fn canonical(name: &str) -> String {
    let lower = name.trim().to_ascii_lowercase();
    let own = ALIASES.iter().find(|(alias, _)| *alias == lower).map_or(lower.as_str(), |(_, own)| *own);
    own.replace('-', "_")
}

fn located(error: Error, span: Option<Span>) -> Error {
    match span {
        Some(span) => error.at(span),
        None => error,
    }
}

impl Clone for Options {
    fn clone(&self) -> Self {
        Self { values: self.values.clone(), known: Mutex::default() }
    }
}

impl PartialEq for Options {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_case_and_leftovers() {
        let mut options = Options::new();
        options.put("Properties.Bootstrap.Servers", "a:1", None).unwrap();
        options.put("pathh", "x", None).unwrap();
        assert_eq!(options.get("brokers"), Some("a:1"));
        options.put("rows_per-second", "5", None).unwrap();
        assert_eq!(options.get("rows-per-second"), Some("5"));
        assert_eq!(options.get("path"), None);
        let error = options.finish("the filesystem connector").unwrap_err();
        assert!(error.helps()[0].contains("'path'"), "{error}");
    }
}
