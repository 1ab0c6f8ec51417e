//! A host of a few lines runs plugins that misuse what they are given.

mod stops;

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};

use super::loans::{self, Full, RETAINED_MAX, lend, new_number};
use super::{BadArgument, Context, Descriptor, Fault, Lent, Written, exported};
use crate::{
    Delivery, Engine, Enricher, Error, Events, Key, Level, MetricKind, Outcome, Plugin, Retained,
    Rows, Sink, Value, abi, boundary,
};

/// One column of numbers, under any key.
struct Column(Vec<i64>);

impl Lent for Column {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, row: usize, _: abi::Key) -> Value<'_> {
        self.0.get(row).map_or(Value::Absent, |number| Value::I64(*number))
    }

    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument> {
        to.extend(self.0.get(row).ok_or(BadArgument)?.to_string().bytes());
        Ok(())
    }

    fn set(&mut self, row: usize, _: abi::Key, value: Value<'_>) -> Result<(), BadArgument> {
        *self.0.get_mut(row).ok_or(BadArgument)? = value.as_i64().ok_or(BadArgument)?;
        Ok(())
    }

    fn event(&self, row: usize) -> Option<&dyn Any> {
        self.0.get(row).map(|number| number as &dyn Any)
    }

    fn retain(&self) -> Option<Arc<dyn Lent + Send + Sync>> {
        Some(Arc::new(Column(self.0.clone())))
    }
}

/// Remembers what it is told.
#[derive(Default)]
struct Notes {
    lines: Mutex<Vec<String>>,
    outcomes: Mutex<Vec<(u64, Outcome)>>,
}

impl Context for Notes {
    fn log(&self, _: Level, _: &str, message: &str) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(message.to_owned());
    }

    fn log_enabled(&self, _: Level) -> bool {
        true
    }

    fn metric(&self, _: MetricKind, _: &str, _: &str) -> Option<u32> {
        None
    }

    fn record(&self, _: u32, _: f64) {}

    fn setting(&self, _: &str) -> Value<'_> {
        Value::Absent
    }

    fn key(&self, path: &str) -> Option<abi::Key> {
        (path != "nowhere").then_some(1)
    }

    fn complete(&self, token: u64, outcome: Outcome) -> bool {
        let mut outcomes = self.outcomes.lock().unwrap();
        let is_new = outcomes.iter().all(|(known, _)| *known != token);
        outcomes.push((token, outcome));
        is_new
    }

    fn wake(&self) {}

    fn next_tick(&self, _: Option<i64>) {}

    fn now(&self) -> i64 {
        0
    }
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Settings {
    add: i64,
}

struct Adds {
    add: i64,
    key: Key,
    engine: Engine,
}

impl Plugin for Adds {
    const NAME: &'static str = "adds";
    const EXAMPLE: &'static str = "add: 1\n";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        if settings.add == 0 {
            return Err(Error::config("nothing to add"));
        }
        assert_ne!(settings.add, 13, "an unlucky number");
        engine.info("made");
        Ok(Self { add: settings.add, key: engine.key("payload.x")?, engine: engine.clone() })
    }
}

impl Enricher for Adds {
    fn enrich(&mut self, rows: &mut Rows<'_>) -> Result<(), Error> {
        for row in 0..rows.len() {
            let number = rows.i64(row, self.key).unwrap_or(0);
            assert!(number < 1000, "{number} is too large");
            rows.set(row, self.key, number + self.add);
        }
        assert!(!rows.set(rows.len(), self.key, 1), "there is no such row");
        assert!(!rows.set(0, self.key, "text"), "a column of numbers");
        if self.engine.stopping() { Err(Error::fatal("stopped")) } else { Ok(()) }
    }
}

fn adds() -> Descriptor {
    exported(boundary::enricher::<Adds>("1.2.3")).unwrap()
}

#[test]
fn an_instance_reads_and_changes_what_it_is_lent() {
    let notes = Arc::new(Notes::default());
    let mut adds = adds().create(notes.clone(), r#"{"add":2}"#).unwrap();
    adds.start().unwrap();
    let mut column = Column(vec![1, 2]);
    adds.process(&mut column).unwrap();
    assert_eq!(column.0, [3, 4]);
    adds.stopper().stop();
    let failed = adds.process(&mut column).unwrap_err();
    assert_eq!((failed.fault, failed.reason.as_str()), (Fault::Fatal, "stopped"));
    assert_eq!(*notes.lines.lock().unwrap(), ["made"]);
}

#[test]
fn what_create_refuses_has_its_reason_and_what_panics_its_place() {
    let notes = Arc::new(Notes::default());
    let create = |settings| adds().create(notes.clone(), settings).map(drop).unwrap_err();
    let failed = create(r#"{"add":0}"#);
    assert_eq!((failed.fault, failed.reason.as_str()), (Fault::Config, "nothing to add"));
    assert_eq!(create("{}").fault, Fault::Config);
    let failed = create(r#"{"add":13}"#);
    assert_eq!(failed.fault, Fault::Panic);
    assert!(failed.reason.contains("an unlucky number"), "{failed}");
    let lines = notes.lines.lock().unwrap();
    assert!(lines[0].contains("host/tests.rs"), "{lines:?}");
}

#[test]
fn an_instance_that_panicked_is_not_entered_again() {
    let mut adds = adds().create(Arc::new(Notes::default()), r#"{"add":2}"#).unwrap();
    let failed = adds.process(&mut Column(vec![1000])).unwrap_err();
    assert_eq!(failed.fault, Fault::Panic);
    assert!(failed.reason.contains("1000 is too large"), "{failed}");
    let failed = adds.process(&mut Column(vec![1])).unwrap_err();
    assert_eq!((failed.fault, failed.reason.as_str()), (Fault::Panic, "panicked: earlier"));
}

/// Keeps all that it can beyond its time.
struct Hoards {
    engine: Engine,
    key: Key,
}

static HOARD: Mutex<Vec<Retained>> = Mutex::new(Vec::new());

impl Plugin for Hoards {
    const NAME: &'static str = "hoards";
    const EXAMPLE: &'static str = "add: 1\n";
    type Settings = Settings;

    fn create(_: Settings, engine: &Engine) -> Result<Self, Error> {
        Ok(Self { engine: engine.clone(), key: engine.key("payload.x")? })
    }
}

static KEPT: Mutex<Option<(Engine, Key)>> = Mutex::new(None);

impl Sink for Hoards {
    fn write(&mut self, events: &Events<'_>, delivery: Delivery) {
        match events.len() {
            1 => drop(delivery),
            2 => panic!("two"),
            _ => {
                HOARD.lock().unwrap().extend(events.retain());
                *KEPT.lock().unwrap() = Some((self.engine.clone(), self.key));
                std::thread::spawn(move || delivery.delivered()).join().unwrap();
            }
        }
    }
}

#[test]
fn a_sink_answers_once_whatever_it_does_and_what_it_keeps_outlives_it() {
    let notes = Arc::new(Notes::default());
    let hoards = exported(boundary::sink::<Hoards>("1.2.3")).unwrap();
    let mut sink = hoards.create(notes.clone(), r#"{"add":2}"#).unwrap();
    assert_eq!(sink.write(&mut Column(vec![1, 2, 3]), 7), Ok(Written::Pending));
    assert_eq!(sink.write(&mut Column(vec![1]), 8), Ok(Written::Pending));
    let unanswered = Outcome::refused(Error::retry("the plugin gave no answer"));
    assert_eq!(*notes.outcomes.lock().unwrap(), [(7, Outcome::delivered()), (8, unanswered)]);
    let kept = HOARD.lock().unwrap().pop().unwrap();
    assert_eq!(kept.events().i64(2, KEPT.lock().unwrap().as_ref().unwrap().1), Some(3));
    HOARD.lock().unwrap().push(kept);
    assert_eq!(sink.write(&mut Column(vec![1, 2]), 9).unwrap_err().fault, Fault::Panic);
    drop(sink);
    let (engine, key) = KEPT.lock().unwrap().take().unwrap();
    let lines = notes.lines.lock().unwrap().len();
    engine.info("from beyond");
    assert!(engine.stopping());
    assert_eq!(notes.lines.lock().unwrap().len(), lines);
    assert!(notes.lines.lock().unwrap().iter().any(|line| line.contains("never released")));
    // A thread of the plugin may have been left behind in the middle of it.
    let kept = HOARD.lock().unwrap().pop().unwrap();
    assert_eq!((kept.events().len(), kept.events().get(2, key)), (3, Value::I64(3)));
    assert!(kept.events().retain().is_none(), "nobody keeps more for an instance that is gone");
}

/// Looked at for whether it is there.
struct Seen(Arc<()>);

impl Lent for Seen {
    fn len(&self) -> usize {
        1
    }

    fn get(&self, _: usize, _: abi::Key) -> Value<'_> {
        Value::Str("seen")
    }

    fn write_json(&self, _: usize, _: &mut Vec<u8>) -> Result<(), BadArgument> {
        Err(BadArgument)
    }

    fn retain(&self) -> Option<Arc<dyn Lent + Send + Sync>> {
        Some(Arc::new(Self(Arc::clone(&self.0))))
    }
}

#[test]
fn a_text_of_a_batch_that_is_kept_is_there_until_its_release_be_the_instance_gone() {
    let hoards = exported(boundary::sink::<Keeps>("1.2.3")).unwrap();
    let mut sink = hoards.create(Arc::new(Notes::default()), r#"{"add":2}"#).unwrap();
    let there = Arc::new(());
    sink.write(&mut Seen(Arc::clone(&there)), 1).unwrap();
    let (kept, key) = KEPT_BY_KEEPS.lock().unwrap().take().unwrap();
    let events = kept.events();
    let text = events.str(0, key).unwrap();
    drop(sink);
    assert_eq!(Arc::strong_count(&there), 2, "not freed under the one who reads it");
    assert_eq!(text, "seen");
    drop(kept);
    assert_eq!(Arc::strong_count(&there), 1, "freed by its release");
}

/// Keeps one batch where the test takes it from.
struct Keeps {
    key: Key,
}

static KEPT_BY_KEEPS: Mutex<Option<(Retained, Key)>> = Mutex::new(None);

impl Plugin for Keeps {
    const NAME: &'static str = "keeps";
    const EXAMPLE: &'static str = "add: 1\n";
    type Settings = Settings;

    fn create(_: Settings, engine: &Engine) -> Result<Self, Error> {
        Ok(Self { key: engine.key("payload.x")? })
    }
}

impl Sink for Keeps {
    fn write(&mut self, events: &Events<'_>, delivery: Delivery) {
        *KEPT_BY_KEEPS.lock().unwrap() = events.retain().map(|kept| (kept, self.key));
        delivery.delivered();
    }
}

#[test]
fn there_is_room_for_so_many_batches_and_for_more_once_some_are_released() {
    let (instance, other, held) = (new_number(), new_number(), Arc::default());
    lend([&mut Column(vec![1])], |[number]| {
        let retain = || loans::retain(instance, &held, number);
        let mut kept: Vec<u64> = (0..RETAINED_MAX).map(|_| retain().unwrap().unwrap()).collect();
        assert_eq!(retain(), Err(Full(RETAINED_MAX)));
        assert!(!loans::release(other, kept[0]), "it is not another instance's");
        assert!(loans::release(instance, kept[0]));
        assert!(!loans::release(instance, kept[0]), "once");
        kept[0] = retain().unwrap().unwrap();
        assert!(kept.into_iter().all(|number| loans::release(instance, number)));
    });
    assert_eq!(held.load(std::sync::atomic::Ordering::Relaxed), 0);
}
