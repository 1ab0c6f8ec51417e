//! Which hub, where it is, and what proves that we may use it.

use std::fmt;
use std::sync::Arc;

use azure_core::credentials::TokenCredential;
use azure_core::time::Duration;
use azure_messaging_eventhubs::models::AmqpTransport;
use azure_messaging_eventhubs::{ConsumerClient, EventHubsError, ProducerClient, RetryOptions};
use reqwest::Url;

use super::connection_string::{ConnectionString, ConnectionStringError};
use super::entra::Entra;
use super::fault::Fault;

/// What the service is told that we are.
const APPLICATION: &str = concat!("engine/", env!("CARGO_PKG_VERSION"));

/// An event hub, and the right to use it.
#[derive(Clone)]
pub struct Access {
    namespace: String,
    hub: String,
    endpoint: Option<String>,
    transport: AmqpTransport,
    credential: Credential,
}

#[derive(Clone)]
enum Credential {
    ConnectionString(ConnectionString),
    /// Looked up when it is needed: a spec is checked where nobody is signed in.
    Entra(Entra),
    Token(Arc<dyn TokenCredential>),
}

/// Why there is no access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessError {
    /// The connection string is none.
    ConnectionString(ConnectionStringError),
    /// Neither the connection string nor anybody else says which hub.
    NoHub,
    /// The namespace is no host name.
    Namespace,
    /// The endpoint is neither `amqps://HOST:PORT` nor `amqp://HOST:PORT`.
    Endpoint,
    /// The connection string is for another hub alone.
    OtherHub {
        /// The hub that it is for.
        entity_path: String,
    },
}

impl fmt::Display for AccessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionString(error) => error.fmt(f),
            Self::NoHub => {
                f.write_str("the connection string has no `EntityPath`, and no hub is named")
            }
            Self::Namespace => f.write_str(
                "the namespace is not a host name such as `contoso.servicebus.windows.net`",
            ),
            Self::Endpoint => {
                f.write_str("the endpoint is neither `amqps://HOST:PORT` nor `amqp://HOST:PORT`")
            }
            Self::OtherHub { entity_path } => {
                write!(
                    f,
                    "the connection string is for the hub `{entity_path}` alone (`EntityPath`)"
                )
            }
        }
    }
}

impl std::error::Error for AccessError {}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("namespace", &self.namespace)
            .field("hub", &self.hub)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// By a connection string; `hub` where that does not say which.
    pub fn with_connection_string(text: &str, hub: Option<&str>) -> Result<Self, AccessError> {
        let string = ConnectionString::parse(text).map_err(AccessError::ConnectionString)?;
        let hub = match (hub, string.entity_path()) {
            (Some(hub), Some(path)) if !hub.eq_ignore_ascii_case(path) => {
                return Err(AccessError::OtherHub { entity_path: path.to_owned() });
            }
            (Some(hub), _) => hub,
            (None, Some(path)) => path,
            (None, None) => return Err(AccessError::NoHub),
        };
        Ok(Self {
            namespace: string.host().to_owned(),
            hub: hub.to_owned(),
            endpoint: string.endpoint(),
            transport: AmqpTransport::Tcp,
            credential: Credential::ConnectionString(string),
        })
    }

    /// By Microsoft Entra ID, as the environment of this process proves it.
    pub fn with_entra(namespace: &str, hub: &str, entra: Entra) -> Result<Self, AccessError> {
        Self::with(namespace, hub, Credential::Entra(entra))
    }

    /// By tokens of the program's own.
    pub fn with_tokens(
        namespace: &str,
        hub: &str,
        credential: Arc<dyn TokenCredential>,
    ) -> Result<Self, AccessError> {
        Self::with(namespace, hub, Credential::Token(credential))
    }

    fn with(namespace: &str, hub: &str, credential: Credential) -> Result<Self, AccessError> {
        let url = Url::parse(&format!("amqps://{namespace}/")).ok();
        if url.is_none_or(|url| url.host_str() != Some(namespace) || url.port().is_some()) {
            return Err(AccessError::Namespace);
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            hub: hub.to_owned(),
            endpoint: None,
            transport: AmqpTransport::Tcp,
            credential,
        })
    }

    /// Connects to an address other than the namespace's: a private link's, a proxy's, an
    /// emulator's.
    pub fn at_endpoint(mut self, endpoint: &str) -> Result<Self, AccessError> {
        let url = Url::parse(endpoint).map_err(|_| AccessError::Endpoint)?;
        let is_bare = matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        if !matches!(url.scheme(), "amqp" | "amqps") || !is_bare || !has_host {
            return Err(AccessError::Endpoint);
        }
        self.endpoint = Some(endpoint.trim_end_matches('/').to_owned());
        Ok(self)
    }

    /// Speaks AMQP within a `WebSocket` at port 443, where others are blocked.
    #[must_use]
    pub fn over_websockets(mut self) -> Self {
        self.transport = AmqpTransport::WebSocket;
        self
    }

    /// The hub's name.
    pub fn hub(&self) -> &str {
        &self.hub
    }

    /// Where it connects to, where that is not the namespace's own port.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// The namespace's host name.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// How messages name it: the hub, and where it is.
    pub fn name(&self) -> String {
        let name = format!("event hub `{}` of `{}`", self.hub, self.namespace);
        match &self.endpoint {
            Some(endpoint) if !endpoint.contains(&self.namespace) => {
                format!("{name} at `{endpoint}`")
            }
            _ => name,
        }
    }

    /// A client that sends. It takes as long as it takes.
    pub(super) async fn open_producer(&self) -> Result<ProducerClient, Fault> {
        let mut builder = ProducerClient::builder()
            .with_application_id(APPLICATION.to_owned())
            .with_retry_options(no_retries())
            .with_transport(self.transport);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_custom_endpoint(endpoint.clone());
        }
        let opened = match self.proof()? {
            Proof::Text(text) => builder.open_with_connection_string(&text, Some(&self.hub)).await,
            Proof::Token(credential) => builder.open(&self.namespace, &self.hub, credential).await,
        };
        opened.map_err(|error: EventHubsError| Fault::of(&error))
    }

    /// A client that receives. It takes as long as it takes.
    pub(crate) async fn open_consumer(&self, group: &str) -> Result<ConsumerClient, Fault> {
        let mut builder = ConsumerClient::builder()
            .with_application_id(APPLICATION.to_owned())
            .with_consumer_group(group.to_owned())
            .with_retry_options(no_retries())
            .with_transport(self.transport);
        if let Some(endpoint) = &self.endpoint {
            builder = builder.with_custom_endpoint(endpoint.clone());
        }
        let opened = match self.proof()? {
            Proof::Text(text) => builder.open_with_connection_string(&text, Some(&self.hub)).await,
            Proof::Token(credential) => {
                builder.open(&self.namespace, self.hub.clone(), credential).await
            }
        };
        opened.map_err(|error: EventHubsError| Fault::of(&error))
    }

    fn proof(&self) -> Result<Proof, Fault> {
        Ok(match &self.credential {
            Credential::ConnectionString(string) => Proof::Text(string.for_sdk()),
            Credential::Entra(entra) => {
                Proof::Token(entra.credential().map_err(Fault::no_credential)?)
            }
            Credential::Token(credential) => Proof::Token(credential.clone()),
        })
    }
}

/// What the SDK takes.
enum Proof {
    Text(String),
    Token(Arc<dyn TokenCredential>),
}

/// Retry is the delivery's work; the SDK's own would hide it, and has no bound on a call.
fn no_retries() -> RetryOptions {
    RetryOptions {
        initial_delay: Duration::milliseconds(1),
        max_delay: Duration::milliseconds(1),
        max_total_elapsed: Duration::ZERO,
        max_retries: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRING: &str = "Endpoint=sb://h.example/;SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0";

    #[test]
    fn the_hub_is_named_by_the_string_or_beside_it() {
        let hub = |text: &str, hub| Access::with_connection_string(text, hub).map(|it| it.hub);
        let own = format!("{STRING};EntityPath=orders");
        assert_eq!(hub(&own, None).as_deref(), Ok("orders"));
        assert_eq!(hub(&own, Some("orders")).as_deref(), Ok("orders"));
        assert_eq!(hub(STRING, Some("retail")).as_deref(), Ok("retail"));
        assert_eq!(hub(STRING, None), Err(AccessError::NoHub));
        let other = AccessError::OtherHub { entity_path: "orders".to_owned() };
        assert_eq!(hub(&own, Some("retail")), Err(other));
    }

    #[test]
    fn an_endpoint_is_a_scheme_a_host_and_no_more() {
        let access = || Access::with_connection_string(STRING, Some("retail")).unwrap();
        for right in ["amqps://10.0.0.4:5671", "amqp://localhost:5672", "amqps://h/"] {
            assert!(access().at_endpoint(right).is_ok(), "{right}");
        }
        for wrong in
            ["https://h", "h:5671", "amqps://", "amqps://h/hub", "amqp://a:b@h", "amqp://h#x", ""]
        {
            assert_eq!(access().at_endpoint(wrong).err(), Some(AccessError::Endpoint), "{wrong}");
        }
    }

    #[test]
    fn a_namespace_is_a_host_name() {
        for wrong in ["", "sb://h/", "h:5671", "h/hub", "a b"] {
            let access = Access::with_entra(wrong, "retail", Entra::default());
            assert_eq!(access.err(), Some(AccessError::Namespace), "{wrong}");
        }
        assert!(Access::with_entra("h.example", "retail", Entra::default()).is_ok());
    }

    #[test]
    fn a_key_is_not_in_debug() {
        let access = Access::with_connection_string(STRING, Some("retail")).unwrap();
        assert!(!format!("{access:?}").contains("c2VjcmV0"));
    }
}
