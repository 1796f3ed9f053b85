//! Bugs of network events that were found, each with what showed it.

use crate::occurring::{LONG, accepted, expect, fill, listener, nothing, stage, udp, unconnected};
use sharesock::{Event, Message, MessageQueue, NetworkEvents, Socket};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const READ: NetworkEvents = NetworkEvents::READ;
const WRITE: NetworkEvents = NetworkEvents::WRITE;
const ACCEPT: NetworkEvents = NetworkEvents::ACCEPT;
const CONNECT: NetworkEvents = NetworkEvents::CONNECT;
const CLOSE: NetworkEvents = NetworkEvents::CLOSE;

/// A TCP socket that reads until its end what comes over the other half of a connection, answers and closes.
fn answers(connection: TcpStream) {
    let mut connection = connection;
    connection.read_to_end(&mut Vec::new()).unwrap();
    connection.write_all(b"answer").unwrap();
}

/// Waits until the kernel has taken the connection for ended.
fn until_closed(socket: &Socket) {
    let mut polled = [rustix::event::PollFd::new(socket, rustix::event::PollFlags::empty())];
    rustix::event::poll(&mut polled, None).unwrap();
}

#[test]
fn an_arrival_after_what_was_there_was_enumerated_is_told() {
    let (_place, _, event) = stage("er-arrival");
    let (socket, address) = udp();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"1", address).unwrap();
    socket.event_select(&event, READ).unwrap();
    expect(&socket, &event, READ);
    sender.send_to(b"2", address).unwrap();
    expect(&socket, &event, READ);
}

#[test]
fn an_arrival_while_a_send_blocks_is_told() {
    let (_place, _, event) = stage("er-blocked");
    let (mut client, socket) = accepted();
    socket.event_select(&event, READ | WRITE).unwrap();
    expect(&socket, &event, WRITE);
    client.write_all(b"1").unwrap();
    expect(&socket, &event, READ);
    fill(&socket);
    client.write_all(b"2").unwrap();
    expect(&socket, &event, READ);
}

#[test]
fn what_lies_behind_urgent_data_is_told() {
    let (_place, _, event) = stage("er-urgent");
    for taken in [false, true] {
        let (client, socket) = accepted();
        rustix::net::send(&client, b"ab", rustix::net::SendFlags::empty()).unwrap();
        rustix::net::send(&client, b"!", rustix::net::SendFlags::OOB).unwrap();
        rustix::net::send(&client, b"cd", rustix::net::SendFlags::empty()).unwrap();
        socket.event_select(&event, READ).unwrap();
        expect(&socket, &event, READ);
        // Whatever the kernel has to report of it is reported.
        nothing(&socket, &event);
        if taken {
            assert_eq!(socket.recv_oob(&mut [0]).unwrap(), 1);
        }
        // It stops before the urgent byte, so that it gets less than it asks for.
        assert_eq!(socket.recv(&mut [0; 100]).unwrap(), 2);
        expect(&socket, &event, READ);
        assert_eq!(socket.recv(&mut [0; 100]).unwrap(), 2);
        nothing(&socket, &event);
        socket.cancel_select().unwrap();
    }
}

#[test]
fn connecting_again_loses_and_repeats_nothing() {
    let (_place, _, event) = stage("er-again");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().into();
    let socket = unconnected();
    socket.event_select(&event, CONNECT | WRITE | READ | CLOSE).unwrap();
    let _ = socket.connect(&address);
    assert!(event.wait(Some(LONG)).unwrap());
    while socket.connect(&address).is_ok() {}
    expect(&socket, &event, CONNECT | WRITE);
    let _ = socket.connect(&address);
    nothing(&socket, &event);
    listener.accept().unwrap().0.write_all(b"x").unwrap();
    assert!(event.wait(Some(LONG)).unwrap());
    assert!(!socket.enum_network_events(None).unwrap().contains(CONNECT));
}

#[test]
fn a_connection_that_ended_in_both_directions_is_told_with_what_is_unread() {
    let (_place, _, event) = stage("er-half");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(b"request").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    answers(listener.accept().unwrap().0);
    let socket = Socket::from(client);
    until_closed(&socket);
    socket.event_select(&event, READ | CLOSE).unwrap();
    expect(&socket, &event, READ | CLOSE);
    assert_eq!(socket.recv(&mut [0; 99]).unwrap(), 6);
}

#[test]
fn the_same_when_it_is_registered_before() {
    let (_place, _, event) = stage("er-half-registered");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = unconnected();
    socket.event_select(&event, READ | CLOSE).unwrap();
    let _ = socket.connect(&listener.local_addr().unwrap().into());
    let (connection, _) = listener.accept().unwrap();
    while socket.send(b"request").is_err() {}
    socket.shutdown(Shutdown::Write).unwrap();
    answers(connection);
    until_closed(&socket);
    expect(&socket, &event, READ | CLOSE);
}

#[test]
fn a_reset_that_a_receive_was_told_of_has_its_code() {
    let (_place, _, event) = stage("er-reset");
    let (client, socket) = accepted();
    socket.event_select(&event, CLOSE).unwrap();
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    until_closed(&socket);
    assert_eq!(socket.recv(&mut [0; 9]).unwrap_err().raw_os_error(), Some(libc::ECONNRESET));
    assert_eq!(expect(&socket, &event, CLOSE).code(CLOSE), 10053);
}

#[test]
fn a_refusal_that_a_send_was_told_of_is_told() {
    let (_place, _, event) = stage("er-refused");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let socket = unconnected();
    socket.event_select(&event, CONNECT).unwrap();
    let _ = socket.connect(&address.into());
    until_closed(&socket);
    assert_eq!(socket.send(b"x").unwrap_err().raw_os_error(), Some(libc::ECONNREFUSED));
    assert_eq!(expect(&socket, &event, CONNECT).code(CONNECT), 10061);
}

#[test]
fn ending_ones_receiving_before_registering_is_not_the_other_sides_end() {
    let (_place, _, event) = stage("er-deaf");
    let (one, _two) = std::os::unix::net::UnixStream::pair().unwrap();
    let socket = Socket::from(one);
    socket.shutdown(Shutdown::Read).unwrap();
    socket.event_select(&event, CLOSE).unwrap();
    nothing(&socket, &event);
}

#[test]
fn waiting_for_any_never_sleeps_on_an_object_that_is_set() {
    let (_place, _, event) = stage("er-any");
    let (said, heard) = std::sync::mpsc::channel();
    let waited = event.clone();
    let waiting = std::thread::spawn(move || {
        for _ in 0..20_000 {
            Event::wait_any(&[&waited], None).unwrap();
            waited.reset().unwrap();
            said.send(()).unwrap();
        }
    });
    for _ in 0..20_000 {
        event.set().unwrap();
        heard.recv_timeout(LONG).expect("it sleeps though the object is set");
    }
    waiting.join().unwrap();
}

/// Sockets about each of which the kernel has something to report that nobody asked for.
fn noisy(event: &Event, count: usize) -> Vec<Socket> {
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let make = |_| {
        let (socket, address) = udp();
        sender.send_to(b"x", address).unwrap();
        socket.event_select(event, CLOSE).unwrap();
        socket
    };
    (0..count).map(make).collect()
}

#[test]
fn a_wait_without_time_looks_behind_many_reports() {
    let (_place, _, event) = stage("er-many");
    let _noisy = noisy(&event, 80);
    let (socket, address) = udp();
    socket.event_select(&event, READ).unwrap();
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", address).unwrap();
    assert!(event.wait(Some(Duration::ZERO)).unwrap());
}

#[test]
fn a_busy_socket_keeps_no_message_back() {
    let (_place, domain, _) = stage("er-fair");
    let queue = MessageQueue::new(&domain).unwrap();
    let ((busy, address), (calm, other)) = (udp(), udp());
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    busy.async_select(&queue, 1, READ).unwrap();
    calm.async_select(&queue, 2, READ).unwrap();
    for _ in 0..50 {
        sender.send_to(b"x", address).unwrap();
    }
    sender.send_to(b"x", other).unwrap();
    queue.post(3, 0, 0).unwrap();
    let mut others = Vec::new();
    for _ in 0..6 {
        match queue.get_within(LONG).unwrap() {
            Some(Message::Network { id: 1, .. }) => {
                busy.recv(&mut [0; 9]).unwrap();
                sender.send_to(b"x", address).unwrap();
            }
            Some(Message::Network { id, .. } | Message::Posted { id, .. }) => others.push(id),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(others, [2, 3]);
}

#[test]
fn every_accepted_socket_is_registered_while_other_objects_come_and_go() {
    let (_place, domain, event) = stage("er-accepted");
    let (listener, address) = listener();
    listener.event_select(&event, ACCEPT | READ).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let other = Event::manual(&domain).unwrap();
                udp().0.event_select(&other, READ).unwrap();
            }
        });
        let all = (0..500).all(|_| {
            let _client = TcpStream::connect(address).unwrap();
            let accepted = loop {
                if let Ok((accepted, _)) = listener.accept() {
                    break accepted;
                }
            };
            accepted.registration().unwrap().is_some()
        });
        stop.store(true, Ordering::Relaxed);
        assert!(all, "an accepted socket is not registered");
    });
}

#[test]
fn an_accepted_socket_is_registered_though_the_listener_joined_by_another_value_of_the_domain() {
    let (place, _, event) = stage("er-values");
    let (listener, address) = listener();
    listener.join(&place.domain()).unwrap();
    listener.event_select(&event, ACCEPT | READ).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    expect(&listener, &event, ACCEPT);
    assert!(listener.accept().unwrap().0.registration().unwrap().is_some());
}

#[test]
fn a_live_event_object_keeps_its_bell_while_others_come_and_go() {
    let (place, domain, _) = stage("er-waker");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let other = Event::manual(&domain).unwrap();
                udp().0.event_select(&other, READ).unwrap();
            }
        });
        let all = (0..3_000).all(|_| {
            let event = Event::manual(&domain).unwrap();
            let (socket, _) = udp();
            socket.event_select(&event, READ).unwrap();
            let names = std::fs::read_dir(place.path()).unwrap();
            names.flatten().any(|name| {
                let name = name.file_name().into_string().unwrap();
                name.contains("-events-") && !name.starts_with("new")
            })
        });
        stop.store(true, Ordering::Relaxed);
        assert!(all, "an event object has no waker");
    });
}
