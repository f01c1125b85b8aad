//! The flat path and the general one, fed with the same rows in the same intervals: what comes out, what is counted, and what is
//! held are the same, interval by interval.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::super::GENERAL;
use crate::engine::{Engine, PushTable, QueryHandle};
use crate::runtime::OperatorReport;

const CALLS: &str = "count(*) AS n, count(v) AS c, sum(v) AS s, avg(v) AS a, min(v) AS l, max(v) AS m, \
     count(*) FILTER (WHERE v > 20) AS p, count(DISTINCT v) AS d, max(ts) AS z";

/// With these, windows are not put together from panes.
const IN_ORDER: &str = ", sum(f) AS sf, avg(f) AS af, min(f) AS lf, max(f) FILTER (WHERE v < 50) AS mf";

/// Of each query.
const INTERVALS: usize = 9;

/// What is selected and grouped by, over a windowing call or none.
fn queries() -> Vec<String> {
    let mut all = Vec::new();
    for keys in ["", ", k", ", t", ", k, t", ", k, v % 3"] {
        let by = keys.trim_start_matches(", ");
        let calls = if keys == ", t" { format!("{CALLS}{IN_ORDER}") } else { CALLS.to_owned() };
        let what = if by.is_empty() { calls.clone() } else { format!("{by}, {calls}") };
        let group = if by.is_empty() { String::new() } else { format!(" GROUP BY {by}") };
        all.push(format!("SELECT {what} FROM r{group} EMIT CHANGES"));
        for window in [
            "TUMBLE(TABLE r, DESCRIPTOR(ts), INTERVAL '1' SECOND)",
            "HOP(TABLE r, DESCRIPTOR(ts), INTERVAL '400' MILLISECOND, INTERVAL '1' SECOND)",
            "HOP(TABLE r, DESCRIPTOR(ts), INTERVAL '300' MILLISECOND, INTERVAL '1' SECOND)",
            "CUMULATE(TABLE r, DESCRIPTOR(ts), INTERVAL '300' MILLISECOND, INTERVAL '1200' MILLISECOND)",
        ] {
            for emit in ["EMIT ON WINDOW CLOSE", "EMIT CHANGES"] {
                all.push(format!(
                    "SELECT window_start, window_end, window_time{keys}, {calls} FROM {window} WHERE v IS NULL OR v < 90
                     GROUP BY window_start, window_end, window_time{keys} {emit}"
                ));
            }
        }
    }
    all.push("SELECT DISTINCT k, t FROM r EMIT CHANGES".to_owned());
    all
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    /// One in eight is NULL.
    fn number(&mut self, n: u64) -> Option<i64> {
        (self.below(8) > 0).then(|| self.below(n) as i64 - 4)
    }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("t", DataType::Utf8, true),
        Field::new("v", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, None), true),
    ]))
}

/// Rows up to a second out of order, of which a table that waits half a second finds some late.
fn rows(chance: &mut Chance, from: i64, n: usize) -> RecordBatch {
    let text = |c: &mut Chance| c.number(4).map(|v| "x".repeat(v.unsigned_abs() as usize));
    let time = |c: &mut Chance, i: usize| {
        let late = c.below(2) * c.below(1000);
        (c.below(20) > 0).then(|| (from + i as i64) * 30 - late as i64)
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..n).map(|_| chance.number(5)).collect::<Int64Array>()),
        Arc::new((0..n).map(|_| text(chance)).collect::<StringArray>()),
        Arc::new((0..n).map(|_| chance.number(100)).collect::<Int64Array>()),
        Arc::new((0..n).map(|_| chance.number(40).map(|v| v as f64 / 7.0)).collect::<Float64Array>()),
        Arc::new((0..n).map(|i| time(chance, i)).collect::<TimestampMillisecondArray>()),
    ];
    RecordBatch::try_new(schema(), columns).unwrap()
}

async fn start(sql: &str, general: bool) -> (Engine, PushTable, QueryHandle) {
    GENERAL.set(general);
    let engine = Engine::builder().inline_sources().build();
    engine.set("max_future_skew", "0").unwrap();
    let table = engine.push_table("r", schema()).event_time("ts").lateness("500ms").create().unwrap();
    let query = engine.sql(sql).await.unwrap();
    GENERAL.set(false);
    (engine, table, query)
}

fn lines(batch: &RecordBatch, weight: impl Fn(usize) -> i64) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> =
        batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap()).collect();
    let line = |row: usize| {
        columns.iter().fold(format!("{:+}", weight(row)), |mut line, column| {
            write!(line, " {}", column.value(row)).unwrap();
            line
        })
    };
    (0..batch.num_rows()).map(line).collect()
}

/// Runs an interval; what came out, in order where changes are told, and what is counted behind it.
async fn step(engine: &Engine, query: &mut QueryHandle, sql: &str) -> (Vec<String>, Vec<String>) {
    engine.step().await.unwrap();
    let changes = query.take();
    let mut out: Vec<String> = changes.iter().flat_map(|c| lines(&c.batch, |row| c.weight(row))).collect();
    if sql.ends_with("CLOSE") {
        out.sort();
    }
    let progress = engine.progress();
    let counted = progress.queries.iter().map(|q| {
        let (m, next) = (&q.metrics, q.next_close);
        let read = if in_panes(sql) { 0 } else { m.state_rows_read };
        format!("{} late, {} closed, {} open, next {next:?}, {read} read", m.late, m.windows_closed, m.windows_open)
    });
    (out, counted.collect())
}

/// Whether what is held are panes, with rows of their own.
fn in_panes(sql: &str) -> bool {
    sql.contains("CLOSE") && !sql.contains("TUMBLE") && !sql.contains(IN_ORDER)
}

/// What a query holds, and in how many bytes.
async fn held(engine: &Engine, query: &QueryHandle, sql: &str) -> (Vec<String>, usize) {
    let operators = engine.state().await;
    let count = |o: &OperatorReport| format!("{} {} rows", o.kind, if in_panes(sql) { 0 } else { o.rows });
    let mut held: Vec<String> = operators.iter().map(count).collect();
    let state = engine.query(&format!("SELECT * FROM state('{}.aggregate#0')", query.id())).await.unwrap();
    let mut rows: Vec<String> = state.iter().flat_map(|b| lines(b, |_| 1)).collect();
    rows.sort();
    let names = state.first().map(|b| b.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>());
    held.push(format!("{names:?}"));
    held.extend(rows);
    (held, operators.iter().map(|o| o.bytes).sum())
}

#[tokio::test]
async fn both_paths_give_and_hold_the_same() {
    for (number, sql) in queries().iter().enumerate() {
        let mut chance = Chance(number as u64);
        let (flat, flat_table, mut flat_query) = start(sql, false).await;
        let (general, general_table, mut general_query) = start(sql, true).await;
        let mut from = 0;
        let mut late = 0;
        for interval in 0..INTERVALS {
            for _ in 0..chance.below(3) {
                let n = 1 + chance.below(40) as usize;
                let batch = rows(&mut chance, from, n);
                from += n as i64;
                flat_table.push(batch.clone()).await.unwrap();
                general_table.push(batch).await.unwrap();
            }
            if interval == INTERVALS - 1 {
                flat_table.close();
                general_table.close();
            }
            let got = step(&flat, &mut flat_query, sql).await;
            let wanted = step(&general, &mut general_query, sql).await;
            assert_eq!(got, wanted, "interval {interval} of {sql}");
            if interval == INTERVALS / 2 {
                let (got, wanted) = (held(&flat, &flat_query, sql).await, held(&general, &general_query, sql).await);
                assert_eq!(got.0, wanted.0, "interval {interval} of {sql}");
                assert_ne!(got.1, wanted.1, "the paths are two");
            }
            late = flat.progress().queries.first().map_or(late, |q| q.metrics.late);
        }
        assert!(!sql.contains("WINDOW CLOSE") || late > 0, "some rows are late");
    }
}

#[tokio::test]
async fn a_failed_interval_is_told_in_the_same_words() {
    for sql in ["SELECT k, sum(v) FROM r GROUP BY k EMIT CHANGES", "SELECT sum(v) FROM r EMIT CHANGES"] {
        let mut errors = Vec::new();
        for general in [false, true] {
            let (engine, table, _query) = start(sql, general).await;
            let batch = rows(&mut Chance(1), 0, 2);
            let mut columns = batch.columns().to_vec();
            columns[0] = Arc::new(Int64Array::from(vec![1, 1]));
            columns[2] = Arc::new(Int64Array::from(vec![i64::MAX, 1]));
            table.push(RecordBatch::try_new(schema(), columns).unwrap()).await.unwrap();
            errors.push(engine.step().await.unwrap_err());
        }
        assert_eq!(errors[0].to_string(), errors[1].to_string());
        assert_eq!(errors[0].kind(), errors[1].kind());
    }
}
