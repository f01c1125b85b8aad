//! State bounds: what a watermark, a LIMIT or time itself lets go is gone from the state tables.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use tidemill::engine::{Engine, PushTable};
use tidemill::host::ManualClock;

use crate::rows;

struct Mill {
    engine: Engine,
    clock: Arc<ManualClock>,
    tables: Vec<PushTable>,
}

impl Mill {
    /// Tables `a` and `b` of (k, v, ts), the watermark two seconds behind.
    fn new() -> Self {
        let (engine, clock) = rows::engine();
        let table =
            |name: &str| engine.push_table(name, batch(&[]).schema()).event_time("ts").lateness("2s").create().unwrap();
        let tables = vec![table("a"), table("b")];
        Self { engine, clock, tables }
    }

    async fn push(&self, table: usize, rows: &[(&str, i64, i64)]) {
        self.tables[table].push_to(0, batch(rows)).unwrap();
        rows::run(&self.engine).await.unwrap();
    }

    /// Rows held by each operator of this kind.
    async fn held(&self, kind: &str) -> Vec<usize> {
        self.engine.state().await.into_iter().filter(|r| r.kind == kind).map(|r| r.rows).collect()
    }

    async fn all(&self) -> usize {
        self.engine.state().await.into_iter().map(|r| r.rows).sum()
    }
}

/// Key, value, second.
fn batch(rows: &[(&str, i64, i64)]) -> RecordBatch {
    let k: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)));
    let v: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1)));
    let at = |r: &(&str, i64, i64)| rows::START / 1_000 + r.2 * 1_000;
    let ts: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values(rows.iter().map(at)));
    RecordBatch::try_from_iter([("k", k), ("v", v), ("ts", ts)]).unwrap()
}

#[tokio::test]
async fn a_limit_keeps_so_many_rows() {
    let mill = Mill::new();
    let sql = "CREATE MATERIALIZED VIEW best AS SELECT k, v FROM a ORDER BY v DESC, k LIMIT 3 OFFSET 1;
               CREATE MATERIALIZED VIEW of_each AS
                   SELECT k, v FROM a QUALIFY row_number() OVER (PARTITION BY k ORDER BY v DESC) <= 2;
               CREATE MATERIALIZED VIEW changing AS
                   SELECT k, n FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS c ORDER BY n DESC, k LIMIT 1";
    mill.engine.run_script(sql).await.unwrap();
    for n in 0..50 {
        mill.push(0, &[("x", n, n), ("y", n * 7 % 50, n), (["p", "q", "r"][n as usize % 3], n, n)]).await;
    }
    assert_eq!(mill.held("top-n").await, [4, 5], "append-only: the best four; changing: every group");
    assert_eq!(mill.held("over").await, [10], "two of each of five keys");
    let best = rows::of_batches(&mill.engine.query("SELECT v FROM best").await.unwrap());
    assert_eq!(best.len(), 3);
    assert!(best.iter().all(|r| ["49", "48"].contains(&r[0].as_str())), "{best:?}");
}

#[tokio::test]
async fn windows_leave_nothing_behind() {
    for query in [
        "SELECT window_end, k, v FROM TUMBLE(a, ts, INTERVAL '10' SECOND) EMIT ON WINDOW CLOSE",
        "SELECT window_end, k, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY window_end ORDER BY v DESC) AS n
             FROM TUMBLE(a, ts, INTERVAL '10' SECOND)) AS t WHERE n <= 2 EMIT ON WINDOW CLOSE",
        "SELECT window_end, k, v, sum(v) OVER (PARTITION BY window_end, k ORDER BY ts) AS s
             FROM HOP(a, ts, INTERVAL '5' SECOND, INTERVAL '10' SECOND) EMIT ON WINDOW CLOSE",
        "SELECT l.window_end, l.k, l.v, r.v AS w FROM TUMBLE(a, ts, INTERVAL '10' SECOND) AS l
             LEFT JOIN TUMBLE(b, ts, INTERVAL '10' SECOND) AS r ON l.window_end = r.window_end AND l.k = r.k EMIT ON WINDOW CLOSE",
        "SELECT window_end, count(*), sum(v), min(v), count(DISTINCT k) FROM (
             SELECT l.window_end, l.k, r.v FROM TUMBLE(a, ts, INTERVAL '10' SECOND) AS l
             LEFT JOIN TUMBLE(b, ts, INTERVAL '10' SECOND) AS r ON l.window_end = r.window_end AND l.k = r.k) AS j
         GROUP BY window_end EMIT CHANGES",
        "SELECT DISTINCT k, ts FROM a EMIT ON WINDOW CLOSE",
        "SELECT k, v, ts FROM a EMIT ON WINDOW CLOSE",
    ] {
        let mill = Mill::new();
        let _handle = mill.engine.sql(query).await.unwrap();
        mill.push(0, &[("x", 1, 1), ("y", 2, 3), ("x", 5, 4)]).await;
        mill.push(1, &[("x", 1, 2), ("x", 2, 8)]).await;
        assert!(mill.all().await > 0, "{query}");
        mill.tables[0].close();
        mill.tables[1].close();
        // Ended queries keep their state to be read; what has been let go is not in it.
        rows::run(&mill.engine).await.unwrap();
        assert_eq!(mill.all().await, 0, "{query}");
    }
}

#[tokio::test]
async fn the_watermark_frees_closed_windows_while_rows_go_on_coming() {
    let query = "SELECT l.window_end, l.k, count(r.v) AS n FROM TUMBLE(a, ts, INTERVAL '10' SECOND) AS l
                 LEFT JOIN TUMBLE(b, ts, INTERVAL '10' SECOND) AS r ON l.window_end = r.window_end AND l.k = r.k
                 GROUP BY l.window_end, l.k EMIT ON WINDOW CLOSE";
    let mill = Mill::new();
    let mut handle = mill.engine.sql(query).await.unwrap();
    let mut most = 0;
    let mut out = 0;
    for n in 0..100 {
        mill.push(0, &[("x", n, n), ("y", n, n)]).await;
        mill.push(1, &[("x", n, n)]).await;
        most = most.max(mill.all().await);
        out += handle.take().iter().map(tidemill::change::Change::num_rows).sum::<usize>();
    }
    // Two windows at most are open: ten rows of `a` for each key, ten of `b`, two groups, and what is held of them.
    assert!(most <= 2 * (30 + 2 + 2), "{most} rows were held at once");
    assert_eq!(out, 2 * 9, "nine windows of two keys have closed");
}

#[tokio::test]
async fn time_frees_what_has_lapsed() {
    let mill = Mill::new();
    let sql = "CREATE MATERIALIZED VIEW recent AS SELECT k, v FROM a WHERE ts > now() - INTERVAL '10' SECOND";
    mill.engine.run_script(sql).await.unwrap();
    mill.push(0, &[("x", 1, 0), ("y", 2, 3)]).await;
    assert_eq!(mill.held("lapse").await, [2]);
    mill.clock.advance(10_000_000);
    rows::run(&mill.engine).await.unwrap();
    assert_eq!(mill.held("lapse").await, [1]);
    mill.clock.advance(3_000_000);
    rows::run(&mill.engine).await.unwrap();
    assert_eq!(mill.held("lapse").await, [0]);
    assert!(mill.engine.query("SELECT * FROM recent").await.unwrap().iter().all(|b| b.num_rows() == 0));
}

#[tokio::test]
async fn explain_says_what_bounds_each_table() {
    let mill = Mill::new();
    let explain = async |query: &str| {
        let answer = mill.engine.query(&format!("EXPLAIN {query}")).await.unwrap();
        rows::of_batches(&answer).into_iter().map(|r| r[0].clone()).collect::<Vec<_>>().join("\n")
    };
    let unbounded = explain("SELECT k, count(*) FROM a GROUP BY k").await;
    let clause = "UNBOUNDED: GROUP BY window_start, window_end of TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '…')";
    assert!(unbounded.contains("State aggregate#0: key a.k"), "{unbounded}");
    assert!(unbounded.contains(clause), "{unbounded}");
    let held = explain("SELECT k, ts FROM a WHERE k > 'a' EMIT ON WINDOW CLOSE").await;
    assert!(held.contains("State hold#0: key ts; rows leave when the watermark has passed their own time"), "{held}");
    assert!(held.contains("Filter (linear)"), "{held}");
    let lapsing = explain("SELECT k, count(*) FROM a WHERE ts > now() - INTERVAL '1' HOUR GROUP BY k").await;
    assert!(lapsing.contains("State aggregate#1: key a.k; rows leave as time passes"), "{lapsing}");
    let first = explain("SELECT k, v FROM a QUALIFY row_number() OVER (PARTITION BY k ORDER BY v) <= 3").await;
    assert!(first.contains("UNBOUNDED: the first 3 rows of each key, for good: PARTITION BY window_start"), "{first}");
}
