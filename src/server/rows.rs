//! Batches → the rows of the protocol, in text or binary.

use std::error::Error as StdError;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_pg::datatypes::field_into_pg_type;
use arrow_pg::encoder::encode_value;
use bytes::BytesMut;
use pgwire::api::Type;
use pgwire::api::portal::Format;
use pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo};
use pgwire::error::PgWireError;
use pgwire::messages::data::DataRow;
use pgwire::types::ToSqlText;
use pgwire::types::format::FormatOptions;
use postgres_types::{IsNull, ToSql, to_sql_checked};

use super::{numeric, text};
use crate::error::{Error, Result};

/// The columns of an answer, as the client is told about them.
pub(super) fn fields(schema: &Schema, format: &Format) -> Vec<FieldInfo> {
    let count = schema.fields().len();
    let of = |(index, field): (usize, &Arc<Field>)| {
        let data_type = pg_type(field);
        let wanted = match format {
            // Fewer formats than columns is the client's mistake; text is always right.
            Format::Individual(formats) if formats.len() != count => FieldFormat::Text,
            format => format.format_for(index),
        };
        let (size, modifier) = (size(&data_type), modifier(field.data_type()));
        FieldInfo::new(crate::format::spelling(field).to_owned(), None, None, data_type, wanted)
            .with_type_size(size)
            .with_type_modifier(modifier)
    };
    schema.fields().iter().enumerate().map(of).collect()
}

/// The PostgreSQL type of a column; what PostgreSQL has no type for is text.
pub(super) fn pg_type(field: &Arc<Field>) -> Type {
    match field.data_type() {
        DataType::Decimal256(..) => Type::NUMERIC,
        // `SELECT NULL` is text in PostgreSQL.
        DataType::Null => Type::TEXT,
        _ => field_into_pg_type(field).unwrap_or(Type::TEXT),
    }
}

/// `pg_attribute.atttypmod`: precision and scale of a decimal.
pub(super) fn modifier(of: &DataType) -> i32 {
    match of {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            ((i32::from(*precision) << 16) | (i32::from(*scale) & 0xFFFF)) + 4
        }
        _ => -1,
    }
}

/// `pg_type.typlen`
pub(super) fn size(of: &Type) -> i16 {
    match *of {
        Type::BOOL | Type::CHAR => 1,
        Type::INT2 => 2,
        Type::INT4 | Type::FLOAT4 | Type::DATE | Type::OID | Type::REGTYPE | Type::REGCLASS | Type::REGPROC => 4,
        Type::INT8 | Type::FLOAT8 | Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME => 8,
        Type::INTERVAL => 16,
        Type::NAME => 64,
        _ => -1,
    }
}

/// Makes rows of batches.
pub(super) struct RowEncoder {
    fields: Arc<Vec<FieldInfo>>,
    encoder: DataRowEncoder,
    scratch: String,
}

impl RowEncoder {
    pub(super) fn new(fields: Arc<Vec<FieldInfo>>) -> Self {
        Self { encoder: DataRowEncoder::new(fields.clone()), fields, scratch: String::new() }
    }

    /// A row of a batch.
    ///
    /// # Errors
    /// When a value has no place in its PostgreSQL type.
    pub(super) fn row(&mut self, batch: &RecordBatch, row: usize) -> Result<DataRow> {
        let schema = batch.schema_ref();
        for (index, info) in self.fields.iter().enumerate() {
            let column = batch.column(index);
            let encoded = if column.is_null(row) || matches!(column.data_type(), DataType::Null) {
                put(&mut self.encoder, info, &None::<Text<'_>>)
            } else if info.format() == FieldFormat::Binary && is_own(info.datatype()) {
                // NUMERIC: all of its 38 digits, and more.
                self.scratch.clear();
                text::write(column.as_ref(), row, &mut self.scratch)?;
                put(&mut self.encoder, info, &Some(Text(&self.scratch)))
            } else if info.format() == FieldFormat::Binary {
                encode_value(&mut self.encoder, column, row, schema.field(index), info)
            } else {
                self.scratch.clear();
                text::write(column.as_ref(), row, &mut self.scratch)?;
                put(&mut self.encoder, info, &Some(Text(&self.scratch)))
            };
            encoded.map_err(|error| match error {
                PgWireError::UserError(info) => Error::execution(info.message),
                other => Error::execution(other.to_string()),
            })?;
        }
        Ok(self.encoder.take_row())
    }
}

/// Types whose binary form is made from their text.
fn is_own(of: &Type) -> bool {
    *of == Type::NUMERIC || *of == Type::TEXT
}

fn put(encoder: &mut DataRowEncoder, info: &FieldInfo, value: &Option<Text<'_>>) -> Result<(), PgWireError> {
    encoder.encode_field_with_type_and_format(value, info.datatype(), info.format(), info.format_options())
}

/// A value as text.
#[derive(Debug)]
struct Text<'a>(&'a str);

impl ToSqlText for Text<'_> {
    fn to_sql_text(
        &self,
        _: &Type,
        out: &mut BytesMut,
        _: &FormatOptions,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}

impl ToSql for Text<'_> {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        if *of == Type::NUMERIC {
            numeric::write(self.0, out).ok_or_else(|| format!("'{}' is no NUMERIC", self.0))?;
        } else {
            out.extend_from_slice(self.0.as_bytes());
        }
        Ok(IsNull::No)
    }

    fn accepts(of: &Type) -> bool {
        is_own(of)
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        ArrayRef, Decimal128Array, Float64Array, Int64Array, IntervalMonthDayNanoArray, StringArray,
        TimestampMicrosecondArray, UInt64Array,
    };

    use super::*;

    fn encoded(column: ArrayRef, format: Format) -> Vec<Option<Vec<u8>>> {
        let batch = RecordBatch::try_from_iter([("c", column)]).unwrap();
        let fields = Arc::new(fields(batch.schema_ref(), &format));
        let mut encoder = RowEncoder::new(fields);
        let one = |row| {
            let row = encoder.row(&batch, row).unwrap();
            let length = i32::from_be_bytes(row.data[..4].try_into().unwrap());
            usize::try_from(length).ok().map(|length| row.data[4..4 + length].to_vec())
        };
        (0..batch.num_rows()).map(one).collect()
    }

    #[test]
    fn binary_is_what_postgresql_sends() {
        let ints = encoded(Arc::new(Int64Array::from(vec![Some(1), None])), Format::UnifiedBinary);
        assert_eq!(ints, [Some(vec![0, 0, 0, 0, 0, 0, 0, 1]), None]);
        let floats = encoded(Arc::new(Float64Array::from(vec![1.0])), Format::UnifiedBinary);
        assert_eq!(floats, [Some(vec![0x3F, 0xF0, 0, 0, 0, 0, 0, 0])]);
        let stamp =
            encoded(Arc::new(TimestampMicrosecondArray::from(vec![946_684_800_000_001])), Format::UnifiedBinary);
        assert_eq!(stamp, [Some(vec![0, 0, 0, 0, 0, 0, 0, 1])], "microseconds since 2000");
        let wide = Decimal128Array::from(vec![i128::MAX / 2]).with_precision_and_scale(38, 30).unwrap();
        assert_eq!(
            numeric::read(encoded(Arc::new(wide), Format::UnifiedBinary)[0].as_ref().unwrap()).unwrap().len(),
            39
        );
        let unsigned = encoded(Arc::new(UInt64Array::from(vec![u64::MAX])), Format::UnifiedBinary);
        assert_eq!(numeric::read(unsigned[0].as_ref().unwrap()).unwrap(), u64::MAX.to_string());
        let none = encoded(Arc::new(IntervalMonthDayNanoArray::from(vec![None])), Format::UnifiedBinary);
        assert_eq!(none, [None]);
        let words = encoded(Arc::new(StringArray::from(vec!["ä"])), Format::UnifiedBinary);
        assert_eq!(words, [Some("ä".as_bytes().to_vec())]);
    }

    #[test]
    fn columns_are_described() {
        let schema = Schema::new(vec![
            Field::new("n", DataType::Decimal128(10, 2), true),
            Field::new("nothing", DataType::Null, true),
            Field::new("m", DataType::Int64, true),
        ]);
        let fields = fields(&schema, &Format::Individual(vec![1]));
        assert_eq!(fields[0].type_modifier(), ((10 << 16) | 2) + 4);
        assert_eq!((fields[1].datatype(), fields[2].type_size()), (&Type::TEXT, 8));
        assert_eq!(fields[2].format(), FieldFormat::Text, "one format for three columns is no format");
    }
}
