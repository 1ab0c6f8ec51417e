//! The way to Event Hubs against the official client by itself: events a second, CPU, latency, and
//! what a quiet pipeline costs. `cargo bench --bench event_hubs`
//!
//! The hub is the tests' peer in this process, which only counts. Who sends is a process of its
//! own: either this program again, with the client and nothing else, or the engine. Both send
//! events of the same size with the same properties, one after the other in each row, and the
//! middle of three tries counts: compare within a row. On a machine of two cores the peer takes its
//! part of them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use azure_messaging_eventhubs::models::EventData;
use azure_messaging_eventhubs::{EventDataBatchOptions, ProducerClient};
use event_hubs_peer::Peer;

const HUB: &str = "retail-events";
const PARTITIONS: usize = 8;
const TRIES: usize = 3;

/// The body of a middling event of the mix.
const BODY_BYTES: usize = 440;

/// A row of the table.
#[derive(Clone, Copy)]
struct Row {
    settle_ms: u64,
    /// Events in a batch.
    batch: usize,
    producers: usize,
    events: usize,
}

/// As many events as a batch of 1 MiB holds, about.
const FULL: usize = 1400;

const ROWS: [Row; 12] = {
    const fn row(settle_ms: u64, batch: usize, producers: usize, events: usize) -> Row {
        Row { settle_ms, batch, producers, events }
    }
    [
        row(0, 256, 1, 600_000),
        row(0, 256, 4, 1_000_000),
        row(0, 256, 8, 1_000_000),
        row(0, FULL, 1, 600_000),
        row(0, FULL, 4, 1_000_000),
        row(0, FULL, 8, 1_000_000),
        row(5, 256, 1, 150_000),
        row(5, 256, 4, 500_000),
        row(5, 256, 8, 1_000_000),
        row(5, FULL, 1, 400_000),
        row(5, FULL, 4, 1_000_000),
        row(5, FULL, 8, 1_000_000),
    ]
};

/// What one try took.
#[derive(Clone, Copy)]
struct Took {
    seconds: f64,
    cpu_seconds: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|argument| argument == "bare") {
        return bare(&arguments[2..]);
    }
    println!(
        "settle  batch   producers |     client ev/s  CPU s/M |     engine ev/s  CPU s/M | share"
    );
    for row in ROWS {
        let peer = Peer::builder().hub(HUB, PARTITIONS).start();
        peer.store_only_counts(true);
        peer.settle_after(Duration::from_millis(row.settle_ms));
        let (mut client, mut engine) = (Vec::new(), Vec::new());
        for _ in 0..TRIES {
            client.push(take_time(&mut bare_command(&peer, row)));
            engine.push(take_time(&mut engine_command(&peer, row)));
        }
        assert_eq!(peer.statistics().events as usize, 2 * TRIES * row.events);
        let (client, engine) = (middle(client), middle(engine));
        let rate = |took: Took| row.events as f64 / took.seconds;
        let cpu = |took: Took| took.cpu_seconds / row.events as f64 * 1e6;
        println!(
            "{:>3} ms  {:<7} {:>9} | {:>15.0}  {:>7.2} | {:>15.0}  {:>7.2} | {:>4.0} %",
            row.settle_ms,
            if row.batch == FULL { "1 MiB".to_owned() } else { row.batch.to_string() },
            row.producers,
            rate(client),
            cpu(client),
            rate(engine),
            cpu(engine),
            100.0 * rate(engine) / rate(client),
        );
    }
    quiet();
}

fn middle(mut tries: Vec<Took>) -> Took {
    tries.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    tries[tries.len() / 2]
}

fn take_time(command: &mut Command) -> Took {
    let (wall, cpu) = (now(), cpu_of_children());
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    Took { seconds: now() - wall, cpu_seconds: cpu_of_children() - cpu }
}

#[expect(clippy::disallowed_methods, reason = "a bench asks the clock")]
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// CPU seconds of all children that have ended (proc(5), fields 16 and 17 of `stat`, in hundredths).
fn cpu_of_children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn bare_command(peer: &Peer, row: Row) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let batch = row.batch.to_string();
    let (producers, events) = (row.producers.to_string(), row.events.to_string());
    command.args(["bare", &peer.port().to_string(), &batch, &producers, &events]);
    command.env("HUB_STRING", peer.connection_string(HUB));
    command
}

fn engine_command(peer: &Peer, row: Row) -> Command {
    // Events of about the same size as the client's own.
    let spec = format!(
        "clock: {{ start: 2024-11-29T10:00:00Z, speed: max, events: {events} }}\n\
         sources: {{ shop: {{ type: retail_mix, with: {{ burst: 10000 }} }} }}\n\
         batchers:\n  packed: {{ type: count_or_time, inputs: shop, with: {{ max_batch_size: {batch}, batch_timeout_ms: 60000 }} }}\n\
         sinks:\n  hub:\n    type: event_hubs\n    inputs: packed\n    \
         with: {{ connection_string: \"${{HUB_STRING}}\", partition_by: round_robin }}\n    \
         delivery: {{ lanes: {lanes}, buffer: {{ max_events: 50000 }} }}\n",
        events = row.events,
        batch = row.batch,
        lanes = row.producers,
    );
    engine(peer, &spec, &[])
}

fn engine(peer: &Peer, spec: &str, arguments: &[&str]) -> Command {
    let path = std::env::temp_dir().join(format!("bench-{}.yaml", std::process::id()));
    std::fs::write(&path, spec).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
    command.arg("run").arg(&path).args(arguments);
    command.env("HUB_STRING", peer.connection_string(HUB)).current_dir(std::env::temp_dir());
    command
}

/// The official client and nothing else: as many producers, each on a thread of its own, that fill
/// batches and send them.
fn bare(arguments: &[String]) {
    let [port, batch, producers, events] =
        [0, 1, 2, 3].map(|place| arguments[place].parse::<usize>().unwrap());
    let string = std::env::var("HUB_STRING").unwrap();
    let left = Arc::new(AtomicI64::new(events as i64));
    let send = move |left: Arc<AtomicI64>, string: String| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let string: Vec<&str> =
                string.split(';').filter(|part| !part.starts_with("UseDev")).collect();
            let string = string.join(";").replace(&format!(":{port}"), "");
            let client = ProducerClient::builder()
                .with_custom_endpoint(format!("amqp://localhost:{port}"))
                .open_with_connection_string(&string, None)
                .await
                .unwrap();
            let body = vec![b'x'; BODY_BYTES];
            let mut number = 0_u64;
            loop {
                let options = EventDataBatchOptions::default();
                let parcel = client.create_batch(Some(options)).await.unwrap();
                while parcel.len() < batch && left.fetch_sub(1, Relaxed) > 0 {
                    number += 1;
                    let id = format!("TR_1732874400_{number:019}");
                    let event = EventData::builder()
                        .with_body(body.clone())
                        .with_content_type("application/json".to_owned())
                        .with_message_id(id.clone())
                        .with_correlation_id(id.clone())
                        .add_property("event_type".to_owned(), "receipt_created")
                        .add_property("trace_id".to_owned(), id)
                        .build();
                    if !parcel.try_add_event_data(event, None).unwrap() {
                        left.fetch_add(1, Relaxed);
                        break;
                    }
                }
                if parcel.is_empty() {
                    break;
                }
                client.send_batch(parcel, None).await.unwrap();
            }
            client.close().await.unwrap();
        });
    };
    let threads = (0..producers).map(|_| {
        let (left, string) = (left.clone(), string.clone());
        std::thread::spawn(move || send(left, string))
    });
    let threads: Vec<_> = threads.collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

/// A thousand events a second of the retail world: what it costs, and how late they are.
fn quiet() {
    for (batch_timeout_ms, settle_ms) in [(1000, 5), (10, 5)] {
        let peer = Peer::builder().hub(HUB, 4).start();
        peer.settle_after(Duration::from_millis(settle_ms));
        let spec = format!(
            "clock: {{ start: 2024-11-29T15:00:00Z, speed: 40, duration: 20m }}\n\
             sources: {{ shop: {{ type: retail, with: {{ seed: 42 }} }} }}\n\
             batchers:\n  packed: {{ type: count_or_time, inputs: shop, with: {{ batch_timeout_ms: {batch_timeout_ms} }} }}\n\
             sinks:\n  hub:\n    type: event_hubs\n    inputs: packed\n    \
             with: {{ connection_string: \"${{HUB_STRING}}\" }}\n"
        );
        let report = std::env::temp_dir().join(format!("bench-{}.json", std::process::id()));
        let mut command = engine(&peer, &spec, &["--report", report.to_str().unwrap()]);
        let highest = Arc::new(Mutex::new(0));
        let took = {
            let (wall, cpu) = (now(), cpu_of_children());
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let path = format!("/proc/{}/status", child.id());
            while child.try_wait().unwrap().is_none() {
                *highest.lock().unwrap() = resident(Path::new(&path)).max(*highest.lock().unwrap());
                std::thread::sleep(Duration::from_millis(100));
            }
            Took { seconds: now() - wall, cpu_seconds: cpu_of_children() - cpu }
        };
        let statistics = peer.statistics();
        println!(
            "quiet: batches after {batch_timeout_ms} ms: {:.0} ev/s, {:.0} kB/s, {:.2} % of a core, {} MB resident",
            statistics.events as f64 / took.seconds,
            statistics.bytes as f64 / took.seconds / 1000.0,
            100.0 * took.cpu_seconds / took.seconds,
            *highest.lock().unwrap() / 1000,
        );
    }
    latency();
}

/// The most memory that a process has had, in kilobytes.
fn resident(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// How long after its emission an event is with the hub, where a batch waits for 50 ms at most.
fn latency() {
    let peer = Peer::builder().hub(HUB, 4).start();
    let spec = "clock: { duration: 15s }\n\
         sources: { shop: { type: retail_mix, with: { emit_interval_ms: 10, burst: 10 } } }\n\
         batchers:\n  packed: { type: count_or_time, inputs: shop, with: { batch_timeout_ms: 50 } }\n\
         sinks:\n  hub:\n    type: event_hubs\n    inputs: packed\n    \
         with: { connection_string: \"${HUB_STRING}\" }\n";
    let status = engine(&peer, spec, &[]).stderr(Stdio::null()).status().unwrap();
    assert!(status.success());
    let mut late: Vec<f64> = peer
        .events(HUB)
        .iter()
        .filter_map(|event| {
            let made: serde_json::Value = serde_json::from_slice(&event.body).ok()?;
            let made: jiff::Timestamp = made["ingest_timestamp"].as_str()?.parse().ok()?;
            let stored = event.enqueued.duration_since(UNIX_EPOCH).ok()?.as_secs_f64() * 1000.0;
            Some(stored - made.as_millisecond() as f64)
        })
        .collect();
    late.sort_by(f64::total_cmp);
    let part = |part: f64| late[((late.len() - 1) as f64 * part) as usize];
    println!(
        "latency: {} events at 1000 a second, from emission to the hub: p50 {:.1} ms, p99 {:.1} ms",
        late.len(),
        part(0.5),
        part(0.99)
    );
}
