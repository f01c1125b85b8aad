//! The shell's history: where it is kept, and what is not kept.

use std::path::{Path, PathBuf};

/// Statements that hold one of these names set a secret, most likely.
const SECRETS: &[&str] = &["password", "passwd", "secret", "token", "api_key", "apikey", "access_key", "credential"];

/// How many statements are kept.
pub(super) const LENGTH: usize = 5_000;

/// `$XDG_STATE_HOME/tidemill/history`, else `~/.local/state/tidemill/history`; `None` without a home.
pub(super) fn path(state_home: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    let state = state_home.filter(|p| p.is_absolute()).or_else(|| Some(home?.join(".local/state")))?;
    Some(state.join(Path::new("tidemill/history")))
}

/// Whether a line may be kept.
pub(super) fn keeps(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    !line.trim().is_empty() && !SECRETS.iter().any(|secret| lower.contains(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_kept() {
        assert!(keeps("SELECT 1;"));
        assert!(!keeps("CREATE TABLE t (a INT) WITH (connector = 'kafka', 'properties.sasl.PASSWORD' = 'x');"));
        assert!(!keeps("   "));
    }

    #[test]
    fn the_place_is_the_state_folder() {
        let home = Some(PathBuf::from("/h/a"));
        assert_eq!(path(Some("/s".into()), home.clone()), Some("/s/tidemill/history".into()));
        assert_eq!(path(None, home.clone()), Some("/h/a/.local/state/tidemill/history".into()));
        assert_eq!(path(Some("relative".into()), home), Some("/h/a/.local/state/tidemill/history".into()));
        assert_eq!(path(None, None), None);
    }
}
