//! What an error of the service or of the connection means: whether to send again, when, and
//! whether the client behind it can be used any longer.

use std::error::Error;
use std::time::Duration;

use azure_core::error::ErrorKind as CoreErrorKind;
use azure_core_amqp::{AmqpDescribedError, AmqpError, AmqpErrorCondition, AmqpErrorKind};
use azure_messaging_eventhubs::EventHubsError;
use azure_messaging_eventhubs::error::ErrorKind;

use crate::stage::Refusal;

/// How long a service that is busy asks to be left alone. It says so in words only, and the SDKs
/// of other languages wait as long.
const BUSY_WAIT: Duration = Duration::from_secs(4);
/// A quota that is used up is rarely free again in a moment.
const QUOTA_WAIT: Duration = Duration::from_secs(10);

/// How deep causes are looked for.
const CAUSES_MAX: usize = 16;

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) class: Class,
    pub(crate) reason: String,
}

/// The classes of what goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The service throttles.
    Busy,
    /// A quota of the namespace is used up.
    Quota,
    /// The message is larger than the service takes.
    TooLarge,
    /// We may not, or not any more.
    Unauthorized,
    /// There is no such hub, partition or consumer group.
    NotFound,
    /// The service will not take this, whenever it is sent.
    Rejected,
    /// The service cannot just now.
    Unavailable,
    /// There is no connection, or no link on it.
    Connection,
    /// Nobody answered in time.
    Timeout,
    /// Another receiver took the partition.
    Stolen,
}

impl Fault {
    /// What an error of the SDK means.
    pub(crate) fn of(error: &EventHubsError) -> Self {
        match &error.kind {
            ErrorKind::AmqpError(error) => Self::of_amqp(error),
            ErrorKind::AzureCore(error) => Self::of_core(error),
            ErrorKind::SendRejected(Some(said)) => Self::of_described(said),
            ErrorKind::ConsumerDisconnected(said) => {
                let said = said.as_ref().map(Self::of_described);
                let reason =
                    said.map_or_else(|| "another receiver took it".to_owned(), |it| it.reason);
                Self { class: Class::Stolen, reason }
            }
            _ => Self::new(Class::Unavailable, &error.to_string()),
        }
    }

    /// Nobody answered.
    pub(crate) fn timeout(doing: &str, limit: Duration) -> Self {
        let reason = format!("{doing} took longer than {} s", limit.as_secs_f64());
        Self { class: Class::Timeout, reason }
    }

    /// There is nothing to prove who we are with.
    pub(crate) fn no_credential(reason: String) -> Self {
        Self { class: Class::Unauthorized, reason }
    }

    /// What was asked for is not there.
    pub(crate) fn not_found(reason: String) -> Self {
        Self { class: Class::NotFound, reason }
    }

    /// The client behind it is gone.
    pub(crate) fn client_gone() -> Self {
        Self { class: Class::Connection, reason: "the client ended".to_owned() }
    }

    fn new(class: Class, reason: &str) -> Self {
        Self { class, reason: legible(reason) }
    }

    fn of_amqp(error: &AmqpError) -> Self {
        match error.kind() {
            AmqpErrorKind::AmqpDescribedError(said) => Self::of_described(said),
            AmqpErrorKind::AzureCore(error) => Self::of_core(error),
            AmqpErrorKind::ManagementStatusCode(status, said) => {
                let status = u16::from(*status);
                let said = said.as_deref().unwrap_or_default();
                Self::new(
                    class_of_status(status),
                    format!("status {status}: {said}").trim_end_matches(": "),
                )
            }
            AmqpErrorKind::SendRejected
            | AmqpErrorKind::NonTerminalDeliveryState
            | AmqpErrorKind::IllegalDeliveryState
            | AmqpErrorKind::SimpleMessage(_) => Self::new(Class::Unavailable, &error.to_string()),
            // What is left are the states of a connection and of what is on it.
            _ => Self { class: Class::Connection, reason: cause_of(error) },
        }
    }

    fn of_described(said: &AmqpDescribedError) -> Self {
        let condition = &said.condition;
        let reason = match said.description.as_deref().map(str::trim) {
            Some(text) if !text.is_empty() => format!("{condition}: {}", one_line(text)),
            _ => condition.to_string(),
        };
        Self { class: class_of(condition), reason }
    }

    fn of_core(error: &azure_core::Error) -> Self {
        let mut cause: Option<&(dyn Error + 'static)> = error.source();
        for _ in 0..CAUSES_MAX {
            let Some(next) = cause else { break };
            if let Some(error) = next.downcast_ref::<AmqpError>() {
                return Self::of_amqp(error);
            }
            if let Some(error) = next.downcast_ref::<EventHubsError>() {
                return Self::of(error);
            }
            cause = next.source();
        }
        let class = match error.kind() {
            CoreErrorKind::Credential => class_of_credential(error),
            CoreErrorKind::HttpResponse { status, .. } => class_of_status(u16::from(*status)),
            CoreErrorKind::Io | CoreErrorKind::Connection => Class::Connection,
            _ => Class::Unavailable,
        };
        Self { class, reason: legible(&error.to_string()) }
    }

    /// What it means for events. What we were allowed before may be allowed again: a token that
    /// ended is refused in the same words as a wrong one, and who withdrew a right may give it back.
    pub(crate) fn refusal(&self, has_worked: bool) -> Refusal {
        let reason = self.reason.clone();
        let category = self.category();
        match self.class {
            Class::Busy => Refusal::transient(category, reason).after(BUSY_WAIT),
            Class::Quota => Refusal::transient(category, reason).after(QUOTA_WAIT),
            Class::TooLarge | Class::Rejected => Refusal::permanent(category, reason),
            Class::Unauthorized | Class::NotFound if !has_worked => {
                Refusal::permanent(category, reason)
            }
            _ => Refusal::transient(category, reason),
        }
    }

    /// The word for it in accounts and dead letters.
    pub(crate) fn category(&self) -> &'static str {
        match self.class {
            Class::Busy => "throttled",
            Class::Quota => "quota",
            Class::TooLarge => "too_large",
            Class::Unauthorized => "unauthorized",
            Class::NotFound => "not_found",
            Class::Rejected => "rejected",
            Class::Unavailable => "unavailable",
            Class::Connection | Class::Stolen => "connection",
            Class::Timeout => "timeout",
        }
    }

    /// Whether the next client would meet the same.
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self.class, Class::Unauthorized | Class::NotFound | Class::Rejected)
    }

    /// Whether the client goes on as if nothing had been. After all else a new one is made: with
    /// its own recovery off, the SDK's stays as it is once its link is lost, and a call that hangs
    /// holds the link.
    pub(crate) fn leaves_client_usable(&self) -> bool {
        matches!(self.class, Class::Busy | Class::Quota | Class::TooLarge | Class::Rejected)
    }
}

fn class_of(condition: &AmqpErrorCondition) -> Class {
    use AmqpErrorCondition as Condition;
    match condition {
        Condition::ServerBusyError => Class::Busy,
        Condition::ResourceLimitExceeded => Class::Quota,
        Condition::LinkPayloadSizeExceeded => Class::TooLarge,
        Condition::UnauthorizedAccess | Condition::PublisherRevokedError => Class::Unauthorized,
        Condition::NotFound | Condition::ResourceDeleted => Class::NotFound,
        Condition::NotAllowed
        | Condition::NotImplemented
        | Condition::InvalidField
        | Condition::DecodeError
        | Condition::PreconditionFailed
        | Condition::ArgumentError
        | Condition::ArgumentOutOfRangeError => Class::Rejected,
        Condition::TimeoutError => Class::Timeout,
        Condition::LinkStolen => Class::Stolen,
        Condition::LinkDetachForced
        | Condition::ConnectionForced
        | Condition::ConnectionFramingError
        | Condition::ConnectionRedirect
        | Condition::LinkRedirect
        | Condition::ProtonIo => Class::Connection,
        _ => Class::Unavailable,
    }
}

fn class_of_status(status: u16) -> Class {
    match status {
        401 | 403 => Class::Unauthorized,
        404 | 410 => Class::NotFound,
        408 | 504 => Class::Timeout,
        413 => Class::TooLarge,
        429 => Class::Busy,
        400 | 405 | 406 | 409 | 422 => Class::Rejected,
        _ => Class::Unavailable,
    }
}

/// Who issues tokens may be out of reach, or may refuse.
fn class_of_credential(error: &azure_core::Error) -> Class {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    for _ in 0..CAUSES_MAX {
        let Some(next) = cause else { break };
        if let Some(error) = next.downcast_ref::<azure_core::Error>() {
            match error.kind() {
                CoreErrorKind::Io | CoreErrorKind::Connection => return Class::Connection,
                CoreErrorKind::HttpResponse { status, .. } => {
                    return match class_of_status(u16::from(*status)) {
                        // A request for a token that is refused will be refused again.
                        Class::Rejected | Class::NotFound => Class::Unauthorized,
                        class => class,
                    };
                }
                _ => {}
            }
        }
        cause = next.source();
    }
    Class::Unauthorized
}

/// The cause behind an error; what stands before it says only that there was one.
fn cause_of(error: &AmqpError) -> String {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    legible(&cause.to_string())
}

/// On one line, and with the remedy where there is one.
fn legible(text: &str) -> String {
    let text = one_line(text);
    if text.contains("UnknownIssuer") {
        return format!(
            "{text}; a certificate of your own authority is trusted when `SSL_CERT_FILE` names its \
             PEM file at the start of the engine"
        );
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Retry;
    use azure_core_amqp::AmqpOrderedMap;

    fn said(condition: &str, text: &str) -> Fault {
        let condition = condition.parse().unwrap();
        let error =
            AmqpDescribedError::new(condition, Some(text.to_owned()), AmqpOrderedMap::new());
        Fault::of(&EventHubsError::from(AmqpError::from(AmqpErrorKind::AmqpDescribedError(error))))
    }

    #[test]
    fn each_condition_has_its_class() {
        for (condition, class) in [
            ("com.microsoft:server-busy", Class::Busy),
            ("amqp:resource-limit-exceeded", Class::Quota),
            ("amqp:link:message-size-exceeded", Class::TooLarge),
            ("amqp:unauthorized-access", Class::Unauthorized),
            ("amqp:not-found", Class::NotFound),
            ("amqp:not-allowed", Class::Rejected),
            ("com.microsoft:argument-out-of-range", Class::Rejected),
            ("amqp:internal-error", Class::Unavailable),
            ("com.microsoft:timeout", Class::Timeout),
            ("com.microsoft:entity-disabled", Class::Unavailable),
            ("com.microsoft:entity-updated", Class::Unavailable),
            ("amqp:link:detach-forced", Class::Connection),
            ("amqp:link:stolen", Class::Stolen),
            ("something:new", Class::Unavailable),
        ] {
            assert_eq!(said(condition, "").class, class, "{condition}");
        }
    }

    #[test]
    fn a_reason_is_the_condition_and_what_was_said_on_one_line() {
        let fault = said("com.microsoft:server-busy", "The request\r\n was terminated. ");
        assert_eq!(fault.reason, "com.microsoft:server-busy: The request was terminated.");
        let wait = Retry::After(Duration::from_secs(4));
        assert_eq!(fault.refusal(false).retry, wait);
    }

    #[test]
    fn a_right_that_a_client_had_is_asked_for_again_before_events_are_given_up() {
        let fault = said("amqp:unauthorized-access", "ExpiredToken");
        assert_eq!(fault.refusal(true).retry, Retry::Later);
        assert_eq!(fault.refusal(false).retry, Retry::Never);
        assert_eq!(said("amqp:not-allowed", "").refusal(true).retry, Retry::Never);
    }
}
