//! `if(condition, then, else)`, which is CASE: only the branch that is taken may fail.

use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::kernels::zip::zip;
use arrow::compute::prep_null_mask_filter;
use arrow::datatypes::DataType;
use datafusion::common::{Result, plan_datafusion_err, plan_err};
use datafusion::logical_expr::expr::Case;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The functions of this family.
pub(super) fn all() -> Vec<ScalarUDF> {
    vec![ScalarUDF::new_from_impl(If { signature: Signature::user_defined(Volatility::Immutable) })]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct If {
    signature: Signature,
}

impl ScalarUDFImpl for If {
    fn name(&self) -> &str {
        "if"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [condition, then, otherwise] = types else {
            return plan_err!("if takes a condition and two values, not {} arguments", types.len());
        };
        if !matches!(condition, DataType::Boolean | DataType::Null) {
            return plan_err!("the condition of if is BOOLEAN, not {condition}");
        }
        let common = type_union_resolution(&[then.clone(), otherwise.clone()])
            .ok_or_else(|| plan_datafusion_err!("the two values of if have no common type: {then} and {otherwise}"))?;
        Ok(vec![DataType::Boolean, common.clone(), common])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [_, then, otherwise] => Ok(if then.is_null() { otherwise.clone() } else { then.clone() }),
            _ => plan_err!("if takes a condition and two values, not {} arguments", types.len()),
        }
    }

    fn short_circuits(&self) -> bool {
        true
    }

    fn simplify(&self, arguments: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let Ok([condition, then, otherwise]) = <[Expr; 3]>::try_from(arguments.clone()) else {
            return Ok(ExprSimplifyResult::Original(arguments));
        };
        let case = Case::new(None, vec![(Box::new(condition), Box::new(then))], Some(Box::new(otherwise)));
        Ok(ExprSimplifyResult::Simplified(Expr::Case(case)))
    }

    /// Where a plan was not simplified.
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let mask: &BooleanArray = arrays[0].as_boolean();
        let mask = if mask.null_count() > 0 { prep_null_mask_filter(mask) } else { mask.clone() };
        Ok(ColumnarValue::Array(zip(&mask, &arrays[1], &arrays[2])?))
    }
}
