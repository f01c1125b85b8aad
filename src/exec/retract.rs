//! GROUP BY over rows that come and go: what a row adds to its group is taken back when it leaves.
//!
//! A group is a row count, what its functions need to take a row back ([`Undo`]), and for functions that look at the values
//! themselves (`min`, `max`, `count(DISTINCT …)`) the values that are there, each with how often. A group without rows is gone.
//! The cost of an interval is that of its rows and of the groups that they touch, however many rows a group has.

mod kept;
mod tally;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::row::{RowConverter, SortField};
use async_trait::async_trait;
use datafusion::execution::TaskContext;
use datafusion::physical_expr::PhysicalExpr;

use self::kept::{Kept, Staged};
use self::tally::Tally;
use super::context::QueryContext;
use super::groups::Call;
use super::key::canonical;
use super::operator::{Operate, Run};
use super::recompute::expiry_times;
use crate::error::{Error, Result};
use crate::plan::{Expiry, OperatorId, Undo};
use crate::state::KeyIndex;

/// What is fixed when it is planned.
pub(super) struct Retract {
    pub(super) id: OperatorId,
    pub(super) group: Vec<Arc<dyn PhysicalExpr>>,
    pub(super) key_types: Vec<DataType>,
    pub(super) calls: Vec<(Call, Undo)>,
    pub(super) expiry: Option<Expiry>,
    /// The column of weights in the input.
    pub(super) weight: usize,
    pub(super) schema: SchemaRef,
}

impl Operate for Arc<Retract> {
    fn name(&self) -> &'static str {
        "RetractExec"
    }

    fn start(&self, context: Arc<QueryContext>, _: &Arc<TaskContext>) -> Result<Box<dyn Run>> {
        let tallies = self.calls.iter().map(|(call, undo)| Tally::new(call, *undo)).collect::<Result<_>>()?;
        let groups = KeyIndex::new(&self.key_types)?;
        Ok(Box::new(RetractRun { retract: Arc::clone(self), context, groups, rows: Vec::new(), tallies }))
    }
}

/// One interval: what it changes in each group that it touches.
struct RetractRun {
    retract: Arc<Retract>,
    context: Arc<QueryContext>,
    /// Numbers the groups: none is ever removed, so that they are 0..n.
    groups: KeyIndex,
    rows: Vec<i64>,
    tallies: Vec<Tally>,
}

#[async_trait]
impl Run for RetractRun {
    fn push(&mut self, _: usize, batch: RecordBatch) -> Result<Vec<RecordBatch>> {
        let retract = Arc::clone(&self.retract);
        let rows = batch.num_rows();
        let keys = retract.group.iter().map(|e| Ok(canonical(e.evaluate(&batch)?.into_array(rows)?)));
        let groups = self.groups.insert(&keys.collect::<Result<Vec<_>>>()?, rows)?;
        let weights = batch.column(retract.weight).as_primitive::<Int64Type>();
        self.rows.resize(self.groups.len(), 0);
        for (group, weight) in groups.iter().zip(weights.values()) {
            self.rows[*group as usize] += weight;
        }
        for (tally, (call, _)) in self.tallies.iter_mut().zip(&retract.calls) {
            tally.add(&call.arguments(&batch)?, &groups, weights, self.groups.len())?;
        }
        Ok(Vec::new())
    }

    async fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        let retract = Arc::clone(&self.retract);
        if retract.group.is_empty() && self.context.interval().first {
            // Without GROUP BY there is one row from the start: count(*) of nothing is 0.
            self.groups.insert(&[], 1)?;
            self.rows.resize(1, 0);
            self.tallies.iter_mut().for_each(|t| t.grow(1));
        }
        let closing = retract.expiry.as_ref().map(|e| self.context.closing_time(e.domain, e.lag, &e.sources));
        let context = Arc::clone(&self.context);
        context.with_state(
            retract.id,
            || Kept::new(&retract),
            |kept| {
                kept.stage_expiry(closing);
                if self.groups.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(self.apply(kept)?.into_iter().collect())
            },
        )
    }
}

impl RetractRun {
    /// Stages what the interval makes of the touched groups; the difference.
    fn apply(&mut self, kept: &mut Kept) -> Result<Option<RecordBatch>> {
        let retract = Arc::clone(&self.retract);
        let total = self.groups.len();
        let all: Vec<u32> = (0..total as u32).collect();
        let keys = if retract.key_types.is_empty() { Vec::new() } else { self.groups.keys(&all)? };
        let slots = kept.find(&keys, total)?;
        let existed: Vec<bool> = slots.iter().map(Option::is_some).collect();

        let (old_rows, old_columns) = kept.read(&slots)?;
        let mut old_values = Vec::with_capacity(self.tallies.len());
        let mut new_values = Vec::with_capacity(self.tallies.len());
        let mut columns = Vec::new();
        let mut values = Vec::new();
        let mut rest = old_columns.as_slice();
        for (number, (tally, (call, _))) in self.tallies.iter_mut().zip(&retract.calls).enumerate() {
            let (own, others) = rest.split_at(tally.width());
            rest = others;
            let before = Tally::before(own);
            let there = |group: usize| slots.get(group).copied().flatten().and_then(|slot| kept.values(number, slot));
            old_values.push(tally.old(call, &before, total, there)?);
            tally.combine(&before)?;
            new_values.push(tally.new_values(call, total, there)?);
            columns.extend(tally.columns());
            values.push(tally.take_sets());
        }
        let rows: Vec<i64> = old_rows.iter().zip(&self.rows).map(|(old, new)| old + new).collect();
        if rows.iter().any(|n| *n < 0) {
            return Err(Error::internal("more rows left a group than had entered it"));
        }
        let lives: Vec<bool> = rows.iter().map(|n| *n > 0 || retract.group.is_empty()).collect();
        let out = retract.difference(&keys, &existed, &lives, &old_values, &new_values)?;
        let expires = retract.expiry.as_ref().map(|e| expiry_times(e, &keys)).transpose()?;
        kept.stage(Staged { slots, keys, lives, rows, columns, values, expires });
        Ok(out)
    }
}

impl Retract {
    /// −old directly followed by +new, for each group whose row is another one now.
    fn difference(
        &self,
        keys: &[ArrayRef],
        existed: &[bool],
        lives: &[bool],
        old: &[ArrayRef],
        new: &[ArrayRef],
    ) -> Result<Option<RecordBatch>> {
        let same = same_rows(existed.len(), old, new)?;
        // (0, g): the old row of group g; (1, g): the new one.
        let (mut picks, mut groups, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        for group in 0..existed.len() {
            let stays = existed[group] && lives[group] && same[group];
            for (side, there, weight) in [(0, existed[group], -1), (1, lives[group], 1)] {
                if there && !stays {
                    picks.push((side, group));
                    groups.push(group as u32);
                    weights.push(weight);
                }
            }
        }
        if picks.is_empty() {
            return Ok(None);
        }
        let groups = UInt32Array::from(groups);
        let mut columns = keys.iter().map(|k| take(k, &groups, None)).collect::<Result<Vec<_>, _>>()?;
        for (old, new) in old.iter().zip(new) {
            columns.push(interleave(&[old.as_ref(), new.as_ref()], &picks)?);
        }
        let rows = weights.len();
        columns.push(Arc::new(Int64Array::from(weights)));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Some(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?))
    }
}

/// Whether the values are the same, group by group.
fn same_rows(groups: usize, old: &[ArrayRef], new: &[ArrayRef]) -> Result<Vec<bool>> {
    if new.is_empty() {
        return Ok(vec![true; groups]);
    }
    let converter = RowConverter::new(new.iter().map(|c| SortField::new(c.data_type().clone())).collect())?;
    let (old, new) = (converter.convert_columns(old)?, converter.convert_columns(new)?);
    Ok(old.iter().zip(new.iter()).map(|(a, b)| a == b).collect())
}
