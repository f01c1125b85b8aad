//! The groups of a flat aggregate as rows to read: the window that they belong to, keys, and the values as of now. Where windows
//! are put together from panes, what is read are the windows as they would close now.

use arrow::array::ArrayRef;

use super::groups::{Groups, Layout};
use super::merge::{Merger, Places};
use crate::error::Result;
use crate::exec::aggregate::by_time;
use crate::exec::contents::StateRows;
use crate::state::{Blocks, FlatTable};

/// The groups of windows, each given by its end and by the groups that it is put together from.
pub(super) fn contents_of(
    column: Option<&str>,
    windows: &[(i64, Vec<&Groups>)],
    layout: &Layout,
    names: &[String],
) -> Result<StateRows> {
    let (mut columns, mut times) = (Vec::new(), Vec::new());
    let mut merger = Merger::new();
    for (end, groups) in windows {
        let (rows, shown) = match groups.as_slice() {
            [] => continue,
            [one] => columns_of(layout, &one.table, &one.table.blocks().collect::<Vec<_>>())?,
            many => {
                let mut places: Vec<Places> = many.iter().map(|_| Places::default()).collect();
                let mut parts: Vec<_> = many.iter().copied().zip(&mut places).collect();
                let (table, blocks) = merger.merge(layout, &mut parts);
                columns_of(layout, table, &blocks)?
            }
        };
        times.resize(times.len() + rows, *end);
        columns.push(shown);
    }
    by_time(column, times, &columns, names)
}

/// Keys and values of rows, and how many they are.
fn columns_of(layout: &Layout, table: &FlatTable, blocks: &[&[u64]]) -> Result<(usize, Vec<ArrayRef>)> {
    let rows = Blocks { blocks, width: table.width() };
    let mut columns = table.key_columns(rows)?;
    for call in &layout.calls {
        columns.push(call.values(rows)?);
    }
    Ok((rows.len(), columns))
}
