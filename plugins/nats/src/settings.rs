//! What stands under `with:`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

/// Publishes events to a NATS `JetStream` stream, one message for each.
///
/// The body is the event as JSON. The header `Nats-Msg-Id` has its trace id, so the stream drops
/// what is sent again within its duplicate window; `content-type` says that it is JSON. A batch is
/// delivered when the stream has acknowledged every message of it. Messages go out in the order of
/// their events, and those of a batch do not wait for each other.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Servers of one cluster, such as `nats://127.0.0.1:4222`; `tls://` for TLS. One of them is
    /// connected to.
    #[schemars(length(min = 1))]
    pub servers: Vec<String>,
    /// The subject of each message. `{event_type}` and the envelope's other keys and
    /// `{payload.NAME}` stand for values of the event. A value never makes a token more: a dot, a
    /// space, a wildcard becomes `_`, a missing value `none`, and 64 characters are taken of it.
    pub subject: String,
    /// The stream that the messages are to be in.
    pub stream: Stream,
    /// Who we are; nobody in particular by default.
    pub credentials: Option<Credentials>,
    /// TLS that is asked for, also where a server would do without; `{}` is enough where its
    /// certificate is one that the system trusts.
    pub tls: Option<Tls>,
    /// How many messages of a batch may wait for their acknowledgement at once.
    #[serde(default = "default_in_flight")]
    #[schemars(range(min = 1, max = 65_536))]
    pub max_in_flight: usize,
    /// How long to wait for the next acknowledgement, in milliseconds. What has none then is sent
    /// again, on another connection.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 600_000))]
    pub ack_timeout_ms: u64,
    /// How long to try to connect, in milliseconds: at the start, and again where a connection was
    /// lost.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 1, max = 600_000))]
    pub connect_timeout_ms: u64,
}

fn default_in_flight() -> usize {
    256
}

fn default_timeout() -> u64 {
    5000
}

/// The stream that messages are to be in.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    /// Its name. A message whose subject belongs to another stream is refused.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Whether to make it where it is missing, in files, with the subjects that `subject` can come
    /// to. Otherwise it has to be there.
    #[serde(default)]
    pub create: bool,
    /// How many servers keep each message of a stream that is made.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 5))]
    pub replicas: usize,
    /// How long a stream that is made knows ids, in seconds. What is sent again later than that is
    /// in it twice, so this is the longest outage without duplicates.
    #[serde(default = "default_window")]
    #[schemars(range(min = 1, max = 604_800))]
    pub duplicate_window_s: u64,
}

fn default_replicas() -> usize {
    1
}

fn default_window() -> u64 {
    120
}

/// Who we are, in one of four ways.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// A token.
    #[schemars(extend("writeOnly" = true))]
    pub token: Option<String>,
    /// A user, with a `password`.
    pub user: Option<String>,
    /// The user's password.
    #[schemars(extend("writeOnly" = true))]
    pub password: Option<String>,
    /// The seed of an nkey, `SU...`.
    #[schemars(extend("writeOnly" = true))]
    pub nkey: Option<String>,
    /// A file of credentials as `nsc` writes them, with a JWT and a seed. Relative to the working
    /// directory.
    pub file: Option<PathBuf>,
}

/// The one way in which we say who we are.
#[derive(Clone)]
pub(crate) enum Access {
    Nobody,
    Token(String),
    User(String, String),
    Nkey(String),
    File(PathBuf),
}

impl Credentials {
    fn access(&self) -> Result<Access, String> {
        let Self { token, user, password, nkey, file } = self.clone();
        match (token, user, password, nkey, file) {
            (Some(token), None, None, None, None) => Ok(Access::Token(token)),
            (None, Some(user), Some(password), None, None) => Ok(Access::User(user, password)),
            (None, None, None, Some(seed), None) => Ok(Access::Nkey(seed)),
            (None, None, None, None, Some(path)) => Ok(Access::File(path)),
            _ => {
                let ways = "`token`, `user` with `password`, `nkey` or `file`";
                Err(format!("`credentials` are one of {ways}"))
            }
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// TLS.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificates that are trusted in place of the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// Our own certificate, as PEM, where the server asks for one.
    pub cert_file: Option<PathBuf>,
    /// Its key, as PEM.
    pub key_file: Option<PathBuf>,
}

impl Settings {
    /// Who we are.
    pub(crate) fn access(&self) -> Result<Access, String> {
        self.credentials.as_ref().map_or(Ok(Access::Nobody), Credentials::access)
    }

    /// What the schema does not see.
    pub(crate) fn check(&self) -> Result<(), String> {
        if let Some(tls) = &self.tls
            && tls.cert_file.is_some() != tls.key_file.is_some()
        {
            return Err("`cert_file` and `key_file` of `tls` go together".to_owned());
        }
        let is_part = |c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c);
        if self.stream.name.contains(is_part) {
            return Err(format!("`{}` is no name of a stream", self.stream.name));
        }
        Ok(())
    }
}
