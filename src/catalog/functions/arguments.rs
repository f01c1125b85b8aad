//! A function over columns in a few lines: what its parameters take, and its arguments as columns or constants.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, LargeStringArray, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Parameter {
    /// A text of any of Arrow's types.
    Text,
    /// A whole number, seen as BIGINT.
    Integer,
    /// A timestamp of any unit, with or without a zone, or a date.
    Moment,
    /// Either of the two.
    MomentOrText,
    /// A number of any type, seen as DOUBLE.
    Number,
    /// A whole number or a text.
    IntegerOrText,
    /// Any value, seen as a text.
    Anything,
}

/// A function as its file declares it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared {
    /// Its name, in lower case.
    pub(super) name: &'static str,
    /// Its parameters.
    pub(super) parameters: &'static [Parameter],
    /// How many of the last ones may be left out.
    pub(super) optional: usize,
    /// Whether the last one may be repeated.
    pub(super) repeats: bool,
    /// Its type, by those of the arguments.
    pub(super) result: fn(&[DataType]) -> DataType,
    /// What it does.
    pub(super) body: fn(&Arguments) -> Result<ArrayRef>,
    /// What to say where there are no arguments at all, when that has a meaning elsewhere.
    pub(super) without_arguments: &'static str,
}

impl Declared {
    /// A function with these parameters, none optional.
    pub(super) const fn new(
        name: &'static str,
        parameters: &'static [Parameter],
        result: fn(&[DataType]) -> DataType,
        body: fn(&Arguments) -> Result<ArrayRef>,
    ) -> Self {
        Self { name, parameters, optional: 0, repeats: false, result, body, without_arguments: "" }
    }

    /// The function for DataFusion.
    pub(super) fn function(self) -> ScalarUDF {
        self.named(&[])
    }

    /// The function for DataFusion, under other names too.
    pub(super) fn named(self, aliases: &[&str]) -> ScalarUDF {
        let aliases = aliases.iter().map(|alias| (*alias).to_owned()).collect();
        ScalarUDF::new_from_impl(Function {
            declared: self,
            aliases,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }
}

/// The type of texts that functions make.
pub(super) fn text_type(_: &[DataType]) -> DataType {
    DataType::Utf8
}

/// BIGINT.
pub(super) fn bigint_type(_: &[DataType]) -> DataType {
    DataType::Int64
}

/// INT.
pub(super) fn int_type(_: &[DataType]) -> DataType {
    DataType::Int32
}

#[derive(Debug)]
struct Function {
    declared: Declared,
    aliases: Vec<String>,
    signature: Signature,
}

// A function is its name: there is one of each.
impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.declared.name == other.declared.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.declared.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.declared.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let Declared { name, parameters, optional, repeats, without_arguments, .. } = &self.declared;
        if types.is_empty() && !without_arguments.is_empty() {
            return plan_err!("{name}() without arguments is not supported: {without_arguments}");
        }
        let (least, most) = (parameters.len() - optional, if *repeats { usize::MAX } else { parameters.len() });
        if !(least..=most).contains(&types.len()) {
            let expected = match most {
                usize::MAX => format!("{least} or more"),
                most if most == least => format!("{least}"),
                most => format!("{least} to {most}"),
            };
            return plan_err!("{name} takes {expected} arguments, not {}", types.len());
        }
        let last = parameters.len() - 1;
        let coerced = types.iter().enumerate().map(|(i, given)| match parameters[i.min(last)].coerce(given) {
            Some(coerced) => Ok(coerced),
            None => plan_err!("argument {} of {name} is {}, not {given}", i + 1, parameters[i.min(last)].described()),
        });
        coerced.collect()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok((self.declared.result)(types))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let array = (self.declared.body)(&Arguments { values: args.args, rows })?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

impl Parameter {
    fn coerce(self, given: &DataType) -> Option<DataType> {
        let plain = match given {
            DataType::Dictionary(_, value) => value,
            other => other,
        };
        let text = || match plain {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Some(plain.clone()),
            DataType::Null => Some(DataType::Utf8),
            _ => None,
        };
        let moment = || match plain {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Some(plain.clone()),
            DataType::Null => Some(DataType::Timestamp(TimeUnit::Microsecond, None)),
            _ => None,
        };
        match self {
            Self::Text => text(),
            Self::Integer => (plain.is_integer() || plain.is_null()).then_some(DataType::Int64),
            Self::Moment => moment(),
            Self::MomentOrText => moment().or_else(text),
            Self::Number => (plain.is_numeric() || plain.is_null()).then_some(DataType::Float64),
            Self::IntegerOrText => {
                if plain.is_integer() {
                    Some(DataType::Int64)
                } else {
                    text()
                }
            }
            Self::Anything => Some(text().unwrap_or(DataType::Utf8)),
        }
    }

    fn described(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Moment => "a TIMESTAMP or DATE (write CAST(x AS TIMESTAMP) for a text)",
            Self::MomentOrText => "a TIMESTAMP, a DATE or a text",
            Self::Number => "a number",
            Self::IntegerOrText => "a whole number or a text",
            Self::Anything => "a value",
        }
    }
}

/// The arguments of a call.
pub(super) struct Arguments {
    values: Vec<ColumnarValue>,
    rows: usize,
}

impl Arguments {
    /// How many rows the result has.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// How many arguments there are.
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// The type of an argument.
    pub(super) fn data_type(&self, index: usize) -> DataType {
        self.values[index].data_type()
    }

    /// An argument as texts.
    pub(super) fn texts(&self, index: usize) -> Result<Texts> {
        let (array, constant) = self.array(index)?;
        Ok(match array.data_type() {
            _ if constant => Texts::Constant(array),
            DataType::Utf8 => Texts::Small(array.as_string().clone()),
            DataType::LargeUtf8 => Texts::Large(array.as_string().clone()),
            _ => Texts::View(cast(&array, &DataType::Utf8View)?.as_string_view().clone()),
        })
    }

    /// An argument as BIGINTs.
    pub(super) fn integers(&self, index: usize) -> Result<Integers> {
        let (array, constant) = self.array(index)?;
        Ok(Integers { values: cast(&array, &DataType::Int64)?.as_primitive::<Int64Type>().clone(), constant })
    }

    /// An argument as DOUBLEs.
    pub(super) fn numbers(&self, index: usize) -> Result<Numbers> {
        let (array, constant) = self.array(index)?;
        Ok(Numbers { values: cast(&array, &DataType::Float64)?.as_primitive::<Float64Type>().clone(), constant })
    }

    /// An argument as microseconds since 1970 UTC, and its zone.
    pub(super) fn moments(&self, index: usize) -> Result<Moments> {
        let (array, constant) = self.array(index)?;
        let zone = match array.data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        let micros = cast(&array, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
        Ok(Moments { values: micros.as_primitive::<TimestampMicrosecondType>().clone(), constant, zone })
    }

    /// An argument as one array, and whether it is of a single row that stands for all.
    pub(super) fn array(&self, index: usize) -> Result<(ArrayRef, bool)> {
        Ok(match &self.values[index] {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        })
    }
}

/// Texts, one per row or the same for all.
pub(super) enum Texts {
    Constant(ArrayRef),
    Small(StringArray),
    Large(LargeStringArray),
    View(StringViewArray),
}

impl Texts {
    /// The text of a row.
    pub(super) fn get(&self, row: usize) -> Option<&str> {
        match self {
            Self::Constant(array) => match array.data_type() {
                _ if array.is_null(0) => None,
                DataType::Utf8 => Some(array.as_string::<i32>().value(0)),
                DataType::LargeUtf8 => Some(array.as_string::<i64>().value(0)),
                DataType::Utf8View => Some(array.as_string_view().value(0)),
                _ => None,
            },
            Self::Small(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Large(array) => array.is_valid(row).then(|| array.value(row)),
            Self::View(array) => array.is_valid(row).then(|| array.value(row)),
        }
    }

    /// The text, when it is the same for all rows and not NULL.
    pub(super) fn constant(&self) -> Option<&str> {
        matches!(self, Self::Constant(_)).then(|| self.get(0)).flatten()
    }
}

/// Whole numbers, one per row or the same for all.
pub(super) struct Integers {
    values: Int64Array,
    constant: bool,
}

impl Integers {
    /// The number of a row.
    pub(super) fn get(&self, row: usize) -> Option<i64> {
        let row = if self.constant { 0 } else { row };
        self.values.is_valid(row).then(|| self.values.value(row))
    }
}

/// Numbers, one per row or the same for all.
pub(super) struct Numbers {
    values: Float64Array,
    constant: bool,
}

impl Numbers {
    /// The number of a row.
    pub(super) fn get(&self, row: usize) -> Option<f64> {
        let row = if self.constant { 0 } else { row };
        self.values.is_valid(row).then(|| self.values.value(row))
    }
}

/// Moments, one per row or the same for all.
pub(super) struct Moments {
    values: TimestampMicrosecondArray,
    constant: bool,
    zone: Option<Arc<str>>,
}

impl Moments {
    /// Microseconds since 1970 UTC in a row.
    pub(super) fn get(&self, row: usize) -> Option<i64> {
        let row = if self.constant { 0 } else { row };
        self.values.is_valid(row).then(|| self.values.value(row))
    }

    /// The zone that they are shown in.
    pub(super) fn zone(&self) -> Option<&str> {
        self.zone.as_deref()
    }
}
