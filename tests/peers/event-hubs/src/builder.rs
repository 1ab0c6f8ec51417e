//! How a peer is built.

use std::io;
use std::sync::Arc;

use crate::broker::Broker;
use crate::claim::{Claim, Policy};
use crate::peer::{DEFAULT_POLICY, Peer};
use crate::store::Hub;
use crate::tls::Tls;

/// The largest message that a link takes, unless it is said otherwise: that of the standard tier.
const MESSAGE_BYTES_MAX: u64 = 1_048_576;

/// The consumer group that every hub has.
const DEFAULT_GROUP: &str = "$Default";

/// What a peer is to be; see [`Peer::builder`].
#[derive(Debug)]
pub struct Builder {
    hubs: Vec<(String, usize, Vec<String>)>,
    policies: Vec<Policy>,
    message_bytes_max: u64,
    tls: bool,
    port: u16,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let default = Policy {
            name: DEFAULT_POLICY.0.into(),
            key: DEFAULT_POLICY.1.into(),
            claims: vec![Claim::Manage],
            hub: None,
        };
        Self {
            hubs: Vec::new(),
            policies: vec![default],
            message_bytes_max: MESSAGE_BYTES_MAX,
            tls: false,
            port: 0,
        }
    }

    /// Adds a hub with so many partitions, and the consumer group `$Default`.
    #[must_use]
    pub fn hub(mut self, name: &str, partitions: usize) -> Self {
        assert!(partitions > 0, "the hub `{name}` needs a partition");
        self.hubs.push((name.into(), partitions, vec![DEFAULT_GROUP.into()]));
        self
    }

    /// Adds a consumer group to a hub that was added before.
    #[must_use]
    pub fn consumer_group(mut self, hub: &str, group: &str) -> Self {
        let (_, _, groups) = self
            .hubs
            .iter_mut()
            .find(|(name, _, _)| name == hub)
            .unwrap_or_else(|| panic!("there is no hub `{hub}` to add a consumer group to"));
        groups.push(group.into());
        self
    }

    /// Adds a shared access policy for all hubs.
    #[must_use]
    pub fn policy(
        mut self,
        name: &str,
        key: &str,
        claims: impl IntoIterator<Item = Claim>,
    ) -> Self {
        let claims = claims.into_iter().collect();
        self.policies.push(Policy { name: name.into(), key: key.into(), claims, hub: None });
        self
    }

    /// Adds a shared access policy for one hub.
    #[must_use]
    pub fn hub_policy(
        mut self,
        hub: &str,
        name: &str,
        key: &str,
        claims: impl IntoIterator<Item = Claim>,
    ) -> Self {
        self = self.policy(name, key, claims);
        if let Some(policy) = self.policies.last_mut() {
            policy.hub = Some(hub.into());
        }
        self
    }

    /// Sets the largest message that a link takes, in bytes.
    #[must_use]
    pub fn message_bytes_max(mut self, bytes: u64) -> Self {
        self.message_bytes_max = bytes;
        self
    }

    /// Listens with TLS, too, on a port of its own.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Sets the port without TLS; a free one is taken if it is not set.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts it. Panics if it cannot listen on loopback.
    pub fn start(self) -> Peer {
        self.try_start().unwrap_or_else(|error| panic!("cannot listen on loopback: {error}"))
    }

    /// Starts it, or says why it cannot listen.
    pub fn try_start(self) -> io::Result<Peer> {
        let hub =
            |(name, partitions, groups): (String, usize, _)| Hub::new(&name, partitions, groups);
        let hubs = self.hubs.into_iter().map(hub).collect();
        let broker = Broker::new(hubs, self.policies, self.message_bytes_max);
        let tls = self
            .tls
            .then(Tls::new)
            .transpose()
            .map_err(|error| io::Error::other(error.to_string()))?;
        Peer::start(Arc::new(broker), tls, self.port)
    }
}
