//! The law for joins in time: interval joins and versions, whatever the cut, whatever the order that two streams come in.
//!
//! Rows of two tables in two partitions each, out of order, NULLs and duplicates among them. Their partitions are interleaved by
//! chance and cut by chance; what comes out must fold to what DataFusion answers to plain SQL over the rows that are not late (who
//! is late is said here again, in a line), and once the watermarks are far ahead the state must be gone.
//!
//! `TIDEMILL_CASES` says how many random runs each query gets.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, TimestampMillisecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::prelude::SessionContext;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::rows::{self, START, Table};

/// The query, the same in plain SQL, and of which sides late rows are dropped.
const QUERIES: &[(&str, &str, [bool; 2])] = &[
    (
        "SELECT a.v, b.w FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts - INTERVAL '2' SECOND AND a.ts + INTERVAL '3' SECOND",
        "",
        [true, true],
    ),
    // Strict, the other way round, without a key.
    ("SELECT a.v, b.w FROM b JOIN a ON a.ts < b.ts + INTERVAL '1' SECOND AND a.ts > b.ts - INTERVAL '1' SECOND", "", [true, true]),
    ("SELECT a.v, b.w FROM a JOIN b ON a.k = b.k AND a.ts = b.ts", "", [true, true]),
    // One bound frees one side, by the watermark of the other, whose late rows go.
    ("SELECT a.v, b.w FROM a JOIN b ON a.k = b.k AND b.ts >= a.ts", "", [true, false]),
    ("SELECT a.v, b.w FROM a JOIN b ON a.k = b.k AND b.ts <= a.ts + INTERVAL '1' SECOND", "", [false, true]),
    ("SELECT a.v, b.w FROM a JOIN b ON a.k = b.k AND a.v < b.w", "", [false, false]),
    // Outer, semi, anti.
    (
        "SELECT a.v, b.w FROM a LEFT JOIN b ON a.k = b.k AND b.ts >= a.ts - INTERVAL '1' SECOND AND b.ts <= a.ts + INTERVAL '2' SECOND",
        "",
        [true, true],
    ),
    (
        "SELECT a.v, b.w FROM a FULL JOIN b ON a.k = b.k AND b.ts >= a.ts - INTERVAL '1' SECOND AND b.ts <= a.ts + INTERVAL '2' SECOND",
        "",
        [true, true],
    ),
    (
        "SELECT v FROM a WHERE EXISTS (SELECT 1 FROM b WHERE a.k = b.k AND b.ts >= a.ts AND b.ts <= a.ts + INTERVAL '2' SECOND)",
        "",
        [true, true],
    ),
    (
        "SELECT v FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE a.k = b.k AND b.ts >= a.ts AND b.ts <= a.ts + INTERVAL '2' SECOND)",
        "",
        [true, true],
    ),
    // Three of them.
    (
        "SELECT a.v, b.w, c.v AS u FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '2' SECOND
         JOIN a AS c ON c.k = b.k AND c.ts BETWEEN b.ts - INTERVAL '1' SECOND AND b.ts + INTERVAL '1' SECOND",
        "",
        [true, true],
    ),
    // Windows above an interval join, on the times of either side, on close.
    (
        "SELECT window_start, count(*) AS n FROM TUMBLE(TABLE (SELECT a.ts FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN
         a.ts - INTERVAL '2' SECOND AND a.ts + INTERVAL '3' SECOND), DESCRIPTOR(ts), INTERVAL '4' SECOND) GROUP BY window_start, window_end",
        "SELECT date_bin(INTERVAL '4' SECOND, a.ts) AS s, count(*) AS n FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN
         a.ts - INTERVAL '2' SECOND AND a.ts + INTERVAL '3' SECOND GROUP BY s",
        [true, true],
    ),
    (
        "SELECT window_start, count(*) AS n FROM TUMBLE(TABLE (SELECT b.ts FROM a LEFT JOIN b ON a.k = b.k AND b.ts BETWEEN
         a.ts - INTERVAL '2' SECOND AND a.ts + INTERVAL '3' SECOND WHERE b.w > 2), DESCRIPTOR(ts), INTERVAL '4' SECOND)
         GROUP BY window_start, window_end",
        "SELECT date_bin(INTERVAL '4' SECOND, b.ts) AS s, count(*) AS n FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN
         a.ts - INTERVAL '2' SECOND AND a.ts + INTERVAL '3' SECOND WHERE b.w > 2 GROUP BY s",
        [true, true],
    ),
    // Versions.
    (
        "SELECT a.v, r.w FROM a JOIN b FOR SYSTEM_TIME AS OF a.ts AS r ON a.k = r.k",
        "SELECT a.v, r.w FROM a JOIN (SELECT *, lead(ts) OVER (PARTITION BY k ORDER BY ts, w) AS n FROM b WHERE ts IS NOT NULL) AS r
         ON a.k = r.k AND r.ts <= a.ts AND (r.n IS NULL OR a.ts < r.n)",
        [true, true],
    ),
    (
        "SELECT a.v, r.w FROM a LEFT JOIN b FOR SYSTEM_TIME AS OF a.ts AS r ON a.k = r.k AND r.w < 6",
        "SELECT a.v, r.w FROM a LEFT JOIN (SELECT *, lead(ts) OVER (PARTITION BY k ORDER BY ts, w) AS n FROM b WHERE ts IS NOT NULL) AS r
         ON a.k = r.k AND r.w < 6 AND r.ts <= a.ts AND (r.n IS NULL OR a.ts < r.n)",
        [true, true],
    ),
    // The nearest, kept up to date.
    (
        "SELECT a.v, r.w FROM a ASOF LEFT JOIN b AS r ON a.k = r.k AND a.ts >= r.ts",
        "SELECT a.v, r.w FROM a LEFT JOIN (SELECT *, lead(ts) OVER (PARTITION BY k ORDER BY ts, w) AS n FROM b WHERE ts IS NOT NULL) AS r
         ON a.k = r.k AND r.ts <= a.ts AND (r.n IS NULL OR a.ts < r.n)",
        [false, false],
    ),
];

/// Delays of the two tables (ms).
const DELAYS: [i64; 2] = [1_000, 500];

#[derive(Debug, Clone, Copy)]
struct Row {
    side: usize,
    partition: usize,
    k: Option<i64>,
    v: i64,
    /// Milliseconds behind the start.
    t: Option<i64>,
}

/// Rows in the order that they come in.
fn some_rows(rng: &mut SmallRng) -> Vec<Row> {
    let count = rng.random_range(5..60);
    (0..count)
        .map(|i| Row {
            side: rng.random_range(0..2),
            partition: rng.random_range(0..2),
            k: Some(rng.random_range(0..3)).filter(|_| rng.random_bool(0.95)),
            v: rng.random_range(0..9),
            t: Some(i64::from(i) * 200 - rng.random_range(0..2_500)).filter(|_| rng.random_bool(0.95)),
        })
        .collect()
}

/// The rows in another order, but for the order in each partition.
fn interleaved(rng: &mut SmallRng, all: &[Row]) -> Vec<Row> {
    let mut queues: Vec<Vec<Row>> =
        (0..4).map(|q| all.iter().rev().filter(|r| r.side * 2 + r.partition == q).copied().collect()).collect();
    let mut out = Vec::new();
    while out.len() < all.len() {
        out.extend(queues[rng.random_range(0..4)].pop());
    }
    out
}

/// The rows of a side that are not behind the largest time before them in their partition, less the delay.
fn on_time(all: &[Row], side: usize) -> Vec<Row> {
    let mut largest = [None; 2];
    let mut keep = |row: &Row| {
        let before = largest[row.partition];
        largest[row.partition] = before.max(row.t);
        !matches!((row.t, before), (Some(t), Some(before)) if t < before - DELAYS[side])
    };
    all.iter().filter(|row| row.side == side).filter(|row| keep(row)).copied().collect()
}

fn schema(side: usize) -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Millisecond, None);
    let fields = [("k", DataType::Int64), (["v", "w"][side], DataType::Int64), ("ts", time)];
    Arc::new(Schema::new(fields.map(|(name, t)| Field::new(name, t, true)).to_vec()))
}

fn batch(side: usize, rows: &[Row]) -> RecordBatch {
    let k = Int64Array::from_iter(rows.iter().map(|r| r.k));
    let v = Int64Array::from_iter_values(rows.iter().map(|r| r.v));
    let ts = TimestampMillisecondArray::from_iter(rows.iter().map(|r| r.t.map(|t| t + START / 1_000)));
    RecordBatch::try_new(schema(side), vec![Arc::new(k), Arc::new(v), Arc::new(ts)]).unwrap()
}

/// What comes out, folded, and the rows held by then when the watermarks are far ahead.
async fn stream(query: &str, rows: &[Row], cut: &mut dyn FnMut() -> usize) -> (Table, usize) {
    let (engine, _clock) = rows::engine();
    engine.set("max_future_skew", "0").unwrap();
    let table = |side: usize| {
        let builder = engine.push_table(["a", "b"][side], schema(side)).event_time("ts");
        builder.lateness(&format!("{}ms", DELAYS[side])).partitions(2).create().unwrap()
    };
    let tables = [table(0), table(1)];
    let mut handle = engine.sql(query).await.unwrap_or_else(|e| panic!("{query}: {e}"));
    let mut left = 0;
    for row in rows {
        if left == 0 {
            engine.step().await.unwrap();
            left = cut();
        }
        left -= 1;
        tables[row.side].push_to(row.partition, batch(row.side, &[*row])).unwrap();
    }
    engine.step().await.unwrap();
    // Rows that meet nothing, far ahead.
    for (side, table) in tables.iter().enumerate() {
        for partition in 0..2 {
            let k = 100 + side as i64 * 10 + partition as i64;
            let t = 10_000_000 * (1 + k);
            table.push_to(partition, batch(side, &[Row { side, partition, k: Some(k), v: -1, t: Some(t) }])).unwrap();
        }
    }
    engine.step().await.unwrap();
    engine.step().await.unwrap();
    let held = engine.state().await.iter().map(|o| o.rows).sum();
    let out = rows::fold(&handle.take());
    tables.iter().for_each(|t| t.close());
    rows::run(&engine).await.unwrap();
    let last = handle.take();
    let far = |row: &rows::Row| row.iter().any(|cell| cell == "-1");
    assert!(rows::fold(&last).keys().all(far), "{query}: rows came at the end only: {last:?}");
    let out = out.into_iter().filter(|(row, _)| !far(row)).collect();
    (out, held)
}

async fn oracle(query: &str, rows: [Vec<Row>; 2]) -> Table {
    let context = SessionContext::new();
    for (side, rows) in rows.iter().enumerate() {
        context.register_batch(["a", "b"][side], batch(side, rows)).unwrap();
    }
    let answer = context.sql(query).await.unwrap_or_else(|e| panic!("{query}: {e}")).collect().await.unwrap();
    rows::table(rows::of_batches(&answer))
}

#[tokio::test]
async fn joins_in_time_are_the_batch_answer_whatever_the_cut() {
    let runs: u64 = std::env::var("TIDEMILL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(6);
    let mut failures = Vec::new();
    for (query, plain, judged) in QUERIES {
        let plain = if plain.is_empty() { query } else { plain };
        for seed in 0..runs {
            let mut rng = SmallRng::seed_from_u64(seed);
            let all = some_rows(&mut rng);
            let of = |side: usize| match judged[side] {
                true => on_time(&all, side),
                false => all.iter().filter(|r| r.side == side).copied().collect(),
            };
            let wanted = oracle(plain, [of(0), of(1)]).await;
            let mut chance = SmallRng::seed_from_u64(seed + 1_000);
            let orders = [all.clone(), interleaved(&mut rng, &all), interleaved(&mut rng, &all)];
            for (order, name) in orders.iter().zip(["whole", "one row", "random"]) {
                let mut cut = || match name {
                    "whole" => 1_000,
                    "one row" => 1,
                    _ => chance.random_range(1..9),
                };
                let (got, held) = stream(query, order, &mut cut).await;
                if got != wanted {
                    failures.push(format!("seed {seed}, {name}: {query}\n{}", rows::difference(&wanted, &got)));
                }
                // The four rows far ahead are held, by as many operators as there are; and a version of each key.
                if judged[0] && judged[1] && held > 4 * 3 + 3 {
                    failures.push(format!("seed {seed}, {name}: {query}\n  {held} rows are held"));
                }
            }
            if failures.len() > 3 {
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// The harness must be able to fail: late rows that count are seen.
#[tokio::test]
async fn a_wrong_rule_of_lateness_is_caught() {
    let (query, _, _) = QUERIES[0];
    for seed in 0..50 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let all = some_rows(&mut rng);
        let of = |side: usize| all.iter().filter(|r| r.side == side).copied().collect();
        let wanted = oracle(query, [of(0), of(1)]).await;
        if stream(query, &all, &mut || 1_000).await.0 != wanted {
            return;
        }
    }
    panic!("no late row mattered");
}
