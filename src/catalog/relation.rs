//! Relations: tables (sources and sinks), views, materialized views.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast;

use super::provider::{Snapshot, StreamProvider};
use crate::change::WEIGHT_COLUMN;
use crate::error::Result;
use crate::format::KEY;
use crate::settings::Options;
use crate::sql::statement;

/// What a name means.
#[derive(Debug, Clone)]
pub enum Relation {
    /// Rows from or to the outside.
    Table(Arc<TableDef>),
    /// A query under a name, expanded where it is used.
    View(Arc<ViewDef>),
    /// A query kept up to date.
    MaterializedView(Arc<ViewDef>, Arc<Snapshot>),
    /// A table with rows of its own.
    Stored(Arc<StoredTable>, Arc<Snapshot>),
}

/// What a table's connector can do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// It ends by itself (a file read to its end), so that its last windows close.
    pub bounded: bool,
    /// Rows come as they happen, so that an event time far ahead of the clock is not believed.
    pub live: bool,
    /// It can be read.
    pub readable: bool,
    /// It can be written.
    pub writable: bool,
    /// As a sink, it takes rows that leave again. When not, a changing query is refused.
    pub accepts_changes: bool,
    /// As a source, its records change rows by their key (Debezium's envelopes, rows with an `op`): a row takes the place of
    /// the one before it, and may leave.
    pub gives_changes: bool,
    /// How many partitions it is read in.
    pub partitions: usize,
}

impl Description {
    /// What can only be written, and takes no rows that leave again.
    pub const SINK: Self = Self {
        bounded: false,
        live: false,
        readable: false,
        writable: true,
        accepts_changes: false,
        gives_changes: false,
        partitions: 1,
    };
}

/// A table: its columns in DDL order, how its watermark is made, and the options of its connector.
#[derive(Debug, Clone)]
pub struct TableDef {
    /// Its name.
    pub name: String,
    /// All columns, computed ones too.
    pub schema: SchemaRef,
    /// The expressions of computed columns, by index in `schema`, over the other columns.
    pub computed: BTreeMap<usize, Expr>,
    /// Its watermark.
    pub watermark: Option<WatermarkDef>,
    /// The connector's name.
    pub connector: String,
    /// The connector's options.
    pub options: Options,
    /// What the connector can do with it.
    pub description: Description,
    /// Silence (µs) after which a partition no longer holds its watermark; `None`: as the setting says.
    pub idle_timeout_micros: Option<i64>,
    /// The PRIMARY KEY, as indices in `schema`.
    pub primary_key: Vec<usize>,
}

/// How a table's watermark is made: `WATERMARK FOR column AS expr`.
#[derive(Debug, Clone)]
pub struct WatermarkDef {
    /// The time column's index in the schema.
    pub column: usize,
    /// `AS column - INTERVAL …`: the delay in microseconds, when the expression is of that form.
    pub delay_micros: Option<i64>,
    /// The expression, when it is of another form.
    pub expr: Option<Expr>,
}

/// A view.
#[derive(Debug)]
pub struct ViewDef {
    /// Its name.
    pub name: String,
    /// Its query.
    pub query: statement::Query,
    /// Its bound plan.
    pub plan: LogicalPlan,
    /// The relations it names.
    pub references: Vec<String>,
    /// For a materialized view, how its rows change; `None` when no continuous query may read it.
    pub growth: Option<Growth>,
}

/// How the rows of a materialized view change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// Rows never leave.
    pub append_only: bool,
    /// Columns that identify a row, when known.
    pub key: Option<Vec<usize>>,
}

/// A table with rows of its own: what INSERT, UPDATE and DELETE change.
#[derive(Debug)]
pub struct StoredTable {
    /// Its name.
    pub name: String,
    /// All columns, computed ones too.
    pub schema: SchemaRef,
    /// The expressions of computed columns, by index in `schema`, over the other columns.
    pub computed: BTreeMap<usize, Expr>,
    /// What a column is when an INSERT does not name it; NULL where nothing is said.
    pub defaults: BTreeMap<usize, ast::Expr>,
    /// The PRIMARY KEY, as indices in `schema`. A row that is inserted replaces one of the same key.
    pub primary_key: Vec<usize>,
    /// Rows are only ever inserted.
    pub append_only: bool,
    /// A row whose key is there already is not inserted, where an INSERT does not say otherwise.
    pub keeps_old: bool,
}

impl StoredTable {
    /// The indices of the columns that are inserted.
    pub fn physical(&self) -> Vec<usize> {
        (0..self.schema.fields().len()).filter(|i| !self.computed.contains_key(i)).collect()
    }
}

impl TableDef {
    /// The indices of the columns that come from outside.
    pub fn physical(&self) -> Vec<usize> {
        (0..self.schema.fields().len()).filter(|i| !self.computed.contains_key(i)).collect()
    }

    /// The columns that come from outside.
    ///
    /// # Errors
    /// Never, unless the definition is inconsistent.
    pub fn physical_schema(&self) -> Result<Schema> {
        Ok(self.schema.project(&self.physical())?)
    }

    /// All columns as they are read: where records change rows, one more says whether a row comes (1) or goes (−1), and the
    /// columns of the key are marked as such.
    pub fn source_schema(&self) -> SchemaRef {
        if !self.description.gives_changes {
            return Arc::clone(&self.schema);
        }
        let mark = |(i, field): (usize, &FieldRef)| match self.primary_key.contains(&i) {
            false => Arc::clone(field),
            true => {
                let mut metadata = field.metadata().clone();
                metadata.insert(KEY.to_owned(), String::new());
                Arc::new(field.as_ref().clone().with_metadata(metadata))
            }
        };
        let mut fields: Vec<FieldRef> = self.schema.fields().iter().enumerate().map(mark).collect();
        fields.push(Arc::new(Field::new(WEIGHT_COLUMN, DataType::Int64, false)));
        Arc::new(Schema::new(fields))
    }

    /// The indices in [`TableDef::source_schema`] of the columns that come from outside.
    pub fn source_columns(&self) -> Vec<usize> {
        (0..self.source_schema().fields().len()).filter(|i| !self.computed.contains_key(i)).collect()
    }
}

impl Relation {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Table(table) => &table.name,
            Self::View(view) | Self::MaterializedView(view, _) => &view.name,
            Self::Stored(table, _) => &table.name,
        }
    }

    /// Its columns.
    pub fn schema(&self) -> SchemaRef {
        match self {
            Self::Table(table) => Arc::clone(&table.schema),
            Self::View(view) | Self::MaterializedView(view, _) => Arc::new(view.plan.schema().as_arrow().clone()),
            Self::Stored(table, _) => Arc::clone(&table.schema),
        }
    }

    /// What it is, as SHOW TABLES says it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Table(_) | Self::Stored(..) => "table",
            Self::View(_) => "view",
            Self::MaterializedView(..) => "materialized view",
        }
    }

    /// The rows that it holds, when it holds rows.
    pub fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        match self {
            Self::MaterializedView(_, snapshot) | Self::Stored(_, snapshot) => Some(snapshot),
            Self::Table(_) | Self::View(_) => None,
        }
    }

    /// The relations that it reads.
    pub fn references(&self) -> &[String] {
        match self {
            Self::View(view) | Self::MaterializedView(view, _) => &view.references,
            Self::Table(_) | Self::Stored(..) => &[],
        }
    }

    /// How DataFusion's planner sees it; a table that can only be written is not seen.
    pub(super) fn provider(&self) -> Option<Arc<dyn TableProvider>> {
        match self {
            Self::Table(table) => {
                let provider = StreamProvider::new(&table.name, Arc::clone(&table.schema));
                table.description.readable.then(|| Arc::new(provider) as Arc<dyn TableProvider>)
            }
            Self::View(view) => Some(Arc::new(ViewTable::new(view.plan.clone(), None))),
            Self::MaterializedView(_, snapshot) | Self::Stored(_, snapshot) => {
                Some(Arc::clone(snapshot) as Arc<dyn TableProvider>)
            }
        }
    }
}
