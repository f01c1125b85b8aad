//! In which order, partitions and intervals rows arrive: the same rows in as many ways as there are seeds.
//!
//! A shuffled row is never late: it comes behind another only if that one's watermark has not passed it. So every arrival of
//! the same rows must give the same answer.

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use super::tape::{Tape, Times};

/// How many rows, at most, may be exchanged with each other at any time.
const SHUFFLED_MAX: usize = 64;

/// The most intervals of one arrival.
const INTERVALS_MAX: usize = 200;

/// A row that arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event {
    /// Index of its tape.
    pub(super) tape: u32,
    /// Its row there.
    pub(super) row: u32,
    /// The partition that it comes in now.
    pub(super) partition: u32,
}

/// Rows in their order, cut into intervals.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    /// What tells it from the others of a run.
    pub(super) seed: u64,
    /// In how many partitions each source is read.
    pub(super) partitions: usize,
    /// The rows of each interval.
    pub(super) intervals: Vec<Vec<Event>>,
}

impl Arrival {
    /// All rows as they came, in one interval; late ones too.
    pub(super) fn as_recorded(tapes: &[Tape]) -> Self {
        let events = tapes.iter().enumerate().flat_map(|(at, tape)| {
            let partitions = tape.partitions.iter().enumerate();
            partitions.map(move |(row, p)| Event { tape: at as u32, row: row as u32, partition: *p })
        });
        Self { seed: 0, partitions: partitions_of(tapes), intervals: vec![events.collect()] }
    }

    /// All rows as they came, cut by chance; late ones too.
    pub(super) fn cut(tapes: &[Tape], seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let whole = Self::as_recorded(tapes);
        let of = |at: usize| -> Vec<Event> {
            whole.intervals.iter().flatten().filter(|e| e.tape as usize == at).copied().collect()
        };
        let orders = (0..tapes.len()).map(of).collect();
        Self { seed, partitions: whole.partitions, intervals: intervals(orders, &mut rng) }
    }

    /// The rows that are not late, cut and shuffled by chance, in one partition or two.
    pub(super) fn shuffled(tapes: &[Tape], on_time: &[Vec<u32>], seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let partitions = if seed.is_multiple_of(2) { 2 } else { 1 };
        let orders = tapes.iter().zip(on_time).enumerate().map(|(at, (tape, rows))| {
            let order = match &tape.times {
                Some(times) => within_watermark(rows, times, &mut rng),
                None => {
                    let mut order = rows.clone();
                    order.shuffle(&mut rng);
                    order
                }
            };
            let event = |row: u32| Event { tape: at as u32, row, partition: rng.random_range(0..partitions as u32) };
            order.into_iter().map(event).collect()
        });
        let orders: Vec<Vec<Event>> = orders.collect();
        Self { seed, partitions, intervals: intervals(orders, &mut rng) }
    }

    /// The rows of a tape, in order.
    pub(super) fn order(&self, tape: usize) -> impl Iterator<Item = Event> + '_ {
        self.intervals.iter().flatten().filter(move |e| e.tape as usize == tape).copied()
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.intervals.iter().map(Vec::len).sum()
    }

    /// In words: `seed 7: 200 intervals, 2 partitions`.
    pub(super) fn describe(&self) -> String {
        let (n, p) = (self.intervals.len(), self.partitions);
        let plural = |n: usize| if n == 1 { "" } else { "s" };
        format!("seed {}: {n} interval{}, {p} partition{}", self.seed, plural(n), plural(p))
    }
}

/// The most partitions of any source.
fn partitions_of(tapes: &[Tape]) -> usize {
    tapes.iter().flat_map(|t| &t.partitions).max().map_or(1, |p| *p as usize + 1)
}

/// The rows of a tape that no watermark has passed: late for nothing, however they are looked at.
pub(super) fn on_time(tape: &Tape) -> Vec<u32> {
    let rows = 0..tape.rows.num_rows() as u32;
    let Some(times) = &tape.times else { return rows.collect() };
    let mut passed: std::collections::HashMap<u32, i64> = std::collections::HashMap::new();
    let mut keep = Vec::new();
    for row in rows {
        let at = row as usize;
        let watermark = passed.entry(tape.partitions[at]).or_insert(i64::MIN);
        if value(&times.of, at).is_none_or(|t| t >= *watermark) {
            keep.push(row);
        }
        *watermark = (*watermark).max(value(&times.promised, at).unwrap_or(i64::MIN));
    }
    keep
}

fn value(times: &arrow::array::Int64Array, at: usize) -> Option<i64> {
    arrow::array::Array::is_valid(times, at).then(|| times.value(at))
}

/// The rows in a random order in which none is behind the watermark of those before it.
fn within_watermark(rows: &[u32], times: &Times, rng: &mut SmallRng) -> Vec<u32> {
    // Rows without a time may stand anywhere: each goes with the row before it.
    let mut last = i64::MIN;
    let mut waiting: Vec<(i64, i64, u32)> = rows
        .iter()
        .map(|row| {
            last = value(&times.of, *row as usize).unwrap_or(last);
            (last, value(&times.promised, *row as usize).unwrap_or(i64::MIN), *row)
        })
        .collect();
    waiting.sort_by_key(|(time, ..)| *time);
    let mut waiting = waiting.into_iter();
    let mut pool: std::collections::VecDeque<(i64, i64, u32)> = waiting.by_ref().take(SHUFFLED_MAX).collect();
    let mut order = Vec::with_capacity(rows.len());
    while let Some((earliest, ..)) = pool.front().copied() {
        // The pool holds the earliest rows that are left, so its front is the earliest of all.
        let may_go: Vec<usize> = (0..pool.len()).filter(|i| pool[*i].1 <= earliest).collect();
        let pick = if may_go.is_empty() { 0 } else { may_go[rng.random_range(0..may_go.len())] };
        order.extend(pool.remove(pick).map(|(.., row)| row));
        pool.extend(waiting.next());
    }
    order
}

/// Cuts the rows of all tapes into intervals.
fn intervals(orders: Vec<Vec<Event>>, rng: &mut SmallRng) -> Vec<Vec<Event>> {
    let rows: usize = orders.iter().map(Vec::len).sum();
    let count = match rng.random_range(0..4) {
        0 => rows,
        1 => 1 + rows / 3,
        2 => 1 + rows / 20,
        _ => 3,
    };
    let count = count.clamp(1, INTERVALS_MAX);
    let mut intervals = vec![Vec::new(); count];
    for order in orders {
        let mut bounds: Vec<usize> = (1..count).map(|_| rng.random_range(0..=order.len())).collect();
        bounds.sort_unstable();
        bounds.push(order.len());
        let mut from = 0;
        for (interval, to) in intervals.iter_mut().zip(bounds) {
            interval.extend_from_slice(&order[from..to]);
            from = to;
        }
    }
    intervals.retain(|i| !i.is_empty());
    intervals
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    fn times(of: &[i64], delay: i64) -> Times {
        Times { of: Int64Array::from(of.to_vec()), promised: of.iter().map(|t| t - delay).collect() }
    }

    #[test]
    fn no_shuffle_makes_a_row_late() {
        let times = times(&[10, 12, 11, 15, 13, 30, 28, 27, 40], 3);
        let rows: Vec<u32> = (0..9).collect();
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let order = within_watermark(&rows, &times, &mut SmallRng::seed_from_u64(seed));
            let mut watermark = i64::MIN;
            for row in &order {
                assert!(times.of.value(*row as usize) >= watermark, "row {row} is late in {order:?}");
                watermark = watermark.max(times.promised.value(*row as usize));
            }
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, rows, "each row once");
            seen.insert(order);
        }
        assert!(seen.len() > 20, "only {} orders", seen.len());
    }

    #[test]
    fn cuts_lose_nothing_and_keep_the_order() {
        let event = |row| Event { tape: 0, row, partition: 0 };
        let order: Vec<Event> = (0..50).map(event).collect();
        for seed in 0..50 {
            let cut = intervals(vec![order.clone()], &mut SmallRng::seed_from_u64(seed));
            assert_eq!(cut.concat(), order);
        }
    }
}
