//! What the tests of connectors share: relations in a line, and waiting with a deadline instead of sleeping.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;

use super::{Connector, Read, RelationSpec, Source, SourceBatch};
use crate::host::Host;
use crate::settings::{Options, Settings};

/// How often something is tried before a test gives up, at a few milliseconds each.
const TRIES: usize = 2000;
const NAP: Duration = Duration::from_millis(5);

pub(super) fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(columns.iter().map(|(n, t)| Field::new(*n, t.clone(), true)).collect::<Vec<_>>()))
}

/// One column `line`.
pub(super) fn line() -> SchemaRef {
    schema(&[("line", DataType::Utf8)])
}

/// Columns `a BIGINT, b VARCHAR`.
pub(super) fn ab() -> SchemaRef {
    schema(&[("a", DataType::Int64), ("b", DataType::Utf8)])
}

pub(super) fn spec(schema: &SchemaRef, options: &[(&str, &str)]) -> RelationSpec {
    let mut given = Options::new();
    for (name, value) in options {
        given.put(name, *value, None).unwrap();
    }
    RelationSpec {
        name: "t".to_owned(),
        schema: schema.clone(),
        options: given,
        settings: Settings::default(),
        host: Host::system(),
        key: None,
    }
}

/// Opens a source of all columns.
pub(super) fn open(connector: &dyn Connector, spec: &RelationSpec) -> Box<dyn Source> {
    let all: Vec<usize> = (0..spec.schema.fields().len()).collect();
    connector.source(spec, &all).unwrap()
}

/// The rows of a batch, columns joined by `|`.
pub(super) fn shown(batch: &RecordBatch) -> Vec<String> {
    let cell = |row: usize, c: usize| array_value_to_string(batch.column(c), row).unwrap();
    (0..batch.num_rows()).map(|r| (0..batch.num_columns()).map(|c| cell(r, c)).collect::<Vec<_>>().join("|")).collect()
}

/// Reads until `count` rows are there; more is an error.
pub(super) fn rows(source: &mut dyn Source, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    for _ in 0..TRIES {
        match source.read(NAP).unwrap() {
            Read::Batch(batch) => found.extend(shown(&batch.batch)),
            Read::Idle | Read::EndOfPartition(_) => {}
            Read::End => break,
        }
        if found.len() >= count {
            break;
        }
    }
    assert_eq!(found.len(), count, "{found:?}");
    found
}

/// Asserts that nothing comes for now.
pub(super) fn quiet(source: &mut dyn Source) {
    for _ in 0..3 {
        assert!(matches!(source.read(NAP).unwrap(), Read::Idle));
    }
}

/// Reads to the end.
pub(super) fn batches(source: &mut dyn Source) -> Vec<SourceBatch> {
    let mut found = Vec::new();
    for _ in 0..TRIES {
        match source.read(NAP).unwrap() {
            Read::Batch(batch) => found.push(batch),
            Read::Idle | Read::EndOfPartition(_) => {}
            Read::End => return found,
        }
    }
    panic!("it does not end");
}

/// Reads all rows to the end.
pub(super) fn all(source: &mut dyn Source) -> Vec<String> {
    batches(source).iter().flat_map(|b| shown(&b.batch)).collect()
}

/// Waits until something holds.
pub(super) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let host = Host::system();
    for _ in 0..TRIES {
        if holds() {
            return;
        }
        host.clock.sleep(NAP);
    }
    panic!("never: {what}");
}
