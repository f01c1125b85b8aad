//! Statement + catalog → [`IntervalPlan`]: what runs each interval.
//!
//! DataFusion binds and optimizes a query as if it were over tables; `rewrite` then replaces what needs
//! state by operators of our own ([`Operator`]) and leaves what is linear (filter, projection, UNION ALL, UNNEST) to
//! DataFusion. Two hidden columns travel beside the rows where they are needed: the row watermark up to the first window
//! ([`ROW_WATERMARK`]), and the weight of a change ([`WEIGHT_COLUMN`](crate::change::WEIGHT_COLUMN)).
//!
//! Pure and printable. Knows nothing about batches, the contents of state and I/O.

mod attribute;
mod explain;
mod locate;
mod operator;
mod rewrite;

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::common::{Column, TableReference};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Projection, SortExpr};
use sqlparser::ast::Spanned;

pub use attribute::{TimeDomain, WindowRole};
pub use explain::explain;
pub use operator::{
    AggregateOperator, AssignOperator, EmitAt, Expiry, HoldOperator, HoldTime, JoinOperator, JoinSide, JudgeOperator,
    LapseOperator, LatestOperator, LimitOperator, Operator, OperatorId, OperatorNode, RecomputeOperator,
    RetractOperator, RowExpiry, Sees, ShareOperator, SlotOperator, SourceOperator, TimeBound, TimeLimit, Undo,
    WindowUse,
};

use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::sql::statement::{EmitMode, Query};

/// Name of the hidden column that carries the row watermark (µs, `i64::MIN` before any).
pub const ROW_WATERMARK: &str = "__row_watermark";

/// What runs each interval.
#[derive(Debug, Clone)]
pub struct IntervalPlan {
    /// The rewritten plan; its root has the columns of the query, and a weight column unless it is append-only.
    pub logical: LogicalPlan,
    /// The sources it reads; an operator names them by index.
    pub sources: Vec<SourceUse>,
    /// Rows never leave the result.
    pub append_only: bool,
    /// Columns of the result that identify a row, when known.
    pub key: Option<Vec<usize>>,
    /// When rows come out.
    pub emit: EmitMode,
    /// The operators that keep state, in the order of their ids.
    pub stateful: Vec<StatefulOperator>,
    /// A window closes by the wall clock: intervals must run even when no rows come.
    pub processing_time: bool,
    /// ORDER BY, LIMIT and OFFSET at the top, which order a finished result and mean nothing to one that goes on.
    pub presentation: Option<Presentation>,
    /// What the user should know: which EMIT was chosen and why.
    pub notices: Vec<String>,
}

/// A source that a plan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceUse {
    /// The table.
    pub table: String,
    /// The columns it reads, ascending.
    pub columns: Vec<usize>,
    /// Whether it judges rows by their row watermark.
    pub row_watermark: bool,
}

/// An operator that keeps state, for EXPLAIN and SHOW STATE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatefulOperator {
    /// Its id, from 0.
    pub id: OperatorId,
    /// What it is: `aggregate`, `session`, `limit`.
    pub kind: &'static str,
    /// The columns its state is keyed by.
    pub key: Vec<String>,
    /// What bounds the state; `None`: nothing does.
    pub bound: Option<String>,
    /// What in this query would bound it.
    pub advice: String,
}

impl StatefulOperator {
    /// What it is called: `aggregate#0`.
    pub fn name(&self) -> String {
        format!("{}#{}", self.kind, self.id)
    }
}

/// Order and extent of a result.
#[derive(Debug, Clone)]
pub struct Presentation {
    /// Of the whole result; else of the rows that each interval brings.
    pub whole: bool,
    /// ORDER BY, over the columns of the result.
    pub sort: Vec<SortExpr>,
    /// OFFSET.
    pub skip: usize,
    /// LIMIT.
    pub fetch: Option<usize>,
    /// What comes out of the ordered rows, step by step, where they have columns that only order them.
    pub then: Vec<Projection>,
}

impl Presentation {
    /// One more LIMIT and OFFSET, over what this one gives.
    fn cut(self, skip: usize, fetch: Option<usize>) -> Self {
        let left = self.fetch.map(|all| all.saturating_sub(skip));
        let fetch = [left, fetch].into_iter().flatten().min();
        Self { skip: self.skip.saturating_add(skip), fetch, ..self }
    }
}

/// Who asks for a plan: it decides when rows come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A materialized view: always current.
    View,
    /// A sink or a bare SELECT: as EMIT says.
    Output,
}

/// What a query is inserted into.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The columns that take the query's, by position.
    pub columns: &'a Schema,
    /// What makes whole rows of these columns, step by step: the columns that are not inserted.
    pub then: &'a [Vec<Expr>],
}

impl<'a> From<&'a Schema> for Target<'a> {
    fn from(columns: &'a Schema) -> Self {
        Self { columns, then: &[] }
    }
}

/// Plans a query; `target` is what it is inserted into.
///
/// # Errors
/// What is wrong with the query, or what of it does not run yet and what to write instead; with its place.
pub fn plan(catalog: &Catalog, query: &Query, purpose: Purpose, target: Option<Target<'_>>) -> Result<IntervalPlan> {
    let bound = catalog.bind(&query.query)?;
    let bound = match target {
        Some(target) => fit(bound, target, query)?,
        None => bound,
    };
    let optimized = optimize(&catalog.session(), &bound)?;
    rewrite::incrementalize(catalog, query, &optimized, purpose)
}

/// A query's result as rows of a table: its columns by position, cast to the table's types.
///
/// # Errors
/// When there are more or fewer columns, or a type that does not fit.
pub fn fit(plan: LogicalPlan, target: Target<'_>, query: &Query) -> Result<LogicalPlan> {
    let (given, wanted) = (plan.schema().fields().len(), target.columns.fields().len());
    if given != wanted {
        return Err(Error::sql(format!("the query has {given} columns, but {wanted} are inserted into"))
            .at(query.query.span().into())
            .help("name the columns: INSERT INTO t (a, b) SELECT …"));
    }
    let cast = cast(plan, target.columns)?;
    target.then.iter().try_fold(cast, |plan, step| Ok(LogicalPlanBuilder::from(plan).project(step.clone())?.build()?))
}

/// The columns under the names and with the types of the target.
fn cast(plan: LogicalPlan, target: &Schema) -> Result<LogicalPlan> {
    let schema = Arc::clone(plan.schema());
    let column = |((qualifier, field), to): ((Option<&TableReference>, &Arc<Field>), &Arc<Field>)| {
        let column = Expr::Column(Column::from((qualifier, field)));
        let cast =
            if field.data_type() == to.data_type() { column } else { column.cast_to(to.data_type(), &schema)? };
        Ok::<_, Error>(cast.alias(to.name()))
    };
    let exprs = schema.iter().zip(target.fields()).map(column).collect::<Result<Vec<_>>>()?;
    Ok(LogicalPlanBuilder::from(plan).project(exprs)?.build()?)
}

/// DataFusion's analyzer and our choice of its optimizer.
fn optimize(session: &SessionState, plan: &LogicalPlan) -> Result<LogicalPlan> {
    Ok(session.optimize(plan)?)
}
