//! Flat tables against a map, over keys of every form.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, StringArray, StringViewArray};
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};

use super::*;

/// Adds 1 to the word of each key.
fn count(table: &mut FlatTable, keys: &[ArrayRef]) -> Vec<u32> {
    let rows = keys[0].len();
    let batch = table.keys.encode(keys, rows).unwrap();
    let at = table.width() - 1;
    let mut slots = Vec::new();
    let mut from = 0;
    while from < rows {
        let len = (rows - from).min(5);
        table.intern(&batch, from, len, flag(3), &mut slots);
        from += len;
    }
    table.each(&slots, |_, row| row[at] += 1);
    slots
}

/// What a table holds: encoded keys and their counts.
fn contents(table: &FlatTable, types: &[DataType]) -> BTreeMap<Vec<u8>, u64> {
    let converter = RowConverter::new(types.iter().map(|t| SortField::new(t.clone())).collect()).unwrap();
    let mut all = BTreeMap::new();
    for block in table.blocks() {
        let columns = table.key_columns(Blocks { blocks: &[block], width: table.width() }).unwrap();
        let keys = converter.convert_columns(&columns).unwrap();
        for (key, row) in keys.iter().zip(block.chunks_exact(table.width())) {
            assert_eq!(row[HEAD] & ALL_FLAGS, flag(3));
            assert!(all.insert(key.as_ref().to_vec(), row[table.width() - 1]).is_none(), "a key has one row");
        }
    }
    all
}

fn model(batches: &[Vec<ArrayRef>], types: &[DataType]) -> BTreeMap<Vec<u8>, u64> {
    let converter = RowConverter::new(types.iter().map(|t| SortField::new(t.clone())).collect()).unwrap();
    let mut all = BTreeMap::new();
    for columns in batches {
        converter.convert_columns(columns).unwrap().iter().for_each(|k| {
            *all.entry(k.as_ref().to_vec()).or_default() += 1;
        });
    }
    all
}

fn ints(seed: u64, rows: usize, of: u64) -> ArrayRef {
    let value = |i: u64| {
        let v = (i + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 17;
        if v.is_multiple_of(11) { None } else { Some((v % of) as i64 - 3) }
    };
    Arc::new((0..rows as u64).map(value).collect::<Int64Array>())
}

fn texts(seed: u64, rows: usize, of: u64) -> ArrayRef {
    let ints = ints(seed, rows, of);
    let ints = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&ints);
    Arc::new(ints.iter().map(|v| v.map(|v| "x".repeat(v.unsigned_abs() as usize % 40))).collect::<StringArray>())
}

/// Batches of keys of every form.
fn forms() -> Vec<Vec<Vec<ArrayRef>>> {
    let each = |make: &dyn Fn(u64) -> Vec<ArrayRef>| (0..6).map(|i| make(i * 1000)).collect::<Vec<_>>();
    vec![
        each(&|s| vec![ints(s, 700, 300)]),
        each(&|s| vec![ints(s, 700, 90), ints(s + 7, 700, 4)]),
        each(&|s| {
            let small: Int32Array = (0..700).map(|i| if i % 7 == 0 { None } else { Some(i % 13 - 5) }).collect();
            let flags: BooleanArray = (0..700).map(|i| Some((i + s as i32) % 3 == 0)).collect();
            vec![ints(s, 700, 20), Arc::new(small), Arc::new(flags)]
        }),
        each(&|s| vec![texts(s, 700, 100)]),
        each(&|s| {
            let texts = texts(s, 700, 100);
            vec![Arc::new(StringViewArray::from(arrow::array::AsArray::as_string::<i32>(&texts))) as ArrayRef]
        }),
        each(&|s| vec![texts(s, 700, 30), ints(s, 700, 9)]),
    ]
}

#[test]
fn every_form_of_key_counts_as_a_map_does() {
    for batches in forms() {
        let types: Vec<DataType> = batches[0].iter().map(|c| c.data_type().clone()).collect();
        let layout = Arc::new(KeyLayout::new(&types).unwrap());
        let mut table = FlatTable::new(&layout, &[7, 0]);
        for (i, batch) in batches.iter().enumerate() {
            count(&mut table, batch);
            if i % 2 == 1 {
                table.commit();
            }
        }
        assert_eq!(contents(&table, &types), model(&batches, &types), "{types:?}");
        let mut merged = FlatTable::new(&layout, &[7, 0]);
        let mut slots = Vec::new();
        merged.intern_rows(&table, 0, &mut slots);
        assert_eq!(merged.len(), table.len());
        assert_eq!(slots, (0..table.len() as u32).collect::<Vec<_>>());
        slots.clear();
        merged.intern_rows(&table, 0, &mut slots);
        assert_eq!((merged.len(), slots.len()), (table.len(), table.len()), "the keys are found again");
        slots.clear();
        merged.intern_rows(&table, table.len() - 2, &mut slots);
        assert_eq!(slots, [table.len() as u32 - 2, table.len() as u32 - 1]);
    }
}

#[test]
fn an_interval_is_taken_back() {
    for batches in forms() {
        let types: Vec<DataType> = batches[0].iter().map(|c| c.data_type().clone()).collect();
        let layout = Arc::new(KeyLayout::new(&types).unwrap());
        let mut table = FlatTable::new(&layout, &[0]);
        count(&mut table, &batches[0]);
        count(&mut table, &batches[1]);
        table.commit();
        let before = contents(&table, &types);
        for batch in &batches[2..] {
            count(&mut table, batch);
        }
        let (mut new, mut old) = (0, 0);
        for touched in table.touched() {
            match touched {
                Touched::New(row) => new += row[table.width() - 1],
                Touched::Old(was, now) => old += now[table.width() - 1] - was[table.width() - 1],
            }
        }
        assert_eq!(new + old, 4 * 700, "every row is in the log once");
        table.rollback();
        assert_eq!(contents(&table, &types), before);
        assert!(!table.is_touched());
        count(&mut table, &batches[2]);
        table.commit();
        assert_eq!(contents(&table, &types), model(&batches[..3], &types));
    }
}

#[test]
fn the_stamp_runs_over() {
    let layout = Arc::new(KeyLayout::new(&[DataType::Int64]).unwrap());
    let mut table = FlatTable::new(&layout, &[0]);
    count(&mut table, &[ints(0, 50, 10)]);
    table.stamp = u32::MAX - 1;
    table.commit();
    count(&mut table, &[ints(0, 50, 10)]);
    table.commit();
    assert_eq!(table.stamp, 1);
    count(&mut table, &[ints(0, 50, 10)]);
    assert_eq!(table.touched().count(), table.len());
}

#[test]
fn without_key_columns_there_is_one_row() {
    let layout = Arc::new(KeyLayout::new(&[]).unwrap());
    let mut table = FlatTable::new(&layout, &[5]);
    let keys = layout.encode(&[], 3).unwrap();
    let mut slots = Vec::new();
    table.intern(&keys, 0, 3, 0, &mut slots);
    table.each(&slots, |_, row| row[1] += 1);
    assert_eq!((table.len(), slots), (1, vec![0, 0, 0]));
    assert_eq!(table.blocks().next().unwrap()[1], 8);
    table.rollback();
    assert!(table.is_empty());
}
