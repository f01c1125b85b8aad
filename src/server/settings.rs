//! The settings of a session: what PostgreSQL's programs set and ask for.
//!
//! The engine's own settings are not here: they hold for every session.

use std::collections::BTreeMap;

/// What PostgreSQL has and a client may ask for, with what it would find there.
const KNOWN: &[(&str, &str)] = &[
    ("allow_system_table_mods", "off"),
    ("application_name", ""),
    ("array_nulls", "on"),
    ("backslash_quote", "safe_encoding"),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("client_min_messages", "notice"),
    ("DateStyle", "ISO, MDY"),
    ("default_tablespace", ""),
    ("default_transaction_deferrable", "off"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "off"),
    ("enable_seqscan", "on"),
    ("escape_string_warning", "on"),
    ("extra_float_digits", "1"),
    ("geqo", "on"),
    ("idle_in_transaction_session_timeout", "0"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("IntervalStyle", "postgres"),
    ("is_superuser", "off"),
    ("jit", "off"),
    ("lc_collate", "C.UTF-8"),
    ("lc_ctype", "C.UTF-8"),
    ("lc_messages", "C"),
    ("lc_monetary", "C"),
    ("lc_numeric", "C"),
    ("lc_time", "C"),
    ("lock_timeout", "0"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("row_security", "on"),
    ("search_path", "public"),
    ("server_encoding", "UTF8"),
    ("server_version", SERVER_VERSION),
    ("server_version_num", "150000"),
    ("session_authorization", ""),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("synchronous_commit", "on"),
    ("synchronize_seqscans", "on"),
    ("time_zone", "UTC"),
    ("TimeZone", "UTC"),
    ("transaction_isolation", "read committed"),
    ("transaction_mode", ""),
    ("transaction_read_only", "off"),
    ("work_mem", "4MB"),
    ("xmloption", "content"),
];

/// The version whose protocol and catalog clients find here.
pub(super) const SERVER_VERSION: &str = concat!("15.0 (tidemill ", env!("CARGO_PKG_VERSION"), ")");

/// What `version()` says.
pub(super) const VERSION: &str = concat!("PostgreSQL 15.0 (tidemill ", env!("CARGO_PKG_VERSION"), ")");

/// Settings that a client can't change, and those whose other values would make its results wrong.
const FIXED: &[(&str, &str)] = &[
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("IntervalStyle", "postgres"),
    ("server_encoding", "UTF8"),
    ("server_version", SERVER_VERSION),
    ("standard_conforming_strings", "on"),
];

/// The settings of one session, by their names in lower case.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionSettings {
    values: BTreeMap<String, String>,
}

/// What a SET came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// It is remembered.
    Done,
    /// It is remembered, but PostgreSQL has no such setting and neither have we.
    Unknown,
    /// Results are always as this value says.
    Fixed(&'static str),
}

impl SessionSettings {
    /// The value of a setting; `None` when there is none of the name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let lower = name.to_ascii_lowercase();
        self.values.get(&lower).map(String::as_str).or_else(|| default(&lower))
    }

    pub(super) fn set(&mut self, name: &str, value: &str) -> Set {
        let lower = name.to_ascii_lowercase();
        if let Some((_, fixed)) = FIXED.iter().find(|(known, _)| known.eq_ignore_ascii_case(&lower)) {
            let plain = |text: &str| text.to_ascii_lowercase().replace(['-', '\''], "");
            let same = plain(value) == plain(fixed) || lower == "client_encoding" && plain(value) == "unicode";
            return if same { Set::Done } else { Set::Fixed(fixed) };
        }
        let known = default(&lower).is_some();
        // Names with a dot are for anybody to make up.
        let made_up = lower.contains('.');
        self.values.insert(lower, value.to_owned());
        if known || made_up { Set::Done } else { Set::Unknown }
    }

    pub(super) fn reset(&mut self, name: &str) {
        self.values.remove(&name.to_ascii_lowercase());
    }

    pub(super) fn reset_all(&mut self) {
        self.values.clear();
    }

    /// Every setting, by name: as `pg_settings` lists them.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        let known = KNOWN.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut all: BTreeMap<String, String> = known.collect();
        for (name, value) in &self.values {
            let spelled = KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            all.insert(spelled.map_or(name.clone(), |(known, _)| (*known).to_owned()), value.clone());
        }
        all
    }
}

fn default(lower: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(lower)).map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_remembers_what_it_sets() {
        let mut settings = SessionSettings::default();
        assert_eq!(settings.get("timezone"), Some("UTC"));
        assert_eq!(settings.set("Extra_Float_Digits", "3"), Set::Done);
        assert_eq!(settings.get("extra_float_digits"), Some("3"));
        assert_eq!(settings.set("client_encoding", "'utf-8'"), Set::Done);
        assert_eq!(settings.set("client_encoding", "latin1"), Set::Fixed("UTF8"));
        assert_eq!(settings.set("my.own", "1"), Set::Done);
        assert_eq!(settings.set("intervall", "1s"), Set::Unknown);
        assert_eq!(settings.get("nothing"), None);
        settings.reset_all();
        assert_eq!((settings.get("extra_float_digits"), settings.get("my.own")), (Some("1"), None));
    }
}
