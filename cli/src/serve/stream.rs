//! The stream of a connection: TCP, or what does not leave the machine.

use crate::system::{LocalStream, local_socket, local_stream};
use sharesock::Socket;
use socket2::SockRef;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A stream.
#[derive(Debug)]
pub(super) enum Stream {
    /// TCP for which nothing had to wait yet, so the runtime does not watch it: for a client that asks once, that would be a
    /// tenth of the work. Nothing after the runtime refused it.
    Fresh(Option<std::net::TcpStream>),
    Watched(TcpStream),
    Local(LocalStream),
}

impl Stream {
    pub(super) fn new(socket: Socket) -> io::Result<Self> {
        // Only TCP has this option.
        if socket.as_socket().set_tcp_nodelay(true).is_err() {
            socket.as_socket().set_nonblocking(true)?;
            return local_stream(socket).map(Stream::Local);
        }
        let stream = std::net::TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        Ok(Stream::Fresh(Some(stream)))
    }

    pub(super) fn into_socket(self) -> io::Result<Socket> {
        Ok(match self {
            Stream::Fresh(stream) => stream.ok_or(ErrorKind::NotConnected)?.into(),
            Stream::Watched(stream) => stream.into_std()?.into(),
            Stream::Local(stream) => local_socket(stream)?,
        })
    }

    /// Whether the client has sent something that nobody has read: closing it then throws away what was sent to the client.
    pub(super) fn has_unread(&self) -> bool {
        let peeks =
            |socket: SockRef<'_>| socket.peek(&mut [std::mem::MaybeUninit::uninit()]).is_ok_and(|length| length > 0);
        match self {
            Stream::Fresh(Some(stream)) => peeks(SockRef::from(stream)),
            Stream::Watched(stream) => peeks(SockRef::from(stream)),
            Stream::Fresh(None) | Stream::Local(_) => false,
        }
    }

    pub(super) fn is_tcp(&self) -> bool {
        !matches!(self, Stream::Local(_))
    }

    /// Has `send` write to the socket of TCP.
    pub(super) fn poll_send(
        &mut self,
        context: &mut Context<'_>,
        mut send: impl FnMut(&socket2::Socket) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(sent) = self.at_once(|stream| send(&SockRef::from(stream))) {
            return Poll::Ready(sent);
        }
        let Stream::Watched(stream) = self else { return Poll::Ready(Err(ErrorKind::Unsupported.into())) };
        loop {
            ready!(stream.poll_write_ready(context))?;
            match stream.try_io(Interest::WRITABLE, || send(&SockRef::from(&*stream))) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Acts on a fresh stream, or has it watched when it has to wait.
    fn at_once<T>(&mut self, act: impl FnOnce(&std::net::TcpStream) -> io::Result<T>) -> Poll<io::Result<T>> {
        let Stream::Fresh(fresh) = self else { return Poll::Pending };
        let done = fresh.as_ref().map_or(Err(ErrorKind::NotConnected.into()), act);
        if !done.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            return Poll::Ready(done);
        }
        match fresh.take().map(TcpStream::from_std) {
            Some(Ok(stream)) => *self = Stream::Watched(stream),
            refused => {
                return Poll::Ready(Err(refused.and_then(Result::err).unwrap_or(ErrorKind::NotConnected.into())));
            }
        }
        Poll::Pending
    }

    /// The stream when it is not fresh.
    fn watched(&mut self) -> io::Result<Pin<&mut (dyn Both + Unpin)>> {
        match self {
            Stream::Fresh(_) => Err(ErrorKind::NotConnected.into()),
            Stream::Watched(stream) => Ok(Pin::new(stream)),
            Stream::Local(stream) => Ok(Pin::new(stream)),
        }
    }
}

/// A stream that is read and written.
trait Both: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Both for T {}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.at_once(|mut stream| stream.read(buffer.initialize_unfilled())) {
            Poll::Ready(read) => Poll::Ready(read.map(|length| buffer.advance(length))),
            Poll::Pending => self.watched()?.poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.at_once(|mut stream| stream.write(bytes)) {
            Poll::Pending => self.watched()?.poll_write(context, bytes),
            written => written,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.at_once(|mut stream| stream.write_vectored(parts)) {
            Poll::Pending => self.watched()?.poll_write_vectored(context, parts),
            written => written,
        }
    }

    /// Neither kind keeps anything back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.at_once(|stream| stream.shutdown(Shutdown::Write)) {
            Poll::Pending => self.watched()?.poll_shutdown(context),
            shut => shut,
        }
    }
}
