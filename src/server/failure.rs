//! Errors as PostgreSQL's clients know them: a SQLSTATE, the place in the text, a hint.

use pgwire::error::ErrorInfo;

use crate::error::{Error, ErrorKind, Location};

/// An error of ours and the text that it is about.
pub(super) fn error_info(error: &Error, text: &str) -> ErrorInfo {
    let mut info = ErrorInfo::new("ERROR".to_owned(), sqlstate(error).to_owned(), error.message().to_owned());
    info.severity_nonlocalized = Some("ERROR".to_owned());
    info.position = error.span().and_then(|span| position(text, span.start)).map(|at| at.to_string());
    info.hint = (!error.helps().is_empty()).then(|| error.helps().join("\n"));
    info
}

/// An error of the protocol or the session.
pub(super) fn refusal(code: &str, message: impl Into<String>) -> ErrorInfo {
    let mut info = ErrorInfo::new("ERROR".to_owned(), code.to_owned(), message.into());
    info.severity_nonlocalized = Some("ERROR".to_owned());
    info
}

/// Something to say that is no error.
pub(super) fn notice(severity: &str, code: &str, message: impl Into<String>) -> ErrorInfo {
    let mut info = ErrorInfo::new(severity.to_owned(), code.to_owned(), message.into());
    info.severity_nonlocalized = Some(severity.to_owned());
    info
}

/// The character of a text, from 1, at a line and column.
fn position(text: &str, at: Location) -> Option<usize> {
    let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(at.column).ok()?;
    let before: usize = text.split_inclusive('\n').take(line).map(|l| l.chars().count()).sum();
    (text.split_inclusive('\n').count().max(1) > line).then_some(before + column)
}

/// The five characters that programs look at.
pub(super) fn sqlstate(error: &Error) -> &'static str {
    let message = error.message().to_lowercase();
    let says = |words: &[&str]| words.iter().all(|word| message.contains(word));
    match error.kind() {
        ErrorKind::Sql | ErrorKind::Config if says(&["there is no table or view"]) => "42P01",
        ErrorKind::Sql | ErrorKind::Config if says(&["exists already"]) => "42P07",
        ErrorKind::Sql if says(&["there is a function", "already"]) => "42723",
        ErrorKind::Sql if says(&["column", "not found"]) || says(&["there is no column"]) => "42703",
        ErrorKind::Sql if says(&["ambiguous"]) => "42702",
        ErrorKind::Sql if says(&["there is no", "function"]) || says(&["takes other types"]) => "42883",
        ErrorKind::Sql if says(&["there is no type"]) => "42704",
        ErrorKind::Sql if says(&["group by"]) => "42803",
        ErrorKind::Sql if says(&["is read by"]) => "2BP01",
        ErrorKind::Sql if says(&["cannot coerce"]) || says(&["type"]) && says(&["mismatch"]) => "42804",
        ErrorKind::Sql if says(&["there is no parameter"]) => "42P02",
        ErrorKind::Sql if says(&[" is a "]) => "42809",
        ErrorKind::Sql => "42601",
        ErrorKind::Unsupported => "0A000",
        ErrorKind::Config if says(&["there is no setting"]) => "42704",
        ErrorKind::Config => "22023",
        ErrorKind::Data => "22P02",
        ErrorKind::Unreachable => "58P01",
        ErrorKind::Io => "58030",
        ErrorKind::Limit => "53400",
        ErrorKind::Denied => "42501",
        ErrorKind::Execution if says(&["division by zero"]) || says(&["divide by zero"]) => "22012",
        ErrorKind::Execution if says(&["overflow"]) || says(&["out of range"]) => "22003",
        ErrorKind::Execution if says(&["cast"]) || says(&["parse"]) || says(&["parsing"]) => "22P02",
        ErrorKind::Execution if says(&["duplicate", "key"]) => "23505",
        ErrorKind::Execution => "22000",
        ErrorKind::Internal => "XX000",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Span;

    #[test]
    fn places_are_characters_from_one() {
        let at = |line, column| Location { line, column };
        assert_eq!(position("SELECT x", at(1, 8)), Some(8));
        assert_eq!(position("SELECT 'ä',\n  x", at(2, 3)), Some(15));
        assert_eq!(position("SELECT", at(4, 1)), None);
        assert_eq!(position("", at(0, 0)), None);
        let error =
            Error::sql("column 'b' not found").at(Span { start: at(1, 8), end: at(1, 9) }).help("did you mean 'a'?");
        let info = error_info(&error, "SELECT b");
        assert_eq!((info.code.as_str(), info.position.as_deref()), ("42703", Some("8")));
        assert_eq!(info.hint.as_deref(), Some("did you mean 'a'?"));
    }
}
