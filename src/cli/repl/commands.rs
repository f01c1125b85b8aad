//! Backslash commands: their list, and what a line of them says.

use std::path::PathBuf;

use crate::error::{Error, Result, nearest};

/// Every command: its name, its arguments, what it does.
pub(super) const COMMANDS: &[(&str, &str, &str)] = &[
    ("\\?", "", "this list"),
    ("\\q", "", "leave; running queries are stopped"),
    ("\\d", "[name]", "relations, or the columns of one"),
    ("\\df", "[text]", "functions, or those with this text in their name"),
    ("\\connectors", "", "connectors"),
    ("\\jobs", "", "queries and how they do"),
    ("\\why", "[query]", "what a query waits for"),
    ("\\stop", "query", "stop a query, by its number or name"),
    ("\\format", "[name]", "print as table, json, csv, changelog, …; without a name: by what fits"),
    ("\\x", "", "one value a line, on and off"),
    ("\\o", "[file]", "print results to a file; without one: here"),
    ("\\i", "file", "run a file"),
    ("\\set", "[name value]", "set a variable for :name, :'name', :\"name\"; without one: list them"),
    ("\\timing", "", "say how long every statement takes, on and off"),
];

/// A command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Help,
    Quit,
    Describe(Option<String>),
    Functions(Option<String>),
    Connectors,
    Jobs,
    Why(Option<String>),
    Stop(String),
    Format(Option<String>),
    Expanded,
    Output(Option<PathBuf>),
    Include(PathBuf),
    Set(Option<(String, String)>),
    Timing,
}

impl Command {
    /// Whether a line is a command and not SQL.
    pub(super) fn is_one(line: &str) -> bool {
        line.trim_start().starts_with('\\')
    }

    /// Reads a line.
    ///
    /// # Errors
    /// An unknown command (with the nearest one), or a missing argument.
    pub(super) fn parse(line: &str) -> Result<Self> {
        let line = line.trim().trim_end_matches(';').trim_end();
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let argument = Some(unquoted(rest.trim())).filter(|text| !text.is_empty());
        let owned = || argument.map(str::to_owned);
        let required = || {
            argument.ok_or_else(|| {
                let usage = COMMANDS.iter().find(|(n, ..)| *n == name).map_or("", |(_, arguments, _)| arguments);
                Error::config(format!("{name} needs an argument")).help(format!("write {name} {usage}"))
            })
        };
        Ok(match name {
            "\\?" | "\\h" | "\\help" => Self::Help,
            "\\q" | "\\quit" | "\\exit" => Self::Quit,
            "\\d" | "\\dt" => Self::Describe(owned()),
            "\\df" => Self::Functions(owned()),
            "\\connectors" => Self::Connectors,
            "\\jobs" => Self::Jobs,
            "\\why" => Self::Why(owned()),
            "\\stop" => Self::Stop(required()?.to_owned()),
            "\\format" => Self::Format(owned()),
            "\\x" => Self::Expanded,
            "\\o" => Self::Output(argument.map(PathBuf::from)),
            "\\i" => Self::Include(required()?.into()),
            "\\timing" => Self::Timing,
            "\\set" => Self::Set(
                argument
                    .map(|_| {
                        let (name, value) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
                        (name.to_owned(), unquoted(value.trim()).to_owned())
                    })
                    .filter(|(name, _)| !name.is_empty()),
            ),
            _ => {
                let error = Error::config(format!("there is no command {name}"));
                return Err(match nearest(name, COMMANDS.iter().map(|(n, ..)| *n).filter(|n| n.len() > 2)) {
                    Some(near) => error.help(format!("did you mean {near}?")),
                    None => error.help("\\? lists the commands"),
                });
            }
        })
    }
}

/// What `\?` prints.
pub(super) fn help() -> String {
    let width = COMMANDS.iter().map(|(name, arguments, _)| name.len() + arguments.len() + 1).max().unwrap_or(0);
    let line =
        |(name, arguments, what): &(&str, &str, &str)| format!("  {:width$}  {what}\n", format!("{name} {arguments}"));
    let commands: String = COMMANDS.iter().map(line).collect();
    format!(
        "{commands}\nA SELECT on a stream prints rows until Ctrl-C. INSERT INTO … and CREATE MATERIALIZED VIEW run in the \
         background.\nTab completes; Ctrl-R searches the history; Ctrl-D leaves.\n"
    )
}

fn unquoted(text: &str) -> &str {
    ['\'', '"'].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, command) in [
            ("\\q", Command::Quit),
            (" \\d ", Command::Describe(None)),
            ("\\d bids;", Command::Describe(Some("bids".into()))),
            ("\\dt", Command::Describe(None)),
            ("\\stop 12", Command::Stop("12".into())),
            ("\\i 'my file.sql'", Command::Include("my file.sql".into())),
            ("\\o", Command::Output(None)),
            ("\\set day '2026-01-01'", Command::Set(Some(("day".into(), "2026-01-01".into())))),
            ("\\set", Command::Set(None)),
            ("\\format csv", Command::Format(Some("csv".into()))),
        ] {
            assert_eq!(Command::parse(line).unwrap(), command, "{line}");
        }
    }

    #[test]
    fn mistakes_are_answered() {
        assert!(Command::parse("\\timign").unwrap_err().helps()[0].contains("\\timing"));
        assert!(Command::parse("\\zzzzzz").unwrap_err().helps()[0].contains("\\?"));
        assert!(Command::parse("\\stop").unwrap_err().helps()[0].contains("\\stop query"));
        assert_eq!(Command::parse("\\stop hot").unwrap(), Command::Stop("hot".into()));
    }

    #[test]
    fn every_command_of_the_list_is_one() {
        for (name, ..) in COMMANDS {
            assert!(Command::parse(&format!("{name} 1")).is_ok(), "{name}");
            assert!(help().contains(name));
        }
    }
}
