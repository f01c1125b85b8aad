//! UNNEST and other calls that make rows, in FROM → their one form.
//!
//! Such a call may name columns of the relations before it, so it takes them with it:
//! `FROM t JOIN v ON …, UNNEST(t.list) AS u(x)` is one relation, `UNNEST_CALL((SELECT * FROM t JOIN v ON …), true, t.list) AS u(x)`,
//! whose second argument is the condition of the join. `generate_series(1, t.n)` is UNNEST of the list that it makes.

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Join, JoinConstraint, JoinOperator, LateralView,
    ObjectName, Query, Select, SetExpr, Spanned, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, Value,
};
use sqlparser::tokenizer::Span;

use super::build;
use super::statement::{UNNEST_CALL, UNNEST_LEFT_CALL};
use crate::error::{Error, Result};

/// Calls that make rows, and the function that makes the list of them.
const MAKERS: &[(&str, &str)] = &[
    ("generate_series", "generate_series"),
    ("range", "range"),
    ("string_to_table", "string_to_array"),
    ("json_array_elements", "json_get_array"),
    ("jsonb_array_elements", "json_get_array"),
    ("json_object_keys", "json_object_keys"),
    ("jsonb_object_keys", "json_object_keys"),
];

/// What UNNEST is called.
const UNNEST: &[&str] = &["unnest", "explode"];

/// How many such calls one FROM may have: each is a level of nesting.
const CALLS_MAX: usize = 16;

/// Brings the calls of a query's own FROM clauses to the one form; queries within it have been.
pub(super) fn rewrite(query: &mut Query) -> Result<()> {
    rewrite_set(&mut query.body)
}

fn rewrite_set(set: &mut SetExpr) -> Result<()> {
    match set {
        SetExpr::Select(select) => rewrite_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            rewrite_set(left)?;
            rewrite_set(right)
        }
        _ => Ok(()),
    }
}

fn rewrite_select(select: &mut Select) -> Result<()> {
    let calls = select.from.iter().flat_map(factors).filter(|f| Call::of(f).is_some()).count();
    let views = std::mem::take(&mut select.lateral_views);
    if calls + views.len() > CALLS_MAX {
        return Err(Error::sql(format!("a FROM has at most {CALLS_MAX} calls of UNNEST and its like"))
            .at(select.span().into())
            .help("put some of them into a VIEW"));
    }
    let mut done: Vec<TableWithJoins> = Vec::new();
    if calls > 0 {
        for mut item in std::mem::take(&mut select.from) {
            if let Some(call) = Call::of(&item.relation) {
                let relation = call.over(combine(std::mem::take(&mut done)), false, None)?;
                item = TableWithJoins { relation, joins: item.joins };
            }
            while let Some(at) = item.joins.iter().position(|join| Call::of(&join.relation).is_some()) {
                let rest = item.joins.split_off(at + 1);
                let Some(join) = item.joins.pop() else { break };
                let Some(call) = Call::of(&join.relation) else { break };
                let (left, condition) = join_of(&join)?;
                done.push(item);
                let relation = call.over(combine(std::mem::take(&mut done)), left, condition)?;
                item = TableWithJoins { relation, joins: rest };
            }
            done.push(item);
        }
        select.from = done;
    }
    for view in views {
        let outer = view.outer;
        let call = Call::of_view(view)?;
        let relation = call.over(combine(std::mem::take(&mut select.from)), outer, None)?;
        select.from = vec![TableWithJoins { relation, joins: vec![] }];
    }
    Ok(())
}

fn factors(from: &TableWithJoins) -> impl Iterator<Item = &TableFactor> {
    std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation))
}

/// Items of a FROM as one: the comma is a cross join.
fn combine(items: Vec<TableWithJoins>) -> Option<TableWithJoins> {
    let mut items = items.into_iter();
    let mut all = items.next()?;
    for item in items {
        let relation = match item.joins.is_empty() {
            true => item.relation,
            false => TableFactor::NestedJoin { table_with_joins: Box::new(item), alias: None },
        };
        let join_operator = JoinOperator::CrossJoin(JoinConstraint::None);
        all.joins.push(Join { relation, global: false, join_operator });
    }
    Some(all)
}

/// Whether rows without a partner stay, and the condition.
fn join_of(join: &Join) -> Result<(bool, Option<Expr>)> {
    let (left, constraint) = match &join.join_operator {
        JoinOperator::Join(c) | JoinOperator::Inner(c) | JoinOperator::CrossJoin(c) => (false, c),
        JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (true, c),
        _ => {
            return Err(Error::unsupported("UNNEST and its like in this kind of join")
                .at(join.relation.span().into())
                .help("write CROSS JOIN, or LEFT JOIN … ON TRUE, which keeps rows without elements"));
        }
    };
    match constraint {
        JoinConstraint::None => Ok((left, None)),
        JoinConstraint::On(Expr::Value(value)) if value.value == Value::Boolean(true) => Ok((left, None)),
        JoinConstraint::On(condition) if !left => Ok((left, Some(condition.clone()))),
        JoinConstraint::On(condition) => Err(Error::unsupported("a LEFT JOIN of UNNEST with a condition of its own")
            .at(condition.span().into())
            .help("write ON TRUE, and the condition in a CASE or in WHERE")),
        _ => Err(Error::unsupported("UNNEST and its like in a NATURAL JOIN or with USING")
            .at(join.relation.span().into())
            .help("write CROSS JOIN, and the condition in WHERE")),
    }
}

/// The relations that a call of the one form has taken with it.
pub(super) fn input_of(factor: &TableFactor) -> Option<&[TableWithJoins]> {
    let TableFactor::Function { name, args, .. } = factor else { return None };
    let [part] = name.0.as_slice() else { return None };
    if !matches!(part.as_ident()?.value.as_str(), UNNEST_CALL | UNNEST_LEFT_CALL) {
        return None;
    }
    let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(query)))) = args.first() else { return None };
    query.body.as_select().map(|select| select.from.as_slice())
}

/// A call that makes rows.
struct Call {
    span: Span,
    lists: Vec<Expr>,
    alias: TableAlias,
    with_ordinality: bool,
    with_offset: bool,
}

impl Call {
    /// The call that a relation is.
    fn of(factor: &TableFactor) -> Option<Self> {
        match factor {
            TableFactor::UNNEST { alias, array_exprs, with_offset, with_ordinality, .. } => Some(Self {
                span: factor.span(),
                lists: array_exprs.clone(),
                alias: alias.clone().unwrap_or_else(|| build::alias(Ident::with_span(factor.span(), "unnest"))),
                with_ordinality: *with_ordinality,
                with_offset: *with_offset,
            }),
            TableFactor::Table { name, args: Some(args), alias, with_ordinality, .. } => {
                Self::named(name, &args.args, alias.as_ref(), *with_ordinality)
            }
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                Self::named(name, args, alias.as_ref(), *with_ordinality)
            }
            _ => None,
        }
    }

    fn named(name: &ObjectName, args: &[FunctionArg], alias: Option<&TableAlias>, ordinality: bool) -> Option<Self> {
        let [part] = name.0.as_slice() else { return None };
        let ident = part.as_ident()?;
        let plain = |arg: &FunctionArg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        };
        let args = args.iter().map(plain).collect::<Option<Vec<_>>>()?;
        let lists = match MAKERS.iter().find(|(made, _)| ident.value.eq_ignore_ascii_case(made)) {
            Some((_, list)) => {
                let function = Ident::with_span(ident.span, *list);
                vec![Expr::Function(build::call(function, build::unnamed(args)))]
            }
            None if UNNEST.iter().any(|name| ident.value.eq_ignore_ascii_case(name)) => args,
            None => return None,
        };
        let own_name = || build::alias(Ident::with_span(ident.span, ident.value.to_lowercase()));
        let alias = alias.cloned().unwrap_or_else(own_name);
        Some(Self { span: ident.span, lists, alias, with_ordinality: ordinality, with_offset: false })
    }

    /// The call of Spark's `LATERAL VIEW explode(list) name AS column`.
    fn of_view(view: LateralView) -> Result<Self> {
        let span = view.lateral_view.span();
        let wrong = || {
            Error::unsupported(format!("LATERAL VIEW {}", view.lateral_view))
                .at(span.into())
                .help("LATERAL VIEW explode(list) t AS x runs; with places, write CROSS JOIN UNNEST(list) WITH ORDINALITY AS t(x, n)")
        };
        let Expr::Function(function) = &view.lateral_view else { return Err(wrong()) };
        let FunctionArguments::List(list) = &function.args else { return Err(wrong()) };
        if !function.name.to_string().eq_ignore_ascii_case("explode") {
            return Err(wrong());
        }
        let name = view.lateral_view_name.0.last().and_then(|part| part.as_ident()).cloned();
        let mut alias = build::alias(name.unwrap_or_else(|| Ident::with_span(span, "explode")));
        let column = |name: &Ident| TableAliasColumnDef { name: name.clone(), data_type: None };
        alias.columns = view.lateral_col_alias.iter().map(column).collect();
        Self::named(&function.name, &list.args, Some(&alias), false).ok_or_else(wrong)
    }

    /// The call as a relation over those before it.
    fn over(self, input: Option<TableWithJoins>, left: bool, condition: Option<Expr>) -> Result<TableFactor> {
        if self.with_offset {
            return Err(Error::unsupported("UNNEST … WITH OFFSET")
                .at(self.span.into())
                .help("write WITH ORDINALITY: it counts from 1"));
        }
        let literal = |value: Value| Expr::Value(value.with_span(self.span));
        let input = input
            .map_or_else(|| literal(Value::Null), |from| Expr::Subquery(build::select_all_where(vec![from], None)));
        let condition = condition.unwrap_or_else(|| literal(Value::Boolean(true)));
        let name = if left { UNNEST_LEFT_CALL } else { UNNEST_CALL };
        Ok(TableFactor::Function {
            lateral: false,
            name: ObjectName::from(vec![Ident::with_span(self.span, name)]),
            args: build::unnamed([input, condition].into_iter().chain(self.lists)),
            with_ordinality: self.with_ordinality,
            alias: Some(self.alias),
        })
    }
}
