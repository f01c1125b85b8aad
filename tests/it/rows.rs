//! Rows as text, and tables as multisets of them: what every test compares.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tidemill::change::Change;
use tidemill::engine::Engine;
use tidemill::host::ManualClock;
use tidemill::time::Timestamp;

/// 2026-01-01T00:00:00Z in microseconds, where every clock of a test begins.
pub(crate) const START: i64 = 1_767_225_600_000_000;

/// A row as text, one string per column.
pub(crate) type Row = Vec<String>;

/// How often each row is there; a table without order.
pub(crate) type Table = BTreeMap<Row, i64>;

/// An engine that reads its sources in the test's thread, by a clock that the test moves.
pub(crate) fn engine() -> (Engine, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp(START)));
    let engine = Engine::builder().clock(clock.clone()).inline_sources().build();
    (engine, clock)
}

/// The rows of a batch. Floating point is rounded to nine digits, so that sums may be taken in any order.
pub(crate) fn of_batch(batch: &RecordBatch) -> Vec<Row> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).expect("printable")).collect();
    let cell = |row: usize, column: usize| {
        let array = batch.column(column);
        if array.data_type() == &DataType::Float64 && array.is_valid(row) {
            return float(array.as_primitive::<Float64Type>().value(row));
        }
        columns[column].value(row).to_string()
    };
    (0..batch.num_rows()).map(|row| (0..columns.len()).map(|column| cell(row, column)).collect()).collect()
}

/// A number with nine significant digits, in its shortest form; both zeros are one.
fn float(value: f64) -> String {
    let rounded: f64 = format!("{value:.8e}").parse().expect("a number");
    if rounded == 0.0 { "0.0".to_owned() } else { format!("{rounded:?}") }
}

/// The rows of several batches.
pub(crate) fn of_batches(batches: &[RecordBatch]) -> Vec<Row> {
    batches.iter().flat_map(of_batch).collect()
}

/// What is left once changes are folded.
pub(crate) fn fold<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Table {
    let mut table = Table::new();
    for change in changes {
        for (at, row) in of_batch(&change.batch).into_iter().enumerate() {
            *table.entry(row).or_default() += change.weight(at);
        }
    }
    table.retain(|_, weight| *weight != 0);
    table
}

/// Rows as a table.
pub(crate) fn table(rows: impl IntoIterator<Item = Row>) -> Table {
    let mut table = Table::new();
    for row in rows {
        *table.entry(row).or_default() += 1;
    }
    table
}

/// Where two tables differ, a line per row: `-` is wanted and missing, `+` is there and not wanted.
pub(crate) fn difference(wanted: &Table, got: &Table) -> String {
    let mut lines = Vec::new();
    let keys: std::collections::BTreeSet<_> = wanted.keys().chain(got.keys()).collect();
    for row in keys {
        let (a, b) = (wanted.get(row).copied().unwrap_or(0), got.get(row).copied().unwrap_or(0));
        if a != b {
            lines.push(format!("  {}{} × ({})", if a > b { '-' } else { '+' }, (a - b).abs(), row.join(" | ")));
        }
    }
    lines.join("\n")
}

/// Steps until nothing happens any more; how many intervals ran.
///
/// A step whose rows were all bad or not to be believed runs no interval, though more rows may follow: hence the patience.
pub(crate) async fn run(engine: &Engine) -> tidemill::error::Result<usize> {
    let (mut intervals, mut quiet) = (0, 0);
    while quiet < 8 {
        if engine.step().await?.interval.is_some() {
            intervals += 1;
            quiet = 0;
        } else {
            quiet += 1;
        }
        assert!(intervals < 1_000_000, "the engine never comes to rest");
    }
    Ok(intervals)
}
