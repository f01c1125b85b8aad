//! Parquet files. They are put together in memory, a row group at a time; the footer comes at the end.
//!
//! Nobody reads the file before it is complete, so rows are held until it pays to have several threads encode their columns.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::writer::SerializedFileWriter;

use super::columnar::{rows, spelled};
use super::pieces::THREADS;
use crate::change::Change;
use crate::error::{Error, Result};
use crate::format::Encoder;

/// Rows of a row group: what others write too.
const GROUP_ROWS: usize = 1 << 20;
/// Rows that are held before they are encoded.
const HELD_ROWS: usize = 64 << 10;

/// Writes a Parquet file.
pub(super) struct ParquetEncoder {
    schema: SchemaRef,
    /// Until the footer is written.
    writer: Option<SerializedFileWriter<Vec<u8>>>,
    groups: ArrowRowGroupWriterFactory,
    /// The row group at hand.
    group: Group,
    held: Vec<RecordBatch>,
    held_rows: usize,
}

/// A row group in the making: the writers of each column, of which a nested one has several.
#[derive(Default)]
struct Group {
    columns: Vec<Vec<ArrowColumnWriter>>,
    rows: usize,
}

impl ParquetEncoder {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        let schema = spelled(schema);
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None).map_err(parquet_error)?;
        let (writer, groups) = writer.into_serialized_writer().map_err(parquet_error)?;
        let group = Group::default();
        Ok(Self { schema, writer: Some(writer), groups, group, held: Vec::new(), held_rows: 0 })
    }

    /// Encodes what is held.
    fn write_held(&mut self) -> Result<()> {
        self.held_rows = 0;
        for batch in split(std::mem::take(&mut self.held), GROUP_ROWS - self.group.rows) {
            if self.group.rows >= GROUP_ROWS {
                self.end_group()?;
            }
            if self.group.columns.is_empty() {
                self.group.columns = self.begin_group()?;
            }
            self.group.rows += batch.iter().map(RecordBatch::num_rows).sum::<usize>();
            write_columns(&mut self.group.columns, &self.schema, &batch).map_err(parquet_error)?;
        }
        if self.group.rows >= GROUP_ROWS { self.end_group() } else { Ok(()) }
    }

    /// The writers of the next row group.
    fn begin_group(&self) -> Result<Vec<Vec<ArrowColumnWriter>>> {
        let number = self.writer.as_ref().map_or(0, |writer| writer.flushed_row_groups().len());
        let mut writers = self.groups.create_column_writers(number).map_err(parquet_error)?.into_iter();
        let empty = RecordBatch::new_empty(self.schema.clone());
        let of_column = |(field, array)| -> ParquetResult<Vec<ArrowColumnWriter>> {
            Ok(writers.by_ref().take(compute_leaves(field, array)?.len()).collect())
        };
        let fields = self.schema.fields().iter().map(AsRef::as_ref);
        fields.zip(empty.columns()).map(of_column).collect::<ParquetResult<_>>().map_err(parquet_error)
    }

    fn end_group(&mut self) -> Result<()> {
        let Some(writer) = &mut self.writer else { return Err(complete()) };
        let mut group = writer.next_row_group().map_err(parquet_error)?;
        for column in std::mem::take(&mut self.group).columns.into_iter().flatten() {
            column.close().and_then(|chunk| chunk.append_to_row_group(&mut group)).map_err(parquet_error)?;
        }
        group.close().map_err(parquet_error).map(|_| ())
    }
}

impl Encoder for ParquetEncoder {
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        let batch = rows(change, &self.schema, "parquet")?;
        self.held_rows += batch.num_rows();
        self.held.push(batch);
        if self.held_rows >= HELD_ROWS {
            self.write_held()?;
        }
        // What is complete goes out, so that memory holds one row group and not the file.
        let writer = self.writer.as_mut().ok_or_else(complete)?;
        out.append(writer.inner_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.writer.is_none() {
            return Ok(());
        }
        self.write_held()?;
        if self.group.rows > 0 {
            self.end_group()?;
        }
        if let Some(writer) = self.writer.take() {
            out.extend(writer.into_inner().map_err(parquet_error)?);
        }
        Ok(())
    }
}

/// Batches in runs of which the first has at most `room` rows and the others a row group's.
fn split(batches: Vec<RecordBatch>, mut room: usize) -> Vec<Vec<RecordBatch>> {
    let mut runs = Vec::new();
    let mut run = Vec::new();
    for mut batch in batches {
        while batch.num_rows() > room {
            run.push(batch.slice(0, room));
            batch = batch.slice(room, batch.num_rows() - room);
            runs.push(std::mem::take(&mut run));
            room = GROUP_ROWS;
        }
        if batch.num_rows() > 0 {
            room -= batch.num_rows();
            run.push(batch);
        }
    }
    runs.push(run);
    runs
}

/// Encodes the columns of some batches, on several threads when there is enough to do.
fn write_columns(
    columns: &mut [Vec<ArrowColumnWriter>],
    schema: &SchemaRef,
    batches: &[RecordBatch],
) -> ParquetResult<()> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    let others = if rows < HELD_ROWS / 2 { 0 } else { (*THREADS).min(columns.len()).saturating_sub(1) };
    let next = Mutex::new(columns.iter_mut().enumerate());
    let work = || -> ParquetResult<()> {
        loop {
            // The lock is let go before the column is written.
            let taken = next.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, writers)) = taken else { return Ok(()) };
            for batch in batches {
                let leaves = compute_leaves(schema.field(index), batch.column(index))?;
                for (leaf, writer) in leaves.iter().zip(writers.iter_mut()) {
                    writer.write(leaf)?;
                }
            }
        }
    };
    thread::scope(|scope| {
        let start = |_| thread::Builder::new().name("encode".into()).spawn_scoped(scope, work);
        // Without a thread left in the system, this one does it all.
        let others: Vec<_> = (0..others).filter_map(|n| start(n).ok()).collect();
        let mine = work();
        others.into_iter().fold(mine, |all, other| {
            let its = other.join().unwrap_or_else(|panic| resume_unwind(panic));
            all.and(its)
        })
    })
}

fn complete() -> Error {
    Error::internal("the Parquet file is complete already")
}

fn parquet_error(error: ParquetError) -> Error {
    Error::execution(format!("writing Parquet: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, StringArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::Int64Type;
    use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch(from: i64, rows: i64) -> RecordBatch {
        let numbers = from..from + rows;
        let id: ArrayRef = Arc::new(Int64Array::from_iter(numbers.clone().map(|n| (n % 7 != 0).then_some(n))));
        let text: ArrayRef = Arc::new(StringArray::from_iter_values(numbers.clone().map(|n| format!("t{}", n % 1000))));
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
            numbers.map(|n| (n % 3 != 0).then(|| vec![Some(n); (n % 4) as usize])),
        ));
        RecordBatch::try_from_iter_with_nullable([("id", id, true), ("text", text, false), ("list", list, true)])
            .unwrap()
    }

    #[test]
    fn rows_come_back_in_order_in_groups_of_a_million() {
        let sizes = [3, 0, 40_000, 30_000, 1_000_000, 1, 1_200_000, 5];
        let mut encoder = ParquetEncoder::new(&batch(0, 0).schema()).unwrap();
        let (mut out, mut from, mut all) = (Vec::new(), 0, Vec::new());
        for rows in sizes {
            all.push(batch(from, rows));
            from += rows;
            encoder.encode(&Change::append(all[all.len() - 1].clone()), &mut out).unwrap();
        }
        encoder.finish(&mut out).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(out)).unwrap();
        let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|g| g.num_rows()).collect();
        let first = GROUP_ROWS as i64;
        assert_eq!(groups, [first, first, from - 2 * first]);
        let read = reader.build().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let schema = all[0].schema();
        assert!(concat_batches(&schema, &read).unwrap() == concat_batches(&schema, &all).unwrap());
        assert!(encoder.encode(&Change::append(batch(0, 1)), &mut Vec::new()).is_err(), "it is complete");
    }
}
