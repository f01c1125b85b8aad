//! Conditions over `now()`. A row's value compared with the time is true from a moment on, or until one, that the row alone
//! decides: such rows enter and leave as time passes. What else asks for the time asks once, when a row comes.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::Between;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator as Sign};

use super::super::attribute::Attribute;
use super::super::operator::{LapseOperator, Operator, TimeBound, TimeLimit};
use super::linear::session_first;
use super::{Rewriter, Stream, linear, node, qualified};
use crate::catalog::{is_clock_call, is_day_call};
use crate::change::WEIGHT_COLUMN;
use crate::error::Result;

impl Rewriter<'_> {
    /// WHERE, HAVING, QUALIFY.
    pub(super) fn condition(&mut self, input: Stream, predicate: &Expr) -> Result<Stream> {
        let (mut limits, mut rest) = (Vec::new(), Vec::new());
        for part in split_conjunction_owned(predicate.clone()) {
            match limits_of(&part, input.schema()) {
                Some(found) => limits.extend(found),
                None => rest.push(part),
            }
        }
        let mut asks_the_clock = false;
        for part in &rest {
            asks_the_clock |= reads_the_clock(part)?;
        }
        if asks_the_clock {
            self.notices.push(
                "the time of now() in a condition is that at which a row comes: rows do not leave as time passes"
                    .to_owned(),
            );
        }
        let input = match conjunction(rest) {
            Some(rest) => linear::filter(input, &rest)?,
            None => input,
        };
        if limits.is_empty() { Ok(input) } else { self.lapse(input, limits) }
    }

    fn lapse(&mut self, input: Stream, limits: Vec<TimeLimit>) -> Result<Stream> {
        if input.session.is_some() {
            return Err(session_first());
        }
        let leaves = limits.iter().any(|l| matches!(l.bound, TimeBound::After | TimeBound::AtOrAfter));
        let weighted = leaves || input.has(WEIGHT_COLUMN);
        let names = limits.iter().map(|l| l.value.to_string()).collect();
        let bound = match leaves {
            true => "rows leave as time passes",
            false => "rows wait until their time has come",
        };
        let id = self.operator("lapse", names, Some(bound.to_owned()));
        let visible = input.attributes.len();
        let mut fields = qualified(input.schema());
        fields.truncate(visible);
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        let schema = if weighted { super::with_hidden(&schema, WEIGHT_COLUMN)? } else { schema };
        let operator = Operator::Lapse(LapseOperator { id, limits, weighted });
        Ok(Stream {
            plan: node(operator, Some(input.plan), schema),
            // Rows come and go by the wall clock, long after a watermark has passed them: no window over them ever closes.
            attributes: vec![Attribute::Plain; visible],
            ..input
        })
    }
}

/// Whether an expression asks for the wall time.
fn reads_the_clock(expr: &Expr) -> Result<bool> {
    Ok(expr.exists(|e| Ok(matches!(e, Expr::ScalarFunction(_)) && (is_clock_call(e) || is_day_call(e))))?)
}

/// A condition as limits of time.
fn limits_of(condition: &Expr, schema: &DFSchema) -> Option<Vec<TimeLimit>> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => Some(vec![limit_of(left, *op, right, schema)?]),
        Expr::Between(Between { expr, negated: false, low, high }) => {
            Some(vec![limit_of(expr, Sign::GtEq, low, schema)?, limit_of(expr, Sign::LtEq, high, schema)?])
        }
        _ => None,
    }
}

fn limit_of(left: &Expr, op: Sign, right: &Expr, schema: &DFSchema) -> Option<TimeLimit> {
    let (value, op, time) = match (time_of(left), time_of(right)) {
        (None, Some(time)) => (left, op, time),
        (Some(time), None) => (right, op.swap()?, time),
        _ => return None,
    };
    let bound = match op {
        Sign::Lt => TimeBound::Before,
        Sign::LtEq => TimeBound::AtOrBefore,
        Sign::Gt => TimeBound::After,
        Sign::GtEq => TimeBound::AtOrAfter,
        _ => return None,
    };
    let of_the_row = !value.is_volatile() && !value.column_refs().is_empty();
    let is_time = matches!(value.get_type(schema), Ok(DataType::Timestamp(..) | DataType::Date32));
    (of_the_row && is_time).then(|| TimeLimit { value: value.clone(), bound, step: time.step, offset: time.offset })
}

/// The time of the interval, or its day, and what is added to it; all in milliseconds.
#[derive(Clone, Copy)]
struct Time {
    step: i64,
    offset: i64,
    /// It is a DATE.
    date: bool,
}

impl Time {
    const DAY: i64 = 86_400_000;

    fn plus(self, millis: Option<i64>) -> Option<Self> {
        // A date takes whole days.
        let millis = millis.filter(|m| !self.date || m % Self::DAY == 0)?;
        Some(Self { offset: self.offset.checked_add(millis)?, ..self })
    }
}

/// `now() - INTERVAL …` and the like; `None` for what is not the time and a length that is always the same.
fn time_of(expr: &Expr) -> Option<Time> {
    use arrow::datatypes::TimeUnit::Second;
    match expr {
        Expr::ScalarFunction(_) if is_clock_call(expr) => Some(Time { step: 1, offset: 0, date: false }),
        Expr::ScalarFunction(_) if is_day_call(expr) => Some(Time { step: Time::DAY, offset: 0, date: true }),
        Expr::Alias(alias) => time_of(&alias.expr),
        Expr::Cast(cast) => {
            let time = time_of(&cast.expr)?;
            match cast.field.data_type() {
                // Not to seconds, which would cut the time; and only to a zone in which it reads the same.
                DataType::Timestamp(unit, zone)
                    if (*unit != Second || time.step > 1) && zone.as_deref().is_none_or(is_utc) =>
                {
                    Some(Time { date: false, ..time })
                }
                DataType::Date32 if time.date || (time.step == 1 && time.offset == 0) => {
                    Some(Time { step: Time::DAY, date: true, ..time })
                }
                _ => None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Sign::Plus, right }) => match (time_of(left), time_of(right)) {
            (Some(time), None) => time.plus(millis_of(right)),
            (None, Some(time)) => time.plus(millis_of(left)),
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Sign::Minus, right }) => {
            time_of(left)?.plus(millis_of(right).and_then(i64::checked_neg))
        }
        _ => None,
    }
}

fn is_utc(zone: &str) -> bool {
    matches!(zone, "UTC" | "+00:00" | "Z" | "Etc/UTC")
}

/// The length of an interval in whole milliseconds; `None` for months, whose length varies.
fn millis_of(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(v)), _)
            if v.months == 0 && v.nanoseconds % 1_000_000 == 0 =>
        {
            i64::from(v.days).checked_mul(86_400_000)?.checked_add(v.nanoseconds / 1_000_000)
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(v)), _) => {
            i64::from(v.days).checked_mul(86_400_000)?.checked_add(i64::from(v.milliseconds))
        }
        Expr::Alias(alias) => millis_of(&alias.expr),
        Expr::Negative(inner) => millis_of(inner)?.checked_neg(),
        _ => None,
    }
}
