//! A client of the server that is supervised: a line as a question, a line of JSON as an answer.

use super::LONG;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection.
pub(crate) struct Connection(BufReader<Box<dyn Stream>>);

impl Connection {
    /// To `HOST:PORT`, `unix:PATH` or `unix:@NAME`.
    pub(crate) fn open(address: &str) -> Self {
        let stream: Box<dyn Stream> = match address.strip_prefix("unix:") {
            Some(path) => {
                let stream = match path.strip_prefix('@') {
                    Some(name) => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).unwrap()).unwrap(),
                    None => UnixStream::connect(path).unwrap(),
                };
                stream.set_read_timeout(Some(LONG)).unwrap();
                Box::new(stream)
            }
            None => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(LONG)).unwrap();
                stream.set_nodelay(true).unwrap();
                Box::new(stream)
            }
        };
        Connection(BufReader::new(stream))
    }

    pub(crate) fn send(&mut self, line: &str) {
        self.0.get_mut().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// The next line; empty at the end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub(crate) fn answer(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in the answer {line:?}"))
    }

    pub(crate) fn ask(mut self, question: &str) -> Value {
        self.send(question);
        self.answer()
    }

    /// A request of which the server has heard, and which it answers when it is sent a line more.
    pub(crate) fn hold(mut self) -> Self {
        self.send("hold");
        assert_eq!(self.line(), "held");
        self
    }

    pub(crate) fn let_go(self) -> Value {
        self.ask("go")
    }
}

pub(crate) fn ask(address: &str, question: &str) -> Value {
    Connection::open(address).ask(question)
}

pub(crate) fn ask_udp(address: &str, question: &str) -> Value {
    let address = address.strip_prefix("udp:").unwrap();
    let socket = UdpSocket::bind(if address.starts_with('[') { "[::1]:0" } else { "127.0.0.1:0" }).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    socket.send_to(question.as_bytes(), address).unwrap();
    let mut answer = vec![0; 65_536];
    let (length, _) = socket.recv_from(&mut answer).unwrap();
    serde_json::from_slice(&answer[..length]).unwrap()
}
