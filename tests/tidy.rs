//! Habits that no compiler checks: who may use whom, how files begin, how long they are, what they never hold.
//!
//! The table below is the layer law: a module uses those above it and never those below. A new line in it is a decision about
//! the design, and not a way to make this test pass.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Each module in the order of the flow, and those it may use.
const LAYERS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("time", &["error"]),
    ("host", &["error", "time"]),
    ("settings", &["error", "time"]),
    ("metrics", &["error", "time"]),
    ("change", &[]),
    // Formats open files of their own for dead letters and columnar reads: through the host.
    ("format", &["error", "time", "host", "settings", "change"]),
    // The options in WITH are settings, and are read once, by the parser.
    ("sql", &["error", "time", "settings"]),
    ("catalog", &["error", "time", "settings", "change", "format", "sql"]),
    ("state", &["error", "time", "metrics"]),
    ("plan", &["error", "time", "settings", "change", "sql", "catalog"]),
    ("exec", &["error", "time", "settings", "metrics", "change", "state", "plan"]),
    ("connector", &["error", "time", "host", "settings", "metrics", "change", "format", "catalog"]),
    (
        "runtime",
        &[
            "error",
            "time",
            "host",
            "settings",
            "metrics",
            "change",
            "format",
            "catalog",
            "state",
            "plan",
            "exec",
            "connector",
        ],
    ),
    (
        "engine",
        &[
            "error",
            "time",
            "host",
            "settings",
            "metrics",
            "change",
            "format",
            "sql",
            "catalog",
            "state",
            "plan",
            "exec",
            "connector",
            "runtime",
        ],
    ),
    // The proof knows what a query means (catalog), and nothing of how the engine plans and runs it.
    ("verify", &["error", "time", "host", "settings", "change", "format", "sql", "catalog", "connector", "engine"]),
    // An endpoint: statements in, answers out.
    ("server", &["error", "time", "settings", "change", "format", "sql", "connector", "engine"]),
    // The shell drives the engine; the rest are the words that the engine speaks.
    (
        "cli",
        &[
            "error",
            "time",
            "host",
            "settings",
            "metrics",
            "change",
            "format",
            "sql",
            "connector",
            "engine",
            "verify",
            "server",
        ],
    ),
];

/// A source file without its tests.
struct Source {
    path: PathBuf,
    module: String,
    /// The whole text.
    text: String,
    /// Lines of code: no comments, and nothing of `#[cfg(test)]`.
    code: Vec<String>,
}

/// Every file of the crate that is not itself a test.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    let all_tests = |path: &Path| {
        let inner = path.strip_prefix(&root).expect("below src");
        inner.components().any(|c| matches!(c.as_os_str().to_str(), Some("tests" | "tests.rs" | "testing.rs")))
    };
    found.into_iter().filter(|p| !all_tests(p)).map(|p| source(&root, p)).collect()
}

#[allow(clippy::disallowed_methods)]
fn source(root: &Path, path: PathBuf) -> Source {
    let text = fs::read_to_string(&path).expect("a source file is text");
    let inner = path.strip_prefix(root).expect("below src").to_owned();
    let first = inner.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    let code = code_of(&text);
    Source { module: first.trim_end_matches(".rs").to_owned(), path: inner, text, code }
}

/// The lines of code, each with its comment cut off; items under `#[cfg(test)]` are left out by counting braces.
fn code_of(text: &str) -> Vec<String> {
    let mut code = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim_start().starts_with("#[cfg(test)]") {
            let mut depth = 0_i64;
            for inner in lines.by_ref() {
                if depth == 0 && inner.trim_start().starts_with("#[") {
                    continue;
                }
                depth += inner.matches('{').count() as i64 - inner.matches('}').count() as i64;
                let ends = inner.trim_end().ends_with(';') || inner.trim_end().ends_with('}');
                if depth <= 0 && ends {
                    break;
                }
            }
            continue;
        }
        let trimmed = line.trim_start();
        code.push(if trimmed.starts_with("//") { String::new() } else { line.to_owned() });
    }
    code
}

/// The modules of this crate that a line names.
fn uses(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split('}').next().unwrap_or_default();
            found.extend(list.split(',').map(|u| u.trim().split("::").next().unwrap_or_default().to_owned()));
        } else {
            found.push(rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_owned());
        }
    }
    found.retain(|u| !u.is_empty());
    found
}

/// What a check found; empty is good.
fn report(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn a_module_uses_only_those_above_it() {
    for (at, (module, allowed)) in LAYERS.iter().enumerate() {
        let above: BTreeSet<&str> = LAYERS[..at].iter().map(|(m, _)| *m).collect();
        for used in *allowed {
            assert!(above.contains(used), "the table lets {module} use {used}, which is not above it");
        }
    }
    let mut wrong = Vec::new();
    for source in sources() {
        if source.module == "lib" || source.module == "main" {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(m, _)| *m == source.module) else {
            wrong.push(format!("{}: the module '{}' has no place in the layers", source.path.display(), source.module));
            continue;
        };
        for (number, line) in source.code.iter().enumerate() {
            for used in uses(line) {
                let is_module = LAYERS.iter().any(|(m, _)| *m == used);
                if is_module && used != source.module && !allowed.contains(&used.as_str()) {
                    wrong.push(format!(
                        "{}:{}: {} must not use {used}",
                        source.path.display(),
                        number + 1,
                        source.module
                    ));
                }
            }
        }
    }
    report("modules that look down", &wrong);
}

#[test]
fn every_file_says_what_it_is() {
    let silent = |s: &Source| !s.text.starts_with("//!");
    let found: Vec<_> = sources().iter().filter(|s| silent(s)).map(|s| s.path.display().to_string()).collect();
    report("files that do not open with //!", &found);
}

#[test]
fn files_are_short() {
    let long = |s: &Source| s.code.len() > 800;
    let line = |s: &Source| format!("{}: {} lines", s.path.display(), s.code.len());
    let found: Vec<_> = sources().iter().filter(|s| long(s)).map(line).collect();
    report("files of more than 800 lines without their tests", &found);
}

#[test]
fn nothing_gives_up_half_way() {
    let banned = ["todo!(", "unimplemented!(", ".unwrap()", "dbg!(", "panic!("];
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in source.code.iter().enumerate() {
            if banned.iter().any(|b| line.contains(b)) {
                found.push(format!("{}:{}: {}", source.path.display(), number + 1, line.trim()));
            }
        }
    }
    report("library code that can give up", &found);
}

#[test]
fn no_drawers() {
    let drawers = ["utils", "util", "common", "helpers", "misc", "types_"];
    let is_drawer = |s: &Source| {
        s.path.components().any(|c| {
            let name = c.as_os_str().to_string_lossy();
            drawers.contains(&name.trim_end_matches(".rs"))
        })
    };
    let found: Vec<_> = sources().iter().filter(|s| is_drawer(s)).map(|s| s.path.display().to_string()).collect();
    report("drawers: name the file by the idea in it", &found);
}

#[test]
fn only_words_of_this_house() {
    // Paths of somebody's machine, notes to oneself, and words that name other things in the systems next door.
    let banned = ["/home/", "/root/", "TODO", "FIXME", "micro-job", "checkpoint barrier"];
    let mut found = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(word) = banned.iter().find(|b| line.contains(**b)) {
                found.push(format!("{}:{}: {word}", source.path.display(), number + 1));
            }
        }
    }
    report("words that have no place here", &found);
}

#[test]
fn the_checks_can_fail() {
    assert_eq!(uses("use crate::engine::Engine;"), ["engine"]);
    assert_eq!(uses("use crate::{plan, exec::Query};"), ["plan", "exec"]);
    assert_eq!(uses("fn f() -> crate::error::Result<crate::plan::X> {"), ["error", "plan"]);
    let code = code_of("a\n#[cfg(test)]\nmod tests {\n  fn f() { x.unwrap() }\n}\n// .unwrap()\nb");
    assert_eq!(code, ["a", "", "b"]);
    assert!(sources().len() > 50, "the sources are found");
}
