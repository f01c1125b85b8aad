//! A windowed aggregate over Nexmark bids in a file, by tidemill and by DataFusion's batch engine, in one run.
//!
//! `count, avg, max GROUP BY TUMBLE(10 s), auction` over JSON lines and Parquet. The files are made by the seeded generator in
//! a temporary folder. Compare the two as a ratio: machines differ, and so do hours of the day. `BENCH_EVENTS` sets how many
//! Nexmark events are made (92 % of them are bids).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::prelude::{JsonReadOptions, ParquetReadOptions, SessionConfig, SessionContext};
use tidemill::connector::Sink;
use tidemill::engine::{Control, Engine, Output, OutputInfo};
use tidemill::error::Result;
use tidemill::time::IntervalId;

const COLUMNS: &str = r#"auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, "dateTime" TIMESTAMP(3)"#;

fn main() {
    let events: u64 = std::env::var("BENCH_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    runtime.block_on(make_files(folder.path(), events)).expect("the files are made");

    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(10))
        .configure_from_args();
    for format in ["jsonl", "parquet"] {
        let path = folder.path().join(format!("bids.{format}"));
        let mut group = criterion.benchmark_group(format!("tumble/{format}"));
        group.throughput(Throughput::Elements(events * 46 / 50));
        group.bench_function("tidemill", |b| b.iter(|| runtime.block_on(tidemill(&path)).expect("tidemill runs")));
        group
            .bench_function("datafusion", |b| b.iter(|| runtime.block_on(datafusion(&path)).expect("datafusion runs")));
        group.finish();
    }
    criterion.final_summary();
}

async fn make_files(folder: &Path, events: u64) -> Result<()> {
    let engine = Engine::new();
    let mut script = format!(
        "CREATE TABLE bid ({COLUMNS}) WITH (connector = 'nexmark', 'table' = 'bid', 'events.num' = '{events}',
            'first-event.rate' = '100000', 'next-event.rate' = '100000');"
    );
    for format in ["jsonl", "parquet"] {
        let path = folder.join(format!("bids.{format}"));
        script.push_str(&format!(
            "CREATE TABLE {format}_file ({COLUMNS}) WITH (connector = 'filesystem', path = '{}');
             INSERT INTO {format}_file SELECT * FROM bid;",
            path.display()
        ));
    }
    engine.run_script(&script).await?;
    engine.run(&Control::new(), &mut |_| ()).await
}

async fn tidemill(path: &Path) -> Result<u64> {
    let engine = Engine::new();
    engine
        .run_script(&format!(
            r#"CREATE TABLE bid ({COLUMNS}, WATERMARK FOR "dateTime" AS "dateTime" - INTERVAL '1' SECOND)
               WITH (connector = 'filesystem', path = '{}')"#,
            path.display()
        ))
        .await?;
    let query = tidemill::sql::parse(
        r#"SELECT window_start, auction, count(*) AS n, avg(price) AS a, max(price) AS m
           FROM TUMBLE(bid, "dateTime", INTERVAL '10' SECOND) GROUP BY window_start, window_end, auction"#,
    )?;
    let rows = Arc::new(std::sync::atomic::AtomicU64::new(0));
    for parsed in &query {
        engine.execute(parsed, &mut Count(Arc::clone(&rows))).await?;
    }
    engine.run(&Control::new(), &mut |_| ()).await?;
    Ok(rows.load(std::sync::atomic::Ordering::Relaxed))
}

async fn datafusion(path: &Path) -> datafusion::error::Result<usize> {
    // Two partitions: tidemill decodes on one thread and aggregates on another.
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    let schema = Schema::new(vec![
        Field::new("auction", DataType::Int64, true),
        Field::new("bidder", DataType::Int64, true),
        Field::new("price", DataType::Int64, true),
        Field::new("channel", DataType::Utf8, true),
        Field::new("dateTime", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]);
    let name = path.to_string_lossy();
    if name.ends_with("jsonl") {
        let options = JsonReadOptions::default().schema(&schema).file_extension("jsonl");
        context.register_json("bid", name.as_ref(), options).await?;
    } else {
        context.register_parquet("bid", name.as_ref(), ParquetReadOptions::default()).await?;
    }
    let answer = context
        .sql(
            r#"SELECT date_bin(INTERVAL '10' SECOND, "dateTime") AS w, auction, count(*) AS n, avg(price) AS a, max(price) AS m
               FROM bid GROUP BY w, auction"#,
        )
        .await?
        .collect()
        .await?;
    Ok(answer.iter().map(|b| b.num_rows()).sum())
}

/// Counts rows.
struct Count(Arc<std::sync::atomic::AtomicU64>);

impl Output for Count {
    fn open(&mut self, _: &OutputInfo) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }
}

impl Sink for Count {
    fn stage(&mut self, _: IntervalId, change: &tidemill::change::Change) -> Result<()> {
        self.0.fetch_add(change.num_rows() as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}
