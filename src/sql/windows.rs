//! Windowing calls in FROM, in any dialect → their one form (see `statement`), and the types in expressions.
//!
//! Rewriting works on sqlparser's tree, from the inside out, so that it reaches subqueries, CTEs, unions and joins alike.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Query, TableFactor,
    TableFunctionArgs, Value, VisitMut, VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::bounds::EXPRESSION_DEPTH_MAX;
use super::dialect::PARTITIONED;
use super::{balance, bounds, build, group_windows, joins, spellings, types, unnest};
use crate::error::{Error, Result};

/// Kinds of windowing call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tumble,
    Hop,
    Cumulate,
    Session,
}

impl Kind {
    /// The kind that a function's name says.
    pub(super) fn of(name: &ObjectName) -> Option<(Self, Ident)> {
        let [part] = name.0.as_slice() else { return None };
        let ident = part.as_ident()?;
        let kinds = [Self::Tumble, Self::Hop, Self::Cumulate, Self::Session];
        let kind = kinds.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(&ident.value))?;
        Some((kind, ident.clone()))
    }

    /// Its name in the one form.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tumble => "tumble",
            Self::Hop => "hop",
            Self::Cumulate => "cumulate",
            Self::Session => "session",
        }
    }

    /// Names of the arguments after the time column, and how many of them must be there.
    pub(super) fn parameters(self) -> (&'static [&'static str], usize) {
        match self {
            Self::Tumble => (&["SIZE", "OFFSET"], 1),
            Self::Hop => (&["SLIDE", "SIZE", "OFFSET"], 2),
            Self::Cumulate => (&["STEP", "SIZE", "OFFSET"], 2),
            Self::Session => (&["GAP"], 1),
        }
    }

    /// How it is called in FROM.
    fn usage(self) -> &'static str {
        match self {
            Self::Tumble => {
                "TUMBLE takes a table, a time column, a size and perhaps an offset: TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)"
            }
            Self::Hop => {
                "HOP takes a table, a time column, a slide, a size and perhaps an offset: HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '5' MINUTE)"
            }
            Self::Cumulate => {
                "CUMULATE takes a table, a time column, a step, the largest size and perhaps an offset: CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE, INTERVAL '1' HOUR)"
            }
            Self::Session => {
                "SESSION takes a table (with PARTITION BY for its keys), a time column and a gap: SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' MINUTE)"
            }
        }
    }
}

/// Brings a query to the one form.
pub(super) fn rewrite_query(query: &mut Query) -> Result<()> {
    finish(query.visit(&mut Rewriter::default()))
}

/// Brings an expression of a DDL to the one form.
pub(super) fn rewrite_expr(expr: &mut Expr) -> Result<()> {
    finish(expr.visit(&mut Rewriter::default()))
}

pub(super) fn finish(flow: ControlFlow<Error>) -> Result<()> {
    match flow {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

pub(super) fn flow(result: Result<()>) -> ControlFlow<Error> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

/// One walk over a query: windowing calls, types, and the bound on depth.
#[derive(Default)]
struct Rewriter {
    depth: usize,
}

impl VisitorMut for Rewriter {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        spellings::keep_names(&mut query.body);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        joins::nest_inside(factor);
        flow(rewrite_factor(factor))
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        flow(unnest::rewrite(query).and_then(|()| group_windows::rewrite(query)))?;
        joins::nest(query);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        balance::balance(expr);
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX {
            return ControlFlow::Break(bounds::too_long());
        }
        match expr {
            Expr::Cast { data_type, .. } => types::normalize(data_type),
            Expr::TypedString(typed) => types::normalize(&mut typed.data_type),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        self.depth -= 1;
        if let Expr::Function(function) = expr
            && is_named(&function.name, PARTITIONED)
        {
            return ControlFlow::Break(
                Error::sql("PARTITION BY stands outside OVER (…) and outside a windowing call")
                    .at(span_of(&function.name).into()),
            );
        }
        flow(spellings::rewrite(expr))
    }
}

fn rewrite_factor(factor: &mut TableFactor) -> Result<()> {
    let (name, args, alias) = match factor {
        TableFactor::Table { name, args: Some(TableFunctionArgs { args, .. }), alias, .. } => (name, args, alias),
        TableFactor::TableFunction { expr: Expr::Function(function), alias } => {
            let FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
            (&mut function.name, &mut list.args, alias)
        }
        _ => return Ok(()),
    };
    let Some((kind, ident)) = Kind::of(name) else { return Ok(()) };
    let call = canonical(kind, &ident, std::mem::take(args))?;
    *factor = build::table_call(Ident::with_span(ident.span, kind.name()), call, alias.take());
    Ok(())
}

/// The arguments of the one form from those that were written.
fn canonical(kind: Kind, ident: &Ident, args: Vec<FunctionArg>) -> Result<Vec<Expr>> {
    let wrong = || {
        Error::sql(format!("wrong arguments of {}", kind.name().to_ascii_uppercase()))
            .at(ident.span.into())
            .help(kind.usage())
    };
    let mut args = in_order(kind, args, ident)?.into_iter();
    let (input, mut keys) = input(args.next().ok_or_else(wrong)?)?;
    let mut rest: Vec<Expr> = args.collect();
    // `PARTITION BY a, b, DESCRIPTOR(ts)`: what stands before the descriptor are more keys.
    if !keys.is_empty()
        && let Some(at) = rest.iter().position(is_descriptor)
    {
        keys.extend(rest.drain(..at));
    }
    let (names, required) = kind.parameters();
    if rest.len() < 1 + required || rest.len() > 1 + names.len() {
        return Err(wrong());
    }
    let time = time_column(rest.remove(0))?;
    let durations = rest.into_iter().map(duration);
    let keys = if kind == Kind::Session { keys } else { vec![] };
    Ok([input, time].into_iter().chain(durations).chain(keys).collect())
}

/// Named arguments (`DATA => …`, `TIMECOL => …`, `SIZE => …`) put in their order.
fn in_order(kind: Kind, args: Vec<FunctionArg>, ident: &Ident) -> Result<Vec<Expr>> {
    let (parameters, _) = kind.parameters();
    let order: Vec<&str> = ["DATA", "TIMECOL"].iter().chain(parameters).copied().collect();
    let mut slots: Vec<Option<Expr>> = vec![None; order.len()];
    let mut plain = Vec::new();
    let mut named = false;
    for arg in args {
        let (name, arg) = match arg {
            FunctionArg::Named { name, arg, .. } => (Some(name), arg),
            FunctionArg::ExprNamed { name: Expr::Identifier(name), arg, .. } => (Some(name), arg),
            FunctionArg::ExprNamed { arg, .. } => (None, arg),
            FunctionArg::Unnamed(arg) => (None, arg),
        };
        let FunctionArgExpr::Expr(expr) = arg else {
            return Err(Error::sql("'*' is no argument of a windowing call").at(ident.span.into()).help(kind.usage()));
        };
        match name {
            Some(name) => {
                named = true;
                let wanted = match name.value.to_ascii_uppercase().as_str() {
                    "MAXSIZE" | "MAX_SIZE" => "SIZE".to_owned(),
                    other => other.to_owned(),
                };
                let Some(slot) = order.iter().position(|known| *known == wanted) else {
                    let error =
                        Error::sql(format!("{} has no argument '{}'", kind.name().to_ascii_uppercase(), name.value))
                            .at(name.span.into());
                    return Err(error.help(format!("its arguments are {}", order.join(", "))));
                };
                if slots[slot].replace(expr).is_some() {
                    return Err(Error::sql(format!("argument '{}' is given twice", name.value)).at(name.span.into()));
                }
            }
            None if named => {
                return Err(Error::sql("an argument without a name follows named ones")
                    .at(ident.span.into())
                    .help(kind.usage()));
            }
            None => plain.push(expr),
        }
    }
    if !named {
        return Ok(plain);
    }
    // Positional arguments first, then the named ones; a gap in the middle is a missing argument.
    let positional = plain.len();
    let mut out = plain;
    let mut missing = None;
    for (slot, name) in slots.into_iter().zip(&order).skip(positional) {
        match (slot, missing) {
            (Some(_), Some(gap)) => {
                let error = Error::sql(format!("{} lacks its argument {gap}", kind.name().to_ascii_uppercase()));
                return Err(error.at(ident.span.into()).help(kind.usage()));
            }
            (Some(expr), None) => out.push(expr),
            (None, _) => missing = missing.or(Some(*name)),
        }
    }
    Ok(out)
}

/// The input as a subquery, and its PARTITION BY keys.
fn input(arg: Expr) -> Result<(Expr, Vec<Expr>)> {
    match arg {
        Expr::Subquery(query) => Ok((Expr::Subquery(query), vec![])),
        Expr::Nested(inner) => input(*inner),
        Expr::Identifier(name) => Ok((all_of(ObjectName::from(vec![name])), vec![])),
        Expr::CompoundIdentifier(parts) => Ok((all_of(ObjectName::from(parts)), vec![])),
        Expr::Value(value) => match value.value {
            Value::SingleQuotedString(path) => {
                let ident = Ident::with_quote_and_span('\'', value.span, path);
                Ok((all_of(ObjectName::from(vec![ident])), vec![]))
            }
            other => Err(Error::sql(format!("{other} is no table to window")).at(value.span.into())),
        },
        Expr::Function(Function { name, args: FunctionArguments::List(list), .. }) => {
            if is_named(&name, PARTITIONED) {
                let mut parts = list.args.into_iter().filter_map(|arg| match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                    _ => None,
                });
                let first = parts.next().ok_or_else(|| Error::internal("PARTITION BY without an input"))?;
                let (query, _) = input(first)?;
                return Ok((query, parts.collect()));
            }
            // A call as the input, windowing or not: `TUMBLE(HOP(…), …)`.
            let mut factor = build::table(name);
            if let TableFactor::Table { args, .. } = &mut factor {
                *args = Some(TableFunctionArgs { args: list.args, settings: None });
            }
            Ok((Expr::Subquery(build::select_all(factor)), vec![]))
        }
        other => Err(Error::sql(format!("'{other}' is no table to window"))
            .help("write a table's name, or a query in parentheses")),
    }
}

fn all_of(name: ObjectName) -> Expr {
    Expr::Subquery(build::select_all(build::table(name)))
}

fn is_descriptor(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(f) if is_named(&f.name, "DESCRIPTOR") || is_named(&f.name, "COLUMNS"))
}

/// `DESCRIPTOR(ts)` and `COLUMNS(ts)` are `ts`.
pub(super) fn time_column(expr: Expr) -> Result<Expr> {
    if !is_descriptor(&expr) {
        return Ok(expr);
    }
    let Expr::Function(function) = expr else { return Ok(expr) };
    let wrong = Error::sql("DESCRIPTOR takes one column").at(span_of(&function.name).into());
    let FunctionArguments::List(list) = function.args else { return Err(wrong) };
    match <[FunctionArg; 1]>::try_from(list.args) {
        Ok([FunctionArg::Unnamed(FunctionArgExpr::Expr(inner))]) => Ok(inner),
        _ => Err(wrong),
    }
}

/// A duration written as a string is an interval.
pub(super) fn duration(expr: Expr) -> Expr {
    match &expr {
        Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)) => build::interval(expr),
        _ => expr,
    }
}

/// Whether a name is this one word.
pub(super) fn is_named(name: &ObjectName, word: &str) -> bool {
    matches!(name.0.as_slice(), [part] if part.as_ident().is_some_and(|ident| ident.value.eq_ignore_ascii_case(word)))
}

/// Where a name stands.
pub(super) fn span_of(name: &ObjectName) -> Span {
    name.0.first().and_then(|part| part.as_ident()).map_or(Span::empty(), |ident| ident.span)
}
