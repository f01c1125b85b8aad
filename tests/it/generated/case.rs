//! One case: views over tables, and what happens to the tables interval by interval. After every interval each view must hold
//! what plain DataFusion answers to its query over the rows so far.

use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::Optimizer;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::FutureExt;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tidemill::catalog::batch_rules;
use tidemill::change::Change;
use tidemill::error::ErrorKind;

use super::data::{DELAY_MS, EVENTS, Flavour, Row, TABLES, json, literal};
use super::generator::{Generator, Made};
use super::query::{Query, Reader, Type, marks};
use crate::rows;

/// A view that the case keeps.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) query: Query,
}

/// What happens to one table.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// A row comes.
    Insert { table: usize, row: Row },
    /// The rows of a condition leave.
    Delete { table: usize, condition: String },
    /// The rows of a condition change in a column.
    Update { table: usize, column: usize, value: String, condition: String },
}

impl Step {
    /// The statement that makes it happen.
    pub(crate) fn sql(&self, reader: Reader) -> String {
        match self {
            Self::Insert { table, row } => {
                let values: Vec<String> = row.iter().map(literal).collect();
                format!("INSERT INTO {} VALUES ({})", TABLES[*table].name, values.join(", "))
            }
            Self::Delete { table, condition } => {
                format!("DELETE FROM {} WHERE {}", TABLES[*table].name, marks(condition, reader))
            }
            Self::Update { table, column, value, condition } => {
                let table = &TABLES[*table];
                let (value, condition) = (marks(value, reader), marks(condition, reader));
                format!("UPDATE {} SET {} = {value} WHERE {condition}", table.name, table.columns[*column].0)
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) views: Vec<View>,
    /// What happens in each interval.
    pub(crate) intervals: Vec<Vec<Step>>,
    /// The last view's query is asked for its changes too.
    pub(crate) changes: bool,
    /// Whether DuckDB understands it the same way.
    pub(crate) portable: bool,
    /// The tables hold rows of their own, changed by statements; else rows are pushed into them.
    pub(crate) own_rows: bool,
}

/// How a case went when nothing was wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Verdict {
    /// Every answer was right; the last view's after every interval.
    Held(Vec<rows::Table>),
    /// tidemill does not run such a query, and says why.
    Refused(String),
    /// DataFusion itself has no answer.
    Invalid(String),
}

/// What the answers are compared with, and whether in a wrong way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Flaw {
    None,
    /// The oracle never sees the second row.
    LostRow,
    /// The first row that leaves, in the changes, is passed over.
    LostRetraction,
    /// The engine is told a watermark that is a millisecond ahead.
    Watermark,
}

impl Case {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let flavour = if rng.random_ratio(1, 4) { Flavour::Extreme } else { Flavour::Small };
        let windows = rng.random_ratio(1, 4);
        let portable = flavour == Flavour::Small && !windows && rng.random_ratio(1, 4);
        let own_rows = !windows && rng.random_ratio(1, 3);
        let mut generator = Generator { rng: &mut rng, flavour, windows, portable, made: Vec::new(), aliases: 0 };
        let mut views: Vec<View> = Vec::new();
        let count = if generator.rng.random_ratio(1, 5) { 2 } else { 1 };
        for at in 0..count {
            generator.made = made(&views);
            views.push(View { name: format!("v{at}"), query: generator.query() });
        }
        generator.made = Vec::new();
        let intervals = intervals(&mut generator, &views, own_rows);
        Self { seed, views, intervals, changes: rng.random_ratio(1, 4), portable, own_rows }
    }

    /// What is wrong with the case.
    ///
    /// # Errors
    /// The first difference, in words.
    pub(crate) async fn run(&self, flaw: Flaw) -> Result<Verdict, String> {
        let sql = |v: &View| (v.name.clone(), v.query.sql(Reader::DataFusion));
        let oracle = match Oracle::of(&self.views.iter().map(sql).collect::<Vec<_>>()).await {
            Ok(oracle) => oracle,
            Err(reason) => return Ok(Verdict::Invalid(reason)),
        };
        let (engine, _clock) = rows::engine();
        let failed = |e: tidemill::error::Error| format!("the engine fails: {e:?}");
        engine.set("max_future_skew", "0").map_err(failed)?;
        let mut tables = Vec::new();
        for (at, table) in TABLES.iter().enumerate() {
            if self.own_rows {
                engine.run_script(&table.ddl()).await.map_err(failed)?;
                continue;
            }
            let mut builder = engine.push_table(table.name, table.schema());
            if at == EVENTS {
                let delay = if flaw == Flaw::Watermark { DELAY_MS - 1 } else { DELAY_MS };
                builder = builder.event_time("ts").lateness(&format!("{delay}ms"));
            }
            tables.push(builder.create().map_err(failed)?);
        }
        for view in &self.views {
            let ddl = format!("CREATE MATERIALIZED VIEW {} AS {}", view.name, view.query.sql(Reader::Tidemill));
            if let Err(error) = engine.run_script(&ddl).await {
                return refused(&error);
            }
        }
        let mut handle = match self.views.last().filter(|_| self.changes) {
            None => None,
            Some(view) => {
                // A query over rows that are all here ends with them.
                let sql = match self.own_rows {
                    true => format!("SUBSCRIBE TO {}", view.name),
                    false => format!("{} EMIT CHANGES", view.query.sql(Reader::Tidemill)),
                };
                match engine.sql(&sql).await {
                    Ok(handle) => Some(handle),
                    Err(error) => return refused(&error),
                }
            }
        };
        let mut taken = Vec::new();
        let mut contents: Vec<Vec<Row>> = vec![Vec::new(); TABLES.len()];
        let (mut seen, mut answers) = (0, Vec::new());
        for at in 0..=self.intervals.len() {
            for step in self.intervals.get(at).into_iter().flatten() {
                seen += 1;
                if flaw != Flaw::LostRow || seen != 2 {
                    match oracle.apply(step, &mut contents).await {
                        Ok(()) => {}
                        Err(reason) => return Ok(Verdict::Invalid(reason)),
                    }
                }
                match step {
                    Step::Insert { table, row } if !self.own_rows => {
                        let batch = TABLES[*table].batch(std::slice::from_ref(row));
                        tables[*table].push_to(0, batch).map_err(failed)?;
                    }
                    step => drop(engine.run_script(&step.sql(Reader::Tidemill)).await.map_err(failed)?),
                }
            }
            if at == self.intervals.len() {
                tables.iter().for_each(tidemill::engine::PushTable::close);
            }
            let stepped = engine.step().await;
            let wanted = match oracle.answer(&contents).await {
                Ok(wanted) => wanted,
                // An answer that is an error is none to compare with.
                Err(reason) => return Ok(Verdict::Invalid(reason)),
            };
            stepped.map_err(failed)?;
            let place =
                if at == self.intervals.len() { "at the end".to_owned() } else { format!("after interval {}", at + 1) };
            for (view, wanted) in self.views.iter().zip(&wanted) {
                let got = engine.query(&format!("SELECT * FROM {}", view.name)).await.map_err(failed)?;
                let got = rows::table(rows::of_batches(&got));
                if got != *wanted {
                    return Err(format!("{} differs {place}:\n{}", view.name, rows::difference(wanted, &got)));
                }
            }
            if let (Some(handle), Some(wanted)) = (&mut handle, wanted.last()) {
                taken.extend(handle.take());
                let got = if flaw == Flaw::LostRetraction { fold_without(&taken) } else { rows::fold(&taken) };
                if got != *wanted {
                    return Err(format!("the folded changes differ {place}:\n{}", rows::difference(wanted, &got)));
                }
            }
            answers.extend(wanted.into_iter().next_back());
        }
        Ok(Verdict::Held(answers))
    }

    /// The same case with one piece less, in every way there is.
    fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut case = self.clone();
            change(&mut case);
            all.push(case);
        };
        for at in 0..self.intervals.len() {
            with(&|c| drop(c.intervals.remove(at)));
        }
        for (view, of) in self.views.iter().enumerate() {
            for query in of.query.smaller() {
                with(&|c| c.views[view].query = query.clone());
            }
        }
        for interval in 0..self.intervals.len() {
            for at in 0..self.intervals[interval].len() {
                with(&|c| drop(c.intervals[interval].remove(at)));
            }
            if interval + 1 < self.intervals.len() {
                with(&|c| {
                    let next = c.intervals.remove(interval + 1);
                    c.intervals[interval].extend(next);
                });
            }
        }
        if self.changes {
            with(&|c| c.changes = false);
        }
        all
    }

    /// The smallest case that can be found that fails too, and how.
    pub(crate) async fn shrink(mut self, flaw: Flaw, mut failure: String) -> (Self, String) {
        let mut tries = 0;
        'smaller: loop {
            for smaller in self.smaller() {
                tries += 1;
                if tries > 3_000 {
                    return (self, failure);
                }
                if let Err(still) = smaller.run(flaw).await {
                    (self, failure) = (smaller, still);
                    continue 'smaller;
                }
            }
            return (self, failure);
        }
    }

    /// The script of the case.
    pub(crate) fn sql(&self) -> String {
        let mut text =
            format!("-- seed {}; the rows, interval by interval, are in the .jsonl beside this\n", self.seed);
        for (at, table) in TABLES.iter().enumerate() {
            let ddl = table.ddl();
            let watermark = format!(", WATERMARK FOR ts AS ts - INTERVAL '{}' SECOND)", DELAY_MS / 1000);
            let ddl =
                if at == EVENTS { format!("{}{watermark}", ddl.strip_suffix(')').expect("columns")) } else { ddl };
            writeln!(text, "{ddl};").expect("text");
        }
        for view in &self.views {
            let sql = view.query.sql(Reader::Tidemill);
            writeln!(text, "CREATE MATERIALIZED VIEW {} AS {sql};", view.name).expect("text");
            if sql != view.query.sql(Reader::DataFusion) {
                writeln!(text, "-- as ordinary SQL: {}", view.query.sql(Reader::DataFusion)).expect("text");
            }
        }
        text
    }

    /// The rows of the case; an empty line ends an interval.
    pub(crate) fn rows(&self) -> String {
        let mut text = String::new();
        for interval in &self.intervals {
            for step in interval {
                let line = match step {
                    Step::Insert { table, row } => json(&TABLES[*table], row),
                    other => serde_json::json!({ "sql": other.sql(Reader::Tidemill) }).to_string(),
                };
                writeln!(text, "{line}").expect("text");
            }
            text.push('\n');
        }
        text
    }
}

/// A refusal must be one: a clear word about the query, not a broken invariant.
fn refused(error: &tidemill::error::Error) -> Result<Verdict, String> {
    match error.kind() {
        ErrorKind::Unsupported | ErrorKind::Sql => Ok(Verdict::Refused(error.message().to_owned())),
        _ => Err(format!("the query is not refused but fails: {error:?}")),
    }
}

/// Changes folded by one who overlooks the first row that leaves.
fn fold_without(changes: &[Change]) -> rows::Table {
    let mut overlooked = false;
    let mut table = rows::Table::new();
    for change in changes {
        for (at, row) in rows::of_batch(&change.batch).into_iter().enumerate() {
            let weight = change.weight(at);
            if weight < 0 && !std::mem::replace(&mut overlooked, true) {
                continue;
            }
            *table.entry(row).or_default() += weight;
        }
    }
    table.retain(|_, weight| *weight != 0);
    table
}

/// The logical rules of the oracle.
const LOGICAL_RULES: [&str; 8] = [
    "rewrite_set_comparison",
    "simplify_expressions",
    "common_sub_expression_eliminate",
    "replace_distinct_aggregate",
    "decorrelate_predicate_subquery",
    "scalar_subquery_to_join",
    "decorrelate_lateral_join",
    "extract_equijoin_predicate",
];

/// Plain DataFusion.
pub(crate) struct Oracle {
    context: SessionContext,
    /// The tables, to be filled anew for each answer.
    tables: Vec<Arc<MemTable>>,
    /// The views' plans, optimized once; only their rows change.
    plans: Vec<LogicalPlan>,
}

impl Oracle {
    /// Of views by name and query; one may read those before it.
    ///
    /// # Errors
    /// When DataFusion can't plan the queries.
    pub(crate) async fn of(views: &[(String, String)]) -> Result<Self, String> {
        // A scalar subquery of its own is pushed below an aggregate that gives a row whatever it says.
        let config = SessionConfig::new()
            .with_target_partitions(1)
            .set_bool("datafusion.optimizer.enable_physical_uncorrelated_scalar_subquery", false);
        // Only what a plan can't run without: the fewer rules, the fewer mistakes that the oracle shares with the engine.
        let rules = Optimizer::new().rules.into_iter().filter(|rule| LOGICAL_RULES.contains(&rule.name())).collect();
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_default_features()
            .with_optimizer_rules(rules)
            .with_physical_optimizer_rules(batch_rules())
            .build();
        let context = SessionContext::new_with_state(state);
        let mut tables = Vec::new();
        for table in TABLES {
            let held = MemTable::try_new(table.schema(), vec![Vec::new()]).expect("a table");
            let held = Arc::new(held);
            context.register_table(table.name, Arc::clone(&held) as Arc<dyn TableProvider>).expect("a new table");
            tables.push(held);
        }
        let mut plans = Vec::new();
        for (at, (name, sql)) in views.iter().enumerate() {
            let plan = async { context.sql(sql).await?.into_optimized_plan() };
            plans.push(plan.await.map_err(|e| e.to_string())?);
            if at + 1 < views.len() {
                context.sql(&format!("CREATE VIEW {name} AS {sql}")).await.map_err(|e| e.to_string())?;
            }
        }
        let oracle = Self { context, tables, plans };
        oracle.answer(&vec![Vec::new(); TABLES.len()]).await?;
        Ok(oracle)
    }

    async fn fill(&self, contents: &[Vec<Row>]) {
        for ((table, held), rows) in TABLES.iter().zip(&self.tables).zip(contents) {
            *held.batches[0].write().await = vec![table.batch(rows)];
        }
    }

    /// Makes a step happen to the rows.
    async fn apply(&self, step: &Step, contents: &mut [Vec<Row>]) -> Result<(), String> {
        let (table, select) = match step {
            Step::Insert { table, row } => {
                contents[*table].push(row.clone());
                return Ok(());
            }
            Step::Delete { table, condition } => {
                let stays = format!("NOT coalesce({}, FALSE)", marks(condition, Reader::DataFusion));
                (*table, format!("SELECT * FROM {} WHERE {stays}", TABLES[*table].name))
            }
            Step::Update { table, column, value, condition } => {
                let (value, condition) = (marks(value, Reader::DataFusion), marks(condition, Reader::DataFusion));
                let column = |(at, (name, _)): (usize, &(&str, Type))| match at == *column {
                    true => format!("CASE WHEN {condition} THEN {value} ELSE {name} END AS {name}"),
                    false => (*name).to_owned(),
                };
                let columns: Vec<String> = TABLES[*table].columns.iter().enumerate().map(column).collect();
                (*table, format!("SELECT {} FROM {}", columns.join(", "), TABLES[*table].name))
            }
        };
        self.fill(contents).await;
        let left = async { self.context.sql(&select).await?.collect().await }.await.map_err(|e| e.to_string())?;
        contents[table] = left.iter().flat_map(|b| TABLES[table].rows(b)).collect();
        Ok(())
    }

    /// What each view should hold.
    pub(crate) async fn answer(&self, contents: &[Vec<Row>]) -> Result<Vec<rows::Table>, String> {
        self.fill(contents).await;
        let state = self.context.state();
        let mut answers = Vec::new();
        for plan in &self.plans {
            let answer = async {
                let physical = state.query_planner().create_physical_plan(plan, &state).await?;
                datafusion::physical_plan::collect(physical, state.task_ctx()).await
            };
            // Some plans of DataFusion's make it panic.
            let answer = AssertUnwindSafe(answer).catch_unwind().await;
            let answer = answer.unwrap_or_else(|_| Err(DataFusionError::Internal("a panic".to_owned())));
            let batches: Vec<RecordBatch> = answer.map_err(|e| e.to_string())?;
            answers.push(rows::table(rows::of_batches(&batches)));
        }
        Ok(answers)
    }
}

/// What happens to the tables that the views read.
fn intervals(generator: &mut Generator<'_>, views: &[View], own_rows: bool) -> Vec<Vec<Step>> {
    let text: String = views.iter().map(|v| v.query.sql(Reader::Tidemill)).collect::<Vec<_>>().join(" ");
    let reads = |table: &str| text.contains(&format!(" {table} AS ")) || text.contains(&format!("TABLE {table}"));
    let read: Vec<usize> = (0..TABLES.len()).filter(|t| reads(TABLES[*t].name)).collect();
    if read.is_empty() {
        return Vec::new();
    }
    let flavour = generator.flavour;
    // Today, around 1970, and before it.
    let rng = &mut *generator.rng;
    let mut now = [rows::START / 1000, 7_000, -86_400_000][rng.random_range(0..3)];
    let most = if rng.random_ratio(1, 10) { 25 } else { 5 };
    let mut intervals = Vec::new();
    for _ in 0..generator.rng.random_range(2..7) {
        let mut steps = Vec::new();
        for _ in 0..generator.rng.random_range(0..most) {
            let table = read[generator.rng.random_range(0..read.len())];
            if own_rows && generator.rng.random_ratio(1, 3) {
                let condition = generator.condition_on(&TABLES[table]);
                steps.push(if generator.rng.random_ratio(1, 2) {
                    Step::Delete { table, condition }
                } else {
                    let (column, value) = generator.assignment(&TABLES[table]);
                    Step::Update { table, column, value, condition }
                });
                continue;
            }
            let rng = &mut *generator.rng;
            now += [0, 0, 1, 500, 1_000, 3_000, 8_000][rng.random_range(0..7)];
            let row = TABLES[table].row(rng, flavour, now);
            if rng.random_ratio(1, 10) {
                steps.push(Step::Insert { table, row: row.clone() });
            }
            steps.push(Step::Insert { table, row });
        }
        intervals.push(steps);
    }
    intervals
}

/// Views that later ones may read.
fn made(views: &[View]) -> Vec<Made> {
    let columns = |v: &View| v.query.items.iter().map(|i| (i.alias.clone(), i.data_type)).collect();
    views.iter().map(|v| Made { name: v.name.clone(), columns: columns(v) }).collect()
}
