//! `engine_plugin.h` in Rust: the same types, with the same layout. What they mean stands there.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_void};
use std::mem::{offset_of, size_of};

/// "EPP1" in memory.
pub const MAGIC: u32 = 0x3150_5045;
/// Another major is refused.
pub const MAJOR: u32 = 1;
/// A minor only adds.
pub const MINOR: u32 = 0;
/// The one symbol, with the NUL that a look-up needs.
pub const ENTRY_SYMBOL: &[u8] = b"engine_plugin_entry\0";
/// The contract as it is written for C.
pub const HEADER: &str = include_str!("../include/engine_plugin.h");

/// `ep_str`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Str {
    /// The first byte.
    pub ptr: *const c_char,
    /// How many there are.
    pub len: usize,
}

impl Str {
    /// The text, borrowed.
    pub const fn new(text: &str) -> Self {
        Self { ptr: text.as_ptr().cast(), len: text.len() }
    }
}

/// `ep_ctx`: never followed.
#[repr(C)]
#[derive(Debug)]
pub struct Ctx([u8; 0]);

/// `ep_batch`: never followed.
#[repr(C)]
#[derive(Debug)]
pub struct Batch([u8; 0]);

/// `ep_key`
pub type Key = u32;
/// `EP_NO_KEY`
pub const NO_KEY: Key = 0;
/// `EP_NO_ROW`
pub const NO_ROW: usize = usize::MAX;
/// `EP_NO_TICK`
pub const NO_TICK: i64 = i64::MAX;

/// `ep_status`
pub type Status = i32;
/// `EP_OK`
pub const OK: Status = 0;
/// `EP_PENDING`
pub const PENDING: Status = 1;
/// `EP_AGAIN`
pub const AGAIN: Status = 2;
/// `EP_END`
pub const END: Status = 3;
/// `EP_E_CONFIG`
pub const E_CONFIG: Status = -1;
/// `EP_E_RETRY`
pub const E_RETRY: Status = -2;
/// `EP_E_FATAL`
pub const E_FATAL: Status = -3;
/// `EP_E_PANIC`
pub const E_PANIC: Status = -4;
/// `EP_E_ARG`
pub const E_ARG: Status = -5;
/// `EP_E_UNSUPPORTED`
pub const E_UNSUPPORTED: Status = -6;
/// `EP_E_STOPPED`
pub const E_STOPPED: Status = -7;
/// `EP_E_REJECTED`
pub const E_REJECTED: Status = -8;

/// `EP_SOURCE`
pub const SOURCE: u32 = 1;
/// `EP_ENRICHER`
pub const ENRICHER: u32 = 2;
/// `EP_CORRELATOR`
pub const CORRELATOR: u32 = 3;
/// `EP_SINK`
pub const SINK: u32 = 4;

/// `EP_ABSENT`
pub const ABSENT: u32 = 0;
/// `EP_NULL`
pub const NULL: u32 = 1;
/// `EP_BOOL`
pub const BOOL: u32 = 2;
/// `EP_I64`
pub const I64: u32 = 3;
/// `EP_F64`
pub const F64: u32 = 4;
/// `EP_STRING`
pub const STRING: u32 = 5;
/// `EP_JSON`
pub const JSON: u32 = 6;
/// `EP_TIME`
pub const TIME: u32 = 7;

/// `EP_F_BLOCKING`
pub const F_BLOCKING: u32 = 1;
/// `EP_F_NETWORK`
pub const F_NETWORK: u32 = 2;
/// `EP_F_DERIVED_ONLY`
pub const F_DERIVED_ONLY: u32 = 4;

/// `EP_COUNTER`
pub const COUNTER: u32 = 1;
/// `EP_GAUGE`
pub const GAUGE: u32 = 2;
/// `EP_HISTOGRAM`
pub const HISTOGRAM: u32 = 3;

/// `EP_STATE_1`
pub const STATE_1: &std::ffi::CStr = c"engine.state/1";

/// What stands in an [`Value`], by its tag.
#[repr(C)]
#[derive(Clone, Copy)]
pub union Payload {
    /// `EP_BOOL`
    pub b: u8,
    /// `EP_I64`, `EP_TIME`
    pub i: i64,
    /// `EP_F64`
    pub f: f64,
    /// `EP_STRING`, `EP_JSON`
    pub s: Str,
}

/// `ep_value`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Value {
    /// Which of the union holds.
    pub tag: u32,
    /// 0
    pub reserved: u32,
    /// The value itself.
    pub u: Payload,
}

impl Value {
    /// No such field.
    pub const ABSENT: Self =
        Self { tag: ABSENT, reserved: 0, u: Payload { s: Str { ptr: std::ptr::null(), len: 0 } } };
}

/// `ep_refusal`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// Which event of the batch.
    pub row: usize,
    /// `E_RETRY` or `E_REJECTED`
    pub status: Status,
    /// Not before this is over.
    pub retry_after_ms: u32,
    /// Why.
    pub reason: Str,
}

/// `ep_outcome`
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Of this struct.
    pub size: u32,
    /// Of the batch as a whole.
    pub status: Status,
    /// Not before this is over.
    pub retry_after_ms: u32,
    /// 0
    pub reserved: u32,
    /// Why, where nothing was taken.
    pub error: Str,
    /// How many refusals.
    pub refusals_len: usize,
    /// By ascending row.
    pub refusals: *const Refusal,
}

/// `ep_write_fn`
pub type WriteFn = unsafe extern "C" fn(*mut c_void, *const c_char, usize);

/// Declares a struct with the fields that the header has, all of them public.
macro_rules! mirror {
    ($(#[$about:meta])* $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        pub struct $name {
            $(#[doc = concat!("`", stringify!($field), "`")] pub $field: $type,)*
        }

        impl $name {
            /// Its fields with the offset of each, in order.
            pub const LAYOUT: &[(&str, usize)] =
                &[$((stringify!($field), offset_of!($name, $field)),)*];
        }

        // SAFETY: only functions, numbers and texts that live as long as the process.
        unsafe impl Send for $name {}
        // SAFETY: as above; nothing in it changes.
        unsafe impl Sync for $name {}
    };
}

mirror! {
    /// `ep_host`
    Host {
        size: u32,
        abi_major: u32,
        abi_minor: u32,
        reserved: u32,
        name: Str,
        version: Str,
        log: Option<unsafe extern "C" fn(*mut Ctx, u32, Str, Str)>,
        log_enabled: Option<unsafe extern "C" fn(*mut Ctx, u32) -> u32>,
        set_error: Option<unsafe extern "C" fn(*mut Ctx, Str)>,
        metric: Option<unsafe extern "C" fn(*mut Ctx, u32, Str, Str) -> u32>,
        record: Option<unsafe extern "C" fn(*mut Ctx, u32, f64)>,
        setting: Option<unsafe extern "C" fn(*mut Ctx, Str, *mut Value)>,
        key: Option<unsafe extern "C" fn(*mut Ctx, Str) -> Key>,
        stopping: Option<unsafe extern "C" fn(*mut Ctx) -> u32>,
        extension: Option<unsafe extern "C" fn(*mut Ctx, *const c_char) -> *const c_void>,
        batch_len: Option<unsafe extern "C" fn(*const Batch) -> usize>,
        get: Option<unsafe extern "C" fn(*const Batch, usize, Key, *mut Value)>,
        set: Option<unsafe extern "C" fn(*mut Batch, usize, Key, *const Value) -> Status>,
        gather: Option<unsafe extern "C" fn(*const Batch, *const Key, usize, *mut Value) -> Status>,
        scatter: Option<unsafe extern "C" fn(*mut Batch, *const Key, usize, *const Value) -> Status>,
        drop_row: Option<unsafe extern "C" fn(*mut Batch, usize) -> Status>,
        fail_row: Option<unsafe extern "C" fn(*mut Batch, usize, Str) -> Status>,
        push_row: Option<unsafe extern "C" fn(*mut Batch, *const Batch, usize) -> usize>,
        push_json: Option<unsafe extern "C" fn(*mut Batch, Str) -> Status>,
        write_json: Option<unsafe extern "C" fn(*const Batch, usize, Option<WriteFn>, *mut c_void) -> Status>,
        watermark: Option<unsafe extern "C" fn(*mut Batch, i64) -> Status>,
        retain: Option<unsafe extern "C" fn(*mut Ctx, *const Batch) -> *const Batch>,
        release: Option<unsafe extern "C" fn(*mut Ctx, *const Batch)>,
        complete: Option<unsafe extern "C" fn(*mut Ctx, u64, *const Outcome)>,
        wake: Option<unsafe extern "C" fn(*mut Ctx)>,
        next_tick: Option<unsafe extern "C" fn(*mut Ctx, i64)>,
        now: Option<unsafe extern "C" fn(*mut Ctx) -> i64>,
    }
}

mirror! {
    /// `ep_plugin`
    Plugin {
        size: u32,
        kind: u32,
        flags: u32,
        max_in_flight: u32,
        name: Str,
        version: Str,
        summary: Str,
        config_schema: Str,
        example: Str,
        create: Option<unsafe extern "C" fn(*const Host, *mut Ctx, Str, *mut *mut c_void) -> Status>,
        start: Option<unsafe extern "C" fn(*mut c_void) -> Status>,
        request_stop: Option<unsafe extern "C" fn(*mut c_void)>,
        flush: Option<unsafe extern "C" fn(*mut c_void, u64) -> Status>,
        destroy: Option<unsafe extern "C" fn(*mut c_void)>,
        extension: Option<unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void>,
        poll: Option<unsafe extern "C" fn(*mut c_void, *mut Batch, usize, u32, *mut u64) -> Status>,
        ack: Option<unsafe extern "C" fn(*mut c_void, u64) -> Status>,
        process: Option<unsafe extern "C" fn(*mut c_void, *mut Batch) -> Status>,
        correlate: Option<unsafe extern "C" fn(*mut c_void, *mut Batch, *mut Batch) -> Status>,
        tick: Option<unsafe extern "C" fn(*mut c_void, i64, *mut Batch) -> Status>,
        drain: Option<unsafe extern "C" fn(*mut c_void, i64, *mut Batch) -> Status>,
        write: Option<unsafe extern "C" fn(*mut c_void, *const Batch, u64) -> Status>,
    }
}

mirror! {
    /// `ep_state_1`
    State1 {
        size: u32,
        reserved: u32,
        save: Option<unsafe extern "C" fn(*mut c_void, Option<WriteFn>, *mut c_void) -> Status>,
        restore: Option<unsafe extern "C" fn(*mut c_void, Str) -> Status>,
    }
}

mirror! {
    /// `ep_module`
    Module {
        magic: u32,
        abi_major: u32,
        abi_minor: u32,
        size: u32,
        built_with: Str,
        count: usize,
        plugins: *const *const Plugin,
    }
}

/// `ep_entry_fn`
pub type Entry = unsafe extern "C" fn(u32, u32) -> *const Module;

/// The last field of a descriptor that every plugin has; what is behind it may be missing.
pub const PLUGIN_SIZE_MIN: usize = offset_of!(Plugin, extension);

// Of the 64-bit platforms that plugins are for; a test compares every offset with the header.
const _: () = {
    assert!(size_of::<usize>() == 8, "plugins are for 64-bit platforms");
    assert!(size_of::<Str>() == 16);
    assert!(size_of::<Value>() == 24);
    assert!(size_of::<Refusal>() == 32);
    assert!(size_of::<Outcome>() == 48);
    assert!(size_of::<Host>() == 256);
    assert!(size_of::<Plugin>() == 200);
    assert!(size_of::<State1>() == 24);
    assert!(size_of::<Module>() == 48);
};
