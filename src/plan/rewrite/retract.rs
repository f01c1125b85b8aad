//! GROUP BY over rows that come and go, where every function can take a row back: a value per group, not its rows.

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable};

use super::super::attribute::Attribute;
use super::super::operator::{Operator, RetractOperator, Undo};
use super::linear::session_first;
use super::recompute::key_expiry;
use super::{Rewriter, Stream, node, with_hidden};
use crate::error::Result;

/// What DataFusion adds to the digits of a decimal for the sum behind its average; with more than 38 the sum would not be one
/// of 128 bits.
const AVERAGE_DIGITS: u8 = 13;

impl Rewriter<'_> {
    pub(super) fn retract(&mut self, input: Stream, aggregate: &Aggregate, undo: Vec<Undo>) -> Result<Stream> {
        if input.session.is_some() {
            return Err(session_first());
        }
        let group = aggregate.group_expr.clone();
        let expiry = key_expiry(&input, &group);
        let names = group.iter().map(ToString::to_string).collect();
        let bound = expiry.as_ref().map(|_| "groups leave when the window in the key closes".to_owned());
        let id = self.operator("aggregate", names, bound);
        let mut attributes: Vec<Attribute> =
            if expiry.is_some() { group.iter().map(|k| input.attribute(k)).collect() } else { Vec::new() };
        attributes.resize(aggregate.schema.fields().len(), Attribute::Plain);
        let key = Some((0..group.len()).collect());
        let aggregates = aggregate.aggr_expr.clone();
        let schema = with_hidden(&aggregate.schema, crate::change::WEIGHT_COLUMN)?;
        let operator = Operator::Retract(RetractOperator { id, group, aggregates, undo, expiry });
        Ok(Stream {
            plan: node(operator, Some(input.plan), schema),
            attributes,
            sources: input.sources,
            key,
            session: None,
        })
    }
}

/// How each function of an aggregate takes a row back; `None` when one of them can't, exactly.
pub(super) fn undo_all(aggregate: &Aggregate, input: &DFSchema) -> Option<Vec<Undo>> {
    let keys = aggregate.group_expr.iter().all(|e| !e.is_volatile() && e.get_type(input).is_ok_and(|t| is_key(&t)));
    if !keys {
        return None;
    }
    aggregate.aggr_expr.iter().map(|e| undo_of(e, input)).collect()
}

/// Whether equal values of this type have one encoding.
fn is_key(data_type: &DataType) -> bool {
    use DataType::{Dictionary, FixedSizeList, LargeList, List, Map, RunEndEncoded, Struct, Union};
    !matches!(
        data_type,
        Dictionary(..)
            | FixedSizeList(..)
            | LargeList(..)
            | List(..)
            | Map(..)
            | RunEndEncoded(..)
            | Struct(..)
            | Union(..)
    )
}

fn undo_of(expr: &Expr, input: &DFSchema) -> Option<Undo> {
    let call = match expr {
        Expr::Alias(alias) => return undo_of(&alias.expr, input),
        Expr::AggregateFunction(call) => call,
        _ => return None,
    };
    let AggregateFunction { func, params } = call;
    // What reads the clock or chance would give a row that leaves another value than it came with.
    if expr.is_volatile() || !params.order_by.is_empty() || params.null_treatment.is_some() {
        return None;
    }
    let types = params.args.iter().map(|a| a.get_type(input)).collect::<Result<Vec<_>, _>>().ok()?;
    match (func.name(), params.distinct, types.as_slice()) {
        ("count", false, [_, ..]) => Some(Undo::Count),
        ("count", true, [of]) if is_ordered(of) => Some(Undo::Different),
        ("sum", false, [of]) if is_exact(of) => Some(Undo::Sum),
        ("avg", false, [DataType::Decimal128(digits, _)]) if digits + AVERAGE_DIGITS <= 38 => Some(Undo::Average),
        ("avg", false, [DataType::Float64]) if is_whole(params.args.first()?, input) => Some(Undo::Average),
        ("bool_and", _, [DataType::Boolean]) => Some(Undo::EveryTrue),
        ("bool_or", _, [DataType::Boolean]) => Some(Undo::AnyTrue),
        ("min", _, [of]) if is_ordered(of) => Some(Undo::Least),
        ("max", _, [of]) if is_ordered(of) => Some(Undo::Greatest),
        _ => None,
    }
}

/// Numbers whose sum does not depend on the order of its parts.
fn is_exact(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::UInt64 | DataType::Decimal128(..) | DataType::Duration(_))
}

/// An integer that was made a DOUBLE for the average.
fn is_whole(expr: &Expr, input: &DFSchema) -> bool {
    match expr {
        Expr::Alias(alias) => is_whole(&alias.expr, input),
        Expr::Cast(cast) => cast.expr.get_type(input).is_ok_and(|t| t.is_integer()),
        _ => false,
    }
}

/// Values whose row encoding is in their order, and of which equal ones are the same: no floats (0.0 and -0.0).
fn is_ordered(data_type: &DataType) -> bool {
    use DataType::{Binary, Boolean, Date32, Date64, Decimal128, LargeUtf8, Time32, Time64, Timestamp, Utf8, Utf8View};
    data_type.is_integer()
        || matches!(
            data_type,
            Binary
                | Boolean
                | Date32
                | Date64
                | Decimal128(..)
                | LargeUtf8
                | Time32(_)
                | Time64(_)
                | Timestamp(..)
                | Utf8
                | Utf8View
        )
}
