//! Errors as people read them: the line of SQL, a caret under the place, help below.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use datafusion::error::DataFusionError;

use super::{Error, ErrorKind, Location, Span, nearest};

/// An error with its line of `sql` and a caret, coloured for a terminal; `origin` names the text (`q.sql`, `-c`).
pub fn render(error: &Error, sql: &str, origin: &str) -> String {
    render_with(error, sql, origin, &Renderer::styled())
}

/// The same without colour.
pub fn render_plain(error: &Error, sql: &str, origin: &str) -> String {
    render_with(error, sql, origin, &Renderer::plain())
}

fn render_with(error: &Error, sql: &str, origin: &str, renderer: &Renderer) -> String {
    let title = Level::ERROR.primary_title(error.message());
    let range = error.span().and_then(|span| byte_range(sql, span));
    let mut group = match range {
        Some(range) => title.element(Snippet::source(sql).path(origin).annotation(AnnotationKind::Primary.span(range))),
        None => Group::with_title(title),
    };
    for help in error.helps() {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group]).to_string()
}

/// The bytes of `sql` that a span covers; at least one character.
fn byte_range(sql: &str, span: Span) -> Option<std::ops::Range<usize>> {
    let start = byte_offset(sql, span.start)?;
    let end = byte_offset(sql, span.end).unwrap_or(start);
    let next = sql[start..].chars().next().map_or(start, |c| start + c.len_utf8());
    // A span over lines is shown at its first line only.
    let line_end = sql[start..].find('\n').map_or(sql.len(), |n| start + n);
    Some(start..end.clamp(next, line_end.max(next)))
}

fn byte_offset(sql: &str, at: Location) -> Option<usize> {
    let line_index = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let column_index = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let line_start = sql.split_inclusive('\n').take(line_index).map(str::len).sum::<usize>();
    if line_start > sql.len() {
        return None;
    }
    let line = &sql[line_start..];
    let offset = line.char_indices().nth(column_index).map_or(line.len(), |(i, _)| i);
    Some(line_start + offset)
}

/// A DataFusion error as ours: our own errors that travelled through it come back as they were, diagnostics keep their span.
pub(super) fn from_datafusion(error: DataFusionError) -> Error {
    if let Some(own) = find_own(&error) {
        return own.clone();
    }
    let diagnostic = error.diagnostic().cloned();
    let kind = match error.find_root() {
        DataFusionError::SQL(..) | DataFusionError::Plan(_) | DataFusionError::SchemaError(..) => ErrorKind::Sql,
        DataFusionError::NotImplemented(_) => ErrorKind::Unsupported,
        DataFusionError::ResourcesExhausted(_) => ErrorKind::Limit,
        DataFusionError::Internal(_) => ErrorKind::Internal,
        DataFusionError::IoError(_) => ErrorKind::Io,
        _ => ErrorKind::Execution,
    };
    let text = error.find_root().strip_backtrace();
    if diagnostic.is_none()
        && let Some(own) = in_our_words(error.find_root(), strip_prefix(&text))
    {
        return own;
    }
    let message = match &diagnostic {
        Some(d) => d.message.clone(),
        None => strip_prefix(&text).to_owned(),
    };
    let mut own = Error::new(if diagnostic.is_some() { ErrorKind::Sql } else { kind }, lower_first(&message));
    if let Some(d) = diagnostic {
        if let Some(span) = d.span {
            own = own.at(span_of(span));
        }
        let notes = d.notes.into_iter().map(|n| n.message);
        let told: Vec<String> = notes.chain(d.helps.into_iter().map(|h| h.message)).collect();
        let possible: Vec<&str> = told.iter().filter_map(|help| possible_column(help)).collect();
        let wrong = message.split('\'').nth(1).unwrap_or_default();
        // Of several the nearest is enough.
        let near = nearest(wrong, possible.iter().copied());
        for help in &told {
            match possible_column(help) {
                Some(column) if near.is_none_or(|near| near == column) => {
                    own = own.help(format!("did you mean '{column}'?"));
                }
                Some(_) => {}
                None => own = own.help(lower_first(help)),
            }
        }
    }
    own
}

/// The column of DataFusion's "possible column t.auction", without the qualifier that nobody wrote.
fn possible_column(help: &str) -> Option<&str> {
    let column = help.strip_prefix("possible column ").or_else(|| help.strip_prefix("Possible column "))?;
    Some(column.rsplit('.').next().unwrap_or(column).trim_matches('"'))
}

/// Messages that are made for developers of DataFusion, or that leave out what to do.
fn in_our_words(root: &DataFusionError, text: &str) -> Option<Error> {
    if let DataFusionError::SchemaError(schema_error, _) = root
        && let datafusion::common::SchemaError::FieldNotFound { field, valid_fields } = schema_error.as_ref()
    {
        let error = Error::sql(format!("column '{}' not found", field.name));
        return Some(match nearest(&field.name, valid_fields.iter().map(|f| f.name.as_str())) {
            Some(near) => error.help(format!("did you mean '{near}'?")),
            None => error,
        });
    }
    // Every overload's complaint, then the call with its types in quotes.
    if let Some((_, call)) = text.split_once("No function matches the given name and argument types '") {
        let call = call.split('\'').next().unwrap_or(call);
        let name = call.split('(').next().unwrap_or(call);
        let takes: Vec<&str> = text.lines().map(str::trim).filter(|l| l.starts_with(&format!("{name}("))).collect();
        let error = Error::sql(format!("there is no {call}: the function '{name}' takes other types"));
        let error = if takes.is_empty() { error } else { error.help(format!("it is {}", takes.join(", "))) };
        return Some(error.help("cast the argument, for example CAST(x AS BIGINT)"));
    }
    let lower = text.to_ascii_lowercase();
    if lower.contains("divide by zero") {
        return Some(Error::execution("division by zero").help("x / nullif(y, 0) gives NULL instead"));
    }
    let running = matches!(root, DataFusionError::ArrowError(..) | DataFusionError::Execution(_));
    if running && let Some(at) = lower.find("cannot cast ").or_else(|| lower.find("can't cast ")) {
        let what = text[at..].trim_end();
        return Some(Error::execution(lower_first(what)).help("TRY_CAST gives NULL for what is no such value"));
    }
    if let Some(wrong) = text.strip_prefix("Unsupported SQL type ") {
        let error = Error::sql(format!("there is no type {wrong}"));
        return Some(match nearest(wrong, TYPES) {
            Some(near) => error.help(format!("did you mean {near}?")),
            None => error,
        });
    }
    None
}

/// Types as they are written, for did-you-mean.
const TYPES: [&str; 19] = [
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INT",
    "INTEGER",
    "BIGINT",
    "REAL",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "VARCHAR",
    "TEXT",
    "STRING",
    "BYTES",
    "INTERVAL",
    "TIMESTAMP_LTZ",
];

fn span_of(span: datafusion::common::Span) -> Span {
    let at = |l: datafusion::common::Location| Location { line: l.line, column: l.column };
    Span { start: at(span.start), end: at(span.end) }
}

fn find_own(error: &DataFusionError) -> Option<&Error> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = source {
        if let Some(own) = current.downcast_ref::<Error>() {
            return Some(own);
        }
        source = current.source();
    }
    None
}

/// DataFusion says what kind an error is in front of it; the kind is ours to say.
fn strip_prefix(text: &str) -> &str {
    let known = [
        "Error during planning: ",
        "This feature is not implemented: ",
        "Execution error: ",
        "Schema error: ",
        "SQL error: ",
        "Arrow error: ",
        "Optimizer rule ",
        "Internal error: ",
    ];
    let stripped = known.iter().find_map(|prefix| text.strip_prefix(prefix));
    stripped.map_or(text, strip_prefix)
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), text.chars().nth(1)) {
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn developers_words_are_not_for_users() {
        let text = "Function 'sum' failed to match any signature, errors: Error during planning: …. No function matches the \
                    given name and argument types 'sum(Utf8)'. You might need to add explicit type casts.\n\tCandidate \
                    functions:\n\tsum(Int64)\n\tsum(Float64)";
        for (text, message, help) in [
            (text, "there is no sum(Utf8): the function 'sum' takes other types", "it is sum(Int64), sum(Float64)"),
            ("Unsupported SQL type VARCHR", "there is no type VARCHR", "did you mean VARCHAR?"),
            ("Arrow error: Divide by zero error", "division by zero", "x / nullif(y, 0) gives NULL instead"),
        ] {
            let error = from_datafusion(DataFusionError::Plan(text.to_owned()));
            assert_eq!((error.message(), error.helps()[0].as_str()), (message, help));
        }
        assert_eq!(possible_column("possible column t.auction"), Some("auction"));
    }

    #[test]
    fn caret_under_the_place() {
        let sql = "SELECT auctoin\nFROM bid";
        let at = |line, column| Location { line, column };
        let error = Error::sql("no column 'auctoin'")
            .at(Span { start: at(1, 8), end: at(1, 15) })
            .help("did you mean 'auction'?");
        let text = render_plain(&error, sql, "q.sql");
        assert!(text.contains("^^^^^^^"), "{text}");
        assert!(text.contains("q.sql:1:8"), "{text}");
        assert!(text.contains("help: did you mean 'auction'?"), "{text}");
    }

    #[test]
    fn places_outside_the_text_do_not_panic() {
        let at = |line, column| Location { line, column };
        for (line, column) in [(0, 0), (1, 99), (9, 1), (2, 5)] {
            let error = Error::sql("x").at(Span { start: at(line, column), end: at(line, column) });
            render_plain(&error, "SELECT 1\nä", "q.sql");
        }
    }
}
