//! The batch answer: the bound plan of a query over all its rows at once, in plain DataFusion with all its rules.
//!
//! A stream's scan becomes a table of rows, a materialized view its own query. A windowing call has no meaning to DataFusion: its
//! input is computed, and its rows are put into windows by arithmetic that shares nothing with the operators of the engine.
//! Rows are not judged late here: only those that are on time are asked about.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, concat_batches, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, LogicalPlanBuilder, TableScan};
use datafusion::optimizer::Optimizer;

use super::tape::micros;
use crate::catalog::{Relation, WindowNode, batch_rules, is_clock_call, is_day_call, stream_name};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::time::{Unit, WindowSpec, unit_of, window_time_gap};

/// Answers queries over rows that are all there.
pub(super) struct Batch<'a> {
    engine: &'a Engine,
    session: SessionState,
}

impl<'a> Batch<'a> {
    /// Over the relations of an engine.
    pub(super) fn new(engine: &'a Engine) -> Self {
        let session = SessionStateBuilder::new_from_existing(engine.catalog().session())
            .with_optimizer_rules(Optimizer::new().rules)
            .with_physical_optimizer_rules(batch_rules())
            .build();
        Self { engine, session }
    }

    /// The rows of a bound plan; `rows` gives those of a table.
    ///
    /// # Errors
    /// When there is no batch answer, or getting it fails.
    pub(super) async fn answer(
        &self,
        plan: &LogicalPlan,
        rows: &(dyn Fn(&str) -> Option<RecordBatch> + Sync),
    ) -> Result<Vec<RecordBatch>> {
        let mut plan = self.fill(plan, rows)?;
        while let Some(window) = innermost_window(&plan)? {
            let input = self.run(window.input().clone()).await?;
            let assigned = self.assign(&window, &input)?;
            plan = plan
                .transform_up_with_subqueries(|node| match &node {
                    LogicalPlan::Extension(Extension { node: inner })
                        if inner.as_any().downcast_ref::<WindowNode>() == Some(&window) =>
                    {
                        Ok(Transformed::yes(as_relation(&assigned, node.schema())?))
                    }
                    _ => Ok(Transformed::no(node)),
                })?
                .data;
        }
        self.run(plan).await
    }

    async fn run(&self, plan: LogicalPlan) -> Result<Vec<RecordBatch>> {
        let physical = self.session.create_physical_plan(&plan).await?;
        Ok(datafusion::physical_plan::collect(physical, self.session.task_ctx()).await?)
    }

    /// Streams become tables, materialized views their queries.
    fn fill(&self, plan: &LogicalPlan, rows: &(dyn Fn(&str) -> Option<RecordBatch> + Sync)) -> Result<LogicalPlan> {
        let replace = |node: LogicalPlan| -> Result<Transformed<LogicalPlan>, datafusion::error::DataFusionError> {
            let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
            if let Some(name) = stream_name(scan) {
                let held = rows(&name).ok_or_else(|| Error::internal(format!("no rows of '{name}'")))?;
                return Ok(Transformed::yes(over(scan, &held)?));
            }
            let relation = self.engine.catalog().get(scan.table_name.table()).cloned();
            match relation {
                Some(Relation::MaterializedView(view, _)) if !view.name.ends_with("$late") => {
                    let inner = self.fill(&view.plan, rows)?;
                    // By position, under the names of the view.
                    let schema = Arc::clone(inner.schema());
                    let columns = schema.iter().zip(view.plan.schema().fields()).map(|((q, f), named)| {
                        let column = Expr::Column(Column::from((q, f)));
                        column.alias_qualified(Some(scan.table_name.clone()), named.name())
                    });
                    let whole = LogicalPlanBuilder::from(inner).project(columns.collect::<Vec<_>>())?;
                    let whole = match &scan.projection {
                        Some(some) => whole.select(some.iter().copied())?,
                        None => whole,
                    };
                    Ok(Transformed::yes(whole.build()?))
                }
                Some(Relation::MaterializedView(view, _)) => {
                    Err(Error::unsupported(format!("'{}' has no batch answer: batch knows no late rows", view.name))
                        .into())
                }
                _ => Ok(Transformed::no(node)),
            }
        };
        Ok(plan.clone().transform_up_with_subqueries(replace)?.data)
    }

    /// Puts rows into windows.
    fn assign(&self, window: &WindowNode, input: &[RecordBatch]) -> Result<RecordBatch> {
        let schema = Arc::new(window.input().schema().as_arrow().clone());
        let input = concat_batches(&schema, input)?;
        let of = |expr: &Expr| -> Result<ArrayRef> {
            let physical = self.session.create_physical_expr(expr.clone(), window.input().schema())?;
            Ok(physical.evaluate(&input)?.into_array(input.num_rows())?)
        };
        let time = of(window.time())?;
        let times = micros(&time)?;
        let mut found: Vec<(u32, i64, i64)> = Vec::new();
        match window.spec() {
            WindowSpec::Session { gap } => {
                let keys = window.keys().iter().map(of).collect::<Result<Vec<_>>>()?;
                found = sessions(&keys, &times, gap)?;
            }
            spec => {
                for row in (0..times.len()).filter(|row| times.is_valid(*row)) {
                    let windows = windows_of(spec, times.value(row)).into_iter();
                    found.extend(windows.map(|(start, end)| (row as u32, start, end)));
                }
            }
        }
        let rows: UInt32Array = found.iter().map(|(row, ..)| *row).collect();
        let mut columns = input.columns().iter().map(|c| take(c, &rows, None)).collect::<Result<Vec<_>, _>>()?;
        let unit = unit_of(time.data_type());
        let gap = window_time_gap(unit);
        let bound = |pick: &dyn Fn(&(u32, i64, i64)) -> i64| -> Result<ArrayRef> {
            let raw: Int64Array = found.iter().map(|w| Unit::from(unit).from_micros(pick(w))).collect();
            Ok(cast(&raw, time.data_type())?)
        };
        columns.extend([bound(&|w| w.1)?, bound(&|w| w.2)?, bound(&|w| w.2 - gap)?]);
        let mut fields: Vec<_> = input.schema().fields().iter().cloned().collect();
        let bounds = crate::catalog::WINDOW_COLUMNS;
        fields.extend(bounds.map(|name| Arc::new(Field::new(name, time.data_type().clone(), true))));
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?)
    }
}

/// What in a plan has no batch answer, as it depends on when it is asked.
pub(super) fn depends_on_when(plan: &LogicalPlan) -> Result<Option<String>> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                if is_clock_call(e) || is_day_call(e) || e.is_volatile_node() {
                    found = Some(e.to_string());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The streams that a plan reads, and the materialized views.
pub(super) fn scans(plan: &LogicalPlan) -> Result<(Vec<String>, Vec<String>)> {
    let (mut streams, mut views) = (Vec::new(), Vec::new());
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node {
            match stream_name(scan) {
                Some(name) => streams.push(name),
                None => views.push(scan.table_name.table().to_owned()),
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok((streams, views))
}

/// A windowing call that has none below it.
fn innermost_window(plan: &LogicalPlan) -> Result<Option<WindowNode>> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Extension(Extension { node }) = node {
            match node.as_any().downcast_ref::<WindowNode>() {
                // Going down, the last one on the way is the innermost of its branch.
                Some(window) => found = Some(window.clone()),
                None => {
                    let error =
                        Error::unsupported(format!("{} has no batch answer that could be verified", node.name()));
                    return Err(error.into());
                }
            }
            return Ok(TreeNodeRecursion::Continue);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    // The last found may stand in another branch than one that it seems to be below: only what has no window inside will do.
    match found {
        Some(window) => Ok(innermost_window(window.input())?.or(Some(window))),
        None => Ok(None),
    }
}

/// A scan over these rows.
fn over(scan: &TableScan, rows: &RecordBatch) -> Result<LogicalPlan> {
    let provider = mem_table(rows)?;
    let builder =
        LogicalPlanBuilder::scan(scan.table_name.clone(), provider_as_source(provider), scan.projection.clone())?;
    Ok(builder.build()?)
}

fn mem_table(rows: &RecordBatch) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?))
}

/// Rows under the names of a schema.
fn as_relation(rows: &RecordBatch, schema: &DFSchema) -> Result<LogicalPlan> {
    // Columns of several relations may have one name: each gets one of its own first.
    let fields = rows
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(i, f)| f.as_ref().clone().with_name(format!("c{i}")))
        .collect::<Vec<_>>();
    let unnamed: SchemaRef = Arc::new(Schema::new(fields));
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    let held = RecordBatch::try_new_with_options(unnamed, rows.columns().to_vec(), &options)?;
    let table = TableReference::bare("__windowed");
    let scan = LogicalPlanBuilder::scan(table.clone(), provider_as_source(mem_table(&held)?), None)?;
    let columns = schema.iter().enumerate().map(|(i, (qualifier, field))| {
        let column = Expr::Column(Column::new(Some(table.clone()), format!("c{i}")));
        match qualifier {
            Some(qualifier) => column.alias_qualified(Some(qualifier.clone()), field.name()),
            None => column.alias(field.name()),
        }
    });
    Ok(scan.project(columns.collect::<Vec<_>>())?.build()?)
}

/// The windows [start, end) that a time is in; all in microseconds.
fn windows_of(spec: WindowSpec, t: i64) -> Vec<(i64, i64)> {
    let floor = |to: i64, offset: i64| (t - offset).div_euclid(to) * to + offset;
    match spec {
        WindowSpec::Tumble { size, offset } => {
            let start = floor(size, offset);
            vec![(start, start + size)]
        }
        WindowSpec::Hop { slide, size, offset } => {
            let last = floor(slide, offset);
            let starts = (0..).map(|i| last - i * slide).take_while(|start| start + size > t);
            starts.map(|start| (start, start + size)).collect()
        }
        WindowSpec::Cumulate { step, max, offset } => {
            let start = floor(max, offset);
            let ends = (1..=max / step).map(|i| start + i * step).filter(|end| *end > t);
            ends.map(|end| (start, end)).collect()
        }
        WindowSpec::Session { .. } => Vec::new(),
    }
}

/// Rows of one key, no further than the gap from the next, are a session that ends the gap behind its last row.
fn sessions(keys: &[ArrayRef], times: &Int64Array, gap: i64) -> Result<Vec<(u32, i64, i64)>> {
    let fields = keys.iter().map(|k| arrow::row::SortField::new(k.data_type().clone())).collect();
    let rows = (!keys.is_empty()).then(|| arrow::row::RowConverter::new(fields)?.convert_columns(keys)).transpose()?;
    let key = |row: u32| rows.as_ref().map(|r| r.row(row as usize).data().to_vec()).unwrap_or_default();
    let mut sorted: Vec<(Vec<u8>, i64, u32)> = (0..times.len() as u32)
        .filter(|row| times.is_valid(*row as usize))
        .map(|row| (key(row), times.value(row as usize), row))
        .collect();
    sorted.sort();
    let together = |a: &(Vec<u8>, i64, u32), b: &(Vec<u8>, i64, u32)| a.0 == b.0 && b.1 - a.1 <= gap;
    let mut found = Vec::with_capacity(sorted.len());
    for session in sorted.chunk_by(together) {
        if let (Some((_, first, _)), Some((_, last, _))) = (session.first(), session.last()) {
            found.extend(session.iter().map(|(.., row)| (*row, *first, last + gap)));
        }
    }
    Ok(found)
}

/// A plan's columns cast to those of the table that they go into, by position.
pub(super) fn fitted(plan: LogicalPlan, target: &Schema) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let column = |((qualifier, field), to): ((Option<&TableReference>, &Arc<Field>), &Arc<Field>)| {
        let column = Expr::Column(Column::from((qualifier, field)));
        let is: &DataType = field.data_type();
        let cast =
            if is == to.data_type() { column } else { datafusion::logical_expr::cast(column, to.data_type().clone()) };
        cast.alias(to.name())
    };
    let columns: Vec<Expr> = schema.iter().zip(target.fields()).map(column).collect();
    Ok(LogicalPlanBuilder::from(plan).project(columns)?.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_before_and_after_1970() {
        assert_eq!(windows_of(WindowSpec::Tumble { size: 10, offset: 0 }, -1), [(-10, 0)]);
        assert_eq!(windows_of(WindowSpec::Tumble { size: 10, offset: 3 }, 2), [(-7, 3)]);
        assert_eq!(windows_of(WindowSpec::Hop { slide: 4, size: 10, offset: 0 }, 9), [(8, 18), (4, 14), (0, 10)]);
        assert_eq!(windows_of(WindowSpec::Cumulate { step: 5, max: 15, offset: 0 }, 5), [(0, 10), (0, 15)]);
    }

    #[test]
    fn sessions_are_per_key_and_end_behind_their_last_row() {
        let keys: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![1, 1, 2, 1]))];
        let times = Int64Array::from(vec![Some(0), Some(10), Some(5), Some(21)]);
        assert_eq!(sessions(&keys, &times, 10).unwrap(), [(0, 0, 20), (1, 0, 20), (3, 21, 31), (2, 5, 15)]);
    }
}
