//! A difference, cut down to few rows and intervals, and written as a script and JSON lines.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use arrow::array::UInt32Array;
use arrow::compute::take_record_batch;

use super::arrival::{Arrival, Event};
use super::shrink::shrink;
use super::tape::Tape;
use super::{Answers, Difference, Run};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::format::FormatSpec;
use crate::settings::Options;
use crate::sql::Statement;

/// How many smaller cases are tried.
const TRIES: usize = 600;

/// More of a difference says nothing more.
const LINES_MAX: usize = 20;

impl Run<'_> {
    /// Cuts a difference down.
    pub(super) async fn minimal(
        &self,
        found: Difference,
        arrival: Arrival,
        several: &[String],
        late: bool,
    ) -> Result<Difference> {
        // An interval ends before the rows marked so; marks and rows are left out alike.
        let mut items: Vec<Option<Event>> = Vec::with_capacity(arrival.len() + arrival.intervals.len());
        for interval in &arrival.intervals {
            items.push(None);
            items.extend(interval.iter().copied().map(Some));
        }
        let small = shrink(items, TRIES, |items| {
            let arrival = arrange(&arrival, &items);
            async move { matches!(self.differs(&arrival, several, late).await, Ok(Some(_))) }
        })
        .await;
        let mut arrival = arrange(&arrival, &small);
        // One partition will do, if it does.
        let mut single = arrival.clone();
        single.partitions = 1;
        single.intervals.iter_mut().flatten().for_each(|e| e.partition = 0);
        if matches!(self.differs(&single, several, late).await, Ok(Some(_))) {
            arrival = single;
        }
        let small = self.differs(&arrival, several, late).await?.unwrap_or(found);
        let what: Vec<&str> = small.what.lines().collect();
        let more =
            if what.len() > LINES_MAX { format!("\n  … and {} more", what.len() - LINES_MAX) } else { String::new() };
        let what = format!("{}{more}", what[..what.len().min(LINES_MAX)].join("\n"));
        let mut rows = Vec::new();
        for (at, tape) in self.tapes.iter().enumerate() {
            rows.push((tape.name().to_owned(), json_lines(tape, arrival.order(at))?));
        }
        let sql = self.sql(&arrival, &small.output, &what)?;
        Ok(Difference { what, sql, rows, ..small })
    }

    /// How a stream differs from the batch answer over the very rows that arrive; with late rows, from one interval of them.
    async fn differs(&self, arrival: &Arrival, several: &[String], late: bool) -> Result<Option<Difference>> {
        let wanted: Answers = if late && arrival.seed.is_multiple_of(3) {
            let whole = Arrival { intervals: vec![arrival.intervals.concat()], ..arrival.clone() };
            self.stream(&whole).await?
        } else {
            let rows: Vec<Vec<u32>> =
                (0..self.tapes.len()).map(|at| arrival.order(at).map(|e| e.row).collect()).collect();
            self.batch(&rows).await?
        };
        Ok(self.compare(arrival, &wanted, &self.stream(arrival).await, several))
    }

    /// The script, its sources those of the case.
    fn sql(&self, arrival: &Arrival, output: &str, what: &str) -> Result<String> {
        let mut text = format!("-- '{output}' is not the batch answer ({}):\n", arrival.describe());
        for line in what.lines() {
            let _ = writeln!(text, "--{line}");
        }
        for (at, tape) in self.tapes.iter().enumerate() {
            let cuts: Vec<String> = arrival
                .intervals
                .iter()
                .map(|i| i.iter().filter(|e| e.tape as usize == at).count().to_string())
                .collect();
            let _ = writeln!(text, "-- rows of {} in each interval: {}", tape.name(), cuts.join(", "));
            if arrival.partitions > 1 {
                let partitions: Vec<String> = arrival.order(at).map(|e| e.partition.to_string()).collect();
                let _ = writeln!(text, "-- the partition of each: {}", partitions.join(", "));
            }
        }
        let tapes: BTreeMap<&str, &Tape> = self.tapes.iter().map(|t| (t.name(), t)).collect();
        for parsed in self.statements {
            let of = match &parsed.statement {
                Statement::CreateTable(create) if create.query.is_none() => tapes.get(create.name.value.as_str()),
                _ => None,
            };
            match of {
                None => {
                    let _ = writeln!(text, "\n{};", parsed.text.trim());
                }
                Some(tape) => {
                    let mut table = tape.table.clone();
                    table.options = Options::new();
                    table.options.put("connector", "filesystem", None)?;
                    table.options.put("path", format!("FILE.{}.jsonl", tape.name()), None)?;
                    let _ = writeln!(text, "\n{};", crate::engine::table_ddl(&table));
                }
            }
        }
        Ok(text)
    }
}

/// Rows and ends of intervals as an arrival.
fn arrange(like: &Arrival, items: &[Option<Event>]) -> Arrival {
    let intervals = items.split(Option::is_none).map(|i| i.iter().flatten().copied().collect::<Vec<_>>());
    Arrival { intervals: intervals.filter(|i| !i.is_empty()).collect(), ..like.clone() }
}

/// Rows as the JSON format writes them.
fn json_lines(tape: &Tape, events: impl Iterator<Item = Event>) -> Result<String> {
    let rows: UInt32Array = events.map(|e| e.row).collect();
    let rows = take_record_batch(&tape.physical, &rows)?;
    let mut options = Options::new();
    options.put("format", "json", None)?;
    let format = FormatSpec::from_options(&options, None)?.ok_or_else(|| Error::internal("JSON is a format"))?;
    let mut encoder = format.encoder(&rows.schema(), None)?;
    let mut out = Vec::new();
    encoder.encode(&Change::append(rows), &mut out)?;
    encoder.finish(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
