//! Flat states against DataFusion's accumulators over the same rows: every function and type that is held flat, with NULLs and
//! filters, fed at once, in pieces that are taken back now and then, and put together from panes.

mod paths;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::AggregateUDF;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateExprBuilder;
use datafusion::physical_expr::expressions::Column;

use super::groups::{Groups, Layout};
use super::merge::{Merger, Places};
use crate::exec::groups::{Accumulators, Call};
use crate::state::{Blocks, FlatTable};

fn types() -> Vec<DataType> {
    vec![
        DataType::Int64,
        DataType::Int32,
        DataType::Int8,
        DataType::UInt64,
        DataType::UInt16,
        DataType::Float64,
        DataType::Float32,
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Millisecond, None),
    ]
}

/// A key `k`, a filter `f`, and a value of each type, about one in seven of them NULL.
fn batch(seed: u64, rows: usize) -> RecordBatch {
    let chance = |i: u64| {
        (i ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
    };
    let ints = |salt: u64, of: u64, low: i64| {
        let value = |i: usize| {
            let c = chance(i as u64 * 31 + salt);
            (c % 7 > 0).then(|| (c / 7 % of) as i64 + low)
        };
        (0..rows).map(value).collect::<Int64Array>()
    };
    let mut fields = vec![Field::new("k", DataType::Int64, true), Field::new("f", DataType::Boolean, true)];
    let filter = ints(99, 3, 0).iter().map(|v| v.map(|v| v > 0)).collect::<BooleanArray>();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(ints(1, 6, 0)), Arc::new(filter)];
    for (i, data_type) in types().into_iter().enumerate() {
        let low = if matches!(data_type, DataType::UInt64 | DataType::UInt16) { 0 } else { -30 };
        let values: ArrayRef = Arc::new(ints(i as u64 + 7, 90, low));
        // Times are made from numbers of their own width.
        let number = if data_type == DataType::Date32 { DataType::Int32 } else { DataType::Int64 };
        let values = if data_type.is_temporal() { cast(&values, &number).unwrap() } else { values };
        columns.push(cast(&values, &data_type).unwrap());
        fields.push(Field::new(format!("v{i}"), data_type, true));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

fn call(function: &Arc<AggregateUDF>, column: usize, distinct: bool, filtered: bool, schema: &SchemaRef) -> Call {
    let argument: Arc<dyn PhysicalExpr> = Arc::new(Column::new(schema.field(column).name(), column));
    let function = AggregateExprBuilder::new(Arc::clone(function), vec![argument])
        .schema(Arc::clone(schema))
        .alias("a")
        .with_distinct(distinct)
        .build()
        .unwrap();
    let filter: Arc<dyn PhysicalExpr> = Arc::new(Column::new("f", 1));
    let filter = Some(filter).filter(|_| filtered);
    Call { function: Arc::new(function), filter, input: Arc::clone(schema) }
}

/// Every call that is held flat.
fn calls(schema: &SchemaRef) -> Vec<Call> {
    let mut all = Vec::new();
    for (i, data_type) in types().iter().enumerate() {
        let mut functions = vec![(count_udaf(), false), (min_udaf(), false), (max_udaf(), false)];
        if matches!(data_type, DataType::Int64 | DataType::UInt64 | DataType::Float64) {
            functions.push((sum_udaf(), false));
        }
        if *data_type == DataType::Float64 {
            functions.push((avg_udaf(), false));
        }
        if !data_type.is_floating() {
            functions.push((count_udaf(), true));
        }
        for (n, (function, distinct)) in functions.into_iter().enumerate() {
            all.push(call(&function, i + 2, distinct, (n + i) % 3 == 0, schema));
        }
    }
    all
}

type Answer = BTreeMap<Option<i64>, Vec<String>>;

fn answer(keys: &ArrayRef, values: &[ArrayRef]) -> Answer {
    let keys = keys.as_primitive::<Int64Type>();
    let text = |column: &ArrayRef, row: usize| arrow::util::display::array_value_to_string(column, row).unwrap();
    keys.iter().enumerate().map(|(row, key)| (key, values.iter().map(|v| text(v, row)).collect())).collect()
}

/// What DataFusion's accumulators answer.
fn expected(calls: &[Call], batches: &[RecordBatch]) -> Answer {
    let mut accumulators = Accumulators::new(calls).unwrap();
    let mut keys: Vec<Option<i64>> = Vec::new();
    for batch in batches {
        let groups: Vec<usize> = batch
            .column(0)
            .as_primitive::<Int64Type>()
            .iter()
            .map(|key| {
                keys.iter().position(|k| *k == key).unwrap_or_else(|| {
                    keys.push(key);
                    keys.len() - 1
                })
            })
            .collect();
        let arguments: Vec<_> = calls.iter().map(|c| c.arguments(batch).unwrap()).collect();
        accumulators.update(&arguments, &groups, keys.len()).unwrap();
    }
    let keys: ArrayRef = Arc::new(Int64Array::from(keys));
    answer(&keys, &accumulators.values().unwrap())
}

fn add(groups: &mut Groups, layout: &Layout, batch: &RecordBatch) {
    let keys = layout.keys.encode(&batch.columns()[..1], batch.num_rows()).unwrap();
    let arguments: Vec<_> = layout.calls.iter().map(|c| c.argument(batch).unwrap()).collect();
    groups.add(layout, &keys, &arguments);
}

fn held(layout: &Layout, table: &FlatTable, blocks: &[&[u64]]) -> Answer {
    let rows = Blocks { blocks, width: table.width() };
    let keys = table.key_columns(rows).unwrap();
    let values: Vec<_> = layout.calls.iter().map(|c| c.values(rows).unwrap()).collect();
    answer(&keys[0], &values)
}

fn blocks(groups: &Groups) -> Vec<&[u64]> {
    groups.table.blocks().collect()
}

/// Calls in rows that have room for their flags.
fn layouts() -> Vec<(Vec<Call>, Layout)> {
    let schema = batch(0, 0).schema();
    let mut all = calls(&schema);
    let mut out = Vec::new();
    while !all.is_empty() {
        let some: Vec<Call> = all.drain(..all.len().min(17)).collect();
        let layout = Layout::new(&[DataType::Int64], &some).unwrap().expect("all of them are held flat");
        out.push((some, layout));
    }
    out
}

#[test]
fn flat_states_are_what_accumulators_give() {
    for (calls, layout) in layouts() {
        let batches: Vec<RecordBatch> = (0..9).map(|seed| batch(seed * 77, 40)).collect();
        let mut groups = Groups::new(&layout);
        for (i, batch) in batches.iter().enumerate() {
            if i % 3 == 1 {
                add(&mut groups, &layout, &batches[8]);
                groups.rollback();
            }
            add(&mut groups, &layout, batch);
            groups.commit();
            assert_eq!(held(&layout, &groups.table, &blocks(&groups)), expected(&calls, &batches[..=i]));
        }
    }
}

#[test]
fn windows_put_together_are_windows_fed() {
    for (calls, layout) in layouts() {
        let batches: Vec<RecordBatch> = (0..12).map(|seed| batch(seed * 13, 5)).collect();
        let mut panes: Vec<(Groups, Places)> = (0..12).map(|_| (Groups::new(&layout), Places::default())).collect();
        let mut merger = Merger::new();
        for (i, batch) in batches.iter().enumerate() {
            add(&mut panes[i].0, &layout, batch);
        }
        for first in 0..9 {
            let mut parts: Vec<_> = panes[first..first + 4].iter_mut().map(|(g, p)| (&*g, p)).collect();
            let (table, rows) = merger.merge(&layout, &mut parts);
            assert_eq!(held(&layout, table, &rows), expected(&calls, &batches[first..first + 4]));
            merger.tidy();
            // A row that comes late for this window is in time for the next.
            add(&mut panes[first + 1].0, &layout, &batches[0]);
            let whole: Vec<RecordBatch> = batches[first + 1..first + 4].iter().chain([&batches[0]]).cloned().collect();
            let mut parts: Vec<_> = panes[first + 1..first + 4].iter_mut().map(|(g, p)| (&*g, p)).collect();
            let (table, rows) = merger.merge(&layout, &mut parts);
            let (got, wanted) = (held(&layout, table, &rows), expected(&calls, &whole));
            assert_eq!(got, wanted);
            panes[first + 1].0.rollback();
            panes[first + 1].1.truncate(0);
            add(&mut panes[first + 1].0, &layout, &batches[first + 1]);
        }
    }
}
