//! INSERT, UPDATE and DELETE of tables with rows of their own. Each is one interval, decided when the statement returns: the
//! next SELECT sees it, and so does every view.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat_batches, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::logical_expr::Expr;
use sqlparser::ast;

use super::{Engine, Outcome};
use crate::catalog::{Relation, StoredTable};
use crate::error::{Error, Result, nearest};
use crate::exec;
use crate::plan::{self, Purpose, Target};
use crate::runtime::{Lives, NewQuery, OnConflict, Output};
use crate::sql::statement::{Conflict, ConflictAction, CreateSink, Insert, Name, Query, Update};
use crate::state::KeyIndex;

impl Engine {
    /// INSERT into a table with rows of its own: once, or for as long as rows come when the query reads a stream.
    pub(super) async fn insert_stored(&self, table: Arc<StoredTable>, insert: &Insert, check: bool) -> Result<Outcome> {
        self.declare_bare_names(&insert.query)?;
        let mut insert = insert.clone();
        let named = named_columns(&table, &insert.columns)?;
        put_defaults(&mut insert.query, &table, &named);
        if !self.reads_no_stream(&insert.query) || insert.query.emit.is_some() {
            if let Some(conflict) = &insert.on_conflict {
                return Err(Error::unsupported("ON CONFLICT in an INSERT that goes on").at(conflict.span).help(
                    "leave it out: a row takes the place of the one with its key; ON CONFLICT DO NOTHING in the table's DDL keeps the old one",
                ));
            }
            let lives = if self.is_at_rest(&insert.query) { Lives::WithTables } else { Lives::WithStreams };
            return self.fill(&table, &insert, &named, lives, check).await;
        }
        let columns = table.schema.project(&named)?;
        let then = self.completion(&table, &named)?;
        let bound = self.catalog().bind(&insert.query.query)?;
        let plan = plan::fit(bound, Target { columns: &columns, then: &then }, &insert.query)?;
        let on_conflict = self.conflict(&table, insert.on_conflict.as_ref())?;
        if check {
            return Ok(Outcome::Done("INSERT".to_owned()));
        }
        let mut driver = self.shared.driver.lock().await;
        let (_, batches) = self.answer(&mut driver, &plan, &insert.query).await?;
        let rows = whole_rows(&table.schema, &batches)?;
        let count = match on_conflict {
            OnKey::Replace | OnKey::Keep => {
                let keep = on_conflict.is_keep();
                let there = if keep { driver.same_key(&table.name, &rows)?.0.len() } else { 0 };
                let on_conflict = if keep { OnConflict::Keep } else { OnConflict::Replace };
                let count = rows.num_rows() - there;
                driver.write(&table.name, None, Some((rows, on_conflict)))?;
                count
            }
            OnKey::Update(update) => {
                let (there, old) = driver.same_key(&table.name, &rows)?;
                refuse_twice(&table, &rows)?;
                let fresh: Vec<u32> =
                    (0..rows.num_rows() as u32).filter(|row| there.binary_search(row).is_err()).collect();
                let fresh = take_record_batch(&rows, &UInt32Array::from(fresh))?;
                let excluded = take_record_batch(&rows, &UInt32Array::from(there))?;
                let updated = self.updated(&table, &update, &old, &excluded)?;
                let count = fresh.num_rows() + updated.num_rows();
                let all = concat_batches(&table.schema, [&updated, &fresh])?;
                driver.write(&table.name, None, Some((all, OnConflict::Replace)))?;
                count
            }
        };
        self.step_tables(&mut driver).await?;
        Ok(Outcome::Done(format!("INSERT 0 {count}")))
    }

    /// `CREATE SINK … INTO table`: the changes of a query, into a table with rows of its own.
    pub(super) async fn sink_into(&self, create: &CreateSink, check: bool) -> Result<Outcome> {
        let (Some(into), Some(query)) = (&create.into, &create.query) else {
            return Err(Error::sql("a sink into a table needs a query")
                .at(create.name.span)
                .help("CREATE SINK name INTO table FROM view, or … AS SELECT …"));
        };
        let target = self.catalog().require(into)?.clone();
        let Relation::Stored(table, _) = target else {
            return Err(Error::sql(format!("'{}' is not a table with rows of its own", into.spelled))
                .at(into.span)
                .help(format!("write INSERT INTO {} SELECT …", into.spelled)));
        };
        let named = named_columns(&table, &[])?;
        self.fill(&table, &Insert::all(into, query), &named, Lives::WithTables, check).await
    }

    /// A continuous query into a table with rows of its own.
    async fn fill(
        &self,
        table: &Arc<StoredTable>,
        insert: &Insert,
        named: &[usize],
        lives: Lives,
        check: bool,
    ) -> Result<Outcome> {
        self.declare_bare_names(&insert.query)?;
        let columns = table.schema.project(named)?;
        let then = self.completion(table, named)?;
        let target = Target { columns: &columns, then: &then };
        let plan = plan::plan(&self.catalog(), &insert.query, Purpose::Output, Some(target))?;
        if table.append_only && !plan.append_only {
            return Err(Error::sql(format!("the query's rows change, but '{}' is APPEND ONLY", table.name))
                .at(insert.target.span)
                .help("leave APPEND ONLY out of its DDL"));
        }
        let notices = self.notices(&plan, &insert.query);
        let name = table.name.clone();
        if check {
            return Ok(Outcome::Started { query: 0, name, notices });
        }
        let session = self.catalog().session();
        let query = exec::Query::new(plan, &session).await?;
        let mut driver = self.shared.driver.lock().await;
        let id = driver.next_query();
        let new = NewQuery { id, name: name.clone(), query, output: Output::Table(name.clone()), lives };
        driver.add(new, |table| self.input_of(table))?;
        driver.wake().notify();
        Ok(Outcome::Started { query: id, name, notices })
    }

    /// The steps from the named columns of a table to whole rows of it: defaults, then computed columns.
    pub(super) fn completion(&self, table: &StoredTable, named: &[usize]) -> Result<Vec<Vec<Expr>>> {
        let none = DFSchema::empty();
        let column = |i: usize| Expr::Column(Column::new_unqualified(table.schema.field(i).name()));
        let default = |i: usize| -> Result<Expr> {
            let field = table.schema.field(i);
            let value = match table.defaults.get(&i) {
                Some(default) => self.catalog().bind_expr(default, &none)?,
                None => Expr::Literal(datafusion::common::ScalarValue::Null, None),
            };
            Ok(datafusion::logical_expr::cast(value, field.data_type().clone()).alias(field.name()))
        };
        let physical = table.physical().into_iter();
        let inserted = physical.map(|i| if named.contains(&i) { Ok(column(i)) } else { default(i) });
        let inserted = inserted.collect::<Result<Vec<_>>>()?;
        let whole = (0..table.schema.fields().len()).map(|i| match table.computed.get(&i) {
            Some(expr) => expr.clone().alias(table.schema.field(i).name()),
            None => column(i),
        });
        Ok(vec![inserted, whole.collect()])
    }

    pub(super) async fn update(&self, update: &Update, check: bool) -> Result<Outcome> {
        let table = self.stored(&update.target, "updated")?;
        let physical = table.physical();
        for (column, _) in &update.assignments {
            let index = column_of(&table, column)?;
            if table.computed.contains_key(&index) {
                return Err(
                    Error::sql(format!("column '{}' is computed: it can't be set", column.spelled)).at(column.span)
                );
            }
        }
        if !update.from.is_empty() && table.primary_key.is_empty() {
            return Err(Error::unsupported(format!("UPDATE … FROM needs a PRIMARY KEY on '{}'", table.name))
                .at(update.target.span)
                .help("without one, which of several matches counts would be chance"));
        }
        let columns = table.schema.fields().len();
        let old = (0..columns).map(|i| (of_target(update, table.schema.field(i).name()), format!("old{i}")));
        let new = physical.iter().map(|i| {
            let name = table.schema.field(*i).name();
            let set = update.assignments.iter().find(|(column, _)| column.value == *name);
            let value = match set {
                Some((_, ast::Expr::Identifier(word))) if is_default(word) => table.defaults.get(i).cloned(),
                Some((_, expr)) => Some(expr.clone()),
                None => Some(of_target(update, name)),
            };
            (value.unwrap_or(ast::Expr::Value(ast::Value::Null.into())), format!("new{i}"))
        });
        let query = rows_to_change(update, old.chain(new));
        let plan = self.catalog().bind(&query.query)?;
        if check {
            return Ok(Outcome::Done("UPDATE".to_owned()));
        }
        let mut driver = self.shared.driver.lock().await;
        let (_, batches) = self.answer(&mut driver, &plan, &query).await?;
        let mut gone = Vec::new();
        let mut come = Vec::new();
        for batch in batches {
            let (old, new) = batch.columns().split_at(columns);
            gone.push(RecordBatch::try_new(Arc::clone(&table.schema), old.to_vec())?);
            come.push(self.computed(&table, &physical, new)?);
        }
        let gone = concat_batches(&table.schema, &gone)?;
        let come = concat_batches(&table.schema, &come)?;
        let is_key = |column: &Name| table.primary_key.iter().any(|k| table.schema.field(*k).name() == &column.value);
        if update.assignments.iter().any(|(column, _)| is_key(column)) {
            refuse_twice(&table, &come)?;
            let (_, taken) = driver.same_key(&table.name, &come)?;
            let mut freed = KeyIndex::new(&key_types(&table))?;
            freed.insert(&keys_of(&table, &gone), gone.num_rows())?;
            if freed.find(&keys_of(&table, &taken), taken.num_rows())?.iter().any(Option::is_none) {
                return Err(duplicate_key(&table));
            }
        }
        let count = gone.num_rows();
        driver.write(&table.name, Some(&gone), Some((come, OnConflict::Replace)))?;
        self.step_tables(&mut driver).await?;
        Ok(Outcome::Done(format!("UPDATE {count}")))
    }

    pub(super) async fn delete(&self, delete: &Update, check: bool) -> Result<Outcome> {
        let table = self.stored(&delete.target, "deleted from")?;
        let columns = table.schema.fields().iter();
        let old = columns.enumerate().map(|(i, f)| (of_target(delete, f.name()), format!("old{i}")));
        let query = rows_to_change(delete, old);
        let plan = self.catalog().bind(&query.query)?;
        if check {
            return Ok(Outcome::Done("DELETE".to_owned()));
        }
        let mut driver = self.shared.driver.lock().await;
        let (_, batches) = self.answer(&mut driver, &plan, &query).await?;
        let gone = whole_rows(&table.schema, &batches)?;
        let count = driver.write(&table.name, Some(&gone), None)?;
        self.step_tables(&mut driver).await?;
        Ok(Outcome::Done(format!("DELETE {count}")))
    }

    /// The table with rows of its own that a statement changes.
    fn stored(&self, name: &Name, how: &str) -> Result<Arc<StoredTable>> {
        let catalog = self.catalog();
        let table = match catalog.require(name)? {
            Relation::Stored(table, _) => Arc::clone(table),
            other => {
                let what = if matches!(other, Relation::Table(_)) {
                    "its rows are those of its connector"
                } else {
                    "its rows are those of its query"
                };
                return Err(Error::sql(format!("'{}' can't be {how}: {what}", name.spelled)).at(name.span));
            }
        };
        if table.append_only {
            return Err(Error::sql(format!("'{}' is APPEND ONLY: it can't be {how}", name.spelled)).at(name.span));
        }
        Ok(table)
    }

    /// Rows of a table from the columns that are not computed.
    fn computed(&self, table: &StoredTable, physical: &[usize], values: &[ArrayRef]) -> Result<RecordBatch> {
        let schema = Arc::new(table.schema.project(physical)?);
        let values = values.iter().zip(schema.fields()).map(|(v, f)| cast(v, f.data_type()));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let nullable = Arc::new(Schema::new(
            schema.fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>(),
        ));
        let over = DFSchema::try_from(nullable.as_ref().clone())?;
        let batch = RecordBatch::try_new(nullable, values)?;
        let session = self.catalog().session();
        let column = |i: usize| -> Result<ArrayRef> {
            let Some(expr) = table.computed.get(&i) else {
                let at = physical
                    .iter()
                    .position(|p| *p == i)
                    .ok_or_else(|| Error::internal("a column that is not there"))?;
                return Ok(Arc::clone(batch.column(at)));
            };
            let value = session.create_physical_expr(expr.clone(), &over)?.evaluate(&batch)?;
            Ok(cast(&value.into_array(batch.num_rows())?, table.schema.field(i).data_type())?)
        };
        let columns = (0..table.schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
        rows_of(&table.schema, columns)
    }

    /// What ON CONFLICT says, bound.
    fn conflict(&self, table: &StoredTable, conflict: Option<&Conflict>) -> Result<OnKey> {
        let Some(conflict) = conflict else {
            return Ok(if table.keeps_old { OnKey::Keep } else { OnKey::Replace });
        };
        let named: Vec<usize> = conflict.columns.iter().map(|c| column_of(table, c)).collect::<Result<_>>()?;
        let same = named.len() == table.primary_key.len() && named.iter().all(|c| table.primary_key.contains(c));
        if table.primary_key.is_empty() || (!named.is_empty() && !same) {
            return Err(Error::sql("ON CONFLICT names what is not the table's PRIMARY KEY")
                .at(conflict.span)
                .help(format!("declare it: CREATE TABLE {} (…, PRIMARY KEY (…))", table.name)));
        }
        let ConflictAction::Update { assignments, selection } = &conflict.action else { return Ok(OnKey::Keep) };
        let schema = both(table)?;
        let catalog = self.catalog();
        let mut bound = Vec::new();
        for (column, expr) in assignments {
            let index = column_of(table, column)?;
            if table.primary_key.contains(&index) || table.computed.contains_key(&index) {
                return Err(Error::sql(format!("column '{}' can't be set here", column.spelled)).at(column.span));
            }
            bound.push((index, catalog.bind_expr(expr, &schema)?));
        }
        let selection = selection.as_ref().map(|s| catalog.bind_expr(s, &schema)).transpose()?;
        Ok(OnKey::Update(Assignments { bound, selection }))
    }

    /// The old rows with what DO UPDATE sets in them; those where its WHERE does not hold are left out.
    fn updated(
        &self,
        table: &StoredTable,
        update: &Assignments,
        old: &RecordBatch,
        excluded: &RecordBatch,
    ) -> Result<RecordBatch> {
        let over = both(table)?;
        let columns = old.columns().iter().chain(excluded.columns()).cloned().collect();
        let mut both = RecordBatch::try_new(Arc::new(over.as_arrow().clone()), columns)?;
        let session = self.catalog().session();
        let evaluate = |expr: &Expr, over: &DFSchema, rows: &RecordBatch| -> Result<ArrayRef> {
            let value = session.create_physical_expr(expr.clone(), over)?.evaluate(rows)?;
            Ok(value.into_array(rows.num_rows())?)
        };
        if let Some(selection) = &update.selection {
            let mask = evaluate(selection, &over, &both)?;
            let mask: &BooleanArray =
                mask.as_boolean_opt().ok_or_else(|| Error::sql("the WHERE of DO UPDATE is no condition"))?;
            both = filter_record_batch(&both, mask)?;
        }
        let mut columns: Vec<ArrayRef> = both.columns()[..table.schema.fields().len()].to_vec();
        for (index, expr) in &update.bound {
            columns[*index] = cast(&evaluate(expr, &over, &both)?, table.schema.field(*index).data_type())?;
        }
        let physical = table.physical();
        let values: Vec<ArrayRef> = physical.iter().map(|i| Arc::clone(&columns[*i])).collect();
        self.computed(table, &physical, &values)
    }
}

/// What becomes of rows whose key is there.
enum OnKey {
    Replace,
    Keep,
    Update(Assignments),
}

impl OnKey {
    fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// `DO UPDATE SET …`, over the old row and `excluded`.
struct Assignments {
    bound: Vec<(usize, Expr)>,
    selection: Option<Expr>,
}

/// The columns of a row that is there and, as `excluded`, of the one that was to be inserted.
fn both(table: &StoredTable) -> Result<DFSchema> {
    let qualified = |name: &str| {
        let reference = TableReference::bare(name.to_owned());
        let nullable = |f: &Arc<arrow::datatypes::Field>| Arc::new(f.as_ref().clone().with_nullable(true));
        table.schema.fields().iter().map(move |f| (Some(reference.clone()), nullable(f))).collect::<Vec<_>>()
    };
    let fields = qualified(&table.name).into_iter().chain(qualified("excluded")).collect();
    Ok(DFSchema::new_with_metadata(fields, std::collections::HashMap::new())?)
}

/// Refuses rows of which two have one key.
fn refuse_twice(table: &StoredTable, rows: &RecordBatch) -> Result<()> {
    let mut index = KeyIndex::new(&key_types(table))?;
    index.insert(&keys_of(table, rows), rows.num_rows())?;
    if index.len() == rows.num_rows() { Ok(()) } else { Err(duplicate_key(table)) }
}

fn duplicate_key(table: &StoredTable) -> Error {
    let key: Vec<&str> = table.primary_key.iter().map(|k| table.schema.field(*k).name().as_str()).collect();
    Error::data(format!("two rows of '{}' would have the same PRIMARY KEY ({})", table.name, key.join(", ")))
        .help("nothing was changed; give each row a key of its own")
}

fn keys_of(table: &StoredTable, rows: &RecordBatch) -> Vec<ArrayRef> {
    table.primary_key.iter().map(|k| Arc::clone(rows.column(*k))).collect()
}

fn key_types(table: &StoredTable) -> Vec<DataType> {
    table.primary_key.iter().map(|k| table.schema.field(*k).data_type().clone()).collect()
}

/// `SELECT … FROM target, from WHERE selection` of an UPDATE or DELETE.
fn rows_to_change(update: &Update, columns: impl Iterator<Item = (ast::Expr, String)>) -> Query {
    let item =
        |(expr, alias): (ast::Expr, String)| ast::SelectItem::ExprWithAlias { expr, alias: ast::Ident::new(alias) };
    let alias = update.alias.as_ref().map(|name| ast::Ident::with_quote('"', &name.value));
    let target = ast::Ident::with_quote('"', &update.target.value);
    let query = crate::sql::select_from(
        target,
        alias,
        update.from.clone(),
        update.selection.clone(),
        columns.map(item).collect(),
    );
    Query { query, emit: None }
}

/// A column of the table that is changed.
fn of_target(update: &Update, column: &str) -> ast::Expr {
    let name = update.alias.as_ref().unwrap_or(&update.target);
    ast::Expr::CompoundIdentifier(vec![ast::Ident::with_quote('"', &name.value), ast::Ident::with_quote('"', column)])
}

/// The columns that an INSERT names, by index; all that are not computed when it names none.
fn named_columns(table: &StoredTable, names: &[Name]) -> Result<Vec<usize>> {
    if names.is_empty() {
        return Ok(table.physical());
    }
    let mut named = Vec::new();
    for name in names {
        let index = column_of(table, name)?;
        if table.computed.contains_key(&index) {
            return Err(
                Error::sql(format!("column '{}' is computed: nothing is inserted into it", name.spelled)).at(name.span)
            );
        }
        if named.contains(&index) {
            return Err(Error::sql(format!("column '{}' is named twice", name.spelled)).at(name.span));
        }
        named.push(index);
    }
    Ok(named)
}

fn column_of(table: &StoredTable, name: &Name) -> Result<usize> {
    table.schema.index_of(&name.value).map_err(|_| {
        let error = Error::sql(format!("'{}' has no column '{}'", table.name, name.spelled)).at(name.span);
        match nearest(&name.value, table.schema.fields().iter().map(|f| f.name().as_str())) {
            Some(near) => error.help(format!("did you mean '{near}'?")),
            None => error,
        }
    })
}

/// `DEFAULT` among the values of an INSERT becomes the column's default.
fn put_defaults(query: &mut Query, table: &StoredTable, named: &[usize]) {
    let ast::SetExpr::Values(values) = query.query.body.as_mut() else { return };
    for row in &mut values.rows {
        for (value, column) in row.content.iter_mut().zip(named) {
            if matches!(value, ast::Expr::Identifier(word) if is_default(word)) {
                let default = table.defaults.get(column).cloned();
                *value = default.unwrap_or(ast::Expr::Value(ast::Value::Null.into()));
            }
        }
    }
}

fn is_default(word: &ast::Ident) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case("default")
}

/// The rows of a result as rows of a table.
fn whole_rows(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
    let batches = batches.iter().map(|b| {
        let columns = b.columns().iter().zip(schema.fields()).map(|(c, f)| cast(c, f.data_type()));
        rows_of(schema, columns.collect::<Result<Vec<_>, _>>()?)
    });
    let batches = batches.collect::<Result<Vec<_>>>()?;
    Ok(concat_batches(schema, &batches)?)
}

fn rows_of(schema: &SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    for (column, field) in columns.iter().zip(schema.fields()) {
        if !field.is_nullable() && column.null_count() > 0 {
            return Err(Error::data(format!("column '{}' is NOT NULL, and a row has no value for it", field.name()))
                .help("give it a value, or declare a DEFAULT"));
        }
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
