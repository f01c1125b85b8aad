//! The columns of a record, found by the keys of a record, and the batches made of them.

use std::collections::HashMap;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Fields, Schema, SchemaRef};

use super::Reason;
use super::column::{Column, NumberUnit};
use crate::error::Result;
use crate::format::spelling;

/// The columns of a record (or of a struct in it).
pub(super) struct Row {
    pub(super) columns: Vec<Column>,
    exact: HashMap<Box<str>, usize>,
    folded: HashMap<Box<str>, usize>,
    /// The keys of the last record in order, and what each one was: records tend to repeat.
    shape: Vec<(Box<str>, Slot)>,
    /// How many keys the last record had.
    length: usize,
    /// Per column, whether the record at hand gave it by its exact name.
    exactly: Vec<bool>,
}

/// What a key is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Slot {
    /// No column.
    Unknown,
    /// A column by its exact name.
    Exact(usize),
    /// A column whose name differs in case alone: it counts unless the exact name is there too.
    Folded(usize),
}

/// Which columns a record has given. Columns far behind can't be noted, and look as if they had been given.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Given(u128);

impl Given {
    /// Notes a column; whether it is the first time.
    #[inline(always)]
    pub(super) fn add(&mut self, index: usize) -> bool {
        let bit = u32::try_from(index).ok().and_then(|index| 1_u128.checked_shl(index)).unwrap_or(0);
        let first = bit != 0 && self.0 & bit == 0;
        self.0 |= bit;
        first
    }

    /// How many have been noted.
    #[inline(always)]
    pub(super) fn count(self) -> usize {
        self.0.count_ones() as usize
    }
}

impl Row {
    pub(super) fn new(fields: &Fields, numbers: NumberUnit) -> Result<Self> {
        let columns = fields.iter().map(|f| Column::new(f, numbers)).collect::<Result<Vec<_>>>()?;
        let (mut exact, mut folded) = (HashMap::new(), HashMap::new());
        for (index, field) in fields.iter().enumerate() {
            let name = spelling(field);
            exact.entry(name.into()).or_insert(index);
            folded.entry(name.to_lowercase().into()).or_insert(index);
        }
        let exactly = vec![false; columns.len()];
        Ok(Self { columns, exact, folded, shape: Vec::new(), length: 0, exactly })
    }

    /// A record begins.
    pub(super) fn begin(&mut self) {
        self.length = 0;
    }

    /// The keys of the last record, in order, as far as they were kept.
    pub(super) fn keys(&self) -> &[(Box<str>, Slot)] {
        &self.shape[..self.length.min(self.shape.len())]
    }

    /// What the key at this position of the record is.
    pub(super) fn slot(&mut self, position: usize, key: &str) -> Slot {
        self.length = position + 1;
        // A record with a million keys, or keys of a megabyte, must not make the memory of the shape grow.
        const MOST_KEYS: usize = 4096;
        const LONGEST_KEY: usize = 256;
        if let Some((last, slot)) = self.shape.get(position)
            && **last == *key
        {
            return *slot;
        }
        let slot = self.find(key);
        if key.len() > LONGEST_KEY {
            return slot;
        }
        if position < self.shape.len() {
            self.shape[position] = (key.into(), slot);
        } else if position == self.shape.len() && position < MOST_KEYS {
            self.shape.push((key.into(), slot));
        }
        slot
    }

    /// What a name is.
    pub(super) fn find(&self, key: &str) -> Slot {
        match self.exact.get(key) {
            Some(index) => Slot::Exact(*index),
            None => self.folded.get(key.to_lowercase().as_str()).map_or(Slot::Unknown, |index| Slot::Folded(*index)),
        }
    }

    /// The column that the value of a key goes to, made ready for it; `None` when the value is to be skipped.
    ///
    /// Of a key that comes twice the last value counts, but an exact name beats one that differs in case.
    pub(super) fn column(&mut self, slot: Slot, row: usize) -> Option<&mut Column> {
        let (index, exact) = match slot {
            Slot::Unknown => return None,
            Slot::Exact(index) => (index, true),
            Slot::Folded(index) => (index, false),
        };
        let given = self.columns[index].len() > row;
        if given && self.exactly[index] && !exact {
            return None;
        }
        if given {
            self.columns[index].truncate(row);
        }
        self.exactly[index] = exact;
        self.columns.get_mut(index)
    }

    /// Ends a record: columns that it did not give are NULL.
    pub(super) fn end(&mut self, row: usize) -> Result<(), Reason> {
        for column in &mut self.columns {
            if column.len() == row {
                column.append_null()?;
            }
        }
        Ok(())
    }

    /// A NULL struct.
    pub(super) fn append_null(&mut self) {
        self.columns.iter_mut().for_each(Column::append_masked);
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        self.columns.iter_mut().for_each(|column| column.truncate(rows));
    }

    pub(super) fn finish(&mut self) -> Result<Vec<ArrayRef>> {
        self.columns.iter_mut().map(Column::finish).collect()
    }
}

/// The rows of a batch in the making.
pub(crate) struct Rows {
    pub(super) row: Row,
    pub(super) count: usize,
    schema: SchemaRef,
    numbers: NumberUnit,
}

impl Rows {
    /// No rows yet, of the columns `projection` of a schema.
    pub(crate) fn new(schema: &Schema, projection: &[usize], numbers: NumberUnit) -> Result<Self> {
        let schema = SchemaRef::new(crate::format::project(schema, projection)?);
        Ok(Self { row: Row::new(schema.fields(), numbers)?, count: 0, schema, numbers })
    }

    /// No rows yet, of the same columns.
    pub(super) fn fork(&self) -> Result<Self> {
        let row = Row::new(self.schema.fields(), self.numbers)?;
        Ok(Self { row, count: 0, schema: self.schema.clone(), numbers: self.numbers })
    }

    /// Takes in the record that `fill` appends, or nothing of it when it is bad.
    pub(super) fn add(&mut self, fill: impl FnOnce(&mut Row, usize) -> Result<(), Reason>) -> Result<(), Reason> {
        let count = self.count;
        let result = fill(&mut self.row, count).and_then(|()| self.row.end(count));
        match result {
            Ok(()) => self.count += 1,
            Err(_) => self.row.truncate(count),
        }
        result
    }

    /// Takes the rows out.
    pub(super) fn finish(&mut self) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.count));
        self.count = 0;
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), self.row.finish()?, &options)?)
    }
}
