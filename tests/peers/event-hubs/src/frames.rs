//! Writes the frames of the AMQP library anew where clients of the service expect more: all fields
//! of a performative, the largest message that a link takes, and why a link is refused.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::encoding::complete;
use crate::refusals::{Passage, Reasons, Refusals};

/// What a frame may have at most, as it is said when a connection is opened.
pub(crate) const FRAME_BYTES_MAX: usize = 65_536;

/// Bytes of the header that every frame begins with.
const HEADER: usize = 8;

/// A socket whose outgoing frames are completed.
#[derive(Debug)]
pub(crate) struct Completed<S> {
    socket: S,
    message_bytes_max: u64,
    refusals: Refusals,
    /// What was written and is not a whole frame yet.
    incomplete: Vec<u8>,
    /// What the socket still has to take, from `taken` on.
    ready: Vec<u8>,
    taken: usize,
}

impl<S> Completed<S> {
    pub(crate) fn new(socket: S, message_bytes_max: u64, reasons: Reasons) -> Self {
        Self {
            socket,
            message_bytes_max,
            refusals: Refusals::new(reasons),
            incomplete: Vec::new(),
            ready: Vec::new(),
            taken: 0,
        }
    }

    /// Moves all whole frames over.
    fn advance(&mut self) {
        let mut done = 0;
        while let Some(length) = frame_length(&self.incomplete[done..]) {
            let frame = &self.incomplete[done..done + length];
            let passage = match body_of(frame) {
                Some(body) => self.refusals.pass(channel_of(frame), body),
                None => Passage::Free,
            };
            if passage != Passage::Held {
                complete_frame(frame, self.message_bytes_max, &mut self.ready);
            }
            if let Passage::Followed(performative) = passage {
                let next = frame_of(channel_of(frame), &performative);
                complete_frame(&next, self.message_bytes_max, &mut self.ready);
            }
            done += length;
        }
        self.incomplete.drain(..done);
    }
}

/// The length of the frame that begins here, if all of it is here. A protocol header is 8 bytes long.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let start = bytes.get(..HEADER)?;
    if start.starts_with(b"AMQP") {
        return Some(HEADER);
    }
    let length = u32::from_be_bytes([start[0], start[1], start[2], start[3]]) as usize;
    (bytes.len() >= length).then_some(length.max(HEADER))
}

/// What a frame carries; none for a protocol header.
fn body_of(frame: &[u8]) -> Option<&[u8]> {
    let start = usize::from(frame[4]) * 4;
    if frame.starts_with(b"AMQP") { None } else { frame.get(start..) }
}

fn channel_of(frame: &[u8]) -> u16 {
    u16::from_be_bytes([frame[6], frame[7]])
}

/// A frame of AMQP with this body.
fn frame_of(channel: u16, body: &[u8]) -> Vec<u8> {
    let mut frame = ((HEADER + body.len()) as u32).to_be_bytes().to_vec();
    frame.extend_from_slice(&[2, 0]);
    frame.extend_from_slice(&channel.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}

fn complete_frame(frame: &[u8], message_bytes_max: u64, out: &mut Vec<u8>) {
    let body = body_of(frame).unwrap_or_default();
    let start = frame.len() - body.len();
    if let Some((performative, old)) = complete(body, message_bytes_max) {
        let rest = &body[old..];
        let length = start + performative.len() + rest.len();
        // Where there is no room, a frame carries part of a large message, and clients read it as it is.
        if length <= FRAME_BYTES_MAX {
            out.extend_from_slice(&(length as u32).to_be_bytes());
            out.extend_from_slice(&frame[4..start]);
            out.extend_from_slice(&performative);
            out.extend_from_slice(rest);
            return;
        }
    }
    out.extend_from_slice(frame);
}

impl<S: AsyncRead + Unpin> AsyncRead for Completed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> Completed<S> {
    /// Gives the socket what is ready.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.taken < self.ready.len() {
            let rest = &self.ready[self.taken..];
            let taken = ready!(Pin::new(&mut self.socket).poll_write(cx, rest))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.taken += taken;
        }
        self.ready.clear();
        self.taken = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Completed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        self.incomplete.extend_from_slice(bytes);
        self.advance();
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::{Completed, Reasons};

    /// A heartbeat, a close, and 2 bytes of what comes next.
    const WRITTEN: &[u8] = &[
        0, 0, 0, 8, 2, 0, 0, 0, //
        0, 0, 0, 15, 2, 0, 0, 0, 0, 0x53, 0x18, 0xc0, 2, 1, 0x40, //
        0, 0,
    ];

    #[tokio::test]
    async fn frames_come_out_whole_however_they_are_written() {
        let mut all_at_once = Completed::new(Vec::new(), 0, Reasons::default());
        all_at_once.write_all(WRITTEN).await.unwrap();
        all_at_once.flush().await.unwrap();
        let mut byte_by_byte = Completed::new(Vec::new(), 0, Reasons::default());
        for byte in WRITTEN {
            byte_by_byte.write_all(&[*byte]).await.unwrap();
        }
        byte_by_byte.flush().await.unwrap();
        assert_eq!(all_at_once.socket, byte_by_byte.socket);
        let close = [0, 0, 0, 21, 2, 0, 0, 0, 0, 0x53, 0x18, 0xd0, 0, 0, 0, 5, 0, 0, 0, 1, 0x40];
        assert_eq!(all_at_once.socket, [&WRITTEN[..8], &close].concat());
    }
}
