//! The `http` sink against a receiver that fails on purpose: what arrives, and what is said of it.

use std::time::Duration;

use engine::component::BuildContext;
use engine::event::{Batch, Event, RECEIPT_CREATED, Text, Timestamp, TraceIds};
use engine::registry::built_in;
use engine::spec::{Document, Environment, Shard};
use engine::stage::{Outcome, Refusal, Retry, Sink, Stage};
use tokio::runtime::Runtime;

use crate::harness::Test;
use crate::peer::{Fault, Peer};

/// An open sink by itself.
struct Writer {
    runtime: Runtime,
    sink: Box<dyn Sink>,
}

impl Writer {
    /// With `url`, and these further settings.
    fn new(peer: &Peer, settings: &str) -> Self {
        Self::to(&peer.url(), settings)
    }

    fn to(url: &str, settings: &str) -> Self {
        let text = format!("sinks:\n  s: {{ type: http, with: {{ url: '{url}', {settings} }} }}\n");
        let document = Document::parse("test.yaml", text, ".", &Environment::default()).unwrap();
        let pointer = "/sinks/s".to_owned();
        let settings = document.value("/sinks/s/with");
        let trace_ids = TraceIds::new(1, 0);
        let (stage, seed, shard, document) = ("s", 1, Shard::WHOLE, &document);
        let cx = BuildContext { stage, seed, shard, trace_ids, document, pointer };
        let component = built_in()
            .into_iter()
            .find(|component| {
                component.kind == engine::kind::Kind::Sink && component.name == "http"
            })
            .unwrap();
        let Ok(Stage::Sink(sink)) = (component.build)(settings, &cx) else { panic!() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(sink.open()).unwrap();
        Self { runtime, sink }
    }

    /// Writes events with the ids `T0`, `T1` and so on, request by request as the delivery does.
    fn write(&self, events: usize) -> Outcome {
        let (mut rest, mut first, mut all) = (batch(events), 0, Vec::new());
        loop {
            let shifted = |failed: Vec<(usize, Refusal)>| {
                failed.into_iter().map(move |(place, refusal)| (first + place, refusal))
            };
            match self.runtime.block_on(self.sink.write(&rest)) {
                Outcome::Partly { decided, failed } => {
                    all.extend(shifted(failed));
                    first += decided;
                    let mut place = 0..;
                    rest = rest.split_off(|_| place.next().unwrap() >= decided);
                }
                Outcome::Refused(refusal) if first == 0 => return Outcome::Refused(refusal),
                Outcome::Refused(refusal) => {
                    all.extend((first..events).map(|place| (place, refusal.clone())));
                    break;
                }
                Outcome::Except(failed) => {
                    all.extend(shifted(failed));
                    break;
                }
                Outcome::Delivered => break,
                Outcome::Closed => return Outcome::Closed,
            }
        }
        match all.first() {
            None => Outcome::Delivered,
            Some((_, one)) if all.len() == events && all.iter().all(|(_, it)| it == one) => {
                Outcome::Refused(one.clone())
            }
            Some(_) => Outcome::Except(all),
        }
    }
}

fn batch(events: usize) -> Batch {
    let event = |number| {
        let id = Text::from(format!("T{number}"));
        Event::new(RECEIPT_CREATED, id, Timestamp::from_millis(0))
    };
    Batch::new((0..events).map(event).collect(), Timestamp::MIN, None)
}

fn ids(peer: &Peer) -> Vec<String> {
    peer.events().into_iter().map(|event| event.trace_id).collect()
}

fn numbered(events: impl IntoIterator<Item = usize>) -> Vec<String> {
    events.into_iter().map(|number| format!("T{number}")).collect()
}

/// The places that were not taken, with the category and whether they may be taken later.
fn except(outcome: &Outcome) -> Vec<(usize, &'static str, Retry)> {
    let Outcome::Except(refused) = outcome else { panic!("{outcome:?}") };
    let fate = |(place, refusal): &(usize, engine::stage::Refusal)| {
        (*place, refusal.failure.category, refusal.retry)
    };
    refused.iter().map(fate).collect()
}

fn refused(outcome: &Outcome) -> (&'static str, Retry, &str) {
    let Outcome::Refused(refusal) = outcome else { panic!("{outcome:?}") };
    (refusal.failure.category, refusal.retry, &refusal.failure.reason)
}

#[test]
fn events_arrive_in_the_format_that_was_asked_for() {
    for (format, content_type, requests) in [
        ("ndjson", "application/x-ndjson", 1),
        ("json", "application/json", 1),
        ("event", "application/json", 3),
    ] {
        let peer = Peer::start();
        let writer = Writer::new(&peer, &format!("format: {format}"));
        assert_eq!(writer.write(3), Outcome::Delivered);
        assert_eq!(ids(&peer), numbered(0..3), "{format}");
        let came = peer.requests();
        assert_eq!(came.len(), requests, "{format}");
        assert_eq!(came[0].headers["content-type"], content_type);
        assert_eq!((came[0].method.as_str(), came[0].target.as_str()), ("POST", "/events"));
        let bytes: usize = came.iter().map(|request| request.body_bytes).sum();
        assert_eq!(writer.sink.bytes_sent(), bytes as u64);
        assert_eq!(peer.look(|log| log.connections), 1, "the connection is kept");
    }
}

#[test]
fn headers_authentication_and_gzip_arrive() {
    let peer = Peer::start();
    let settings = "method: PUT, compression: gzip, auth: { bearer: s3cret }, headers: { X-A: b }";
    let writer = Writer::new(&peer, settings);
    assert_eq!(writer.write(200), Outcome::Delivered);
    let request = peer.requests().remove(0);
    assert_eq!(request.method, "PUT");
    for (name, value) in
        [("authorization", "Bearer s3cret"), ("x-a", "b"), ("content-encoding", "gzip")]
    {
        assert_eq!(request.headers[name], value);
    }
    assert!(request.headers["user-agent"].starts_with("engine/"));
    assert!(request.body_bytes * 4 < request.body.len());
    assert_eq!(writer.sink.bytes_sent(), request.body_bytes as u64);
    let writer = Writer::new(&peer, "auth: { basic: { user: me, password: s3cret } }");
    writer.write(1);
    assert_eq!(peer.requests()[1].headers["authorization"], "Basic bWU6czNjcmV0");
}

#[test]
fn the_same_events_have_the_same_idempotency_key() {
    let peer = Peer::start();
    let writer = Writer::new(&peer, "");
    for events in [2, 2, 3] {
        writer.write(events);
    }
    let keys: Vec<_> = peer
        .requests()
        .into_iter()
        .map(|request| request.headers["idempotency-key"].clone())
        .collect();
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[1], keys[2]);
}

#[test]
fn a_status_says_whether_to_send_again() {
    let peer = Peer::start();
    let writer = Writer::new(&peer, "auth: { bearer: s3cret }");
    for (status, category, retry) in [
        (408, "timeout", Retry::Later),
        (429, "throttled", Retry::Later),
        (503, "unavailable", Retry::Later),
        (401, "unauthorized", Retry::Never),
        (404, "not_found", Retry::Never),
        (422, "rejected", Retry::Never),
        (302, "rejected", Retry::Never),
    ] {
        let body = "for s3cret:\n no".to_owned();
        peer.set(Fault::Answer { status, headers: Vec::new(), body });
        let outcome = writer.write(2);
        let reason = format!("HTTP {status}: for ***: no");
        assert_eq!(refused(&outcome), (category, retry, reason.as_str()));
    }
    peer.set(Fault::busy(429, 3));
    assert_eq!(refused(&writer.write(1)).1, Retry::After(Duration::from_secs(3)));
    assert!(peer.events().is_empty());
}

#[test]
fn a_connection_that_fails_is_a_reason_to_send_again() {
    let peer = Peer::start();
    let writer = Writer::new(&peer, "");
    peer.set(Fault::Refuse);
    let outcome = writer.write(2);
    let (category, retry, reason) = refused(&outcome);
    assert_eq!((category, retry), ("connection", Retry::Later));
    assert!(reason.starts_with("cannot connect to `http://127.0.0.1:"), "{reason}");
    assert!(!reason.contains("/events"), "{reason}");
    for (fault, taken) in [
        (Fault::Cut, 0),
        (Fault::CutInBody(10), 0),
        (Fault::CutAfterStoring, 2),
        (Fault::CutInAnswer, 4),
    ] {
        peer.set(fault);
        let outcome = writer.write(2);
        assert_eq!(refused(&outcome).0, "connection");
        assert_eq!(refused(&outcome).1, Retry::Later);
        assert_eq!(peer.events().len(), taken);
    }
    peer.set(Fault::None);
    assert_eq!(writer.write(2), Outcome::Delivered);
}

#[test]
fn a_receiver_may_take_some_events_and_not_others() {
    let peer = Peer::start();
    let writer = Writer::new(&peer, "");
    peer.set(Fault::reject(|offered| match offered.index {
        1 => Some(429),
        3 => Some(422),
        _ => None,
    }));
    let wanted = [(1, "throttled", Retry::Later), (3, "rejected", Retry::Never)];
    assert_eq!(except(&writer.write(5)), wanted);
    assert_eq!(ids(&peer), numbered([0, 2, 4]));
}

#[test]
fn what_is_sent_again_after_every_other_request_failed_is_taken_in_the_end() {
    let peer = Peer::start();
    let writer = Writer::new(&peer, "");
    peer.set(Fault::EveryOther(Box::new(Fault::Cut)));
    for _ in 0..2 {
        assert_eq!(refused(&writer.write(2)).0, "connection");
        assert_eq!(writer.write(2), Outcome::Delivered);
    }
    peer.set(Fault::reject(|offered| {
        let is_first = offered.trace_id == "T2" && offered.attempts == 1;
        (is_first && offered.event["event_type"] == "receipt_created").then_some(503)
    }));
    assert_eq!(except(&writer.write(3)), [(2, "unavailable", Retry::Later)]);
    assert_eq!(writer.write(3), Outcome::Delivered);
    let requests = peer.requests();
    assert_eq!(peer.look(|log| log.attempts["T0"]), requests.len());
    assert!(requests.is_sorted_by_key(|request| request.time));
    assert_eq!(peer.events().last().unwrap().request, requests.len() - 1);
    assert!(requests.is_sorted_by_key(|request| request.connection));
}

#[test]
fn what_is_too_large_is_parted_until_it_fits() {
    let peer = Peer::start();
    let writer = Writer::new(&peer, "");
    writer.write(1);
    let one = peer.requests()[0].body_bytes;
    peer.set(Fault::TooLarge(3 * one));
    assert_eq!(writer.write(10), Outcome::Delivered);
    assert_eq!(ids(&peer)[1..], numbered(0..10));
    peer.set(Fault::TooLarge(one - 1));
    let outcome = writer.write(3);
    assert_eq!(refused(&outcome).0, "too_large");
    assert_eq!(refused(&outcome).1, Retry::Never);
}

#[test]
fn a_limit_of_our_own_parts_a_batch_before_it_is_sent() {
    let peer = Peer::start();
    Writer::new(&peer, "").write(1);
    let one = peer.requests()[0].body_bytes;
    let writer = Writer::new(&peer, &format!("max_body_bytes: {}", 2 * one));
    assert_eq!(writer.write(5), Outcome::Delivered);
    let sizes: Vec<_> =
        peer.requests()[1..].iter().map(|request| request.trace_ids.len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    let writer = Writer::new(&peer, "max_body_bytes: 10");
    assert_eq!(refused(&writer.write(2)).0, "too_large");
    assert_eq!(peer.requests().len(), 4, "nothing was sent");
}

#[test]
fn when_a_part_fails_just_that_and_what_comes_after_it_was_not_taken() {
    let peer = Peer::start();
    Writer::new(&peer, "").write(1);
    let one = peer.requests()[0].body_bytes;
    let writer = Writer::new(&peer, &format!("max_body_bytes: {}", 2 * one));
    peer.script([Fault::None, Fault::status(503)]);
    let later = |place| (place, "unavailable", Retry::Later);
    assert_eq!(except(&writer.write(6)), [later(2), later(3), later(4), later(5)]);
    assert_eq!(peer.requests().len(), 3, "the third part would have overtaken the second");
    peer.script([Fault::status(422)]);
    let never = |place| (place, "rejected", Retry::Never);
    assert_eq!(except(&writer.write(4)), [never(0), never(1)]);
}

#[test]
fn what_comes_behind_an_event_that_is_sent_again_does_not_overtake_it() {
    let peer = Peer::start();
    Writer::new(&peer, "").write(1);
    let one = peer.requests()[0].body_bytes;
    let writer = Writer::new(&peer, &format!("max_body_bytes: {}", 2 * one));
    peer.script([Fault::reject(|offered| (offered.index == 0).then_some(429))]);
    let later = |place| (place, "throttled", Retry::Later);
    assert_eq!(except(&writer.write(5)), [later(0), later(2), later(3), later(4)]);
    assert_eq!(peer.requests().len(), 2, "what was behind it was not sent");
}

const SLOW: &str = r"
name: slow
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 40 }
sources: { stores: { type: retail_mix, with: { seed: 1, burst: 40 } } }
batchers: { all: { type: count_or_time, inputs: stores, with: { max_batch_size: 40 } } }
sinks:
  hook:
    type: http
    inputs: [all]
    with: { url: '${URL}', format: event }
    delivery:
      timeout: 400ms
      retry: { attempts: 1, on_exhausted: dead_letter }
";

#[test]
fn a_batch_of_many_requests_may_take_longer_than_each_of_them() {
    let peer = Peer::start();
    peer.set(Fault::Slow(Duration::from_millis(20)));
    let test = Test::new(&["run", "slow.yaml"]).file("slow.yaml", SLOW);
    test.env("URL", &peer.url()).run().exits(0).says("the accounts add up");
    peer.look(|log| {
        assert_eq!(log.requests.len(), 40);
        assert!(log.taken().values().all(|times| *times == 1));
        let all = log.requests[39].time - log.requests[0].time;
        assert!(all > Duration::from_millis(700), "too quick to show anything: {all:?}");
    });
}

#[test]
fn a_request_that_was_answered_is_not_made_again_when_a_later_one_stalls_or_the_run_is_cut() {
    let peer = Peer::start();
    let scripted = (0..7).map(|_| Fault::None).chain([Fault::Stall]);
    peer.script(scripted);
    let spec = SLOW.replace("attempts: 1, on_exhausted: dead_letter", "initial_backoff_ms: 1");
    let test = Test::new(&["run", "slow.yaml"]).file("slow.yaml", &spec);
    test.env("URL", &peer.url()).run().exits(0).says("the accounts add up");
    peer.look(|log| {
        assert_eq!((log.events.len(), log.requests.len()), (40, 41));
    });

    let peer = Peer::start();
    peer.script((0..7).map(|_| Fault::None));
    peer.set(Fault::Stall);
    let spec = spec.replace("timeout: 400ms", "timeout: 1h");
    let test = Test::new(&["run", "slow.yaml"]).file("slow.yaml", &spec);
    let (running, _stdout) = test.env("URL", &peer.url()).start();
    peer.wait_until(|log| log.requests.len() == 8);
    running.signal("INT");
    running.wait_for_line("draining");
    running.signal("INT");
    let ended = running.end(String::new()).exits(1);
    let letters = ended.read("dead_letters/slow.ndjson");
    assert_eq!(letters.lines().count(), 33, "the one of unknown fate, and those not sent");
}

#[test]
fn a_receiver_that_repeats_the_request_does_not_bring_its_secrets_into_messages() {
    let peer = Peer::start();
    let url = peer.url().replace("/events", "/services/T0K3N-in-path?key=T0K3N-in-query&v=1");
    let writer = Writer::to(&url, "auth: { basic: { user: me, password: s3cret } }");
    let body = "Cannot POST /services/T0K3N-in-path?key=T0K3N-in-query&v=1 (T0K3N-in-path, \
                T0K3N-in-query) with Basic bWU6czNjcmV0"
        .to_owned();
    peer.set(Fault::Answer { status: 404, headers: Vec::new(), body });
    let outcome = writer.write(1);
    let reason = "HTTP 404: Cannot POST *** (***, ***) with Basic ***";
    assert_eq!(refused(&outcome), ("not_found", Retry::Never, reason));
}

#[test]
fn an_answer_that_nobody_waited_for_is_not_taken_for_another() {
    let peer = Peer::start();
    let writer = Writer::new(&peer, "");
    for fault in [Fault::Stall, Fault::Slow(Duration::from_millis(50))] {
        let before = peer.requests().len();
        peer.set(fault);
        writer.runtime.block_on(async {
            let batch = batch(1);
            let write = writer.sink.write(&batch);
            tokio::pin!(write);
            // The runtime goes on with it between two looks.
            while peer.requests().len() == before {
                assert!(futures::poll!(&mut write).is_pending());
                tokio::task::yield_now().await;
            }
        });
        peer.set(Fault::status(422));
        assert_eq!(refused(&writer.write(1)).0, "rejected");
    }
    assert_eq!(peer.look(|log| log.connections), 3, "each cut call costs a connection");
}

const SHOP: &str = r"
name: shop
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 3000 }
sources:
  stores: { type: retail_mix, with: { seed: 1, emit_interval_ms: 500, burst: 100 } }
sinks:
  hook:
    type: http
    inputs: [stores]
    with: { url: '${URL}', auth: { bearer: s3cret-token }, headers: { x-key: s3cret-key } }
";

#[test]
fn a_run_delivers_every_event_once_and_in_order() {
    let peer = Peer::start();
    let test = Test::new(&["run", "shop.yaml"]).file("shop.yaml", SHOP);
    test.env("URL", &peer.url()).run().exits(0).says("the accounts add up");
    peer.look(|log| {
        assert_eq!(log.events.len(), 3000);
        assert!(log.taken().values().all(|times| *times == 1));
        assert!(log.by_key().len() > 1);
        let times =
            log.events.iter().map(|event| event.event["ingest_timestamp"].as_str().unwrap());
        assert!(times.is_sorted());
        assert!(log.events.iter().all(|event| event.line.starts_with("{\"event_type\":")));
    });
}

#[test]
fn secrets_are_shown_nowhere() {
    let test = Test::new(&["render", "shop.yaml"]).file("shop.yaml", SHOP);
    let rendered = test.env("URL", "http://127.0.0.1:1/x").run().exits(0).never_says("s3cret");
    rendered.prints("bearer: \"***\"").prints("x-key: \"***\"");
    let spec = SHOP.replace("'${URL}'", "'http://me:s3cret@127.0.0.1/'");
    let test = Test::new(&["validate", "shop.yaml"]).file("shop.yaml", &spec);
    test.run().exits(2).says("a name or a password in a URL").says("auth: { basic");
}
