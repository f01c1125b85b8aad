//! What the shell answers to backslash commands.

use std::collections::BTreeMap;
use std::path::Path;

use super::Shell;
use super::commands::{self, Command};
use crate::cli::failure::Failure;
use crate::cli::script::{Script, read_text};
use crate::cli::status::{grouped, report, state_of};
use crate::engine::{QueryProgress, RelationInfo};
use crate::error::{Error, nearest};
use crate::time::Timestamp;

/// How deep files may include files.
const INCLUDE_DEPTH: usize = 16;

impl Shell<'_> {
    /// Does what a command says.
    ///
    /// # Errors
    /// What was wrong with it; the shell goes on.
    pub(super) fn command(&mut self, command: Command) -> Result<(), Failure> {
        match command {
            Command::Help => self.print(&commands::help()),
            Command::Quit => {}
            Command::Describe(None) => {
                let relations = self.engine.relations();
                let row = |r: &RelationInfo| {
                    let columns: Vec<&str> = r.columns.iter().map(|(name, _)| name.as_str()).collect();
                    vec![r.name.clone(), r.kind.to_owned(), columns.join(", ")]
                };
                self.list(
                    &["name", "kind", "columns"],
                    &relations.iter().map(row).collect::<Vec<_>>(),
                    "no relations yet",
                )?;
            }
            Command::Describe(Some(name)) => self.describe(&name)?,
            Command::Functions(part) => self.functions(part.as_deref())?,
            Command::Connectors => {
                let script = Script::parse("input", "SHOW CONNECTORS;".to_owned(), &BTreeMap::new())?;
                self.script(&script);
            }
            Command::Jobs => self.jobs()?,
            Command::Why(query) => self.print(&report(&self.engine.progress(), query.as_deref())),
            Command::Stop(query) => {
                let progress = self.engine.progress();
                let running = |q: &&QueryProgress| !q.ended && q.failed.is_none();
                let mut named = progress
                    .queries
                    .iter()
                    .filter(running)
                    .filter(|q| query.parse() == Ok(q.id) || q.name.eq_ignore_ascii_case(&query));
                let (Some(found), None) = (named.next(), named.next()) else {
                    let error = Error::config(format!("there is no one query '{query}' that runs"));
                    return Err(error.help("\\jobs lists them").into());
                };
                self.engine.stop(found.id);
                self.print(&format!("query {} ({}) is stopped\n", found.id, found.name));
            }
            Command::Format(name) => {
                let before = std::mem::replace(&mut self.printer.format, name);
                if let Err(error) = self.printer.check_format() {
                    self.printer.format = before;
                    return Err(error.into());
                }
                let format = self.printer.format.as_deref().unwrap_or("what fits");
                self.print(&format!("results print as {format}\n"));
            }
            Command::Expanded => {
                self.printer.expanded = !self.printer.expanded;
                self.print(&format!("one value a line: {}\n", on_off(self.printer.expanded)));
            }
            Command::Output(path) => self.printer.redirect(path.as_deref()),
            Command::Include(path) => self.include(&path)?,
            Command::Set(None) => {
                let rows: Vec<_> = self.variables.iter().map(|(n, v)| vec![n.clone(), v.clone()]).collect();
                self.list(&["name", "value"], &rows, "no variables yet")?;
            }
            Command::Set(Some((name, value))) => {
                self.variables.insert(name, value);
            }
            Command::Timing => {
                self.timing = !self.timing;
                self.print(&format!("timing: {}\n", on_off(self.timing)));
            }
        }
        Ok(())
    }

    fn describe(&self, name: &str) -> Result<(), Failure> {
        let relations = self.engine.relations();
        let found = relations
            .iter()
            .find(|r| r.name == name)
            .or_else(|| relations.iter().find(|r| r.name.eq_ignore_ascii_case(name)));
        let Some(relation) = found else {
            let error = Error::config(format!("there is no relation '{name}'"));
            let near = nearest(name, relations.iter().map(|r| r.name.as_str()));
            let error = match near {
                Some(near) => error.help(format!("did you mean '{near}'?")),
                None => error.help("\\d lists them"),
            };
            return Err(error.into());
        };
        let rows: Vec<_> = relation.columns.iter().map(|(n, t)| vec![n.clone(), t.clone()]).collect();
        self.print(&format!("{} {}\n", relation.kind, relation.name));
        self.list(&["column", "type"], &rows, "no columns")
    }

    fn functions(&self, part: Option<&str>) -> Result<(), Failure> {
        let part = part.unwrap_or_default().to_lowercase();
        let mut names = self.engine.functions();
        names.retain(|name| name.to_lowercase().contains(&part));
        names.sort();
        if names.is_empty() {
            return Err(Error::config(format!("no function has '{part}' in its name")).into());
        }
        Ok(self.printer.text(&wrapped(&names, 100))?)
    }

    fn jobs(&self) -> Result<(), Failure> {
        let progress = self.engine.progress();
        let row = |q: &QueryProgress| {
            let m = &q.metrics;
            let watermark = q.watermark.filter(|w| *w > Timestamp::MIN).map_or_else(String::new, |w| w.to_string());
            let mut row = vec![q.id.to_string(), q.name.clone(), state_of(q).to_owned()];
            row.extend([m.rows_in, m.rows_out, m.late, m.windows_open, m.state_rows].map(grouped));
            row.push(watermark);
            row
        };
        let names = ["id", "name", "state", "rows in", "rows out", "late", "open windows", "state rows", "watermark"];
        self.list(&names, &progress.queries.iter().map(row).collect::<Vec<_>>(), "no query runs")
    }

    fn include(&mut self, path: &Path) -> Result<(), Failure> {
        if self.includes >= INCLUDE_DEPTH {
            return Err(Error::config(format!("'{}' is included too deep", path.display())).into());
        }
        let text = read_text(&self.host, path)?;
        let script = Script::parse(&path.display().to_string(), text, &self.variables)?;
        self.includes += 1;
        self.script(&script);
        self.includes -= 1;
        Ok(())
    }

    fn list(&self, names: &[&str], rows: &[Vec<String>], empty: &str) -> Result<(), Failure> {
        if rows.is_empty() {
            self.print(&format!("{empty}\n"));
            return Ok(());
        }
        Ok(self.printer.table(names, rows)?)
    }
}

fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

/// Words in lines of at most so many characters.
fn wrapped(words: &[String], width: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    for word in words {
        if used > 0 && used + word.len() + 1 > width {
            text.push('\n');
            used = 0;
        }
        if used > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += word.len();
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn long_lists_are_wrapped() {
        let words = ["abs", "acos", "count"].map(str::to_owned);
        assert_eq!(wrapped(&words, 8), "abs acos\ncount\n");
        assert_eq!(wrapped(&words, 1), "abs\nacos\ncount\n");
    }
}
