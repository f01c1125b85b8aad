//! Names in FROM that are no tables but say where the rows are: `stdin`, `'dir/*.jsonl'`, `'tcp://:9999'`.

use crate::settings::Options;

/// The options (with `connector`) of the relation that a name stands for; `None` when it looks like none of these:
/// `stdin`, a path (with a `/`, a `.` or a glob's `*`, `?`, `[`), `file:///path`, `tcp://:port` (listen),
/// `tcp://host:port` (connect), `unix:///path`.
pub fn from_url(name: &str) -> Option<Options> {
    let name = name.trim();
    if name.eq_ignore_ascii_case("stdin") || name == "-" {
        return options(&[("connector", "stdin")]);
    }
    if let Some((scheme, rest)) = name.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            "tcp" if !rest.is_empty() => options(&[("connector", "socket"), ("address", name)]),
            "unix" if !rest.is_empty() => options(&[("connector", "socket"), ("address", name)]),
            "file" => local_path(rest).and_then(|path| options(&[("connector", "filesystem"), ("path", path)])),
            _ => None,
        };
    }
    let looks_like_path = name.contains(['/', '.', '*', '?', '[']) && !name.chars().any(char::is_control);
    if looks_like_path { options(&[("connector", "filesystem"), ("path", name)]) } else { None }
}

/// The path of a `file://` URL: `/path`, `localhost/path`, and the `relative/path` that people write.
pub(super) fn local_path(rest: &str) -> Option<&str> {
    let path = rest.strip_prefix("localhost").filter(|p| p.starts_with('/')).unwrap_or(rest);
    (!path.is_empty()).then_some(path)
}

fn options(pairs: &[(&str, &str)]) -> Option<Options> {
    let mut options = Options::new();
    for (name, value) in pairs {
        options.put(name, *value, None).ok()?;
    }
    Some(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(name: &str) -> Option<(String, String)> {
        let options = from_url(name)?;
        let place = options.get("path").or(options.get("address")).unwrap_or_default().to_owned();
        Some((options.get("connector")?.to_owned(), place))
    }

    #[test]
    fn names_that_say_where_the_rows_are() {
        for (name, connector, place) in [
            ("stdin", "stdin", ""),
            ("STDIN", "stdin", ""),
            ("dir/*.jsonl", "filesystem", "dir/*.jsonl"),
            ("access.log", "filesystem", "access.log"),
            ("/dev/fd/63", "filesystem", "/dev/fd/63"),
            ("dir/", "filesystem", "dir/"),
            ("file:///var/log/a b.log", "filesystem", "/var/log/a b.log"),
            ("file://localhost/x", "filesystem", "/x"),
            ("tcp://:9999", "socket", "tcp://:9999"),
            ("TCP://host:9999", "socket", "TCP://host:9999"),
            ("unix:///run/x.sock", "socket", "unix:///run/x.sock"),
        ] {
            assert_eq!(seen(name), Some((connector.to_owned(), place.to_owned())), "{name}");
        }
        for name in ["bids", "my table", "", "kafka://b/t", "tcp://", "file://"] {
            assert_eq!(seen(name), None, "{name}");
        }
    }
}
