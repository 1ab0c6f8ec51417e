//! Rhai: what users write for rules, mappings and weights. Compiled and checked when a spec is, run in a
//! sandbox, with events, keyed state and timers that stay in Rust.

mod body;
mod call;
mod calls;
mod check;
mod compile;
mod compiled;
mod condition;
mod contract;
mod duration;
mod event;
mod figures;
mod functions;
mod fuse;
mod hook;
mod hook_events;
mod output;
mod payload_fields;
mod premises;
mod print;
mod random;
mod sandbox;
mod state;
mod tables;
mod timers;
mod trial;
mod values;
mod weights;

pub use call::Runner;
pub use calls::{Calls, Given, Returned, Tier};
pub use compile::{Function, Script};
pub use compiled::GivenEvent;
pub use condition::Condition;
pub use event::EventHandle;
pub use figures::{Meter, RuleFigures, RuleTally};
pub use functions::{GROUPS, HostFunction, host_functions};
pub use hook::{
    BATCH_SENT, ERROR, EVENT_GENERATED, HookFailure, HookHost, HookMeasure, HookScript,
    MeasureError,
};
pub use output::{Command, Emission, OutputHandle};
pub use payload_fields::PayloadFields;
pub use premises::Premises;
pub use random::{Randomness, StreamState, seed_of};
pub use sandbox::Sandbox;
pub use state::{KeptKey, KeyPart, KeyedState, StateHandle, StateKey};
pub use tables::Table;
pub use timers::{TimerId, Timers, TooManyTimers};
pub use trial::{Mishap, Trial};
pub use weights::Weights;
