//! The state of a flat aggregate: the groups of every open window, or of the panes that windows are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::contents::contents_of;
use super::groups::{Groups, Layout};
use super::merge::{Merger, Places};
use crate::error::Result;
use crate::exec::aggregate::start_of;
use crate::exec::contents::StateRows;
use crate::exec::context::OperatorState;
use crate::state::FlatTable;
use crate::time::WindowSpec;

/// The place of groups that belong to no window.
pub(super) const NO_WINDOW: i64 = i64::MAX;

/// Groups that an interval adds rows to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A whole window, by its end.
    Window(i64),
    /// A pane, by its start: its rows are in every window around it.
    Pane(i64),
}

/// Groups by window and by pane.
pub(super) struct Windows {
    layout: Arc<Layout>,
    /// What the columns are called: those of the key, then the results.
    names: Vec<String>,
    spec: Option<WindowSpec>,
    /// How far (µs) time must have passed a window's end to close it.
    lag: i64,
    windows: BTreeMap<i64, Groups>,
    panes: BTreeMap<i64, Pane>,
    merger: Merger,
    /// The ends of open windows that hold rows.
    ends: BTreeSet<i64>,
    /// Windows up to here have closed.
    closed_until: i64,
    touched: Vec<Place>,
    closing: Option<i64>,
    /// Rows read in this interval for windows that close.
    read: usize,
}

struct Pane {
    groups: Groups,
    /// Where its groups are in the table that windows are put together in.
    places: Places,
    /// The end of the last window around it.
    last_end: i64,
}

impl Pane {
    fn new(layout: &Layout, last_end: i64) -> Self {
        Self { groups: Groups::new(layout), places: Places::default(), last_end }
    }
}

impl Windows {
    pub(super) fn new(layout: &Arc<Layout>, names: Vec<String>, spec: Option<WindowSpec>, lag: i64) -> Self {
        Self {
            layout: Arc::clone(layout),
            names,
            spec,
            lag,
            windows: BTreeMap::new(),
            panes: BTreeMap::new(),
            merger: Merger::new(),
            ends: BTreeSet::new(),
            closed_until: i64::MIN,
            touched: Vec::new(),
            closing: None,
            read: 0,
        }
    }

    /// Windows up to here have closed.
    pub(super) fn closed_until(&self) -> i64 {
        self.closed_until
    }

    /// The groups at a place, to be changed; made when there are none.
    pub(super) fn groups(&mut self, place: Place) -> &mut Groups {
        let groups = match place {
            Place::Window(end) => {
                if !self.windows.contains_key(&end) && end != NO_WINDOW {
                    self.ends.insert(end);
                }
                self.windows.entry(end).or_insert_with(|| Groups::new(&self.layout))
            }
            Place::Pane(start) => {
                if !self.panes.contains_key(&start) {
                    let last_end = self.open_around(start);
                    self.panes.insert(start, Pane::new(&self.layout, last_end));
                }
                &mut self.panes.entry(start).or_insert_with(|| Pane::new(&self.layout, start)).groups
            }
        };
        if !groups.table.is_touched() {
            self.touched.push(place);
        }
        groups
    }

    /// Opens the windows around a pane; the end of the last of them.
    fn open_around(&mut self, start: i64) -> i64 {
        let (ends, closed_until, mut last) = (&mut self.ends, self.closed_until, start);
        if let Some(spec) = self.spec {
            spec.assign(start, |window| {
                last = window.end;
                if window.end > closed_until {
                    ends.insert(window.end);
                }
            });
        }
        last
    }

    /// The ends of the windows that close by `time`, earliest first.
    pub(super) fn ending_by(&self, time: i64) -> Vec<i64> {
        self.ends.range(..=time).copied().collect()
    }

    /// Puts the window [start, end) together, of its panes in order and of rows of its own, and hands its groups to `work`: a
    /// table, and rows of it.
    pub(super) fn whole<T>(
        &mut self,
        start: i64,
        end: i64,
        work: impl FnOnce(&FlatTable, &[&[u64]]) -> Result<T>,
    ) -> Result<Option<T>> {
        let mut own_places = Places::default();
        let panes = self.panes.range_mut(start..end).map(|(_, pane)| (&pane.groups, &mut pane.places));
        let own = self.windows.get(&end).map(|groups| (groups, &mut own_places));
        let mut parts: Vec<_> = panes.chain(own).filter(|(groups, _)| !groups.table.is_empty()).collect();
        // Those that the interval has touched are counted where they were found.
        self.read += parts.iter().map(|(groups, _)| groups.table.len() - groups.table.touched_len()).sum::<usize>();
        match parts.as_mut_slice() {
            [] => Ok(None),
            [(groups, _)] => work(&groups.table, &groups.table.blocks().collect::<Vec<_>>()).map(Some),
            parts => {
                let (table, rows) = self.merger.merge(&self.layout, parts);
                let result = work(table, &rows).map(Some);
                self.merger.tidy();
                result
            }
        }
    }

    /// The windows that this interval changed, earliest end first.
    pub(super) fn touched(&self) -> Vec<(i64, &Groups)> {
        let end = |place: &Place| match place {
            Place::Window(end) => Some(*end),
            Place::Pane(_) => None,
        };
        let ends: BTreeSet<i64> = self.touched.iter().filter_map(end).collect();
        ends.into_iter().filter_map(|end| Some((end, self.windows.get(&end)?))).collect()
    }

    /// How many rows that were there before have been read in this interval. To be asked once.
    pub(super) fn take_read(&mut self) -> u64 {
        let found = |place: &Place| self.get(*place).map_or(0, |groups| groups.table.found_len());
        let found: usize = self.touched.iter().map(found).sum();
        (found + std::mem::take(&mut self.read)) as u64
    }

    /// Drops what has closed by `time` when the interval is decided.
    pub(super) fn stage_close(&mut self, time: i64) {
        self.closing = Some(time);
    }

    fn get(&self, place: Place) -> Option<&Groups> {
        match place {
            Place::Window(end) => self.windows.get(&end),
            Place::Pane(start) => self.panes.get(&start).map(|p| &p.groups),
        }
    }

    fn get_mut(&mut self, place: Place) -> Option<&mut Groups> {
        match place {
            Place::Window(end) => self.windows.get_mut(&end),
            Place::Pane(start) => self.panes.get_mut(&start).map(|p| &mut p.groups),
        }
    }
}

impl OperatorState for Windows {
    fn commit(&mut self) -> Result<()> {
        if let Some(time) = self.closing.take() {
            self.closed_until = time.max(self.closed_until);
            while self.ends.first().is_some_and(|end| *end <= time) {
                self.ends.pop_first();
            }
            while self.windows.first_key_value().is_some_and(|(end, _)| *end <= time && *end != NO_WINDOW) {
                self.windows.pop_first();
            }
            // The last windows around panes end in the order of the panes.
            while self.panes.first_key_value().is_some_and(|(_, pane)| pane.last_end <= time) {
                self.panes.pop_first();
            }
            if self.panes.is_empty() {
                self.merger.forget();
            }
        }
        for place in std::mem::take(&mut self.touched) {
            if let Some(groups) = self.get_mut(place) {
                groups.commit();
            }
        }
        Ok(())
    }

    fn rollback(&mut self) {
        self.closing = None;
        for place in std::mem::take(&mut self.touched) {
            if let Some(groups) = self.get_mut(place) {
                groups.rollback();
            }
        }
        self.panes.values_mut().for_each(|pane| pane.places.truncate(pane.groups.table.len()));
        self.windows.retain(|_, groups| !groups.table.is_empty());
        self.panes.retain(|_, pane| !pane.groups.table.is_empty());
        self.ends = self.windows.keys().copied().filter(|end| *end != NO_WINDOW).collect();
        for start in self.panes.keys().copied().collect::<Vec<_>>() {
            self.open_around(start);
        }
    }

    fn contents(&self) -> Result<Vec<StateRows>> {
        let all = self.ends.iter().chain(self.windows.keys().filter(|end| **end == NO_WINDOW));
        let of = |end: &i64| {
            let start = self.spec.map_or(*end, |spec| start_of(spec, *end));
            let panes = self.panes.range(start..*end).map(|(_, pane)| &pane.groups);
            let parts = panes.chain(self.windows.get(end)).filter(|groups| !groups.table.is_empty());
            (*end, parts.collect())
        };
        let windows: Vec<(i64, Vec<&Groups>)> = all.map(of).collect();
        let column = (!self.ends.is_empty()).then_some("window_end");
        Ok(vec![contents_of(column, &windows, &self.layout, &self.names)?])
    }

    fn rows(&self) -> usize {
        self.windows.values().chain(self.panes.values().map(|p| &p.groups)).map(|g| g.table.len()).sum()
    }

    fn bytes(&self) -> usize {
        let windows: usize = self.windows.values().map(Groups::bytes).sum();
        let panes: usize = self.panes.values().map(|p| p.groups.bytes() + p.places.bytes()).sum();
        windows + panes + self.merger.bytes()
    }

    fn windows(&self) -> (usize, Option<i64>) {
        (self.ends.len(), self.ends.first().map(|end| end.saturating_add(self.lag)))
    }
}
