//! Runs that follow each other: with `state:` each goes on where the one before was.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use event_hubs_peer::Peer;

use super::{HUB, append, hub};
use crate::peer::Peer as Webhook;

const SPEC: &str = r#"
name: reader
state: { path: state/reader, interval: 20ms }
sources:
  hub:
    type: event_hubs
    with: { connection_string: '${HUB}', start: '${START:-earliest}', check_after: 300ms }
sinks:
  hook:
    type: http
    inputs: [hub]
    with: { url: "${URL}" }
    delivery: { retry: { initial_backoff_ms: 2 }, buffer: { max_events: 100 } }
"#;

/// A folder in which runs follow each other.
struct Lives {
    folder: tempfile::TempDir,
    webhook: Webhook,
    hub: Peer,
}

impl Lives {
    fn new(partitions: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p.yaml"), SPEC).unwrap();
        Self { folder, webhook: Webhook::start(), hub: hub(partitions) }
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
        command.args(["run", "p.yaml"]).args(arguments).current_dir(self.folder.path());
        command.env("URL", self.webhook.url()).env("HUB", self.hub.connection_string(HUB));
        let said = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("said.txt"))
            .unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn().unwrap()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("said.txt")).unwrap()
    }

    /// Stops a run, which drains.
    #[track_caller]
    fn stop(&self, mut child: Child) {
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{}", self.said());
    }

    fn wait_for(&self, events: usize) {
        self.webhook.wait_until(|log| log.events.len() >= events);
    }

    /// How often each event came, by its place in the hub; no id is on two events, and no event has
    /// two ids.
    fn came(&self) -> BTreeMap<(u64, u64), usize> {
        self.webhook.look(|log| {
            let mut ids: BTreeMap<(u64, u64), &str> = BTreeMap::new();
            let mut came = BTreeMap::new();
            for event in &log.events {
                let json: serde_json::Value = serde_json::from_str(&event.line).unwrap();
                let number = |name: &str| json["payload"][name].as_u64().unwrap();
                let place = (number("partition"), number("number"));
                assert_eq!(*ids.entry(place).or_insert(&event.trace_id), event.trace_id);
                *came.entry(place).or_default() += 1;
            }
            let distinct: std::collections::BTreeSet<_> = ids.values().collect();
            assert_eq!(distinct.len(), ids.len(), "one id on two events");
            came
        })
    }
}

#[test]
fn a_run_that_was_stopped_is_gone_on_from_exactly() {
    let lives = Lives::new(2);
    for first in [0, 700, 1400] {
        append(&lives.hub, 0, first..first + 700);
        append(&lives.hub, 1, first..first + 700);
        // It has to have brought something itself: before that it may not heed signals yet.
        let so_far = lives.webhook.look(|log| log.events.len());
        let run = lives.start(&[]);
        lives.wait_for(so_far + 1);
        lives.stop(run);
    }
    append(&lives.hub, 1, 2100..2200);
    let run = lives.start(&[]);
    lives.wait_for(4300);
    lives.stop(run);
    let came = lives.came();
    assert_eq!(came.len(), 4300);
    assert!(came.values().all(|count| *count == 1), "each came once");
}

#[test]
fn nothing_that_comes_between_two_runs_is_missed_even_where_nothing_was_read() {
    let lives = Lives::new(2);
    append(&lives.hub, 0, 0..5);
    std::fs::write(lives.folder.path().join("p.yaml"), SPEC.replace("earliest", "latest")).unwrap();
    let run = lives.start(&[]);
    lives.hub.wait_until(|peer| peer.statistics().open.receivers == 2);
    lives.stop(run);
    append(&lives.hub, 0, 5..8);
    append(&lives.hub, 1, 0..3);
    let run = lives.start(&[]);
    lives.wait_for(6);
    lives.stop(run);
    assert_eq!(
        lives.came().into_keys().collect::<Vec<_>>(),
        [(0, 5), (0, 6), (0, 7), (1, 0), (1, 1), (1, 2)]
    );
}

#[test]
fn runs_that_are_killed_lose_nothing_and_repeat_with_the_same_ids() {
    let lives = Lives::new(3);
    for partition in 0..3 {
        append(&lives.hub, partition, 0..4000);
    }
    for life in 0..12 {
        let mut run = lives.start(&["-q"]);
        let so_far = lives.webhook.look(|log| log.events.len());
        lives.wait_for(so_far + 100 + 37 * life);
        run.kill().unwrap();
        run.wait().unwrap();
    }
    let run = lives.start(&[]);
    lives.webhook.wait_until(|log| log.taken().len() >= 12_000);
    lives.stop(run);
    assert_eq!(lives.came().len(), 12_000);
}

#[test]
fn events_that_expired_between_two_runs_are_said_to_be_lost() {
    let lives = Lives::new(1);
    append(&lives.hub, 0, 0..10);
    let run = lives.start(&[]);
    lives.wait_for(10);
    lives.stop(run);
    append(&lives.hub, 0, 10..30);
    lives.hub.expire(HUB, 0, 25);
    let run = lives.start(&[]);
    lives.wait_for(15);
    lives.stop(run);
    let said = lives.said();
    assert!(said.contains("15 events of partition `0` are lost"), "{said}");
}

#[test]
fn a_hub_that_was_made_anew_is_not_taken_for_the_one_of_the_state() {
    let lives = Lives::new(1);
    append(&lives.hub, 0, 0..10);
    let run = lives.start(&[]);
    lives.wait_for(10);
    lives.stop(run);
    let Lives { folder, webhook, hub } = lives;
    let port = hub.port();
    drop(hub);
    let hub = Peer::builder().hub(HUB, 1).port(port).start();
    let lives = Lives { folder, webhook, hub };
    append(&lives.hub, 0, 0..3);
    let code = lives.start(&[]).wait().unwrap().code();
    let said = lives.said();
    assert!(code == Some(1) && said.contains("`--reset-state` begins anew"), "{code:?} {said}");
}
