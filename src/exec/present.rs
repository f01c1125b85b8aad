//! ORDER BY, LIMIT and OFFSET over a finished result.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::execution::SessionState;
use datafusion::physical_expr::PhysicalExpr;

use crate::error::Result;
use crate::plan::IntervalPlan;

/// Orders and cuts rows.
pub struct Presenter {
    sort: Vec<(Arc<dyn PhysicalExpr>, SortOptions)>,
    skip: usize,
    fetch: Option<usize>,
    /// Columns computed of the ordered rows, step by step.
    then: Vec<(Vec<Arc<dyn PhysicalExpr>>, SchemaRef)>,
}

impl Presenter {
    /// The presentation of a plan; `None` when it asks for none.
    ///
    /// # Errors
    /// When a sort key has no physical form.
    pub fn new(plan: &IntervalPlan, session: &SessionState) -> Result<Option<Self>> {
        let Some(presentation) = &plan.presentation else { return Ok(None) };
        let sort = presentation.sort.iter().map(|key| {
            let expr = session.create_physical_expr(key.expr.clone(), plan.logical.schema())?;
            Ok((expr, SortOptions { descending: !key.asc, nulls_first: key.nulls_first }))
        });
        let sort = sort.collect::<Result<Vec<_>>>()?;
        let mut input = plan.logical.schema();
        let mut then = Vec::new();
        for step in &presentation.then {
            let exprs = step.expr.iter().map(|e| Ok(session.create_physical_expr(e.clone(), input)?));
            then.push((exprs.collect::<Result<Vec<_>>>()?, Arc::new(step.schema.as_arrow().clone())));
            input = &step.schema;
        }
        Ok(Some(Self { sort, skip: presentation.skip, fetch: presentation.fetch, then }))
    }

    /// The columns that come out, where they are others than those that go in.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.then.last().map(|(_, schema)| Arc::clone(schema))
    }

    /// The rows in order, from OFFSET on, LIMIT many.
    ///
    /// # Errors
    /// When a sort key fails.
    pub fn present(&self, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<RecordBatch> {
        let all = concat_batches(schema, batches)?;
        let ordered = if self.sort.is_empty() || all.num_rows() == 0 {
            all
        } else {
            let columns = self.sort.iter().map(|(expr, options)| {
                let values = expr.evaluate(&all)?.into_array(all.num_rows())?;
                Ok(SortColumn { values, options: Some(*options) })
            });
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let limit = self.fetch.map(|f| f.saturating_add(self.skip));
            take_record_batch(&all, &lexsort_to_indices(&columns, limit)?)?
        };
        let from = self.skip.min(ordered.num_rows());
        let len = self.fetch.unwrap_or(usize::MAX).min(ordered.num_rows() - from);
        let mut rows = ordered.slice(from, len);
        for (exprs, schema) in &self.then {
            let columns = exprs.iter().map(|e| Ok(e.evaluate(&rows)?.into_array(rows.num_rows())?));
            let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            rows = RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?;
        }
        Ok(rows)
    }
}
