//! A script as it is verified: what it reads, what comes out of it, and what can't be verified.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;

use super::batch::{self, Batch};
use super::stage::{Selected, Stage};
use super::tape::Tape;
use crate::catalog::Relation;
use crate::engine::{Engine, Outcome};
use crate::error::{Error, Result};
use crate::sql::Statement;
use crate::sql::statement::{Insert, Parsed, Query};

/// What a script asks for: each output's queries, as bound plans.
pub(super) struct Asked {
    /// By output; several INSERTs may go into one sink.
    pub(super) outputs: BTreeMap<String, Vec<LogicalPlan>>,
    /// The tables that are read.
    pub(super) sources: Vec<String>,
}

impl Asked {
    /// Binds every query of a script in an engine in which nothing runs.
    ///
    /// # Errors
    /// What is wrong with a statement, or why its answer can't be verified; with its place.
    pub(super) async fn of(engine: &Engine, statements: &[Parsed]) -> Result<Self> {
        let mut asked = Self { outputs: BTreeMap::new(), sources: Vec::new() };
        for (index, parsed) in statements.iter().enumerate() {
            let located = |e: Error| if e.span().is_none() { e.at(parsed.span) } else { e };
            refuse_statement(&parsed.statement).map_err(located)?;
            engine.check(parsed).await.map_err(located)?;
            for (name, plan) in queries(engine, statements, index).map_err(located)? {
                asked.look(engine, &plan).map_err(located)?;
                asked.outputs.entry(name).or_default().push(plan);
            }
        }
        if asked.outputs.is_empty() {
            return Err(
                Error::sql("there is no query to verify").help("verify takes a file with SELECT, INSERT or a view")
            );
        }
        asked.sources.sort();
        asked.sources.dedup();
        Ok(asked)
    }

    /// Notes what a plan reads, and refuses what has no one answer.
    fn look(&mut self, engine: &Engine, plan: &LogicalPlan) -> Result<()> {
        if let Some(call) = batch::depends_on_when(plan)? {
            return Err(Error::unsupported(format!("the answer depends on when it is asked: {call}"))
                .help("only queries over event time have one answer that can be verified"));
        }
        let (streams, views) = batch::scans(plan)?;
        for name in streams {
            let Some(Relation::Table(table)) = engine.catalog().get(&name).cloned() else {
                return Err(no_source(&name));
            };
            if !table.description.bounded {
                return Err(Error::unsupported(format!(
                    "source '{name}' never ends, so there is no batch answer to compare with"
                ))
                .help("read a file, or give it a bound: 'events.num' for nexmark, 'number-of-rows' for datagen"));
            }
            if table.computed.values().any(crate::catalog::is_clock_call) {
                return Err(Error::unsupported(format!(
                    "table '{name}' has a column of wall time: its rows differ in every run"
                )));
            }
            self.sources.push(name);
        }
        for name in views {
            let relation = engine.catalog().get(&name).cloned();
            match relation {
                Some(Relation::MaterializedView(view, _)) => self.look(engine, &view.plan)?,
                Some(held) if held.kind() == "table" => return Err(no_source(&name)),
                _ => {}
            }
        }
        Ok(())
    }

    /// What batch SQL answers; an output with several right answers (they depend on the order of rows) has none here.
    ///
    /// # Errors
    /// When a query fails.
    pub(super) async fn batch(
        &self,
        engine: &Engine,
        tapes: &[Tape],
        rows: &(dyn Fn(&Tape) -> Result<arrow::array::RecordBatch> + Sync),
    ) -> Result<BTreeMap<String, super::Table>> {
        let batch = Batch::new(engine);
        let mut held = BTreeMap::new();
        for tape in tapes {
            held.insert(tape.name().to_owned(), rows(tape)?);
        }
        let of = |name: &str| held.get(name).cloned();
        let mut answers = BTreeMap::new();
        for (name, plans) in &self.outputs {
            let mut batches = Vec::new();
            for plan in plans {
                batches.extend(batch.answer(plan, &of).await?);
            }
            answers.insert(name.clone(), super::rows::of_batches(&batches)?);
        }
        Ok(answers)
    }
}

/// What a script leaves behind when its rows have arrived in some way.
///
/// # Errors
/// When a statement or an interval fails.
pub(super) async fn play(
    engine: &Engine,
    stage: &Arc<Stage>,
    statements: &[Parsed],
    intervals: &[Vec<super::arrival::Event>],
) -> Result<BTreeMap<String, super::Table>> {
    let mut views = Vec::new();
    let mut snapshots = Vec::new();
    for (index, parsed) in statements.iter().enumerate() {
        let name = select_name(statements, index);
        if engine.is_snapshot(parsed) {
            snapshots.push((name, parsed));
            continue;
        }
        if let Statement::CreateView(view) = &parsed.statement
            && view.materialized
        {
            views.push(view.name.value.clone());
        }
        engine.execute(parsed, &mut Selected { stage: Arc::clone(stage), name }).await?;
    }
    for (at, interval) in intervals.iter().enumerate() {
        stage.release(interval);
        // The end may come with the last rows, or behind them.
        if at + 1 == intervals.len() && at % 2 == 0 {
            stage.end();
        }
        engine.step().await?;
    }
    stage.end();
    let mut quiet = 0;
    while quiet < 4 {
        quiet = if engine.step().await?.interval.is_some() { 0 } else { quiet + 1 };
    }
    let mut answers = BTreeMap::new();
    for (name, changes) in stage.taken() {
        answers.insert(name, super::rows::fold(&changes)?);
    }
    for name in views {
        let batches = engine.query(&format!("SELECT * FROM \"{}\"", name.replace('"', "\"\""))).await?;
        answers.insert(name, super::rows::of_batches(&batches)?);
    }
    for (name, parsed) in snapshots {
        if let Outcome::Rows { batches, .. } =
            engine.execute(parsed, &mut Selected { stage: Arc::clone(stage), name: name.clone() }).await?
        {
            answers.insert(name, super::rows::of_batches(&batches)?);
        }
    }
    Ok(answers)
}

/// The queries of a statement, each by the output that it goes to.
fn queries(engine: &Engine, statements: &[Parsed], index: usize) -> Result<Vec<(String, LogicalPlan)>> {
    let bind = |query: &Query| engine.catalog().bind(&query.query);
    Ok(match &statements[index].statement {
        Statement::Query(query) | Statement::Subscribe(query) => vec![(select_name(statements, index), bind(query)?)],
        Statement::CreateView(view) if view.materialized => vec![(view.name.value.clone(), bind(&view.query)?)],
        Statement::Insert(insert) => vec![inserted(engine, insert)?],
        Statement::StatementSet(inserts) => inserts.iter().map(|i| inserted(engine, i)).collect::<Result<_>>()?,
        Statement::CreateSink(sink) => match &sink.query {
            Some(query) => vec![(sink.name.value.clone(), into(engine, &sink.name.value, bind(query)?)?)],
            None => Vec::new(),
        },
        Statement::CreateTable(table) => match &table.query {
            Some(query) => vec![(table.name.value.clone(), into(engine, &table.name.value, bind(query)?)?)],
            None => Vec::new(),
        },
        _ => Vec::new(),
    })
}

fn inserted(engine: &Engine, insert: &Insert) -> Result<(String, LogicalPlan)> {
    let plan = engine.catalog().bind(&insert.query.query)?;
    let whole = match engine.catalog().get(&insert.target.value) {
        Some(Relation::Table(table)) => table.physical_schema()?,
        _ => return Err(no_source(&insert.target.value)),
    };
    let named = insert.columns.iter().map(|c| &c.value);
    if !insert.columns.is_empty() && !named.eq(whole.fields().iter().map(|f| f.name())) {
        return Err(Error::unsupported("an INSERT of some columns, or in another order, is not verified yet")
            .at(insert.target.span)
            .help("name all columns in their order"));
    }
    Ok((insert.target.value.clone(), batch::fitted(plan, &whole)?))
}

/// A plan with the types of the table that it goes into.
fn into(engine: &Engine, target: &str, plan: LogicalPlan) -> Result<LogicalPlan> {
    match engine.catalog().get(target) {
        Some(Relation::Table(table)) => batch::fitted(plan, &table.physical_schema()?),
        _ => Err(no_source(target)),
    }
}

/// What holds rows of its own is changed by statements, in one order.
fn no_source(name: &str) -> Error {
    Error::unsupported(format!("'{name}' is no source or sink whose rows can be replayed"))
        .help("verify replays what connectors read, and compares what they would write")
}

/// The name of a bare SELECT: `select`, or `select 2` where there are several.
fn select_name(statements: &[Parsed], index: usize) -> String {
    let is_select = |p: &&Parsed| matches!(p.statement, Statement::Query(_) | Statement::Subscribe(_));
    let all = statements.iter().filter(is_select).count();
    let before = statements[..index].iter().filter(is_select).count();
    if all > 1 { format!("select {}", before + 1) } else { "select".to_owned() }
}

/// What has no place in a script that is run many times over.
fn refuse_statement(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Drop { .. } => Err(Error::unsupported("DROP in a script to verify")
            .help("leave it out: every run begins with an empty engine")),
        _ => Ok(()),
    }
}
