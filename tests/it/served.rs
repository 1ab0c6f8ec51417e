//! A run over HTTP: what is told of it, who may change it, and what it is like for those who ask.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::harness::{Running, Test};
use crate::peer::{Fault, Peer};

/// A pipeline that goes on until it is stopped: a minute of event time in a second.
pub(crate) const SHOP: &str = r#"
name: shop
description: What a test looks at
clock: { start: 2024-11-29T12:00:00Z, speed: 60 }
sources:
  stores: { type: retail_mix, with: { emit_interval_ms: 6000, burst: 20 } }
enrichers:
  large:
    type: rhai
    inputs: [stores]
    when: event.event_type == "receipt_created"
    with: { script: "fn enrich(event) { event.payload.is_large = event.payload.total > 50.0; }" }
sinks:
  out: { type: blackhole, inputs: [large] }
"#;

/// A running program that is served.
pub(crate) struct Served {
    pub(crate) running: Running,
    stdout: BufReader<std::process::ChildStdout>,
    pub(crate) address: String,
}

impl Served {
    pub(crate) fn start(test: Test) -> Self {
        let (running, stdout) = test.start();
        let line = running.wait_for_line("the live page is at http://");
        let (_, rest) = line.split_once("http://").unwrap();
        let address = rest.split('/').next().unwrap().to_owned();
        Self { running, stdout, address }
    }

    /// The pipeline above.
    pub(crate) fn shop(arguments: &[&str]) -> Self {
        let arguments = [&["run", "-", "--http", "127.0.0.1:0"], arguments].concat();
        Self::start(Test::new(&arguments).stdin(SHOP))
    }

    /// The connection of a request that was sent.
    pub(crate) fn connect(&self, request: &str, headers: &str, body: &str) -> BufReader<TcpStream> {
        connect(&self.address, request, headers, body)
    }

    /// The status, the headers and the body of an answer.
    fn ask(&self, request: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut answer = String::new();
        self.connect(request, headers, body).read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    /// The status and the body of an answer.
    pub(crate) fn json(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = self.ask(&format!("GET {path}"), "", "");
        (status, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    /// The body of an answer that is none of refusal.
    pub(crate) fn get(&self, path: &str) -> Value {
        let (status, answer) = self.json(path);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    fn post(&self, path: &str, token: &str, body: &str) -> (u16, Value) {
        let headers = match token {
            "" => String::new(),
            token => format!("authorization: Bearer {token}\r\n"),
        };
        let (status, _, answer) = self.ask(&format!("POST {path}"), &headers, body);
        (status, serde_json::from_str(&answer).unwrap())
    }

    /// The data of server-sent events, as they come.
    fn events(&self, path: &str) -> impl Iterator<Item = (String, Value)> + use<> {
        let mut name = "message".to_owned();
        self.connect(&format!("GET {path}"), "", "").lines().filter_map(move |line| {
            let line = line.unwrap();
            if let Some(event) = line.strip_prefix("event: ") {
                event.clone_into(&mut name);
            }
            let data = line.strip_prefix("data: ")?;
            Some((
                std::mem::replace(&mut name, "message".into()),
                serde_json::from_str(data).unwrap(),
            ))
        })
    }

    /// Waits until what is told each second is as wanted.
    pub(crate) fn wait_until(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let mut lives = self.events("/stream").filter(|(name, _)| name == "stats");
        lives.find(|(_, live)| wanted(live)).expect("it never was").1
    }

    /// Stops it, and gives back what it said.
    pub(crate) fn stop(self) -> crate::harness::Ended {
        self.running.signal("INT");
        self.end()
    }

    /// Waits until it has ended, and gives back what it said.
    pub(crate) fn end(mut self) -> crate::harness::Ended {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        self.running.end(rest)
    }
}

fn connect(address: &str, request: &str, headers: &str, body: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    let host =
        if headers.contains("host:") { String::new() } else { format!("host: {address}\r\n") };
    let length = body.len();
    let head = format!(
        // The older version has bodies as they are, not in chunks.
        "{request} HTTP/1.0\r\n{host}content-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    BufReader::new(stream)
}

#[test]
fn the_figures_of_a_run_are_told_and_agree_with_each_other() {
    let shop = Served::shop(&[]);
    assert_eq!(shop.get("/live"), json!({ "live": true }));
    let live =
        shop.wait_until(|live| live["totals"]["events_sent_successfully"].as_u64() > Some(100));
    assert_eq!(live["state"]["phase"], "running");
    assert!(live["sample"]["p99"].as_f64() > Some(0.0));
    assert_eq!(shop.get("/ready"), json!({ "ready": true, "waiting_for": [] }));

    let graph = shop.get("/graph");
    assert_eq!(
        (&graph["name"], &graph["description"]),
        (&"shop".into(), &"What a test looks at".into())
    );
    assert_eq!(
        graph["stages"][1],
        json!({ "stage": "large", "kind": "enricher", "component": "rhai", "inputs": ["stores"], "when": true })
    );

    let stats = shop.get("/stats");
    let (made, sent) = (&stats["events_generated"], &stats["events_sent_successfully"]);
    assert!(made.as_u64() >= sent.as_u64() && sent.as_u64() > Some(0));
    assert!(stats["events_per_second"].as_f64() > Some(0.0));
    assert_eq!(stats["stages"][2]["stage"], "out");
    assert!(stats["stages"][2]["latency"]["count"].as_u64() > Some(0));
    let by_type: u64 = stats["event_type_counts"]
        .as_object()
        .unwrap()
        .values()
        .map(|it| it.as_u64().unwrap())
        .sum();
    assert_eq!(Some(by_type), made.as_u64());

    let health = shop.get("/health");
    assert_eq!(health["overall_healthy"], true);
    assert_eq!(health["components"]["out"]["connection"], "connected");
    assert!(health["components"]["resources"]["memory_bytes"].as_u64() > Some(1 << 20));

    let history = shop.get("/history");
    let samples = history["samples"].as_array().unwrap();
    assert!(samples.iter().is_sorted_by_key(|sample| sample["events"].as_u64()));
    assert_eq!(samples[0]["stages"].as_array().unwrap().len(), 3);
    shop.stop().exits(0);
}

#[test]
fn what_is_asked_wrongly_is_refused_with_a_remedy() {
    let shop = Served::shop(&[]);
    let (status, answer) = shop.json("/nothing");
    assert_eq!((status, &answer["error"]), (404, &"there is no such page".into()));
    let (status, answer) = shop.json("/recent?stage=larg");
    assert_eq!((status, &answer["help"]), (404, &"did you mean `large`?".into()));
    assert_eq!(shop.json("/recent?limit=many").0, 400);
    assert_eq!(shop.json("/events?colour=red").0, 400);
    let (status, answer) = shop.json("/chain/TR_0_00000");
    assert_eq!((status, &answer["event"]), (404, &Value::Null));
    assert_eq!(shop.ask("DELETE /stats", "", "").0, 403, "a change needs a token");
    for path in ["/chain/%ff", "/tap/%ff"] {
        let (status, answer) = shop.json(path);
        assert_eq!(status, 400, "{path}");
        assert!(answer["help"].as_str().unwrap().contains("UTF-8"), "{answer}");
    }
    for path in ["/page/nope", "/page/%ff"] {
        let (status, answer) = shop.json(path);
        assert_eq!((status, &answer["error"]), (404, &"there is no such page".into()));
    }
    shop.stop().exits(0);
}

#[test]
fn an_event_is_found_with_what_it_came_from_and_led_to() {
    let spec = SHOP.replace(
        "retail_mix, with: { emit_interval_ms: 6000, burst: 20 }",
        "retail, with: { stores: 20, seed: 7 }",
    );
    let test = Test::new(&["run", "-", "--http", "127.0.0.1:0"]).stdin(&spec);
    let shop = Served::start(test);
    shop.wait_until(|live| live["sample"]["types"]["receipt_line_added"].as_u64() > Some(0));
    let lines = shop.get("/recent?event_type=receipt_line_added&stage=stores&limit=1");
    let line = &lines["events"][0]["event"];
    let (id, receipt) =
        (line["trace_id"].as_str().unwrap(), line["parent_event_id"].as_str().unwrap());
    let chain = shop.get(&format!("/chain/{id}"));
    assert_eq!(chain["event"]["event"]["trace_id"], id);
    assert_eq!(chain["parents"][0]["event"]["trace_id"], receipt);
    assert_eq!(chain["stages"], json!(["stores", "large", "out"]));
    let of_receipt = shop.get(&format!("/chain/{receipt}"));
    // What it became behind the last stage.
    assert!(of_receipt["event"]["event"]["payload"]["is_large"].is_boolean(), "{of_receipt}");
    let children = of_receipt["children"].as_array().unwrap();
    assert!(children.iter().any(|child| child["event"]["trace_id"] == id));
    let by_text = shop.get(&format!("/recent?text={receipt}&stage=out"));
    assert!(by_text["events"].as_array().unwrap().len() > children.len());
    shop.stop().exits(0);
}

#[test]
fn samples_and_figures_come_until_the_run_ends_and_then_it_is_said() {
    let shop = Served::shop(&["--duration", "90s"]);
    let mut samples = shop.events("/events?stage=stores&event_type=receipt_created");
    let (name, seen) = samples.next().unwrap();
    assert_eq!((name.as_str(), &seen["stage"]), ("message", &"stores".into()));
    assert_eq!(seen["event"]["event_type"], "receipt_created");
    let lives: Vec<(String, Value)> = shop.events("/stream").collect();
    assert_eq!(lives.last().unwrap().0, "end");
    let last = &lives[lives.len() - 2].1;
    assert_eq!(last["state"]["phase"], "ended");
    assert_eq!(last["totals"]["events_generated"], last["totals"]["events_sent_successfully"]);
    assert_eq!(samples.last().unwrap().0, "end");
}

#[test]
fn only_who_knows_the_token_may_pause_resume_speed_up_and_stop() {
    let spec = SHOP
        .replace("sources:", "monitoring: { http: '127.0.0.1:0', token: '${TOKEN}' }\nsources:");
    let shop = Served::start(Test::new(&["run", "-"]).stdin(&spec).env("TOKEN", "s3cret-token"));
    assert_eq!(shop.post("/pause", "", "").0, 401);
    assert_eq!(shop.post("/pause", "s3cret", "").0, 401);
    assert_eq!(shop.get("/state")["phase"], "running");

    let (status, state) = shop.post("/pause", "s3cret-token", "");
    assert_eq!(
        (status, &state["phase"], &state["can_control"]),
        (202, &"paused".into(), &true.into())
    );
    // What was on its way has arrived; from then on nothing changes but the clock on the wall.
    let still = shop.wait_until(|live| {
        live["totals"]["events_generated"] == live["totals"]["events_sent_successfully"]
    });
    let mut later = shop.events("/stream").map(|(_, live)| live).skip(2);
    let later = later.next().unwrap();
    assert!(later["sample"]["t"].as_u64() > still["sample"]["t"].as_u64());
    for figure in ["/totals/events_generated", "/state/event_time"] {
        assert_eq!(later.pointer(figure), still.pointer(figure), "{figure}");
    }

    let (status, answer) = shop.post("/speed", "s3cret-token", r#"{"speed": 0}"#);
    assert_eq!(
        (status, &answer["error"]),
        (400, &"a speed is a number above 0, and at most 10 000 000".into())
    );
    assert_eq!(shop.post("/speed", "s3cret-token", "fast").0, 400);
    let (status, answer) = shop.post("/speed", "s3cret-token", r#"{"speed": []}"#);
    assert_eq!(
        (status, &answer["error"]),
        (400, &"it names no speed: `speed` is no number".into())
    );
    let large = " ".repeat(2 * 1024 * 1024 + 1);
    let (status, answer) = shop.post("/speed", "s3cret-token", &large);
    assert!(status == 413 && answer["help"].is_string(), "{answer}");
    let (status, state) = shop.post("/speed", "s3cret-token", r#"{"speed": 600}"#);
    assert_eq!((status, &state["speed"], &state["phase"]), (202, &600.0.into(), &"paused".into()));
    assert_eq!(shop.post("/resume", "s3cret-token", "").1["phase"], "running");
    let made = &still["totals"]["events_generated"];
    shop.wait_until(|live| live["totals"]["events_generated"].as_u64() > made.as_u64());
    let (status, state) = shop.post("/stop", "s3cret-token", "");
    assert_eq!(status, 202);
    assert_ne!(state["phase"], "running");

    let Served { running, mut stdout, .. } = shop;
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let ended = running.end(rest).exits(0).says("the accounts add up");
    ended.says("token_rejected").never_says("s3cret-token");
}

#[test]
fn a_run_at_full_speed_can_be_paused_and_has_no_speed() {
    let spec = SHOP.replace("speed: 60", "speed: max");
    let test =
        Test::new(&["run", "-", "--http", "127.0.0.1:0", "--set", "monitoring.token=open sesame"]);
    let shop = Served::start(test.stdin(&spec));
    let (status, answer) = shop.post("/speed", "open sesame", r#"{"speed": 2}"#);
    assert_eq!(status, 409);
    assert!(answer["error"].as_str().unwrap().contains("full speed"), "{answer}");
    assert_eq!(shop.post("/pause", "open sesame", "").1["speed"], "max");
    let still = shop.wait_until(|live| {
        live["totals"]["events_generated"] == live["totals"]["events_sent_successfully"]
    });
    shop.post("/resume", "open sesame", "");
    let made = &still["totals"]["events_generated"];
    shop.wait_until(|live| live["totals"]["events_generated"].as_u64() > made.as_u64());
    shop.stop().exits(0).says("the accounts add up");
}

#[test]
fn without_a_token_nothing_can_be_changed_and_other_sites_see_nothing() {
    let shop = Served::shop(&[]);
    let (status, answer) = shop.post("/stop", "guess", "");
    assert_eq!(status, 403);
    assert!(answer["help"].as_str().unwrap().contains("monitoring.token"), "{answer}");
    assert_eq!(shop.ask("GET /stats", "host: evil.example\r\n", "").0, 403);
    let twice = format!("host: {}\r\nhost: evil.example\r\n", shop.address);
    let (status, _, answer) = shop.ask("GET /stats", &twice, "");
    assert!(status == 400 && answer.contains("send each of them once"), "{answer}");
    let origin = "origin: https://evil.example\r\n";
    assert_eq!(shop.ask("GET /stats", origin, "").0, 403);
    let (status, head, _) = shop.ask("GET /stats", "", "");
    assert_eq!(status, 200);
    assert!(head.contains("cache-control: no-store") && head.contains("nosniff"), "{head}");
    assert_eq!(shop.get("/state")["phase"], "running");
    shop.stop().exits(0);
}

#[test]
fn a_sink_whose_breaker_is_open_makes_it_unwell_and_is_named_until_it_is_back() {
    let peer = Peer::start();
    let sink = format!(
        "{{ type: http, inputs: [large], with: {{ url: '{}' }}, delivery: {{ \
         retry: {{ initial_backoff_ms: 10, max_backoff_ms: 50 }}, \
         circuit_breaker: {{ failure_threshold: 1, recovery_timeout_ms: 500 }} }} }}",
        peer.url()
    );
    let spec = SHOP.replace("{ type: blackhole, inputs: [large] }", &sink);
    let shop = Served::start(Test::new(&["run", "-", "--http", "127.0.0.1:0"]).stdin(&spec));
    shop.wait_until(|live| live["totals"]["events_sent_successfully"].as_u64() > Some(0));
    assert_eq!(shop.json("/health").0, 200);
    peer.set(Fault::Answer { status: 503, headers: Vec::new(), body: String::new() });
    let unwell = shop.wait_until(|live| live["stages"][2]["circuit_breaker"] == "open");
    assert_eq!(
        (&unwell["health"], &unwell["stages"][2]["healthy"]),
        (&false.into(), &false.into())
    );
    assert_eq!(unwell["reasons"], json!(["out: its circuit breaker is open"]));
    let (status, health) = loop {
        let (status, health) = shop.json("/health");
        // Between two trials it is half open for a moment.
        if health["components"]["out"]["circuit_breaker"] == "open" {
            break (status, health);
        }
    };
    assert_eq!((status, &health["overall_healthy"]), (503, &false.into()));
    assert_eq!(health["components"]["out"]["reason"], "its circuit breaker is open");
    assert!(health["components"]["out"]["buffer_utilisation"].as_f64() > Some(0.0));
    let failures = shop.get("/failures");
    let failure = &failures["failures"][0];
    assert_eq!(
        (&failure["stage"], &failure["fate"]),
        (&"out".into(), &"retried".into()),
        "{failure}"
    );
    peer.set(Fault::None);
    shop.wait_until(|live| live["health"] == true);
    assert_eq!(shop.json("/health").0, 200);
    shop.stop().exits(0).says("the accounts add up");
}

#[test]
fn a_run_is_not_ready_before_the_receiver_is_there_though_nothing_is_sent_to_it() {
    let peer = Peer::start();
    peer.set(Fault::Refuse);
    let sink = format!(
        "{{ type: http, inputs: [large], when: 'event.event_type == \"none\"', \
         with: {{ url: '{}' }} }}",
        peer.url()
    );
    let spec = SHOP.replace("{ type: blackhole, inputs: [large] }", &sink);
    let shop = Served::start(Test::new(&["run", "-", "--http", "127.0.0.1:0"]).stdin(&spec));
    let is_away =
        |live: &Value| live["reasons"][0].as_str().is_some_and(|why| why.contains("cannot reach"));
    shop.wait_until(is_away);
    let (status, answer) = shop.json("/ready");
    let why = answer["waiting_for"][0].as_str().unwrap();
    assert_eq!(status, 503);
    assert!(why.starts_with("out: `http://127.0.0.1:") && why.contains("refused"), "{why}");
    let (status, health) = shop.json("/health");
    let out = &health["components"]["out"];
    assert_eq!((status, &out["connection"]), (503, &"failed".into()));
    let reason = out["reason"].as_str().unwrap();
    assert!(reason.starts_with("it cannot reach its receiver: `http://127.0.0.1:"), "{reason}");

    peer.set(Fault::None);
    shop.wait_until(|live| live["health"] == true);
    assert_eq!(shop.get("/ready"), json!({ "ready": true, "waiting_for": [] }));
    shop.stop().exits(0).says("not connected yet").says("the accounts add up");
    assert!(peer.requests().is_empty(), "to look is not to send");
}

#[test]
fn an_address_in_use_is_told_with_its_place_and_is_no_fault_of_the_spec() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let spec = SHOP.replace("sources:", &format!("monitoring: {{ http: '{address}' }}\nsources:"));
    let ended = Test::new(&["run", "-"]).stdin(&spec).run().exits(1);
    ended
        .says(&format!("cannot listen at `{address}`"))
        .says("<stdin>:5:21")
        .says("port 0 is a free one");
    let arguments = ["run", "-", "--http", &address];
    Test::new(&arguments).stdin(SHOP).run().exits(1).says("--http").says("cannot listen at");
    // An address that is none would not become one by trying again.
    Test::new(&["run", "-", "--http", "nowhere"]).stdin(SHOP).run().exits(2).says("`nowhere`");
}

#[test]
fn streams_that_nobody_reads_hold_nothing_up_and_there_is_a_bound_on_them() {
    let shop = Served::shop(&[]);
    let open = |path: &str| connect(&shop.address, &format!("GET {path}"), "", "");
    let paths = ["/events?limit=2000", "/tap/stores", "/stream", "/events?stage=out"];
    let unread: Vec<_> = (0..200).map(|number| open(paths[number % paths.len()])).collect();
    // Each has had its head, so that it is open.
    let mut unread: Vec<_> = unread;
    for stream in &mut unread {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        assert!(line.contains("200"), "{line}");
    }
    let (status, answer) = shop.json("/tap/stores");
    assert_eq!((status, &answer["error"]), (503, &"200 streams are open already".into()));
    let sent = |shop: &Served| shop.get("/stats")["events_sent_successfully"].as_u64().unwrap();
    let before = sent(&shop);
    while sent(&shop) < before + 200 {}
    drop(unread);
    shop.stop().exits(0).says("the accounts add up");
}
