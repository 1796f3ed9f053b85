//! Pages: the listing of a folder, and what is said when there is nothing to serve.

use super::target::{Target, encode, is_hidden};
use http::StatusCode;
use std::cmp::Ordering;
use std::fmt::Write;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// Looks good on a phone and in the dark.
const STYLE: &str = "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;\
margin:2rem auto;padding:0 1rem}a{text-decoration:none}a:hover{text-decoration:underline}table{width:100%;\
border-collapse:collapse}td,th{padding:.3rem .5rem;border-bottom:1px solid #8884;overflow-wrap:anywhere;text-align:left}\
td+td,th+th{text-align:right;opacity:.7}td+td,.short td{white-space:nowrap}th{overflow-wrap:normal}svg{width:100%;height:6rem;background:#8882}rect{fill:#38c}\
.reload{fill:#d70}tr.starting,tr.draining{color:#d70}@media(max-width:36rem){.wide{display:none}}</style>";

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    name: Vec<u8>,
    is_folder: bool,
    length: u64,
    modified: Option<SystemTime>,
}

/// A page that lists the folder at `path`. It waits for the file system.
pub(super) fn page(path: &Path, target: &Target, hidden: bool) -> io::Result<String> {
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().into_encoded_bytes();
        // What a link leads to counts; one that leads nowhere is not there.
        let Ok(facts) = std::fs::metadata(entry.path()) else { continue };
        if (hidden || !is_hidden(&name)) && (facts.is_dir() || facts.is_file()) {
            let modified = facts.modified().ok();
            entries.push(Entry { name, is_folder: facts.is_dir(), length: facts.len(), modified });
        }
    }
    entries.sort_by(order);
    Ok(render(target, &entries))
}

/// Folders first, then by name, in which numbers count as numbers.
fn order(one: &Entry, other: &Entry) -> Ordering {
    let natural = || compare(&one.name, &other.name).then_with(|| one.name.cmp(&other.name));
    other.is_folder.cmp(&one.is_folder).then_with(natural)
}

fn compare(mut one: &[u8], mut other: &[u8]) -> Ordering {
    fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
        let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = text.split_at(length);
        *text = rest;
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.get(zeros..).unwrap_or_default()
    }
    loop {
        let (Some(a), Some(b)) = (one.first().copied(), other.first().copied()) else {
            return one.len().cmp(&other.len());
        };
        let compared = if a.is_ascii_digit() && b.is_ascii_digit() {
            let (a, b) = (number(&mut one), number(&mut other));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            (one, other) = (one.get(1..).unwrap_or_default(), other.get(1..).unwrap_or_default());
            a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase())
        };
        if compared != Ordering::Equal {
            return compared;
        }
    }
}

fn render(target: &Target, entries: &[Entry]) -> String {
    let title = target.names().fold("/".to_owned(), |title, name| title + &name + "/");
    let mut page = begin(&title);
    // Each folder above, as a link to it.
    let above: Vec<_> = target.names().collect();
    page.push_str("<h1>");
    for (n, name) in std::iter::once("").chain(above.iter().map(AsRef::as_ref)).enumerate() {
        let up = "../".repeat(above.len().saturating_sub(n));
        let up = if up.is_empty() { "./" } else { &up };
        let _ = write!(page, "<a href=\"{up}\">{}/</a>", escape(name));
    }
    page.push_str("</h1><table>");
    for Entry { name, is_folder, length, modified } in entries {
        let (icon, slash) = if *is_folder { ("📁", "/") } else { ("📄", "") };
        let (link, name) = (encode(name), String::from_utf8_lossy(name));
        let size = if *is_folder { String::new() } else { size(*length) };
        let modified = modified.map(day).unwrap_or_default();
        let _ = write!(
            page,
            "<tr><td>{icon} <a href=\"./{link}{slash}\">{}{slash}</a><td>{size}<td class=wide>{modified}",
            escape(&name)
        );
    }
    page + "</table>"
}

/// A page that says only what an answer means.
pub(super) fn notice(status: StatusCode) -> String {
    let says = format!("{} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
    begin(&says) + "<h1>" + &says + "</h1><p><a href=\"/\">/</a>"
}

pub(crate) fn begin(title: &str) -> String {
    format!(
        "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><link rel=icon \
         href=\"data:,\"><title>{}</title>{STYLE}",
        escape(title)
    )
}

fn size(length: u64) -> String {
    let mut left = (length, "B");
    for unit in ["kB", "MB", "GB", "TB"] {
        if left.0 < 10_000 {
            break;
        }
        left = (left.0 / 1000, unit);
    }
    format!("{} {}", left.0, left.1)
}

/// The day and the minute of a time, in universal time.
fn day(time: SystemTime) -> String {
    // Such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    let date = httpdate::fmt_http_date(time);
    date.get(5..22).unwrap_or_default().to_owned()
}

/// Text that may stand in a page.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_and_not_obeyed() {
        let entry = |name: &str| Entry { name: name.into(), is_folder: false, length: 12_345, modified: None };
        let target = Target::parse("/a&b/c/", false).unwrap();
        let page = render(&target, &[entry("<b>&\""), entry("a\\b"), entry("javascript:x"), entry("é")]);
        assert!(page.contains("href=\"./%3Cb%3E%26%22\">&lt;b&gt;&amp;&quot;</a><td>12 kB"), "{page}");
        assert!(page.contains("href=\"./a%5Cb\"") && page.contains("href=\"./javascript%3Ax\""), "{page}");
        assert!(page.contains("href=\"./%C3%A9\">é<"), "{page}");
        assert!(page.contains("<a href=\"../../\">/</a><a href=\"../\">a&amp;b/</a><a href=\"./\">c/</a>"), "{page}");
    }

    #[test]
    fn folders_come_first_and_numbers_count() {
        let entry = |name: &str| Entry {
            name: name.trim_end_matches('/').into(),
            is_folder: name.ends_with('/'),
            length: 0,
            modified: None,
        };
        let sorted = ["a/", "b10/", "a1", "a2", "a10", "a010b", "B", "b", "c"];
        let mut entries: Vec<_> = sorted.iter().rev().map(|name| entry(name)).collect();
        entries.sort_by(order);
        assert_eq!(entries, sorted.map(entry));
    }
}
