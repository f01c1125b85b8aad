//! Engines for tests, and the comparing of rows as the crate's own proof does it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use tidemill::change::Change;
use tidemill::engine::Engine;
use tidemill::host::ManualClock;
use tidemill::time::Timestamp;
pub(crate) use tidemill::verify::rows::{Row, Table, difference};

/// 2026-01-01T00:00:00Z in microseconds, where every clock of a test begins.
pub(crate) const START: i64 = 1_767_225_600_000_000;

/// An engine that reads its sources in the test's thread, by a clock that the test moves.
pub(crate) fn engine() -> (Engine, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(Timestamp(START)));
    let engine = Engine::builder().clock(clock.clone()).inline_sources().build();
    (engine, clock)
}

/// The rows of a batch.
pub(crate) fn of_batch(batch: &RecordBatch) -> Vec<Row> {
    tidemill::verify::rows::of_batch(batch).expect("printable")
}

/// The rows of several batches.
pub(crate) fn of_batches(batches: &[RecordBatch]) -> Vec<Row> {
    batches.iter().flat_map(of_batch).collect()
}

/// What is left once changes are folded.
pub(crate) fn fold<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Table {
    tidemill::verify::rows::fold(changes).expect("printable")
}

/// Rows as a table.
pub(crate) fn table(rows: impl IntoIterator<Item = Row>) -> Table {
    let mut table = Table::new();
    for row in rows {
        *table.entry(row).or_default() += 1;
    }
    table
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
