//! An Event Hubs on loopback, for tests that make it fail on purpose, and for trying pipelines by
//! hand. It is a witness of its own: it shares no code with what it tests.
//!
//! # Like the service
//!
//! - AMQP 1.0 with and without TLS; SASL with MSSBCBS, ANONYMOUS, EXTERNAL and PLAIN; frames of 64 KB.
//! - `$cbs`: shared access signatures are checked (HMAC, expiry, audience, policy), and so is what
//!   their policy allows. When a token runs out, the links that need it are detached with
//!   `amqp:unauthorized-access`.
//! - `$management`: READ of hubs and partitions, for those with a token.
//! - Senders attach to `<hub>` and `<hub>/Partitions/<n>`, receivers to
//!   `<hub>/ConsumerGroups/<group>/Partitions/<n>`. Whoever is refused is attached without a terminus
//!   first, and then detached with the reason.
//! - Batches (format 0x80013700) and single events, up to the size that the link says; more is
//!   rejected with `amqp:link:message-size-exceeded`.
//! - Keys are hashed to the partitions that the service would choose; without a key it is one
//!   partition after the other. A message is stored in one partition, all or nothing.
//! - Receivers start where their filter says, and get sequence, offset, time and key as annotations,
//!   as far as their credit goes. Of two with epochs the higher one stays; five without may share.
//!
//! # Not like the service
//!
//! - Nothing is throttled, idle or moved, and nothing expires, unless a test says so. Nothing is on disk.
//! - JWTs are checked for audience and expiry, not for who signed them; any of them may do everything.
//! - There are no publishers, no schemas, no geo-replication, no AMQP over web sockets, no Kafka.
//! - A message that is too large and that the SDK for Rust cuts in two is not rejected: the link is
//!   detached with `amqp:not-allowed`, since the SDK gives each piece an id of its own.
//! - How the service words its errors, and when it throttles, is what its documentation and clients say;
//!   nobody has compared it with the real one.
//!
//! # How it works
//!
//! [`Peer`] holds the runtime and the ports; `listener` takes connections; `connection` puts a
//! `switch` (cut, stalled) below TLS, and `frames` above it, which completes what the AMQP library
//! writes. A `session` lets links in; then `requests` serves `$cbs` and `$management`, `send_link` and
//! `receive_link` the events. All share the `broker`, which has hubs, policies, faults and counts.
//!
//! ```
//! use event_hubs_peer::{Claim, Condition, Peer, SendFault, Times};
//!
//! let peer = Peer::builder()
//!     .hub("retail-events", 4)
//!     .consumer_group("retail-events", "analytics")
//!     .policy("send-only", "c2VjcmV0", [Claim::Send])
//!     .tls()
//!     .start();
//! peer.on_send(SendFault::Reject(Condition::SERVER_BUSY), Times::N(2));
//! peer.append("retail-events", 0, ["one", "two"]);
//! assert_eq!(peer.events("retail-events")[1].text(), "two");
//! ```

mod address;
mod broker;
mod builder;
mod claim;
mod clock;
mod condition;
mod connection;
mod encoding;
mod event;
mod fault;
mod frames;
mod listener;
mod partition_key;
mod peer;
mod readers;
mod receive_link;
mod refusals;
mod requests;
mod sasl;
mod selector;
mod send_link;
mod session;
mod statistics;
mod store;
mod switch;
mod tls;
mod token;

pub use builder::Builder;
pub use claim::Claim;
pub use condition::Condition;
pub use event::{NewEvent, Property, Stored};
pub use fault::{
    AttachFault, ConnectFault, ManagementFault, ReceiveFault, SendFault, Times, TokenFault,
};
pub use peer::{DEFAULT_POLICY, Peer};
pub use statistics::{Open, Statistics};
pub use token::test_jwt;
