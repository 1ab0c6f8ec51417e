//! The client of Event Hubs, its sink, and both against a peer on loopback.

mod client;
mod foreign;
mod secrets;
mod sink;
mod sink_faults;
mod sink_outages;

use std::collections::BTreeMap;

use event_hubs_peer::{Peer, Stored};
use serde_json::Value;

use crate::harness::{Ended, Running, Test};

/// The hub of all these tests.
const HUB: &str = "retail-events";

/// A run of a spec with a sink `hub` beside a file sink that has everything.
struct Trial {
    test: Test,
}

impl Trial {
    /// `sink` is what stands under the sink `hub`, indented by four.
    fn new(peer: &Peer, events: u64, sink: &str) -> Self {
        let spec = format!(
            "name: trial\n\
             clock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: {events} }}\n\
             sources: {{ shop: {{ type: retail_mix, with: {{ burst: 50 }} }} }}\n\
             batchers:\n  packed: {{ type: count_or_time, inputs: shop, with: {{ max_batch_size: 100 }} }}\n\
             sinks:\n  all: {{ type: file, inputs: shop, with: {{ path: all.ndjson }} }}\n  hub:\n    \
             type: event_hubs\n    inputs: packed\n{sink}"
        );
        let test = Test::new(&["run", "trial.yaml", "--report", "report.json"])
            .file("trial.yaml", &spec)
            .env("HUB", &peer.connection_string(HUB));
        Self { test }
    }

    fn env(self, name: &str, value: &str) -> Self {
        Self { test: self.test.env(name, value) }
    }

    /// Runs it to its end; `meanwhile` is called while it runs.
    fn run(self, meanwhile: impl FnOnce(&Running)) -> Outcome {
        let (running, _stdout) = self.test.start();
        meanwhile(&running);
        Outcome::of(running.end(String::new()).exits(0))
    }

    fn fails(self) -> Ended {
        let (running, _stdout) = self.test.start();
        running.end(String::new()).exits(1)
    }
}

/// What a run left.
struct Outcome {
    ended: Ended,
    /// The lines of all events, by trace id.
    made: BTreeMap<String, String>,
    /// The trace ids of the dead letters, with their categories.
    dead: BTreeMap<String, String>,
    statistics: Value,
}

impl Outcome {
    fn of(ended: Ended) -> Self {
        let made = ended.read("all.ndjson");
        let made = made.lines().map(|line| (id_of(line), line.to_owned())).collect();
        let letters = std::fs::read_to_string(ended.path("dead_letters/trial.ndjson"));
        let letters = letters.unwrap_or_default();
        let dead = letters.lines().map(|line| {
            let letter: Value = serde_json::from_str(line).unwrap();
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&letter["event"]["trace_id"]), text(&letter["category"]))
        });
        let dead = dead.collect();
        let report: Value = serde_json::from_str(&ended.read("report.json")).unwrap();
        assert_eq!(report["balanced"], true);
        Self { made, dead, statistics: report["statistics"].clone(), ended }
    }

    /// Every event is with the peer as it was made, or a dead letter, and the accounts say so.
    /// How many events the peer holds more than once.
    fn adds_up(&self, peer: &Peer) -> usize {
        let stored = peer.events(HUB);
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        for event in &stored {
            let id = event.message_id.as_deref().unwrap();
            assert_eq!(Some(event.text()), self.made.get(id).map(String::as_str), "changed: {id}");
            *taken.entry(id).or_default() += 1;
        }
        for id in self.made.keys() {
            let places = (taken.contains_key(id.as_str()), self.dead.contains_key(id));
            assert!(places.0 != places.1, "{id} is lost or twofold: {places:?}");
        }
        let hub = self.stage("hub");
        assert_eq!(hub["received"], self.made.len());
        assert_eq!(hub["sent"], taken.len());
        let dead_lettered = hub["dead_lettered"].as_object().unwrap().values();
        assert_eq!(
            dead_lettered.map(|count| count.as_u64().unwrap()).sum::<u64>(),
            self.dead.len() as u64
        );
        assert_eq!(hub["dropped"], serde_json::json!({}));
        stored.len() - taken.len()
    }

    /// Events of one key came in the order in which they were made; dead letters are left out.
    fn keeps_order(&self, peer: &Peer) {
        let mut made = made_by_key(&self.ended.read("all.ndjson"));
        for ids in made.values_mut() {
            ids.retain(|id| !self.dead.contains_key(id));
        }
        made.retain(|_, ids| !ids.is_empty());
        assert_eq!(ids_by_key(&peer.events(HUB)), made);
    }

    fn stage(&self, name: &str) -> &Value {
        let stages = self.statistics["stages"].as_array().unwrap();
        stages.iter().find(|stage| stage["stage"] == name).unwrap()
    }

    fn figure(&self, name: &str) -> u64 {
        self.statistics[name].as_u64().unwrap_or_else(|| panic!("no {name}"))
    }
}

fn id_of(line: &str) -> String {
    let event: Value = serde_json::from_str(line).unwrap();
    event["trace_id"].as_str().unwrap().to_owned()
}

/// The ids of events by partition key, each in the order of the partition; an event that came more
/// than once counts where it came first.
fn ids_by_key(events: &[Stored]) -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut met = std::collections::HashSet::new();
    for event in events {
        let id = event.message_id.clone().unwrap();
        if met.insert(id.clone()) {
            keys.entry(event.key.clone().unwrap_or_default()).or_default().push(id);
        }
    }
    keys
}

/// The same of what was made, in the order it was made.
fn made_by_key(lines: &str) -> BTreeMap<String, Vec<String>> {
    let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let key = event["partition_key"].as_str().unwrap_or_default().to_owned();
        keys.entry(key).or_default().push(event["trace_id"].as_str().unwrap().to_owned());
    }
    keys
}
