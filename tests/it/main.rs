//! Integration tests, one binary: the law (batch = stream, whatever the cut), scripts, the queries that ship, and the binary
//! as a user drives it.
//!
//! - `joins`: joins in time, under random cuts and orders.
//! - `panics`: a function that panics fails its query alone.
//! - `serve`: the server as PostgreSQL clients find it.
//! - `batch`: views against plain DataFusion after every interval, for every kind of operator.
//! - `state`: what is let go is gone from the state tables.
//! - `generated`: the same for queries made by chance.
//! - `verify`: the queries that ship, proved by `tidemill verify`.

mod batch;
mod binary;
mod generated;
mod joins;
mod laws;
mod panics;
mod queries;
mod rows;
mod serve;
mod slt;
mod state;
mod verify;
