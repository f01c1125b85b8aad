//! A generated query as a tree: it can be written for each engine, and cut down piece by piece when it fails.
//!
//! Only what the engines write differently is a node or a `{mark}`; expressions are text.

use std::fmt::Write as _;

/// The types that generated columns have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Int,
    Float,
    Text,
    Bool,
    Time,
}

/// Who is to read the SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    Tidemill,
    /// Plain DataFusion: it knows no windowing calls.
    DataFusion,
    DuckDb,
}

/// A query.
#[derive(Debug, Clone)]
pub(crate) struct Query {
    pub(crate) distinct: Distinct,
    pub(crate) items: Vec<Item>,
    pub(crate) from: From,
    /// Conjuncts of WHERE.
    pub(crate) filter: Vec<Predicate>,
    pub(crate) group: Group,
    pub(crate) having: Option<String>,
    pub(crate) qualify: Option<String>,
    /// `UNION`, `EXCEPT ALL`, … and the other side.
    pub(crate) set: Option<(&'static str, Box<Query>)>,
    pub(crate) top: Option<Top>,
}

#[derive(Debug, Clone)]
pub(crate) enum Distinct {
    No,
    Yes,
    /// `DISTINCT ON (the first item)`, ordered by all items.
    OnFirst(String),
}

#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) value: ItemValue,
    pub(crate) alias: String,
    pub(crate) data_type: Type,
}

#[derive(Debug, Clone)]
pub(crate) enum ItemValue {
    Text(String),
    Scalar(Box<Query>),
}

#[derive(Debug, Clone)]
pub(crate) enum Predicate {
    Text(String),
    In { value: String, not: bool, query: Box<Query> },
    Exists { not: bool, query: Box<Query> },
    Compare { value: String, operator: &'static str, query: Box<Query> },
}

#[derive(Debug, Clone)]
pub(crate) enum Group {
    No,
    /// One row for all.
    Whole,
    By(Vec<String>),
    Rollup(Vec<String>),
    Cube(Vec<String>),
    Sets(Vec<Vec<String>>),
}

/// ORDER BY all columns of the result, and LIMIT.
#[derive(Debug, Clone)]
pub(crate) struct Top {
    pub(crate) order: String,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

#[derive(Debug, Clone)]
pub(crate) enum From {
    Table { name: String, alias: String },
    Window { window: Window, table: &'static str, alias: String },
    Sub { query: Box<Query>, alias: String },
    Join { kind: &'static str, left: Box<From>, right: Box<From>, on: Vec<String> },
}

/// A windowing call; lengths in seconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Window {
    Tumble(i64),
    Hop {
        slide: i64,
        size: i64,
    },
    Cumulate {
        step: i64,
        size: i64,
    },
    /// Per `k`.
    Session(i64),
}

/// The columns of the watermarked table.
const OF_EVENTS: &str = "k, v, s, ts";

impl Query {
    pub(crate) fn sql(&self, reader: Reader) -> String {
        let mut text = "SELECT ".to_owned();
        match &self.distinct {
            Distinct::No => {}
            Distinct::Yes => text.push_str("DISTINCT "),
            Distinct::OnFirst(_) => write!(text, "DISTINCT ON ({}) ", self.items[0].sql(reader)).expect("text"),
        }
        let items: Vec<_> = self.items.iter().map(|i| format!("{} AS {}", i.sql(reader), i.alias)).collect();
        write!(text, "{} FROM {}", items.join(", "), self.from.sql(reader)).expect("text");
        let filter: Vec<_> = self.filter.iter().map(|p| p.sql(reader)).collect();
        if !filter.is_empty() {
            write!(text, " WHERE {}", filter.join(" AND ")).expect("text");
        }
        let list = |keys: &[String]| marks(&keys.join(", "), reader);
        match &self.group {
            Group::No | Group::Whole => {}
            Group::By(keys) => write!(text, " GROUP BY {}", list(keys)).expect("text"),
            Group::Rollup(keys) => write!(text, " GROUP BY ROLLUP ({})", list(keys)).expect("text"),
            Group::Cube(keys) => write!(text, " GROUP BY CUBE ({})", list(keys)).expect("text"),
            Group::Sets(sets) => {
                let sets: Vec<_> = sets.iter().map(|s| format!("({})", list(s))).collect();
                write!(text, " GROUP BY GROUPING SETS ({})", sets.join(", ")).expect("text");
            }
        }
        for (word, clause) in [("HAVING", &self.having), ("QUALIFY", &self.qualify)] {
            if let Some(clause) = clause {
                write!(text, " {word} {}", marks(clause, reader)).expect("text");
            }
        }
        let of_copies = |operator: &str| operator.ends_with(" ALL") && operator != "UNION ALL";
        if let Some((operator, other)) = self.set.as_ref().filter(|(o, _)| reader == Reader::DataFusion && of_copies(o))
        {
            // DataFusion's EXCEPT ALL and INTERSECT ALL do not count the copies of a row; numbered, they are all different.
            let columns: Vec<&str> = self.items.iter().map(|i| i.alias.as_str()).collect();
            let columns = columns.join(", ");
            let copy = format!("row_number() OVER (PARTITION BY {columns}) AS copy");
            let (operator, other) = (operator.trim_end_matches(" ALL"), other.sql(reader));
            text = format!(
                "SELECT {columns} FROM (SELECT {columns}, {copy} FROM ({text}) {operator} \
                 SELECT {columns}, {copy} FROM ({other}))"
            );
        } else if let Some((operator, other)) = &self.set {
            write!(text, " {operator} {}", other.sql(reader)).expect("text");
        }
        if let Distinct::OnFirst(order) = &self.distinct {
            write!(text, " ORDER BY {order}").expect("text");
        } else if let Some(top) = &self.top {
            write!(text, " ORDER BY {} LIMIT {}", top.order, top.limit).expect("text");
            if top.offset > 0 {
                write!(text, " OFFSET {}", top.offset).expect("text");
            }
        }
        text
    }

    /// The same query with one piece less, in every way there is.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut with = |change: &dyn Fn(&mut Self)| {
            let mut query = self.clone();
            change(&mut query);
            all.push(query);
        };
        // The largest pieces first.
        if self.set.is_some() {
            with(&|q| q.set = None);
        }
        for from in self.from.smaller() {
            with(&|q| q.from = from.clone());
        }
        if self.top.is_some() {
            with(&|q| q.top = None);
        }
        if !matches!(self.distinct, Distinct::No) {
            with(&|q| q.distinct = Distinct::No);
        }
        if self.having.is_some() {
            with(&|q| q.having = None);
        }
        if self.qualify.is_some() {
            with(&|q| q.qualify = None);
        }
        for at in 0..self.filter.len() {
            with(&|q| drop(q.filter.remove(at)));
            for smaller in self.filter[at].smaller() {
                with(&|q| q.filter[at] = smaller.clone());
            }
        }
        if let Group::By(keys) | Group::Rollup(keys) | Group::Cube(keys) = &self.group {
            for at in 0..keys.len() {
                let mut fewer = keys.clone();
                fewer.remove(at);
                let fewer = if fewer.is_empty() { Group::Whole } else { Group::By(fewer) };
                with(&|q| q.group = fewer.clone());
            }
        }
        if let Group::Sets(sets) = &self.group {
            for at in 0..sets.len().saturating_sub(1) {
                let mut fewer = sets.clone();
                fewer.remove(at);
                with(&|q| q.group = Group::Sets(fewer.clone()));
            }
        }
        if self.items.len() > 1 && self.set.is_none() {
            for at in 0..self.items.len() {
                with(&|q| {
                    q.items.remove(at);
                    if let Some(top) = &mut q.top {
                        // The order was over all columns; without one it is over those that are left.
                        let gone = format!("{} ", self.items[at].alias);
                        let left: Vec<_> = top.order.split(", ").filter(|o| !o.starts_with(&gone)).collect();
                        top.order = left.join(", ");
                    }
                });
            }
        }
        for at in 0..self.items.len() {
            if let ItemValue::Scalar(query) = &self.items[at].value {
                for smaller in query.smaller() {
                    with(&|q| q.items[at].value = ItemValue::Scalar(Box::new(smaller.clone())));
                }
            }
        }
        if let Some((operator, other)) = &self.set {
            let other_only = other.as_ref().clone();
            with(&|q| *q = other_only.clone());
            for smaller in other.smaller() {
                with(&|q| q.set = Some((operator, Box::new(smaller.clone()))));
            }
        }
        if let From::Sub { query, .. } = &self.from {
            let inner = query.as_ref().clone();
            with(&|q| *q = inner.clone());
        }
        all
    }
}

impl Item {
    fn sql(&self, reader: Reader) -> String {
        match &self.value {
            ItemValue::Text(text) => marks(text, reader),
            ItemValue::Scalar(query) => format!("({})", query.sql(reader)),
        }
    }
}

impl Predicate {
    fn sql(&self, reader: Reader) -> String {
        let no = |not: &bool| if *not { "NOT " } else { "" };
        match self {
            Self::Text(text) => marks(text, reader),
            Self::In { value, not, query } => {
                format!("{} {}IN ({})", marks(value, reader), no(not), query.sql(reader))
            }
            Self::Exists { not, query } => format!("{}EXISTS ({})", no(not), query.sql(reader)),
            Self::Compare { value, operator, query } => {
                format!("{} {operator} ({})", marks(value, reader), query.sql(reader))
            }
        }
    }

    fn smaller(&self) -> Vec<Self> {
        let (Self::In { query, .. } | Self::Exists { query, .. } | Self::Compare { query, .. }) = self else {
            return Vec::new();
        };
        let with = |smaller: Query| {
            let mut predicate = self.clone();
            if let Self::In { query, .. } | Self::Exists { query, .. } | Self::Compare { query, .. } = &mut predicate {
                **query = smaller;
            }
            predicate
        };
        query.smaller().into_iter().map(with).collect()
    }
}

impl From {
    fn sql(&self, reader: Reader) -> String {
        match self {
            Self::Table { name, alias } => format!("{name} AS {alias}"),
            Self::Window { window, table, alias } if reader == Reader::Tidemill => {
                format!("{} AS {alias}", window.call(table))
            }
            Self::Window { window, table, alias } => format!("({}) AS {alias}", window.spelled_out(table)),
            Self::Sub { query, alias } => format!("({}) AS {alias}", query.sql(reader)),
            Self::Join { kind, left, right, on } => {
                let kind = match (reader, *kind) {
                    (Reader::DuckDb, "LEFT SEMI") => "SEMI",
                    (Reader::DuckDb, "LEFT ANTI") => "ANTI",
                    (_, kind) => kind,
                };
                let right = match right.as_ref() {
                    join @ Self::Join { .. } => format!("({})", join.sql(reader)),
                    other => other.sql(reader),
                };
                let on =
                    if on.is_empty() { String::new() } else { format!(" ON {}", marks(&on.join(" AND "), reader)) };
                format!("{} {kind} JOIN {right}{on}", left.sql(reader))
            }
        }
    }

    fn smaller(&self) -> Vec<Self> {
        match self {
            Self::Table { .. } | Self::Window { .. } => Vec::new(),
            Self::Sub { query, alias } => {
                let sub = |query: Query| Self::Sub { query: Box::new(query), alias: alias.clone() };
                query.smaller().into_iter().map(sub).collect()
            }
            Self::Join { kind, left, right, on } => {
                let mut all = vec![left.as_ref().clone(), right.as_ref().clone()];
                let join = |left: From, right: From, on: Vec<String>| Self::Join {
                    kind,
                    left: Box::new(left),
                    right: Box::new(right),
                    on,
                };
                for at in 0..on.len() {
                    let mut fewer = on.clone();
                    fewer.remove(at);
                    if !fewer.is_empty() {
                        all.push(join(left.as_ref().clone(), right.as_ref().clone(), fewer));
                    }
                }
                all.extend(left.smaller().into_iter().map(|l| join(l, right.as_ref().clone(), on.clone())));
                all.extend(right.smaller().into_iter().map(|r| join(left.as_ref().clone(), r, on.clone())));
                all
            }
        }
    }
}

impl Window {
    fn call(self, table: &str) -> String {
        let s = |n: i64| format!("INTERVAL '{n}' SECOND");
        match self {
            Self::Tumble(size) => format!("TUMBLE(TABLE {table}, DESCRIPTOR(ts), {})", s(size)),
            Self::Hop { slide, size } => format!("HOP(TABLE {table}, DESCRIPTOR(ts), {}, {})", s(slide), s(size)),
            Self::Cumulate { step, size } => {
                format!("CUMULATE(TABLE {table}, DESCRIPTOR(ts), {}, {})", s(step), s(size))
            }
            Self::Session(gap) => format!("SESSION(TABLE {table} PARTITION BY k, DESCRIPTOR(ts), {})", s(gap)),
        }
    }

    /// The same as ordinary SQL.
    fn spelled_out(self, table: &str) -> String {
        let s = |n: i64| format!("INTERVAL '{n} seconds'");
        let bin = |n: i64| format!("date_bin({}, ts, TIMESTAMP '1970-01-01')", s(n));
        let both = |branches: Vec<String>| branches.join(" UNION ALL ");
        match self {
            Self::Tumble(size) => {
                let start = bin(size);
                format!(
                    "SELECT {OF_EVENTS}, {start} AS window_start, {start} + {} AS window_end FROM {table} WHERE ts IS NOT NULL",
                    s(size)
                )
            }
            Self::Hop { slide, size } => both(
                (0..size / slide)
                    .map(|i| {
                        let start = format!("({} - {})", bin(slide), s(i * slide));
                        format!("SELECT {OF_EVENTS}, {start} AS window_start, {start} + {} AS window_end FROM {table} WHERE ts IS NOT NULL", s(size))
                    })
                    .collect(),
            ),
            Self::Cumulate { step, size } => both(
                (1..=size / step)
                    .map(|i| {
                        let start = bin(size);
                        let end = format!("({start} + {})", s(i * step));
                        format!("SELECT {OF_EVENTS}, {start} AS window_start, {end} AS window_end FROM {table} WHERE ts IS NOT NULL AND {end} > ts")
                    })
                    .collect(),
            ),
            Self::Session(gap) => format!(
                "SELECT {OF_EVENTS}, min(ts) OVER (PARTITION BY k, island) AS window_start, \
                 max(ts) OVER (PARTITION BY k, island) + {} AS window_end FROM \
                 (SELECT *, sum(CASE WHEN before IS NULL OR ts - before > {} THEN 1 ELSE 0 END) \
                 OVER (PARTITION BY k ORDER BY ts ROWS UNBOUNDED PRECEDING) AS island FROM \
                 (SELECT *, lag(ts) OVER (PARTITION BY k ORDER BY ts) AS before FROM {table} WHERE ts IS NOT NULL))",
                s(gap),
                s(gap)
            ),
        }
    }
}

/// What the engines write differently inside expressions.
pub(crate) fn marks(text: &str, reader: Reader) -> String {
    let (division, open, close) = match reader {
        Reader::DuckDb => ("//", "[", "]"),
        _ => ("/", "make_array(", ")"),
    };
    text.replace("{/}", division).replace("{[}", open).replace("{]}", close)
}
