//! What PostgreSQL's programs read of its system catalog: `pg_class`, `information_schema.tables`, `version()`.
//!
//! The tables are made from the engine's relations for each query, and the query is answered by a DataFusion session that
//! knows nothing else. A query that names only such tables, or no table and one of these functions, comes here.

mod functions;
mod rewrite;
mod schemas;
mod tables;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemTable, MemoryCatalogProvider, MemoryCatalogProviderList,
    MemorySchemaProvider, SchemaProvider,
};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionConfig;
use futures::FutureExt;
use sqlparser::ast;

use crate::engine::RelationInfo;
use crate::error::{Error, Result};

const CATALOG: &str = "tidemill";
const PG_CATALOG: &str = "pg_catalog";
const INFORMATION_SCHEMA: &str = "information_schema";

/// What the tables and functions are made from.
pub(super) struct Facts {
    pub(super) relations: Vec<RelationInfo>,
    pub(super) user: String,
    pub(super) database: String,
    pub(super) pid: i32,
    /// The session's settings.
    pub(super) settings: BTreeMap<String, String>,
    /// The engine's, with what they mean.
    pub(super) engine_settings: BTreeMap<String, (String, String)>,
}

/// Answers queries about the system.
pub(super) struct System {
    base: SessionState,
}

impl System {
    pub(super) fn new() -> Self {
        let config = SessionConfig::new()
            .with_target_partitions(1)
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(CATALOG, PG_CATALOG)
            .set_bool("datafusion.sql_parser.collect_spans", true)
            .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false);
        Self { base: SessionStateBuilder::new().with_config(config).with_default_features().build() }
    }

    /// Whether a query is about the system.
    pub(super) fn answers(&self, query: &ast::Query) -> bool {
        let (mut own, mut others) = (false, false);
        let defined: Vec<String> =
            query.with.iter().flat_map(|w| &w.cte_tables).map(|c| c.alias.name.value.clone()).collect();
        let _ = ast::visit_relations(query, |name| {
            match rewrite::parts(name).as_slice() {
                [table] if schemas::is_table(PG_CATALOG, table) => own = true,
                [schema, _] if schema == PG_CATALOG || schema == INFORMATION_SCHEMA => own = true,
                // What only seems to be a table.
                [function] if functions::is_table_function(function) || defined.contains(function) => {}
                _ => others = true,
            }
            ControlFlow::<()>::Continue(())
        });
        if own || others {
            return own && !others;
        }
        ast::visit_expressions(query, |expr| match expr {
            ast::Expr::Function(call) if functions::is_own(&rewrite::parts(&call.name)) => ControlFlow::Break(()),
            ast::Expr::Cast { data_type, .. } if rewrite::is_catalog_type(data_type) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .is_break()
    }

    /// The columns of an answer.
    pub(super) fn columns(&self, query: &ast::Query, facts: &Arc<Facts>) -> Result<SchemaRef> {
        let (plan, _) = self.plan(query, facts)?;
        Ok(Arc::new(plan.schema().as_arrow().clone()))
    }

    /// The types of parameters, by their numbers.
    pub(super) fn parameter_types(&self, query: &ast::Query, facts: &Arc<Facts>) -> BTreeMap<usize, DataType> {
        let Ok((plan, _)) = self.plan(query, facts) else { return BTreeMap::new() };
        let found = plan.get_parameter_types().unwrap_or_default();
        let number = |name: &str| name.strip_prefix('$')?.parse::<usize>().ok().filter(|n| *n > 0);
        found.into_iter().filter_map(|(name, of)| Some((number(&name)?, of?))).collect()
    }

    /// The answer.
    pub(super) async fn answer(&self, query: &ast::Query, facts: &Arc<Facts>) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let (plan, state) = self.plan(query, facts)?;
        let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
        let physical = state.create_physical_plan(&plan).await?;
        let batches = datafusion::physical_plan::collect(physical, state.task_ctx()).await?;
        Ok((schema, batches))
    }

    fn plan(&self, query: &ast::Query, facts: &Arc<Facts>) -> Result<(LogicalPlan, SessionState)> {
        let mut query = query.clone();
        rewrite::settle(&mut query, &|schema, table| tables::is_empty(schema, table, facts));
        let mut state =
            SessionStateBuilder::new_from_existing(self.base.clone()).with_catalog_list(catalogs(facts)?).build();
        for function in functions::all(facts) {
            datafusion::execution::FunctionRegistry::register_udf(&mut state, function)?;
        }
        let statement = ast::Statement::Query(Box::new(query));
        let statement = datafusion::sql::parser::Statement::Statement(Box::new(statement));
        // All of it is in memory: there is nothing to wait for.
        let planned = state.statement_to_plan(statement).now_or_never();
        let plan = planned.ok_or_else(|| Error::internal("planning waited for something"))??;
        Ok((plan, state))
    }
}

fn catalogs(facts: &Facts) -> Result<Arc<dyn CatalogProviderList>> {
    let catalog = MemoryCatalogProvider::new();
    for schema in [PG_CATALOG, INFORMATION_SCHEMA] {
        let provider = MemorySchemaProvider::new();
        for (name, batch) in tables::of_schema(schema, facts)? {
            let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
            provider.register_table(name.to_owned(), Arc::new(table))?;
        }
        catalog.register_schema(schema, Arc::new(provider))?;
    }
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
    Ok(Arc::new(list))
}
