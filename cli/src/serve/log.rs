//! The access log: a line for each response, written by a thread for which nobody waits.

use anyhow::{Context, Result};
use http::{Method, StatusCode, Uri, Version};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

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
    /// The time, the client, the request in quotes (`-` if none was understood), the status, bytes, seconds, who accepted and who
    /// served, and `cut` if the client did not take all of it.
    Text,
    /// An object on each line.
    Json,
}

/// A request, as it is logged.
pub(crate) type Asked = (Method, Uri, Version);

/// A response, and the request that it answers.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) client: Option<IpAddr>,
    /// Nothing, if no request was read that makes sense.
    pub(crate) asked: Option<Asked>,
    pub(crate) status: StatusCode,
    /// Bytes of its body.
    pub(crate) bytes: u64,
    /// The connection ended before all of the body could be sent.
    pub(crate) cut: bool,
    pub(crate) took: Duration,
    pub(crate) accepted_by: u32,
}

/// The access log.
#[derive(Debug)]
pub(crate) struct Log {
    lines: Option<SyncSender<String>>,
    /// Lines that were not taken, and those that are not written yet.
    dropped: Arc<AtomicU64>,
    unwritten: Arc<AtomicU64>,
    name: String,
    format: Format,
    over: Receiver<()>,
}

/// A line that is not written yet: the response may still be cut off.
#[derive(Debug)]
pub(crate) struct Line {
    log: Rc<Log>,
    begun: Instant,
    pub(crate) entry: Entry,
}

impl Line {
    /// One about a request that came now.
    pub(crate) fn begin(log: &Rc<Log>, client: Option<IpAddr>, asked: Option<Asked>, accepted_by: u32) -> Self {
        let (status, took) = (StatusCode::OK, Duration::ZERO);
        let entry = Entry { client, asked, status, bytes: 0, cut: false, took, accepted_by };
        Line { log: Rc::clone(log), begun: Instant::now(), entry }
    }

    pub(crate) fn end(mut self, cut: bool) {
        (self.entry.cut, self.entry.took) = (cut, self.begun.elapsed());
        self.log.note(&self.entry);
    }
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
        let (dropped, unwritten, name) =
            (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default(), path.display().to_string());
        let ((lines, written), (done, over)) = (sync_channel(MOST_WAITING), channel());
        let (counts, file) = ((Arc::clone(&dropped), Arc::clone(&unwritten)), name.clone());
        let write = move || _ = (write(output, &written, (&counts.0, &counts.1), &file), done);
        thread::Builder::new().name("access log".to_owned()).spawn(write).context("starting a thread")?;
        Ok(Log { lines: Some(lines), dropped, unwritten, name, format, over })
    }

    pub(crate) fn note(&self, entry: &Entry) {
        let line = entry.line(self.format, &crate::time::now(), std::process::id());
        // Before it can be written.
        self.unwritten.fetch_add(1, Ordering::Relaxed);
        if self.lines.as_ref().is_some_and(|lines| lines.try_send(line).is_err()) {
            self.unwritten.fetch_sub(1, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines = None;
        // It says nothing: it drops its end when all is written.
        if self.over.recv_timeout(LAST_LINES) == Err(RecvTimeoutError::Timeout) {
            let count = self.unwritten.load(Ordering::Relaxed) + self.dropped.load(Ordering::Relaxed);
            say(&format!("{count} lines of the access log {} are lost: it is too slow for them at the end", self.name));
        }
    }
}

fn say(what: &str) {
    eprintln!("sharesock: worker {}: {what}", std::process::id());
}

/// Writes lines as they come, until there will be no more.
fn write(mut output: impl Write, lines: &Receiver<String>, (dropped, unwritten): (&AtomicU64, &AtomicU64), name: &str) {
    let mut fails = false;
    while let Ok(mut text) = lines.recv() {
        let mut count = 1;
        for _ in 1..MOST_TOGETHER {
            let Ok(line) = lines.try_recv() else { break };
            text.push_str(&line);
            count += 1;
        }
        let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
        unwritten.fetch_sub(count, Ordering::Relaxed);
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
            method: Option<&'a str>,
            target: Option<String>,
            version: Option<String>,
            status: u16,
            bytes: u64,
            cut: bool,
            seconds: f64,
            accepted_by: u32,
            served_by: u32,
        }
        let Entry { client, asked, status, bytes, cut, took, accepted_by } = self;
        let (status, seconds) = (status.as_u16(), f64::from(u32::try_from(took.as_micros()).unwrap_or(u32::MAX)) / 1e6);
        let asked = asked.as_ref().map(|(method, target, version)| {
            let mut target = target.to_string();
            if target.len() > MOST_TARGET {
                // A target is ASCII.
                target.truncate(MOST_TARGET);
                target.push_str("...");
            }
            (method.as_str(), target, format!("{version:?}"))
        });
        let (bytes, cut, accepted_by) = (*bytes, *cut, *accepted_by);
        if format == Format::Json {
            let client = client.map(|client| client.to_canonical());
            let (method, target, version) = match asked {
                Some((method, target, version)) => (Some(method), Some(target), Some(version)),
                None => (None, None, None),
            };
            let line =
                Line { time, client, method, target, version, status, bytes, cut, seconds, accepted_by, served_by };
            return serde_json::to_string(&line).unwrap_or_default() + "\n";
        }
        let client = client.map_or_else(|| "-".to_owned(), |client| client.to_canonical().to_string());
        let asked = asked.map_or_else(
            || "-".to_owned(),
            |(method, target, version)| format!("{method} {} {version}", escape(&target)),
        );
        let cut = if cut { " cut" } else { "" };
        format!(
            "{time} {client} \"{asked}\" {status} {bytes} {seconds:.6} accepted_by={accepted_by} \
             served_by={served_by}{cut}\n"
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
            asked: Some((Method::GET, target.parse().unwrap(), Version::HTTP_11)),
            status: StatusCode::OK,
            bytes: 6,
            cut: false,
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
            "version": "HTTP/1.1", "status": 200, "bytes": 6, "cut": false, "seconds": 0.0015, "accepted_by": 7, "served_by": 8});
        assert_eq!(line, expected);
        let unix = Entry { client: None, ..entry("/") };
        assert!(unix.line(Format::Text, "T", 8).starts_with("T - \"GET / "));
        let refused = Entry { asked: None, cut: true, ..entry("/") };
        let text = refused.line(Format::Text, "T", 8);
        assert_eq!(text, "T 192.0.2.1 \"-\" 200 6 0.001500 accepted_by=7 served_by=8 cut\n");
        let line: serde_json::Value = serde_json::from_str(&refused.line(Format::Json, "T", 8)).unwrap();
        assert_eq!((&line["method"], &line["target"], &line["cut"]), (&().into(), &().into(), &true.into()));
    }

    #[test]
    fn nothing_ends_a_quote_or_a_line() {
        assert_eq!(escape("a\"b\\c\r\n\u{1b}é"), "a\\x22b\\x5Cc\\x0D\\x0A\\x1B\\xC3\\xA9");
    }

    #[test]
    fn a_log_that_nobody_can_write_waits_for_nobody_and_counts() {
        let (lines, written) = sync_channel(MOST_WAITING);
        let log = Log {
            lines: Some(lines),
            dropped: Arc::default(),
            unwritten: Arc::default(),
            name: "log".to_owned(),
            format: Format::Text,
            over: channel().1,
        };
        (0..MOST_WAITING + 3).for_each(|_| log.note(&entry("/")));
        assert_eq!(log.dropped.load(Ordering::Relaxed), 3);
        let (dropped, unwritten) = (Arc::clone(&log.dropped), Arc::clone(&log.unwritten));
        assert_eq!(unwritten.load(Ordering::Relaxed), MOST_WAITING as u64);
        drop(log);
        let mut output = Vec::new();
        write(&mut output, &written, (&dropped, &unwritten), "log");
        assert_eq!(unwritten.load(Ordering::Relaxed), 0);
        assert_eq!(output.iter().filter(|byte| **byte == b'\n').count(), MOST_WAITING);
        assert_eq!(dropped.load(Ordering::Relaxed), 0, "that is said");
    }
}
