//! Joins as of a time: a row of the left sees the right once, and what it has seen stays.

use std::collections::BTreeSet;

use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::utils::{conjunction, find_valid_equijoin_key_pair, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator as Op, UserDefinedLogicalNodeCore};

use super::super::ROW_WATERMARK;
use super::super::attribute::{Attribute, TimeDomain};
use super::super::operator::{JoinOperator, JoinSide, Operator, RowExpiry, Sees};
use super::join::{index_of, judged, settled_by};
use super::linear::session_first;
use super::{Rewriter, Stream, node, with_hidden};
use crate::catalog::{Relation, TemporalNode};
use crate::change::WEIGHT_COLUMN;
use crate::error::{Error, Result};
use crate::time::{format_duration, unit_of, window_time_gap};

impl Rewriter<'_> {
    pub(super) fn temporal(&mut self, temporal: &TemporalNode, want_watermark: bool) -> Result<Stream> {
        let mut left = self.rewrite(temporal.left(), true)?;
        let mut right = self.rewrite(temporal.right(), true)?;
        if left.session.is_some() || right.session.is_some() {
            return Err(session_first());
        }
        if left.has(WEIGHT_COLUMN) {
            let error = Error::unsupported("FOR SYSTEM_TIME AS OF behind rows that come and go does not run");
            return Err(error.help("a plain JOIN runs, and follows the changes of both sides"));
        }
        let (mut on, mut rest) = (Vec::new(), Vec::new());
        for part in split_conjunction_owned(temporal.condition().clone()) {
            let pair = match &part {
                Expr::BinaryExpr(BinaryExpr { left: l, op: Op::Eq, right: r }) => {
                    find_valid_equijoin_key_pair(l, r, left.schema(), right.schema())?
                }
                _ => None,
            };
            match pair {
                Some(pair) => on.push(pair),
                None => rest.push(part),
            }
        }
        if on.is_empty() {
            return Err(Error::sql("FOR SYSTEM_TIME AS OF needs an equality in ON")
                .help("write ON l.k = r.k: the key whose version is looked up"));
        }
        let seen = match left.attribute(temporal.at()) {
            Attribute::ProcessingTime => self.now(&left, &right),
            Attribute::EventTime { .. } | Attribute::Window { .. } => {
                let seen = version(temporal.at(), &left, &right)?;
                let [left_time, right_time] = seen.judge.clone();
                left = judged(left, left_time)?;
                right = judged(right, right_time)?;
                seen
            }
            Attribute::Plain => {
                return Err(Error::sql(format!("{} is no time that FOR SYSTEM_TIME AS OF can go by", temporal.at()))
                    .help("a column with a WATERMARK, or PROCTIME()"));
            }
        };
        let names = on.iter().map(|(l, r)| if l == r { l.to_string() } else { format!("{l} = {r}") }).collect();
        let id = self.operator(seen.kind, names, seen.bound);
        let schema: &DFSchema = temporal.schema();
        let with_watermark = want_watermark && seen.passes_watermark && left.has(ROW_WATERMARK);
        let schema = if with_watermark { with_hidden(schema, ROW_WATERMARK)? } else { schema.clone() };
        let operator = Operator::Join(Box::new(JoinOperator {
            id,
            join_type: if temporal.is_outer() { JoinType::Left } else { JoinType::Inner },
            on,
            filter: conjunction(rest),
            null_equals_null: false,
            sides: seen.sides,
            sees: seen.sees,
            unique: None,
            weighted: false,
        }));
        let mut attributes = seen.attributes;
        attributes.resize(temporal.schema().fields().len(), Attribute::Plain);
        Ok(Stream {
            plan: node(operator, [left.plan, right.plan], schema),
            attributes,
            sources: seen.sources,
            key: None,
            session: None,
        })
    }

    /// The right as it is: a lookup.
    fn now(&self, left: &Stream, right: &Stream) -> Seen {
        let tables = || right.sources.iter().filter_map(|i| self.sources.get(*i)).map(|s| s.table.as_str());
        // A table that ends is read to its end first: then the answer is that of a plain join, however the stream is cut.
        let waits = settled_by(right).is_some() && tables().all(|t| self.table_ends(t));
        let timed = tables().any(|t| matches!(self.catalog.get(t), Some(Relation::Table(t)) if t.watermark.is_some()));
        let waits_for: Vec<usize> = if waits { right.sources.iter().copied().collect() } else { Vec::new() };
        // Rows come out in the interval that they come in; or, when they wait for a table without a watermark, before any window
        // above can close.
        let straight = !waits || !timed;
        let side = |stream: &Stream| JoinSide {
            expiry: None,
            settled_by: None,
            sources: stream.sources.iter().copied().collect(),
        };
        let bound = match waits {
            true => "the rows of the right; those of the left until it has been read".to_owned(),
            false => "the rows of the right".to_owned(),
        };
        Seen {
            kind: "lookup",
            bound: Some(bound),
            sides: [side(left), side(right)],
            judge: [None, None],
            sees: Sees::Now { waits_for },
            attributes: if straight { left.attributes.clone() } else { Vec::new() },
            passes_watermark: straight,
            sources: if waits { left.sources.union(&right.sources).copied().collect() } else { left.sources.clone() },
        }
    }
}

/// What becomes of a join as of a time.
struct Seen {
    kind: &'static str,
    bound: Option<String>,
    sides: [JoinSide; 2],
    /// The times by which late rows of either side are dropped.
    judge: [Option<Expr>; 2],
    sees: Sees,
    attributes: Vec<Attribute>,
    passes_watermark: bool,
    sources: BTreeSet<usize>,
}

/// The version of the right that was valid at a time of the left.
fn version(at: &Expr, left: &Stream, right: &Stream) -> Result<Seen> {
    if right.has(WEIGHT_COLUMN) {
        return Err(Error::unsupported("versions by event time of rows that come and go do not run")
            .help("the right side of FOR SYSTEM_TIME AS OF is a table whose rows are versions: each with its time, none ever leaves"));
    }
    let since = right.attributes.iter().position(|a| a.is_event_time());
    let Some(since) = since else {
        return Err(Error::sql("the right side of FOR SYSTEM_TIME AS OF has no event time, so it has no versions")
            .help("declare WATERMARK FOR its time column, and select that; or look up what is there now: AS OF PROCTIME()"));
    };
    let since = Expr::Column(datafusion::common::Column::from(right.schema().qualified_field(since)));
    let behind = |stream: &Stream, time: &Expr| -> Option<(usize, i64, bool)> {
        let column = index_of(stream, time)?;
        let attribute = *stream.attributes.get(column)?;
        let gap = window_time_gap(unit_of(stream.schema().field(column).data_type()));
        let judged = attribute.is_event_time() && stream.has(ROW_WATERMARK);
        Some((column, attribute.behind(gap)?, judged))
    };
    let (Some((column, left_lag, judge_left)), Some((_, right_lag, judge_right))) =
        (behind(left, at), behind(right, &since))
    else {
        return Err(Error::unsupported(format!("FOR SYSTEM_TIME AS OF {at} does not run"))
            .help("name a column with a WATERMARK"));
    };
    let sources = |stream: &Stream| stream.sources.iter().copied().collect::<Vec<_>>();
    let waiting =
        RowExpiry { time: at.clone(), after: 1, domain: TimeDomain::Event, lag: right_lag, sources: sources(right) };
    let side = |stream: &Stream, expiry| JoinSide { expiry, settled_by: None, sources: sources(stream) };
    let sides = [side(left, Some(waiting)), side(right, None)];
    let judge = [judge_left.then(|| at.clone()), judge_right.then(|| since.clone())];
    let lag = left_lag.max(right_lag);
    let mut attributes = vec![Attribute::Plain; left.attributes.len()];
    attributes[column] = left.attributes[column].behind_by(lag);
    let more = if right_lag > 0 { format!(" by {}", format_duration(right_lag)) } else { String::new() };
    Ok(Seen {
        kind: "versions",
        bound: Some(format!(
            "left: rows leave once the watermark of the right has passed {at}{more}; right: one version of each key stays, and those that the watermarks have not passed"
        )),
        sides,
        judge,
        sees: Sees::Version { times: Box::new([at.clone(), since]), lags: [left_lag, right_lag] },
        attributes,
        passes_watermark: false,
        sources: left.sources.union(&right.sources).copied().collect(),
    })
}
