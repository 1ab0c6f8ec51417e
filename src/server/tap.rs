//! A tap: every event that goes through a stage, or those that a condition is true of, a line each.
//! Who is slow misses some, and is told how many; nothing waits for it.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::events::unknown_stage;
use super::recent::Follower;
use super::turns::Turns;
use super::{Run, connections, no_name, refusal};
use crate::event::{Batch, Event, JsonWriter};
use crate::problem::{Excerpt, Problems, SourceText};
use crate::script::Condition;

/// How long a tap may be silent. Then it sends an empty line, which fails where nobody listens any
/// more.
const SILENCE: Duration = Duration::from_secs(5);

/// How many events a condition is asked about in one go, while other taps wait for their turn. It
/// may take some milliseconds over each.
const EVENTS_A_TURN: usize = 8;

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
    /// Says when the run has ended.
    ended: watch::Receiver<bool>,
    /// None while it works, or where it panicked.
    sieve: Option<Sieve>,
    /// Events that were taken, of which the sieve has not seen those from a place on.
    taken: Option<(Batch, usize)>,
    /// When the next line is due, whatever it is.
    due: Instant,
    is_over: bool,
    /// Until the last line is sent.
    _place: connections::Place,
}

/// Finds the events that are wanted.
struct Sieve {
    condition: Option<Condition>,
    /// How many events are still to come; none for no end.
    left: Option<u64>,
    /// Events that the condition failed on.
    failed: u64,
    /// Why it failed on the first of them.
    failure: Option<String>,
    writer: JsonWriter,
}

pub(super) async fn tap(
    State(run): Run,
    stage: Result<Path<String>, PathRejection>,
    asked: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Response> {
    let help = "ask with `where`, a condition such as `event.payload.total > 100.0`, and `limit`";
    let Path(stage) = stage.map_err(|error| no_name(&error))?;
    let Query(wanted) =
        asked.map_err(|error| refusal(StatusCode::BAD_REQUEST, error.body_text(), help))?;
    let found = run.recent.stage(&stage).ok_or_else(|| unknown_stage(&run, &stage))?;
    let condition = wanted.r#where.as_deref().map(condition).transpose().map_err(|problems| {
        refusal(StatusCode::BAD_REQUEST, problems.render(false).trim_end(), help)
    })?;
    let sieve = Sieve::new(condition, wanted.limit);
    let tapped = Tapped::new(found.follow(), sieve, run.ended.subscribe(), connections::stream()?);
    let lines = futures::stream::unfold(tapped, |mut tapped| async move {
        let lines = tapped.next().await;
        lines.map(|lines| (Ok::<_, std::convert::Infallible>(lines), tapped))
    });
    let kind = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((kind, Body::from_stream(lines)).into_response())
}

fn condition(text: &str) -> Result<Condition, Problems> {
    let source = SourceText { name: "where".to_owned(), text: text.to_owned() };
    Condition::compile(&Excerpt::whole(Arc::new(source)))
}

impl Tapped {
    fn new(
        follower: Follower,
        sieve: Sieve,
        ended: watch::Receiver<bool>,
        place: connections::Place,
    ) -> Self {
        Self {
            follower,
            ended,
            is_over: sieve.left == Some(0),
            sieve: Some(sieve),
            taken: None,
            due: Instant::now() + SILENCE,
            _place: place,
        }
    }

    /// The next lines; none when all is told.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.is_over {
            if self.taken.is_none() {
                tokio::select! {
                    biased;
                    batch = self.follower.next() => self.taken = Some((batch, 0)),
                    // Where the sender is gone the run is, too.
                    () = async { drop(self.ended.wait_for(|ended| *ended).await) } => {
                        return self.end(self.follower.skipped_at_end());
                    }
                    () = sleep_until(self.due) => return Some(self.told(Bytes::from_static(b"\n"))),
                }
            }
            self.sift().await;
            let sieve = self.sieve.as_mut()?;
            if sieve.left == Some(0) {
                return self.end(self.follower.skipped());
            }
            if !sieve.writer.as_bytes().is_empty() {
                let lines = sieve.lines();
                return Some(self.told(lines));
            }
            if Instant::now() >= self.due {
                return Some(self.told(Bytes::from_static(b"\n")));
            }
        }
        None
    }

    /// Goes on with what was taken.
    async fn sift(&mut self) {
        static TURNS: Turns = Turns::new();
        let Some((batch, from)) = self.taken.take() else { return };
        let Some(mut sieve) = self.sieve.take() else { return };
        if sieve.condition.is_none() {
            sieve.sift(&batch, 0..batch.len());
            self.sieve = Some(sieve);
            return;
        }
        let end = batch.len().min(from + EVENTS_A_TURN);
        let work = move || {
            sieve.sift(&batch, from..end);
            (sieve, batch)
        };
        if let Ok((sieve, batch)) = TURNS.take(work).await {
            self.sieve = Some(sieve);
            self.taken = (end < batch.len()).then_some((batch, end));
        }
    }

    fn told(&mut self, lines: Bytes) -> Bytes {
        self.due = Instant::now() + SILENCE;
        lines
    }

    /// What was not told yet, and what was missed.
    fn end(&mut self, skipped: u64) -> Option<Bytes> {
        self.is_over = true;
        let sieve = self.sieve.as_mut()?;
        let mut lines = sieve.lines().to_vec();
        if skipped > 0 || sieve.failed > 0 {
            let (failed, failure) = (sieve.failed, sieve.failure.take());
            let missed = Missed { skipped, failed, failure };
            lines.extend_from_slice(format!("{}\n", json!({ "tap": missed })).as_bytes());
        }
        Some(lines.into())
    }
}

impl Sieve {
    fn new(condition: Option<Condition>, limit: Option<u64>) -> Self {
        Self { condition, left: limit, failed: 0, failure: None, writer: JsonWriter::new() }
    }

    /// Writes those events at these places that are wanted.
    fn sift(&mut self, batch: &Batch, places: Range<usize>) {
        for event in &batch.events()[places] {
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

    /// What was written since the last time.
    fn lines(&mut self) -> Bytes {
        let lines = Bytes::copy_from_slice(self.writer.as_bytes());
        self.writer.clear();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{RECEIPT_CREATED, Text, Timestamp};
    use crate::graph::Tap;
    use crate::server::recent::StageRecent;

    fn tapped(stage: &Arc<StageRecent>, expression: &str) -> (Tapped, watch::Sender<bool>) {
        let (ends, ended) = watch::channel(false);
        let condition = condition(expression).unwrap_or_else(|problems| panic!("{problems}"));
        let sieve = Sieve::new(Some(condition), None);
        (Tapped::new(stage.follow(), sieve, ended, connections::stream().unwrap()), ends)
    }

    fn batch(events: usize) -> Batch {
        let event = |n| Event::new(RECEIPT_CREATED, Text::from(format!("T{n}")), Timestamp::MIN);
        Batch::new((0..events).map(event).collect(), Timestamp::MIN, None)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_tap_sends_an_empty_line_every_five_seconds() {
        let stage = StageRecent::for_test();
        let (mut tapped, ends) = tapped(&stage, "event.trace_id == \"T9\"");
        let began = Instant::now();
        assert_eq!(tapped.next().await.unwrap(), "\n");
        assert_eq!(began.elapsed().as_secs(), 5);
        stage.leaves(&batch(20));
        let lines = tapped.next().await.unwrap();
        assert!(lines.starts_with(b"{") && lines.ends_with(b"}\n"), "{lines:?}");
        // Only events that are not wanted are silence, too.
        stage.leaves(&batch(9));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(tapped.next().await.unwrap(), "\n");
        ends.send_replace(true);
        assert_eq!(tapped.next().await.unwrap(), "");
        assert_eq!(tapped.next().await, None);
    }

    #[tokio::test]
    async fn a_condition_sees_every_event_of_a_batch_once() {
        let stage = StageRecent::for_test();
        let (mut tapped, ends) = tapped(&stage, "event.trace_id != \"T3\"");
        stage.leaves(&batch(3 * EVENTS_A_TURN + 1));
        ends.send_replace(true);
        let mut lines = String::new();
        while let Some(more) = tapped.next().await {
            lines.push_str(std::str::from_utf8(&more).unwrap());
        }
        assert_eq!(lines.lines().count(), 3 * EVENTS_A_TURN);
        assert_eq!(lines.matches("\"T4\"").count(), 1);
    }
}
