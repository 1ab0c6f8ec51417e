//! A socket that can be cut or stalled from outside.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The handle of a [`Switched`] socket.
#[derive(Debug, Default)]
pub(crate) struct Switch(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    line: Line,
    /// Whoever waits for the socket, reading and writing.
    waiting: Vec<Waker>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Live,
    Stalled,
    Cut,
}

impl Switch {
    /// Ends the connection without a word.
    pub(crate) fn cut(&self) {
        self.turn(Line::Cut);
    }

    /// Swallows from now on all that comes, and all that is written.
    pub(crate) fn stall(&self) {
        let mut inside = self.inside();
        if inside.line == Line::Live {
            inside.line = Line::Stalled;
        }
    }

    fn turn(&self, line: Line) {
        let mut inside = self.inside();
        inside.line = line;
        for waker in inside.waiting.drain(..) {
            waker.wake();
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the line is; who asks is woken when it is cut.
    fn line(&self, cx: &Context<'_>) -> Line {
        let mut inside = self.inside();
        if inside.line != Line::Cut && !inside.waiting.iter().any(|w| w.will_wake(cx.waker())) {
            inside.waiting.push(cx.waker().clone());
        }
        inside.line
    }
}

/// A socket with a switch.
#[derive(Debug)]
pub(crate) struct Switched<S> {
    socket: S,
    switch: Arc<Switch>,
}

impl<S> Switched<S> {
    pub(crate) fn new(socket: S, switch: Arc<Switch>) -> Self {
        Self { socket, switch }
    }
}

fn cut<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
}

impl<S: AsyncRead + Unpin> AsyncRead for Switched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let line = self.switch.line(cx);
            if line == Line::Cut {
                return cut();
            }
            let before = buffer.filled().len();
            let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
            if line == Line::Live || !matches!(read, Poll::Ready(Ok(()))) {
                return read;
            }
            if buffer.filled().len() == before {
                return read;
            }
            buffer.set_filled(before);
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Switched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.switch.line(cx) {
            Line::Live => Pin::new(&mut self.socket).poll_write(cx, bytes),
            Line::Stalled => Poll::Ready(Ok(bytes.len())),
            Line::Cut => cut(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.switch.line(cx) {
            Line::Live => Pin::new(&mut self.socket).poll_shutdown(cx),
            Line::Stalled | Line::Cut => Poll::Ready(Ok(())),
        }
    }
}
