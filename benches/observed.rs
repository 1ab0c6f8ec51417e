//! What it costs a pipeline at full speed to be looked at: the same run without HTTP, with it and
//! nobody there, with a live page open, and with a hundred clients that ask and never read.
//!
//! `cargo bench --bench observed` runs the variants in turn, round by round, and prints for each the
//! median of its rounds, and of the ratio to the run without HTTP in the same round: in events per
//! second, which feels whatever else the machine does, and in processor time an event, which hardly
//! does. The clients are a process of their own, so their processor time is not counted.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use engine::clock::{ProcessorTime, Stopwatch};
use engine::engine::Engine;
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
const EVENTS: u64 = 3_000_000;
const ROUNDS: usize = 7;

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

/// What a run took.
#[derive(Clone, Copy)]
struct Cost {
    events_per_second: f64,
    nanos_per_event: f64,
}

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
    let mut costs: Vec<[Cost; 4]> = Vec::new();
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
    println!("{:<24}{:>14}{:>8}{:>14}{:>8}", "", "events/s", "ratio", "CPU ns/event", "ratio");
    for (place, looks) in Looks::ALL.into_iter().enumerate() {
        let of = |figure: fn(&Cost) -> f64| {
            let figures = median(costs.iter().map(|round| figure(&round[place])));
            let ratios =
                median(costs.iter().map(|round| figure(&round[place]) / figure(&round[0])));
            (figures, ratios)
        };
        let (rate, rate_ratio) = of(|cost| cost.events_per_second);
        let (cpu, cpu_ratio) = of(|cost| cost.nanos_per_event);
        println!("{:<24}{rate:>14.0}{rate_ratio:>8.3}{cpu:>14.0}{cpu_ratio:>8.3}", looks.name());
    }
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn run(looks: Looks) -> Cost {
    let mut spec = PIPELINE.replace("EVENTS", &EVENTS.to_string());
    let mut clients = None;
    if looks != Looks::WithoutHttp {
        let address = free_address();
        clients = (looks != Looks::Nobody).then(|| Clients::start(&address, looks));
        let _ = write!(spec, "monitoring: {{ http: '{address}' }}");
    }
    let end = Arc::new(End::default());
    let engine = Engine::from_yaml(&spec).unwrap().with_observer(end.clone());
    let (wall, cpu) = (Stopwatch::start(), ProcessorTime::Process.now());
    end.begin(wall, cpu);
    let session = engine.start().unwrap();
    if let Some(clients) = &mut clients {
        clients.wait();
    }
    let report = session.wait();
    assert!(report.is_success() && report.statistics.events_generated == EVENTS);
    end.cost()
}

/// Notes when the stages have ended: the server waits a moment more for its clients.
#[derive(Default)]
struct End(Mutex<Option<(Stopwatch, Duration)>>, OnceLock<(Duration, Duration)>);

impl End {
    fn begin(&self, wall: Stopwatch, cpu: Duration) {
        *self.0.lock().unwrap() = Some((wall, cpu));
    }

    fn cost(&self) -> Cost {
        let (wall, cpu) = self.1.get().unwrap();
        Cost {
            events_per_second: EVENTS as f64 / wall.as_secs_f64(),
            nanos_per_event: cpu.as_nanos() as f64 / EVENTS as f64,
        }
    }
}

impl Observer for End {
    fn ended(&self) {
        let (wall, cpu) = self.0.lock().unwrap().unwrap();
        let _ = self.1.set((wall.elapsed(), ProcessorTime::Process.now().saturating_sub(cpu)));
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
