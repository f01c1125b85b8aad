//! Types as the planner knows them, whatever engine's word was written.
//!
//! `TIMESTAMP` without a precision is microseconds, and other precisions are the next one that Arrow has (0, 3, 6, 9);
//! `BYTES` and its relatives are `BYTEA`; `TIME(p)` is `TIME`; a few words that sqlparser does not know (`LONG`, `SHORT`,
//! `INT32` …) are what they say. Angle-bracket types have been dealt with as tokens (see `tokens`).

use sqlparser::ast::{ArrayElemTypeDef, DataType};

/// Brings a type to its one form.
pub(super) fn normalize(data_type: &mut DataType) {
    match data_type {
        DataType::Timestamp(precision, _) => *precision = Some(arrow_precision(*precision)),
        DataType::Datetime(precision) => {
            *data_type = DataType::Timestamp(Some(arrow_precision(*precision)), sqlparser::ast::TimezoneInfo::None);
        }
        DataType::Time(precision, _) => *precision = None,
        DataType::Bytes(_) | DataType::Binary(_) | DataType::Varbinary(_) | DataType::Blob(_) => {
            *data_type = DataType::Bytea
        }
        DataType::Int64 => *data_type = DataType::BigInt(None),
        DataType::UInt64 => *data_type = DataType::BigIntUnsigned(None),
        DataType::UInt32 => *data_type = DataType::IntUnsigned(None),
        DataType::Int32 => *data_type = DataType::Int(None),
        DataType::Int16 => *data_type = DataType::SmallInt(None),
        DataType::Float64 => *data_type = DataType::Double(sqlparser::ast::ExactNumberInfo::None),
        DataType::Float32 => *data_type = DataType::Real,
        DataType::Character(length) => *data_type = DataType::Char(*length),
        DataType::CharacterVarying(length) | DataType::CharVarying(length) | DataType::Nvarchar(length) => {
            *data_type = DataType::Varchar(*length);
        }
        DataType::Dec(info) => *data_type = DataType::Decimal(*info),
        DataType::Custom(name, modifiers) if modifiers.is_empty() => {
            match name.to_string().to_ascii_uppercase().as_str() {
                "LONG" => *data_type = DataType::BigInt(None),
                "SHORT" => *data_type = DataType::SmallInt(None),
                "BYTE" => *data_type = DataType::TinyInt(None),
                _ => {}
            }
        }
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(inner)
            | ArrayElemTypeDef::SquareBracket(inner, _)
            | ArrayElemTypeDef::Parenthesis(inner),
        ) => normalize(inner),
        DataType::Map(key, value) => {
            normalize(key);
            normalize(value);
        }
        DataType::Struct(fields, _) => fields.iter_mut().for_each(|field| normalize(&mut field.field_type)),
        _ => {}
    }
}

/// The precision of Arrow's that holds this one.
fn arrow_precision(precision: Option<u64>) -> u64 {
    match precision {
        None | Some(4..=6) => 6,
        Some(0) => 0,
        Some(1..=3) => 3,
        Some(_) => 9,
    }
}
