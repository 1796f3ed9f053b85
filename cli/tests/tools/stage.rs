//! Running the shell tools in a domain of the test's own.
#![allow(dead_code)] // Each test program uses its part.

use crate::patience::WaitInTime;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A bound on hangs; nothing waits for it to pass.
pub(crate) const LONG: Duration = Duration::from_secs(60);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sharesock");

/// A domain that is gone with the test.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

/// A process, killed when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    errors: ChildStderr,
}

/// How a process ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) output: String,
    pub(crate) errors: String,
}

impl Place {
    pub(crate) fn new() -> Self {
        Place { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("domain")
    }

    pub(crate) fn domain(&self) -> sharesock::Domain {
        sharesock::Domain::at(self.path()).unwrap()
    }

    /// Any program; it finds `sharesock` by its name.
    pub(crate) fn command(&self, program: &str) -> Command {
        let folder = PathBuf::from(PROGRAM).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(folder).chain(std::env::split_paths(&path))).unwrap();
        let mut command = Command::new(program);
        command.env("SHARESOCK_DOMAIN", self.path()).env("PATH", path);
        command
    }

    pub(crate) fn tool(&self, arguments: &[&str]) -> Running {
        self.tool_with(arguments, Stdio::piped())
    }

    pub(crate) fn tool_with(&self, arguments: &[&str], input: impl Into<Stdio>) -> Running {
        start(self.command(PROGRAM).args(arguments), input.into())
    }

    /// Runs to its end, with this on standard input.
    pub(crate) fn run(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Ended {
        let mut running = self.tool(arguments);
        running.send(input.as_ref());
        running.end()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.path()).into_iter().flatten();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Whether a process has an endpoint.
    pub(crate) fn receives(&self, pid: u32) -> bool {
        self.domain().members().unwrap().iter().any(|member| member.pid == pid && member.endpoint)
    }

    /// A `take` that has its endpoint, and waits for an info on its standard input.
    pub(crate) fn taker(&self, command: &[&str]) -> Running {
        let taker = self.tool(&[&["take", "--"][..], command].concat());
        until("the endpoint of take", || self.receives(taker.pid()));
        taker
    }
}

pub(crate) fn start(command: &mut Command, input: Stdio) -> Running {
    let mut child = command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    Running { input: child.stdin.take(), output, errors: child.stderr.take().unwrap(), child }
}

impl Running {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input; that it does not read it to the end is its own matter.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.input.as_mut().unwrap().write_all(bytes.as_ref());
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.output.read_line(&mut line).unwrap() > 0, "it ended before it said a line");
        line
    }

    /// A line of standard error, without a buffer that would keep more.
    pub(crate) fn error_line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.errors.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Closes its standard input, and waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.input.take());
        until("the end of a process", || !self.lives());
        let (mut output, mut errors) = (String::new(), String::new());
        self.output.read_to_string(&mut output).unwrap();
        self.errors.read_to_string(&mut errors).unwrap();
        Ended { code: self.child.wait_in_time().code(), output, errors }
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait_in_time();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, says: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.errors.contains(says), "{self:?}");
    }
}

/// A connection: our side, and what another process is to have.
pub(crate) fn connection() -> (TcpStream, OwnedFd) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    ours.set_read_timeout(Some(LONG)).unwrap();
    (ours, listener.accept().unwrap().0.into())
}

/// Sends, ends sending, and reads to the end.
pub(crate) fn exchange(mut stream: impl Read + Write, end: impl FnOnce(), text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    end();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The same over TCP.
pub(crate) fn exchange_tcp(stream: &TcpStream, text: &str) -> String {
    stream.set_read_timeout(Some(LONG)).unwrap();
    exchange(stream, || stream.shutdown(std::net::Shutdown::Write).unwrap(), text)
}

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LONG, "waiting for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The numbers of the descriptors that a program finds when it is started, as a shell prints them.
pub(crate) const DESCRIPTORS: &str = "for d in /proc/$$/fd/*; do [ -e $d ] && printf '%s ' \"${d##*/}\"; done; echo";

pub(crate) fn text(value: &impl AsRef<OsStr>) -> &str {
    value.as_ref().to_str().unwrap()
}
