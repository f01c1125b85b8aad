//! Rows at a given pace of wall time.

use std::time::Duration;

use crate::error::Result;
use crate::host::Clock;
use crate::settings::Options;
use crate::time::{MICROS_PER_SECOND, Timestamp};

/// How many portions a second's rows come in, at most: smaller ones only cost.
const PORTIONS_PER_SECOND: f64 = 100.0;

/// Lets rows through at a rate, starting with the first call.
#[derive(Debug)]
pub(in crate::connector) struct Pace {
    /// Rows per second; `None`: as fast as they are taken.
    rate: Option<f64>,
    start: Option<Timestamp>,
    spent: u64,
}

impl Pace {
    /// A pace of this many rows per second.
    pub(in crate::connector) fn new(rate: Option<f64>) -> Self {
        Self { rate, start: None, spent: 0 }
    }

    /// How many rows may come now, at most `most`; waits up to `wait` for the first, and gives 0 when there is none by then.
    pub(in crate::connector) fn take(&mut self, clock: &dyn Clock, most: u64, wait: Duration) -> u64 {
        let Some(rate) = self.rate else { return most };
        let now = clock.now();
        let start = *self.start.get_or_insert(now);
        let due = |at: Timestamp| (at.0.saturating_sub(start.0).max(0) as f64 * rate / MICROS_PER_SECOND as f64) as u64;
        let portion = ((rate / PORTIONS_PER_SECOND) as u64).max(1);
        let mut free = due(now).saturating_sub(self.spent);
        if free < portion.min(most) {
            let ready = (self.spent + portion) as f64 / rate * MICROS_PER_SECOND as f64;
            let missing = Duration::from_micros((ready.ceil() as u64).saturating_sub((now.0 - start.0).max(0) as u64));
            clock.sleep(missing.min(wait));
            free = due(clock.now()).saturating_sub(self.spent);
        }
        let taken = free.min(most);
        self.spent += taken;
        taken
    }

    /// Gives back rows that were taken and not used.
    pub(in crate::connector) fn give_back(&mut self, rows: u64) {
        self.spent = self.spent.saturating_sub(rows);
    }
}

/// Rows per second from `1000`, `1000/s`, `90/min`, `0.5/s`.
pub(in crate::connector) fn parse_rate(options: &Options, name: &str, text: &str) -> Result<f64> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit.trim().to_ascii_lowercase().as_str() {
        "s" | "sec" | "second" => 1.0,
        "m" | "min" | "minute" => 60.0,
        "h" | "hour" => 3600.0,
        _ => f64::NAN,
    };
    match number.trim().replace('_', "").parse::<f64>().map(|n| n / seconds) {
        Ok(rate) if (1e-6..=1e9).contains(&rate) => Ok(rate),
        _ => Err(options
            .wrong(name, format!("option '{name}' is a rate, not '{text}'"))
            .help("write for example '1000/s' or '90/min'; leave it out for as fast as possible")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ManualClock;

    #[test]
    fn rows_come_as_time_passes_and_not_before() {
        let clock = ManualClock::at(Timestamp(7));
        let mut pace = Pace::new(Some(1000.0));
        assert_eq!(pace.take(&clock, 100, Duration::ZERO), 0);
        clock.advance(50_000);
        assert_eq!(pace.take(&clock, 30, Duration::ZERO), 30);
        assert_eq!(pace.take(&clock, 100, Duration::ZERO), 20);
        pace.give_back(5);
        assert_eq!(pace.take(&clock, 100, Duration::ZERO), 5);
        assert_eq!(pace.take(&clock, 100, Duration::ZERO), 0);
        assert_eq!(Pace::new(None).take(&clock, 100, Duration::ZERO), 100);
    }

    #[test]
    fn rates_as_people_write_them() {
        let options = Options::new();
        assert_eq!(parse_rate(&options, "rate", "1_000/s").unwrap(), 1000.0);
        assert_eq!(parse_rate(&options, "rate", "90 / min").unwrap(), 1.5);
        assert!(parse_rate(&options, "rate", "0").is_err());
        assert!(parse_rate(&options, "rate", "fast").is_err());
        assert!(parse_rate(&options, "rate", "5/parsec").is_err());
    }
}
