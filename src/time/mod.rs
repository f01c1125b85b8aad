//! Event time as pure arithmetic: timestamps, windows, watermarks, intervals.
//!
//! All of it is in microseconds since 1970-01-01 UTC, as checked `i64`s. Knows nothing about I/O, plans or Arrow's units
//! beyond [`Unit`], which converts them.

mod duration;
mod interval;
mod timestamp;
mod watermark;
mod window;

pub use duration::{format_duration, parse_duration};
pub use interval::{IntervalId, MICROS_PER_SECOND};
pub use timestamp::{Timestamp, Unit, unit_of};
pub use watermark::{PartitionClock, Watermark, WatermarkHolder, combine};
pub use window::{Panes, Window, WindowSpec, window_time_gap};
