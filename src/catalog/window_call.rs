//! Binds windowing calls in FROM, in the one form that the parser brings them to, to [`WindowNode`]s.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::{Expr, ExprSchemable, Extension, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, Spanned, TableFactor};
use std::sync::Arc;

use super::bind::interval_micros;
use super::window::{WINDOW_COLUMNS, WindowNode};
use crate::error::{Error, Span};
use crate::sql::statement::WATERMARK_COLUMN;
use crate::time::WindowSpec;

/// Key of the field metadata that marks the watermarked column of a table.
pub(super) const WATERMARKED: &str = "tidemill.watermarked";

/// The relation planner.
#[derive(Debug)]
pub(super) struct WindowCalls;

impl RelationPlanner for WindowCalls {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::Table { name, args: Some(args), alias, version: None, .. } = &relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        let [part] = name.0.as_slice() else { return Ok(RelationPlanning::Original(Box::new(relation))) };
        let kind = part.as_ident().map(|i| i.value.to_lowercase()).unwrap_or_default();
        if !matches!(kind.as_str(), "tumble" | "hop" | "cumulate" | "session") {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let at: Span = part.as_ident().map_or_else(|| name.span(), |i| i.span).into();
        let call = Call { kind: &kind, at, args: &args.args };
        let plan = call.plan(context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias.clone()))))
    }
}

struct Call<'a> {
    kind: &'a str,
    at: Span,
    args: &'a [FunctionArg],
}

impl Call<'_> {
    fn plan(&self, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
        let upper = self.kind.to_uppercase();
        let exprs = self.args.iter().map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(expr),
            _ => Err(self.error(format!("{upper} takes plain arguments"))),
        });
        let exprs = exprs.collect::<Result<Vec<_>>>()?;
        let [ast::Expr::Subquery(input), time, rest @ ..] = exprs.as_slice() else {
            return Err(self.error(format!("{upper} takes an input, its time column and intervals")));
        };
        let input = context.plan(TableFactor::Derived {
            lateral: false,
            subquery: input.clone(),
            alias: None,
            sample: None,
        })?;
        let (input, time) = self.time(context, input, time)?;
        let lengths = if self.kind == "session" { rest.get(..1).unwrap_or_default() } else { rest };
        let lengths = lengths.iter().map(|e| self.length(context, &input, e)).collect::<Result<Vec<_>>>()?;
        let spec = match (self.kind, lengths.as_slice()) {
            ("tumble", [size]) => WindowSpec::Tumble { size: *size, offset: 0 },
            ("tumble", [size, offset]) => WindowSpec::Tumble { size: *size, offset: *offset },
            ("hop", [slide, size]) => WindowSpec::Hop { slide: *slide, size: *size, offset: 0 },
            ("hop", [slide, size, offset]) => WindowSpec::Hop { slide: *slide, size: *size, offset: *offset },
            ("cumulate", [step, max]) => WindowSpec::Cumulate { step: *step, max: *max, offset: 0 },
            ("cumulate", [step, max, offset]) => WindowSpec::Cumulate { step: *step, max: *max, offset: *offset },
            ("session", [gap]) => WindowSpec::Session { gap: *gap },
            _ => {
                let takes = match self.kind {
                    "tumble" => "size[, offset]",
                    "hop" => "slide, size[, offset]",
                    "cumulate" => "step, max size[, offset]",
                    _ => "gap",
                };
                return Err(self.error(format!("{upper} takes (input, time column, {takes})")));
            }
        };
        let spec = spec.validate().map_err(|e| e.at(self.at))?;
        let unit = match time.get_type(input.schema())? {
            DataType::Timestamp(TimeUnit::Second, _) => 1_000_000,
            DataType::Timestamp(TimeUnit::Millisecond, _) => 1_000,
            _ => 1,
        };
        if !spec.is_multiple_of(unit) {
            let what = if unit == 1_000 { "milliseconds" } else { "seconds" };
            return Err(self
                .fail(format!("the bounds of {spec} do not fit into a time column of whole {what}"))
                .help("make the lengths multiples of that, or cast the column to TIMESTAMP(6)")
                .into());
        }
        let keys = if self.kind == "session" { rest.get(1..).unwrap_or_default() } else { &[] };
        let keys =
            keys.iter().map(|k| context.sql_to_expr((*k).clone(), input.schema())).collect::<Result<Vec<_>>>()?;
        let node = WindowNode::try_new(input, time, spec, keys)?;
        Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }

    /// The time expression over the input; columns that the call is about to add are renamed first (`window_time0`), as a
    /// window over windows has both.
    fn time(
        &self,
        context: &mut dyn RelationPlannerContext,
        input: LogicalPlan,
        time: &ast::Expr,
    ) -> Result<(LogicalPlan, Expr)> {
        let is_default = matches!(time, ast::Expr::Function(f) if f.name.to_string() == WATERMARK_COLUMN);
        let expr =
            if is_default { self.watermarked(&input)? } else { context.sql_to_expr(time.clone(), input.schema())? };
        let data_type = expr.get_type(input.schema())?;
        if !matches!(data_type, DataType::Timestamp(..)) {
            let error = Error::sql(format!(
                "the time of {} is a timestamp, but {expr} is {data_type}",
                self.kind.to_uppercase()
            ))
            .at(time.span().into());
            let help = match data_type {
                DataType::Int64 => format!("cast it: to_timestamp_millis({expr})"),
                _ => format!("cast it: CAST({expr} AS TIMESTAMP(3))"),
            };
            return Err(error.help(help).into());
        }
        if !input.schema().fields().iter().any(|f| WINDOW_COLUMNS.contains(&f.name().as_str())) {
            return Ok((input, expr));
        }
        let schema = Arc::clone(input.schema());
        let renamed = |name: &str| format!("{name}0");
        let project = schema.iter().map(|(qualifier, field)| {
            let column = Expr::Column(datafusion::common::Column::from((qualifier, field)));
            match WINDOW_COLUMNS.contains(&field.name().as_str()) {
                true => column.alias(renamed(field.name())),
                false => column,
            }
        });
        let input = LogicalPlanBuilder::from(input).project(project.collect::<Vec<_>>())?.build()?;
        let expr = match expr {
            Expr::Column(c) if WINDOW_COLUMNS.contains(&c.name.as_str()) => {
                Expr::Column(datafusion::common::Column::from_name(renamed(&c.name)))
            }
            other => other,
        };
        Ok((input, expr))
    }

    /// The one watermarked column of the input.
    fn watermarked(&self, input: &LogicalPlan) -> Result<Expr> {
        let marked: Vec<_> = input.schema().iter().filter(|(_, f)| f.metadata().contains_key(WATERMARKED)).collect();
        match marked.as_slice() {
            [(qualifier, field)] => Ok(Expr::Column(datafusion::common::Column::from((*qualifier, *field)))),
            [] => Err(self
                .fail("the input has no watermarked column")
                .help("name the time column, or declare WATERMARK FOR ts AS ts - INTERVAL '5' SECOND in its DDL")
                .into()),
            _ => Err(self.fail("the input has several watermarked columns: name the one to use").into()),
        }
    }

    /// A length in microseconds.
    fn length(&self, context: &mut dyn RelationPlannerContext, input: &LogicalPlan, expr: &ast::Expr) -> Result<i64> {
        let bound = context.sql_to_expr(expr.clone(), input.schema())?;
        interval_micros(&bound).ok_or_else(|| {
            Error::sql(format!("'{expr}' is not a fixed length of time"))
                .at(expr.span().into())
                .help("write INTERVAL '10' SECOND; months have no fixed length")
                .into()
        })
    }

    fn fail(&self, message: impl Into<String>) -> Error {
        Error::sql(message).at(self.at)
    }

    fn error(&self, message: impl Into<String>) -> DataFusionError {
        self.fail(message).into()
    }
}
