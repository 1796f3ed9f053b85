//! What sees a shared socket from outside, for each kind of socket.

use sharesock::Socket;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

/// A kind of socket that the rules are shown with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    Listener,
    Udp,
    Unix,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] = [Kind::Stream, Kind::Listener, Kind::Udp, Kind::Unix];
}

/// The other side of a socket.
#[derive(Debug)]
pub(crate) enum Outside {
    Stream(TcpStream),
    Listener(SocketAddr, Vec<TcpStream>),
    Udp(UdpSocket),
    Unix(UnixStream),
}

impl Outside {
    /// A socket of this kind to share, and its other side.
    pub(crate) fn new(kind: Kind) -> (Self, Socket) {
        match kind {
            Kind::Stream => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                (Outside::Stream(client), listener.accept().unwrap().0.into())
            }
            Kind::Listener => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                (Outside::Listener(listener.local_addr().unwrap(), Vec::new()), listener.into())
            }
            Kind::Udp => {
                let (one, two) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
                one.connect(two.local_addr().unwrap()).unwrap();
                two.connect(one.local_addr().unwrap()).unwrap();
                (Outside::Udp(one), two.into())
            }
            Kind::Unix => {
                let (one, two) = UnixStream::pair().unwrap();
                (Outside::Unix(one), two.into())
            }
        }
    }

    /// Sends to the socket; to a listener, over a new connection.
    pub(crate) fn say(&mut self, text: &str) {
        match self {
            Outside::Stream(stream) => stream.write_all(text.as_bytes()).unwrap(),
            Outside::Listener(address, connections) => {
                let mut connection = TcpStream::connect(*address).unwrap();
                connection.write_all(text.as_bytes()).unwrap();
                connections.push(connection);
            }
            Outside::Udp(socket) => drop(socket.send(text.as_bytes()).unwrap()),
            Outside::Unix(stream) => stream.write_all(text.as_bytes()).unwrap(),
        }
    }

    /// Whether the socket can send to here.
    pub(crate) fn listens(&self) -> bool {
        !matches!(self, Outside::Listener(..))
    }

    /// Receives so many bytes from the socket.
    pub(crate) fn hear(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        match self {
            Outside::Stream(stream) => stream.read_exact(&mut bytes).unwrap(),
            Outside::Unix(stream) => stream.read_exact(&mut bytes).unwrap(),
            Outside::Udp(socket) => {
                let mut at = 0;
                while at < length {
                    at += socket.recv(&mut bytes[at..]).unwrap();
                }
            }
            Outside::Listener(..) => panic!("a listener does not send"),
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Whether the socket is open in some process, seen from here.
    pub(crate) fn is_open(&mut self) -> bool {
        match self {
            Outside::Stream(stream) => is_quiet(stream, TcpStream::set_nonblocking),
            Outside::Unix(stream) => is_quiet(stream, UnixStream::set_nonblocking),
            Outside::Listener(address, _) => {
                // It is accepted by nobody: the next that is said comes after it.
                let connection = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                connection.set_linger(Some(std::time::Duration::ZERO)).unwrap();
                let connected = connection.connect(&(*address).into()).is_ok();
                drop(connection);
                connected
            }
            Outside::Udp(socket) => {
                // A datagram to a closed port comes back as an error of the next call.
                socket.send(b"").and_then(|_| socket.send(b"")).is_ok()
            }
        }
    }

    /// Waits until the socket's last descriptor is closed.
    pub(crate) fn wait_for_end(&mut self) {
        match self {
            Outside::Stream(stream) => assert!(matches!(stream.read(&mut [0; 1]), Ok(0))),
            Outside::Unix(stream) => assert!(matches!(stream.read(&mut [0; 1]), Ok(0))),
            Outside::Listener(..) | Outside::Udp(_) => {
                while self.is_open() {
                    std::thread::yield_now();
                }
            }
        }
    }
}

fn is_quiet<S: Read>(stream: &mut S, set: fn(&S, bool) -> std::io::Result<()>) -> bool {
    set(stream, true).unwrap();
    let read = stream.read(&mut [0; 1]);
    set(stream, false).unwrap();
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}
