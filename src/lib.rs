//! tidemill: continuous SQL in one crate and one binary.

pub mod change;
pub mod connector;
pub mod error;
pub mod format;
pub mod host;
pub mod metrics;
pub mod settings;
pub mod sql;
pub mod time;

pub mod engine;

pub mod cli;
