use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::event::{BatchBuilder, RECEIPT_CREATED, STORE_OPENED, TOTAL, Text, Timestamp};
use crate::kind::Kind;
use crate::monitor::{HookTally, MetricValue};
use crate::spec::Environment;

/// The hooks of a spec, with what their calls come to.
fn hooks(spec: &str, drain_timeout: Duration) -> (Option<ScriptHooks>, HookFigures) {
    let document =
        Document::parse("a.yaml", spec, Path::new("."), &Environment::default()).unwrap();
    let settings = serde_json::from_value(document.value("/hooks")).unwrap();
    let figures = HookFigures::default();
    let hooks = ScriptHooks::start(&document, &settings, &figures, drain_timeout);
    (hooks.unwrap_or_else(|problems| panic!("{problems}")), figures)
}

fn batch(types: &[Key]) -> Batch {
    let mut builder = BatchBuilder::default();
    for event_type in types {
        let mut event = Event::new(*event_type, Text::from("TR_1_00001"), Timestamp::default());
        event.payload.set(TOTAL, 5_i64);
        builder.push(event, &[]);
    }
    builder.finish(Timestamp::MAX)
}

fn tally(figures: &HookFigures, hook: &str) -> (u64, u64, u64) {
    let HookTally { calls, failed, skipped } = figures.tally().remove(hook).unwrap_or_default();
    (calls, failed, skipped)
}

/// What hooks have counted under a name, to the whole.
fn counted(figures: &HookFigures, name: &str) -> Option<i64> {
    match figures.measured().remove(name)?.value {
        MetricValue::Counter { value } | MetricValue::Gauge { value } => Some(value as i64),
        MetricValue::Histogram { .. } => None,
    }
}

#[test]
fn a_spec_without_hooks_starts_none() {
    let (hooks, _) = hooks("hooks: { when_behind: wait }", DRAIN_TIMEOUT);
    assert!(hooks.is_none());
}

#[test]
fn all_that_was_told_is_through_when_the_run_has_ended() {
    let spec = r#"
hooks:
  event_generated: |
    fn event_generated(event) { count("events"); let memory = state(); memory.n = (memory.n ?? 0) + 1; }
  batch_sent: |
    fn batch_sent(events) { count("sent", events.len()); gauge("made_before", state().n); }
  error: |
    fn error(error, context) { count(context.category); if error != "no" { throw error } }
"#;
    let (hooks, figures) = hooks(spec, DRAIN_TIMEOUT);
    let hooks = hooks.unwrap();
    let batch = batch(&[RECEIPT_CREATED, STORE_OPENED]);
    hooks.generated("stores", &batch);
    hooks.delivered("hub", &batch);
    hooks.failed(&incident(batch.events().first(), Fate::Retried));
    hooks.ended();
    assert_eq!(tally(&figures, "event_generated"), (2, 0, 0));
    assert_eq!(tally(&figures, "batch_sent"), (1, 0, 0));
    assert_eq!(tally(&figures, "error"), (1, 0, 0));
    let counts = ["events", "sent", "made_before", "timeout"].map(|name| counted(&figures, name));
    assert_eq!(counts, [2, 2, 2, 1].map(Some));
    hooks.generated("stores", &batch);
    assert_eq!(tally(&figures, "event_generated"), (2, 0, 2), "nothing comes after the end");
}

fn incident(event: Option<&Event>, fate: Fate) -> Incident<'_> {
    let (stage, kind, category, reason) = ("hub", Kind::Sink, "timeout", "no");
    Incident { stage, kind, category, reason, event, fate }
}

#[test]
fn only_events_that_are_asked_for_are_handed_on() {
    let guarded = r#"
hooks:
  when: event.payload.total > 4 && event.event_type in ["receipt_created", "store_closed"]
  event_generated: |
    fn event_generated(event) {
        if event.event_type in ["receipt_created", "store_opened"] { count("events"); }
    }
"#;
    let (hooks, figures) = hooks(guarded, DRAIN_TIMEOUT);
    let hooks = hooks.unwrap();
    assert_eq!(hooks.types.as_deref(), Some([RECEIPT_CREATED].as_slice()));
    hooks.generated("stores", &batch(&[STORE_OPENED, RECEIPT_CREATED, STORE_OPENED]));
    hooks.generated("stores", &batch(&[STORE_OPENED]));
    hooks.ended();
    assert_eq!(tally(&figures, "event_generated"), (1, 0, 0));

    let (hooks, figures) = self::hooks(
        "
hooks:
  when: event.payload.total / 0 > 4
  event_generated: fn event_generated(event) { print(1) }
",
        DRAIN_TIMEOUT,
    );
    let hooks = hooks.unwrap();
    hooks.generated("stores", &batch(&[RECEIPT_CREATED, RECEIPT_CREATED]));
    hooks.ended();
    assert_eq!(tally(&figures, "event_generated"), (2, 2, 0), "a condition that fails is told");
}

const ENDLESS: &str = "
hooks:
  event_generated: fn event_generated(event) { loop { } }
  error: fn error(error, context) { loop { } }
";

#[test]
fn a_run_does_not_wait_for_hooks_that_are_behind_and_what_they_miss_is_counted() {
    let (hooks, figures) = hooks(ENDLESS, Duration::ZERO);
    let hooks = hooks.unwrap();
    let batch = batch(&[RECEIPT_CREATED; 50]);
    for _ in 0..200 {
        hooks.generated("stores", &batch);
    }
    hooks.ended();
    let (calls, failed, skipped) = tally(&figures, "event_generated");
    assert_eq!((calls, calls + skipped), (failed, 10_000), "each call fails, and none is lost");
    assert!(skipped > 5000, "{skipped} were skipped");
}

#[test]
fn a_run_that_waits_for_its_hooks_calls_them_for_everything() {
    let spec = "
hooks:
  when_behind: wait
  event_generated: |
    fn event_generated(event) { for n in 0..2000 { } count(\"events\"); }
  error: |
    fn error(error, context) { count(\"errors\"); }
";
    let (hooks, figures) = hooks(spec, Duration::from_mins(1));
    let hooks = hooks.unwrap();
    let batch = batch(&[RECEIPT_CREATED; 10]);
    for _ in 0..150 {
        hooks.generated("stores", &batch);
    }
    for _ in 0..3000 {
        hooks.failed(&incident(None, Fate::Dropped));
    }
    hooks.ended();
    assert_eq!(tally(&figures, "event_generated"), (1500, 0, 0));
    assert_eq!(tally(&figures, "error"), (3000, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_task_of_a_runtime_may_wait_for_hooks() {
    let spec = "
hooks:
  when_behind: wait
  batch_sent: |
    fn batch_sent(events) { for n in 0..5000 { } count(\"batches\"); }
";
    let (hooks, figures) = hooks(spec, Duration::from_mins(1));
    let hooks = Arc::new(hooks.unwrap());
    let telling = Arc::clone(&hooks);
    let task = tokio::spawn(async move {
        for _ in 0..500 {
            telling.delivered("hub", &batch(&[RECEIPT_CREATED]));
        }
    });
    task.await.unwrap();
    tokio::task::spawn_blocking(move || hooks.ended()).await.unwrap();
    assert_eq!(tally(&figures, "batch_sent"), (500, 0, 0));
}

#[test]
fn whoever_watches_over_a_run_never_waits_for_a_hook() {
    let spec = ENDLESS.replace("hooks:", "hooks:\n  when_behind: wait");
    let (hooks, figures) = hooks(&spec, Duration::ZERO);
    let hooks = hooks.unwrap();
    for _ in 0..5000 {
        hooks.failed(&incident(None, Fate::StageFailed));
    }
    hooks.ended();
    let (calls, _, skipped) = tally(&figures, "error");
    assert!(calls + skipped == 5000 && skipped > 3000, "{calls} and {skipped}");
}

#[test]
fn hooks_of_a_run_that_never_ended_end_with_it() {
    let (hooks, figures) = hooks(ENDLESS, DRAIN_TIMEOUT);
    let hooks = hooks.unwrap();
    hooks.generated("stores", &batch(&[RECEIPT_CREATED; 1000]));
    let queue = Arc::clone(&hooks.queue);
    drop(hooks);
    assert!(queue.wait_for_end(Duration::from_mins(1)));
    let (calls, _, _) = tally(&figures, "event_generated");
    assert!(calls < 1000, "{calls} calls");
}

#[test]
fn secrets_in_an_error_are_masked() {
    let spec = r#"
sinks:
  hub: { with: { connection_string: "Endpoint=sb://x.example/;SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0" } }
hooks:
  error: |
    fn error(error, context) { if error.contains("c2VjcmV0") { count("told"); } count("errors"); }
"#;
    let mut document =
        Document::parse("a.yaml", spec, Path::new("."), &Environment::default()).unwrap();
    document.mark_connection_strings();
    let settings = serde_json::from_value(document.value("/hooks")).unwrap();
    let figures = HookFigures::default();
    let hooks = ScriptHooks::start(&document, &settings, &figures, DRAIN_TIMEOUT).unwrap().unwrap();
    let reason = "refused: Endpoint=sb://x.example/;SharedAccessKeyName=k;SharedAccessKey=c2VjcmV0";
    hooks.failed(&Incident { reason, ..incident(None, Fate::Noted) });
    hooks.ended();
    assert_eq!(counted(&figures, "errors"), Some(1));
    assert_eq!(counted(&figures, "told"), None);
}
