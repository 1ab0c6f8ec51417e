//! Libraries that are loaded, and run by a host of a few pages: what they misuse is answered, and
//! nothing is left behind by making and destroying them.

#[path = "loaded/cycles.rs"]
mod cycles;
#[path = "loaded/descriptors.rs"]
mod descriptors;
#[path = "loaded/host.rs"]
mod host;
#[path = "../../../tests/plugins/libraries.rs"]
mod libraries;
#[path = "loaded/library.rs"]
mod library;
#[path = "loaded/misuse.rs"]
mod misuse;
#[path = "loaded/panics.rs"]
mod panics;
