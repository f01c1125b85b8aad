//! The names of an answer's columns, where the query gives none: PostgreSQL's, which programs look columns up by.

use arrow::datatypes::{Schema, SchemaRef};
use sqlparser::ast::{self, Expr, SelectItem, SetExpr};

/// The schema with the names that PostgreSQL gives to the columns of this query.
pub(super) fn renamed(schema: &SchemaRef, query: &ast::Query) -> SchemaRef {
    let Some(items) = items(&query.body) else { return schema.clone() };
    if items.len() != schema.fields().len() {
        return schema.clone();
    }
    let fields = schema.fields().iter().zip(items).map(|(field, item)| match item {
        SelectItem::UnnamedExpr(expr) => match given_name(expr) {
            Some(name) => field.as_ref().clone().with_name(name).into(),
            None => field.clone(),
        },
        _ => field.clone(),
    });
    SchemaRef::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The items that name the columns; `None` when a star stands for some of them.
fn items(body: &SetExpr) -> Option<&[SelectItem]> {
    match body {
        SetExpr::Select(select) => {
            let is_star =
                |item: &SelectItem| matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
            (!select.projection.iter().any(is_star)).then_some(select.projection.as_slice())
        }
        SetExpr::SetOperation { left, .. } => items(left),
        SetExpr::Query(query) => items(&query.body),
        _ => None,
    }
}

/// Names for values that stand for themselves: two parameters of a SELECT would be one column to DataFusion.
pub(super) fn apart(query: &mut ast::Query) {
    let SetExpr::Select(select) = query.body.as_mut() else { return };
    let mut count = 0;
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && is_value(expr)
        {
            count += 1;
            let alias = ast::Ident::with_quote('"', format!("value {count}"));
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
        }
    }
}

fn is_value(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) => true,
        Expr::Cast { expr, .. } | Expr::Nested(expr) | Expr::UnaryOp { expr, .. } => is_value(expr),
        _ => false,
    }
}

/// The name of a column that is not just another one's.
pub(super) fn given_name(expr: &Expr) -> Option<String> {
    match name_of(expr) {
        Name::OfColumn => None,
        Name::Is(name) => Some(name),
        Name::None => Some("?column?".to_owned()),
    }
}

enum Name {
    /// The column's own.
    OfColumn,
    Is(String),
    None,
}

fn name_of(expr: &Expr) -> Name {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::CompoundFieldAccess { .. } => Name::OfColumn,
        Expr::Function(call) => match call.name.0.last().and_then(|part| part.as_ident()) {
            Some(name) => Name::Is(name.value.to_lowercase()),
            None => Name::None,
        },
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => name_of(inner),
        Expr::Cast { expr: inner, data_type, .. } => match name_of(inner) {
            Name::None => Name::Is(type_name(data_type)),
            named => named,
        },
        Expr::Case { else_result, .. } => match else_result.as_deref().map(name_of) {
            Some(Name::Is(name)) => Name::Is(name),
            _ => Name::Is("case".to_owned()),
        },
        Expr::Exists { .. } => Name::Is("exists".to_owned()),
        Expr::Array(_) => Name::Is("array".to_owned()),
        Expr::Extract { .. } => Name::Is("extract".to_owned()),
        Expr::Substring { .. } => Name::Is("substring".to_owned()),
        Expr::Trim { .. } => Name::Is("btrim".to_owned()),
        Expr::Position { .. } => Name::Is("position".to_owned()),
        Expr::Interval(_) => Name::Is("interval".to_owned()),
        Expr::Subquery(query) => match items(&query.body) {
            Some([SelectItem::UnnamedExpr(Expr::Identifier(name))]) => Name::Is(name.value.clone()),
            Some([SelectItem::UnnamedExpr(item)]) => name_of(item),
            Some([SelectItem::ExprWithAlias { alias, .. }]) => Name::Is(alias.value.clone()),
            _ => Name::None,
        },
        _ => Name::None,
    }
}

/// The name of a cast's type, as PostgreSQL has it.
fn type_name(data_type: &ast::DataType) -> String {
    let written = data_type.to_string().to_lowercase();
    let first = written.split(['(', ' ']).next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
    let name = match first {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "real" => "float4",
        "double" | "float" => "float8",
        "boolean" => "bool",
        "decimal" => "numeric",
        "character" => "varchar",
        other => other,
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;
    use crate::sql::Statement;

    fn names(sql: &str, columns: usize) -> Vec<String> {
        let parsed = crate::sql::parse(sql).unwrap().remove(0);
        let Statement::Query(query) = parsed.statement else { panic!("{sql}") };
        let field = |i| Field::new(format!("c{i}"), DataType::Int64, true);
        let schema = SchemaRef::new(Schema::new((0..columns).map(field).collect::<Vec<_>>()));
        renamed(&schema, &query.query).fields().iter().map(|f| f.name().clone()).collect()
    }

    /// As PostgreSQL 15 names them.
    #[test]
    fn names_of_columns() {
        assert_eq!(
            names("SELECT 1, a + 1, count(*), max(a), max(b)", 5),
            ["?column?", "?column?", "count", "max", "max"]
        );
        assert_eq!(names("SELECT a, t.a, a AS x, a::int, 1::bigint", 5), ["c0", "c1", "c2", "c3", "int8"]);
        assert_eq!(names("SELECT CASE WHEN a THEN 1 END, (SELECT b FROM t), 'x'::text", 3), ["case", "b", "text"]);
        assert_eq!(names("SELECT *, 1 FROM t", 2), ["c0", "c1"], "a star hides which is which");
        assert_eq!(names("VALUES (1)", 1), ["c0"]);
        assert_eq!(names("SELECT 1 UNION ALL SELECT 2", 1), ["?column?"]);
    }
}
