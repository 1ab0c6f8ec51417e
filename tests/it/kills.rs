//! The engine is killed without warning, again and again, at moments that a seed draws: what the
//! peer got at the end is everything, the same ids on the same events, and hardly anything twice.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use engine::event::Timestamp;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;

use crate::peer::{Log, Peer};

/// How often the engine is killed.
const KILLS: usize = 50;
/// The events of a pipeline, more than all lives before the last can send.
const EVENTS: usize = 30_000;
/// How many events may be sent again beyond those that the peer had and the snapshot had not: of
/// requests of fifty, one that was on its way at the kill, and five that the peer took within the
/// 5 ms in which the cursor of a buffer on disk is written; and what such a buffer holds for the
/// next life, which may be repeats already.
const UNNOTED_MAX: usize = 6 * 50 + BUFFERED_MAX;
/// How many events are on their way at most: the buffer, and what stands before it.
const BUFFERED_MAX: usize = 300;

const HOOK: &str = r#"
batchers: { fifties: { type: count_or_time, inputs: shop, with: { max_batch_size: 50 } } }
sinks:
  hook:
    type: http
    inputs: fifties
    with: { url: "${URL}" }
    delivery:
      retry: { initial_backoff_ms: 2 }
"#;

fn engine(folder: &Path, url: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
    let said = File::options().create(true).append(true).open(folder.join("said.txt")).unwrap();
    command.args(["run", "p.yaml", "-q"]).current_dir(folder).env("URL", url);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
    command
}

/// What the lives of a pipeline came to.
struct Lives {
    /// How often the peer took each event.
    taken: BTreeMap<String, usize>,
    /// The envelopes that the peer took.
    lines: BTreeMap<String, String>,
    /// How many events the lives could send a second time, over all of them: what was with the
    /// peer beyond the snapshot when the life before was killed, and what nobody had noted
    /// then; but no life repeats more than it sent.
    in_doubt: usize,
}

/// Runs the pipeline in `folder`, kills it at moments that follow from the seed, and lets it end.
/// `settled` says which events a snapshot covers: after it they are not made again.
fn live_and_die(folder: &Path, seed: u64, settled: impl Fn(&Log) -> usize) -> Lives {
    let peer = Peer::start();
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut in_doubt, mut repeatable, mut sent) = (0, 0, 0);
    for life in 0..KILLS {
        let mut child = engine(folder, &peer.url()).spawn().unwrap();
        let so_far = peer.look(|log| log.requests.len());
        let wanted = so_far + random.random_range(0..12);
        peer.wait_until(|log| log.requests.len() >= wanted);
        kill(&mut child, folder, life);
        let (all, taken) = peer.look(|log| (log.events.len(), log.taken().len()));
        in_doubt += (all - sent).min(repeatable);
        sent = all;
        repeatable = taken.saturating_sub(peer.look(&settled)) + UNNOTED_MAX;
    }
    let ended = engine(folder, &peer.url()).status().unwrap();
    let said = std::fs::read_to_string(folder.join("said.txt")).unwrap();
    assert!(ended.success(), "the last life failed: {said}");
    in_doubt += peer.look(|log| log.events.len() - sent).min(repeatable);
    peer.look(|log| {
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        for event in &log.events {
            let line = lines.entry(event.trace_id.clone()).or_insert_with(|| event.line.clone());
            assert_eq!(*line, event.line, "one id on two events");
        }
        let taken = log.taken().into_iter().map(|(id, count)| (id.to_owned(), count)).collect();
        Lives { taken, lines, in_doubt }
    })
}

/// SIGKILL: nothing is flushed, nothing is said.
fn kill(child: &mut Child, folder: &Path, life: usize) {
    let alive = child.try_wait().unwrap().is_none();
    let said = std::fs::read_to_string(folder.join("said.txt")).unwrap();
    assert!(alive, "life {life} was over before it was killed: {said}");
    child.kill().unwrap();
    child.wait().unwrap();
}

impl Lives {
    /// All of these, and nothing else, at least once each; twice only what was in doubt at a kill.
    fn gave(&self, expected: &BTreeMap<String, String>) {
        assert_eq!(self.lines.len(), expected.len());
        assert!(self.lines == *expected, "an event is not the one of an uncut run");
        let duplicates: usize = self.taken.values().map(|count| count - 1).sum();
        let bound = self.in_doubt;
        println!("{KILLS} kills, {duplicates} duplicates, at most {bound} were in doubt");
        assert!(duplicates <= bound, "{duplicates} duplicates, and {bound} were in doubt");
    }
}

fn by_id(text: &str) -> BTreeMap<String, String> {
    let id = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        event["trace_id"].as_str().unwrap().to_owned()
    };
    text.lines().map(|line| (id(line), line.to_owned())).collect()
}

const MIX: &str = "{ type: retail_mix, with: { burst: 50 } }";

/// The events of a run of a source that nobody kills, written to a file of its folder.
fn uncut(folder: &Path, source: &str) -> BTreeMap<String, String> {
    std::fs::write(
        folder.join("uncut.yaml"),
        format!(
            "clock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: {EVENTS} }}\n\
             sources: {{ shop: {source} }}\n\
             sinks: {{ all: {{ type: file, inputs: shop, with: {{ path: all.ndjson }} }} }}\n"
        ),
    )
    .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
    let ended = command.args(["run", "uncut.yaml", "-q"]).current_dir(folder).status().unwrap();
    assert!(ended.success());
    let events = by_id(&std::fs::read_to_string(folder.join("all.ndjson")).unwrap());
    assert_eq!(events.len(), EVENTS);
    events
}

/// What the source remembers in the snapshot, if one was taken.
fn source_state(folder: &Path) -> Option<Value> {
    let text = std::fs::read_to_string(folder.join("state/p")).ok()?;
    let snapshot: Value = serde_json::from_str(text.lines().next()?).unwrap();
    Some(snapshot["stages"].get("shop")?["state"].clone())
}

/// How many lines of the file the snapshot has behind it.
fn lines_behind(folder: &Path) -> usize {
    source_state(folder).map_or(0, |state| state["place"]["line"].as_u64().unwrap() as usize)
}

/// How many events of `retail_mix` the snapshot has behind it: fifty each half second.
fn events_behind(folder: &Path) -> usize {
    let Some(state) = source_state(folder) else { return 0 };
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let since = time(state["tick"].as_str().unwrap()).since(time("2024-11-29T10:00:00Z"));
    let left = state["left"].as_u64().unwrap() as usize;
    (since.as_millis() as usize / 500 + 1) * 50 - left
}

#[test]
fn a_file_through_a_disk_buffer_arrives_whole_however_often_the_engine_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let expected = uncut(folder, MIX);
    let spec = format!(
        "name: p\nclock: {{ start: 2024-11-29T10:00:00Z, speed: max }}\n\
         state: {{ path: state/p, interval: 20ms }}\n\
         sources: {{ shop: {{ type: file, with: {{ path: all.ndjson }} }} }}\n{HOOK}      \
         buffer: {{ type: disk, max_events: {BUFFERED_MAX}, sync_interval_ms: 5 }}\n"
    );
    std::fs::write(folder.join("p.yaml"), spec).unwrap();
    live_and_die(folder, 1, |_| lines_behind(folder)).gave(&expected);
}

#[test]
fn generated_events_are_made_again_with_the_same_ids_however_often_the_engine_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let expected = uncut(folder, MIX);
    let spec = format!(
        "name: p\nclock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: {EVENTS} }}\n\
         state: {{ path: state/p, interval: 20ms }}\n\
         sources: {{ shop: {MIX} }}\n{HOOK}      \
         buffer: {{ max_events: {BUFFERED_MAX} }}\n"
    );
    std::fs::write(folder.join("p.yaml"), spec).unwrap();
    live_and_die(folder, 2, |_| events_behind(folder)).gave(&expected);
}

#[test]
fn a_simulated_chain_goes_on_with_the_same_events_however_often_the_engine_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let expected = uncut(folder, CHAIN);
    let spec = format!(
        "name: p\nclock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: {EVENTS} }}\n\
         state: {{ path: state/p, interval: 20ms }}\n\
         sources: {{ shop: {CHAIN} }}\n{HOOK}      \
         buffer: {{ max_events: {BUFFERED_MAX} }}\n"
    );
    std::fs::write(folder.join("p.yaml"), spec).unwrap();
    live_and_die(folder, 4, |_| 0).gave(&expected);
}

/// A chain in which something of everything is under way.
const CHAIN: &str = "{ type: retail, with: {
  stores: 4, dcs: 2, customers: 300, products: 80, ads_per_customer: 1, orders_per_customer: 0.5,
  emit: [transactions, inventory, customers, operations, marketing, online, incidents],
  incidents: [{ type: inventory_shortage, begin: 1h, length: 8h, severity: 0.9 }] } }";

#[test]
fn rules_over_merged_sources_derive_the_same_events_however_often_the_engine_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let state = "state: { path: state/p, interval: 20ms }\n";
    let spec = format!(
        "name: p\nclock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: {EVENTS} }}\n{state}{RULE}\
         {}      buffer: {{ max_events: {BUFFERED_MAX} }}\n",
        HOOK.replace("inputs: shop", "inputs: rush")
    );
    let peer = Peer::start();
    std::fs::write(folder.join("p.yaml"), spec.replace(state, "")).unwrap();
    assert!(engine(folder, &peer.url()).status().unwrap().success());
    let expected: BTreeMap<String, String> = peer.look(|log| {
        let lines = log.events.iter().map(|event| (event.trace_id.clone(), event.line.clone()));
        lines.collect()
    });
    let derived = expected.values().filter(|line| line.contains("\"rang\"")).count();
    assert!(expected.len() > EVENTS && derived > 100, "{derived} timers fired");
    std::fs::write(folder.join("p.yaml"), spec).unwrap();
    live_and_die(folder, 3, |_| 0).gave(&expected);
}

/// Two sources at different paces, and a rule with state, timers and randomness over both.
const RULE: &str = r#"
sources:
  shop: { type: retail_mix, with: { burst: 50 } }
  other: { type: retail_mix, with: { seed: 9, burst: 7, emit_interval_ms: 300 } }
correlators:
  rush:
    type: rhai
    inputs: [shop, other]
    with:
      key: payload.store_id
      script: |
        fn on_event(event, state, out) {
            state.count = (state.count ?? 0) + 1;
            if rand() < 0.02 { out.timer("soon", "7s"); }
            if state.count % 50 == 0 { out.emit_after("3s", "later", #{ count: state.count }); }
        }
        fn on_timer(name, state, out) { out.emit("rang", #{ count: state.count }); }
"#;
