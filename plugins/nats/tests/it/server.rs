//! A real `nats-server` on loopback, and a client that looks at what it has.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use async_nats::Client;
use async_nats::jetstream::{self, Context};
use serde_json::Value;
use tokio::runtime::Runtime;

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
        self.child.0.kill().unwrap();
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

    /// Another client.
    pub(crate) fn client(&self) -> Look {
        let runtime = Runtime::new().unwrap();
        let client = runtime.block_on(async_nats::connect(self.url())).unwrap();
        let jetstream = {
            let _inside = runtime.enter();
            jetstream::new(client.clone())
        };
        Look { runtime, client, jetstream }
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

/// A client that looks at streams.
pub(crate) struct Look {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
}

/// A message of a stream.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) content_type: String,
    pub(crate) event: Value,
}

impl Look {
    /// A stream of these subjects.
    pub(crate) fn make_stream(&self, name: &str, subjects: &[&str]) {
        self.make_stream_with(jetstream::stream::Config {
            name: name.to_owned(),
            subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
            ..Default::default()
        });
    }

    pub(crate) fn make_stream_with(&self, config: jetstream::stream::Config) {
        self.runtime.block_on(self.jetstream.create_stream(config)).unwrap();
    }

    /// The messages of a stream, in order.
    pub(crate) fn stored(&self, stream: &str) -> Vec<Stored> {
        self.runtime.block_on(async {
            let mut stream = self.jetstream.get_stream(stream).await.unwrap();
            let state = stream.info().await.unwrap().state.clone();
            let mut stored = Vec::new();
            if state.messages == 0 {
                return stored;
            }
            for sequence in state.first_sequence..=state.last_sequence {
                let message = stream.get_raw_message(sequence).await.unwrap();
                let header = |name: &str| message.headers.get(name).unwrap().as_str().to_owned();
                stored.push(Stored {
                    subject: message.subject.to_string(),
                    id: header("Nats-Msg-Id"),
                    content_type: header("content-type"),
                    event: serde_json::from_slice(&message.payload).unwrap(),
                });
            }
            stored
        })
    }

    /// The ids of a stream, in order.
    pub(crate) fn ids(&self, stream: &str) -> Vec<String> {
        self.stored(stream).into_iter().map(|stored| stored.id).collect()
    }
}
