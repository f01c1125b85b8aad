//! Functions made in SQL: `CREATE FUNCTION f(x INT) RETURNS INT RETURN x + 1`, expanded where they are called.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Spanned, VisitMut, VisitorMut};

use super::bind::fold;
use crate::error::{Error, Result};
use crate::sql::statement::{CreateFunction, FunctionBody};

/// How deep functions may call functions.
const DEPTH_MAX: usize = 16;

/// A function made in SQL.
#[derive(Debug, Clone)]
pub struct SqlFunction {
    name: String,
    parameters: Vec<String>,
    body: Expr,
}

impl SqlFunction {
    /// The function of a CREATE FUNCTION with an expression as its body.
    ///
    /// # Errors
    /// When the body is a class of another engine.
    pub fn new(create: &CreateFunction) -> Result<Self> {
        let FunctionBody::Sql(body) = &create.body else {
            return Err(Error::unsupported(format!("function '{}' is a class of another engine", create.name.spelled))
                .at(create.name.span)
                .help("write it in SQL: CREATE FUNCTION f(x INT) RETURNS INT RETURN x + 1"));
        };
        let position = |(i, p): (usize, &(Option<crate::sql::statement::Name>, ast::DataType))| {
            p.0.as_ref().map_or_else(|| format!("${}", i + 1), |n| n.value.clone())
        };
        let parameters = create.parameters.iter().enumerate().map(position).collect();
        let mut body = body.as_ref().clone();
        if let Some(returns) = &create.returns {
            body = Expr::Cast {
                kind: ast::CastKind::Cast,
                expr: Box::new(body),
                data_type: returns.clone(),
                array: false,
                format: None,
            };
        }
        Ok(Self { name: create.name.value.clone(), parameters, body })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Expands every call of a function made in SQL.
pub(super) fn expand(query: &mut impl VisitMut, functions: &BTreeMap<String, SqlFunction>) -> Result<()> {
    if functions.is_empty() {
        return Ok(());
    }
    let mut expander = Expander { functions };
    for _ in 0..DEPTH_MAX {
        let mut again = Changed(false);
        match query.visit(&mut Both(&mut expander, &mut again)) {
            ControlFlow::Break(error) => return Err(error),
            ControlFlow::Continue(()) if !again.0 => return Ok(()),
            ControlFlow::Continue(()) => {}
        }
    }
    Err(Error::sql(format!("functions call each other more than {DEPTH_MAX} deep")))
}

struct Changed(bool);

struct Expander<'a> {
    functions: &'a BTreeMap<String, SqlFunction>,
}

struct Both<'a, 'b>(&'a mut Expander<'b>, &'a mut Changed);

impl VisitorMut for Both<'_, '_> {
    type Break = Error;

    /// A column that is a call keeps its name.
    fn pre_visit_query(&mut self, query: &mut ast::Query) -> ControlFlow<Error> {
        let ast::SetExpr::Select(select) = query.body.as_mut() else { return ControlFlow::Continue(()) };
        for item in &mut select.projection {
            if let ast::SelectItem::UnnamedExpr(expr) = &*item
                && let Expr::Function(call) = expr
                && let [part] = call.name.0.as_slice()
                && part.as_ident().is_some_and(|name| self.0.functions.contains_key(&fold(name)))
            {
                let alias = ast::Ident::with_quote_and_span('"', expr.span(), expr.to_string());
                *item = ast::SelectItem::ExprWithAlias { expr: expr.clone(), alias };
            }
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Expr::Function(call) = expr else { return ControlFlow::Continue(()) };
        let [part] = call.name.0.as_slice() else { return ControlFlow::Continue(()) };
        let Some(function) = part.as_ident().and_then(|i| self.0.functions.get(&fold(i))) else {
            return ControlFlow::Continue(());
        };
        let arguments = match &call.args {
            FunctionArguments::List(list) => list.args.iter().map(plain_argument).collect::<Option<Vec<_>>>(),
            _ => Some(Vec::new()),
        };
        let arguments = match arguments {
            Some(a) if a.len() == function.parameters.len() => a,
            _ => {
                let n = function.parameters.len();
                return ControlFlow::Break(
                    Error::sql(format!(
                        "function '{}' takes {n} argument{}",
                        function.name,
                        if n == 1 { "" } else { "s" }
                    ))
                    .at(call.span().into()),
                );
            }
        };
        let mut body = function.body.clone();
        let by_name: BTreeMap<&str, &Expr> = function.parameters.iter().map(String::as_str).zip(&arguments).collect();
        let _ = body.visit(&mut Substitute(&by_name));
        *expr = Expr::Nested(Box::new(body));
        self.1.0 = true;
        ControlFlow::Continue(())
    }
}

fn plain_argument(argument: &FunctionArg) -> Option<Expr> {
    match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    }
}

/// Puts arguments in the place of parameters.
struct Substitute<'a>(&'a BTreeMap<&'a str, &'a Expr>);

impl VisitorMut for Substitute<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let name = match expr {
            Expr::Identifier(ident) => fold(ident),
            Expr::Value(value) => match &value.value {
                ast::Value::Placeholder(name) => name.clone(),
                _ => return ControlFlow::Continue(()),
            },
            _ => return ControlFlow::Continue(()),
        };
        if let Some(argument) = self.0.get(name.as_str()) {
            *expr = Expr::Nested(Box::new((*argument).clone()));
        }
        ControlFlow::Continue(())
    }
}
