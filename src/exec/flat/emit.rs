//! What a flat aggregate lets out: the groups of a window that closes, or what an interval changed.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};

use super::FlatAggregate;
use super::groups::Groups;
use super::windows::Windows;
use crate::error::Result;
use crate::exec::aggregate::start_of;
use crate::state::{Blocks, FlatTable, Touched};

impl FlatAggregate {
    /// The final rows of a window that closes.
    pub(super) fn close(&self, end: i64, windows: &mut Windows) -> Result<Option<RecordBatch>> {
        let Some(window) = &self.aggregate.window else { return Ok(None) };
        windows.whole(start_of(window.spec, end), end, |table, blocks| self.rows(end, table, blocks, None))
    }

    /// What the interval changed in a window's groups: −old directly followed by +new, in the order of the first touch.
    pub(super) fn change(&self, end: i64, groups: &Groups) -> Result<Option<RecordBatch>> {
        let most = groups.table.touched_len() * 2;
        let (mut rows, mut weights) = (Vec::with_capacity(most * groups.table.width()), Vec::with_capacity(most));
        for touched in groups.table.touched() {
            match touched {
                Touched::New(row) => {
                    rows.extend_from_slice(row);
                    weights.push(1);
                }
                Touched::Old(was, now) if !self.layout.calls.iter().all(|call| call.is_same(was, now)) => {
                    rows.extend_from_slice(was);
                    rows.extend_from_slice(now);
                    weights.extend([-1, 1]);
                }
                Touched::Old(..) => {}
            }
        }
        if weights.is_empty() {
            return Ok(None);
        }
        let weights = self.aggregate.weighted.then(|| Arc::new(Int64Array::from(weights)) as ArrayRef);
        self.rows(end, &groups.table, &[&rows], weights).map(Some)
    }

    fn rows(&self, end: i64, table: &FlatTable, blocks: &[&[u64]], weights: Option<ArrayRef>) -> Result<RecordBatch> {
        let rows = Blocks { blocks, width: table.width() };
        let keys = table.key_columns(rows)?;
        let values = self.layout.calls.iter().map(|c| c.values(rows)).collect::<Result<Vec<_>>>()?;
        self.aggregate.rows(end, &keys, values, rows.len(), weights)
    }
}
