//! Which window or pane each row of a batch belongs to, and which rows are late: [`Assign`] and GROUP BY in one, without a
//! window column per row.
//!
//! A pane feeds every window around it, so a row goes to its pane only when it is on time for all of them: when the first that
//! ends does so after the row's watermark. A row that is late for some of its windows goes to each of the others by itself, to
//! groups that are added to the panes' when the window closes. Which way a row takes depends on the row and its watermark
//! alone, never on the cut.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{cast, max, min};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::physical_expr::PhysicalExpr;

use super::windows::Place;
use crate::error::Result;
use crate::exec::assign::{Assign, micros};
use crate::time::{Panes, Unit, Window, WindowSpec, unit_of};

/// Puts rows into windows and panes.
pub(super) struct Router {
    time: Arc<dyn PhysicalExpr>,
    spec: WindowSpec,
    row_watermark: Option<usize>,
    /// The sources whose rows it sees, and the input columns that late rows are shown with.
    pub(super) sources: Vec<usize>,
    visible: Vec<usize>,
    /// What rows are sorted into when they are on time; `None`: each row into each of its windows.
    panes: Option<Panes>,
}

/// Rows by place, in their order; `None` stands for all rows.
pub(super) type Parts = Vec<(Place, Option<Vec<u32>>)>;

/// Where the rows of a batch go.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Routed {
    pub(super) parts: Parts,
    /// Rows that are late, once for each window missed.
    pub(super) late: Vec<u32>,
    pub(super) null_time: u64,
}

/// A pane and the windows around it.
#[derive(Clone, Copy)]
struct Around {
    pane: Window,
    first_end: i64,
    place: Place,
}

impl Routed {
    /// The parts as rows of a batch of only those that have a place, and which those are; `None`: all.
    pub(super) fn without_lost(self, rows: usize) -> (Parts, Option<Vec<u32>>) {
        if self.late.is_empty() && self.null_time == 0 {
            return (self.parts, None);
        }
        let mut position = vec![u32::MAX; rows];
        self.parts.iter().filter_map(|(_, rows)| rows.as_ref()).flatten().for_each(|row| position[*row as usize] = 0);
        let mut kept = Vec::new();
        for (row, position) in position.iter_mut().enumerate().filter(|(_, p)| **p == 0) {
            *position = kept.len() as u32;
            kept.push(row as u32);
        }
        let moved = |rows: Vec<u32>| rows.into_iter().map(|row| position[row as usize]).collect();
        (self.parts.into_iter().map(|(place, rows)| (place, rows.map(moved))).collect(), Some(kept))
    }
}

impl Router {
    /// A router in the place of an assignment; `by_pane` when several windows may share what a pane holds.
    pub(super) fn new(assign: &Assign, by_pane: bool) -> Self {
        let one_window = matches!(assign.spec, WindowSpec::Tumble { .. });
        Self {
            time: Arc::clone(&assign.time),
            spec: assign.spec,
            row_watermark: assign.row_watermark,
            sources: assign.sources.clone(),
            visible: assign.before.clone(),
            panes: assign.spec.panes().filter(|_| by_pane || one_window),
        }
    }

    /// Where the rows of a batch go, when windows up to `closed_until` have closed.
    pub(super) fn route(&self, batch: &RecordBatch, closed_until: i64) -> Result<Routed> {
        let time = self.time.evaluate(batch)?.into_array(batch.num_rows())?;
        let watermarks = self.row_watermark.map(|i| batch.column(i).as_primitive::<Int64Type>());
        if let Some(place) = self.one_place(&time, watermarks, closed_until)? {
            return Ok(Routed { parts: vec![(place, None)], ..Routed::default() });
        }
        let (times, _) = micros(&time)?;
        Ok(self.each_row(&times, watermarks, closed_until))
    }

    /// Rows as late ones are shown.
    pub(super) fn visible(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        Ok(batch.project(&self.visible)?)
    }

    /// The place of all rows, when they are of one pane and none is late: what nearly every batch is.
    fn one_place(&self, time: &ArrayRef, watermarks: Option<&Int64Array>, closed_until: i64) -> Result<Option<Place>> {
        if time.null_count() > 0 {
            return Ok(None);
        }
        let unit = Unit::from(unit_of(time.data_type()));
        let raw = cast(time, &DataType::Int64)?;
        let raw = raw.as_primitive::<Int64Type>();
        let bounds = min(raw).zip(max(raw)).and_then(|(low, high)| unit.to_micros(low).zip(unit.to_micros(high)));
        let Some((low, high)) = bounds else { return Ok(None) };
        let Some(around) = self.around(low).filter(|a| high < a.pane.end) else { return Ok(None) };
        let watermark = watermarks.and_then(max).unwrap_or(i64::MIN);
        Ok(Some(around.place).filter(|_| around.first_end > watermark && around.first_end > closed_until))
    }

    fn each_row(&self, times: &Int64Array, watermarks: Option<&Int64Array>, closed_until: i64) -> Routed {
        let mut out = Routed::default();
        let mut parts: Vec<(Place, Vec<u32>)> = Vec::new();
        let mut add = |place: Place, row: u32| match parts.iter_mut().rev().find(|(p, _)| *p == place) {
            Some((_, rows)) => rows.push(row),
            None => parts.push((place, vec![row])),
        };
        let mut last: Option<Around> = None;
        for row in 0..times.len() {
            if times.is_null(row) {
                out.null_time += 1;
                continue;
            }
            let (t, at) = (times.value(row), row as u32);
            let watermark = watermarks.map_or(i64::MIN, |w| w.value(row));
            if last.is_none_or(|a| t < a.pane.start || t >= a.pane.end) {
                last = self.around(t);
            }
            if let Some(around) = last
                && around.first_end > watermark
                && around.first_end > closed_until
            {
                add(around.place, at);
                continue;
            }
            let fits = self.spec.assign(t, |window| {
                if window.end <= watermark {
                    out.late.push(at);
                } else {
                    add(Place::Window(window.end), at);
                }
            });
            // An event time at the ends of what can be said is no time.
            out.null_time += u64::from(!fits);
        }
        out.parts = parts.into_iter().map(|(place, rows)| (place, Some(rows))).collect();
        out
    }

    /// The pane that holds `t`; `None` without panes, and where a bound does not fit.
    fn around(&self, t: i64) -> Option<Around> {
        let pane = self.panes?.of(t)?;
        let mut first_end = None;
        let fits = self.spec.assign(pane.start, |window| first_end = first_end.or(Some(window.end)))
            && self.spec.assign(pane.end.checked_sub(1)?, |_| ());
        let first_end = first_end.filter(|_| fits)?;
        let place = match self.spec {
            WindowSpec::Tumble { .. } => Place::Window(first_end),
            _ => Place::Pane(pane.start),
        };
        Some(Around { pane, first_end, place })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use datafusion::physical_expr::expressions::Column;

    use super::*;

    fn router(spec: WindowSpec, by_pane: bool) -> Router {
        Router {
            time: Arc::new(Column::new("ts", 0)),
            spec,
            row_watermark: Some(1),
            sources: Vec::new(),
            visible: Vec::new(),
            panes: spec.panes().filter(|_| by_pane),
        }
    }

    /// Rows by window, with every pane taken apart into its windows; late rows.
    fn windows(spec: WindowSpec, routed: &Routed) -> (BTreeMap<i64, Vec<u32>>, Vec<u32>) {
        let mut windows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for (place, rows) in &routed.parts {
            let rows = rows.clone().unwrap_or_default();
            match place {
                Place::Window(end) => windows.entry(*end).or_default().extend(&rows),
                Place::Pane(start) => {
                    spec.assign(*start, |w| windows.entry(w.end).or_default().extend(&rows));
                }
            }
        }
        windows.values_mut().for_each(|rows| rows.sort_unstable());
        let mut late = routed.late.clone();
        late.sort_unstable();
        (windows, late)
    }

    #[test]
    fn panes_put_rows_where_windows_do() {
        let specs = [
            WindowSpec::Tumble { size: 10, offset: 3 },
            WindowSpec::Hop { slide: 4, size: 10, offset: 1 },
            WindowSpec::Hop { slide: 3, size: 10, offset: -1 },
            WindowSpec::Cumulate { step: 3, max: 12, offset: 2 },
        ];
        let mut seed = 1_u64;
        let mut chance = |n: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((seed >> 33) % n) as i64
        };
        for spec in specs {
            for _ in 0..200 {
                let mut time = -50;
                let (mut times, mut watermarks, mut highest) = (Vec::new(), Vec::new(), i64::MIN);
                for _ in 0..30 {
                    time += chance(5);
                    let t = if chance(9) == 0 { None } else { Some(time - chance(2) * chance(25)) };
                    watermarks.push(highest);
                    highest = highest.max(t.map_or(i64::MIN, |t| t - 2));
                    times.push(t);
                }
                times.push(Some(i64::MAX));
                watermarks.push(highest);
                let (times, watermarks) = (Int64Array::from(times), Int64Array::from(watermarks));
                let by_pane = router(spec, true).each_row(&times, Some(&watermarks), i64::MIN);
                let by_window = router(spec, false).each_row(&times, Some(&watermarks), i64::MIN);
                assert_eq!(windows(spec, &by_pane), windows(spec, &by_window), "{spec}");
                assert_eq!(by_pane.null_time, by_window.null_time);
                assert!(by_window.null_time > 0);
            }
        }
    }

    #[test]
    fn rows_without_a_place_are_left_out() {
        let parts = vec![(Place::Window(1), Some(vec![1, 4])), (Place::Window(2), Some(vec![2, 4]))];
        let routed = Routed { parts, late: vec![0, 0, 3], null_time: 0 };
        let wanted = vec![(Place::Window(1), Some(vec![0, 2])), (Place::Window(2), Some(vec![1, 2]))];
        assert_eq!(routed.without_lost(5), (wanted, Some(vec![1, 2, 4])));
    }

    #[test]
    fn a_batch_of_one_pane_is_taken_whole() {
        let router = router(WindowSpec::Hop { slide: 2, size: 10, offset: 0 }, true);
        let times: ArrayRef = Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![4, 5, 4]));
        let place = |watermark: i64, closed: i64| {
            router.one_place(&times, Some(&Int64Array::from(vec![0, 0, watermark])), closed).unwrap()
        };
        assert_eq!(place(5, i64::MIN), Some(Place::Pane(4)));
        assert_eq!(place(6, i64::MIN), None, "the window that ends at 6 has missed it");
        assert_eq!(place(5, 6), None, "that window has closed");
    }
}
