//! Records that change rows by their key: Debezium's envelopes, and rows with an `op`.
//!
//! Both are read by the [JSON decoder](super::json), an envelope as structs, and then turned into rows that come and rows that
//! go. What goes is known by its key alone: other columns of it need not be in the record.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{interleave, is_not_null};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::common::ScalarValue;

use super::json::JsonDecoder;
use super::lines::{is_blank, lines};
use super::{NumberUnit, Reason, bad, shown};
use crate::change::WEIGHT_COLUMN;
use crate::error::{Error, Result};
use crate::format::{Decoded, Decoder, KEY, Place, spelling};

/// Decodes JSON records that say what becomes of a row. The last column that it gives is [`WEIGHT_COLUMN`]: 1 for a row
/// that comes (in place of the one with its key, if there is one), −1 for one that goes.
pub(crate) struct ChangesDecoder {
    records: JsonDecoder,
    envelope: Envelope,
    /// The wanted columns of rows, as they are told.
    fields: Fields,
    /// The same, without the weight; and where that stands among them.
    schema: SchemaRef,
    weight: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Envelope {
    /// `{"before":…,"after":…,"op":"u"}`, or the same as the `payload` beside a `schema`.
    Debezium,
    /// `{"op":"+I", columns}`; without an `op` it comes.
    Flat,
}

/// What becomes of the rows of a record.
struct Moves {
    /// Which of the two rows of a record (0: the old one, 1: the new one), and the record.
    rows: Vec<(usize, usize)>,
    weights: Vec<i64>,
    /// Records that say nothing that can be done, and why.
    bad: Vec<(usize, Reason)>,
}

impl ChangesDecoder {
    /// Debezium's JSON.
    pub(crate) fn debezium(schema: &Schema, projection: &[usize], numbers: NumberUnit) -> Result<Self> {
        Self::new(Envelope::Debezium, schema, projection, numbers)
    }

    /// Rows as JSON objects, with an `op` (`__op` where there is a column `op`).
    pub(crate) fn upsert(schema: &Schema, projection: &[usize], numbers: NumberUnit) -> Result<Self> {
        Self::new(Envelope::Flat, schema, projection, numbers)
    }

    fn new(envelope: Envelope, schema: &Schema, projection: &[usize], numbers: NumberUnit) -> Result<Self> {
        let projected = Arc::new(crate::format::project(schema, projection)?);
        let weight = projected.fields().iter().position(|f| f.name() == WEIGHT_COLUMN);
        let weight = weight.ok_or_else(|| Error::internal("records that change rows are read with their weight"))?;
        let columns = projected.fields().iter().filter(|f| f.name() != WEIGHT_COLUMN);
        let fields: Fields = columns.map(|f| Arc::new(f.as_ref().clone().with_nullable(true))).collect();
        let row = |name: &str| Field::new(name, DataType::Struct(fields.clone()), true);
        let op = |name: &str| Field::new(name, DataType::Utf8, true);
        let records = match envelope {
            Envelope::Debezium => {
                let message = vec![row("before"), row("after"), op("op")];
                let payload = Field::new("payload", DataType::Struct(message.clone().into()), true);
                Schema::new(message.into_iter().chain([payload]).collect::<Vec<_>>())
            }
            Envelope::Flat => {
                let taken = schema.fields().iter().any(|f| spelling(f) == "op");
                let op = Arc::new(op(if taken { "__op" } else { "op" }));
                Schema::new(fields.iter().cloned().chain([op]).collect::<Vec<FieldRef>>())
            }
        };
        let all: Vec<usize> = (0..records.fields().len()).collect();
        let records = JsonDecoder::new(&records, &all, numbers)?;
        Ok(Self { records, envelope, fields, schema: projected, weight })
    }

    /// The old rows, the new rows and the operations of some records.
    fn unwrapped(&self, batch: &RecordBatch) -> Result<(ArrayRef, ArrayRef, StringArray)> {
        let [before, after, op] = match self.envelope {
            Envelope::Flat => {
                let (op, columns) =
                    batch.columns().split_last().ok_or_else(|| Error::internal("a record without op"))?;
                let rows: ArrayRef = Arc::new(StructArray::new(self.fields.clone(), columns.to_vec(), None));
                [Arc::clone(&rows), rows, Arc::clone(op)]
            }
            Envelope::Debezium => {
                let of = |name: &str| batch.column_by_name(name).map(Arc::clone);
                let missing = || Error::internal("a column of the envelope is missing");
                let payload = of("payload").ok_or_else(missing)?;
                let within = payload.as_struct_opt().ok_or_else(missing)?;
                let wrapped = is_not_null(&payload)?;
                let part = |name: &str| -> Result<ArrayRef> {
                    let bare = of(name).ok_or_else(missing)?;
                    if wrapped.true_count() == 0 {
                        return Ok(bare);
                    }
                    Ok(zip(&wrapped, within.column_by_name(name).ok_or_else(missing)?, &bare)?)
                };
                [part("before")?, part("after")?, part("op")?]
            }
        };
        Ok((before, after, op.as_string_opt().cloned().ok_or_else(|| Error::internal("op is no text"))?))
    }

    fn moves(&self, before: &StructArray, after: &StructArray, ops: &StringArray) -> Moves {
        let mut moves = Moves { rows: Vec::new(), weights: Vec::new(), bad: Vec::new() };
        for record in 0..ops.len() {
            let op = ops.is_valid(record).then(|| ops.value(record));
            match self.moves_of(op, record, before, after) {
                Err(reason) => moves.bad.push((record, reason)),
                Ok((goes, comes)) => {
                    for (side, weight) in [goes.then_some((0, -1)), comes.then_some((1, 1))].into_iter().flatten() {
                        moves.rows.push((side, record));
                        moves.weights.push(weight);
                    }
                }
            }
        }
        moves
    }

    /// Whether the old row of a record goes, and whether the new one comes.
    fn moves_of(
        &self,
        op: Option<&str>,
        record: usize,
        before: &StructArray,
        after: &StructArray,
    ) -> Result<(bool, bool), Reason> {
        let (goes, comes) = match (self.envelope, op) {
            (Envelope::Flat, None | Some("+I" | "+U" | "I" | "U" | "c" | "r" | "u")) => (false, true),
            (Envelope::Flat, Some("-D" | "-U" | "D" | "d")) => (true, false),
            (Envelope::Debezium, Some("c" | "r")) => (false, true),
            // An old row that is there may have another key.
            (Envelope::Debezium, Some("u")) => {
                (before.is_valid(record) && self.whole(before, record, true).is_ok(), true)
            }
            (Envelope::Debezium, Some("d")) => (true, false),
            (Envelope::Debezium, Some("t")) => return Err("a truncation (op 't') can't be followed".to_owned()),
            (Envelope::Debezium, None) => return Err("no 'op' in the message".to_owned()),
            (_, Some(other)) => return Err(format!("{} is no 'op' that is known", shown(other))),
        };
        let debezium = self.envelope == Envelope::Debezium;
        if debezium && comes && after.is_null(record) {
            return Err("no 'after' in the message".to_owned());
        }
        if debezium && goes && !comes && before.is_null(record) {
            return Err("no 'before' in the message that deletes a row".to_owned());
        }
        if comes {
            self.whole(after, record, false)?;
        } else {
            self.whole(before, record, true)?;
        }
        Ok((goes, comes))
    }

    /// Whether a row has a value wherever it must: in its key, and unless `key_only` in columns that are NOT NULL.
    fn whole(&self, rows: &StructArray, record: usize, key_only: bool) -> Result<(), Reason> {
        let wanted = self.schema.fields().iter().filter(|f| f.name() != WEIGHT_COLUMN);
        for (field, column) in wanted.zip(rows.columns()) {
            if column.is_valid(record) {
                continue;
            }
            if field.metadata().contains_key(KEY) {
                return Err(format!("the key column '{}' has no value", spelling(field)));
            }
            if !field.is_nullable() && !key_only {
                return Err(format!("column '{}' is NOT NULL and has no value", spelling(field)));
            }
        }
        Ok(())
    }

    /// The rows that come and go.
    fn rows(&self, before: &StructArray, after: &StructArray, moves: &Moves) -> Result<RecordBatch> {
        let wanted = self.schema.fields().iter().filter(|f| f.name() != WEIGHT_COLUMN).enumerate();
        let column = |(at, field): (usize, &FieldRef)| -> Result<ArrayRef> {
            let sides: [&dyn Array; 2] = [before.column(at).as_ref(), after.column(at).as_ref()];
            let picked = interleave(&sides, &moves.rows)?;
            if field.is_nullable() || picked.null_count() == 0 {
                return Ok(picked);
            }
            // Of a row that goes, what is not in the record is of no account.
            let filler = ScalarValue::new_default(field.data_type())?.to_scalar()?;
            let known: BooleanArray = is_not_null(&picked)?;
            Ok(zip(&known, &picked, &filler)?)
        };
        let mut columns = wanted.map(column).collect::<Result<Vec<_>>>()?;
        columns.insert(self.weight, Arc::new(Int64Array::from(moves.weights.clone())));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

impl Decoder for ChangesDecoder {
    fn decode(&mut self, block: &[u8], place: &Place) -> Result<Decoded> {
        let mut decoded = self.records.decode(block, place)?;
        let (before, after, ops) = self.unwrapped(&decoded.batch)?;
        let rows = |rows: &ArrayRef| rows.as_struct_opt().cloned().ok_or_else(|| Error::internal("rows are structs"));
        let (before, after) = (rows(&before)?, rows(&after)?);
        let moves = self.moves(&before, &after, &ops);
        if !moves.bad.is_empty() {
            // The records that were read are those that are not bad already.
            let unread: HashSet<u64> = decoded.bad.iter().map(|b| b.place.record).collect();
            let read: Vec<(u64, &[u8])> =
                lines(block, place, is_blank).filter(|(number, _)| !unread.contains(number)).collect();
            for (record, reason) in &moves.bad {
                if let Some((number, line)) = read.get(*record) {
                    decoded.bad.push(bad(place, *number, reason.clone(), line));
                }
            }
            decoded.bad.sort_by_key(|b| b.place.record);
        }
        Ok(Decoded { batch: self.rows(&before, &after, &moves)?, ..decoded })
    }
}
