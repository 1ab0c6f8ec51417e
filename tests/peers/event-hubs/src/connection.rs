//! A connection of a client: from the socket to its sessions.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use fe2o3_amqp::acceptor::{ConnectionAcceptor, SessionAcceptor};
use fe2o3_amqp_types::definitions::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_rustls::TlsAcceptor;

use crate::broker::Broker;
use crate::claim::{Claim, Grant};
use crate::clock;
use crate::event::AmqpMessage;
use crate::fault::ConnectFault;
use crate::frames::{Completed, FRAME_BYTES_MAX};
use crate::refusals::Reasons;
use crate::sasl::Sasl;
use crate::session;
use crate::switch::{Switch, Switched};

/// Messages that may be under way in a session, as with the service.
const SESSION_WINDOW: u32 = 5_000;

/// The last channel that a client may use, as with the service.
const CHANNEL_MAX: u16 = 4_999;

/// Milliseconds after which the service gives up a connection on which nothing comes.
const IDLE_TIMEOUT_MS: u32 = 240_000;

/// What the sessions and links of a connection share.
pub(crate) struct Connection {
    pub(crate) switch: Arc<Switch>,
    close: UnboundedSender<Error>,
    /// Why links are refused.
    pub(crate) refused: Reasons,
    grants: Mutex<Vec<Grant>>,
    /// Says that tokens have come or run out.
    grants_changed: Notify,
    replies: Mutex<HashMap<ReplyLink, UnboundedSender<AmqpMessage>>>,
}

/// Where answers go: the node that is asked, and the address that the client gave itself.
type ReplyLink = (&'static str, String);

impl Connection {
    fn new(close: UnboundedSender<Error>) -> Self {
        Self {
            switch: Arc::default(),
            close,
            refused: Reasons::default(),
            grants: Mutex::default(),
            grants_changed: Notify::new(),
            replies: Mutex::default(),
        }
    }

    /// Closes the connection with an error.
    pub(crate) fn close(&self, error: Error) {
        // A connection that is closed already does not listen.
        let _ = self.close.send(error);
    }

    fn grants(&self) -> MutexGuard<'_, Vec<Grant>> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a token allows.
    pub(crate) fn grant(&self, grant: Grant) {
        let mut grants = self.grants();
        grants.retain(|other| other.path != grant.path);
        grants.push(grant);
        drop(grants);
        self.grants_changed.notify_waiters();
    }

    /// As if all tokens had run out.
    pub(crate) fn expire_grants(&self) {
        self.grants().clear();
        self.grants_changed.notify_waiters();
    }

    /// Until when this is allowed at a path, if it is now.
    pub(crate) fn allowed_until(&self, path: &str, claim: Option<Claim>) -> Option<SystemTime> {
        let now = clock::now();
        self.grants()
            .iter()
            .filter(|grant| grant.allows(path, claim) && grant.expires > now)
            .map(|grant| grant.expires)
            .max()
    }

    /// Returns when this is not allowed any more at a path.
    pub(crate) async fn allowance_ends(&self, path: &str, claim: Claim) {
        loop {
            let changed = self.grants_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let Some(until) = self.allowed_until(path, Some(claim)) else { return };
            let left = until.duration_since(clock::now()).unwrap_or_default();
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = changed => {}
            }
        }
    }

    fn replies(&self) -> MutexGuard<'_, HashMap<ReplyLink, UnboundedSender<AmqpMessage>>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers of a node that are for this address come out of the channel.
    pub(crate) fn replies_for(
        &self,
        node: &'static str,
        address: String,
    ) -> UnboundedReceiver<AmqpMessage> {
        let (reply, replies) = unbounded_channel();
        self.replies().insert((node, address), reply);
        replies
    }

    /// Sends an answer to the address, or to any link from the node if there is none of that address.
    pub(crate) fn reply(&self, node: &'static str, address: &str, answer: AmqpMessage) {
        let replies = self.replies();
        let link = replies
            .get(&(node, address.to_owned()))
            .or_else(|| replies.iter().find(|((of, _), _)| *of == node).map(|(_, reply)| reply));
        if let Some(link) = link {
            // The client may have left without waiting for its answer.
            let _ = link.send(answer);
        }
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(broker: Arc<Broker>, socket: TcpStream, tls: Option<TlsAcceptor>) {
    let (close, closed) = unbounded_channel();
    let connection = Arc::new(Connection::new(close));
    let _entry = broker.enter_connection(Arc::clone(&connection));
    match broker.strike(|faults| faults.connect.strike()) {
        Some(ConnectFault::Reset) => {
            // Without this the client would see an orderly end.
            let _ = socket.set_zero_linger();
            return;
        }
        Some(ConnectFault::Silence) => connection.switch.stall(),
        None => {}
    }
    // Small frames go back and forth.
    let _ = socket.set_nodelay(true);
    let socket = Switched::new(socket, Arc::clone(&connection.switch));
    // Clients come and go as they like; how a connection ended is no matter to the peer.
    let _ = match tls {
        Some(tls) => match tls.accept(socket).await {
            Ok(socket) => serve_amqp(broker, connection, closed, socket).await,
            Err(error) => Err(error.into()),
        },
        None => serve_amqp(broker, connection, closed, socket).await,
    };
}

async fn serve_amqp<S>(
    broker: Arc<Broker>,
    connection: Arc<Connection>,
    mut closed: UnboundedReceiver<Error>,
    socket: S,
) -> Result<(), Box<dyn StdError + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Debug + Send + Unpin + 'static,
{
    let socket = Completed::new(socket, broker.message_bytes_max, connection.refused.clone());
    let acceptor = ConnectionAcceptor::builder()
        .container_id("event-hubs-peer")
        .max_frame_size(FRAME_BYTES_MAX as u32)
        .channel_max(CHANNEL_MAX)
        .idle_time_out(IDLE_TIMEOUT_MS)
        .sasl_acceptor(Sasl::new(broker.policies.clone()))
        .build();
    let mut handle = acceptor.accept(socket).await?;
    let sessions = SessionAcceptor::builder()
        .incoming_window(SESSION_WINDOW)
        .outgoing_window(SESSION_WINDOW)
        .build();
    loop {
        tokio::select! {
            incoming = handle.next_incoming_session() => {
                let Some(incoming) = incoming else { break };
                let session = sessions.accept_incoming_session(incoming, &mut handle).await?;
                let (broker, connection) = (Arc::clone(&broker), Arc::clone(&connection));
                tokio::spawn(session::serve(broker, connection, session));
            }
            Some(error) = closed.recv() => {
                handle.close_with_error(error).await?;
                return Ok(());
            }
        }
    }
    handle.on_close().await?;
    Ok(())
}
