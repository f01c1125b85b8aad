//! One column of a state table: values by slot, read and written for a few slots at a time.
//!
//! Fixed-width values are a flat vector; everything else (strings, lists, sketches) is held row by row in Arrow's row
//! encoding, which is not a stable format and never leaves memory.

use arrow::array::types::ArrowPrimitiveType;
use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, downcast_primitive};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use std::sync::Arc;

use crate::error::{Error, Result};

/// Values by slot.
pub trait StateColumn: Send {
    /// The values at these slots, in this order.
    ///
    /// # Errors
    /// Only when the encoding is broken.
    fn read(&self, slots: &[u32]) -> Result<ArrayRef>;

    /// Writes a value per slot; slots beyond the end grow the column.
    ///
    /// # Errors
    /// When the values are of another type.
    fn write(&mut self, slots: &[u32], values: &dyn Array) -> Result<()>;

    /// Lets go of what a value that is not needed any more holds.
    fn clear(&mut self, slot: u32);

    /// Bytes held.
    fn bytes(&self) -> usize;
}

/// A column for values of this type.
///
/// # Errors
/// When Arrow's row encoding does not know the type.
pub(super) fn column_of(data_type: &DataType) -> Result<Box<dyn StateColumn>> {
    macro_rules! primitive {
        ($t:ty) => {
            Box::new(Primitive::<$t> { data_type: data_type.clone(), values: Vec::new(), valid: Vec::new() })
        };
    }
    Ok(downcast_primitive! {
        data_type => (primitive),
        _ => Box::new(Encoded::new(data_type)?),
    })
}

struct Primitive<T: ArrowPrimitiveType> {
    data_type: DataType,
    values: Vec<T::Native>,
    valid: Vec<bool>,
}

impl<T: ArrowPrimitiveType> StateColumn for Primitive<T> {
    fn read(&self, slots: &[u32]) -> Result<ArrayRef> {
        let values: Vec<T::Native> = slots.iter().map(|s| self.values[*s as usize]).collect();
        let valid = BooleanBuffer::from_iter(slots.iter().map(|s| self.valid[*s as usize]));
        let nulls = Some(NullBuffer::new(valid)).filter(|n| n.null_count() > 0);
        let array = PrimitiveArray::<T>::try_new(ScalarBuffer::from(values), nulls)?;
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }

    fn write(&mut self, slots: &[u32], values: &dyn Array) -> Result<()> {
        let Some(array) = values.as_primitive_opt::<T>() else {
            return Err(mismatch(&self.data_type, values.data_type()));
        };
        let needed = slots.iter().max().map_or(0, |s| *s as usize + 1);
        if needed > self.values.len() {
            self.values.resize(needed, T::Native::default());
            self.valid.resize(needed, false);
        }
        for (i, slot) in slots.iter().enumerate() {
            self.values[*slot as usize] = array.value(i);
            self.valid[*slot as usize] = array.is_valid(i);
        }
        Ok(())
    }

    fn clear(&mut self, _: u32) {}

    fn bytes(&self) -> usize {
        self.values.capacity() * size_of::<T::Native>() + self.valid.capacity()
    }
}

struct Encoded {
    data_type: DataType,
    converter: RowConverter,
    rows: Vec<Box<[u8]>>,
    heap: usize,
}

impl Encoded {
    fn new(data_type: &DataType) -> Result<Self> {
        let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
        Ok(Self { data_type: data_type.clone(), converter, rows: Vec::new(), heap: 0 })
    }
}

impl StateColumn for Encoded {
    fn read(&self, slots: &[u32]) -> Result<ArrayRef> {
        let parser = self.converter.parser();
        let rows = slots.iter().map(|s| parser.parse(&self.rows[*s as usize]));
        let mut columns = self.converter.convert_rows(rows)?;
        columns.pop().ok_or_else(|| Error::internal("a state column without a value"))
    }

    fn write(&mut self, slots: &[u32], values: &dyn Array) -> Result<()> {
        if values.data_type() != &self.data_type {
            return Err(mismatch(&self.data_type, values.data_type()));
        }
        let needed = slots.iter().max().map_or(0, |s| *s as usize + 1);
        if needed > self.rows.len() {
            self.rows.resize_with(needed, Box::default);
        }
        let encoded = self.converter.convert_columns(&[arrow::array::make_array(values.to_data())])?;
        for (row, slot) in encoded.iter().zip(slots) {
            let place = &mut self.rows[*slot as usize];
            self.heap = self.heap + row.as_ref().len() - place.len();
            *place = row.as_ref().into();
        }
        Ok(())
    }

    fn clear(&mut self, slot: u32) {
        if let Some(place) = self.rows.get_mut(slot as usize) {
            self.heap -= place.len();
            *place = Box::default();
        }
    }

    fn bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Box<[u8]>>() + self.heap
    }
}

fn mismatch(expected: &DataType, found: &DataType) -> Error {
    Error::internal(format!("a state column of {expected} was given {found}"))
}
