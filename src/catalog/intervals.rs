//! Intervals as PostgreSQL reckons with them.
//!
//! An interval times or divided by a number (`n * INTERVAL '1' MINUTE`), which DataFusion has no arithmetic for. And comparisons:
//! DataFusion's go by months, then days, then the time, so that 30 hours are less than a day; here a day is 24 hours and a month
//! 30 days, as long as two intervals are compared.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, IntervalMonthDayNanoArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_datafusion_err, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    Between, BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility, lit,
};
use sqlparser::ast::BinaryOperator;

const NANOS_PER_DAY: f64 = 86_400e9;
/// As PostgreSQL reckons what is left over of a month.
const DAYS_PER_MONTH: f64 = 30.0;

/// Plans the operators.
#[derive(Debug)]
pub(super) struct IntervalArithmetic;

impl ExprPlanner for IntervalArithmetic {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if !matches!(expr.op, BinaryOperator::Multiply | BinaryOperator::Divide) {
            return Ok(PlannerResult::Original(expr));
        }
        let is_interval = |t: &DataType| matches!(t, DataType::Interval(_));
        let (Ok(left), Ok(right)) = (expr.left.get_type(schema), expr.right.get_type(schema)) else {
            return Ok(PlannerResult::Original(expr));
        };
        let times = ScalarUDF::new_from_impl(Times { signature: Signature::user_defined(Volatility::Immutable) });
        Ok(match expr.op {
            BinaryOperator::Multiply if is_interval(&left) && right.is_numeric() => {
                PlannerResult::Planned(times.call(vec![expr.left, expr.right, lit(1.0)]))
            }
            BinaryOperator::Multiply if left.is_numeric() && is_interval(&right) => {
                PlannerResult::Planned(times.call(vec![expr.right, expr.left, lit(1.0)]))
            }
            BinaryOperator::Divide if is_interval(&left) && right.is_numeric() => {
                PlannerResult::Planned(times.call(vec![expr.left, lit(1.0), expr.right]))
            }
            _ => PlannerResult::Original(expr),
        })
    }
}

/// A comparison of intervals as one of their lengths.
pub(super) fn compared(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_interval = |e: &Expr| matches!(e.get_type(schema), Ok(DataType::Interval(_)));
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if compares(op) && is_interval(&left) && is_interval(&right) =>
        {
            let plain = [&left, &right].iter().all(|side| plain(side, schema).is_some());
            let of = |e: Expr| Box::new(comparable(e, plain, schema));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr::new(of(*left), op, of(*right))))
        }
        Expr::Between(Between { expr, negated, low, high })
            if is_interval(&expr) && is_interval(&low) && is_interval(&high) =>
        {
            let plain = [&expr, &low, &high].iter().all(|side| plain(side, schema).is_some());
            let of = |e: Expr| Box::new(comparable(e, plain, schema));
            Transformed::yes(Expr::Between(Between::new(of(*expr), negated, of(*low), of(*high))))
        }
        other => Transformed::no(other),
    })
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// An interval without months and days, which DataFusion compares rightly: the difference of two moments is one, and a literal
/// can be made one.
fn plain(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    match expr {
        Expr::Cast(cast) if matches!(cast.expr.get_type(schema), Ok(DataType::Duration(_))) => Some(expr.clone()),
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), metadata) => {
            let interval = IntervalMonthDayNano::new(0, 0, i64::try_from(length(*interval)).ok()?);
            Some(Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), metadata.clone()))
        }
        _ => None,
    }
}

fn comparable(expr: Expr, as_plain: bool, schema: &DFSchema) -> Expr {
    match plain(&expr, schema).filter(|_| as_plain) {
        Some(plain) => plain,
        None => ScalarUDF::new_from_impl(Length { signature: Signature::user_defined(Volatility::Immutable) })
            .call(vec![expr]),
    }
}

fn length(interval: IntervalMonthDayNano) -> i128 {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    days * 86_400_000_000_000 + i128::from(interval.nanoseconds)
}

/// `interval_length(interval)` in nanoseconds.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Length {
    signature: Signature,
}

impl ScalarUDFImpl for Length {
    fn name(&self) -> &str {
        "interval_length"
    }

    /// Columns are called as if it were not there.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(args.iter().map(|arg| arg.schema_name().to_string()).collect())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano); types.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Decimal128(38, 0))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        Ok(Arc::new(Field::new(self.name(), DataType::Decimal128(38, 0), nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let intervals = cast(&arrays[0], &DataType::Interval(IntervalUnit::MonthDayNano))?;
        let lengths: Decimal128Array = intervals.as_primitive::<IntervalMonthDayNanoType>().unary(length);
        let lengths: ArrayRef = Arc::new(lengths.with_precision_and_scale(38, 0)?);
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&lengths, 0)?));
        }
        Ok(ColumnarValue::Array(lengths))
    }
}

/// `interval_times(interval, factor, divisor)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Times {
    signature: Signature,
}

impl ScalarUDFImpl for Times {
    fn name(&self) -> &str {
        "interval_times"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [_, _, _] => Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano), DataType::Float64, DataType::Float64]),
            _ => plan_err!("interval_times takes 3 arguments"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let intervals = cast(&arrays[0], &DataType::Interval(IntervalUnit::MonthDayNano))?;
        let intervals: &IntervalMonthDayNanoArray = intervals.as_primitive::<IntervalMonthDayNanoType>();
        let (factors, divisors): (&Float64Array, &Float64Array) =
            (arrays[1].as_primitive::<Float64Type>(), arrays[2].as_primitive::<Float64Type>());
        let product = |row: usize| -> Result<Option<IntervalMonthDayNano>> {
            if intervals.is_null(row) || factors.is_null(row) || divisors.is_null(row) {
                return Ok(None);
            }
            if divisors.value(row) == 0.0 {
                return Err(exec_datafusion_err!("an interval is divided by zero"));
            }
            let interval = intervals.value(row);
            times(interval, factors.value(row), divisors.value(row))
                .map(Some)
                .ok_or_else(|| exec_datafusion_err!("a multiple of an interval leaves the range of intervals"))
        };
        let products: ArrayRef =
            Arc::new((0..intervals.len()).map(product).collect::<Result<IntervalMonthDayNanoArray>>()?);
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&products, 0)?));
        }
        Ok(ColumnarValue::Array(products))
    }
}

/// Whole parts stay what they are; what is left of a month goes to days, and what is left of a day to the time.
fn times(interval: IntervalMonthDayNano, factor: f64, divisor: f64) -> Option<IntervalMonthDayNano> {
    let scale = |part: f64| part * factor / divisor;
    // Products of whole numbers are exact as such, where a double would round nanoseconds.
    if divisor == 1.0 && factor.fract() == 0.0 && factor.abs() < 1e15 {
        let whole = factor as i64;
        return Some(IntervalMonthDayNano::new(
            i32::try_from(i64::from(interval.months).checked_mul(whole)?).ok()?,
            i32::try_from(i64::from(interval.days).checked_mul(whole)?).ok()?,
            interval.nanoseconds.checked_mul(whole)?,
        ));
    }
    let months = scale(f64::from(interval.months));
    let days = scale(f64::from(interval.days)) + months.fract() * DAYS_PER_MONTH;
    let nanos = (scale(interval.nanoseconds as f64) + days.fract() * NANOS_PER_DAY).round();
    let in_range = |x: f64, limit: f64| (x.is_finite() && x.abs() < limit).then_some(x);
    Some(IntervalMonthDayNano::new(
        in_range(months, 2e9)?.trunc() as i32,
        in_range(days, 2e9)?.trunc() as i32,
        in_range(nanos, 9e18)? as i64,
    ))
}
