//! The sink that takes everything and keeps nothing: for measuring what comes before it.

use super::{Connector, Description, RelationSpec, Sink, Source};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::time::IntervalId;

/// The connector `blackhole`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Blackhole;

impl Connector for Blackhole {
    fn name(&self) -> &'static str {
        "blackhole"
    }

    fn reach(&self, _: &crate::settings::Options) -> super::Reach {
        super::Reach::Nothing
    }

    fn describe(&self, _: &RelationSpec) -> Result<Description> {
        Ok(Description { accepts_changes: true, ..Description::SINK })
    }

    fn source(&self, _: &RelationSpec, _: &[usize]) -> Result<Box<dyn Source>> {
        Err(Error::config("a blackhole can't be read").help("what goes in does not come out"))
    }

    fn sink(&self, _: &RelationSpec) -> Result<Box<dyn Sink>> {
        Ok(Box::new(Self))
    }
}

impl Sink for Blackhole {
    fn stage(&mut self, _: IntervalId, _: &Change) -> Result<()> {
        Ok(())
    }

    fn publish(&mut self, _: IntervalId) -> Result<()> {
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}
