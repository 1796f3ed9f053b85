//! What a request's path means: names below the folder that is served.

use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use std::ffi::OsString;
use std::path::PathBuf;

/// What may stand for itself in the path of a link: the unreserved characters of RFC 3986.
const IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Names from the folder that is served downwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    names: Vec<Vec<u8>>,
    /// It ends with a slash, so it means a folder.
    pub(super) is_folder: bool,
}

impl Target {
    /// Reads the path of a request: decodes it, removes dot segments and empty ones.
    ///
    /// # Errors
    /// 400 when it is malformed or climbs above the folder; 404 when nothing that is served can have this name.
    pub(super) fn parse(path: &str, hidden: bool) -> Result<Self, StatusCode> {
        let path = path.strip_prefix('/').ok_or(StatusCode::BAD_REQUEST)?;
        let (mut names, mut is_folder) = (Vec::new(), true);
        for segment in path.split('/') {
            let name = decode(segment).ok_or(StatusCode::BAD_REQUEST)?;
            is_folder = matches!(&name[..], b"" | b"." | b"..");
            match &name[..] {
                b"" | b"." => {}
                b".." => drop(names.pop().ok_or(StatusCode::BAD_REQUEST)?),
                _ => names.push(name),
            }
        }
        let refused =
            |name: &Vec<u8>| (!hidden && is_hidden(name)) || name.iter().any(|byte| SEPARATORS.contains(byte));
        if names.iter().any(refused) { Err(StatusCode::NOT_FOUND) } else { Ok(Target { names, is_folder }) }
    }

    /// The path below the folder that is served; nothing when this system has no such names.
    pub(super) fn to_path(&self) -> Option<PathBuf> {
        self.names.iter().map(|name| os_string(name.clone())).collect()
    }

    /// The path of a link to it as a folder.
    pub(super) fn link(&self) -> String {
        self.names.iter().fold("/".to_owned(), |link, name| link + &encode(name) + "/")
    }

    /// Its names, for people.
    pub(super) fn names(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        self.names.iter().map(|name| String::from_utf8_lossy(name))
    }
}

/// A name as it stands in a link.
pub(super) fn encode(name: &[u8]) -> String {
    percent_encode(name, IN_PATHS).to_string()
}

/// Whether a name is one that people do not mean to show.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(b".") && name != b".well-known"
}

/// Bytes that no single name has.
#[cfg(unix)]
const SEPARATORS: &[u8] = b"/";
#[cfg(windows)]
const SEPARATORS: &[u8] = b"/\\:";

/// A segment with its escapes decoded; nothing when one is malformed, or is a null.
fn decode(segment: &str) -> Option<Vec<u8>> {
    let mut bytes = segment.bytes();
    let mut decoded = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            other => other,
        };
        decoded.push(Some(byte).filter(|byte| *byte != 0)?);
    }
    Some(decoded)
}

#[cfg(unix)]
fn os_string(name: Vec<u8>) -> Option<OsString> {
    Some(std::os::unix::ffi::OsStringExt::from_vec(name))
}

#[cfg(windows)]
fn os_string(name: Vec<u8>) -> Option<OsString> {
    String::from_utf8(name).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_names_below_the_folder() {
        let read = |path: &str| Target::parse(path, false).map(|target| (target.link(), target.is_folder));
        let is = |link: &str, is_folder| Ok((link.to_owned(), is_folder));
        for (path, expected) in [
            ("/", is("/", true)),
            ("/a", is("/a/", false)),
            ("/a/", is("/a/", true)),
            ("/./a", is("/a/", false)),
            ("/a/.", is("/a/", true)),
            ("/a/b/..", is("/a/", true)),
            ("/a/../b", is("/b/", false)),
            ("//example.com", is("/example.com/", false)),
            ("//example.com//", is("/example.com/", true)),
            ("/%61%2E", is("/a./", false)),
            ("/caf%C3%A9", is("/caf%C3%A9/", false)),
            ("/bad%FF", is("/bad%FF/", false)),
            ("/a%20b%5C", if cfg!(unix) { is("/a%20b%5C/", false) } else { Err(StatusCode::NOT_FOUND) }),
            ("/.well-known/x", is("/.well-known/x/", false)),
            ("/..", Err(StatusCode::BAD_REQUEST)),
            ("/%2e%2e/a", Err(StatusCode::BAD_REQUEST)),
            ("/a/../../b", Err(StatusCode::BAD_REQUEST)),
            ("/%zz", Err(StatusCode::BAD_REQUEST)),
            ("/%4", Err(StatusCode::BAD_REQUEST)),
            ("/%00", Err(StatusCode::BAD_REQUEST)),
            ("*", Err(StatusCode::BAD_REQUEST)),
            ("", Err(StatusCode::BAD_REQUEST)),
            ("/..%2fa", Err(StatusCode::NOT_FOUND)),
            ("/.git/config", Err(StatusCode::NOT_FOUND)),
            ("/%2egit", Err(StatusCode::NOT_FOUND)),
        ] {
            assert_eq!(read(path), expected, "{path}");
        }
        assert!(Target::parse("/.git", true).is_ok());
    }
}
