//! Answering requests: files, listings of folders, and the page about this worker.

mod body;
mod conditions;
mod listing;
mod open;
mod ranges;
mod reply;
mod target;

use self::body::Pieces;
pub(super) use self::listing::begin;
pub(super) use self::open::is_at_hand;
use self::open::{Apart, Found, Seen};
use self::reply::{Facts, reply};
use self::target::Target;
use super::SiteOptions;
use super::addresses::Addresses;
use super::connection::{Busy, Phase};
use super::direct::Direct;
use super::envelope::Envelope;
use super::log::Log;
use super::page::{self, Page, Stats};
use super::system::Figures;
use anyhow::Result;
use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tokio::sync::{mpsc::Receiver, watch};

/// So many threads wait for the file system at a time.
const MOST_WAITING: usize = 64;
/// A client is not kept waiting for a file system that does not answer.
const FILES_WITHIN: Duration = Duration::from_secs(10);

/// Names the process that served, for people who look at responses.
const WORKER: &str = "x-sharesock-worker";
const HTML: &str = "text/html; charset=utf-8";

/// A body, with what lives as long as it is being written.
#[derive(Debug)]
pub(crate) struct Tracked {
    pieces: Pieces,
    busy: Busy,
}

/// A response of this server.
pub(crate) type Answer = Response<Tracked>;
pub(crate) type Plain = Response<Pieces>;

/// What is served.
#[derive(Debug)]
pub(crate) struct Site {
    root: PathBuf,
    apart: Apart,
    seen: Seen,
    /// Parts several ranges of a file: nobody who writes files knows it.
    boundary: String,
    hidden: bool,
    status_page: bool,
    worker_header: Option<HeaderValue>,
    pub(crate) client_timeout: Duration,
    pub(crate) addresses: Rc<Addresses>,
    phase: watch::Receiver<Phase>,
    pub(crate) log: Option<Rc<Log>>,
    pub(crate) stats: Stats,
    figures: Rc<Figures>,
}

impl Site {
    pub(crate) fn new(
        options: &SiteOptions,
        stats: Stats,
        figures: Rc<Figures>,
        phase: watch::Receiver<Phase>,
    ) -> Result<Self> {
        let worker_header = options.worker_header.then(|| HeaderValue::from(std::process::id()));
        let boundary = format!("sharesock-{:016x}", RandomState::new().hash_one(0));
        let SiteOptions { hidden, status_page, client_timeout, max_connections_per_address, .. } = *options;
        let log = options.access_log.as_deref().map(|path| Log::open(path, options.access_log_format));
        Ok(Site {
            root: options.root()?.to_owned(),
            apart: Apart::new(MOST_WAITING, FILES_WITHIN),
            seen: Seen::default(),
            boundary,
            hidden,
            status_page,
            worker_header,
            client_timeout,
            addresses: Addresses::new(max_connections_per_address),
            phase,
            log: log.transpose()?.map(Rc::new),
            stats,
            figures,
        })
    }
}

/// Answers one request; `busy` lives until its response has been written, by `direct` if the kernel sends files.
pub(crate) async fn answer<B>(
    site: &Site,
    request: Request<B>,
    envelope: Envelope,
    took_us: Option<f64>,
    (mut busy, direct): (Busy, Option<Rc<Direct>>),
) -> Answer {
    site.stats.requests.set(site.stats.requests.get() + 1);
    let mut response = respond(site, &request, envelope, took_us).await.unwrap_or_else(notice);
    if *request.method() == Method::HEAD && response.status() != StatusCode::NOT_MODIFIED {
        if let Some(length) = response.body().size_hint().exact() {
            response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
        }
    }
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(worker) = &site.worker_header {
        response.headers_mut().insert(WORKER, worker.clone());
    }
    busy.note_status(response.status());
    // The library asks for no body where it sends none, and one without an end is never whole.
    if *request.method() == Method::HEAD || response.body().is_end_stream() || response.body().is_endless() {
        busy.note_whole();
    }
    response.map(|mut pieces| {
        pieces.send_by(direct);
        Tracked { pieces, busy }
    })
}

/// A response that is all there.
pub(crate) fn whole(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Plain {
    let mut response = Response::new(Pieces::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// A response that comes piece by piece, until nobody sends any more.
pub(crate) fn endless(kind: &'static str, pieces: Receiver<Bytes>) -> Plain {
    let mut response = Response::new(Pieces::endless(pieces));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A whole response to a connection that is not served.
pub(crate) fn refusal(status: StatusCode) -> String {
    let page = listing::notice(status);
    let (code, reason) = (status.as_u16(), status.canonical_reason().unwrap_or_default());
    format!(
        "HTTP/1.1 {code} {reason}\r\nconnection: close\r\ncontent-type: {HTML}\r\ncontent-length: {}\r\n\r\n{page}",
        page.len()
    )
}

/// What is said when there is nothing to serve.
fn notice(status: StatusCode) -> Plain {
    let mut response = whole(status, HTML, listing::notice(status));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

async fn respond<B>(
    site: &Site,
    request: &Request<B>,
    envelope: Envelope,
    took_us: Option<f64>,
) -> Result<Plain, StatusCode> {
    if !names_its_host(request) {
        return Err(StatusCode::BAD_REQUEST);
    }
    let codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    if codings.flat_map(|codings| codings.as_bytes().split(|byte| *byte == b',')).any(is_unknown) {
        return Err(StatusCode::NOT_IMPLEMENTED);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(StatusCode::METHOD_NOT_ALLOWED);
    }
    let page = async || Page::new(&site.stats, site.figures.look().await, envelope, took_us);
    match request.uri().path() {
        "/_sharesock/" | "/_sharesock" if site.status_page => Ok(page::html(&page().await)),
        "/_sharesock/events" if site.status_page && *request.method() == Method::GET => {
            Ok(page::events(Rc::clone(&site.figures), site.phase.clone()))
        }
        "/_sharesock/status.json" if site.status_page => Ok(page::json(&page().await)),
        path => found(site, request, Target::parse(path, site.hidden)?).await,
    }
}

async fn found<B>(site: &Site, request: &Request<B>, target: Target) -> Result<Plain, StatusCode> {
    let path = site.root.join(target.to_path().ok_or(StatusCode::NOT_FOUND)?);
    match open::open(&site.apart, &site.seen, path.clone()).await? {
        Found::File(..) if target.is_folder => Err(StatusCode::NOT_FOUND),
        Found::File(file, metadata) => Ok(send(site, request, &path, file, &metadata)),
        Found::Folder if !target.is_folder => {
            let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
            let mut response = notice(StatusCode::MOVED_PERMANENTLY);
            let link = HeaderValue::try_from(target.link() + &query).map_err(|_| StatusCode::BAD_REQUEST)?;
            response.headers_mut().insert(LOCATION, link);
            Ok(response)
        }
        Found::Folder => {
            let index = path.join("index.html");
            match open::open(&site.apart, &site.seen, index.clone()).await {
                Ok(Found::File(file, metadata)) => return Ok(send(site, request, &index, file, &metadata)),
                Ok(Found::Folder) | Err(StatusCode::NOT_FOUND) => {}
                Err(status) => return Err(status),
            }
            let hidden = site.hidden;
            let page = site.apart.run(move || listing::page(&path, &target, hidden)).await?;
            Ok(whole(StatusCode::OK, HTML, page.map_err(|error| open::status_of(&error))?))
        }
    }
}

/// The response to a request for a file that is there.
fn send<B>(
    site: &Site,
    request: &Request<B>,
    path: &std::path::Path,
    file: std::sync::Arc<std::fs::File>,
    metadata: &std::fs::Metadata,
) -> Plain {
    let facts = Facts { length: metadata.len(), version: open::version(metadata), kind: kind(path) };
    let reply = reply(request.method(), request.headers(), &facts, SystemTime::now(), &site.boundary);
    let mut response = if reply.status.is_success() || reply.status == StatusCode::NOT_MODIFIED {
        Response::new(Pieces::new(reply.pieces, Some((file, site.apart.clone()))))
    } else {
        notice(reply.status)
    };
    *response.status_mut() = reply.status;
    response.headers_mut().extend(reply.headers);
    response
}

/// The media type that a file's name means.
fn kind(path: &std::path::Path) -> HeaderValue {
    const UNKNOWN: HeaderValue = HeaderValue::from_static("application/octet-stream");
    let Some(kind) = mime_guess::from_path(path).first_raw() else { return UNKNOWN };
    let is_text = kind.starts_with("text/") || kind.ends_with("/javascript") || kind.ends_with("/json");
    match is_text {
        true => HeaderValue::try_from(format!("{kind}; charset=utf-8")).unwrap_or(UNKNOWN),
        false => HeaderValue::from_static(kind),
    }
}

/// Whether a transfer coding is one that is not understood.
fn is_unknown(coding: &[u8]) -> bool {
    !coding.trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// Whether a request says which host it is for, as it must, and only once (RFC 9112, section 3.2).
fn names_its_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let is_host = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.as_bytes().iter().all(is_host),
        (None, _) => request.version() < Version::HTTP_11,
        _ => false,
    }
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.pieces).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.busy.note_bytes(frame.data_ref().map_or(0, Bytes::len));
        }
        if self.pieces.is_end_stream() {
            self.busy.note_whole();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.pieces.size_hint()
    }
}
