//! Group window functions → a windowing call in FROM, and the names of a window's bounds → `window_start`, `window_end`.
//!
//! | written | becomes |
//! |---|---|
//! | `FROM t WHERE p … GROUP BY TUMBLE(ts, size), k` | `FROM tumble((SELECT * FROM t WHERE p), ts, size) AS t … GROUP BY window_start, window_end, k` |
//! | `GROUP BY SESSION(ts, gap), k` | the same with `session(…, gap, k)`: sessions are per group |
//! | `SELECT tumble(size) AS w … GROUP BY w` (or `GROUP BY 1`) | the same, over the watermarked column |
//! | `window(ts, size, slide, start)`, `session_window(ts, gap)` | hop or tumble, session |
//! | `TUMBLE_START(…)`, `HOP_END(…)`, `SESSION_ROWTIME(…)` | `window_start`, `window_end`, `window_time` |
//! | `w.start`, `window.end`, `windowstart` | `window_start`, `window_end` |
//! | the window itself, as a value | `named_struct('start', window_start, 'end', window_end)` |
//!
//! WHERE goes into the windowing call's input because a group window windows what WHERE has left: sessions would be
//! others otherwise.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident, ObjectName, OrderBy,
    OrderByKind, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, TableWithJoins, Value, VisitMut,
    VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::statement::WATERMARK_COLUMN;
use super::windows::{Kind, duration, finish, flow, is_named, span_of};
use super::{build, unnest, windows};
use crate::error::{Error, Result};

const START: &str = "window_start";
const END: &str = "window_end";
const TIME: &str = "window_time";

/// Rewrites the SELECTs of a query; its subqueries have been dealt with, or will be, as queries of their own.
pub(super) fn rewrite(query: &mut Query) -> Result<()> {
    let Query { body, order_by, .. } = query;
    rewrite_body(body, order_by.as_mut())
}

fn rewrite_body(body: &mut SetExpr, order_by: Option<&mut OrderBy>) -> Result<()> {
    match body {
        SetExpr::Select(select) => rewrite_select(select, order_by),
        SetExpr::SetOperation { left, right, .. } => {
            rewrite_body(left, None)?;
            rewrite_body(right, None)
        }
        _ => Ok(()),
    }
}

/// A group window function as it was called.
struct GroupWindow {
    kind: Kind,
    /// The time column; `None` where the text names none.
    time: Option<Expr>,
    /// Durations in the order of the windowing call.
    durations: Vec<Expr>,
    /// Its text, to tell two apart.
    text: String,
    /// Its arguments' text, which `TUMBLE_START(…)` repeats.
    arguments: String,
    span: Span,
}

fn rewrite_select(select: &mut Select, order_by: Option<&mut OrderBy>) -> Result<()> {
    let window = take_group_window(select)?;
    let windowed = window.is_some() || select.from.iter().any(has_windowing_call);
    let mut bounds = Bounds { names: vec!["window".to_owned()], window, windowed, depth: 0, used_time: false };
    bounds.add_aliases(select);
    for item in &mut select.projection {
        bounds.rewrite_item(item)?;
    }
    for expr in [&mut select.selection, &mut select.having, &mut select.qualify].into_iter().flatten() {
        bounds.rewrite(expr)?;
    }
    if let Some(OrderBy { kind: OrderByKind::Expressions(exprs), .. }) = order_by {
        for by in exprs {
            bounds.rewrite(&mut by.expr)?;
        }
    }
    if let GroupByExpr::Expressions(exprs, _) = &mut select.group_by {
        for expr in exprs.iter_mut() {
            bounds.rewrite(expr)?;
        }
        // What is selected must be grouped by; it is one with the window's end.
        if let (true, Some(window)) = (bounds.used_time, &bounds.window) {
            exprs.push(build::column(TIME, window.span));
        }
    }
    match bounds.window {
        Some(window) => wrap_from(select, window),
        None => Ok(()),
    }
}

/// The group window of a SELECT, its place in GROUP BY now being taken by the window's bounds.
fn take_group_window(select: &mut Select) -> Result<Option<GroupWindow>> {
    let GroupByExpr::Expressions(exprs, _) = &select.group_by else { return Ok(None) };
    let mut found: Option<GroupWindow> = None;
    let mut kept = Vec::with_capacity(exprs.len() + 1);
    for expr in exprs {
        let Some(window) = group_window(resolve(expr, &select.projection))? else {
            kept.push(expr.clone());
            continue;
        };
        match &found {
            Some(before) if before.text != window.text => {
                return Err(Error::sql("a query groups by one window")
                    .at(window.span.into())
                    .help("window the result of a first query in a second one: FROM TUMBLE((SELECT …), DESCRIPTOR(window_time), …)"));
            }
            Some(_) => {}
            None => {
                kept.push(build::column(START, window.span));
                kept.push(build::column(END, window.span));
                found = Some(window);
            }
        }
    }
    if found.is_some()
        && let GroupByExpr::Expressions(exprs, _) = &mut select.group_by
    {
        *exprs = kept;
    }
    Ok(found)
}

/// What an item of GROUP BY stands for: `1` and an alias stand for an item of SELECT.
fn resolve<'a>(expr: &'a Expr, projection: &'a [SelectItem]) -> &'a Expr {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Number(number, _) => {
                let index = number.to_string().parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                match index.and_then(|n| projection.get(n)) {
                    Some(SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }) => item,
                    _ => expr,
                }
            }
            _ => expr,
        },
        Expr::Identifier(name) => {
            let same = |ident: &Ident| ident.value.eq_ignore_ascii_case(&name.value);
            let item = projection.iter().find_map(|item| match item {
                SelectItem::ExprWithAlias { expr, alias } if same(alias) => Some(expr),
                // Spark names the column of `window(ts, …)` after the function.
                SelectItem::UnnamedExpr(expr @ Expr::Function(f))
                    if is_named(&f.name, &name.value) && is_window_name(f) =>
                {
                    Some(expr)
                }
                _ => None,
            });
            item.unwrap_or(expr)
        }
        _ => expr,
    }
}

fn is_window_name(function: &Function) -> bool {
    Kind::of(&function.name).is_some()
        || is_named(&function.name, "window")
        || is_named(&function.name, "session_window")
}

/// An expression as a group window function, when it is one.
fn group_window(expr: &Expr) -> Result<Option<GroupWindow>> {
    let Expr::Function(function) = expr else { return Ok(None) };
    let span = span_of(&function.name);
    let spark = is_named(&function.name, "window");
    let spark_session = is_named(&function.name, "session_window");
    let kind = match Kind::of(&function.name) {
        Some((kind, _)) => kind,
        None if spark => Kind::Tumble,
        None if spark_session => Kind::Session,
        None => return Ok(None),
    };
    let Some(mut args) = plain_arguments(function) else {
        return Err(wrong_arguments(kind, spark, span));
    };
    let arguments = args_text(function);
    let time = match args.first() {
        Some(first) if !is_duration(first) => Some(windows::time_column(args.remove(0))?),
        _ => None,
    };
    let mut durations: Vec<Expr> = args.into_iter().map(duration).collect();
    let mut kind = kind;
    if spark {
        // window(ts, size, slide, start): size first, and the start is the offset.
        match durations.len() {
            1 => {}
            2 | 3 => {
                durations.swap(0, 1);
                kind = Kind::Hop;
            }
            _ => return Err(wrong_arguments(kind, spark, span)),
        }
    }
    let (names, required) = kind.parameters();
    if durations.len() < required || durations.len() > names.len() {
        return Err(wrong_arguments(kind, spark, span));
    }
    Ok(Some(GroupWindow { kind, time, durations, text: expr.to_string(), arguments, span }))
}

fn wrong_arguments(kind: Kind, spark: bool, span: Span) -> Error {
    let (name, usage) = match kind {
        _ if spark => ("WINDOW", "window(ts, size[, slide[, start]])"),
        Kind::Tumble => ("TUMBLE", "TUMBLE(ts, size[, offset])"),
        Kind::Hop => ("HOP", "HOP(ts, slide, size[, offset])"),
        Kind::Cumulate => ("CUMULATE", "CUMULATE(ts, step, size[, offset])"),
        Kind::Session => ("SESSION", "SESSION(ts, gap)"),
    };
    Error::sql(format!("wrong arguments of {name}")).at(span.into()).help(format!(
        "in GROUP BY {name} takes {usage}; the time column may be left out where the input has one watermark"
    ))
}

/// The arguments of a function that are nothing but expressions.
fn plain_arguments(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return None };
    if function.over.is_some() || function.filter.is_some() || !list.clauses.is_empty() {
        return None;
    }
    list.args
        .iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        })
        .collect()
}

fn args_text(function: &Function) -> String {
    function.args.to_string()
}

fn is_duration(expr: &Expr) -> bool {
    match expr {
        Expr::Interval(_) => true,
        Expr::Value(value) => matches!(value.value, Value::SingleQuotedString(_)),
        _ => false,
    }
}

/// FROM as the windowing call, with WHERE inside it.
fn wrap_from(select: &mut Select, window: GroupWindow) -> Result<()> {
    if select.from.is_empty() {
        return Err(Error::sql("a window needs something in FROM").at(window.span.into()));
    }
    let mut from = std::mem::take(&mut select.from);
    let selection = select.selection.take();
    let alias = single_alias(&mut from);
    let keys = if window.kind == Kind::Session { group_keys(select) } else { vec![] };
    let unqualified = |expr: Expr| alias.as_ref().map_or_else(|| expr.clone(), |a| unqualify(&expr, &a.name));
    let time = match window.time {
        Some(time) => unqualified(time),
        None => Expr::Function(build::call(Ident::with_span(window.span, WATERMARK_COLUMN), vec![])),
    };
    let keys: Vec<Expr> = keys.into_iter().map(unqualified).collect();
    let input = Expr::Subquery(build::select_all_where(from, selection));
    let args = [input, time].into_iter().chain(window.durations).chain(keys).collect();
    let name = Ident::with_span(window.span, window.kind.name());
    select.from = vec![TableWithJoins { relation: build::table_call(name, args, alias), joins: vec![] }];
    Ok(())
}

/// The name that FROM's only relation has, inside and outside of the windowing call; column aliases stay inside.
fn single_alias(from: &mut [TableWithJoins]) -> Option<TableAlias> {
    let [TableWithJoins { relation, joins }] = from else { return None };
    if !joins.is_empty() {
        return None;
    }
    match relation {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            Some(TableAlias { columns: vec![], ..alias.clone() })
        }
        TableFactor::Table { name, args: None, .. } => {
            let ident = name.0.last()?.as_ident()?;
            // A path is no name to qualify columns with.
            (ident.quote_style != Some('\'')).then(|| build::alias(ident.clone()))
        }
        _ => None,
    }
}

/// `b.ts` as `ts` where the relation is called `b`: the windowing call sees its columns without a name in front.
fn unqualify(expr: &Expr, relation: &Ident) -> Expr {
    match expr {
        Expr::CompoundIdentifier(parts) if parts.len() > 1 && parts[0].value.eq_ignore_ascii_case(&relation.value) => {
            match &parts[1..] {
                [single] => Expr::Identifier(single.clone()),
                rest => Expr::CompoundIdentifier(rest.to_vec()),
            }
        }
        other => other.clone(),
    }
}

/// What a session is per: everything else in GROUP BY.
fn group_keys(select: &Select) -> Vec<Expr> {
    let GroupByExpr::Expressions(exprs, _) = &select.group_by else { return vec![] };
    let bound = |expr: &Expr| matches!(expr, Expr::Identifier(i) if [START, END, TIME].contains(&i.value.as_str()));
    exprs.iter().filter(|expr| !bound(expr)).map(|expr| resolve(expr, &select.projection).clone()).collect()
}

fn has_windowing_call(table: &TableWithJoins) -> bool {
    let is_call = |factor: &TableFactor| match factor {
        TableFactor::Table { name, args: Some(_), .. } => Kind::of(name).is_some(),
        other => unnest::input_of(other).is_some_and(|from| from.iter().any(has_windowing_call)),
    };
    is_call(&table.relation) || table.joins.iter().any(|join| is_call(&join.relation))
}

/// Puts the window's bounds in place of what names them.
struct Bounds {
    /// What the window is called: `window` and its alias.
    names: Vec<String>,
    window: Option<GroupWindow>,
    /// Whether the SELECT has a window at all.
    windowed: bool,
    /// Subqueries entered: their columns are their own.
    depth: usize,
    used_time: bool,
}

impl Bounds {
    fn add_aliases(&mut self, select: &Select) {
        let Some(window) = &self.window else { return };
        for item in &select.projection {
            if let SelectItem::ExprWithAlias { expr: expr @ Expr::Function(_), alias } = item
                && expr.to_string() == window.text
            {
                self.names.push(alias.value.to_ascii_lowercase());
            }
        }
    }

    fn rewrite(&mut self, expr: &mut Expr) -> Result<()> {
        finish(expr.visit(self))
    }

    /// An item of SELECT, which keeps the name that it would have had.
    fn rewrite_item(&mut self, item: &mut SelectItem) -> Result<()> {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let name = self.column_name(expr);
                self.rewrite(expr)?;
                if let Some(alias) = name {
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias };
                }
                Ok(())
            }
            SelectItem::ExprWithAlias { expr, .. } | SelectItem::ExprWithAliases { expr, .. } => self.rewrite(expr),
            _ => Ok(()),
        }
    }

    /// The name of an unnamed item that is about to be replaced.
    fn column_name(&self, expr: &Expr) -> Option<Ident> {
        if !self.windowed {
            return None;
        }
        match expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => {
                let ident = match expr {
                    Expr::Identifier(ident) => ident,
                    Expr::CompoundIdentifier(parts) => parts.last()?,
                    _ => return None,
                };
                self.bound(expr).map(|_| ident.clone())
            }
            Expr::Function(function) if self.is_window(expr) => {
                let ident = function.name.0.first()?.as_ident()?;
                Some(Ident { value: ident.value.to_lowercase(), ..ident.clone() })
            }
            _ => None,
        }
    }

    fn is_window(&self, expr: &Expr) -> bool {
        self.window.as_ref().is_some_and(|window| matches!(expr, Expr::Function(_)) && expr.to_string() == window.text)
    }

    /// The bound that a column names: `windowstart`, `t.windowend`, `window.start`, `w.end`.
    fn bound(&self, expr: &Expr) -> Option<Expr> {
        let alias = |ident: &Ident| match ident.value.to_ascii_lowercase().as_str() {
            "windowstart" if ident.quote_style.is_none() => Some(START),
            "windowend" if ident.quote_style.is_none() => Some(END),
            _ => None,
        };
        match expr {
            Expr::Identifier(ident) => alias(ident).map(|name| build::column(name, ident.span)),
            Expr::CompoundIdentifier(parts) => {
                let (last, before) = parts.split_last()?;
                if let Some(name) = alias(last) {
                    let mut parts = before.to_vec();
                    parts.push(Ident::with_span(last.span, name));
                    return Some(Expr::CompoundIdentifier(parts));
                }
                let field = match last.value.to_ascii_lowercase().as_str() {
                    "start" => START,
                    "end" => END,
                    _ => return None,
                };
                let [window] = before else { return None };
                let known = self.names.contains(&window.value.to_ascii_lowercase());
                known.then(|| build::column(field, Span::new(window.span.start, last.span.end)))
            }
            _ => None,
        }
    }

    fn rewrite_call(&mut self, function: &Function) -> Result<Option<Expr>> {
        let span = span_of(&function.name);
        if let Some((kind, part)) = auxiliary(&function.name) {
            if !self.windowed {
                let name = kind.name().to_ascii_uppercase();
                return Err(Error::sql(format!("{name}_{part} without {name}")).at(span.into()).help(format!(
                    "group by {name}(…), or write FROM {name}(TABLE t, DESCRIPTOR(ts), …) and window_start, window_end"
                )));
            }
            if let Some(window) = &self.window
                && (window.kind != kind || window.arguments != args_text(function))
            {
                return Err(Error::sql(format!("'{function}' is not the bound of the window that is grouped by"))
                    .at(span.into())
                    .help(format!("the window is {}", window.text)));
            }
            return Ok(Some(match part {
                "START" => build::column(START, span),
                "END" => build::column(END, span),
                "PROCTIME" => Expr::Function(build::call(Ident::with_span(span, "PROCTIME"), vec![])),
                _ => {
                    self.used_time = true;
                    build::column(TIME, span)
                }
            }));
        }
        if self.is_window(&Expr::Function(function.clone())) {
            let fields = [
                build::string("start", span),
                build::column(START, span),
                build::string("end", span),
                build::column(END, span),
            ];
            let name = Ident::with_span(span, "named_struct");
            return Ok(Some(Expr::Function(build::call(name, build::unnamed(fields)))));
        }
        // A windowing call anywhere else says nothing; one with a duration is meant as one.
        if let Some((kind, _)) = Kind::of(&function.name)
            && plain_arguments(function).is_some_and(|args| args.iter().any(is_duration))
        {
            let name = kind.name().to_ascii_uppercase();
            return Err(Error::sql(format!("{name}(…) stands neither in GROUP BY nor in FROM"))
                .at(span.into())
                .help(format!("add it to GROUP BY, or write FROM {name}(TABLE t, DESCRIPTOR(ts), …)")));
        }
        Ok(None)
    }
}

/// `TUMBLE_START` and the like: of which window, and which of its bounds.
fn auxiliary(name: &ObjectName) -> Option<(Kind, &'static str)> {
    let [part] = name.0.as_slice() else { return None };
    let (kind, bound) = part.as_ident()?.value.split_once('_')?;
    let kinds = [Kind::Tumble, Kind::Hop, Kind::Cumulate, Kind::Session];
    let kind = kinds.into_iter().find(|k| k.name().eq_ignore_ascii_case(kind))?;
    let bound = ["START", "END", "ROWTIME", "PROCTIME"].into_iter().find(|b| b.eq_ignore_ascii_case(bound))?;
    Some((kind, bound))
}

impl VisitorMut for Bounds {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if self.depth > 0 {
            return ControlFlow::Continue(());
        }
        let replacement = match &*expr {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) if self.windowed => Ok(self.bound(expr)),
            Expr::Function(function) => self.rewrite_call(function),
            _ => Ok(None),
        };
        flow(replacement.map(|new| {
            if let Some(new) = new {
                *expr = new;
            }
        }))
    }
}
