//! Windowing calls become the assignment of rows to windows.

use std::sync::Arc;

use datafusion::common::DFSchema;
use datafusion::logical_expr::{Expr, ExprSchemable};

use super::super::ROW_WATERMARK;
use super::super::attribute::{Attribute, TimeDomain, WindowRole};
use super::super::operator::{AssignOperator, Operator};
use super::linear::session_first;
use super::{Rewriter, Stream, node, qualified};
use crate::catalog::WindowNode;
use crate::change::WEIGHT_COLUMN;
use crate::error::{Error, Result};
use crate::time::{WindowSpec, unit_of, window_time_gap};

impl Rewriter<'_> {
    pub(super) fn window(&mut self, input: Stream, window: &WindowNode, want_watermark: bool) -> Result<Stream> {
        if input.session.is_some() {
            return Err(session_first());
        }
        let time = input.attribute(window.time());
        let domain = time.domain();
        let unit = unit_of(&window.time().get_type(input.schema())?);
        let Some(lag) = time.lag(window.spec(), window_time_gap(unit)) else {
            return Err(Error::unsupported(
                "windows over the start of a SESSION do not run: it may lie long before the end",
            )
            .help("use the session's window_time or window_end"));
        };
        let id = self.windows;
        self.windows += 1;
        if domain == TimeDomain::Processing {
            self.processing_time = true;
        }
        let session = match window.spec() {
            WindowSpec::Session { .. } if domain == TimeDomain::Unbounded => {
                return Err(Error::unsupported("SESSION over a column without a watermark does not run yet")
                    .help("declare WATERMARK FOR the column in the table's DDL"));
            }
            WindowSpec::Session { .. } => {
                if input.has(WEIGHT_COLUMN) {
                    return Err(Error::unsupported("SESSION over a result whose rows change does not run yet"));
                }
                let index = |key: &Expr| match key {
                    Expr::Column(c) => input.schema().maybe_index_of_column(c).ok_or_else(session_first),
                    _ => Err(session_first()),
                };
                Some((id, window.keys().iter().map(index).collect::<Result<Vec<_>>>()?))
            }
            _ => None,
        };
        let visible = input.attributes.len();
        let mut fields = qualified(input.schema());
        let kept = |name: &str| name == WEIGHT_COLUMN || (want_watermark && name == ROW_WATERMARK);
        let hidden: Vec<_> = fields.drain(visible..).filter(|(_, f)| kept(f.name())).collect();
        let added = window.schema_of_added();
        fields.extend(added.into_iter().map(|f| (None, f)));
        fields.extend(hidden);
        let schema = DFSchema::new_with_metadata(fields, input.schema().metadata().clone())?;
        // By a time of their own only: rows with columns of a window have been judged by that window.
        let judge_late = matches!(time, Attribute::EventTime { .. }) && input.has(ROW_WATERMARK);
        let roles = [WindowRole::Start, WindowRole::End, WindowRole::Time];
        let mut attributes = input.attributes.clone();
        attributes.extend(roles.map(|role| Attribute::Window { role, window: id, spec: window.spec(), domain, lag }));
        let operator = Operator::Assign(AssignOperator {
            time: window.time().clone(),
            spec: window.spec(),
            judge_late,
            sources: input.sources.iter().copied().collect(),
        });
        // Without a key of its own: HOP multiplies rows, and the windows are not part of the old key.
        let plan = node(operator, Some(input.plan), schema);
        Ok(Stream { plan, attributes, sources: input.sources, key: None, session })
    }
}

impl WindowNode {
    /// The fields that the call adds.
    fn schema_of_added(&self) -> Vec<arrow::datatypes::FieldRef> {
        let schema = datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(self);
        schema.fields().iter().skip(schema.fields().len() - 3).map(Arc::clone).collect()
    }
}
