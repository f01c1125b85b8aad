//! `SELECT … FROM state('view.operator')`: what an operator of a running query holds, as rows.
//!
//! Each such call becomes a relation of its own for the time of one SELECT, filled between two intervals.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::TableReference;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::LogicalPlanBuilder;
use sqlparser::ast::{
    self, FunctionArg, FunctionArgExpr, Ident, ObjectName, Spanned, TableFactor, VisitMut, VisitorMut,
};

use super::Engine;
use crate::catalog::{Relation, Snapshot, ViewDef, fold};
use crate::error::{Error, Result, Span};
use crate::runtime::Driver;
use crate::sql::statement::Query;

/// A call of `state(…)`.
pub(super) struct StateCall {
    /// The relation that it has become.
    relation: String,
    /// `view.operator`
    name: String,
    span: Span,
}

/// Replaces the calls of `state(…)` in a query by relations.
///
/// # Errors
/// When a call is given something else than one text.
pub(super) fn take_calls(query: &mut ast::Query) -> Result<Vec<StateCall>> {
    let mut calls = Calls(Vec::new());
    match query.visit(&mut calls) {
        ControlFlow::Continue(()) => Ok(calls.0),
        ControlFlow::Break(error) => Err(*error),
    }
}

struct Calls(Vec<StateCall>);

impl VisitorMut for Calls {
    type Break = Box<Error>;

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Box<Error>> {
        // One relation per call: two SELECTs at a time may read the same state.
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let TableFactor::Table { name, args, alias, .. } = factor else { return ControlFlow::Continue(()) };
        let is_state = matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|i| fold(i) == "state"));
        let Some(given) = args.as_ref().filter(|_| is_state) else { return ControlFlow::Continue(()) };
        let span: Span = name.span().into();
        let operator = match given.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(ast::Expr::Value(value)))] => value.value.clone().into_string(),
            _ => None,
        };
        let Some(operator) = operator else {
            let error = Error::sql("state(…) takes one text").at(span);
            return ControlFlow::Break(Box::new(error.help("write state('view.operator'), as SHOW STATE lists them")));
        };
        let relation = format!("state('{operator}') {}", CALLS.fetch_add(1, Ordering::Relaxed));
        *name = ObjectName::from(vec![Ident::with_quote('"', &relation)]);
        *args = None;
        alias.get_or_insert_with(|| ast::TableAlias {
            explicit: true,
            name: Ident::new("state"),
            columns: Vec::new(),
            at: None,
        });
        self.0.push(StateCall { relation, name: operator, span });
        ControlFlow::Continue(())
    }
}

impl Engine {
    /// Fills the relations of these calls.
    pub(super) fn put_states(&self, calls: &[StateCall], driver: &Driver, query: &Query) -> Result<()> {
        for call in calls {
            let rows = driver.state_rows(&call.name).map_err(|e| e.at(call.span))?.rows;
            let snapshot = Arc::new(Snapshot::new(&call.relation, rows.schema()));
            snapshot.set(vec![rows]);
            let source = provider_as_source(Arc::clone(&snapshot) as Arc<dyn datafusion::catalog::TableProvider>);
            let def = ViewDef {
                name: call.relation.clone(),
                query: query.clone(),
                plan: LogicalPlanBuilder::scan(TableReference::bare(call.relation.clone()), source, None)?.build()?,
                references: Vec::new(),
                growth: None,
            };
            self.catalog_mut().put(Relation::MaterializedView(Arc::new(def), snapshot))?;
        }
        Ok(())
    }

    /// Takes the relations of these calls away again.
    pub(super) fn drop_states(&self, calls: &[StateCall]) -> Result<()> {
        for call in calls {
            self.catalog_mut().remove(&call.relation)?;
        }
        Ok(())
    }
}
