//! What a scenario has to play with: a fresh domain, other processes in it, connections.

use crate::actor::Actor;
use crate::observe::{Bytes, Seen};
use anyhow::{Context, Result, ensure};
use sharesock::{Domain, Endpoint, Socket};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What is to happen is awaited for so long: only a failure takes it.
pub(crate) const LONG: Duration = Duration::from_secs(10);
/// So long is looked for what is not to happen, when it could have happened already.
pub(crate) const BRIEF: Duration = Duration::from_millis(40);

/// A fresh domain, with the endpoint of this process.
#[derive(Debug)]
pub(crate) struct Stage {
    // First, because it is closed before its folder is removed.
    pub(crate) endpoint: Endpoint,
    pub(crate) domain: Domain,
    folder: TempDir,
}

impl Stage {
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("sharesock-conformance-").tempdir()?;
        let domain = Domain::at(folder.path().join("domain"))?;
        Ok(Stage { endpoint: Endpoint::open(&domain)?, domain, folder })
    }

    /// A path beside the domain.
    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Another process, with an open endpoint.
    pub(crate) fn actor(&self) -> Result<Actor> {
        let mut actor = self.actor_without_endpoint()?;
        done(&actor.ask("open")?)?;
        Ok(actor)
    }

    pub(crate) fn actor_without_endpoint(&self) -> Result<Actor> {
        Actor::start(self.domain.path())
    }

    /// Another process that holds `socket` under the name `s`.
    pub(crate) fn holder(&self, socket: &Socket) -> Result<Actor> {
        let mut actor = self.actor()?;
        self.share(socket, &mut actor, "s")?;
        Ok(actor)
    }

    /// Duplicates `socket` for `actor`, which redeems it under a name.
    pub(crate) fn share(&self, socket: &Socket, actor: &mut Actor, name: &str) -> Result<()> {
        let info = self.endpoint.duplicate(socket, actor.pid())?;
        done(&actor.ask(&format!("redeem {name} {info}"))?)
    }
}

/// What only prepares a scenario has to succeed.
pub(crate) fn done(answer: &str) -> Result<()> {
    ensure!(answer == ().seen(), "this was to be done: {answer}");
    Ok(())
}

/// The other side of a connection, which knows nothing of sharing.
#[derive(Debug)]
pub(crate) struct Peer(TcpStream);

impl Peer {
    pub(crate) fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Peer(stream))
    }

    pub(crate) fn send(&mut self, text: &str) -> io::Result<()> {
        self.0.write_all(text.as_bytes())
    }

    pub(crate) fn send_urgent(&self, text: &str) -> io::Result<()> {
        socket2::SockRef::from(&self.0).send_out_of_band(text.as_bytes()).map(drop)
    }

    /// What it hears next: so many bytes, fewer if the stream ends; the end, a reset, or nothing.
    pub(crate) fn hear(&mut self, count: usize) -> Result<String> {
        self.0.set_read_timeout(Some(LONG))?;
        let mut bytes = Vec::new();
        let heard = (&self.0).take(count as u64).read_to_end(&mut bytes);
        Ok(heard.map_or_else(|error| failure(&error), |_| Bytes(bytes).seen()))
    }

    /// What it hears at once.
    pub(crate) fn listen(&mut self) -> Result<String> {
        self.0.set_nonblocking(true)?;
        let mut bytes = [0; 100];
        let heard = self.0.read(&mut bytes);
        self.0.set_nonblocking(false)?;
        Ok(match heard {
            Ok(count) => Bytes(bytes.iter().copied().take(count).collect()).seen(),
            Err(error) => failure(&error),
        })
    }

    /// Its own address.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Ends its sending.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }

    /// Ends its receiving.
    pub(crate) fn close_ears(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Read)
    }

    /// Closes, so that the other side is reset.
    pub(crate) fn reset(self) -> io::Result<()> {
        socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO))
    }

    /// Receives what was sent to it, `count` bytes, and forgets them.
    pub(crate) fn drain(&mut self, count: usize) -> Result<()> {
        self.0.set_read_timeout(Some(LONG))?;
        let drained = io::copy(&mut (&self.0).take(count as u64), &mut io::sink())?;
        ensure!(drained == count as u64, "less than was sent has arrived");
        Ok(())
    }
}

fn failure(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "nothing".to_owned(),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => "a reset".to_owned(),
        kind => format!("{kind:?}"),
    }
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A listener, and where to connect to.
pub(crate) fn listener() -> Result<(Socket, SocketAddr)> {
    let listener = TcpListener::bind(loopback()).context("listening")?;
    let address = listener.local_addr()?;
    Ok((listener.into(), address))
}

/// A connection over TCP: the peer, and the socket that was accepted.
pub(crate) fn connection() -> Result<(Peer, Socket)> {
    let (listener, address) = listener()?;
    let peer = Peer::connect(address)?;
    Ok((peer, listener.accept()?.0))
}

/// A bound socket for datagrams, and its address.
pub(crate) fn udp() -> Result<(Socket, SocketAddr)> {
    let socket = UdpSocket::bind(loopback())?;
    let address = socket.local_addr()?;
    Ok((socket.into(), address))
}

/// A TCP socket that is neither bound nor connected.
pub(crate) fn unconnected() -> Result<Socket> {
    Ok(Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?)
}

/// An address at which connecting is refused, as long as the socket lives.
pub(crate) fn nobody() -> Result<(Socket, SocketAddr)> {
    let socket = unconnected()?;
    socket.bind(&loopback().into())?;
    let address = address_of(&socket)?;
    Ok((socket, address))
}

pub(crate) fn address_of(socket: &Socket) -> Result<SocketAddr> {
    socket.as_socket().local_addr()?.as_socket().context("no Internet address")
}

/// Receives at most `most` bytes, or one datagram, waiting for them on a non-blocking socket, too.
pub(crate) fn take(socket: &Socket, most: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; most];
    let length = patiently(|| socket.recv(&mut bytes))?;
    bytes.truncate(length);
    Ok(Bytes(bytes))
}

/// Tries again what would block, for as long as may be waited.
pub(crate) fn patiently<T>(mut act: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let started = Instant::now();
    loop {
        match act() {
            Err(error) if error.kind() == ErrorKind::WouldBlock && started.elapsed() < LONG => {
                std::thread::sleep(Duration::from_millis(1));
            }
            result => return result,
        }
    }
}

/// Sends until the socket takes no more, though it was given time: how many bytes it took, and how it refused the next.
///
/// A while later it may take some, for the kernel goes on sending in small pieces what the other side has room for.
pub(crate) fn fill(socket: &Socket) -> Result<(usize, io::Result<()>)> {
    let mut sent = 0;
    loop {
        let before = sent;
        // Where a block does not go, a byte may.
        for length in [65536, 1] {
            loop {
                match socket.send(&vec![0; length]) {
                    Ok(count) => sent += count,
                    Err(error) if sent == before && length == 1 => return Ok((sent, Err(error))),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
        std::thread::sleep(BRIEF);
    }
}

/// Begins to connect: that a non-blocking attempt goes on is no refusal, though it has the form of one.
pub(crate) fn begin_connect(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match socket.connect(&address.into()) {
        // Winsock says WSAEWOULDBLOCK where others say EINPROGRESS.
        Err(error)
            if error.raw_os_error().map(sharesock::winsock_code).is_some_and(|code| matches!(code, 10035 | 10036)) =>
        {
            Ok(())
        }
        result => result,
    }
}
