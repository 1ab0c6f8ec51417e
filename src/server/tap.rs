//! A tap: every event that goes through a stage, or those that a condition is true of, a line each.
//! Who is slow misses some, and is told how many; nothing waits for it.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::events::unknown_stage;
use super::recent::Follower;
use super::{Run, connections, refusal};
use crate::event::{Batch, Event, JsonWriter};
use crate::problem::{Excerpt, Problems, SourceText};
use crate::script::Condition;

/// Which events are wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// A condition over `event`, as in `when:`.
    r#where: Option<String>,
    /// After how many events the tap ends.
    limit: Option<u64>,
}

/// What a tap did not show.
#[derive(Serialize)]
struct Missed {
    /// Events that went by faster than they were read.
    skipped: u64,
    /// Events that the condition failed on.
    failed: u64,
    /// Why it failed on the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

/// What is being told to one who listens.
struct Tapped {
    follower: Follower,
    condition: Option<Condition>,
    /// How many events are still to come; none for no end.
    left: Option<u64>,
    /// Events that the condition failed on.
    failed: u64,
    /// Why it failed on the first of them.
    failure: Option<String>,
    is_over: bool,
    writer: JsonWriter,
    /// Until the last line is sent.
    _place: connections::Place,
}

pub(super) async fn tap(
    State(run): Run,
    Path(stage): Path<String>,
    asked: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Response> {
    let help = "ask with `where`, a condition such as `event.payload.total > 100.0`, and `limit`";
    let Query(wanted) =
        asked.map_err(|error| refusal(StatusCode::BAD_REQUEST, error.body_text(), help))?;
    let found = run.recent.stage(&stage).ok_or_else(|| unknown_stage(&run, &stage))?;
    let condition = wanted.r#where.as_deref().map(condition).transpose().map_err(|problems| {
        refusal(StatusCode::BAD_REQUEST, problems.render(false).trim_end(), help)
    })?;
    let tapped = Tapped {
        follower: found.follow(),
        condition,
        left: wanted.limit,
        failed: 0,
        failure: None,
        is_over: wanted.limit == Some(0),
        writer: JsonWriter::new(),
        _place: connections::stream()?,
    };
    let ended = run.ended.subscribe();
    let lines = futures::stream::unfold((tapped, ended), |(mut tapped, mut ended)| async move {
        let lines = tokio::select! {
            biased;
            lines = tapped.next() => lines,
            // Where the sender is gone the run is, too.
            _ = ended.wait_for(|ended| *ended) => {
                let skipped = tapped.follower.skipped_at_end();
                tapped.end(skipped)
            }
        };
        lines.map(|lines| (Ok::<_, std::convert::Infallible>(lines), (tapped, ended)))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

fn condition(text: &str) -> Result<Condition, Problems> {
    let source = SourceText { name: "where".to_owned(), text: text.to_owned() };
    Condition::compile(&Excerpt::whole(Arc::new(source)))
}

impl Tapped {
    /// The next lines; none when all is told.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over {
            let batch = self.follower.next().await;
            self.write(&batch);
            if self.left == Some(0) {
                return self.end(self.follower.skipped());
            }
            if !self.writer.as_bytes().is_empty() {
                return Some(self.taken());
            }
        }
        None
    }

    fn write(&mut self, batch: &Batch) {
        for event in batch.events() {
            if self.left == Some(0) {
                return;
            }
            if self.is_wanted(event) {
                self.writer.line(event);
                self.left = self.left.map(|left| left - 1);
            }
        }
    }

    fn is_wanted(&mut self, event: &Event) -> bool {
        let Some(condition) = &mut self.condition else { return true };
        if condition.types().is_some_and(|types| !types.contains(&event.event_type)) {
            return false;
        }
        // A condition has its event in its hands, and others have this one, too.
        match condition.is_true_of(&mut event.clone()) {
            Ok(is_true) => is_true,
            Err(failure) => {
                self.failed += 1;
                self.failure.get_or_insert(failure.reason);
                false
            }
        }
    }

    /// What was not told yet, and what was missed.
    fn end(&mut self, skipped: u64) -> Option<Bytes> {
        if std::mem::replace(&mut self.is_over, true) {
            return None;
        }
        let mut lines = self.taken().to_vec();
        if skipped > 0 || self.failed > 0 {
            let missed = Missed { skipped, failed: self.failed, failure: self.failure.take() };
            lines.extend_from_slice(format!("{}\n", json!({ "tap": missed })).as_bytes());
        }
        Some(lines.into())
    }

    fn taken(&mut self) -> Bytes {
        let lines = Bytes::copy_from_slice(self.writer.as_bytes());
        self.writer.clear();
        lines
    }
}
