//! The plugin's side: what stands between the traits and the C functions of the contract. Panics
//! end here, and all that is unsafe about a plugin is in this module.
#![allow(unsafe_code)]

mod host;

use std::any::Any;
use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, OnceLock};
use std::time::Duration;

use crate::abi::{self, Batch, Ctx, Status, Str};
use crate::batch::{Events, Observed, Output, Rows};
use crate::crossing::trusted_text;
use crate::engine::{Delivery, Engine, Key};
use crate::outcome::{Error, Level};
use crate::plugin::{Correlator, Enricher, Plugin, Poll, Sink, Source};

pub(crate) use host::{Host, RawBatch, RetainedBatch};

/// A plugin as the contract describes it; made by [`source`], [`enricher`], [`correlator`] and
/// [`sink`].
#[derive(Clone, Copy)]
pub struct Exported(pub(crate) abi::Plugin);

/// Exports the plugins of a library: `export_plugins!(enricher Tier, sink Archive);`, once. Their
/// version is that of the crate.
#[macro_export]
macro_rules! export_plugins {
    ($($kind:ident $plugin:ty),+ $(,)?) => {
        #[cfg(panic = "abort")]
        compile_error!("a plugin is built with `panic = \"unwind\"`: a panic would end the engine");

        /// The one symbol that the engine looks for.
        #[allow(unsafe_code)]
        #[unsafe(no_mangle)]
        pub extern "C" fn engine_plugin_entry(_: u32, _: u32) -> *const $crate::abi::Module {
            static MODULE: $crate::boundary::OnceModule = $crate::boundary::OnceModule::new();
            MODULE.get(|| {
                let version = ::core::env!("CARGO_PKG_VERSION");
                ::std::vec![$($crate::boundary::$kind::<$plugin>(version)),+]
            })
        }
    };
}

/// A library's module, made when it is asked for first.
#[doc(hidden)]
pub struct OnceModule(OnceLock<Option<abi::Module>>);

impl OnceModule {
    #[expect(clippy::new_without_default, reason = "a constant")]
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The module; NULL if it cannot be made, since a schema panicked.
    pub fn get(&self, plugins: fn() -> Vec<Exported>) -> *const abi::Module {
        let module = self.0.get_or_init(|| {
            let plugins = catch_unwind(plugins).map_err(text_of).ok()?;
            let plugins: Vec<&'static abi::Plugin> =
                plugins.into_iter().map(|plugin| &*Box::leak(Box::new(plugin.0))).collect();
            Some(module(plugins.leak()))
        });
        module.as_ref().map_or(std::ptr::null(), std::ptr::from_ref)
    }
}

fn module(plugins: &'static [&'static abi::Plugin]) -> abi::Module {
    abi::Module {
        magic: abi::MAGIC,
        abi_major: abi::MAJOR,
        abi_minor: abi::MINOR,
        size: size_of::<abi::Module>() as u32,
        built_with: Str::new(concat!("engine-plugin ", env!("CARGO_PKG_VERSION"))),
        count: plugins.len(),
        plugins: plugins.as_ptr().cast(),
    }
}

/// An instance as the host holds it.
struct Instance<T> {
    /// Looked at by the one call that is under way.
    plugin: UnsafeCell<T>,
    /// After a panic, what is left of the plugin is dropped and no more.
    is_poisoned: AtomicBool,
    engine: Engine,
    event_type: Key,
}

thread_local! {
    /// Whose call this thread is in: a panic is told to its log.
    static CURRENT: Cell<Option<Host>> = const { Cell::new(None) };
}

/// Does something on behalf of a host, without letting a panic out.
fn guarded<R>(host: Host, work: impl FnOnce() -> R) -> Result<R, String> {
    struct Before(Option<Host>);
    impl Drop for Before {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _before = Before(CURRENT.replace(Some(host)));
    catch_unwind(AssertUnwindSafe(work)).map_err(text_of)
}

/// What a panic said.
fn text_of(panic: Box<dyn Any + Send>) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        return (*text).to_owned();
    }
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => {
            // To drop it might panic again.
            std::mem::forget(other);
            "something that is no text".to_owned()
        }
    }
}

/// Tells panics to the engine's log, with their place, in place of standard error.
fn forward_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match CURRENT.get() {
            Some(host) => host.log(Level::Error, "", &panic.to_string()),
            None => before(panic),
        }));
    });
}

fn fail(host: Host, error: &Error) -> Status {
    host.set_error(error.reason());
    error.status()
}

fn panicked(host: Host, said: &str) -> Status {
    host.set_error(&format!("panicked: {said}"));
    abi::E_PANIC
}

/// One call of an instance.
///
/// # Safety
///
/// `this` was made by [`create`] for the same `T` and is not destroyed, and no other call of it is
/// under way.
unsafe fn enter<T>(
    this: *mut c_void,
    call: impl FnOnce(&mut T, &Instance<T>) -> Result<Status, Error>,
) -> Status {
    let Some(this) = NonNull::new(this.cast::<Instance<T>>()) else { return abi::E_ARG };
    // SAFETY: the caller vouches for it.
    let instance = unsafe { this.as_ref() };
    let host = instance.engine.host;
    if instance.is_poisoned.load(Ordering::Acquire) {
        return panicked(host, "earlier");
    }
    // SAFETY: no other call is under way, and `request_stop` does not look at the plugin.
    let plugin = unsafe { &mut *instance.plugin.get() };
    match guarded(host, || call(plugin, instance)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => fail(host, &error),
        Err(said) => {
            instance.is_poisoned.store(true, Ordering::Release);
            panicked(host, &said)
        }
    }
}

unsafe extern "C" fn create<T: Plugin>(
    table: *const abi::Host,
    context: *mut Ctx,
    settings: Str,
    out: *mut *mut c_void,
) -> Status {
    if table.is_null() || out.is_null() {
        return abi::E_ARG;
    }
    // SAFETY: not NULL, so it is the host's table.
    let Some(host) = (unsafe { Host::new(table, context) }) else { return abi::E_UNSUPPORTED };
    forward_panics();
    let engine = Engine::new(host);
    let made = guarded(host, || {
        // SAFETY: a text of the host, for the call.
        let settings = unsafe { trusted_text(settings) };
        let settings = serde_json::from_str(settings).map_err(Error::config)?;
        let event_type = engine.key("event_type")?;
        let plugin = UnsafeCell::new(T::create(settings, &engine)?);
        let (is_poisoned, engine) = (AtomicBool::new(false), engine.clone());
        Ok(Instance { plugin, is_poisoned, engine, event_type })
    });
    if !matches!(made, Ok(Ok(_))) {
        forget_stops(&engine);
    }
    match made {
        Ok(Ok(instance)) => {
            // SAFETY: not NULL, so there is room for a pointer.
            unsafe { out.write(Box::into_raw(Box::new(instance)).cast()) };
            abi::OK
        }
        Ok(Err(error)) => fail(host, &error),
        Err(said) => panicked(host, &said),
    }
}

unsafe extern "C" fn start<T: Plugin>(this: *mut c_void) -> Status {
    // SAFETY: the host calls it as the header says, and so in what follows.
    unsafe { enter::<T>(this, |plugin, _| plugin.start().map(|()| abi::OK)) }
}

/// Beside any other call: so it looks at nothing but the engine.
unsafe extern "C" fn request_stop<T: Plugin>(this: *mut c_void) {
    let Some(this) = NonNull::new(this.cast::<Instance<T>>()) else { return };
    // SAFETY: the host asks no instance to stop that is destroyed. Only a shared reference is
    // made, and the plugin behind the cell is left alone.
    let engine = unsafe { &this.as_ref().engine };
    for stop in engine.take_stops() {
        // What panics was told to the log, and the others are called all the same.
        let _ = guarded(engine.host, stop);
    }
}

/// What was to be called at a stop is not called any more. It may hold the engine that holds it.
fn forget_stops(engine: &Engine) {
    let _ = guarded(engine.host, || drop(engine.take_stops()));
}

unsafe extern "C" fn destroy<T: Plugin>(this: *mut c_void) {
    if this.is_null() {
        return;
    }
    // SAFETY: it was made by `create`, and this is the last call.
    let instance = unsafe { Box::from_raw(this.cast::<Instance<T>>()) };
    let host = instance.engine.host;
    forget_stops(&instance.engine);
    // What panics was told to the log.
    let _ = guarded(host, || drop(instance));
}

unsafe extern "C" fn process<T: Enricher>(this: *mut c_void, rows: *mut Batch) -> Status {
    // SAFETY: see `start`; the batch is lent for this call.
    unsafe {
        enter::<T>(this, |plugin, instance| {
            let mut rows = Rows(instance.engine.host.lent(rows));
            plugin.enrich(&mut rows).map(|()| abi::OK)
        })
    }
}

unsafe extern "C" fn correlate<T: Correlator>(
    this: *mut c_void,
    input: *mut Batch,
    out: *mut Batch,
) -> Status {
    // SAFETY: see `start`; the batches are lent for this call.
    unsafe {
        enter::<T>(this, |plugin, instance| {
            let mut input = Observed(instance.engine.host.lent(input));
            let mut out = Output(instance.engine.host.lent(out), instance.event_type);
            plugin.observe(&mut input, &mut out).map(|()| abi::OK)
        })
    }
}

unsafe extern "C" fn tick<T: Correlator>(this: *mut c_void, now: i64, out: *mut Batch) -> Status {
    // SAFETY: see `start`; the batch is lent for this call.
    unsafe {
        enter::<T>(this, |plugin, instance| {
            let mut out = Output(instance.engine.host.lent(out), instance.event_type);
            plugin.tick(now, &mut out).map(|()| abi::OK)
        })
    }
}

unsafe extern "C" fn drain<T: Correlator>(this: *mut c_void, end: i64, out: *mut Batch) -> Status {
    // SAFETY: see `start`; the batch is lent for this call.
    unsafe {
        enter::<T>(this, |plugin, instance| {
            let mut out = Output(instance.engine.host.lent(out), instance.event_type);
            plugin.drain(end, &mut out).map(|()| abi::OK)
        })
    }
}

unsafe extern "C" fn poll<T: Source>(
    this: *mut c_void,
    out: *mut Batch,
    max: usize,
    timeout_ms: u32,
    token: *mut u64,
) -> Status {
    // SAFETY: see `start`; the batch is lent for this call, and `token` has room.
    unsafe {
        enter::<T>(this, |plugin, instance| {
            let mut out = Output(instance.engine.host.lent(out), instance.event_type);
            let timeout = Duration::from_millis(timeout_ms.into());
            Ok(match plugin.poll(&mut out, max, timeout)? {
                Poll::Ready(place) => {
                    if !token.is_null() {
                        token.write(place);
                    }
                    abi::OK
                }
                Poll::Again => abi::AGAIN,
                Poll::End => abi::END,
            })
        })
    }
}

unsafe extern "C" fn ack<T: Source>(this: *mut c_void, token: u64) -> Status {
    // SAFETY: see `start`.
    unsafe { enter::<T>(this, |plugin, _| plugin.ack(token).map(|()| abi::OK)) }
}

unsafe extern "C" fn write<T: Sink>(this: *mut c_void, batch: *const Batch, token: u64) -> Status {
    // SAFETY: see `start`; the batch is lent for this call.
    unsafe {
        enter::<T>(this, |plugin, instance| {
            let host = instance.engine.host;
            plugin.write(&Events(host.lent(batch)), Delivery::new(host, token));
            Ok(abi::PENDING)
        })
    }
}

unsafe extern "C" fn flush<T: Sink>(this: *mut c_void, token: u64) -> Status {
    // SAFETY: see `start`.
    unsafe {
        enter::<T>(this, |plugin, instance| {
            plugin.flush(Delivery::new(instance.engine.host, token));
            Ok(abi::PENDING)
        })
    }
}

/// A source that remembers; the two kinds need types of their own, since one type may be both.
struct OfSource;
struct OfCorrelator;

trait Saves<T> {
    fn save(plugin: &T) -> serde_json::Value;
    fn restore(plugin: &mut T, state: serde_json::Value) -> Result<(), Error>;
}

impl<T: Source> Saves<T> for OfSource {
    fn save(plugin: &T) -> serde_json::Value {
        plugin.save()
    }

    fn restore(plugin: &mut T, state: serde_json::Value) -> Result<(), Error> {
        plugin.restore(state)
    }
}

impl<T: Correlator> Saves<T> for OfCorrelator {
    fn save(plugin: &T) -> serde_json::Value {
        plugin.save()
    }

    fn restore(plugin: &mut T, state: serde_json::Value) -> Result<(), Error> {
        plugin.restore(state)
    }
}

unsafe extern "C" fn save<T: Plugin, S: Saves<T>>(
    this: *mut c_void,
    to: Option<abi::WriteFn>,
    arg: *mut c_void,
) -> Status {
    let Some(to) = to else { return abi::E_ARG };
    // SAFETY: see `start`; the function is the host's, with its own argument.
    unsafe {
        enter::<T>(this, |plugin, _| {
            let json = S::save(plugin).to_string();
            to(arg, json.as_ptr().cast(), json.len());
            Ok(abi::OK)
        })
    }
}

unsafe extern "C" fn restore<T: Plugin, S: Saves<T>>(this: *mut c_void, json: Str) -> Status {
    // SAFETY: see `start`; the text is the host's, for the call.
    unsafe {
        enter::<T>(this, |plugin, _| {
            let state = serde_json::from_str(trusted_text(json)).map_err(Error::fatal)?;
            S::restore(plugin, state).map(|()| abi::OK)
        })
    }
}

const fn state<T: Plugin, S: Saves<T>>() -> abi::State1 {
    abi::State1 {
        size: size_of::<abi::State1>() as u32,
        reserved: 0,
        save: Some(save::<T, S>),
        restore: Some(restore::<T, S>),
    }
}

unsafe extern "C" fn extension<T: Plugin, S: Saves<T>>(
    _: *mut c_void,
    id: *const c_char,
) -> *const c_void {
    // SAFETY: the host hands over a C string.
    if id.is_null() || unsafe { CStr::from_ptr(id) } != abi::STATE_1 {
        return std::ptr::null();
    }
    std::ptr::from_ref(const { &state::<T, S>() }).cast()
}

fn exported<T: Plugin>(kind: u32, flags: u32, version: &'static str) -> abi::Plugin {
    let schema = schemars::schema_for!(T::Settings);
    let about = schema.get("description").and_then(|about| about.as_str()).unwrap_or(T::NAME);
    let summary = about.split("\n\n").next().unwrap_or(about).replace('\n', " ");
    let leak = |text: String| Str::new(text.leak());
    abi::Plugin {
        size: size_of::<abi::Plugin>() as u32,
        kind,
        flags,
        max_in_flight: 1,
        name: Str::new(T::NAME),
        version: Str::new(version),
        summary: leak(summary),
        config_schema: leak(schema.as_value().to_string()),
        example: Str::new(T::EXAMPLE),
        create: Some(create::<T>),
        start: Some(start::<T>),
        request_stop: Some(request_stop::<T>),
        flush: None,
        destroy: Some(destroy::<T>),
        extension: None,
        poll: None,
        ack: None,
        process: None,
        correlate: None,
        tick: None,
        drain: None,
        write: None,
    }
}

fn flag(is_set: bool, flag: u32) -> u32 {
    if is_set { flag } else { 0 }
}

/// A source for export; `version` is the crate's.
pub fn source<T: Source>(version: &'static str) -> Exported {
    let mut plugin = exported::<T>(abi::SOURCE, 0, version);
    plugin.poll = Some(poll::<T>);
    plugin.ack = Some(ack::<T>);
    if T::REMEMBERS {
        plugin.extension = Some(extension::<T, OfSource>);
    }
    Exported(plugin)
}

/// An enricher for export; `version` is the crate's.
pub fn enricher<T: Enricher>(version: &'static str) -> Exported {
    let flags = flag(T::BLOCKING, abi::F_BLOCKING);
    let mut plugin = exported::<T>(abi::ENRICHER, flags, version);
    plugin.process = Some(process::<T>);
    Exported(plugin)
}

/// A correlator for export; `version` is the crate's.
pub fn correlator<T: Correlator>(version: &'static str) -> Exported {
    let flags = flag(T::BLOCKING, abi::F_BLOCKING) | flag(T::DERIVED_ONLY, abi::F_DERIVED_ONLY);
    let mut plugin = exported::<T>(abi::CORRELATOR, flags, version);
    plugin.correlate = Some(correlate::<T>);
    plugin.tick = Some(tick::<T>);
    plugin.drain = Some(drain::<T>);
    if T::REMEMBERS {
        plugin.extension = Some(extension::<T, OfCorrelator>);
    }
    Exported(plugin)
}

/// A sink for export; `version` is the crate's.
pub fn sink<T: Sink>(version: &'static str) -> Exported {
    let flags = flag(T::BLOCKING, abi::F_BLOCKING) | flag(T::NETWORK, abi::F_NETWORK);
    let mut plugin = exported::<T>(abi::SINK, flags, version);
    plugin.max_in_flight = T::MAX_IN_FLIGHT;
    plugin.write = Some(write::<T>);
    plugin.flush = Some(flush::<T>);
    Exported(plugin)
}
