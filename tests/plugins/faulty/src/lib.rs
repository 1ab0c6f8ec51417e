//! A plugin of each kind that does its work, but for the call that its settings name: there it
//! panics, in one way or another, or fails.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine_plugin::serde_json::{Value, json};
use engine_plugin::{
    Correlator, Delivery, Engine, Enricher, Error, Events, Key, Observed, Output, Plugin, Poll,
    Retained, Rows, Sink, Source, export_plugins, schemars, serde,
};

/// Misbehaves when it is told to.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "engine_plugin::serde", deny_unknown_fields)]
#[schemars(crate = "engine_plugin::schemars")]
pub struct Settings {
    /// What it does.
    #[serde(default)]
    fault: Fault,
    /// In which call.
    #[serde(default)]
    at: String,
    /// Behind how many of these calls.
    #[serde(default)]
    after: u64,
    /// How many events a source gives.
    #[serde(default = "thousand")]
    count: u64,
}

fn thousand() -> u64 {
    1000
}

/// What it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "engine_plugin::serde", rename_all = "snake_case")]
#[schemars(crate = "engine_plugin::schemars")]
pub enum Fault {
    /// Nothing wrong.
    #[default]
    None,
    /// Panics with a text.
    Panic,
    /// Panics with something that is no text.
    PanicNumber,
    /// Panics with something that panics when it is dropped.
    PanicTwice,
    /// Panics in a thread of its own, and waits for it.
    PanicThread,
    /// Panics while a lock is held, and each time afterwards that it finds it so.
    PanicLocked,
    /// Fails: the settings are wrong.
    Config,
    /// Fails: not now.
    Retry,
    /// Fails: never.
    Rejected,
    /// Fails: it cannot go on.
    Fatal,
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        // It is dropped by whoever caught it, so it is not under way already.
        assert!(std::thread::panicking(), "a payload that panics when it is dropped");
    }
}

static LOCK: Mutex<()> = Mutex::new(());

/// What all four kinds have.
struct Faulty {
    settings: Settings,
    engine: Engine,
    n: Key,
    calls: AtomicU64,
    given: u64,
    kept: Vec<Retained>,
}

impl Faulty {
    fn new(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        let (calls, given, kept) = (AtomicU64::new(0), 0, Vec::new());
        let n = engine.key("payload.n")?;
        let faulty = Self { settings, engine: engine.clone(), n, calls, given, kept };
        faulty.may_fail("create")?;
        if faulty.settings.at == "on_stop" {
            engine.on_stop(|| panic!("on_stop panics"));
        }
        Ok(faulty)
    }

    /// Does what the settings say, if this is the call.
    fn may_fail(&self, call: &str) -> Result<(), Error> {
        let Settings { fault, at, after, .. } = &self.settings;
        if at != call || self.calls.fetch_add(1, Ordering::Relaxed) < *after {
            return Ok(());
        }
        match fault {
            Fault::None => Ok(()),
            Fault::Panic => panic!("{call} panics"),
            Fault::PanicNumber => std::panic::panic_any(4711),
            Fault::PanicTwice => std::panic::panic_any(PanicsWhenDropped),
            Fault::PanicThread => {
                let thread = std::thread::spawn(|| panic!("a thread panics"));
                self.engine.warn(format_args!("a thread ended: {}", thread.join().is_err()));
                Ok(())
            }
            Fault::PanicLocked => {
                let _lock = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
                panic!("{call} panics with a lock")
            }
            Fault::Config => Err(Error::config(format_args!("{call} finds its settings wrong"))),
            Fault::Retry => Err(Error::retry(format_args!("{call} may do it later"))),
            Fault::Rejected => Err(Error::rejected(format_args!("{call} never does it"))),
            Fault::Fatal => Err(Error::fatal(format_args!("{call} cannot go on"))),
        }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        if let Err(error) = self.may_fail("destroy") {
            self.engine.error(error);
        }
    }
}

/// Declares a plugin around [`Faulty`].
macro_rules! plugin {
    ($type:ident, $name:literal) => {
        #[doc = concat!("`", $name, "`")]
        pub struct $type(Faulty);

        impl Plugin for $type {
            const NAME: &'static str = $name;
            const EXAMPLE: &'static str = "fault: none\n";
            type Settings = Settings;

            fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
                Faulty::new(settings, engine).map(Self)
            }

            fn start(&mut self) -> Result<(), Error> {
                self.0.may_fail("start")
            }
        }
    };
}

plugin!(FaultySource, "faulty_source");
plugin!(FaultyEnricher, "faulty_enricher");
plugin!(FaultyCorrelator, "faulty_correlator");
plugin!(FaultySink, "faulty_sink");

impl Enricher for FaultyEnricher {
    fn enrich(&mut self, rows: &mut Rows<'_>) -> Result<(), Error> {
        // Half of the work is done when it fails.
        for row in 0..rows.len() / 2 {
            rows.set(row, self.0.n, -1_i64);
        }
        self.0.may_fail("process")?;
        for row in 0..rows.len() {
            rows.set(row, self.0.n, self.0.given as i64);
            self.0.given += 1;
        }
        Ok(())
    }
}

impl Correlator for FaultyCorrelator {
    const REMEMBERS: bool = true;

    fn observe(&mut self, events: &mut Observed<'_>, out: &mut Output<'_>) -> Result<(), Error> {
        for row in 0..events.len() {
            let made = out.push_caused_by("probe_seen", events, row);
            out.set(made, self.0.n, self.0.given as i64);
            self.0.given += 1;
        }
        self.0.may_fail("correlate")
    }

    fn tick(&mut self, _: i64, out: &mut Output<'_>) -> Result<(), Error> {
        if self.0.settings.at == "tick" {
            out.push("probe_ticked");
        }
        self.0.may_fail("tick")
    }

    fn drain(&mut self, _: i64, _: &mut Output<'_>) -> Result<(), Error> {
        self.0.may_fail("drain")
    }

    fn save(&self) -> Value {
        // It has no way to fail but to panic.
        if let Err(error) = self.0.may_fail("save") {
            panic!("{error}");
        }
        json!({ "given": self.0.given })
    }

    fn restore(&mut self, state: Value) -> Result<(), Error> {
        self.0.may_fail("restore")?;
        self.0.given = state["given"].as_u64().ok_or_else(|| Error::fatal("no `given`"))?;
        Ok(())
    }
}

impl Source for FaultySource {
    const REMEMBERS: bool = true;

    fn poll(&mut self, out: &mut Output<'_>, max: usize, _: Duration) -> Result<Poll, Error> {
        self.0.may_fail("poll")?;
        for _ in 0..max {
            if self.0.given == self.0.settings.count {
                break;
            }
            let row = out.push("probe_sent");
            out.set(row, self.0.n, self.0.given as i64);
            self.0.given += 1;
        }
        Ok(if out.is_empty() { Poll::End } else { Poll::Ready(self.0.given) })
    }

    fn ack(&mut self, _: u64) -> Result<(), Error> {
        self.0.may_fail("ack")
    }

    fn save(&self) -> Value {
        if let Err(error) = self.0.may_fail("save") {
            panic!("{error}");
        }
        json!({ "given": self.0.given })
    }

    fn restore(&mut self, state: Value) -> Result<(), Error> {
        self.0.may_fail("restore")?;
        self.0.given = state["given"].as_u64().ok_or_else(|| Error::fatal("no `given`"))?;
        Ok(())
    }
}

impl Sink for FaultySink {
    fn write(&mut self, events: &Events<'_>, delivery: Delivery) {
        let mut json = Vec::new();
        for row in 0..events.len() {
            events.write_json(row, &mut json);
        }
        self.0.kept.truncate(1);
        self.0.kept.extend(events.retain());
        match self.0.may_fail("write") {
            Ok(()) => delivery.delivered(),
            Err(error) => delivery.refused(error),
        }
    }

    fn flush(&mut self, done: Delivery) {
        match self.0.may_fail("flush") {
            Ok(()) => done.delivered(),
            Err(error) => done.refused(error),
        }
    }
}

export_plugins!(
    source FaultySource,
    enricher FaultyEnricher,
    correlator FaultyCorrelator,
    sink FaultySink,
);
