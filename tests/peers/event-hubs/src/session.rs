//! A session: which links are let in, and as what.

use std::sync::Arc;

use fe2o3_amqp::acceptor::{
    LinkAcceptor, LinkEndpoint, ListenerSessionHandle, SupportedReceiverSettleModes,
};
use fe2o3_amqp_types::definitions::{Error, ReceiverSettleMode, Role};
use fe2o3_amqp_types::messaging::{Source, Target, TargetArchetype};
use fe2o3_amqp_types::performatives::Attach;

use crate::address::{Node, path};
use crate::broker::Broker;
use crate::claim::Claim;
use crate::condition::Condition;
use crate::connection::Connection;
use crate::fault::AttachFault;
use crate::receive_link::{self, Outlet};
use crate::requests;
use crate::send_link::{self, Inlet};
use crate::store::Hub;

type Acceptor = LinkAcceptor<fn(Source) -> Option<Source>, fn(Target) -> Option<Target>>;

/// What a link is for.
enum Purpose {
    /// The client asks a node.
    Requests(&'static str),
    /// The client gets answers of a node.
    Answers(&'static str),
    /// The client sends events.
    Send(Inlet),
    /// The client receives events.
    Receive(Outlet),
}

/// Serves a session until it ends.
pub(crate) async fn serve(
    broker: Arc<Broker>,
    connection: Arc<Connection>,
    mut session: ListenerSessionHandle,
) {
    let _entry = broker.enter_session();
    while let Some(mut attach) = session.next_incoming_attach().await {
        broker.count(|counts| counts.attaches += 1);
        // The limit is written into the answer on its way out, and too much is rejected; the library
        // would take the client's own limit, and detach.
        attach.max_message_size = None;
        match admit(&broker, &connection, &attach) {
            Admission::As(purpose) => {
                let replies_to = target_of(&attach).unwrap_or_default();
                if let Ok(link) = acceptor().accept_incoming_attach(attach, &mut session).await {
                    start(&broker, &connection, purpose, link, replies_to);
                }
            }
            Admission::Refused(error) => {
                broker.count(|counts| counts.refused_attaches += 1);
                refuse(&connection, attach, error, &mut session).await;
            }
            Admission::NotAnswered => {}
        }
    }
    // How the session ended is no matter: the client ended it, or the connection is gone.
    let _ = session.on_end().await;
}

fn acceptor() -> Acceptor {
    LinkAcceptor::builder()
        // The Python client asks for `second` and waits for what `first` brings: that is what the
        // service answers.
        .supported_receiver_settle_modes(SupportedReceiverSettleModes::First)
        .fallback_receiver_settle_mode(ReceiverSettleMode::First)
        .verify_incoming_source(false)
        .verify_incoming_target(false)
        .build()
}

/// Answers as the service does: an attach without the terminus that was asked for, then a detach.
async fn refuse(
    connection: &Connection,
    mut attach: Attach,
    reason: Error,
    session: &mut ListenerSessionHandle,
) {
    match attach.role {
        Role::Sender => attach.target = None,
        Role::Receiver => attach.source = None,
    }
    connection.refused.add(attach.name.clone(), reason);
    let link = acceptor().accept_incoming_attach(attach, session).await;
    tokio::spawn(async move {
        // The detach with the reason is written behind the attach; this is for the library to know.
        let _ = match link {
            Ok(LinkEndpoint::Receiver(link)) => link.close().await,
            Ok(LinkEndpoint::Sender(link)) => link.close().await,
            Err(_) => Ok(()),
        };
    });
}

fn start(
    broker: &Arc<Broker>,
    connection: &Arc<Connection>,
    purpose: Purpose,
    link: LinkEndpoint,
    replies_to: String,
) {
    let connection = Arc::clone(connection);
    let broker = Arc::clone(broker);
    match (purpose, link) {
        (Purpose::Requests(node), LinkEndpoint::Receiver(link)) => {
            tokio::spawn(requests::answer(broker, connection, node, link));
        }
        (Purpose::Answers(node), LinkEndpoint::Sender(link)) => {
            let answers = connection.replies_for(node, replies_to);
            tokio::spawn(requests::forward(answers, link));
        }
        (Purpose::Send(inlet), LinkEndpoint::Receiver(link)) => {
            tokio::spawn(send_link::serve(inlet, link));
        }
        (Purpose::Receive(outlet), LinkEndpoint::Sender(link)) => {
            tokio::spawn(receive_link::serve(outlet, link));
        }
        // The purpose follows from the role, so this does not happen.
        _ => {}
    }
}

/// What becomes of an attach.
enum Admission {
    As(Purpose),
    Refused(Error),
    NotAnswered,
}

fn admit(broker: &Arc<Broker>, connection: &Arc<Connection>, attach: &Attach) -> Admission {
    let address = match attach.role {
        Role::Sender => target_of(attach),
        Role::Receiver => attach.source.as_ref().and_then(|source| source.address.clone()),
    };
    let path = path(&address.unwrap_or_default());
    let node = Node::at(&path);
    let service = match node {
        Node::Cbs => Some(requests::CBS),
        Node::Management => Some(requests::MANAGEMENT),
        _ => None,
    };
    if let Some(service) = service {
        return Admission::As(match attach.role {
            Role::Sender => Purpose::Requests(service),
            Role::Receiver => Purpose::Answers(service),
        });
    }
    match broker.strike(|faults| faults.attach.strike()) {
        Some(AttachFault::Refuse(condition)) => {
            return Admission::Refused(condition.error("a fault that a test has set"));
        }
        Some(AttachFault::NoAnswer) => return Admission::NotAnswered,
        None => {}
    }
    let purpose = match attach.role {
        Role::Sender => admit_sender(broker, connection, node, path),
        Role::Receiver => admit_receiver(broker, connection, node, path, attach),
    };
    purpose.map_or_else(Admission::Refused, Admission::As)
}

fn admit_sender(
    broker: &Arc<Broker>,
    connection: &Arc<Connection>,
    node: Node,
    path: String,
) -> Result<Purpose, Error> {
    let (hub, partition) = match node {
        Node::Hub { hub } => (hub, None),
        Node::Partition { hub, partition } => (hub, Some(partition)),
        _ => return Err(not_found(&path)),
    };
    let hub = find(broker, &hub)?;
    check_allowed(connection, &path, Claim::Send)?;
    let partition = match partition {
        Some(name) => Some(hub.partition(&name).ok_or_else(|| no_partition(&name))?),
        None => None,
    };
    let (entry, ended) = broker.enter_link(|open| &mut open.senders);
    let connection = Arc::clone(connection);
    let broker = Arc::clone(broker);
    Ok(Purpose::Send(Inlet { broker, connection, hub, partition, path, entry, ended }))
}

fn admit_receiver(
    broker: &Arc<Broker>,
    connection: &Arc<Connection>,
    node: Node,
    path: String,
    attach: &Attach,
) -> Result<Purpose, Error> {
    let Node::Group { hub, group, partition } = node else { return Err(not_found(&path)) };
    let hub = find(broker, &hub)?;
    check_allowed(connection, &path, Claim::Listen)?;
    if !hub.has_group(&group) {
        return Err(not_found(&path));
    }
    let partition = hub.partition(&partition).ok_or_else(|| no_partition(&partition))?;
    Outlet::open(broker, connection, hub, partition, group, path, attach).map(Purpose::Receive)
}

fn find(broker: &Broker, hub: &str) -> Result<Arc<Hub>, Error> {
    broker.hub(hub).cloned().ok_or_else(|| not_found(hub))
}

fn check_allowed(connection: &Connection, path: &str, claim: Claim) -> Result<(), Error> {
    match connection.allowed_until(path, Some(claim)) {
        Some(_) => Ok(()),
        None => Err(unauthorized(path, claim)),
    }
}

/// What the service says where no token allows something, or none any more.
pub(crate) fn unauthorized(path: &str, claim: Claim) -> Error {
    Condition::UNAUTHORIZED.error(format!(
        "Unauthorized access. '{claim:?}' claim(s) are required to perform this operation. \
         Resource: '{path}'."
    ))
}

fn not_found(path: &str) -> Error {
    Condition::NOT_FOUND.error(format!("The messaging entity '{path}' could not be found."))
}

fn no_partition(name: &str) -> Error {
    Condition::ARGUMENT_OUT_OF_RANGE
        .error(format!("The specified partition is invalid for an EventHub partition: '{name}'."))
}

fn target_of(attach: &Attach) -> Option<String> {
    match attach.target.as_deref() {
        Some(TargetArchetype::Target(target)) => target.address.clone(),
        None => None,
    }
}
