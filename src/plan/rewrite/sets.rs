//! GROUPING SETS, ROLLUP and CUBE: an aggregate for each set, over one shared input.

use std::sync::Arc;

use datafusion::common::{Column, ScalarValue};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Aggregate, Expr, GroupingSet, lit};

use super::super::operator::{Operator, ShareOperator};
use super::linear::session_first;
use super::{Rewriter, Stream, linear, node};
use crate::error::{Error, Result};

/// One of the sets.
struct Set {
    group: Vec<Expr>,
    /// What tells it apart, as DataFusion numbers it: a bit for each column that it lacks, and which of equal sets it is.
    id: u64,
}

impl Rewriter<'_> {
    pub(super) fn grouping_sets(&mut self, input: Stream, aggregate: &Aggregate) -> Result<Stream> {
        if input.session.is_some() {
            return Err(session_first());
        }
        let [Expr::GroupingSet(written)] = aggregate.group_expr.as_slice() else {
            return Err(Error::internal("GROUPING SETS beside other groups"));
        };
        let columns: Vec<Expr> = written.distinct_expr().into_iter().cloned().collect();
        let share = ShareOperator { id: self.shares };
        self.shares += 1;
        let schema = input.schema().clone();
        let Stream { plan, attributes, sources, .. } = input;
        let shared = node(Operator::Share(share), Some(plan), schema);
        let mut parts = Vec::new();
        for set in sets_of(written, &columns)? {
            let input = Stream {
                plan: shared.clone(),
                attributes: attributes.clone(),
                sources: sources.clone(),
                key: None,
                session: None,
            };
            parts.push(self.grouping_set(input, aggregate, &columns, &set)?);
        }
        let union = linear::union(parts)?;
        let name = |i: usize| {
            let (relation, field) = aggregate.schema.qualified_field(i);
            let column = Expr::Column(Column::from(union.schema().qualified_field(i)));
            column.alias_qualified(relation.cloned(), field.name())
        };
        let names: Vec<Expr> = (0..aggregate.schema.fields().len()).map(name).collect();
        let stream = linear::projection(union, &names)?;
        Ok(Stream { key: Some((0..=columns.len()).collect()), ..stream })
    }

    /// One set: its groups, NULL in the columns that it lacks, its number, and the values.
    fn grouping_set(&mut self, input: Stream, aggregate: &Aggregate, columns: &[Expr], set: &Set) -> Result<Stream> {
        let mut values = aggregate.aggr_expr.clone();
        if set.group.is_empty() && values.is_empty() {
            // One row for all, whatever is computed of it.
            values.push(count(lit(1)));
        }
        let part = Aggregate::try_new(Arc::clone(&aggregate.input), set.group.clone(), values)?;
        let stream = self.aggregate(input, &part)?;
        let column = |i: usize| Expr::Column(Column::from(stream.schema().qualified_field(i)));
        let mut exprs = Vec::new();
        for (i, expr) in columns.iter().enumerate() {
            exprs.push(match set.group.iter().position(|g| g == expr) {
                Some(at) => column(at),
                None => Expr::Literal(ScalarValue::try_from(aggregate.schema.field(i).data_type())?, None),
            });
        }
        let id = ScalarValue::UInt64(Some(set.id)).cast_to(aggregate.schema.field(columns.len()).data_type())?;
        exprs.push(Expr::Literal(id, None));
        exprs.extend((0..aggregate.aggr_expr.len()).map(|i| column(set.group.len() + i)));
        let named = exprs.into_iter().enumerate().map(|(i, expr)| expr.alias(format!("__set_{i}")));
        linear::projection(stream, &named.collect::<Vec<_>>())
    }
}

/// The sets that are written, each with the number that it has in DataFusion.
fn sets_of(written: &GroupingSet, columns: &[Expr]) -> Result<Vec<Set>> {
    let groups: Vec<Vec<Expr>> = match written {
        GroupingSet::GroupingSets(sets) => sets.clone(),
        GroupingSet::Rollup(exprs) => (0..=exprs.len()).map(|n| exprs[..n].to_vec()).collect(),
        GroupingSet::Cube(exprs) if exprs.len() < 16 => {
            let of = |mask: usize| exprs.iter().enumerate().filter(move |(i, _)| mask >> i & 1 == 1);
            (0..1 << exprs.len()).map(|mask| of(mask).map(|(_, e)| e.clone()).collect()).collect()
        }
        GroupingSet::Cube(exprs) => {
            return Err(Error::unsupported(format!("CUBE of {} columns", exprs.len()))
                .help("name the sets that you need: GROUPING SETS ((a, b), (a), ())"));
        }
    };
    let mut sets: Vec<Set> = Vec::new();
    let mut masks: Vec<u64> = Vec::new();
    for written in groups {
        let mut group: Vec<Expr> = Vec::new();
        for expr in written {
            if !group.contains(&expr) {
                group.push(expr);
            }
        }
        let mask = columns.iter().fold(0, |mask, column| mask << 1 | u64::from(!group.contains(column)));
        let same = masks.iter().filter(|m| **m == mask).count() as u64;
        masks.push(mask);
        sets.push(Set { group, id: mask | same << columns.len() });
    }
    Ok(sets)
}
