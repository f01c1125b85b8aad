//! Interval plan + interval + state → changes.
//!
//! `lower` makes one DataFusion physical plan of an [`IntervalPlan`](crate::plan::IntervalPlan), once; [`Query::run`] runs
//! that same plan over each interval's rows. An operator finds its state through the task context, by its id in the query,
//! never through a captured pointer, so that a plan can be moved. Operators: one file each.
//!
//! Knows nothing about connectors and offsets.

mod aggregate;
mod assign;
mod contents;
mod context;
mod flat;
mod groups;
mod hold;
mod join;
mod judge;
mod key;
mod lapse;
mod latest;
mod limit;
mod lower;
mod operator;
mod present;
mod query;
mod recompute;
mod retract;
mod session;
mod share;
mod source;
mod weighted;

pub use assign::micros;
pub use contents::StateRows;
pub use context::{Counters, IntervalInput, QueryContext, SourceInput};
pub use present::Presenter;
pub use query::Query;
