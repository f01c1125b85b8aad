//! Parquet and Arrow IPC: files that hold columns, and so are read by column.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::ipc::reader::{FileReader, StreamReader};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::reader::{ChunkReader, Length};

use super::spec::Kind;
use super::{infer, spelling};
use crate::error::{Error, Result, nearest};
use crate::host::ReadFile;

/// Batches of a columnar file, in order.
pub type ColumnarReader = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// The columns of a Parquet or Arrow IPC file, with SQL names (folded to lower case, the spelling kept as metadata).
///
/// # Errors
/// When the file is none.
pub fn infer_columnar(format: &super::FormatSpec, file: Box<dyn ReadFile>) -> Result<SchemaRef> {
    let schema = match format.kind {
        Kind::Parquet => parquet(file)?.schema().clone(),
        _ => ipc(&Shared(Arc::new(Mutex::new(file))), None)?.0,
    };
    Ok(Arc::new(infer::fold_names(&schema)))
}

/// Reads a file; see [`super::FormatSpec::read_columnar`].
pub(super) fn read(
    kind: Kind,
    file: Box<dyn ReadFile>,
    schema: &SchemaRef,
    projection: &[usize],
    batch_rows: usize,
) -> Result<ColumnarReader> {
    let wanted = Arc::new(super::project(schema, projection)?);
    match kind {
        Kind::Parquet => {
            let builder = parquet(file)?;
            let (indices, order) = locate(&wanted, builder.schema())?;
            let mask = ProjectionMask::roots(builder.parquet_schema(), indices);
            let reader = builder.with_projection(mask).with_batch_size(batch_rows).build().map_err(parquet_error)?;
            Ok(Box::new(reader.map(move |batch| conform(&batch?, &wanted, &order))))
        }
        Kind::Arrow => {
            // Which columns to read is known once the schema is read: two readers of one file.
            let file = Shared(Arc::new(Mutex::new(file)));
            let (indices, order) = locate(&wanted, &ipc(&file, None)?.0)?;
            let (_, reader) = ipc(&file, Some(indices))?;
            let batches = reader.flat_map(move |batch| match batch.map_err(Error::from) {
                Ok(batch) => slices(&batch, batch_rows).into_iter().map(Ok).collect::<Vec<_>>(),
                Err(error) => vec![Err(error)],
            });
            Ok(Box::new(batches.map(move |batch| conform(&batch?, &wanted, &order))))
        }
        _ => Err(Error::internal("a format of records was read as columns")),
    }
}

/// Which columns of the file are read (ascending), and where among those each wanted column stands.
fn locate(wanted: &Schema, file: &Schema) -> Result<(Vec<usize>, Vec<usize>)> {
    let found = wanted.fields().iter().map(|field| find(field, file)).collect::<Result<Vec<_>>>()?;
    let mut indices = found.clone();
    indices.sort_unstable();
    indices.dedup();
    let order = found.iter().filter_map(|index| indices.binary_search(index).ok()).collect();
    Ok((indices, order))
}

fn find(field: &Field, file: &Schema) -> Result<usize> {
    let position = |matches: &dyn Fn(&str) -> bool| file.fields().iter().position(|f| matches(f.name()));
    let (name, spelled) = (field.name(), spelling(field));
    position(&|n| n == name)
        .or_else(|| position(&|n| n == spelled))
        .or_else(|| position(&|n| n.to_lowercase() == name.to_lowercase()))
        .ok_or_else(|| {
            let names = || file.fields().iter().map(|f| f.name().as_str());
            let error = Error::data(format!("the file has no column '{spelled}'"));
            match nearest(spelled, names()) {
                Some(near) => error.help(format!("did you mean '{near}'?")),
                None => error.help(format!("its columns are: {}", names().collect::<Vec<_>>().join(", "))),
            }
        })
}

/// Puts the columns in order and casts them to the declared types.
fn conform(batch: &RecordBatch, wanted: &SchemaRef, order: &[usize]) -> Result<RecordBatch> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let column = |(index, field): (&usize, &Arc<Field>)| -> Result<ArrayRef> {
        let column = batch.column(*index);
        if column.data_type() == field.data_type() {
            return Ok(column.clone());
        }
        cast_with_options(column, field.data_type(), &options)
            .map_err(|e| Error::data(format!("column '{}': {e}", field.name())))
    };
    let columns = order.iter().zip(wanted.fields()).map(column).collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(wanted.clone(), columns, &options).map_err(|e| Error::data(e.to_string()))
}

fn slices(batch: &RecordBatch, rows: usize) -> Vec<RecordBatch> {
    (0..batch.num_rows()).step_by(rows).map(|at| batch.slice(at, rows.min(batch.num_rows() - at))).collect()
}

/// Batches of an Arrow IPC file or stream.
type IpcBatches = Box<dyn Iterator<Item = arrow::error::Result<RecordBatch>> + Send>;

/// Reads an Arrow IPC file or stream, told apart by their first bytes, from its start.
fn ipc(file: &Shared, columns: Option<Vec<usize>>) -> Result<(SchemaRef, IpcBatches)> {
    let mut magic = Vec::new();
    At { file: file.clone(), at: 0 }.take(6).read_to_end(&mut magic)?;
    let reader = BufReader::new(At { file: file.clone(), at: 0 });
    let not_arrow = |e: arrow::error::ArrowError| Error::data(format!("not an Arrow IPC file: {e}"));
    if magic == b"ARROW1" {
        let reader = FileReader::try_new(reader, columns).map_err(not_arrow)?;
        return Ok((reader.schema(), Box::new(reader)));
    }
    // Anything else would be taken for the length of a message, and that much memory asked for.
    if !magic.starts_with(&[0xff; 4]) {
        return Err(Error::data("not an Arrow IPC file or stream"));
    }
    let reader = StreamReader::try_new(reader, columns).map_err(not_arrow)?;
    Ok((reader.schema(), Box::new(reader)))
}

fn parquet(file: Box<dyn ReadFile>) -> Result<ParquetRecordBatchReaderBuilder<Shared>> {
    let shared = Shared(Arc::new(Mutex::new(file)));
    ParquetRecordBatchReaderBuilder::try_new(shared).map_err(parquet_error)
}

fn parquet_error(error: ParquetError) -> Error {
    Error::data(format!("not a Parquet file, or a damaged one: {error}"))
}

/// An open file that several readers seek in. Each read seeks first, so they don't disturb each other.
#[derive(Clone)]
struct Shared(Arc<Mutex<Box<dyn ReadFile>>>);

/// The type that Parquet hands bytes out in, whose crate is no dependency of this one.
type Bytes = <datafusion::object_store::PutPayload as IntoIterator>::Item;

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut dyn ReadFile) -> std::io::Result<T>) -> std::io::Result<T> {
        let mut file = self.0.lock().map_err(|_| std::io::Error::other("a reader of the file has panicked"))?;
        act(&mut **file)
    }
}

impl Length for Shared {
    fn len(&self) -> u64 {
        self.with(|file| file.seek(SeekFrom::End(0))).unwrap_or(0)
    }
}

impl ChunkReader for Shared {
    type T = BufReader<At>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(At { file: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let mut bytes = Vec::new();
        let read = self.with(|file| {
            file.seek(SeekFrom::Start(start))?;
            file.take(length as u64).read_to_end(&mut bytes)
        })?;
        if read < length {
            return Err(ParquetError::EOF(format!("expected {length} bytes at {start}, found {read}")));
        }
        Ok(bytes.into())
    }
}

/// A reader at a place of its own in a shared file.
struct At {
    file: Shared,
    at: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let at = self.at;
        let read = self.file.with(|file| file.seek(SeekFrom::Start(at)).and_then(|_| file.read(buffer)))?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for At {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let at = self.at;
        self.at = self.file.with(|file| match to {
            SeekFrom::Current(by) => file.seek(SeekFrom::Start(at)).and_then(|_| file.seek(SeekFrom::Current(by))),
            to => file.seek(to),
        })?;
        Ok(self.at)
    }
}
