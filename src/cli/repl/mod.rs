//! The shell.
use std::collections::BTreeMap;
use std::sync::Arc;

use super::args::Options;
use super::failure::{Exit, Failure};
use super::screen::Screen;
use super::script::Script;
use crate::host::Host;
use crate::settings::Settings;

/// Runs it.
pub(super) fn run(
    _runtime: &tokio::runtime::Runtime,
    _options: &Options,
    _settings: Settings,
    _host: Host,
    _screen: Screen,
    _scripts: &[Arc<Script>],
    _variables: BTreeMap<String, String>,
) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
