//! One connection of HTTP/1.1, which can be taken out of its worker between two requests.

use super::addresses::AddressSlot;
use super::envelope::Envelope;
use super::files::{self, Answer, Site};
use super::io::{ConnectionState, Io};
use super::log::Line;
use super::stream::Stream;
use super::worker::sleep_until;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONNECTION, EXPECT};
use http::{Request, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use sharesock::{Parcel, Socket};
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::Instant;

/// Bytes of a request's body that are read, and the time in which it must come.
const MOST_BODY: usize = 64 << 10;
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of a request's head, and of what is written before the client takes it. So what was read goes along with a
/// connection that moves.
const MOST_BUFFERED: usize = 48 << 10;
/// Time that an idle client has for one more request when everything ends: the answer says that it was the last. A
/// connection that ended at once would take a request along that is on its way.
const LAST_REQUEST_TIMEOUT: Duration = Duration::from_secs(1);

/// Time for what a client goes on sending after the last answer.
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// What a worker does with its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Serves them.
    Serving,
    /// Hands them over as soon as they are between two requests.
    Retiring,
    /// Closes them as soon as they are between two requests.
    Draining,
}

/// A connection that was received, not yet served here.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) socket: Socket,
    pub(crate) envelope: Envelope,
    /// Microseconds from the hand-off to here, if that is known.
    pub(crate) took_us: Option<f64>,
    /// What was read from it before and belongs to its next request.
    pub(crate) unread: Bytes,
    /// Its place among those of its address, once it has one.
    pub(crate) place: Option<AddressSlot>,
}

impl Guest {
    /// As it was handed off; nothing when it did not come from one of us.
    pub(crate) fn from_parcel(parcel: Parcel) -> Option<Self> {
        let source = parcel.source();
        let (socket, bytes) = parcel.into_parts();
        if bytes.is_empty() {
            return Some(Guest::new(socket, Envelope::bare(source?.pid())));
        }
        let (envelope, unread) = Envelope::open(&bytes)?;
        Some(Guest { unread: Bytes::copy_from_slice(unread), ..Guest::new(socket, envelope) })
    }

    /// One of which nothing was read.
    pub(crate) fn new(socket: Socket, envelope: Envelope) -> Self {
        Guest { socket, envelope, took_us: envelope.age_us(), unread: Bytes::new(), place: None }
    }

    /// The address of its client, if it has one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        Some(self.socket.as_socket().peer_addr().ok()?.as_socket()?.ip())
    }

    /// To be handed off to another worker now.
    pub(crate) fn into_parcel(self) -> Parcel {
        let envelope = Envelope { moves: self.envelope.moves.saturating_add(1), ..self.envelope.sent_now() };
        let bytes = [&envelope.to_bytes()[..], &self.unread].concat();
        Parcel::new(self.socket).with_bytes(bytes)
    }
}

/// What became of a connection.
#[derive(Debug)]
pub(crate) enum Outcome {
    Finished,
    /// It is between two requests, and may go on elsewhere.
    Movable(Guest),
}

/// Result of polling a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Perhaps by this status, which answers what is no request.
    Over {
        refused: Option<StatusCode>,
    },
    Movable,
}

/// Serves a connection to its end, or until it can be moved in a phase in which it should.
pub(crate) async fn serve(guest: Guest, site: Rc<Site>, mut phase: watch::Receiver<Phase>) -> io::Result<Outcome> {
    let client = if site.log.is_some() { guest.address() } else { None };
    let Guest { socket, envelope, took_us, unread, place } = guest;
    let state = Rc::new(ConnectionState::default());
    let stream = Stream::new(socket)?;
    let direct = stream.is_tcp().then(Rc::default);
    let (client_timeout, is_first) = (site.client_timeout, envelope.moves == 0 && unread.is_empty());
    let io = Io {
        stream,
        unread,
        is_first,
        state: state.clone(),
        direct: direct.clone(),
        client_timeout,
        late: None,
        stuck: None,
    };
    let answering = (Rc::clone(&site), state.clone(), direct, phase.clone());
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (site, state, direct, phase) = answering.clone();
        let asked = || (request.method().clone(), request.uri().clone(), request.version());
        let line = site.log.as_ref().map(|log| Line::begin(log, client, Some(asked()), envelope.accepted_by));
        let busy = Busy::new(state, line);
        let answer: Pin<Box<dyn Future<Output = Result<Answer, std::convert::Infallible>>>> = Box::pin(async move {
            let mut request = request;
            // The rest of a request's body would be taken for the next request.
            let is_whole = read_off(&mut request).await;
            let mut answer = files::answer(&site, request, envelope, took_us, (busy, direct)).await;
            if !is_whole || *phase.borrow() == Phase::Draining {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(answer)
        });
        answer
    });
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MOST_BUFFERED).half_close(true).writev(true);
    let mut connection = builder.serve_connection(TokioIo::new(io), service);
    let mut ends_at = None;
    loop {
        let now = *phase.borrow_and_update();
        if now == Phase::Draining {
            ends_at.get_or_insert_with(|| Instant::now() + LAST_REQUEST_TIMEOUT);
        }
        let is_over = ends_at.is_some_and(|at| at <= Instant::now());
        if is_over {
            Pin::new(&mut connection).graceful_shutdown();
        }
        let polled = poll_fn(|context| match connection.poll_without_shutdown(context) {
            Poll::Ready(done) => {
                let refused = done.err().as_ref().and_then(status_of).or(state.refused.get());
                Poll::Ready(Turn::Over { refused })
            }
            Poll::Pending if now == Phase::Retiring && state.is_movable() => Poll::Ready(Turn::Movable),
            Poll::Pending => Poll::Pending,
        });
        let turn = tokio::select! {
            biased;
            turn = polled => turn,
            Ok(()) = phase.changed() => continue,
            () = sleep_until(ends_at.filter(|_| !is_over)) => continue,
        };
        let parts = connection.into_parts();
        let mut io = parts.io.into_inner();
        if turn == Turn::Movable {
            let unread = [parts.read_buf, io.unread].concat().into();
            let socket = io.stream.into_socket()?;
            return Ok(Outcome::Movable(Guest { socket, envelope, took_us, unread, place }));
        }
        if let Turn::Over { refused: Some(status) } = turn {
            note_refusal(&site, client, envelope, status);
        }
        end(&mut io.stream).await;
        return Ok(Outcome::Finished);
    }
}

/// The status by which the library answers what is no request.
fn status_of(error: &hyper::Error) -> Option<StatusCode> {
    match () {
        () if error.is_parse_too_large() => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
        () if error.is_parse() => Some(StatusCode::BAD_REQUEST),
        () => None,
    }
}

/// Counts and logs a connection that was refused before any request.
fn note_refusal(site: &Site, client: Option<IpAddr>, envelope: Envelope, status: StatusCode) {
    site.stats.refused.set(site.stats.refused.get() + 1);
    if let Some(log) = &site.log {
        let mut line = Line::begin(log, client, None, envelope.accepted_by);
        line.entry.status = status;
        line.end(false);
    }
}

/// Answers a connection before any request, and ends it.
pub(crate) async fn refuse(guest: Guest, site: Rc<Site>, status: StatusCode) -> io::Result<()> {
    note_refusal(&site, guest.address(), guest.envelope, status);
    let mut stream = Stream::new(guest.socket)?;
    stream.write_all(files::refusal(status).as_bytes()).await?;
    end(&mut stream).await;
    Ok(())
}

/// Ends a connection such that its client can read all that it was sent: what it has sent, and nobody has read, would have the
/// kernel throw the rest away.
async fn end(stream: &mut Stream) {
    // The sender may have a descriptor of it for a moment still, so that closing this one would not end it. A client
    // that is gone already is no mistake of ours.
    if stream.shutdown().await.is_err() || !stream.has_unread() {
        return;
    }
    let end = async { while stream.read(&mut [0; 1024]).await.is_ok_and(|length| length > 0) {} };
    let _ = tokio::time::timeout(LINGER_TIMEOUT, end).await;
}

/// Reads the body of a request, which nobody wants; whether all of it was there soon, and not large.
async fn read_off(request: &mut Request<Incoming>) -> bool {
    // A client that asks first whether to send one does not.
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return request.body().is_end_stream();
    }
    let all = async {
        let mut left = MOST_BODY;
        while let Some(frame) = request.body_mut().frame().await {
            left = left.checked_sub(frame.ok()?.data_ref().map_or(0, Bytes::len))?;
        }
        Some(())
    };
    matches!(tokio::time::timeout(BODY_WITHIN, all).await, Ok(Some(())))
}

/// Lives as long as a request is being answered.
#[derive(Debug)]
pub(crate) struct Busy {
    state: Rc<ConnectionState>,
    /// What the access log will say of it.
    line: Option<Line>,
    is_whole: bool,
}

impl Busy {
    fn new(state: Rc<ConnectionState>, line: Option<Line>) -> Self {
        state.busy.set(state.busy.get() + 1);
        state.requests.set(state.requests.get() + 1);
        // It was written: the library begins with the next one only then.
        state.log(false);
        Busy { state, line, is_whole: false }
    }

    pub(crate) fn note_status(&mut self, status: StatusCode) {
        self.line.iter_mut().for_each(|line| line.entry.status = status);
    }

    pub(crate) fn note_bytes(&mut self, count: usize) {
        self.line.iter_mut().for_each(|line| line.entry.bytes += count as u64);
    }

    /// All of the body was given to the library.
    pub(crate) fn note_whole(&mut self) {
        self.is_whole = true;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.state.busy.set(self.state.busy.get() - 1);
        match (self.line.take(), self.is_whole) {
            (Some(line), true) => _ = self.state.unlogged.replace(Some(line)),
            (Some(line), false) => line.end(true),
            (None, _) => {}
        }
    }
}
