//! Completion: what could stand where the cursor is.

use rustyline::completion::{FilenameCompleter, Pair};

use super::commands::COMMANDS;
use crate::engine::{Engine, RelationInfo};
use crate::settings;

/// The words of SQL and of its streams that are worth completing and colouring.
const KEYWORDS: &[&str] = &[
    "ALL",
    "AND",
    "AS",
    "ASC",
    "ASOF",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CASCADE",
    "CHANGES",
    "CLOSE",
    "COLUMNS",
    "CONNECTORS",
    "CREATE",
    "CROSS",
    "CUMULATE",
    "DELAY",
    "DESC",
    "DESCRIBE",
    "DESCRIPTOR",
    "DISTINCT",
    "DROP",
    "ELSE",
    "EMIT",
    "END",
    "EXCEPT",
    "EXECUTE",
    "EXISTS",
    "EXPLAIN",
    "FALSE",
    "FILTER",
    "FINAL",
    "FOR",
    "FROM",
    "FULL",
    "FUNCTION",
    "FUNCTIONS",
    "GROUP",
    "HAVING",
    "HOP",
    "HOUR",
    "IF",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MATERIALIZED",
    "MINUTE",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRECEDING",
    "PRIMARY",
    "QUERIES",
    "RANGE",
    "REPLACE",
    "RESET",
    "RIGHT",
    "ROWS",
    "SECOND",
    "SELECT",
    "SESSION",
    "SET",
    "SHOW",
    "SINK",
    "SOURCE",
    "STATE",
    "STREAM",
    "SUBSCRIBE",
    "TABLE",
    "TABLES",
    "THEN",
    "TRUE",
    "TUMBLE",
    "UNION",
    "UNNEST",
    "UPDATE",
    "USING",
    "VALUES",
    "VIEW",
    "VIEWS",
    "WATERMARK",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// The names of formats, for `\format`.
const FORMATS: &[&str] = &["arrow", "changelog", "csv", "debezium-json", "json", "parquet", "table", "text", "tsv"];

/// Whether a word is one of SQL's.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|k| k.eq_ignore_ascii_case(word))
}

/// What can be named.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) relations: Vec<RelationInfo>,
    pub(super) functions: Vec<String>,
    pub(super) queries: Vec<(u64, String)>,
}

impl Names {
    /// The names that an engine knows now.
    pub(super) fn of(engine: &Engine) -> Self {
        let queries = engine.progress().queries.into_iter().map(|q| (q.id, q.name)).collect();
        Self { relations: engine.relations(), functions: engine.functions(), queries }
    }
}

/// The candidates for the word that ends at `pos`, and where it starts.
pub(super) fn complete(line: &str, pos: usize, names: impl FnOnce() -> Names) -> (usize, Vec<Pair>) {
    let before = &line[..pos];
    let (start, word) = word_before(before);
    if Some(line.trim_start()).is_some_and(|l| l.starts_with('\\')) {
        return command(before, names);
    }
    if in_quotes(before) {
        return files(before);
    }
    let previous = previous_word(&before[..start]);
    match previous.as_deref() {
        Some("SET" | "RESET" | "SHOW") => {
            let mut found = matching(word, settings::NAMES.iter().map(|(name, _)| (*name).to_owned()));
            if previous.as_deref() == Some("SHOW") {
                let words =
                    ["ALL", "COLUMNS", "CONNECTORS", "CREATE", "FUNCTIONS", "QUERIES", "STATE", "TABLES", "VIEWS"];
                found.extend(matching(word, words.iter().map(|w| cased(w, word))));
            }
            return (start, found);
        }
        Some("FROM" | "JOIN" | "INTO" | "TABLE" | "VIEW" | "SINK" | "SOURCE" | "STREAM" | "DESCRIBE" | "SUBSCRIBE") => {
            let names = names();
            let mut found = matching(word, names.relations.iter().map(|r| quoted(&r.name)));
            let windows = ["TUMBLE(", "HOP(", "CUMULATE(", "SESSION("];
            if matches!(previous.as_deref(), Some("FROM" | "JOIN")) && !word.is_empty() {
                found.extend(matching(word, windows.iter().map(|w| cased(w, word))));
            }
            return (start, found);
        }
        _ => {}
    }
    let names = names();
    let mentioned = || {
        let words: Vec<String> = line.split(|c: char| !is_word(c)).map(str::to_lowercase).collect();
        names.relations.iter().filter(move |r| words.contains(&r.name.to_lowercase()))
    };
    if let Some((owner, part)) = word.rsplit_once('.') {
        let owned: Vec<&RelationInfo> = names.relations.iter().filter(|r| r.name.eq_ignore_ascii_case(owner)).collect();
        // Not a relation, so an alias of one that the text mentions.
        let of = if owned.is_empty() { mentioned().collect() } else { owned };
        return (start + owner.len() + 1, matching(part, columns(&of)));
    }
    let mut found = matching(word, columns(&mentioned().collect::<Vec<_>>()));
    if !word.is_empty() {
        found.extend(matching(word, KEYWORDS.iter().map(|k| cased(k, word))));
        found.extend(matching(word, names.functions.iter().map(|f| format!("{f}("))));
        found.extend(matching(word, names.relations.iter().map(|r| quoted(&r.name))));
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|pair| seen.insert(pair.replacement.trim_end_matches('(').to_lowercase()));
    }
    (start, found)
}

/// Candidates in a line that begins with a backslash.
fn command(before: &str, names: impl FnOnce() -> Names) -> (usize, Vec<Pair>) {
    let indent = before.len() - before.trim_start().len();
    let text = before.trim_start();
    let Some(end) = text.find(char::is_whitespace) else {
        return (indent, matching(text, COMMANDS.iter().map(|(name, ..)| (*name).to_owned())));
    };
    let argument_at = before.rfind(char::is_whitespace).map_or(before.len(), |i| i + 1);
    let argument = &before[argument_at..];
    let found = match &text[..end] {
        "\\i" | "\\o" => return files(before),
        "\\d" | "\\dt" => matching(argument, names().relations.into_iter().map(|r| r.name)),
        "\\df" => matching(argument, names().functions),
        "\\format" => matching(argument, FORMATS.iter().map(|f| (*f).to_owned())),
        "\\why" => matching(argument, names().queries.into_iter().map(|(_, name)| name)),
        "\\stop" => matching(argument, names().queries.into_iter().map(|(id, _)| id.to_string())),
        _ => Vec::new(),
    };
    (argument_at, found)
}

fn files(before: &str) -> (usize, Vec<Pair>) {
    FilenameCompleter::new().complete_path(before, before.len()).unwrap_or((before.len(), Vec::new()))
}

fn columns(relations: &[&RelationInfo]) -> Vec<String> {
    let mut names: Vec<String> =
        relations.iter().flat_map(|r| r.columns.iter().map(|(name, _)| quoted(name))).collect();
    names.sort();
    names.dedup();
    names
}

/// Those that begin with a word, whatever its case.
fn matching(word: &str, candidates: impl IntoIterator<Item = String>) -> Vec<Pair> {
    let wanted = word.to_lowercase();
    let fits = |c: &String| c.trim_start_matches('"').to_lowercase().starts_with(&wanted);
    let mut found: Vec<String> = candidates.into_iter().filter(fits).collect();
    found.sort();
    found.into_iter().map(|text| Pair { display: text.clone(), replacement: text }).collect()
}

/// A keyword in the case in which the word was begun.
fn cased(keyword: &str, word: &str) -> String {
    if word.chars().any(char::is_lowercase) { keyword.to_lowercase() } else { keyword.to_owned() }
}

/// A name as SQL must spell it.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '$'));
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

/// The word (dots too) that ends here, and where it starts.
fn word_before(before: &str) -> (usize, &str) {
    let start = before
        .char_indices()
        .rev()
        .take_while(|(_, c)| is_word(*c) || *c == '.')
        .last()
        .map_or(before.len(), |(i, _)| i);
    (start, &before[start..])
}

/// The word in front, in upper case, when nothing but blanks lies between.
fn previous_word(before: &str) -> Option<String> {
    let (_, word) = word_before(before.trim_end());
    Some(word.to_uppercase()).filter(|w| !w.is_empty())
}

/// Whether the text ends inside '…'.
fn in_quotes(before: &str) -> bool {
    !before.matches('\'').count().is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let columns = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), "BIGINT".to_owned())).collect();
        let schema = arrow::datatypes::SchemaRef::new(arrow::datatypes::Schema::empty());
        Names {
            relations: vec![
                RelationInfo {
                    name: "bid".into(),
                    kind: "table",
                    columns: columns(&["auction", "price", "dateTime"]),
                    schema: schema.clone(),
                    definition: None,
                },
                RelationInfo {
                    name: "person".into(),
                    kind: "table",
                    columns: columns(&["id", "name"]),
                    schema,
                    definition: None,
                },
            ],
            functions: vec!["count".into(), "coalesce".into(), "power".into()],
            queries: vec![(7, "hot".into())],
        }
    }

    fn at_end(line: &str) -> Vec<String> {
        complete(line, line.len(), names).1.into_iter().map(|p| p.replacement).collect()
    }

    #[test]
    fn keywords_have_no_case() {
        assert!(is_keyword("select") && is_keyword("Emit") && !is_keyword("price"));
    }

    #[test]
    fn each_place_has_its_candidates() {
        assert_eq!(at_end("SELECT * FROM b"), ["bid"]);
        assert_eq!(at_end("SELECT * FROM "), ["bid", "person"]);
        assert_eq!(at_end("select * from tu"), ["tumble("]);
        assert_eq!(at_end("SELECT co"), ["columns", "connectors", "coalesce(", "count("]);
        assert_eq!(at_end("SET idle"), ["idle_timeout"]);
        assert_eq!(at_end("SHOW sta"), ["state"]);
        assert_eq!(at_end("\\d p"), ["person"]);
        assert_eq!(at_end("\\stop "), ["7"]);
        assert_eq!(at_end("\\why h"), ["hot"]);
        assert_eq!(at_end("\\ti"), ["\\timing"]);
        assert_eq!(at_end("\\format ch"), ["changelog"]);
    }

    #[test]
    fn columns_of_the_relations_in_the_text_come_first() {
        let line = "SELECT pr FROM bid";
        let found: Vec<String> = complete(line, 9, names).1.into_iter().map(|p| p.replacement).collect();
        assert_eq!(found[0], "price");
        assert_eq!(at_end("SELECT * FROM bid WHERE bid.d"), ["\"dateTime\""]);
        assert_eq!(at_end("SELECT * FROM bid b WHERE b.au"), ["auction"]);
        assert_eq!(complete("SELECT bid.au", 13, names).0, 11);
    }

    #[test]
    fn quotes_hold_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("day.csv");
        crate::host::Host::system().files.create(&path, false).unwrap();
        let line = format!("SELECT * FROM '{}/da", folder.path().display());
        assert_eq!(at_end(&line), [path.display().to_string()]);
    }
}
