//! What can be asked of a run: one table, from which both the routes and their description in
//! `OpenAPI` are made, so that neither has what the other has not.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::routing::{MethodRouter, get, post};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::failures::Shown as Failures;
use super::views::{Graph, Live, RunState};
use super::{Alive, Past, Ready, Refused, Run, Served, control, events, metrics, tap};
use crate::monitor::{Health, Statistics};

/// Something that can be asked or done.
pub(super) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) handler: MethodRouter<Arc<Served>>,
    /// Whether it changes something, so that it needs the token.
    changes: bool,
    summary: &'static str,
    /// What can be asked for, and what that means.
    asks: &'static [(&'static str, &'static str)],
    answer: Answer,
    /// Further answers, and when they are given.
    others: &'static [(u16, &'static str)],
}

/// What an answer is.
enum Answer {
    /// JSON of this shape.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Server-sent events, each with JSON of this shape.
    Events(fn(&mut SchemaGenerator) -> Schema),
    /// Text of this media type.
    Text(&'static str),
}

fn json_of<T: JsonSchema>() -> Answer {
    Answer::Json(SchemaGenerator::subschema_for::<T>)
}

fn events_of<T: JsonSchema>() -> Answer {
    Answer::Events(SchemaGenerator::subschema_for::<T>)
}

const UNWELL: (u16, &str) = (503, "not so, and why");
const WRONG: (u16, &str) = (400, "what is asked for is wrong");
const UNKNOWN: (u16, &str) = (404, "there is none, or none that is held");
const CONFLICT: (u16, &str) = (409, "it does not apply to this run");

/// What a path has for an event's id.
const TRACE_ID: (&str, &str) = ("trace_id", "the event's `trace_id`");
const STAGE: (&str, &str) = ("stage", "a stage's name in the spec");
const EVENT_TYPE: (&str, &str) = ("event_type", "events of this type only");

impl Endpoint {
    fn look(
        path: &'static str,
        handler: MethodRouter<Arc<Served>>,
        summary: &'static str,
        answer: Answer,
    ) -> Self {
        Self { path, handler, changes: false, summary, asks: &[], answer, others: &[] }
    }

    fn change(
        path: &'static str,
        handler: MethodRouter<Arc<Served>>,
        summary: &'static str,
    ) -> Self {
        let others = &[CONFLICT];
        Self { changes: true, others, ..Self::look(path, handler, summary, json_of::<RunState>()) }
    }

    fn asks(self, asks: &'static [(&'static str, &'static str)]) -> Self {
        Self { asks, ..self }
    }

    fn or(self, others: &'static [(u16, &'static str)]) -> Self {
        Self { others, ..self }
    }
}

/// All of them.
pub(super) fn all() -> Vec<Endpoint> {
    let look = Endpoint::look;
    let change = Endpoint::change;
    vec![
        look("/live", get(super::live), "Whether the process answers", json_of::<Alive>()),
        look(
            "/ready",
            get(super::ready),
            "Whether every sink is connected, and the run does not drain",
            json_of::<Ready>(),
        )
        .or(&[UNWELL]),
        look("/health", get(super::health), "Whether every component is well", json_of::<Health>())
            .or(&[UNWELL]),
        look("/stats", get(super::statistics), "All figures of the run", json_of::<Statistics>()),
        look("/state", get(super::state), "How far the run is", json_of::<RunState>()),
        look("/graph", get(super::graph), "The stages and what they read", json_of::<Graph>()),
        look(
            "/history",
            get(super::history),
            "The last quarter of an hour, a sample a second",
            json_of::<Past>(),
        ),
        look(
            "/stream",
            get(super::stream),
            "`stats` once a second, and `end` when the run has ended",
            events_of::<Live>(),
        ),
        look(
            "/events",
            get(events::stream),
            "Samples of the events that go through the stages",
            events_of::<events::Shown>(),
        )
        .asks(&[STAGE, EVENT_TYPE, ("text", "a text in its JSON"), ("limit", "events a second")])
        .or(&[WRONG, UNKNOWN, UNWELL]),
        look(
            "/recent",
            get(events::recent),
            "Events that went through lately, the newest first",
            json_of::<events::Recent>(),
        )
        .asks(&[
            STAGE,
            EVENT_TYPE,
            TRACE_ID,
            ("text", "a text in its JSON"),
            ("limit", "how many at most"),
        ])
        .or(&[WRONG, UNKNOWN]),
        look(
            "/chain/{trace_id}",
            get(events::chain),
            "What an event came from and led to",
            json_of::<events::Chain>(),
        )
        .asks(&[TRACE_ID])
        .or(&[UNKNOWN]),
        look("/failures", get(super::failures), "The last failures", json_of::<Failures>()),
        look(
            "/metrics",
            get(metrics::metrics),
            "All figures of the run, for Prometheus",
            Answer::Text(metrics::CONTENT_TYPE),
        ),
        look(
            "/tap/{stage}",
            get(tap::tap),
            "Every event that leaves a stage, or enters a sink, a line each",
            Answer::Text("application/x-ndjson"),
        )
        .asks(&[STAGE, ("where", "a condition over `event`"), ("limit", "how many events")])
        .or(&[WRONG, UNKNOWN, UNWELL]),
        change("/pause", post(control::pause), "Have event time and the sources stand still"),
        change("/resume", post(control::resume), "Go on after a pause"),
        change("/stop", post(control::stop), "Stop the sources, and drain"),
        change("/speed", post(control::speed), "Have event time go faster or slower")
            .asks(&[("speed", "seconds of event time in a second of wall time, above 0")])
            .or(&[WRONG, CONFLICT]),
        look(
            "/openapi.json",
            get(async |State(_): Run| Json(openapi())),
            "This description",
            json_of::<Map<String, Value>>(),
        ),
    ]
}

/// All of it in `OpenAPI` 3.1.
fn openapi() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let settings = settings.with(|it| it.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let refused = generator.subschema_for::<Refused>();
    let mut paths = Map::new();
    for endpoint in all() {
        let method = if endpoint.changes { "post" } else { "get" };
        let operation = operation(&endpoint, &refused, &mut generator);
        paths.insert(endpoint.path.to_owned(), json!({ method: operation }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "engine",
            "description": "What is seen of a run, and done to it, while it goes on.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(endpoint: &Endpoint, refused: &Schema, generator: &mut SchemaGenerator) -> Value {
    let content = |kind: &str, schema: Value| json!({ kind: { "schema": schema } });
    let answer = match endpoint.answer {
        Answer::Json(shape) => content("application/json", shape(generator).to_value()),
        Answer::Events(shape) => content("text/event-stream", shape(generator).to_value()),
        Answer::Text(kind) => content(kind, json!({ "type": "string" })),
    };
    let refused = content("application/json", refused.clone().to_value());
    let success = if endpoint.changes { "202" } else { "200" };
    let mut responses = Map::new();
    responses.insert(success.to_owned(), json!({ "description": "as asked", "content": answer }));
    let guards: &[(u16, &str)] = if endpoint.changes {
        &[(401, "the token is missing or wrong"), (403, "no token is set up")]
    } else {
        &[]
    };
    for (status, when) in endpoint.others.iter().chain(guards) {
        let is_same_shape = *status == UNWELL.0 && matches!(endpoint.answer, Answer::Json(_))
            || *status == UNKNOWN.0 && endpoint.path.starts_with("/chain");
        let content = if is_same_shape { &answer } else { &refused };
        responses.insert(status.to_string(), json!({ "description": when, "content": content }));
    }
    let mut operation = json!({ "summary": endpoint.summary, "responses": responses });
    if endpoint.changes {
        operation["security"] = json!([{ "token": [] }]);
        if !endpoint.asks.is_empty() {
            let named = |(name, meaning): &(&str, &str)| {
                ((*name).to_owned(), json!({ "type": "number", "description": meaning }))
            };
            let fields: Map<String, Value> = endpoint.asks.iter().map(named).collect();
            let body = json!({ "type": "object", "properties": fields });
            operation["requestBody"] =
                json!({ "required": true, "content": content("application/json", body) });
        }
    } else if !endpoint.asks.is_empty() {
        let parameter = |(name, meaning): &(&str, &str)| {
            let is_in_path = endpoint.path.contains(&format!("{{{name}}}"));
            json!({
                "name": name,
                "in": if is_in_path { "path" } else { "query" },
                "required": is_in_path,
                "description": meaning,
                "schema": { "type": if *name == "limit" { "integer" } else { "string" } },
            })
        };
        operation["parameters"] = endpoint.asks.iter().map(parameter).collect();
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_whole_and_refers_only_to_what_is_in_it() {
        let api = openapi();
        assert_eq!(api["paths"].as_object().unwrap().len(), all().len());
        let text = api.to_string();
        let mut references = 0;
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(api.pointer(pointer).is_some(), "{pointer}");
            references += 1;
        }
        assert!(references > 20, "{references}");
        for (path, methods) in api["paths"].as_object().unwrap() {
            let changes = methods.get("post").is_some();
            assert_eq!(methods.pointer("/post/security").is_some(), changes, "{path}");
        }
    }
}
