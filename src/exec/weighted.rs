//! Rows with weights, on their way through an operator: adding up equal ones, and the order that they come out in.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};

use crate::error::{Error, Result};
use crate::state::KeyIndex;

/// Rows by column, and how often each comes (+) or goes (−).
pub(super) struct Weighted {
    pub(super) columns: Vec<ArrayRef>,
    pub(super) weights: Vec<i64>,
}

/// Adds up the weights of equal rows; rows that cancel are gone.
pub(super) fn consolidate<'a>(types: &[DataType], parts: impl Iterator<Item = &'a Weighted>) -> Result<Weighted> {
    let mut index = KeyIndex::new(types)?;
    let mut sums: Vec<i64> = Vec::new();
    for part in parts {
        let slots = index.insert(&part.columns, part.weights.len())?;
        sums.resize(index.capacity(), 0);
        for (slot, weight) in slots.into_iter().zip(&part.weights) {
            sums[slot as usize] += weight;
        }
    }
    let live: Vec<u32> = (0..sums.len() as u32).filter(|s| sums[*s as usize] != 0).collect();
    let columns = if types.is_empty() { Vec::new() } else { index.keys(&live)? };
    Ok(Weighted { columns, weights: live.into_iter().map(|s| sums[s as usize]).collect() })
}

/// What comes out of an operator: its schema, whether that has weights, and the columns that identify a row, when known.
pub(super) struct Outlet<'a> {
    pub(super) schema: &'a SchemaRef,
    pub(super) weighted: bool,
    pub(super) unique: Option<&'a [usize]>,
}

impl Outlet<'_> {
    /// The sum of rows as one batch: what goes before what comes; with a known key, a −old directly before its +new.
    pub(super) fn sum(&self, parts: &[Weighted]) -> Result<Option<RecordBatch>> {
        let width = self.schema.fields().len() - usize::from(self.weighted);
        let types: Vec<DataType> = self.schema.fields().iter().take(width).map(|f| f.data_type().clone()).collect();
        let all = consolidate(&types, parts.iter())?;
        if all.weights.is_empty() {
            return Ok(None);
        }
        let order = self.pairs(&all)?;
        let (indices, weights): (Vec<u32>, Vec<i64>) = if self.weighted {
            order.into_iter().map(|i| (i, all.weights[i as usize])).unzip()
        } else {
            if all.weights.iter().any(|w| *w < 0) {
                return Err(Error::internal("a row left a result that was proved to grow only"));
            }
            let copies =
                |i: u32| std::iter::repeat_n((i, 1), usize::try_from(all.weights[i as usize]).unwrap_or_default());
            order.into_iter().flat_map(copies).unzip()
        };
        let picks = UInt32Array::from(indices);
        let columns = all.columns.iter().map(|c| take(c, &picks, None)).collect::<Result<Vec<_>, _>>()?;
        self.batch(Weighted { columns, weights }).map(Some)
    }

    /// Rows as a batch, as they are.
    pub(super) fn batch(&self, rows: Weighted) -> Result<RecordBatch> {
        let Weighted { mut columns, weights } = rows;
        let count = weights.len();
        if self.weighted {
            columns.push(Arc::new(Int64Array::from(weights)));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(Arc::clone(self.schema), columns, &options)?)
    }

    fn pairs(&self, all: &Weighted) -> Result<Vec<u32>> {
        let rows = 0..all.weights.len() as u32;
        let (mut going, coming): (Vec<u32>, Vec<u32>) = rows.partition(|i| all.weights[*i as usize] < 0);
        let Some(unique) = self.unique.filter(|u| !going.is_empty() && !u.is_empty()) else {
            going.extend(coming);
            return Ok(going);
        };
        let columns: Vec<ArrayRef> = unique.iter().filter_map(|i| all.columns.get(*i)).map(Arc::clone).collect();
        let fields = columns.iter().map(|c| SortField::new(c.data_type().clone())).collect();
        let keys = RowConverter::new(fields)?.convert_columns(&columns)?;
        let mut news: HashMap<&[u8], u32> = HashMap::new();
        for row in &coming {
            news.insert(keys.row(*row as usize).data(), *row);
        }
        let mut order = Vec::with_capacity(all.weights.len());
        for row in going {
            order.push(row);
            order.extend(news.remove(keys.row(row as usize).data()));
        }
        let paired: HashSet<u32> = order.iter().copied().collect();
        order.extend(coming.into_iter().filter(|r| !paired.contains(r)));
        Ok(order)
    }
}
