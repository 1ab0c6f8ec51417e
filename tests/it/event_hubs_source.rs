//! The `event_hubs` source against a hub on loopback: everything arrives, in the order of its
//! partition and once in a run, whatever happens to connections, links and tokens.

mod container;
mod losses;
mod resume;
mod share;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::ChildStdout;
use std::time::{Duration, SystemTime};

use event_hubs_peer::{Claim, Peer, Times, TokenFault};
use serde_json::Value;

use crate::harness::{Ended, Running, Test};

const HUB: &str = "retail-events";

/// Prints what it reads; `{with}` are further settings.
const READER: &str = r"
name: reader
sources:
  hub:
    type: event_hubs
    with: { connection_string: '${HUB}', connect_timeout: 3s, check_after: 300ms, {with} }
sinks:
  out: { type: console, inputs: [hub], with: { format: ndjson } }
";

fn hub(partitions: usize) -> Peer {
    Peer::builder().hub(HUB, partitions).start()
}

/// Puts events into a partition that say where they are: their partition and number.
fn append(peer: &Peer, partition: usize, numbers: std::ops::Range<usize>) {
    let body = |number| format!("{{\"partition\":{partition},\"number\":{number}}}");
    peer.append(HUB, partition, numbers.map(body));
}

/// A running program that reads.
struct Reader {
    running: Running,
    stdout: BufReader<ChildStdout>,
    text: String,
    events: Vec<Value>,
}

impl Reader {
    fn start(peer: &Peer, with: &str) -> Self {
        Self::start_as(&peer.connection_string(HUB), with)
    }

    fn start_as(connection_string: &str, with: &str) -> Self {
        let spec = READER.replace("{with}", with);
        Self::of(Test::new(&["run", "-"]).stdin(&spec).env("HUB", connection_string))
    }

    fn of(test: Test) -> Self {
        let (running, stdout) = test.start();
        Self { running, stdout, text: String::new(), events: Vec::new() }
    }

    /// Reads until there are so many events in all.
    fn read_up_to(&mut self, count: usize) -> &mut Self {
        while self.events.len() < count {
            let from = self.text.len();
            assert!(self.stdout.read_line(&mut self.text).unwrap() > 0, "it ended");
            self.events.push(serde_json::from_str(&self.text[from..]).unwrap());
        }
        self
    }

    /// Checks that each partition's events came in order, each once, from these on.
    #[track_caller]
    fn has_in_order(&self, expected: &[std::ops::Range<usize>]) {
        let came = by_partition(&self.events);
        for (partition, numbers) in expected.iter().enumerate() {
            let came = came.get(&partition).cloned().unwrap_or_default();
            assert_eq!(came, numbers.clone().collect::<Vec<_>>(), "partition {partition}");
        }
    }

    /// The same, of a hub with one partition.
    #[track_caller]
    fn has(&self, numbers: std::ops::Range<usize>) {
        self.has_in_order(std::slice::from_ref(&numbers));
    }

    /// Stops it: nothing more was to come.
    fn stop(self) -> Ended {
        let (rest, ended) = self.stop_and_read();
        assert!(rest.is_empty(), "it came twice, or nobody asked for it: {:?}", rest.first());
        ended
    }

    /// Stops it: what came yet, and how it ended.
    fn stop_and_read(mut self) -> (Vec<Value>, Ended) {
        self.running.signal("INT");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let rest = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (rest, self.running.end(self.text).exits(0).says("the accounts add up"))
    }

    /// Waits until it ends by itself.
    fn end(mut self) -> Ended {
        self.stdout.read_to_string(&mut self.text).unwrap();
        self.running.end(self.text)
    }
}

/// The numbers of events by their partitions, in the order in which they came.
fn by_partition(events: &[Value]) -> BTreeMap<usize, Vec<usize>> {
    let mut numbers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for event in events {
        let number = |name: &str| event["payload"][name].as_u64().unwrap() as usize;
        numbers.entry(number("partition")).or_default().push(number("number"));
    }
    numbers
}

#[test]
fn everything_that_is_kept_and_comes_is_read_in_the_order_of_its_partition() {
    let peer = hub(4);
    for partition in 0..4 {
        append(&peer, partition, 0..1000);
    }
    let mut reader = Reader::start(&peer, "start: earliest");
    reader.read_up_to(4000);
    for partition in 0..4 {
        append(&peer, partition, 1000..1010);
    }
    reader.read_up_to(4040).has_in_order(&[0..1010, 0..1010, 0..1010, 0..1010]);
    reader.stop().never_says("not reading");
}

#[test]
fn events_have_time_key_and_id_of_their_messages() {
    let peer = hub(1);
    let enqueued = SystemTime::UNIX_EPOCH + Duration::from_millis(1_732_874_400_250);
    let object = event_hubs_peer::NewEvent::new(r#"{"a":1}"#).key("k").enqueued(enqueued);
    let envelope = r#"{"event_type":"x","payload":{"a":1},"trace_id":"T1","ingest_timestamp":"2024-11-29T10:00:00Z"}"#;
    peer.append(HUB, 0, [object, envelope.into()]);
    let read = || {
        let mut reader = Reader::start(&peer, "start: earliest, event_type: seen");
        reader.read_up_to(2);
        let events = std::mem::take(&mut reader.events);
        reader.stop();
        events
    };
    let events = read();
    assert_eq!(events[0]["event_type"], "seen");
    assert_eq!(events[0]["ingest_timestamp"], "2024-11-29T10:00:00.250Z");
    assert_eq!(events[0]["partition_key"], "k");
    assert_eq!(events[1]["trace_id"], "T1");
    assert_eq!(events[1]["event_type"], "x");
    assert_eq!(read(), events, "another run gives the same ids");
}

#[test]
fn by_default_only_what_comes_from_now_on_is_read() {
    let peer = hub(2);
    append(&peer, 0, 0..5);
    let mut reader = Reader::start(&peer, "");
    peer.wait_until(|peer| peer.statistics().open.receivers == 2);
    append(&peer, 0, 5..8);
    append(&peer, 1, 0..2);
    reader.read_up_to(5).has_in_order(&[5..8, 0..2]);
    reader.stop();
}

#[test]
fn reading_begins_at_an_instant() {
    let peer = hub(1);
    let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(1_732_874_400 + second);
    let event = |number: u64| {
        let body = format!("{{\"partition\":0,\"number\":{number}}}");
        event_hubs_peer::NewEvent::new(body).enqueued(at(number))
    };
    peer.append(HUB, 0, (0..10).map(event));
    let mut reader = Reader::start(&peer, "start: '2024-11-29T10:00:04Z'");
    reader.read_up_to(6).has(4..10);
    reader.stop();
}

#[test]
fn only_the_partitions_that_are_named_are_read() {
    let peer = hub(3);
    for partition in 0..3 {
        append(&peer, partition, 0..10);
    }
    let mut reader = Reader::start(&peer, "start: earliest, partitions: ['2', '0']");
    reader.read_up_to(20).has_in_order(&[0..10, 0..0, 0..10]);
    reader.stop();
    let missing = Reader::start(&peer, "partitions: ['7']").end();
    missing.exits(1).says("event hub `retail-events` of `localhost`").says("no partition `7`");
}

#[test]
fn shards_share_the_partitions_out() {
    let peer = hub(3);
    for partition in 0..3 {
        append(&peer, partition, 0..10);
    }
    let spec = READER.replace("{with}", "start: earliest");
    let read = |shard, count: usize| {
        let test = Test::new(&["run", "-", "--shard", shard]).stdin(&spec);
        let mut reader = Reader::of(test.env("HUB", &peer.connection_string(HUB)));
        reader.read_up_to(count);
        let came = by_partition(&reader.events).into_keys().collect::<Vec<_>>();
        reader.stop();
        came
    };
    assert_eq!(read("0/2", 20), [0, 2]);
    assert_eq!(read("1/2", 10), [1]);
}

#[test]
fn what_does_not_let_it_in_fails_the_run() {
    let peer = Peer::builder().hub(HUB, 2).policy("send", "c2VjcmV0", [Claim::Send]).start();
    let group = Reader::start(&peer, "consumer_group: nobody").end();
    group.exits(1).says("`retail-events` of `localhost`").says("amqp:not-found");
    let nowhere = Reader::start_as(&peer.connection_string("nowhere"), "").end();
    nowhere.exits(1).says("`nowhere` of `localhost`").says("404");
    let wrong = peer.connection_string_with(HUB, "send", "d3Jvbmc=");
    let wrong = Reader::start_as(&wrong, "").end();
    wrong.exits(1).says("401").never_says("d3Jvbmc");
    let only_sends = peer.connection_string_with(HUB, "send", "c2VjcmV0");
    Reader::start_as(&only_sends, "").end().exits(1).says("unauthorized");
}

#[test]
fn a_hub_that_is_away_at_first_is_waited_for() {
    let peer = hub(1);
    append(&peer, 0, 0..3);
    peer.stop();
    let mut reader = Reader::start(&peer, "start: earliest");
    reader.running.wait_for("trying again from now on");
    peer.on_token(TokenFault::Status(503), Times::N(1));
    peer.start_again();
    reader.read_up_to(3).has(0..3);
    reader.stop().says("again");
}

#[test]
fn what_is_no_event_becomes_a_dead_letter_or_fails_the_run() {
    let peer = hub(1);
    peer.append(HUB, 0, [r#"{"n":0}"#, "{\"n\" 1}", r#"{"n":2}"#, "", "[3]", r#"{"n":5}"#]);
    let spec = READER.replace("{with}", "start: earliest") + "dead_letter: { path: dead.ndjson }\n";
    let test = Test::new(&["run", "-"]).stdin(&spec).env("HUB", &peer.connection_string(HUB));
    let mut reader = Reader::of(test);
    reader.read_up_to(3);
    let ended = reader.stop();
    let letters = ended.read("dead.ndjson");
    assert_eq!(letters.lines().count(), 3, "{letters}");
    for place in ["retail-events/0:1", "retail-events/0:3", "retail-events/0:4"] {
        assert!(letters.contains(place), "{letters}");
    }
    let failed = Reader::start(&peer, "start: earliest, on_malformed: fail").end();
    failed.exits(1).says("retail-events/0:1: ").prints_lines(1);
}
