//! A client of Azure Event Hubs: what the sink `event_hubs` sends with, and what the source has in
//! common with it. It stands by itself, so that a program can send with it, too.
//!
//! ```text
//! events -> messages -> a producer that is free -> a batch for each partition -> settled, or why not
//! ```

mod access;
mod client;
mod connection_string;
mod description;
mod entra;
mod fault;
mod figures;
mod messages;
mod parcels;
pub mod partition_key;
mod producer;
mod settings;
mod thread;

pub use access::{Access, AccessError};
pub use client::{EventHubsClient, Sent, UnsentEvents};
pub use connection_string::{ConnectionString, ConnectionStringError};
pub use description::{HubDescription, PartitionDescription};
pub use entra::{Entra, EntraCredential};
pub(crate) use fault::{Class, Fault};
pub use figures::EventHubsStatistics;
pub use messages::Partitioning;
pub use settings::{AccessSettings, Transport};
pub(crate) use thread::run_apart;
