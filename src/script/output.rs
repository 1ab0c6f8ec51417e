//! `out` in scripts: what a rule emits and which timers it sets. All of it takes effect when the
//! call has succeeded, and none of it when it has failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rhai::{Dynamic, Engine, Map};

use super::duration::duration_from;
use super::event::{EVENT_PROPERTIES, PayloadHandle, refused};
use super::values::{Names, ScriptResult, fields_from_rhai, from_rhai};
use crate::event::{EnvelopeKey, Event, Fields, Key, RECEIPT_CREATED, Text, Value};
use crate::problem::did_you_mean;

/// How many commands one call may give.
pub(super) const COMMANDS_MAX: usize = 10_000;
/// The longest name of a timer, in bytes.
pub(super) const TIMER_NAME_BYTES_MAX: usize = 256;

/// What a rule asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// An event, now.
    Emit(Emission),
    /// An event, later.
    EmitAfter(Duration, Emission),
    /// `on_timer(name, ..)`, later; a timer of that name that is open is replaced.
    Timer(String, Duration),
    /// No `on_timer` for that name.
    Cancel(String),
}

/// An event as a rule describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Emission {
    /// Its type.
    pub event_type: Key,
    /// Its payload.
    pub payload: Fields,
    /// The envelope's fields that the rule sets itself.
    envelope: Vec<(EnvelopeKey, Value)>,
}

impl Command {
    /// How many timers and later events are asked for, beside the timers that replace an open one.
    pub fn count_timers(commands: &[Self], is_open: impl Fn(&str) -> bool) -> usize {
        let is_new = |command: &&Self| match command {
            Self::EmitAfter(..) => true,
            Self::Timer(name, _) => !is_open(name),
            _ => false,
        };
        commands.iter().filter(is_new).count()
    }
}

impl Emission {
    /// An event whose envelope is left to what it follows from.
    pub fn new(event_type: Key, payload: Fields) -> Self {
        Self { event_type, payload, envelope: Vec::new() }
    }

    /// An event of a type and a payload, with what the rule says of its envelope: that is tried
    /// here, so that it fits later.
    pub(super) fn with_envelope(
        event_type: Key,
        payload: Fields,
        envelope: Vec<(EnvelopeKey, Value)>,
    ) -> ScriptResult<Self> {
        if !envelope.is_empty() {
            let mut trial = Event::new(RECEIPT_CREATED, Text::default(), <_>::default());
            for (field, value) in &envelope {
                trial.set_envelope(*field, value.clone()).map_err(refused)?;
            }
        }
        Ok(Self { event_type, payload, envelope })
    }

    /// Sets what the rule set itself.
    pub fn set_envelope(&self, event: &mut Event) {
        for (field, value) in &self.envelope {
            // The values were tried on an event when the rule named them.
            let _ = event.set_envelope(*field, value.clone());
        }
    }
}

#[derive(Default)]
struct Cell {
    commands: Vec<Command>,
    names: Names,
}

/// `out` in scripts.
#[derive(Clone, Default)]
pub struct OutputHandle(Arc<Mutex<Cell>>);

impl OutputHandle {
    /// Takes what the last call asked for, into an empty list.
    pub fn take(&self, commands: &mut Vec<Command>) {
        commands.append(&mut self.lock().commands);
    }

    fn lock(&self) -> MutexGuard<'_, Cell> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, command: Command) -> ScriptResult<()> {
        let commands = &mut self.lock().commands;
        if commands.len() >= COMMANDS_MAX {
            return Err(format!("one call may emit {COMMANDS_MAX} events, not more").into());
        }
        commands.push(command);
        Ok(())
    }

    fn emission(
        &self,
        event_type: &str,
        payload: &Dynamic,
        envelope: &Map,
    ) -> ScriptResult<Emission> {
        let payload = if let Ok(map) = payload.as_map_ref() {
            fields_from_rhai(&map)?
        } else if let Some(payload) = payload.read_lock::<PayloadHandle>() {
            payload.fields()
        } else {
            return Err(
                format!("the payload of an event is a map, not `{}`", payload.type_name()).into()
            );
        };
        let event_type = self.lock().names.key(event_type)?;
        Emission::with_envelope(event_type, payload, envelope_fields(envelope)?)
    }

    fn emit(&self, event_type: &str, payload: &Dynamic, envelope: &Map) -> ScriptResult<()> {
        let emission = self.emission(event_type, payload, envelope)?;
        self.push(Command::Emit(emission))
    }

    fn emit_after(
        &self,
        delay: &Dynamic,
        event_type: &str,
        payload: &Dynamic,
        envelope: &Map,
    ) -> ScriptResult<()> {
        let delay = after(delay)?;
        let emission = self.emission(event_type, payload, envelope)?;
        self.push(Command::EmitAfter(delay, emission))
    }

    fn timer(&self, name: &str, delay: &Dynamic) -> ScriptResult<()> {
        if name.len() > TIMER_NAME_BYTES_MAX {
            return Err(format!("a timer's name has at most {TIMER_NAME_BYTES_MAX} bytes").into());
        }
        self.push(Command::Timer(name.to_owned(), after(delay)?))
    }
}

/// A delay that is none would let a timer that sets itself again hold event time up for ever.
fn after(delay: &Dynamic) -> ScriptResult<Duration> {
    let delay = duration_from(delay)?;
    if delay.is_zero() {
        return Err("a timer is at least a millisecond away".into());
    }
    Ok(delay)
}

fn envelope_fields(envelope: &Map) -> ScriptResult<Vec<(EnvelopeKey, Value)>> {
    envelope.iter().map(|(name, value)| Ok((envelope_field(name)?, from_rhai(value)?))).collect()
}

/// The key of an envelope that a rule may set of what it emits.
pub(super) fn envelope_field(name: &str) -> Result<EnvelopeKey, String> {
    match EnvelopeKey::named(name) {
        Some(EnvelopeKey::IngestTimestamp) => {
            Err("events come in order of time; use `out.emit_after` for a later one".to_owned())
        }
        Some(EnvelopeKey::EventType) => {
            Err("the type of an event is the first argument of `emit`".to_owned())
        }
        Some(field) => Ok(field),
        None => {
            let help = did_you_mean(name, EVENT_PROPERTIES)
                .map_or(String::new(), |close| format!("; did you mean `{close}`?"));
            Err(format!("an envelope has no field `{name}`{help}"))
        }
    }
}

/// Teaches an engine what `out` is.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<OutputHandle>("out");
    engine.register_fn("emit", |out: &mut OutputHandle, event_type: &str, payload: Dynamic| {
        out.emit(event_type, &payload, &Map::new())
    });
    engine.register_fn(
        "emit",
        |out: &mut OutputHandle, event_type: &str, payload: Dynamic, envelope: Map| {
            out.emit(event_type, &payload, &envelope)
        },
    );
    engine.register_fn(
        "emit_after",
        |out: &mut OutputHandle, delay: Dynamic, event_type: &str, payload: Dynamic| {
            out.emit_after(&delay, event_type, &payload, &Map::new())
        },
    );
    engine.register_fn(
        "emit_after",
        |out: &mut OutputHandle,
         delay: Dynamic,
         event_type: &str,
         payload: Dynamic,
         envelope: Map| { out.emit_after(&delay, event_type, &payload, &envelope) },
    );
    engine.register_fn("timer", |out: &mut OutputHandle, name: &str, delay: Dynamic| {
        out.timer(name, &delay)
    });
    engine.register_fn("cancel", |out: &mut OutputHandle, name: &str| {
        out.push(Command::Cancel(name.to_owned()))
    });
}
