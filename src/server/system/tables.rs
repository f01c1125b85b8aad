//! The rows of the system catalog, from the engine's relations.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Int16Array, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Int16Type, Int32Type, Schema};
use arrow_pg::datatypes::{PG_CHAR_KEY, PG_OID_ALIAS_KEY};
use pgwire::api::Type;
use postgres_types::Kind;

use super::schemas::TABLES;
use super::{Facts, INFORMATION_SCHEMA, PG_CATALOG};
use crate::engine::RelationInfo;
use crate::error::Result;
use crate::server::rows::{modifier, pg_type, size};

/// The schema that the engine's relations are in.
pub(super) const PUBLIC: &str = "public";
const PUBLIC_OID: i64 = 2_200;
const PG_CATALOG_OID: i64 = 11;
const INFORMATION_SCHEMA_OID: i64 = 13_000;
const OWNER_OID: i64 = 10;
const DATABASE_OID: i64 = 5;
const HEAP_OID: i64 = 2;

/// A value of a column.
enum Cell {
    Number(i64),
    Text(String),
    Bool(bool),
}

/// The values of a row that are not the usual ones, by column.
type Row = BTreeMap<&'static str, Cell>;

/// The tables of a schema.
pub(super) fn of_schema(schema: &str, facts: &Facts) -> Result<Vec<(&'static str, RecordBatch)>> {
    let tables = TABLES.iter().filter(|t| t.schema == schema);
    tables.map(|t| Ok((t.name, batch(t.columns, &rows_of(schema, t.name, facts))?))).collect()
}

/// Whether a table is there and has no rows.
pub(super) fn is_empty(schema: &str, table: &str, facts: &Facts) -> bool {
    super::schemas::is_table(schema, table) && rows_of(schema, table, facts).is_empty()
}

/// The oid of a relation: a digest of its name, so that it is the same from one query to the next.
pub(super) fn oid_of(name: &str) -> i64 {
    // FNV-1a.
    let digest = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    16_384 + i64::try_from(digest % (1 << 30)).unwrap_or_default()
}

/// The name of a schema.
pub(super) fn namespace(oid: i64) -> Option<&'static str> {
    match oid {
        PUBLIC_OID => Some(PUBLIC),
        PG_CATALOG_OID => Some(PG_CATALOG),
        INFORMATION_SCHEMA_OID => Some(INFORMATION_SCHEMA),
        _ => None,
    }
}

/// The types that there are.
pub(super) fn types() -> Vec<Type> {
    let single = [
        Type::BOOL,
        Type::BYTEA,
        Type::CHAR,
        Type::NAME,
        Type::INT8,
        Type::INT2,
        Type::INT4,
        Type::TEXT,
        Type::OID,
        Type::JSON,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::VARCHAR,
        Type::BPCHAR,
        Type::DATE,
        Type::TIME,
        Type::TIMESTAMP,
        Type::TIMESTAMPTZ,
        Type::INTERVAL,
        Type::NUMERIC,
        Type::RECORD,
        Type::UUID,
        Type::JSONB,
        Type::UNKNOWN,
        Type::REGCLASS,
        Type::REGTYPE,
    ];
    let arrays = [
        Type::BOOL_ARRAY,
        Type::BYTEA_ARRAY,
        Type::INT2_ARRAY,
        Type::INT4_ARRAY,
        Type::INT8_ARRAY,
        Type::TEXT_ARRAY,
        Type::FLOAT4_ARRAY,
        Type::FLOAT8_ARRAY,
        Type::VARCHAR_ARRAY,
        Type::DATE_ARRAY,
        Type::TIME_ARRAY,
        Type::TIMESTAMP_ARRAY,
        Type::TIMESTAMPTZ_ARRAY,
        Type::INTERVAL_ARRAY,
        Type::NUMERIC_ARRAY,
        Type::RECORD_ARRAY,
        Type::OID_ARRAY,
    ];
    single.into_iter().chain(arrays).collect()
}

/// A type by its SQL name, as `format_type` and `information_schema` have it.
pub(super) fn sql_name(of: &Type) -> String {
    if let Kind::Array(item) = of.kind() {
        return format!("{}[]", sql_name(item));
    }
    let name = match *of {
        Type::BOOL => "boolean",
        Type::CHAR => "\"char\"",
        Type::INT2 => "smallint",
        Type::INT4 => "integer",
        Type::INT8 => "bigint",
        Type::FLOAT4 => "real",
        Type::FLOAT8 => "double precision",
        Type::VARCHAR => "character varying",
        Type::BPCHAR => "character",
        Type::TIME => "time without time zone",
        Type::TIMESTAMP => "timestamp without time zone",
        Type::TIMESTAMPTZ => "timestamp with time zone",
        Type::RECORD => "record",
        ref other => other.name(),
    };
    name.to_owned()
}

fn rows_of(schema: &str, table: &str, facts: &Facts) -> Vec<Row> {
    let of_kind = |kind: &'static str| facts.relations.iter().filter(move |r| relkind(r) == kind);
    let relations = &facts.relations;
    match (schema, table) {
        (PG_CATALOG, "pg_namespace") => {
            let all =
                [(PUBLIC_OID, PUBLIC), (PG_CATALOG_OID, PG_CATALOG), (INFORMATION_SCHEMA_OID, INFORMATION_SCHEMA)];
            let row = |(oid, name)| row([("oid", n(oid)), ("nspname", t(name)), ("nspowner", n(OWNER_OID))]);
            all.into_iter().map(row).collect()
        }
        (PG_CATALOG, "pg_class") => relations.iter().map(class).collect(),
        (PG_CATALOG, "pg_attribute") => relations.iter().flat_map(attributes).collect(),
        (PG_CATALOG, "pg_type") => types().iter().map(pg_type_row).collect(),
        (PG_CATALOG, "pg_am") => vec![row([("oid", n(HEAP_OID)), ("amname", t("heap")), ("amtype", t("t"))])],
        (PG_CATALOG, "pg_roles") => vec![row([
            ("oid", n(OWNER_OID)),
            ("rolname", t(&facts.user)),
            ("rolinherit", Cell::Bool(true)),
            ("rolcanlogin", Cell::Bool(true)),
            ("rolconnlimit", n(-1)),
        ])],
        (PG_CATALOG, "pg_user") => vec![row([("usename", t(&facts.user)), ("usesysid", n(OWNER_OID))])],
        (PG_CATALOG, "pg_database") => vec![row([
            ("oid", n(DATABASE_OID)),
            ("datname", t(&facts.database)),
            ("datdba", n(OWNER_OID)),
            ("encoding", n(6)),
            ("datlocprovider", t("c")),
            ("datallowconn", Cell::Bool(true)),
            ("datconnlimit", n(-1)),
            ("datcollate", t("C.UTF-8")),
            ("datctype", t("C.UTF-8")),
        ])],
        (PG_CATALOG, "pg_settings") => settings(facts),
        (PG_CATALOG, "pg_tables") => {
            let row = |r: &RelationInfo| {
                row([("schemaname", t(PUBLIC)), ("tablename", t(&r.name)), ("tableowner", t(&facts.user))])
            };
            of_kind("r").map(row).collect()
        }
        (PG_CATALOG, "pg_views") => {
            let row = |r: &RelationInfo| {
                let definition = t(r.definition.as_deref().unwrap_or_default());
                row([
                    ("schemaname", t(PUBLIC)),
                    ("viewname", t(&r.name)),
                    ("viewowner", t(&facts.user)),
                    ("definition", definition),
                ])
            };
            of_kind("v").map(row).collect()
        }
        (PG_CATALOG, "pg_matviews") => {
            let row = |r: &RelationInfo| {
                let definition = t(r.definition.as_deref().unwrap_or_default());
                row([
                    ("schemaname", t(PUBLIC)),
                    ("matviewname", t(&r.name)),
                    ("matviewowner", t(&facts.user)),
                    ("ispopulated", Cell::Bool(true)),
                    ("definition", definition),
                ])
            };
            of_kind("m").map(row).collect()
        }
        (INFORMATION_SCHEMA, "schemata") => {
            let row = |name| {
                row([("catalog_name", t(&facts.database)), ("schema_name", t(name)), ("schema_owner", t(&facts.user))])
            };
            [PUBLIC, PG_CATALOG, INFORMATION_SCHEMA].into_iter().map(row).collect()
        }
        (INFORMATION_SCHEMA, "tables") => {
            // PostgreSQL leaves materialized views out; whoever looks for something to select from wants them.
            let row = |r: &RelationInfo| {
                let is_table = relkind(r) == "r";
                row([
                    ("table_catalog", t(&facts.database)),
                    ("table_schema", t(PUBLIC)),
                    ("table_name", t(&r.name)),
                    ("table_type", t(if is_table { "BASE TABLE" } else { "VIEW" })),
                    ("is_insertable_into", t(if is_table { "YES" } else { "NO" })),
                ])
            };
            relations.iter().map(row).collect()
        }
        (INFORMATION_SCHEMA, "views") => {
            let row = |r: &RelationInfo| {
                row([
                    ("table_catalog", t(&facts.database)),
                    ("table_schema", t(PUBLIC)),
                    ("table_name", t(&r.name)),
                    ("view_definition", t(r.definition.as_deref().unwrap_or_default())),
                    ("is_updatable", t("NO")),
                ])
            };
            relations.iter().filter(|r| relkind(r) != "r").map(row).collect()
        }
        (INFORMATION_SCHEMA, "columns") => relations.iter().flat_map(|r| columns(r, facts)).collect(),
        _ => Vec::new(),
    }
}

fn relkind(relation: &RelationInfo) -> &'static str {
    match relation.kind {
        "view" => "v",
        "materialized view" => "m",
        _ => "r",
    }
}

fn class(relation: &RelationInfo) -> Row {
    row([
        ("oid", n(oid_of(&relation.name))),
        ("relname", t(&relation.name)),
        ("relnamespace", n(PUBLIC_OID)),
        ("relowner", n(OWNER_OID)),
        ("relam", n(if relkind(relation) == "v" { 0 } else { HEAP_OID })),
        ("reltuples", n(-1)),
        ("relpersistence", t("p")),
        ("relkind", t(relkind(relation))),
        ("relnatts", n(i64::try_from(relation.schema.fields().len()).unwrap_or(i64::MAX))),
        ("relispopulated", Cell::Bool(true)),
        ("relreplident", t("d")),
    ])
}

fn attributes(relation: &RelationInfo) -> Vec<Row> {
    let of = |(index, field): (usize, &Arc<Field>)| {
        let of = pg_type(field);
        row([
            ("attrelid", n(oid_of(&relation.name))),
            ("attname", t(field.name())),
            ("atttypid", n(i64::from(of.oid()))),
            ("attlen", n(i64::from(size(&of)))),
            ("attnum", n(i64::try_from(index + 1).unwrap_or(i64::MAX))),
            ("attndims", n(i64::from(matches!(of.kind(), Kind::Array(_))))),
            ("atttypmod", n(i64::from(modifier(field.data_type())))),
            ("attnotnull", Cell::Bool(!field.is_nullable())),
            ("attislocal", Cell::Bool(true)),
        ])
    };
    relation.schema.fields().iter().enumerate().map(of).collect()
}

fn pg_type_row(of: &Type) -> Row {
    let element = match of.kind() {
        Kind::Array(item) => i64::from(item.oid()),
        _ => 0,
    };
    let array = types().into_iter().find(|a| matches!(a.kind(), Kind::Array(item) if item == of));
    let category = match *of {
        _ if element > 0 => "A",
        Type::BOOL => "B",
        Type::INT2 | Type::INT4 | Type::INT8 | Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC | Type::OID => "N",
        Type::DATE | Type::TIME | Type::TIMESTAMP | Type::TIMESTAMPTZ => "D",
        Type::INTERVAL => "T",
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME => "S",
        Type::RECORD => "P",
        Type::UNKNOWN => "X",
        _ => "U",
    };
    row([
        ("oid", n(i64::from(of.oid()))),
        ("typname", t(of.name())),
        ("typnamespace", n(PG_CATALOG_OID)),
        ("typowner", n(OWNER_OID)),
        ("typlen", n(i64::from(size(of)))),
        ("typtype", t(if *of == Type::RECORD { "p" } else { "b" })),
        ("typcategory", t(category)),
        ("typisdefined", Cell::Bool(true)),
        ("typdelim", t(",")),
        ("typelem", n(element)),
        ("typarray", n(array.map_or(0, |a| i64::from(a.oid())))),
        ("typtypmod", n(-1)),
    ])
}

fn columns(relation: &RelationInfo, facts: &Facts) -> Vec<Row> {
    let of = |(index, field): (usize, &Arc<Field>)| {
        let of = pg_type(field);
        let is_array = matches!(of.kind(), Kind::Array(_));
        let mut columns = row([
            ("table_catalog", t(&facts.database)),
            ("table_schema", t(PUBLIC)),
            ("table_name", t(&relation.name)),
            ("column_name", t(field.name())),
            ("ordinal_position", n(i64::try_from(index + 1).unwrap_or(i64::MAX))),
            ("is_nullable", t(if field.is_nullable() { "YES" } else { "NO" })),
            ("data_type", if is_array { t("ARRAY") } else { t(&sql_name(&of)) }),
            ("udt_catalog", t(&facts.database)),
            ("udt_schema", t(PG_CATALOG)),
            ("udt_name", t(of.name())),
            ("is_identity", t("NO")),
            ("is_generated", t("NEVER")),
            ("is_updatable", t(if relkind(relation) == "r" { "YES" } else { "NO" })),
        ]);
        let numeric = match field.data_type() {
            DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
                Some((i64::from(*precision), 10, Some(i64::from(*scale))))
            }
            _ => match of {
                Type::INT2 => Some((16, 2, Some(0))),
                Type::INT4 => Some((32, 2, Some(0))),
                Type::INT8 => Some((64, 2, Some(0))),
                Type::FLOAT4 => Some((24, 2, None)),
                Type::FLOAT8 => Some((53, 2, None)),
                _ => None,
            },
        };
        if let Some((precision, radix, scale)) = numeric {
            columns.extend([("numeric_precision", n(precision)), ("numeric_precision_radix", n(radix))]);
            columns.extend(scale.map(|scale| ("numeric_scale", n(scale))));
        }
        if matches!(of, Type::TIMESTAMP | Type::TIMESTAMPTZ | Type::TIME | Type::INTERVAL) {
            columns.insert("datetime_precision", n(6));
        }
        columns
    };
    relation.schema.fields().iter().enumerate().map(of).collect()
}

fn settings(facts: &Facts) -> Vec<Row> {
    let setting = |name: &str, value: &str, category, what: &str, source| {
        row([
            ("name", t(name)),
            ("setting", t(value)),
            ("category", t(category)),
            ("short_desc", t(what)),
            ("context", t("user")),
            ("vartype", t("string")),
            ("source", t(source)),
        ])
    };
    let own = facts.engine_settings.iter();
    let own = own.map(|(name, (value, what))| setting(name, value, "Engine", what, "default"));
    own.chain(facts.settings.iter().map(|(name, value)| setting(name, value, "Session", "", "session"))).collect()
}

fn row(cells: impl IntoIterator<Item = (&'static str, Cell)>) -> Row {
    cells.into_iter().collect()
}

fn n(value: i64) -> Cell {
    Cell::Number(value)
}

fn t(value: &str) -> Cell {
    Cell::Text(value.to_owned())
}

/// Rows as a batch; a column that a row does not say is nothing: 0, false, empty.
fn batch(columns: &str, rows: &[Row]) -> Result<RecordBatch> {
    let (mut fields, mut arrays) = (Vec::new(), Vec::<ArrayRef>::new());
    for (name, of) in columns.split_whitespace().filter_map(|column| column.split_once(':')) {
        let (nullable, of) = of.strip_prefix('?').map_or((false, of), |of| (true, of));
        let number = |row: &Row| match row.get(name) {
            Some(Cell::Number(value)) => Some(*value),
            _ if nullable => None,
            _ => Some(0),
        };
        let text = |row: &Row| match row.get(name) {
            Some(Cell::Text(value)) => Some(value.clone()),
            _ if nullable => None,
            _ => Some(String::new()),
        };
        let flag = |row: &Row| Some(matches!(row.get(name), Some(Cell::Bool(true))));
        let narrow = |value: i64| i16::try_from(value).unwrap_or(i16::MAX);
        let wide = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
        let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
        let (data_type, array): (DataType, ArrayRef) = match of {
            "o" | "i" => (DataType::Int32, Arc::new(rows.iter().map(|r| number(r).map(wide)).collect::<Int32Array>())),
            "s" => (DataType::Int16, Arc::new(rows.iter().map(|r| number(r).map(narrow)).collect::<Int16Array>())),
            "l" => (DataType::Int64, Arc::new(rows.iter().map(number).collect::<Int64Array>())),
            "f" => (
                DataType::Float32,
                Arc::new(rows.iter().map(|r| number(r).map(|v| v as f32)).collect::<Float32Array>()),
            ),
            "b" => (DataType::Boolean, Arc::new(rows.iter().map(flag).collect::<BooleanArray>())),
            "S" => {
                let none = rows.iter().map(|_| None::<Vec<Option<i16>>>);
                (list(DataType::Int16), Arc::new(ListArray::from_iter_primitive::<Int16Type, _, _>(none)))
            }
            "O" => {
                let none = rows.iter().map(|_| None::<Vec<Option<i32>>>);
                (list(DataType::Int32), Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(none)))
            }
            "N" => (list(DataType::Utf8), arrow::array::new_null_array(&list(DataType::Utf8), rows.len())),
            _ => (DataType::Utf8, Arc::new(rows.iter().map(text).collect::<StringArray>())),
        };
        let mark = match of {
            "o" => HashMap::from([(PG_OID_ALIAS_KEY.to_owned(), "oid".to_owned())]),
            "c" => HashMap::from([(PG_CHAR_KEY.to_owned(), "char".to_owned())]),
            _ => HashMap::new(),
        };
        fields.push(Field::new(name, data_type, true).with_metadata(mark));
        arrays.push(array);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}
