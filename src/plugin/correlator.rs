//! A plugin's correlator as a stage: it sees one event at a time, hears how far event time is, and
//! puts what it derives behind the cause.

use std::cell::RefCell;
use std::time::Duration;

use bumpalo::Bump;
use engine_plugin::host::{Descriptor, Failed, Instance};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::loan::{EventLoan, NewEvents};
use super::made::Working;
use crate::event::{Event, Timestamp, TraceIds};
use crate::monitor::StageMetrics;
use crate::stage::{Correlator, Failure, Output, StageError, State, StateError};

/// The smallest step of event time.
const STEP: Duration = Duration::from_millis(1);

/// More than one event leads to.
const DERIVED_MAX: usize = 100_000;

pub(super) struct PluginCorrelator {
    working: Working,
    texts: Bump,
    derived: NewEvents,
    ids: TraceIds,
    passes_through: bool,
    is_blocking: bool,
    has_tick: bool,
    /// No tick is before this, whatever the plugin asks for: time does not go back, and does not
    /// stand still.
    tick_floor: Timestamp,
    /// Why the plugin could not say what it knows; tells the run to end.
    unsaved: RefCell<Option<String>>,
}

/// What a run that goes on needs to know.
#[derive(Serialize, Deserialize)]
struct Memory {
    /// None where the plugin remembers nothing.
    plugin: Option<Box<RawValue>>,
    /// How many ids were given.
    ids: u64,
    /// When it wants its next tick.
    next_tick: Option<Timestamp>,
    /// Why the plugin could not say what it knows.
    unsaved: Option<String>,
}

impl PluginCorrelator {
    /// None if there are so many names already that there is none for an event without a type.
    pub(super) fn new(
        working: Working,
        descriptor: &Descriptor,
        passes_through: bool,
        ids: TraceIds,
    ) -> Option<Self> {
        Some(Self {
            has_tick: working.current().is_some_and(Instance::has_tick),
            working,
            texts: Bump::new(),
            derived: NewEvents::new(false, DERIVED_MAX)?,
            ids,
            passes_through,
            is_blocking: descriptor.is_blocking,
            tick_floor: Timestamp::MIN,
            unsaved: RefCell::default(),
        })
    }

    /// Hands on what was derived at this time, unless that is not as it should be: all of it or
    /// nothing. What is earlier would come behind the word that nothing earlier does.
    fn hand_on(&mut self, time: Timestamp, out: &mut Output) -> Result<(), Failure> {
        let derived = self.derived.take().and_then(|derived| {
            match derived.iter().position(|event| event.time < time) {
                Some(row) => Err(format!(
                    "the event in row {row} is at {}, which is before {time}, when it was derived",
                    derived[row].time
                )),
                None => Ok(derived),
            }
        });
        let derived = derived.map_err(|reason| Failure::new("plugin", self.named(&reason)))?;
        for mut event in derived {
            if event.trace_id == "" {
                event.trace_id = self.ids.next(event.time);
            }
            out.events.push(event);
        }
        Ok(())
    }

    /// Why a run ends of which the plugin could not say what it knows; told once.
    fn unsaved(&self) -> Option<StageError> {
        let reason = self.unsaved.borrow_mut().take()?;
        Some(StageError(self.named(&format!("it could not save what it knows: {reason}"))))
    }

    fn named(&self, reason: &str) -> String {
        self.working.maker.named(reason)
    }

    /// What a failed call comes to. One that loses the instance loses what it knows, and that fails
    /// the run: it can go on from the last snapshot.
    fn fails(&mut self, failed: &Failed, out: &mut Output) -> Failure {
        if failed.fault.is_final() {
            out.broken = Some(self.working.maker.error(failed));
            self.working.lose_if_final(failed);
        }
        self.working.maker.failure(failed)
    }

    /// A call that is about no event: what fails in it is a failure of the rule.
    fn timed(
        &mut self,
        time: Timestamp,
        out: &mut Output,
        call: impl FnOnce(&mut Instance, i64, &mut NewEvents) -> Result<(), Failed>,
    ) {
        self.derived.begin(time);
        let called = self.working.instance();
        let called =
            called.and_then(|instance| call(instance, time.as_millis(), &mut self.derived));
        let handed_on = match called {
            Ok(()) => self.hand_on(time, out),
            Err(failed) => Err(self.fails(&failed, out)),
        };
        out.failures.extend(handed_on.err());
    }
}

impl Correlator for PluginCorrelator {
    fn open(&mut self) -> Result<(), StageError> {
        self.working.start()
    }

    fn observe(&mut self, event: &Event, out: &mut Output) -> Result<(), Failure> {
        if let Some(error) = self.unsaved() {
            let failure = Failure::new("plugin", error.0.as_str());
            out.broken = Some(error);
            return Err(failure);
        }
        self.derived.begin(event.time);
        self.tick_floor = self.tick_floor.max(event.time);
        let mut seen = EventLoan::new(event, &mut self.texts);
        let called = self.working.instance();
        let called = called.and_then(|it| it.correlate(&mut seen, &mut self.derived));
        let (drops, failed_row) = (seen.drops, seen.failed.take());
        if let Err(failed) = called {
            return Err(self.fails(&failed, out));
        }
        if let Some(reason) = failed_row {
            return Err(self.working.maker.row_failure(&reason));
        }
        out.drops |= drops;
        self.hand_on(event.time, out)
    }

    fn next_timer(&self) -> Option<Timestamp> {
        let due = self.working.maker.context.tick_due().filter(|_| self.has_tick)?;
        // At the end of time there is no next one.
        Some(due.max(self.tick_floor)).filter(|due| *due < Timestamp::MAX)
    }

    fn advance(&mut self, until: Timestamp, out: &mut Output) {
        if let Some(error) = self.unsaved() {
            out.broken = Some(error);
            return;
        }
        if !self.has_tick || self.working.current().is_none() {
            return;
        }
        // It asks for the next one while it has this.
        if self.next_timer().is_some_and(|due| due <= until) {
            self.working.maker.context.forget_tick();
        }
        self.tick_floor = self.tick_floor.max(until + STEP);
        self.timed(until, out, |instance, now, derived| instance.tick(now, derived));
    }

    fn drain(&mut self, end: Timestamp, out: &mut Output) -> u64 {
        if self.working.current().is_some() {
            self.timed(end, out, |instance, end, derived| instance.drain(end, derived));
        }
        self.next_timer().is_some().into()
    }

    fn state(&self) -> State {
        let saved = self.working.current().map_or(Ok(None), Instance::save);
        let saved = saved.map_err(|failed| failed.reason);
        let plugin = saved.and_then(|json| {
            json.map(RawValue::from_string).transpose().map_err(|error| error.to_string())
        });
        // What was not said is not gone on from, and this run ends with it.
        let unsaved = plugin.as_ref().err().map(|reason| {
            // The first reason counts: a plugin that panicked says no more than that afterwards.
            self.unsaved.borrow_mut().get_or_insert_with(|| reason.clone()).clone()
        });
        if unsaved.is_none() {
            *self.unsaved.borrow_mut() = None;
        }
        let (plugin, ids) = (plugin.ok().flatten(), self.ids.counter());
        let next_tick = self.working.maker.context.tick_due();
        State::of(&Memory { plugin, ids, next_tick, unsaved })
    }

    fn restore(&mut self, state: &State) -> Result<(), StateError> {
        let memory: Memory = state.read()?;
        if let Some(reason) = memory.unsaved {
            return Err(StateError(self.named(&format!("it could not save it: {reason}"))));
        }
        self.ids.go_on_from(memory.ids);
        if let Some(json) = memory.plugin {
            let restored = self.working.instance().and_then(|it| it.restore(json.get()));
            restored.map_err(|failed| StateError(self.named(&failed.reason)))?;
        }
        self.working.maker.context.set_tick(memory.next_tick);
        Ok(())
    }

    fn close(&mut self) -> Result<(), StageError> {
        let saved = self.unsaved().map_or(Ok(()), Err);
        let ended = self.working.flush_and_end();
        saved.and(ended)
    }

    fn blocks(&self) -> bool {
        self.is_blocking
    }

    fn metrics(&self) -> Option<StageMetrics> {
        Some(self.working.maker.metrics.clone())
    }

    fn passes_through(&self) -> bool {
        self.passes_through
    }
}
