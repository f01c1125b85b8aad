//! Encoders: each turns changes into bytes, value by value straight from the columns.

mod cell;
mod changelog;
mod columnar;
mod csv;
mod debezium;
mod json;
mod moves;
mod parquet;
mod pieces;
mod table;

use arrow::datatypes::SchemaRef;

use super::spec::Kind;
pub use moves::{Op, each as each_move};
pub use pieces::encode_all;

use super::{Encoder, FormatSpec};
use crate::error::{Error, Result};

/// The encoder of a format.
pub(super) fn encoder(spec: &FormatSpec, schema: &SchemaRef, key: Option<&[usize]>) -> Result<Box<dyn Encoder>> {
    let key = key.map(<[usize]>::to_vec);
    Ok(match spec.kind {
        Kind::Json => Box::new(json::JsonEncoder::new(schema, key)),
        Kind::Upsert => Box::new(json::JsonEncoder::upsert(schema, key)),
        Kind::Debezium => Box::new(debezium::DebeziumEncoder::new(schema, key)),
        Kind::Csv => Box::new(csv::CsvEncoder::new(schema, spec.csv.clone())),
        Kind::Changelog => Box::new(changelog::ChangelogEncoder::new(key)),
        Kind::Table => Box::new(table::TableEncoder::new(schema, key)),
        Kind::Text => {
            if schema.fields().len() != 1 {
                let message =
                    format!("format 'text' has one column, the line; the query has {}", schema.fields().len());
                return Err(Error::config(message).help("select one column, or choose format = 'csv' or 'json'"));
            }
            Box::new(csv::LineEncoder)
        }
        Kind::Parquet => Box::new(parquet::ParquetEncoder::new(schema)?),
        Kind::Arrow => Box::new(columnar::ArrowEncoder::new(schema)?),
        Kind::AccessLog => {
            return Err(Error::unsupported("format 'combined' can be read, but not written")
                .help("choose format = 'json', 'csv' or 'text'"));
        }
    })
}

/// The refusal of a row that leaves.
fn no_changes(format: &str) -> Error {
    Error::unsupported(format!("format '{format}' can't hold rows that leave again"))
        .help("choose format = 'changelog', 'json' or 'debezium-json', or EMIT ON WINDOW CLOSE")
}
