//! One connection to a server: a request, and an answer of which every byte is checked.

use crate::count::Kind;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The page `/N` is its own number on as many lines.
const LINES: usize = 1024;
/// A server sends half of every so many pages, and the rest a second later.
const SLOW: u64 = 200;
const SOURCES: usize = 8;

/// What the page is.
pub(crate) fn page(number: u64) -> Vec<u8> {
    format!("{number}\n").repeat(LINES).into_bytes()
}

/// Whether the server takes a second over the page, so that something is always under way.
pub(crate) fn is_slow(number: u64) -> bool {
    number % SLOW == 0
}

/// An answer that is right.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The process that gave it, if it said so.
    pub(crate) pid: Option<u32>,
    /// The server ends the connection after it.
    pub(crate) last: bool,
}

/// What went wrong with a request.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: Kind,
    pub(crate) error: String,
    pub(crate) pid: Option<u32>,
    /// Bytes of the answer that came.
    pub(crate) received: usize,
    pub(crate) from: Option<SocketAddr>,
}

/// A connection to the server.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    from: SocketAddr,
    /// It has answered already.
    pub(crate) used: bool,
}

impl Connection {
    /// `lane` picks the source address: a single one would run out of ports within a minute.
    pub(crate) fn open(to: SocketAddr, lane: usize, deadline: Instant) -> Result<Self, Trouble> {
        connect(to, lane, deadline)
            .and_then(|stream| Ok(Self { from: stream.local_addr()?, stream, used: false }))
            .map_err(|error| Trouble {
                kind: Kind::of(&error),
                error: format!("connect: {error}"),
                pid: None,
                received: 0,
                from: None,
            })
    }

    /// Sends the request. `last`: the server is to end the connection after its answer.
    pub(crate) fn send(&mut self, number: u64, last: bool) -> Result<(), Trouble> {
        let close = if last { "Connection: close\r\n" } else { "" };
        let request = format!("GET /{number} HTTP/1.1\r\nHost: proof\r\n{close}\r\n");
        self.stream.write_all(request.as_bytes()).map_err(|error| self.trouble(&error, "send", None, 0))
    }

    /// Reads the answer and checks it.
    pub(crate) fn receive(&mut self, number: u64, deadline: Instant) -> Result<Answer, Trouble> {
        let mut received = Vec::with_capacity(16 * 1024);
        let mut head = None;
        loop {
            if head.is_none() {
                head = Head::read(&received).map_err(|why| self.wrong(why, None, received.len()))?;
            }
            if let Some(head) = &head {
                if received.len() >= head.length + head.body {
                    return self.check(head, received.get(head.length..).unwrap_or_default(), number);
                }
            }
            let pid = head.as_ref().and_then(|head| head.pid);
            match self.read_more(&mut received, deadline) {
                Ok(0) => {
                    let error = io::Error::new(ErrorKind::UnexpectedEof, "the connection ended before the answer");
                    return Err(self.trouble(&error, "receive", pid, received.len()));
                }
                Ok(_) => {}
                Err(error) => return Err(self.trouble(&error, "receive", pid, received.len())),
            }
        }
    }

    fn read_more(&mut self, received: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
        // What is there already counts as come in time, however late it is looked at.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left))?;
        let mut part = [0; 16 * 1024];
        let count = self.stream.read(&mut part).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock => io::Error::new(ErrorKind::TimedOut, "no answer in time"),
            _ => error,
        })?;
        received.extend_from_slice(part.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn check(&mut self, head: &Head, body: &[u8], number: u64) -> Result<Answer, Trouble> {
        let received = head.length + body.len();
        if head.status != 200 {
            return Err(self.wrong(format!("status {}", head.status), head.pid, received));
        }
        if body != page(number) {
            return Err(self.wrong(format!("the page {number} has other bytes"), head.pid, received));
        }
        self.used = true;
        Ok(Answer { pid: head.pid, last: head.last })
    }

    fn trouble(&self, error: &io::Error, doing: &str, pid: Option<u32>, received: usize) -> Trouble {
        Trouble { kind: Kind::of(error), error: format!("{doing}: {error}"), pid, received, from: Some(self.from) }
    }

    fn wrong(&self, error: String, pid: Option<u32>, received: usize) -> Trouble {
        Trouble { kind: Kind::Wrong, error, pid, received, from: Some(self.from) }
    }
}

fn connect(to: SocketAddr, lane: usize, deadline: Instant) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if let IpAddr::V4(address) = to.ip() {
        if address.is_loopback() {
            let last = u8::try_from(lane % SOURCES).unwrap_or_default() + 2;
            socket.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0))))?;
        }
    }
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    socket.connect_timeout(&SockAddr::from(to), left)?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// The part of an answer before the page.
#[derive(Debug)]
struct Head {
    /// In bytes.
    length: usize,
    status: u16,
    body: usize,
    pid: Option<u32>,
    last: bool,
}

impl Head {
    /// None until it is there whole.
    fn read(bytes: &[u8]) -> Result<Option<Self>, String> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(format!("not HTTP: {error}")),
        };
        let header = |name: &str| {
            let found = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
            found.and_then(|header| std::str::from_utf8(header.value).ok()).map(str::trim)
        };
        let body = header("content-length").and_then(|text| text.parse().ok()).ok_or("no Content-Length")?;
        let last = header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let pid = header("x-pid").and_then(|text| text.parse().ok());
        Ok(Some(Self { length, status: response.code.unwrap_or_default(), body, pid, last }))
    }
}

impl Trouble {
    /// The other side ended the connection.
    pub(crate) fn is_torn(&self) -> bool {
        matches!(self.kind, Kind::Reset | Kind::Short)
    }
}
