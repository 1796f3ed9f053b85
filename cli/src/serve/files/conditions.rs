//! Conditional requests (RFC 9110, section 13): whether what the client has, or wants to go on with, is this file.

use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderValue};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a file is told from its other versions by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version {
    /// A strong entity tag, quotes included.
    pub(super) tag: String,
    pub(super) modified: SystemTime,
}

/// What becomes of a conditional request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Go,
    NotModified,
    Failed,
}

/// Evaluates all conditions but If-Range, in the order of section 13.2.2.
pub(super) fn judge(headers: &HeaderMap, version: &Version) -> Verdict {
    let modified = seconds(version.modified);
    let is_later = |than: Option<SystemTime>| than.map(|than| modified > seconds(than));
    let unchanged = match tags_match(headers, &IF_MATCH, version, Comparison::Strong) {
        None => is_later(date(headers, &IF_UNMODIFIED_SINCE)).is_none_or(|is_later| !is_later),
        Some(matches) => matches,
    };
    if !unchanged {
        return Verdict::Failed;
    }
    let known = match tags_match(headers, &IF_NONE_MATCH, version, Comparison::Weak) {
        None => is_later(date(headers, &IF_MODIFIED_SINCE)).is_some_and(|is_later| !is_later),
        Some(matches) => matches,
    };
    if known { Verdict::NotModified } else { Verdict::Go }
}

/// Whether the ranges that a client asks for are of this version.
pub(super) fn range_applies(headers: &HeaderMap, version: &Version, now: SystemTime) -> bool {
    let mut values = headers.get_all(IF_RANGE).iter();
    match (values.next(), values.next()) {
        (None, _) => true,
        (Some(value), None) if value.as_bytes().starts_with(b"\"") => value.as_bytes() == version.tag.as_bytes(),
        // Within a second of a change, another can have the same date.
        (Some(value), None) => {
            let settled = now.duration_since(version.modified).is_ok_and(|age| age >= Duration::from_secs(1));
            settled && parse_date(value).is_some_and(|date| seconds(date) == seconds(version.modified))
        }
        _ => false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether one of the tags of this field is the version's; nothing when there is no such field.
fn tags_match(headers: &HeaderMap, name: &HeaderName, version: &Version, comparison: Comparison) -> Option<bool> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    Some(values.any(|value| {
        value.as_bytes().trim_ascii() == b"*"
            || tags(value.as_bytes())
                .any(|(weak, tag)| tag == version.tag.as_bytes() && (comparison == Comparison::Weak || !weak))
    }))
}

/// The tags of a list, each with whether it is weak; it ends at what is none.
fn tags(mut list: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        let tag = list.strip_prefix(b"W/").unwrap_or(list);
        let weak = tag.len() < list.len();
        let length = tag.strip_prefix(b"\"")?.iter().position(|byte| *byte == b'"')? + 2;
        let (tag, rest) = tag.split_at_checked(length)?;
        list = rest;
        Some((weak, tag))
    })
}

/// The date of a field that is there once and is a date.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() { None } else { parse_date(value) }
}

fn parse_date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// Dates of HTTP have whole seconds.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn version() -> Version {
        Version { tag: "\"a\"".to_owned(), modified: at(NOW) + Duration::from_millis(500) }
    }

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
            .collect::<Vec<_>>()
            .into_iter()
            .fold(HeaderMap::new(), |mut all, (name, value)| {
                all.append(name, value);
                all
            })
    }

    #[test]
    fn conditions_have_the_order_of_the_standard() {
        let date = |seconds: u64| httpdate::fmt_http_date(at(seconds));
        let (before, same, after) = (date(NOW - 1), date(NOW), date(NOW + 1));
        for (lines, expected) in [
            (vec![], Verdict::Go),
            (vec![(IF_MATCH, "\"a\"")], Verdict::Go),
            (vec![(IF_MATCH, "\"b\", \"a\"")], Verdict::Go),
            (vec![(IF_MATCH, "\"b\""), (IF_MATCH, "\"a\"")], Verdict::Go),
            (vec![(IF_MATCH, "*")], Verdict::Go),
            (vec![(IF_MATCH, "W/\"a\"")], Verdict::Failed),
            (vec![(IF_MATCH, "\"b\"")], Verdict::Failed),
            (vec![(IF_MATCH, "a")], Verdict::Failed),
            (vec![(IF_UNMODIFIED_SINCE, &before)], Verdict::Failed),
            (vec![(IF_UNMODIFIED_SINCE, &same)], Verdict::Go),
            (vec![(IF_UNMODIFIED_SINCE, "yesterday")], Verdict::Go),
            (vec![(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, &before)], Verdict::Go),
            (vec![(IF_NONE_MATCH, "\"a\"")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "W/\"a\"")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "\"x, y\", \"a\"")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "*")], Verdict::NotModified),
            (vec![(IF_NONE_MATCH, "\"b\"")], Verdict::Go),
            (vec![(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, &after)], Verdict::Go),
            (vec![(IF_MODIFIED_SINCE, &before)], Verdict::Go),
            (vec![(IF_MODIFIED_SINCE, &same)], Verdict::NotModified),
            (vec![(IF_MODIFIED_SINCE, &after)], Verdict::NotModified),
            (vec![(IF_MODIFIED_SINCE, &same), (IF_MODIFIED_SINCE, &same)], Verdict::Go),
            (vec![(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")], Verdict::Failed),
        ] {
            assert_eq!(judge(&headers(&lines), &version()), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_range_is_of_the_version_that_it_names() {
        let same = httpdate::fmt_http_date(at(NOW));
        let other = httpdate::fmt_http_date(at(NOW + 1));
        for (value, now, expected) in [
            ("\"a\"", NOW, true),
            ("W/\"a\"", NOW + 9, false),
            ("\"b\"", NOW + 9, false),
            (&same[..], NOW + 9, true),
            (&same[..], NOW + 1, false),
            (&other[..], NOW + 9, false),
            ("nonsense", NOW + 9, false),
        ] {
            assert_eq!(range_applies(&headers(&[(IF_RANGE, value)]), &version(), at(now)), expected, "{value}");
        }
        assert!(range_applies(&HeaderMap::new(), &version(), at(NOW)));
    }
}
