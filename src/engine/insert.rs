//! INSERT INTO: a query into a sink.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::Expr;

use super::{Engine, Outcome};
use crate::catalog::{Relation, TableDef};
use crate::connector::{ConnectorRef, RelationSpec};
use crate::error::{Error, Result, nearest};
use crate::exec::{self, Presenter};
use crate::format::OnError;
use crate::plan::{self, IntervalPlan, Purpose, Target};
use crate::runtime::{Given, Input, Lives, NewQuery, Output, SourceSetup};
use crate::sql::statement::{EmitMode, Insert, Query};

impl Engine {
    pub(super) async fn insert(&self, insert: &Insert, check: bool) -> Result<Outcome> {
        let stored = match self.catalog().get(&insert.target.value) {
            Some(Relation::Stored(table, _)) => Some(Arc::clone(table)),
            _ => None,
        };
        if let Some(table) = stored {
            return self.insert_stored(table, insert, check).await;
        }
        let planned = self.plan_insert(insert)?;
        self.start_insert(insert, planned, self.life_of(insert), check).await
    }

    /// `EXECUTE STATEMENT SET`: every query is planned before the first is started.
    pub(super) async fn insert_all(&self, inserts: &[Insert], check: bool) -> Result<Outcome> {
        let stored = |i: &Insert| matches!(self.catalog().get(&i.target.value), Some(Relation::Stored(..)));
        let plan = |i: &Insert| if stored(i) { Ok(None) } else { self.plan_insert(i).map(Some) };
        let planned = inserts.iter().map(plan).collect::<Result<Vec<_>>>()?;
        let mut notices = Vec::new();
        let mut names = Vec::new();
        let mut last = 0;
        for (insert, planned) in inserts.iter().zip(planned) {
            let started = match planned {
                Some(planned) => self.start_insert(insert, planned, self.life_of(insert), check).await?,
                None => self.insert(insert, check).await?,
            };
            if let Outcome::Started { query, name, notices: of_one } = started {
                last = query;
                names.push(name);
                notices.extend(of_one);
            }
        }
        Ok(Outcome::Started { query: last, name: names.join(", "), notices })
    }

    /// How long an INSERT goes on: over rows that are all here it is one of a batch, unless it says EMIT.
    fn life_of(&self, insert: &Insert) -> Lives {
        match (self.is_at_rest(&insert.query), &insert.query.emit) {
            (true, None) => Lives::Once,
            (true, Some(_)) => Lives::WithTables,
            (false, _) => Lives::WithStreams,
        }
    }

    pub(super) fn plan_insert(&self, insert: &Insert) -> Result<(Arc<TableDef>, Schema, IntervalPlan)> {
        self.declare_bare_names(&insert.query)?;
        let catalog = self.catalog();
        let table = match catalog.require(&insert.target)? {
            Relation::Table(table) => Arc::clone(table),
            other => {
                return Err(Error::sql(format!(
                    "'{}' is a {}: nothing can be inserted",
                    insert.target.spelled,
                    other.kind()
                ))
                .at(insert.target.span));
            }
        };
        if !table.description.writable {
            return Err(Error::sql(format!(
                "'{}' can only be read: the {} connector makes no sink",
                table.name, table.connector
            ))
            .at(insert.target.span));
        }
        let physical = table.physical_schema()?;
        let (columns, then) = arranged(insert, &physical)?;
        let target = Target { columns: &columns, then: &then };
        let plan = plan::plan(&catalog, &insert.query, Purpose::Output, Some(target))?;
        let same_file = |name: &str| match catalog.get(name) {
            Some(Relation::Table(source)) => {
                source.options.get("path").is_some_and(|p| table.options.get("path") == Some(p))
            }
            _ => false,
        };
        if plan.sources.iter().any(|s| same_file(&s.table)) {
            return Err(Error::sql(format!("the query reads what it would write over: the path of '{}'", table.name))
                .at(insert.target.span)
                .help("write to another path, and rename it afterwards"));
        }
        let grows = plan.append_only || plan.emit == EmitMode::Complete;
        if !grows && !table.description.accepts_changes && !ends(&catalog, &plan, &insert.query) {
            let error = Error::sql(format!("the query's rows change, but '{}' only takes rows that stay", table.name));
            return Err(error
                .at(insert.target.span)
                .help("group by a window, so that only final rows come out: FROM TUMBLE(t, ts, INTERVAL '10' SECOND) GROUP BY window_start, window_end, …")
                .help("or write changes: format = 'debezium-json', or format = 'changelog'"));
        }
        Ok((table, physical, plan))
    }

    /// Starts what was planned; `lives` says for how long.
    pub(super) async fn start_insert(
        &self,
        insert: &Insert,
        (table, physical, plan): (Arc<TableDef>, Schema, IntervalPlan),
        lives: Lives,
        check: bool,
    ) -> Result<Outcome> {
        let notices = self.notices(&plan, &insert.query);
        if check {
            return Ok(Outcome::Started { query: 0, name: table.name.clone(), notices });
        }
        let session = self.catalog().session();
        let given = match plan.emit {
            EmitMode::Complete => Given::Whole,
            _ if self.is_finished_result(&plan, &insert.query) => Given::Finished,
            _ if !plan.append_only && !table.description.accepts_changes => Given::Finished,
            _ => Given::Changes,
        };
        let presenter = Presenter::new(&plan, &session)?;
        let key = plan.key.clone();
        let append_only = plan.append_only;
        let schema = match presenter.as_ref().and_then(Presenter::schema) {
            Some(_) => super::select::visible_schema(&plan),
            None => Arc::new(physical.clone()),
        };
        let running = exec::Query::new(plan, &session).await?;
        let mut spec = self.table_spec(&table)?;
        spec.key = key;
        let sink = self.connector_of(&table)?.sink(&spec)?;
        let output = Output::to(sink, given, presenter, schema, append_only)?;
        let mut driver = self.shared.driver.lock().await;
        let id = driver.next_query();
        let new = NewQuery { id, name: table.name.clone(), query: running, output, lives };
        driver.add(new, |table| self.input_of(table))?;
        if lives == Lives::Once {
            self.step_tables(&mut driver).await?;
            let written = driver.progress().queries.into_iter().find(|q| q.id == id).map_or(0, |q| q.metrics.rows_out);
            return Ok(Outcome::Done(format!("INSERT 0 {written}")));
        }
        driver.wake().notify();
        Ok(Outcome::Started { query: id, name: table.name.clone(), notices })
    }

    /// What the driver needs to know of a relation that a query reads.
    pub(super) fn input_of(&self, name: &str) -> Result<Input> {
        match self.catalog().get(name) {
            Some(Relation::MaterializedView(..) | Relation::Stored(..)) => Ok(Input::Relation(name.to_owned())),
            _ => self.source_setup(name).map(Input::Source),
        }
    }

    /// What the driver needs to read a table.
    fn source_setup(&self, name: &str) -> Result<SourceSetup> {
        let table = match self.catalog().get(name) {
            Some(Relation::Table(table)) => Arc::clone(table),
            _ => return Err(Error::internal(format!("no table '{name}' to read"))),
        };
        let connector = self.connector_of(&table)?;
        let spec = self.source_spec(&table)?;
        let default = if table.description.live { OnError::Skip } else { OnError::Fail };
        Ok(SourceSetup {
            on_error: crate::format::on_error(&table.options)?.unwrap_or(default),
            dead_letter: table.options.get("dead_letter").map(str::to_owned),
            table,
            open: Box::new(move |projection| connector.source(&spec, projection)),
            inline: self.shared.inline,
        })
    }

    /// What it takes to read a table outside of a query: its definition, its connector, and what that is told.
    pub(crate) fn source_to_record(&self, name: &str) -> Result<(TableDef, ConnectorRef, RelationSpec)> {
        let table = match self.catalog().get(name) {
            Some(Relation::Table(table)) => Arc::clone(table),
            _ => return Err(Error::internal(format!("no table '{name}' to read"))),
        };
        let (connector, spec) = (self.connector_of(&table)?, self.source_spec(&table)?);
        Ok((table.as_ref().clone(), connector, spec))
    }

    /// Whether a query's result is given once, when its input has ended: without EMIT, over files read to their end, when it
    /// is ordered or its rows would change on the way.
    pub(super) fn is_finished_result(&self, plan: &IntervalPlan, query: &Query) -> bool {
        ends(&self.catalog(), plan, query) && (plan.presentation.is_some() || !plan.append_only)
    }

    /// What the user should know about a plan.
    pub(super) fn notices(&self, plan: &IntervalPlan, query: &Query) -> Vec<String> {
        let mut notices = plan.notices.clone();
        if query.emit.is_none() && !self.is_finished_result(plan, query) && !plan.append_only {
            notices.push("without EMIT: rows come out as they change (EMIT CHANGES)".to_owned());
        }
        notices
    }
}

/// The columns that an INSERT names, and what makes whole rows of them: their order, and NULL for those that are not named.
fn arranged(insert: &Insert, physical: &Schema) -> Result<(Schema, Vec<Vec<Expr>>)> {
    if insert.columns.is_empty() {
        return Ok((physical.clone(), Vec::new()));
    }
    let mut named = Vec::new();
    for column in &insert.columns {
        let names = physical.fields().iter().map(|f| f.name().as_str());
        let index = physical.index_of(&column.value).map_err(|_| {
            let error =
                Error::sql(format!("'{}' has no column '{}'", insert.target.spelled, column.spelled)).at(column.span);
            match nearest(&column.value, names) {
                Some(near) => error.help(format!("did you mean '{near}'?")),
                None => error,
            }
        })?;
        if named.contains(&index) {
            return Err(Error::sql(format!("column '{}' is named twice", column.spelled)).at(column.span));
        }
        named.push(index);
    }
    if named.iter().copied().eq(0..physical.fields().len()) {
        return Ok((physical.clone(), Vec::new()));
    }
    let whole = physical.fields().iter().enumerate().map(|(i, field)| {
        if named.contains(&i) {
            return Ok(Expr::Column(Column::new_unqualified(field.name())));
        }
        if !field.is_nullable() {
            return Err(Error::sql(format!("column '{}' is NOT NULL, and nothing is inserted into it", field.name()))
                .at(insert.target.span));
        }
        let null = ScalarValue::try_from(field.data_type())?;
        Ok(Expr::Literal(null, None).alias(field.name()))
    });
    let whole = whole.collect::<Result<Vec<_>>>()?;
    Ok((physical.project(&named)?, vec![whole]))
}

/// Whether the query has no EMIT and all its inputs end by themselves.
fn ends(catalog: &crate::catalog::Catalog, plan: &IntervalPlan, query: &Query) -> bool {
    query.emit.is_none() && plan.sources.iter().all(|s| catalog.is_bounded(&s.table))
}
