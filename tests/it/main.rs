//! Black-box tests, by feature.

mod audit;
mod authoring;
mod bench;
mod command_line;
mod contributing;
mod correlators;
mod deploy;
mod dlq;
mod event_factory;
#[cfg(feature = "event_hubs")]
mod event_hubs;
#[cfg(feature = "event_hubs")]
mod event_hubs_source;
mod event_schemas;
mod example_plugins;
mod fakes;
mod faults;
mod floors;
mod flow;
mod fuzz;
mod golden;
mod harness;
mod hooks;
mod http_sink;
mod http_source;
mod invariants;
mod kills;
#[path = "../plugins/libraries.rs"]
mod libraries;
mod loading;
mod metrics;
mod new_plugin;
#[cfg(feature = "otlp")]
mod otlp;
mod outage;
mod page;
mod peer;
mod pipelines;
mod plugin_faults;
mod plugins;
mod reader;
mod readme;
mod reference;
mod resume;
mod retail;
mod rules;
mod sandbox;
mod schemas;
mod security;
mod served;
mod served_tap;
mod shards;
mod testing;
mod top;
mod wrong_specs;
