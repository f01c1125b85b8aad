//! SELECT: a snapshot of views, or a live query over streams.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;

use super::inspect::{StateCall, take_calls};
use super::{Engine, Outcome, Output as Outputs, OutputInfo};
use crate::catalog::{Relation, batch_rules};
use crate::error::{Error, Result};
use crate::exec::{self, Presenter};
use crate::plan::{self, Purpose};
use crate::runtime::{Driver, Given, Lives, NewQuery, Output};
use crate::sql::statement::{EmitMode, Name, Query};

impl Engine {
    pub(super) async fn select(&self, query: &Query, outputs: &mut dyn Outputs, check: bool) -> Result<Outcome> {
        self.declare_bare_names(query)?;
        if self.reads_no_stream(query) {
            let mut query = query.clone();
            let states = take_calls(&mut query.query)?;
            if check {
                // What an operator holds has columns only once the query runs.
                if states.is_empty() {
                    self.catalog().bind(&query.query)?;
                }
                return Ok(Outcome::Done("SELECT".to_owned()));
            }
            let (schema, batches) = self.snapshot(&query, &states).await?;
            return Ok(Outcome::Rows { schema, batches });
        }
        self.live(query, outputs, check).await
    }

    /// `SUBSCRIBE`: the changes of a query, whatever its EMIT.
    pub(super) async fn subscribe(&self, query: &Query, outputs: &mut dyn Outputs, check: bool) -> Result<Outcome> {
        self.declare_bare_names(query)?;
        self.live(&super::prepare::subscribed(query), outputs, check).await
    }

    async fn live(&self, query: &Query, outputs: &mut dyn Outputs, check: bool) -> Result<Outcome> {
        let plan = plan::plan(&self.catalog(), query, Purpose::Output, None)?;
        let notices = self.notices(&plan, query);
        if check {
            return Ok(Outcome::Live { query: 0, notices });
        }
        let session = self.catalog().session();
        let given = match plan.emit {
            EmitMode::Complete => Given::Whole,
            _ if self.is_finished_result(&plan, query) => Given::Finished,
            _ => Given::Changes,
        };
        let schema = visible_schema(&plan);
        let presenter = Presenter::new(&plan, &session)?;
        let append_only = plan.append_only;
        let bounded = {
            let catalog = self.catalog();
            plan.sources.iter().all(|s| match catalog.get(&s.table) {
                Some(Relation::Table(table)) => table.description.bounded,
                _ => catalog.is_bounded(&s.table),
            })
        };
        let key = plan.key.clone();
        let running = exec::Query::new(plan, &session).await?;
        let mut driver = self.shared.driver.lock().await;
        let id = driver.next_query();
        let shown = presenter.as_ref().and_then(Presenter::schema).unwrap_or_else(|| Arc::clone(&schema));
        let info =
            OutputInfo { query: id, schema: shown, key, append_only: append_only || given != Given::Changes, bounded };
        let sink = outputs.open(&info)?;
        let output = Output::to(sink, given, presenter, schema, append_only)?;
        let mut name = query.query.to_string();
        if let Some((cut, _)) = name.char_indices().nth(60) {
            name.truncate(cut);
            name.push('…');
        }
        driver.add(NewQuery { id, name, query: running, output, lives: Lives::WithStreams }, |table| {
            self.input_of(table)
        })?;
        driver.wake().notify();
        Ok(Outcome::Live { query: id, notices })
    }

    /// Whether all that a query reads comes from the rows of stored tables, and so is complete at any time.
    pub(super) fn is_at_rest(&self, query: &Query) -> bool {
        let catalog = self.catalog();
        catalog.references(&query.query).is_ok_and(|names| names.iter().all(|name| catalog.is_at_rest(name)))
    }

    /// Whether a query reads only relations that hold rows (or nothing).
    pub(super) fn reads_no_stream(&self, query: &Query) -> bool {
        let catalog = self.catalog();
        let Ok(mut front) = catalog.references(&query.query) else { return false };
        while let Some(name) = front.pop() {
            match catalog.get(&name) {
                Some(Relation::MaterializedView(..) | Relation::Stored(..)) => {}
                Some(Relation::View(view)) => front.extend(view.references.iter().cloned()),
                // An unknown name may be a bare file or socket.
                Some(Relation::Table(_)) | None => return false,
            }
        }
        true
    }

    /// Runs a query over the views as of the last interval.
    async fn snapshot(&self, query: &Query, states: &[StateCall]) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        // Between intervals until the plan holds its rows, so that every view is of the same one, and no other SELECT
        // brings its own meanwhile.
        let mut driver = self.shared.driver.lock().await;
        if driver.is_lapsing() {
            // Over tables alone nothing else moves time: a condition over now() holds at this moment.
            self.step_tables(&mut driver).await?;
        }
        let planned = match self.put_states(states, &driver, query) {
            Ok(()) => self.plan_snapshot(&mut driver, query).await,
            Err(error) => Err(error),
        };
        self.drop_states(states)?;
        drop(driver);
        let (schema, physical, session) = planned?;
        let batches = datafusion::physical_plan::collect(physical, session.task_ctx()).await?;
        Ok((schema, batches))
    }

    /// The plan of a snapshot, which holds the rows that it reads.
    async fn plan_snapshot(
        &self,
        driver: &mut Driver,
        query: &Query,
    ) -> Result<(SchemaRef, Arc<dyn ExecutionPlan>, SessionState)> {
        let plan = self.catalog().bind(&query.query)?;
        let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
        let (physical, session) = self.over_rows(driver, &plan, query).await?;
        Ok((schema, physical, session))
    }

    /// The answer of a plan that was bound from this query, over the rows as they are; the driver stands still until it is there.
    pub(super) async fn answer(
        &self,
        driver: &mut Driver,
        plan: &LogicalPlan,
        query: &Query,
    ) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let (physical, session) = self.over_rows(driver, plan, query).await?;
        let batches = datafusion::physical_plan::collect(physical, session.task_ctx()).await?;
        Ok((Arc::new(plan.schema().as_arrow().clone()), batches))
    }

    /// A physical plan that holds the rows of the relations that the query reads, and a session to run it in.
    async fn over_rows(
        &self,
        _between_intervals: &mut Driver,
        plan: &LogicalPlan,
        query: &Query,
    ) -> Result<(Arc<dyn ExecutionPlan>, SessionState)> {
        let read = self.relations_read(query)?;
        for (name, view) in self.shared.views.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(snapshot) =
                self.catalog().get(name).and_then(Relation::snapshot).filter(|_| read.contains(name))
            {
                snapshot.set(view.contents.lock().unwrap_or_else(PoisonError::into_inner).rows()?);
            }
        }
        let session = {
            let catalog = self.catalog();
            catalog.clock().set(self.shared.host.clock.now());
            catalog.session()
        };
        // A snapshot is a plain query over tables: it needs the rules (sorts under OVER, for one) that streams go without.
        let session =
            SessionStateBuilder::new_from_existing(session).with_physical_optimizer_rules(batch_rules()).build();
        let physical = session.create_physical_plan(plan).await?;
        for name in &read {
            if let Some(snapshot) = self.catalog().get(name).and_then(Relation::snapshot) {
                snapshot.set(Vec::new());
            }
        }
        Ok((physical, session))
    }

    /// The relations that hold rows and that a query reads, through views too.
    fn relations_read(&self, query: &Query) -> Result<BTreeSet<String>> {
        let catalog = self.catalog();
        let mut front = catalog.references(&query.query)?;
        let mut read = BTreeSet::new();
        while let Some(name) = front.pop() {
            match catalog.get(&name) {
                Some(Relation::View(view)) => front.extend(view.references.iter().cloned()),
                Some(Relation::MaterializedView(..) | Relation::Stored(..)) => drop(read.insert(name)),
                _ => {}
            }
        }
        Ok(read)
    }

    /// Makes tables of the bare names that a query reads: `stdin`, `'dir/*.jsonl'`, `'tcp://:9999'`.
    pub(super) fn declare_bare_names(&self, query: &Query) -> Result<()> {
        let references = self.catalog().references(&query.query)?;
        for name in references {
            if self.catalog().get(&name).is_some() {
                continue;
            }
            let Some(options) = crate::connector::from_url(&name) else { continue };
            let at = crate::error::Location { line: 0, column: 0 };
            let span = crate::error::Span { start: at, end: at };
            let create = crate::sql::statement::CreateTable {
                name: Name { value: name.clone(), spelled: name.clone(), span },
                kind: crate::sql::statement::RelationKind::Source,
                or_replace: false,
                if_not_exists: false,
                temporary: true,
                columns: Vec::new(),
                watermark: None,
                primary_key: Vec::new(),
                partitioned_by: Vec::new(),
                options,
                query: None,
                like: None,
                append_only: false,
                on_conflict_keep: false,
            };
            let place = self.catalog().place_of(&query.query, &name);
            let table = self.bind_table(&create, None).map_err(|e| {
                // The made-up DDL has no place in the text; the name has.
                place.into_iter().fold(e.without_place(), Error::at)
            })?;
            self.catalog_mut().put(Relation::Table(Arc::new(table)))?;
        }
        Ok(())
    }
}

/// The columns of a plan without the hidden ones.
pub(super) fn visible_schema(plan: &plan::IntervalPlan) -> SchemaRef {
    let all = plan.logical.schema();
    let fields: Vec<_> = all
        .fields()
        .iter()
        .filter(|f| f.name() != crate::change::WEIGHT_COLUMN && f.name() != plan::ROW_WATERMARK)
        .cloned()
        .collect();
    Arc::new(Schema::new(fields))
}
