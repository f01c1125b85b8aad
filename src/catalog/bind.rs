//! Binding of DDL: declared columns to Arrow fields, computed columns and watermarks to expressions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use datafusion::sql::parser::Statement as DfStatement;
use sqlparser::ast::{self, Spanned, Visit, Visitor};

use super::relation::WatermarkDef;
use super::window_call::WATERMARKED;
use super::{functions, macros};
use crate::error::{Error, Result, Span, nearest};
use crate::format::SPELLING;
use crate::sql::statement::{ColumnSpec, CreateTable, Name};

/// Key of the field metadata that tells a connector to fill a column with metadata (`METADATA FROM 'key'`).
const METADATA: &str = "tidemill.metadata";

/// The name that an identifier has in the catalog.
pub fn fold(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// Declared columns, bound.
#[derive(Debug)]
pub struct Columns {
    /// All columns in order.
    pub schema: SchemaRef,
    /// Expressions of computed ones.
    pub computed: BTreeMap<usize, Expr>,
    /// The watermark.
    pub watermark: Option<WatermarkDef>,
    /// The primary key.
    pub primary_key: Vec<usize>,
}

/// Binds the columns of a CREATE TABLE; `inferred` are the physical columns when the text declares none.
///
/// # Errors
/// An unknown type, a duplicate name, an expression that does not fit, a watermark on what is no timestamp.
pub fn bind_columns(state: &SessionState, table: &CreateTable, inferred: Option<&Schema>) -> Result<Columns> {
    let mut fields: Vec<Option<FieldRef>> = Vec::new();
    if let Some(inferred) = inferred {
        fields.extend(inferred.fields().iter().map(|f| Some(Arc::clone(f))));
    }
    let base = fields.len();
    for column in &table.columns {
        if table.columns.iter().filter(|c| c.name.value == column.name.value).count() > 1 {
            return Err(Error::sql(format!("column '{}' is declared twice", column.name.spelled)).at(column.name.span));
        }
        fields.push(match &column.data_type {
            Some(_) if column.computed.is_none() => Some(declared_field(state, column)?),
            _ => None,
        });
    }
    let physical = Schema::new(fields.iter().flatten().cloned().collect::<Vec<_>>());
    let physical = DFSchema::try_from(physical)?;
    let mut computed = BTreeMap::new();
    for (index, column) in table.columns.iter().enumerate() {
        let Some(expr) = &column.computed else { continue };
        let in_column = |e: Error| e.context(format!("computed column '{}'", column.name.spelled));
        let mut bound = bind_expr(state, expr, &physical).map_err(in_column)?;
        let mut data_type = type_of(state, &bound, &physical).map_err(in_column)?;
        if let Some(declared) = &column.data_type {
            data_type = field_of(state, &column.name, declared)?.data_type().clone();
            bound = bound.cast_to(&data_type, &physical)?;
        }
        fields[base + index] = Some(Arc::new(named(&column.name, data_type, true)));
        computed.insert(base + index, bound);
    }
    let schema = Arc::new(Schema::new(fields.into_iter().flatten().collect::<Vec<_>>()));
    let watermark = bind_watermark(state, table, &schema)?;
    let schema = mark_watermarked(schema, watermark.as_ref());
    let find = |name: &Name| find_column(&schema, name);
    let primary_key = table.primary_key.iter().map(find).collect::<Result<_>>()?;
    Ok(Columns { schema, computed, watermark, primary_key })
}

/// The same columns, the watermarked one marked so that a windowing call can find it.
pub fn mark_watermarked(schema: SchemaRef, watermark: Option<&WatermarkDef>) -> SchemaRef {
    let Some(watermark) = watermark else { return schema };
    let mark = |(i, field): (usize, &FieldRef)| {
        if i != watermark.column {
            return Arc::clone(field);
        }
        let mut metadata = field.metadata().clone();
        metadata.insert(WATERMARKED.to_owned(), String::new());
        Arc::new(field.as_ref().clone().with_metadata(metadata))
    };
    Arc::new(Schema::new(schema.fields().iter().enumerate().map(mark).collect::<Vec<_>>()))
}

fn bind_watermark(state: &SessionState, table: &CreateTable, schema: &SchemaRef) -> Result<Option<WatermarkDef>> {
    let Some(spec) = &table.watermark else { return Ok(None) };
    let column = find_column(schema, &spec.column)?;
    let field = schema.field(column);
    if !matches!(field.data_type(), DataType::Timestamp(..)) {
        return Err(Error::sql(format!(
            "the watermark column '{}' is {}, not a timestamp",
            spec.column.spelled,
            field.data_type()
        ))
        .at(spec.column.span)
        .help(format!("declare it TIMESTAMP(3), or compute one: ts AS to_timestamp_millis({})", spec.column.spelled)));
    }
    let Some(expr) = &spec.expr else {
        return Ok(Some(WatermarkDef { column, delay_micros: Some(0), expr: None }));
    };
    let df_schema = DFSchema::try_from(schema.as_ref().clone())?;
    let bound = bind_expr(state, expr, &df_schema).map_err(|e| e.context("WATERMARK"))?;
    let delay_micros = delay_of(&bound, field.name());
    if delay_micros.is_none() && !matches!(type_of(state, &bound, &df_schema)?, DataType::Timestamp(..)) {
        return Err(Error::sql("the watermark is not a timestamp")
            .at(expr.span().into())
            .help(format!("write WATERMARK FOR {0} AS {0} - INTERVAL '5' SECOND", spec.column.spelled)));
    }
    let expr = delay_micros.is_none().then_some(bound);
    Ok(Some(WatermarkDef { column, delay_micros, expr }))
}

/// The delay in `column - INTERVAL …` (or `column`), in microseconds.
fn delay_of(expr: &Expr, column: &str) -> Option<i64> {
    match expr {
        Expr::Column(c) if c.name == column => Some(0),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Minus, right }) if delay_of(left, column) == Some(0) => {
            interval_micros(right).filter(|d| *d >= 0)
        }
        _ => None,
    }
}

/// The length of an interval literal in microseconds; `None` for months, whose length varies, and for what is no interval.
pub(super) fn interval_micros(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(v)), _) if v.months == 0 => {
            i64::from(v.days).checked_mul(86_400_000_000)?.checked_add(v.nanoseconds / 1_000)
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(v)), _) => {
            i64::from(v.days).checked_mul(86_400_000_000)?.checked_add(i64::from(v.milliseconds) * 1_000)
        }
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => crate::time::parse_duration(text).ok(),
        Expr::Alias(alias) => interval_micros(&alias.expr),
        Expr::Negative(inner) => interval_micros(inner).and_then(i64::checked_neg),
        _ => None,
    }
}

/// Binds an expression of the text over these columns.
pub(super) fn bind_expr(state: &SessionState, expr: &ast::Expr, schema: &DFSchema) -> Result<Expr> {
    let mut expanded = expr.clone();
    macros::expand(&mut expanded, functions::standard::functions())?;
    let with_alias = ast::ExprWithAlias { expr: expanded, alias: None };
    let error_at = |e: datafusion::error::DataFusionError| Error::from(e).at(expr.span().into());
    state.create_logical_expr_from_sql_expr(with_alias, schema).map_err(error_at)
}

/// The type of an expression once DataFusion has coerced it.
fn type_of(state: &SessionState, expr: &Expr, schema: &DFSchema) -> Result<DataType> {
    match state.create_physical_expr(expr.clone(), schema) {
        Ok(physical) => Ok(physical.data_type(schema.as_arrow())?),
        Err(_) => Ok(expr.get_type(schema)?),
    }
}

fn find_column(schema: &Schema, name: &Name) -> Result<usize> {
    schema.index_of(&name.value).map_err(|_| {
        let error = Error::sql(format!("there is no column '{}'", name.spelled)).at(name.span);
        match nearest(&name.value, schema.fields().iter().map(|f| f.name().as_str())) {
            Some(near) => error.help(format!("did you mean '{near}'?")),
            None => error,
        }
    })
}

fn declared_field(state: &SessionState, column: &ColumnSpec) -> Result<FieldRef> {
    let Some(data_type) = &column.data_type else { return Err(Error::internal("a column without a type")) };
    let field = field_of(state, &column.name, data_type)?.with_nullable(!column.not_null);
    let Some(key) = &column.metadata else { return Ok(Arc::new(field)) };
    let mut metadata = field.metadata().clone();
    metadata.insert(METADATA.to_owned(), key.clone());
    Ok(Arc::new(field.with_metadata(metadata)))
}

/// The Arrow field of a declared column; the spelling of folded names is kept in metadata, in nested rows too.
///
/// # Errors
/// When the type is none of ours.
pub fn field_of(state: &SessionState, name: &Name, data_type: &ast::DataType) -> Result<Field> {
    let null = ast::Expr::Value(ast::Value::Null.into());
    let cast = ast::Expr::Cast {
        kind: ast::CastKind::Cast,
        expr: Box::new(null),
        data_type: data_type.clone(),
        array: false,
        format: None,
    };
    let bound = bind_expr(state, &cast, &DFSchema::empty())
        .map_err(|e| e.context(format!("column '{}'", name.spelled)).at(name.span))?;
    let arrow = bound.get_type(&DFSchema::empty())?;
    Ok(named(name, spelled_type(arrow, data_type), true))
}

fn named(name: &Name, data_type: DataType, nullable: bool) -> Field {
    spell(Field::new(&name.value, data_type, nullable), &name.spelled)
}

fn spell(field: Field, spelled: &str) -> Field {
    if field.name() == spelled {
        return field;
    }
    let mut metadata = field.metadata().clone();
    metadata.insert(SPELLING.to_owned(), spelled.to_owned());
    field.with_metadata(metadata)
}

/// The same type, its struct fields carrying their spelling in the text.
fn spelled_type(arrow: DataType, text: &ast::DataType) -> DataType {
    match (arrow, text) {
        (DataType::Struct(fields), ast::DataType::Struct(declared, _)) if fields.len() == declared.len() => {
            let spelled = fields.iter().zip(declared).map(|(field, d)| {
                let inner = spelled_type(field.data_type().clone(), &d.field_type);
                let name = d.field_name.as_ref().map_or(field.name().as_str(), |i| i.value.as_str());
                Arc::new(spell(field.as_ref().clone().with_data_type(inner), name))
            });
            DataType::Struct(spelled.collect::<Fields>())
        }
        (
            DataType::List(item),
            ast::DataType::Array(
                ast::ArrayElemTypeDef::AngleBracket(inner) | ast::ArrayElemTypeDef::SquareBracket(inner, _),
            ),
        ) => {
            let data_type = spelled_type(item.data_type().clone(), inner);
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(data_type)))
        }
        (arrow, _) => arrow,
    }
}

/// Whether a name stands in FROM only as a function with arguments.
pub(super) fn is_call_only(statement: &DfStatement, name: &str) -> bool {
    struct Find<'a> {
        name: &'a str,
        call: bool,
        table: bool,
    }
    impl Visitor for Find<'_> {
        type Break = ();
        fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> std::ops::ControlFlow<()> {
            if let ast::TableFactor::Table { name, args, .. } = factor
                && name.0.last().and_then(|p| p.as_ident()).is_some_and(|i| fold(i) == self.name)
            {
                *(if args.is_some() { &mut self.call } else { &mut self.table }) = true;
            }
            std::ops::ControlFlow::Continue(())
        }
    }
    let DfStatement::Statement(statement) = statement else { return false };
    let mut find = Find { name, call: false, table: false };
    let _ = statement.visit(&mut find);
    find.call && !find.table
}

/// Where a query first names this column, function or table.
pub(super) fn place_of(query: &ast::Query, name: &str) -> Option<Span> {
    struct Find<'a>(&'a str);
    impl Find<'_> {
        fn look(&self, ident: Option<&ast::Ident>) -> std::ops::ControlFlow<Span> {
            match ident {
                Some(i) if i.value.eq_ignore_ascii_case(self.0) && i.span.start.line > 0 => {
                    std::ops::ControlFlow::Break(i.span.into())
                }
                _ => std::ops::ControlFlow::Continue(()),
            }
        }
    }
    impl Visitor for Find<'_> {
        type Break = Span;
        fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> std::ops::ControlFlow<Span> {
            self.look(relation.0.last().and_then(|p| p.as_ident()))
        }
        fn pre_visit_expr(&mut self, expr: &ast::Expr) -> std::ops::ControlFlow<Span> {
            match expr {
                ast::Expr::Identifier(ident) => self.look(Some(ident)),
                ast::Expr::CompoundIdentifier(parts) => self.look(parts.last()),
                ast::Expr::Function(call) => self.look(call.name.0.last().and_then(|p| p.as_ident())),
                _ => std::ops::ControlFlow::Continue(()),
            }
        }
    }
    match query.visit(&mut Find(name)) {
        std::ops::ControlFlow::Break(span) => Some(span),
        std::ops::ControlFlow::Continue(()) => None,
    }
}

/// Where a table's name stands in a statement.
pub(super) fn table_span(statement: &DfStatement, name: &str) -> Option<Span> {
    struct Find<'a>(&'a str);
    impl Visitor for Find<'_> {
        type Break = Span;
        fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> std::ops::ControlFlow<Span> {
            let found = relation.0.last().and_then(|p| p.as_ident()).filter(|i| fold(i) == self.0);
            match found {
                Some(ident) => std::ops::ControlFlow::Break(ident.span.into()),
                None => std::ops::ControlFlow::Continue(()),
            }
        }
    }
    let DfStatement::Statement(statement) = statement else { return None };
    match statement.visit(&mut Find(name)) {
        std::ops::ControlFlow::Break(span) => Some(span),
        std::ops::ControlFlow::Continue(()) => None,
    }
}
