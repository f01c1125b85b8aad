//! SHOW, DESCRIBE, EXPLAIN: what the engine knows, as rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

use super::{Engine, Outcome};
use crate::catalog::{Relation, StoredTable, TableDef};
use crate::error::{Error, Result};
use crate::plan::{self, Purpose};
use crate::settings::{NAMES, Settings};
use crate::sql::Statement;
use crate::sql::statement::{Name, Show};

impl Engine {
    pub(super) async fn show(&self, show: &Show) -> Result<Outcome> {
        match show {
            Show::Tables => {
                let rows = self.relations().into_iter().map(|r| vec![r.name, r.kind.to_owned()]);
                text_rows(&["name", "kind"], rows.collect())
            }
            Show::Views => {
                let views = self.relations().into_iter().filter(|r| r.kind != "table");
                text_rows(&["name", "kind"], views.map(|r| vec![r.name, r.kind.to_owned()]).collect())
            }
            Show::Functions => text_rows(&["name"], self.functions().into_iter().map(|f| vec![f]).collect()),
            Show::Connectors => text_rows(&["name"], self.connectors().into_iter().map(|c| vec![c]).collect()),
            Show::Settings => {
                let settings = self.settings();
                let row = |(name, what): &(&str, &str)| {
                    vec![(*name).to_owned(), settings.get(name).unwrap_or_default(), (*what).to_owned()]
                };
                text_rows(&["name", "value", "meaning"], NAMES.iter().map(row).collect())
            }
            Show::Setting(name) => match self.settings().get(name) {
                Some(value) => text_rows(&[name], vec![vec![value]]),
                None => Err(Settings::default()
                    .set(name, "")
                    .err()
                    .unwrap_or_else(|| Error::config(format!("there is no setting '{name}'")))),
            },
            Show::Queries => {
                let progress = self.progress();
                let row = |q: &crate::runtime::QueryProgress| {
                    let state = if q.failed.is_some() {
                        "failed"
                    } else if q.ended {
                        "ended"
                    } else {
                        "running"
                    };
                    let watermark = q.watermark.map(|w| w.to_string()).unwrap_or_default();
                    let n = |v: u64| v.to_string();
                    vec![
                        n(q.id),
                        q.name.clone(),
                        state.to_owned(),
                        n(q.metrics.rows_in),
                        n(q.metrics.rows_out),
                        n(q.metrics.late),
                        watermark,
                    ]
                };
                let columns = ["id", "name", "state", "rows_in", "rows_out", "late", "watermark"];
                text_rows(&columns, progress.queries.iter().map(row).collect())
            }
            Show::State => self.show_state().await,
            Show::Create(name) => {
                let ddl = match self.catalog().require(name)? {
                    Relation::Table(table) => table_ddl(table),
                    Relation::Stored(table, _) => stored_ddl(table),
                    Relation::View(view) => format!("CREATE VIEW {} AS {}", quoted(&view.name), view.query.query),
                    Relation::MaterializedView(view, _) => {
                        format!("CREATE MATERIALIZED VIEW {} AS {}", quoted(&view.name), view.query.query)
                    }
                };
                text_rows(&["create"], vec![vec![ddl]])
            }
            Show::Columns(name) => self.describe(name),
        }
    }

    async fn show_state(&self) -> Result<Outcome> {
        let reports = self.state().await;
        let text = |f: fn(&crate::runtime::OperatorReport) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(reports.iter().map(f)))
        };
        let ints = |f: fn(&crate::runtime::OperatorReport) -> usize| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(reports.iter().map(|r| f(r) as i64)))
        };
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("query", text(|r| r.query.clone())),
            ("operator", text(|r| format!("{}#{}", r.kind, r.operator))),
            ("rows", ints(|r| r.rows)),
            ("bytes", ints(|r| r.bytes)),
        ];
        let batch = RecordBatch::try_from_iter(columns)?;
        Ok(Outcome::Rows { schema: batch.schema(), batches: vec![batch] })
    }

    pub(super) fn describe(&self, name: &Name) -> Result<Outcome> {
        let catalog = self.catalog();
        let relation = catalog.require(name)?;
        let schema = relation.schema();
        let row = |(i, f): (usize, &Arc<Field>)| {
            let mut notes = Vec::new();
            if let Relation::Table(table) = relation {
                if let Some(expr) = table.computed.get(&i) {
                    notes.push(format!("AS {expr}"));
                }
                if let Some(w) = table.watermark.as_ref().filter(|w| w.column == i) {
                    notes.push(format!(
                        "WATERMARK, delay {}",
                        crate::time::format_duration(w.delay_micros.unwrap_or(0))
                    ));
                }
            }
            if let Relation::Stored(table, _) = relation {
                notes.extend(table.computed.get(&i).map(|expr| format!("AS {expr}")));
                notes.extend(table.defaults.get(&i).map(|expr| format!("DEFAULT {expr}")));
                notes.extend(table.primary_key.contains(&i).then(|| "PRIMARY KEY".to_owned()));
            }
            let null = if f.is_nullable() { "YES" } else { "NO" };
            vec![crate::format::spelling(f).to_owned(), type_name(f.data_type()), null.to_owned(), notes.join("; ")]
        };
        text_rows(&["column", "type", "null", "notes"], schema.fields().iter().enumerate().map(row).collect())
    }

    /// EXPLAIN: the interval plan; VERBOSE adds DataFusion's optimized plan.
    pub(super) fn explain(&self, statement: &Statement, verbose: bool) -> Result<Outcome> {
        let (query, purpose, target) = match statement {
            Statement::Query(query) | Statement::Subscribe(query) => (query.as_ref(), Purpose::Output, None),
            Statement::Insert(insert) => {
                let target = match self.catalog().require(&insert.target)? {
                    Relation::Table(table) => Some(table.physical_schema()?),
                    _ => None,
                };
                (&insert.query, Purpose::Output, target)
            }
            Statement::CreateView(view) => {
                (view.query.as_ref(), if view.materialized { Purpose::View } else { Purpose::Output }, None)
            }
            Statement::CreateSink(sink) => match &sink.query {
                Some(query) => (query.as_ref(), Purpose::Output, None),
                None => return Err(Error::unsupported("EXPLAIN shows how a query runs; this statement has none")),
            },
            _ => return Err(Error::unsupported("EXPLAIN shows how a query runs; this statement has none")),
        };
        self.declare_bare_names(query)?;
        let mut text = if self.reads_no_stream(query) {
            let catalog = self.catalog();
            let plan = catalog.session().optimize(&catalog.bind(&query.query)?)?;
            format!("Snapshot: runs once over views\n{}\n", plan.display_indent())
        } else {
            let plan = plan::plan(&self.catalog(), query, purpose, target.as_ref().map(Into::into))?;
            plan::explain(&plan)
        };
        if verbose {
            let catalog = self.catalog();
            let plan = catalog.session().optimize(&catalog.bind(&query.query)?)?;
            text.push_str(&format!("\nOptimized:\n{}\n", plan.display_indent_schema()));
        }
        text_rows(&["plan"], text.lines().map(|l| vec![l.to_owned()]).collect())
    }

    pub(super) fn reset(&self, name: Option<&str>) -> Result<Outcome> {
        let fresh = Settings::default();
        match name {
            None => *self.settings_mut() = fresh,
            Some(name) => {
                let mut value = fresh.get(name).ok_or_else(|| {
                    Settings::default()
                        .set(name, "")
                        .err()
                        .unwrap_or_else(|| Error::config(format!("there is no setting '{name}'")))
                })?;
                value.retain(|c| c != ' ');
                self.settings_mut().set(name, &value)?;
            }
        }
        Ok(Outcome::Done("RESET".to_owned()))
    }
}

/// The DDL of a table, inferred columns too.
pub(crate) fn table_ddl(table: &TableDef) -> String {
    let mut lines = Vec::new();
    for (i, field) in table.schema.fields().iter().enumerate() {
        let name = quoted(crate::format::spelling(field));
        let null = if field.is_nullable() { "" } else { " NOT NULL" };
        lines.push(match table.computed.get(&i) {
            Some(expr) => format!("{name} AS {expr}"),
            None => format!("{name} {}{null}", type_name(field.data_type())),
        });
    }
    if let Some(watermark) = &table.watermark {
        let column = quoted(table.schema.field(watermark.column).name());
        let expr = match (&watermark.expr, watermark.delay_micros) {
            (Some(expr), _) => expr.to_string(),
            (None, Some(delay)) if delay > 0 => {
                let seconds = delay as f64 / 1e6;
                format!("{column} - INTERVAL '{seconds}' SECOND")
            }
            _ => column.clone(),
        };
        lines.push(format!("WATERMARK FOR {column} AS {expr}"));
    }
    let options: Vec<_> = table.options.iter().map(|(k, v)| format!("'{k}' = '{}'", v.replace('\'', "''"))).collect();
    format!(
        "CREATE TABLE {} (\n  {}\n) WITH (\n  {}\n)",
        quoted(&table.name),
        lines.join(",\n  "),
        options.join(",\n  ")
    )
}

/// The DDL of a table with rows of its own.
fn stored_ddl(table: &StoredTable) -> String {
    let name = |i: &usize| quoted(crate::format::spelling(table.schema.field(*i)));
    let mut lines = Vec::new();
    for (i, field) in table.schema.fields().iter().enumerate() {
        let null = if field.is_nullable() { "" } else { " NOT NULL" };
        let default = table.defaults.get(&i).map(|e| format!(" DEFAULT {e}")).unwrap_or_default();
        lines.push(match table.computed.get(&i) {
            Some(expr) => format!("{} AS {expr}", name(&i)),
            None => format!("{} {}{null}{default}", name(&i), type_name(field.data_type())),
        });
    }
    if !table.primary_key.is_empty() {
        let key = table.primary_key.iter().map(name).collect::<Vec<_>>().join(", ");
        lines.push(format!("PRIMARY KEY ({key})"));
    }
    let append_only = if table.append_only { " APPEND ONLY" } else { "" };
    let keeps = if table.keeps_old { " ON CONFLICT DO NOTHING" } else { "" };
    format!("CREATE TABLE {} (\n  {}\n){append_only}{keeps}", quoted(&table.name), lines.join(",\n  "))
}

/// A name as SQL text: quoted unless it is plain lower case.
fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    let starts_well = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
    if plain && starts_well { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// An Arrow type by its SQL name.
pub(super) fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Float32 => "FLOAT".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTES".to_owned(),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => format!("DECIMAL({p}, {s})"),
        DataType::Timestamp(unit, zone) => {
            let precision = match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                TimeUnit::Microsecond => 6,
                TimeUnit::Nanosecond => 9,
            };
            let name = if zone.is_some() { "TIMESTAMP_LTZ" } else { "TIMESTAMP" };
            format!("{name}({precision})")
        }
        DataType::List(item) | DataType::LargeList(item) => format!("{}[]", type_name(item.data_type())),
        DataType::Struct(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|f| format!("{} {}", quoted(crate::format::spelling(f)), type_name(f.data_type())))
                .collect();
            format!("ROW<{}>", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// Rows of text.
fn text_rows(names: &[&str], rows: Vec<Vec<String>>) -> Result<Outcome> {
    let schema = Arc::new(Schema::new(names.iter().map(|n| Field::new(*n, DataType::Utf8, false)).collect::<Vec<_>>()));
    let column = |i: usize| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.get(i).map_or("", String::as_str))))
    };
    let batch = RecordBatch::try_new(Arc::clone(&schema), (0..names.len()).map(column).collect())?;
    Ok(Outcome::Rows { schema, batches: vec![batch] })
}
