//! CREATE and DROP.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::{Schema, SchemaRef};

use super::{Engine, Outcome, View};
use crate::catalog::{Columns, Growth, Relation, Snapshot, SqlFunction, TableDef, ViewDef, WatermarkDef, bind_columns};
use crate::connector::RelationSpec;
use crate::error::{Error, Result};
use crate::exec;
use crate::plan::{self, Purpose};
use crate::runtime::{Contents, Lives, NewQuery, Output};
use crate::settings::Options;
use crate::sql::statement::{
    CreateFunction, CreateSink, CreateTable, CreateView, FunctionBody, Insert, Name, Query, RelationKind,
};

impl Engine {
    pub(super) async fn create_table(&self, create: &CreateTable, check: bool) -> Result<Outcome> {
        let tag = if create.kind == RelationKind::Source { "CREATE SOURCE" } else { "CREATE TABLE" };
        if let Some(done) = self.exists(&create.name, create.if_not_exists, create.or_replace, tag)? {
            return Ok(done);
        }
        if create.kind == RelationKind::Table && !create.options.contains("connector") {
            return self.create_stored(create, check).await;
        }
        if let Some(like) = &create.like {
            return Err(Error::unsupported("CREATE TABLE … LIKE does not run yet")
                .at(like.span)
                .help(format!("SHOW CREATE TABLE {} prints the columns to copy", like.spelled)));
        }
        let inferred = match &create.query {
            // CREATE TABLE … AS SELECT is a sink with the query's columns.
            Some(query) => Some(self.output_schema(query)?),
            None => None,
        };
        let table = self.bind_table(create, inferred)?;
        self.remove(&table.name).await?;
        if table.watermark.is_some() && table.description.readable {
            self.declare_late(&table.name, &table.schema)?;
        }
        self.catalog_mut().put(Relation::Table(Arc::new(table)))?;
        match &create.query {
            None => Ok(Outcome::Done(tag.to_owned())),
            Some(query) => self.insert(&Insert::all(&create.name, query), check).await,
        }
    }

    pub(super) async fn create_sink(&self, create: &CreateSink, check: bool) -> Result<Outcome> {
        if let Some(done) = self.exists(&create.name, create.if_not_exists, false, "CREATE SINK")? {
            return Ok(done);
        }
        if create.into.is_some() {
            return self.sink_into(create, check).await;
        }
        let inferred = match &create.query {
            Some(query) if create.columns.is_empty() => Some(self.output_schema(query)?),
            _ => None,
        };
        let table = CreateTable {
            name: create.name.clone(),
            kind: RelationKind::Sink,
            or_replace: false,
            if_not_exists: false,
            temporary: false,
            columns: create.columns.clone(),
            watermark: None,
            primary_key: Vec::new(),
            partitioned_by: Vec::new(),
            options: create.options.clone(),
            query: None,
            like: None,
            append_only: false,
            on_conflict_keep: false,
        };
        let table = self.bind_table(&table, inferred)?;
        self.catalog_mut().put(Relation::Table(Arc::new(table)))?;
        match &create.query {
            None => Ok(Outcome::Done("CREATE SINK".to_owned())),
            Some(query) => {
                let insert = Insert::all(&create.name, query);
                let planned = self.plan_insert(&insert)?;
                self.start_insert(&insert, planned, Lives::WithTables, check).await
            }
        }
    }

    /// The columns that a query gives.
    pub(super) fn output_schema(&self, query: &Query) -> Result<SchemaRef> {
        self.declare_bare_names(query)?;
        let plan = self.catalog().bind(&query.query)?;
        Ok(Arc::new(plan.schema().as_arrow().clone()))
    }

    /// Resolves a DDL to a table: its connector asked what it can do, its columns bound, every option known.
    pub(super) fn bind_table(&self, create: &CreateTable, inferred: Option<SchemaRef>) -> Result<TableDef> {
        let mut options = create.options.clone();
        let Some(name) = options.get("connector").map(str::to_owned) else {
            let error =
                Error::unsupported(format!("table '{}' names no connector", create.name.spelled)).at(create.name.span);
            return Err(error
                .help("say where its rows come from or go to: WITH (connector = 'filesystem', path = '…')")
                .help("CREATE TABLE without a connector makes a table with rows of its own, for INSERT, UPDATE and DELETE"));
        };
        if !create.partitioned_by.is_empty() && !options.contains("partitioned_by") {
            let columns: Vec<&str> = create.partitioned_by.iter().map(|n| n.value.as_str()).collect();
            options.put("partitioned_by", columns.join(","), None)?;
        }
        let connector =
            self.shared.registry.get(&name).map_err(|e| options.span("connector").into_iter().fold(e, Error::at))?;
        self.may_reach(connector.as_ref(), &options, create.name.span)?;
        let session = self.catalog().session();
        let declared = create.columns.iter().any(|c| c.data_type.is_some() && c.computed.is_none());
        let in_ddl = |e: Error| if e.span().is_none() { e.at(create.name.span) } else { e };
        let inferred: Option<SchemaRef> = match inferred {
            Some(schema) => Some(schema),
            None if declared => None,
            None => {
                let spec = self.spec(&create.name.value, Arc::new(Schema::empty()), options.clone());
                Some(connector.infer(&spec).map_err(in_ddl)?)
            }
        };
        let columns = bind_columns(&session, create, inferred.as_deref())?;
        let mut table = TableDef {
            name: create.name.value.clone(),
            schema: Arc::clone(&columns.schema),
            computed: columns.computed.clone(),
            watermark: watermark_of(&columns, &options)?,
            connector: connector.name().to_owned(),
            options: options.clone(),
            description: crate::catalog::Description {
                bounded: true,
                live: false,
                readable: true,
                writable: true,
                accepts_changes: false,
                gives_changes: false,
                partitions: 1,
            },
            idle_timeout_micros: options.duration("idle_timeout")?,
            primary_key: columns.primary_key,
        };
        let spec = self.table_spec(&table)?;
        table.description = connector.describe(&spec).map_err(in_ddl)?;
        if let (true, Some(watermark)) = (table.description.gives_changes, &create.watermark) {
            return Err(Error::unsupported("rows that take the place of others have no watermark")
                .at(watermark.column.span)
                .help("drop the WATERMARK clause: queries over this table are kept current, row by row")
                .help("or read its records as they are, with format = 'json'"));
        }
        known_to_every_table(&spec)?;
        spec.options.finish(&format!("the {} connector", connector.name()))?;
        if let Some(kind) = options.get("type") {
            let fits = match kind.to_ascii_lowercase().as_str() {
                "source" => table.description.readable,
                "sink" => table.description.writable,
                _ => return Err(options.wrong("type", "option 'type' is 'source' or 'sink'")),
            };
            if !fits {
                return Err(options.wrong("type", format!("the {} connector makes no {kind}", connector.name())));
            }
        }
        Ok(table)
    }

    /// What a table's connector is told.
    pub(super) fn table_spec(&self, table: &TableDef) -> Result<RelationSpec> {
        Ok(self.spec(&table.name, Arc::new(table.physical_schema()?), table.options.clone()))
    }

    /// What a table's connector is told about it as a source.
    pub(super) fn source_spec(&self, table: &TableDef) -> Result<RelationSpec> {
        let schema = table.source_schema().project(&table.source_columns())?;
        Ok(self.spec(&table.name, Arc::new(schema), table.options.clone()))
    }

    pub(super) async fn create_view(&self, create: &CreateView, check: bool) -> Result<Outcome> {
        let tag = if create.materialized { "CREATE MATERIALIZED VIEW" } else { "CREATE VIEW" };
        if let Some(done) = self.exists(&create.name, create.if_not_exists, create.or_replace, tag)? {
            return Ok(done);
        }
        let mut query = create.query.as_ref().clone();
        rename_columns(&mut query, &create.columns, &create.name)?;
        self.declare_bare_names(&query)?;
        let (bound, references) = {
            let catalog = self.catalog();
            (catalog.bind(&query.query)?, catalog.references(&query.query)?)
        };
        let name = create.name.value.clone();
        let mut def = ViewDef { name, query: query.clone(), plan: bound, references, growth: None };
        if !create.materialized {
            if let Some(emit) = &query.emit {
                return Err(Error::sql("a view has no EMIT: it is expanded where it is used")
                    .at(emit.span)
                    .help("put EMIT behind the query that reads it"));
            }
            self.remove(&def.name).await?;
            self.catalog_mut().put(Relation::View(Arc::new(def)))?;
            return Ok(Outcome::Done(tag.to_owned()));
        }
        let plan = plan::plan(&self.catalog(), &query, Purpose::View, None)?;
        let schema: SchemaRef = Arc::new(def.plan.schema().as_arrow().clone());
        no_column_twice(&schema, &create.name)?;
        def.growth = Some(Growth { append_only: plan.append_only, key: plan.key.clone() });
        let contents = Arc::new(Mutex::new(Contents::new(Arc::clone(&schema), plan.append_only)?));
        let snapshot = Arc::new(Snapshot::new(&def.name, schema));
        let notices = plan.notices.clone();
        if check {
            self.remove(&def.name).await?;
            self.catalog_mut().put(Relation::MaterializedView(Arc::new(def), snapshot))?;
            return Ok(Outcome::Started { query: 0, name: create.name.value.clone(), notices });
        }
        let session = self.catalog().session();
        let running = exec::Query::new(plan, &session).await?;
        self.remove(&def.name).await?;
        let name = create.name.value.clone();
        let mut driver = self.shared.driver.lock().await;
        let id = driver.next_query();
        let output = Output::View(Arc::clone(&contents));
        let new = NewQuery { id, name: name.clone(), query: running, output, lives: Lives::WithTables };
        driver.add(new, |table| self.input_of(table))?;
        driver.wake().notify();
        self.shared
            .views
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.clone(), View { query: Some(id), contents });
        self.catalog_mut().put(Relation::MaterializedView(Arc::new(def), snapshot))?;
        if self.catalog().is_at_rest(&name) {
            // All its rows are here: it is complete when the statement returns.
            self.step_tables(&mut driver).await?;
        }
        Ok(Outcome::Started { query: id, name, notices })
    }

    pub(super) fn create_function(&self, create: &CreateFunction) -> Result<Outcome> {
        let tag = Outcome::Done("CREATE FUNCTION".to_owned());
        if let FunctionBody::Class(class) = &create.body
            && let Some(own) = crate::catalog::functions::of_class(class)
        {
            if own == create.name.value {
                return Ok(tag);
            }
            return Err(Error::unsupported(format!("'{class}' is built in under the name '{own}'"))
                .at(create.name.span)
                .help(format!("call {own}(…)")));
        }
        let mut catalog = self.catalog_mut();
        if catalog.has_function(&create.name.value) && !create.or_replace {
            return Err(Error::sql(format!("there is a function '{}' already", create.name.spelled))
                .at(create.name.span)
                .help("write CREATE OR REPLACE FUNCTION"));
        }
        catalog.put_function(SqlFunction::new(create)?);
        Ok(tag)
    }

    pub(super) async fn drop_relations(
        &self,
        kind: RelationKind,
        if_exists: bool,
        names: &[Name],
        cascade: bool,
    ) -> Result<Outcome> {
        for name in names {
            if kind == RelationKind::Function {
                if !self.catalog_mut().remove_function(&name.value) && !if_exists {
                    return Err(
                        Error::sql(format!("there is no function '{}' made in SQL", name.spelled)).at(name.span)
                    );
                }
                continue;
            }
            if kind == RelationKind::Index {
                let dropped = self.indexes().remove(&name.value).is_some();
                if !dropped && !if_exists {
                    return Err(Error::sql(format!("there is no index '{}'", name.spelled)).at(name.span));
                }
                continue;
            }
            if self.catalog().get(&name.value).is_none() && if_exists {
                continue;
            }
            check_kind(kind, self.catalog().require(name)?, name)?;
            let dependents = self.dependents(&name.value);
            if !dependents.is_empty() && !cascade {
                return Err(Error::sql(format!("'{}' is read by {}", name.spelled, dependents.join(", ")))
                    .at(name.span)
                    .help("DROP … CASCADE drops them too"));
            }
            for dependent in dependents.into_iter().chain([name.value.clone()]) {
                self.stop_readers(&dependent, cascade, name).await?;
                self.remove(&dependent).await?;
            }
        }
        let what = match kind {
            RelationKind::Table => "TABLE",
            RelationKind::Source => "SOURCE",
            RelationKind::Sink => "SINK",
            RelationKind::View => "VIEW",
            RelationKind::MaterializedView => "MATERIALIZED VIEW",
            RelationKind::Function => "FUNCTION",
            RelationKind::Index => "INDEX",
        };
        Ok(Outcome::Done(format!("DROP {what}")))
    }

    /// The views that read a relation, directly or through others; the furthest first.
    fn dependents(&self, name: &str) -> Vec<String> {
        let catalog = self.catalog();
        let mut found: Vec<String> = Vec::new();
        let mut front = vec![name.to_owned()];
        while let Some(read) = front.pop() {
            for relation in catalog.relations() {
                let view = relation.name();
                let is_late = view == Self::late_name(name);
                if relation.references().contains(&read) && !found.iter().any(|f| f == view) && !is_late {
                    found.insert(0, view.to_owned());
                    front.push(view.to_owned());
                }
            }
        }
        found
    }

    /// Before a relation that holds rows goes: the queries that read it go with CASCADE only.
    async fn stop_readers(&self, relation: &str, cascade: bool, name: &Name) -> Result<()> {
        let mut driver = self.shared.driver.lock().await;
        for (id, reader) in driver.readers(relation) {
            if !cascade {
                return Err(Error::sql(format!("'{relation}' is read by the query '{reader}' ({id})"))
                    .at(name.span)
                    .help("DROP … CASCADE stops it too"));
            }
            driver.stop(id)?;
        }
        Ok(())
    }

    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        let view = self.shared.views.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        match view {
            Some(View { query: Some(query), .. }) => drop(self.shared.driver.lock().await.stop(query)?),
            Some(View { query: None, .. }) => self.shared.driver.lock().await.remove_table(name),
            None => {}
        }
        self.indexes().retain(|_, on| on != name);
        self.catalog_mut().remove(name)?;
        let late = Self::late_name(name);
        self.shared.views.lock().unwrap_or_else(PoisonError::into_inner).remove(&late);
        self.catalog_mut().remove(&late)?;
        Ok(())
    }

    /// Whether a name is taken: an outcome when that is fine, an error when not.
    pub(super) fn exists(
        &self,
        name: &Name,
        if_not_exists: bool,
        or_replace: bool,
        tag: &str,
    ) -> Result<Option<Outcome>> {
        if self.catalog().get(&name.value).is_none() {
            return Ok(None);
        }
        if or_replace {
            // A view is bound to the columns that were there when it was made.
            let dependents = self.dependents(&name.value);
            if dependents.is_empty() {
                return Ok(None);
            }
            return Err(Error::sql(format!("'{}' is read by {}", name.spelled, dependents.join(", ")))
                .at(name.span)
                .help(format!("DROP … {} CASCADE drops them too; then create them again", name.spelled)));
        }
        if if_not_exists {
            return Ok(Some(Outcome::Done(tag.to_owned())));
        }
        Err(Error::sql(format!("'{}' exists already", name.spelled))
            .at(name.span)
            .help("write CREATE OR REPLACE, IF NOT EXISTS, or DROP it first"))
    }
}

/// What holds rows is read by the names of its columns: each is there once.
pub(super) fn no_column_twice(schema: &Schema, name: &Name) -> Result<()> {
    let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
    match names.iter().enumerate().find(|(n, column)| names[..*n].contains(column)) {
        None => Ok(()),
        Some((_, twice)) => Err(Error::sql(format!("'{}' has two columns named '{twice}'", name.spelled))
            .at(name.span)
            .help(format!("give one of them another name: … AS {twice}_2"))),
    }
}

/// Whether DROP names what a relation is.
fn check_kind(kind: RelationKind, relation: &Relation, name: &Name) -> Result<()> {
    let fits = match kind {
        RelationKind::Table => matches!(relation, Relation::Table(_) | Relation::Stored(..)),
        RelationKind::Source | RelationKind::Sink => matches!(relation, Relation::Table(_)),
        RelationKind::View => !matches!(relation, Relation::Table(_) | Relation::Stored(..)),
        RelationKind::MaterializedView => matches!(relation, Relation::MaterializedView(..)),
        RelationKind::Function | RelationKind::Index => true,
    };
    if fits {
        return Ok(());
    }
    let is = relation.kind();
    Err(Error::sql(format!("'{}' is a {is}", name.spelled)).at(name.span).help(format!(
        "DROP {} {}",
        is.to_uppercase(),
        name.spelled
    )))
}

/// The watermark of a table: from WATERMARK FOR, or from the option `event_time` of other engines.
fn watermark_of(columns: &Columns, options: &Options) -> Result<Option<WatermarkDef>> {
    if columns.watermark.is_some() {
        return Ok(columns.watermark.clone());
    }
    let Some(name) = options.get("event_time") else { return Ok(None) };
    let column = columns
        .schema
        .index_of(&name.to_lowercase())
        .or_else(|_| columns.schema.index_of(name))
        .map_err(|_| options.wrong("event_time", format!("there is no column '{name}'")))?;
    if !matches!(columns.schema.field(column).data_type(), arrow::datatypes::DataType::Timestamp(..)) {
        return Err(options.wrong("event_time", format!("column '{name}' is not a timestamp")));
    }
    let delay_micros = Some(options.duration("watermark_delay")?.unwrap_or(0));
    Ok(Some(WatermarkDef { column, delay_micros, expr: None }))
}

/// Options that every table may have, whatever its connector: the engine reads them.
fn known_to_every_table(spec: &RelationSpec) -> Result<()> {
    for name in ["connector", "type", "event_time", "watermark_delay", "idle_timeout", "dead_letter", "partitioned_by"]
    {
        let _ = spec.options.get(name);
    }
    crate::format::FormatSpec::from_options(&spec.options, None)?;
    crate::format::on_error(&spec.options).map(drop)
}

/// `CREATE VIEW v (a, b) AS …`: the query's columns by other names.
fn rename_columns(query: &mut Query, columns: &[Name], view: &Name) -> Result<()> {
    use sqlparser::ast::{SelectItem, SetExpr};
    if columns.is_empty() {
        return Ok(());
    }
    let SetExpr::Select(select) = query.query.body.as_mut() else {
        return Err(Error::unsupported("column names for a view over UNION or VALUES")
            .at(view.span)
            .help("name the columns in the query"));
    };
    if select.projection.len() != columns.len() {
        return Err(Error::sql(format!(
            "the view names {} columns, its query has {}",
            columns.len(),
            select.projection.len()
        ))
        .at(view.span));
    }
    for (item, name) in select.projection.iter_mut().zip(columns) {
        let expr = match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => expr.clone(),
            _ => {
                return Err(Error::unsupported("column names for a view over SELECT *")
                    .at(view.span)
                    .help("name the columns in the query"));
            }
        };
        *item = SelectItem::ExprWithAlias { expr, alias: sqlparser::ast::Ident::with_quote('"', &name.value) };
    }
    Ok(())
}
