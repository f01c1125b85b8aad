//! Linear nodes: DataFusion's own, with the hidden columns led through.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, SubqueryAlias, Union, Unnest, lit};

use super::super::ROW_WATERMARK;
use super::super::attribute::Attribute;
use super::Stream;
use crate::change::WEIGHT_COLUMN;
use crate::error::{Error, Result};

pub(super) fn projection(input: Stream, exprs: &[Expr]) -> Result<Stream> {
    let attributes = exprs.iter().map(|e| input.attribute(e)).collect();
    let place = |column: &usize| {
        exprs
            .iter()
            .position(|e| plain_column(e).and_then(|c| input.schema().maybe_index_of_column(c)) == Some(*column))
    };
    let key = input.key.as_ref().and_then(|key| key.iter().map(place).collect());
    let session = match &input.session {
        None => None,
        Some((window, keys)) => {
            let keys: Option<Vec<usize>> = keys.iter().map(place).collect();
            Some((*window, keys.ok_or_else(session_first)?))
        }
    };
    let all: Vec<Expr> = exprs.iter().cloned().chain(input.hidden_all()).collect();
    let plan = LogicalPlan::Projection(Projection::try_new(all, Arc::new(input.plan))?);
    Ok(Stream { plan, attributes, sources: input.sources, key, session })
}

pub(super) fn filter(input: Stream, predicate: &Expr) -> Result<Stream> {
    if let Some((_, keys)) = &input.session {
        // Only a filter on what the sessions are per leaves them whole.
        let of_keys = predicate
            .column_refs()
            .iter()
            .all(|c| input.schema().maybe_index_of_column(c).is_some_and(|i| keys.contains(&i)));
        if !of_keys {
            return Err(session_first());
        }
    }
    let plan = LogicalPlan::Filter(Filter::try_new(predicate.clone(), Arc::new(input.plan))?);
    Ok(Stream { plan, ..input })
}

pub(super) fn alias(input: Stream, alias: &TableReference) -> Result<Stream> {
    let plan = LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input.plan), alias.clone())?);
    Ok(Stream { plan, ..input })
}

/// UNION ALL; inputs that lack a hidden column which another has are given its neutral value.
pub(super) fn union(inputs: Vec<Stream>) -> Result<Stream> {
    if inputs.iter().any(|i| i.session.is_some()) {
        return Err(session_first());
    }
    let neutral = [(ROW_WATERMARK, i64::MIN), (WEIGHT_COLUMN, 1)];
    let wanted: Vec<_> = neutral.iter().filter(|(name, _)| inputs.iter().any(|i| i.has(name))).collect();
    let mut sources = BTreeSet::new();
    let mut attributes: Option<Vec<Attribute>> = None;
    let mut plans = Vec::new();
    for input in inputs {
        sources.extend(&input.sources);
        attributes = Some(match attributes {
            None => input.attributes.clone(),
            Some(before) => before.iter().zip(&input.attributes).map(|(a, b)| a.or(*b)).collect(),
        });
        let visible = input.attributes.len();
        let mut exprs: Vec<Expr> =
            input.schema().iter().take(visible).map(|(q, f)| Expr::Column(Column::from((q, f)))).collect();
        for (name, value) in &wanted {
            exprs.push(input.hidden(name).unwrap_or_else(|| lit(*value).alias(*name)));
        }
        plans.push(Arc::new(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input.plan))?)));
    }
    let plan = LogicalPlan::Union(Union::try_new_with_loose_types(plans)?);
    Ok(Stream { plan, attributes: attributes.unwrap_or_default(), sources, key: None, session: None })
}

pub(super) fn unnest(input: Stream, unnest: &Unnest) -> Result<Stream> {
    if input.session.is_some() {
        return Err(session_first());
    }
    let plan = Unnest::try_new(Arc::new(input.plan.clone()), unnest.exec_columns.clone(), unnest.options.clone())?;
    let plan = LogicalPlan::Unnest(plan);
    let hidden = [ROW_WATERMARK, WEIGHT_COLUMN].iter().filter(|name| input.has(name)).count();
    let visible = plan.schema().fields().len() - hidden;
    let attributes =
        plan.schema().iter().take(visible).map(|(q, f)| input.attribute(&Expr::Column(Column::from((q, f))))).collect();
    Ok(Stream { plan, attributes, sources: input.sources, key: None, session: None })
}

fn plain_column(expr: &Expr) -> Option<&Column> {
    match expr {
        Expr::Column(column) => Some(column),
        Expr::Alias(alias) => plain_column(&alias.expr),
        _ => None,
    }
}

pub(super) fn session_first() -> Error {
    Error::unsupported(
        "rows of a SESSION must be grouped by window_start, window_end and its keys before anything else",
    )
    .help("put filters and expressions into its input: FROM SESSION((SELECT … FROM t WHERE …) PARTITION BY k, ts, gap)")
}
