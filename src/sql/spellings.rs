//! Expressions that DataFusion lacks, or reads otherwise than Flink and PostgreSQL do → those that mean the same there.
//!
//! | written | becomes |
//! |---|---|
//! | `a ^ b` | `power(a, b)` (DataFusion: exclusive or) |
//! | `x SIMILAR TO 'p%' [ESCAPE c]` | `x ~ '^(?:p.*)$'` (DataFusion: the pattern taken as a regular expression) |
//! | `CEIL(ts TO HOUR)`, `FLOOR(ts TO HOUR)` | `time_ceil('HOUR', ts)`, `date_trunc('HOUR', ts)` |
//! | `(bid).price`, `f(x).y` | the field by its name as a text, which DataFusion takes there |
//! | `count_if(c)`, `every(c)` | `count(CASE WHEN c THEN 1 END)`, `bool_and(c)` |
//! | `listagg(x [, sep])`, also `WITHIN GROUP (ORDER BY y)` | `string_agg(x, sep [ORDER BY y])`, the separator a comma by default |
//! | `max_by(x, y)`, `min_by(x, y)` | `first_value(x ORDER BY y DESC NULLS LAST)`, … `ASC …` |
//! | `json_value(j, '$.a[0]')`, `json_query`, `json_exists` | `json_as_text(j, 'a', 0)`, `json_get_json`, `json_contains` |
//! | `TIMESTAMP '2026-01-01 10:00'` | `TIMESTAMP '2026-01-01 10:00:00'` |

use sqlparser::ast::{
    AccessExpr, BinaryOperator, CaseWhen, CeilFloorKind, DataType, DateTimeField, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident, ObjectName, OrderByExpr, OrderByOptions,
    SelectItem, SetExpr, Spanned, Value,
};
use sqlparser::tokenizer::Span;

use super::build;
use super::json_path;
use crate::error::{Error, Result};

/// Functions that become others.
const FUNCTIONS: &[&str] = &[
    "count_if",
    "countif",
    "every",
    "listagg",
    "max_by",
    "arg_max",
    "min_by",
    "arg_min",
    "json_value",
    "json_query",
    "json_exists",
];

/// Columns of a SELECT keep the names that their expressions were written with.
pub(super) fn keep_names(set: &mut SetExpr) {
    let SetExpr::Select(select) = set else { return };
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        if is_spelled(expr) {
            let alias = Ident::with_quote_and_span('"', expr.span(), expr.to_string());
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

fn is_spelled(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { op, .. } => *op == BinaryOperator::BitwiseXor,
        Expr::SimilarTo { .. } => true,
        Expr::Ceil { field, .. } | Expr::Floor { field, .. } => unit_of(field).is_some(),
        Expr::Function(function) => called(function).is_some(),
        _ => false,
    }
}

/// The unit in `CEIL(x TO unit)`.
fn unit_of(field: &CeilFloorKind) -> Option<String> {
    match field {
        CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) | CeilFloorKind::Scale(_) => None,
        CeilFloorKind::DateTimeField(unit) => Some(unit.to_string()),
    }
}

/// The name of a function that becomes another.
fn called(function: &Function) -> Option<&'static str> {
    let [part] = function.name.0.as_slice() else { return None };
    let ident = part.as_ident()?;
    FUNCTIONS.iter().find(|name| ident.value.eq_ignore_ascii_case(name)).copied()
}

/// Brings an expression to what DataFusion understands; its parts have been.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    let span: Span = match expr {
        Expr::BinaryOp { op: BinaryOperator::BitwiseXor, .. }
        | Expr::SimilarTo { .. }
        | Expr::Ceil { .. }
        | Expr::Floor { .. } => expr.span(),
        _ => Span::empty(),
    };
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::BitwiseXor, right } => {
            *expr = call("power", span, [take(left), take(right)]);
        }
        Expr::SimilarTo { negated, expr: text, pattern, escape_char } => {
            let literal = match pattern.as_ref() {
                Expr::Value(value) => value.value.clone().into_string(),
                _ => None,
            };
            let Some(literal) = literal else {
                return Err(Error::unsupported("SIMILAR TO a pattern that is no literal")
                    .at(pattern.span().into())
                    .help("write x ~ pattern, with a regular expression"));
            };
            let escape = match escape_char.as_ref().map(|c| c.value.clone().into_string().unwrap_or_default()) {
                None => Some('\\'),
                Some(text) => text.chars().next(),
            };
            let regex = build::string(&regex_of_similar(&literal, escape), pattern.span());
            let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
            *expr = Expr::BinaryOp { left: Box::new(take(text)), op, right: Box::new(regex) };
        }
        Expr::Ceil { expr: time, field } => {
            if let Some(unit) = unit_of(field) {
                *expr = call("time_ceil", span, [build::string(&unit, span), take(time)]);
            }
        }
        Expr::Floor { expr: time, field } => {
            if let Some(unit) = unit_of(field) {
                *expr = call("date_trunc", span, [build::string(&unit, span), take(time)]);
            }
        }
        Expr::CompoundFieldAccess { access_chain, .. } => {
            for access in access_chain {
                if let AccessExpr::Dot(field @ Expr::Identifier(_)) = access {
                    let Expr::Identifier(name) = &*field else { continue };
                    let spelled =
                        if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() };
                    *field = build::string(&spelled, name.span);
                }
            }
        }
        Expr::TypedString(typed) if matches!(typed.data_type, DataType::Timestamp(..)) => {
            if let Value::SingleQuotedString(text) = &mut typed.value.value
                && ends_in_minutes(text)
            {
                text.push_str(":00");
            }
        }
        Expr::Function(function) => {
            if let Some(name) = called(function) {
                rewrite_function(name, function)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn rewrite_function(name: &str, function: &mut Function) -> Result<()> {
    let span = function.name.span();
    let usage = |usage: &str| Err(Error::sql(format!("wrong arguments of {name}")).at(span.into()).help(usage));
    let FunctionArguments::List(list) = &mut function.args else { return usage(&format!("write {name}(…)")) };
    let plain = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let args: Option<Vec<Expr>> = list.args.iter().map(plain).collect();
    let (new, args) = match (name, args.as_deref()) {
        ("count_if" | "countif", Some([condition])) => {
            let when = CaseWhen { condition: condition.clone(), result: number("1", span) };
            let case = Expr::Case {
                case_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
                end_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
                operand: None,
                conditions: vec![when],
                else_result: None,
            };
            ("count", vec![case])
        }
        ("count_if" | "countif", _) => return usage("count_if(condition)"),
        ("every", Some([condition])) => ("bool_and", vec![condition.clone()]),
        ("every", _) => return usage("every(condition)"),
        ("listagg", Some([text, rest @ ..])) if rest.len() < 2 => {
            let separator = rest.first().cloned().unwrap_or_else(|| build::string(",", span));
            let order = std::mem::take(&mut function.within_group);
            if !order.is_empty() {
                list.clauses.push(FunctionArgumentClause::OrderBy(order));
            }
            list.clauses.retain(|clause| !matches!(clause, FunctionArgumentClause::OnOverflow(_)));
            ("string_agg", vec![text.clone(), separator])
        }
        ("listagg", _) => return usage("listagg(text [, separator])"),
        ("max_by" | "arg_max", Some([value, by])) => {
            list.clauses.push(order_by(by, false));
            ("first_value", vec![value.clone()])
        }
        ("min_by" | "arg_min", Some([value, by])) => {
            list.clauses.push(order_by(by, true));
            ("first_value", vec![value.clone()])
        }
        ("max_by" | "arg_max" | "min_by" | "arg_min", _) => return usage(&format!("{name}(value, by)")),
        (_, Some([json, path])) => {
            let path = json_path::keys(path)?;
            let function = match name {
                "json_value" => "json_as_text",
                "json_query" => "json_get_json",
                _ => "json_contains",
            };
            (function, std::iter::once(json.clone()).chain(path).collect())
        }
        _ => return usage(&format!("{name}(json, '$.path')")),
    };
    list.args = build::unnamed(args);
    function.name = ObjectName::from(vec![Ident::with_span(span, new)]);
    Ok(())
}

fn order_by(by: &Expr, ascending: bool) -> FunctionArgumentClause {
    let options = OrderByOptions { asc: Some(ascending), nulls_first: Some(false) };
    FunctionArgumentClause::OrderBy(vec![OrderByExpr { expr: by.clone(), options, with_fill: None }])
}

fn call<const N: usize>(name: &str, span: Span, args: [Expr; N]) -> Expr {
    Expr::Function(build::call(Ident::with_span(span, name), build::unnamed(args)))
}

fn number(digits: &str, span: Span) -> Expr {
    Expr::Value(Value::Number(digits.to_owned(), false).with_span(span))
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::Value(Value::Null.with_empty_span()))
}

/// A pattern of SIMILAR TO as a regular expression over the whole text.
fn regex_of_similar(pattern: &str, escape: Option<char>) -> String {
    let mut regex = String::from("^(?:");
    let mut characters = pattern.chars();
    let mut in_brackets = false;
    while let Some(c) = characters.next() {
        if Some(c) == escape {
            if let Some(next) = characters.next() {
                regex.push_str(&regex_literal(next));
            }
            continue;
        }
        match c {
            '[' => in_brackets = true,
            ']' => in_brackets = false,
            _ => {}
        }
        match c {
            _ if in_brackets => regex.push(c),
            '%' => regex.push_str("(?s:.*)"),
            '_' => regex.push_str("(?s:.)"),
            '.' | '^' | '$' | '\\' => regex.push_str(&regex_literal(c)),
            _ => regex.push(c),
        }
    }
    regex + ")$"
}

fn regex_literal(c: char) -> String {
    if c.is_alphanumeric() || c == ' ' { c.to_string() } else { format!("\\{c}") }
}

/// Whether a timestamp's text stops behind the minutes, as in `2026-01-01 10:00`.
fn ends_in_minutes(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 16
        && bytes[13] == b':'
        && matches!(bytes[10], b' ' | b'T')
        && bytes[14..].iter().all(u8::is_ascii_digit)
}
