//! A running `sharesock serve` for the tests, and a client that speaks HTTP/1.1 by hand.
#![allow(dead_code)] // Each test program uses its part.

use crate::patience::WaitInTime;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A bound on hangs; nothing waits for it to pass.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A server and the folder that it serves; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) address: String,
    events: BufReader<std::process::ChildStdout>,
}

impl Server {
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_with(options, |_| {})
    }

    /// `prepare` puts files into the folder first.
    pub(crate) fn start_with(options: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_sharesock")), options, prepare)
    }

    /// `command` becomes the program, with the words that are appended.
    pub(crate) fn start_as(mut command: Command, options: &[&str], prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("www")).unwrap();
        std::fs::write(folder.path().join("secret"), "secret").unwrap();
        std::fs::write(folder.path().join("www/hello.txt"), "hello\n").unwrap();
        prepare(&folder.path().join("www"));
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--json", "--status-page", "--worker-header", "--files"])
            .arg(folder.path().join("www"))
            .arg("--domain")
            .arg(folder.path().join("domain"))
            .arg("--ready-file")
            .arg(folder.path().join("ready.json"))
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let events = BufReader::new(child.stdout.take().unwrap());
        let mut server = Server { child, folder, address: String::new(), events };
        server.wait_for("ready");
        server.address = server.ready()["listeners"][0]["address"].as_str().unwrap().to_owned();
        server
    }

    pub(crate) fn ready(&self) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.folder.path().join("ready.json")).unwrap()).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reads events until one of this name.
    pub(crate) fn wait_for(&mut self, name: &str) -> serde_json::Value {
        loop {
            let mut line = String::new();
            assert!(self.events.read_line(&mut line).unwrap() > 0, "the server ended before it said {name}");
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        signal_process(self.pid(), signal);
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait_in_time()
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(&self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.client().get(path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal_process(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Whether there is such a process, zombies not among them.
pub(crate) fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LONG, "waiting for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

/// A response, read whole.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn worker(&self) -> u32 {
        self.headers["x-sharesock-worker"].parse().unwrap()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    pub(crate) fn stream(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    pub(crate) fn get(&mut self, path: &str) -> Response {
        self.request(path, "").unwrap()
    }

    pub(crate) fn request(&mut self, path: &str, headers: &str) -> std::io::Result<Response> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"))?;
        self.response()
    }

    pub(crate) fn send(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.get_mut().write_all(text.as_bytes())
    }

    /// All text up to the end of this.
    pub(crate) fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap();
            text.extend(byte);
        }
        String::from_utf8(text).unwrap()
    }

    /// Waits until a response has begun.
    pub(crate) fn wait_for_response(&mut self) {
        assert!(self.stream.get_mut().peek(&mut [0]).unwrap() > 0);
    }

    pub(crate) fn response(&mut self) -> std::io::Result<Response> {
        let mut line = String::new();
        let ended = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        if self.stream.read_line(&mut line)? == 0 {
            return Err(ended());
        }
        let status = line.split(' ').nth(1).ok_or_else(ended)?.parse().map_err(|_| ended())?;
        let mut headers = HashMap::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(ended());
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
                None => break,
            };
        }
        let length = headers.get("content-length").map_or(Ok(0), |length| length.parse()).map_err(|_| ended())?;
        let mut body = vec![0; if status == 304 { 0 } else { length }];
        self.stream.read_exact(&mut body)?;
        Ok(Response { status, headers, body })
    }

    /// Whether the server has closed the connection, in order.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.stream.get_mut().read(&mut [0; 1]), Ok(0))
    }
}
