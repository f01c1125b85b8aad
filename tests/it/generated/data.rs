//! The tables of a case, and random rows for them: few keys, NULLs, duplicates, ties, and the ends of what a type can hold.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType,
};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use super::query::Type;

/// A table of a case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Type)],
}

/// The tables. `e` has a watermark, [`DELAY_MS`] behind.
pub(crate) const TABLES: [Table; 4] = [
    Table { name: "a", columns: &[("k", Type::Int), ("v", Type::Int), ("s", Type::Text), ("d", Type::Float)] },
    Table { name: "b", columns: &[("k", Type::Int), ("w", Type::Int), ("s", Type::Text), ("f", Type::Bool)] },
    Table { name: "c", columns: &[("id", Type::Int), ("k", Type::Int), ("d", Type::Float)] },
    Table { name: "e", columns: &[("k", Type::Int), ("v", Type::Int), ("s", Type::Text), ("ts", Type::Time)] },
];

/// The table of events.
pub(crate) const EVENTS: usize = 3;

/// How far the watermark of `e` is behind.
pub(crate) const DELAY_MS: i64 = 5_000;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Float(f64),
    Text(String),
    Bool(bool),
    /// Milliseconds.
    Time(i64),
}

pub(crate) type Row = Vec<Value>;

impl Value {
    fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What values are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Flavour {
    /// A few small ones, so that they meet.
    Small,
    /// Among them large ones, NaN, −0.0, texts of many kinds.
    Extreme,
}

impl Table {
    pub(crate) fn schema(&self) -> SchemaRef {
        let field = |(name, t): &(&str, Type)| Field::new(*name, arrow_type(*t), true);
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    pub(crate) fn batch(&self, rows: &[Row]) -> RecordBatch {
        let columns = self.columns.iter().enumerate().map(|(at, (_, t))| column(*t, rows.iter().map(|r| &r[at])));
        RecordBatch::try_new(self.schema(), columns.collect()).expect("columns of one length")
    }

    /// A row; `now` is the event time (ms) that the rows have come to.
    pub(crate) fn row(&self, rng: &mut SmallRng, flavour: Flavour, now: i64) -> Row {
        let value = |rng: &mut SmallRng, (name, t): &(&str, Type)| match t {
            Type::Time if rng.random_bool(0.04) => Value::Null,
            Type::Time => {
                let late = *[0, 0, 0, 1, 999, 2_000, DELAY_MS].choose(rng).expect("some");
                Value::Time(now - late)
            }
            _ if rng.random_bool(0.1) => Value::Null,
            Type::Int if *name == "k" || *name == "id" => Value::Int(rng.random_range(0..4)),
            Type::Int if flavour == Flavour::Extreme && rng.random_bool(0.2) => {
                // Beyond what a float holds exactly, but no sum or product of a query leaves the range: that is an error, where
                // plain DataFusion wraps around.
                Value::Int(*[1 << 53, (1 << 53) + 1, -(1 << 53) - 1, -1, 1 << 32].choose(rng).expect("some"))
            }
            Type::Int => Value::Int(rng.random_range(-2..8)),
            Type::Float if flavour == Flavour::Extreme && rng.random_bool(0.4) => {
                let some = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 1e15];
                Value::Float(*some.choose(rng).expect("some"))
            }
            // Sums of such are exact in any order.
            Type::Float => Value::Float(f64::from(rng.random_range(-6..10)) * 0.25),
            Type::Text if flavour == Flavour::Extreme && rng.random_bool(0.3) => {
                Value::text([" x", "x ", "X", "é", "日本", "NULL", "'", "%", "0"].choose(rng).expect("some"))
            }
            Type::Text => Value::text(["x", "y", "xy", ""].choose(rng).expect("some")),
            Type::Bool => Value::Bool(rng.random_bool(0.5)),
        };
        self.columns.iter().map(|c| value(rng, c)).collect()
    }

    /// The rows of a batch of this table's columns.
    pub(crate) fn rows(&self, batch: &RecordBatch) -> Vec<Row> {
        let value = |row: usize, column: &ArrayRef, t: Type| match t {
            _ if column.is_null(row) => Value::Null,
            Type::Int => Value::Int(column.as_primitive::<Int64Type>().value(row)),
            Type::Float => Value::Float(column.as_primitive::<Float64Type>().value(row)),
            Type::Text => Value::text(column.as_string::<i32>().value(row)),
            Type::Bool => Value::Bool(column.as_boolean().value(row)),
            Type::Time => Value::Time(column.as_primitive::<TimestampMillisecondType>().value(row)),
        };
        let columns: Vec<ArrayRef> = (self.columns.iter().zip(batch.columns()))
            .map(|((_, t), c)| arrow::compute::cast(c, &arrow_type(*t)).expect("the type of the column"))
            .collect();
        let row = |row| self.columns.iter().zip(&columns).map(|((_, t), c)| value(row, c, *t)).collect();
        (0..batch.num_rows()).map(row).collect()
    }

    /// `CREATE TABLE` for readers that have tables.
    pub(crate) fn ddl(&self) -> String {
        let columns: Vec<_> = self.columns.iter().map(|(name, t)| format!("{name} {}", sql_type(*t))).collect();
        format!("CREATE TABLE {} ({})", self.name, columns.join(", "))
    }
}

fn arrow_type(t: Type) -> DataType {
    match t {
        Type::Int => DataType::Int64,
        Type::Float => DataType::Float64,
        Type::Text => DataType::Utf8,
        Type::Bool => DataType::Boolean,
        Type::Time => DataType::Timestamp(TimeUnit::Millisecond, None),
    }
}

pub(crate) fn sql_type(t: Type) -> &'static str {
    match t {
        Type::Int => "BIGINT",
        Type::Float => "DOUBLE",
        Type::Text => "VARCHAR",
        Type::Bool => "BOOLEAN",
        Type::Time => "TIMESTAMP(3)",
    }
}

fn column<'a>(t: Type, values: impl Iterator<Item = &'a Value>) -> ArrayRef {
    macro_rules! of {
        ($array:ty, $variant:ident) => {
            Arc::new(<$array>::from_iter(values.map(|v| match v {
                Value::$variant(v) => Some(v.clone()),
                _ => None,
            })))
        };
    }
    match t {
        Type::Int => of!(Int64Array, Int),
        Type::Float => of!(Float64Array, Float),
        Type::Text => of!(StringArray, Text),
        Type::Bool => of!(BooleanArray, Bool),
        Type::Time => of!(TimestampMillisecondArray, Time),
    }
}

/// A row as a line of JSON; numbers that JSON has no word for are strings.
pub(crate) fn json(table: &Table, row: &Row) -> String {
    let mut text = format!("{{\"table\":\"{}\"", table.name);
    for ((name, _), value) in table.columns.iter().zip(row) {
        let value = match value {
            Value::Null => continue,
            Value::Int(v) => v.to_string(),
            Value::Float(v) if v.is_finite() => format!("{v:?}"),
            Value::Float(v) => format!("\"{v}\""),
            Value::Text(v) => serde_json::to_string(v).expect("a string"),
            Value::Bool(v) => v.to_string(),
            Value::Time(v) => v.to_string(),
        };
        write!(text, ",\"{name}\":{value}").expect("text");
    }
    text + "}"
}

/// A value as SQL has it.
pub(crate) fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        // Its positive is out of range.
        Value::Int(i64::MIN) => format!("({} - 1)", i64::MIN + 1),
        Value::Int(v) => v.to_string(),
        Value::Float(v) if v.is_finite() => format!("CAST('{v:?}' AS DOUBLE)"),
        Value::Float(v) if v.is_nan() => "CAST('NaN' AS DOUBLE)".to_owned(),
        Value::Float(v) => format!("CAST('{}' AS DOUBLE)", if *v > 0.0 { "Infinity" } else { "-Infinity" }),
        Value::Text(v) => format!("'{}'", v.replace('\'', "''")),
        Value::Bool(v) => v.to_string(),
        Value::Time(v) => format!("CAST('{}' AS TIMESTAMP(3))", tidemill::time::Timestamp(v * 1000)),
    }
}
