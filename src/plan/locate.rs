//! Where in the text a clause stands: DataFusion's plans do not remember it, and a refusal without a place is half a refusal.

use std::ops::ControlFlow;

use sqlparser::ast::{self, Spanned, Visit, Visitor};

use crate::error::Span;

/// Clauses that are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clause {
    Join,
    OrderBy,
    Subquery,
    SetOperation,
    GroupBy,
}

/// The place of the first such clause.
pub(super) fn locate(query: &ast::Query, clause: Clause) -> Option<Span> {
    let mut finder = Finder(clause);
    match query.visit(&mut finder) {
        ControlFlow::Break(span) => Some(span).filter(|s: &Span| s.start.line > 0),
        ControlFlow::Continue(()) => None,
    }
}

struct Finder(Clause);

impl Visitor for Finder {
    type Break = Span;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<Span> {
        if self.0 == Clause::OrderBy {
            if let Some(order) = &query.order_by {
                return ControlFlow::Break(order.span().into());
            }
            if let Some(limit) = &query.limit_clause {
                return ControlFlow::Break(limit.span().into());
            }
        }
        in_set(&query.body, self.0)
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<Span> {
        let found = self.0 == Clause::Subquery
            && matches!(expr, ast::Expr::Subquery(_) | ast::Expr::Exists { .. } | ast::Expr::InSubquery { .. });
        if found { ControlFlow::Break(expr.span().into()) } else { ControlFlow::Continue(()) }
    }
}

fn in_set(set: &ast::SetExpr, clause: Clause) -> ControlFlow<Span> {
    match set {
        ast::SetExpr::Select(select) => {
            if clause == Clause::Join {
                if let Some(join) = select.from.iter().find_map(|t| t.joins.first()) {
                    return ControlFlow::Break(join.relation.span().into());
                }
                if let Some(second) = select.from.get(1) {
                    return ControlFlow::Break(second.relation.span().into());
                }
            }
            if clause == Clause::GroupBy
                && let ast::GroupByExpr::Expressions(exprs, _) = &select.group_by
                && let Some(first) = exprs.first()
            {
                return ControlFlow::Break(first.span().into());
            }
            ControlFlow::Continue(())
        }
        ast::SetExpr::SetOperation { left, right, .. } => {
            if clause == Clause::SetOperation {
                return ControlFlow::Break(right.span().into());
            }
            in_set(left, clause)?;
            in_set(right, clause)
        }
        _ => ControlFlow::Continue(()),
    }
}
