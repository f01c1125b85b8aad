//! Columns that say where a row came from, beside those that its record holds.
//!
//! A field with the metadata [`METADATA`] is filled from the file (`file.path`, `file.name`, `file.size`,
//! `file.modification-time`) or the number of the record in it (`line`); a partition column from the folders on the way to
//! the file (`dt=2026-03-01`).

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampNanosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::records::Rows;
use crate::error::{Error, Result, nearest};

/// Key of the field metadata that makes a column one about the file and not of the record.
pub(super) const METADATA: &str = "tidemill.metadata";

/// What a metadata column can be.
const METADATA_NAMES: [&str; 5] = ["file.path", "file.name", "file.size", "file.modification-time", "line"];

/// Where the wanted columns come from.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    /// The columns that records hold.
    pub(super) records: SchemaRef,
    /// Those of them that are wanted.
    pub(super) wanted: Vec<usize>,
    output: SchemaRef,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, PartialEq)]
enum Slot {
    /// Of the decoded batch.
    Record(usize),
    /// Of the file, by its metadata name.
    Fact(String),
    /// The number of the record.
    Line,
    /// From a folder `name=value`.
    Partition(String),
}

/// What is known of a file.
#[derive(Debug, Clone, Default)]
pub(super) struct Facts {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) size: u64,
    /// Nanoseconds since 1970.
    pub(super) modified: i128,
    /// Values of the folders `name=value` on the way to it, decoded.
    pub(super) partitions: Vec<(String, Option<String>)>,
}

impl Columns {
    /// Sorts the columns out.
    ///
    /// # Errors
    /// An unknown metadata name.
    pub(super) fn new(schema: &SchemaRef, projection: &[usize], partitioned_by: &[String]) -> Result<Self> {
        let mut records = Vec::new();
        let mut places = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let slot = slot(field, partitioned_by)?;
            places.push(slot.unwrap_or_else(|| {
                records.push(field.clone());
                Slot::Record(records.len() - 1)
            }));
        }
        let mut wanted = Vec::new();
        let mut slots = Vec::with_capacity(projection.len());
        for index in projection {
            let place = places.get(*index).ok_or_else(|| Error::internal(format!("there is no column {index}")))?;
            slots.push(match place {
                Slot::Record(column) => {
                    wanted.push(*column);
                    Slot::Record(wanted.len() - 1)
                }
                other => other.clone(),
            });
        }
        let records = Arc::new(Schema::new_with_metadata(records, schema.metadata().clone()));
        Ok(Self { records, wanted, output: Arc::new(schema.project(projection)?), slots })
    }

    /// The wanted columns of some rows of a file.
    ///
    /// # Errors
    /// When the column has a type that does not hold what it is to show.
    pub(super) fn assemble(&self, rows: &Rows, facts: &Facts) -> Result<RecordBatch> {
        if self.slots.iter().all(|slot| matches!(slot, Slot::Record(_))) {
            return Ok(rows.batch.clone());
        }
        let count = rows.batch.num_rows();
        let column = |(slot, field): (&Slot, &Arc<Field>)| -> Result<ArrayRef> {
            let array: ArrayRef = match slot {
                Slot::Record(index) => return Ok(rows.batch.column(*index).clone()),
                Slot::Line => Arc::new(lines(rows)),
                Slot::Fact(name) => facts.column(name, count),
                Slot::Partition(name) => Arc::new(StringArray::from(vec![facts.partition(name); count])),
            };
            to_type(&array, field)
        };
        let columns = self.slots.iter().zip(self.output.fields()).map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(self.output.clone(), columns, &options)?)
    }
}

impl Facts {
    fn column(&self, name: &str, count: usize) -> ArrayRef {
        match name {
            "file.path" => Arc::new(StringArray::from(vec![self.path.as_str(); count])),
            "file.name" => Arc::new(StringArray::from(vec![self.name.as_str(); count])),
            "file.size" => Arc::new(Int64Array::from(vec![i64::try_from(self.size).unwrap_or(i64::MAX); count])),
            _ => {
                let modified = i64::try_from(self.modified).unwrap_or(i64::MAX);
                Arc::new(TimestampNanosecondArray::from(vec![modified; count]).with_timezone("UTC"))
            }
        }
    }

    fn partition(&self, name: &str) -> Option<&str> {
        self.partitions.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.as_deref())
    }
}

/// Where a column comes from when not from the record.
fn slot(field: &Field, partitioned_by: &[String]) -> Result<Option<Slot>> {
    if let Some(name) = field.metadata().get(METADATA) {
        return match name.as_str() {
            "line" => Ok(Some(Slot::Line)),
            known if METADATA_NAMES.contains(&known) => Ok(Some(Slot::Fact(known.to_owned()))),
            other => {
                let error = Error::config(format!("files have no metadata '{other}'"));
                Err(match nearest(other, METADATA_NAMES) {
                    Some(near) => error.help(format!("did you mean '{near}'?")),
                    None => error.help(format!("metadata of files: {}", METADATA_NAMES.join(", "))),
                })
            }
        };
    }
    let partition = partitioned_by.iter().find(|name| name.eq_ignore_ascii_case(field.name()));
    Ok(partition.map(|name| Slot::Partition(name.clone())))
}

/// The record numbers of the good rows: those of the bad ones are left out.
fn lines(rows: &Rows) -> Int64Array {
    let mut bad = rows.bad.iter().map(|b| b.place.record).peekable();
    let mut number = rows.first;
    let mut next = || {
        while bad.next_if(|b| *b <= number).is_some_and(|b| b == number) {
            number += 1;
        }
        number += 1;
        i64::try_from(number - 1).unwrap_or(i64::MAX)
    };
    (0..rows.batch.num_rows()).map(|_| next()).collect()
}

fn to_type(array: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    if array.data_type() == field.data_type() {
        return Ok(array.clone());
    }
    let plain = match (array.data_type(), field.data_type()) {
        // A timestamp without a zone shows UTC.
        (DataType::Timestamp(unit, Some(_)), DataType::Timestamp(_, None)) => {
            cast(array, &DataType::Timestamp(*unit, None))?
        }
        _ => array.clone(),
    };
    cast(&plain, field.data_type())
        .map_err(|e| Error::data(format!("column '{}' can't hold where its row came from: {e}", field.name())))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Int64Type, TimeUnit};

    use super::*;
    use crate::format::{BadRecord, Place};

    fn rows(values: Vec<i64>, bad: &[u64]) -> Rows {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(values))]).unwrap();
        let bad: Vec<_> = bad
            .iter()
            .map(|n| BadRecord {
                place: Place { origin: "f".into(), record: *n },
                reason: String::new(),
                bytes: Vec::new(),
            })
            .collect();
        Rows { records: (batch.num_rows() + bad.len()) as u64, batch, first: 10, bytes: 0, bad }
    }

    fn metadata(name: &str, of: &str, data_type: DataType) -> Field {
        Field::new(name, data_type, true).with_metadata([(METADATA.to_owned(), of.to_owned())].into())
    }

    #[test]
    fn columns_about_the_file_stand_among_those_of_the_record() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![
            metadata("at", "file.modification-time", DataType::Timestamp(TimeUnit::Millisecond, None)),
            Field::new("a", DataType::Int64, true),
            Field::new("b", DataType::Utf8, true),
            metadata("n", "line", DataType::Int64),
            Field::new("dt", DataType::Date32, true),
        ]));
        let columns = Columns::new(&schema, &[3, 1, 0, 4], &["dt".to_owned()]).unwrap();
        assert_eq!((columns.records.fields().len(), columns.wanted.as_slice()), (2, [0].as_slice()));
        let facts = Facts {
            modified: 1_500_000_000_000_000_000,
            partitions: vec![("dt".to_owned(), Some("2026-03-01".to_owned()))],
            ..Facts::default()
        };
        let batch = columns.assemble(&rows(vec![1, 2, 3], &[10, 12, 13]), &facts).unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[11, 14, 15]);
        assert_eq!(batch.column(1).as_primitive::<Int64Type>().values(), &[1, 2, 3]);
        let shown = |c: usize| arrow::util::display::array_value_to_string(batch.column(c), 0).unwrap();
        assert_eq!((shown(2), shown(3)), ("2017-07-14T02:40:00".to_owned(), "2026-03-01".to_owned()));
    }

    #[test]
    fn an_unknown_metadata_name_is_refused() {
        let schema: SchemaRef = Arc::new(Schema::new(vec![metadata("p", "file.pth", DataType::Utf8)]));
        let error = Columns::new(&schema, &[0], &[]).unwrap_err();
        assert!(error.helps()[0].contains("file.path"), "{error}");
    }
}
