//! JSON in texts: the `json_*` functions and PostgreSQL's operators over them.
//!
//! | written | is |
//! |---|---|
//! | `j -> 'a'`, `j -> 0` | the value under the key or at the place (from 0; negative: from the end), as JSON text |
//! | `j ->> 'a'` | the same as text: a string without its quotes; JSON's null is NULL |
//! | `j #> ARRAY['a', 'b']`, `j #>> …` | the same along a path |
//!
//! JSON is text here, and text stays text: `->` gives text that further operators read. A text that is no JSON gives NULL.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ScalarUDF};
use datafusion_functions_json::udfs;
use sqlparser::ast::BinaryOperator;

/// The functions, with the names that PostgreSQL has for some.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    // `json_get` of the crate gives a union of all types, which no sink and no key can hold.
    let named = |udf: Arc<ScalarUDF>, aliases: &[&'static str]| {
        Arc::new(udf.as_ref().clone().with_aliases(aliases.iter().copied()))
    };
    vec![
        named(udfs::json_get_json_udf(), &["json_get", "json_extract_path", "jsonb_extract_path"]),
        named(udfs::json_as_text_udf(), &["json_extract_path_text", "jsonb_extract_path_text"]),
        named(udfs::json_length_udf(), &["json_array_length", "jsonb_array_length"]),
        udfs::json_get_str_udf(),
        udfs::json_get_int_udf(),
        udfs::json_get_float_udf(),
        udfs::json_get_bool_udf(),
        udfs::json_get_array_udf(),
        udfs::json_contains_udf(),
        named(udfs::json_object_keys_udf(), &["jsonb_object_keys"]),
    ]
}

/// Plans the operators.
#[derive(Debug)]
pub(super) struct JsonOperators;

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(&self, expr: RawBinaryExpr, _: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let function = match expr.op {
            BinaryOperator::Arrow | BinaryOperator::HashArrow => udfs::json_get_json_udf(),
            BinaryOperator::LongArrow | BinaryOperator::HashLongArrow => udfs::json_as_text_udf(),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        // A chain becomes one call with a longer path: the text is read once.
        let chained = matches!(expr.op, BinaryOperator::Arrow | BinaryOperator::LongArrow);
        let mut args = match expr.left {
            Expr::ScalarFunction(call)
                if chained && call.func == udfs::json_get_json_udf() && call.args.get(1..).is_some_and(is_path) =>
            {
                call.args
            }
            left => vec![left],
        };
        args.push(expr.right);
        Ok(PlannerResult::Planned(function.call(args)))
    }
}

/// Whether these are keys and places, and no lists of them.
fn is_path(args: &[Expr]) -> bool {
    args.iter().all(|arg| matches!(arg, Expr::Literal(ScalarValue::Utf8(_) | ScalarValue::Int64(_), _)))
}
