//! Sessions: windows that last as long as the events of a key follow each other.

use std::collections::HashMap;
use std::time::Duration;

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use super::teller::{Span, Telling, Window};
use super::{Added, Found, Rules, too_many_windows};
use crate::event::Timestamp;
use crate::script::{StateKey, TimerId, Timers};
use crate::stage::{Failure, Output, StateError};

/// The sessions of all keys. Those of one key are further apart than the gap.
#[derive(Debug)]
pub(super) struct Sessions {
    gap: Duration,
    by_key: HashMap<StateKey, Vec<Session>, FxBuildHasher>,
    /// One for each session, due when there may be something to do, and not later.
    timers: Timers<StateKey>,
}

#[derive(Debug)]
struct Session {
    timer: TimerId,
    first: Timestamp,
    last: Timestamp,
    /// Whether its result is yet to be told.
    is_open: bool,
    window: Window,
}

/// Sessions as they are kept between two runs, in the order of their timers.
#[derive(Serialize, Deserialize)]
pub(super) struct SessionMemory<K, W> {
    timers_set: u64,
    sessions: Vec<KeptSession<K, W>>,
}

/// Its timer and its key, its first and its last instant, whether it is open, and its window.
type KeptSession<K, W> = (TimerId, K, i64, i64, bool, W);

impl Session {
    fn span(&self, gap: Duration) -> Span {
        Span { start: self.first, end: self.last + gap }
    }

    /// When there is something to do for it.
    fn due(&self, gap: Duration, rules: &Rules) -> Timestamp {
        let last = self.span(gap).last();
        if self.is_open { last } else { last + rules.lateness }
    }
}

impl Sessions {
    pub(super) fn new(gap: Duration, sessions_max: usize) -> Self {
        Self { gap, by_key: HashMap::default(), timers: Timers::new(sessions_max) }
    }

    pub(super) fn add(
        &mut self,
        key: &StateKey,
        added: &Added<'_>,
        rules: &mut Rules,
        out: &mut Output,
    ) -> Result<Found, Failure> {
        let (gap, time) = (self.gap, added.event.time);
        let is_near = |session: &Session| time < session.last + gap && session.first < time + gap;
        let near = self.by_key.get(key).into_iter().flatten().filter(|it| is_near(it));
        let Some(earliest) = near.min_by_key(|session| session.first) else {
            return self.begin(key, added, rules, out);
        };
        rules.check_room(&earliest.window, added.values)?;
        let timer = earliest.timer;
        let Some(sessions) = self.by_key.get_mut(key) else { return Ok(Found::TooLate) };
        let place = sessions.iter().position(|session| session.timer == timer).unwrap_or(0);
        let mut session = sessions.swap_remove(place);
        // The event may be what was missing between two.
        for other in sessions.extract_if(.., |session| is_near(session)) {
            self.timers.cancel(other.timer);
            session.last = session.last.max(other.last);
            session.window.merge(other.window);
        }
        session.window.add(added);
        session.first = session.first.min(time);
        session.last = session.last.max(time);
        self.put(key, session, added, rules, out);
        Ok(Found::Window)
    }

    /// A session with one event.
    fn begin(
        &mut self,
        key: &StateKey,
        added: &Added<'_>,
        rules: &mut Rules,
        out: &mut Output,
    ) -> Result<Found, Failure> {
        let time = added.event.time;
        let last = Span { start: time, end: time + self.gap }.last();
        if rules.is_gone(last) {
            return Ok(Found::TooLate);
        }
        let window = rules.teller.begin(added);
        let Ok(timer) = self.timers.set(last, key.clone()) else { return Err(too_many_windows()) };
        let session = Session { timer, first: time, last: time, is_open: true, window };
        self.put(key, session, added, rules, out);
        Ok(Found::Window)
    }

    /// Puts a session to which an event was added where it belongs; tells it where that was late.
    fn put(
        &mut self,
        key: &StateKey,
        mut session: Session,
        added: &Added<'_>,
        rules: &mut Rules,
        out: &mut Output,
    ) {
        let span = session.span(self.gap);
        session.is_open = !rules.is_over(span.last());
        if !session.is_open {
            let telling = Telling::Corrected(added.event);
            rules.teller.tell(key, span, &mut session.window, telling, out);
        }
        // A timer that is due earlier is set anew when it is due: most sessions are lengthened
        // often, and told once.
        let due = session.due(self.gap, rules);
        if session.timer.due() > due {
            self.timers.cancel(session.timer);
            session.timer = self.set(due, key);
        }
        // Most keys have one session, and there may be many keys.
        self.by_key.entry(key.clone()).or_insert_with(|| Vec::with_capacity(1)).push(session);
    }

    /// There is room: a timer was taken out just now.
    fn set(&mut self, due: Timestamp, key: &StateKey) -> TimerId {
        self.timers.set(due, key.clone()).expect("one timer was taken out")
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.timers.next_due()
    }

    pub(super) fn advance(&mut self, until: Timestamp, rules: &mut Rules, out: &mut Output) {
        while let Some((timer, key)) = self.timers.pop(until) {
            let Some(sessions) = self.by_key.get_mut(&key) else { continue };
            let Some(place) = sessions.iter().position(|session| session.timer == timer) else {
                continue;
            };
            let session = &mut sessions[place];
            let mut due = session.due(self.gap, rules);
            if due <= timer.due() && session.is_open {
                let span = session.span(self.gap);
                rules.teller.tell(&key, span, &mut session.window, Telling::Over, out);
                session.is_open = false;
                due = session.due(self.gap, rules);
            }
            if due > timer.due() {
                session.timer = self.timers.set(due, key).expect("one timer was taken out");
                continue;
            }
            sessions.swap_remove(place);
            if sessions.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    /// Tells the sessions that the end of the stream cuts off. They stay open: the stream may be
    /// gone on with.
    pub(super) fn tell_open(&mut self, end: Timestamp, rules: &mut Rules, out: &mut Output) {
        let end = rules.end(end);
        for (timer, key) in self.timers.iter() {
            let sessions = self.by_key.get_mut(key).into_iter().flatten();
            for session in sessions.filter(|session| session.timer == timer && session.is_open) {
                let span = session.span(self.gap);
                rules.teller.tell(key, span, &mut session.window, Telling::CutOff(end), out);
            }
        }
    }

    pub(super) fn memory(&self) -> SessionMemory<&StateKey, &Window> {
        let sessions = self.timers.iter().filter_map(|(timer, key)| {
            let session = self.by_key.get(key)?.iter().find(|session| session.timer == timer)?;
            let Session { first, last, is_open, window, .. } = session;
            Some((timer, key, first.as_millis(), last.as_millis(), *is_open, window))
        });
        SessionMemory { timers_set: self.timers.sequence(), sessions: sessions.collect() }
    }

    /// Goes on with sessions of the same gap.
    pub(super) fn remember(
        &mut self,
        memory: SessionMemory<StateKey, Window>,
        rules: &Rules,
    ) -> Result<(), StateError> {
        let mut timers = Vec::with_capacity(memory.sessions.len());
        self.by_key.clear();
        for (timer, key, first, last, is_open, window) in memory.sessions {
            rules.teller.check(&window)?;
            let (first, last) = (Timestamp::from_millis(first), Timestamp::from_millis(last));
            let session = Session { timer, first, last, is_open, window };
            self.by_key.entry(key.clone()).or_default().push(session);
            timers.push((timer, key));
        }
        self.timers = Timers::new(rules.windows_max)
            .restored(memory.timers_set, timers)
            .ok_or_else(|| StateError("its sessions do not belong together".to_owned()))?;
        Ok(())
    }
}
