//! The groups of a flat aggregate as rows to read: the window or pane they belong to, keys, and the values as of now.

use super::groups::{Groups, Layout};
use crate::error::Result;
use crate::exec::aggregate::by_time;
use crate::exec::contents::StateRows;
use crate::state::Blocks;

/// The rows of groups by the time in `column`; `None`: they belong to no window.
pub(super) fn contents_of(
    part: &'static str,
    column: Option<&str>,
    all: &[(i64, &Groups)],
    layout: &Layout,
    names: &[String],
) -> Result<StateRows> {
    let (mut columns, mut times) = (Vec::new(), Vec::new());
    for (time, groups) in all {
        let blocks: Vec<&[u64]> = groups.table.blocks().collect();
        let rows = Blocks { blocks: &blocks, width: groups.table.width() };
        times.resize(times.len() + rows.len(), *time);
        let mut of_groups = groups.table.key_columns(rows)?;
        for call in &layout.calls {
            of_groups.push(call.values(rows)?);
        }
        columns.push(of_groups);
    }
    by_time(part, column, times, &columns, names)
}
