//! How many connections and streams are served at a time: whoever opens more waits, or is told to.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use axum::http::StatusCode;
use axum::response::Response;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal;

/// How many connections are served at a time; others wait to be taken.
const CONNECTIONS_MAX: usize = 256;

/// How many of them may be streams, so that the rest can be asked.
const STREAMS_MAX: usize = 200;

/// How much the system holds for a connection that does not read, about, in bytes. What it takes by
/// itself is megabytes, of which all are written before a slow reader is noticed.
#[cfg(unix)]
const SEND_BUFFER_BYTES: usize = 128 << 10;

static STREAMS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(STREAMS_MAX)));

/// A place among the streams, for as long as it is kept.
pub(super) type Place = OwnedSemaphorePermit;

/// A place among the streams, if there is one.
#[expect(clippy::result_large_err, reason = "it is an answer, and sent as it is")]
pub(super) fn stream() -> Result<Place, Response> {
    Arc::clone(&STREAMS).try_acquire_owned().map_err(|_| {
        let error = format!("{STREAMS_MAX} streams are open already");
        refusal(StatusCode::SERVICE_UNAVAILABLE, error, "close some, or ask `/stats` now and then")
    })
}

/// A listener that takes no more connections than it can serve.
pub(super) struct Connections {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

/// A connection and its place.
pub(super) struct Connection {
    stream: TcpStream,
    _place: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.expect("nobody closes the semaphore");
        let (stream, address) = Listener::accept(&mut self.listener).await;
        #[cfg(unix)]
        {
            // It is served with more, where the system does not have it.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES);
        }
        (Connection { stream, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
