//! What is called when a stop is asked for, and what a host sees of calls that stand still.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Weak};

use super::super::{Descriptor, Fault, exported};
use super::{Column, Notes};
use crate::abi::{self, Str};
use crate::{Engine, Enricher, Error, Plugin, Rows, boundary};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Settings {
    /// `refused` fails to create; `slow` waits when it is told to stop.
    how: String,
}

/// Has things called when it is told to stop.
struct Stops {
    engine: Engine,
}

/// Held by what is called at a stop, for a test to see whether that is still there.
static HELD: Mutex<Vec<Weak<Engine>>> = Mutex::new(Vec::new());

/// Says that it is told to stop, and stays there until it is told to come back.
static SLOW: Mutex<Option<(Sender<()>, Receiver<()>)>> = Mutex::new(None);

impl Plugin for Stops {
    const NAME: &'static str = "stops";
    const EXAMPLE: &'static str = "how: well\n";
    type Settings = Settings;

    fn create(settings: Settings, engine: &Engine) -> Result<Self, Error> {
        let held = Arc::new(engine.clone());
        HELD.lock().unwrap().push(Arc::downgrade(&held));
        engine.on_stop(move || {
            held.info("stop");
            // Of the same engine, in the middle of a stop.
            let inner = Arc::clone(&held);
            held.on_stop(move || inner.info("stop within a stop"));
        });
        match settings.how.as_str() {
            "refused" => return Err(Error::config("refused")),
            "slow" => engine.on_stop(|| {
                let (entered, back) = SLOW.lock().unwrap().take().unwrap();
                entered.send(()).unwrap();
                back.recv().unwrap();
            }),
            _ => {}
        }
        Ok(Self { engine: engine.clone() })
    }
}

impl Enricher for Stops {
    fn enrich(&mut self, _: &mut Rows<'_>) -> Result<(), Error> {
        let engine = self.engine.clone();
        self.engine.on_stop(move || engine.info("late"));
        Ok(())
    }
}

fn stops() -> Descriptor {
    exported(boundary::enricher::<Stops>("1.2.3")).unwrap()
}

/// One test after the other, since they share what is static.
static ALONE: Mutex<()> = Mutex::new(());

fn is_any_held() -> bool {
    HELD.lock().unwrap().drain(..).any(|held| held.strong_count() > 0)
}

#[test]
fn a_stop_is_told_once_and_at_once_to_what_asks_for_it_later() {
    let _alone = ALONE.lock().unwrap();
    let notes = Arc::new(Notes::default());
    let mut instance = stops().create(notes.clone(), r#"{"how":"well"}"#).unwrap();
    let lines = || std::mem::take(&mut *notes.lines.lock().unwrap());
    instance.process(&mut Column(vec![1])).unwrap();
    assert!(lines().is_empty());
    instance.stopper().stop();
    assert_eq!(lines(), ["stop", "stop within a stop", "late"]);
    instance.stopper().stop();
    assert!(lines().is_empty());
    instance.process(&mut Column(vec![1])).unwrap();
    assert_eq!(lines(), ["late"]);
}

#[test]
fn what_is_called_at_a_stop_does_not_outlive_the_instance_whose_engine_it_holds() {
    let _alone = ALONE.lock().unwrap();
    is_any_held();
    let notes = Arc::new(Notes::default());
    drop(stops().create(notes.clone(), r#"{"how":"well"}"#).unwrap());
    assert!(!is_any_held(), "after destroy");
    let refused = stops().create(notes.clone(), r#"{"how":"refused"}"#).err().unwrap();
    assert_eq!(refused.fault, Fault::Config);
    assert!(!is_any_held(), "after a `create` that failed");
    assert!(notes.lines.lock().unwrap().is_empty());
}

#[test]
fn a_request_to_stop_has_a_name_while_it_is_under_way() {
    let _alone = ALONE.lock().unwrap();
    let (entered, has_entered) = channel();
    let (come_back, back) = channel();
    *SLOW.lock().unwrap() = Some((entered, back));
    let instance = stops().create(Arc::new(Notes::default()), r#"{"how":"slow"}"#).unwrap();
    let (stopper, calls) = (instance.stopper(), instance.calls());
    assert_eq!(calls.current(), None);
    let thread = std::thread::spawn(move || stopper.stop());
    has_entered.recv().unwrap();
    let first = calls.current().unwrap();
    assert_eq!(first.1, "request_stop");
    assert_eq!(calls.current(), Some(first), "the same as long as it is there");
    come_back.send(()).unwrap();
    thread.join().unwrap();
    assert_eq!(calls.current(), None);
}

static TABLE: AtomicPtr<abi::Host> = AtomicPtr::new(std::ptr::null_mut());
static CONTEXT: AtomicPtr<abi::Ctx> = AtomicPtr::new(std::ptr::null_mut());

/// Does nothing but to note what it is given.
unsafe extern "C" fn create(
    host: *const abi::Host,
    context: *mut abi::Ctx,
    _: Str,
    out: *mut *mut c_void,
) -> abi::Status {
    TABLE.store(host.cast_mut(), Ordering::Relaxed);
    CONTEXT.store(context, Ordering::Relaxed);
    // SAFETY: there is room for a pointer, which nobody follows.
    unsafe { out.write(std::ptr::dangling_mut()) };
    abi::OK
}

unsafe extern "C" fn start(_: *mut c_void) -> abi::Status {
    abi::E_FATAL
}

unsafe extern "C" fn destroy(_: *mut c_void) {}

/// Has the text of an error for a call that has no status.
unsafe extern "C" fn extension(_: *mut c_void, _: *const c_char) -> *const c_void {
    let (table, context) = (TABLE.load(Ordering::Relaxed), CONTEXT.load(Ordering::Relaxed));
    // SAFETY: the host's own table, which lives as long as the process.
    unsafe { (*table).set_error.unwrap()(context, Str::new("of another call")) };
    std::ptr::null()
}

#[test]
fn what_a_look_for_an_extension_says_is_not_the_reason_of_the_next_call() {
    let mut plugin = boundary::enricher::<Stops>("1.2.3");
    plugin.0.create = Some(create);
    plugin.0.start = Some(start);
    plugin.0.request_stop = None;
    plugin.0.destroy = Some(destroy);
    plugin.0.extension = Some(extension);
    let notes = Arc::new(Notes::default());
    let mut instance = exported(plugin).unwrap().create(notes, "{}").unwrap();
    assert_eq!(instance.start().unwrap_err().reason, "`start` failed with status -3");
}
