//! Windows that lie as a clock does: of one size, one every so often, the same ones for all keys.

use std::collections::BTreeMap;
use std::time::Duration;

use indexmap::IndexMap;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::teller::{Span, Telling, Window};
use super::{Added, Found, Rules, too_many_windows};
use crate::event::Timestamp;
use crate::script::StateKey;
use crate::stage::{Failure, Output, StateError};

/// The windows of all keys over one stretch of time, in the order in which the keys came.
type Pane = IndexMap<StateKey, Window, FxBuildHasher>;

/// Where windows lie, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Grid {
    size: i64,
    every: i64,
    offset: i64,
}

/// Windows by their start, in milliseconds.
#[derive(Debug)]
pub(super) struct Aligned {
    grid: Grid,
    /// Those that are not over.
    open: BTreeMap<i64, Pane>,
    /// Those that were told and still take late events.
    told: BTreeMap<i64, Pane>,
    /// How many windows there are.
    count: usize,
}

/// Windows as they are kept between two runs.
#[derive(Serialize, Deserialize)]
pub(super) struct AlignedMemory<K, W> {
    open: KeptPanes<K, W>,
    told: KeptPanes<K, W>,
}

/// The windows of each start, with their keys.
type KeptPanes<K, W> = Vec<(i64, Vec<(K, W)>)>;

impl Grid {
    fn new(size: Duration, every: Duration, offset: Duration) -> Self {
        // Longer than the calendar, and far from an overflow.
        let millis = |length: Duration| length.as_millis().min(1 << 60) as i64;
        Self { size: millis(size), every: millis(every).max(1), offset: millis(offset) }
    }

    fn span(&self, start: i64) -> Span {
        let end = Timestamp::from_millis(start.saturating_add(self.size));
        Span { start: Timestamp::from_millis(start), end }
    }

    /// The starts of the windows that an instant is in, the earliest first.
    fn starts(&self, time: Timestamp) -> impl Iterator<Item = i64> + use<> {
        let (time, every) = (time.as_millis(), self.every);
        let last = time - (time - self.offset).rem_euclid(every);
        // How many begin before the last one and are not over.
        let before = (self.size - (time - last) - 1) / every;
        (0..=before).rev().map(move |back| last - back * every)
    }
}

impl Aligned {
    pub(super) fn new(size: Duration, every: Duration, offset: Duration) -> Self {
        let grid = Grid::new(size, every, offset);
        Self { grid, open: BTreeMap::new(), told: BTreeMap::new(), count: 0 }
    }

    pub(super) fn add(
        &mut self,
        key: &StateKey,
        added: &Added<'_>,
        rules: &mut Rules,
        out: &mut Output,
    ) -> Result<Found, Failure> {
        let mut needed = 0;
        let mut found = Found::TooLate;
        for start in self.grid.starts(added.event.time) {
            let last = self.grid.span(start).last();
            if rules.is_gone(last) {
                continue;
            }
            found = Found::Window;
            let panes = if rules.is_over(last) { &self.told } else { &self.open };
            match panes.get(&start).and_then(|pane| pane.get(key)) {
                Some(window) => rules.check_room(window, added.values)?,
                None => needed += 1,
            }
        }
        if self.count + needed > rules.windows_max {
            return Err(too_many_windows());
        }
        self.count += needed;
        for start in self.grid.starts(added.event.time) {
            let span = self.grid.span(start);
            if rules.is_gone(span.last()) {
                continue;
            }
            let is_over = rules.is_over(span.last());
            let panes = if is_over { &mut self.told } else { &mut self.open };
            let pane = panes.entry(start).or_default();
            let window = match pane.get_mut(key) {
                Some(window) => {
                    window.add(added);
                    window
                }
                None => pane.entry(key.clone()).or_insert(rules.teller.begin(added)),
            };
            if is_over {
                rules.teller.tell(key, span, window, Telling::Corrected(added.event), out);
            }
        }
        Ok(found)
    }

    /// When the next window is told or forgotten.
    pub(super) fn next_due(&self, rules: &Rules) -> Option<Timestamp> {
        let told = self.open.first_key_value().map(|(start, _)| self.grid.span(*start).last());
        let gone = self
            .told
            .first_key_value()
            .map(|(start, _)| self.grid.span(*start).last() + rules.lateness);
        told.into_iter().chain(gone).min()
    }

    pub(super) fn advance(&mut self, until: Timestamp, rules: &mut Rules, out: &mut Output) {
        while let Some(entry) = self.open.first_entry() {
            let span = self.grid.span(*entry.key());
            if span.last() > until {
                break;
            }
            let (start, mut pane) = entry.remove_entry();
            for (key, window) in &mut pane {
                rules.teller.tell(key, span, window, Telling::Over, out);
            }
            if rules.lateness.is_zero() {
                self.count -= pane.len();
            } else {
                self.told.insert(start, pane);
            }
        }
        while let Some(start) = self.told.first_key_value().map(|(start, _)| *start)
            && self.grid.span(start).last() + rules.lateness <= until
        {
            let gone = self.told.pop_first();
            self.count -= gone.map_or(0, |(_, pane)| pane.len());
        }
    }

    /// Tells the windows that the end of the stream cuts off. They stay open: the stream may be
    /// gone on with.
    pub(super) fn tell_open(&mut self, end: Timestamp, rules: &mut Rules, out: &mut Output) {
        let end = rules.end(end);
        for (start, pane) in &mut self.open {
            let span = self.grid.span(*start);
            for (key, window) in pane {
                rules.teller.tell(key, span, window, Telling::CutOff(end), out);
            }
        }
    }

    pub(super) fn memory(&self) -> AlignedMemory<&StateKey, &Window> {
        let open = self.open.iter().map(|(start, pane)| (*start, pane.iter().collect()));
        let told = self.told.iter().map(|(start, pane)| (*start, pane.iter().collect()));
        AlignedMemory { open: open.collect(), told: told.collect() }
    }

    /// Goes on with windows of the same shape.
    pub(super) fn remember(
        &mut self,
        memory: AlignedMemory<StateKey, Window>,
        rules: &Rules,
    ) -> Result<(), StateError> {
        let mut count = 0;
        let mut panes = |kept: KeptPanes<StateKey, Window>| {
            let mut panes = BTreeMap::new();
            for (start, windows) in kept {
                windows.iter().try_for_each(|(_, window)| rules.teller.check(window))?;
                let pane: Pane = windows.into_iter().collect();
                count += pane.len();
                panes.insert(start, pane);
            }
            Ok::<_, StateError>(panes)
        };
        (self.open, self.told) = (panes(memory.open)?, panes(memory.told)?);
        self.count = count;
        if count > rules.windows_max {
            return Err(StateError(format!("it has {count} windows, and `max_windows` is less")));
        }
        Ok(())
    }
}
