//! SELECT: a snapshot of views, or a live query over streams.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;

use super::inspect::{StateCall, take_calls};
use super::{Engine, Outcome, Output as Outputs, OutputInfo};
use crate::catalog::Relation;
use crate::error::{Error, Result};
use crate::exec::{self, Presenter};
use crate::plan::{self, Purpose};
use crate::runtime::{Contents, Output};
use crate::sql::statement::{Emit, EmitMode, Name, Query};

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
        let mut query = query.clone();
        if query.emit.is_none() {
            let at = crate::error::Location { line: 1, column: 1 };
            query.emit = Some(Emit { mode: EmitMode::Changes, span: crate::error::Span { start: at, end: at } });
        }
        self.live(&query, outputs, check).await
    }

    async fn live(&self, query: &Query, outputs: &mut dyn Outputs, check: bool) -> Result<Outcome> {
        let plan = plan::plan(&self.catalog(), query, Purpose::Output, None)?;
        let notices = self.notices(&plan, query);
        if check {
            return Ok(Outcome::Live { query: 0, notices });
        }
        let session = self.catalog().session();
        let at_end = self.is_finished_result(&plan, query);
        let schema = visible_schema(&plan);
        let presenter = Presenter::new(&plan, &session)?;
        let append_only = plan.append_only;
        let bounded = {
            let catalog = self.catalog();
            plan.sources
                .iter()
                .all(|s| matches!(catalog.get(&s.table), Some(Relation::Table(t)) if t.description.bounded))
        };
        let key = plan.key.clone();
        let running = exec::Query::new(plan, &session).await?;
        let mut driver = self.shared.driver.lock().await;
        let id = driver.next_query();
        let info =
            OutputInfo { query: id, schema: Arc::clone(&schema), key, append_only: append_only || at_end, bounded };
        let sink = outputs.open(&info)?;
        let output = if at_end {
            Output::AtEnd { sink, contents: Contents::new(Arc::clone(&schema), append_only)?, presenter, schema }
        } else {
            Output::Sink(sink, presenter)
        };
        let mut name = query.query.to_string();
        if let Some((cut, _)) = name.char_indices().nth(60) {
            name.truncate(cut);
            name.push('…');
        }
        driver.add(id, name, running, output, |table| self.source_setup(table))?;
        driver.wake().notify();
        Ok(Outcome::Live { query: id, notices })
    }

    /// Whether a query reads materialized views (or nothing) only.
    pub(super) fn reads_no_stream(&self, query: &Query) -> bool {
        let catalog = self.catalog();
        let Ok(mut front) = catalog.references(&query.query) else { return false };
        while let Some(name) = front.pop() {
            match catalog.get(&name) {
                Some(Relation::MaterializedView(..)) => {}
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
        let driver = self.shared.driver.lock().await;
        let filled = self.put_states(states, &driver, query);
        let planned = match filled {
            Ok(()) => self.plan_snapshot(query).await,
            Err(error) => Err(error),
        };
        self.drop_states(states)?;
        drop(driver);
        let (schema, physical, session) = planned?;
        let batches = datafusion::physical_plan::collect(physical, session.task_ctx()).await?;
        Ok((schema, batches))
    }

    /// The plan of a snapshot, which holds the rows of the views.
    async fn plan_snapshot(&self, query: &Query) -> Result<(SchemaRef, Arc<dyn ExecutionPlan>, SessionState)> {
        let read = self.views_read(query)?;
        for (name, view) in self.shared.views.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(Relation::MaterializedView(_, snapshot)) =
                self.catalog().get(name).filter(|_| read.contains(name))
            {
                snapshot.set(view.contents.lock().unwrap_or_else(PoisonError::into_inner).rows()?);
            }
        }
        let (plan, session) = {
            let catalog = self.catalog();
            catalog.clock().set(self.shared.host.clock.now());
            (catalog.bind(&query.query)?, catalog.session())
        };
        // A snapshot is a plain query over tables: it needs the rules (sorts under OVER, for one) that streams go without.
        let session = SessionStateBuilder::new_from_existing(session)
            .with_physical_optimizer_rules(PhysicalOptimizer::new().rules)
            .build();
        let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
        let physical = session.create_physical_plan(&plan).await?;
        for name in &read {
            if let Some(Relation::MaterializedView(_, snapshot)) = self.catalog().get(name) {
                snapshot.set(Vec::new());
            }
        }
        Ok((schema, physical, session))
    }

    /// The materialized views that a query reads, through views too.
    fn views_read(&self, query: &Query) -> Result<BTreeSet<String>> {
        let catalog = self.catalog();
        let mut front = catalog.references(&query.query)?;
        let mut read = BTreeSet::new();
        while let Some(name) = front.pop() {
            match catalog.get(&name) {
                Some(Relation::View(view)) => front.extend(view.references.iter().cloned()),
                Some(Relation::MaterializedView(..)) => drop(read.insert(name)),
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
fn visible_schema(plan: &plan::IntervalPlan) -> SchemaRef {
    let all = plan.logical.schema();
    let fields: Vec<_> = all
        .fields()
        .iter()
        .filter(|f| f.name() != crate::change::WEIGHT_COLUMN && f.name() != plan::ROW_WATERMARK)
        .cloned()
        .collect();
    Arc::new(Schema::new(fields))
}
