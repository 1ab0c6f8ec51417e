//! `engine top`: on a real terminal, which tmux is, and in a pipe.

use std::process::{Command, Output};

use crate::harness::Test;
use crate::served::Served;

/// A run that is served, which may be changed by who knows `s3cret-token`.
fn shop() -> Served {
    Served::shop(&["--set", "monitoring.token=s3cret-token"])
}

/// How often it is looked at the screen until the test has failed: a look takes some milliseconds.
const LOOKS_MAX: usize = 10_000;

/// A terminal of its own.
struct Terminal {
    folder: tempfile::TempDir,
}

impl Terminal {
    /// A terminal in which `engine top` runs; none where there is no tmux and
    /// `ENGINE_TEST_REQUIRE` does not ask for one.
    fn start(size: (u16, u16), token: &str, arguments: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let terminal = Self { folder };
        if Command::new("tmux").arg("-V").output().is_err() {
            let required = std::env::var("ENGINE_TEST_REQUIRE").unwrap_or_default();
            assert!(required.split(',').all(|name| name != "tmux"), "tmux not found");
            println!("skipped: tmux not found");
            return None;
        }
        let (width, height) = (size.0.to_string(), size.1.to_string());
        let (engine, folder) = (env!("CARGO_BIN_EXE_engine"), terminal.folder.path().display());
        // `exec` keeps the process id that was noted.
        let top = format!("echo $$ > {folder}/process; exec {engine} top {arguments}");
        let line =
            format!("echo before; ENGINE_TOKEN={token} sh -c '{top}'; echo left with $?; exec cat");
        let begun = terminal.tmux(&["new-session", "-d", "-x", &width, "-y", &height, &line]);
        assert!(begun.status.success(), "{begun:?}");
        Some(terminal)
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let socket = self.folder.path().join("tmux");
        let mut command = Command::new("tmux");
        command.args(["-f", "/dev/null", "-S"]).arg(socket).args(arguments);
        command.env_remove("TMUX").env_remove("NO_COLOR").env("LC_ALL", "C.UTF-8");
        command.output().unwrap()
    }

    fn screen(&self) -> String {
        String::from_utf8(self.tmux(&["capture-pane", "-p"]).stdout).unwrap()
    }

    /// Something that tmux knows of the terminal.
    fn tell(&self, what: &str) -> String {
        let told = self.tmux(&["display-message", "-p", what]);
        String::from_utf8(told.stdout).unwrap().trim_end().to_owned()
    }

    fn press(&self, keys: &[&str]) {
        let pressed = self.tmux(&[&["send-keys"], keys].concat());
        assert!(pressed.status.success(), "{pressed:?}");
    }

    /// Looks until the screen is as it should be.
    #[track_caller]
    fn wait_until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let looks = (0..LOOKS_MAX).map(|_| self.screen());
        match looks.into_iter().find(|screen| wanted(screen)) {
            Some(screen) => screen,
            None => panic!("the screen never was as it should be:\n{}", self.screen()),
        }
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        self.wait_until(|screen| screen.contains(text))
    }

    /// Waits for the end of `engine top`, which left the terminal as it was: what was on it before is
    /// there again, with a cursor behind it.
    #[track_caller]
    fn is_given_back(&self) {
        let screen = self.wait_for("left with 0");
        assert!(screen.starts_with("before"), "{screen}");
        assert_eq!(self.tell("#{alternate_on} #{cursor_flag} #{mouse_any_flag}"), "0 1 0");
        // What is typed is echoed, so the terminal gives lines again.
        self.press(&["echoed", "Enter"]);
        self.wait_until(|screen| screen.matches("echoed").count() == 2);
    }

    /// The process of `engine top`.
    fn process(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("process")).unwrap().trim().to_owned()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // There is none where tmux is missing.
        let _ = Command::new("tmux")
            .arg("-S")
            .arg(self.folder.path().join("tmux"))
            .arg("kill-server")
            .output();
    }
}

/// How long the run has been going on, as the screen says.
fn up(screen: &str) -> Option<&str> {
    screen.split_once(" up ")?.1.split("  ").next()
}

#[test]
fn the_screen_moves_and_keys_pause_speed_up_and_stop_the_run() {
    let shop = shop();
    let Some(terminal) = Terminal::start((80, 24), "s3cret-token", &shop.address) else {
        shop.stop().exits(0);
        return;
    };
    let first = terminal.wait_for("healthy");
    for text in ["shop  running", "stores", "source", "sink", "events/s", "event types"] {
        assert!(first.contains(text), "{text}\n{first}");
    }
    let since = up(&first).unwrap().to_owned();
    terminal.wait_until(|screen| up(screen).is_some_and(|now| now != since));
    terminal.press(&["p"]);
    terminal.wait_for("shop  paused");
    assert_eq!(shop.get("/state")["phase"], "paused");
    terminal.press(&["p"]);
    terminal.wait_for("shop  running");
    terminal.press(&["+"]);
    terminal.wait_for("speed 120");
    assert_eq!(shop.get("/state")["speed"], 120.0);
    terminal.press(&["Down"]);
    terminal.wait_for("events of stores");
    terminal.wait_for("receipt_created");
    terminal.press(&["Escape"]);
    terminal.wait_for("last failures");
    terminal.press(&["?"]);
    terminal.wait_for("look into a stage");
    terminal.press(&["Enter"]);
    terminal.press(&["s"]);
    terminal.wait_for("stop the run?");
    terminal.press(&["y"]);
    terminal.wait_for("shop  ended");
    terminal.wait_for("the run has ended");
    terminal.press(&["q"]);
    terminal.is_given_back();
    shop.end().exits(0).says("the accounts add up");
}

#[test]
fn a_signal_gives_the_terminal_back_too() {
    let shop = shop();
    for signal in ["TERM", "INT", "HUP"] {
        let Some(terminal) = Terminal::start((100, 30), "", &shop.address) else { break };
        terminal.wait_for("healthy");
        let id = terminal.process();
        let killed = Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap();
        assert!(killed.success());
        terminal.is_given_back();
    }
    shop.stop().exits(0);
}

#[test]
fn without_a_token_keys_change_nothing_and_a_run_that_is_gone_is_looked_for() {
    let shop = shop();
    let Some(terminal) = Terminal::start((80, 24), "", &shop.address) else {
        shop.stop().exits(0);
        return;
    };
    terminal.wait_for("healthy");
    terminal.press(&["p"]);
    terminal.wait_for("that needs the run's token");
    assert_eq!(shop.get("/state")["phase"], "running");
    shop.running.signal("KILL");
    terminal.wait_for("looking for it again");
    terminal.press(&["q"]);
    terminal.is_given_back();
}

#[test]
fn a_small_terminal_shows_what_it_can_while_it_changes_its_size() {
    let shop = shop();
    let arguments = format!("{} --interval 200ms", shop.address);
    let Some(terminal) = Terminal::start((40, 10), "", &arguments) else {
        shop.stop().exits(0);
        return;
    };
    terminal.wait_for("shop  running");
    for (width, height) in [("3", "2"), ("200", "50"), ("40", "10")] {
        let resized = terminal.tmux(&["resize-window", "-x", width, "-y", height]);
        assert!(resized.status.success(), "{resized:?}");
    }
    terminal.wait_for("stores");
    terminal.press(&["C-c"]);
    terminal.is_given_back();
    shop.stop().exits(0);
}

#[test]
fn in_a_pipe_it_prints_a_table_and_ends() {
    let shop = shop();
    shop.wait_until(|live| live["health"] == true);
    let ended = Test::new(&["top", &shop.address]).run().exits(0);
    let ended = ended.prints("shop  running  2024-11-29T").prints("healthy").prints("blackhole");
    assert!(!ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
    shop.stop().exits(0);
}
