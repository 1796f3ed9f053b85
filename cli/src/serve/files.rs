//! Answering requests: files, listings of folders, and the page about this worker.

use super::envelope::Envelope;
use super::page::{self, Stats};
use bytes::Bytes;
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use std::fmt::Write;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use tower::ServiceExt;
use tower_http::services::ServeDir;

/// Names the process that served, for people who look at responses.
const WORKER: &str = "x-sharesock-worker";
/// What cannot stand for itself in the path of a link.
const IN_LINKS: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'%').add(b'&').add(b'\'');

/// A body, with something that lives as long as it is being written.
#[derive(Debug)]
pub(crate) struct Tracked<T> {
    body: http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>,
    _alive: T,
}

/// A response of this server.
pub(crate) type Answer<T> = Response<Tracked<T>>;
type Plain = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>>;

/// What is served.
#[derive(Debug)]
pub(crate) struct Site {
    root: PathBuf,
    files: ServeDir,
    hidden: bool,
    worker_header: Option<HeaderValue>,
    pub(crate) stats: Stats,
}

impl Site {
    pub(crate) fn new(root: PathBuf, hidden: bool, worker_header: bool, stats: Stats) -> Self {
        let worker_header = worker_header.then(|| HeaderValue::from(std::process::id()));
        Site { files: ServeDir::new(&root), hidden, root, worker_header, stats }
    }
}

/// Answers one request; `alive` lives until its response has been written.
pub(crate) async fn answer<T>(
    site: &Site,
    request: Request<Incoming>,
    envelope: Envelope,
    took_us: f64,
    alive: T,
) -> Answer<T> {
    site.stats.requests.set(site.stats.requests.get() + 1);
    let mut response = match request.uri().path() {
        "/_sharesock/" | "/_sharesock" => page::html(&site.stats, envelope, took_us),
        "/_sharesock/status.json" => page::json(&site.stats, envelope, took_us),
        _ => file(site, request).await,
    };
    if let Some(worker) = &site.worker_header {
        response.headers_mut().insert(WORKER, worker.clone());
    }
    response.map(|body| Tracked { body, _alive: alive })
}

/// A response that is all there.
pub(crate) fn whole(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Plain {
    let mut response = Response::new(Full::new(text.into()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

async fn file(site: &Site, request: Request<Incoming>) -> Plain {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    let decoded = percent_decode_str(&path).decode_utf8_lossy();
    if !site.hidden && decoded.split('/').any(is_hidden) {
        return whole(StatusCode::NOT_FOUND, "text/plain", "not found\n");
    }
    let wanted = request.headers().get(IF_NONE_MATCH).cloned();
    let mut plain = request.map(|_| http_body_util::Empty::<Bytes>::new());
    if wanted.is_some() {
        // Where both are given, the entity tag alone decides.
        plain.headers_mut().remove(IF_MODIFIED_SINCE);
    }
    let found = match site.files.clone().oneshot(plain).await {
        Ok(response) => response.map(BodyExt::boxed_unsync),
        Err(never) => match never {},
    };
    if found.status() == StatusCode::NOT_FOUND && path.ends_with('/') && matches!(method, Method::GET | Method::HEAD) {
        if let Some(listing) = listing(&site.root, &path, site.hidden) {
            return whole(StatusCode::OK, "text/html; charset=utf-8", listing);
        }
    }
    tagged(found, wanted.as_ref())
}

/// The response with an entity tag, or without its body when the client has it.
fn tagged(mut response: Plain, wanted: Option<&HeaderValue>) -> Plain {
    let Some(tag) = entity_tag(&response) else { return response };
    response.headers_mut().insert(ETAG, tag.clone());
    let known = wanted.and_then(|wanted| wanted.to_str().ok()).is_some_and(|wanted| {
        let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let tag = opaque(tag.to_str().unwrap_or_default());
        wanted.trim() == "*" || wanted.split(',').any(|one| opaque(one) == tag)
    });
    if !known {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::NOT_MODIFIED;
    [CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE].iter().for_each(|name| drop(parts.headers.remove(name)));
    Response::from_parts(parts, Full::default().map_err(|never| match never {}).boxed_unsync())
}

/// A weak tag of when the file was changed and how long it is.
fn entity_tag(response: &Plain) -> Option<HeaderValue> {
    let headers = response.headers();
    let length = match response.status() {
        StatusCode::OK => headers.get(CONTENT_LENGTH)?.to_str().ok()?,
        StatusCode::PARTIAL_CONTENT => headers.get(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1,
        _ => return None,
    };
    let changed: String =
        headers.get(LAST_MODIFIED)?.to_str().ok()?.chars().filter(char::is_ascii_alphanumeric).collect();
    HeaderValue::from_str(&format!("W/\"{changed}-{length}\"")).ok()
}

/// A page that lists the folder at `path`, if there is one in `root`.
fn listing(root: &Path, path: &str, hidden: bool) -> Option<String> {
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let inner = Path::new(decoded.trim_start_matches('/'));
    inner.components().all(|part| matches!(part, Component::Normal(_))).then_some(())?;
    let mut entries: Vec<_> = std::fs::read_dir(root.join(inner)).ok()?.flatten().collect();
    entries.retain(|entry| hidden || !is_hidden(&entry.file_name().to_string_lossy()));
    entries.sort_by_key(std::fs::DirEntry::file_name);
    let title = escape(&decoded);
    let mut page = format!("<!doctype html><meta charset=utf-8><title>{title}</title><h1>{title}</h1><ul>");
    if inner.components().next().is_some() {
        page.push_str("<li><a href=\"../\">../</a>");
    }
    for entry in entries {
        let slash = if entry.path().is_dir() { "/" } else { "" };
        let name = entry.file_name().to_string_lossy().into_owned();
        let link = utf8_percent_encode(&name, IN_LINKS);
        let _ = write!(page, "<li><a href=\"./{link}{slash}\">{}{slash}</a>", escape(&name));
    }
    Some(page)
}

/// Whether a name is one that people do not mean to show.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') && name != ".well-known"
}

/// Text that may stand in a page.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl<T: Unpin> Body for Tracked<T> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_stays_in_its_folder() {
        let root = std::env::temp_dir();
        assert!(listing(&root, "/", false).is_some());
        for path in ["/../", "/%2e%2e/", "/a/../../", "//etc/../", "/%2fetc/../", "/nothing-here/"] {
            assert_eq!(listing(&root.join("no-such-folder"), path, true), None, "{path}");
        }
        assert_eq!(listing(&root, "/../", true), None);
        assert_eq!(listing(&root, "/%2e%2e/", true), None);
    }

    #[test]
    fn names_are_shown_and_not_obeyed() {
        assert_eq!(escape("<b>&\""), "&lt;b&gt;&amp;&quot;");
    }
}
