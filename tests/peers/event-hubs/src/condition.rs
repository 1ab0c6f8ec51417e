//! Error conditions as the service names them.

use std::borrow::Cow;

use fe2o3_amqp_types::definitions::{Error, ErrorCondition};
use fe2o3_amqp_types::primitives::Symbol;

/// The name of an error: what clients decide by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(Cow<'static, str>);

impl Condition {
    /// Throttled; clients wait some seconds.
    pub const SERVER_BUSY: Self = Self::named("com.microsoft:server-busy");
    /// A quota is used up.
    pub const QUOTA_EXCEEDED: Self = Self::named("amqp:resource-limit-exceeded");
    /// The message is larger than the link allows.
    pub const TOO_LARGE: Self = Self::named("amqp:link:message-size-exceeded");
    /// No token, or one that does not allow it.
    pub const UNAUTHORIZED: Self = Self::named("amqp:unauthorized-access");
    /// There is no such entity.
    pub const NOT_FOUND: Self = Self::named("amqp:not-found");
    /// The service failed.
    pub const INTERNAL_ERROR: Self = Self::named("amqp:internal-error");
    /// The hub is switched off.
    pub const ENTITY_DISABLED: Self = Self::named("com.microsoft:entity-disabled");
    /// The service took too long.
    pub const TIMEOUT: Self = Self::named("com.microsoft:timeout");
    /// An argument is wrong.
    pub const ARGUMENT_ERROR: Self = Self::named("com.microsoft:argument-error");
    /// A partition that there is not.
    pub const ARGUMENT_OUT_OF_RANGE: Self = Self::named("com.microsoft:argument-out-of-range");
    /// Not allowed.
    pub const NOT_ALLOWED: Self = Self::named("amqp:not-allowed");
    /// The message cannot be read.
    pub const DECODE_ERROR: Self = Self::named("amqp:decode-error");
    /// Another receiver has taken the partition.
    pub const LINK_STOLEN: Self = Self::named("amqp:link:stolen");
    /// The link was idle, or the service has moved it.
    pub const LINK_DETACH_FORCED: Self = Self::named("amqp:link:detach-forced");
    /// The connection was idle, or the service is updated.
    pub const CONNECTION_FORCED: Self = Self::named("amqp:connection:forced");

    /// A condition of any name.
    pub const fn named(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The error that says it, with words for people.
    pub(crate) fn error(&self, description: impl Into<String>) -> Error {
        let condition = ErrorCondition::Custom(Symbol::from(self.name()));
        Error::new(condition, Some(description.into()), None)
    }
}
