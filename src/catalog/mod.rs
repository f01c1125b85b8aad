//! What names mean.

pub mod functions;
