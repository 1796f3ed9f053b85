//! The access log: a line for each response, written by a thread for which nobody waits.

use anyhow::{Context, Result};
use http::{Method, StatusCode, Uri, Version};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// Lines that wait to be written; more are dropped, and counted.
const MOST_WAITING: usize = 4096;
/// Bytes of a target that a line has: so what waits is bounded in memory.
const MOST_TARGET: usize = 2048;
/// Lines that are written in one go.
const MOST_TOGETHER: usize = 256;
/// Time for what waits when the worker ends.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Format of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// The time, the client, the request in quotes, the status, bytes, seconds, and who accepted and who served.
    Text,
    /// An object on each line.
    Json,
}

/// A response, and the request that it answers.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) client: Option<IpAddr>,
    pub(crate) method: Method,
    pub(crate) target: Uri,
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    /// Bytes of its body.
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    pub(crate) accepted_by: u32,
}

/// The access log.
#[derive(Debug)]
pub(crate) struct Log {
    lines: Option<SyncSender<String>>,
    dropped: Arc<AtomicU64>,
    format: Format,
    over: Receiver<()>,
}

/// Whether lines can be appended to this.
pub(crate) fn check(path: &Path) -> Result<()> {
    if path.as_os_str() == "-" { Ok(()) } else { open(path).map(drop) }
}

/// Opens a file to append to it. A pipe must have its reader.
fn open(path: &Path) -> Result<File> {
    crate::system::append_to(path).with_context(|| format!("opening the access log {}", path.display()))
}

impl Log {
    /// Opens the file, or standard output if its name is `-`, and appends to it.
    pub(crate) fn open(path: &Path, format: Format) -> Result<Self> {
        let output: Box<dyn Write + Send> =
            if path.as_os_str() == "-" { Box::new(std::io::stdout()) } else { Box::new(open(path)?) };
        let (dropped, name) = (Arc::new(AtomicU64::new(0)), path.display().to_string());
        let ((lines, written), (done, over)) = (sync_channel(MOST_WAITING), channel());
        let lost = Arc::clone(&dropped);
        let write = move || _ = (write(output, &written, &lost, &name), done);
        thread::Builder::new().name("access log".to_owned()).spawn(write).context("starting a thread")?;
        Ok(Log { lines: Some(lines), dropped, format, over })
    }

    pub(crate) fn note(&self, entry: &Entry) {
        let line = entry.line(self.format, &crate::time::now(), std::process::id());
        if self.lines.as_ref().is_some_and(|lines| lines.try_send(line).is_err()) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines = None;
        // It says nothing: it drops its end when all is written.
        let _ = self.over.recv_timeout(LAST_LINES);
    }
}

/// Writes lines as they come, until there will be no more.
fn write(mut output: impl Write, lines: &Receiver<String>, dropped: &AtomicU64, name: &str) {
    let say = |what: &str| eprintln!("sharesock: worker {}: {what}", std::process::id());
    let mut fails = false;
    while let Ok(mut text) = lines.recv() {
        for _ in 1..MOST_TOGETHER {
            let Ok(line) = lines.try_recv() else { break };
            text.push_str(&line);
        }
        let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
        match written {
            Err(error) if !std::mem::replace(&mut fails, true) => {
                say(&format!("lines of the access log {name} are lost: {error}"));
            }
            Err(_) => {}
            Ok(()) => fails = false,
        }
        match dropped.swap(0, Ordering::Relaxed) {
            0 => {}
            count => say(&format!("{count} lines were not written to the access log {name}, which is too slow")),
        }
    }
}

impl Entry {
    /// The line of it, at this time and by this process.
    fn line(&self, format: Format, time: &str, served_by: u32) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            time: &'a str,
            client: Option<IpAddr>,
            method: &'a str,
            target: String,
            version: String,
            status: u16,
            bytes: u64,
            seconds: f64,
            accepted_by: u32,
            served_by: u32,
        }
        let Entry { client, method, target, version, status, bytes, took, accepted_by } = self;
        let (status, seconds) = (status.as_u16(), f64::from(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)) / 1e6);
        let (mut target, version) = (target.to_string(), format!("{version:?}"));
        if target.len() > MOST_TARGET {
            // A target is ASCII.
            target.truncate(MOST_TARGET);
            target.push_str("...");
        }
        let (bytes, accepted_by) = (*bytes, *accepted_by);
        if format == Format::Json {
            let client = client.map(|client| client.to_canonical());
            let line = Line {
                time,
                client,
                method: method.as_str(),
                target,
                version,
                status,
                bytes,
                seconds,
                accepted_by,
                served_by,
            };
            return serde_json::to_string(&line).unwrap_or_default() + "\n";
        }
        let client = client.map_or_else(|| "-".to_owned(), |client| client.to_canonical().to_string());
        let target = escape(&target);
        format!(
            "{time} {client} \"{method} {target} {version}\" {status} {bytes} {seconds:.6} accepted_by={accepted_by} \
             served_by={served_by}\n"
        )
    }
}

/// Text that may stand between quotes, on one line.
fn escape(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        match byte {
            b' '..=b'~' if byte != b'"' && byte != b'\\' => escaped.push(char::from(byte)),
            _ => _ = write!(escaped, "\\x{byte:02X}"),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_waits_for_nobody_and_tells_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check(Path::new("-")).is_ok());
        assert!(check(&folder.path().join("log")).is_ok());
        for path in [folder.path().to_owned(), folder.path().join("no/log")] {
            let error = format!("{:#}", check(&path).unwrap_err());
            assert!(error.contains(path.to_str().unwrap()), "{error}");
        }
    }

    /// Its reader may never come.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_without_a_reader_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
        assert!(check(&pipe).is_err());
    }

    #[test]
    fn a_long_target_does_not_make_a_long_line() {
        let long: &'static str = format!("/{}", "x".repeat(60_000)).leak();
        for format in [Format::Text, Format::Json] {
            assert!(entry(long).line(format, "T", 8).len() < 2 * MOST_TARGET);
        }
    }

    fn entry(target: &'static str) -> Entry {
        Entry {
            client: Some("::ffff:192.0.2.1".parse().unwrap()),
            method: Method::GET,
            target: target.parse().unwrap(),
            version: Version::HTTP_11,
            status: StatusCode::OK,
            bytes: 6,
            took: Duration::from_micros(1500),
            accepted_by: 7,
        }
    }

    #[test]
    fn a_line_says_what_was_asked_and_who_answered() {
        let text = entry("/a?b").line(Format::Text, "T", 8);
        assert_eq!(text, "T 192.0.2.1 \"GET /a?b HTTP/1.1\" 200 6 0.001500 accepted_by=7 served_by=8\n");
        let line: serde_json::Value = serde_json::from_str(&entry("/\"").line(Format::Json, "T", 8)).unwrap();
        let expected = serde_json::json!({"time": "T", "client": "192.0.2.1", "method": "GET", "target": "/\"",
            "version": "HTTP/1.1", "status": 200, "bytes": 6, "seconds": 0.0015, "accepted_by": 7, "served_by": 8});
        assert_eq!(line, expected);
        let unix = Entry { client: None, ..entry("/") };
        assert!(unix.line(Format::Text, "T", 8).starts_with("T - \"GET / "));
    }

    #[test]
    fn nothing_ends_a_quote_or_a_line() {
        assert_eq!(escape("a\"b\\c\r\n\u{1b}é"), "a\\x22b\\x5Cc\\x0D\\x0A\\x1B\\xC3\\xA9");
    }

    #[test]
    fn a_log_that_nobody_can_write_waits_for_nobody_and_counts() {
        let (lines, written) = sync_channel(MOST_WAITING);
        let log = Log { lines: Some(lines), dropped: Arc::default(), format: Format::Text, over: channel().1 };
        (0..MOST_WAITING + 3).for_each(|_| log.note(&entry("/")));
        assert_eq!(log.dropped.load(Ordering::Relaxed), 3);
        let dropped = Arc::clone(&log.dropped);
        drop(log);
        let mut output = Vec::new();
        write(&mut output, &written, &dropped, "log");
        assert_eq!(output.iter().filter(|byte| **byte == b'\n').count(), MOST_WAITING);
        assert_eq!(dropped.load(Ordering::Relaxed), 0, "that is said");
    }
}
