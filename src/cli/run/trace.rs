//! `--trace`: what goes in and out of a stage, a line for each event on stderr.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clap::Args;
use engine::component::Kind;
use engine::engine::Engine;
use engine::event::{Batch, Event, Text};
use engine::failure::Failure;
use engine::graph::Tap;
use engine::problem::{Problem, Problems, did_you_mean};
use serde_json::{Map, Value};

use crate::cli::{log, terminal};

/// How much of a payload a line shows.
const PAYLOAD_CHARACTERS: usize = 160;
/// How much of a single value that has changed.
const VALUE_CHARACTERS: usize = 60;
/// How many events are remembered until they come out, where there is no bound on lines.
const OPEN_MAX: usize = 10_000;

/// Which stages are shown.
#[derive(Args, Default)]
pub(super) struct TraceArguments {
    /// Show on stderr what goes in and out of stages, such as `high_value,rush` (repeatable)
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    trace: Vec<String>,
    /// Of how many events a traced stage shows where they go in and where they come out; 0 for all
    #[arg(long, value_name = "N", default_value_t = 100)]
    trace_limit: u64,
}

impl TraceArguments {
    /// Taps the stages that are named; or says which there are not.
    pub(super) fn tap(&self, mut engine: Engine) -> Result<Engine, Problems> {
        let mut problems = Problems::default();
        for name in &self.trace {
            let stages = &engine.plan().stages;
            match stages.iter().find(|stage| stage.name == *name) {
                Some(stage) => {
                    let trace = Trace::new(name, stage.kind, self.trace_limit);
                    engine = engine.with_tap(name, Arc::new(trace));
                }
                None => problems.push(unknown(name, stages.iter().map(|stage| &*stage.name))),
            }
        }
        if problems.is_empty() { Ok(engine) } else { Err(problems) }
    }
}

fn unknown<'a>(name: &str, stages: impl Iterator<Item = &'a str> + Clone) -> Problem {
    let problem = Problem::error(format!("there is no stage `{name}` to trace"));
    problem.help(match did_you_mean(name, stages.clone()) {
        Some(close) => format!("did you mean `{close}`?"),
        None => format!("the stages are `{}`", stages.collect::<Vec<_>>().join("`, `")),
    })
}

/// Shows what one stage does.
struct Trace {
    stage: String,
    kind: Kind,
    /// How many events are shown each way.
    limit: u64,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Events that went in and have not come out.
    open: VecDeque<Event>,
    /// The ids of events that were shown where they went into a correlator.
    causes: HashSet<Text>,
    entered: u64,
    left: u64,
    is_over: bool,
    /// Lines that are not written yet.
    text: String,
}

impl Trace {
    fn new(stage: &str, kind: Kind, limit: u64) -> Self {
        let limit = if limit == 0 { u64::MAX } else { limit };
        Self { stage: stage.to_owned(), kind, limit, seen: Mutex::default() }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, seen: &mut Seen, line: &str) {
        if log::is_json() {
            tracing::info!(stage = self.stage, "{line}");
        } else {
            let _ = writeln!(seen.text, "{} {line}", self.stage);
        }
    }

    /// Says once that there is more than is shown.
    fn end(&self, seen: &mut Seen) {
        if !std::mem::replace(&mut seen.is_over, true) {
            let limit = self.limit;
            self.add(seen, &format!("... more than {limit} events: `--trace-limit` shows more"));
        }
    }

    fn enter(&self, seen: &mut Seen, event: &Event) {
        if seen.entered == self.limit {
            return self.end(seen);
        }
        seen.entered += 1;
        self.add(seen, &format!("-> {}", whole(event)));
        // What goes into a sink does not come out, and a batcher's events come out in batches.
        if matches!(self.kind, Kind::Enricher | Kind::Correlator) {
            if seen.open.len() == OPEN_MAX {
                seen.open.pop_front();
            }
            seen.open.push_back(event.clone());
            if self.kind == Kind::Correlator && seen.causes.len() < OPEN_MAX {
                seen.causes.insert(event.trace_id.clone());
            }
        }
    }

    fn leave(&self, seen: &mut Seen, event: &Event) {
        let before = seen.take(event);
        let line = match before {
            // A correlator lets events through as they are.
            Some(_) if self.kind == Kind::Correlator => return,
            Some(before) => format!("<- {} {}", head(event), changes(&before, event)),
            None if seen.is_over && !seen.is_of_a_cause(event) => return,
            None if seen.left == self.limit => return self.end(seen),
            // What was not seen to go in was made here.
            None => match &event.parent_event_id {
                Some(parent) if self.kind == Kind::Correlator => {
                    format!("<- {} from {parent}", whole(event))
                }
                _ => format!("<- {}", whole(event)),
            },
        };
        seen.left += 1;
        self.add(seen, &line);
    }

    /// An event that went in and does not come out.
    fn lose(&self, event: &Event, sign: &str, fate: &str) {
        let mut seen = self.seen();
        // One that was not seen to go in is beyond the bound.
        if seen.take(event).is_some() {
            self.add(&mut seen, &format!("{sign} {} {fate}", head(event)));
            seen.write();
        }
    }
}

impl Seen {
    fn take(&mut self, event: &Event) -> Option<Event> {
        let place = self.open.iter().position(|open| open.trace_id == event.trace_id)?;
        self.open.remove(place)
    }

    /// Whether an event is derived from one that was shown. Beyond the bound others are not told
    /// from those that pass by.
    fn is_of_a_cause(&self, event: &Event) -> bool {
        event.parent_event_id.as_ref().is_some_and(|parent| self.causes.contains(parent))
    }

    fn write(&mut self) {
        if !self.text.is_empty() {
            terminal::note(&self.text);
            self.text.clear();
        }
    }
}

impl Tap for Trace {
    fn enters(&self, batch: &Batch) {
        let mut seen = self.seen();
        for event in batch.events() {
            self.enter(&mut seen, event);
        }
        seen.write();
    }

    fn leaves(&self, batch: &Batch) {
        let mut seen = self.seen();
        if self.kind == Kind::Batcher {
            if !batch.is_empty() && seen.left < self.limit {
                seen.left += batch.len() as u64;
                self.add(&mut seen, &format!("<- a batch of {}", batch.len()));
            }
        } else {
            for event in batch.events() {
                self.leave(&mut seen, event);
            }
        }
        seen.write();
    }

    fn drops(&self, event: &Event) {
        self.lose(event, "xx", "dropped");
    }

    fn fails(&self, event: &Event, failure: &Failure) {
        self.lose(event, "!!", &format!("failed ({}): {}", failure.category, failure.reason));
    }
}

/// `receipt_created TR_1_00001 2024-11-29T10:00:00.000Z`
fn head(event: &Event) -> String {
    format!("{} {} {}", event.event_type, event.trace_id, event.time)
}

/// The same with the payload.
fn whole(event: &Event) -> String {
    let payload = serde_json::to_string(&event.payload).unwrap_or_default();
    format!("{} {}", head(event), cut(&payload, PAYLOAD_CHARACTERS))
}

/// `total: 12 -> 13, high_value: + true, tender_type: - "CASH"`, or that there is none.
fn changes(before: &Event, after: &Event) -> String {
    let mut parts = Vec::new();
    let [(old_envelope, old), (new_envelope, new)] = [before, after].map(parts_of);
    compare(&old, &new, &mut parts);
    compare(&old_envelope, &new_envelope, &mut parts);
    if parts.is_empty() { "unchanged".to_owned() } else { parts.join(", ") }
}

type Object = Map<String, Value>;

/// The envelope and the payload.
fn parts_of(event: &Event) -> (Object, Object) {
    let object = |value: Option<Value>| match value {
        Some(Value::Object(fields)) => fields,
        _ => Object::new(),
    };
    let mut envelope = object(serde_json::to_value(event).ok());
    let payload = object(envelope.remove("payload"));
    (envelope, payload)
}

fn compare(old: &Object, new: &Object, parts: &mut Vec<String>) {
    let show = |value: &Value| cut(&value.to_string(), VALUE_CHARACTERS);
    for (name, value) in new {
        match old.get(name) {
            None => parts.push(format!("{name}: + {}", show(value))),
            Some(before) if before != value => {
                parts.push(format!("{name}: {} -> {}", show(before), show(value)));
            }
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|(name, _)| !new.contains_key(*name));
    parts.extend(gone.map(|(name, value)| format!("{name}: - {}", show(value))));
}

/// A text that is not too long.
fn cut(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use engine::event::{RECEIPT_CREATED, TAX, TOTAL, Text, Timestamp};

    use super::*;

    #[test]
    fn what_has_changed_is_told_field_by_field() {
        let mut before =
            Event::new(RECEIPT_CREATED, Text::from("TR_1_1"), Timestamp::from_millis(0));
        before.payload.set(TOTAL, 12_i64);
        before.payload.set(TAX, 1_i64);
        assert_eq!(changes(&before, &before), "unchanged");
        let mut after = before.clone();
        after.payload.set(TOTAL, 13_i64);
        after.payload.remove(TAX);
        after.payload.set(engine::event::ZONE, "EXIT");
        after.session_id = Some(Text::from("s"));
        assert_eq!(
            changes(&before, &after),
            r#"total: 12 -> 13, zone: + "EXIT", tax: - 1, session_id: null -> "s""#
        );
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöü", 2), "äö...");
    }
}
