//! What an interval brings of one side of a join.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{concat, take};
use arrow::datatypes::Int64Type;

use super::super::assign::micros;
use super::super::key::canonical;
use super::Side;
use crate::error::Result;
use crate::state::{RowStore, Rows};

/// Rows by column.
#[derive(Clone, Default)]
pub(super) struct Delta {
    pub(super) keys: Vec<ArrayRef>,
    pub(super) columns: Vec<ArrayRef>,
    pub(super) weights: Vec<i64>,
    /// When each row is freed.
    pub(super) expires: Option<Vec<i64>>,
    /// Whether each row can meet any: not so with a NULL in its key. `None`: all can.
    able: Option<BooleanBuffer>,
}

impl Side {
    /// The rows of a batch.
    pub(super) fn delta(&self, batch: &RecordBatch, null_equals_null: bool) -> Result<Delta> {
        let rows = batch.num_rows();
        let key = |k: &Arc<dyn datafusion::physical_expr::PhysicalExpr>| -> Result<ArrayRef> {
            Ok(canonical(k.evaluate(batch)?.into_array(rows)?))
        };
        let keys = self.keys.iter().map(key).collect::<Result<Vec<_>>>()?;
        let able = match null_equals_null {
            true => None,
            false => keys.iter().fold(None, |all: Option<NullBuffer>, key| {
                NullBuffer::union(all.as_ref(), key.logical_nulls().as_ref())
            }),
        };
        let expires = match &self.expiry {
            None => None,
            Some(expiry) => {
                let (times, _) = micros(&expiry.time.evaluate(batch)?.into_array(rows)?)?;
                // What has no time meets nothing that asks for it, unless NULL is equal to NULL.
                let never = if null_equals_null { i64::MAX } else { i64::MIN };
                Some(times.iter().map(|t| t.map_or(never, |t| t.saturating_add(expiry.after))).collect())
            }
        };
        Ok(Delta {
            keys,
            columns: self.visible.iter().map(|i| Arc::clone(batch.column(*i))).collect(),
            weights: match self.weight {
                Some(i) => batch.column(i).as_primitive::<Int64Type>().values().to_vec(),
                None => vec![1; rows],
            },
            expires,
            able: able.map(|nulls| nulls.into_inner()),
        })
    }
}

impl Delta {
    /// The rows of several batches, in their order.
    pub(super) fn concat(mut parts: Vec<Self>, side: &Side) -> Result<Self> {
        if parts.len() < 2 {
            return Ok(parts.pop().unwrap_or_default());
        }
        let column = |of: fn(&Self) -> &Vec<ArrayRef>, i: usize| -> Result<ArrayRef> {
            let arrays: Vec<&dyn Array> = parts.iter().map(|p| of(p)[i].as_ref()).collect();
            Ok(concat(&arrays)?)
        };
        let keys = (0..side.keys.len()).map(|i| column(|p| &p.keys, i)).collect::<Result<_>>()?;
        let columns = (0..side.visible.len()).map(|i| column(|p| &p.columns, i)).collect::<Result<_>>()?;
        let able = parts.iter().any(|p| p.able.is_some()).then(|| {
            let all = parts.iter().flat_map(|p| (0..p.len()).map(|i| p.can_meet(i)));
            all.collect::<BooleanBuffer>()
        });
        let expires =
            side.expiry.as_ref().map(|_| parts.iter().flat_map(|p| p.expires.iter().flatten()).copied().collect());
        let weights = parts.iter().flat_map(|p| &p.weights).copied().collect();
        Ok(Self { keys, columns, weights, expires, able })
    }

    /// Some of the rows.
    pub(super) fn pick(&self, rows: &[u32]) -> Result<Self> {
        let picks = UInt32Array::from(rows.to_vec());
        let pick = |columns: &[ArrayRef]| columns.iter().map(|c| take(c, &picks, None)).collect::<Result<_, _>>();
        Ok(Self {
            keys: pick(&self.keys)?,
            columns: pick(&self.columns)?,
            weights: rows.iter().map(|row| self.weights[*row as usize]).collect(),
            expires: self.expires.as_ref().map(|e| rows.iter().map(|row| e[*row as usize]).collect()),
            able: self.able.as_ref().map(|_| rows.iter().map(|row| self.can_meet(*row as usize)).collect()),
        })
    }

    /// Rows that were kept.
    pub(super) fn kept(store: &RowStore, rows: &[u32], expires: Vec<i64>) -> Result<Self> {
        let (keys, columns) = (store.keys_of(rows)?, store.columns(rows)?);
        Ok(Self { keys, columns, weights: vec![1; rows.len()], expires: Some(expires), able: None })
    }

    pub(super) fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether a row can meet any.
    pub(super) fn can_meet(&self, row: usize) -> bool {
        self.able.as_ref().is_none_or(|able| able.value(row))
    }

    /// The rows to keep: those that can meet any; `matches` says how many each has met, when that is counted.
    pub(super) fn into_rows(self, matches: Option<Vec<i64>>) -> Result<Option<Rows>> {
        let Self { keys, columns, weights, expires, able } = self;
        let rows = Rows { keys, columns, weights, expires, matches };
        let Some(able) = able.filter(|a| a.count_set_bits() < a.len()) else {
            return Ok(Some(rows).filter(|r| !r.weights.is_empty()));
        };
        let picks = UInt32Array::from_iter_values(able.set_indices().map(|i| i as u32));
        if picks.is_empty() {
            return Ok(None);
        }
        let pick = |columns: Vec<ArrayRef>| -> Result<Vec<ArrayRef>> {
            columns.iter().map(|c| Ok(take(c, &picks, None)?)).collect()
        };
        let numbers = |numbers: Vec<i64>| able.set_indices().map(|i| numbers[i]).collect::<Vec<_>>();
        Ok(Some(Rows {
            keys: pick(rows.keys)?,
            columns: pick(rows.columns)?,
            weights: numbers(rows.weights),
            expires: rows.expires.map(numbers),
            matches: rows.matches.map(numbers),
        }))
    }
}
