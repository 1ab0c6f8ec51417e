//! The settings that say which hub, and who we are: the same for source and sink.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::access::{Access, AccessError};
use super::entra::Entra;
use crate::component::BuildContext;
use crate::problem::Problem;
use crate::spec::Secret;

/// The hub where no other is named.
const DEFAULT_HUB: &str = "retail-events";

/// Which hub, and what proves that we may use it: either `connection_string`, or `namespace` and
/// `entra`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub struct AccessSettings {
    /// The connection string of a policy, of the namespace or of the hub, or an emulator's.
    pub connection_string: Option<Secret>,
    /// The namespace's host name, such as `contoso.servicebus.windows.net`; with `entra`.
    pub namespace: Option<String>,
    /// Microsoft Entra ID in place of a connection string.
    pub entra: Option<Entra>,
    /// The event hub; by default the `EntityPath` of the connection string, or `retail-events`.
    pub hub: Option<String>,
    /// Where to connect to, where that is not the namespace itself: `amqps://HOST:PORT`, or
    /// `amqp://HOST:PORT` without TLS, as the emulator has it.
    pub endpoint: Option<String>,
    /// How AMQP gets there.
    #[serde(default)]
    pub transport: Transport,
}

/// How AMQP gets to the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// By TCP, at port 5671.
    #[default]
    Amqp,
    /// Within a `WebSocket`, at port 443, where firewalls let nothing else through.
    Websockets,
}

impl AccessSettings {
    /// What they give access to. Problems are at the settings below `under`, such as `/failover`,
    /// or at `with:` itself.
    pub(crate) fn access(&self, cx: &BuildContext<'_>, under: &str) -> Result<Access, Problem> {
        let problem =
            |setting: &str, message: String| cx.problem(&format!("{under}{setting}"), message);
        let mut access = match (&self.connection_string, &self.namespace) {
            (Some(_), Some(_)) => {
                let message = "a connection string says which namespace already".to_owned();
                return Err(problem("/namespace", message).help(
                    "leave `namespace` out, or use `entra` in place of `connection_string`",
                ));
            }
            (Some(_), None) if self.entra.is_some() => {
                let message = "a connection string proves who we are already".to_owned();
                let help = "leave `entra` out, or give `namespace` in place of `connection_string`";
                return Err(problem("/entra", message).help(help));
            }
            (Some(text), None) => self.by_connection_string(text.reveal()).map_err(|error| {
                let setting = match error {
                    AccessError::OtherHub { .. } => "/hub",
                    _ => "/connection_string",
                };
                problem(setting, error.to_string())
            })?,
            (None, Some(namespace)) => {
                let hub = self.hub.as_deref().unwrap_or(DEFAULT_HUB);
                let entra = self.entra.clone().unwrap_or_default();
                Access::with_entra(namespace, hub, entra)
                    .map_err(|error| problem("/namespace", error.to_string()))?
            }
            (None, None) => {
                let message = "nothing says which namespace".to_owned();
                return Err(problem("", message).help(
                    "set `connection_string: ${AZURE_EVENTHUB_CONNECTION_STRING}`, or `namespace` \
                     and `entra`",
                ));
            }
        };
        if self.hub.as_deref().is_some_and(|hub| hub.is_empty() || hub.contains(['/', ' '])) {
            return Err(problem("/hub", "this is no name of an event hub".to_owned()));
        }
        if let Some(endpoint) = &self.endpoint {
            access = access
                .at_endpoint(endpoint)
                .map_err(|error| problem("/endpoint", error.to_string()))?;
        }
        let is_plain = access.endpoint().is_some_and(|endpoint| endpoint.starts_with("amqp:"));
        if self.transport == Transport::Websockets && is_plain {
            let message =
                "a `WebSocket` is always within TLS, and this endpoint is without".to_owned();
            return Err(problem("/transport", message).help("leave `transport` out"));
        }
        Ok(match self.transport {
            Transport::Amqp => access,
            Transport::Websockets => access.over_websockets(),
        })
    }

    fn by_connection_string(&self, text: &str) -> Result<Access, AccessError> {
        match Access::with_connection_string(text, self.hub.as_deref()) {
            Err(AccessError::NoHub) => Access::with_connection_string(text, Some(DEFAULT_HUB)),
            access => access,
        }
    }
}
