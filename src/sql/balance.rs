//! Long rows of AND and OR as balanced trees.
//!
//! sqlparser makes `a OR b OR c …` a tree that leans to the left, as deep as the row is long; what walks it later, here and
//! in DataFusion, would need as deep a stack. AND and OR are associative, so a balanced tree says the same.

use std::ops::ControlFlow;

use sqlparser::ast::{BinaryOperator, Expr, Value, Visit, Visitor};

use super::bounds::EXPRESSION_DEPTH_MAX;

/// Rows shorter than this stay as they are.
const TERMS_MIN: usize = 32;

/// Balances the row of ANDs or ORs at the top of an expression, when it is long.
pub(super) fn balance(expr: &mut Expr) {
    let Expr::BinaryOp { op, .. } = expr else { return };
    if !matches!(op, BinaryOperator::And | BinaryOperator::Or) {
        return;
    }
    let op = op.clone();
    if count(expr, &op) < TERMS_MIN {
        return;
    }
    let mut terms = Vec::new();
    let mut rest = std::mem::replace(expr, Expr::Value(Value::Null.with_empty_span()));
    loop {
        match rest {
            Expr::BinaryOp { left, op: this, right } if this == op => {
                terms.push(*right);
                rest = *left;
            }
            first => {
                terms.push(first);
                break;
            }
        }
    }
    terms.reverse();
    while terms.len() > 1 {
        let mut pairs = terms.into_iter();
        let mut joined = Vec::with_capacity(pairs.len() / 2 + 1);
        while let Some(left) = pairs.next() {
            joined.push(match pairs.next() {
                Some(right) => Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) },
                None => left,
            });
        }
        terms = joined;
    }
    if let Some(tree) = terms.pop() {
        *expr = tree;
    }
}

/// How many terms the row has.
fn count(expr: &Expr, op: &BinaryOperator) -> usize {
    let (mut terms, mut at) = (1, expr);
    while let Expr::BinaryOp { left, op: this, .. } = at
        && this == op
    {
        terms += 1;
        at = left;
    }
    terms
}

/// Whether an expression is deeper than expressions may be.
pub(super) fn is_deep(expr: &Expr) -> bool {
    expr.visit(&mut Depth::default()).is_break()
}

#[derive(Default)]
struct Depth(usize);

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.0 += 1;
        if self.0 > EXPRESSION_DEPTH_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.0 -= 1;
        ControlFlow::Continue(())
    }
}
