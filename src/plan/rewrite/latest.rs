//! Tables whose records change rows: what a query reads of them are the rows that there are, which come and go.

use std::collections::BTreeSet;

use datafusion::logical_expr::TableScan;

use super::super::attribute::Attribute;
use super::super::operator::{LatestOperator, Operator, SourceOperator};
use super::{Rewriter, Stream, node, qualified, with_hidden};
use crate::catalog::TableDef;
use crate::change::WEIGHT_COLUMN;
use crate::error::{Error, Result};

impl Rewriter<'_> {
    pub(super) fn latest(&mut self, scan: &TableScan, table: &TableDef) -> Result<Stream> {
        if table.primary_key.is_empty() {
            let format = table.options.get("format").unwrap_or("debezium-json");
            return Err(Error::sql(format!(
                "'{}' has no PRIMARY KEY, and records of format '{format}' change rows by it",
                table.name
            ))
            .help("declare it: PRIMARY KEY (column, …) NOT ENFORCED"));
        }
        if let Some(computed) = table.primary_key.iter().find(|k| table.computed.contains_key(k)) {
            let name = table.schema.field(*computed).name();
            return Err(Error::unsupported(format!("the key column '{name}' of '{}' is computed", table.name))
                .help("the key is of columns that are in the records"));
        }
        let wanted: Vec<usize> = scan.projection.clone().unwrap_or_else(|| (0..table.schema.fields().len()).collect());
        // What leaves is told by its key, whether the query names that or not.
        let more: Vec<usize> = table.primary_key.iter().copied().filter(|k| !wanted.contains(k)).collect();
        let columns: Vec<usize> = wanted.iter().chain(&more).copied().collect();
        let weight = table.schema.fields().len();
        let read: Vec<usize> = columns.iter().copied().chain([weight]).collect();
        let source = self.source(&table.name, &read);
        let mut schema = scan.projected_schema.as_ref().clone();
        let out = with_hidden(&schema, WEIGHT_COLUMN)?;
        if !more.is_empty() {
            let fields = more.iter().map(|i| (None, table.schema.fields()[*i].clone()));
            let all = qualified(&schema).into_iter().chain(fields).collect();
            schema = datafusion::common::DFSchema::new_with_metadata(all, schema.metadata().clone())?;
        }
        let rows = node(
            Operator::Source(SourceOperator {
                source,
                table: table.name.clone(),
                columns: columns.iter().map(|i| table.schema.field(*i).name().clone()).collect(),
                row_watermark: false,
            }),
            None,
            with_hidden(&schema, WEIGHT_COLUMN)?,
        );
        let place = |k: &usize| columns.iter().position(|c| c == k);
        let key: Vec<usize> = table.primary_key.iter().filter_map(place).collect();
        let names = table.primary_key.iter().map(|k| table.schema.field(*k).name().clone()).collect();
        let id = self.operator("latest", names, Some("a row for each key that is there".to_owned()));
        let output: Vec<usize> = (0..wanted.len()).collect();
        let unique = key.iter().all(|k| output.contains(k)).then(|| key.clone());
        let clock = |i: &usize| match table.computed.get(i).is_some_and(crate::catalog::is_clock_call) {
            true => Attribute::ProcessingTime,
            false => Attribute::Plain,
        };
        Ok(Stream {
            plan: node(Operator::Latest(LatestOperator { id, key, output }), Some(rows), out),
            attributes: wanted.iter().map(clock).collect(),
            sources: BTreeSet::from([source]),
            key: unique,
            session: None,
        })
    }
}
