//! When a run is ready: its sinks are connected, and it does not drain.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::*;
use crate::registry::built_in;

/// A sink that is open when the test says so, and closes when it says so again.
struct Gate(Arc<Semaphore>);

impl Gate {
    async fn pass(&self) -> Result<(), StageError> {
        let passed = self.0.acquire().await.map_err(|_| StageError("it is locked".to_owned()))?;
        passed.forget();
        Ok(())
    }
}

#[async_trait::async_trait]
impl Sink for Gate {
    async fn open(&self) -> Result<(), StageError> {
        self.pass().await
    }

    async fn write(&self, _: &Batch) -> Outcome {
        Outcome::Delivered
    }

    async fn close(&self) -> Result<(), StageError> {
        self.pass().await
    }
}

fn engine(gates: &[Arc<Semaphore>; 2]) -> Engine {
    let yaml = "monitoring: { http: '127.0.0.1:0' }\n\
                sources: { mix: { type: retail_mix } }\n\
                sinks:\n\
                \x20 east: { type: east, inputs: mix }\n\
                \x20 west: { type: west, inputs: mix }\n";
    let document =
        Document::parse("a.yaml", yaml, Path::new("."), &Environment::default()).unwrap();
    let gate = |name: &'static str, gate: &Arc<Semaphore>| {
        let gate = gate.clone();
        component(name, Kind::Sink, move || Stage::Sink(Box::new(Gate(gate.clone()))))
    };
    let mut all = built_in();
    all.extend([gate("east", &gates[0]), gate("west", &gates[1])]);
    Engine::new(document, &all).unwrap()
}

fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (answer[9..12].parse().unwrap(), serde_json::from_str(body).unwrap())
}

/// Asks until the answer has this status.
fn until(address: SocketAddr, path: &str, wanted: u16) -> Value {
    loop {
        let (status, answer) = get(address, path);
        if status == wanted {
            return answer;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_run_is_ready_when_all_its_sinks_are_open_and_until_it_drains() {
    let gates = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
    let session = engine(&gates).start().unwrap();
    let address = session.address().unwrap();
    let waiting =
        json!({ "ready": false, "waiting_for": ["east: connecting", "west: connecting"] });
    assert_eq!(get(address, "/ready"), (503, waiting));
    let health = get(address, "/health");
    assert_eq!(
        (health.0, &health.1["components"]["east"]["reason"]),
        (503, &"it is connecting".into())
    );

    gates[0].add_permits(1);
    until(address, "/ready", 503);
    let one_left = json!({ "ready": false, "waiting_for": ["west: connecting"] });
    while get(address, "/ready").1 != one_left {}
    gates[1].add_permits(1);
    assert_eq!(until(address, "/ready", 200), json!({ "ready": true, "waiting_for": [] }));
    assert_eq!(until(address, "/health", 200)["overall_healthy"], true);

    session.control().stop();
    assert_eq!(until(address, "/ready", 503)["waiting_for"], json!(["the run drains"]));
    assert_eq!(get(address, "/live"), (200, json!({ "live": true })));
    for gate in &gates {
        gate.add_permits(1);
    }
    assert!(session.wait().is_success());
}

/// Takes as long to end as the test says.
struct Slow(Mutex<mpsc::Receiver<()>>);

impl Observer for Slow {
    fn ended(&self) {
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

#[test]
fn a_run_that_came_to_its_end_by_itself_drains_until_its_observers_have_ended() {
    let (end, slow) = mpsc::channel();
    let gates = [(); 2].map(|()| Arc::new(Semaphore::new(2)));
    let engine = engine(&gates).with_duration(Duration::from_millis(50));
    let session = engine.with_observer(Arc::new(Slow(Mutex::new(slow)))).start().unwrap();
    let address = session.address().unwrap();
    // Both are closed.
    while gates.iter().any(|gate| gate.available_permits() > 0) {
        std::thread::yield_now();
    }
    assert_eq!(until(address, "/ready", 503)["waiting_for"], json!(["the run drains"]));
    assert_eq!(get(address, "/state").1["phase"], "draining");
    drop(end);
    assert_eq!(session.wait().ending, Ending::Finished);
}

#[test]
fn a_sink_that_cannot_be_opened_is_named_with_the_reason() {
    let gates = [(); 2].map(|()| Arc::new(Semaphore::new(0)));
    let session = engine(&gates).start().unwrap();
    let address = session.address().unwrap();
    gates[0].close();
    let health = loop {
        let (_, health) = get(address, "/health");
        if health["components"]["east"]["reason"] != "it is connecting" {
            break health;
        }
    };
    assert_eq!(health["components"]["east"]["reason"], "it is locked");
    assert_eq!(health["components"]["east"]["connection"], "failed");
    gates[1].close();
    assert!(!session.wait().is_success());
}
