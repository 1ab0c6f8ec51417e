//! The host's functions with safe faces.

use std::marker::PhantomData;
use std::sync::OnceLock;

use crate::abi::{self, Batch, Ctx, Status, Str};
use crate::crossing::{append, raw, trusted_value};
use crate::outcome::{Level, MetricKind, Outcome};
use crate::value::Value;

/// The host as one instance knows it. All of it may be used from any thread, and after the instance
/// is gone: the host answers an old number with nothing.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    table: &'static abi::Host,
    /// A number; never followed.
    context: *mut Ctx,
}

// SAFETY: the functions of the table may be called by any thread, and the context is a number.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

/// Calls a function of the host, if it has it; else nothing happens.
macro_rules! call {
    ($host:expr, $function:ident($($argument:expr),*)) => {
        // SAFETY: the function is as the header says. Texts and lists live through the call,
        // numbers are checked by the host.
        $host.table.$function.map(|function| unsafe { function($($argument),*) })
    };
}

impl Host {
    /// The host behind what `create` was given; none if it lacks a function of ABI 1.0.
    ///
    /// # Safety
    ///
    /// `table` points to an `ep_host` that lives as long as the process.
    pub(super) unsafe fn new(table: *const abi::Host, context: *mut Ctx) -> Option<Self> {
        // A library has one host.
        static TABLE: OnceLock<Option<abi::Host>> = OnceLock::new();
        // SAFETY: the caller vouches for the table, which begins with its size.
        let copy = || unsafe { copy(table) };
        let table = TABLE.get_or_init(copy).as_ref()?;
        Some(Self { table, context })
    }

    pub(crate) fn log(&self, level: Level, target: &str, message: &str) {
        call!(self, log(self.context, level as u32, Str::new(target), Str::new(message)));
    }

    pub(crate) fn log_enabled(&self, level: Level) -> bool {
        call!(self, log_enabled(self.context, level as u32)).is_some_and(|enabled| enabled != 0)
    }

    pub(crate) fn set_error(&self, message: &str) {
        call!(self, set_error(self.context, Str::new(message)));
    }

    pub(crate) fn metric(&self, kind: MetricKind, name: &str, unit: &str) -> u32 {
        let (name, unit) = (Str::new(name), Str::new(unit));
        call!(self, metric(self.context, kind as u32, name, unit)).unwrap_or(0)
    }

    pub(crate) fn record(&self, metric: u32, value: f64) {
        call!(self, record(self.context, metric, value));
    }

    pub(crate) fn key(&self, path: &str) -> Option<abi::Key> {
        call!(self, key(self.context, Str::new(path))).filter(|key| *key != abi::NO_KEY)
    }

    pub(crate) fn stopping(&self) -> bool {
        call!(self, stopping(self.context)).is_none_or(|stopping| stopping != 0)
    }

    pub(crate) fn wake(&self) {
        call!(self, wake(self.context));
    }

    pub(crate) fn next_tick(&self, ms: Option<i64>) {
        call!(self, next_tick(self.context, ms.unwrap_or(abi::NO_TICK)));
    }

    pub(crate) fn now(&self) -> i64 {
        call!(self, now(self.context)).unwrap_or(0)
    }

    pub(crate) fn complete(&self, token: u64, outcome: &Outcome) {
        let wait = u32::try_from(outcome.retry_after.as_millis()).unwrap_or(u32::MAX);
        let refusals: Vec<_> = outcome
            .refusals
            .iter()
            .map(|refusal| abi::Refusal {
                row: refusal.row,
                status: refusal.error.status(),
                retry_after_ms: wait,
                reason: Str::new(refusal.error.reason()),
            })
            .collect();
        let error = outcome.error.as_ref();
        let outcome = abi::Outcome {
            size: size_of::<abi::Outcome>() as u32,
            status: error.map_or(abi::OK, crate::Error::status),
            retry_after_ms: wait,
            reserved: 0,
            error: Str::new(error.map_or("", |error| error.reason())),
            refusals_len: refusals.len(),
            refusals: refusals.as_ptr(),
        };
        call!(self, complete(self.context, token, &raw const outcome));
    }

    /// A batch that this call was lent.
    ///
    /// # Safety
    ///
    /// `'a` is no longer than the call.
    pub(super) unsafe fn lent<'a>(self, batch: *const Batch) -> RawBatch<'a> {
        RawBatch { host: self, batch: batch.cast_mut(), _call: PhantomData }
    }
}

/// # Safety
///
/// As for [`Host::new`].
unsafe fn copy(table: *const abi::Host) -> Option<abi::Host> {
    // SAFETY: the size comes first.
    let size = unsafe { table.cast::<u32>().read_unaligned() } as usize;
    // This version asks for all that it knows; a newer host has more.
    // SAFETY: it has at least that many bytes.
    (size >= size_of::<abi::Host>()).then(|| unsafe { table.read_unaligned() })
}

/// A batch of the host. What is borrowed of it is gone with its next change, or with the call.
pub(crate) struct RawBatch<'a> {
    host: Host,
    /// A number; never followed. A pointer keeps the batch on the thread that it was lent to.
    batch: *mut Batch,
    _call: PhantomData<&'a mut Batch>,
}

impl RawBatch<'_> {
    pub(crate) fn len(&self) -> usize {
        call!(self.host, batch_len(self.batch)).unwrap_or(0)
    }

    #[inline]
    pub(crate) fn get(&self, row: usize, key: abi::Key) -> Value<'_> {
        let mut value = abi::Value::ABSENT;
        call!(self.host, get(self.batch, row, key, &raw mut value));
        // SAFETY: the host filled it in, and what it borrows holds until the next change, for which
        // `self` would have to be borrowed anew.
        unsafe { trusted_value(&value) }
    }

    #[inline]
    pub(crate) fn set(&mut self, row: usize, key: abi::Key, value: Value<'_>) -> bool {
        let value = raw(value);
        is_ok(call!(self.host, set(self.batch, row, key, &raw const value)))
    }

    pub(crate) fn drop_row(&mut self, row: usize) {
        call!(self.host, drop_row(self.batch, row));
    }

    pub(crate) fn fail_row(&mut self, row: usize, reason: &str) {
        call!(self.host, fail_row(self.batch, row, Str::new(reason)));
    }

    pub(crate) fn push_row(&mut self, parent: Option<(&RawBatch<'_>, usize)>) -> usize {
        let (parent, row) =
            parent.map_or((std::ptr::null(), 0), |(parent, row)| (parent.batch.cast_const(), row));
        call!(self.host, push_row(self.batch, parent, row)).unwrap_or(abi::NO_ROW)
    }

    pub(crate) fn push_json(&mut self, json: &str) -> bool {
        is_ok(call!(self.host, push_json(self.batch, Str::new(json))))
    }

    pub(crate) fn watermark(&mut self, ms: i64) {
        call!(self.host, watermark(self.batch, ms));
    }

    pub(crate) fn write_json(&self, row: usize, to: &mut Vec<u8>) {
        let to: *mut Vec<u8> = to;
        call!(self.host, write_json(self.batch, row, Some(append), to.cast()));
    }

    pub(crate) fn retain(&self) -> Option<RetainedBatch> {
        let batch = call!(self.host, retain(self.host.context, self.batch))?;
        (!batch.is_null()).then_some(RetainedBatch { host: self.host, batch })
    }
}

/// A batch of the host beyond its call.
pub(crate) struct RetainedBatch {
    host: Host,
    batch: *const Batch,
}

// SAFETY: what is retained may be read by any thread, and nobody changes it.
unsafe impl Send for RetainedBatch {}
// SAFETY: as above.
unsafe impl Sync for RetainedBatch {}

impl RetainedBatch {
    pub(crate) fn batch(&self) -> RawBatch<'_> {
        RawBatch { host: self.host, batch: self.batch.cast_mut(), _call: PhantomData }
    }
}

impl Drop for RetainedBatch {
    fn drop(&mut self) {
        call!(self.host, release(self.host.context, self.batch));
    }
}

fn is_ok(status: Option<Status>) -> bool {
    status == Some(abi::OK)
}
