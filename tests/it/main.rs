//! Black-box tests, by feature.

mod command_line;
mod contributing;
mod dlq;
mod event_factory;
mod event_schemas;
mod fakes;
mod faults;
mod floors;
mod flow;
mod fuzz;
mod golden;
mod harness;
mod http_sink;
mod http_source;
mod kills;
mod outage;
mod peer;
mod pipelines;
mod reader;
mod readme;
mod reference;
mod resume;
mod schemas;
mod wrong_specs;
