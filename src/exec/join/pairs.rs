//! The pairs of rows that an interval makes, and what comes out for them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::take;
use datafusion::common::JoinType;

use super::super::weighted::Weighted;
use super::delta::Delta;
use super::{Join, Residual};
use crate::error::{Error, Result};
use crate::state::{KeyIndex, RowStore};

/// How many pairs are looked at together: a key that many rows share on both sides makes many.
const PAIRS_MAX: usize = 32 << 10;

/// Where a row of a pair is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Among the interval's rows.
    New,
    /// In the state.
    Kept,
}

/// What the interval's rows have met.
#[derive(Default)]
pub(super) struct Met {
    /// By side: how many rows of the other side each of the interval's rows has met, when that is counted.
    pub(super) matches: [Option<Vec<i64>>; 2],
    /// By side: how many more rows of the other side kept rows have met, by slot.
    pub(super) changes: [BTreeMap<u32, i64>; 2],
    /// What comes out.
    pub(super) out: Vec<Weighted>,
    /// Rows read from the state.
    pub(super) read: u64,
}

/// Finds the pairs.
pub(super) struct Pairs<'a> {
    join: &'a Join,
    deltas: &'a [Delta; 2],
    stores: [&'a RowStore; 2],
    met: Met,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(join: &'a Join, deltas: &'a [Delta; 2], stores: [&'a RowStore; 2]) -> Self {
        let matches = [0, 1].map(|side| join.counts(side).then(|| vec![0; deltas[side].len()]));
        Self { join, deltas, stores, met: Met { matches, ..Met::default() } }
    }

    /// Finds all pairs: of kept rows with new ones, of new rows with kept ones, of new rows with each other.
    pub(super) fn meet(mut self) -> Result<Met> {
        self.meet_kept(1)?;
        self.meet_kept(0)?;
        self.meet_new()?;
        for side in [0, 1] {
            if self.join.counts(side) {
                self.alone(side)?;
            }
        }
        Ok(self.met)
    }

    /// New rows of one side with the kept ones of the other.
    fn meet_kept(&mut self, side: usize) -> Result<()> {
        let (delta, store) = (&self.deltas[side], self.stores[1 - side]);
        if delta.len() == 0 || store.is_empty() {
            return Ok(());
        }
        let keys = store.find(&delta.keys, delta.len())?;
        let (mut new, mut kept) = (Vec::new(), Vec::new());
        for (row, key) in keys.into_iter().enumerate() {
            let Some(key) = key.filter(|_| delta.can_meet(row)) else { continue };
            for other in store.rows_of(key) {
                new.push(row as u32);
                kept.push(other);
                if new.len() == PAIRS_MAX {
                    self.take_kept(side, std::mem::take(&mut new), std::mem::take(&mut kept))?;
                }
            }
        }
        self.take_kept(side, new, kept)
    }

    fn take_kept(&mut self, side: usize, new: Vec<u32>, kept: Vec<u32>) -> Result<()> {
        self.met.read += kept.len() as u64;
        let places = if side == 0 { [Place::New, Place::Kept] } else { [Place::Kept, Place::New] };
        self.take(places, if side == 0 { [new, kept] } else { [kept, new] })
    }

    /// New rows of both sides.
    fn meet_new(&mut self) -> Result<()> {
        let [left, right] = self.deltas;
        if left.len() == 0 || right.len() == 0 {
            return Ok(());
        }
        let mut index = KeyIndex::new(&self.join.sides[1].key_types)?;
        let slots = index.insert(&right.keys, right.len())?;
        // Rows of the right by key: where each key's begin, in the order of the rows.
        let mut starts = vec![0_u32; index.capacity() + 1];
        for (row, slot) in slots.iter().enumerate() {
            starts[*slot as usize + 1] += u32::from(right.can_meet(row));
        }
        for key in 1..starts.len() {
            starts[key] += starts[key - 1];
        }
        let mut next = starts.clone();
        let mut rows = vec![0_u32; starts.last().map_or(0, |n| *n as usize)];
        for (row, slot) in slots.iter().enumerate().filter(|(row, _)| right.can_meet(*row)) {
            let at = &mut next[*slot as usize];
            rows[*at as usize] = row as u32;
            *at += 1;
        }
        let keys = index.find(&left.keys, left.len())?;
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        for (row, key) in keys.into_iter().enumerate() {
            let Some(key) = key.filter(|_| left.can_meet(row)) else { continue };
            for other in &rows[starts[key as usize] as usize..starts[key as usize + 1] as usize] {
                lefts.push(row as u32);
                rights.push(*other);
                if lefts.len() == PAIRS_MAX {
                    self.take([Place::New; 2], [std::mem::take(&mut lefts), std::mem::take(&mut rights)])?;
                }
            }
        }
        self.take([Place::New; 2], [lefts, rights])
    }

    /// Takes pairs in whose keys are equal.
    fn take(&mut self, places: [Place; 2], pairs: [Vec<u32>; 2]) -> Result<()> {
        let pairs = match &self.join.filter {
            Some(filter) if !pairs[0].is_empty() => self.pass(filter, places, pairs)?,
            _ => pairs,
        };
        if pairs[0].is_empty() {
            return Ok(());
        }
        let weights = [0, 1].map(|side| self.weights(side, places[side], &pairs[side]));
        for side in [0, 1] {
            let others = &weights[1 - side];
            match (places[side], &mut self.met.matches[side]) {
                (_, None) => {}
                (Place::New, Some(matches)) => {
                    pairs[side].iter().zip(others).for_each(|(row, weight)| matches[*row as usize] += weight);
                }
                (Place::Kept, Some(_)) => {
                    let changes = &mut self.met.changes[side];
                    pairs[side].iter().zip(others).for_each(|(row, w)| *changes.entry(*row).or_default() += w);
                }
            }
        }
        if self.join.is_of_pairs() {
            let mut columns = self.columns(0, places[0], &pairs[0])?;
            columns.extend(self.columns(1, places[1], &pairs[1])?);
            let [left, right] = weights;
            let weights = left.into_iter().zip(right).map(|(l, r)| l * r).collect();
            self.met.out.push(Weighted { columns, weights });
        }
        Ok(())
    }

    /// The pairs that pass the residual filter.
    fn pass(&self, filter: &Residual, places: [Place; 2], pairs: [Vec<u32>; 2]) -> Result<[Vec<u32>; 2]> {
        let of = |side: usize| filter.columns.iter().filter(move |(s, _)| *s == side).map(|(_, column)| *column);
        let [left, right] = [0, 1].map(|side| {
            let which: Vec<usize> = of(side).collect();
            match places[side] {
                Place::Kept => self.stores[side].some_columns(&pairs[side], &which),
                Place::New => {
                    let picks = UInt32Array::from(pairs[side].clone());
                    let column = |i: &usize| Ok(take(&self.deltas[side].columns[*i], &picks, None)?);
                    which.iter().map(column).collect()
                }
            }
        });
        let (mut left, mut right) = (left?.into_iter(), right?.into_iter());
        let columns: Option<Vec<ArrayRef>> =
            filter.columns.iter().map(|(side, _)| if *side == 0 { left.next() } else { right.next() }).collect();
        let columns = columns.ok_or_else(|| Error::internal("a column of a join's condition is missing"))?;
        let passed = filter.passes(columns, pairs[0].len())?;
        Ok(pairs.map(|rows| rows.into_iter().zip(&passed).filter(|(_, passed)| **passed).map(|(row, _)| row).collect()))
    }

    /// What comes out for rows of a side that have met none, or any: NULL-extended, or on their own.
    fn alone(&mut self, side: usize) -> Result<()> {
        let (mut new, mut kept) = (Rows::default(), Rows::default());
        let delta = &self.deltas[side];
        for (row, matches) in self.met.matches[side].iter().flatten().enumerate() {
            if let Some((weight, mark)) = self.shows(*matches) {
                new.add(row as u32, weight * delta.weights[row], mark);
            }
        }
        for (row, change) in &self.met.changes[side] {
            let (before, weight) = (self.stores[side].matches(*row), self.stores[side].weight(*row));
            let (was, is) = (self.shows(before), self.shows(before + change));
            if was != is {
                was.into_iter().for_each(|(w, mark)| kept.add(*row, -w * weight, mark));
                is.into_iter().for_each(|(w, mark)| kept.add(*row, w * weight, mark));
            }
        }
        for (place, rows) in [(Place::New, new), (Place::Kept, kept)] {
            if rows.rows.is_empty() {
                continue;
            }
            let mut columns = self.columns(side, place, &rows.rows)?;
            if self.join.is_of_pairs() {
                let other = &self.join.sides[1 - side].types;
                let nulls: Vec<ArrayRef> = other.iter().map(|t| new_null_array(t, rows.rows.len())).collect();
                columns = if side == 0 { [columns, nulls].concat() } else { [nulls, columns].concat() };
            } else if matches!(self.join.join_type, JoinType::LeftMark | JoinType::RightMark) {
                columns.push(Arc::new(BooleanArray::from(rows.marks)));
            }
            self.met.out.push(Weighted { columns, weights: rows.weights });
        }
        Ok(())
    }

    /// How a row that has met so many shows on its own: whether it does, and its mark.
    fn shows(&self, matches: i64) -> Option<(i64, bool)> {
        let any = matches > 0;
        match self.join.join_type {
            JoinType::LeftSemi | JoinType::RightSemi => any.then_some((1, any)),
            JoinType::LeftMark | JoinType::RightMark => Some((1, any)),
            _ => (!any).then_some((1, any)),
        }
    }

    fn columns(&self, side: usize, place: Place, rows: &[u32]) -> Result<Vec<ArrayRef>> {
        match place {
            Place::Kept => self.stores[side].columns(rows),
            Place::New => {
                let picks = UInt32Array::from(rows.to_vec());
                self.deltas[side].columns.iter().map(|c| Ok(take(c, &picks, None)?)).collect()
            }
        }
    }

    fn weights(&self, side: usize, place: Place, rows: &[u32]) -> Vec<i64> {
        match place {
            Place::Kept => rows.iter().map(|r| self.stores[side].weight(*r)).collect(),
            Place::New => rows.iter().map(|r| self.deltas[side].weights[*r as usize]).collect(),
        }
    }
}

impl Residual {
    /// Whether it holds, over its columns.
    pub(super) fn passes(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<Vec<bool>> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        let passed = self.predicate.evaluate(&batch)?.into_array(rows)?;
        let passed = passed.as_boolean_opt().ok_or_else(|| Error::internal("the condition of a join is no boolean"))?;
        Ok(passed.iter().map(|p| p == Some(true)).collect())
    }
}

/// Rows that come out on their own.
#[derive(Default)]
struct Rows {
    rows: Vec<u32>,
    weights: Vec<i64>,
    marks: Vec<bool>,
}

impl Rows {
    fn add(&mut self, row: u32, weight: i64, mark: bool) {
        self.rows.push(row);
        self.weights.push(weight);
        self.marks.push(mark);
    }
}
