//! A source as the driver sees it: its feed, its partitions' clocks, what it has counted.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::execution::SessionState;

use super::dead_letter::BadRecords;
use super::feed::{Feed, Item, Wake};
use super::ingest::Ingest;
use super::progress::SourceProgress;
use crate::catalog::TableDef;
use crate::connector::{Position, Source, SourceBatch};
use crate::error::Result;
use crate::exec::SourceInput;
use crate::format::OnError;
use crate::host::Host;
use crate::metrics::SourceMetrics;
use crate::settings::Settings;
use crate::time::{PartitionClock, Timestamp, Watermark, combine};

/// Rows of a file that an idle driver waits for, and no more.
const ENOUGH_ROWS: usize = 512 << 10;

/// Opens a source for these physical columns.
pub type Opener = Box<dyn Fn(&[usize]) -> Result<Box<dyn Source>> + Send + Sync>;

/// What the driver needs to know to read a table.
pub struct SourceSetup {
    /// The table.
    pub table: Arc<TableDef>,
    /// Opens it.
    pub open: Opener,
    /// What to do with bad records.
    pub on_error: OnError,
    /// Where dead letters go.
    pub dead_letter: Option<String>,
    /// Read on the driver's thread, for tests and `step()`.
    pub inline: bool,
}

/// A table that is read.
pub(super) struct RunningSource {
    setup: SourceSetup,
    /// The columns that its queries read.
    wanted: BTreeSet<usize>,
    /// Some query judges rows by their watermark.
    judged: bool,
    work: Option<Work>,
    clocks: Vec<PartitionClock>,
    pub(super) watermark: Watermark,
    held_by: Option<usize>,
    metrics: SourceMetrics,
    last_row_at: Timestamp,
    ended: bool,
    /// Where the source stands behind the last batch taken whole: what a checkpoint will record.
    position: Option<Position>,
}

/// What there is once it is open.
struct Work {
    feed: Feed,
    ingest: Ingest,
    bad: BadRecords,
    /// Taken from the feed, but more than the last interval had room for.
    rest: VecDeque<Item>,
}

impl RunningSource {
    pub(super) fn new(setup: SourceSetup, now: Timestamp) -> Self {
        let delay = setup.table.watermark.as_ref().and_then(|w| w.delay_micros).unwrap_or(0);
        let partitions = setup.table.description.partitions.max(1);
        Self {
            clocks: vec![PartitionClock::new(delay, now); partitions],
            setup,
            wanted: BTreeSet::new(),
            judged: false,
            work: None,
            watermark: i64::MIN,
            held_by: None,
            metrics: SourceMetrics::default(),
            last_row_at: now,
            ended: false,
            position: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.setup.table.name
    }

    /// Whether it reads that table: the very one, not a later one of the same name.
    pub(super) fn reads(&self, setup: &SourceSetup) -> bool {
        Arc::ptr_eq(&self.setup.table, &setup.table)
    }

    /// Whether rows come as they happen: such a source can't be read a second time.
    pub(super) fn is_live(&self) -> bool {
        self.setup.table.description.live
    }

    /// Whether it has been opened.
    pub(super) fn is_open(&self) -> bool {
        self.work.is_some() || self.ended
    }

    /// Whether a query that reads these columns can still join.
    pub(super) fn serves(&self, columns: &[usize]) -> bool {
        !self.is_open() || (self.is_live() && columns.iter().all(|c| self.wanted.contains(c)))
    }

    /// One more query reads these columns, and perhaps the row watermarks.
    pub(super) fn want(&mut self, columns: &[usize], row_watermark: bool) {
        self.judged |= row_watermark;
        if self.is_open() {
            return;
        }
        self.wanted.extend(columns);
        if self.is_live() {
            // Queries may join a live source later, and then find every column.
            self.wanted.extend(0..self.setup.table.source_schema().fields().len());
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Where the source stands behind what it has delivered.
    pub(super) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    /// Opens the source, once.
    pub(super) fn open(&mut self, session: &SessionState, settings: &Settings, host: &Host, wake: &Wake) -> Result<()> {
        if self.is_open() {
            return Ok(());
        }
        let wanted: Vec<usize> = self.wanted.iter().copied().collect();
        let ingest = Ingest::new(&self.setup.table, &wanted, session)?;
        let physical = self.setup.table.source_columns();
        let projection: Vec<usize> =
            ingest.projection.iter().filter_map(|i| physical.iter().position(|p| p == i)).collect();
        let source = (self.setup.open)(&projection)?;
        let feed = if self.setup.inline {
            Feed::Inline(source)
        } else {
            Feed::threaded(self.name(), source, settings.queue_bytes_max, wake.clone())?
        };
        let bad = BadRecords::new(self.setup.on_error, self.setup.dead_letter.as_deref(), host)?;
        self.work = Some(Work { feed, ingest, bad, rest: VecDeque::new() });
        Ok(())
    }

    /// Whether an interval would find something.
    pub(super) fn is_ready(&self) -> bool {
        self.work.as_ref().is_some_and(|w| !w.rest.is_empty() || w.feed.is_ready())
    }

    /// Whether waiting longer would bring an interval no more rows.
    pub(super) fn is_full(&self, settings: &Settings) -> bool {
        self.holds(settings.interval_rows_max)
    }

    /// Whether there are rows enough to be worth an interval while nothing else is to be done. Where running is slower than
    /// reading, more of them will wait when the next one begins.
    pub(super) fn has_enough(&self, settings: &Settings) -> bool {
        self.holds(settings.interval_rows_max.min(ENOUGH_ROWS))
    }

    fn holds(&self, rows: usize) -> bool {
        match &self.work {
            None => true,
            Some(work) => !work.rest.is_empty() || work.feed.is_full() || work.feed.rows_waiting() >= rows,
        }
    }

    /// No more reading; what has been read is still run.
    pub(super) fn drain(&mut self) {
        if let Some(work) = &mut self.work {
            work.feed.stop();
            if matches!(work.feed, Feed::Inline(_)) {
                work.rest.push_back(Item::End);
            }
        }
    }

    /// Takes the rows of an interval, up to its bounds, and moves the watermark over them.
    pub(super) fn poll(&mut self, settings: &Settings, now: Timestamp) -> Result<SourceInput> {
        let mut batches = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        while rows < settings.interval_rows_max && bytes < settings.interval_bytes_max {
            let Some(work) = &mut self.work else { break };
            let item = match work.rest.pop_front() {
                Some(item) => Some(item),
                None => work.feed.next()?,
            };
            match item {
                None => break,
                Some(Item::EndOfPartition(partition)) => {
                    if let Some(clock) = self.clocks.get_mut(partition) {
                        clock.end();
                    }
                }
                Some(Item::End) => {
                    self.clocks.iter_mut().for_each(PartitionClock::end);
                    self.ended = true;
                    self.work = None;
                }
                Some(Item::Batch(batch)) => {
                    let batch = self.cut(batch, settings.interval_rows_max - rows);
                    rows += batch.batch.num_rows();
                    bytes += batch.batch.get_array_memory_size();
                    batches.extend(self.take(batch, settings, now)?);
                }
            }
        }
        let idle_after = self.setup.table.idle_timeout_micros.unwrap_or(settings.idle_timeout_micros);
        self.clocks.iter_mut().for_each(|c| c.check_idle(now, idle_after));
        let has_watermark = self.setup.table.watermark.is_some();
        if has_watermark || self.ended {
            let (watermark, holder) = combine(&self.clocks, self.watermark);
            self.watermark = watermark;
            self.held_by = holder.map(|h| h.partition);
            self.clocks.iter_mut().for_each(|c| c.raise_floor(watermark));
        }
        Ok(SourceInput { batches, watermark: self.watermark, ended: self.ended })
    }

    /// The first rows of a batch; what is more waits for the next interval.
    fn cut(&mut self, mut batch: SourceBatch, room: usize) -> SourceBatch {
        let total = batch.batch.num_rows();
        if total <= room {
            self.position = Some(batch.position.clone());
            return batch;
        }
        let rest = SourceBatch {
            partition: batch.partition,
            batch: batch.batch.slice(room, total - room),
            records: 0,
            bytes: 0,
            bad: Vec::new(),
            position: batch.position.clone(),
        };
        if let Some(work) = &mut self.work {
            work.rest.push_front(Item::Batch(rest));
        }
        batch.batch = batch.batch.slice(0, room);
        batch
    }

    fn take(&mut self, batch: SourceBatch, settings: &Settings, now: Timestamp) -> Result<Option<RecordBatch>> {
        self.metrics.rows_in += batch.records;
        self.metrics.bytes_in += batch.bytes;
        self.metrics.bad += batch.bad.len() as u64;
        let live = self.is_live();
        let Some(work) = &mut self.work else { return Ok(None) };
        work.bad.take(&self.setup.table.name, &batch.bad)?;
        if batch.batch.num_rows() == 0 {
            return Ok(None);
        }
        self.last_row_at = now;
        let skew = settings.future_skew_max_micros;
        let believed_until = (live && skew > 0).then(|| now.0.saturating_add(skew));
        let at = batch.partition.min(self.clocks.len() - 1);
        let ingested = work.ingest.ingest(&batch.batch, &mut self.clocks[at], now, believed_until, self.judged)?;
        self.metrics.quarantined += ingested.quarantined;
        self.metrics.null_time += ingested.null_time;
        self.metrics.late_after_idle += ingested.late_after_idle;
        Ok(Some(ingested.batch).filter(|b| b.num_rows() > 0))
    }

    pub(super) fn progress(&self, now: Timestamp) -> SourceProgress {
        let several = self.clocks.len() > 1;
        let name = |p: usize| if several { format!("{}[{p}]", self.name()) } else { self.name().to_owned() };
        SourceProgress {
            name: self.name().to_owned(),
            metrics: self.metrics.clone(),
            watermark: Some(Timestamp(self.watermark)).filter(|w| *w != Timestamp::MIN),
            held_by: self.held_by.map(name),
            idle_micros: now.0.saturating_sub(self.last_row_at.0).max(0),
            ended: self.ended,
            status: self.work.as_ref().and_then(|w| w.feed.status()),
        }
    }
}
