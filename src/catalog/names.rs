//! Names that DataFusion would give otherwise than Flink and PostgreSQL do.
//!
//! `SELECT bid.price` names its column `price`, also when `bid` is a column of type ROW; and `TIMESTAMPDIFF(SECOND, a, b)`
//! names a unit, not a column.

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query, Select, SelectItem, SetExpr,
    TableFactor, TableWithJoins, Value, VisitMut, VisitorMut,
};

use super::bind::fold;

/// Functions whose first argument is a unit of time.
const UNIT_FIRST: &[&str] = &["timestampdiff", "timestampadd"];

/// Gives columns and units the names that were meant.
pub(super) fn settle(query: &mut Query) {
    let _ = query.visit(&mut Names);
}

struct Names;

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        settle_set(&mut query.body);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr
            && UNIT_FIRST.contains(&function.name.to_string().to_lowercase().as_str())
            && let FunctionArguments::List(list) = &mut function.args
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) = list.args.first_mut()
            && let Expr::Identifier(unit) = first
        {
            *first = Expr::Value(Value::SingleQuotedString(unit.value.clone()).into());
        }
        ControlFlow::Continue(())
    }
}

fn settle_set(set: &mut SetExpr) {
    match set {
        SetExpr::Select(select) => settle_select(select),
        SetExpr::SetOperation { left, right, .. } => {
            settle_set(left);
            settle_set(right);
        }
        _ => {}
    }
}

fn settle_select(select: &mut Select) {
    let relations: Vec<String> = select.from.iter().flat_map(names_in).collect();
    for item in &mut select.projection {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        if let Some(alias) = field_of(expr, &relations) {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

/// The last name of a path into a ROW; `None` for what is a plain column of a relation.
fn field_of(expr: &Expr, relations: &[String]) -> Option<Ident> {
    match expr {
        Expr::CompoundIdentifier(parts) => {
            let first = parts.first().map(fold)?;
            let columns = if relations.contains(&first) { parts.len() - 1 } else { parts.len() };
            parts.last().filter(|_| columns > 1).cloned()
        }
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last() {
            Some(ast::AccessExpr::Dot(Expr::Identifier(name))) => Some(name.clone()),
            // The parser has made a text of the name.
            Some(ast::AccessExpr::Dot(Expr::Value(value))) => {
                let name = value.value.clone().into_string()?;
                Some(Ident::with_quote_and_span('"', value.span, name))
            }
            _ => None,
        },
        _ => None,
    }
}

fn names_in(from: &TableWithJoins) -> Vec<String> {
    let factors = std::iter::once(&from.relation).chain(from.joins.iter().map(|j| &j.relation));
    let mut names = Vec::new();
    for factor in factors {
        match factor {
            TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
                names.push(fold(&alias.name));
            }
            TableFactor::Table { name, .. } => names.extend(name.0.last().and_then(|p| p.as_ident()).map(fold)),
            TableFactor::NestedJoin { table_with_joins, .. } => names.extend(names_in(table_with_joins)),
            // What UNNEST has taken with it is in scope too.
            TableFactor::Function { args, alias, .. } => {
                names.extend(alias.iter().map(|alias| fold(&alias.name)));
                if let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Subquery(input)))) = args.first()
                    && let Some(select) = input.body.as_select()
                {
                    names.extend(select.from.iter().flat_map(names_in));
                }
            }
            _ => {}
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use sqlparser::dialect::GenericDialect;
    use sqlparser::parser::Parser;

    use super::*;

    fn settled(sql: &str) -> String {
        let mut statements = Parser::parse_sql(&GenericDialect {}, sql).unwrap();
        let Some(ast::Statement::Query(mut query)) = statements.pop() else { panic!("no query") };
        settle(&mut query);
        query.to_string()
    }

    #[test]
    fn fields_are_named_after_themselves() {
        assert_eq!(settled("SELECT bid.price FROM events"), "SELECT bid.price AS price FROM events");
        assert_eq!(
            settled("SELECT e.bid.price, e.ts FROM events AS e"),
            "SELECT e.bid.price AS price, e.ts FROM events AS e"
        );
        assert_eq!(settled("SELECT bid.price FROM bid"), "SELECT bid.price FROM bid");
        assert_eq!(settled("SELECT bid.price AS p FROM events"), "SELECT bid.price AS p FROM events");
    }

    #[test]
    fn units_are_no_columns() {
        assert_eq!(settled("SELECT timestampdiff(SECOND, a, b) FROM t"), "SELECT timestampdiff('SECOND', a, b) FROM t");
    }
}
