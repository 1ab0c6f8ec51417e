//! The JSON configuration of a retail generator: which setting of a pipeline each key became.

use std::collections::BTreeMap;
use std::path::Path;

use engine::problem::{Problem, Problems, did_you_mean};
use engine::spec::{Document, Environment, Secret};
use serde_json::Value;

/// What was read from a configuration.
#[derive(Default)]
pub(super) struct Config {
    /// Whether there was one.
    pub(super) is_read: bool,
    /// Settings of the source.
    pub(super) source: BTreeMap<&'static str, u64>,
    /// Settings of the batcher.
    pub(super) batcher: BTreeMap<&'static str, u64>,
    /// Settings of the sink's delivery, by their block and name.
    pub(super) delivery: BTreeMap<&'static str, BTreeMap<&'static str, Value>>,
    /// The connection string of a namespace of Event Hubs.
    pub(super) connection_string: Option<Secret>,
    /// The event hub.
    pub(super) hub: Option<String>,
    /// Whether events that fail are not kept.
    pub(super) dead_letters_off: bool,
    /// What has no place in a pipeline, and what is not known.
    pub(super) remarks: Problems,
}

/// What becomes of a key.
#[derive(Clone, Copy)]
enum Becomes {
    /// A whole number among the source's settings.
    Source(&'static str),
    /// A whole number among the batcher's.
    Batcher(&'static str),
    /// A setting in a block of the sink's delivery.
    Delivery(&'static str, &'static str, Type),
    /// Whether dead letters are kept.
    DeadLetters,
    /// A variable of the environment, since its value is not to be shown.
    ConnectionString,
    /// The sink's hub.
    Hub,
    /// Nothing yet; why.
    Nothing(&'static str),
}

/// What a value has to be.
#[derive(Clone, Copy)]
enum Type {
    Whole,
    Number,
    Flag,
}

const CONNECTION_STRING: &str = "/realtime/azure_connection_string";
const HUB: &str = "/stream/hub";

/// Every key that a configuration may have.
const KEYS: [(&str, Becomes); 19] = [
    ("/seed", Becomes::Source("seed")),
    ("/volume/stores", Becomes::Source("stores")),
    ("/volume/dcs", Becomes::Source("dcs")),
    ("/volume/customers", Becomes::Source("customers")),
    ("/volume/total_customers", Becomes::Source("customers")),
    ("/volume/products", Becomes::Source("products")),
    ("/volume/total_products", Becomes::Source("products")),
    ("/realtime/emit_interval_ms", Becomes::Source("emit_interval_ms")),
    ("/realtime/burst", Becomes::Source("burst")),
    ("/realtime/max_batch_size", Becomes::Batcher("max_batch_size")),
    ("/realtime/batch_timeout_ms", Becomes::Batcher("batch_timeout_ms")),
    ("/realtime/enable_dead_letter_queue", Becomes::DeadLetters),
    (CONNECTION_STRING, Becomes::ConnectionString),
    (HUB, Becomes::Hub),
    ("/realtime/retry_attempts", Becomes::Delivery("retry", "attempts", Type::Whole)),
    (
        "/realtime/backoff_multiplier",
        Becomes::Delivery("retry", "backoff_multiplier", Type::Number),
    ),
    (
        "/realtime/circuit_breaker_enabled",
        Becomes::Delivery("circuit_breaker", "enabled", Type::Flag),
    ),
    ("/realtime/max_buffer_size", Becomes::Delivery("buffer", "max_events", Type::Whole)),
    (
        "/realtime/monitoring_interval",
        Becomes::Nothing("the log says every 30 s how a run is doing"),
    ),
];

impl Config {
    /// Reads a configuration. Unknown keys and keys without a place are remarks, values that are
    /// no whole numbers where there should be some are errors.
    pub(super) fn read(path: &Path) -> Result<Self, Problems> {
        // JSON is YAML, so every key has its place. Variables are none of its business.
        let mut document = Document::read(path, &Environment::default())?;
        document.mark_secret(CONNECTION_STRING);
        document.mark_connection_strings();
        let mut config = Self { is_read: true, ..Self::default() };
        let mut wrong = Problems::default();
        for pointer in leaves(&document.value("")) {
            match config.take(&document, &pointer) {
                Ok(None) => {}
                Ok(Some(remark)) => config.remarks.push(remark),
                Err(problem) => wrong.push(problem),
            }
        }
        config.check_sink(&document);
        if wrong.is_empty() { Ok(config) } else { Err(wrong) }
    }

    /// Without a connection string, or without Event Hubs in this build, events go to the console.
    fn check_sink(&mut self, document: &Document) {
        let why = if cfg!(feature = "event_hubs") {
            "without a connection string events go to the console"
        } else {
            "this build has no `event_hubs` sink: events go to the console"
        };
        let mut remark = |key: &str, what: &str| {
            let remark = Problem::warning(format!("`{}` {what}", key_of(key)));
            self.remarks.push(remark.at(document.key_place(key)).help(why));
        };
        if !cfg!(feature = "event_hubs") && self.connection_string.take().is_some() {
            remark(CONNECTION_STRING, "was left out");
        } else if self.connection_string.is_none() && document.contains(CONNECTION_STRING) {
            remark(CONNECTION_STRING, "is empty");
        }
        if self.connection_string.is_none() && self.hub.take().is_some() {
            remark(HUB, "has no place in the pipeline");
        }
    }

    fn take(&mut self, document: &Document, pointer: &str) -> Result<Option<Problem>, Problem> {
        let key = key_of(pointer);
        let known = KEYS.iter().find(|(known, _)| *known == pointer);
        let Some((_, becomes)) = known else { return Ok(Some(unknown(document, pointer))) };
        let value = document.value(pointer);
        match *becomes {
            Becomes::Source(setting) => {
                self.source.insert(setting, whole_number(document, pointer, &value)?);
            }
            Becomes::Batcher(setting) => {
                self.batcher.insert(setting, whole_number(document, pointer, &value)?);
            }
            Becomes::Delivery(block, setting, expected) => {
                let value = typed(document, pointer, value, expected)?;
                let is_zero_attempts = setting == "attempts" && value == 0;
                let value = if is_zero_attempts { 1.into() } else { value };
                self.delivery.entry(block).or_default().insert(setting, value);
                if is_zero_attempts {
                    let remark = Problem::warning(format!("`{key}` 0 became `attempts: 1`"));
                    return Ok(Some(
                        remark.at(document.place(pointer)).help(
                            "attempts count sends in all, and an event is sent once at least",
                        ),
                    ));
                }
            }
            Becomes::DeadLetters => {
                self.dead_letters_off = typed(document, pointer, value, Type::Flag)? == false;
            }
            Becomes::ConnectionString => {
                let text = text(document, pointer, &value)?;
                self.connection_string = Some(text).filter(|it| !it.is_empty()).map(Secret::new);
            }
            Becomes::Hub => {
                self.hub = Some(text(document, pointer, &value)?).filter(|hub| !hub.is_empty());
            }
            Becomes::Nothing(why) => {
                let remark = Problem::warning(format!("`{key}` has no place in the pipeline yet"));
                return Ok(Some(remark.at(document.key_place(pointer)).help(why)));
            }
        }
        Ok(None)
    }
}

fn typed(
    document: &Document,
    pointer: &str,
    value: Value,
    expected: Type,
) -> Result<Value, Problem> {
    let (fits, wrong) = match expected {
        Type::Whole => (value.is_u64(), "is not a whole number"),
        Type::Number => (value.is_number(), "is not a number"),
        Type::Flag => (value.is_boolean(), "is neither true nor false"),
    };
    let problem = || Problem::error(format!("`{}` {wrong}", key_of(pointer)));
    if fits { Ok(value) } else { Err(problem().at(document.place(pointer))) }
}

fn whole_number(document: &Document, pointer: &str, value: &Value) -> Result<u64, Problem> {
    value.as_u64().ok_or_else(|| {
        Problem::error(format!("`{}` is not a whole number", key_of(pointer)))
            .at(document.place(pointer))
    })
}

/// A text without the space round it; null is none.
fn text(document: &Document, pointer: &str, value: &Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Null => Ok(String::new()),
        _ => {
            Err(Problem::error(format!("`{}` is no text", key_of(pointer)))
                .at(document.place(pointer)))
        }
    }
}

fn unknown(document: &Document, pointer: &str) -> Problem {
    let key = key_of(pointer);
    let remark = Problem::warning(format!("unknown key `{key}`")).at(document.key_place(pointer));
    match did_you_mean(key, KEYS.iter().map(|(known, _)| key_of(known))) {
        Some(meant) if meant == key => {
            let path = KEYS.iter().find(|(known, _)| key_of(known) == key);
            let path = path.map_or("", |(known, _)| known).trim_start_matches('/');
            remark.help(format!("it belongs at `{}`", path.replace('/', ".")))
        }
        Some(meant) => remark.help(format!("did you mean `{meant}`?")),
        None => remark.help("it was left out"),
    }
}

fn key_of(pointer: &str) -> &str {
    pointer.rsplit('/').next().unwrap_or_default()
}

/// The pointers of all values that are no objects, of empty ones too.
fn leaves(value: &Value) -> Vec<String> {
    let Some(entries) = value.as_object().filter(|entries| !entries.is_empty()) else {
        return vec![String::new()];
    };
    let below = |(key, value): (&String, &Value)| {
        let key = key.replace('~', "~0").replace('/', "~1");
        leaves(value).into_iter().map(move |rest| format!("/{key}{rest}")).collect::<Vec<_>>()
    };
    entries.iter().flat_map(below).collect()
}
