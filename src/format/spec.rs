//! What format an input or output has, as its options say it, and the parts made from it.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use super::{Decoder, Encoder, Framer};
use crate::error::{Error, Result};
use crate::host::ReadFile;
use crate::settings::Options;

/// A format with its options.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatSpec {}

/// What a look at the first bytes of an input showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Inferred {
    /// Its format.
    pub format: FormatSpec,
    /// Its columns.
    pub schema: SchemaRef,
}

/// Batches of a columnar file, in order.
pub type ColumnarReader = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

impl FormatSpec {
    /// The format that options name (`format = 'json' | 'csv' | …` and what goes with it), else the one that a path's
    /// extension shows; `None` when neither says and it is to be inferred from the bytes.
    ///
    /// # Errors
    /// An unknown format or a wrong option.
    pub fn from_options(options: &Options, path: Option<&str>) -> Result<Option<Self>> {
        let _ = (options, path);
        Ok(None)
    }

    /// Whether files of it are read by column (Parquet, Arrow IPC), with [`FormatSpec::read_columnar`], and not record by record.
    pub fn is_columnar(&self) -> bool {
        false
    }

    /// Finds record boundaries.
    pub fn framer(&self) -> Box<dyn Framer> {
        unreachable!("replaced by the format module")
    }

    /// Decodes records into the columns `projection` of `schema`.
    ///
    /// # Errors
    /// When a column has a type that the format can't hold.
    pub fn decoder(&self, schema: &SchemaRef, projection: &[usize]) -> Result<Box<dyn Decoder>> {
        let _ = (schema, projection);
        Err(Error::internal("not yet"))
    }

    /// Reads the columns `projection` of `schema` from a columnar file, in batches of at most `batch_rows`.
    ///
    /// # Errors
    /// When the file is none, or lacks a column.
    pub fn read_columnar(
        &self,
        file: Box<dyn ReadFile>,
        schema: &SchemaRef,
        projection: &[usize],
        batch_rows: usize,
    ) -> Result<ColumnarReader> {
        let _ = (file, schema, projection, batch_rows);
        Err(Error::internal("not yet"))
    }

    /// Encodes changes of `schema`; `key` columns tell updates from other pairs (see `Change::weights`).
    ///
    /// # Errors
    /// When a column has a type that the format can't hold.
    pub fn encoder(&self, schema: &SchemaRef, key: Option<&[usize]>) -> Result<Box<dyn Encoder>> {
        let _ = (schema, key);
        Err(Error::internal("not yet"))
    }

    /// Whether rows that leave again can be written (changelog, Debezium).
    pub fn holds_changes(&self) -> bool {
        false
    }
}

/// The format and schema of an input, from its first bytes (decompressed); `format` and `path` are what is known already.
///
/// # Errors
/// When the bytes show neither.
pub fn infer(format: Option<&FormatSpec>, path: Option<&str>, sample: &[u8]) -> Result<Inferred> {
    let _ = (format, path, sample);
    Err(Error::internal("not yet"))
}
