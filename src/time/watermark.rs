//! Watermarks: the promise that no earlier event time is still to come, kept per partition of a source.
//!
//! The *row watermark* of a row is the largest event time among the rows before it in its own partition, minus the delay.
//! It is a function of arrival order in the partition and never of how the stream is cut into intervals: that is what
//! makes answers cut-invariant. The watermark of a source is the minimum over its live partitions.

use super::Timestamp;

/// A watermark in microseconds; `i64::MIN` before any row, `i64::MAX` when the input has ended.
pub type Watermark = i64;

/// The running maximum of one partition's event time, and whether the partition holds the watermark back.
#[derive(Debug, Clone)]
pub struct PartitionClock {
    /// Largest event time seen, in microseconds; `i64::MIN` before any.
    max_event: i64,
    /// Watermark = `max_event` - `delay`.
    delay: i64,
    /// Wall time (µs) at which the last row came, for idleness.
    last_row_at: i64,
    idle: bool,
    ended: bool,
    /// The watermark never moves back, even when an idle partition wakes up with old rows.
    floor: Watermark,
}

impl PartitionClock {
    /// A partition that has shown nothing yet; `now` starts its idle timer.
    pub fn new(delay: i64, now: Timestamp) -> Self {
        Self { max_event: i64::MIN, delay, last_row_at: now.0, idle: false, ended: false, floor: i64::MIN }
    }

    /// Writes the row watermark of each row of a batch into `row_watermarks` (appending) and advances the clock.
    ///
    /// `None` (a NULL or an unbelievable event time) has the row watermark of its place and does not move the clock. Returns
    /// how many rows are behind what was promised while the partition was idle.
    pub fn advance(
        &mut self,
        times: impl Iterator<Item = Option<i64>>,
        now: Timestamp,
        row_watermarks: &mut Vec<Watermark>,
    ) -> u64 {
        let mut any = false;
        let mut behind = 0;
        let mut max = self.max_event;
        for time in times {
            any = true;
            row_watermarks.push(self.of(max).max(self.floor));
            if let Some(time) = time {
                behind += u64::from(time < self.floor && self.of(max) < self.floor);
                max = max.max(time);
            }
        }
        self.max_event = max;
        if any {
            self.last_row_at = now.0;
            self.idle = false;
        }
        behind
    }

    /// As [`PartitionClock::advance`] over rows, at least one, of which the latest has this event time, when no row is asked
    /// about.
    pub fn advance_to(&mut self, latest: Option<i64>, now: Timestamp) {
        self.max_event = latest.map_or(self.max_event, |t| self.max_event.max(t));
        self.last_row_at = now.0;
        self.idle = false;
    }

    /// Whether nothing was promised while it was idle, so that no row can be behind that.
    pub fn promises_nothing(&self) -> bool {
        self.floor == i64::MIN
    }

    fn of(&self, max_event: i64) -> Watermark {
        if max_event == i64::MIN { i64::MIN } else { max_event.saturating_sub(self.delay) }
    }

    /// The promise this partition makes on its own.
    pub fn watermark(&self) -> Watermark {
        if self.ended { i64::MAX } else { self.of(self.max_event).max(self.floor) }
    }

    /// Whether the partition still holds the source's watermark back.
    pub fn is_live(&self) -> bool {
        !self.idle && !self.ended
    }

    /// Marks the partition idle when it was silent for `timeout` microseconds of wall time.
    pub fn check_idle(&mut self, now: Timestamp, timeout: i64) {
        if timeout > 0 && now.0.saturating_sub(self.last_row_at) >= timeout {
            self.idle = true;
        }
    }

    /// Whether the partition is idle.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// The partition has ended: it will never hold the watermark again.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Tells the partition what has been promised downstream meanwhile. A partition that was idle and wakes up with rows
    /// behind this is late against it: windows it would have filled are closed.
    pub fn raise_floor(&mut self, promised: Watermark) {
        if self.idle && promised != i64::MAX {
            self.floor = self.floor.max(promised);
        }
    }

    /// Largest event time seen.
    pub fn max_event(&self) -> Option<Timestamp> {
        (self.max_event != i64::MIN).then_some(Timestamp(self.max_event))
    }
}

/// Which partition holds a source's watermark back, for the status line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatermarkHolder {
    /// Index of the partition in the source.
    pub partition: usize,
    /// The watermark it holds.
    pub watermark: Watermark,
}

/// The watermark of a source: the minimum over live partitions, never less than `before`.
///
/// When every partition has ended it is `i64::MAX`. When none is live but some are only idle, the largest promise among the
/// idle ones holds: time stands still until rows come, and never jumps to the end.
pub fn combine(partitions: &[PartitionClock], before: Watermark) -> (Watermark, Option<WatermarkHolder>) {
    if partitions.is_empty() {
        return (before, None);
    }
    if partitions.iter().all(|p| p.ended) {
        return (i64::MAX, None);
    }
    let slowest = partitions.iter().enumerate().filter(|(_, p)| p.is_live()).min_by_key(|(_, p)| p.watermark());
    match slowest {
        Some((partition, clock)) => {
            let watermark = clock.watermark();
            (watermark.max(before), Some(WatermarkHolder { partition, watermark }))
        }
        None => {
            let idle = partitions.iter().filter(|p| !p.ended).map(PartitionClock::watermark).max();
            (idle.unwrap_or(before).max(before), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(0);

    fn advance(clock: &mut PartitionClock, times: &[i64]) -> Vec<i64> {
        let mut out = Vec::new();
        clock.advance(times.iter().map(|t| Some(*t)), NOW, &mut out);
        out
    }

    #[test]
    fn row_watermarks_do_not_depend_on_the_cut() {
        let times = [5, 3, 9, 8, 20, 1, 15];
        let mut whole = PartitionClock::new(2, NOW);
        let together = advance(&mut whole, &times);
        let mut cut = PartitionClock::new(2, NOW);
        let apart: Vec<i64> = times.iter().flat_map(|t| advance(&mut cut, &[*t])).collect();
        assert_eq!(together, apart);
        assert_eq!(together, [i64::MIN, 3, 3, 7, 7, 18, 18]);
        assert_eq!(whole.watermark(), 18);
    }

    #[test]
    fn the_slowest_live_partition_holds_the_watermark() {
        let mut a = PartitionClock::new(0, NOW);
        let mut b = PartitionClock::new(0, NOW);
        advance(&mut a, &[100]);
        assert_eq!(combine(&[a.clone(), b.clone()], i64::MIN).0, i64::MIN, "a partition without rows holds everything");
        advance(&mut b, &[40]);
        let (watermark, holder) = combine(&[a.clone(), b.clone()], i64::MIN);
        assert_eq!((watermark, holder.unwrap().partition), (40, 1));
        b.check_idle(Timestamp(10), 10);
        a.check_idle(Timestamp(5), 10);
        assert_eq!(combine(&[a.clone(), b.clone()], 40).0, 100, "an idle partition does not hold it");
        a.check_idle(Timestamp(10), 10);
        assert_eq!(combine(&[a.clone(), b.clone()], 100).0, 100, "all idle: time stands still, it does not jump");
        b.raise_floor(100);
        let mut row_watermarks = Vec::new();
        let behind = b.advance([Some(41), Some(120), Some(99)].into_iter(), NOW, &mut row_watermarks);
        assert_eq!(row_watermarks, [100, 100, 120], "back from idleness: judged by what was promised meanwhile");
        assert_eq!(behind, 1, "behind what was promised; the last is late by its own partition");
        a.end();
        b.end();
        assert_eq!(combine(&[a, b], 100).0, i64::MAX);
    }
}
