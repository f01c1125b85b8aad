//! tidemill: continuous SQL in one crate and one binary.

pub mod catalog;
pub mod change;
pub mod cli;
pub mod connector;
pub mod engine;
pub mod error;
pub mod exec;
pub mod format;
pub mod host;
pub mod metrics;
pub mod plan;
pub mod runtime;
pub mod settings;
pub mod sql;
pub mod state;
pub mod time;
