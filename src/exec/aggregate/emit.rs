//! What an aggregate lets out: final rows of a closing window, or what changed.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{interleave, take};
use arrow::row::{RowConverter, SortField};

use super::local::Local;
use super::tables::Tables;
use super::{Aggregate, start_of};
use crate::error::Result;
use crate::exec::assign::timestamps;
use crate::exec::groups::{Accumulators, values_of};
use crate::plan::WindowRole;
use crate::state::NEW;
use crate::time::{unit_of, window_time_gap};

impl Aggregate {
    /// Keeps the touched groups of an open window.
    pub(super) fn keep(&self, end: i64, mut local: Local, tables: &mut Tables) -> Result<()> {
        let slots = local.slots.iter().map(|s| s.unwrap_or(NEW)).collect();
        let keys = local.take_keys()?;
        let states = local.accumulators.states()?;
        tables.get_or_create(end, self)?.stage(slots, keys, states);
        Ok(())
    }

    /// The final rows of a closing window: the groups touched in this interval, and those in its table that were not.
    pub(super) fn close(&self, end: i64, local: Option<Local>, tables: &mut Tables) -> Result<Option<RecordBatch>> {
        let table = tables.get(end).filter(|t| !t.is_empty());
        let (mut keys, mut accumulators, touched, before) = match local {
            Some(mut local) => {
                let touched: Vec<u32> = local.slots.iter().flatten().copied().collect();
                let before = local.len();
                (local.take_keys()?, local.accumulators, touched, before)
            }
            None => (Vec::new(), Accumulators::new(&self.calls)?, Vec::new(), 0),
        };
        let mut total = before;
        if let Some(table) = table {
            let mut slots = table.slots();
            if !touched.is_empty() {
                let touched: std::collections::HashSet<u32> = touched.into_iter().collect();
                slots.retain(|s| !touched.contains(s));
            }
            if !slots.is_empty() {
                total = before + slots.len();
                let groups: Vec<usize> = (before..total).collect();
                accumulators.merge(&table.read(&slots)?, &groups, total)?;
                let others = table.keys(&slots)?;
                tables.read += slots.len() as u64;
                keys = if before == 0 { others } else { concat(&keys, &others)? };
            }
        }
        if total == 0 {
            return Ok(None);
        }
        let values = accumulators.values()?;
        Ok(Some(self.rows(end, &keys, values, total, None)?))
    }

    /// What changed in the touched groups; their new states are staged.
    pub(super) fn change(&self, end: i64, mut local: Local, tables: &mut Tables) -> Result<Option<RecordBatch>> {
        let total = local.len();
        let slots: Vec<u32> = local.slots.iter().map(|s| s.unwrap_or(NEW)).collect();
        let keys = local.take_keys()?;
        let states = local.accumulators.states()?;
        let new_values = values_of(&self.calls, &states, total)?;
        let table = tables.get_or_create(end, self)?;
        let old_slots: Vec<u32> = local.slots.iter().flatten().copied().collect();
        let old_values = if old_slots.is_empty() || self.calls.is_empty() {
            Vec::new()
        } else {
            values_of(&self.calls, &table.read(&old_slots)?, old_slots.len())?
        };
        table.stage(slots, keys.clone(), states);
        let same = unchanged(&local.slots, &old_values, &new_values)?;
        // (0, i): the i-th old row; (1, g): the new row of group g.
        let (mut picks, mut groups, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        let mut old = 0;
        for (group, slot) in local.slots.iter().enumerate() {
            let existed = slot.is_some();
            if existed && !same[group] && !self.calls.is_empty() {
                picks.push((0, old));
                groups.push(group as u32);
                weights.push(-1);
            }
            if !same[group] {
                picks.push((1, group));
                groups.push(group as u32);
                weights.push(1);
            }
            old += usize::from(existed);
        }
        if picks.is_empty() {
            return Ok(None);
        }
        let values = (0..self.calls.len()).map(|i| {
            let new = new_values[i].as_ref();
            let old = old_values.get(i).map_or_else(|| new.slice(0, 0), |o| Arc::clone(o));
            Ok(interleave(&[old.as_ref(), new], &picks)?)
        });
        let values = values.collect::<Result<Vec<ArrayRef>>>()?;
        let groups = UInt32Array::from(groups);
        let keys = keys.iter().map(|k| take(k, &groups, None)).collect::<Result<Vec<_>, _>>()?;
        let rows = weights.len();
        let weights = self.weighted.then(|| Arc::new(Int64Array::from(weights)) as ArrayRef);
        Ok(Some(self.rows(end, &keys, values, rows, weights)?))
    }

    /// Rows of the result: group columns in the order of GROUP BY, then the values, then the weights.
    pub(in crate::exec) fn rows(
        &self,
        end: i64,
        keys: &[ArrayRef],
        values: Vec<ArrayRef>,
        rows: usize,
        weights: Option<ArrayRef>,
    ) -> Result<RecordBatch> {
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for index in 0..self.group.len() {
            if let Some(position) = self.key.iter().position(|k| *k == index) {
                columns.push(Arc::clone(&keys[position]));
                continue;
            }
            let window = self.window.as_ref();
            let role = window.and_then(|w| w.roles.iter().find(|(i, _)| *i == index).map(|(_, role)| (w.spec, *role)));
            let Some((spec, role)) = role else { continue };
            let data_type = self.schema.field(index).data_type();
            let (at, back) = match role {
                WindowRole::Start => (start_of(spec, end), 0),
                WindowRole::End => (end, 0),
                WindowRole::Time => (end, window_time_gap(unit_of(data_type))),
            };
            columns.push(timestamps(&vec![at; rows], unit_of(data_type), data_type, back)?);
        }
        columns.extend(values);
        columns.extend(weights);
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// Per group, whether its values are what they were. A new group has changed.
fn unchanged(slots: &[Option<u32>], old: &[ArrayRef], new: &[ArrayRef]) -> Result<Vec<bool>> {
    if new.is_empty() {
        return Ok(slots.iter().map(Option::is_some).collect());
    }
    if old.is_empty() {
        return Ok(vec![false; slots.len()]);
    }
    let converter = RowConverter::new(new.iter().map(|c| SortField::new(c.data_type().clone())).collect())?;
    let (old, new) = (converter.convert_columns(old)?, converter.convert_columns(new)?);
    let mut next = old.iter();
    Ok(slots.iter().enumerate().map(|(g, slot)| slot.is_some() && next.next() == Some(new.row(g))).collect())
}

fn concat(first: &[ArrayRef], second: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    let pairs = first.iter().zip(second);
    Ok(pairs.map(|(a, b)| arrow::compute::concat(&[a.as_ref(), b.as_ref()])).collect::<Result<_, _>>()?)
}
