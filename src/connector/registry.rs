//! The connectors by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Connector, ConnectorRef};
use crate::error::{Error, Result, nearest};

/// The connectors that an engine knows.
#[derive(Clone, Default)]
pub struct Registry {
    connectors: BTreeMap<String, ConnectorRef>,
    aliases: BTreeMap<String, String>,
}

impl Registry {
    /// Every connector that tidemill brings along.
    pub fn with_builtin() -> Self {
        let mut registry = Self::default();
        registry.register(super::Filesystem::default());
        registry.register(super::Socket::default());
        registry.register(super::Stdin::default());
        registry.register(super::Stdout::default());
        registry.register(super::Print::default());
        registry.register(super::Blackhole);
        registry.register(super::Datagen);
        registry.register(super::Nexmark);
        registry
    }

    /// Adds a connector, replacing one of the same name.
    pub fn register(&mut self, connector: impl Connector + 'static) {
        let name = connector.name().to_owned();
        for alias in connector.aliases() {
            self.aliases.insert((*alias).to_owned(), name.clone());
        }
        self.connectors.insert(name, Arc::new(connector));
    }

    /// The connector of this name.
    ///
    /// # Errors
    /// Names the nearest one.
    pub fn get(&self, name: &str) -> Result<ConnectorRef> {
        let lower = name.to_ascii_lowercase();
        let own = self.aliases.get(&lower).unwrap_or(&lower);
        self.connectors.get(own).cloned().ok_or_else(|| {
            let error = Error::config(format!("there is no connector '{name}'"));
            match nearest(name, self.names().chain(self.aliases.keys().map(String::as_str))) {
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
