//! Events for whoever looks: samples as they come, recent ones by type or id, and what an event
//! came from and led to.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response, sse};
use futures::StreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use tokio_stream::wrappers::IntervalStream;

use super::turns::Turns;
use super::{Run, Served, connections, no_name, refusal, server_sent};
use crate::event::{Event, Text};
use crate::problem::did_you_mean;

/// How often a stream looks for new events.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How many events a stream gives in a second where it is not told.
const STREAMED: usize = 20;
/// The same at most.
const STREAMED_MAX: usize = 2000;
/// How many recent events are shown where it is not told.
const SHOWN: usize = 100;
/// The same at most.
const SHOWN_MAX: usize = 1000;
/// How many causes back a chain goes, and how many children and relatives it has at most.
const CHAIN_MAX: usize = 100;

/// An event, and where and when it was seen.
#[derive(Clone)]
struct Seen<'a> {
    stage: &'a str,
    at: i64,
    event: &'a Event,
}

/// The same as it is shown.
#[derive(Clone, JsonSchema, Serialize)]
#[schemars(rename = "Seen")]
pub(super) struct Shown {
    stage: String,
    /// In milliseconds since 1970.
    seen: i64,
    /// The event: ten keys round a payload.
    #[serde(serialize_with = "as_json")]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    event: String,
}

fn as_json<S: Serializer>(json: &str, serializer: S) -> Result<S::Ok, S::Error> {
    // The engine's own writer made it.
    match serde_json::from_str::<&RawValue>(json) {
        Ok(json) => json.serialize(serializer),
        Err(error) => Err(serde::ser::Error::custom(error)),
    }
}

impl Seen<'_> {
    fn shown(&self) -> Shown {
        Shown { stage: self.stage.to_owned(), seen: self.at, event: self.event.to_json() }
    }
}

/// Which events are asked for.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    stage: Option<String>,
    event_type: Option<String>,
    trace_id: Option<String>,
    text: Option<String>,
    limit: Option<usize>,
}

impl Wanted {
    fn fits(&self, event: &Event) -> bool {
        self.event_type.as_ref().is_none_or(|wanted| event.event_type.as_str() == wanted)
            && self.trace_id.as_ref().is_none_or(|wanted| event.trace_id == wanted.as_str())
            && self.text.as_ref().is_none_or(|text| event.to_json().contains(text.as_str()))
    }
}

type Asked = Result<Query<Wanted>, QueryRejection>;

/// What is asked for, or what is wrong with it.
#[expect(clippy::result_large_err, reason = "it is an answer, and sent as it is")]
fn wanted(run: &Served, asked: Asked) -> Result<Wanted, Response> {
    let help = "ask with `stage`, `event_type`, `trace_id`, `text` and `limit`";
    let Query(wanted) =
        asked.map_err(|error| refusal(StatusCode::BAD_REQUEST, error.body_text(), help))?;
    match &wanted.stage {
        Some(stage) if run.recent.stage(stage).is_none() => Err(unknown_stage(run, stage)),
        _ => Ok(wanted),
    }
}

/// There is no such stage.
pub(super) fn unknown_stage(run: &Served, stage: &str) -> Response {
    let names: Vec<&str> = run.recent.stages().iter().map(|it| it.stage.as_str()).collect();
    let help = match did_you_mean(stage, names.iter().copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    refusal(StatusCode::NOT_FOUND, format!("no stage is called `{stage}`"), help)
}

/// Samples as they come. Who is slow gets fewer, and nothing waits for it.
pub(super) async fn stream(State(run): Run, asked: Asked) -> Result<impl IntoResponse, Response> {
    let wanted = wanted(&run, asked)?;
    let place = connections::stream()?;
    let a_second = wanted.limit.unwrap_or(STREAMED).min(STREAMED_MAX);
    let looks = Duration::from_secs(1).div_duration_f64(LOOK_INTERVAL) as usize;
    let at_a_time = a_second.div_ceil(looks);
    let ended = run.ended.subscribe();
    let newest = run.recent.stages().iter().map(|stage| stage.newest()).collect();
    let look = Arc::new(Mutex::new(Look { run, wanted, at_a_time, newest }));
    let events = IntervalStream::new(tokio::time::interval(LOOK_INTERVAL)).then(move |_| {
        static TURNS: Turns = Turns::new();
        let look = Arc::clone(&look);
        let work = move || look.lock().unwrap_or_else(PoisonError::into_inner).new_events();
        async move { futures::stream::iter(TURNS.take(work).await.unwrap_or_default()) }
    });
    let events = events.flatten();
    Ok(server_sent(events, futures::stream::empty(), ended, place))
}

/// How far a stream has looked.
struct Look {
    run: Arc<Served>,
    wanted: Wanted,
    at_a_time: usize,
    /// The number of the newest batch of each stage.
    newest: Vec<u64>,
}

impl Look {
    /// Of those since the last look, the newest that fit.
    fn new_events(&mut self) -> Vec<sse::Event> {
        let Self { run, wanted, at_a_time, newest } = self;
        let mut found = Vec::new();
        for (stage, newest) in run.recent.stages().iter().zip(newest) {
            if wanted.stage.as_ref().is_some_and(|wanted| *wanted != stage.stage) {
                continue;
            }
            let batches = stage.after(*newest);
            if let Some(last) = batches.last() {
                *newest = last.number;
            }
            for batch in &batches {
                let fitting = batch.events().iter().filter(|event| wanted.fits(event));
                let seen = |event| Seen { stage: &stage.stage, at: batch.at, event }.shown();
                found.extend(fitting.take(*at_a_time).map(seen));
            }
        }
        // The newest of all stages are of most interest.
        found.sort_by_key(|shown| shown.seen);
        found.drain(..found.len().saturating_sub(*at_a_time));
        let told = |shown| Some(sse::Event::default().data(serde_json::to_string(&shown).ok()?));
        found.into_iter().filter_map(told).collect()
    }
}

/// What is still held of what went through, the newest first.
pub(super) async fn recent(State(run): Run, asked: Asked) -> Result<Json<Recent>, Response> {
    static TURNS: Turns = Turns::new();
    let wanted = wanted(&run, asked)?;
    TURNS.take(move || Json(found(&run, &wanted))).await
}

fn found(run: &Served, wanted: &Wanted) -> Recent {
    let limit = wanted.limit.unwrap_or(SHOWN).min(SHOWN_MAX);
    let (mut found, mut kept, mut of) = (Vec::new(), 0, 0);
    for stage in run.recent.stages() {
        if wanted.stage.as_ref().is_some_and(|wanted| *wanted != stage.stage) {
            continue;
        }
        let counts = stage.counts();
        (kept, of) = (kept + counts.0, of + counts.1);
        let mut of_stage = Vec::new();
        for batch in stage.after(0).iter().rev() {
            let fitting = batch.events().iter().rev().filter(|event| wanted.fits(event));
            let seen = |event| Seen { stage: &stage.stage, at: batch.at, event }.shown();
            of_stage.extend(fitting.take(limit - of_stage.len()).map(seen));
            if of_stage.len() == limit {
                break;
            }
        }
        found.append(&mut of_stage);
    }
    found.sort_by_key(|shown| std::cmp::Reverse(shown.seen));
    found.truncate(limit);
    Recent { events: found, kept, of }
}

/// Events that went through lately.
#[derive(JsonSchema, Serialize)]
pub(super) struct Recent {
    /// The newest first.
    events: Vec<Shown>,
    /// How many are held, of the stages that were asked for.
    kept: usize,
    /// How many went through them.
    of: u64,
}

/// What an event came from and led to.
#[derive(JsonSchema, Serialize)]
pub(super) struct Chain {
    trace_id: String,
    event: Option<Shown>,
    /// The nearest first.
    parents: Vec<Shown>,
    children: Vec<Shown>,
    /// Others with the same `correlation_id`.
    correlated: Vec<Shown>,
    /// Where it was seen, in the order of the flow.
    stages: Vec<String>,
}

/// The chain of an event, as far as it is held: what happened before anybody looks is sampled.
pub(super) async fn chain(
    State(run): Run,
    trace_id: Result<Path<String>, PathRejection>,
) -> Result<(StatusCode, Json<Chain>), Response> {
    static TURNS: Turns = Turns::new();
    let Path(trace_id) = trace_id.map_err(|error| no_name(&error))?;
    let chain = TURNS.take(move || chain_of(&run, trace_id)).await?;
    let is_known = chain.event.is_some() || !chain.children.is_empty();
    let status = if is_known { StatusCode::OK } else { StatusCode::NOT_FOUND };
    Ok((status, Json(chain)))
}

fn chain_of(run: &Served, trace_id: String) -> Chain {
    let stages: Vec<_> = run.recent.stages().iter().map(|it| (it, it.after(0))).collect();
    // An event is seen at several stages; the last of them shows it as it became.
    let mut by_id: HashMap<&Text, Seen<'_>> = HashMap::new();
    for (stage, batches) in &stages {
        for batch in batches {
            for event in batch.events() {
                let seen = Seen { stage: &stage.stage, at: batch.at, event };
                by_id.insert(&event.trace_id, seen);
            }
        }
    }
    let id = Text::from(trace_id.as_str());
    let event = by_id.get(&id).cloned();
    let mut parents = Vec::new();
    let mut met = HashSet::from([id.clone()]);
    let mut cause = event.as_ref().and_then(|seen| seen.event.parent_event_id.clone());
    while let Some(parent) = cause.as_ref().and_then(|cause| by_id.get(cause)) {
        if parents.len() == CHAIN_MAX || !met.insert(parent.event.trace_id.clone()) {
            break;
        }
        parents.push(parent.clone());
        cause = parent.event.parent_event_id.clone();
    }
    let mut children: Vec<_> =
        by_id.values().filter(|it| it.event.parent_event_id.as_ref() == Some(&id)).collect();
    let correlation = event.as_ref().and_then(|seen| seen.event.correlation_id.as_ref());
    let is_relative = |it: &&Seen<'_>| {
        correlation.is_some()
            && it.event.correlation_id.as_ref() == correlation
            && it.event.trace_id != id
    };
    let mut correlated: Vec<_> = by_id.values().filter(is_relative).collect();
    for some in [&mut children, &mut correlated] {
        some.sort_by_key(|seen| (seen.event.time, seen.event.trace_id.to_string()));
        some.truncate(CHAIN_MAX);
    }
    let holds = |batches: &[super::recent::KeptBatch]| {
        batches.iter().any(|batch| batch.events().iter().any(|event| event.trace_id == id))
    };
    Chain {
        event: event.as_ref().map(Seen::shown),
        parents: parents.iter().map(Seen::shown).collect(),
        children: children.into_iter().map(Seen::shown).collect(),
        correlated: correlated.into_iter().map(Seen::shown).collect(),
        stages: stages
            .iter()
            .filter(|(_, batches)| holds(batches))
            .map(|(stage, _)| stage.stage.clone())
            .collect(),
        trace_id,
    }
}
