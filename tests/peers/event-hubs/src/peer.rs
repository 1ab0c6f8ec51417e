//! The peer as tests hold it.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::broker::Broker;
use crate::builder::Builder;
use crate::clock;
use crate::condition::Condition;
use crate::event::{NewEvent, Stored};
use crate::fault::{
    AttachFault, ConnectFault, Faults, ManagementFault, ReceiveFault, SendFault, Times, TokenFault,
};
use crate::listener::{Listener, Port};
use crate::partition_key;
use crate::statistics::Statistics;
use crate::store::Hub;
use crate::tls::Tls;

/// Name and key of the policy with all claims that every peer has.
pub const DEFAULT_POLICY: (&str, &str) = ("RootManageSharedAccessKey", "cGVlciBvbiBsb29wYmFjaw==");

/// How long a test waits for something that has to happen; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running Event Hubs on loopback. It has threads of its own, so it may be used with and without a
/// runtime around it, and stops when it is dropped.
pub struct Peer {
    broker: Arc<Broker>,
    tls: Option<Tls>,
    port: Port,
    tls_port: Option<Port>,
    /// What takes connections; empty while the peer is stopped.
    listeners: Mutex<Vec<Listener>>,
    /// Always there until the peer is dropped.
    runtime: Option<Runtime>,
}

impl Peer {
    /// Says what the peer is to be.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn start(broker: Arc<Broker>, tls: Option<Tls>, port: u16) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("event-hubs-peer")
            .enable_all()
            .build()?;
        let peer = Self {
            broker,
            port: Port::take(port)?,
            tls_port: tls.is_some().then(|| Port::take(0)).transpose()?,
            tls,
            listeners: Mutex::default(),
            runtime: Some(runtime),
        };
        *peer.listeners() = peer.listen()?;
        Ok(peer)
    }

    /// Listens on the ports that it has.
    fn listen(&self) -> io::Result<Vec<Listener>> {
        let Some(runtime) = &self.runtime else { return Ok(Vec::new()) };
        let open = |port: &Port, tls| {
            Listener::open(runtime.handle(), Arc::clone(&self.broker), port, tls)
        };
        let mut listeners = vec![open(&self.port, None)?];
        if let (Some(port), Some(tls)) = (&self.tls_port, &self.tls) {
            listeners.push(open(port, Some(tls.acceptor.clone()))?);
        }
        Ok(listeners)
    }

    fn listeners(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The port without TLS.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// The port with TLS. Panics if the peer was built without.
    pub fn tls_port(&self) -> u16 {
        self.tls_port.as_ref().expect("the peer was built without TLS").number
    }

    /// The certificate that clients have to trust. Panics if the peer was built without TLS.
    pub fn ca_pem(&self) -> &str {
        &self.tls.as_ref().expect("the peer was built without TLS").ca_pem
    }

    /// How a client without TLS reaches a hub: as the emulator is reached, and with all claims.
    pub fn connection_string(&self, hub: &str) -> String {
        self.connection_string_with(hub, DEFAULT_POLICY.0, DEFAULT_POLICY.1)
    }

    /// The same with another policy, or a wrong key.
    pub fn connection_string_with(&self, hub: &str, policy: &str, key: &str) -> String {
        format!(
            "Endpoint=sb://localhost:{}/;SharedAccessKeyName={policy};SharedAccessKey={key};\
             EntityPath={hub};UseDevelopmentEmulator=true;",
            self.port()
        )
    }

    /// How a client with TLS reaches a hub, with all claims. Panics if the peer was built without TLS.
    pub fn tls_connection_string(&self, hub: &str) -> String {
        let (policy, key) = DEFAULT_POLICY;
        format!(
            "Endpoint=sb://localhost:{}/;SharedAccessKeyName={policy};SharedAccessKey={key};\
             EntityPath={hub}",
            self.tls_port()
        )
    }

    fn hub(&self, name: &str) -> &Hub {
        self.broker.hub(name).unwrap_or_else(|| panic!("the peer has no hub `{name}`"))
    }

    /// Everything that a hub holds, in the order of partitions and sequences.
    pub fn events(&self, hub: &str) -> Vec<Stored> {
        self.hub(hub).stored()
    }

    /// Puts events into a partition.
    pub fn append<E: Into<NewEvent>>(
        &self,
        hub: &str,
        partition: usize,
        events: impl IntoIterator<Item = E>,
    ) {
        let now = clock::now();
        let events = events.into_iter().map(|event| {
            let event: NewEvent = event.into();
            let enqueued = event.enqueued.unwrap_or(now);
            (event.into_message(), enqueued)
        });
        self.hub(hub).partitions[partition].append(events);
        self.broker.tell_change();
    }

    /// Forgets the events of a partition that are before a sequence, as if their retention was over.
    pub fn expire(&self, hub: &str, partition: usize, before: i64) {
        self.hub(hub).partitions[partition].expire(before);
        self.broker.tell_change();
    }

    /// The partition that a key belongs to.
    pub fn partition_of(&self, hub: &str, key: &str) -> usize {
        partition_key::partition_of(key, self.hub(hub).partitions.len())
    }

    /// What has happened, and what is open now.
    pub fn statistics(&self) -> Statistics {
        self.broker.statistics()
    }

    /// Waits until the condition is true; it is asked whenever something has changed. Panics after a
    /// minute.
    #[track_caller]
    pub fn wait_until(&self, condition: impl Fn(&Peer) -> bool) {
        let in_time = self.broker.wait_until(clock::after(PATIENCE), || condition(self));
        assert!(in_time, "it has not come to that within {PATIENCE:?}: {:#?}", self.statistics());
    }

    fn faults(&self, set: impl FnOnce(&mut Faults)) {
        set(&mut self.broker.faults());
    }

    /// What becomes of new connections. Takes the place of what was set before, as all of these do.
    pub fn on_connect(&self, fault: ConnectFault, times: Times) {
        self.faults(|faults| faults.connect.set(fault, times));
    }

    /// What is answered to tokens.
    pub fn on_token(&self, fault: TokenFault, times: Times) {
        self.faults(|faults| faults.token.set(fault, times));
    }

    /// What is answered to questions about hubs and partitions.
    pub fn on_management(&self, fault: ManagementFault, times: Times) {
        self.faults(|faults| faults.management.set(fault, times));
    }

    /// What is answered when senders and receivers attach.
    pub fn on_attach(&self, fault: AttachFault, times: Times) {
        self.faults(|faults| faults.attach.set(fault, times));
    }

    /// What becomes of messages.
    pub fn on_send(&self, fault: SendFault, times: Times) {
        self.faults(|faults| faults.send.set(fault, times));
    }

    /// What happens instead of the next events to receivers.
    pub fn on_receive(&self, fault: ReceiveFault, times: Times) {
        self.faults(|faults| faults.receive.set(fault, times));
    }

    /// Takes all faults away. What is cut or stalled stays so: a client has to connect anew.
    pub fn heal(&self) {
        self.faults(|faults| *faults = Faults::default());
    }

    /// Cuts all connections without a word.
    pub fn cut_all(&self) {
        for connection in self.broker.connections() {
            connection.switch.cut();
        }
    }

    /// Makes all connections black holes: what comes is swallowed, and nothing is said.
    pub fn stall_all(&self) {
        for connection in self.broker.connections() {
            connection.switch.stall();
        }
    }

    /// Closes all connections with an error.
    pub fn close_all(&self, condition: &Condition) {
        for connection in self.broker.connections() {
            connection.close(condition.error("the connection is closed by a test"));
        }
    }

    /// Detaches all links on which events go, as the service does with idle ones.
    pub fn detach_all(&self, condition: &Condition) {
        self.broker.end_links(&condition.error("the link is detached by a test"));
    }

    /// As if all tokens had run out: senders and receivers are detached until new ones are put.
    pub fn expire_tokens(&self) {
        for connection in self.broker.connections() {
            connection.expire_grants();
        }
    }

    /// Refuses connections, and cuts those that there are. Returns when it is so.
    pub fn stop(&self) {
        for listener in self.listeners().drain(..) {
            listener.close();
        }
        self.cut_all();
        self.wait_until(|peer| peer.statistics().open.connections == 0);
    }

    /// Listens again on the same ports; what was stored is still there. Panics if another process
    /// has taken a port.
    pub fn start_again(&self) {
        let mut listeners = self.listeners();
        if listeners.is_empty() {
            *listeners = self.listen().expect("the ports are taken");
        }
    }

    /// Whether messages are only counted: neither decoded nor kept. For benches.
    pub fn store_only_counts(&self, only: bool) {
        self.broker.set_only_counts(only);
    }

    /// How long it takes until messages are settled; zero is at once.
    pub fn settle_after(&self, wait: Duration) {
        self.broker.set_settle_after(wait);
    }

    /// How many events each partition of a hub holds.
    pub fn partition_sizes(&self, hub: &str) -> Vec<usize> {
        self.hub(hub).partitions.iter().map(|partition| partition.log().records.len()).collect()
    }

    /// The names of all hubs.
    pub fn hubs(&self) -> Vec<String> {
        let mut names: Vec<_> = self.broker.hubs().map(|hub| hub.name.clone()).collect();
        names.sort();
        names
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for listener in self.listeners().drain(..) {
            listener.close();
        }
        self.cut_all();
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed inside another runtime, where tests may be.
            runtime.shutdown_background();
        }
    }
}
