//! What an instance of a plugin may ask of the engine: the log, metrics, its settings, keys, and
//! the answers that it owes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use engine_plugin::host::Context;
use engine_plugin::{Error, Level, MetricKind, Outcome, Value, abi};
use serde_json::Value as Json;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::keys::{self, NoKey};
use crate::clock::Clock;
use crate::event::Timestamp;
use crate::monitor::{self, StageMetrics};

/// The engine as one stage's plugin sees it. Instances that follow each other share it.
pub(super) struct StageContext {
    /// The stage's name in the spec.
    stage: String,
    /// The plugin's name.
    plugin: String,
    settings: Json,
    /// Lists and objects of the settings as JSON, by JSON pointer.
    nested: HashMap<String, String>,
    metrics: StageMetrics,
    /// Who waits for the answer to a write or a flush.
    waiting: Mutex<HashMap<u64, Waiting>>,
    /// The last instance that said in an answer that it cannot go on; they count from 1.
    broken: AtomicU64,
    /// What is done when a source says that it has something.
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
    /// How many numbers of fields were made for it.
    keys_made: AtomicUsize,
    has_warned_of_keys: AtomicBool,
    /// When a correlator wants its next tick, in milliseconds since 1970.
    next_tick: AtomicI64,
    /// Event time, once a source is open.
    clock: OnceLock<Clock>,
}

impl StageContext {
    pub(super) fn new(stage: &str, plugin: &str, settings: Json, metrics: StageMetrics) -> Self {
        let mut nested = HashMap::new();
        note_nested(&settings, &mut String::new(), &mut nested);
        Self {
            stage: stage.to_owned(),
            plugin: plugin.to_owned(),
            settings,
            nested,
            metrics,
            waiting: Mutex::default(),
            broken: AtomicU64::new(0),
            wake: OnceLock::new(),
            keys_made: AtomicUsize::new(0),
            has_warned_of_keys: AtomicBool::new(false),
            next_tick: AtomicI64::new(abi::NO_TICK),
            clock: OnceLock::new(),
        }
    }

    /// Waits for the answer of this instance to this token. Where it is owed, the slot is taken until
    /// it comes, also if nobody waits for it any more.
    pub(super) fn wait_for(
        self: &Arc<Self>,
        instance: u64,
        token: u64,
        slot: Option<OwnedSemaphorePermit>,
    ) -> Answer {
        let (answer, receiver) = oneshot::channel();
        self.waiting().insert(token, Waiting { instance, answer, _slot: slot });
        Answer { context: Arc::clone(self), token, receiver, is_owed: false }
    }

    /// This instance is gone, and those before it: they answer no more.
    pub(super) fn give_up_waiting(&self, instance: u64) {
        self.waiting().retain(|_, waiting| waiting.instance > instance);
    }

    /// Whether this instance has said in an answer that it cannot go on.
    pub(super) fn is_broken(&self, instance: u64) -> bool {
        self.broken.load(Relaxed) >= instance
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how far event time is, from now on.
    pub(super) fn set_clock(&self, clock: Clock) {
        let _ = self.clock.set(clock);
    }

    /// Has something done when the source says that it has something.
    pub(super) fn on_wake(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.wake.set(Box::new(wake));
    }

    /// When a correlator wants its next tick.
    pub(super) fn tick_due(&self) -> Option<Timestamp> {
        let due = self.next_tick.load(Relaxed);
        (due != abi::NO_TICK).then(|| Timestamp::from_millis(due))
    }

    /// What was asked for has come.
    pub(super) fn forget_tick(&self) {
        self.set_tick(None);
    }

    /// What a correlator had asked for before a restart.
    pub(super) fn set_tick(&self, due: Option<Timestamp>) {
        self.next_tick(due.map(Timestamp::as_millis));
    }
}

/// Someone who waits for an answer.
struct Waiting {
    /// Which instance owes it.
    instance: u64,
    answer: oneshot::Sender<Outcome>,
    _slot: Option<OwnedSemaphorePermit>,
}

/// Notes the lists and objects in a value.
fn note_nested(value: &Json, pointer: &mut String, nested: &mut HashMap<String, String>) {
    let length = pointer.len();
    let mut below = |name: &str, value: &Json| {
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        note_nested(value, pointer, nested);
        pointer.truncate(length);
    };
    match value {
        Json::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| below(&place.to_string(), item));
        }
        Json::Object(entries) => entries.iter().for_each(|(name, value)| below(name, value)),
        _ => return,
    }
    nested.insert(pointer.clone(), value.to_string());
}

/// An answer that an instance may owe.
pub(super) struct Answer {
    context: Arc<StageContext>,
    token: u64,
    receiver: oneshot::Receiver<Outcome>,
    is_owed: bool,
}

impl Answer {
    /// The instance has promised it.
    pub(super) fn owed(mut self) -> Self {
        self.is_owed = true;
        self
    }

    /// What was answered; none if the instance was destroyed before it did.
    pub(super) async fn given(mut self) -> Option<Outcome> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.is_owed {
            self.context.waiting().remove(&self.token);
        }
    }
}

impl Context for StageContext {
    fn log(&self, level: Level, target: &str, message: &str) {
        let (stage, plugin) = (&self.stage, &self.plugin);
        let part = (!target.is_empty()).then_some(target);
        match level {
            Level::Error => tracing::error!(target: TARGET, stage, plugin, part, "{message}"),
            Level::Warn => tracing::warn!(target: TARGET, stage, plugin, part, "{message}"),
            Level::Info => tracing::info!(target: TARGET, stage, plugin, part, "{message}"),
            Level::Debug => tracing::debug!(target: TARGET, stage, plugin, part, "{message}"),
            Level::Trace => tracing::trace!(target: TARGET, stage, plugin, part, "{message}"),
        }
    }

    fn log_enabled(&self, level: Level) -> bool {
        match level {
            Level::Error => tracing::enabled!(target: TARGET, tracing::Level::ERROR),
            Level::Warn => tracing::enabled!(target: TARGET, tracing::Level::WARN),
            Level::Info => tracing::enabled!(target: TARGET, tracing::Level::INFO),
            Level::Debug => tracing::enabled!(target: TARGET, tracing::Level::DEBUG),
            Level::Trace => tracing::enabled!(target: TARGET, tracing::Level::TRACE),
        }
    }

    fn metric(&self, kind: MetricKind, name: &str, unit: &str) -> Option<u32> {
        let kind = match kind {
            MetricKind::Counter => monitor::MetricKind::Counter,
            MetricKind::Gauge => monitor::MetricKind::Gauge,
            MetricKind::Histogram => monitor::MetricKind::Histogram,
        };
        let added = self.metrics.add(kind, name, unit);
        added.inspect_err(|error| self.log(Level::Warn, "", &error.0)).ok().map(|number| number + 1)
    }

    fn record(&self, metric: u32, value: f64) {
        if let Some(number) = metric.checked_sub(1) {
            self.metrics.record(number, value);
        }
    }

    fn setting(&self, pointer: &str) -> Value<'_> {
        match self.settings.pointer(pointer) {
            None => Value::Absent,
            Some(Json::Null) => Value::Null,
            Some(Json::Bool(value)) => Value::Bool(*value),
            Some(Json::Number(number)) => match number.as_i64() {
                Some(number) => Value::I64(number),
                None => Value::F64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Some(Json::String(text)) => Value::Str(text),
            Some(Json::Array(_) | Json::Object(_)) => {
                self.nested.get(pointer).map_or(Value::Absent, |json| Value::Json(json))
            }
        }
    }

    fn key(&self, path: &str) -> Option<abi::Key> {
        let number = keys::number(path, &self.keys_made);
        if number == Err(NoKey::TooMany) && !self.has_warned_of_keys.swap(true, Relaxed) {
            let most = keys::PER_STAGE;
            let message = format!("it asked for more than {most} fields: the rest has no key");
            self.log(Level::Warn, "", &message);
        }
        number.ok()
    }

    fn complete(&self, token: u64, outcome: Outcome) -> bool {
        let Some(waiting) = self.waiting().remove(&token) else { return false };
        if matches!(outcome.error, Some(Error::Fatal(_))) {
            // It is not called any more, whoever hears of this.
            self.broken.fetch_max(waiting.instance, Relaxed);
        }
        // An answer that took too long was waited for, too.
        let _ = waiting.answer.send(outcome);
        true
    }

    fn wake(&self) {
        if let Some(wake) = self.wake.get() {
            wake();
        }
    }

    fn next_tick(&self, ms: Option<i64>) {
        self.next_tick.store(ms.unwrap_or(abi::NO_TICK), Relaxed);
    }

    fn now(&self) -> i64 {
        self.clock.get().map_or(0, |clock| clock.now().as_millis())
    }
}

/// Where the lines of plugins go in the log.
const TARGET: &str = "engine::plugin";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::sync::Semaphore;

    fn context(settings: Json) -> Arc<StageContext> {
        Arc::new(StageContext::new("s", "p", settings, StageMetrics::default()))
    }

    #[test]
    fn settings_are_read_by_their_pointers() {
        let settings = json!({ "a": { "b/c": [1, 2.5, "x", null] }, "yes": true });
        let context = context(settings);
        let expected = [
            ("/yes", Value::Bool(true)),
            ("/a/b~1c/0", Value::I64(1)),
            ("/a/b~1c/1", Value::F64(2.5)),
            ("/a/b~1c/2", Value::Str("x")),
            ("/a/b~1c/3", Value::Null),
            ("/a/b~1c/4", Value::Absent),
            ("/a/b~1c", Value::Json(r#"[1,2.5,"x",null]"#)),
            ("/a", Value::Json(r#"{"b/c":[1,2.5,"x",null]}"#)),
            ("nowhere", Value::Absent),
        ];
        for (pointer, value) in expected {
            assert_eq!(context.setting(pointer), value, "{pointer}");
        }
    }

    #[test]
    fn a_stage_that_has_used_up_its_keys_still_has_those_that_are_there() {
        let context = context(json!({}));
        let total = context.key("payload.total");
        context.keys_made.store(keys::PER_STAGE, Relaxed);
        assert_eq!(context.key("payload.nobody_has_asked_for_this"), None);
        assert!(context.has_warned_of_keys.load(Relaxed));
        assert!(total.is_some());
        assert_eq!(context.key("payload.total"), total);
    }

    #[tokio::test]
    async fn an_answer_is_heard_once_and_its_slot_is_taken_until_it_comes() {
        let context = context(json!({}));
        let answer = context.wait_for(1, 7, None).owed();
        assert!(context.complete(7, Outcome::delivered()));
        assert!(!context.complete(7, Outcome::delivered()));
        assert_eq!(answer.given().await, Some(Outcome::delivered()));
        drop(context.wait_for(1, 8, None));
        assert!(!context.complete(8, Outcome::delivered()), "it was never promised");

        let slots = Arc::new(Semaphore::new(1));
        let slot = slots.clone().try_acquire_owned().unwrap();
        let mut given = Box::pin(context.wait_for(1, 9, Some(slot)).owed().given());
        assert!(futures::poll!(&mut given).is_pending());
        drop(given);
        assert_eq!(slots.available_permits(), 0, "nobody waits, and the plugin still works on it");
        assert!(context.complete(9, Outcome::delivered()));
        assert_eq!(slots.available_permits(), 1);
    }

    #[tokio::test]
    async fn what_becomes_of_an_instance_says_nothing_of_the_next() {
        let context = context(json!({}));
        let lost = [10, 11].map(|token| context.wait_for(1, token, None).owed());
        let next = context.wait_for(2, 12, None).owed();
        assert!(!context.is_broken(1));
        assert!(context.complete(10, Outcome::refused(Error::fatal("broken"))));
        assert!(context.is_broken(1) && !context.is_broken(2));
        context.give_up_waiting(1);
        let [heard, given_up] = lost;
        assert_eq!(heard.given().await, Some(Outcome::refused(Error::fatal("broken"))));
        assert_eq!(given_up.given().await, None);
        assert!(context.complete(12, Outcome::delivered()));
        assert_eq!(next.given().await, Some(Outcome::delivered()));
    }
}
