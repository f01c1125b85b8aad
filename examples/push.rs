//! Embedding in ten lines: rows go in, the rows of closed windows come out as a stream.
//!
//!     cargo run --example push

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow::util::pretty::pretty_format_batches;
use tidemill::engine::{Control, Engine};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rows = bids(&[1_000, 9_000, 12_000, 31_000], &[5, 7, 6, 8])?;

    let engine = Engine::new();
    let bids = engine.push_table("bids", rows.schema()).event_time("ts").lateness("2s").create()?;
    let query = engine
        .sql(
            "SELECT window_end, count(*) AS bids, max(price) AS best
             FROM TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND) GROUP BY window_start, window_end",
        )
        .await?;
    let mut changes = query.stream();
    let running = tokio::spawn(async move { engine.run(&Control::new(), &mut |_| {}).await });

    bids.push(rows).await?; // waits while too many rows wait to be run
    bids.close(); // the last window closes, and with it the query and the run
    while let Some(change) = changes.next_change().await {
        println!("{}", pretty_format_batches(&[change.batch])?);
    }
    running.await??;
    Ok(())
}

fn bids(millis: &[i64], prices: &[i64]) -> Result<RecordBatch, Box<dyn std::error::Error>> {
    let ts: ArrayRef = Arc::new(TimestampMillisecondArray::from(millis.to_vec()));
    let price: ArrayRef = Arc::new(Int64Array::from(prices.to_vec()));
    Ok(RecordBatch::try_from_iter([("ts", ts), ("price", price)])?)
}
