//! `now()` and `PROCTIME()`: the wall time of the interval, one value for all its rows.
//!
//! DataFusion folds `now()` into a literal when it plans; as a plan here is made once and run many times, it would freeze.
//! These functions are volatile and read a slot that the driver sets when it seals an interval.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::time::Timestamp;

/// The wall time of the interval that runs.
#[derive(Debug, Default)]
pub struct IntervalClock(AtomicI64);

impl IntervalClock {
    /// The time of the interval.
    pub fn get(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    /// Set by the driver when an interval is sealed.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::Relaxed);
    }
}

/// Names under which the interval's time can be had, and whether it comes with milliseconds only (Flink's PROCTIME).
const NAMES: &[&str] = &["now", "current_timestamp", "proctime", "localtimestamp", "current_row_timestamp"];

/// The functions.
pub(super) fn functions(clock: &Arc<IntervalClock>) -> Vec<Arc<ScalarUDF>> {
    let own = |name: &'static str, result| {
        let signature = Signature::nullary(Volatility::Volatile);
        Arc::new(ScalarUDF::new_from_impl(ClockFunction { name, result, signature, clock: Arc::clone(clock) }))
    };
    let mut all: Vec<_> =
        NAMES.iter().map(|name| own(name, DataType::Timestamp(TimeUnit::Millisecond, None))).collect();
    all.extend(DAYS.iter().map(|name| own(name, DataType::Date32)));
    all.push(own("current_time", DataType::Time64(TimeUnit::Nanosecond)));
    all
}

/// The names of the day that it is.
const DAYS: &[&str] = &["current_date", "today"];

/// Whether an expression is the day of the interval's time.
pub fn is_day_call(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if DAYS.contains(&call.func.name()))
}

/// Whether an expression is the interval's time: what makes a window one of processing time.
pub fn is_clock_call(expr: &Expr) -> bool {
    match expr {
        Expr::ScalarFunction(call) => NAMES.contains(&call.func.name()),
        Expr::Alias(alias) => is_clock_call(&alias.expr),
        Expr::Cast(cast) => is_clock_call(&cast.expr),
        _ => false,
    }
}

#[derive(Debug)]
struct ClockFunction {
    name: &'static str,
    result: DataType,
    signature: Signature,
    clock: Arc<IntervalClock>,
}

impl PartialEq for ClockFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.clock, &other.clock)
    }
}

impl Eq for ClockFunction {}

impl Hash for ClockFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for ClockFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.result.clone())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let now = self.clock.get();
        Ok(ColumnarValue::Scalar(match self.result {
            DataType::Date32 => {
                let days = i32::try_from(now.millis().div_euclid(86_400_000)).unwrap_or(i32::MAX);
                ScalarValue::Date32(Some(days))
            }
            DataType::Time64(_) => ScalarValue::Time64Nanosecond(Some(now.millis().rem_euclid(86_400_000) * 1_000_000)),
            _ => ScalarValue::TimestampMillisecond(Some(now.millis()), None),
        }))
    }
}
