//! Relations as DataFusion's planner sees them: names with a schema, never scanned by DataFusion itself.

use std::sync::{Arc, PoisonError, RwLock};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source_as_provider;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableScan, TableType};
use datafusion::physical_plan::ExecutionPlan;

/// A stream: a name and its columns. The planner of intervals replaces its scan.
#[derive(Debug)]
pub struct StreamProvider {
    name: String,
    schema: SchemaRef,
}

impl StreamProvider {
    /// A stream of this name.
    pub fn new(name: &str, schema: SchemaRef) -> Self {
        Self { name: name.to_owned(), schema }
    }
}

/// The name of the stream that a scan reads; `None` when it reads something else.
pub fn stream_name(scan: &TableScan) -> Option<String> {
    let provider = source_as_provider(&scan.source).ok()?;
    let any: &dyn std::any::Any = provider.as_ref();
    any.downcast_ref::<StreamProvider>().map(|stream| stream.name.clone())
}

/// The name of the relation whose rows a scan reads; `None` when it is no [`Snapshot`].
pub fn snapshot_name(scan: &TableScan) -> Option<String> {
    let provider = source_as_provider(&scan.source).ok()?;
    let any: &dyn std::any::Any = provider.as_ref();
    any.downcast_ref::<Snapshot>().map(|snapshot| snapshot.name.clone())
}

#[async_trait]
impl TableProvider for StreamProvider {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(DataFusionError::Internal(format!("stream '{}' was scanned outside an interval", self.name)))
    }
}

/// The rows of a relation that holds rows (a materialized view, a stored table) as of one interval.
#[derive(Debug)]
pub struct Snapshot {
    name: String,
    schema: SchemaRef,
    rows: RwLock<Vec<RecordBatch>>,
}

impl Snapshot {
    /// A relation that holds nothing yet.
    pub fn new(name: &str, schema: SchemaRef) -> Self {
        Self { name: name.to_owned(), schema, rows: RwLock::default() }
    }

    /// Its columns.
    pub fn schema_ref(&self) -> &SchemaRef {
        &self.schema
    }

    /// Replaces the rows.
    pub fn set(&self, rows: Vec<RecordBatch>) {
        *self.rows.write().unwrap_or_else(PoisonError::into_inner) = rows;
    }

    /// The rows.
    pub fn rows(&self) -> Vec<RecordBatch> {
        self.rows.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl TableProvider for Snapshot {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let rows = self.rows();
        Ok(MemorySourceConfig::try_new_exec(&[rows], self.schema(), projection.cloned())?)
    }
}
