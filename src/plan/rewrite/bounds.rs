//! Interval joins: what the condition of a join says about how far apart the times of the two rows of a pair are.
//!
//! From `b.ts BETWEEN a.ts - INTERVAL '1' MINUTE AND a.ts + INTERVAL '2' MINUTE` it follows that a row of A meets none of the rows
//! that come once the watermark of B has passed its own time and two minutes more: its state can go. What is found here may be
//! wider than what was written (a month, a nanosecond), never narrower.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Join, Operator};

/// For every pair of a join: `low ≤ right − left ≤ high` (µs).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PairBound {
    /// A time of the left row.
    pub(super) left: Expr,
    /// A time of the right row.
    pub(super) right: Expr,
    pub(super) low: Option<i64>,
    pub(super) high: Option<i64>,
}

/// What a join's condition says about the times of a pair.
pub(super) fn time_bounds(join: &Join) -> Vec<PairBound> {
    let (left, right) = (join.left.schema(), join.right.schema());
    let mut found: Vec<PairBound> = Vec::new();
    let equalities = join.on.iter().filter_map(|(l, r)| compare(l, Operator::Eq, r, left, right));
    let conditions = join.filter.iter().flat_map(split_conjunction);
    let conditions = conditions.flat_map(comparisons).filter_map(|(l, op, r)| compare(l, op, r, left, right));
    for bound in equalities.chain(conditions) {
        match found.iter_mut().find(|known| known.left == bound.left && known.right == bound.right) {
            None => found.push(bound),
            Some(known) => {
                known.low = known.low.into_iter().chain(bound.low).max();
                known.high = known.high.into_iter().chain(bound.high).min();
            }
        }
    }
    found
}

/// The comparisons that a condition stands for.
fn comparisons(expr: &Expr) -> Vec<(&Expr, Operator, &Expr)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => vec![(left.as_ref(), *op, right.as_ref())],
        Expr::Between(between) if !between.negated => {
            let (expr, low, high) = (between.expr.as_ref(), between.low.as_ref(), between.high.as_ref());
            vec![(expr, Operator::GtEq, low), (expr, Operator::LtEq, high)]
        }
        _ => Vec::new(),
    }
}

/// One side of a comparison: a time of the right (or of the left) row, shifted (ns).
struct Term<'a> {
    of_right: bool,
    time: &'a Expr,
    shift: i64,
    unit: TimeUnit,
}

impl<'a> Term<'a> {
    fn of(expr: &'a Expr, left: &DFSchema, right: &DFSchema) -> Option<Self> {
        let (time, shift) = term(widened(expr, left, right))?;
        let time = widened(time, left, right);
        let columns = time.column_refs();
        let within = |schema: &DFSchema| !columns.is_empty() && columns.iter().all(|c| schema.has_column(c));
        let (of_right, schema) = match (within(left), within(right)) {
            (true, false) => (false, left),
            (false, true) => (true, right),
            _ => return None,
        };
        let unit = unit(&time.get_type(schema).ok()?)?;
        Some(Self { of_right, time, shift, unit }).filter(|_| !time.is_volatile())
    }
}

fn compare(l: &Expr, op: Operator, r: &Expr, left: &DFSchema, right: &DFSchema) -> Option<PairBound> {
    let (l, r) = (Term::of(l, left, right)?, Term::of(r, left, right)?);
    // a + a.shift op b + b.shift, a being of the left.
    let (a, op, b) = match (l.of_right, r.of_right) {
        (false, true) => (l, op, r),
        (true, false) => (r, op.swap()?, l),
        _ => return None,
    };
    let fine = a.unit == TimeUnit::Nanosecond || b.unit == TimeUnit::Nanosecond;
    // b − a against this many nanoseconds.
    let difference = a.shift.checked_sub(b.shift)?;
    let slack = i64::from(fine);
    let floor = difference.div_euclid(1_000) - slack;
    let ceil = difference.div_euclid(1_000) + i64::from(difference.rem_euclid(1_000) != 0) + slack;
    // Whole microseconds: less than is at most one less.
    let strict = i64::from(!fine && difference.rem_euclid(1_000) == 0);
    let (low, high) = match op {
        Operator::LtEq => (Some(floor), None),
        Operator::Lt => (Some(floor + strict), None),
        Operator::GtEq => (None, Some(ceil)),
        Operator::Gt => (None, Some(ceil - strict)),
        Operator::Eq => (Some(floor), Some(ceil)),
        _ => return None,
    };
    Some(PairBound { left: a.time.clone(), right: b.time.clone(), low, high })
}

/// What is cast to a finer unit of time: the same instant.
fn widened<'a>(expr: &'a Expr, left: &DFSchema, right: &DFSchema) -> &'a Expr {
    let Expr::Cast(cast) = expr else { return expr };
    let inner = cast.expr.get_type(left).or_else(|_| cast.expr.get_type(right)).ok().and_then(|t| unit(&t));
    match (inner, unit(cast.field.data_type())) {
        (Some(from), Some(to)) if from <= to => cast.expr.as_ref(),
        _ => expr,
    }
}

/// `time ± INTERVAL …` as the time and the sum of the intervals (ns).
fn term(expr: &Expr) -> Option<(&Expr, i64)> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Plus, right }) => match (nanos(right), nanos(left)) {
            (Some(n), _) => shifted(left, n),
            (_, Some(n)) => shifted(right, n),
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) => {
            shifted(left, nanos(right)?.checked_neg()?)
        }
        Expr::Alias(alias) => term(&alias.expr),
        other => Some((other, 0)),
    }
}

fn shifted(expr: &Expr, by: i64) -> Option<(&Expr, i64)> {
    let (time, shift) = term(expr)?;
    Some((time, shift.checked_add(by)?))
}

/// The length of an interval; `None` for months, whose length varies.
fn nanos(expr: &Expr) -> Option<i64> {
    const DAY: i64 = 86_400_000_000_000;
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(v)), _) if v.months == 0 => {
            i64::from(v.days).checked_mul(DAY)?.checked_add(v.nanoseconds)
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(v)), _) => {
            i64::from(v.days).checked_mul(DAY)?.checked_add(i64::from(v.milliseconds).checked_mul(1_000_000)?)
        }
        Expr::Literal(ScalarValue::DurationSecond(Some(v)), _) => v.checked_mul(1_000_000_000),
        Expr::Literal(ScalarValue::DurationMillisecond(Some(v)), _) => v.checked_mul(1_000_000),
        Expr::Literal(ScalarValue::DurationMicrosecond(Some(v)), _) => v.checked_mul(1_000),
        Expr::Literal(ScalarValue::DurationNanosecond(Some(v)), _) => Some(*v),
        Expr::Negative(inner) => nanos(inner)?.checked_neg(),
        Expr::Alias(alias) => nanos(&alias.expr),
        _ => None,
    }
}

/// The unit of a timestamp; `None` for what is none, or in a zone whose days have no fixed length.
fn unit(data_type: &DataType) -> Option<TimeUnit> {
    match data_type {
        DataType::Timestamp(unit, None) => Some(*unit),
        DataType::Timestamp(unit, Some(zone)) if matches!(zone.as_ref(), "UTC" | "+00:00" | "Z") => Some(*unit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::RecordBatch;
    use arrow::datatypes::{Field, Schema};
    use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
    use datafusion::logical_expr::LogicalPlan;
    use datafusion::prelude::SessionContext;

    use super::*;

    /// What a condition says of `a.ts` and `b.ts`, in columns of these units.
    async fn bounds(units: [TimeUnit; 2], condition: &str) -> Vec<(Option<i64>, Option<i64>)> {
        let context = SessionContext::new();
        for (name, unit) in ["a", "b"].into_iter().zip(units) {
            let fields = [("k", DataType::Int64), ("ts", DataType::Timestamp(unit, None))];
            let schema = Schema::new(fields.map(|(name, t)| Field::new(name, t, true)).to_vec());
            context.register_batch(name, RecordBatch::new_empty(Arc::new(schema))).unwrap();
        }
        let query = format!("SELECT a.k, b.ts FROM a LEFT JOIN b ON a.k = b.k AND {condition}");
        let plan = context.sql(&query).await.unwrap().into_optimized_plan().unwrap();
        let mut found = None;
        plan.apply(|node| {
            if let LogicalPlan::Join(join) = node {
                found = Some(time_bounds(join));
            }
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        found.unwrap().into_iter().map(|b| (b.low, b.high)).collect()
    }

    #[tokio::test]
    async fn conditions_bound_times() {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond};
        const MS: [TimeUnit; 2] = [Millisecond, Millisecond];
        let second = 1_000_000;
        for (condition, wanted) in [
            (
                "b.ts BETWEEN a.ts - INTERVAL '1' SECOND AND a.ts + INTERVAL '2' SECOND",
                vec![(Some(-second), Some(2 * second))],
            ),
            ("a.ts < b.ts AND b.ts - INTERVAL '1' HOUR <= a.ts", vec![(Some(1), Some(3_600 * second))]),
            ("INTERVAL '1' SECOND + a.ts > b.ts + INTERVAL '3' SECOND", vec![(None, Some(-2 * second - 1))]),
            ("b.ts >= a.ts AND b.ts >= a.ts + INTERVAL '1' DAY", vec![(Some(86_400 * second), None)]),
            ("a.ts = b.ts", vec![(Some(0), Some(0))]),
            // A month has no length, a negation and an OR say nothing.
            ("b.ts < a.ts + INTERVAL '1' MONTH", vec![]),
            ("b.ts <> a.ts", vec![]),
            ("(b.ts > a.ts OR a.k = 3)", vec![]),
        ] {
            assert_eq!(bounds(MS, condition).await, wanted, "{condition}");
        }
        // What is coarser is cast to the finer; a nanosecond more or less is a microsecond.
        let wanted = vec![(Some(-1), Some(1_001))];
        let condition = "b.ts > a.ts AND b.ts <= a.ts + INTERVAL '1' MILLISECOND";
        assert_eq!(bounds([Millisecond, Nanosecond], condition).await, wanted);
        let wanted = vec![(Some(1), Some(1_000))];
        assert_eq!(bounds([Microsecond, Millisecond], condition).await, wanted);
    }
}
