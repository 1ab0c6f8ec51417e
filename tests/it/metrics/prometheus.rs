//! A real Prometheus on loopback, and what it makes of a text.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use super::http;
use crate::harness::{project, project_text};

/// Whether there are `prometheus` and `promtool`; if not, a test is to be skipped.
/// `ENGINE_TEST_REQUIRE` names what must not be skipped.
pub(crate) fn is_there() -> bool {
    static IS_THERE: OnceLock<bool> = OnceLock::new();
    *IS_THERE.get_or_init(|| {
        let runs = |program: &str| Command::new(program).arg("--version").output().is_ok();
        let is_there = runs("prometheus") && runs("promtool");
        let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
        let is_required = required.split(',').any(|name| name.trim() == "prometheus");
        assert!(is_there || !is_required, "there is no `prometheus`, which is required");
        if !is_there {
            println!("skipped: prometheus not found");
        }
        is_there
    })
}

/// What `promtool check metrics` has to say of a text; nothing where it is as it should be.
pub(crate) fn complaints(text: &str) -> String {
    let mut check = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    check.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let done = check.wait_with_output().unwrap();
    let said = String::from_utf8([done.stdout, done.stderr].concat()).unwrap();
    assert!(done.status.success() || !said.is_empty(), "promtool: {}", done.status);
    said
}

/// A server that scrapes an engine each second, with the alerts loaded. It ends when it is dropped.
pub(crate) struct Prometheus {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Begins to scrape, with the configuration that is shipped but for its place and its pace.
    pub(crate) fn of(target: &str) -> Self {
        let shipped = std::fs::read_to_string(project("deploy/prometheus/prometheus.yml")).unwrap();
        let config = shipped
            .replace("127.0.0.1:8080", target)
            .replace(" 15s", " 1s")
            .replace("- rules.yml", &format!("- {}", project_text("deploy/prometheus/rules.yml")));
        assert!(config.contains(target) && config.contains("scrape_interval: 1s"), "{config}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prometheus.yml");
        std::fs::write(&path, config).unwrap();
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let listening = said.find(|line| line.contains("\"Listening on\""));
        let listening = listening.expect("it says where it listens");
        let address = listening.rsplit_once("address=").unwrap().1.trim().to_owned();
        let is_ready = said.any(|line| line.contains("Server is ready"));
        assert!(is_ready, "it ended before it was ready");
        // Whoever speaks to nobody stops when the pipe is full.
        std::thread::spawn(move || said.for_each(drop));
        Self { child, address, _folder: folder }
    }

    /// What its API says under a path.
    pub(crate) fn api(&self, path: &str) -> Value {
        let (_, body) = http::get(&self.address, &format!("/api/v1/{path}")).unwrap();
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// The series that a query gives, each with its value now.
    pub(crate) fn query(&self, query: &str) -> Vec<(Value, f64)> {
        let answer = self.api(&format!("query?query={}", http::escaped(query)));
        let series = answer["data"]["result"].as_array();
        let series = series.unwrap_or_else(|| panic!("{query}: {answer}")).iter();
        let value = |series: &Value| series["value"][1].as_str().unwrap().parse().unwrap();
        series.map(|series| (series["metric"].clone(), value(series))).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
