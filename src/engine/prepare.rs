//! What can be told of a statement before it runs: the columns of its answer, and the types that its parameters should have.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast;

use super::select::visible_schema;
use super::{Engine, Outcome};
use crate::catalog::Relation;
use crate::error::Result;
use crate::plan::{self, Purpose};
use crate::sql::statement::{Insert, Parsed, Query, Statement};

/// The answer of a statement that gives rows.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Prepared {
    /// The columns of a row.
    pub schema: SchemaRef,
    /// Rows may leave again, so each comes with what becomes of it.
    pub changes: bool,
}

impl Engine {
    /// The columns of a statement's answer, without running it; `None` when it gives no rows. Parameters (`$1`) must have
    /// been filled in.
    ///
    /// # Errors
    /// What is wrong with the statement, with its place.
    pub async fn prepare(&self, parsed: &Parsed) -> Result<Option<Prepared>> {
        match &parsed.statement {
            Statement::Query(query) => self.prepare_query(query).map(Some),
            Statement::Subscribe(query) => {
                let query = subscribed(query);
                self.declare_bare_names(&query)?;
                let plan = plan::plan(&self.catalog(), &query, Purpose::Output, None)?;
                Ok(Some(Prepared { schema: visible_schema(&plan), changes: true }))
            }
            // These look, and change nothing.
            Statement::Explain { .. } | Statement::Show(_) | Statement::Describe(_) => {
                match self.execute(parsed, &mut super::NoOutput).await? {
                    Outcome::Rows { schema, .. } => Ok(Some(Prepared { schema, changes: false })),
                    _ => Ok(None),
                }
            }
            _ => Ok(None),
        }
    }

    fn prepare_query(&self, query: &Query) -> Result<Prepared> {
        self.declare_bare_names(query)?;
        if self.reads_no_stream(query) {
            let plan = self.catalog().bind(&query.query)?;
            return Ok(Prepared { schema: plan.schema().inner().clone(), changes: false });
        }
        let plan = plan::plan(&self.catalog(), query, Purpose::Output, None)?;
        let changes = !plan.append_only && !self.is_finished_result(&plan, query);
        Ok(Prepared { schema: visible_schema(&plan), changes })
    }

    /// The types that the parameters `$1`, `$2`, … of a statement should have, by their numbers, as far as what stands beside
    /// them tells.
    pub fn parameter_types(&self, parsed: &Parsed) -> BTreeMap<usize, DataType> {
        let (query, mut types) = match &parsed.statement {
            Statement::Query(query) | Statement::Subscribe(query) => (query.as_ref(), BTreeMap::new()),
            Statement::Insert(insert) => (&insert.query, self.types_of_values(insert)),
            _ => return BTreeMap::new(),
        };
        if self.declare_bare_names(query).is_ok()
            && let Ok(plan) = self.catalog().bind(&query.query)
        {
            for (number, data_type) in types_in(&plan) {
                types.entry(number).or_insert(data_type);
            }
        }
        types
    }

    /// `INSERT INTO t VALUES ($1, …)`: a parameter has the type of its column.
    fn types_of_values(&self, insert: &Insert) -> BTreeMap<usize, DataType> {
        let catalog = self.catalog();
        let ast::SetExpr::Values(values) = insert.query.query.body.as_ref() else { return BTreeMap::new() };
        let physical = match catalog.get(&insert.target.value) {
            Some(Relation::Table(table)) => table.physical_schema().ok(),
            Some(Relation::Stored(table, _)) => Some(table.schema.as_ref().clone()),
            _ => None,
        };
        let Some(physical) = physical else { return BTreeMap::new() };
        let column = |index: usize| match insert.columns.get(index) {
            Some(name) => physical.field_with_name(&name.value).ok(),
            None => physical.fields().get(index).map(AsRef::as_ref),
        };
        let mut types = BTreeMap::new();
        for row in &values.rows {
            for (index, expr) in row.iter().enumerate() {
                let ast::Expr::Value(value) = expr else { continue };
                let ast::Value::Placeholder(name) = &value.value else { continue };
                if let (Some(number), Some(field)) = (number(name), column(index)) {
                    types.insert(number, field.data_type().clone());
                }
            }
        }
        types
    }
}

/// The query of SUBSCRIBE: it gives changes, whatever its text says of EMIT.
pub(super) fn subscribed(query: &Query) -> Query {
    use crate::error::{Location, Span};
    use crate::sql::statement::{Emit, EmitMode};
    let mut query = query.clone();
    if query.emit.is_none() {
        let at = Location { line: 1, column: 1 };
        query.emit = Some(Emit { mode: EmitMode::Changes, span: Span { start: at, end: at } });
    }
    query
}

/// The types of a plan's parameters, subqueries too.
fn types_in(plan: &LogicalPlan) -> BTreeMap<usize, DataType> {
    let found = plan.get_parameter_types().unwrap_or_default();
    let known = found.into_iter().filter_map(|(name, of)| Some((number(&name)?, of?)));
    known.filter(|(_, data_type)| *data_type != DataType::Null).collect()
}

/// The number of a parameter: 1 of `$1`.
fn number(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok().filter(|n| *n > 0)
}
