//! Aggregate functions over groups: DataFusion's accumulators, fed for one interval and folded into kept states.
//!
//! The accumulators live for one interval only. `evaluate` and `state` of DataFusion's `GroupsAccumulator` consume what they
//! return, so running values can't be read from a long-lived one; instead the states of touched groups are merged in before
//! the interval's rows (which keeps arrival order for order-sensitive functions), and the new states are written back. The
//! cost is that of the touched groups, never of all groups.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::{GroupsAccumulatorAdapter, PhysicalExpr};

use crate::error::{Error, Result};

/// One aggregate function of a query: what it is, what it is given, what is filtered.
pub(super) struct Call {
    pub(super) function: Arc<AggregateFunctionExpr>,
    pub(super) filter: Option<Arc<dyn PhysicalExpr>>,
    /// The columns it is evaluated over.
    pub(super) input: SchemaRef,
}

/// The evaluated arguments of one call over a batch.
pub(super) struct Arguments {
    pub(super) values: Vec<ArrayRef>,
    pub(super) filter: Option<BooleanArray>,
}

impl Call {
    /// Evaluates the arguments over a batch.
    pub(super) fn arguments(&self, batch: &RecordBatch) -> Result<Arguments> {
        let rows = batch.num_rows();
        let exprs = self.function.expressions();
        // The sort keys of an ordered aggregate follow its arguments.
        let order = self.function.order_bys().iter().map(|s| &s.expr);
        let values =
            exprs.iter().chain(order).map(|e| e.evaluate(batch)?.into_array(rows)).collect::<Result<_, _>>()?;
        let filter = match &self.filter {
            None => None,
            Some(filter) => {
                let array = filter.evaluate(batch)?.into_array(rows)?;
                Some(array.as_boolean_opt().cloned().ok_or_else(|| Error::internal("a FILTER that is no boolean"))?)
            }
        };
        Ok(Arguments { values, filter })
    }

    /// Its arguments over no rows.
    pub(super) fn empty_arguments(&self) -> Result<Arguments> {
        self.arguments(&RecordBatch::new_empty(Arc::clone(&self.input)))
    }

    /// The type of its first argument.
    pub(super) fn argument_type(&self) -> Result<DataType> {
        let exprs = self.function.expressions();
        let first = exprs.first().ok_or_else(|| Error::internal("an aggregate without an argument"))?;
        Ok(first.data_type(&self.input)?)
    }

    /// The types of its state.
    pub(super) fn state_types(&self) -> Result<Vec<DataType>> {
        Ok(self.function.state_fields()?.iter().map(|f| f.data_type().clone()).collect())
    }

    fn accumulator(&self) -> Result<Box<dyn GroupsAccumulator>> {
        if self.function.groups_accumulator_supported() {
            return Ok(self.function.create_groups_accumulator()?);
        }
        let function = Arc::clone(&self.function);
        Ok(Box::new(GroupsAccumulatorAdapter::new(move || function.create_accumulator())))
    }
}

impl Arguments {
    /// The arguments of some rows.
    pub(super) fn take(&self, rows: &arrow::array::UInt32Array) -> Result<Self> {
        let take = |a: &ArrayRef| arrow::compute::take(a, rows, None);
        let values = self.values.iter().map(take).collect::<Result<_, _>>()?;
        let filter = match &self.filter {
            None => None,
            Some(filter) => Some(arrow::compute::take(filter, rows, None)?.as_boolean().clone()),
        };
        Ok(Self { values, filter })
    }
}

/// The accumulators of every call, for groups 0..n.
pub(super) struct Accumulators {
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    /// How many state columns each has.
    widths: Vec<usize>,
}

impl Accumulators {
    pub(super) fn new(calls: &[Call]) -> Result<Self> {
        let accumulators = calls.iter().map(Call::accumulator).collect::<Result<_>>()?;
        let widths = calls.iter().map(|c| Ok(c.state_types()?.len())).collect::<Result<_>>()?;
        Ok(Self { accumulators, widths })
    }

    /// Adds rows: `groups[i]` is the group of row i, less than `total`.
    pub(super) fn update(&mut self, arguments: &[Arguments], groups: &[usize], total: usize) -> Result<()> {
        for (accumulator, arguments) in self.accumulators.iter_mut().zip(arguments) {
            accumulator.update_batch(&arguments.values, groups, arguments.filter.as_ref(), total)?;
        }
        Ok(())
    }

    /// Says that groups below `total` may stay without a value until later. DataFusion takes a call over values without NULLs
    /// as one that touches every group: without this, the sum of nothing but NULLs is 0 where other groups were merged.
    pub(super) fn expect_gaps(&mut self, arguments: &[Arguments], total: usize) -> Result<()> {
        let no_rows = BooleanArray::from(Vec::<bool>::new());
        for (accumulator, arguments) in self.accumulators.iter_mut().zip(arguments) {
            let values: Vec<ArrayRef> = arguments.values.iter().map(|v| v.slice(0, 0)).collect();
            accumulator.update_batch(&values, &[], Some(&no_rows), total)?;
        }
        Ok(())
    }

    /// Merges states, the columns of all calls one after the other.
    pub(super) fn merge(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        let mut rest = states;
        for (accumulator, width) in self.accumulators.iter_mut().zip(&self.widths) {
            let (own, others) = rest.split_at(*width);
            accumulator.merge_batch(own, groups, total)?;
            rest = others;
        }
        Ok(())
    }

    /// Takes the states of all groups out, the columns of all calls one after the other.
    pub(super) fn states(&mut self) -> Result<Vec<ArrayRef>> {
        let mut all = Vec::new();
        for accumulator in &mut self.accumulators {
            all.extend(accumulator.state(EmitTo::All)?);
        }
        Ok(all)
    }

    /// Takes the values of all groups out, a column per call.
    pub(super) fn values(&mut self) -> Result<Vec<ArrayRef>> {
        self.accumulators.iter_mut().map(|a| Ok(a.evaluate(EmitTo::All)?)).collect()
    }
}

/// The values that states stand for, a column per call.
pub(super) fn values_of(calls: &[Call], states: &[ArrayRef], rows: usize) -> Result<Vec<ArrayRef>> {
    let mut accumulators = Accumulators::new(calls)?;
    let groups: Vec<usize> = (0..rows).collect();
    accumulators.merge(states, &groups, rows)?;
    accumulators.values()
}
