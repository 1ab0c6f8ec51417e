//! The engine against thirty lines of Python with orjson on the same lines: events a CPU second,
//! whole processes. `cargo bench --bench against_python`
//!
//! Each row is a pair in `benches/against_python`, a spec and a script that does the same. Both
//! read the same 300 000 receipts, one after the other, and the middle of the tries counts.
//! `ENGINE_TEST_PYTHON` says which Python has orjson, `python3` otherwise.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

const EVENTS: f64 = 300_000.0;
const TRIES: usize = 7;

/// A pair, and whether both write the same bytes: derived events differ in their ids.
const PAIRS: [(&str, bool); 3] = [("pass", true), ("enrich", true), ("running_sum", false)];

/// What one try took.
#[derive(Clone, Copy)]
struct Took {
    seconds: f64,
    cpu_seconds: f64,
}

fn main() {
    let python = std::env::var("ENGINE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut orjson = Command::new(&python);
    orjson.args(["-c", "import orjson"]).stderr(Stdio::null());
    if !orjson.status().is_ok_and(|status| status.success()) {
        println!("skipped: `{python}` has no orjson; `ENGINE_TEST_PYTHON` says which one does");
        return;
    }
    let pairs = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/against_python");
    let folder = tempfile::tempdir().unwrap();
    let run = |program: &[&str], file: String, out: &str| {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(pairs.join(file)).current_dir(&folder);
        command.env("LINES", folder.path().join("lines")).env("OUT", folder.path().join(out));
        take_time(&mut command)
    };
    let engine = [env!("CARGO_BIN_EXE_engine"), "run"];
    run(&engine, "lines.yaml".to_owned(), "none");
    println!("             |  engine ev/CPU s  wall s |  python ev/CPU s  wall s | ratio");
    for (pair, is_same) in PAIRS {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TRIES {
            ours.push(run(&engine, format!("{pair}.yaml"), "ours"));
            theirs.push(run(&[&python], format!("{pair}.py"), "theirs"));
        }
        let [one, other] = ["ours", "theirs"].map(|out| fs::read(folder.path().join(out)).unwrap());
        let lines = |text: &[u8]| text.split(|byte| *byte == b'\n').count() - 1;
        assert!(lines(&one) > 0 && lines(&one) == lines(&other), "{pair} differs");
        assert!(!is_same || one == other, "{pair} differs");
        let (ours, theirs) = (middle(ours), middle(theirs));
        println!(
            "{pair:<12} | {:>16.0} {:>7.2} | {:>16.0} {:>7.2} | {:>5.2}",
            EVENTS / ours.cpu_seconds,
            ours.seconds,
            EVENTS / theirs.cpu_seconds,
            theirs.seconds,
            theirs.cpu_seconds / ours.cpu_seconds,
        );
    }
}

fn middle(mut tries: Vec<Took>) -> Took {
    tries.sort_by(|one, other| one.cpu_seconds.total_cmp(&other.cpu_seconds));
    tries[tries.len() / 2]
}

fn take_time(command: &mut Command) -> Took {
    let (wall, cpu) = (now(), cpu_of_children());
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
    Took { seconds: now() - wall, cpu_seconds: cpu_of_children() - cpu }
}

#[expect(clippy::disallowed_methods, reason = "a bench asks the clock")]
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// CPU seconds of all children that have ended, user and system (proc(5), fields 16 and 17 of
/// `stat`, in hundredths).
fn cpu_of_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(13).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}
