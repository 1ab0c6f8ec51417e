//! Runs the program as a user does: arguments, stdin, environment and files in a folder of its
//! own; looks at the exit code, stdout and stderr.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

/// A use of the program.
pub(crate) struct Test {
    folder: tempfile::TempDir,
    command: Command,
    stdin: String,
}

impl Test {
    /// The program with these arguments, in an empty folder.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
        command.args(arguments).current_dir(folder.path());
        for name in ["RUST_LOG", "NO_COLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        Self { folder, command, stdin: String::new() }
    }

    /// With a file in its folder.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// With a variable in its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// With a text on stdin.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        text.clone_into(&mut self.stdin);
        self
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ended {
        let (running, mut stdout) = self.start();
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        running.end(text)
    }

    /// Starts it; whoever asked reads its stdout, or does not.
    pub(crate) fn start(mut self) -> (Running, BufReader<ChildStdout>) {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        // The program may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(self.stdin.as_bytes());
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, said) = std::sync::mpsc::channel();
        let stderr = std::thread::spawn(move || {
            let mut all = String::new();
            let mut line = String::new();
            while stderr.read_line(&mut line).unwrap() > 0 {
                all.push_str(&line);
                // The test may not be interested in lines any more.
                let _ = lines.send(std::mem::take(&mut line));
            }
            all
        });
        (Running { folder: self.folder, child, stderr, said }, stdout)
    }
}

/// A program that runs.
pub(crate) struct Running {
    folder: tempfile::TempDir,
    child: Child,
    stderr: JoinHandle<String>,
    said: std::sync::mpsc::Receiver<String>,
}

impl Running {
    /// Sends it a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// A file that it writes.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in its folder, as a user does while it runs.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Puts a copy of a file in its folder in the place of another one, at once.
    pub(crate) fn replace(&self, name: &str, with: &str) {
        let (name, aside) = (self.folder.path().join(name), self.folder.path().join("aside"));
        std::fs::copy(self.folder.path().join(with), &aside).unwrap();
        std::fs::rename(aside, name).unwrap();
    }

    /// Waits until it says something on stderr.
    pub(crate) fn wait_for(&self, text: &str) {
        let found = self.said.iter().any(|line| line.contains(text));
        assert!(found, "it never said {text:?}");
    }

    /// The same: the whole line.
    pub(crate) fn wait_for_line(&self, text: &str) -> String {
        let found = self.said.iter().find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("it never said {text:?}"))
    }

    /// Waits until it ends; `stdout` is what was read from it.
    pub(crate) fn end(mut self, stdout: String) -> Ended {
        let status = self.child.wait().unwrap();
        let stderr = self.stderr.join().unwrap();
        Ended { folder: self.folder, code: status.code(), stdout, stderr }
    }
}

/// What a program left.
pub(crate) struct Ended {
    folder: tempfile::TempDir,
    /// None if a signal ended it.
    code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The program again, with what it left in its folder.
    pub(crate) fn again(self, arguments: &[&str]) -> Test {
        let mut test = Test::new(arguments);
        test.command.current_dir(self.folder.path());
        test.folder = self.folder;
        test
    }

    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Checks that stdout has a text.
    #[track_caller]
    pub(crate) fn prints(self, text: &str) -> Self {
        assert!(self.stdout.contains(text), "no {text:?} in stdout:\n{}", self.stdout);
        self
    }

    /// Checks that stderr has a text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "no {text:?} in stderr:\n{}", self.stderr);
        self
    }

    /// All that it printed, on both streams.
    pub(crate) fn printed(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Checks that neither stream has a text.
    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text), "{text:?} in stdout:\n{}", self.stdout);
        assert!(!self.stderr.contains(text), "{text:?} in stderr:\n{}", self.stderr);
        self
    }

    /// Checks that stdout has that many lines.
    #[track_caller]
    pub(crate) fn prints_lines(self, count: usize) -> Self {
        assert_eq!(self.stdout.lines().count(), count, "{}", self.stdout);
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// A path in its folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The text of a file in its folder.
    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// The names of all files in its folder.
    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A path of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A path of the project, as an argument.
pub(crate) fn project_text(path: &str) -> String {
    project(path).display().to_string()
}
