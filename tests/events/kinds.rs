//! What an event object is told, and when: event by event, within one process.
//!
//! docs/network-events.md says which rule each test shows.

use crate::occurring::{ALL, accepted, expect, fill, listener, nothing, quiet, stage, udp, unconnected};
use sharesock::{NetworkEvents, Socket};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

const READ: NetworkEvents = NetworkEvents::READ;
const WRITE: NetworkEvents = NetworkEvents::WRITE;
const OOB: NetworkEvents = NetworkEvents::OOB;
const ACCEPT: NetworkEvents = NetworkEvents::ACCEPT;
const CONNECT: NetworkEvents = NetworkEvents::CONNECT;
const CLOSE: NetworkEvents = NetworkEvents::CLOSE;

// FD_READ, FD_ACCEPT, FD_OOB.

#[test]
fn every_arrival_is_reported_without_receiving() {
    let (_place, event, mut client, socket) = quiet("es-read-edge");
    for _ in 0..5 {
        client.write_all(b"x").unwrap();
        expect(&socket, &event, READ);
        nothing(&socket, &event);
    }
    let (listener, address) = listener();
    listener.event_select(&event, ACCEPT).unwrap();
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(TcpStream::connect(address).unwrap());
        expect(&listener, &event, ACCEPT);
        nothing(&listener, &event);
    }
}

#[test]
fn fd_read_is_reported_after_a_partial_receive_and_not_after_the_last() {
    let (_place, event, mut client, socket) = quiet("es-read-level");
    client.write_all(b"abc").unwrap();
    expect(&socket, &event, READ);
    for left in [2, 1] {
        assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
        assert_eq!(expect(&socket, &event, READ).events(), READ, "{left} bytes are left");
    }
    assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    nothing(&socket, &event);
    assert!(socket.recv(&mut [0; 1]).is_err());
    nothing(&socket, &event);
}

#[test]
fn fd_read_of_datagrams_is_reported_for_each_that_is_left() {
    let (_place, _, event) = stage("es-read-udp");
    let (socket, address) = udp();
    socket.event_select(&event, READ).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..3 {
        sender.send_to(b"x", address).unwrap();
    }
    expect(&socket, &event, READ);
    for _ in 0..2 {
        assert_eq!(socket.recv_from(&mut [0; 8]).unwrap().0, 1);
        expect(&socket, &event, READ);
    }
    socket.recv(&mut [0; 8]).unwrap();
    nothing(&socket, &event);
}

#[test]
fn fd_accept_is_reported_while_connections_wait() {
    let (_place, _, event) = stage("es-accept-level");
    let (listener, address) = listener();
    let _clients: Vec<_> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
    listener.event_select(&event, ACCEPT).unwrap();
    expect(&listener, &event, ACCEPT);
    drop(listener.accept().unwrap());
    expect(&listener, &event, ACCEPT);
    drop(listener.accept().unwrap());
    nothing(&listener, &event);
    assert!(listener.accept().is_err());
    nothing(&listener, &event);
}

#[test]
fn fd_oob_is_reported_for_urgent_data_alone() {
    let (_place, event, client, socket) = quiet("es-oob");
    let client = socket2::Socket::from(client);
    for _ in 0..2 {
        client.send_out_of_band(b"!").unwrap();
        expect(&socket, &event, OOB);
        let mut byte = [0; 1];
        assert_eq!((socket.recv_oob(&mut byte).unwrap(), byte), (1, *b"!"));
        nothing(&socket, &event);
    }
}

#[test]
fn urgent_data_that_is_received_in_line_is_fd_read() {
    let (_place, event, client, socket) = quiet("es-oob-inline");
    socket.as_socket().set_out_of_band_inline(true).unwrap();
    let client = socket2::Socket::from(client);
    client.send_out_of_band(b"!").unwrap();
    expect(&socket, &event, READ);
}

// FD_WRITE.

#[test]
fn fd_write_is_reported_once_for_an_accepted_connection_and_not_fd_connect() {
    let (_place, event, _client, socket) = quiet("es-write-once");
    socket.event_select(&event, ALL).unwrap();
    nothing(&socket, &event);
}

#[test]
fn fd_write_of_a_bound_datagram_socket_is_reported_at_the_first_select_only() {
    let (_place, _, event) = stage("es-write-udp");
    let (socket, _) = udp();
    socket.event_select(&event, ALL).unwrap();
    expect(&socket, &event, WRITE);
    for _ in 0..4 {
        socket.event_select(&event, ALL).unwrap();
        nothing(&socket, &event);
    }
}

#[test]
fn an_unbound_datagram_socket_is_silent_until_it_is_bound_or_connected() {
    let (_place, _, event) = stage("es-write-unbound");
    let unbound = || Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    let (_target, address) = udp();
    let socket = unbound();
    socket.event_select(&event, ALL).unwrap();
    nothing(&socket, &event);
    socket.connect(&address.into()).unwrap();
    expect(&socket, &event, CONNECT | WRITE);
    let socket = unbound();
    socket.event_select(&event, ALL).unwrap();
    nothing(&socket, &event);
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    expect(&socket, &event, WRITE);
}

#[test]
fn a_send_that_succeeds_changes_nothing() {
    let (_place, event, mut client, socket) = quiet("es-write-sent");
    assert_eq!(socket.send(b"hello").unwrap(), 5);
    client.read_exact(&mut [0; 5]).unwrap();
    nothing(&socket, &event);

    // Recorded and not reported: it stays so.
    let (_client, socket) = accepted();
    socket.event_select(&event, WRITE).unwrap();
    assert_eq!(socket.send(b"hello").unwrap(), 5);
    expect(&socket, &event, WRITE);
}

#[test]
fn fd_write_is_reported_once_when_a_send_would_have_blocked_and_there_is_room_again() {
    let (_place, event, mut client, socket) = quiet("es-write-room");
    for _ in 0..2 {
        let mut sent = vec![0; fill(&socket)];
        nothing(&socket, &event);
        client.read_exact(&mut sent).unwrap();
        expect(&socket, &event, WRITE);
        nothing(&socket, &event);
    }
}

#[test]
fn a_send_of_which_a_part_was_taken_is_told_of_room_too() {
    let (_place, event, mut client, socket) = quiet("es-write-part");
    let block = vec![0; 64 << 20];
    let sent = socket.send(&block).unwrap();
    assert!(sent < block.len());
    let mut bytes = vec![0; sent];
    client.read_exact(&mut bytes).unwrap();
    expect(&socket, &event, WRITE);
}

#[test]
fn an_empty_send_to_a_full_socket_asks_for_fd_write() {
    let (_place, event, mut client, socket) = quiet("es-write-empty");
    for _ in 0..3 {
        // No send would have blocked, so nothing is told of room by itself.
        let mut sent = 0;
        while has_room(&socket) {
            sent += socket.send(&[0; 1000]).unwrap();
        }
        // Nor is it to be told of room that there is.
        socket.event_select(&event, NetworkEvents::empty()).unwrap();
        assert_eq!(socket.send(&[]).unwrap(), 0);
        socket.event_select(&event, WRITE).unwrap();
        nothing(&socket, &event);
        client.read_exact(&mut vec![0; sent]).unwrap();
        expect(&socket, &event, WRITE);
        assert_eq!(socket.send(&[]).unwrap(), 0);
        nothing(&socket, &event);
    }
}

/// Whether there is room, or soon will be: what was sent may still be on its way out of the socket.
fn has_room(socket: &Socket) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let soon = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&soon)).unwrap() > 0
}

// FD_CONNECT.

#[test]
fn a_connection_that_is_made_is_fd_connect_and_fd_write() {
    let (_place, _, event) = stage("es-connect");
    let (_listener, address) = listener();
    let socket = unconnected();
    socket.event_select(&event, ALL).unwrap();
    let pending = socket.connect(&address.into());
    assert!(
        pending.is_ok() || pending.unwrap_err().raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
    );
    expect(&socket, &event, CONNECT | WRITE);
    nothing(&socket, &event);
}

#[test]
fn a_connection_that_is_refused_is_fd_connect_with_its_code_and_nothing_else() {
    let (_place, _, event) = stage("es-refused");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = unconnected();
    socket.event_select(&event, ALL).unwrap();
    let _ = socket.connect(&address.into());
    let occurred = expect(&socket, &event, CONNECT);
    assert_eq!(occurred.code(CONNECT), 10061);
    socket.event_select(&event, ALL).unwrap();
    nothing(&socket, &event);

    // The next attempt is told of again.
    let (_listener, address) = listener();
    let _ = socket.connect(&address.into());
    assert_eq!(expect(&socket, &event, CONNECT | WRITE).code(CONNECT), 0);
}

#[test]
fn fd_connect_that_was_not_selected_is_reported_when_it_is() {
    let (_place, _, event) = stage("es-connect-later");
    let (_listener, address) = listener();
    let socket = unconnected();
    socket.event_select(&event, WRITE).unwrap();
    let _ = socket.connect(&address.into());
    expect(&socket, &event, WRITE);
    socket.event_select(&event, CONNECT | WRITE).unwrap();
    expect(&socket, &event, CONNECT);
}

// FD_CLOSE.

#[test]
fn the_end_of_the_other_side_is_fd_close_once_and_not_fd_read() {
    let (_place, event, client, socket) = quiet("es-close");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(expect(&socket, &event, CLOSE).code(CLOSE), 0);
    nothing(&socket, &event);
    drop(client);
    socket.event_select(&event, ALL).unwrap();
    nothing(&socket, &event);
}

#[test]
fn the_other_side_ending_its_receiving_is_nothing() {
    let (_place, event, client, socket) = quiet("es-close-rd");
    client.shutdown(Shutdown::Read).unwrap();
    nothing(&socket, &event);
}

#[test]
fn ending_both_directions_here_is_nothing_and_the_other_sides_end_is_fd_close_still() {
    let (_place, event, client, socket) = quiet("es-close-own");
    socket.shutdown(Shutdown::Both).unwrap();
    assert!(!event.wait(Some(Duration::from_millis(20))).unwrap());
    nothing(&socket, &event);
    client.shutdown(Shutdown::Write).unwrap();
    expect(&socket, &event, CLOSE);
}

#[test]
fn fd_close_comes_at_once_when_data_is_unread_and_draining_gives_fd_read() {
    let (_place, event, mut client, socket) = quiet("es-close-unread");
    client.write_all(b"ab").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    expect(&socket, &event, READ | CLOSE);
    assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    expect(&socket, &event, READ);
    assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    nothing(&socket, &event);
    assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 0);
    nothing(&socket, &event);
}

#[test]
fn a_reset_is_fd_close_with_10053() {
    let (_place, event, client, socket) = quiet("es-reset");
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(expect(&socket, &event, CLOSE).code(CLOSE), 10053);
    socket.event_select(&event, ALL).unwrap();
    nothing(&socket, &event);
}

#[test]
fn a_connection_that_ended_before_the_first_select_is_fd_close() {
    let (_place, _, event) = stage("es-close-before");
    let (client, socket) = accepted();
    drop(client);
    socket.event_select(&event, CLOSE).unwrap();
    expect(&socket, &event, CLOSE);
}

#[test]
fn fd_close_that_was_not_selected_is_reported_when_it_is() {
    let (_place, _, event) = stage("es-close-later");
    let (client, socket) = accepted();
    socket.event_select(&event, READ).unwrap();
    drop(client);
    assert!(!event.wait(Some(Duration::from_millis(20))).unwrap());
    socket.event_select(&event, READ | CLOSE).unwrap();
    expect(&socket, &event, CLOSE);
}

#[test]
fn nothing_is_told_of_a_socket_that_was_closed_here() {
    let (_place, event, mut client, socket) = quiet("es-own-close");
    drop(socket);
    let _ = client.write_all(b"x");
    drop(client);
    assert!(!event.wait(Some(Duration::from_millis(20))).unwrap());
}
