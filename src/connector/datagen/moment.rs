//! A moment as people write it in an option.

use crate::error::Result;
use crate::settings::Options;
use crate::time::Timestamp;

/// 2026-01-01T00:00:00Z in milliseconds, when generated time begins: runs are the same on any day unless asked otherwise.
pub(in crate::connector) const BASE_MILLIS: i64 = 1_767_225_600_000;

/// Milliseconds since 1970 from `now`, a number of milliseconds, or a time as people write it (UTC unless it says otherwise).
pub(in crate::connector) fn parse_moment(options: &Options, name: &str, text: &str, now: Timestamp) -> Result<i64> {
    let trimmed = text.trim();
    if trimmed.eq_ignore_ascii_case("now") {
        return Ok(now.millis());
    }
    let millis = trimmed.parse::<i64>().ok().or_else(|| {
        let zoned = chrono::DateTime::parse_from_rfc3339(trimmed).ok().map(|t| t.timestamp_millis());
        let plain = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"]
            .iter()
            .find_map(|format| chrono::NaiveDateTime::parse_from_str(trimmed, format).ok())
            .or_else(|| chrono::NaiveDate::parse_from_str(trimmed, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0));
        zoned.or(plain.map(|t| t.and_utc().timestamp_millis()))
    });
    // Within the years 1 to 9999.
    millis.filter(|m| (-62_135_596_800_000..253_402_300_800_000).contains(m)).ok_or_else(|| {
        options
            .wrong(name, format!("option '{name}' is a time, not '{text}'"))
            .help("write for example '2026-01-01T00:00:00Z', '2026-01-01 12:30:00', milliseconds since 1970 or 'now'")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_people_write_them() {
        let options = Options::new();
        let parse = |text| parse_moment(&options, "base-time", text, Timestamp(5_000_999));
        for text in
            ["2026-01-01T00:00:00Z", "2026-01-01 00:00:00", "2026-01-01", "2026-01-01T01:00:00+01:00", "1767225600000"]
        {
            assert_eq!(parse(text).unwrap(), BASE_MILLIS, "{text}");
        }
        assert_eq!(parse("NOW").unwrap(), 5_000);
        for text in ["", "yesterday", "2026-13-01", "9223372036854775807"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
