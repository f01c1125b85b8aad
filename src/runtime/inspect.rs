//! Looking into a running query: what each operator holds, and how much of it.

use super::driver::Driver;
use super::running::RunningQuery;
use crate::error::{Error, Result, nearest};
use crate::exec::StateRows;

/// How much an operator holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorReport {
    /// Its query.
    pub query: String,
    /// Its id in the query.
    pub operator: usize,
    /// What it is.
    pub kind: &'static str,
    /// Rows in its state tables.
    pub rows: usize,
    /// Bytes in its state tables.
    pub bytes: usize,
}

impl Driver {
    /// How much every operator of every query holds, those that hold nothing yet too.
    pub fn state(&self) -> Vec<OperatorReport> {
        let of = |q: &RunningQuery| {
            let held = q.query.state();
            let report = |s: &crate::plan::StatefulOperator| {
                let (rows, bytes) = held.iter().find(|(id, ..)| *id == s.id).map_or((0, 0), |(_, r, b)| (*r, *b));
                OperatorReport { query: q.name.clone(), operator: s.id, kind: s.kind, rows, bytes }
            };
            q.query.plan().stateful.iter().map(report).collect::<Vec<_>>()
        };
        self.queries().iter().flat_map(of).collect()
    }

    /// The rows of the state table named `query.operator[.part]`, as EXPLAIN and SHOW STATE print the operator; a query without a
    /// name goes by its number.
    ///
    /// # Errors
    /// When there is none; names those that there are.
    pub fn state_rows(&self, name: &str) -> Result<StateRows> {
        let of = |q: &RunningQuery| {
            let number = q.id.to_string();
            let rest = name.strip_prefix(q.name.as_str()).or_else(|| name.strip_prefix(number.as_str()))?;
            rest.strip_prefix('.').map(str::to_owned)
        };
        let found = self.queries().iter().find_map(|q| Some((q, of(q)?)));
        let Some((query, rest)) = found else {
            let names: Vec<&str> = self.queries().iter().map(|q| q.name.as_str()).collect();
            let error = Error::sql(format!("no running query is named in '{name}'"));
            let near = nearest(name.split('.').next().unwrap_or_default(), names.iter().copied());
            return Err(match near {
                Some(near) => error.help(format!("did you mean '{near}'? SHOW STATE lists the operators")),
                None => error.help("write state('view.operator'), as SHOW STATE lists them"),
            });
        };
        let (operator, part) = rest.split_once('.').unwrap_or((rest.as_str(), ""));
        let stateful = &query.query.plan().stateful;
        let named = |s: &&crate::plan::StatefulOperator| s.name() == operator || s.id.to_string() == operator;
        let Some(stateful_operator) = stateful.iter().find(named) else {
            let names: Vec<String> = stateful.iter().map(crate::plan::StatefulOperator::name).collect();
            let error = Error::sql(format!("'{}' has no operator '{operator}' that keeps state", query.name));
            return Err(if names.is_empty() { error } else { error.help(format!("it has {}", names.join(", "))) });
        };
        let mut tables = query.query.contents(stateful_operator.id)?;
        let parts: Vec<&str> = tables.iter().map(|t| t.part).filter(|p| !p.is_empty()).collect();
        let help = format!("it has {}", parts.iter().map(|p| format!("'{name}.{p}'")).collect::<Vec<_>>().join(", "));
        if let Some(at) = tables.iter().position(|t| t.part == part) {
            return Ok(tables.swap_remove(at));
        }
        Err(match (tables.is_empty(), part.is_empty()) {
            (true, _) => Error::sql(format!("'{name}' holds nothing yet")).help("it does once an interval has run"),
            (false, true) => Error::sql(format!("'{name}' has more than one table")).help(help),
            (false, false) => Error::sql(format!("'{name}' is no table of its operator")),
        })
    }
}
