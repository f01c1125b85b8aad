//! `sum` of whole numbers: BIGINT as in Flink, counted in 128 bits, and an error when the sum itself does not fit.
//!
//! DataFusion's wraps around in silence. Checking each addition would fail on sums that fit when the order of the rows, and so
//! the cut of the stream, leads out of the range and back; with room to spare only the result decides.

use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

use crate::catalog::checked::whole_type_name;

/// What sums are counted in.
const WIDE: DataType = DataType::Decimal128(38, 0);

/// The function.
pub(super) fn sum() -> AggregateUDF {
    AggregateUDF::new_from_impl(Sum { inner: sum_udaf() })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum {
    inner: Arc<AggregateUDF>,
}

impl Sum {
    /// DataFusion's arguments, for a sum that is counted wide.
    fn wide<'a>(&self, args: &AccumulatorArgs<'a>) -> AccumulatorArgs<'a> {
        AccumulatorArgs {
            return_field: wide_field(&args.return_field),
            schema: args.schema,
            ignore_nulls: args.ignore_nulls,
            order_bys: args.order_bys,
            is_reversed: args.is_reversed,
            name: args.name,
            is_distinct: args.is_distinct,
            exprs: args.exprs,
            expr_fields: args.expr_fields,
        }
    }
}

fn wide_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), WIDE, field.is_nullable()))
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !args.return_field.data_type().is_integer() {
            return self.inner.state_fields(args);
        }
        self.inner.state_fields(StateFieldsArgs { return_field: wide_field(&args.return_field), ..args })
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if !args.return_type().is_integer() {
            return self.inner.accumulator(args);
        }
        let inner = self.inner.accumulator(self.wide(&args))?;
        Ok(Box::new(Wide { inner, result: args.return_type().clone() }))
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        // DataFusion slides sums of distinct values for BIGINT only.
        if !args.return_type().is_integer() || args.is_distinct {
            return self.inner.create_sliding_accumulator(args);
        }
        let inner = self.inner.create_sliding_accumulator(self.wide(&args))?;
        Ok(Box::new(Wide { inner, result: args.return_type().clone() }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        if !args.return_type().is_integer() {
            return self.inner.create_groups_accumulator(args);
        }
        let inner = self.inner.create_groups_accumulator(self.wide(&args))?;
        Ok(Box::new(Wide { inner, result: args.return_type().clone() }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }
}

/// One of DataFusion's accumulators over wide numbers, fed with narrow ones.
#[derive(Debug)]
struct Wide<A> {
    inner: A,
    result: DataType,
}

impl<A> Wide<A> {
    fn widen(values: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
        let wide = |values: &ArrayRef| -> Result<ArrayRef> {
            // Arrow's cast would check each number for its digits.
            let wide: Decimal128Array = match values.data_type() {
                DataType::Int64 => values.as_primitive::<Int64Type>().unary(i128::from),
                DataType::UInt64 => values.as_primitive::<UInt64Type>().unary(i128::from),
                _ => return Ok(cast(values, &WIDE)?),
            };
            Ok(Arc::new(wide.with_data_type(WIDE)))
        };
        values.iter().map(wide).collect()
    }

    fn narrow(&self, sums: &dyn Array) -> Result<ArrayRef> {
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let name = whole_type_name(&self.result);
        cast_with_options(sums, &self.result, &options)
            .map_err(|_| exec_datafusion_err!("sum overflows {name}: sum(CAST(… AS DECIMAL(38, 0))) has more room"))
    }
}

impl Accumulator for Wide<Box<dyn Accumulator>> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.update_batch(&Self::widen(values)?)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = self.inner.evaluate()?.to_array()?;
        ScalarValue::try_from_array(&self.narrow(&sum)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.inner.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.inner.merge_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.inner.retract_batch(&Self::widen(values)?)
    }

    fn supports_retract_batch(&self) -> bool {
        self.inner.supports_retract_batch()
    }
}

impl GroupsAccumulator for Wide<Box<dyn GroupsAccumulator>> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.inner.update_batch(&Self::widen(values)?, groups, filter, total)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.inner.merge_batch(states, groups, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let sums = self.inner.evaluate(emit_to)?;
        self.narrow(&sums)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        self.inner.state(emit_to)
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        self.inner.convert_to_state(&Self::widen(values)?, filter)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.inner.size()
    }
}
