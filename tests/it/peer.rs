//! A receiver of events over HTTP on loopback that a test makes fail on purpose: it keeps what it
//! took, in order, and behaves as the test tells it to, from one request to the next.

mod exchange;
mod fault;
mod log;

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

pub(crate) use self::fault::Fault;
pub(crate) use self::log::{Accepted, Log, Request};

/// How long a test waits for something that has to happen; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running receiver. It stops when it is dropped.
pub(crate) struct Peer {
    shared: Arc<Shared>,
    address: SocketAddr,
    runtime: Option<Runtime>,
    /// None while connections are refused.
    listening: Mutex<Option<Listening>>,
}

/// The task that takes connections.
struct Listening {
    stop: oneshot::Sender<()>,
    /// Says when the socket and all connections are closed.
    stopped: mpsc::Receiver<()>,
}

/// What the connections share with the test.
#[derive(Default)]
struct Shared {
    log: Mutex<Log>,
    changed: Condvar,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap()
    }

    /// Changes the log, and wakes the test if it waits.
    fn change<R>(&self, change: impl FnOnce(&mut Log) -> R) -> R {
        let result = change(&mut self.log());
        self.changed.notify_all();
        result
    }
}

impl Peer {
    /// A receiver that takes everything, on a port of its own.
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = bind(&runtime, SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let listening = Mutex::new(Some(listen(&runtime, listener, &shared)));
        Self { shared, address, runtime: Some(runtime), listening }
    }

    /// Where it listens, also while it refuses connections.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// How it behaves from now on, for requests that [`Peer::script`] says nothing about.
    pub(crate) fn set(&self, fault: Fault) {
        let refuses = matches!(fault, Fault::Refuse);
        self.shared.change(|log| log.fault = fault);
        if refuses { self.close() } else { self.open() }
    }

    /// How it behaves at the next requests, one after the other; then as it was set.
    pub(crate) fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        let faults: Vec<_> = faults.into_iter().collect();
        let refuses = faults.iter().any(|fault| matches!(fault, Fault::Refuse));
        assert!(!refuses, "a request that arrives can be cut, but no more refused");
        self.shared.change(|log| log.script.extend(faults));
    }

    /// The events that it took, in the order it took them; twice what came twice.
    pub(crate) fn events(&self) -> Vec<Accepted> {
        self.shared.log().events.clone()
    }

    /// The requests that came, in the order they came.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.log().requests.clone()
    }

    /// A look at everything at one instant.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Log) -> R) -> R {
        look(&self.shared.log())
    }

    /// Waits until the log is as the test wants it.
    #[track_caller]
    pub(crate) fn wait_until(&self, wanted: impl Fn(&Log) -> bool) {
        let (log, ended) = self
            .shared
            .changed
            .wait_timeout_while(self.shared.log(), PATIENCE, |log| !wanted(log))
            .unwrap();
        let summary = log.summary();
        drop(log);
        assert!(!ended.timed_out(), "it never came so far: {summary}");
    }

    /// Closes the socket that listens, and every connection.
    fn close(&self) {
        if let Some(Listening { stop, stopped }) = self.listening.lock().unwrap().take() {
            stop.send(()).unwrap();
            stopped.recv_timeout(PATIENCE).unwrap();
        }
    }

    /// Listens again, on the same port.
    fn open(&self) {
        let mut listening = self.listening.lock().unwrap();
        if listening.is_none() {
            let runtime = self.runtime();
            *listening = Some(listen(runtime, bind(runtime, self.address), &self.shared));
        }
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A test that is asynchronous itself may not wait here.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn bind(runtime: &Runtime, address: SocketAddr) -> TcpListener {
    // Nothing here waits on the runtime, so that asynchronous tests may have a peer, too.
    let _inside = runtime.enter();
    let socket = TcpSocket::new_v4().unwrap();
    // Connections of before may linger on the port.
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(256).unwrap()
}

fn listen(runtime: &Runtime, listener: TcpListener, shared: &Arc<Shared>) -> Listening {
    let (stop, stopping) = oneshot::channel();
    let (stops, stopped) = mpsc::channel();
    let shared = shared.clone();
    runtime.spawn(async move {
        take_connections(listener, stopping, &shared).await;
        // Nobody may wait for it any more.
        let _ = stops.send(());
    });
    Listening { stop, stopped }
}

/// Takes connections until it is told to stop, and closes them then.
async fn take_connections(
    listener: TcpListener,
    mut stopping: oneshot::Receiver<()>,
    shared: &Arc<Shared>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopping => break,
            connection = listener.accept() => {
                let (stream, _) = connection.unwrap();
                let number = shared.change(|log| {
                    log.connections += 1;
                    log.connections
                });
                connections.spawn(exchange::serve(stream, number, shared.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
}
