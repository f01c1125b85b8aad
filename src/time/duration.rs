//! Durations as people write them: `5s`, `1 second`, `1m30s`, `250ms`, `0`.

use crate::error::{Error, Result};

/// A duration in microseconds from `5s`, `1 second`, `1m30s`, `250 ms`, `0` or a bare number of seconds.
///
/// # Errors
/// When the text is no duration, or is negative.
pub fn parse_duration(text: &str) -> Result<i64> {
    let trimmed = text.trim().trim_matches('\'').trim();
    let bad = || {
        Error::config(format!("'{text}' is not a duration")).help("write for example '5s', '250ms', '1 minute' or '0'")
    };
    if let Ok(seconds) = trimmed.parse::<f64>() {
        return if (0.0..9e12).contains(&seconds) { Ok((seconds * 1e6).round() as i64) } else { Err(bad()) };
    }
    let span: jiff::SignedDuration = trimmed.parse().map_err(|_| bad())?;
    let micros = i64::try_from(span.as_micros()).map_err(|_| bad())?;
    if micros < 0 { Err(bad()) } else { Ok(micros) }
}

/// A duration in microseconds, short: `250 ms`, `5 s`, `1 m 30 s`, `2 h`.
pub fn format_duration(micros: i64) -> String {
    if micros < 0 {
        return format!("-{}", format_duration(micros.saturating_neg()));
    }
    match micros {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros / 1_000),
        _ => {
            let seconds = micros / 1_000_000;
            let parts =
                [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
            let shown: Vec<String> =
                parts.iter().filter(|(n, _)| *n > 0).take(2).map(|(n, unit)| format!("{n} {unit}")).collect();
            shown.join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_write_them() {
        for (text, micros) in [
            ("5s", 5_000_000),
            ("1 second", 1_000_000),
            ("250ms", 250_000),
            ("1m30s", 90_000_000),
            ("0", 0),
            ("2 minutes", 120_000_000),
            ("0.5", 500_000),
        ] {
            assert_eq!(parse_duration(text).unwrap(), micros, "{text}");
        }
        for text in ["", "soon", "-5s", "5 parsecs"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(format_duration(90_000_000), "1 m 30 s");
        assert_eq!(format_duration(250_000), "250 ms");
    }
}
