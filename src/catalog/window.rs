//! A windowing call as a node of the logical plan: its input's columns and `window_start`, `window_end`, `window_time`.
//!
//! `window_time` is `window_end` less one unit of milliseconds: the last instant that belongs to the window, and a time
//! attribute itself, so that windows over windows cascade on it.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::{DFSchema, DFSchemaRef};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, UserDefinedLogicalNodeCore};

use crate::time::WindowSpec;

/// The columns that a windowing call adds, in order.
pub const WINDOW_COLUMNS: [&str; 3] = ["window_start", "window_end", "window_time"];

/// Assignment of rows to windows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowNode {
    input: LogicalPlan,
    time: Expr,
    spec: WindowSpec,
    /// SESSION's PARTITION BY.
    keys: Vec<Expr>,
    schema: DFSchemaRef,
}

impl WindowNode {
    /// Puts the rows of `input` into windows by `time`.
    ///
    /// # Errors
    /// When `time` is no timestamp.
    pub fn try_new(input: LogicalPlan, time: Expr, spec: WindowSpec, keys: Vec<Expr>) -> Result<Self> {
        let data_type = time.get_type(input.schema())?;
        if !matches!(data_type, DataType::Timestamp(..)) {
            return Err(DataFusionError::Plan(format!("the time of a window is a timestamp, not {data_type}")));
        }
        let mut fields: Vec<_> = input.schema().iter().map(|(q, f)| (q.cloned(), Arc::clone(f))).collect();
        fields.extend(WINDOW_COLUMNS.map(|name| (None, Arc::new(Field::new(name, data_type.clone(), true)))));
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        Ok(Self { input, time, spec, keys, schema: Arc::new(schema) })
    }

    /// What is put into windows.
    pub fn input(&self) -> &LogicalPlan {
        &self.input
    }

    /// The time that decides.
    pub fn time(&self) -> &Expr {
        &self.time
    }

    /// How.
    pub fn spec(&self) -> WindowSpec {
        self.spec
    }

    /// SESSION's PARTITION BY.
    pub fn keys(&self) -> &[Expr] {
        &self.keys
    }
}

impl PartialOrd for WindowNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (&self.input, &self.time, &self.spec).partial_cmp(&(&other.input, &other.time, &other.spec))
    }
}

impl UserDefinedLogicalNodeCore for WindowNode {
    fn name(&self) -> &'static str {
        "Window"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        std::iter::once(self.time.clone()).chain(self.keys.iter().cloned()).collect()
    }

    /// A filter on columns of the input may run before the assignment, but not before sessions: it would cut them.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        match self.spec {
            WindowSpec::Session { .. } => self.schema.fields().iter().map(|f| f.name().clone()).collect(),
            _ => WINDOW_COLUMNS.iter().map(ToString::to_string).collect(),
        }
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Window: {} on {}", self.spec, self.time)?;
        if !self.keys.is_empty() {
            let keys: Vec<_> = self.keys.iter().map(ToString::to_string).collect();
            write!(f, " per {}", keys.join(", "))?;
        }
        Ok(())
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let mut exprs = exprs.into_iter();
        let (Some(time), Some(input)) = (exprs.next(), inputs.into_iter().next()) else {
            return Err(DataFusionError::Internal("a window needs its time and its input".to_owned()));
        };
        Self::try_new(input, time, self.spec, exprs.collect())
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.input.schema().fields().len();
        let mut needed: Vec<usize> = output_columns.iter().copied().filter(|i| *i < width).collect();
        for expr in std::iter::once(&self.time).chain(&self.keys) {
            for column in expr.column_refs() {
                needed.push(self.input.schema().maybe_index_of_column(column)?);
            }
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
