//! The connectors by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Connector, ConnectorRef};
use crate::error::{Error, Result, nearest};

/// The connectors that an engine knows.
#[derive(Clone, Default)]
pub struct Registry {
    connectors: BTreeMap<String, ConnectorRef>,
}

impl Registry {
    /// Adds a connector, replacing one of the same name.
    pub fn register(&mut self, connector: impl Connector + 'static) {
        self.connectors.insert(connector.name().to_owned(), Arc::new(connector));
    }

    /// The connector of this name.
    ///
    /// # Errors
    /// Names the nearest one.
    pub fn get(&self, name: &str) -> Result<ConnectorRef> {
        self.connectors.get(&name.to_ascii_lowercase()).cloned().ok_or_else(|| {
            let error = Error::config(format!("there is no connector '{name}'"));
            match nearest(name, self.names()) {
                Some(near) => error.help(format!("did you mean '{near}'?")),
                None => error.help(format!("connectors: {}", self.names().collect::<Vec<_>>().join(", "))),
            }
        })
    }

    /// Their names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.connectors.keys().map(String::as_str)
    }
}
