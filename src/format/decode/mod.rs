//! Decoders: each parses a record straight into the columns of the projection, and takes a bad record back out of them.

pub(super) mod access_log;
pub(super) mod changes;
mod column;
pub(super) mod csv;
mod guide;
pub(super) mod json;
mod lines;
mod number;
mod quick;
mod row;
mod scan;
pub(super) mod text;

pub(super) use column::NumberUnit;

use super::{BadRecord, Place};

/// How many bytes of a bad record are kept.
pub(super) const BAD_BYTES: usize = 4096;

/// Why a record is bad, in lower case.
pub(super) type Reason = String;

/// What is wrong with a record of which only the first bytes are UTF-8.
fn not_text(valid: usize) -> Reason {
    format!("not UTF-8 at byte {valid}")
}

/// A bad record with the first bytes of it.
pub(super) fn bad(place: &Place, record: u64, reason: Reason, bytes: &[u8]) -> BadRecord {
    let bytes = bytes[..bytes.len().min(BAD_BYTES)].to_vec();
    BadRecord { place: Place { origin: place.origin.clone(), record }, reason, bytes }
}

/// A value for messages: short and quoted.
pub(super) fn shown(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("'{}…'", &text[..at]),
        None => format!("'{text}'"),
    }
}
