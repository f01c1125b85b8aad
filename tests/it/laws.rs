//! The law, on generated queries over generated rows under random cuts.
//!
//! * **batch = stream**: what comes out is what plain DataFusion answers to the same query, written as ordinary SQL
//!   ([`Query::oracle`]), over all the rows that are not late. Which those are is said here a second time, in a few lines
//!   ([`with_watermarks`]), and not asked of the crate.
//! * **cut-invariance**: the same rows come out of one interval, of intervals of one row, and of random ones. A materialized
//!   view is compared after every interval.
//!
//! `TIDEMILL_CASES=5000` says how many cases, `TIDEMILL_SEED=17` runs one of them. A case that fails is shrunk and printed with
//! its seed, its SQL and its rows.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::rows::{self, START, Table};

/// Numbers by chance, the same for the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, without, `n`.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A row, and the partition that it comes in.
#[derive(Debug, Clone)]
struct Event {
    partition: usize,
    k: Option<&'static str>,
    n: Option<i64>,
    v: Option<i64>,
    d: Option<f64>,
    /// Event time in milliseconds.
    t: Option<i64>,
}

/// How rows are put into windows; lengths in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Window {
    None,
    Tumble { size: i64, offset: i64 },
    Hop { slide: i64, size: i64, offset: i64 },
    Cumulate { step: i64, size: i64 },
    Session { gap: i64 },
}

/// A query from a template.
#[derive(Debug, Clone)]
struct Query {
    window: Window,
    /// Columns grouped by, beside those of the window.
    keys: Vec<&'static str>,
    /// What is selected beside the keys; without any, rows themselves (or DISTINCT keys).
    items: Vec<&'static str>,
    filter: Option<&'static str>,
    having: Option<&'static str>,
    grouped: bool,
    /// What is read in place of `t`.
    input: Option<&'static str>,
    /// The windows are counted in windows of [`AGAIN`] seconds.
    again: bool,
    /// No aggregate over a window holds the rows.
    held: bool,
    qualify: Option<&'static str>,
}

/// The length (s) of windows over windows.
const AGAIN: i64 = 20;

/// How the result is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ask {
    Close,
    Default,
    Changes,
    View,
}

/// Where the rows are cut into intervals.
#[derive(Debug, Clone)]
enum Cut {
    Whole,
    OneRow,
    /// Intervals of so many rows.
    At(Vec<usize>),
}

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    rows: Vec<Event>,
    partitions: usize,
    /// Seconds.
    delay: i64,
    unit: TimeUnit,
    query: Query,
    ask: Ask,
    cut: Vec<usize>,
}

/// A mistake made on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Flaw {
    None,
    /// The model's watermark is a millisecond ahead.
    Watermark,
    /// The model loses the last row.
    LostRow,
    /// The model judges with one watermark for all partitions.
    OnePartition,
}

const AGGREGATES: &[&str] = &[
    "count(*)",
    "count(v)",
    "sum(v)",
    "min(v)",
    "max(v)",
    "avg(v)",
    "sum(d)",
    "avg(d)",
    "min(k)",
    "max(k)",
    "max(d)",
    "min(ts)",
    "max(ts)",
    "count(DISTINCT v)",
    "count(DISTINCT k)",
    "sum(DISTINCT v)",
    "count(*) FILTER (WHERE v > 3)",
    "sum(v) FILTER (WHERE k = 'a')",
    "round(stddev(v), 6)",
    "round(var_pop(d), 6)",
    "round(corr(v, d), 6)",
    "bool_and(v > 0)",
    "bool_or(v > 5)",
    "bit_or(v)",
    "bit_xor(v)",
    "median(v)",
    "approx_distinct(v)",
    "array_agg(v ORDER BY v)",
    "string_agg(k, ',' ORDER BY k)",
    "sum(v) * 2 + count(*)",
    "max(v) - min(v)",
    "count(*) > 2",
    "coalesce(sum(v), -1)",
    "CASE WHEN count(v) > 1 THEN 'many' ELSE 'few' END",
];

const UNION: &str = "SELECT * FROM t WHERE v > 1 UNION ALL SELECT * FROM t WHERE k = 'a' OR d > 0";

const FILTERS: &[&str] = &["v > 2", "k IS NOT NULL", "v % 2 = 0 OR k = 'a'", "d < 1.5 AND v <> 4", "k LIKE '%b%'"];

const HAVINGS: &[&str] = &["count(*) > 1", "sum(v) > 5", "max(v) IS NOT NULL", "count(DISTINCT v) = 2"];

const PROJECTIONS: &[&[&str]] = &[
    &["k", "v + 1", "d * 2", "ts"],
    &["upper(k)", "coalesce(v, 0)", "n"],
    &["ts", "CASE WHEN v > 3 THEN k END", "v % 3"],
];

/// What is selected of rows that are held until their window closes. Orders are total but for rows that are the same.
const IN_WINDOWS: &[&[&str]] = &[
    &["k", "v"],
    &["k", "v", "rank() OVER (PARTITION BY window_start, window_end ORDER BY v)"],
    &["n", "v", "sum(v) OVER (PARTITION BY window_start, window_end, k)"],
    &["k", "v", "lead(v) OVER (PARTITION BY window_start, window_end, n ORDER BY v, k, d, ts)"],
    &["k", "n", "row_number() OVER (PARTITION BY window_start, window_end ORDER BY v DESC, k, n, d, ts)"],
];

const BEST: &str = "row_number() OVER (PARTITION BY window_start, window_end, k ORDER BY v DESC, n, d, ts) <= 2";

/// What is selected of rows that are held until the watermark has passed them.
const BY_TIME: &[&[&str]] = &[
    &["ts", "k", "v"],
    &["ts", "upper(k)", "d * 2"],
    &["ts", "k", "row_number() OVER (PARTITION BY k ORDER BY ts, v, n, d)"],
    &["ts", "sum(v) OVER (ORDER BY ts)"],
    &["ts", "n", "lag(v) OVER (PARTITION BY n ORDER BY ts, v, k, d)"],
    &["ts", "n", "count(*) OVER (PARTITION BY n ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW)"],
];

impl Case {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let c = &mut chance;
        let partitions = if c.one_in(3) { 2 } else { 1 };
        let delay = c.pick(&[0, 0, 1, 3, 10]);
        let query = Query::random(c);
        let ask = match query.window {
            _ if query.again => c.pick(&[Ask::Close, Ask::Default]),
            Window::None if query.held => Ask::Close,
            _ if query.held => c.pick(&[Ask::Close, Ask::Close, Ask::Close, Ask::View, Ask::Changes]),
            Window::None => c.pick(&[Ask::Changes, Ask::Default, Ask::View]),
            _ => c.pick(&[Ask::Close, Ask::Close, Ask::Default, Ask::Changes, Ask::View]),
        };
        // Today, around 1970, and long before it.
        let base = c.pick(&[START / 1000, START / 1000, 0, -86_400_000 * 365]);
        let count = c.below(41);
        let mut now = base;
        let mut rows = Vec::new();
        for _ in 0..count {
            // Time goes on in jerks, so that rows and bounds of windows meet.
            now += c.pick(&[0, 0, 1, 999, 1_000, 2_000, 5_000, 7_500, 23_000]);
            let out_of_order = c.pick(&[0, 0, 0, 1, 1_000, 4_000, 12_000, 60_000]);
            let mut t = now - out_of_order;
            if c.one_in(2) {
                t = t.div_euclid(1_000) * 1_000 + c.pick(&[0, 0, 0, 1, -1]);
            }
            rows.push(Event {
                partition: c.below(partitions),
                k: c.pick(&[Some("a"), Some("b"), Some("ab"), None]),
                n: c.pick(&[Some(1), Some(2), None]),
                v: c.pick(&[Some(-3), Some(0), Some(1), Some(2), Some(3), Some(4), Some(7), Some(9), None]),
                d: c.pick(&[Some(0.25), Some(-1.5), Some(2.0), Some(0.0), None]),
                t: if c.one_in(15) { None } else { Some(t) },
            });
            if c.one_in(8)
                && let Some(last) = rows.last().cloned()
            {
                rows.push(last);
            }
        }
        let mut cut = Vec::new();
        let mut left = rows.len();
        while left > 0 {
            let take = 1 + c.below(left.min(12));
            cut.push(take);
            left -= take;
        }
        let unit = if c.one_in(3) { TimeUnit::Microsecond } else { TimeUnit::Millisecond };
        Self { seed, rows, partitions, delay, unit, query, ask, cut }
    }

    fn schema(&self) -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("k", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
            Field::new("v", DataType::Int64, true),
            Field::new("d", DataType::Float64, true),
            Field::new("ts", DataType::Timestamp(self.unit, None), true),
        ]))
    }

    fn batch(&self, rows: &[Event]) -> RecordBatch {
        let times = TimestampMillisecondArray::from_iter(rows.iter().map(|r| r.t));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter(rows.iter().map(|r| r.k))),
            Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.n))),
            Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.v))),
            Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.d))),
            cast(&times, &DataType::Timestamp(self.unit, None)).expect("times in another unit"),
        ];
        RecordBatch::try_new(self.schema(), columns).expect("columns of one length")
    }

    fn sql(&self) -> String {
        let query = self.query.stream();
        match self.ask {
            Ask::Close => format!("{query} EMIT ON WINDOW CLOSE"),
            Ask::Changes => format!("{query} EMIT CHANGES"),
            Ask::Default => query,
            Ask::View => format!("CREATE MATERIALIZED VIEW answer AS {query}"),
        }
    }

    /// What plain DataFusion answers over the rows.
    async fn expected(&self, rows: &[Event], flaw: Flaw) -> Result<Table, String> {
        let rows = if flaw == Flaw::LostRow { &rows[..rows.len().saturating_sub(1)] } else { rows };
        let watermarks = with_watermarks(rows, self.delay * 1000, flaw);
        let batch = self.batch(rows);
        let mut fields: Vec<_> = batch.schema().fields().iter().cloned().collect();
        let mut columns = batch.columns().to_vec();
        for (name, values) in [("t", rows.iter().map(|r| r.t).collect::<Vec<_>>()), ("wm", watermarks)] {
            fields.push(Arc::new(Field::new(name, DataType::Int64, true)));
            columns.push(Arc::new(Int64Array::from(values)));
        }
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("one length");
        let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
        context.register_batch("t", batch).expect("a table");
        let sql = self.query.oracle(self.unit);
        let answer = async { context.sql(&sql).await?.collect().await };
        let batches = answer.await.map_err(|e| format!("the oracle fails: {e}\n{sql}"))?;
        Ok(rows::table(rows::of_batches(&batches)))
    }

    /// What the engine answers; a view is compared after every interval.
    async fn answer(&self, cut: &Cut, flaw: Flaw) -> Result<Table, String> {
        let failed = |e: tidemill::error::Error| format!("the engine fails: {e:?}");
        let (engine, _clock) = rows::engine();
        // Rows of the past and the future are all believed.
        engine.set("max_future_skew", "0").map_err(failed)?;
        if matches!(cut, Cut::OneRow) {
            engine.set("max_rows_per_interval", "1").map_err(failed)?;
        }
        let table = engine
            .push_table("t", self.schema())
            .event_time("ts")
            .lateness(&format!("{}s", self.delay))
            .partitions(self.partitions)
            .create()
            .map_err(failed)?;
        let mut handle = match self.ask {
            Ask::View => {
                engine.run_script(&self.sql()).await.map_err(failed)?;
                None
            }
            _ => Some(engine.sql(&self.sql()).await.map_err(failed)?),
        };
        let chunks = match cut {
            Cut::At(chunks) => chunks.clone(),
            Cut::Whole | Cut::OneRow => vec![self.rows.len()],
        };
        let mut taken = Vec::new();
        let mut done = 0;
        for chunk in chunks {
            let rows = &self.rows[done..(done + chunk).min(self.rows.len())];
            done += rows.len();
            for of_partition in rows.chunk_by(|a, b| a.partition == b.partition) {
                table.push_to(of_partition[0].partition, self.batch(of_partition)).map_err(failed)?;
            }
            rows::run(&engine).await.map_err(failed)?;
            match &mut handle {
                Some(handle) => taken.extend(handle.take()),
                None => {
                    let view = engine.query("SELECT * FROM answer").await.map_err(failed)?;
                    let (view, wanted) =
                        (rows::table(rows::of_batches(&view)), self.expected(&self.rows[..done], flaw).await?);
                    if view != wanted {
                        return Err(format!(
                            "the view after {done} rows differs from the batch answer:\n{}",
                            rows::difference(&wanted, &view)
                        ));
                    }
                }
            }
        }
        table.close();
        rows::run(&engine).await.map_err(failed)?;
        self.check_late(&engine, flaw)?;
        match &mut handle {
            Some(handle) => {
                taken.extend(handle.take());
                if self.ask == Ask::Close && taken.iter().any(|c| c.weights.is_some()) {
                    return Err("rows that come out on close have weights".to_owned());
                }
                let table = rows::fold(&taken);
                match table.iter().find(|(_, weight)| **weight < 0) {
                    Some((row, _)) => Err(format!("more of a row left than came: {row:?}")),
                    None => Ok(table),
                }
            }
            None => Ok(rows::table(rows::of_batches(&engine.query("SELECT * FROM answer").await.map_err(failed)?))),
        }
    }

    /// Late rows are counted, once for each window missed. (A filter may take a row away before it is judged.)
    fn check_late(&self, engine: &tidemill::engine::Engine, flaw: Flaw) -> Result<(), String> {
        if self.query.filter.is_some() || self.query.input.is_some() || flaw != Flaw::None {
            return Ok(());
        }
        let watermarks = with_watermarks(&self.rows, self.delay * 1000, flaw);
        let missed = |(row, watermark): (&Event, Option<i64>)| match (row.t, watermark) {
            (Some(t), Some(watermark)) if self.query.by_time() => usize::from(t < watermark),
            (Some(t), Some(watermark)) => self.query.window.missed(t, watermark),
            _ => 0,
        };
        let wanted: usize = self.rows.iter().zip(watermarks).map(missed).sum();
        let got: u64 = engine.progress().queries.iter().map(|q| q.metrics.late).sum();
        if got == wanted as u64 { Ok(()) } else { Err(format!("{got} rows are counted late, and not {wanted}")) }
    }

    /// What is wrong with the case, if anything.
    async fn failure(&self, flaw: Flaw) -> Option<String> {
        let wanted = match self.expected(&self.rows, flaw).await {
            Ok(wanted) => wanted,
            Err(error) => return Some(error),
        };
        for cut in [Cut::Whole, Cut::OneRow, Cut::At(self.cut.clone())] {
            match self.answer(&cut, flaw).await {
                Ok(got) if got == wanted => {}
                Ok(got) => {
                    let difference = rows::difference(&wanted, &got);
                    return Some(format!("cut {cut:?}: the answer differs from the batch answer:\n{difference}"));
                }
                Err(error) => return Some(format!("cut {cut:?}: {error}")),
            }
        }
        None
    }

    /// The same case with as few rows as still fail.
    async fn shrink(mut self, flaw: Flaw) -> Self {
        let mut at = 0;
        while at < self.rows.len() {
            let mut smaller = self.clone();
            smaller.rows.remove(at);
            // The row leaves its interval; the others stay in theirs.
            let mut end = 0;
            if let Some(chunk) = smaller.cut.iter_mut().find(|chunk| {
                end += **chunk;
                at < end
            }) {
                *chunk -= 1;
            }
            smaller.cut.retain(|chunk| *chunk > 0);
            if smaller.failure(flaw).await.is_some() {
                self = smaller;
            } else {
                at += 1;
            }
        }
        self
    }

    /// All that is needed to look into it.
    fn report(&self, failure: &str) -> String {
        let mut text = format!(
            "seed {} fails (TIDEMILL_SEED={}): {} partitions, watermark {} s behind, times in {:?}\n{failure}\n\n{};\n\n",
            self.seed,
            self.seed,
            self.partitions,
            self.delay,
            self.unit,
            self.sql()
        );
        let _ = writeln!(text, "-- the oracle:\n{};\n", self.query.oracle(self.unit));
        for row in &self.rows {
            let time = row.t.and_then(chrono::DateTime::from_timestamp_millis);
            let json = serde_json::json!({
                "k": row.k, "n": row.n, "v": row.v, "d": row.d,
                "ts": time.map(|t| t.format("%Y-%m-%dT%H:%M:%S%.3f").to_string()),
            });
            let _ = writeln!(text, "[{}] {json}", row.partition);
        }
        text
    }
}

/// The row watermark of each row (ms): the newest time before it in its partition, less the delay.
fn with_watermarks(rows: &[Event], delay: i64, flaw: Flaw) -> Vec<Option<i64>> {
    let mut newest = [None; 2];
    let judged = |row: &Event| {
        let newest = &mut newest[if flaw == Flaw::OnePartition { 0 } else { row.partition }];
        let watermark = newest.map(|t: i64| t - delay + i64::from(flaw == Flaw::Watermark));
        *newest = (*newest).max(row.t);
        watermark
    };
    rows.iter().map(judged).collect()
}

impl Window {
    fn random(c: &mut Chance) -> Self {
        match c.below(6) {
            0 | 1 => Self::Tumble { size: c.pick(&[1, 5, 10]), offset: c.pick(&[0, 0, 2, -1]) },
            2 | 3 => {
                let (slide, size) = c.pick(&[(2, 6), (5, 10), (3, 10), (4, 5), (10, 10), (1, 3)]);
                Self::Hop { slide, size, offset: c.pick(&[0, 0, 1, -2]) }
            }
            4 => {
                let (step, size) = c.pick(&[(2, 10), (5, 10), (5, 5), (1, 4)]);
                Self::Cumulate { step, size }
            }
            _ => Self::Session { gap: c.pick(&[1, 3, 5, 10]) },
        }
    }

    /// How many windows of a row had closed before it came.
    fn missed(self, t: i64, watermark: i64) -> usize {
        let ends: Vec<i64> = match self {
            Self::None => Vec::new(),
            Self::Session { .. } => return usize::from(t < watermark),
            Self::Tumble { size, offset } => {
                let (size, offset) = (size * 1000, offset * 1000);
                vec![(t - offset).div_euclid(size) * size + offset + size]
            }
            Self::Hop { slide, size, offset } => {
                let (slide, size, offset) = (slide * 1000, size * 1000, offset * 1000);
                let last = (t - offset).div_euclid(slide) * slide + offset;
                (0..).map(|i| last - i * slide).take_while(|start| start + size > t).map(|start| start + size).collect()
            }
            Self::Cumulate { step, size } => {
                let (step, size) = (step * 1000, size * 1000);
                let start = t.div_euclid(size) * size;
                (1..=size / step).map(|i| start + i * step).filter(|end| *end > t).collect()
            }
        };
        ends.into_iter().filter(|end| *end <= watermark).count()
    }
}

impl Query {
    fn random(c: &mut Chance) -> Self {
        let filter = c.one_in(3).then(|| c.pick(FILTERS));
        let input = c.one_in(8).then_some(UNION);
        let kind = c.below(13);
        let keys: &[&str] = c.pick(&[&[][..], &["k"], &["k"], &["n"], &["k", "n"]]);
        if kind == 0 {
            return Self {
                window: Window::None,
                keys: Vec::new(),
                items: c.pick(PROJECTIONS).to_vec(),
                filter,
                having: None,
                grouped: false,
                input,
                again: false,
                held: false,
                qualify: None,
            };
        }
        if kind >= 10 {
            return Self::held(c, filter, input);
        }
        let window = if kind <= 3 { Window::None } else { Window::random(c) };
        let mut items: Vec<&str> = (0..c.below(4)).map(|_| c.pick(AGGREGATES)).collect();
        if keys.is_empty() && items.is_empty() {
            items.push("count(*)");
        }
        let having = c.one_in(4).then(|| c.pick(HAVINGS));
        let again = window != Window::None && c.one_in(6);
        if again {
            items = vec!["count(*)"];
        }
        Self {
            window,
            keys: keys.to_vec(),
            items,
            filter,
            having,
            grouped: true,
            input,
            again,
            held: false,
            qualify: None,
        }
    }

    /// Rows that no aggregate over a window holds.
    fn held(c: &mut Chance, filter: Option<&'static str>, input: Option<&'static str>) -> Self {
        let mut window = if c.one_in(2) { Window::None } else { Window::random(c) };
        if matches!(window, Window::Session { .. }) {
            window = Window::Tumble { size: 5, offset: 0 };
        }
        let grouped = window == Window::None && c.one_in(4);
        let keys: &[&str] = if grouped { c.pick(&[&["ts"][..], &["ts", "k"]]) } else { &[] };
        let items = match window {
            Window::None if grouped => vec!["count(*)", "sum(v)"],
            Window::None => c.pick(BY_TIME).to_vec(),
            _ => c.pick(IN_WINDOWS).to_vec(),
        };
        let qualify = (window != Window::None && items.len() == 2).then_some(BEST);
        let keys = keys.to_vec();
        Self { window, keys, items, filter, having: None, grouped, input, again: false, held: true, qualify }
    }

    /// Rows are held, and judged late, by their own time.
    fn by_time(&self) -> bool {
        self.held && self.window == Window::None
    }

    /// The columns that come out, with names.
    fn selected(&self) -> Vec<String> {
        let bounds: &[&str] = if self.window == Window::None { &[] } else { &["window_start", "window_end"] };
        let named = |(i, item): (usize, &&str)| format!("{item} AS c{i}");
        let columns = bounds.iter().chain(&self.keys).map(|c| (*c).to_owned());
        columns.chain(self.items.iter().enumerate().map(named)).collect()
    }

    fn tail(&self) -> String {
        let bounds: &[&str] = if self.window == Window::None { &[] } else { &["window_start", "window_end"] };
        let keys: Vec<&str> = bounds.iter().chain(&self.keys).copied().collect();
        let mut tail = String::new();
        if self.grouped && !keys.is_empty() {
            let _ = write!(tail, " GROUP BY {}", keys.join(", "));
        }
        if let Some(having) = self.having {
            let _ = write!(tail, " HAVING {having}");
        }
        if let Some(qualify) = self.qualify {
            let _ = write!(tail, " QUALIFY {qualify}");
        }
        tail
    }

    fn filtered(&self) -> String {
        self.filter.map(|f| format!(" WHERE {f}")).unwrap_or_default()
    }

    /// The query as a user of streams writes it.
    fn stream(&self) -> String {
        let inner = self.stream_once();
        if !self.again {
            return inner;
        }
        // The windows of the inner query, each at its window_time.
        let inner = inner.replacen("SELECT window_start, window_end", "SELECT window_time AS wt", 1);
        let inner =
            inner.replacen(" GROUP BY window_start, window_end", " GROUP BY window_start, window_end, window_time", 1);
        format!(
            "SELECT window_start, window_end, count(*) AS m, sum(c0) AS c \
             FROM TUMBLE(({inner}), DESCRIPTOR(wt), INTERVAL '{AGAIN}' SECOND) GROUP BY window_start, window_end"
        )
    }

    fn stream_once(&self) -> String {
        let seconds = |s: i64| format!("INTERVAL '{s}' SECOND");
        let offset = |o: i64| if o == 0 { String::new() } else { format!(", {}", seconds(o)) };
        let mut filter = self.filtered();
        let table = self.input.map_or_else(|| "TABLE t".to_owned(), |input| format!("({input})"));
        let plain = self.input.map_or_else(|| "t".to_owned(), |input| format!("({input}) AS t"));
        let from = match self.window {
            Window::None => plain,
            Window::Tumble { size, offset: o } => {
                format!("TUMBLE({table}, DESCRIPTOR(ts), {}{})", seconds(size), offset(o))
            }
            Window::Hop { slide, size, offset: o } => {
                format!("HOP({table}, DESCRIPTOR(ts), {}, {}{})", seconds(slide), seconds(size), offset(o))
            }
            Window::Cumulate { step, size } => {
                format!("CUMULATE({table}, DESCRIPTOR(ts), {}, {})", seconds(step), seconds(size))
            }
            Window::Session { gap } => {
                let input = if filter.is_empty() { table } else { format!("(SELECT * FROM {plain}{filter})") };
                filter = String::new();
                let by = if self.keys.is_empty() {
                    String::new()
                } else {
                    format!(" PARTITION BY {}", self.keys.join(", "))
                };
                format!("SESSION({input}{by}, DESCRIPTOR(ts), {})", seconds(gap))
            }
        };
        format!("SELECT {} FROM {from}{filter}{}", self.selected().join(", "), self.tail())
    }

    /// The same query as ordinary SQL over `t`, whose rows carry their time `t` and their row watermark `wm` in ms.
    fn oracle(&self, unit: TimeUnit) -> String {
        let once = self.oracle_once(unit);
        if !self.again {
            return once;
        }
        let start =
            format!("e - e % {} + CASE WHEN e % {} < 0 THEN -{} ELSE 0 END", AGAIN * 1000, AGAIN * 1000, AGAIN * 1000);
        let time = |ms: String| {
            format!("arrow_cast(arrow_cast({ms}, 'Timestamp(Millisecond, None)'), 'Timestamp({unit:?}, None)')")
        };
        format!(
            "SELECT {}, {}, count(*) AS m, sum(c0) AS c FROM (SELECT c0, {start} AS s FROM (SELECT c0, \
             CAST(arrow_cast(window_end, 'Timestamp(Millisecond, None)') AS BIGINT) - 1 AS e FROM ({once}))) GROUP BY s",
            time("s".to_owned()),
            time(format!("s + {}", AGAIN * 1000)),
        )
    }

    fn oracle_once(&self, unit: TimeUnit) -> String {
        let unit = format!("{unit:?}");
        let t = self.input.map_or_else(|| "t".to_owned(), |input| format!("({input}) AS t"));
        let time = |ms: &str| {
            format!("arrow_cast(arrow_cast({ms}, 'Timestamp(Millisecond, None)'), 'Timestamp({unit}, None)')")
        };
        // Rounded down for negative times too.
        let floor = |to: i64, offset: i64| format!("(t - (((t - {offset}) % {to}) + {to}) % {to})");
        let numbers = |n: i64| (0..n).map(|i| format!("({i})")).collect::<Vec<_>>().join(", ");
        let filter = self.filtered();
        let (with, from) = match self.window {
            Window::None if self.held => (
                format!("WITH w AS (SELECT * FROM {t} WHERE t IS NOT NULL AND (wm IS NULL OR t >= wm)) "),
                "w".to_owned(),
            ),
            Window::None => (String::new(), t),
            Window::Tumble { size, offset } => {
                let origin = format!("arrow_cast({}, 'Timestamp(Millisecond, None)')", offset * 1000);
                let start = format!(
                    "CAST(arrow_cast(date_bin(INTERVAL '{size} seconds', arrow_cast(ts, 'Timestamp(Millisecond, None)'), {origin}), 'Timestamp(Millisecond, None)') AS BIGINT)"
                );
                (
                    format!(
                        "WITH a AS (SELECT *, {start} AS ws FROM {t} WHERE t IS NOT NULL), w AS (SELECT k, n, v, d, ts, {} AS window_start, {} AS window_end FROM a WHERE wm IS NULL OR ws + {} > wm) ",
                        time("ws"),
                        time(&format!("ws + {}", size * 1000)),
                        size * 1000
                    ),
                    "w".to_owned(),
                )
            }
            Window::Hop { slide, size, offset } => {
                let (slide, size) = (slide * 1000, size * 1000);
                (
                    format!(
                        "WITH a AS (SELECT *, {} - i * {slide} AS ws FROM {t} CROSS JOIN (VALUES {}) AS o(i) WHERE t IS NOT NULL), w AS (SELECT k, n, v, d, ts, {} AS window_start, {} AS window_end FROM a WHERE ws + {size} > t AND (wm IS NULL OR ws + {size} > wm)) ",
                        floor(slide, offset * 1000),
                        numbers(size / slide + 1),
                        time("ws"),
                        time(&format!("ws + {size}")),
                    ),
                    "w".to_owned(),
                )
            }
            Window::Cumulate { step, size } => {
                let (step, size) = (step * 1000, size * 1000);
                (
                    format!(
                        "WITH a AS (SELECT *, {} AS ws, {} + (i + 1) * {step} AS we FROM {t} CROSS JOIN (VALUES {}) AS o(i) WHERE t IS NOT NULL), w AS (SELECT k, n, v, d, ts, {} AS window_start, {} AS window_end FROM a WHERE we > t AND (wm IS NULL OR we > wm)) ",
                        floor(size, 0),
                        floor(size, 0),
                        numbers(size / step),
                        time("ws"),
                        time("we"),
                    ),
                    "w".to_owned(),
                )
            }
            Window::Session { gap } => {
                let gap = gap * 1000;
                let by = if self.keys.is_empty() { "1".to_owned() } else { self.keys.join(", ") };
                (
                    format!(
                        "WITH a AS (SELECT * FROM (SELECT * FROM {t}{filter}) WHERE t IS NOT NULL AND (wm IS NULL OR t >= wm)), \
                         b AS (SELECT *, lag(t) OVER (PARTITION BY {by} ORDER BY t) AS before FROM a), \
                         c AS (SELECT *, sum(CASE WHEN before IS NULL OR t - before > {gap} THEN 1 ELSE 0 END) \
                               OVER (PARTITION BY {by} ORDER BY t ROWS UNBOUNDED PRECEDING) AS island FROM b), \
                         w AS (SELECT k, n, v, d, ts, {} AS window_start, {} AS window_end FROM \
                               (SELECT *, min(t) OVER (PARTITION BY {by}, island) AS ws, max(t) OVER (PARTITION BY {by}, island) + {gap} AS we FROM c)) ",
                        time("ws"),
                        time("we"),
                    ),
                    "w".to_owned(),
                )
            }
        };
        let filter = if matches!(self.window, Window::Session { .. }) { String::new() } else { filter };
        format!("{with}SELECT {} FROM {from}{filter}{}", self.selected().join(", "), self.tail())
    }
}

/// How many cases a test tries.
fn cases() -> u64 {
    std::env::var("TIDEMILL_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(120)
}

/// Runs cases, every second one from `first`; stops at the first that fails.
async fn hold(first: u64) {
    if let Ok(seed) = std::env::var("TIDEMILL_SEED") {
        check(seed.parse().expect("a seed is a number")).await;
        return;
    }
    for seed in (0..cases()).map(|i| first + 2 * i) {
        check(seed).await;
    }
}

async fn check(seed: u64) {
    let case = Case::new(seed);
    if case.failure(Flaw::None).await.is_some() {
        let small = case.clone().shrink(Flaw::None).await;
        let failure = small.failure(Flaw::None).await.unwrap_or_else(|| "it fails only now and then".to_owned());
        panic!("{}", small.report(&failure));
    }
}

#[tokio::test]
async fn batch_is_stream_whatever_the_cut() {
    hold(0).await;
}

/// The other half of the cases, beside the first on another core.
#[tokio::test]
async fn batch_is_stream_whatever_the_cut_too() {
    hold(1).await;
}

/// The harness must see a mistake in the model as it would see one in the engine.
async fn is_caught(flaw: Flaw) {
    for seed in 0..400 {
        let case = Case::new(seed);
        let sees = match flaw {
            Flaw::LostRow => true,
            _ => case.query.window != Window::None && case.rows.len() > 10,
        };
        if sees && case.failure(flaw).await.is_some() {
            assert_eq!(case.failure(Flaw::None).await, None, "the case itself is sound");
            return;
        }
    }
    panic!("{flaw:?} went unseen");
}

#[tokio::test]
async fn a_wrong_watermark_is_caught() {
    is_caught(Flaw::Watermark).await;
}

#[tokio::test]
async fn a_lost_row_is_caught() {
    is_caught(Flaw::LostRow).await;
}

#[tokio::test]
async fn a_wrong_partition_is_caught() {
    is_caught(Flaw::OnePartition).await;
}
