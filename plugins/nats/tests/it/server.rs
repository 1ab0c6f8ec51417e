//! A real `nats-server` on loopback.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

const PROGRAM: &str = "nats-server";

/// Whether there is the program; if not, a test is to be skipped. `ENGINE_TEST_REQUIRE` names what
/// must not be skipped.
pub(crate) fn is_there() -> bool {
    static IS_THERE: OnceLock<bool> = OnceLock::new();
    *IS_THERE.get_or_init(|| {
        let is_there = Command::new(PROGRAM).arg("--version").output().is_ok();
        let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
        let is_required = required.split(',').any(|name| name.trim() == PROGRAM);
        assert!(is_there || !is_required, "there is no `{PROGRAM}`, which is required");
        if !is_there {
            println!("skipped: {PROGRAM} is not installed");
        }
        is_there
    })
}

/// A server with a folder for its streams.
pub(crate) struct Server {
    child: Killed,
    folder: tempfile::TempDir,
    config: String,
    pub(crate) port: u16,
}

impl Server {
    /// A server with streams in files, on a port of its own.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// The same, with more in its configuration.
    pub(crate) fn with(config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let streams =
            format!("jetstream {{ store_dir: \"{}\" }}\n", folder.path().join("streams").display());
        Self::plain(folder, &(streams + config))
    }

    /// A server with nothing but what is in its configuration.
    pub(crate) fn plain(folder: tempfile::TempDir, config: &str) -> Self {
        let (child, port) = run(&folder, config, 0);
        Self { child, folder, config: config.to_owned(), port }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills it, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.signal("KILL");
        self.child.0.wait().unwrap();
    }

    /// Starts it again, on the same port, with what was in its streams.
    pub(crate) fn restart(&mut self) {
        let (child, port) = run(&self.folder, &self.config, self.port);
        assert_eq!(port, self.port);
        self.child = child;
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.0.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }
}

/// A program that is killed when it is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may be killed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the program until it says that it is ready, and which port it has.
fn run(folder: &tempfile::TempDir, config: &str, port: u16) -> (Killed, u16) {
    let port = if port == 0 { "-1".to_owned() } else { port.to_string() };
    let path = folder.path().join("server.conf");
    std::fs::write(&path, format!("listen: \"127.0.0.1:{port}\"\n{config}")).unwrap();
    let mut command = Command::new(PROGRAM);
    command.arg("-c").arg(&path).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = Killed(command.spawn().unwrap());
    let stderr = child.0.stderr.take().unwrap();
    let mut lines = BufReader::new(stderr).lines().map_while(Result::ok);
    let (mut port, mut said) = (None, String::new());
    for line in lines.by_ref() {
        if let Some((_, address)) = line.split_once("Listening for client connections on ") {
            port = address.rsplit_once(':').and_then(|(_, port)| port.trim().parse().ok());
        }
        if line.contains("Server is ready") {
            // What it says is read on, so that it never waits for a reader.
            std::thread::spawn(move || lines.for_each(drop));
            return (child, port.expect("it said where it listens"));
        }
        said += &(line + "\n");
    }
    panic!("it never was ready:\n{said}")
}
