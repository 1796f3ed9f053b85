//! What the tests of network events have in common.
#![allow(dead_code)] // Each test program uses its part.

use sharesock::{Domain, Event, NetworkEvents, Occurred, Socket};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Far longer than anything takes: only a failure waits so long.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// All that Linux can report.
pub(crate) const ALL: NetworkEvents = NetworkEvents::READ
    .union(NetworkEvents::WRITE)
    .union(NetworkEvents::OOB)
    .union(NetworkEvents::ACCEPT)
    .union(NetworkEvents::CONNECT)
    .union(NetworkEvents::CLOSE);

/// A domain that is removed at the end, and an event object in it.
pub(crate) fn stage(name: &str) -> (super::peer::Place, Domain, Event) {
    let place = super::peer::Place::new(name);
    let domain = place.domain();
    let event = Event::manual(&domain).unwrap();
    (place, domain, event)
}

/// Waits until all of `events` were reported, together with nothing else; what the last report said.
#[track_caller]
pub(crate) fn expect(socket: &Socket, event: &Event, events: NetworkEvents) -> Occurred {
    let started = Instant::now();
    let mut all = NetworkEvents::empty();
    loop {
        event.wait(Some(LONG.saturating_sub(started.elapsed()))).unwrap();
        let occurred = socket.enum_network_events(Some(event)).unwrap();
        all |= occurred.events();
        if all.contains(events) {
            assert_eq!(all, events, "something else was reported");
            return occurred;
        }
        assert!(started.elapsed() < LONG, "{events} was awaited, {all} was reported");
    }
}

/// The event object is not set, and nothing is recorded.
#[track_caller]
pub(crate) fn nothing(socket: &Socket, event: &Event) {
    assert!(!event.is_set().unwrap(), "the event object is set");
    let occurred = socket.enum_network_events(Some(event)).unwrap();
    assert_eq!(occurred.events(), NetworkEvents::empty());
}

/// A listener, and where to connect to.
pub(crate) fn listener() -> (Socket, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener.into(), address)
}

/// The two sides of a connection, both as sockets that were accepted or connected by the library.
pub(crate) fn accepted() -> (TcpStream, Socket) {
    let (listener, address) = listener();
    let client = TcpStream::connect(address).unwrap();
    (client, listener.accept().unwrap().0)
}

/// A TCP socket that is not connected.
pub(crate) fn unconnected() -> Socket {
    Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap()
}

pub(crate) fn udp() -> (Socket, SocketAddr) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket.into(), address)
}

/// Sends until the socket can take no more; how many bytes.
pub(crate) fn fill(socket: &Socket) -> usize {
    let block = [0; 65536];
    let mut sent = 0;
    loop {
        match socket.send(&block) {
            Ok(count) => sent += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return sent,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A connection whose first FD_WRITE has been reported.
pub(crate) fn quiet(domain: &str) -> (super::peer::Place, Event, TcpStream, Socket) {
    let (place, _, event) = stage(domain);
    let (client, socket) = accepted();
    socket.event_select(&event, ALL).unwrap();
    expect(&socket, &event, NetworkEvents::WRITE);
    nothing(&socket, &event);
    (place, event, client, socket)
}
