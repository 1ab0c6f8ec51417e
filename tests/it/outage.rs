//! A receiver that is not there when a run is stopped: what is left is kept, and the run says so.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use engine::component::{BuildContext, Component, Kind, Settings};
use engine::control::Control;
use engine::engine::Engine;
use engine::event::Batch;
use engine::problem::Problems;
use engine::registry::built_in;
use engine::runtime::{Ending, Report};
use engine::spec::{Document, Environment};
use engine::stage::{Outcome, Refusal, Sink, Stage};
use schemars::JsonSchema;
use serde::Deserialize;

/// Takes events, or is away.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Hub {
    /// Whether it is there.
    is_up: bool,
}

impl Settings for Hub {
    const NAME: &'static str = "hub";
    const KIND: Kind = Kind::Sink;
    const EXAMPLE: &'static str = "is_up: true";

    fn build(self, _: &BuildContext<'_>) -> Result<Stage, Problems> {
        Ok(Stage::Sink(Box::new(self)))
    }
}

#[async_trait]
impl Sink for Hub {
    async fn write(&self, _: &Batch) -> Outcome {
        if self.is_up {
            return Outcome::Delivered;
        }
        Outcome::Refused(Refusal::transient("connection", "no route"))
    }

    fn wants_batches(&self) -> bool {
        true
    }
}

/// Runs a thousand events into a hub, and stops after an hour if it has not ended by then.
async fn run(folder: &Path, buffer: &str, is_up: bool, events: u32) -> Report {
    let spec = r#"
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: {events} }
sources: { stores: { type: retail_mix } }
sinks:
  hub:
    type: hub
    inputs: [stores]
    with: { is_up: {is_up} }
    delivery: { buffer: { {buffer} } }
dead_letter: { path: "{out}/dead.ndjson" }
"#;
    let spec = spec
        .replace("{events}", &events.to_string())
        .replace("{is_up}", &is_up.to_string())
        .replace("{buffer}", buffer)
        .replace("{out}", folder.to_str().unwrap());
    let document =
        Document::parse("test.yaml", spec, Path::new("."), &Environment::default()).unwrap();
    let components = [built_in(), vec![Component::of::<Hub>()]].concat();
    let engine = Engine::new(document, &components)
        .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    let control = Control::new();
    let stop = async {
        tokio::time::sleep(Duration::from_hours(1)).await;
        control.stop();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        report = engine.run(control.clone()) => report.unwrap(),
        () = stop => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_disk_buffer_keeps_makes_a_stopped_run_no_failure_and_the_next_one_sends_it() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = format!("type: disk, path: \"{}\"", folder.path().join("buffer").display());
    let report = run(folder.path(), &buffer, false, 1000).await;
    assert_eq!((report.ending, report.errors.len()), (Ending::Stopped, 0), "{:?}", report.errors);
    let statistics = &report.statistics;
    assert!(report.balanced, "{statistics:#?}");
    assert!(statistics.elapsed_seconds > 3600.0, "a run that ends by itself waits");
    assert_eq!((statistics.events_failed, statistics.events_sent_successfully), (0, 0));
    assert_eq!((statistics.stages[1].buffered, statistics.buffer_size), (1000, 1000));
    assert!(statistics.connection_failures > 5 && statistics.circuit_breaker_trips > 1);

    let report = run(folder.path(), &buffer, true, 500).await;
    assert_eq!(report.ending, Ending::Finished, "{:?}", report.errors);
    assert!(report.balanced, "{:#?}", report.statistics);
    assert_eq!(report.statistics.events_sent_successfully, 1500);
    assert_eq!(report.statistics.stages[1].recovered, 1000);
}

#[tokio::test(start_paused = true)]
async fn what_memory_held_becomes_dead_letters_and_the_run_says_that_it_was_not_drained() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(folder.path(), "type: memory", false, 1000).await;
    assert_eq!(report.ending, Ending::Aborted);
    assert_eq!(report.errors, ["not drained within 30 s: 1000 events were not sent"]);
    assert!(report.balanced && !report.is_success(), "{:#?}", report.statistics);
    assert_eq!(report.statistics.stages[1].dead_lettered["undelivered"], 1000);
    let letters = std::fs::read_to_string(folder.path().join("dead.ndjson")).unwrap();
    assert_eq!(letters.lines().count(), 1000);
}
