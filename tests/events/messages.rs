//! What messages come, and when: one for each event, within one process.

use crate::occurring::{LONG, accepted, fill, listener, udp, unconnected};
use crate::peer::Place;
use sharesock::{Error, Event, Message, MessageQueue, NetworkEvents, Socket};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

const READ: NetworkEvents = NetworkEvents::READ;
const WRITE: NetworkEvents = NetworkEvents::WRITE;
const OOB: NetworkEvents = NetworkEvents::OOB;
const ACCEPT: NetworkEvents = NetworkEvents::ACCEPT;
const CONNECT: NetworkEvents = NetworkEvents::CONNECT;
const CLOSE: NetworkEvents = NetworkEvents::CLOSE;
const NONE: NetworkEvents = NetworkEvents::empty();
const ALL: NetworkEvents = READ.union(WRITE).union(OOB).union(ACCEPT).union(CONNECT).union(CLOSE);
/// The id of the messages.
const ID: u32 = 0x464;

fn stage(name: &str) -> (Place, MessageQueue) {
    let place = Place::new(name);
    let queue = MessageQueue::new(&place.domain()).unwrap();
    (place, queue)
}

/// The next message must be about `event` of `socket`; its code.
#[track_caller]
fn expect(queue: &MessageQueue, socket: &Socket, event: NetworkEvents) -> i32 {
    let message = queue.get_within(LONG).unwrap().expect("no message came");
    let Message::Network { id, socket: about, descriptor, event: found, code, .. } = message else {
        panic!("{message:?}");
    };
    assert_eq!((id, about, descriptor), (ID, socket.id().unwrap(), socket.as_raw_fd()));
    assert_eq!(found, event);
    code
}

#[track_caller]
fn nothing(queue: &MessageQueue) {
    assert_eq!(queue.try_get().unwrap(), None);
}

/// A connection of which FD_WRITE has been told.
fn quiet(name: &str) -> (Place, MessageQueue, TcpStream, Socket) {
    let (place, queue) = stage(name);
    let (client, socket) = accepted();
    socket.async_select(&queue, ID, ALL).unwrap();
    expect(&queue, &socket, WRITE);
    nothing(&queue);
    (place, queue, client, socket)
}

#[test]
fn one_message_for_each_event_with_the_descriptor_and_the_code() {
    let (_place, queue, mut client, socket) = quiet("as-each");
    assert!(socket.as_socket().nonblocking().unwrap());
    client.write_all(b"x").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(expect(&queue, &socket, READ), 0);
    assert_eq!(expect(&queue, &socket, CLOSE), 0);
    nothing(&queue);
}

#[test]
fn selecting_again_tells_all_that_holds_again_save_the_connection() {
    let (_place, queue) = stage("as-again");
    let (listener, address) = listener();
    let mut client = Socket::from(TcpStream::connect(address).unwrap());
    let (mut other, _) = listener.accept().unwrap();
    other.write_all(b"x").unwrap();
    for _ in 0..2 {
        // The connection was made before: it is never told.
        client.async_select(&queue, ID, ALL).unwrap();
        expect(&queue, &client, READ);
        expect(&queue, &client, WRITE);
        nothing(&queue);
    }
    other.shutdown(Shutdown::Write).unwrap();
    expect(&queue, &client, CLOSE);
    client.async_select(&queue, ID, ALL).unwrap();
    for event in [READ, WRITE, CLOSE] {
        expect(&queue, &client, event);
    }
    client.read_exact(&mut [0; 1]).unwrap();
    nothing(&queue);
}

#[test]
fn there_is_no_second_message_until_the_event_is_re_enabled() {
    let (_place, queue, mut client, socket) = quiet("as-once");
    client.write_all(b"a").unwrap();
    expect(&queue, &socket, READ);
    client.write_all(b"b").unwrap();
    while rustix::io::ioctl_fionread(&socket).unwrap() < 2 {}
    nothing(&queue);
    // One that leaves something gets another message; the last does not.
    assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    expect(&queue, &socket, READ);
    assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    nothing(&queue);
    client.write_all(b"c").unwrap();
    expect(&queue, &socket, READ);

    let (listener, address) = listener();
    listener.async_select(&queue, ID, ACCEPT).unwrap();
    let _clients: Vec<_> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
    expect(&queue, &listener, ACCEPT);
    nothing(&queue);
    let _accepted = listener.accept().unwrap();
    expect(&queue, &listener, ACCEPT);
}

#[test]
fn a_receive_that_fails_re_enables() {
    let (_place, queue, mut client, socket) = quiet("as-failing");
    client.write_all(b"a").unwrap();
    expect(&queue, &socket, READ);
    // Taken past the library: it does not know.
    assert_eq!((&mut socket.as_socket()).read(&mut [0; 8]).unwrap(), 1);
    assert!(socket.recv(&mut [0; 8]).is_err());
    client.write_all(b"b").unwrap();
    expect(&queue, &socket, READ);
}

#[test]
fn a_connection_that_is_made_is_fd_connect_then_fd_write() {
    let (_place, queue) = stage("as-connect");
    let (_listener, address) = listener();
    let socket = unconnected();
    socket.async_select(&queue, ID, ALL).unwrap();
    nothing(&queue);
    let _ = socket.connect(&address.into());
    assert_eq!(expect(&queue, &socket, CONNECT), 0);
    assert_eq!(expect(&queue, &socket, WRITE), 0);
    nothing(&queue);
}

#[test]
fn a_connection_that_is_refused_is_fd_connect_with_its_code() {
    let (_place, queue) = stage("as-refused");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = unconnected();
    socket.async_select(&queue, ID, ALL).unwrap();
    let _ = socket.connect(&address.into());
    assert_eq!(expect(&queue, &socket, CONNECT), 10061);
    nothing(&queue);
}

#[test]
fn fd_connect_that_was_not_selected_is_never_told() {
    let (_place, queue) = stage("as-connect-later");
    let (_listener, address) = listener();
    let socket = unconnected();
    socket.async_select(&queue, ID, WRITE).unwrap();
    let _ = socket.connect(&address.into());
    expect(&queue, &socket, WRITE);
    socket.async_select(&queue, ID, ALL).unwrap();
    expect(&queue, &socket, WRITE);
    nothing(&queue);
}

#[test]
fn an_unbound_datagram_socket_is_told_fd_write_at_once() {
    let (_place, queue) = stage("as-unbound");
    let (_target, address) = udp();
    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    socket.async_select(&queue, ID, ALL).unwrap();
    expect(&queue, &socket, WRITE);
    nothing(&queue);
    socket.connect(&address.into()).unwrap();
    expect(&queue, &socket, CONNECT);
}

#[test]
fn fd_close_comes_at_once_when_data_is_unread() {
    let (_place, queue, mut client, socket) = quiet("as-close-unread");
    client.write_all(b"ab").unwrap();
    drop(client);
    expect(&queue, &socket, READ);
    expect(&queue, &socket, CLOSE);
    assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    expect(&queue, &socket, READ);
    assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    nothing(&queue);
}

#[test]
fn a_reset_is_fd_close_with_10053_and_told_again_by_selecting_again() {
    let (_place, queue, client, socket) = quiet("as-reset");
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(expect(&queue, &socket, CLOSE), 10053);
    socket.async_select(&queue, ID, CLOSE).unwrap();
    expect(&queue, &socket, CLOSE);
}

#[test]
fn fd_oob_and_fd_write_are_told_as_to_an_event_object() {
    let (_place, queue, client, socket) = quiet("as-oob");
    let mut client = socket2::Socket::from(client);
    client.send_out_of_band(b"!").unwrap();
    expect(&queue, &socket, OOB);
    assert_eq!(socket.recv_oob(&mut [0; 1]).unwrap(), 1);
    let mut sent = vec![0; fill(&socket)];
    nothing(&queue);
    client.read_exact(&mut sent).unwrap();
    expect(&queue, &socket, WRITE);
    nothing(&queue);
}

#[test]
fn each_kind_of_registration_cancels_the_other() {
    let (place, queue, mut client, socket) = quiet("as-kinds");
    let event = Event::manual(&place.domain()).unwrap();
    socket.event_select(&event, READ).unwrap();
    client.write_all(b"x").unwrap();
    assert!(event.wait(Some(LONG)).unwrap());
    nothing(&queue);
    assert!(!socket.registration().unwrap().unwrap().messages);
    event.reset().unwrap();
    socket.async_select(&queue, ID, READ).unwrap();
    expect(&queue, &socket, READ);
    assert!(socket.registration().unwrap().unwrap().messages);
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    client.write_all(b"y").unwrap();
    expect(&queue, &socket, READ);
    assert!(!event.is_set().unwrap());
}

#[test]
fn cancelling_and_closing_end_the_messages_even_those_not_got_yet() {
    let (_place, queue, mut client, socket) = quiet("as-cancel");
    client.write_all(b"x").unwrap();
    queue.post(1, 0, 0).unwrap();
    socket.async_select(&queue, ID, NONE).unwrap();
    assert_eq!(queue.get().unwrap(), Message::Posted { id: 1, first: 0, second: 0 });
    nothing(&queue);
    assert_eq!(socket.registration(), Ok(None));
    socket.set_nonblocking(false).unwrap();

    socket.async_select(&queue, ID, READ | CLOSE).unwrap();
    expect(&queue, &socket, READ);
    drop(client);
    drop(socket);
    nothing(&queue);
}

#[test]
fn back_to_blocking_is_refused_while_registered() {
    let (_place, _queue, _client, socket) = quiet("as-blocking");
    assert_eq!(socket.set_nonblocking(false), Err(Error::Registered));
}

#[test]
fn an_accepted_socket_has_the_listeners_registration_under_its_own_descriptor() {
    let (_place, queue) = stage("as-inherit");
    let (listener, address) = listener();
    listener.async_select(&queue, ID, ACCEPT | READ | CLOSE).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    expect(&queue, &listener, ACCEPT);
    let (socket, _) = listener.accept().unwrap();
    client.write_all(b"x").unwrap();
    expect(&queue, &socket, READ);
}

#[test]
fn the_programs_own_messages_come_in_their_order_with_the_others() {
    let (_place, queue, mut client, socket) = quiet("as-posted");
    queue.post(7, 1, 2).unwrap();
    client.write_all(b"x").unwrap();
    while rustix::io::ioctl_fionread(&socket).unwrap() < 1 {}
    queue.post(8, 3, 4).unwrap();
    assert_eq!(queue.get().unwrap(), Message::Posted { id: 7, first: 1, second: 2 });
    expect(&queue, &socket, READ);
    assert_eq!(queue.get().unwrap(), Message::Posted { id: 8, first: 3, second: 4 });
    nothing(&queue);
}

#[test]
fn every_thread_that_waits_gets_one_message_of_those_that_are_posted() {
    let (_place, queue) = stage("as-threads");
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| queue.get().unwrap())).collect();
        for id in 0..8 {
            queue.post(id, 0, 0).unwrap();
        }
        let mut got: Vec<_> = threads
            .into_iter()
            .map(|thread| match thread.join().unwrap() {
                Message::Posted { id, .. } => id,
                other => panic!("{other:?}"),
            })
            .collect();
        got.sort_unstable();
        assert_eq!(got, (0..8).collect::<Vec<_>>());
    });
}
