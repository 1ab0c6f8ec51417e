//! The events that go in: partial ones made whole, inline or from a file.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::event::{Event, JsonReader, Timestamp};
use crate::problem::{Place, Problem, Problems, SourceText, did_you_mean};
use crate::retail::{EventType, description_of, fill_envelope};
use crate::spec::{Document, TestEvent, read_text};

/// Makes events of what is written, one after the other.
pub(super) struct EventReader {
    json: JsonReader,
    now: Timestamp,
    /// The time of the event before, and of the latest.
    before: Timestamp,
    last: Timestamp,
    count: u64,
}

/// An event, or why there is none, and what is hardly meant.
pub(super) struct ReadEvent {
    pub(super) event: Option<Event>,
    pub(super) problems: Problems,
}

impl EventReader {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { json: JsonReader::new(), now, before: now, last: now, count: 0 }
    }

    /// The time of the latest event so far; `now` if there is none.
    pub(super) fn last(&self) -> Timestamp {
        self.last
    }

    /// Makes an event whole. `place_of` finds a key of it, or with an empty key all of it.
    pub(super) fn read(
        &mut self,
        event: &TestEvent,
        place_of: &dyn Fn(&str) -> Option<Place>,
    ) -> ReadEvent {
        let mut problems = misspelt(&event.event_type, &event.payload, place_of);
        let time = match (event.ingest_timestamp, event.after) {
            (Some(_), Some(_)) => {
                let message = "`after` and `ingest_timestamp` both say when it happens";
                problems
                    .push(Problem::error(message).at(place_of("after")).help("keep one of them"));
                self.before
            }
            (Some(time), None) => time,
            (None, Some(after)) => self.now + after.0,
            (None, None) => self.before,
        };
        self.count += 1;
        (self.before, self.last) = (time, self.last.max(time));
        let id = || format!("TR_{}_{:05}", time.as_seconds(), self.count);
        let mut envelope = json!({
            "event_type": event.event_type,
            "payload": event.payload,
            "trace_id": event.trace_id.clone().unwrap_or_else(id),
            "ingest_timestamp": time,
        });
        let texts = [
            ("schema_version", &event.schema_version),
            ("source", &event.source),
            ("correlation_id", &event.correlation_id),
            ("partition_key", &event.partition_key),
            ("session_id", &event.session_id),
            ("parent_event_id", &event.parent_event_id),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                envelope[key] = text.as_str().into();
            }
        }
        let is_whole = event.trace_id.is_some();
        let event = match self.json.event(envelope.to_string().as_bytes()) {
            Ok(mut event) => {
                if !is_whole {
                    fill_envelope(&mut event);
                }
                Some(event)
            }
            Err(error) => {
                let message = format!("it is no event: {}", error.message);
                problems.push(Problem::error(message).at(place_of("")));
                None
            }
        };
        ReadEvent { event: event.filter(|_| !problems.has_errors()), problems }
    }
}

/// Warns of a type, or of a field of it, that is close to one of the contract: types and fields of
/// one's own are fine.
pub(super) fn misspelt(
    name: &str,
    payload: &Map<String, Value>,
    place_of: &dyn Fn(&str) -> Option<Place>,
) -> Problems {
    let mut problems = Problems::default();
    let Ok(event_type) = name.parse::<EventType>() else {
        if let Some(close) = did_you_mean(name, EventType::ALL.map(|known| known.key().as_str())) {
            let problem = Problem::warning(format!("unknown event type `{name}`"));
            let help = format!("did you mean `{close}`?");
            problems.push(problem.at(place_of("event_type")).help(help));
        }
        return problems;
    };
    let fields = || description_of(event_type).fields.iter().map(|field| field.key.as_str());
    for key in payload.keys().filter(|key| !fields().any(|known| known == key.as_str())) {
        // One that is there already was not misspelt.
        let close = did_you_mean(key, fields().filter(|known| !payload.contains_key(*known)));
        if let Some(close) = close {
            let problem = Problem::warning(format!("`{name}` has no field `{key}`"));
            let place = place_of(&format!("payload/{key}"));
            problems.push(problem.at(place).help(format!("did you mean `{close}`?")));
        }
    }
    problems
}

/// The events of a file, each with its place; blank lines are left out.
pub(super) fn read_file(
    document: &Document,
    pointer: &str,
    path: &Path,
) -> Result<Vec<(TestEvent, Place)>, Problems> {
    let path = document.file_beside(pointer, path);
    let name = path.display().to_string();
    let text = read_text(&path).map_err(|reason| {
        Problem::error(format!("cannot read the events of `{name}`: {reason}"))
            .at(document.place(pointer))
            .help("the path is relative to the file that names it")
    })?;
    let source = Arc::new(SourceText { name, text });
    let (mut events, mut problems) = (Vec::new(), Problems::default());
    let mut start = 0;
    for line in source.text.split_inclusive('\n') {
        let span = start..start + line.trim_end().len();
        start += line.len();
        if line.trim().is_empty() {
            continue;
        }
        let place = |span| Place { source: Arc::clone(&source), span };
        match serde_json::from_str::<TestEvent>(line) {
            Ok(event) => events.push((event, place(span))),
            Err(error) => {
                let at = span.start + error.column().saturating_sub(1).min(span.len());
                let message = error.to_string();
                let message = message.split(" at line ").next().unwrap_or_default();
                problems.push(Problem::error(format!("no event: {message}")).at(place(at..at)));
            }
        }
    }
    if problems.is_empty() { Ok(events) } else { Err(problems) }
}
