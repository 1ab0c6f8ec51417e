//! Looks now and then whether a call of a plugin takes too long, and says so. It can do no more: a
//! call that hangs cannot be ended.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::Duration;

use engine_plugin::host::Calls;

use crate::clock::Stopwatch;
use crate::monitor::{MetricKind, StageMetrics};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A call that is the same at so many looks is told.
const LOOKS: u32 = 6;

/// An instance that is watched, until it is gone.
struct Watched {
    stage: String,
    plugin: String,
    calls: Weak<Calls>,
    metrics: StageMetrics,
    /// The call at the last look, and at how many looks it was the same.
    seen: Option<(u64, u32)>,
}

static WATCH: LazyLock<Option<Mutex<Sender<Watched>>>> = LazyLock::new(|| {
    let (sender, receiver) = channel();
    let watchdog = std::thread::Builder::new().name("plugin watchdog".to_owned());
    // Without a thread for it there is no watchdog, and all else is the same.
    watchdog.spawn(move || watch(&receiver)).ok()?;
    Some(Mutex::new(sender))
});

/// Watches an instance until it is gone.
pub(super) fn watch_over(stage: &str, plugin: &str, calls: &Arc<Calls>, metrics: &StageMetrics) {
    let watched = Watched::new(stage, plugin, calls, metrics);
    if let Some(watch) = &*WATCH {
        let _ = watch.lock().unwrap_or_else(PoisonError::into_inner).send(watched);
    }
}

fn watch(newcomers: &Receiver<Watched>) {
    // With nobody to watch, it waits for the first.
    while let Ok(first) = newcomers.recv() {
        let mut watch = Watch { watched: vec![first], looked: Stopwatch::start() };
        while watch.goes_on(newcomers, LOOK_EVERY) {}
    }
}

/// All instances that are watched.
struct Watch {
    watched: Vec<Watched>,
    /// Since the last look.
    looked: Stopwatch,
}

impl Watch {
    /// Takes a newcomer, or looks if it is time: however many come, they do not put that off. Says
    /// whether there is still one to watch.
    fn goes_on(&mut self, newcomers: &Receiver<Watched>, every: Duration) -> bool {
        let newcomer = match every.saturating_sub(self.looked.elapsed()) {
            Duration::ZERO => Err(RecvTimeoutError::Timeout),
            left => newcomers.recv_timeout(left),
        };
        match newcomer {
            Ok(newcomer) => {
                // Those that are gone make room: what is remade often would pile up otherwise.
                self.watched.retain(Watched::is_there);
                self.watched.push(newcomer);
            }
            Err(RecvTimeoutError::Timeout) => {
                self.looked = Stopwatch::start();
                self.watched.retain_mut(Watched::look);
            }
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        !self.watched.is_empty()
    }
}

impl Watched {
    fn new(stage: &str, plugin: &str, calls: &Arc<Calls>, metrics: &StageMetrics) -> Self {
        Self {
            stage: stage.to_owned(),
            plugin: plugin.to_owned(),
            calls: Arc::downgrade(calls),
            metrics: metrics.clone(),
            seen: None,
        }
    }

    fn is_there(&self) -> bool {
        self.calls.strong_count() > 0
    }

    /// Looks, and says whether it is still there.
    fn look(&mut self) -> bool {
        let Some(calls) = self.calls.upgrade() else { return false };
        let Some((number, name)) = calls.current() else {
            self.seen = None;
            return true;
        };
        let looks = match self.seen {
            Some((seen, looks)) if seen == number => looks + 1,
            _ => 1,
        };
        self.seen = Some((number, looks));
        if looks == LOOKS {
            let (stage, plugin) = (&self.stage, &self.plugin);
            let seconds = (LOOK_EVERY * (LOOKS - 1)).as_secs();
            tracing::warn!(stage, "the plugin `{plugin}` is in `{name}` for {seconds} s now");
            if let Ok(counter) = self.metrics.add(MetricKind::Counter, "hung_calls", "calls") {
                self.metrics.record(counter, 1.0);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, channel};

    use engine_plugin::{Engine, Error, Plugin, Rows, boundary, host};
    use serde_json::json;

    use super::*;
    use crate::monitor::MetricValue;
    use crate::plugin::made::Maker;

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Settings {}

    /// Says that it is in a call, and stays there until it is told to come back.
    struct Hangs;

    static IN_CALL: Mutex<Option<(Sender<()>, Receiver<()>)>> = Mutex::new(None);

    impl Plugin for Hangs {
        const NAME: &'static str = "hangs";
        const EXAMPLE: &'static str = "{}";
        type Settings = Settings;

        fn create(_: Settings, _: &Engine) -> Result<Self, Error> {
            Ok(Self)
        }

        fn start(&mut self) -> Result<(), Error> {
            let (entered, back) = IN_CALL.lock().unwrap().take().unwrap();
            entered.send(()).unwrap();
            back.recv().map_err(Error::fatal)
        }
    }

    impl engine_plugin::Enricher for Hangs {
        fn enrich(&mut self, _: &mut Rows<'_>) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn a_call_that_is_the_same_at_each_look_is_told_once() {
        let descriptor = host::exported(boundary::enricher::<Hangs>("1.0.0")).unwrap();
        let maker = Maker::new(&descriptor, "tested", json!({}));
        let mut instance = maker.create().unwrap();
        let mut watched = Watched::new("tested", "hangs", &instance.calls(), &maker.metrics);
        let hung = || StageMetrics::tally(std::slice::from_ref(&maker.metrics));
        assert!(watched.look());
        let ((entered, in_call), (back, comes_back)) = (channel(), channel());
        *IN_CALL.lock().unwrap() = Some((entered, comes_back));
        let thread = std::thread::spawn(move || {
            instance.start().unwrap();
            instance
        });
        in_call.recv().unwrap();
        for _ in 1..LOOKS {
            assert!(watched.look() && hung().is_empty());
        }
        for _ in 0..LOOKS {
            assert!(watched.look());
            assert_eq!(hung()["hung_calls"].value, MetricValue::Counter { value: 1.0 });
        }
        back.send(()).unwrap();
        let instance = thread.join().unwrap();
        assert!(watched.look() && watched.seen.is_none());
        drop(instance);
        assert!(!watched.look(), "what is gone is watched no more");
    }

    fn watched(calls: &Arc<Calls>) -> Watched {
        Watched::new("tested", "remade", calls, &StageMetrics::default())
    }

    #[test]
    fn newcomers_neither_put_off_a_look_nor_pile_up_when_they_are_gone() {
        let (sender, newcomers) = channel();
        let calls = Arc::new(Calls::default());
        let mut watch = Watch { watched: vec![watched(&calls)], looked: Stopwatch::start() };
        sender.send(watched(&Arc::default())).unwrap();
        watch.watched[0].seen = Some((1, 3));
        assert!(watch.goes_on(&newcomers, Duration::ZERO));
        assert_eq!(watch.watched[0].seen, None, "it looked");
        assert_eq!(watch.watched.len(), 1, "the newcomer is not taken before it");

        for _ in 0..10 {
            sender.send(watched(&Arc::default())).unwrap();
            assert!(watch.goes_on(&newcomers, Duration::from_hours(1)));
            assert!(watch.watched.len() <= 2);
        }
        drop(calls);
        assert!(!watch.goes_on(&newcomers, Duration::ZERO), "all are gone");
    }
}
