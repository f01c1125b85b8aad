//! Rows as text, and tables as multisets of them: what answers are compared as.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::change::Change;
use crate::error::Result;

/// A row as text, one string per column.
pub type Row = Vec<String>;

/// How often each row is there; a table without order.
pub type Table = BTreeMap<Row, i64>;

/// The rows of a batch. Floating point is rounded to nine digits, so that sums may be taken in any order.
///
/// # Errors
/// When a column has a type that can't be written as text.
pub fn of_batch(batch: &RecordBatch) -> Result<Vec<Row>> {
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch
        .columns()
        .iter()
        .map(|c| ArrayFormatter::try_new(c.as_ref(), &options))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let cell = |row: usize, column: usize| {
        let array = batch.column(column);
        match array.data_type() {
            DataType::Float64 if array.is_valid(row) => float(array.as_primitive::<Float64Type>().value(row)),
            DataType::Float32 if array.is_valid(row) => float(array.as_primitive::<Float32Type>().value(row).into()),
            _ => columns[column].value(row).to_string(),
        }
    };
    Ok((0..batch.num_rows()).map(|row| (0..columns.len()).map(|column| cell(row, column)).collect()).collect())
}

/// A number with nine significant digits, in its shortest form; both zeros are one.
pub fn float(value: f64) -> String {
    let rounded: f64 = format!("{value:.8e}").parse().unwrap_or(value);
    if rounded == 0.0 { "0.0".to_owned() } else { format!("{rounded:?}") }
}

/// Batches as a table.
///
/// # Errors
/// As [`of_batch`].
pub fn of_batches<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> Result<Table> {
    let mut table = Table::new();
    for batch in batches {
        for row in of_batch(batch)? {
            *table.entry(row).or_default() += 1;
        }
    }
    Ok(table)
}

/// What is left once changes are folded.
///
/// # Errors
/// As [`of_batch`].
pub fn fold<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Result<Table> {
    let mut table = Table::new();
    for change in changes {
        for (at, row) in of_batch(&change.batch)?.into_iter().enumerate() {
            *table.entry(row).or_default() += change.weight(at);
        }
    }
    table.retain(|_, weight| *weight != 0);
    Ok(table)
}

/// How many rows a table has.
pub fn count(table: &Table) -> i64 {
    table.values().sum()
}

/// A number that stands for the contents of a table: equal tables have equal ones, on every machine (FNV-1a).
pub fn digest(table: &Table) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| {
        // The length too, so that cells and rows do not run into each other.
        for byte in (bytes.len() as u64).to_le_bytes().iter().chain(bytes) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    for (row, times) in table {
        eat(&times.to_le_bytes());
        row.iter().for_each(|cell| eat(cell.as_bytes()));
    }
    hash
}

/// Where two tables differ, a line per row: `-` is wanted and missing, `+` is there and not wanted.
pub fn difference(wanted: &Table, got: &Table) -> String {
    let mut lines = Vec::new();
    let keys: BTreeSet<_> = wanted.keys().chain(got.keys()).collect();
    for row in keys {
        let (a, b) = (wanted.get(row).copied().unwrap_or(0), got.get(row).copied().unwrap_or(0));
        if a != b {
            lines.push(format!("  {}{} × ({})", if a > b { '-' } else { '+' }, (a - b).abs(), row.join(" | ")));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: &[(&[&str], i64)]) -> Table {
        rows.iter().map(|(row, times)| (row.iter().map(ToString::to_string).collect(), *times)).collect()
    }

    #[test]
    fn a_digest_sees_every_cell_and_count() {
        let one = table(&[(&["a", "b"], 1)]);
        for other in [table(&[(&["ab", ""], 1)]), table(&[(&["a", "b"], 2)]), table(&[(&["a"], 1), (&["b"], 1)])] {
            assert_ne!(digest(&one), digest(&other), "{other:?}");
        }
        assert_eq!(digest(&one), digest(&one.clone()));
    }

    #[test]
    fn a_difference_says_which_way() {
        let text = difference(&table(&[(&["a"], 2), (&["b"], 1)]), &table(&[(&["a"], 1), (&["c"], 1)]));
        assert_eq!(text, "  -1 × (a)\n  -1 × (b)\n  +1 × (c)");
    }

    #[test]
    fn floats_are_compared_to_nine_digits() {
        assert_eq!(float(0.1 + 0.2), float(0.3));
        assert_eq!(float(-0.0), float(0.0));
        assert_ne!(float(1.000_001), float(1.0));
    }
}
