//! Tables with rows of their own: CREATE TABLE without a connector, CREATE INDEX, FLUSH.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::ddl::no_column_twice;
use super::{Engine, Outcome, View};
use crate::catalog::{Relation, Snapshot, StoredTable, bind_columns};
use crate::error::{Error, Result, nearest};
use crate::runtime::{Contents, Driver, StepReport};
use crate::sql::statement::{CreateTable, Insert, Name};

impl Engine {
    pub(super) async fn create_stored(&self, create: &CreateTable, check: bool) -> Result<Outcome> {
        if let Some((option, _)) = create.options.iter().next() {
            return Err(Error::sql(format!("a table without a connector has no option '{option}'"))
                .at(create.options.span(option).unwrap_or(create.name.span))
                .help("say where its rows come from: WITH (connector = '…', …)")
                .help("or leave WITH (…) out: then its rows are those that INSERT, UPDATE and DELETE make"));
        }
        if let Some(watermark) = &create.watermark {
            return Err(Error::unsupported("a table with rows of its own has no WATERMARK")
                .at(watermark.column.span)
                .help("its rows may be changed at any time; windows over it are kept up to date by EMIT CHANGES"));
        }
        if let Some(metadata) = create.columns.iter().find(|c| c.metadata.is_some()) {
            return Err(Error::sql("METADATA comes from a connector, and this table has none").at(metadata.name.span));
        }
        let inferred: Option<SchemaRef> = match (&create.query, &create.like) {
            (Some(query), _) => Some(self.output_schema(query)?),
            (None, Some(like)) => Some(self.catalog().require(like)?.schema()),
            (None, None) if create.columns.is_empty() => {
                return Err(Error::sql(format!("table '{}' has no columns", create.name.spelled))
                    .at(create.name.span)
                    .help("declare them: CREATE TABLE name (column TYPE, …)"));
            }
            (None, None) => None,
        };
        let session = self.catalog().session();
        let columns = bind_columns(&session, create, inferred.as_deref())?;
        no_column_twice(&columns.schema, &create.name)?;
        let key = columns.primary_key.clone();
        if let Some(computed) = key.iter().find(|i| columns.computed.contains_key(i)) {
            return Err(Error::sql(format!(
                "'{}' is computed: it can't be in the key",
                columns.schema.field(*computed).name()
            ))
            .at(create.name.span));
        }
        let base = columns.schema.fields().len() - create.columns.len();
        let defaults = create.columns.iter().enumerate();
        let defaults: BTreeMap<usize, _> =
            defaults.filter_map(|(i, column)| Some((base + i, column.default.clone()?))).collect();
        let table = Arc::new(StoredTable {
            name: create.name.value.clone(),
            schema: with_key_not_null(&columns.schema, &key),
            computed: columns.computed,
            defaults,
            primary_key: key,
            append_only: create.append_only,
            keeps_old: create.on_conflict_keep,
        });
        if table.append_only && !table.primary_key.is_empty() {
            return Err(Error::sql(
                "a table with a PRIMARY KEY is not APPEND ONLY: a row may take the place of another",
            )
            .at(create.name.span));
        }
        // A default that does not bind is found now and not by the first INSERT.
        self.completion(&table, &[])?;
        self.remove(&table.name).await?;
        let contents = if table.primary_key.is_empty() {
            Contents::new(Arc::clone(&table.schema), table.append_only)?
        } else {
            Contents::keyed(Arc::clone(&table.schema), &table.primary_key)?
        };
        let contents = Arc::new(Mutex::new(contents));
        self.shared.driver.lock().await.add_table(&table.name, Arc::clone(&contents), table.append_only);
        let view = View { query: None, contents };
        self.shared.views.lock().unwrap_or_else(PoisonError::into_inner).insert(table.name.clone(), view);
        let snapshot = Arc::new(Snapshot::new(&table.name, Arc::clone(&table.schema)));
        self.catalog_mut().put(Relation::Stored(table, snapshot))?;
        match &create.query {
            None => Ok(Outcome::Done("CREATE TABLE".to_owned())),
            Some(query) => self.insert(&Insert::all(&create.name, query), check).await,
        }
    }

    /// `FLUSH`: one interval over what the sources have, and as many more as what was written takes to be in every view.
    pub(super) async fn flush(&self, check: bool) -> Result<Outcome> {
        if !check {
            let mut driver = self.shared.driver.lock().await;
            self.step_and_fail(&mut driver).await?;
            while driver.has_written() {
                self.step_tables(&mut driver).await?;
            }
        }
        Ok(Outcome::Done("FLUSH".to_owned()))
    }

    /// One interval over what was written into tables.
    pub(super) async fn step_tables(&self, driver: &mut Driver) -> Result<StepReport> {
        let report = driver.step_tables().await?;
        self.keep_late(&report)?;
        *self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner) = driver.progress();
        match driver.failures().into_iter().next() {
            Some((_, error)) => Err(error),
            None => Ok(report),
        }
    }

    pub(super) fn create_index(
        &self,
        name: &Name,
        if_not_exists: bool,
        on: &Name,
        columns: &[Name],
    ) -> Result<Outcome> {
        let schema = self.catalog().require(on)?.schema();
        for column in columns {
            if schema.field_with_name(&column.value).is_err() {
                let error = Error::sql(format!("'{}' has no column '{}'", on.spelled, column.spelled)).at(column.span);
                let near = nearest(&column.value, schema.fields().iter().map(|f| f.name().as_str()));
                return Err(
                    near.map_or_else(|| error.clone(), |near| error.clone().help(format!("did you mean '{near}'?")))
                );
            }
        }
        let mut indexes = self.indexes();
        if indexes.contains_key(&name.value) && !if_not_exists {
            return Err(Error::sql(format!("'{}' exists already", name.spelled)).at(name.span));
        }
        indexes.insert(name.value.clone(), on.value.clone());
        Ok(Outcome::Done("CREATE INDEX".to_owned()))
    }

    pub(super) fn indexes(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.shared.indexes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The columns of a key are never NULL. NULLs in other columns are as they were declared.
fn with_key_not_null(schema: &SchemaRef, key: &[usize]) -> SchemaRef {
    let field = |(i, f): (usize, &Arc<arrow::datatypes::Field>)| {
        let nullable = f.is_nullable() && !key.contains(&i) && f.data_type() != &DataType::Null;
        Arc::new(f.as_ref().clone().with_nullable(nullable || f.data_type() == &DataType::Null))
    };
    Arc::new(Schema::new(schema.fields().iter().enumerate().map(field).collect::<Vec<_>>()))
}
