//! SQL types as Arrow types, where tidemill's choice differs from DataFusion's.
//!
//! `TIMESTAMP` without a precision is microseconds, as in PostgreSQL and Flink (nanoseconds would overflow in 2262);
//! `TIMESTAMP(3)` is milliseconds. `TIMESTAMP WITH TIME ZONE` and `TIMESTAMP_LTZ` hold an instant and carry the zone UTC.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::planner::TypePlanner;
use sqlparser::ast::{self, TimezoneInfo};

/// The type planner.
#[derive(Debug)]
pub(super) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql_type: &ast::DataType) -> Result<Option<FieldRef>> {
        let data_type = own_type(sql_type)?;
        Ok(data_type.map(|t| Arc::new(Field::new("", t, true)) as FieldRef))
    }
}

fn own_type(sql_type: &ast::DataType) -> Result<Option<DataType>> {
    Ok(Some(match sql_type {
        ast::DataType::Timestamp(precision, zone) => {
            timestamp(*precision, !matches!(zone, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone))?
        }
        ast::DataType::TimestampNtz(precision) => timestamp(*precision, false)?,
        ast::DataType::Datetime(precision) => timestamp(*precision, false)?,
        ast::DataType::Bytes(_) => DataType::Binary,
        ast::DataType::Map(key, value) => {
            let (Some(key), Some(value)) = (plain(key)?, plain(value)?) else { return Ok(None) };
            let entries = vec![Field::new("key", key, false), Field::new("value", value, true)];
            DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false)
        }
        ast::DataType::Custom(name, arguments) => {
            let precision = arguments.first().and_then(|a| a.parse().ok());
            match name.to_string().to_ascii_lowercase().as_str() {
                "timestamp_ltz" => timestamp(precision, true)?,
                "timestamp_ntz" => timestamp(precision, false)?,
                "string" => DataType::Utf8,
                "bytes" => DataType::Binary,
                _ => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}

/// The few types that a MAP is made of; anything else is DataFusion's to plan.
fn plain(sql_type: &ast::DataType) -> Result<Option<DataType>> {
    Ok(match sql_type {
        ast::DataType::Varchar(_) | ast::DataType::Text | ast::DataType::String(_) => Some(DataType::Utf8),
        ast::DataType::Int(_) | ast::DataType::Integer(_) => Some(DataType::Int32),
        ast::DataType::BigInt(_) => Some(DataType::Int64),
        ast::DataType::Double(_) => Some(DataType::Float64),
        ast::DataType::Boolean => Some(DataType::Boolean),
        other => own_type(other)?,
    })
}

fn timestamp(precision: Option<u64>, zoned: bool) -> Result<DataType> {
    let unit = match precision {
        Some(0) => TimeUnit::Second,
        Some(1..=3) => TimeUnit::Millisecond,
        None | Some(4..=6) => TimeUnit::Microsecond,
        Some(7..=9) => TimeUnit::Nanosecond,
        Some(other) => {
            return Err(DataFusionError::Plan(format!(
                "TIMESTAMP({other}): the precision is 0 to 9 digits of a second"
            )));
        }
    };
    Ok(DataType::Timestamp(unit, zoned.then(|| "UTC".into())))
}
