//! What a policy or a token allows, and where.

use std::time::SystemTime;

/// What a shared access policy may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Sending events.
    Send,
    /// Receiving events.
    Listen,
    /// Everything.
    Manage,
}

/// A shared access policy: a name with a key, and what tokens signed with it allow.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) claims: Vec<Claim>,
    /// The hub that it belongs to; all of the namespace if there is none.
    pub(crate) hub: Option<String>,
}

/// What a token has allowed on a connection.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    /// The path that the token was put for, in lower case, and all below it.
    pub(crate) path: String,
    pub(crate) claims: Vec<Claim>,
    pub(crate) expires: SystemTime,
}

impl Grant {
    /// Whether it is about this path, and allows this there; expiry aside. Without a claim, any will do.
    pub(crate) fn allows(&self, path: &str, claim: Option<Claim>) -> bool {
        is_below(path, &self.path) && claim.is_none_or(|claim| includes(&self.claims, claim))
    }
}

/// Whether the claims include one: who may manage may do everything.
pub(crate) fn includes(claims: &[Claim], claim: Claim) -> bool {
    claims.contains(&claim) || claims.contains(&Claim::Manage)
}

/// Whether a path is another one or below it, in any case. Everything is below the empty path.
pub(crate) fn is_below(path: &str, above: &str) -> bool {
    let (path, above) = (path.to_lowercase(), above.to_lowercase());
    above.is_empty()
        || path.strip_prefix(&above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
