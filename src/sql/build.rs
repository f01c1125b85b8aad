//! Small pieces of AST that rewriting puts in place of what was written. Identifiers keep the span that they come from, so
//! that the planner's errors point into the user's text.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident,
    Interval, ObjectName, Query, Select, SelectFlavor, SelectItem, SetExpr, TableAlias, TableFactor, TableFunctionArgs,
    TableWithJoins, Value, WildcardAdditionalOptions,
};
use sqlparser::tokenizer::Span;

/// `name(args)`.
pub(super) fn call(name: Ident, args: Vec<FunctionArg>) -> Function {
    Function {
        name: ObjectName::from(vec![name]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: vec![] }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    }
}

/// Unnamed arguments.
pub(super) fn unnamed(args: impl IntoIterator<Item = Expr>) -> Vec<FunctionArg> {
    args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect()
}

/// A relation by its name.
pub(super) fn table(name: ObjectName) -> TableFactor {
    TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints: vec![],
        version: None,
        with_ordinality: false,
        partitions: vec![],
        json_path: None,
        sample: None,
        index_hints: vec![],
    }
}

/// `name(args) AS alias` in FROM.
pub(super) fn table_call(name: Ident, args: Vec<Expr>, call_alias: Option<TableAlias>) -> TableFactor {
    let mut factor = table(ObjectName::from(vec![name]));
    if let TableFactor::Table { args: slot, alias, .. } = &mut factor {
        *slot = Some(TableFunctionArgs { args: unnamed(args), settings: None });
        *alias = call_alias;
    }
    factor
}

/// `AS name`.
pub(super) fn alias(name: Ident) -> TableAlias {
    TableAlias { explicit: true, name, columns: vec![], at: None }
}

/// `SELECT * FROM relation`.
pub(super) fn select_all(relation: TableFactor) -> Box<Query> {
    select_all_where(vec![TableWithJoins { relation, joins: vec![] }], None)
}

/// `SELECT items FROM relation AS alias, others WHERE selection`.
pub fn select_from(
    relation: Ident,
    relation_alias: Option<Ident>,
    others: Vec<TableWithJoins>,
    selection: Option<Expr>,
    items: Vec<SelectItem>,
) -> Box<Query> {
    let mut factor = table(ObjectName::from(vec![relation]));
    if let TableFactor::Table { alias: slot, .. } = &mut factor {
        *slot = relation_alias.map(alias);
    }
    let first = TableWithJoins { relation: factor, joins: vec![] };
    select(std::iter::once(first).chain(others).collect(), selection, items)
}

/// `SELECT * FROM from WHERE selection`.
pub(super) fn select_all_where(from: Vec<TableWithJoins>, selection: Option<Expr>) -> Box<Query> {
    select(from, selection, vec![SelectItem::Wildcard(WildcardAdditionalOptions::default())])
}

fn select(from: Vec<TableWithJoins>, selection: Option<Expr>, projection: Vec<SelectItem>) -> Box<Query> {
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: vec![],
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from,
        lateral_views: vec![],
        prewhere: None,
        selection,
        connect_by: vec![],
        group_by: GroupByExpr::Expressions(vec![], vec![]),
        cluster_by: vec![],
        distribute_by: vec![],
        sort_by: vec![],
        having: None,
        named_window: vec![],
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    Box::new(Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: vec![],
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: vec![],
    })
}

/// `'text'`.
pub(super) fn string(text: &str, span: Span) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).with_span(span))
}

/// `INTERVAL 'text'`.
pub(super) fn interval(value: Expr) -> Expr {
    Expr::Interval(Interval {
        value: Box::new(value),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })
}

/// A column, where it was written.
pub(super) fn column(name: &str, span: Span) -> Expr {
    Expr::Identifier(Ident::with_span(span, name))
}
