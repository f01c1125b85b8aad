//! What names mean: relations, their columns and time attributes, SQL functions, and how DataFusion's planner sees them.
//!
//! The [`Catalog`] holds relations and shows them to a DataFusion session whose optimizer rules are those that are right for
//! streams (see `session`). Windowing calls are bound here, to a [`WindowNode`], and
//! joins as of a time, to a [`TemporalNode`]. Knows nothing about connectors' code and
//! about how plans run.

mod bind;
mod checked;
mod clock;
mod copies;
mod exact;
pub mod functions;
mod intervals;
mod json;
mod macros;
mod names;
mod outer_joins;
mod provider;
mod relation;
mod session;
mod temporal;
mod types;
mod unnest_call;
mod window;
mod window_call;

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::prelude::SessionContext;
use futures::FutureExt;
use sqlparser::ast;

use crate::error::{Error, Result, Span, nearest};
use crate::sql::statement;

pub use bind::{Columns, bind_columns, field_of, fold, mark_watermarked};
pub use clock::{IntervalClock, is_clock_call, is_day_call};
pub use macros::SqlFunction;
pub use provider::{Snapshot, StreamProvider, snapshot_name, stream_name};
pub use relation::{Description, Growth, Relation, StoredTable, TableDef, ViewDef, WatermarkDef};
pub use session::batch_rules;
pub use temporal::TemporalNode;
pub use window::{WINDOW_COLUMNS, WindowNode};

/// Names and what they mean.
pub struct Catalog {
    relations: BTreeMap<String, Relation>,
    functions: BTreeMap<String, SqlFunction>,
    context: SessionContext,
    clock: Arc<IntervalClock>,
}

impl Catalog {
    /// An empty catalog whose `now()` reads this clock.
    pub fn new(clock: Arc<IntervalClock>) -> Self {
        let context = SessionContext::new_with_state(session::state(&clock));
        let functions = functions::standard::functions().clone();
        Self { relations: BTreeMap::new(), functions, context, clock }
    }

    /// The clock that `now()` reads: the wall time of the interval.
    pub fn clock(&self) -> &Arc<IntervalClock> {
        &self.clock
    }

    /// The relation of this name.
    pub fn get(&self, name: &str) -> Option<&Relation> {
        self.relations.get(name)
    }

    /// The relation of this name.
    ///
    /// # Errors
    /// When there is none; names the nearest.
    pub fn require(&self, name: &statement::Name) -> Result<&Relation> {
        self.relations.get(&name.value).ok_or_else(|| self.unknown(&name.spelled, Some(name.span)))
    }

    /// That there is no such relation, with the nearest name that there is.
    pub fn unknown(&self, name: &str, span: Option<Span>) -> Error {
        let mut error = Error::sql(format!("there is no table or view '{name}'"));
        if let Some(span) = span {
            error = error.at(span);
        }
        match nearest(name, self.relations.keys().map(String::as_str)) {
            Some(near) => error.help(format!("did you mean '{near}'?")),
            None => error.help(
                "create it with CREATE TABLE … WITH (…), or read a file or socket by name: FROM 'dir/*.jsonl', FROM 'tcp://:9999', FROM stdin",
            ),
        }
    }

    /// Every relation, by name.
    pub fn relations(&self) -> impl Iterator<Item = &Relation> {
        self.relations.values()
    }

    /// Puts a relation in, in place of one of the same name.
    ///
    /// # Errors
    /// When DataFusion's catalog refuses it.
    pub fn put(&mut self, relation: Relation) -> Result<()> {
        let name = relation.name().to_owned();
        let reference = datafusion::common::TableReference::bare(name.clone());
        self.context.deregister_table(reference.clone())?;
        if let Some(provider) = relation.provider() {
            self.context.register_table(reference, provider)?;
        }
        self.relations.insert(name, relation);
        Ok(())
    }

    /// Takes a relation out.
    ///
    /// # Errors
    /// When DataFusion's catalog refuses.
    pub fn remove(&mut self, name: &str) -> Result<Option<Relation>> {
        self.context.deregister_table(datafusion::common::TableReference::bare(name.to_owned()))?;
        Ok(self.relations.remove(name))
    }

    /// Adds a function made in SQL.
    pub fn put_function(&mut self, function: SqlFunction) {
        self.functions.insert(function.name().to_owned(), function);
    }

    /// Takes a function made in SQL out; whether it was there.
    pub fn remove_function(&mut self, name: &str) -> bool {
        self.functions.remove(name).is_some()
    }

    /// Whether there is a function of this name.
    pub fn has_function(&self, name: &str) -> bool {
        let state = self.context.state_ref();
        let state = state.read();
        self.functions.contains_key(name)
            || state.scalar_functions().contains_key(name)
            || state.aggregate_functions().contains_key(name)
    }

    /// The names of all functions, sorted.
    pub fn function_names(&self) -> Vec<String> {
        let state = self.context.state_ref();
        let state = state.read();
        let own = self.functions.keys().cloned();
        let mut names: Vec<String> = own
            .chain(state.scalar_functions().keys().cloned())
            .chain(state.aggregate_functions().keys().cloned())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Registers an embedder's function.
    pub fn register_udf(&self, function: datafusion::logical_expr::ScalarUDF) {
        self.context.register_udf(function);
    }

    /// Registers an embedder's aggregate.
    pub fn register_udaf(&self, function: datafusion::logical_expr::AggregateUDF) {
        self.context.register_udaf(function);
    }

    /// The session that plans are made in.
    pub fn session(&self) -> SessionState {
        self.context.state()
    }

    /// The relations that a query names, views not looked into.
    pub fn references(&self, query: &ast::Query) -> Result<Vec<String>> {
        let mut query = query.clone();
        macros::expand(&mut query, &self.functions)?;
        names::settle(&mut query);
        let statement = datafusion::sql::parser::Statement::Statement(Box::new(ast::Statement::Query(Box::new(query))));
        self.tables_named(&statement)
    }

    /// Whether all that a relation reads in the end is of this kind; `of_table` judges tables of connectors, `stored` is the
    /// answer for tables with rows of their own. An unknown name is of no kind.
    fn all_inputs(&self, name: &str, of_table: &impl Fn(&TableDef) -> bool, stored: bool) -> bool {
        match self.get(name) {
            Some(Relation::Table(table)) => of_table(table),
            Some(Relation::Stored(..)) => stored,
            Some(view) => view.references().iter().all(|inner| self.all_inputs(inner, of_table, stored)),
            None => false,
        }
    }

    /// Whether everything that a relation reads ends by itself: files read to their end, and the rows of stored tables.
    pub fn is_bounded(&self, name: &str) -> bool {
        self.all_inputs(name, &|t| t.description.bounded && !t.description.live, true)
    }

    /// Whether a relation is made from the rows of stored tables alone, and so is complete at any time.
    pub fn is_at_rest(&self, name: &str) -> bool {
        self.all_inputs(name, &|_| false, true)
    }

    /// Where a query names a relation.
    pub fn place_of(&self, query: &ast::Query, name: &str) -> Option<Span> {
        let statement = ast::Statement::Query(Box::new(query.clone()));
        bind::table_span(&datafusion::sql::parser::Statement::Statement(Box::new(statement)), name)
    }

    /// Binds a query: names resolved, types checked; not optimized.
    ///
    /// # Errors
    /// What is wrong with it, with its place and the nearest name in scope.
    pub fn bind(&self, query: &ast::Query) -> Result<LogicalPlan> {
        let mut query = query.clone();
        macros::expand(&mut query, &self.functions)?;
        names::settle(&mut query);
        let written = query.clone();
        let statement = datafusion::sql::parser::Statement::Statement(Box::new(ast::Statement::Query(Box::new(query))));
        let state = self.context.state();
        for name in self.tables_named(&statement)? {
            if !self.relations.contains_key(&name) {
                return Err(self.unknown(&name, bind::table_span(&statement, &name)));
            }
        }
        // The catalog is in memory: binding waits for nothing, and need not be async for its callers.
        let bound = state.statement_to_plan(statement).now_or_never();
        let bound = bound.ok_or_else(|| Error::internal("binding waited for something"))?;
        // Only the analyzer settles the types of a UNION's columns, and whoever binds asks for types.
        let typed = bound.and_then(|plan| state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}));
        typed.and_then(copies::counted).map_err(|error| {
            let error = self.explain_error(error);
            match quoted(error.message()).and_then(|name| bind::place_of(&written, name)) {
                Some(span) => error.at(span),
                None => error,
            }
        })
    }

    /// Binds an expression of the text over these columns.
    ///
    /// # Errors
    /// What is wrong with it, with its place.
    pub fn bind_expr(&self, expr: &ast::Expr, schema: &DFSchema) -> Result<Expr> {
        bind::bind_expr(&self.context.state(), expr, schema).map_err(|e| self.explain_error(e))
    }

    /// The tables that a statement names; to DataFusion a windowing call looks like one.
    fn tables_named(&self, statement: &datafusion::sql::parser::Statement) -> Result<Vec<String>> {
        let references = self.context.state().resolve_table_references(statement)?;
        let names = references.into_iter().map(|r| r.table().to_owned());
        Ok(names.filter(|n| !bind::is_call_only(statement, n)).collect())
    }

    /// A planning error in our words: functions get a did-you-mean from our own list.
    fn explain_error(&self, error: impl Into<Error>) -> Error {
        let error = error.into();
        if let (true, Some(name)) = (error.message().starts_with("table function '"), quoted(error.message())) {
            if name == "state" {
                return Error::unsupported("state(…) is a snapshot, and can't be part of a query over streams")
                    .help("SELECT from it on its own, or beside materialized views");
            }
            let own = Error::sql(format!("there is no window or table function '{name}'"));
            return match nearest(name, ["TUMBLE", "HOP", "CUMULATE", "SESSION", "generate_series", "range"]) {
                Some(near) => own.help(format!("did you mean '{near}'?")),
                None => own.help("windows are TUMBLE, HOP, CUMULATE and SESSION"),
            };
        }
        let Some(rest) =
            error.message().to_lowercase().find("invalid function '").map(|at| &error.message()[at + 18..])
        else {
            return error;
        };
        let name = rest.split('\'').next().unwrap_or_default().to_owned();
        let names = self.function_names();
        let mut own = Error::sql(format!("there is no function '{name}'"));
        if let Some(span) = error.span() {
            own = own.at(span);
        }
        match nearest(&name, names.iter().map(String::as_str)) {
            Some(near) => own.help(format!("did you mean '{near}'?")),
            None => own.help("SHOW FUNCTIONS lists them"),
        }
    }
}

/// What stands in the first quotes of a message.
fn quoted(message: &str) -> Option<&str> {
    message.split('\'').nth(1)
}
