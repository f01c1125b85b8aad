//! Texts read as moments: `unix_timestamp`, and DataFusion's `to_timestamp` and `to_date` with Java patterns too.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef};
use chrono::{NaiveDate, NaiveDateTime};
use datafusion::common::{Result, ScalarValue};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

use super::arguments::Parameter::{MomentOrText, Text};
use super::arguments::{Arguments, Declared, bigint_type};
use super::moments::DEFAULT_PATTERN;
use super::pattern::Pattern;
use super::template::pattern_of_any;

/// The functions of this family.
pub(super) fn all() -> Vec<ScalarUDF> {
    let wrapped = |inner: Arc<ScalarUDF>| ScalarUDF::new_from_impl(JavaPatterns { inner: inner.as_ref().clone() });
    let unix_timestamp = Declared {
        optional: 1,
        without_arguments: "write to_unixtime(now())",
        // unix_timestamp(moment) or (text[, pattern]): seconds since 1970; NULL for a text that the pattern does not read.
        ..Declared::new("unix_timestamp", &[MomentOrText, Text], bigint_type, unix_timestamp)
    };
    vec![
        unix_timestamp.function(),
        wrapped(datafusion::functions::datetime::to_timestamp(&ConfigOptions::default())),
        wrapped(datafusion::functions::datetime::to_date()),
    ]
}

fn unix_timestamp(arguments: &Arguments) -> Result<ArrayRef> {
    if matches!(arguments.data_type(0), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) {
        let moments = arguments.moments(0)?;
        let seconds = |row| moments.get(row).map(|micros: i64| micros.div_euclid(1_000_000));
        return Ok(Arc::new((0..arguments.rows()).map(seconds).collect::<Int64Array>()));
    }
    let texts = arguments.texts(0)?;
    let patterns = (arguments.len() > 1).then(|| arguments.texts(1)).transpose()?;
    let constant = match &patterns {
        Some(patterns) => patterns.constant().map(Pattern::compile).transpose()?,
        None => Some(Pattern::compile(DEFAULT_PATTERN)?),
    };
    let seconds = |row: usize| -> Result<Option<i64>> {
        let Some(text) = texts.get(row) else { return Ok(None) };
        let pattern = match (&constant, patterns.as_ref().and_then(|p| p.get(row))) {
            (Some(pattern), _) => pattern.clone(),
            (None, Some(pattern)) => Pattern::compile(pattern)?,
            (None, None) => return Ok(None),
        };
        Ok(read(text, pattern.strftime()).map(|t| t.and_utc().timestamp()))
    };
    Ok(Arc::new((0..arguments.rows()).map(seconds).collect::<Result<Int64Array>>()?))
}

fn read(text: &str, strftime: &str) -> Option<NaiveDateTime> {
    let zoned = || chrono::DateTime::parse_from_str(text, strftime).ok().map(|t| t.naive_utc());
    let plain = || NaiveDateTime::parse_from_str(text, strftime).ok();
    let date = || NaiveDate::parse_from_str(text, strftime).ok()?.and_hms_opt(0, 0, 0);
    zoned().or_else(plain).or_else(date)
}

/// A pattern of any kind as strftime's.
fn strftime(pattern: &str) -> Result<String> {
    Ok(Pattern::compile(&pattern_of_any(pattern)?)?.strftime().to_owned())
}

/// One of DataFusion's functions, whose patterns (all arguments but the first) may be Java's or PostgreSQL's.
#[derive(Debug, PartialEq, Eq, Hash)]
struct JavaPatterns {
    inner: ScalarUDF,
}

impl ScalarUDFImpl for JavaPatterns {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = self.inner.inner().with_updated_config(config)?;
        Some(ScalarUDF::new_from_impl(Self { inner }))
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        for pattern in args.args.iter_mut().skip(1) {
            *pattern = match &*pattern {
                ColumnarValue::Scalar(scalar) => ColumnarValue::Scalar(match scalar.try_as_str().flatten() {
                    Some(text) => ScalarValue::Utf8(Some(strftime(text)?)),
                    None => ScalarValue::Utf8(None),
                }),
                ColumnarValue::Array(array) => {
                    let texts = cast(array, &DataType::Utf8)?;
                    let compiled = texts.as_string::<i32>().iter().map(|text| text.map(strftime).transpose());
                    ColumnarValue::Array(Arc::new(compiled.collect::<Result<StringArray>>()?))
                }
            };
        }
        self.inner.invoke_with_args(args)
    }
}
