//! What an engine is made of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

use datafusion::logical_expr::{AggregateUDF, ScalarUDF};

use super::{Engine, Rights, Shared};
use crate::catalog::{Catalog, IntervalClock};
use crate::connector::{Connector, Registry};
use crate::host::{Clock, Host};
use crate::runtime::Driver;
use crate::settings::Settings;

/// Builds an [`Engine`].
pub struct EngineBuilder {
    settings: Settings,
    host: Host,
    registry: Registry,
    scalars: Vec<ScalarUDF>,
    aggregates: Vec<AggregateUDF>,
    inline: bool,
}

impl Default for EngineBuilder {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            host: Host::system(),
            registry: Registry::with_builtin(),
            scalars: Vec::new(),
            aggregates: Vec::new(),
            inline: false,
        }
    }
}

impl EngineBuilder {
    /// Tunables to begin with.
    #[must_use]
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Another outside world.
    #[must_use]
    pub fn host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// Another clock: with a `ManualClock`, time moves when the test says so.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.host.clock = clock;
        self
    }

    /// One more connector.
    #[must_use]
    pub fn connector(mut self, connector: impl Connector + 'static) -> Self {
        self.registry.register(connector);
        self
    }

    /// These connectors, in place of those that tidemill brings along.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// One more function.
    #[must_use]
    pub fn function(mut self, function: ScalarUDF) -> Self {
        self.scalars.push(function);
        self
    }

    /// One more aggregate function.
    #[must_use]
    pub fn aggregate(mut self, function: AggregateUDF) -> Self {
        self.aggregates.push(function);
        self
    }

    /// Reads sources on the thread that calls [`Engine::step`], so that what a step sees does not depend on other threads.
    #[must_use]
    pub fn inline_sources(mut self) -> Self {
        self.inline = true;
        self
    }

    /// The engine.
    pub fn build(self) -> Engine {
        let clock = Arc::new(IntervalClock::default());
        let driver = Driver::new(self.host.clone(), Arc::clone(&clock));
        let catalog = Catalog::new(clock);
        self.scalars.into_iter().for_each(|f| catalog.register_udf(f));
        self.aggregates.into_iter().for_each(|f| catalog.register_udaf(f));
        let progress = driver.progress();
        let wake = driver.wake().clone();
        let shared = Shared {
            wake,
            stepped: tokio::sync::Notify::new(),
            catalog: RwLock::new(catalog),
            driver: tokio::sync::Mutex::new(driver),
            settings: RwLock::new(self.settings),
            registry: self.registry,
            host: self.host,
            views: Mutex::new(BTreeMap::new()),
            stops: Mutex::default(),
            progress: Mutex::new(progress),
            pushed: Mutex::default(),
            indexes: Mutex::default(),
            inline: self.inline,
        };
        Engine { shared: Arc::new(shared), rights: Arc::new(Rights::all()) }
    }
}
