//! The operators of an interval plan that are not DataFusion's, and the logical node that carries them.

use std::cmp::Ordering;
use std::fmt;

use datafusion::common::{DFSchemaRef, JoinType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr, UserDefinedLogicalNodeCore};

use super::attribute::{TimeDomain, WindowRole};
use crate::time::WindowSpec;

/// Names an operator that keeps state within its query: from 0, in the order of planning.
pub type OperatorId = usize;

/// An operator with its input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OperatorNode {
    /// What it does.
    pub operator: Operator,
    /// What it does it to; a source has none, a join two.
    pub inputs: Vec<LogicalPlan>,
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
    /// JOIN.
    Join(Box<JoinOperator>),
    /// The first rows only.
    Limit(LimitOperator),
    /// GROUP BY over rows that come and go, by functions that can take a row back.
    Retract(RetractOperator),
    /// Anything else that has a key: recomputed for the keys that an interval touches.
    Recompute(RecomputeOperator),
    /// Where the rows of an input of a [`RecomputeOperator`] enter its body.
    Slot(SlotOperator),
    /// One input for several readers, which runs once.
    Share(ShareOperator),
    /// The last row of each key, of records that change rows.
    Latest(LatestOperator),
    /// Rows that are late by their own time are dropped and counted.
    Judge(JudgeOperator),
    /// Keeps rows until they are final.
    Hold(HoldOperator),
    /// A condition that holds for a time: rows enter and leave as time passes.
    Lapse(LapseOperator),
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

/// Groups rows that come and go: what each adds to its group is taken back when it leaves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RetractOperator {
    /// Its id.
    pub id: OperatorId,
    /// What rows are grouped by.
    pub group: Vec<Expr>,
    /// What is computed per group.
    pub aggregates: Vec<Expr>,
    /// How each of them takes a row back.
    pub undo: Vec<Undo>,
    /// The group expression that is a window, when its closing frees the group.
    pub expiry: Option<Expiry>,
}

/// How an aggregate function takes a row back, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Undo {
    /// A count goes down.
    Count,
    /// Subtracted from a sum of integers or decimals.
    Sum,
    /// A sum and a count.
    Average,
    /// `bool_and`: how many are true, and how many false.
    EveryTrue,
    /// `bool_or`: the same.
    AnyTrue,
    /// The values that are there, each with how often; the smallest is the first.
    Least,
    /// The same; the greatest is the last.
    Greatest,
    /// The same; there are so many different ones.
    Different,
}

/// Joins the rows of two inputs, those of an interval with all others.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JoinOperator {
    /// Its id.
    pub id: OperatorId,
    /// Inner, outer, semi, anti or mark.
    pub join_type: JoinType,
    /// Pairs of expressions that are equal, over the left and the right input.
    pub on: Vec<(Expr, Expr)>,
    /// What else is asked of a pair, over the columns of both.
    pub filter: Option<Expr>,
    /// Whether NULL is equal to NULL in `on`.
    pub null_equals_null: bool,
    /// What frees the rows of each side.
    pub sides: [JoinSide; 2],
    /// Which rows of the right a row of the left is joined with.
    pub sees: Sees,
    /// Columns of the output that identify a row, when known.
    pub unique: Option<Vec<usize>>,
    /// Whether its rows come with weights: not so when it can be proved that they only come.
    pub weighted: bool,
}

/// Which rows of the right a row of the left is joined with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Sees {
    /// All that there are and will be.
    All,
    /// Those that there are in its interval. Rows of the left are not kept, and what comes out never leaves.
    Now {
        /// Sources that are read to their end before the first row of the left looks: those of a table that ends.
        waits_for: Vec<usize>,
    },
    /// The last whose time is not after its own. It looks once the watermark of the right has passed its time.
    Version {
        /// A row's time, of either side.
        times: Box<[Expr; 2]>,
        /// How far (µs) the rows of either side may be behind its watermark.
        lags: [i64; 2],
    },
}

/// One side of a join.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JoinSide {
    /// When the watermark frees its rows.
    pub expiry: Option<RowExpiry>,
    /// When all of these sources have ended, no row of the other side comes any more, and this one's are freed.
    pub settled_by: Option<Vec<usize>>,
    /// The sources beneath.
    pub sources: Vec<usize>,
}

/// A row is freed when time has passed its own by so much.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowExpiry {
    /// The row's time.
    pub time: Expr,
    /// What is added to it (µs).
    pub after: i64,
    /// Which time has to pass.
    pub domain: TimeDomain,
    /// How far (µs) the watermark must have passed.
    pub lag: i64,
    /// The sources whose watermark it is.
    pub sources: Vec<usize>,
}

/// Recomputes a stock operator for the keys that an interval touches: its rows before and after, and the difference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RecomputeOperator {
    /// Its id.
    pub id: OperatorId,
    /// The stock operator, over [`SlotOperator`]s.
    pub body: LogicalPlan,
    /// The key of each input's rows: rows of one key decide the output of that key alone.
    pub keys: Vec<Vec<Expr>>,
    /// The order that the rows are given to the body in; what ties is ordered by the whole row, so that no tie is left to chance.
    pub order: Vec<SortExpr>,
    /// Columns of the output that identify a row, when known.
    pub unique: Option<Vec<usize>>,
    /// The part of the key that is a window, when its closing frees the rows.
    pub expiry: Option<Expiry>,
    /// How many of a key's rows are kept, the first by `order`: where rows only come, those behind them never count again.
    pub keep: Option<usize>,
}

/// Rows are freed when the window in their key closes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expiry {
    /// Position in the key.
    pub position: usize,
    /// Which of the window's columns it is.
    pub role: WindowRole,
    /// The window.
    pub spec: WindowSpec,
    /// What closes it.
    pub domain: TimeDomain,
    /// How far (µs) the watermark must have passed its end.
    pub lag: i64,
    /// The sources whose watermark closes it.
    pub sources: Vec<usize>,
}

/// A leaf of a recomputed body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SlotOperator {
    /// The recompute operator.
    pub id: OperatorId,
    /// Which of its inputs.
    pub input: usize,
}

/// Rows that several operators read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShareOperator {
    /// Tells the shared inputs of a plan apart.
    pub id: usize,
}

/// Makes rows that come and go of records that change rows by their key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LatestOperator {
    /// Its id.
    pub id: OperatorId,
    /// The columns of the key in the input, whose last column says whether a row comes or goes.
    pub key: Vec<usize>,
    /// The columns of the input that come out.
    pub output: Vec<usize>,
}

/// Judges rows that no window holds, by the row watermark that comes with them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JudgeOperator {
    /// Their event time, over the input.
    pub time: Expr,
    /// Whether rows without a time are handed on: a join gives them out as rows that meet none.
    pub keeps_null: bool,
    /// The sources beneath.
    pub sources: Vec<usize>,
}

/// Keeps rows until time has passed them, and lets them out once.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HoldOperator {
    /// Its id.
    pub id: OperatorId,
    /// The columns that say when a row is final: of each row the first of them that is not NULL.
    pub times: Vec<(usize, HoldTime)>,
    /// What passes.
    pub domain: TimeDomain,
    /// How far (µs) it must have passed.
    pub lag: i64,
    /// The sources whose watermark passes.
    pub sources: Vec<usize>,
}

/// What a column says about when its row is final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HoldTime {
    /// It is the end of the row's window.
    End,
    /// It is `window_time`.
    BeforeEnd,
    /// It is the start of the row's window, which has this size (µs).
    Start {
        /// The size.
        size: i64,
    },
    /// It is the row's own time.
    Own,
}

/// Conditions that compare a value of the row with `now()`: each becomes true, or false, at a time that the row alone decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LapseOperator {
    /// Its id.
    pub id: OperatorId,
    /// All of them must hold.
    pub limits: Vec<TimeLimit>,
    /// Whether its rows come with weights: not so when rows only come, and only enter.
    pub weighted: bool,
}

/// `value <op> now() + offset`, or `current_date` in its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TimeLimit {
    /// A timestamp or date of the row, over the input.
    pub value: Expr,
    /// From when on, or until when, it holds.
    pub bound: TimeBound,
    /// What the time moves in (ms): one, which is what `now()` counts in, or a day.
    pub step: i64,
    /// In milliseconds.
    pub offset: i64,
}

/// How a value is compared with the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeBound {
    /// `<`: the row enters when time is past its value.
    Before,
    /// `<=`: the row enters when time reaches its value.
    AtOrBefore,
    /// `>`: the row leaves when time reaches its value.
    After,
    /// `>=`: the row leaves when time is past its value.
    AtOrAfter,
}

impl TimeBound {
    /// As it is written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Before => "<",
            Self::AtOrBefore => "<=",
            Self::After => ">",
            Self::AtOrAfter => ">=",
        }
    }
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

impl JoinOperator {
    fn exprs(&self) -> Vec<Expr> {
        let times = self.sides.iter().filter_map(|s| s.expiry.as_ref().map(|e| &e.time));
        let versions = match &self.sees {
            Sees::Version { times, .. } => times.as_slice(),
            Sees::All | Sees::Now { .. } => &[],
        };
        self.on.iter().flat_map(|(l, r)| [l, r]).chain(&self.filter).chain(times).chain(versions).cloned().collect()
    }
}

impl Operator {
    /// The id of one that keeps state.
    pub fn id(&self) -> Option<OperatorId> {
        match self {
            Self::Aggregate(aggregate) => Some(aggregate.id),
            Self::Join(join) => Some(join.id),
            Self::Retract(retract) => Some(retract.id),
            Self::Recompute(recompute) => Some(recompute.id),
            Self::Limit(limit) => Some(limit.id),
            Self::Hold(hold) => Some(hold.id),
            Self::Lapse(lapse) => Some(lapse.id),
            Self::Latest(latest) => Some(latest.id),
            Self::Source(_) | Self::Assign(_) | Self::Slot(_) | Self::Share(_) | Self::Judge(_) | Self::Once => None,
        }
    }

    /// Whether no row of it comes or goes any more once all of its sources have ended and what they brought has been run.
    pub(super) fn ends_with_its_sources(&self) -> bool {
        match self {
            Self::Source(_)
            | Self::Assign(_)
            | Self::Aggregate(_)
            | Self::Join(_)
            | Self::Limit(_)
            | Self::Recompute(_)
            | Self::Slot(_)
            | Self::Share(_)
            | Self::Latest(_)
            | Self::Retract(_)
            | Self::Judge(_)
            | Self::Hold(_)
            | Self::Once => true,
            // Its rows go by the wall clock.
            Self::Lapse(_) => false,
        }
    }

    fn exprs(&self) -> Vec<Expr> {
        match self {
            Self::Assign(assign) => vec![assign.time.clone()],
            Self::Aggregate(aggregate) => aggregate.group.iter().chain(&aggregate.aggregates).cloned().collect(),
            Self::Join(join) => join.exprs(),
            Self::Retract(retract) => retract.group.iter().chain(&retract.aggregates).cloned().collect(),
            Self::Judge(judge) => vec![judge.time.clone()],
            Self::Lapse(lapse) => lapse.limits.iter().map(|l| l.value.clone()).collect(),
            Self::Source(_)
            | Self::Limit(_)
            | Self::Recompute(_)
            | Self::Slot(_)
            | Self::Share(_)
            | Self::Latest(_)
            | Self::Hold(_)
            | Self::Once => Vec::new(),
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
            Self::Retract(r) => write!(
                f,
                "Aggregate (keyed aggregate, rows taken back) #{}: group by [{}] compute [{}], emits changes",
                r.id,
                list(&r.group),
                list(&r.aggregates)
            ),
            Self::Join(j) => {
                let key = j.on.iter().map(|(l, r)| format!("{l} = {r}")).collect::<Vec<_>>().join(", ");
                let kind = match j.sees {
                    Sees::All => "join (keyed join)",
                    Sees::Now { .. } => "lookup (keyed join)",
                    Sees::Version { .. } => "join as of (keyed join)",
                };
                write!(f, "{} {kind} #{}: key [{key}]", j.join_type, j.id)?;
                if let Some(filter) = &j.filter {
                    write!(f, " where {filter}")?;
                }
                f.write_str(if j.weighted { ", emits changes" } else { "" })
            }
            Self::Limit(l) => write!(f, "Limit #{}: skip {}, fetch {}", l.id, l.skip, l.fetch),
            Self::Recompute(r) => {
                let keys: Vec<_> = r.keys.iter().map(|k| format!("[{}]", list(k))).collect();
                let body = r.body.display().to_string();
                write!(f, "Recompute (keyed recompute) #{}: {body} by key {}, emits changes", r.id, keys.join(" = "))
            }
            Self::Slot(s) => write!(f, "Slot: input {} of #{}", s.input, s.id),
            Self::Share(s) => write!(f, "Share (linear): {}, read once for all", s.id),
            Self::Latest(l) => write!(f, "Latest (keyed recompute) #{}: the last row of each key, emits changes", l.id),
            Self::Judge(j) => write!(f, "Judge (linear): late rows dropped and counted, by {}", j.time),
            Self::Hold(h) => {
                let own = h.times.iter().any(|(_, of)| *of == HoldTime::Own);
                let until = if own { "the watermark has passed their own time" } else { "their window closes" };
                write!(f, "Hold (hold) #{}: rows until {until}", h.id)
            }
            Self::Lapse(l) => {
                let limit = |t: &TimeLimit| {
                    let sign = if t.offset < 0 { '-' } else { '+' };
                    let length = crate::time::format_duration(t.offset.saturating_abs().saturating_mul(1_000));
                    let offset = if t.offset == 0 { String::new() } else { format!(" {sign} {length}") };
                    let time = if t.step == 1 { "now()" } else { "current_date" };
                    format!("{} {} {time}{offset}", t.value, t.bound.symbol())
                };
                let limits: Vec<_> = l.limits.iter().map(limit).collect();
                write!(f, "Lapse (hold) #{}: rows while {}", l.id, limits.join(" AND "))
            }
            Self::Once => f.write_str("Once: in the first interval"),
        }
    }
}

impl PartialOrd for OperatorNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.inputs.partial_cmp(&other.inputs).filter(|o| *o != Ordering::Equal || self == other)
    }
}

impl UserDefinedLogicalNodeCore for OperatorNode {
    fn name(&self) -> &'static str {
        "Operator"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().collect()
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
        Ok(Self { operator: self.operator.clone(), inputs, schema: self.schema.clone() })
    }
}
