//! A plugin's source as a stage. The instance has a thread of its own, and is polled there only when
//! there is room; what it gives ahead of its time waits here.

mod thread;

use self::thread::{Answer, Gave, Link};
use super::made::Working;
use crate::event::{Batch, Event, Timestamp, TraceIds};
use crate::monitor::StageMetrics;
use crate::stage::{Feed, Source, SourceContext, StageError, State};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub(super) struct PluginSource {
    working: Working,
    replays: bool,
}

impl PluginSource {
    pub(super) fn new(working: Working) -> Self {
        let replays = working.current().is_some_and(engine_plugin::host::Instance::remembers);
        Self { working, replays }
    }
}

/// Where a source is, so that another feed goes on behind the last batch: from what the plugin
/// remembered before its last poll, without the events of it that were handed on already.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Position {
    /// None where the plugin remembers nothing.
    plugin: Option<Box<RawValue>>,
    /// How many events behind that were handed on.
    handed_on: usize,
    /// How many ids were given before that.
    ids: u64,
    watermark: Timestamp,
}

#[async_trait]
impl Source for PluginSource {
    async fn open(
        self: Box<Self>,
        mut cx: SourceContext,
        state: Option<&State>,
    ) -> Result<Box<dyn Feed>, StageError> {
        let before: Option<Position> = match state.filter(|_| self.replays) {
            Some(state) => state.read()?,
            None => None,
        };
        if self.replays {
            cx.trace_ids.go_on_from(before.as_ref().map_or(0, |before| before.ids));
        } else {
            // Its events do not come again, so another run must not give their ids to others.
            cx.trace_ids.go_on_from(cx.clock.wall().as_millis() as u64);
        }
        self.working.maker.context.set_clock(cx.clock);
        let plugin = before.as_ref().and_then(|before| before.plugin.clone());
        let mut link = Link::begin(self.working, &cx, plugin)?;
        let started = match link.answer().await {
            Some(Answer::Started(state)) => state,
            Some(Answer::Failed(error)) => return Err(error),
            _ => return Err(StageError("its thread has ended".to_owned())),
        };
        let position = before.unwrap_or(Position {
            plugin: started,
            handed_on: 0,
            ids: cx.trace_ids.counter(),
            watermark: Timestamp::MIN,
        });
        Ok(Box::new(PluginFeed {
            skip: position.handed_on,
            position,
            ids: cx.trace_ids.clone(),
            cx,
            link,
            is_asked: false,
            open: None,
            has_ended: false,
            replays: self.replays,
        }))
    }

    fn replays(&self) -> bool {
        self.replays
    }

    fn metrics(&self) -> Option<StageMetrics> {
        Some(self.working.maker.metrics.clone())
    }
}

struct PluginFeed {
    cx: SourceContext,
    link: Link,
    /// Whether the thread was asked, and has not answered yet.
    is_asked: bool,
    /// What the last poll gave, as far as it was not handed on.
    open: Option<Open>,
    /// Nothing more comes from the plugin.
    has_ended: bool,
    /// Behind what was handed on.
    position: Position,
    /// How many events were handed on before a restart.
    skip: usize,
    ids: TraceIds,
    replays: bool,
}

/// What a poll gave.
struct Open {
    /// In the order of their times.
    events: std::iter::Peekable<std::vec::IntoIter<Event>>,
    /// The plugin's place behind them.
    place: Option<u64>,
    /// What it remembers behind them.
    state: Option<Box<RawValue>>,
    /// What it said about what is still to come.
    watermark: Option<Timestamp>,
}

impl PluginFeed {
    /// Takes in what a poll gave.
    fn take_in(&mut self, gave: Gave) {
        let Gave { mut events, mut place, mut state, watermark } = gave;
        // In the order of the plugin, so that the same events have the same ids.
        for event in &mut events {
            if event.trace_id == "" {
                event.trace_id = self.ids.next(event.time);
            }
        }
        events.sort_by_key(|event| event.time);
        let is_before_end = |event: &Event| self.cx.end.is_none_or(|end| event.time < end);
        if let Some(first) = events.iter().position(|event| !is_before_end(event)) {
            events.truncate(first);
            self.has_ended = true;
            // The rest was not handed on: a longer run begins there.
            (place, state) = (None, None);
        }
        let skipped = self.skip.min(events.len());
        events.drain(..skipped);
        self.skip -= skipped;
        self.open = Some(Open { events: events.into_iter().peekable(), place, state, watermark });
    }

    /// The next events of what was given that are due, and where that leads.
    fn part(&mut self) -> Option<Batch> {
        let open = self.open.as_mut()?;
        let clock = self.cx.clock;
        let mut events = Vec::new();
        while events.len() < self.cx.batch_events.max(1)
            && let Some(event) = open.events.next_if(|event| clock.is_due(event.time))
        {
            events.push(event);
        }
        self.position.handed_on += events.len();
        let mut watermark = self.position.watermark;
        if let Some(last) = events.last() {
            watermark = watermark.max(last.time);
        }
        let mut place = None;
        if open.events.peek().is_none()
            && let Some(open) = self.open.take()
        {
            // A new beginning: nothing of what the plugin gave is left.
            watermark = watermark.max(open.watermark.unwrap_or(watermark));
            place = open.place;
            if open.state.is_some() {
                let (handed_on, ids) = (0, self.ids.counter());
                self.position = Position { plugin: open.state, handed_on, ids, watermark };
            }
        }
        let is_progress = watermark > self.position.watermark;
        self.position.watermark = watermark;
        if events.is_empty() && place.is_none() && !is_progress {
            return None;
        }
        let token = self.cx.ledger.issue(place.into());
        Some(Batch::new(events, watermark, Some(token)))
    }
}

#[async_trait]
impl Feed for PluginFeed {
    async fn next(&mut self) -> Result<Option<Batch>, StageError> {
        loop {
            if let Some(open) = &mut self.open {
                if let Some(first) = open.events.peek() {
                    self.cx.clock.sleep_until(first.time).await;
                }
                if let Some(batch) = self.part() {
                    return Ok(Some(batch));
                }
                continue;
            }
            if self.has_ended {
                return Ok(None);
            }
            if !self.is_asked {
                self.link.ask();
                self.is_asked = true;
            }
            // A call that is dropped here asks no second time.
            let answer = self.link.answer().await;
            self.is_asked = false;
            match answer {
                Some(Answer::Gave(gave)) => self.take_in(gave),
                Some(Answer::Ended) => self.has_ended = true,
                Some(Answer::Failed(error)) => return Err(error),
                Some(Answer::Started(_)) => {}
                None => return Err(StageError("its thread has ended".to_owned())),
            }
        }
    }

    fn state(&self) -> State {
        if self.replays { State::of(&self.position) } else { State::none() }
    }
}
