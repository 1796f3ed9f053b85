//! The bytes of a response.

use super::open::{Apart, read_at_once, read_patiently};
use super::reply::Piece;
use crate::serve::direct::Direct;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc::Receiver;

/// So much of a file is in memory for a client at a time.
const CHUNK: u64 = 64 << 10;

/// Pieces one after the other.
#[derive(Debug)]
pub(crate) struct Pieces {
    pieces: VecDeque<Piece>,
    /// Nothing when all of it is text.
    file: Option<(Arc<File>, Apart)>,
    /// Where parts are sent by the kernel, if it can.
    direct: Option<Rc<Direct>>,
    reading: Option<Reading>,
    left: u64,
    /// Bytes that come in their own time instead, if any do.
    events: Option<Receiver<Bytes>>,
}

/// What the file system is being asked for.
struct Reading(Pin<Box<dyn Future<Output = io::Result<Bytes>>>>);

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reading")
    }
}

impl Pieces {
    pub(super) fn new(pieces: VecDeque<Piece>, file: Option<(Arc<File>, Apart)>) -> Self {
        let left = pieces.iter().map(Piece::length).sum();
        Pieces { pieces, file, direct: None, reading: None, left, events: None }
    }

    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self::new(if text.is_empty() { VecDeque::new() } else { VecDeque::from([Piece::Text(text)]) }, None)
    }

    /// The bytes from there, as they come.
    pub(super) fn endless(events: Receiver<Bytes>) -> Self {
        Pieces { events: Some(events), ..Self::new(VecDeque::new(), None) }
    }

    pub(super) fn is_endless(&self) -> bool {
        self.events.is_some()
    }

    /// Lets the kernel send parts.
    pub(super) fn send_by(&mut self, direct: Option<Rc<Direct>>) {
        self.direct = direct;
    }

    /// Takes off what comes next, if that can be had without waiting.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let (at, length) = match (self.pieces.front_mut(), &self.file) {
            (Some(Piece::Part(range)), Some((file, _))) => {
                let direct = self.direct.as_ref().filter(|_| self.reading.is_none());
                if let Some(stands) = direct.and_then(|direct| direct.queue(file, range)) {
                    self.advance(stands.len());
                    return Poll::Ready(Some(Ok(stands)));
                }
                (range.start, (range.end - range.start).min(CHUNK))
            }
            (Some(Piece::Part(_)), None) | (None, _) => return Poll::Ready(None),
            (Some(Piece::Text(_)), _) => match self.pieces.pop_front() {
                Some(Piece::Text(text)) => return Poll::Ready(Some(Ok(text))),
                _ => return Poll::Ready(None),
            },
        };
        let read = match self.reading.take() {
            Some(mut reading) => match reading.0.as_mut().poll(context) {
                Poll::Ready(read) => read,
                Poll::Pending => {
                    self.reading = Some(reading);
                    return Poll::Pending;
                }
            },
            None => {
                let Some((file, apart)) = self.file.clone() else { return Poll::Ready(None) };
                let mut buffer = vec![0; usize::try_from(length).unwrap_or(0)];
                match read_at_once(&file, &mut buffer, at) {
                    Some(count) => shortened(buffer, count),
                    None => {
                        self.reading = Some(Reading(Box::pin(async move {
                            let read = move || {
                                let count = read_patiently(&file, &mut buffer, at);
                                shortened(buffer, count)
                            };
                            apart.run(read).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                        })));
                        return self.next(context);
                    }
                }
            }
        };
        if let Ok(bytes) = &read {
            self.advance(bytes.len());
        }
        Poll::Ready(Some(read))
    }

    /// So much of the part in front is on its way.
    fn advance(&mut self, length: usize) {
        if let Some(Piece::Part(range)) = self.pieces.front_mut() {
            range.start += length as u64;
            if range.start >= range.end {
                self.pieces.pop_front();
            }
        }
    }
}

/// What was read of a file that was longer when its length was told.
fn shortened(mut buffer: Vec<u8>, count: io::Result<usize>) -> io::Result<Bytes> {
    match count? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file became shorter while it was sent")),
        count => {
            buffer.truncate(count);
            Ok(buffer.into())
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(events) = &mut self.events {
            return events.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))));
        }
        let next = ready!(self.next(context));
        if let Some(Ok(bytes)) = &next {
            self.left = self.left.saturating_sub(bytes.len() as u64);
        }
        Poll::Ready(next.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.events.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.events.is_some() { SizeHint::default() } else { SizeHint::with_exact(self.left) }
    }
}
