//! `<table>$late`: the rows of a table that came too late for a window, as a table to read.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, new_null_array};
use arrow::datatypes::{Field, Schema};
use datafusion::logical_expr::LogicalPlanBuilder;
use sqlparser::dialect::GenericDialect;

use super::{Engine, View};
use crate::catalog::{Relation, Snapshot, ViewDef};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::runtime::{Contents, StepReport};
use crate::sql::statement::Query;

/// How many late rows of a table are kept to be read; the newest win. All are counted.
const LATE_ROWS_MAX: usize = 100_000;

impl Engine {
    /// The name of a table's late rows.
    pub(super) fn late_name(table: &str) -> String {
        format!("{table}$late")
    }

    /// Declares `<table>$late` beside a watermarked table. Columns that the query did not read are NULL in it.
    pub(super) fn declare_late(&self, table: &str, schema: &Schema) -> Result<()> {
        let name = Self::late_name(table);
        let nullable =
            |f: &Arc<Field>| Field::new(f.name(), f.data_type().clone(), true).with_metadata(f.metadata().clone());
        let schema = Arc::new(Schema::new(schema.fields().iter().map(nullable).collect::<Vec<_>>()));
        let def = ViewDef {
            name: name.clone(),
            query: Query { query: no_rows()?, emit: None },
            plan: LogicalPlanBuilder::scan(
                name.as_str(),
                datafusion::datasource::provider_as_source(Arc::new(Snapshot::new(&name, Arc::clone(&schema)))),
                None,
            )?
            .build()?,
            references: vec![table.to_owned()],
            growth: None,
        };
        let contents = Arc::new(Mutex::new(Contents::new(Arc::clone(&schema), true)?));
        let snapshot = Arc::new(Snapshot::new(&name, schema));
        self.shared.views.lock().unwrap_or_else(PoisonError::into_inner).insert(name, View { query: None, contents });
        self.catalog_mut().put(Relation::MaterializedView(Arc::new(def), snapshot))
    }

    /// Keeps the late rows of an interval.
    pub(super) fn keep_late(&self, report: &StepReport) -> Result<()> {
        let views = self.shared.views.lock().unwrap_or_else(PoisonError::into_inner);
        for (table, rows) in &report.late {
            let Some(view) = views.get(&Self::late_name(table)) else { continue };
            let schema = match self.catalog().get(&Self::late_name(table)) {
                Some(relation) => relation.schema(),
                None => continue,
            };
            let column = |f: &Arc<Field>| -> ArrayRef {
                match rows.column_by_name(f.name()) {
                    Some(column) if column.data_type() == f.data_type() => Arc::clone(column),
                    _ => new_null_array(f.data_type(), rows.num_rows()),
                }
            };
            let batch = RecordBatch::try_new(Arc::clone(&schema), schema.fields().iter().map(column).collect())?;
            let mut contents = view.contents.lock().unwrap_or_else(PoisonError::into_inner);
            contents.apply(&Change::append(batch))?;
            contents.keep_newest(LATE_ROWS_MAX);
        }
        Ok(())
    }
}

/// A query for a relation that has none.
fn no_rows() -> Result<Box<sqlparser::ast::Query>> {
    let parsed = sqlparser::parser::Parser::parse_sql(&GenericDialect {}, "SELECT 1 WHERE FALSE");
    match parsed.ok().and_then(|mut all| all.pop()) {
        Some(sqlparser::ast::Statement::Query(query)) => Ok(query),
        _ => Err(Error::internal("a constant query did not parse")),
    }
}
