//! What has happened at the peer, and what is open now.

/// Counts since the peer was built; stopping does not set them back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Connections that were taken.
    pub connections: u64,
    /// Sessions that were begun.
    pub sessions: u64,
    /// Links that clients asked for, those for tokens and management included.
    pub attaches: u64,
    /// Links that were refused.
    pub refused_attaches: u64,
    /// Messages that came for hubs, whatever became of them; a batch is one.
    pub transfers: u64,
    /// Events that were stored, or only counted.
    pub events: u64,
    /// Bytes of these, as they were encoded.
    pub bytes: u64,
    /// Messages that were accepted.
    pub accepted: u64,
    /// Messages that were rejected, released or modified.
    pub not_accepted: u64,
    /// Events that went to receivers.
    pub delivered: u64,
    /// Tokens that clients put.
    pub tokens: u64,
    /// Tokens that were refused, or not answered.
    pub refused_tokens: u64,
    /// Questions about hubs and partitions.
    pub questions: u64,
    /// Faults that have struck.
    pub faults: u64,
    /// What is open now.
    pub open: Open,
}

/// What is open now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Open {
    /// Connections.
    pub connections: u64,
    /// Sessions.
    pub sessions: u64,
    /// Links on which clients send events.
    pub senders: u64,
    /// Links on which clients receive events.
    pub receivers: u64,
}
