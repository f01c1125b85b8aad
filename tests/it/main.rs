//! Integration tests, one binary: the law (batch = stream, whatever the cut), scripts, the queries that ship, and the binary
//! as a user drives it.

mod binary;
mod laws;
mod queries;
mod rows;
mod slt;
