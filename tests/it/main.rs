//! Integration tests, one binary: the law (batch = stream, whatever the cut), scripts, the queries that ship, and the binary
//! as a user drives it.
//!
//! - `batch`: views against plain DataFusion after every interval, for every kind of operator.
//! - `state`: what is let go is gone from the state tables.

mod batch;
mod binary;
mod laws;
mod queries;
mod rows;
mod slt;
mod state;
