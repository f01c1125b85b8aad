//! The driver: poll → seal → run → decide → deliver, one interval at a time.
//!
//! Sources are read and decoded on threads of their own (`feed`); the driver takes what there is, up to the bounds of an
//! interval, gives each row its row watermark (`ingest`), runs every query over the same rows, and hands the changes to
//! sinks and views. A query that fails is rolled back and leaves; the others go on. Knows nothing about SQL text and terminals.

mod contents;
mod dead_letter;
mod driver;
mod feed;
mod ingest;
mod inspect;
mod output;
mod progress;
mod relation;
mod running;
mod source;

pub use contents::{Contents, OnConflict};
pub use driver::{Driver, Input, StepReport};
pub use feed::Wake;
pub use inspect::OperatorReport;
pub use output::{Given, Output};
pub use progress::{Progress, QueryProgress, SourceProgress};
pub use running::{Lives, NewQuery};
pub use source::{Opener, SourceSetup};
