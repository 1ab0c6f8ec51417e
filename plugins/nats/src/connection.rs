//! One connection to a server, from the first handshake to its loss. It never mends itself: what a
//! lost connection had taken would go out behind what was sent again since, and order would be gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::WRITES_MAX;
use crate::settings::{Access, Settings, Tls};

/// How long the client waits before it would connect again by itself: for ever, as far as a
/// connection is concerned that is dropped when it is lost.
const NEVER: Duration = Duration::from_hours(24 * 365);

/// How to connect.
pub(crate) struct Address {
    servers: Vec<ServerAddr>,
    access: Access,
    tls: Option<Tls>,
    timeout: Duration,
    ack_timeout: Duration,
    acks_max: usize,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) struct NoConnection {
    /// Which server, and what it is.
    pub(crate) reason: String,
    /// Whether another attempt would come to the same.
    pub(crate) is_final: bool,
}

impl Address {
    /// # Errors
    ///
    /// A server's address is none, or nobody knows who we are.
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        let address = |text: &String| {
            let no_address = |why: &str| {
                // There may be a password before the `@`.
                let shown = text.rsplit('@').next().unwrap_or_default();
                format!("`{shown}` is no address of a NATS server: {why}")
            };
            let address: ServerAddr =
                text.parse().map_err(|error: std::io::Error| no_address(&error.to_string()))?;
            match address.scheme() {
                // What stands there would be shown, and the client does not look at it.
                _ if address.has_user_pass() => {
                    Err(no_address("a user and a password belong under `credentials`"))
                }
                "nats" | "tls" => Ok(address),
                scheme => Err(no_address(&format!("`{scheme}` is neither `nats` nor `tls`"))),
            }
        };
        Ok(Self {
            servers: settings.servers.iter().map(address).collect::<Result<_, _>>()?,
            access: settings.access()?,
            tls: settings.tls.clone(),
            timeout: Duration::from_millis(settings.connect_timeout_ms),
            ack_timeout: Duration::from_millis(settings.ack_timeout_ms),
            acks_max: settings.max_in_flight * WRITES_MAX as usize,
        })
    }

    /// How long to try.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The servers, without what is secret in them.
    pub(crate) fn shown(&self) -> String {
        let shown = |server: &ServerAddr| format!("`{}:{}`", server.host(), server.port());
        self.servers.iter().map(shown).collect::<Vec<_>>().join(", ")
    }

    /// Connects to one of the servers: an attempt with each.
    pub(crate) async fn connect(&self) -> Result<Connection, NoConnection> {
        let failed = |why: String, is_final| NoConnection {
            reason: format!("cannot connect to {}: {why}", self.shown()),
            is_final,
        };
        let options = self.options().await.map_err(|why| failed(why, true))?;
        let threads = Threads::new().map_err(|error| failed(error.to_string(), false))?;
        let (tell, lost) = watch::channel(None);
        let is_up = Arc::new(AtomicBool::new(false));
        let was_up = is_up.clone();
        let options = options
            .reconnect_delay_callback(
                move |_| {
                    if was_up.load(Relaxed) { NEVER } else { Duration::ZERO }
                },
            )
            .event_callback(move |event| {
                if let Event::Disconnected | Event::Closed = event {
                    tell.send_if_modified(|lost| lost.replace(LOST.to_owned()).is_none());
                }
                std::future::ready(())
            });
        let servers = self.servers.clone();
        let connected = threads.runtime().spawn(options.connect(servers)).await;
        let client = match connected {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(failed(error.to_string(), is_final(error.kind()))),
            Err(error) => return Err(failed(error.to_string(), false)),
        };
        is_up.store(true, Relaxed);
        // Whoever waits says for how long; the client's own time is for what nobody waits for.
        let wait = self.ack_timeout * 2;
        let builder = jetstream::ContextBuilder::new().timeout(wait);
        // The context has tasks of its own.
        let _inside = threads.runtime().enter();
        let jetstream = builder.ack_timeout(wait).max_ack_inflight(self.acks_max).build(client);
        Ok(Connection { jetstream, lost, given_up: AtomicBool::new(false), _threads: threads })
    }

    async fn options(&self) -> Result<ConnectOptions, String> {
        let options = ConnectOptions::new().name("engine").connection_timeout(self.timeout);
        let options = match self.access.clone() {
            Access::Nobody => options,
            Access::Token(token) => options.token(token),
            Access::User(user, password) => options.user_and_password(user, password),
            Access::Nkey(seed) => options.nkey(seed),
            Access::File(path) => options
                .credentials_file(&path)
                .await
                .map_err(|error| format!("cannot use `{}`: {error}", path.display()))?,
        };
        Ok(match &self.tls {
            None => options,
            Some(Tls { ca_file, cert_file, key_file }) => {
                let options = ca_file
                    .iter()
                    .cloned()
                    .fold(options.require_tls(true), ConnectOptions::add_root_certificates);
                let pair: Option<(PathBuf, PathBuf)> = cert_file.clone().zip(key_file.clone());
                pair.into_iter()
                    .fold(options, |options, (cert, key)| options.add_client_certificate(cert, key))
            }
        })
    }
}

/// Whether another attempt would come to the same.
fn is_final(kind: ConnectErrorKind) -> bool {
    use ConnectErrorKind::{Authentication, AuthorizationViolation, ServerParse, Tls};
    matches!(kind, Authentication | AuthorizationViolation | ServerParse | Tls)
}

/// What is said of a connection that the server or the network ended.
const LOST: &str = "the connection was lost";

/// An open connection, until it is lost.
pub(crate) struct Connection {
    pub(crate) jetstream: Context,
    /// Why it is no more.
    lost: watch::Receiver<Option<String>>,
    /// It is there, but of no use.
    given_up: AtomicBool,
    /// What works for it; ends with it, so that nothing more is sent.
    _threads: Threads,
}

impl Connection {
    /// Whether it can be used.
    pub(crate) fn is_up(&self) -> bool {
        !self.given_up.load(Relaxed) && self.lost.borrow().is_none()
    }

    /// It is not to be used any more: the server does not answer.
    pub(crate) fn give_up(&self) {
        self.given_up.store(true, Relaxed);
    }

    /// Waits until it is lost, and says why.
    pub(crate) async fn lost(&self) -> String {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            // Whoever would tell is gone, and so is the connection.
            Err(_) => LOST.to_owned(),
        }
    }
}

/// A runtime that ends without being waited for, wherever it is dropped.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    pub(crate) fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("nats")
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("it is there until it is dropped")
    }

    /// Ends it, and waits for what is at work; not for long, should a look-up of a name hang.
    pub(crate) fn end(mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_timeout(Duration::from_secs(1));
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
