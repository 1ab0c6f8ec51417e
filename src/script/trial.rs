//! Tries a rule out on events of each type, before it is needed, to find what shows only when it
//! runs.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::call::FaultCause;
use super::contract::{known_types, names};
use super::{PayloadFields, Premises};
use crate::event::{Event, Timestamp};
use crate::problem::{Excerpt, Place, Problem, Problems};
use crate::retail::{EventFactory, EventType};

/// On how many events of each type a rule is tried out: a field that may be null is, in some.
const SAMPLES: usize = 4;
/// How much of an event is shown beside what went wrong with it.
const SHOWN_CHARACTERS: usize = 160;

/// What went wrong in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mishap {
    /// In words, without the place.
    pub message: String,
    /// Where in the script.
    pub place: Option<Place>,
    pub(super) cause: FaultCause,
}

/// What a rule does with events of each type that it is for.
pub struct Trial {
    types: Vec<EventType>,
    /// Whether it is known that these types come, and not only that they may.
    is_pinned: bool,
    /// Whether something may be missing because the samples are made up.
    looks_up: bool,
    problems: Vec<Problem>,
    /// Whether a call did not come to an end; others would not either.
    is_endless: bool,
}

impl Trial {
    /// Looks at the fields that a rule reads, and at the types that it is for: those of these names,
    /// or all. What needs a field that another stage adds is not tried out, since no sample has it.
    pub fn new(
        fields: &PayloadFields,
        excerpt: &Excerpt,
        types: Option<&BTreeSet<String>>,
        premises: &Premises<'_>,
    ) -> Self {
        let (is_pinned, problems) = (types.is_some(), fields.check(excerpt, types, premises));
        let types = match types {
            Some(names) => known_types(names).unwrap_or_default(),
            None => EventType::ALL.to_vec(),
        };
        let types = types.into_iter().filter(|known| !fields.needs_more_than(*known)).collect();
        Self { types, is_pinned, looks_up: fields.looks_up(), problems, is_endless: false }
    }

    /// Calls a function with samples, one of each type after the other. A type of which every
    /// sample fails is a warning: real events may differ, but hardly all of them.
    pub fn on_events(
        &mut self,
        function: &str,
        mut call: impl FnMut(&Event) -> Result<(), Mishap>,
    ) {
        let mut mishaps: Vec<Vec<Mishap>> = vec![Vec::new(); self.types.len()];
        for sample in 0..SAMPLES {
            for (place, event_type) in self.types.iter().enumerate() {
                let Err(mishap) = call(&samples(*event_type)[sample]) else { continue };
                if mishap.cause == FaultCause::Endless {
                    self.is_endless = true;
                    self.problems.push(mishap.problem(function, &[*event_type]));
                    return;
                }
                mishaps[place].push(mishap);
            }
        }
        // A field may be missing because of a type that does not come.
        let all_fail = mishaps.iter().all(|mishaps| mishaps.len() == SAMPLES);
        let is_told = |mishap: &Mishap| match mishap.cause {
            FaultCause::Thrown => false,
            FaultCause::Absent => !self.looks_up && (self.is_pinned || all_fail),
            FaultCause::Script | FaultCause::Endless => true,
        };
        let mut told: Vec<(Mishap, Vec<EventType>)> = Vec::new();
        for (event_type, mishaps) in self.types.iter().zip(mishaps) {
            let fails = mishaps.len() == SAMPLES && mishaps.iter().all(is_told);
            let Some(last) = mishaps.last().filter(|_| fails) else { continue };
            match told.iter_mut().find(|(known, _)| known.place == last.place) {
                Some((_, types)) => types.push(*event_type),
                None => told.push((last.clone(), vec![*event_type])),
            }
        }
        let problems = told.into_iter().map(|(mishap, types)| mishap.problem(function, &types));
        self.problems.extend(problems);
    }

    /// Reports a function that belongs to no event, such as one for timers, if none of its calls
    /// has succeeded; `with` is what it was called with.
    pub fn of_calls(&mut self, function: &str, with: &str, calls: Vec<Result<(), Mishap>>) {
        if self.is_endless || calls.iter().any(Result::is_ok) {
            return;
        }
        if let Some(Err(mishap)) = calls.into_iter().next_back()
            && mishap.cause != FaultCause::Thrown
            && !(self.looks_up && mishap.cause == FaultCause::Absent)
        {
            let Mishap { message, place, .. } = mishap;
            let message = format!("`{function}` fails whenever it is tried: {message}");
            let problem = Problem::warning(message).at(place);
            self.problems.push(problem.help(format!("it was called with {with}")));
        }
    }

    /// All that was found.
    pub fn into_problems(self) -> Problems {
        Problems(self.problems)
    }
}

impl Mishap {
    fn problem(self, function: &str, types: &[EventType]) -> Problem {
        let Self { message, place, .. } = self;
        let tried = names(types);
        let message = format!("`{function}` fails on every {tried} it is tried on: {message}");
        let problem = Problem::warning(message).at(place);
        match types.first() {
            Some(first) => {
                problem.help(format!("it was tried on events such as {}", shown(*first)))
            }
            None => problem,
        }
    }
}

/// The payload of a sample, or its beginning.
fn shown(event_type: EventType) -> String {
    let payload = serde_json::to_string(&samples(event_type)[0].payload).unwrap_or_default();
    match payload.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("`{}...`", &payload[..end]),
        None => format!("`{payload}`"),
    }
}

/// Events of all types, as a rule is tried out on them.
pub(super) fn all_samples() -> Vec<Event> {
    EventType::ALL.into_iter().flat_map(samples).cloned().collect()
}

/// Some events of a type.
fn samples(event_type: EventType) -> &'static [Event] {
    /// All of them, by the numbers of the types. They refer to each other, as real ones do.
    static ALL: LazyLock<Vec<Vec<Event>>> = LazyLock::new(|| {
        let factory = EventFactory::builder().stores(3).dcs(1).customers(20).products(20);
        let mut factory = factory.build();
        // 2024-11-29T12:00:00Z
        let noon = Timestamp::from_millis(1_732_881_600_000);
        let mut all = vec![Vec::new(); EventType::COUNT];
        for _ in 0..SAMPLES {
            for event_type in EventType::ALL {
                all[event_type as usize].push(factory.generate_event(event_type, noon));
            }
        }
        all
    });
    &ALL[event_type as usize]
}
