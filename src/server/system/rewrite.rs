//! Queries as PostgreSQL's programs write them → as DataFusion reads them: names without `pg_catalog.`, operators and casts
//! that only PostgreSQL has.

use std::ops::ControlFlow;

use sqlparser::ast::{self, BinaryOperator, DataType, Expr, Ident, ObjectName, Visit, VisitMut, Visitor, VisitorMut};

use super::PG_CATALOG;
use crate::server::names::given_name;

/// The words of a name, in lower case unless they were quoted.
pub(super) fn parts(name: &ObjectName) -> Vec<String> {
    let word = |ident: &Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    };
    name.0.iter().filter_map(|part| part.as_ident()).map(word).collect()
}

/// Types of the catalog: a name that stands for an oid.
const OID_TYPES: &[&str] =
    &["regclass", "regtype", "regproc", "regprocedure", "regnamespace", "regrole", "regoper", "regoperator"];

/// Whether a cast to this type needs the catalog.
pub(super) fn is_catalog_type(data_type: &DataType) -> bool {
    oid_type(data_type).is_some()
}

fn oid_type(data_type: &DataType) -> Option<String> {
    let name = match data_type {
        DataType::Regclass => "regclass".to_owned(),
        DataType::Custom(name, _) => last(name)?,
        _ => return None,
    };
    OID_TYPES.contains(&name.as_str()).then_some(name)
}

fn last(name: &ObjectName) -> Option<String> {
    let mut words = parts(name);
    let last = words.pop()?;
    words.iter().all(|w| w == PG_CATALOG).then_some(last)
}

/// Brings a query to DataFusion's terms. `is_empty` says of a table, by schema and name, whether it has no rows.
pub(super) fn settle(query: &mut ast::Query, is_empty: &dyn Fn(&str, &str) -> bool) {
    let _ = query.visit(&mut Settle { is_empty, names: 0 });
}

struct Settle<'a> {
    is_empty: &'a dyn Fn(&str, &str) -> bool,
    /// How many columns got a name.
    names: usize,
}

impl Settle<'_> {
    /// Whether a SELECT has no rows because a table that it reads has none.
    fn has_no_rows(&self, select: &ast::Select) -> bool {
        let empty = |factor: &ast::TableFactor| match factor {
            ast::TableFactor::Table { name, args: None, .. } => match parts(name).as_slice() {
                [table] => (self.is_empty)(PG_CATALOG, table),
                [schema, table] => (self.is_empty)(schema, table),
                _ => false,
            },
            // Lists of options and rights are NULL here: nothing is in them.
            ast::TableFactor::Table { name, args: Some(list), .. }
                if parts(name).last().is_some_and(|n| n == "unnest") =>
            {
                matches!(list.args.as_slice(), [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(of))] if is_null_list(of))
            }
            ast::TableFactor::UNNEST { array_exprs, .. } => array_exprs.iter().all(is_null_list),
            _ => false,
        };
        let inner = |join: &ast::Join| {
            use ast::JoinOperator::{CrossJoin, Inner, Join};
            matches!(join.join_operator, Join(_) | Inner(_) | CrossJoin(_)) && empty(&join.relation)
        };
        let outer_only = |from: &ast::TableWithJoins| {
            use ast::JoinOperator::{FullOuter, Right, RightOuter};
            from.joins.iter().any(|j| matches!(j.join_operator, Right(_) | RightOuter(_) | FullOuter(_)))
        };
        let aggregates = select.projection.visit(&mut Aggregates { depth: 0 });
        let none =
            |from: &ast::TableWithJoins| !outer_only(from) && (empty(&from.relation) || from.joins.iter().any(inner));
        aggregates.is_continue() && select.from.iter().any(none)
    }

    /// The same of a query that is one SELECT.
    fn query_has_no_rows(&self, query: &ast::Query) -> bool {
        matches!(query.body.as_ref(), ast::SetExpr::Select(select) if self.has_no_rows(select))
    }
}

fn is_aggregate(name: &[String]) -> bool {
    let names = ["count", "sum", "min", "max", "avg", "array_agg", "string_agg", "bool_or", "bool_and"];
    name.last().is_some_and(|n| names.contains(&n.as_str()))
}

/// Finds an aggregate of this SELECT, and not of those inside of it.
struct Aggregates {
    depth: usize,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &ast::Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(call) if self.depth == 0 && is_aggregate(&parts(&call.name)) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl VisitorMut for Settle<'_> {
    type Break = ();

    /// What no row is computed for need not be planned: PostgreSQL's programs ask of features that are not here in SQL that
    /// DataFusion can't plan.
    fn pre_visit_select(&mut self, select: &mut ast::Select) -> ControlFlow<()> {
        if self.has_no_rows(select) {
            select.selection = Some(Expr::value(ast::Value::Boolean(false)));
            for item in &mut select.projection {
                let (ast::SelectItem::UnnamedExpr(expr) | ast::SelectItem::ExprWithAlias { expr, .. }) = item else {
                    continue;
                };
                let asks = ast::visit_expressions(&*expr, |inner| match inner {
                    Expr::Subquery(_) | Expr::Exists { .. } | Expr::AnyOp { .. } | Expr::AllOp { .. } => {
                        ControlFlow::Break(())
                    }
                    Expr::Function(call) if matches!(call.args, ast::FunctionArguments::Subquery(_)) => {
                        ControlFlow::Break(())
                    }
                    _ => ControlFlow::Continue(()),
                });
                if asks.is_break() {
                    *expr = Expr::value(ast::Value::Null);
                }
            }
        }
        // DataFusion wants names that differ; PostgreSQL's are those that queries around this one know.
        let mut taken: Vec<String> = Vec::new();
        for item in &mut select.projection {
            if let ast::SelectItem::UnnamedExpr(expr) = item
                && let Some(mut name) = given_name(expr)
            {
                if taken.contains(&name) {
                    self.names += 1;
                    name = format!("{name} {}", self.names);
                }
                taken.push(name.clone());
                let alias = Ident::with_quote('"', name);
                *item = ast::SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Subquery(query) if self.query_has_no_rows(query) => *expr = Expr::value(ast::Value::Null),
            Expr::Exists { subquery, negated } if self.query_has_no_rows(subquery) => {
                *expr = Expr::value(ast::Value::Boolean(*negated));
            }
            Expr::Function(call) if parts(&call.name) == ["array"] => {
                if let ast::FunctionArguments::Subquery(rows) = &call.args
                    && self.query_has_no_rows(rows)
                {
                    *expr = no_texts();
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(call) => {
                if let [schema, _] = parts(&call.name).as_slice()
                    && schema == PG_CATALOG
                {
                    call.name.0.remove(0);
                }
                if parts(&call.name) == ["array"]
                    && let ast::FunctionArguments::Subquery(rows) = &call.args
                {
                    *expr = aggregated(rows);
                }
            }
            Expr::BinaryOp { op: custom @ BinaryOperator::PGCustomBinaryOperator(_), .. } => {
                let BinaryOperator::PGCustomBinaryOperator(words) = &*custom else { return ControlFlow::Continue(()) };
                let plain = match words.last().map(String::as_str) {
                    Some("~") => Some(BinaryOperator::PGRegexMatch),
                    Some("~*") => Some(BinaryOperator::PGRegexIMatch),
                    Some("!~") => Some(BinaryOperator::PGRegexNotMatch),
                    Some("!~*") => Some(BinaryOperator::PGRegexNotIMatch),
                    Some("=") => Some(BinaryOperator::Eq),
                    Some("<>") => Some(BinaryOperator::NotEq),
                    Some("+") => Some(BinaryOperator::Plus),
                    Some("||") => Some(BinaryOperator::StringConcat),
                    _ => None,
                };
                if let Some(plain) = plain {
                    *custom = plain;
                }
            }
            Expr::Collate { expr: inner, .. } => *expr = inner.as_ref().clone(),
            Expr::Cast { expr: inner, data_type, .. } => {
                if let Some(name) = oid_type(data_type) {
                    *expr = call(&name, inner.as_ref().clone());
                } else if let DataType::Custom(name, _) = data_type
                    && let Some(name) = last(name)
                {
                    *data_type = plain_type(&name);
                }
            }
            Expr::Identifier(ident) if ident.quote_style.is_none() => {
                let lower = ident.value.to_ascii_lowercase();
                if ["current_user", "session_user", "current_role", "current_catalog", "user"].contains(&lower.as_str())
                {
                    *expr = nullary(&lower);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// A type of the catalog's columns.
fn plain_type(name: &str) -> DataType {
    match name {
        "oid" | "int4" => DataType::Int(None),
        "int2" => DataType::SmallInt(None),
        "int8" => DataType::BigInt(None),
        "bool" => DataType::Boolean,
        "float8" => DataType::DoublePrecision,
        "float4" => DataType::Real,
        // name, text, "char", and what is shown only.
        _ => DataType::Text,
    }
}

fn call(name: &str, argument: Expr) -> Expr {
    let argument = ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(argument));
    function(name, vec![argument])
}

/// An empty array of texts.
fn no_texts() -> Expr {
    Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(nullary("make_array")),
        data_type: DataType::Array(ast::ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None)),
        array: false,
        format: None,
    }
}

/// Whether an expression is a column that is a list, which are all NULL.
fn is_null_list(expr: &Expr) -> bool {
    let column = match expr {
        Expr::Identifier(column) => column,
        Expr::CompoundIdentifier(words) => match words.last() {
            Some(column) => column,
            None => return false,
        },
        _ => return false,
    };
    super::schemas::is_list(&column.value)
}

fn nullary(name: &str) -> Expr {
    function(name, Vec::new())
}

fn function(name: &str, args: Vec<ast::FunctionArg>) -> Expr {
    let list = ast::FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() };
    Expr::Function(ast::Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(list),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `ARRAY(SELECT x …)` → `(SELECT array_agg(x) …)`.
fn aggregated(rows: &ast::Query) -> Expr {
    let mut rows = rows.clone();
    if let ast::SetExpr::Select(select) = rows.body.as_mut()
        && let [ast::SelectItem::UnnamedExpr(item) | ast::SelectItem::ExprWithAlias { expr: item, .. }] =
            select.projection.as_mut_slice()
    {
        *item = call("array_agg", item.clone());
        rows.order_by = None;
    }
    Expr::Subquery(Box::new(rows))
}
