//! The law, query by query: after every interval a materialized view holds what DataFusion answers to the same text over all
//! rows so far. Joins of every kind, subqueries, set operations, OVER, Top-N, aggregates over aggregates.
//!
//! Rows are pushed into two tables in intervals of random length; the oracle is a plain DataFusion session over the rows pushed so
//! far. `TIDEMILL_CASES` says how many random runs each query gets (default 2); a failure prints its seed.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::SessionContext;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tidemill::engine::Engine;

/// Tables `a (k, v, s)` and `b (k, w, s)`: few keys, NULLs, duplicates. Orders are total, so that there is one right answer.
const QUERIES: &[&str] = &[
    // Joins.
    "SELECT a.k, v, w FROM a JOIN b ON a.k = b.k",
    "SELECT a.k, v, w FROM a JOIN b ON a.k = b.k AND v < w",
    "SELECT a.k, v, w FROM a LEFT JOIN b ON a.k = b.k",
    "SELECT a.k, v, w FROM a LEFT JOIN b ON a.k = b.k AND w > 5 WHERE v > 2",
    "SELECT v, b.k, w FROM a RIGHT JOIN b ON a.k = b.k",
    "SELECT a.k, v, b.k AS bk, w FROM a FULL JOIN b ON a.k = b.k AND a.s = b.s",
    "SELECT v, w FROM a CROSS JOIN b WHERE v + w = 10",
    "SELECT v, w FROM a JOIN b ON v < w AND w < 3",
    "SELECT k, v, w FROM a NATURAL JOIN b",
    "SELECT x.k, x.v, y.v AS v2 FROM a AS x JOIN a AS y ON x.k = y.k WHERE x.v < y.v",
    "SELECT a.k, b.w, c.v FROM a JOIN b ON a.k = b.k JOIN a AS c ON b.w = c.v",
    "SELECT a.k, v, w FROM a LEFT JOIN b ON a.k = b.k AND v < w",
    "SELECT a.k, v, b.k AS bk, w FROM a FULL JOIN b ON a.k = b.k AND v < w",
    "SELECT v, w FROM a FULL JOIN b ON v = w AND a.k < b.k",
    "SELECT v, w FROM a LEFT JOIN b ON v > w",
    "SELECT v, w FROM a LEFT JOIN b ON a.k IS NOT DISTINCT FROM b.k",
    "SELECT x.k, x.v, y.v AS v2 FROM a AS x LEFT JOIN a AS y ON x.k = y.v",
    "SELECT count(*), sum(v) FROM a CROSS JOIN (SELECT 1 AS one FROM b) AS c",
    "SELECT a.k, n, w FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS a LEFT JOIN b ON a.k = b.k",
    "SELECT a.k, n, m FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS a FULL JOIN (SELECT k, max(w) AS m FROM b GROUP BY k) AS b ON a.k = b.k",
    "SELECT a.k, v, c.w FROM a LEFT JOIN b ON a.k = b.k LEFT JOIN b AS c ON b.w = c.w",
    // Subqueries.
    "SELECT k, v FROM a WHERE v > 6 OR EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND w > v)",
    "SELECT k, v FROM a WHERE v > 6 OR k NOT IN (SELECT k FROM b WHERE k IS NOT NULL)",
    "SELECT k, v FROM a WHERE k IN (SELECT k FROM b WHERE w > 3)",
    "SELECT k, v FROM a WHERE k NOT IN (SELECT k FROM b WHERE k IS NOT NULL)",
    "SELECT k, v FROM a WHERE k NOT IN (SELECT k FROM b)",
    "SELECT k, v FROM a WHERE EXISTS (SELECT 1 FROM b WHERE b.k = a.k AND w > v)",
    "SELECT k, v FROM a WHERE NOT EXISTS (SELECT 1 FROM b WHERE b.k = a.k)",
    "SELECT k, v FROM a WHERE v > (SELECT avg(w) FROM b)",
    "SELECT k, v, (SELECT max(w) FROM b WHERE b.k = a.k) AS m FROM a",
    // Set operations.
    "SELECT k FROM a UNION SELECT k FROM b",
    "SELECT k, v FROM a UNION ALL SELECT k, w FROM b",
    "SELECT k, s FROM a INTERSECT SELECT k, s FROM b",
    "SELECT k, s FROM a EXCEPT SELECT k, s FROM b",
    // Aggregates over what changes.
    "SELECT n, count(*) FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS c GROUP BY n",
    "SELECT max(n), min(n), sum(n) FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS c",
    "SELECT a.k, count(*), sum(w), min(w), max(v) FROM a LEFT JOIN b ON a.k = b.k GROUP BY a.k",
    "SELECT k, sum(v) FROM (SELECT k, v FROM a UNION SELECT k, w FROM b) AS u GROUP BY k HAVING sum(v) > 10",
    "SELECT DISTINCT m FROM (SELECT k, max(v) AS m FROM a GROUP BY k) AS c",
    "SELECT k, s, count(*), sum(v) FROM a GROUP BY ROLLUP (k, s)",
    "SELECT k, s, count(*) FROM a GROUP BY CUBE (k, s)",
    "SELECT k, s, count(*) FROM a GROUP BY GROUPING SETS ((k), (s), ())",
    "SELECT k, s FROM a GROUP BY ROLLUP (k, s)",
    "SELECT k, s, count(*), grouping(k), grouping(s) FROM a GROUP BY GROUPING SETS ((k, s), (k), (k), ())",
    "SELECT a.k, b.s, count(*), sum(w), array_agg(w ORDER BY w) FROM a LEFT JOIN b ON a.k = b.k GROUP BY ROLLUP (a.k, b.s)",
    "SELECT n, m, count(*) FROM (SELECT k AS m, count(*) AS n FROM a GROUP BY k) AS c GROUP BY CUBE (n, m) HAVING count(*) > 0",
    "SELECT DISTINCT ON (k) k, v, s FROM a ORDER BY k, v, s",
    "SELECT DISTINCT ON (a.k) a.k, v, w FROM a JOIN b ON a.k = b.k ORDER BY a.k, v DESC, w",
    "SELECT count(DISTINCT n) FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS c",
    "SELECT n, count(*), sum(n), avg(n), min(n), max(n), count(DISTINCT n) FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS c GROUP BY n",
    "SELECT s, count(*), count(k), sum(v), avg(v), min(v), max(v), bool_and(v > 3), bool_or(v > 3), count(v) FILTER (WHERE k > 0) FROM (SELECT k, s, max(v) AS v FROM a GROUP BY k, s) AS m GROUP BY s",
    "SELECT count(*), count(s), min(s), max(s), count(DISTINCT s), avg(v) FROM (SELECT k, max(s) AS s, min(v) AS v FROM a GROUP BY k) AS m",
    "SELECT k, sum(CAST(v AS DECIMAL(12, 3))), avg(CAST(v AS DECIMAL(12, 3))) FROM (SELECT k, v FROM a UNION SELECT k, w FROM b) AS u GROUP BY k",
    "SELECT k, sum(v), array_agg(v ORDER BY v) FROM (SELECT k, v FROM a UNION SELECT k, w FROM b) AS u GROUP BY k",
    "SELECT a.k, max(w), count(DISTINCT w), sum(DISTINCT v) FROM a LEFT JOIN b ON a.k = b.k AND v < w GROUP BY a.k",
    "SELECT DISTINCT v, w FROM a FULL JOIN b ON a.k = b.k",
    "SELECT m, count(*) FROM (SELECT n, max(k) AS m FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS c GROUP BY n) AS d GROUP BY m",
    // OVER and Top-N.
    "SELECT v, k, s FROM (SELECT v, k, s FROM a ORDER BY v DESC, k, s LIMIT 2 OFFSET 2) AS t",
    "SELECT k, v, s FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY v, s) AS r FROM a) AS t WHERE r = 2",
    "SELECT k, v, s FROM (SELECT *, row_number() OVER (ORDER BY v, k, s) AS r FROM a WHERE v > 1) AS t WHERE r < 3 AND k > 0",
    "SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v, s) AS r FROM a",
    "SELECT k, v FROM (SELECT k, v, row_number() OVER (PARTITION BY k ORDER BY v DESC, s) AS r FROM a) AS t WHERE r <= 2",
    "SELECT k, v, rank() OVER (PARTITION BY k ORDER BY v) AS r, sum(v) OVER (PARTITION BY k) AS t FROM a",
    "SELECT k, v, sum(v) OVER (PARTITION BY k ORDER BY v) AS running FROM a",
    "SELECT v, dense_rank() OVER (ORDER BY v) AS r FROM a",
    "SELECT k, v, s FROM a QUALIFY row_number() OVER (PARTITION BY k ORDER BY v, s) = 1",
    "SELECT k, v, s FROM (SELECT k, v, s FROM a ORDER BY v, k, s LIMIT 3) AS t",
    "SELECT k, n FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS c ORDER BY n DESC, k LIMIT 2",
    "SELECT k, n FROM (SELECT k, count(*) AS n FROM a GROUP BY k) AS c ORDER BY n, k LIMIT 2 OFFSET 1",
    // What generated queries have found.
    "SELECT s FROM (SELECT k, s, max(v) AS m FROM a GROUP BY k, s ORDER BY m DESC, k, s LIMIT 3 OFFSET 1) AS t",
    "SELECT k FROM a UNION SELECT row_number() OVER (ORDER BY k, w, s) FROM b",
    "SELECT v, w FROM a JOIN b ON CAST(v AS DOUBLE) * 0.0 = CAST(w AS DOUBLE) * -0.0",
    "WITH t AS (SELECT k, sum(v) AS t FROM a GROUP BY k) SELECT t.k, t, w FROM t JOIN b ON t.k = b.k WHERE t > w",
];

#[tokio::test]
async fn views_are_the_batch_answer_after_every_interval() {
    let runs: u64 = std::env::var("TIDEMILL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(2).clamp(1, 100_000);
    let mut failures = Vec::new();
    for query in QUERIES {
        for seed in 0..runs {
            if let Err(difference) = run(query, seed, |_| true).await {
                failures.push(format!("seed {seed}: {query}\n{difference}"));
                break;
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} queries differ:\n\n{}",
        failures.len(),
        QUERIES.len(),
        failures.join("\n\n")
    );
}

/// The harness must be able to fail: an oracle that misses rows is caught.
#[tokio::test]
async fn a_wrong_oracle_is_caught() {
    let mut caught = 0;
    for query in QUERIES {
        caught += usize::from(run(query, 7, |row| row != 1).await.is_err());
    }
    assert!(caught > QUERIES.len() / 2, "only {caught} of {} queries noticed a missing row", QUERIES.len());
}

/// One run; the oracle sees only the rows whose number it `shows`.
async fn run(query: &str, seed: u64, shows: fn(usize) -> bool) -> Result<(), String> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let engine = Engine::builder().inline_sources().build();
    let tables = [("a", schema("v")), ("b", schema("w"))];
    let pushes: Vec<_> = tables.iter().map(|(name, s)| engine.push_table(name, s.clone()).create().unwrap()).collect();
    engine
        .run_script(&format!("CREATE MATERIALIZED VIEW view_under_test AS {query}"))
        .await
        .map_err(|e| format!("{e:?}"))?;
    let mut rows: [Vec<Row>; 2] = [Vec::new(), Vec::new()];
    let mut number = 0;
    for _ in 0..8 {
        for _ in 0..rng.random_range(0..4) {
            let side = rng.random_range(0..2);
            let row = Row::random(&mut rng);
            pushes[side].push_to(0, batch(&tables[side].1, &[row])).unwrap();
            if shows(number) {
                rows[side].push(row);
            }
            number += 1;
        }
        engine.step().await.map_err(|e| format!("{e:?}"))?;
        let view = engine.query("SELECT * FROM view_under_test").await.map_err(|e| format!("{e:?}"))?;
        let oracle = SessionContext::new();
        for ((name, schema), rows) in tables.iter().zip(&rows) {
            oracle.register_batch(*name, batch(schema, rows)).unwrap();
        }
        let expected = oracle.sql(query).await.unwrap().collect().await.unwrap();
        let (got, expected) = (text(&view), text(&expected));
        if got != expected {
            return Err(format!(
                "after {number} rows\na: {:?}\nb: {:?}\nview:  {got:?}\nbatch: {expected:?}",
                rows[0], rows[1]
            ));
        }
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Row(Option<i64>, Option<i64>, Option<&'static str>);

impl Row {
    fn random(rng: &mut SmallRng) -> Self {
        let k = Some(rng.random_range(0..3)).filter(|_| rng.random_bool(0.9));
        let v = Some(rng.random_range(0..8)).filter(|_| rng.random_bool(0.9));
        let s = [Some("x"), Some("y"), None][rng.random_range(0..3)];
        Self(k, v, s)
    }
}

fn schema(value: &str) -> SchemaRef {
    let fields = [("k", DataType::Int64), (value, DataType::Int64), ("s", DataType::Utf8)];
    Arc::new(Schema::new(fields.map(|(name, t)| Field::new(name, t, true)).to_vec()))
}

fn batch(schema: &SchemaRef, rows: &[Row]) -> RecordBatch {
    let k = Int64Array::from_iter(rows.iter().map(|r| r.0));
    let v = Int64Array::from_iter(rows.iter().map(|r| r.1));
    let s = StringArray::from_iter(rows.iter().map(|r| r.2));
    RecordBatch::try_new(schema.clone(), vec![Arc::new(k), Arc::new(v), Arc::new(s)]).unwrap()
}

/// Rows as sorted text.
fn text(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join(" "));
        }
    }
    rows.sort();
    rows
}
