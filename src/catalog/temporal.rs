//! Binds `JOIN t FOR SYSTEM_TIME AS OF time` to [`TemporalNode`]s, and `ASOF JOIN` to a join with what comes next on the right.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use datafusion::common::{Column, DFSchema, DFSchemaRef, JoinType};
use datafusion::error::{DataFusionError, Result};
use datafusion::functions_window::lead_lag::{lag_udwf, lead_udwf};
use datafusion::logical_expr::planner::{PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning};
use datafusion::logical_expr::utils::{conjunction, find_valid_equijoin_key_pair, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprFunctionExt, Extension, LogicalPlan, LogicalPlanBuilder, Operator,
    UserDefinedLogicalNodeCore, build_join_schema,
};
use sqlparser::ast::{self, JoinConstraint, JoinOperator, Spanned, TableFactor, TableVersion};

use super::window_call::WATERMARKED;
use crate::error::{Error, Span};

/// The name of the column in which a row of the right of an ASOF join has the time of its neighbour.
const NEIGHBOUR: &str = "__asof_neighbour";

/// A join in which a row of the left sees the right as of a time of its own, once, and is never joined again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TemporalNode {
    left: LogicalPlan,
    right: LogicalPlan,
    condition: Expr,
    at: Expr,
    outer: bool,
    schema: DFSchemaRef,
}

impl TemporalNode {
    fn try_new(left: LogicalPlan, right: LogicalPlan, condition: Expr, at: Expr, outer: bool) -> Result<Self> {
        let join_type = if outer { JoinType::Left } else { JoinType::Inner };
        let schema = Arc::new(build_join_schema(left.schema(), right.schema(), &join_type)?);
        Ok(Self { left, right, condition, at, outer, schema })
    }

    /// What looks.
    pub fn left(&self) -> &LogicalPlan {
        &self.left
    }

    /// What is looked up.
    pub fn right(&self) -> &LogicalPlan {
        &self.right
    }

    /// ON.
    pub fn condition(&self) -> &Expr {
        &self.condition
    }

    /// The time as of which a row of the left sees the right.
    pub fn at(&self) -> &Expr {
        &self.at
    }

    /// Whether a row that finds nothing comes out all the same.
    pub fn is_outer(&self) -> bool {
        self.outer
    }
}

impl PartialOrd for TemporalNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.left, &self.right, &self.condition, &self.at).partial_cmp(&(
            &other.left,
            &other.right,
            &other.condition,
            &other.at,
        ))
    }
}

impl UserDefinedLogicalNodeCore for TemporalNode {
    fn name(&self) -> &'static str {
        "TemporalJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        vec![self.condition.clone(), self.at.clone()]
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.outer { "Left temporal join" } else { "Temporal join" };
        write!(f, "{kind}: {} as of {}", self.condition, self.at)
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (Ok([condition, at]), Ok([left, right])) =
            (<[Expr; 2]>::try_from(exprs), <[LogicalPlan; 2]>::try_from(inputs))
        else {
            return Err(DataFusionError::Internal("a temporal join has a condition, a time and two inputs".to_owned()));
        };
        Self::try_new(left, right, condition, at, self.outer)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let (left, right) = (self.left.schema(), self.right.schema());
        let width = left.fields().len();
        let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
        for column in output_columns {
            if *column < width { of_left.push(*column) } else { of_right.push(column - width) }
        }
        for column in self.condition.column_refs().into_iter().chain(self.at.column_refs()) {
            match (left.maybe_index_of_column(column), right.maybe_index_of_column(column)) {
                (Some(i), _) => of_left.push(i),
                (_, Some(i)) => of_right.push(i),
                (None, None) => return None,
            }
        }
        // The time that makes versions of the rows is named nowhere.
        let times = right.fields().iter().enumerate().filter(|(_, f)| f.metadata().contains_key(WATERMARKED));
        of_right.extend(times.map(|(i, _)| i));
        for needed in [&mut of_left, &mut of_right] {
            needed.sort_unstable();
            needed.dedup();
        }
        Some(vec![of_left, of_right])
    }
}

/// The relation planner.
#[derive(Debug)]
pub(super) struct TemporalJoins;

impl RelationPlanner for TemporalJoins {
    fn plan_relation(
        &self,
        relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        let TableFactor::NestedJoin { mut table_with_joins, alias } = relation else {
            return refuse_or_pass(relation);
        };
        // The parser has put such a join last in parentheses.
        let ours = |join: &ast::Join| {
            join.global
                || matches!(&join.relation, TableFactor::Table { version: Some(_), .. })
                || matches!(join.join_operator, JoinOperator::AsOf { .. })
        };
        let Some(join) = table_with_joins.joins.pop_if(|join| ours(join)) else {
            return Ok(RelationPlanning::Original(Box::new(TableFactor::NestedJoin { table_with_joins, alias })));
        };
        let left = match table_with_joins.joins.is_empty() {
            true => context.plan(table_with_joins.relation)?,
            false => context.plan(TableFactor::NestedJoin { table_with_joins, alias: None })?,
        };
        let plan = bind(left, join, context)?;
        Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, alias))))
    }
}

/// `FOR SYSTEM_TIME AS OF` is ignored by DataFusion's planner: better no answer than a wrong one.
fn refuse_or_pass(relation: TableFactor) -> Result<RelationPlanning> {
    if let TableFactor::Table { name, version: Some(_), .. } = &relation {
        let error = Error::sql("FOR SYSTEM_TIME AS OF stands behind a table that is joined").at(name.span().into());
        return Err(error.help("write FROM l JOIN t FOR SYSTEM_TIME AS OF l.ts AS t ON l.k = t.k").into());
    }
    Ok(RelationPlanning::Original(Box::new(relation)))
}

fn bind(left: LogicalPlan, mut join: ast::Join, context: &mut dyn RelationPlannerContext) -> Result<LogicalPlan> {
    let at: Span = join.relation.span().into();
    let version = match &mut join.relation {
        TableFactor::Table { version, .. } => version.take(),
        _ => None,
    };
    let asof = join.global || matches!(join.join_operator, JoinOperator::AsOf { .. });
    let what = if asof { "ASOF JOIN" } else { "FOR SYSTEM_TIME AS OF" };
    if asof && version.is_some() {
        return Err(Error::sql("ASOF JOIN and FOR SYSTEM_TIME AS OF in one join")
            .at(at)
            .help("write one of them")
            .into());
    }
    let right = context.plan(join.relation)?;
    let (outer, constraint) = match join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => (false, constraint),
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => (true, constraint),
        _ => return Err(Error::unsupported(format!("{what}: inner and LEFT joins run, others do not")).at(at).into()),
    };
    let JoinConstraint::On(condition) = constraint else {
        return Err(Error::sql(format!("{what} needs ON")).at(at).help("write ON l.k = r.k").into());
    };
    let both = left.schema().join(right.schema())?;
    let condition = context.sql_to_expr(condition, &both)?;
    match version {
        None => asof_join(left, right, condition, outer, at),
        Some(TableVersion::ForSystemTimeAsOf(time)) => {
            let time = context.sql_to_expr(time, left.schema())?;
            let node = TemporalNode::try_new(left, right, condition, time, outer)?;
            Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
        }
        Some(_) => {
            let error = Error::unsupported("only FOR SYSTEM_TIME AS OF gives a version of a table").at(at);
            Err(error.into())
        }
    }
}

/// For each row of the left, the nearest of the right: that is the one between which and its neighbour the row's time falls.
fn asof_join(left: LogicalPlan, right: LogicalPlan, condition: Expr, outer: bool, at: Span) -> Result<LogicalPlan> {
    let within = |expr: &Expr, schema: &DFSchema| {
        let columns = expr.column_refs();
        !columns.is_empty() && columns.iter().all(|c| schema.has_column(c))
    };
    let (mut keys, mut equal, mut nearest) = (Vec::new(), Vec::new(), Vec::new());
    for part in split_conjunction_owned(condition) {
        let Expr::BinaryExpr(BinaryExpr { left: l, op, right: r }) = &part else { return Err(asof_condition(at)) };
        if *op == Operator::Eq {
            let pair = find_valid_equijoin_key_pair(l, r, left.schema(), right.schema())?;
            let Some((_, key)) = pair else { return Err(asof_condition(at)) };
            keys.push(key);
            equal.push(part);
            continue;
        }
        let time = match (within(l, left.schema()), within(r, right.schema())) {
            (true, true) => Some((l.as_ref().clone(), *op, r.as_ref().clone())),
            _ if within(r, left.schema()) && within(l, right.schema()) => {
                op.swap().map(|op| (r.as_ref().clone(), op, l.as_ref().clone()))
            }
            _ => None,
        };
        nearest.push(time.ok_or_else(|| asof_condition(at))?);
    }
    let (Some((left_time, op, right_time)), true) = (nearest.pop(), nearest.is_empty()) else {
        return Err(asof_condition(at));
    };
    // Rows with equal times are neighbours too, and the last (or first) of them is taken.
    let (neighbour, beyond) = match op {
        Operator::GtEq => (lead_udwf().call(vec![right_time.clone()]), Operator::Lt),
        Operator::Gt => (lead_udwf().call(vec![right_time.clone()]), Operator::LtEq),
        Operator::LtEq => (lag_udwf().call(vec![right_time.clone()]), Operator::Gt),
        Operator::Lt => (lag_udwf().call(vec![right_time.clone()]), Operator::GtEq),
        _ => return Err(asof_condition(at)),
    };
    let neighbour = neighbour.partition_by(keys).order_by(vec![right_time.clone().sort(true, false)]).build()?;
    let name = Expr::Column(Column::from_name(neighbour.schema_name().to_string()));
    let columns = |schema: &DFSchema| schema.iter().map(|c| Expr::Column(Column::from(c))).collect::<Vec<_>>();
    let of_right = columns(right.schema());
    let with_neighbour = of_right.iter().cloned().chain([name.alias(NEIGHBOUR)]).collect::<Vec<_>>();
    let right = LogicalPlanBuilder::from(right).window(vec![neighbour])?.project(with_neighbour)?.build()?;
    let binary =
        |l: Expr, op: Operator, r: Expr| Expr::BinaryExpr(BinaryExpr { left: Box::new(l), op, right: Box::new(r) });
    let neighbour = Expr::Column(Column::from_name(NEIGHBOUR));
    let nearest = neighbour.clone().is_null().or(binary(left_time.clone(), beyond, neighbour));
    equal.push(binary(left_time, op, right_time));
    equal.push(nearest);
    let all = columns(left.schema()).into_iter().chain(of_right).collect::<Vec<_>>();
    let join_type = if outer { JoinType::Left } else { JoinType::Inner };
    LogicalPlanBuilder::from(left).join_on(right, join_type, conjunction(equal))?.project(all)?.build()
}

fn asof_condition(at: Span) -> DataFusionError {
    Error::sql(
        "ASOF JOIN takes equalities and one comparison (>=, >, <=, <) of a time on the left with one on the right",
    )
    .at(at)
    .help("write ASOF JOIN q ON l.k = q.k AND l.ts >= q.ts, or … MATCH_CONDITION (l.ts >= q.ts) ON l.k = q.k")
    .into()
}
