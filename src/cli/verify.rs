//! `tidemill verify`: what a verification found, as a table on stdout and a minimal case in files.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::args::SqlSource;
use super::failure::{Exit, Failure};
use super::run::Run;
use crate::error::{Error, Result};
use crate::sql::statement::Parsed;
use crate::verify::{Difference, Report, Verdict, Verifier};

impl Run<'_> {
    /// Verifies all scripts as one.
    ///
    /// # Errors
    /// What is wrong with them, or why they can't be verified.
    pub(crate) async fn verify(&self, seeds: u64) -> std::result::Result<Exit, Failure> {
        let statements: Vec<Parsed> = self.scripts.iter().flat_map(|s| s.statements.iter().cloned()).collect();
        let verifier = Verifier::new().seeds(seeds).settings(self.settings.clone()).host(self.host.clone());
        let report = verifier.verify(&statements).await.map_err(|error| match self.scripts {
            [script] => Failure::in_script(error, script),
            // A place does not say in which script it is: that of the statement which has it does.
            scripts => match scripts.iter().find(|s| s.statements.iter().any(|p| Some(p.span) == error.span())) {
                Some(script) => Failure::in_script(error, script),
                None => error.into(),
            },
        })?;
        let mut out = std::io::stdout().lock();
        out.write_all(table(&report).as_bytes()).map_err(|e| Failure::from(Error::from(e)))?;
        let Some(difference) = &report.difference else { return Ok(Exit::Done) };
        let path = self.write_case(difference)?;
        self.screen.say(&format!(
            "error: '{}' is not the batch answer with {}\n{}\nhelp: a case of few rows is in {}",
            difference.output,
            difference.arrival,
            difference.what,
            path.display()
        ));
        Ok(Exit::Failed)
    }

    /// Writes the case beside where the command runs: `q.case.sql` and `q.case.<table>.jsonl`.
    fn write_case(&self, difference: &Difference) -> Result<PathBuf> {
        let name = self.invocation.scripts.iter().find_map(|source| match source {
            SqlSource::File(path) => path.file_stem().map(|s| s.to_string_lossy().into_owned()),
            _ => None,
        });
        let stem = format!("{}.case", name.unwrap_or_else(|| "verify".to_owned()));
        let write = |path: &Path, text: &str| -> Result<()> {
            let mut file = self.host.files.create(path, false)?;
            file.write_all(text.as_bytes()).and_then(|()| file.flush())?;
            Ok(())
        };
        let sql = PathBuf::from(format!("{stem}.sql"));
        write(&sql, &difference.sql.replace("'FILE.", &format!("'{stem}.")))?;
        for (table, lines) in &difference.rows {
            write(&PathBuf::from(format!("{stem}.{table}.jsonl")), lines)?;
        }
        Ok(sql)
    }
}

/// The report for a person.
fn table(report: &Report) -> String {
    let width = |names: &mut dyn Iterator<Item = &String>| names.map(|n| n.chars().count()).max().unwrap_or(0).max(6);
    let mut text = String::new();
    let names = width(&mut report.sources.iter().map(|s| &s.name).chain(report.outputs.iter().map(|o| &o.name)));
    text.push_str(&format!("{:names$}  {:>9}  {:>7}  {:>7}\n", "source", "rows", "late", "bad"));
    for s in &report.sources {
        text.push_str(&format!("{:names$}  {:>9}  {:>7}  {:>7}\n", s.name, s.rows, s.late, s.bad));
    }
    text.push_str(&format!("\n{:names$}  {:>9}  {:16}\n", "output", "rows", "digest"));
    for o in &report.outputs {
        let verdict = match o.verdict {
            Verdict::Same => "ok",
            Verdict::SeveralAnswers => "ok, but batch has several answers: they depend on the order of rows",
            Verdict::Differs => "DIFFERS",
        };
        text.push_str(&format!("{:names$}  {:>9}  {:016x}  {verdict}\n", o.name, o.rows, o.digest));
    }
    let ways = if report.difference.is_none() { "each gave the batch answer" } else { "the last gave another answer" };
    let plural = if report.runs == 1 { "" } else { "s" };
    text.push_str(&format!("\n{} stream{plural}: {ways}\n", report.runs));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{OutputReport, SourceReport};

    #[test]
    fn a_report_is_a_table() {
        let report = Report {
            sources: vec![SourceReport { name: "bids".into(), rows: 1000, late: 3, bad: 0 }],
            outputs: vec![OutputReport { name: "select".into(), rows: 7, digest: 0xab, verdict: Verdict::Same }],
            runs: 21,
            difference: None,
        };
        let text = table(&report);
        assert!(text.contains("bids         1000        3        0\n"), "{text}");
        assert!(text.contains("select          7  00000000000000ab  ok\n"), "{text}");
        assert!(text.ends_with("21 streams: each gave the batch answer\n"), "{text}");
    }
}
