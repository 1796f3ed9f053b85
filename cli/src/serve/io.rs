//! What the HTTP library reads from and writes to: a stream, with what was read from it before.

use super::direct::Direct;
use super::files;
use super::log::Line;
use super::stream::Stream;
use bytes::Bytes;
use http::StatusCode;
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes that are read at a time: what comes beyond the head of a request is no more than this.
const READ_AT_ONCE: usize = 4 << 10;

/// State of a connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionState {
    /// Requests whose responses are not written yet: none or one.
    pub(super) busy: Cell<u32>,
    /// Requests whose heads were read.
    pub(super) requests: Cell<u64>,
    /// The client does not take what was written.
    stuck: Cell<bool>,
    /// A response that the system has not taken wholly, as it will be logged.
    pub(super) unlogged: RefCell<Option<Line>>,
    /// A status by which a client was refused that sent no request.
    pub(super) refused: Cell<Option<StatusCode>>,
}

impl ConnectionState {
    pub(super) fn is_movable(&self) -> bool {
        self.busy.get() == 0 && !self.stuck.get()
    }

    /// Logs a response that was written, or was cut off.
    pub(super) fn log(&self, cut: bool) {
        self.unlogged.take().into_iter().for_each(|line| line.end(cut));
    }
}

impl Drop for ConnectionState {
    /// However the connection ends.
    fn drop(&mut self) {
        self.log(true);
    }
}

/// A stream, with what was read from it before.
#[derive(Debug)]
pub(super) struct Io {
    pub(super) stream: Stream,
    pub(super) unread: Bytes,
    /// Nothing was read yet.
    pub(super) is_first: bool,
    pub(super) state: Rc<ConnectionState>,
    pub(super) direct: Option<Rc<Direct>>,
    pub(super) client_timeout: Duration,
    /// Ends when the head of a request is late, and which one that is. Most come at once, and need no timer.
    pub(super) late: Option<(u64, Pin<Box<Sleep>>)>,
    /// Ends when the client has taken nothing for too long.
    pub(super) stuck: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let length = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let most = buffer.remaining().min(READ_AT_ONCE);
        let mut some = ReadBuf::new(buffer.initialize_unfilled_to(most));
        let read = Pin::new(&mut self.stream).poll_read(context, &mut some);
        let length = some.filled().len();
        if read.is_pending() && self.state.busy.get() == 0 {
            return self.poll_late(context).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        if read.is_ready() && std::mem::take(&mut self.is_first) && has_other_version(some.filled()) {
            // The library would say that the request is a bad one. To it, none came.
            self.state.refused.set(Some(StatusCode::HTTP_VERSION_NOT_SUPPORTED));
            let refusal = files::refusal(StatusCode::HTTP_VERSION_NOT_SUPPORTED);
            return Pin::new(&mut self.stream).poll_write(context, refusal.as_bytes()).map_ok(drop);
        }
        buffer.advance(length);
        read
    }
}

impl Io {
    /// Waits until the head of the next request is late.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let number = self.state.requests.get();
        if self.late.as_ref().is_none_or(|(of, _)| *of != number) {
            self.late = Some((number, Box::pin(sleep(self.client_timeout))));
        }
        self.late.as_mut().map_or(Poll::Pending, |(_, late)| late.as_mut().poll(context))
    }

    fn note<T>(&mut self, context: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.state.stuck.set(polled.is_pending());
        if polled.is_ready() {
            self.stuck = None;
            return polled;
        }
        let stuck = self.stuck.get_or_insert_with(|| Box::pin(sleep(self.client_timeout)));
        stuck.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if Direct::stands_for(bytes) {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        }
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note(context, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let io = &mut *self;
        let bytes = parts.iter().take_while(|part| !Direct::stands_for(part)).count();
        let polled = match (parts.get(..bytes), &io.direct) {
            (Some([]), Some(direct)) if !parts.is_empty() => io.stream.poll_send(context, |socket| direct.send(socket)),
            (bytes, _) => Pin::new(&mut io.stream).poll_write_vectored(context, bytes.unwrap_or_default()),
        };
        self.note(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The library does so when everything was written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.state.log(false);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Whether the first line of a connection ends with another major version of HTTP than the one that is spoken here.
fn has_other_version(head: &[u8]) -> bool {
    let line = head.split(|byte| *byte == b'\n').next().filter(|line| line.len() < head.len()).unwrap_or_default();
    let version = line.trim_ascii_end().rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
        if major.is_ascii_digit() && minor.is_ascii_digit() && *major != b'1')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_are_those_that_are_named_and_not_the_first() {
        for (head, is_other) in [
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", true),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true),
            ("GET / HTTP/3.0\n", true),
            ("GET / HTTP/0.9\r\n", true),
            ("GET / HTTP/1.1\r\n", false),
            ("GET / HTTP/1.2\r\n", false),
            ("GET / HTTP/2\r\n", false),
            ("GET / HTTP/2.0", false),
            ("GET / HTTP/x.0\r\n", false),
            ("HTTP/2.0\r\n", true),
            ("\r\nGET / HTTP/2.0\r\n", false),
            ("", false),
        ] {
            assert_eq!(has_other_version(head.as_bytes()), is_other, "{head:?}");
        }
    }
}
