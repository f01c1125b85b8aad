//! Versions by event time: each row of the left with the last row of its key whose time is not after its own.
//!
//! A row of the left waits until the watermark of the right has passed its time: then every version that could be its own has
//! come, and the answer does not depend on when. Of versions with the same time the larger row is taken, as arrival says nothing
//! across partitions. A version is let go once both watermarks have reached the time of the next of its key: no row will ask for it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array, new_null_array};
use arrow::compute::{interleave, take};
use arrow::row::{RowConverter, SortField};
use datafusion::common::JoinType;

use super::super::assign::micros;
use super::super::weighted::Weighted;
use super::delta::Delta;
use super::{Join, Stores};
use crate::error::Result;
use crate::state::KeyIndex;

/// Where a version is: among the interval's rows, or in the state.
#[derive(Clone, Copy)]
enum Version {
    New(u32),
    Kept(u32),
}

/// When each new version has had its day, and kept ones by slot.
type Successors = (Vec<i64>, Vec<(u32, i64)>);

impl Join {
    /// What comes out once the watermarks are at `horizons`, and how many rows were read.
    pub(super) fn version(
        &self,
        [left, right]: [Vec<Delta>; 2],
        stores: &mut Stores,
        since: usize,
        horizons: [i64; 2],
    ) -> Result<(u64, Vec<Weighted>)> {
        let mut deltas = [Delta::concat(left, &self.sides[0])?, Delta::concat(right, &self.sides[1])?];
        let [new_left, new_right] = &deltas;
        let ready = self.ready(new_left, stores, horizons[1])?;
        let mut candidates = Candidates::new(self, &ready, new_right, stores)?;
        let best = candidates.best(self, &ready, new_right, stores, since)?;
        let out = self.pairs_of(&ready, &best, new_right, stores)?;
        let read = candidates.read + ready.len() as u64;
        let (of_new, of_kept) = candidates.successors(new_right, stores, since)?;
        deltas[1].expires = Some(of_new);
        let [waiting, versions] = &mut stores.rows;
        versions.stage_expires(of_kept);
        versions.stage_expiry(horizons[0].min(horizons[1]));
        waiting.stage_expiry(horizons[1]);
        let [new_left, new_right] = deltas;
        if let Some(rows) = new_left.into_rows(None)? {
            waiting.stage(rows);
        }
        if let Some(rows) = new_right.into_rows(None)? {
            versions.stage(rows);
        }
        Ok((read, out))
    }

    /// The rows of the left whose time the watermark of the right has passed, and those that can meet none.
    fn ready(&self, new: &Delta, stores: &Stores, horizon: i64) -> Result<Delta> {
        let kept = stores.rows[0].expiring_by(horizon);
        let expires = kept.iter().map(|row| stores.rows[0].expires(*row)).collect();
        let kept = Delta::kept(&stores.rows[0], &kept, expires)?;
        let at = |row: usize| new.expires.as_ref().map_or(i64::MIN, |e| e[row]);
        let now: Vec<u32> =
            (0..new.len()).filter(|row| at(*row) <= horizon || !new.can_meet(*row)).map(|row| row as u32).collect();
        let parts = [kept, new.pick(&now)?];
        Delta::concat(parts.into_iter().filter(|p| p.len() > 0).collect(), &self.sides[0])
    }

    /// What comes out for rows of the left and what each has found.
    fn pairs_of(&self, ready: &Delta, best: &[Option<Version>], new: &Delta, stores: &Stores) -> Result<Vec<Weighted>> {
        let outer = self.join_type == JoinType::Left;
        let mut found: Vec<(u32, Version)> =
            best.iter().enumerate().filter_map(|(row, version)| version.map(|v| (row as u32, v))).collect();
        let rows = |found: &[(u32, Version)]| UInt32Array::from_iter_values(found.iter().map(|(row, _)| *row));
        let left = |picks: &UInt32Array| -> Result<Vec<ArrayRef>> {
            ready.columns.iter().map(|c| Ok(take(c, picks, None)?)).collect()
        };
        let versions =
            |found: &[(u32, Version)]| gather(&found.iter().map(|(_, v)| *v).collect::<Vec<_>>(), new, stores);
        if let Some(filter) = &self.filter {
            let both = [left(&rows(&found))?, versions(&found)?];
            let columns = filter.columns.iter().map(|(side, column)| Arc::clone(&both[*side][*column])).collect();
            let mut passed = filter.passes(columns, found.len())?.into_iter();
            found.retain(|_| passed.next().unwrap_or_default());
        }
        let mut out = Vec::new();
        if !found.is_empty() {
            let columns = [left(&rows(&found))?, versions(&found)?].concat();
            out.push(Weighted { columns, weights: vec![1; found.len()] });
        }
        if outer && found.len() < ready.len() {
            let mut next = found.iter().map(|(row, _)| *row).peekable();
            let alone = (0..ready.len() as u32).filter(|row| next.next_if_eq(row).is_none());
            let picks = UInt32Array::from_iter_values(alone);
            let nulls = self.sides[1].types.iter().map(|t| new_null_array(t, picks.len()));
            let columns = left(&picks)?.into_iter().chain(nulls).collect();
            out.push(Weighted { columns, weights: vec![1; picks.len()] });
        }
        Ok(out)
    }
}

/// The versions of the keys that an interval touches.
struct Candidates {
    /// The keys touched, by the rows of the left that are ready and by the new versions.
    of_ready: Vec<u32>,
    /// By key: its versions.
    versions: Vec<Vec<Version>>,
    read: u64,
}

impl Candidates {
    fn new(join: &Join, ready: &Delta, new: &Delta, stores: &Stores) -> Result<Self> {
        let mut index = KeyIndex::new(&join.sides[1].key_types)?;
        let of_new = if new.len() > 0 { index.insert(&new.keys, new.len())? } else { Vec::new() };
        let of_ready = if ready.len() > 0 { index.insert(&ready.keys, ready.len())? } else { Vec::new() };
        let mut versions = vec![Vec::new(); index.capacity()];
        let mut read = 0;
        if !index.is_empty() {
            let slots: Vec<u32> = (0..index.capacity() as u32).collect();
            let kept = stores.rows[1].find(&index.keys(&slots)?, slots.len())?;
            for (slot, key) in kept.into_iter().enumerate() {
                let Some(key) = key else { continue };
                versions[slot].extend(stores.rows[1].rows_of(key).map(Version::Kept));
                read += versions[slot].len() as u64;
            }
        }
        for (row, slot) in of_new.into_iter().enumerate().filter(|(row, _)| new.can_meet(*row)) {
            versions[slot as usize].push(Version::New(row as u32));
        }
        Ok(Self { of_ready, versions, read })
    }

    /// For each row that is ready, its version.
    fn best(
        &mut self,
        join: &Join,
        ready: &Delta,
        new: &Delta,
        stores: &Stores,
        since: usize,
    ) -> Result<Vec<Option<Version>>> {
        self.sort(join, new, stores, since)?;
        let times = self.times(new, stores, since)?;
        let expires = ready.expires.as_deref().unwrap_or_default();
        let of = |(row, slot): (usize, &u32)| {
            if !ready.can_meet(row) || expires[row] == i64::MIN {
                return None;
            }
            // A row expires one microsecond behind its time.
            let at = expires[row] - 1;
            let (versions, times) = (&self.versions[*slot as usize], &times[*slot as usize]);
            let before = times.partition_point(|t| *t <= at);
            before.checked_sub(1).map(|last| versions[last])
        };
        Ok(self.of_ready.iter().enumerate().map(of).collect())
    }

    /// Orders the versions of each key by time, and those of one time by the whole row; without a time there is no version.
    fn sort(&mut self, join: &Join, new: &Delta, stores: &Stores, since: usize) -> Result<()> {
        let all: Vec<Version> = self.versions.iter().flatten().copied().collect();
        if all.is_empty() {
            return Ok(());
        }
        let columns = gather(&all, new, stores)?;
        let (times, _) = micros(&columns[since])?;
        let fields = join.sides[1].types.iter().map(|t| SortField::new(t.clone())).collect();
        let rows = RowConverter::new(fields)?.convert_columns(&columns)?;
        let mut at = 0;
        for versions in &mut self.versions {
            let mut order: Vec<usize> = (at..at + versions.len()).filter(|i| times.is_valid(*i)).collect();
            at += versions.len();
            order.sort_by(|a, b| times.value(*a).cmp(&times.value(*b)).then_with(|| rows.row(*a).cmp(&rows.row(*b))));
            *versions = order.into_iter().map(|i| all[i]).collect();
        }
        Ok(())
    }

    /// The times of each key's versions.
    fn times(&self, new: &Delta, stores: &Stores, since: usize) -> Result<Vec<Vec<i64>>> {
        let all: Vec<Version> = self.versions.iter().flatten().copied().collect();
        let times: Int64Array = match all.is_empty() {
            true => Int64Array::from(Vec::<i64>::new()),
            false => micros(&gather(&all, new, stores)?[since])?.0,
        };
        let mut rest = times.values().iter().copied();
        Ok(self.versions.iter().map(|versions| rest.by_ref().take(versions.len()).collect()).collect())
    }

    /// When each version has had its day: at the time of the next of its key. Of the new versions, and of kept ones for which it
    /// has changed. A version without a time is none.
    fn successors(&self, new: &Delta, stores: &Stores, since: usize) -> Result<Successors> {
        let (mut of_new, mut of_kept) = (vec![i64::MIN; new.len()], Vec::new());
        for (versions, times) in self.versions.iter().zip(self.times(new, stores, since)?) {
            let next = times.iter().skip(1).copied().chain([i64::MAX]);
            for (version, next) in versions.iter().zip(next) {
                match version {
                    Version::New(row) => of_new[*row as usize] = next,
                    Version::Kept(row) if stores.rows[1].expires(*row) == next => {}
                    Version::Kept(row) => of_kept.push((*row, next)),
                }
            }
        }
        Ok((of_new, of_kept))
    }
}

/// The columns of versions.
fn gather(versions: &[Version], new: &Delta, stores: &Stores) -> Result<Vec<ArrayRef>> {
    let kept: Vec<u32> =
        versions.iter().filter_map(|v| if let Version::Kept(row) = v { Some(*row) } else { None }).collect();
    let store = &stores.rows[1];
    if kept.len() == versions.len() {
        return store.columns(&kept);
    }
    let columns = store.columns(&kept)?;
    let mut next = 0;
    let places: Vec<(usize, usize)> = versions
        .iter()
        .map(|version| match version {
            Version::Kept(_) => {
                next += 1;
                (0, next - 1)
            }
            Version::New(row) => (1, *row as usize),
        })
        .collect();
    let both = columns.iter().zip(&new.columns);
    both.map(|(kept, new)| Ok(interleave(&[kept.as_ref(), new.as_ref()], &places)?)).collect()
}
