//! Correlators in tests: built from YAML as a spec's are, and driven as the graph drives them.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::component::{BuildContext, Component, Settings};
use crate::event::{Event, JsonReader, Timestamp, TraceIds};
use crate::spec::{Document, Environment, Shard};
use crate::stage::{Correlator, Output, Stage, State};

/// A correlator with these settings, and what it has said so far.
pub(super) struct Run {
    pub(super) correlator: Box<dyn Correlator>,
    pub(super) out: Output,
    /// How many events came too late.
    pub(super) late: usize,
    /// The trace ids of those that were dropped.
    pub(super) dropped: Vec<String>,
}

/// The instant that tests begin at.
pub(super) const START: i64 = 1_704_067_200;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_millis((START + second) * 1000)
}

/// An event of a type so many seconds after the beginning.
pub(super) fn event(second: i64, event_type: &str, payload: &Value) -> Event {
    let line = json!({
        "event_type": event_type,
        "ingest_timestamp": at(second).to_string(),
        "trace_id": format!("TR_{}_00001", START + second),
        "payload": payload,
    });
    JsonReader::new().event(line.to_string().as_bytes()).unwrap()
}

fn built<S: Settings>(with: &str) -> Result<Stage, String> {
    let with = with.trim().replace('\n', "\n      ");
    let name = S::NAME;
    let text = format!("correlators:\n  s:\n    type: {name}\n    with:\n      {with}\n");
    let document = Document::parse("test.yaml", text, Path::new(""), &Environment::default());
    let document = document.unwrap();
    let pointer = "/correlators/s".to_owned();
    let settings = document.value(&format!("{pointer}/with"));
    let component = Component::of::<S>();
    let schema = (component.schema)().to_value();
    jsonschema::validate(&schema, &settings).map_err(|error| error.to_string())?;
    let trace_ids = TraceIds::new(42, 1);
    let (stage, seed, shard, document) = ("s", 1, Shard::WHOLE, &document);
    let cx = BuildContext { stage, seed, shard, trace_ids, document, pointer };
    (component.build)(settings, &cx).map_err(|problems| problems.render(false))
}

/// What is wrong with settings, as the user sees it.
pub(super) fn problems<S: Settings>(with: &str) -> String {
    built::<S>(with).err().unwrap_or_default()
}

/// A state as it comes back from a file.
pub(super) fn kept(state: &State) -> State {
    serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap()
}

impl Run {
    pub(super) fn new<S: Settings>(with: &str) -> Self {
        match built::<S>(with) {
            Ok(Stage::Correlator(correlator)) => {
                Self { correlator, out: Output::default(), late: 0, dropped: Vec::new() }
            }
            Ok(_) => panic!("it is no correlator"),
            Err(problems) => panic!("{problems}"),
        }
    }

    /// The same, which has seen these events.
    pub(super) fn of<S: Settings>(with: &str, events: &[Event]) -> Self {
        let mut run = Self::new::<S>(with);
        for event in events {
            run.see(event);
        }
        run
    }

    /// Sees an event, after the timers that are due before it.
    pub(super) fn see(&mut self, event: &Event) {
        self.pass(event.time - Duration::from_millis(1));
        let before = self.out.events.len();
        if let Err(failure) = self.correlator.observe(event, &mut self.out) {
            self.out.events.truncate(before);
            self.out.failures.push(failure);
        }
        self.late += usize::from(std::mem::take(&mut self.out.late));
        if std::mem::take(&mut self.out.drops) {
            self.dropped.push(event.trace_id.to_string());
        }
    }

    /// Fires what is due.
    pub(super) fn pass(&mut self, until: Timestamp) {
        while let Some(due) = self.correlator.next_timer().filter(|due| *due <= until) {
            self.correlator.advance(due, &mut self.out);
        }
    }

    /// Hears that nothing earlier comes, as behind a batch.
    pub(super) fn watermark(&mut self, watermark: Timestamp) {
        let until = watermark - Duration::from_millis(1);
        self.pass(until);
        self.correlator.advance(until, &mut self.out);
    }

    /// Goes on in another instance, from a state as it comes back from a file.
    pub(super) fn restart<S: Settings>(&mut self, with: &str) {
        let state = kept(&self.correlator.state());
        let due = self.correlator.next_timer();
        self.correlator = Self::new::<S>(with).correlator;
        self.correlator.restore(&state).unwrap();
        assert_eq!(self.correlator.next_timer(), due);
    }

    /// What was said, with times in seconds since the beginning.
    pub(super) fn said(&self) -> Vec<String> {
        let line = |event: &Event| {
            let second = (event.time.as_millis() - START * 1000) as f64 / 1000.0;
            let payload = serde_json::to_string(&event.payload).unwrap();
            format!("{second} {} {payload}", event.event_type).replace("2024-01-01T00:", "")
        };
        self.out.events.iter().map(line).collect()
    }

    pub(super) fn reasons(&self) -> Vec<&str> {
        self.out.failures.iter().map(|failure| failure.reason.as_str()).collect()
    }

    /// All of it, to the letter.
    pub(super) fn all(&self) -> (Vec<String>, usize, Vec<String>) {
        let events = self.out.events.iter().map(Event::to_json);
        let failures = self.out.failures.iter().map(|failure| failure.reason.clone());
        (events.chain(failures).collect(), self.late, self.dropped.clone())
    }
}
