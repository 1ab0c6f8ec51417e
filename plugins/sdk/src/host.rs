//! The host's side: what an engine, or a test in place of one, needs to run plugins. All that is
//! unsafe about it is in this module; its face is safe.
//!
//! [`read`] takes a module apart, [`Descriptor::create`] makes an [`Instance`], whose calls are
//! given batches as [`Lent`]; what the instance asks of its host in return goes to a [`Context`].
#![allow(unsafe_code)]

mod instance;
mod loans;
mod matrix;
mod module;
mod said;
mod table;

use std::any::Any;
use std::sync::Arc;

use crate::abi;
use crate::outcome::{Level, MetricKind, Outcome};
use crate::value::Value;

pub use instance::{Calls, Failed, Fault, Instance, Polled, Stopper, Written};
pub use module::{Descriptor, Module, Refused, exported, read};
pub use table::introduce;

/// What the ABI of this host is: major and minor.
pub const ABI: (u32, u32) = (abi::MAJOR, abi::MINOR);

/// What an instance may ask of its host. Called from any thread, until the instance is destroyed.
pub trait Context: Send + Sync {
    /// A line for the log.
    fn log(&self, level: Level, target: &str, message: &str);

    /// Whether such a line would be seen.
    fn log_enabled(&self, level: Level) -> bool;

    /// The number of a metric, from 1; none if there is no room for more.
    fn metric(&self, kind: MetricKind, name: &str, unit: &str) -> Option<u32>;

    /// A value for a metric; a number that was never given is not heard.
    fn record(&self, metric: u32, value: f64);

    /// A value of the settings by its JSON pointer.
    fn setting(&self, pointer: &str) -> Value<'_>;

    /// The number of a field, from 1; none if the path leads nowhere.
    fn key(&self, path: &str) -> Option<abi::Key>;

    /// The answer to a write or flush that was pending. False if nobody waits for it.
    fn complete(&self, token: u64, outcome: Outcome) -> bool;

    /// A source has something.
    fn wake(&self);

    /// A correlator wants a tick at this event time, or none.
    fn next_tick(&self, ms: Option<i64>);

    /// Event time now, for a source; in milliseconds since 1970.
    fn now(&self) -> i64;
}

/// A batch as an instance sees it for the length of a call. What it cannot do, it refuses.
pub trait Lent {
    /// How many events there are.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A field; [`Value::Absent`] where there is no such row or key.
    fn get(&self, row: usize, key: abi::Key) -> Value<'_>;

    /// Appends the event as JSON.
    fn write_json(&self, row: usize, to: &mut Vec<u8>) -> Result<(), BadArgument>;

    /// Sets a field, or takes it out ([`Value::Absent`]).
    fn set(&mut self, row: usize, key: abi::Key, value: Value<'_>) -> Result<(), BadArgument> {
        let _ = (row, key, value);
        Err(BadArgument)
    }

    /// The event is dropped on purpose.
    fn drop_row(&mut self, row: usize) -> Result<(), BadArgument> {
        let _ = row;
        Err(BadArgument)
    }

    /// The event could not be processed.
    fn fail_row(&mut self, row: usize, reason: &str) -> Result<(), BadArgument> {
        let _ = (row, reason);
        Err(BadArgument)
    }

    /// A new event, with a parent ([`Lent::event`] of its batch) or without; its row.
    fn push_row(&mut self, parent: Option<&dyn Any>) -> Option<usize> {
        let _ = parent;
        None
    }

    /// A new event as JSON.
    fn push_json(&mut self, json: &str) -> Result<(), BadArgument> {
        let _ = json;
        Err(BadArgument)
    }

    /// Nothing earlier than this will come.
    fn watermark(&mut self, ms: i64) -> Result<(), BadArgument> {
        let _ = ms;
        Err(BadArgument)
    }

    /// An event as the host's own type, to be the parent of another one.
    fn event(&self, row: usize) -> Option<&dyn Any> {
        let _ = row;
        None
    }

    /// The same events, to be read after the call from any thread.
    fn retain(&self) -> Option<Arc<dyn Lent + Send + Sync>> {
        None
    }
}

/// No such row or key, a value that does not fit there, or something that this batch does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadArgument;

#[cfg(test)]
mod tests;
