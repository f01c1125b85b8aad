//! ORDER BY, LIMIT and OFFSET over a finished result.

use std::sync::Arc;

use arrow::array::RecordBatch;
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
        Ok(Some(Self { sort, skip: presentation.skip, fetch: presentation.fetch }))
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
        Ok(ordered.slice(from, len))
    }
}
