//! Tests of the formats as a whole: bytes in, batches and bytes out.

mod bad_data;
mod changes;
mod encoders;
mod files;
mod guided;
mod inference;
mod reading;
mod streams;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::pretty::pretty_format_batches;

use super::*;
use crate::change::Change;
use crate::settings::Options;

fn options(pairs: &[(&str, &str)]) -> Options {
    let mut options = Options::new();
    for (name, value) in pairs {
        options.put(name, *value, None).unwrap();
    }
    options
}

fn spec(pairs: &[(&str, &str)]) -> FormatSpec {
    let options = options(pairs);
    let spec = FormatSpec::from_options(&options, None).unwrap().unwrap();
    options.finish("the test").unwrap();
    spec
}

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>()))
}

/// Decodes all columns of one block, which begins its input.
fn decode(spec: &FormatSpec, schema: &SchemaRef, text: impl AsRef<[u8]>) -> Decoded {
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let mut decoder = spec.decoder(schema, &all).unwrap();
    decoder.decode(text.as_ref(), &Place { origin: "test".into(), record: 1 }).unwrap()
}

/// The rows as people see them, a line each, values parted by `|`.
fn rows(batch: &RecordBatch) -> Vec<String> {
    let table = pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string();
    let row = |line: &str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|");
    table.lines().filter(|line| line.starts_with('|')).skip(1).map(row).collect()
}

/// Numbers and reasons of bad records.
fn bads(decoded: &Decoded) -> Vec<(u64, &str)> {
    decoded.bad.iter().map(|bad| (bad.place.record, bad.reason.as_str())).collect()
}

fn encode(spec: &FormatSpec, key: Option<&[usize]>, changes: &[Change]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = spec.encoder(&changes[0].batch.schema(), key).unwrap();
    changes.iter().for_each(|change| encoder.encode(change, &mut out).unwrap());
    encoder.finish(&mut out).unwrap();
    out
}
