//! The functions that queries about the system call.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use pgwire::api::Type;

use super::{Facts, PG_CATALOG, tables};
use crate::server::settings::VERSION;

type Body = fn(&Facts, &[ScalarValue]) -> ScalarValue;

/// What a function returns.
#[derive(Clone, Copy)]
enum Returns {
    Text,
    Int,
    Long,
    Bool,
    Texts,
    /// A name of an oid, and an oid of a name.
    NameOrOid,
}

use Returns::{Bool, Int, Long, NameOrOid, Text, Texts};

/// Every function, by name.
const FUNCTIONS: &[(&str, Returns, Body)] = &[
    ("version", Text, |_, _| text(VERSION)),
    ("current_database", Text, |f, _| text(&f.database)),
    ("current_catalog", Text, |f, _| text(&f.database)),
    ("current_schema", Text, |_, _| text(tables::PUBLIC)),
    ("current_schemas", Texts, current_schemas),
    ("current_user", Text, |f, _| text(&f.user)),
    ("session_user", Text, |f, _| text(&f.user)),
    ("current_role", Text, |f, _| text(&f.user)),
    ("user", Text, |f, _| text(&f.user)),
    ("current_setting", Text, current_setting),
    ("pg_backend_pid", Int, |f, _| ScalarValue::Int32(Some(f.pid))),
    ("pg_get_userbyid", Text, |f, _| text(&f.user)),
    ("pg_encoding_to_char", Text, |_, _| text("UTF8")),
    ("pg_table_is_visible", Bool, |_, _| flag(true)),
    ("pg_type_is_visible", Bool, |_, _| flag(true)),
    ("pg_function_is_visible", Bool, |_, _| flag(true)),
    ("pg_opclass_is_visible", Bool, |_, _| flag(true)),
    ("pg_statistics_obj_is_visible", Bool, |_, _| flag(true)),
    ("pg_is_in_recovery", Bool, |_, _| flag(false)),
    ("pg_is_other_temp_schema", Bool, |_, _| flag(false)),
    ("pg_relation_is_publishable", Bool, |_, _| flag(false)),
    ("pg_my_temp_schema", Int, |_, _| ScalarValue::Int32(Some(0))),
    ("pg_relation_size", Long, |_, _| ScalarValue::Int64(None)),
    ("pg_table_size", Long, |_, _| ScalarValue::Int64(None)),
    ("pg_total_relation_size", Long, |_, _| ScalarValue::Int64(None)),
    ("has_table_privilege", Bool, |_, _| flag(true)),
    ("has_schema_privilege", Bool, |_, _| flag(true)),
    ("has_database_privilege", Bool, |_, _| flag(true)),
    ("has_column_privilege", Bool, |_, _| flag(true)),
    ("format_type", Text, format_type),
    ("pg_get_expr", Text, |_, _| ScalarValue::Utf8(None)),
    ("pg_get_viewdef", Text, view_definition),
    ("pg_get_indexdef", Text, |_, _| ScalarValue::Utf8(None)),
    ("pg_get_constraintdef", Text, |_, _| ScalarValue::Utf8(None)),
    ("pg_get_partkeydef", Text, |_, _| ScalarValue::Utf8(None)),
    ("pg_get_triggerdef", Text, |_, _| ScalarValue::Utf8(None)),
    ("pg_get_ruledef", Text, |_, _| ScalarValue::Utf8(None)),
    ("pg_get_statisticsobjdef_columns", Text, |_, _| ScalarValue::Utf8(None)),
    ("pg_get_function_result", Text, |_, _| ScalarValue::Utf8(None)),
    ("pg_get_function_arguments", Text, |_, _| ScalarValue::Utf8(None)),
    ("pg_get_function_identity_arguments", Text, |_, _| ScalarValue::Utf8(None)),
    ("obj_description", Text, |_, _| ScalarValue::Utf8(None)),
    ("col_description", Text, |_, _| ScalarValue::Utf8(None)),
    ("shobj_description", Text, |_, _| ScalarValue::Utf8(None)),
    ("inet_server_addr", Text, |_, _| ScalarValue::Utf8(None)),
    ("quote_ident", Text, quote_ident),
    ("to_regclass", Int, |f, a| relation_oid(f, a.first())),
    ("regclass", NameOrOid, regclass),
    ("regtype", NameOrOid, regtype),
    ("regnamespace", NameOrOid, regnamespace),
    ("regrole", NameOrOid, |f, a| if is_number(a) { text(&f.user) } else { ScalarValue::Int32(Some(10)) }),
    ("regproc", NameOrOid, no_function),
    ("regprocedure", NameOrOid, no_function),
    ("regoper", NameOrOid, no_function),
    ("regoperator", NameOrOid, no_function),
];

/// Whether a function is one of these, by the words of its name.
pub(super) fn is_own(name: &[String]) -> bool {
    let word = match name {
        [word] => word,
        [schema, word] if schema == PG_CATALOG => word,
        _ => return false,
    };
    FUNCTIONS.iter().any(|(own, ..)| own == word) || name.len() == 2
}

/// Whether a name in FROM is a call.
pub(super) fn is_table_function(name: &str) -> bool {
    matches!(name, "generate_series" | "unnest" | "generate_subscripts")
}

/// The functions, over what they speak of.
pub(super) fn all(facts: &Arc<Facts>) -> Vec<Arc<ScalarUDF>> {
    let make = |(name, returns, body): &(&'static str, Returns, Body)| {
        let signature = Signature::one_of(vec![TypeSignature::Nullary, TypeSignature::VariadicAny], Volatility::Stable);
        Arc::new(ScalarUDF::from(SystemFunction {
            name,
            returns: *returns,
            body: *body,
            facts: facts.clone(),
            signature,
        }))
    };
    FUNCTIONS.iter().map(make).collect()
}

struct SystemFunction {
    name: &'static str,
    returns: Returns,
    body: Body,
    facts: Arc<Facts>,
    signature: Signature,
}

impl std::fmt::Debug for SystemFunction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for SystemFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for SystemFunction {}

impl Hash for SystemFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for SystemFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.returns {
            Returns::Text => DataType::Utf8,
            Returns::Int => DataType::Int32,
            Returns::Long => DataType::Int64,
            Returns::Bool => DataType::Boolean,
            Returns::Texts => DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
            Returns::NameOrOid => match arguments.first() {
                Some(of) if of.is_integer() => DataType::Utf8,
                _ => DataType::Int32,
            },
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays: Vec<ArrayRef> =
            args.args.iter().map(|a| a.to_array(args.number_rows)).collect::<Result<Vec<_>>>()?;
        let mut values = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            let row: Vec<ScalarValue> =
                arrays.iter().map(|a| ScalarValue::try_from_array(a, row)).collect::<Result<_>>()?;
            values.push((self.body)(&self.facts, &row));
        }
        if values.is_empty() {
            return Ok(ColumnarValue::Array(arrow::array::new_empty_array(args.return_type())));
        }
        let array = ScalarValue::iter_to_array(values)?;
        debug_assert_eq!(array.data_type(), args.return_type());
        Ok(ColumnarValue::Array(array))
    }
}

fn text(value: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(value.to_owned()))
}

fn flag(value: bool) -> ScalarValue {
    ScalarValue::Boolean(Some(value))
}

/// The number that a value is, or that its text is.
fn number(value: Option<&ScalarValue>) -> Option<i64> {
    match value? {
        ScalarValue::Int16(v) => v.map(i64::from),
        ScalarValue::Int32(v) => v.map(i64::from),
        ScalarValue::Int64(v) => *v,
        ScalarValue::UInt32(v) => v.map(i64::from),
        other => other.try_as_str().flatten().and_then(|text| text.parse().ok()),
    }
}

fn is_number(arguments: &[ScalarValue]) -> bool {
    arguments.first().is_some_and(|a| a.data_type().is_integer())
}

fn word(value: Option<&ScalarValue>) -> Option<&str> {
    value?.try_as_str().flatten()
}

fn current_schemas(_: &Facts, arguments: &[ScalarValue]) -> ScalarValue {
    let implicit = matches!(arguments.first(), Some(ScalarValue::Boolean(Some(true))));
    let names = if implicit { vec![PG_CATALOG, tables::PUBLIC] } else { vec![tables::PUBLIC] };
    let names: Vec<ScalarValue> = names.into_iter().map(text).collect();
    ScalarValue::List(ScalarValue::new_list_nullable(&names, &DataType::Utf8))
}

fn current_setting(facts: &Facts, arguments: &[ScalarValue]) -> ScalarValue {
    let name = word(arguments.first()).unwrap_or_default();
    let own = facts.settings.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
    ScalarValue::Utf8(own.or_else(|| facts.engine_settings.get(name).map(|(value, _)| value.clone())))
}

fn format_type(_: &Facts, arguments: &[ScalarValue]) -> ScalarValue {
    let Some(oid) = number(arguments.first()) else { return ScalarValue::Utf8(None) };
    let Some(of) = u32::try_from(oid).ok().and_then(Type::from_oid) else { return text("???") };
    let name = tables::sql_name(&of);
    match number(arguments.get(1)) {
        Some(modifier) if of == Type::NUMERIC && modifier >= 4 => {
            let packed = modifier - 4;
            text(&format!("{name}({},{})", packed >> 16, packed & 0xFFFF))
        }
        _ => text(&name),
    }
}

fn view_definition(facts: &Facts, arguments: &[ScalarValue]) -> ScalarValue {
    let oid = number(arguments.first()).or_else(|| number(Some(&relation_oid(facts, arguments.first()))));
    let view = facts.relations.iter().find(|r| Some(tables::oid_of(&r.name)) == oid);
    ScalarValue::Utf8(view.and_then(|v| v.definition.as_ref()).map(|query| format!(" {query};")))
}

/// A name as SQL text: quoted unless it is plain lower case.
fn quote_ident(_: &Facts, arguments: &[ScalarValue]) -> ScalarValue {
    ScalarValue::Utf8(word(arguments.first()).map(|name| {
        let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let starts_well = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
        if plain && starts_well { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
    }))
}

/// The oid of a relation by its name, as text has it: `public."Bids"`, or the number itself.
fn relation_oid(facts: &Facts, value: Option<&ScalarValue>) -> ScalarValue {
    let Some(written) = word(value) else { return ScalarValue::Int32(None) };
    if let Ok(oid) = written.parse::<i32>() {
        return ScalarValue::Int32(Some(oid));
    }
    let bare = written.strip_prefix("public.").unwrap_or(written);
    let name = match bare.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => bare.to_lowercase(),
    };
    let found = facts.relations.iter().find(|r| r.name == name);
    ScalarValue::Int32(found.and_then(|r| i32::try_from(tables::oid_of(&r.name)).ok()))
}

fn regclass(facts: &Facts, arguments: &[ScalarValue]) -> ScalarValue {
    if !is_number(arguments) {
        return relation_oid(facts, arguments.first());
    }
    let oid = number(arguments.first());
    let named = facts.relations.iter().find(|r| Some(tables::oid_of(&r.name)) == oid).map(|r| r.name.clone());
    ScalarValue::Utf8(named.or_else(|| oid.map(|oid| oid.to_string())))
}

fn regtype(facts: &Facts, arguments: &[ScalarValue]) -> ScalarValue {
    if is_number(arguments) {
        return format_type(facts, &arguments[..1]);
    }
    let name = word(arguments.first()).map(|name| name.strip_prefix("pg_catalog.").unwrap_or(name).to_lowercase());
    let found = tables::types()
        .into_iter()
        .find(|of| name.as_ref().is_some_and(|n| n == of.name() || *n == tables::sql_name(of)));
    ScalarValue::Int32(found.and_then(|of| i32::try_from(of.oid()).ok()))
}

fn regnamespace(_: &Facts, arguments: &[ScalarValue]) -> ScalarValue {
    if is_number(arguments) {
        return ScalarValue::Utf8(number(arguments.first()).and_then(tables::namespace).map(str::to_owned));
    }
    let oids = [2_200_i64, 11, 13_000];
    let found = oids.into_iter().find(|oid| tables::namespace(*oid) == word(arguments.first()));
    ScalarValue::Int32(found.and_then(|oid| i32::try_from(oid).ok()))
}

/// There are no functions and operators in the catalog.
fn no_function(_: &Facts, arguments: &[ScalarValue]) -> ScalarValue {
    if is_number(arguments) { text("-") } else { ScalarValue::Int32(None) }
}
