//! Listening on loopback, and ending it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};

use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::broker::Broker;
use crate::connection;

/// The Python client sets the segment size of its socket to what it is; on loopback that is more than
/// can be set, unless the other side wants less.
const SEGMENT_BYTES_MAX: u32 = 32_000;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 128;

/// A port of loopback. It stays the peer's while nobody listens on it, so that no one else is given it
/// then.
pub(crate) struct Port {
    pub(crate) number: u16,
    _kept: Option<Socket>,
}

impl Port {
    /// Takes a port, or any free one if it is zero.
    pub(crate) fn take(number: u16) -> io::Result<Self> {
        let kept = if number == 0 { bind_free()? } else { bind(number)? };
        let address = kept.local_addr()?.as_socket().map(|address| address.port());
        let number = address.unwrap_or(number);
        // Not all systems let two sockets have a port though only one listens.
        let kept = bind(number).is_ok().then_some(kept);
        Ok(Self { number, _kept: kept })
    }
}

/// A free port. Whoever may share a port can be given one that another peer keeps, so that comes
/// after the choice.
fn bind_free() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn bind(port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket)
}

/// What takes connections on a port.
pub(crate) struct Listener {
    stop: oneshot::Sender<()>,
    /// Says when nobody listens any more.
    stopped: mpsc::Receiver<()>,
}

impl Listener {
    /// Listens on a port.
    pub(crate) fn open(
        runtime: &Handle,
        broker: Arc<Broker>,
        port: &Port,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Self> {
        let socket = bind(port.number)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_mss(SEGMENT_BYTES_MAX)?;
        socket.listen(BACKLOG)?;
        let _inside = runtime.enter();
        let listener = TcpListener::from_std(socket.into())?;
        let (stop, stops) = oneshot::channel();
        let (stopping, stopped) = mpsc::channel();
        runtime.spawn(async move {
            tokio::select! {
                () = accept(&listener, broker, tls) => {}
                _ = stops => {}
            }
            drop(listener);
            // If nobody waits, nobody has to know.
            let _ = stopping.send(());
        });
        Ok(Self { stop, stopped })
    }

    /// Stops listening; connections are refused when this returns.
    pub(crate) fn close(self) {
        // An error of either would say that it has stopped already.
        let _ = self.stop.send(());
        let _ = self.stopped.recv();
    }
}

async fn accept(listener: &TcpListener, broker: Arc<Broker>, tls: Option<TlsAcceptor>) {
    loop {
        // A connection that is gone before it is taken is no reason to stop.
        if let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(connection::serve(Arc::clone(&broker), socket, tls.clone()));
        }
    }
}
