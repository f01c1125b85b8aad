//! Whole numbers that leave the range of their type are an error: `+`, `-`, `*` and the minus sign in front.
//!
//! DataFusion's operators wrap around in silence. Its physical operator can be told to fail, but no option of the planner does
//! so; hence these functions, which stand in the place of the operators once types are settled (see `exact`). They keep the
//! operators' names, so columns are called as before. Divisions, floating point and decimals are DataFusion's own.

use std::sync::Arc;

use arrow::array::{ArrayRef, Datum};
use arrow::compute::kernels::numeric::{add, mul, neg, sub};
use arrow::datatypes::{DataType, Field, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_datafusion_err, internal_err};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

/// One operator over whole numbers of one type as the function that checks it.
pub(super) fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let whole = |expr: &Expr| expr.get_type(schema).ok().filter(DataType::is_integer);
    let kind = match &expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            Kind::of(*op).filter(|_| whole(left).is_some_and(|left| whole(right) == Some(left)))
        }
        Expr::Negative(inner) => whole(inner).map(|_| Kind::Negate),
        _ => None,
    };
    Ok(match (kind, expr) {
        (Some(kind), Expr::BinaryExpr(BinaryExpr { left, right, .. })) => {
            Transformed::yes(kind.function().call(vec![*left, *right]))
        }
        (Some(kind), Expr::Negative(inner)) => Transformed::yes(kind.function().call(vec![*inner])),
        (_, other) => Transformed::no(other),
    })
}

/// What a type of whole numbers is called in SQL.
pub(super) fn whole_type_name(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Int8 => "TINYINT",
        DataType::Int16 => "SMALLINT",
        DataType::Int32 => "INT",
        DataType::UInt8 => "TINYINT UNSIGNED",
        DataType::UInt16 => "SMALLINT UNSIGNED",
        DataType::UInt32 => "INT UNSIGNED",
        DataType::UInt64 => "BIGINT UNSIGNED",
        _ => "BIGINT",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Add,
    Subtract,
    Multiply,
    Negate,
}

impl Kind {
    fn of(op: Operator) -> Option<Self> {
        match op {
            Operator::Plus => Some(Self::Add),
            Operator::Minus => Some(Self::Subtract),
            Operator::Multiply => Some(Self::Multiply),
            _ => None,
        }
    }

    fn function(self) -> ScalarUDF {
        ScalarUDF::new_from_impl(Arithmetic { kind: self, signature: Signature::user_defined(Volatility::Immutable) })
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract | Self::Negate => "-",
            Self::Multiply => "*",
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Add => "checked_add",
            Kind::Subtract => "checked_subtract",
            Kind::Multiply => "checked_multiply",
            Kind::Negate => "checked_negate",
        }
    }

    /// As the operator's column is called.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [inner] => Ok(format!("(- {})", inner.schema_name())),
            [left, right] => Ok(format!("{} {} {}", left.schema_name(), self.kind.sign(), right.schema_name())),
            _ => internal_err!("{} of {} arguments", self.name(), args.len()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [first, ..] => Ok(first.clone()),
            [] => internal_err!("{} of nothing", self.name()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|f| f.data_type().clone()).collect();
        let nullable = args.arg_fields.iter().any(|f| f.is_nullable());
        Ok(Arc::new(Field::new(self.name(), self.return_type(&types)?, nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let kernel: fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError> = match self.kind {
            Kind::Add => add,
            Kind::Subtract => sub,
            Kind::Multiply => mul,
            Kind::Negate => |value, _| neg(value.get().0),
        };
        let data_type = args.return_field.data_type();
        let result = match args.args.as_slice() {
            [inner] => apply(inner, inner, kernel),
            [left, right] => apply(left, right, kernel),
            _ => return internal_err!("{} of {} arguments", self.name(), args.args.len()),
        };
        result.map_err(|error| match error.find_root() {
            datafusion::error::DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                ArrowError::ArithmeticOverflow(what) => {
                    let what = what.trim_start_matches("Overflow happened on: ");
                    let name = whole_type_name(data_type);
                    exec_datafusion_err!("{what} is out of the range of {name}: CAST to DECIMAL(38, 0) has more room")
                }
                _ => error,
            },
            _ => error,
        })
    }
}
