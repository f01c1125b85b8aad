//! A keyed join: intervals of 64k rows against a state of 100k, by tidemill and by DataFusion's batch engine over the same rows.
//!
//! `probe` joins rows that each meet one row kept; `interval` joins two streams within ten seconds of each other, so that rows
//! also leave. Compare with DataFusion's hash join of the same two inputs as a ratio, made in the same run.

use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput};
use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
use datafusion::prelude::{SessionConfig, SessionContext};
use tidemill::engine::{Engine, PushTable, QueryHandle};
use tidemill::error::Result;

const KEPT: i64 = 100_000;
const INTERVAL: i64 = 64 << 10;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(5))
        .configure_from_args();

    let mut group = criterion.benchmark_group("join/probe");
    group.throughput(Throughput::Elements(INTERVAL as u64));
    let setup = || runtime.block_on(Joined::new("")).expect("it starts");
    group.bench_function("tidemill", |b| {
        b.iter_batched(setup, |mut joined| runtime.block_on(joined.step(0)).expect("it runs"), BatchSize::PerIteration);
    });
    group.bench_function("datafusion", |b| b.iter(|| runtime.block_on(datafusion()).expect("it runs")));
    group.finish();

    let mut group = criterion.benchmark_group("join/interval");
    group.throughput(Throughput::Elements(10 * INTERVAL as u64));
    let setup = || {
        runtime
            .block_on(Joined::new("AND r.ts BETWEEN l.ts - INTERVAL '10' SECOND AND l.ts + INTERVAL '10' SECOND"))
            .expect("it starts")
    };
    group.bench_function("tidemill", |b| {
        b.iter_batched(
            setup,
            |mut joined| {
                runtime.block_on(async {
                    for n in 0..10 {
                        joined.step(n).await.expect("it runs");
                    }
                });
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
    criterion.final_summary();
}

/// `count` rows from `first` on, a millisecond apart; the key of each is a number below [`KEPT`], scattered.
fn rows(first: i64, count: i64) -> RecordBatch {
    let key: ArrayRef = Arc::new(Int64Array::from_iter_values((first..first + count).map(|i| i * 7_919 % KEPT)));
    let value: ArrayRef = Arc::new(Int64Array::from_iter_values(first..first + count));
    let ts: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values(first..first + count));
    RecordBatch::try_from_iter([("k", key), ("v", value), ("ts", ts)]).expect("three columns")
}

/// A join with a side full of rows.
struct Joined {
    engine: Engine,
    left: PushTable,
    query: QueryHandle,
}

impl Joined {
    async fn new(more: &str) -> Result<Self> {
        let engine = Engine::builder().inline_sources().build();
        engine.set("max_rows_per_interval", &KEPT.to_string())?;
        let table = |name: &str| engine.push_table(name, rows(0, 0).schema()).event_time("ts").lateness("1s").create();
        let (left, right) = (table("l")?, table("r")?);
        let query = engine.sql(&format!("SELECT l.k, l.v, r.v AS w FROM l JOIN r ON l.k = r.k {more}")).await?;
        right.push(rows(0, KEPT)).await?;
        engine.step().await?;
        Ok(Self { engine, left, query })
    }

    async fn step(&mut self, n: i64) -> Result<usize> {
        self.left.push(rows(n * INTERVAL, INTERVAL)).await?;
        self.engine.step().await?;
        Ok(self.query.take().iter().map(|change| change.num_rows()).sum())
    }
}

async fn datafusion() -> datafusion::error::Result<usize> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    context.register_batch("l", rows(0, INTERVAL))?;
    context.register_batch("r", rows(0, KEPT))?;
    let answer = context.sql("SELECT l.k, l.v, r.v AS w FROM l JOIN r ON l.k = r.k").await?.collect().await?;
    Ok(answer.iter().map(|b| b.num_rows()).sum())
}
