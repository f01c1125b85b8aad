//! Continuous SQL: the answers of SQL queries, kept up to date over rows that keep coming.
//!
//! tidemill is a library to embed and a program to run, on Apache DataFusion and Arrow. A query is written once and means the
//! same over a file that ends, a socket that does not, or rows that a program pushes:
//!
//! ```
//! use std::sync::Arc;
//!
//! use arrow::array::{ArrayRef, Int64Array, RecordBatch, TimestampMillisecondArray};
//! use arrow::util::pretty::pretty_format_batches;
//! use tidemill::engine::Engine;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ts: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1_000, 9_000, 12_000]));
//! let price: ArrayRef = Arc::new(Int64Array::from(vec![5, 7, 6]));
//! let rows = RecordBatch::try_from_iter([("ts", ts), ("price", price)])?;
//!
//! let engine = Engine::builder().inline_sources().build();
//! let bids = engine.push_table("bids", rows.schema()).event_time("ts").lateness("2s").create()?;
//! let mut query = engine
//!     .sql(
//!         "SELECT window_end, count(*) AS bids, max(price) AS best
//!          FROM TUMBLE(TABLE bids, DESCRIPTOR(ts), INTERVAL '10' SECOND)
//!          GROUP BY window_start, window_end",
//!     )
//!     .await?;
//!
//! bids.push(rows).await?;
//! engine.step().await?; // one interval: the watermark is 12 s − 2 s, so the window that ends at 10 s closes
//! let closed: Vec<_> = query.take().into_iter().map(|change| change.batch).collect();
//! assert_eq!(
//!     pretty_format_batches(&closed)?.to_string(),
//!     "+---------------------+------+------+\n\
//!      | window_end          | bids | best |\n\
//!      +---------------------+------+------+\n\
//!      | 1970-01-01T00:00:10 | 2    | 7    |\n\
//!      +---------------------+------+------+"
//! );
//! # Ok(())
//! # }
//! ```
//!
//! # The law
//!
//! 1. **Batch = stream.** After every interval, each view holds what DataFusion would answer to the same query run once over
//!    all rows accepted so far.
//! 2. **Cut-invariance.** Nothing in an event-time answer depends on where the intervals were cut: one interval or ten
//!    thousand, the same rows come out (`EMIT ON WINDOW CLOSE`: equal multisets; `EMIT CHANGES`: equal tables once the
//!    changes are folded).
//! 3. **Nothing lost, nothing twice, nothing silent.** Rows in = rows accepted + late + bad + quarantined, per source and
//!    interval, always countable ([`metrics`]).
//!
//! # The life of a query
//!
//! Taking `SELECT … FROM TUMBLE(TABLE bids, …) GROUP BY …` from its text to a line on stdout:
//!
//! 1. [`sql::parse`] turns the text into [`Parsed`](sql::statement::Parsed) statements, each a [`Statement`](sql::Statement)
//!    with its place. Whatever dialect the text was in, a windowing call has one form from here on.
//! 2. [`Engine::execute`](engine::Engine::execute) takes a statement. DDL ends in the [`Catalog`](catalog::Catalog) as a
//!    [`Relation`](catalog::Relation); its [`Connector`](connector::Connector) checks the options, nothing is opened.
//! 3. A query goes on to [`Catalog::bind`](catalog::Catalog::bind): names and types are resolved by DataFusion's own planner.
//!    A windowing call becomes a [`WindowNode`](catalog::WindowNode).
//! 4. [`plan::plan`] runs DataFusion's optimizer (the rules that are wrong for streams are off) and rewrites what needs state
//!    into [`Operator`](plan::Operator)s of ours. The result is an [`IntervalPlan`](plan::IntervalPlan), which `EXPLAIN`
//!    prints: sources, operators, state tables and what bounds them, when rows come out. Aggregates keep a value per group, and
//!    take rows back where that is exact ([`RetractOperator`](plan::RetractOperator)); joins, and subqueries and set operations
//!    that are joins by then, become [`JoinOperator`](plan::JoinOperator)s; OVER, Top-N and what else aggregates rows that come
//!    and go become [`RecomputeOperator`](plan::RecomputeOperator)s around the stock operator. Records that change rows by their key become the rows that there are ([`LatestOperator`](plan::LatestOperator)). Rows that must wait are held: until they are final ([`HoldOperator`](plan::HoldOperator)), or until a
//!    condition over `now()` comes true or false ([`LapseOperator`](plan::LapseOperator)).
//! 5. [`exec::Query::new`] lowers it to a physical DataFusion plan. All of this happens once.
//! 6. [`Engine::run`](engine::Engine::run) calls [`Driver::step`](runtime::Driver::step) for every interval, or the embedder
//!    calls [`Engine::step`](engine::Engine::step). A step *polls*: each [`Source`](connector::Source) is read on a thread
//!    of its own into a bounded queue (of a large input several threads decode blocks, which come out in order), and the driver
//!    takes what is there, up to a bound.
//! 7. It *seals* the interval: every row gets its row watermark from its partition's [`PartitionClock`](time::PartitionClock),
//!    and the watermarks of the sources move. Rows and watermarks together are an [`IntervalInput`](exec::IntervalInput).
//! 8. It *runs* the same physical plan over those rows with [`exec::Query::run`]. Operators find their
//!    [state tables](state) through the task context, read the keys that the rows touch, and stage what they write. An
//!    *aggregate* whose functions have a state of a few words (`exec::flat`) changes it in place, in a
//!    [`FlatTable`](state::FlatTable) that can take an interval back; it takes over the assignment to windows below it, and puts
//!    overlapping windows together from panes when they close. A
//!    *keyed join* reads the rows of the other side that the interval's rows meet. *Keyed recompute* fetches the rows of these keys from a [`RowStore`](state::RowStore), runs the stock operator on them as they
//!    were and as they are now, and hands on the difference.
//! 9. It *decides*: [`Query::commit`](exec::Query::commit) makes what was staged the base;
//!    [`Query::rollback`](exec::Query::rollback) leaves no trace, and the query leaves while the others go on.
//! 10. It *delivers*: each [`Change`](change::Change) is staged and published by a [`Sink`](connector::Sink), folded into a
//!     materialized view, or handed to the embedder's [`QueryHandle`](engine::QueryHandle).
//!
//! **Relations that hold rows.** `CREATE TABLE` without a connector makes a [`StoredTable`](catalog::StoredTable); INSERT, UPDATE
//! and DELETE are snapshot queries over the rows as they are, whose outcome is written between two intervals and told to the
//! queries over the table in an interval of its own. A materialized view is such a relation too: a query over it begins with the
//! rows that are there, and in every interval gets what the view's own query has changed, in that same interval. So
//! [`Driver`](runtime::Driver) runs queries in the order in which they were made, views before those that read them.
//!
//! The cost of an interval is the cost of its rows and of the keys that they touch: nothing is planned, and nothing the size
//! of the state is walked. The exception is what has no key: a row that comes to a join without an equality is compared with
//! all rows of the other side, and Top-N and OVER without PARTITION BY are computed again over all their rows.
//!
//! # Layers
//!
//! One module per stage, in the order of flow. **A module may use those above it in this list and none below**
//! (`tests/tidy.rs` holds it), so each can be read knowing only what came before.
//!
//! | module | what it owns | knows nothing of |
//! |---|---|---|
//! | [`error`] | what went wrong, where in the text, what to do | anything else |
//! | [`time`] | timestamps, windows, watermarks, intervals: pure arithmetic | I/O, plans |
//! | [`host`] | the outside world as traits: clock, files, network, chance | formats, SQL |
//! | [`settings`] | what a user tunes, with units in the names; options of `WITH (…)` | who reads them |
//! | [`metrics`] | what is counted | who reads them |
//! | [`change`] | rows that enter and leave a relation in one interval | where they come from or go to |
//! | [`format`](mod@format) | bytes ⇄ batches; what a bad record is | where the bytes come from |
//! | [`sql`] | text → statements: dialect, parser, scripts | the catalog, plans |
//! | [`catalog`] | what names mean; functions; how DataFusion's planner sees it all | connectors' code |
//! | [`plan`] | statement + catalog → interval plan; pure, printable | batches, state, I/O |
//! | [`state`] | keyed rows kept between intervals | SQL, plans |
//! | [`exec`] | interval plan + interval + state → changes; an operator per file | connectors, positions |
//! | [`connector`] | sources and sinks: bytes and positions; a system per file | plans, state |
//! | [`runtime`] | the driver: poll, seal, run, decide, deliver | SQL text, terminals |
//! | [`engine`] | the API for programs | who embeds it |
//! | [`verify`] | the proof that a stream answers as batch SQL does, in many ways | who asks for it |
//! | [`server`] | an endpoint for PostgreSQL's clients, through [`engine`] | how queries run |
//! | [`cli`] | the `tidemill` command: the shell, through [`engine`], and [`server`] | how queries run |
//!
//! A new operator is a file in `exec` and a rule in `plan`; a new connector is a file in `connector`.
//!
//! # Where this is not what one would expect
//!
//! **A session judges lateness by the row's own time.** Everywhere else a row is late *for a window*, when the window's end ≤
//! the row's watermark: that loses the fewest rows. A session's end is not known before its rows are, and the natural
//! reading (the row's own `[t, t + gap)` has ended) breaks the second law. With a gap of 10 s and no delay, take three rows:
//!
//! | row | event time | row watermark |
//! |---|---|---|
//! | 1 | 0 s | none |
//! | 2 | 15 s | 0 s |
//! | 3 | 8 s | 15 s |
//!
//! By that rule row 3 is on time, as 18 s > 15 s. In one interval it joins rows 1 and 2 to one session of three rows. Cut
//! behind row 2, the session of row 1 has closed at 10 s with one row, and row 3 makes a session of two with row 2. So here a
//! row of a session is late iff its own time < its row watermark: row 3 is late, however the stream is cut.
//!
//! **A session closes when the watermark has passed its end, not when it reaches it.** Rows exactly the gap apart are one
//! session, and a row *at* the watermark is on time: with the watermark at 10 s a row of 10 s may still come, and belongs to the
//! session that began at 0 s.
//!
//! **An interval join judges lateness by the row's own time, and only where the watermark frees rows.** From
//! `b.ts BETWEEN a.ts AND a.ts + INTERVAL '10' SECOND` it follows that a row of A can go once the watermark of B has passed its time
//! by more than 10 s: if no row of B comes behind that watermark. So a row of B is late iff its own time < its row watermark, at
//! the join's input; and a row of A likewise, as it is A's watermark that frees rows of B. Both are functions of the order of arrival
//! in the row's own partition. A row that is not late is at or ahead of its row watermark, which is at or ahead of the
//! watermark that has freed rows, so all the rows that it meets are still there: the answer is the join of the rows that are not
//! late, wherever the stream was cut. A weaker rule ("late for the pair") would lose fewer rows, but then a row would be late for
//! some of its pairs, and what comes out could be behind the windows above. Where nothing is freed (no bound, or none on
//! this side) nothing is judged. What comes out may be behind the watermark by as much as the condition says (`lag` in
//! `plan`), and windows above wait for that.
//!
//! **Rows that arrive by wall time follow the clock of the interval.** `now()` and `PROCTIME()` are one value per interval,
//! so a query over them can't be cut-invariant; with a manual clock it is still exactly repeatable:
//!
//! ```
//! # use std::sync::Arc;
//! # use arrow::array::{ArrayRef, RecordBatch, StringArray};
//! # use tidemill::{engine::Engine, host::ManualClock, time::Timestamp};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let word: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
//! # let rows = RecordBatch::try_from_iter([("word", word)])?;
//! let clock = Arc::new(ManualClock::at(Timestamp(0)));
//! let engine = Engine::builder().clock(clock.clone()).inline_sources().build();
//! let words = engine.push_table("words", rows.schema()).create()?;
//! let per_minute = "SELECT count(*) FROM TUMBLE(words, now(), INTERVAL '1' MINUTE) GROUP BY window_end";
//! let mut query = engine.sql(per_minute).await?;
//! words.push(rows).await?;
//! engine.step().await?;
//! assert!(query.take().is_empty(), "the minute is not over");
//! clock.advance(60_000_000);
//! engine.step().await?;
//! assert_eq!(query.take().len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! **[`host`] and [`change`] are layers of their own.** The outside world as traits, and rows with weights, are needed by
//! formats and connectors as much as by plans: neither has a home in any one of them.

// In the order of the table above, which says what each is. The blank lines keep rustfmt from sorting them.

pub mod error;

pub mod time;

pub mod host;

pub mod settings;

pub mod metrics;

pub mod change;

pub mod format;

pub mod sql;

pub mod catalog;

pub mod plan;

pub mod state;

pub mod exec;

pub mod connector;

pub mod runtime;

pub mod engine;

pub mod verify;

pub mod server;

pub mod cli;
