//! A plugin's source as a stage. The instance has a thread of its own, and is polled there only when
//! there is room; what it gives ahead of its time waits here.

mod position;
mod thread;

use self::position::{HandedOn, Position};
use self::thread::{Answer, Gave, Link};
use super::made::Working;
use crate::event::{Batch, Event, Timestamp, TraceIds};
use crate::monitor::StageMetrics;
use crate::stage::{Feed, Source, SourceContext, StageError, State};
use async_trait::async_trait;
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
            cx.trace_ids = cx.trace_ids.begun_at(cx.clock.wall());
        }
        self.working.maker.context.set_clock(cx.clock.clone());
        let plugin = before.as_ref().and_then(|before| before.plugin.clone());
        let mut link = Link::begin(self.working, &cx, plugin)?;
        let started = match link.answer().await {
            Some(Answer::Started(state)) => state,
            Some(Answer::Failed(error)) => return Err(error),
            _ => return Err(StageError("its thread has ended".to_owned())),
        };
        let position = before.unwrap_or(Position {
            plugin: started,
            handed_on: HandedOn::default(),
            ids: cx.trace_ids.counter(),
            watermark: Timestamp::MIN,
        });
        Ok(Box::new(PluginFeed {
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
    ids: TraceIds,
    replays: bool,
}

/// What a poll gave.
struct Open {
    /// In the order of their times, each with its place in the plugin's order.
    events: std::iter::Peekable<std::vec::IntoIter<(usize, Event)>>,
    /// How many the poll gave.
    count: usize,
    /// Some of them are at or after the end, and are not handed on.
    is_cut: bool,
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
        let Gave { mut events, place, state, watermark } = gave;
        let count = events.len();
        // In the order of the plugin, so that the same events have the same ids.
        for event in &mut events {
            if event.trace_id == "" {
                event.trace_id = self.ids.next(event.time);
            }
        }
        let is_open = |(at, _): &(usize, Event)| !self.position.handed_on.contains(*at);
        let mut events: Vec<_> = events.into_iter().enumerate().filter(is_open).collect();
        events.sort_by_key(|(_, event)| event.time);
        let is_over =
            |(_, event): &(usize, Event)| self.cx.end.is_some_and(|end| event.time >= end);
        let over = events.iter().position(is_over);
        if let Some(first) = over {
            events.truncate(first);
            self.has_ended = true;
        }
        let (events, is_cut) = (events.into_iter().peekable(), over.is_some());
        self.open = Some(Open { events, count, is_cut, place, state, watermark });
    }

    /// The next events of what was given that are due, and where that leads.
    fn part(&mut self) -> Option<Batch> {
        let open = self.open.as_mut()?;
        let clock = self.cx.clock.clone();
        let mut events = Vec::new();
        while events.len() < self.cx.batch_events.max(1)
            && let Some((at, event)) = open.events.next_if(|(_, event)| clock.is_due(event.time))
        {
            self.position.handed_on.insert(at);
            events.push(event);
        }
        let mut watermark = self.position.watermark;
        if let Some(last) = events.last() {
            watermark = watermark.max(last.time);
        }
        let mut place = None;
        if open.events.peek().is_none()
            && let Some(open) = self.open.take()
        {
            watermark = watermark.max(open.watermark.unwrap_or(watermark));
            // Of what was cut the rest was not handed on: a longer run begins before it.
            if !open.is_cut {
                place = open.place;
                self.position.go_behind(open.count, open.state, self.ids.counter());
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
                if let Some((_, first)) = open.events.peek() {
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
