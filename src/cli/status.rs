//! What a run says of itself: the status line, the summary at the end, `\why`.
//!
//! The question behind all of it is "is it stuck, or is there just nothing to say?": so the counters are always there, and
//! when no window can close, the line says what it waits for.

use std::fmt::Write;

use crate::engine::{Progress, QueryProgress, SourceProgress};
use crate::time::{Timestamp, format_duration};

/// Silence that is worth a word, in microseconds.
const QUIET_MICROS: i64 = 2_000_000;
/// The span over which the rate is measured, in microseconds.
const RATE_MICROS: i64 = 1_000_000;

/// Turns one progress after another into status lines; it remembers what it needs for rates.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// Time and rows at the last measured point.
    since: Option<(i64, u64)>,
    rate: Option<u64>,
}

impl Meter {
    /// The status line.
    pub(crate) fn line(&mut self, progress: &Progress) -> String {
        self.measure(progress);
        let totals = Totals::of(progress);
        let mut line = format!("{} in · {} out", grouped(totals.rows_in), grouped(totals.rows_out));
        if let Some(rate) = self.rate {
            let _ = write!(line, " · {} rows/s", grouped(rate));
        }
        let _ = write!(line, " · late {} · bad {}", grouped(totals.late), grouped(totals.bad));
        if totals.quarantined > 0 {
            let _ = write!(line, " · quarantined {}", grouped(totals.quarantined));
        }
        if totals.windows_open > 0 {
            let _ = write!(line, " · {} open", count(totals.windows_open, "window"));
        }
        if let Some(waits) = waits_for(progress) {
            let _ = write!(line, " · {waits}");
        }
        line
    }

    fn measure(&mut self, progress: &Progress) {
        let rows = Totals::of(progress).rows_in;
        let (at, before) = *self.since.get_or_insert((progress.elapsed_micros, rows));
        let passed = progress.elapsed_micros - at;
        if passed >= RATE_MICROS {
            self.rate = Some(per_second(rows.saturating_sub(before), passed));
            self.since = Some((progress.elapsed_micros, rows));
        }
    }
}

/// Sums over all sources and queries.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) rows_in: u64,
    pub(crate) rows_out: u64,
    pub(crate) late: u64,
    pub(crate) bad: u64,
    pub(crate) quarantined: u64,
    pub(crate) windows_open: u64,
    pub(crate) windows_closed: u64,
}

impl Totals {
    /// Adds up a progress.
    pub(crate) fn of(progress: &Progress) -> Self {
        let mut totals = Self::default();
        for source in &progress.sources {
            totals.rows_in += source.metrics.rows_in;
            totals.bad += source.metrics.bad;
            totals.quarantined += source.metrics.quarantined;
        }
        for query in &progress.queries {
            totals.rows_out += query.metrics.rows_out;
            totals.late += query.metrics.late;
            totals.windows_open += query.metrics.windows_open;
            totals.windows_closed += query.metrics.windows_closed;
        }
        totals
    }

    /// Whether a row came in that is not in the answers.
    pub(crate) fn lost_any(&self) -> bool {
        self.late + self.bad + self.quarantined > 0
    }
}

/// The one line at the end of a run.
pub(crate) fn summary(progress: &Progress) -> String {
    let totals = Totals::of(progress);
    let mut line = format!("{} in, {} out", count(totals.rows_in, "row"), grouped(totals.rows_out));
    if totals.windows_closed > 0 {
        let _ = write!(line, "; {} closed", count(totals.windows_closed, "window"));
    }
    let _ = write!(line, "; {} late, {} bad", grouped(totals.late), grouped(totals.bad));
    if totals.quarantined > 0 {
        let _ = write!(line, ", {} quarantined (too far in the future)", grouped(totals.quarantined));
    }
    let null_time: u64 = progress.sources.iter().map(|s| s.metrics.null_time).sum();
    if null_time > 0 {
        let _ = write!(line, ", {} without event time", grouped(null_time));
    }
    let rate = per_second(totals.rows_in, progress.elapsed_micros);
    let _ = write!(line, "; {}, {} rows/s", seconds(progress.elapsed_micros), grouped(rate));
    line
}

/// What a first Ctrl-C says.
pub(crate) fn flushing(progress: Option<&Progress>) -> String {
    match progress.map_or(0, |p| Totals::of(p).windows_open) {
        0 => "finishing; Ctrl-C again to stop at once".to_owned(),
        1 => "flushing 1 window; Ctrl-C again to drop it".to_owned(),
        n => format!("flushing {} windows; Ctrl-C again to drop them", grouped(n)),
    }
}

/// Everything about every query and source, in words: `\why`, and what SIGUSR1 prints. `only` picks a query by name or number.
pub(crate) fn report(progress: &Progress, only: Option<&str>) -> String {
    let mut text = String::new();
    let wanted =
        |q: &&QueryProgress| only.is_none_or(|name| q.name.eq_ignore_ascii_case(name) || q.id.to_string() == name);
    for query in progress.queries.iter().filter(wanted) {
        let m = &query.metrics;
        let _ = writeln!(text, "query {} ({}): {}", query.id, query.name, state_of(query));
        let _ =
            writeln!(text, "  {} in, {} out, {} late", count(m.rows_in, "row"), grouped(m.rows_out), grouped(m.late));
        let _ = writeln!(text, "  state: {}, {}", count(m.state_rows, "row"), bytes(m.state_bytes));
        if m.windows_open + m.windows_closed > 0 {
            let (open, closed) = (count(m.windows_open, "window"), grouped(m.windows_closed));
            let _ = writeln!(text, "  {open} open, {closed} closed");
        }
        if let Some(when) = closes_when(query) {
            let _ = writeln!(text, "  {when}");
        }
        if let Some(failed) = &query.failed {
            let _ = writeln!(text, "  {failed}");
        }
    }
    if text.is_empty() {
        return match only {
            Some(name) => format!("no query '{name}' runs\n"),
            None => "no query runs\n".to_owned(),
        };
    }
    for source in &progress.sources {
        let m = &source.metrics;
        let _ = write!(text, "source {}: {}, {} bad", source.name, count(m.rows_in, "row"), grouped(m.bad));
        if m.quarantined > 0 {
            let _ = write!(text, ", {} quarantined", grouped(m.quarantined));
        }
        if let Some(watermark) = source.watermark {
            let _ = write!(text, "; watermark {watermark}");
        }
        if let Some(held_by) = &source.held_by {
            let _ = write!(text, " held by {held_by}");
        }
        if source.ended {
            let _ = write!(text, "; ended");
        } else if source.idle_micros >= QUIET_MICROS {
            let _ = write!(text, "; no new rows for {}", format_duration(source.idle_micros));
        }
        if let Some(status) = &source.status {
            let _ = write!(text, "; {status}");
        }
        text.push('\n');
    }
    if let Some(waits) = waits_for(progress) {
        let _ = writeln!(text, "{waits}");
    }
    text
}

/// A word for how a query is.
pub(crate) fn state_of(query: &QueryProgress) -> &'static str {
    match (&query.failed, query.ended) {
        (Some(_), _) => "failed",
        (None, true) => "ended",
        (None, false) => "running",
    }
}

/// What the run waits for: the next window, a quiet source, a peer.
fn waits_for(progress: &Progress) -> Option<String> {
    let live: Vec<&SourceProgress> = progress.sources.iter().filter(|s| !s.ended).collect();
    let quiet = live.iter().map(|s| s.idle_micros).min().filter(|idle| *idle >= QUIET_MICROS);
    let next = progress
        .queries
        .iter()
        .filter(|q| !q.ended && q.failed.is_none())
        .filter_map(|q| q.next_close.map(|end| (end, q)))
        .min_by_key(|(end, _)| *end);
    let Some((end, query)) = next else {
        // Nothing to close: a source that waits for a peer is what there is to say.
        return live.iter().filter(|s| s.metrics.rows_in == 0).find_map(|s| status_of(s));
    };
    if let Some(quiet) = quiet {
        return Some(format!(
            "no new rows for {}, so time stands still; SET idle_timeout = '5s' lets the clock close windows",
            format_duration(quiet)
        ));
    }
    let holder = holder(&live);
    if let Some(source) = holder
        && source.idle_micros >= QUIET_MICROS
        && live.len() > 1
    {
        return Some(format!(
            "{} holds the watermark back, no rows from it for {}; SET idle_timeout = '5s' lets the others go on",
            holder_name(source),
            format_duration(source.idle_micros)
        ));
    }
    let (end_text, watermark) = (clock(end, query.watermark), query.watermark);
    let mut text = format!("next window closes at {end_text}");
    match watermark {
        Some(at) if at > Timestamp::MIN => {
            let _ = write!(text, ", watermark {}", clock(at, Some(end)));
            if let Some(source) = holder.filter(|s| live.len() > 1 || s.held_by.is_some()) {
                let _ = write!(text, " ({})", holder_name(source));
            }
        }
        _ => match live.iter().find(|s| s.watermark.is_none_or(|w| w == Timestamp::MIN)) {
            Some(source) => {
                let _ = write!(text, ", no watermark yet: {} has shown no row", source.name);
            }
            None => text.push_str(", no watermark yet"),
        },
    }
    Some(text)
}

/// The rule by which the next window of a query closes.
fn closes_when(query: &QueryProgress) -> Option<String> {
    let end = query.next_close.filter(|_| !query.ended)?;
    let watermark = match query.watermark {
        Some(at) if at > Timestamp::MIN => format!("the watermark is {at}"),
        _ => "there is no watermark yet".to_owned(),
    };
    Some(format!("the next window closes when the watermark reaches {end}; {watermark}"))
}

/// The source whose watermark is furthest behind.
fn holder<'a>(live: &[&'a SourceProgress]) -> Option<&'a SourceProgress> {
    live.iter().filter(|s| s.watermark.is_some()).min_by_key(|s| s.watermark).copied()
}

fn holder_name(source: &SourceProgress) -> String {
    match &source.held_by {
        Some(part) if part.contains(source.name.as_str()) => part.clone(),
        Some(part) => format!("{} {part}", source.name),
        None => source.name.clone(),
    }
}

fn status_of(source: &SourceProgress) -> Option<String> {
    source.status.as_ref().map(|status| format!("{}: {status}", source.name))
}

/// A time of day when its date is that of its neighbour, else date and time.
fn clock(at: Timestamp, near: Option<Timestamp>) -> String {
    let text = at.to_string();
    let day = |t: &str| t.split_once(' ').map(|(day, _)| day.to_owned());
    match (text.split_once(' '), near.map(|t| t.to_string())) {
        (Some((date, time)), Some(other)) if day(&other).as_deref() == Some(date) => time.to_owned(),
        _ => text,
    }
}

/// `4812` as `4 812`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Seconds with as many places as tell something: `0.042 s`, `3.2 s`, `1 m 30 s`.
pub(crate) fn seconds(micros: i64) -> String {
    match micros {
        ..1_000_000 => format!("{:.3} s", micros.max(0) as f64 / 1e6),
        1_000_000..60_000_000 => format!("{:.1} s", micros as f64 / 1e6),
        _ => format_duration(micros),
    }
}

fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = number as f64 / 1024.0;
    if number < 1024 {
        return count(number, "byte");
    }
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    format!("{size:.1} {unit}")
}

fn per_second(rows: u64, micros: i64) -> u64 {
    if micros <= 0 {
        return rows;
    }
    (rows as f64 * 1e6 / micros as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{QueryMetrics, SourceMetrics};
    use crate::time::IntervalId;

    fn source(name: &str, watermark: Option<i64>, idle_seconds: i64) -> SourceProgress {
        let metrics = SourceMetrics { rows_in: 4_812, ..SourceMetrics::default() };
        SourceProgress {
            name: name.into(),
            metrics,
            watermark: watermark.map(|s| Timestamp(s * 1_000_000)),
            held_by: None,
            idle_micros: idle_seconds * 1_000_000,
            ended: false,
            status: None,
        }
    }

    fn query(watermark: Option<i64>, next_close: Option<i64>) -> QueryProgress {
        let mut metrics = QueryMetrics::default();
        (metrics.rows_out, metrics.windows_open, metrics.late) = (40, 2, 17);
        QueryProgress {
            id: 1,
            name: "hot".into(),
            metrics,
            watermark: watermark.map(|s| Timestamp(s * 1_000_000)),
            next_close: next_close.map(|s| Timestamp(s * 1_000_000)),
            ended: false,
            failed: None,
        }
    }

    fn progress(sources: Vec<SourceProgress>, queries: Vec<QueryProgress>) -> Progress {
        Progress { interval: IntervalId(1), elapsed_micros: 2_000_000, sources, queries }
    }

    #[test]
    fn the_line_counts_and_says_when_the_next_window_closes() {
        let mut meter = Meter::default();
        let mut first = progress(vec![source("bids", Some(17), 0)], vec![query(Some(17), Some(20))]);
        first.sources[0].metrics.rows_in = 3_810;
        first.elapsed_micros = 1_000_000;
        meter.line(&first);
        let line = meter.line(&progress(vec![source("bids", Some(17), 0)], vec![query(Some(17), Some(20))]));
        assert_eq!(
            line,
            "4 812 in · 40 out · 1 002 rows/s · late 17 · bad 0 · 2 windows open · next window closes at 00:00:20, \
             watermark 00:00:17"
        );
    }

    #[test]
    fn quiet_input_is_said_to_stop_time() {
        let line =
            Meter::default().line(&progress(vec![source("bids", Some(17), 14)], vec![query(Some(17), Some(20))]));
        assert!(line.contains("no new rows for 14 s, so time stands still"), "{line}");
        assert!(line.contains("idle_timeout"), "{line}");
    }

    #[test]
    fn the_quiet_one_of_two_sources_is_named() {
        let sources = vec![source("bids", Some(50), 0), source("clicks", Some(17), 14)];
        let line = Meter::default().line(&progress(sources, vec![query(Some(17), Some(20))]));
        assert!(line.contains("clicks holds the watermark back, no rows from it for 14 s"), "{line}");
        let sources = vec![source("bids", Some(50), 0), source("clicks", Some(17), 0)];
        let line = Meter::default().line(&progress(sources, vec![query(Some(17), Some(20))]));
        assert!(line.ends_with("closes at 00:00:20, watermark 00:00:17 (clicks)"), "{line}");
    }

    #[test]
    fn a_source_that_waits_says_for_what() {
        let mut waiting = source("bids", None, 0);
        waiting.metrics.rows_in = 0;
        waiting.status = Some("listening on tcp://127.0.0.1:9999".into());
        let line = Meter::default().line(&progress(vec![waiting], vec![query(None, None)]));
        assert!(line.ends_with("bids: listening on tcp://127.0.0.1:9999"), "{line}");
        let line = Meter::default().line(&progress(vec![source("b", None, 0)], vec![query(None, Some(20))]));
        assert!(line.ends_with("no watermark yet: b has shown no row"), "{line}");
    }

    #[test]
    fn nothing_stands_still_once_the_input_has_ended() {
        let mut ended = source("bids", Some(17), 100);
        ended.ended = true;
        let line = Meter::default().line(&progress(vec![ended], vec![query(Some(17), Some(20))]));
        assert!(!line.contains("stands still"), "{line}");
    }

    #[test]
    fn the_summary_hides_nothing() {
        let mut progress = progress(vec![source("bids", None, 0)], vec![query(None, None)]);
        progress.sources[0].metrics.quarantined = 1;
        let text = summary(&progress);
        assert_eq!(
            text,
            "4 812 rows in, 40 out; 17 late, 0 bad, 1 quarantined (too far in the future); 2.0 s, 2 406 rows/s"
        );
        assert!(Totals::of(&progress).lost_any());
    }

    #[test]
    fn flushing_counts_windows() {
        let open = |n| {
            let mut p = progress(vec![], vec![query(None, None)]);
            p.queries[0].metrics.windows_open = n;
            flushing(Some(&p))
        };
        assert_eq!(open(3), "flushing 3 windows; Ctrl-C again to drop them");
        assert_eq!(open(1), "flushing 1 window; Ctrl-C again to drop it");
        assert!(open(0).starts_with("finishing"));
    }

    #[test]
    fn the_report_names_what_was_asked_for() {
        let progress = progress(vec![source("bids", Some(17), 14)], vec![query(Some(17), Some(20))]);
        let text = report(&progress, Some("HOT"));
        assert!(text.contains("query 1 (hot): running"), "{text}");
        assert!(text.contains("closes when the watermark reaches 1970-01-01 00:00:20"), "{text}");
        assert!(text.contains("source bids: 4 812 rows, 0 bad; watermark 1970-01-01 00:00:17; no new rows for 14 s"));
        assert_eq!(report(&progress, Some("cold")), "no query 'cold' runs\n");
    }

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 12, 999, 1_000, 1_234_567].map(grouped).join("|"), "0|12|999|1 000|1 234 567");
        assert_eq!([12, 2_048, 3 << 20].map(bytes).join("|"), "12 bytes|2.0 KiB|3.0 MiB");
        assert_eq!([42_000, 3_210_000, 90_000_000].map(seconds).join("|"), "0.042 s|3.2 s|1 m 30 s");
    }
}
