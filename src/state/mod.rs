//! State tables: keyed rows in columns, kept between intervals.
//!
//! A [`StateTable`] maps a key to a row slot and holds values in flat columns. An interval stages what it writes; the base
//! changes only when the interval is decided ([`StateTable::commit`]), so that a failed interval leaves no trace. A
//! [`FlatTable`] is changed in place, with a log to take the interval back.
//! Knows nothing about SQL, plans or connectors.

mod column;
mod contents;
mod flat;
mod index;
mod rows;
mod table;
mod timed;

pub use column::StateColumn;
pub use flat::{
    ALL_FLAGS, Blocks, FLAGS, FlatTable, HEAD, KeyBatch, KeyLayout, Touched, flag, from_words, to_words, width_in_word,
};
pub use index::KeyIndex;
pub use rows::{RowStore, Rows};
pub use table::{NEW, StateTable};
pub use timed::{TimedChange, TimedRows};
