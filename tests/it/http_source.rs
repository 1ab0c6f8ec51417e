//! The `http` source: what is sent to it gets out at the other end, and the answer says so.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use crate::harness::{Running, Test};
use crate::peer::{Fault, Peer};

/// A webhook that prints what it gets; `{with}` are further settings.
const WEBHOOK: &str = r"
name: webhook
sources:
  hook: { type: http, with: { listen: '127.0.0.1:0', {with} } }
sinks:
  out: { type: console, inputs: [hook], with: { format: ndjson } }
";

const ENVELOPE: &str = r#"{"event_type":"x","payload":{"a":1},"trace_id":"T1","ingest_timestamp":"2024-11-29T10:00:00Z"}"#;

/// A running program that listens.
struct Webhook {
    running: Running,
    stdout: BufReader<std::process::ChildStdout>,
    address: String,
}

impl Webhook {
    fn start(spec: &str, with: &str) -> Self {
        let spec = spec.replace("{with}", with);
        let (running, stdout) = Test::new(&["run", "-"]).stdin(&spec).start();
        let line = running.wait_for_line("listening at http://");
        let (_, rest) = line.split_once("http://").unwrap();
        let address = rest.split('/').next().unwrap().to_owned();
        Self { running, stdout, address }
    }

    /// Sends a request: the status and the body of its answer.
    fn post(&self, headers: &str, body: &[u8]) -> (u16, String) {
        self.request("POST /events", headers, body)
    }

    fn request(&self, line: &str, headers: &str, body: &[u8]) -> (u16, String) {
        request(&self.address, line, headers, body)
    }

    fn line(&mut self) -> serde_json::Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Stops it, and checks that it drained.
    fn stop(mut self) {
        self.running.signal("INT");
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        self.running.end(rest).exits(0).says("the accounts add up");
    }
}

/// Sends a request on a connection of its own: the status and the body of its answer.
fn request(address: &str, line: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The other side may have said already that it is too much.
    let _ = stream.write_all(body);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[test]
fn what_is_sent_comes_out_and_is_acknowledged() {
    let mut webhook = Webhook::start(WEBHOOK, "");
    let body = format!("{ENVELOPE}\n{{\"b\":2}}\n");
    let (status, answer) = webhook.post("", body.as_bytes());
    assert_eq!((status, answer.trim()), (200, r#"{"delivered":2}"#));
    let mut events = [webhook.line(), webhook.line()];
    events.sort_by_key(|event| event["event_type"] == "x");
    assert_eq!(
        (&events[0]["event_type"], &events[0]["payload"]["b"]),
        (&"record".into(), &2.into())
    );
    assert!(!events[0]["trace_id"].as_str().unwrap().is_empty());
    assert_eq!(events[1]["trace_id"], "T1");
    let (status, _) = webhook.post("", b"[{\"b\": 1},\n {\"b\": 2}]");
    assert_eq!(status, 200);
    webhook.stop();
}

#[test]
fn what_is_not_right_is_refused_and_nothing_of_it_enters() {
    let mut webhook = Webhook::start(WEBHOOK, "auth: { bearer: s3cret }, max_body_bytes: 200");
    let token = "authorization: Bearer s3cret\r\n";
    assert_eq!(webhook.post("", b"{}").0, 401);
    let told = webhook.running.wait_for_line("a request without the right token was refused");
    assert!(told.contains("token_rejected") && told.contains("peer=\"127.0.0.1:"), "{told}");
    assert_eq!(webhook.post("authorization: Bearer other\r\n", b"{}").0, 401);
    assert_eq!(webhook.request("GET /events", token, b"").0, 405);
    assert_eq!(webhook.request("POST /", token, b"{}").0, 404);
    assert_eq!(webhook.post(token, &[b' '; 201]).0, 413);
    assert_eq!(webhook.post(&format!("{token}content-encoding: br\r\n"), b"{}").0, 415);
    assert_eq!(webhook.post(&format!("{token}content-encoding: gzip\r\n"), b"{}").0, 400);
    let (status, answer) = webhook.post(token, b"{\"a\":1}\n{\"a\" 2}\n");
    assert_eq!(status, 400);
    assert!(answer.contains(r#""problems":[{"line":2,"column":6,"#), "{answer}");
    assert_eq!(webhook.post(token, b"{\"a\":3}").0, 200);
    assert_eq!(webhook.line()["payload"]["a"], 3);
    webhook.stop();
}

#[test]
fn a_request_is_answered_when_its_events_are_delivered_and_a_stop_waits_for_it() {
    let peer = Peer::start();
    peer.set(Fault::Slow(std::time::Duration::from_millis(300)));
    let spec = WEBHOOK.replace(
        "{ type: console, inputs: [hook], with: { format: ndjson } }",
        &format!("{{ type: http, inputs: [hook], with: {{ url: '{}' }} }}", peer.url()),
    );
    let webhook = Webhook::start(&spec, "");
    let address = webhook.address.clone();
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| request(&address, "POST /events", "", b"{\"a\":1}"));
        peer.wait_until(|log| log.requests.len() == 1);
        webhook.running.signal("INT");
        assert_eq!(answer.join().unwrap().0, 200);
    });
    assert_eq!(peer.events().len(), 1);
    webhook.running.end(String::new()).exits(0).says("the accounts add up");
}

#[test]
fn a_malformed_body_that_cannot_be_kept_as_a_dead_letter_is_not_acknowledged() {
    let spec = format!("{WEBHOOK}dead_letter: {{ path: dead.ndjson, max_events: 1 }}\n");
    let webhook = Webhook::start(&spec, "on_malformed: dead_letter");
    assert_eq!(webhook.post("", b"{\"a\" 1}\n").0, 200, "it is kept");
    assert_eq!(webhook.post("", b"{\"a\" 2}\n").0, 503, "there is no room for it");
    webhook.running.end(String::new()).exits(1);
}

#[test]
fn one_engine_feeds_another() {
    let mut webhook = Webhook::start(WEBHOOK, "");
    let spec = format!(
        "clock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: 2000 }}\nsources:\n  \
         stores: {{ type: retail_mix, with: {{ seed: 1, burst: 100 }} }}\nsinks:\n  \
         out: {{ type: http, inputs: [stores], with: {{ url: 'http://{}/events', compression: gzip }} }}\n",
        webhook.address
    );
    std::thread::scope(|scope| {
        let run = scope.spawn(|| Test::new(&["run", "-"]).stdin(&spec).run());
        let ids: std::collections::BTreeSet<_> =
            (0..2000).map(|_| webhook.line()["trace_id"].to_string()).collect();
        assert_eq!(ids.len(), 2000);
        run.join().unwrap().exits(0).says("the accounts add up");
    });
    webhook.stop();
}

#[test]
fn a_port_that_is_taken_fails_the_run_and_an_open_door_is_no_valid_spec() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let spec = WEBHOOK.replace("127.0.0.1:0", &address).replace("{with}", "");
    let ended = Test::new(&["run", "-"]).stdin(&spec).run();
    ended.exits(1).says(&format!("cannot listen at `{address}`"));
    let spec = WEBHOOK.replace("127.0.0.1:0", "0.0.0.0:8088").replace("{with}", "");
    Test::new(&["validate", "-"]).stdin(&spec).run().exits(2).says("auth: { bearer: ... }");
}
