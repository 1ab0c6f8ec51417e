//! Black-box tests, by feature.

mod command_line;
mod contributing;
mod event_factory;
mod event_schemas;
mod fakes;
mod floors;
mod flow;
mod golden;
mod harness;
mod pipelines;
mod reader;
mod readme;
mod reference;
mod schemas;
mod wrong_specs;
