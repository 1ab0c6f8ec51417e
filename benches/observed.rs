//! What it costs a pipeline at full speed to be looked at: the same run without HTTP, with it and
//! nobody there, with a live page open, and with a hundred clients that ask and never read.
//!
//! `cargo bench --bench observed` runs the variants in turn, round by round, and prints for each the
//! median of its rounds, and of the ratio to the run without HTTP in the same round: in events per
//! second, which feels whatever else the machine does, and in processor time an event, which hardly
//! does. The clients are a process of their own, so their processor time is not counted. What is
//! written for clients before they are known to be slow is a matter of a moment, however long a run
//! is: the first third of each run is told apart from what comes then.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use engine::clock::{ProcessorTime, Stopwatch};
use engine::engine::Engine;
use engine::event::Batch;
use engine::monitor::Observer;

/// The allocator that the program uses.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PIPELINE: &str = r"
name: observed
clock: { speed: max, events: EVENTS }
sources: { stores: { type: retail_mix } }
enrichers:
  high_value:
    type: rhai
    inputs: [stores]
    with: { script: 'fn enrich(event) { event.payload.high_value = event.payload.total > 100.0; }' }
sinks: { nowhere: { type: blackhole, inputs: [high_value] } }
";

/// How many events a run has, and how many rounds there are.
const EVENTS: u64 = 12_000_000;
const ROUNDS: usize = 5;

/// How many clients never read.
const SLOW: usize = 100;

/// Who looks.
#[derive(Clone, Copy, PartialEq)]
enum Looks {
    WithoutHttp,
    Nobody,
    Page,
    Slow,
}

impl Looks {
    const ALL: [Self; 4] = [Self::WithoutHttp, Self::Nobody, Self::Page, Self::Slow];

    fn name(self) -> &'static str {
        match self {
            Self::WithoutHttp => "without HTTP",
            Self::Nobody => "HTTP, nobody looks",
            Self::Page => "a live page",
            Self::Slow => "a hundred slow clients",
        }
    }
}

/// What a part of a run took.
#[derive(Clone, Copy)]
struct Cost {
    events_per_second: f64,
    nanos_per_event: f64,
}

/// What a run took: its first third, while clients connect, and what came then.
type Costs = [Cost; 2];

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "--client") {
        Some(place) => client(&arguments[place + 1], &arguments[place + 2]),
        None => compare(),
    }
}

fn compare() {
    // Whatever is made once is made now.
    run(Looks::Nobody);
    let mut costs: Vec<[Costs; 4]> = Vec::new();
    for round in 0..ROUNDS {
        // None is always the first, or behind the same one.
        let mut of_round = [None; 4];
        for turn in 0..4 {
            let place = (round + turn) % 4;
            of_round[place] = Some(run(Looks::ALL[place]));
        }
        costs.push(of_round.map(|cost| cost.expect("each had its turn")));
    }
    println!("{EVENTS} events a run, {ROUNDS} rounds; medians");
    for (part, name) in
        ["the first third, while they connect", "what comes then"].iter().enumerate()
    {
        println!(
            "\n{name:<36}{:>12}{:>8}{:>14}{:>8}",
            "events/s", "ratio", "CPU ns/event", "ratio"
        );
        for (place, looks) in Looks::ALL.into_iter().enumerate() {
            let of = |figure: fn(&Cost) -> f64| {
                let figures = costs.iter().map(|round| figure(&round[place][part]));
                let ratio =
                    |round: &[Costs; 4]| figure(&round[place][part]) / figure(&round[0][part]);
                (median(figures), median(costs.iter().map(ratio)))
            };
            let (rate, rate_ratio) = of(|cost| cost.events_per_second);
            let (cpu, cpu_ratio) = of(|cost| cost.nanos_per_event);
            println!(
                "{:<36}{rate:>12.0}{rate_ratio:>8.3}{cpu:>14.0}{cpu_ratio:>8.3}",
                looks.name()
            );
        }
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn run(looks: Looks) -> Costs {
    let mut spec = PIPELINE.replace("EVENTS", &EVENTS.to_string());
    let mut clients = None;
    if looks != Looks::WithoutHttp {
        let address = free_address();
        clients = (looks != Looks::Nobody).then(|| Clients::start(&address, looks));
        let _ = write!(spec, "monitoring: {{ http: '{address}' }}");
    }
    let marks = Arc::new(Marks::start());
    let engine = Engine::from_yaml(&spec).unwrap().with_observer(marks.clone());
    let session = engine.start().unwrap();
    if let Some(clients) = &mut clients {
        clients.wait();
    }
    let report = session.wait();
    assert!(report.is_success() && report.statistics.events_generated == EVENTS);
    marks.costs()
}

/// How far wall time and processor time were when a third of the events was made, and when the
/// stages had ended: the server waits a moment more for its clients.
struct Marks {
    began: (Stopwatch, Duration),
    made: AtomicU64,
    third: OnceLock<(Duration, Duration)>,
    end: OnceLock<(Duration, Duration)>,
}

impl Marks {
    fn start() -> Self {
        let began = (Stopwatch::start(), ProcessorTime::Process.now());
        Self { began, made: AtomicU64::new(0), third: OnceLock::new(), end: OnceLock::new() }
    }

    fn now(&self) -> (Duration, Duration) {
        (self.began.0.elapsed(), ProcessorTime::Process.now().saturating_sub(self.began.1))
    }

    fn costs(&self) -> Costs {
        let (third, end) = (self.third.get().unwrap(), self.end.get().unwrap());
        let cost = |events: u64, wall: Duration, cpu: Duration| Cost {
            events_per_second: events as f64 / wall.as_secs_f64(),
            nanos_per_event: cpu.as_nanos() as f64 / events as f64,
        };
        let rest =
            cost(EVENTS - EVENTS / 3, end.0.saturating_sub(third.0), end.1.saturating_sub(third.1));
        [cost(EVENTS / 3, third.0, third.1), rest]
    }
}

impl Observer for Marks {
    fn generated(&self, _: &str, batch: &Batch) {
        let before = self.made.fetch_add(batch.len() as u64, Relaxed);
        if before < EVENTS / 3 && before + batch.len() as u64 >= EVENTS / 3 {
            // It is passed once.
            let _ = self.third.set(self.now());
        }
    }

    fn ended(&self) {
        let _ = self.end.set(self.now());
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// This program again, as those who look.
struct Clients {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Clients {
    fn start(address: &str, looks: Looks) -> Self {
        let kind = if looks == Looks::Page { "page" } else { "slow" };
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--client", kind, address])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// Waits until all of them are connected.
    fn wait(&mut self) {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line, "connected\n");
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // It may have ended with its connections.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

/// The other process: connects as soon as there is somebody, and looks until it is killed.
fn client(kind: &str, address: &str) {
    if kind == "page" { page(address) } else { slow(address) }
}

fn connect(address: &str) -> TcpStream {
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => return stream,
            Err(_) => thread::yield_now(),
        }
    }
}

fn ask(address: &str, path: &str) -> TcpStream {
    let mut stream = connect(address);
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    stream
}

/// Two streams that are read, and a request a second.
fn page(address: &str) {
    for path in ["/stream", "/events"] {
        let mut stream = ask(address, path);
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
    }
    println!("connected");
    loop {
        let mut stream = connect(address);
        let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        let answered = stream.write_all(request.as_bytes());
        if answered.and_then(|()| stream.read_to_end(&mut Vec::new())).is_err() {
            return;
        }
        thread::sleep(Duration::from_secs(1));
    }
}

/// Streams and answers of which nothing is ever read.
fn slow(address: &str) {
    let paths = ["/tap/high_value", "/tap/nowhere", "/events?limit=2000", "/stream", "/stats"];
    let mut kept = Vec::new();
    for place in 0..SLOW {
        let path = paths[place % paths.len()];
        let mut stream = ask(address, path);
        if path == "/stats" {
            // Many answers at once, since one alone is small.
            let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
            stream.write_all(request.repeat(200).as_bytes()).unwrap();
        }
        kept.push(stream);
    }
    println!("connected");
    loop {
        thread::park();
    }
}
