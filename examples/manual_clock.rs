//! A test of a query over wall time that neither waits nor flickers: time moves when the test says so, intervals run when
//! it calls `step`, and sources are read on its own thread.
//!
//!     cargo run --example manual_clock

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use tidemill::engine::{Engine, QueryHandle};
use tidemill::host::ManualClock;
use tidemill::time::{MICROS_PER_SECOND, Timestamp};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let clock = Arc::new(ManualClock::at(Timestamp(0)));
    let engine = Engine::builder().clock(clock.clone()).inline_sources().build();
    let requests = engine.push_table("requests", paths(&[])?.schema()).create()?;
    let mut query = engine
        .sql("SELECT count(*) AS requests FROM TUMBLE(requests, now(), INTERVAL '10' SECOND) GROUP BY window_end")
        .await?;

    requests.push(paths(&["/", "/cart"])?).await?;
    engine.step().await?;
    assert_eq!(counts(&mut query), [] as [i64; 0], "at 00:00:00 the window has just opened");

    clock.advance(9 * MICROS_PER_SECOND);
    requests.push(paths(&["/checkout"])?).await?;
    engine.step().await?;
    assert_eq!(counts(&mut query), [] as [i64; 0], "at 00:00:09 it is still open");

    clock.advance(MICROS_PER_SECOND);
    engine.step().await?;
    assert_eq!(counts(&mut query), [3], "at 00:00:10 it closes, though nothing came");

    println!("three requests in the first ten seconds, in no time");
    Ok(())
}

fn counts(query: &mut QueryHandle) -> Vec<i64> {
    query.take().iter().flat_map(|c| c.batch.column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

fn paths(paths: &[&str]) -> Result<RecordBatch, Box<dyn std::error::Error>> {
    let column: ArrayRef = Arc::new(StringArray::from(paths.to_vec()));
    Ok(RecordBatch::try_from_iter([("path", column)])?)
}
