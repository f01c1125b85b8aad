//! The operators of an interval plan that are not DataFusion's, and the logical node that carries them.

use std::cmp::Ordering;
use std::fmt;

use datafusion::common::DFSchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::attribute::{TimeDomain, WindowRole};
use crate::time::WindowSpec;

/// Names an operator that keeps state within its query: from 0, in the order of planning.
pub type OperatorId = usize;

/// An operator with its input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OperatorNode {
    /// What it does.
    pub operator: Operator,
    /// What it does it to; a source has none.
    pub input: Option<LogicalPlan>,
    /// Its columns, hidden ones last.
    pub schema: DFSchemaRef,
}

/// What an operator does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The rows that an interval brought.
    Source(SourceOperator),
    /// Rows into windows; late ones are dropped and counted.
    Assign(AssignOperator),
    /// GROUP BY.
    Aggregate(AggregateOperator),
    /// The first rows only.
    Limit(LimitOperator),
    /// Rows of the query's text (VALUES), in the first interval only.
    Once,
}

/// Reads a source's rows of the interval.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceOperator {
    /// Index into the plan's sources.
    pub source: usize,
    /// The table, for EXPLAIN.
    pub table: String,
    /// The columns read, by name.
    pub columns: Vec<String>,
    /// Whether the row watermark comes with them.
    pub row_watermark: bool,
}

/// Puts rows into windows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssignOperator {
    /// The time that decides, over the input.
    pub time: Expr,
    /// How.
    pub spec: WindowSpec,
    /// Whether rows are judged late by a row watermark that comes with them.
    pub judge_late: bool,
    /// The sources whose rows it sees.
    pub sources: Vec<usize>,
}

/// When an aggregate lets rows out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EmitAt {
    /// When their window closes.
    Close,
    /// In each interval, what changed.
    Change,
}

/// Groups rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AggregateOperator {
    /// Its id.
    pub id: OperatorId,
    /// What rows are grouped by.
    pub group: Vec<Expr>,
    /// What is computed per group.
    pub aggregates: Vec<Expr>,
    /// How the groups belong to windows; `None`: they live for ever.
    pub window: Option<WindowUse>,
    /// When rows come out.
    pub emit: EmitAt,
    /// Whether its rows come with weights. Not so when it emits on close, and not for DISTINCT over rows that only come.
    pub weighted: bool,
}

/// How groups belong to windows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowUse {
    /// Which group expressions are columns of the window.
    pub roles: Vec<(usize, WindowRole)>,
    /// All group expressions that are columns of the window; those not in `roles` are part of the key.
    pub columns: Vec<usize>,
    /// The window.
    pub spec: WindowSpec,
    /// Whether the rows are those of sessions, each a window of its own as yet, to be merged.
    pub merges: bool,
    /// What closes it.
    pub domain: TimeDomain,
    /// How far (µs) the watermark must have passed its end.
    pub lag: i64,
    /// The sources whose watermark closes it.
    pub sources: Vec<usize>,
}

/// Lets the first rows through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LimitOperator {
    /// Its id.
    pub id: OperatorId,
    /// Rows skipped.
    pub skip: usize,
    /// Rows let through.
    pub fetch: usize,
    /// Whether the query has ended with its last row: no other rows come around this operator, and none are held above it.
    pub ends_query: bool,
}

impl Operator {
    fn exprs(&self) -> Vec<Expr> {
        match self {
            Self::Assign(assign) => vec![assign.time.clone()],
            Self::Aggregate(aggregate) => aggregate.group.iter().chain(&aggregate.aggregates).cloned().collect(),
            Self::Source(_) | Self::Limit(_) | Self::Once => Vec::new(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |exprs: &[Expr]| exprs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::Source(s) => {
                write!(f, "Source: {} [{}]", s.table, s.columns.join(", "))?;
                if s.row_watermark { f.write_str(" with row watermark") } else { Ok(()) }
            }
            Self::Assign(a) => {
                write!(f, "Assign (linear): {} on {}", a.spec, a.time)?;
                if a.judge_late { f.write_str(", late rows dropped and counted") } else { Ok(()) }
            }
            Self::Aggregate(a) => {
                let kind = if matches!(a.window, Some(WindowUse { merges: true, .. })) {
                    "Session aggregate"
                } else {
                    "Aggregate"
                };
                write!(
                    f,
                    "{kind} (keyed aggregate) #{}: group by [{}] compute [{}]",
                    a.id,
                    list(&a.group),
                    list(&a.aggregates)
                )?;
                f.write_str(match a.emit {
                    EmitAt::Close => ", emits when the window closes",
                    EmitAt::Change => ", emits changes",
                })
            }
            Self::Limit(l) => write!(f, "Limit #{}: skip {}, fetch {}", l.id, l.skip, l.fetch),
            Self::Once => f.write_str("Once: in the first interval"),
        }
    }
}

impl PartialOrd for OperatorNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.input.partial_cmp(&other.input).filter(|o| *o != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for OperatorNode {
    fn name(&self) -> &'static str {
        "Operator"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.input.iter().collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.operator.exprs()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operator)
    }

    /// Interval plans are not optimized any further: an operator is only ever rebuilt as it is.
    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        if exprs != self.operator.exprs() {
            return Err(DataFusionError::Internal("an operator's expressions can't be rewritten".to_owned()));
        }
        Ok(Self { operator: self.operator.clone(), input: inputs.into_iter().next(), schema: self.schema.clone() })
    }
}
