//! The sink `nats` as a library, against a real server: pipelines run with it, and lose nothing when
//! the server goes and comes.

#[path = "../../../plugins/nats/tests/it/server.rs"]
mod server;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{ChildStdout, Command};

use serde_json::Value;

use self::server::{Server, is_there};
use super::build::{example, library};
use crate::harness::{Test, project_text};

/// What is in a stream: subject, id and body of each message.
fn stored(server: &Server) -> Vec<(String, String, Value)> {
    let mut command = Command::new(example("engine-plugin-nats", "nats_cat"));
    let output = command.args([&server.url(), "RETAIL"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let message = |line: &str| {
        let (subject, rest) = line.split_once(' ').unwrap();
        let (id, body) = rest.split_once(' ').unwrap();
        (subject.to_owned(), id.to_owned(), serde_json::from_str(body).unwrap())
    };
    text.lines().map(message).collect()
}

fn plugin() -> String {
    library("engine-plugin-nats").display().to_string()
}

/// The same events to a stream and to stdout.
const BOTH: &str = "
name: both
clock: { start: 2024-11-29T10:00:00Z, speed: max, events: 8000 }
sources: { shop: { type: retail_mix, with: { stores: 5 } } }
sinks:
  stream:
    type: nats
    inputs: [shop]
    with:
      servers: [\"${NATS_URL}\"]
      subject: retail.{event_type}
      stream: { name: RETAIL, create: true }
      ack_timeout_ms: 2000
      connect_timeout_ms: 2000
    delivery:
      retry: { initial_backoff_ms: 10, max_backoff_ms: 100 }
      circuit_breaker: { enabled: false }
      buffer: { max_events: 1000 }
  out: { type: console, inputs: [shop] }
";

fn run(server: &Server) -> Test {
    let plugin = plugin();
    let test = Test::new(&["run", "p.yaml", "--plugins", &plugin, "--report", "report.json"]);
    test.file("p.yaml", BOTH).env("NATS_URL", &server.url())
}

/// Reads so many lines, or to the end.
fn read(stdout: &mut BufReader<ChildStdout>, lines: usize) -> Vec<Value> {
    let lines =
        stdout.lines().take(lines).map(|line| serde_json::from_str(&line.unwrap()).unwrap());
    lines.collect()
}

/// All of these events are in the stream, once each, in their order, as they are.
fn assert_stored(server: &Server, events: &[Value]) {
    let stored = stored(server);
    assert_eq!(stored.len(), events.len());
    for ((subject, id, body), event) in stored.iter().zip(events) {
        assert_eq!((id.as_str(), body), (event["trace_id"].as_str().unwrap(), event));
        assert_eq!(*subject, format!("retail.{}", event["event_type"].as_str().unwrap()));
    }
}

#[test]
fn every_event_is_a_message_once_and_in_order() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let (running, mut stdout) = run(&server).start();
    let events = read(&mut stdout, usize::MAX);
    running.end(String::new()).exits(0);
    assert_eq!(events.len(), 8000);
    assert_stored(&server, &events);
}

#[test]
fn a_server_that_is_killed_in_the_middle_has_everything_once_in_the_end() {
    if !is_there() {
        return;
    }
    let mut server = Server::start();
    let (running, mut stdout) = run(&server).start();
    let mut events = read(&mut stdout, 2000);
    server.kill();
    running.wait_for("an attempt failed and will be made again");
    server.restart();
    events.extend(read(&mut stdout, usize::MAX));
    let ended = running.end(String::new()).exits(0);
    let report: Value = serde_json::from_str(&ended.read("report.json")).unwrap();
    assert_eq!(report["statistics"]["events_sent_successfully"], 2 * events.len(), "{report:#}");
    assert_stored(&server, &events);
}

#[test]
fn the_pipeline_that_comes_with_it_fills_a_stream() {
    if !is_there() {
        return;
    }
    let server = Server::start();
    let path = project_text("plugins/nats/nats.yaml");
    let plugin = plugin();
    Test::new(&["validate", "--deny-warnings", &path, "--plugins", &plugin]).run().exits(0);
    let arguments = ["run", &path, "--plugins", &plugin, "--duration", "1h", "--speed", "max"];
    let test = Test::new(&[&arguments[..], &["--report", "report.json"]].concat());
    let ended = test.env("NATS_URL", &server.url()).run().exits(0);
    let report: Value = serde_json::from_str(&ended.read("report.json")).unwrap();
    let stored = stored(&server);
    assert_eq!(report["statistics"]["events_sent_successfully"], stored.len(), "{report:#}");
    assert!(stored.len() > 1000, "{} messages", stored.len());
    let ids: BTreeSet<_> = stored.iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids.len(), stored.len());
    assert!(stored.iter().any(|(subject, ..)| subject.starts_with("retail.receipt_created.")));
}

#[test]
fn whoever_is_not_let_in_hears_why_and_no_secret() {
    if !is_there() {
        return;
    }
    let server = Server::with("authorization { token: s3cret }");
    let spec = BOTH.replace(
        "with:\n      servers",
        "with:\n      credentials: { token: wr0ng }\n      servers",
    );
    let plugin = plugin();
    let test = Test::new(&["run", "p.yaml", "--plugins", &plugin]).file("p.yaml", &spec);
    let ended = test.env("NATS_URL", &server.url()).run().exits(1);
    let address = format!("cannot connect to `127.0.0.1:{}`", server.port);
    ended.says("stream").says(&address).says("authorization violation").never_says("wr0ng");
}

#[test]
fn a_server_that_says_nothing_holds_up_no_stop() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", silent.local_addr().unwrap());
    let spec = BOTH.replace("connect_timeout_ms: 2000", "connect_timeout_ms: 600000");
    let plugin = plugin();
    let test = Test::new(&["run", "p.yaml", "--plugins", &plugin]).file("p.yaml", &spec);
    let (running, _stdout) = test.env("NATS_URL", &url).start();
    let (_connection, _) = silent.accept().unwrap();
    running.signal("INT");
    running.signal("INT");
    let ended = running.end(String::new());
    let ended = ended.exits(1).says("it did not open in the time of the run");
    ended.never_says("left behind");
}
