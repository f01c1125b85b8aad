//! Files of columns: what Arrow IPC and Parquet have in common, and Arrow IPC, whose batches go in as they come.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::FileWriter;

use super::moves::{self, Op};
use super::no_changes;
use crate::change::Change;
use crate::error::{Error, Result};
use crate::format::{Encoder, spelling};

/// Writes an Arrow IPC file.
pub(super) struct ArrowEncoder {
    schema: SchemaRef,
    writer: Option<FileWriter<Vec<u8>>>,
}

impl ArrowEncoder {
    pub(super) fn new(schema: &SchemaRef) -> Result<Self> {
        let schema = spelled(schema);
        let writer = FileWriter::try_new(Vec::new(), &schema)?;
        Ok(Self { schema, writer: Some(writer) })
    }
}

impl Encoder for ArrowEncoder {
    fn encode(&mut self, change: &Change, out: &mut Vec<u8>) -> Result<()> {
        let batch = rows(change, &self.schema, "arrow")?;
        let Some(writer) = &mut self.writer else { return Err(Error::internal("the Arrow file is complete already")) };
        writer.write(&batch)?;
        out.append(writer.get_mut());
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            out.extend(writer.into_inner()?);
        }
        Ok(())
    }
}

/// The schema as files have it: names as they are spelled, no metadata of ours.
pub(super) fn spelled(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<arrow::datatypes::Field>| {
        let name = spelling(field).to_owned();
        field.as_ref().clone().with_name(name).with_metadata(Default::default())
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// The rows that enter, each as often as it does.
pub(super) fn rows(change: &Change, schema: &SchemaRef, format: &str) -> Result<RecordBatch> {
    let mut batch = change.batch.clone();
    if change.weights.as_ref().is_some_and(|weights| weights.values().iter().any(|w| *w != 1)) {
        let mut indices = Vec::with_capacity(batch.num_rows());
        moves::each(change, None, |op, row| {
            indices.push(row as u32);
            if op == Op::Insert { Ok(()) } else { Err(no_changes(format)) }
        })?;
        batch = take_record_batch(&batch, &UInt32Array::from(indices))?;
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), batch.columns().to_vec(), &options)?)
}
