//! An instance of a plugin, and the calls that a host makes of it.

use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::loans::lend;
use super::table::{Shared, as_batch, as_context, forget, host, register, within};
use super::{Context, Descriptor, Lent, module};
use crate::abi::{self, Status, Str};
use crate::crossing::append;
use crate::outcome::Level;

/// What was made of a plugin for one stage. Dropping it destroys it, which may wait for its threads.
pub struct Instance {
    this: NonNull<c_void>,
    functions: abi::Plugin,
    state: Option<abi::State1>,
    shared: Arc<Shared>,
    calls: Arc<Calls>,
    /// None once it is destroyed; `request_stop` may come from any thread until then.
    stop: Arc<Mutex<Option<Stop>>>,
}

struct Stop {
    this: NonNull<c_void>,
    function: unsafe extern "C" fn(*mut c_void),
    calls: Arc<Calls>,
}

// SAFETY: an instance may be called by any thread, as long as it is one at a time (rule 6 of the
// header); it is not `Sync`.
unsafe impl Send for Instance {}
// SAFETY: `request_stop` may be called by any thread, beside any other call.
unsafe impl Send for Stop {}

/// Why a call did not do what it was for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What it means for the instance and for what it was given.
    pub fault: Fault,
    /// The plugin's own words, or the status.
    pub reason: String,
}

/// What a failed call means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The settings are wrong.
    Config,
    /// Not now, but another time.
    Retry,
    /// Never, with what it was given.
    Rejected,
    /// The instance cannot go on.
    Fatal,
    /// The same, by a defect: it panicked, or broke the contract.
    Panic,
    /// It gave up because it was told to stop.
    Stopped,
}

impl Fault {
    /// Whether the instance has to be destroyed.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Fatal | Self::Panic)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failed {}

/// What a poll came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// There may be events, up to this place.
    Ready(u64),
    /// Nothing yet.
    Again,
    /// Nothing more, ever.
    End,
}

/// What a write or a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is done.
    Done,
    /// [`Context::complete`] follows, or was called already.
    Pending,
}

/// Which call an instance is in, for someone who watches it.
#[derive(Debug, Default)]
pub struct Calls {
    /// Odd during a call.
    count: AtomicU64,
    /// The place of the call's name in [`Call::NAMES`].
    name: AtomicU64,
    /// Odd during `request_stop`, which comes beside another call.
    stops: AtomicU64,
}

/// The functions that a host calls.
#[derive(Clone, Copy)]
enum Call {
    Create,
    Extension,
    Start,
    Flush,
    Destroy,
    Poll,
    Ack,
    Process,
    Correlate,
    Tick,
    Drain,
    Write,
    Save,
    Restore,
}

impl Call {
    const NAMES: [&str; 14] = [
        "create",
        "extension",
        "start",
        "flush",
        "destroy",
        "poll",
        "ack",
        "process",
        "correlate",
        "tick",
        "drain",
        "write",
        "save",
        "restore",
    ];

    fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl Calls {
    /// The number of the call that it is in and the call's name; none between calls. `request_stop` is
    /// named where there is no other.
    pub fn current(&self) -> Option<(u64, &'static str)> {
        let count = self.count.load(Ordering::Acquire);
        if count % 2 == 1 {
            let name = Call::NAMES.get(self.name.load(Ordering::Relaxed) as usize)?;
            return Some((count, *name));
        }
        let stops = self.stops.load(Ordering::Acquire);
        // An even number, which no other call has.
        (stops % 2 == 1).then_some((stops + 1, "request_stop"))
    }

    fn begin(&self, call: Call) {
        self.name.store(call as u64, Ordering::Relaxed);
        count_on(&self.count);
    }

    fn end(&self) {
        count_on(&self.count);
    }
}

/// One call follows the other, so nobody else counts meanwhile.
fn count_on(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Release);
}

/// Asks an instance to stop; does nothing once it is destroyed.
#[derive(Clone)]
pub struct Stopper {
    shared: Arc<Shared>,
    stop: Arc<Mutex<Option<Stop>>>,
}

impl Stopper {
    /// Asks for it; any thread, beside any call.
    pub fn stop(&self) {
        self.shared.stop();
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Stop { this, function, calls }) = &*stop {
            // The lock has one stop follow the other.
            count_on(&calls.stops);
            // SAFETY: the instance is not destroyed while the lock is held.
            within(&self.shared, || unsafe { function(this.as_ptr()) });
            count_on(&calls.stops);
        }
    }
}

impl Descriptor {
    /// Makes an instance. The settings are JSON, and have passed the schema.
    pub fn create(&self, context: Arc<dyn Context>, settings: &str) -> Result<Instance, Failed> {
        let functions = self.functions;
        let (Some(create), Some(_)) = (functions.create, functions.destroy) else {
            return Err(Failed::broken("a plugin without `create` or `destroy`"));
        };
        let shared = register(context);
        let calls = Arc::new(Calls::default());
        let mut this = std::ptr::null_mut();
        let status = call(&shared, &calls, Call::Create, || {
            // SAFETY: the function is as the header says; what it is given lives through the call.
            unsafe { create(host(), as_context(shared.number), Str::new(settings), &raw mut this) }
        });
        let made = match (shared.check(status, Call::Create), NonNull::new(this)) {
            (Ok(abi::OK), Some(this)) => Ok(this),
            (Ok(abi::OK), None) => Err(Failed::broken("`create` made no instance, and no error")),
            (Ok(other), _) => Err(unfit(Call::Create, other)),
            (Err(failed), _) => Err(failed),
        };
        let this = made.inspect_err(|_| forget(&shared))?;
        let stop = functions.request_stop;
        let stop = stop.map(|function| Stop { this, function, calls: Arc::clone(&calls) });
        let stop = Arc::new(Mutex::new(stop));
        let mut instance = Instance { this, functions, state: None, shared, calls, stop };
        instance.state = instance.look_for_state();
        Ok(instance)
    }
}

impl Instance {
    fn look_for_state(&self) -> Option<abi::State1> {
        let extension = self.functions.extension?;
        let found = call(&self.shared, &self.calls, Call::Extension, || {
            // SAFETY: the function is as the header says.
            unsafe { extension(self.this.as_ptr(), abi::STATE_1.as_ptr()) }
        });
        // It has no status that what it says could be the text of.
        self.shared.take_error();
        if found.is_null() {
            return None;
        }
        // SAFETY: what it returns for this id is a struct that begins with its size.
        let state = unsafe { module::copy_sized::<abi::State1>(found) }?;
        (state.save.is_some() && state.restore.is_some()).then_some(state)
    }

    /// Opens and connects; may wait.
    pub fn start(&mut self) -> Result<(), Failed> {
        let Some(start) = self.functions.start else { return Ok(()) };
        // SAFETY: the function is as the header says, and so in what follows.
        self.done(Call::Start, |this| unsafe { start(this) })
    }

    /// Asks it to stop, from anywhere.
    pub fn stopper(&self) -> Stopper {
        Stopper { shared: Arc::clone(&self.shared), stop: Arc::clone(&self.stop) }
    }

    /// Which call it is in.
    pub fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
    }

    /// An enricher looks at events, and changes them.
    pub fn process(&mut self, rows: &mut dyn Lent) -> Result<(), Failed> {
        let process = has(Call::Process, self.functions.process)?;
        // SAFETY: see `start`.
        lend([rows], |[rows]| {
            self.done(Call::Process, |this| unsafe { process(this, as_batch(rows)) })
        })
    }

    /// A correlator sees events, and may derive others.
    pub fn correlate(&mut self, input: &mut dyn Lent, out: &mut dyn Lent) -> Result<(), Failed> {
        let correlate = has(Call::Correlate, self.functions.correlate)?;
        lend([input, out], |[input, out]| {
            // SAFETY: see `start`.
            self.done(Call::Correlate, |this| unsafe {
                correlate(this, as_batch(input), as_batch(out))
            })
        })
    }

    /// Whether a correlator wants to know how far event time is.
    pub fn has_tick(&self) -> bool {
        self.functions.tick.is_some()
    }

    /// A correlator hears how far event time is, in milliseconds since 1970.
    pub fn tick(&mut self, now_ms: i64, out: &mut dyn Lent) -> Result<(), Failed> {
        let Some(tick) = self.functions.tick else { return Ok(()) };
        // SAFETY: see `start`.
        lend([out], |[out]| {
            self.done(Call::Tick, |this| unsafe { tick(this, now_ms, as_batch(out)) })
        })
    }

    /// A correlator hears that its input has ended.
    pub fn drain(&mut self, end_ms: i64, out: &mut dyn Lent) -> Result<(), Failed> {
        let Some(drain) = self.functions.drain else { return Ok(()) };
        // SAFETY: see `start`.
        lend([out], |[out]| {
            self.done(Call::Drain, |this| unsafe { drain(this, end_ms, as_batch(out)) })
        })
    }

    /// A source gives up to `max` events, and may wait for `timeout_ms`.
    pub fn poll(
        &mut self,
        out: &mut dyn Lent,
        max: usize,
        timeout_ms: u32,
    ) -> Result<Polled, Failed> {
        let poll = has(Call::Poll, self.functions.poll)?;
        let mut token = 0;
        let status = lend([out], |[out]| {
            // SAFETY: see `start`.
            self.call(Call::Poll, |this| unsafe {
                poll(this, as_batch(out), max, timeout_ms, &raw mut token)
            })
        })?;
        match status {
            abi::OK => Ok(Polled::Ready(token)),
            abi::AGAIN => Ok(Polled::Again),
            abi::END => Ok(Polled::End),
            other => Err(unfit(Call::Poll, other)),
        }
    }

    /// A source hears that all up to the token of a poll was delivered.
    pub fn ack(&mut self, token: u64) -> Result<(), Failed> {
        let Some(ack) = self.functions.ack else { return Ok(()) };
        // SAFETY: see `start`.
        self.done(Call::Ack, |this| unsafe { ack(this, token) })
    }

    /// A sink writes.
    pub fn write(&mut self, batch: &mut dyn Lent, token: u64) -> Result<Written, Failed> {
        let write = has(Call::Write, self.functions.write)?;
        let status = lend([batch], |[batch]| {
            // SAFETY: see `start`.
            self.call(Call::Write, |this| unsafe { write(this, as_batch(batch), token) })
        })?;
        written(Call::Write, status)
    }

    /// The last call of an instance whose run went well.
    pub fn flush(&mut self, token: u64) -> Result<Written, Failed> {
        let Some(flush) = self.functions.flush else { return Ok(Written::Done) };
        // SAFETY: see `start`.
        let status = self.call(Call::Flush, |this| unsafe { flush(this, token) })?;
        written(Call::Flush, status)
    }

    /// Whether it remembers anything between two runs.
    pub fn remembers(&self) -> bool {
        self.state.is_some()
    }

    /// What it remembers, as JSON.
    pub fn save(&self) -> Result<Option<String>, Failed> {
        let Some(save) = self.state.and_then(|state| state.save) else { return Ok(None) };
        let mut json: Vec<u8> = Vec::new();
        // SAFETY: see `start`; `append` gets the `Vec` that is its argument.
        self.done(Call::Save, |this| unsafe { save(this, Some(append), (&raw mut json).cast()) })?;
        let json = String::from_utf8(json);
        json.map(Some).map_err(|_| Failed::broken("`save` wrote what is not UTF-8"))
    }

    /// Goes on from what another instance remembered; before the start.
    pub fn restore(&mut self, json: &str) -> Result<(), Failed> {
        let Some(restore) = self.state.and_then(|state| state.restore) else { return Ok(()) };
        // SAFETY: see `start`.
        self.done(Call::Restore, |this| unsafe { restore(this, Str::new(json)) })
    }

    fn call(
        &self,
        name: Call,
        function: impl FnOnce(*mut c_void) -> Status,
    ) -> Result<Status, Failed> {
        let status = call(&self.shared, &self.calls, name, || function(self.this.as_ptr()));
        self.shared.check(status, name)
    }

    /// A call that has nothing to say but that it is done.
    fn done(&self, name: Call, function: impl FnOnce(*mut c_void) -> Status) -> Result<(), Failed> {
        match self.call(name, function)? {
            abi::OK => Ok(()),
            other => Err(unfit(name, other)),
        }
    }
}

/// A function that its kind needs: that it is there was seen when the module was read.
fn has<F>(name: Call, function: Option<F>) -> Result<F, Failed> {
    function.ok_or_else(|| Failed::broken(&format!("a plugin without `{}`", name.name())))
}

fn call<R>(shared: &Arc<Shared>, calls: &Calls, name: Call, function: impl FnOnce() -> R) -> R {
    calls.begin(name);
    let result = within(shared, function);
    calls.end();
    result
}

fn written(name: Call, status: Status) -> Result<Written, Failed> {
    match status {
        abi::OK => Ok(Written::Done),
        abi::PENDING => Ok(Written::Pending),
        other => Err(unfit(name, other)),
    }
}

/// A status that the call does not have.
fn unfit(name: Call, status: Status) -> Failed {
    Failed::broken(&format!("`{}` returned {status}, which means nothing there", name.name()))
}

impl Failed {
    /// The plugin broke the contract.
    fn broken(reason: &str) -> Self {
        Self { fault: Fault::Panic, reason: reason.to_owned() }
    }
}

impl Shared {
    /// What a status means; below 0 with the text that the plugin gave for it.
    fn check(&self, status: Status, name: Call) -> Result<Status, Failed> {
        let said = self.take_error();
        if status >= 0 {
            return Ok(status);
        }
        let fault = match status {
            abi::E_CONFIG | abi::E_UNSUPPORTED => Fault::Config,
            abi::E_RETRY => Fault::Retry,
            abi::E_REJECTED | abi::E_ARG => Fault::Rejected,
            abi::E_STOPPED => Fault::Stopped,
            abi::E_FATAL => Fault::Fatal,
            abi::E_PANIC => Fault::Panic,
            other => return Err(unfit(name, other)),
        };
        let reason = said.filter(|said| !said.is_empty());
        let reason =
            reason.unwrap_or_else(|| format!("`{}` failed with status {status}", name.name()));
        Err(Failed { fault, reason })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Whoever asks for a stop from now on is not heard.
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(destroy) = self.functions.destroy {
            call(&self.shared, &self.calls, Call::Destroy, || {
                // SAFETY: the last call, once for each instance that was made.
                unsafe { destroy(self.this.as_ptr()) };
            });
        }
        // Told, and not freed: a thread that was left behind may be reading them.
        let left = self.shared.held.load(Ordering::Relaxed);
        if left > 0 {
            let message = format!("{left} batches were retained and never released");
            self.shared.context.log(Level::Warn, "", &message);
        }
        forget(&self.shared);
    }
}
