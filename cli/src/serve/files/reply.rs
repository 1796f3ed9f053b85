//! The response to a request for a file: its status, its header, and which bytes.

use super::conditions::{Verdict, Version, judge, range_applies};
use super::ranges::{self, Wanted};
use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::SystemTime;

/// A piece of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Bytes),
    /// These bytes of the file.
    Part(Range<u64>),
}

/// All but the bytes of a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) pieces: VecDeque<Piece>,
}

/// A file that was found.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) length: u64,
    pub(super) version: Version,
    /// Its media type.
    pub(super) kind: HeaderValue,
}

/// Answers GET, or HEAD without the pieces. `boundary` parts several ranges.
pub(super) fn reply(method: &Method, asked: &HeaderMap, facts: &Facts, now: SystemTime, boundary: &str) -> Reply {
    let mut headers = HeaderMap::new();
    set(&mut headers, ETAG, &facts.version.tag);
    // A time in the future is no time of a change that anybody saw.
    set(&mut headers, LAST_MODIFIED, &httpdate::fmt_http_date(facts.version.modified.min(now)));
    set(&mut headers, ACCEPT_RANGES, "bytes");
    let mut reply = Reply { status: StatusCode::OK, headers, pieces: VecDeque::new() };
    match judge(asked, &facts.version) {
        Verdict::Failed => reply.status = StatusCode::PRECONDITION_FAILED,
        Verdict::NotModified => reply.status = StatusCode::NOT_MODIFIED,
        Verdict::Go => reply.fill(facts, &wanted(method, asked, facts, now), boundary),
    }
    if *method == Method::HEAD {
        reply.pieces.clear();
    }
    reply
}

fn wanted(method: &Method, asked: &HeaderMap, facts: &Facts, now: SystemTime) -> Wanted {
    let mut values = asked.get_all(RANGE).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) if *method == Method::GET && range_applies(asked, &facts.version, now) => {
            ranges::parse(value, facts.length)
        }
        _ => Wanted::Whole,
    }
}

impl Reply {
    fn fill(&mut self, facts: &Facts, wanted: &Wanted, boundary: &str) {
        let length = facts.length;
        let of = |part: &Range<u64>| format!("bytes {}-{}/{length}", part.start, part.end - 1);
        self.headers.insert(CONTENT_TYPE, facts.kind.clone());
        match wanted {
            Wanted::Whole => self.pieces.extend((length > 0).then_some(Piece::Part(0..length))),
            Wanted::Nothing => {
                self.status = StatusCode::RANGE_NOT_SATISFIABLE;
                set(&mut self.headers, CONTENT_RANGE, &format!("bytes */{length}"));
                self.headers.remove(CONTENT_TYPE);
            }
            Wanted::Parts(parts) => {
                self.status = StatusCode::PARTIAL_CONTENT;
                if let [part] = &parts[..] {
                    set(&mut self.headers, CONTENT_RANGE, &of(part));
                    self.pieces.push_back(Piece::Part(part.clone()));
                } else {
                    set(&mut self.headers, CONTENT_TYPE, &format!("multipart/byteranges; boundary={boundary}"));
                    let kind = facts.kind.to_str().unwrap_or_default();
                    for part in parts {
                        let range = of(part);
                        let head =
                            format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {range}\r\n\r\n");
                        self.pieces.push_back(Piece::Text(head.into()));
                        self.pieces.push_back(Piece::Part(part.clone()));
                    }
                    self.pieces.push_back(Piece::Text(format!("\r\n--{boundary}--\r\n").into()));
                }
            }
        }
        let sum: u64 = self.pieces.iter().map(Piece::length).sum();
        // The length of an error page is its own.
        if *wanted != Wanted::Nothing {
            self.headers.insert(CONTENT_LENGTH, sum.into());
        }
    }
}

impl Piece {
    pub(super) fn length(&self) -> u64 {
        match self {
            Piece::Text(text) => text.len() as u64,
            Piece::Part(range) => range.end.saturating_sub(range.start),
        }
    }
}

/// Sets a field, whose value is one that may stand there.
fn set(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn facts(length: u64) -> Facts {
        let modified = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let version = Version { tag: "\"a\"".to_owned(), modified };
        Facts { length, version, kind: HeaderValue::from_static("text/plain") }
    }

    /// The status, the fields that are looked at, and the pieces.
    fn answer(method: &Method, range: &str, length: u64) -> (u16, Vec<String>, VecDeque<Piece>) {
        let asked = HeaderMap::from_iter([(RANGE, HeaderValue::from_str(range).unwrap())]);
        let reply = reply(method, &asked, &facts(length), SystemTime::now(), "B");
        let field = |name| Some(reply.headers.get(name)?.to_str().unwrap().to_owned());
        let fields = [CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE].into_iter().filter_map(field).collect();
        assert_eq!(field(ETAG).as_deref(), Some("\"a\""));
        (reply.status.as_u16(), fields, reply.pieces)
    }

    #[test]
    fn a_reply_has_what_was_asked_for() {
        let fields = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>();
        let (get, head) = (Method::GET, Method::HEAD);
        let whole = (200, fields(&["10", "text/plain"]), VecDeque::from([Piece::Part(0..10)]));
        assert_eq!(answer(&get, "lines=1-2", 10), whole);
        assert_eq!(answer(&head, "bytes=1-2", 10), (200, whole.1, VecDeque::new()));
        let part = (206, fields(&["2", "bytes 1-2/10", "text/plain"]), VecDeque::from([Piece::Part(1..3)]));
        assert_eq!(answer(&get, "bytes=1-2", 10), part);
        assert_eq!(answer(&get, "bytes=10-", 10), (416, fields(&["bytes */10"]), VecDeque::new()));
        assert_eq!(answer(&get, "bytes=0-", 0), (416, fields(&["bytes */0"]), VecDeque::new()));
        assert_eq!(answer(&get, "bytes=-1", 0), (200, fields(&["0", "text/plain"]), VecDeque::new()));
        let (status, fields, pieces) = answer(&get, "bytes=0-0,2-3", 10);
        assert_eq!((status, &fields[1][..]), (206, "multipart/byteranges; boundary=B"));
        assert_eq!(fields[0], pieces.iter().map(Piece::length).sum::<u64>().to_string());
        assert_eq!(pieces.len(), 5);
    }

    #[test]
    fn a_time_to_come_is_not_told() {
        let facts = facts(1);
        let now = facts.version.modified - Duration::from_secs(60);
        let reply = reply(&Method::GET, &HeaderMap::new(), &facts, now, "B");
        assert_eq!(reply.headers[LAST_MODIFIED].to_str().unwrap(), httpdate::fmt_http_date(now));
    }
}
