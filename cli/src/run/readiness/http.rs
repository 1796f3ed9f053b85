//! Asking a worker over HTTP whether it is well.

use super::trial::{At, TRIAL, Trial};
use crate::procfs::connections::Fate;
use std::io::{Read, Write};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Poll interval of the answer, and of who has taken the request.
const POLL: Duration = Duration::from_millis(5);

/// A request, and the answer that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) path: String,
    /// Any from 200 to 399, if nothing is said.
    pub(crate) status: Option<u16>,
}

impl FromStr for Check {
    type Err = String;

    /// `/path`, or `204:/path`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (status, path) = match text.split_once(':') {
            Some((status, path)) if !text.starts_with('/') => (Some(status), path),
            _ => (None, text),
        };
        let status = status.map(|status| status.parse().ok().filter(|status| (100..600).contains(status)));
        let fits = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
        match (fits, status) {
            (true, None) => Ok(Check { path: path.to_owned(), status: None }),
            (true, Some(Some(status))) => Ok(Check { path: path.to_owned(), status: Some(status) }),
            _ => Err("give http=PATH or http=STATUS:PATH, such as http=/health or http=204:/health".to_owned()),
        }
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Check { path, status } = self;
        match status {
            Some(status) => write!(f, "GET {path} with {status}"),
            None => write!(f, "GET {path} with 200 to 399"),
        }
    }
}

impl Check {
    /// Fault of an answer; nothing if it is as it should be.
    fn judge(&self, answer: &[u8]) -> Result<(), String> {
        let line = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
        let mut words = std::str::from_utf8(line).unwrap_or_default().split(' ');
        let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
        let status = words.next().and_then(|word| word.parse::<u16>().ok()).filter(|_| is_http);
        match status {
            Some(status) if self.status.map_or((200..400).contains(&status), |wanted| wanted == status) => Ok(()),
            Some(status) => Err(format!("it answered {status}")),
            None if line.is_empty() => Err(format!("it did not answer within {} s", ANSWER_TIMEOUT.as_secs())),
            None => Err(format!("its answer is not HTTP/1.1: `{}`", line.get(..40).unwrap_or(line).escape_ascii())),
        }
    }

    /// Asks there once; what is wrong with the answer, if anything is. Nothing, if none of these processes has taken the
    /// request; of no processes, if one has that may be looked at.
    pub(super) fn answer(&self, at: &At, family: &[i32]) -> Option<Result<(), String>> {
        self.ask(at, family).unwrap_or(None)
    }

    fn ask(&self, at: &At, family: &[i32]) -> std::io::Result<Option<Result<(), String>>> {
        let Some(trial) = Trial::begin(at) else { return Ok(None) };
        let taken = || match trial.fate() {
            Fate::Taken(by) if family.is_empty() => Some(by.is_empty()),
            Fate::Taken(by) => Some(by.iter().any(|pid| family.contains(pid))),
            Fate::Over => Some(false),
            Fate::Waiting => None,
        };
        // The process that has it waits for the request, and so can be seen. A listener that hands connections over only when
        // something has come over them needs that first.
        let mut theirs = poll(TRIAL, taken);
        if theirs == Some(false) {
            return Ok(None);
        }
        let (Check { path, .. }, socket) = (self, trial.socket());
        let host = at.ip().map_or_else(|| "localhost".to_owned(), |address| address.to_string());
        write!(&*socket, "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: sharesock\r\nConnection: close\r\n\r\n")?;
        socket.set_nonblocking(true)?;
        let mut answer = Vec::new();
        let answered = poll(ANSWER_TIMEOUT, || {
            theirs = theirs.or_else(taken);
            let _ = (&*socket).take(4096).read_to_end(&mut answer);
            answer.contains(&b'\n').then_some(())
        });
        let answer = answered.map_or(&[][..], |()| &answer);
        Ok((theirs == Some(true)).then(|| self.judge(answer)))
    }
}

/// Looks until there is something, or the time is over.
fn poll<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + time;
    loop {
        let found = look();
        if found.is_some() || Instant::now() >= until {
            return found;
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_a_status_are_understood() {
        let check = |text: &str| text.parse::<Check>().ok();
        assert_eq!(check("/"), Some(Check { path: "/".to_owned(), status: None }));
        assert_eq!(check("/a:b?c"), Some(Check { path: "/a:b?c".to_owned(), status: None }));
        assert_eq!(check("204:/a"), Some(Check { path: "/a".to_owned(), status: Some(204) }));
        for wrong in ["", "health", "204", "204:", "999:/a", "x:/a", "/a b", "/a\r\nb", "/é"] {
            assert_eq!(check(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_answer_is_right_by_its_status() {
        let right = |check: &str, answer: &str| check.parse::<Check>().unwrap().judge(answer.as_bytes()).is_ok();
        for answer in ["HTTP/1.1 200 OK\r\n", "HTTP/1.0 204\r\n", "HTTP/1.1 302 Found\n"] {
            assert!(right("/", answer), "{answer}");
        }
        for answer in
            ["", "HTTP/1.1 503 Busy\r\n", "HTTP/1.1 400 Bad\r\n", "200 OK", "SSH-2.0 200", "HTTP/1.1 2000\r\n"]
        {
            assert!(!right("/", answer), "{answer}");
        }
        assert!(right("503:/", "HTTP/1.1 503 Busy\r\n") && !right("503:/", "HTTP/1.1 200 OK\r\n"));
        let why = |answer: &str| "/".parse::<Check>().unwrap().judge(answer.as_bytes()).unwrap_err();
        assert_eq!(why("HTTP/1.1 503 Busy\r\n"), "it answered 503");
        assert_eq!(why("SSH-2.0\r\n"), "its answer is not HTTP/1.1: `SSH-2.0`");
        assert_eq!(why(""), "it did not answer within 2 s");
    }
}
