//! Declarative pipelines that stream realistic, correlated retail events.

pub mod event;

pub mod clock;
pub mod control;
pub mod failure;
pub mod file_lock;
pub mod hooks;
pub mod kind;
pub mod problem;
pub mod retail;
pub mod security;

pub mod script;
pub mod spec;

pub mod audit;
pub mod batchers;
pub mod checkpoint;
pub mod component;
pub mod correlators;
pub mod dead_letter;
pub mod delivery;
pub mod enrichers;
#[cfg(feature = "event_hubs")]
pub mod event_hubs;
pub mod monitor;
pub mod sinks;
pub mod sources;
pub mod stage;
pub mod state;

pub mod plugin;

pub mod registry;

pub mod plan;

pub mod graph;

pub mod runtime;

#[cfg(feature = "otlp")]
pub mod otlp;
pub mod server;

pub mod engine;

pub mod bench;
pub mod testing;

#[cfg(feature = "event_hubs")]
pub mod capacity;
