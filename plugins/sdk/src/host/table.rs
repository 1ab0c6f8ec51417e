//! What an instance may call: `ep_host`, each function checked and handed to a [`Context`] or to a
//! batch that is lent. Nothing here follows a pointer that a plugin made up, but for texts and lists
//! that it hands over.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, RwLock};

use super::loans::{self, Full, change, change_beside, new_number, read};
use super::matrix::{gather, scatter};
use super::said::{outcome, short_message, text, value};
use super::{BadArgument, Context};
use crate::abi::{self, Batch, Ctx, Key, Payload, Status, Str};
use crate::outcome::{Level, MetricKind};
use crate::value::Value;

/// An instance as its host knows it.
pub(super) struct Shared {
    pub(super) number: u64,
    pub(super) context: Arc<dyn Context>,
    /// The text of the status that is about to be returned.
    error: Mutex<Option<String>>,
    /// Whether there is one: most calls have none to take a lock for.
    has_error: AtomicBool,
    stopping: AtomicBool,
    /// How many batches it has retained.
    pub(super) held: Arc<AtomicUsize>,
    /// Whether it was told that there is room for no more.
    is_told: AtomicBool,
}

impl Shared {
    pub(super) fn take_error(&self) -> Option<String> {
        if !self.has_error.load(Relaxed) {
            return None;
        }
        self.has_error.store(false, Relaxed);
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Relaxed);
    }
}

type Instances = HashMap<u64, Arc<Shared>>;
static INSTANCES: LazyLock<RwLock<Instances>> = LazyLock::new(RwLock::default);

/// Gives an instance its number.
pub(super) fn register(context: Arc<dyn Context>) -> Arc<Shared> {
    let shared = Arc::new(Shared {
        number: new_number(),
        context,
        error: Mutex::default(),
        has_error: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        held: Arc::default(),
        is_told: AtomicBool::new(false),
    });
    let mut instances = INSTANCES.write().unwrap_or_else(PoisonError::into_inner);
    instances.insert(shared.number, Arc::clone(&shared));
    shared
}

/// Its number means nothing any more.
pub(super) fn forget(shared: &Shared) {
    let mut instances = INSTANCES.write().unwrap_or_else(PoisonError::into_inner);
    let forgotten = instances.remove(&shared.number);
    drop(instances);
    drop(forgotten);
}

thread_local! {
    /// The instance that this thread is in a call of: found without a look-up.
    static CURRENT: Cell<Option<NonNull<Shared>>> = const { Cell::new(None) };
}

/// Notes whose call this thread is in, while it is.
pub(super) fn within<R>(shared: &Arc<Shared>, call: impl FnOnce() -> R) -> R {
    struct Before(Option<NonNull<Shared>>);
    impl Drop for Before {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let current = NonNull::from(&**shared);
    let _before = Before(CURRENT.replace(Some(current)));
    call()
}

fn with<R>(context: *mut Ctx, answer: impl FnOnce(&Shared) -> R) -> Option<R> {
    let number = context.addr() as u64;
    if let Some(current) = CURRENT.get() {
        // SAFETY: `within` borrows the `Arc` for as long as the pointer stands here.
        let current = unsafe { current.as_ref() };
        if current.number == number {
            return Some(answer(current));
        }
    }
    let instances = INSTANCES.read().unwrap_or_else(PoisonError::into_inner);
    let shared = instances.get(&number).cloned();
    drop(instances);
    shared.map(|shared| answer(&shared))
}

/// The number of an instance as a plugin gets it.
pub(super) fn as_context(number: u64) -> *mut Ctx {
    std::ptr::without_provenance_mut(number as usize)
}

/// The number of a batch as a plugin gets it.
pub(super) fn as_batch(number: u64) -> *mut Batch {
    std::ptr::without_provenance_mut(number as usize)
}

pub(super) fn number(batch: *const Batch) -> u64 {
    batch.addr() as u64
}

pub(super) fn status(done: Option<Result<(), BadArgument>>) -> Status {
    if done == Some(Ok(())) { abi::OK } else { abi::E_ARG }
}

fn level(level: u32) -> Level {
    match level {
        0 | 1 => Level::Error,
        2 => Level::Warn,
        3 => Level::Info,
        4 => Level::Debug,
        _ => Level::Trace,
    }
}

unsafe extern "C" fn log(context: *mut Ctx, at: u32, target: Str, said: Str) {
    // SAFETY: texts that the plugin hands over for the call.
    let (target, said) = unsafe { (short_message(target), short_message(said)) };
    with(context, |shared| shared.context.log(level(at), &target, &said));
}

unsafe extern "C" fn log_enabled(context: *mut Ctx, at: u32) -> u32 {
    with(context, |shared| shared.context.log_enabled(level(at))).unwrap_or_default().into()
}

unsafe extern "C" fn set_error(context: *mut Ctx, said: Str) {
    // SAFETY: a text that the plugin hands over for the call.
    let said = unsafe { short_message(said) };
    with(context, |shared| {
        *shared.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
        shared.has_error.store(true, Relaxed);
    });
}

unsafe extern "C" fn metric(context: *mut Ctx, kind: u32, name: Str, unit: Str) -> u32 {
    let kind = match kind {
        abi::COUNTER => MetricKind::Counter,
        abi::GAUGE => MetricKind::Gauge,
        abi::HISTOGRAM => MetricKind::Histogram,
        _ => return 0,
    };
    // SAFETY: texts that the plugin hands over for the call.
    let (Some(name), Some(unit)) = (unsafe { text(name) }, unsafe { text(unit) }) else { return 0 };
    with(context, |shared| shared.context.metric(kind, name, unit)).flatten().unwrap_or(0)
}

unsafe extern "C" fn record(context: *mut Ctx, metric: u32, value: f64) {
    with(context, |shared| shared.context.record(metric, value));
}

unsafe extern "C" fn setting(context: *mut Ctx, pointer: Str, out: *mut abi::Value) {
    // SAFETY: a text that the plugin hands over for the call.
    let pointer = unsafe { text(pointer) };
    // SAFETY: where it is not NULL, the plugin has room for a value there.
    let answer = |shared: &Shared, pointer| unsafe { give(out, shared.context.setting(pointer)) };
    let found = pointer.and_then(|pointer| with(context, |shared| answer(shared, pointer)));
    if found.is_none() {
        // SAFETY: as above.
        unsafe { give(out, Value::Absent) };
    }
}

/// Fills in a value for a plugin, each part with a store of its own size: the plugin reads them at
/// once, and a processor waits for stores that are not as large as what is read.
///
/// # Safety
///
/// `out` is NULL or has room for a value, aligned as one.
pub(super) unsafe fn give(out: *mut abi::Value, value: Value<'_>) {
    if out.is_null() {
        return;
    }
    let (tag, u) = match value {
        Value::Absent => (abi::ABSENT, Payload { i: 0 }),
        Value::Null => (abi::NULL, Payload { i: 0 }),
        Value::Bool(value) => (abi::BOOL, Payload { i: i64::from(value) }),
        Value::I64(number) => (abi::I64, Payload { i: number }),
        Value::F64(number) => (abi::F64, Payload { f: number }),
        Value::Time(ms) => (abi::TIME, Payload { i: ms }),
        Value::Str(text) | Value::Json(text) => {
            let is_json = matches!(value, Value::Json(_));
            let tag = if is_json { abi::JSON } else { abi::STRING };
            // SAFETY: the caller vouches for the room.
            unsafe {
                (&raw mut (*out).tag).write(tag);
                (&raw mut (*out).reserved).write(0);
                (&raw mut (*out).u.s.ptr).write(text.as_ptr().cast());
                (&raw mut (*out).u.s.len).write(text.len());
            }
            return;
        }
    };
    // SAFETY: the caller vouches for the room; the first eight bytes of the union hold all of it.
    unsafe {
        (&raw mut (*out).tag).write(tag);
        (&raw mut (*out).reserved).write(0);
        (&raw mut (*out).u.i).write(u.i);
    }
}

unsafe extern "C" fn key(context: *mut Ctx, path: Str) -> Key {
    // SAFETY: a text that the plugin hands over for the call.
    let Some(path) = (unsafe { text(path) }) else { return abi::NO_KEY };
    with(context, |shared| shared.context.key(path)).flatten().unwrap_or(abi::NO_KEY)
}

unsafe extern "C" fn stopping(context: *mut Ctx) -> u32 {
    // An instance that is gone is told to stop, whatever still runs of it.
    with(context, |shared| shared.stopping.load(Relaxed)).unwrap_or(true).into()
}

unsafe extern "C" fn extension(_: *mut Ctx, _: *const c_char) -> *const c_void {
    std::ptr::null()
}

unsafe extern "C" fn batch_len(batch: *const Batch) -> usize {
    read(number(batch), |batch| batch.len()).unwrap_or(0)
}

unsafe extern "C" fn get(batch: *const Batch, row: usize, key: Key, out: *mut abi::Value) {
    if !out.is_aligned() {
        return;
    }
    // SAFETY: where it is not NULL, the plugin has room for a value there.
    let found = read(number(batch), |batch| unsafe { give(out, batch.get(row, key)) });
    if found.is_none() {
        // SAFETY: as above.
        unsafe { give(out, Value::Absent) };
    }
}

unsafe extern "C" fn set(
    batch: *mut Batch,
    row: usize,
    key: Key,
    given: *const abi::Value,
) -> Status {
    if given.is_null() || !given.is_aligned() {
        return abi::E_ARG;
    }
    // SAFETY: neither, so it is a value that the plugin hands over for the call.
    let given = unsafe { &*given };
    let set = |value| status(change(number(batch), |batch| batch.set(row, key, value)));
    // SAFETY: the tag says which of the union holds. The kinds that are set most are each handed on
    // by themselves, for the same reason as in `give`.
    unsafe {
        match given.tag {
            abi::BOOL => set(Value::Bool(given.u.b != 0)),
            abi::I64 => set(Value::I64(given.u.i)),
            abi::F64 => set(Value::F64(given.u.f)),
            abi::STRING => text(given.u.s).map_or(abi::E_ARG, |text| set(Value::Str(text))),
            _ => value(given).map_or(abi::E_ARG, set),
        }
    }
}

unsafe extern "C" fn drop_row(batch: *mut Batch, row: usize) -> Status {
    status(change(number(batch), |batch| batch.drop_row(row)))
}

unsafe extern "C" fn fail_row(batch: *mut Batch, row: usize, reason: Str) -> Status {
    // SAFETY: a text that the plugin hands over for the call.
    let reason = unsafe { short_message(reason) };
    status(change(number(batch), |batch| batch.fail_row(row, &reason)))
}

unsafe extern "C" fn push_row(out: *mut Batch, parent: *const Batch, parent_row: usize) -> usize {
    let pushed = if parent.is_null() {
        change(number(out), |out| out.push_row(None))
    } else {
        change_beside(number(out), number(parent), |out, parent| {
            out.push_row(Some(parent.event(parent_row)?))
        })
    };
    pushed.flatten().unwrap_or(abi::NO_ROW)
}

unsafe extern "C" fn push_json(out: *mut Batch, json: Str) -> Status {
    // SAFETY: a text that the plugin hands over for the call.
    let Some(json) = (unsafe { text(json) }) else { return abi::E_ARG };
    status(change(number(out), |out| out.push_json(json)))
}

thread_local! {
    /// Where JSON is written before it is handed over. A plugin may ask for some when its thread ends,
    /// and this is gone: then another one is made.
    static JSON: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

unsafe extern "C" fn write_json(
    batch: *const Batch,
    row: usize,
    write: Option<abi::WriteFn>,
    arg: *mut c_void,
) -> Status {
    let Some(write) = write else { return abi::E_ARG };
    // Written first and handed over afterwards: while the plugin's function runs, no batch is read.
    let mut json = JSON.try_with(Cell::take).unwrap_or_default();
    json.clear();
    let written = read(number(batch), |batch| batch.write_json(row, &mut json));
    if written == Some(Ok(())) {
        // SAFETY: the plugin's own function, with its own argument.
        unsafe { write(arg, json.as_ptr().cast(), json.len()) };
    }
    let _ = JSON.try_with(|kept| kept.set(json));
    status(written)
}

unsafe extern "C" fn watermark(out: *mut Batch, ms: i64) -> Status {
    status(change(number(out), |out| out.watermark(ms)))
}

unsafe extern "C" fn retain(context: *mut Ctx, batch: *const Batch) -> *const Batch {
    let kept = with(context, |shared| {
        let kept = loans::retain(shared.number, &shared.held, number(batch));
        kept.unwrap_or_else(|Full(most)| {
            if !shared.is_told.swap(true, Relaxed) {
                let said = format!("{most} batches are retained, and there is room for no more");
                shared.context.log(Level::Warn, "", &said);
            }
            None
        })
    });
    kept.flatten().map_or(std::ptr::null(), |number| as_batch(number).cast_const())
}

unsafe extern "C" fn release(context: *mut Ctx, batch: *const Batch) {
    // By its number alone, since the instance may be gone.
    if !loans::release(context.addr() as u64, number(batch)) {
        let said = "released a batch that it does not hold";
        with(context, |shared| shared.context.log(Level::Warn, "", said));
    }
}

unsafe extern "C" fn complete(context: *mut Ctx, token: u64, given: *const abi::Outcome) {
    if given.is_null() {
        return;
    }
    // SAFETY: not NULL, so it is an outcome that the plugin hands over for the call.
    let outcome = unsafe { outcome(given) };
    let known = with(context, |shared| shared.context.complete(token, outcome));
    if known == Some(false) {
        let said = "completed what nobody waits for: twice, too late, or never begun";
        with(context, |shared| shared.context.log(Level::Warn, "", said));
    }
}

unsafe extern "C" fn wake(context: *mut Ctx) {
    with(context, |shared| shared.context.wake());
}

unsafe extern "C" fn next_tick(context: *mut Ctx, ms: i64) {
    let at = (ms != abi::NO_TICK).then_some(ms);
    with(context, |shared| shared.context.next_tick(at));
}

unsafe extern "C" fn now(context: *mut Ctx) -> i64 {
    with(context, |shared| shared.context.now()).unwrap_or(0)
}

static NAME: OnceLock<(&str, &str)> = OnceLock::new();

/// Says what the host calls itself, and its version; heard before the first instance is made.
pub fn introduce(name: &'static str, version: &'static str) {
    let _ = NAME.set((name, version));
}

/// The functions that every instance is given.
pub(super) fn host() -> &'static abi::Host {
    static HOST: OnceLock<abi::Host> = OnceLock::new();
    HOST.get_or_init(|| {
        let (name, version) = NAME.get().copied().unwrap_or(("test", env!("CARGO_PKG_VERSION")));
        abi::Host {
            size: size_of::<abi::Host>() as u32,
            abi_major: abi::MAJOR,
            abi_minor: abi::MINOR,
            reserved: 0,
            name: Str::new(name),
            version: Str::new(version),
            log: Some(log),
            log_enabled: Some(log_enabled),
            set_error: Some(set_error),
            metric: Some(metric),
            record: Some(record),
            setting: Some(setting),
            key: Some(key),
            stopping: Some(stopping),
            extension: Some(extension),
            batch_len: Some(batch_len),
            get: Some(get),
            set: Some(set),
            gather: Some(gather),
            scatter: Some(scatter),
            drop_row: Some(drop_row),
            fail_row: Some(fail_row),
            push_row: Some(push_row),
            push_json: Some(push_json),
            write_json: Some(write_json),
            watermark: Some(watermark),
            retain: Some(retain),
            release: Some(release),
            complete: Some(complete),
            wake: Some(wake),
            next_tick: Some(next_tick),
            now: Some(now),
        }
    })
}
