//! How a key is held in the words of a row: fixed-width columns packed into one or two words, one text column as its bytes, and
//! any others in Arrow's row encoding.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayAccessor, ArrayRef, AsArray, LargeBinaryBuilder};
use arrow::buffer::{NullBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, Rows, SortField};
use hashbrown::DefaultHashBuilder;

use super::arena::Arena;
use super::words::{from_words, to_words, width_in_word};
use super::{Blocks, HEAD};
use crate::error::{Error, Result};

/// Where the bits of a row's head begin that say which key columns are NULL.
const NULLS_SHIFT: u32 = 56;

/// Where a row's key begins.
const KEY: usize = HEAD + 1;

/// How the keys of some column types are held.
pub struct KeyLayout {
    types: Vec<DataType>,
    shape: Shape,
    hasher: DefaultHashBuilder,
}

enum Shape {
    /// Without key columns there is one key.
    Unit,
    /// Columns in words: which, and from which bit.
    Packed {
        places: Vec<(usize, u32)>,
        words: usize,
    },
    Text,
    Encoded(RowConverter),
}

/// The keys of a batch's rows, in the form that a table is asked in.
pub struct KeyBatch {
    rows: usize,
    form: Form,
}

enum Form {
    Unit,
    Packed { low: ScalarBuffer<u64>, high: Option<ScalarBuffer<u64>>, nulls: Option<Vec<u8>> },
    Text(ArrayRef),
    Encoded(Rows),
}

impl KeyLayout {
    /// The layout for keys of these types.
    ///
    /// # Errors
    /// When a type can't be a key.
    pub fn new(types: &[DataType]) -> Result<Self> {
        let shape = match types {
            [] => Shape::Unit,
            [DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View] => Shape::Text,
            types => match pack(types) {
                Some((places, words)) => Shape::Packed { places, words },
                None => Shape::Encoded(RowConverter::new(types.iter().map(|t| SortField::new(t.clone())).collect())?),
            },
        };
        Ok(Self { types: types.to_vec(), shape, hasher: DefaultHashBuilder::default() })
    }

    /// The words of a row that are its key.
    pub fn words(&self) -> usize {
        match &self.shape {
            Shape::Unit => 0,
            Shape::Packed { words, .. } => *words,
            Shape::Text | Shape::Encoded(_) => 2,
        }
    }

    /// The keys of some rows.
    ///
    /// # Errors
    /// When the columns are of other types.
    pub fn encode(&self, columns: &[ArrayRef], rows: usize) -> Result<KeyBatch> {
        let form = match &self.shape {
            Shape::Unit => Form::Unit,
            Shape::Text => Form::Text(columns.first().cloned().ok_or_else(|| Error::internal("a key without column"))?),
            Shape::Encoded(converter) => Form::Encoded(converter.convert_columns(columns)?),
            Shape::Packed { places, words } => packed(columns, places, *words)?,
        };
        Ok(KeyBatch { rows, form })
    }

    /// The key columns of some rows.
    pub(super) fn columns(&self, all: Blocks<'_>, arena: &Arena) -> Result<Vec<ArrayRef>> {
        let rows = || all.rows();
        match &self.shape {
            Shape::Unit => Ok(Vec::new()),
            Shape::Packed { places, .. } => {
                let nulls = !all.all(|row| row[HEAD] >> NULLS_SHIFT == 0);
                let column = |(i, (word, shift)): (usize, &(usize, u32))| {
                    let values = all.words(|row| row[KEY + word] >> shift);
                    let valid = nulls.then(|| {
                        NullBuffer::from_iter(rows().map(|row| row[HEAD] >> (NULLS_SHIFT as usize + i) & 1 == 0))
                    });
                    from_words(&self.types[i], values, valid)
                };
                places.iter().enumerate().map(column).collect()
            }
            Shape::Text => {
                let bytes = rows().map(|row| row[KEY + 1] as usize).sum();
                let mut builder = LargeBinaryBuilder::with_capacity(all.len(), bytes);
                for row in rows() {
                    match row[HEAD] >> NULLS_SHIFT {
                        0 => builder.append_value(arena.get(row[KEY], row[KEY + 1])),
                        _ => builder.append_null(),
                    }
                }
                let bytes: ArrayRef = Arc::new(builder.finish());
                let text = cast(&bytes, &DataType::LargeUtf8)?;
                Ok(vec![cast(&text, &self.types[0])?])
            }
            Shape::Encoded(converter) => {
                let parser = converter.parser();
                let columns =
                    converter.convert_rows(rows().map(|row| parser.parse(arena.get(row[KEY], row[KEY + 1]))))?;
                // The encoding does not tell a dictionary from its values.
                Ok(columns.iter().zip(&self.types).map(|(c, t)| cast(c, t)).collect::<Result<_, _>>()?)
            }
        }
    }

    /// Calls `work` with the keys in the form that they have.
    pub(super) fn with_batch<W: WithKeys>(&self, batch: &KeyBatch, work: W) {
        let hasher = &self.hasher;
        match &batch.form {
            Form::Unit => {}
            Form::Packed { low, high: None, nulls: None } => work.run(&OneWord { low, hasher }),
            Form::Packed { low, high, nulls } => {
                work.run(&Words { low, high: high.as_deref(), nulls: nulls.as_deref(), hasher })
            }
            Form::Text(array) => match array.data_type() {
                DataType::Utf8 => work.run(&Text { array: array.as_string::<i32>(), hasher }),
                DataType::LargeUtf8 => work.run(&Text { array: array.as_string::<i64>(), hasher }),
                _ => work.run(&Text { array: array.as_string_view(), hasher }),
            },
            Form::Encoded(rows) => work.run(&Encoded { rows, hasher }),
        }
    }

    /// Calls `work` with the keys of rows of another table of this layout.
    pub(super) fn with_rows<W: WithKeys>(&self, block: &[u64], width: usize, arena: &Arena, work: W) {
        let hasher = &self.hasher;
        match &self.shape {
            Shape::Unit => {}
            Shape::Packed { words: 1, .. } => work.run(&OwnWords::<1> { block, width, hasher }),
            Shape::Packed { .. } => work.run(&OwnWords::<2> { block, width, hasher }),
            Shape::Text | Shape::Encoded(_) => work.run(&OwnBytes { block, width, arena, hasher }),
        }
    }
}

impl KeyBatch {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// Places for columns in at most two words, when they fit.
fn pack(types: &[DataType]) -> Option<(Vec<(usize, u32)>, usize)> {
    if types.len() > (u64::BITS - NULLS_SHIFT) as usize {
        return None;
    }
    let mut used = [0_u32; 2];
    let mut places = Vec::new();
    for data_type in types {
        let bits = width_in_word(data_type)? as u32 * 8;
        let word = used.iter().position(|u| u + bits <= 64)?;
        places.push((word, used[word]));
        used[word] += bits;
    }
    Some((places, if used[1] > 0 { 2 } else { 1 }))
}

fn packed(columns: &[ArrayRef], places: &[(usize, u32)], words: usize) -> Result<Form> {
    let mut parts: [Option<ScalarBuffer<u64>>; 2] = [None, None];
    let mut nulls: Option<Vec<u8>> = None;
    for (i, (column, (word, shift))) in columns.iter().zip(places).enumerate() {
        let mut values = to_words(column, false)?;
        if let Some(of_column) = column.nulls().filter(|n| n.null_count() > 0) {
            let masks = nulls.get_or_insert_with(|| vec![0; column.len()]);
            // What is under a NULL is anything, but equal keys must be equal words.
            let clean = |(row, value): (usize, &u64)| if of_column.is_null(row) { 0 } else { *value };
            values = values.iter().enumerate().map(clean).collect::<Vec<_>>().into();
            masks.iter_mut().enumerate().filter(|(row, _)| of_column.is_null(*row)).for_each(|(_, m)| *m |= 1 << i);
        }
        parts[*word] = Some(match parts[*word].take() {
            None if *shift == 0 => values,
            None => values.iter().map(|v| v << shift).collect::<Vec<_>>().into(),
            Some(before) => before.iter().zip(values.iter()).map(|(b, v)| b | v << shift).collect::<Vec<_>>().into(),
        });
    }
    let [low, high] = parts;
    let low = low.ok_or_else(|| Error::internal("a packed key without columns"))?;
    Ok(Form::Packed { low, high: high.filter(|_| words == 2), nulls })
}

/// Work over keys of any form; a trait and not a closure, as it is made for each form.
pub(super) trait WithKeys {
    fn run<K: Keys>(self, keys: &K);
}

/// Keys by number.
pub(super) trait Keys {
    fn hash(&self, i: usize) -> u32;
    /// Whether it is the key of a row.
    fn is(&self, i: usize, row: &[u64], arena: &Arena) -> bool;
    /// Writes it into a new row.
    fn write(&self, i: usize, row: &mut [u64], arena: &mut Arena);
}

fn fold(hash: u64) -> u32 {
    (hash ^ hash >> 32) as u32
}

fn hash_words(hasher: &DefaultHashBuilder, low: u64, high: u64, nulls: u8) -> u32 {
    let mut state = hasher.build_hasher();
    state.write_u64(low);
    state.write_u64(high);
    state.write_u8(nulls);
    fold(state.finish())
}

/// Keys of one word, none of them NULL: the most common form.
struct OneWord<'a> {
    low: &'a [u64],
    hasher: &'a DefaultHashBuilder,
}

impl Keys for OneWord<'_> {
    #[inline]
    fn hash(&self, i: usize) -> u32 {
        fold(self.hasher.hash_one(self.low[i]))
    }

    #[inline]
    fn is(&self, i: usize, row: &[u64], _: &Arena) -> bool {
        row[KEY] == self.low[i] && row[HEAD] >> NULLS_SHIFT == 0
    }

    fn write(&self, i: usize, row: &mut [u64], _: &mut Arena) {
        row[KEY] = self.low[i];
    }
}

/// Keys of one word or two, any part of which may be NULL.
struct Words<'a> {
    low: &'a [u64],
    high: Option<&'a [u64]>,
    nulls: Option<&'a [u8]>,
    hasher: &'a DefaultHashBuilder,
}

impl Words<'_> {
    #[inline]
    fn get(&self, i: usize) -> (u64, Option<u64>, u8) {
        (self.low[i], self.high.map(|h| h[i]), self.nulls.map_or(0, |n| n[i]))
    }
}

impl Keys for Words<'_> {
    #[inline]
    fn hash(&self, i: usize) -> u32 {
        let (low, high, nulls) = self.get(i);
        match high {
            // As keys of one word without NULLs are hashed: they are in one table.
            None if nulls == 0 => fold(self.hasher.hash_one(low)),
            high => hash_words(self.hasher, low, high.unwrap_or(0), nulls),
        }
    }

    #[inline]
    fn is(&self, i: usize, row: &[u64], _: &Arena) -> bool {
        let (low, high, nulls) = self.get(i);
        row[KEY] == low && high.is_none_or(|h| row[KEY + 1] == h) && row[HEAD] >> NULLS_SHIFT == u64::from(nulls)
    }

    fn write(&self, i: usize, row: &mut [u64], _: &mut Arena) {
        let (low, high, nulls) = self.get(i);
        row[KEY] = low;
        if let Some(high) = high {
            row[KEY + 1] = high;
        }
        row[HEAD] |= u64::from(nulls) << NULLS_SHIFT;
    }
}

/// Texts.
struct Text<'a, A> {
    array: A,
    hasher: &'a DefaultHashBuilder,
}

impl<'a, A: ArrayAccessor<Item = &'a str>> Text<'a, A> {
    #[inline]
    fn get(&self, i: usize) -> (&'a [u8], u8) {
        if self.array.is_null(i) { (&[], 1) } else { (self.array.value(i).as_bytes(), 0) }
    }
}

impl<'a, A: ArrayAccessor<Item = &'a str>> Keys for Text<'a, A> {
    #[inline]
    fn hash(&self, i: usize) -> u32 {
        hash_bytes(self.hasher, self.get(i))
    }

    #[inline]
    fn is(&self, i: usize, row: &[u64], arena: &Arena) -> bool {
        is_bytes(self.get(i), row, arena)
    }

    fn write(&self, i: usize, row: &mut [u64], arena: &mut Arena) {
        write_bytes(self.get(i), row, arena);
    }
}

/// Keys in Arrow's row encoding.
struct Encoded<'a> {
    rows: &'a Rows,
    hasher: &'a DefaultHashBuilder,
}

impl Keys for Encoded<'_> {
    fn hash(&self, i: usize) -> u32 {
        hash_bytes(self.hasher, (self.rows.row(i).as_ref(), 0))
    }

    fn is(&self, i: usize, row: &[u64], arena: &Arena) -> bool {
        is_bytes((self.rows.row(i).as_ref(), 0), row, arena)
    }

    fn write(&self, i: usize, row: &mut [u64], arena: &mut Arena) {
        write_bytes((self.rows.row(i).as_ref(), 0), row, arena);
    }
}

fn hash_bytes(hasher: &DefaultHashBuilder, (bytes, nulls): (&[u8], u8)) -> u32 {
    let mut state = hasher.build_hasher();
    state.write(bytes);
    state.write_u8(nulls);
    fold(state.finish())
}

fn is_bytes((bytes, nulls): (&[u8], u8), row: &[u64], arena: &Arena) -> bool {
    row[KEY + 1] == bytes.len() as u64
        && row[HEAD] >> NULLS_SHIFT == u64::from(nulls)
        && arena.get(row[KEY], row[KEY + 1]) == bytes
}

fn write_bytes((bytes, nulls): (&[u8], u8), row: &mut [u64], arena: &mut Arena) {
    let [place, len] = arena.push(bytes);
    row[KEY] = place;
    row[KEY + 1] = len;
    row[HEAD] |= u64::from(nulls) << NULLS_SHIFT;
}

/// The keys of rows that are in a table already, of `W` words.
struct OwnWords<'a, const W: usize> {
    block: &'a [u64],
    width: usize,
    hasher: &'a DefaultHashBuilder,
}

impl<const W: usize> OwnWords<'_, W> {
    #[inline]
    fn row(&self, i: usize) -> &[u64] {
        &self.block[i * self.width..(i + 1) * self.width]
    }
}

impl<const W: usize> Keys for OwnWords<'_, W> {
    #[inline]
    fn hash(&self, i: usize) -> u32 {
        let row = self.row(i);
        let nulls = (row[HEAD] >> NULLS_SHIFT) as u8;
        if W == 1 && nulls == 0 {
            return fold(self.hasher.hash_one(row[KEY]));
        }
        hash_words(self.hasher, row[KEY], if W == 1 { 0 } else { row[KEY + 1] }, nulls)
    }

    #[inline]
    fn is(&self, i: usize, row: &[u64], _: &Arena) -> bool {
        let own = self.row(i);
        row[KEY..KEY + W] == own[KEY..KEY + W] && (row[HEAD] ^ own[HEAD]) >> NULLS_SHIFT == 0
    }

    fn write(&self, i: usize, row: &mut [u64], _: &mut Arena) {
        let own = self.row(i);
        row[KEY..KEY + W].copy_from_slice(&own[KEY..KEY + W]);
        row[HEAD] |= own[HEAD] >> NULLS_SHIFT << NULLS_SHIFT;
    }
}

/// The keys of rows that are in a table already, in its arena.
struct OwnBytes<'a> {
    block: &'a [u64],
    width: usize,
    arena: &'a Arena,
    hasher: &'a DefaultHashBuilder,
}

impl OwnBytes<'_> {
    fn get(&self, i: usize) -> (&[u8], u8) {
        let row = &self.block[i * self.width..(i + 1) * self.width];
        (self.arena.get(row[KEY], row[KEY + 1]), (row[HEAD] >> NULLS_SHIFT) as u8)
    }
}

impl Keys for OwnBytes<'_> {
    fn hash(&self, i: usize) -> u32 {
        hash_bytes(self.hasher, self.get(i))
    }

    fn is(&self, i: usize, row: &[u64], arena: &Arena) -> bool {
        is_bytes(self.get(i), row, arena)
    }

    fn write(&self, i: usize, row: &mut [u64], arena: &mut Arena) {
        write_bytes(self.get(i), row, arena);
    }
}
