//! Errors as people read them: the line of SQL, a caret under the place, help below.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use datafusion::error::DataFusionError;

use super::{Error, ErrorKind, Location, Span};

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
    let message = match &diagnostic {
        Some(d) => d.message.clone(),
        None => strip_prefix(&text).to_owned(),
    };
    let mut own = Error::new(if diagnostic.is_some() { ErrorKind::Sql } else { kind }, lower_first(&message));
    if let Some(d) = diagnostic {
        if let Some(span) = d.span {
            own = own.at(span_of(span));
        }
        for note in d.notes {
            own = own.help(note.message);
        }
        for help in d.helps {
            own = own.help(did_you_mean(&help.message));
        }
    }
    own
}

/// DataFusion's "possible column t.auction" in our words, without the qualifier that nobody wrote.
fn did_you_mean(help: &str) -> String {
    match help.strip_prefix("possible column ").or_else(|| help.strip_prefix("Possible column ")) {
        Some(column) => format!("did you mean '{}'?", column.rsplit('.').next().unwrap_or(column).trim_matches('"')),
        None => lower_first(help),
    }
}

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
