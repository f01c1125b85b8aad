//! Binds UNNEST in FROM, in the one form that the parser brings it to, to DataFusion's Unnest over the relations before it.

use arrow::datatypes::DataType;
use datafusion::common::{Column, NullHandling, TableReference, UnnestOptions};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::get_field;
use datafusion::functions_nested::expr_fn::{array_length, gen_series, map_entries};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Spanned, TableAlias, TableFactor, TableWithJoins};

use crate::error::{Error, Span};
use crate::sql::statement::{UNNEST_CALL, UNNEST_LEFT_CALL};

/// The relation planner.
#[derive(Debug)]
pub(super) struct UnnestCalls;

impl RelationPlanner for UnnestCalls {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Function { name, args, alias: Some(alias), with_ordinality, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let left = match name.to_string().as_str() {
            UNNEST_CALL => false,
            UNNEST_LEFT_CALL => true,
            _ => return Ok(RelationPlanning::Original(Box::new(relation))),
        };
        let plain = |arg: &FunctionArg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        };
        let args: Option<Vec<ast::Expr>> = args.iter().map(plain).collect();
        let Some([input, condition, lists @ ..]) = args.as_deref() else {
            return Err(Error::internal("a call of UNNEST in another form").into());
        };
        let call = Call { at: name.span().into(), alias, left, ordinality: *with_ordinality };
        let plan = call.plan(context, input, condition, lists)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
    }
}

struct Call<'a> {
    at: Span,
    alias: &'a TableAlias,
    left: bool,
    ordinality: bool,
}

impl Call<'_> {
    fn plan(
        &self,
        context: &mut dyn RelationPlannerContext,
        input: &ast::Expr,
        condition: &ast::Expr,
        lists: &[ast::Expr],
    ) -> Result<LogicalPlan> {
        let input = match relations(input) {
            Some(from) => context.plan(TableFactor::NestedJoin { table_with_joins: Box::new(from), alias: None })?,
            None => LogicalPlanBuilder::empty(true).build()?,
        };
        let mut bound = Vec::new();
        for list in lists {
            let expr = context.sql_to_expr(list.clone(), input.schema())?;
            bound.push(match expr.get_type(input.schema())? {
                DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => expr,
                DataType::Map(..) => map_entries(expr),
                other => {
                    return Err(Error::sql(format!("UNNEST takes lists and maps, but {expr} is {other}"))
                        .at(list.span().into())
                        .help("split a text first: UNNEST(string_to_array(text, ','))")
                        .into());
                }
            });
        }
        if bound.is_empty() {
            return Err(Error::sql("UNNEST of nothing").at(self.at).help("UNNEST(list) AS t(x)").into());
        }
        let lists = bound.len();
        if self.ordinality {
            let longest = bound.iter().map(|list| cast_length(list.clone())).reduce(greatest);
            bound.extend(longest.map(|longest| gen_series(lit(1_i64), longest, lit(1_i64))));
        }
        let before: Vec<Expr> = input.schema().iter().map(|field| Expr::Column(Column::from(field))).collect();
        // Each is a column of its own while it is unnested; two calls in one FROM must not meet.
        let name = |i: usize| format!("__{}_{i}", context.normalize_ident(self.alias.name.clone()));
        let elements: Vec<Column> = (0..bound.len()).map(|i| Column::from_name(name(i))).collect();
        let named = bound.into_iter().enumerate().map(|(i, list)| list.alias(name(i)));
        let null_handling = if self.left { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
        let unnested = LogicalPlanBuilder::from(input)
            .project(before.iter().cloned().chain(named).collect::<Vec<_>>())?
            .unnest_columns_with_options(elements.clone(), UnnestOptions { null_handling, recursions: vec![] })?
            .build()?;
        let after = self.columns(context, &unnested, &elements, lists)?;
        let plan = LogicalPlanBuilder::from(unnested).project(before.into_iter().chain(after).collect::<Vec<_>>())?;
        let ast::Expr::Value(value) = condition else {
            let plan = plan.build()?;
            let condition = context.sql_to_expr(condition.clone(), plan.schema())?;
            return LogicalPlanBuilder::from(plan).filter(condition)?.build();
        };
        match value.value {
            ast::Value::Boolean(true) => plan.build(),
            _ => plan.filter(lit(false))?.build(),
        }
    }

    /// The columns of the call: the elements, structs taken apart, and their places.
    fn columns(
        &self,
        context: &mut dyn RelationPlannerContext,
        unnested: &LogicalPlan,
        elements: &[Column],
        lists: usize,
    ) -> Result<Vec<Expr>> {
        let relation = context.normalize_ident(self.alias.name.clone());
        let given: Vec<String> =
            self.alias.columns.iter().map(|column| context.normalize_ident(column.name.clone())).collect();
        let mut columns: Vec<(Expr, String)> = Vec::new();
        for element in &elements[..lists] {
            let expr = Expr::Column(element.clone());
            match expr.get_type(unnested.schema())? {
                // One name for a struct of several fields names the struct.
                DataType::Struct(fields)
                    if lists > 1 || given.len() != 1 + usize::from(self.ordinality) || fields.len() == 1 =>
                {
                    let parts = fields.iter().map(|f| (get_field(expr.clone(), f.name().clone()), f.name().clone()));
                    columns.extend(parts);
                }
                _ => columns.push((expr, relation.clone())),
            }
        }
        if self.ordinality {
            columns.extend(elements[lists..].iter().map(|n| (Expr::Column(n.clone()), "ordinality".to_owned())));
        }
        if given.len() > columns.len() {
            return Err(Error::sql(format!("{relation} has {} columns, but {} names", columns.len(), given.len()))
                .at(self.alias.name.span.into())
                .into());
        }
        let table = TableReference::bare(relation);
        let named = columns
            .into_iter()
            .enumerate()
            .map(|(i, (expr, own))| expr.alias_qualified(Some(table.clone()), given.get(i).cloned().unwrap_or(own)));
        Ok(named.collect())
    }
}

/// The relations before a call.
fn relations(input: &ast::Expr) -> Option<TableWithJoins> {
    let ast::Expr::Subquery(query) = input else { return None };
    let select = query.body.as_select()?;
    select.from.first().cloned()
}

fn cast_length(list: Expr) -> Expr {
    datafusion::logical_expr::cast(array_length(list), DataType::Int64)
}

fn greatest(a: Expr, b: Expr) -> Expr {
    datafusion::functions::core::expr_fn::greatest(vec![a, b])
}
