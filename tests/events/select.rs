//! Registering an event object, what becomes of the record, accepting and enumerating: within one process.
//!
//! docs/network-events.md says which rule each test shows.

use crate::occurring::{ALL, LONG, accepted, expect, listener, nothing, quiet, stage, udp, unconnected};
use sharesock::{Error, Event, NetworkEvents, Socket};
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

const READ: NetworkEvents = NetworkEvents::READ;
const WRITE: NetworkEvents = NetworkEvents::WRITE;
const ACCEPT: NetworkEvents = NetworkEvents::ACCEPT;
const CONNECT: NetworkEvents = NetworkEvents::CONNECT;
const CLOSE: NetworkEvents = NetworkEvents::CLOSE;
const NONE: NetworkEvents = NetworkEvents::empty();

// The call itself.

#[test]
fn selecting_makes_the_socket_non_blocking_even_with_no_events() {
    let (_place, _, event) = stage("es-nonblocking");
    for events in [READ, NONE] {
        let (socket, _) = udp();
        socket.event_select(&event, events).unwrap();
        assert!(socket.as_socket().nonblocking().unwrap());
    }
}

#[test]
fn back_to_blocking_is_refused_while_registered_and_works_after_cancelling() {
    let (_place, _, event) = stage("es-blocking");
    let (socket, _) = udp();
    let other = socket.try_clone().unwrap();
    socket.event_select(&event, READ).unwrap();
    assert_eq!(socket.set_nonblocking(false), Err(Error::Registered));
    assert_eq!(other.set_nonblocking(false), Err(Error::Registered));
    assert_eq!(Error::Registered.winsock_code(), 10022);
    socket.set_nonblocking(true).unwrap();
    socket.event_select(&event, NONE).unwrap();
    socket.set_nonblocking(false).unwrap();
    assert!(!socket.as_socket().nonblocking().unwrap());
}

#[test]
fn no_events_cancel_the_registration() {
    let (_place, event, mut client, socket) = quiet("es-cancel");
    socket.event_select(&event, NONE).unwrap();
    assert_eq!(socket.registration(), Ok(None));
    client.write_all(b"x").unwrap();
    client.flush().unwrap();
    nothing(&socket, &event);
    assert!(!event.wait(Some(Duration::from_millis(20))).unwrap());
}

#[test]
fn an_unconnected_stream_is_silent() {
    let (_place, _, event) = stage("es-unconnected");
    let socket = unconnected();
    socket.event_select(&event, ALL).unwrap();
    nothing(&socket, &event);
}

#[test]
fn quality_of_service_is_accepted_and_changes_of_addresses_are_refused() {
    let (_place, _, event) = stage("es-qos");
    let (socket, _) = udp();
    socket.event_select(&event, READ | NetworkEvents::QOS | NetworkEvents::GROUP_QOS).unwrap();
    nothing(&socket, &event);
    let changes = NetworkEvents::ADDRESS_LIST_CHANGE | NetworkEvents::ROUTING_INTERFACE_CHANGE;
    let refused = socket.event_select(&event, NetworkEvents::all()).unwrap_err();
    assert_eq!(refused, Error::UnsupportedEvents { events: changes });
    assert_eq!(refused.winsock_code(), 10045);
    // The earlier registration is untouched.
    assert_eq!(socket.registration().unwrap().unwrap().events.intersection(ALL), READ);
}

#[test]
fn one_event_object_for_a_socket_the_second_call_replaces_the_first() {
    let (_place, domain, first) = stage("es-replace");
    let second = Event::manual(&domain).unwrap();
    let (mut client, socket) = accepted();
    socket.event_select(&first, READ).unwrap();
    socket.event_select(&second, CLOSE).unwrap();
    client.write_all(b"x").unwrap();
    assert!(!second.wait(Some(Duration::from_millis(20))).unwrap());
    drop(client);
    expect(&socket, &second, CLOSE);
    assert!(!first.is_set().unwrap());
}

#[test]
fn a_socket_shares_its_events_in_one_domain() {
    let (_place, _, event) = stage("es-domain");
    let (_other_place, _, other) = stage("es-other-domain");
    let (socket, _) = udp();
    socket.event_select(&event, READ).unwrap();
    assert!(matches!(socket.event_select(&other, READ), Err(Error::OtherDomain { .. })));
}

// The record.

#[test]
fn what_was_recorded_and_not_reported_sets_the_new_event_object_at_once() {
    let (_place, domain, first) = stage("es-r1");
    let (listener, address) = listener();
    listener.event_select(&first, ACCEPT).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    assert!(first.wait(Some(LONG)).unwrap());
    let second = Event::manual(&domain).unwrap();
    listener.event_select(&second, ACCEPT).unwrap();
    assert!(second.is_set().unwrap());
    expect(&listener, &second, ACCEPT);
}

#[test]
fn what_was_reported_is_not_reported_again_by_selecting_again() {
    let (_place, event, mut client, socket) = quiet("es-r2");
    client.write_all(b"x").unwrap();
    expect(&socket, &event, READ);
    for _ in 0..3 {
        socket.event_select(&event, ALL).unwrap();
        nothing(&socket, &event);
        socket.event_select(&event, NONE).unwrap();
        nothing(&socket, &event);
        socket.event_select(&event, ALL).unwrap();
        nothing(&socket, &event);
    }
    // What arrives while nobody is registered is recorded nevertheless.
    socket.event_select(&event, NONE).unwrap();
    client.write_all(b"y").unwrap();
    socket.event_select(&event, ALL).unwrap();
    expect(&socket, &event, READ);
}

#[test]
fn selecting_does_not_reset_the_event_object() {
    let (_place, _, event) = stage("es-r3");
    let (listener, address) = listener();
    listener.event_select(&event, ACCEPT).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    assert!(event.wait(Some(LONG)).unwrap());
    listener.event_select(&event, CLOSE).unwrap();
    assert!(event.is_set().unwrap());
    event.reset().unwrap();
    listener.event_select(&event, CLOSE).unwrap();
    assert!(!event.is_set().unwrap());
    listener.event_select(&event, CLOSE | ACCEPT).unwrap();
    assert!(event.is_set().unwrap());
}

#[test]
fn what_is_not_selected_is_recorded_and_reported_when_it_is() {
    let (_place, _, event) = stage("es-r4");
    let (mut client, socket) = accepted();
    socket.event_select(&event, WRITE).unwrap();
    expect(&socket, &event, WRITE);
    client.write_all(b"x").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(!event.wait(Some(Duration::from_millis(20))).unwrap());
    socket.event_select(&event, READ).unwrap();
    expect(&socket, &event, READ);
    socket.event_select(&event, ALL).unwrap();
    expect(&socket, &event, CLOSE);
}

#[test]
fn recording_starts_with_the_socket_a_connection_made_long_ago_is_reported() {
    let (_place, _, event) = stage("es-r5");
    let (_listener, address) = listener();
    let socket = Socket::from(TcpStream::connect(address).unwrap());
    socket.event_select(&event, ALL).unwrap();
    let occurred = expect(&socket, &event, CONNECT | WRITE);
    assert_eq!(occurred.code(CONNECT), 0);
    nothing(&socket, &event);
}

#[test]
fn enumerating_reports_what_is_selected_alone_the_rest_stays() {
    let (_place, _, event) = stage("es-r6");
    let (mut client, socket) = accepted();
    socket.event_select(&event, READ).unwrap();
    client.write_all(b"x").unwrap();
    expect(&socket, &event, READ);
    socket.event_select(&event, WRITE).unwrap();
    expect(&socket, &event, WRITE);
}

#[test]
fn enumerating_after_cancelling_finds_nothing() {
    let (_place, _, event) = stage("es-r7");
    let (_client, socket) = accepted();
    socket.event_select(&event, ALL).unwrap();
    socket.event_select(&event, NONE).unwrap();
    assert!(socket.enum_network_events(None).unwrap().is_empty());
}

#[test]
fn what_was_consumed_before_selecting_is_not_recorded() {
    let (_place, _, event) = stage("es-r8");
    let (accepting, address) = listener();
    let mut client = TcpStream::connect(address).unwrap();
    let (socket, _) = accepting.accept().unwrap();
    accepting.event_select(&event, ACCEPT).unwrap();
    nothing(&accepting, &event);
    client.write_all(b"x").unwrap();
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    socket.event_select(&event, READ).unwrap();
    nothing(&socket, &event);
}

#[test]
fn consuming_after_it_was_recorded_removes_the_record_and_leaves_the_object_set() {
    let (_place, event, mut client, socket) = quiet("es-spurious");
    client.write_all(b"x").unwrap();
    assert!(event.wait(Some(LONG)).unwrap());
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    assert!(event.is_set().unwrap());
    assert!(socket.enum_network_events(Some(&event)).unwrap().is_empty());
    assert!(!event.is_set().unwrap());
}

#[test]
fn polling_the_socket_neither_reports_nor_consumes() {
    let (_place, event, mut client, socket) = quiet("es-r9");
    client.write_all(b"x").unwrap();
    let mut polled = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut polled, None).unwrap();
    expect(&socket, &event, READ);
    rustix::event::poll(&mut polled, None).unwrap();
    nothing(&socket, &event);
}

// Accepting.

#[test]
fn an_accepted_socket_has_the_listeners_registration_and_its_own_record() {
    let (_place, _, event) = stage("es-inherit");
    let (listener, address) = listener();
    listener.event_select(&event, ACCEPT | READ | WRITE | CLOSE).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"x").unwrap();
    expect(&listener, &event, ACCEPT);
    let (socket, _) = listener.accept().unwrap();
    assert!(socket.as_socket().nonblocking().unwrap());
    assert_eq!(socket.registration(), listener.registration());
    expect(&socket, &event, READ | WRITE);
}

#[test]
fn an_accepted_socket_is_as_blocking_as_its_listener() {
    let (listener, address) = listener();
    let _client = TcpStream::connect(address).unwrap();
    assert!(!listener.accept().unwrap().0.as_socket().nonblocking().unwrap());
    listener.set_nonblocking(true).unwrap();
    let _client = TcpStream::connect(address).unwrap();
    assert!(listener.accept().unwrap().0.as_socket().nonblocking().unwrap());
}

// Enumerating.

#[test]
fn enumerating_without_an_event_object_resets_none() {
    let (_place, event, mut client, socket) = quiet("es-enum-none");
    client.write_all(b"x").unwrap();
    assert!(event.wait(Some(LONG)).unwrap());
    assert_eq!(socket.enum_network_events(None).unwrap().events(), READ);
    assert!(event.is_set().unwrap());
}

#[test]
fn enumerating_resets_the_event_object_that_is_given_whichever_it_is_and_though_nothing_occurred() {
    let (_place, domain, event) = stage("es-enum-other");
    let other = Event::manual(&domain).unwrap();
    let (socket, _) = udp();
    socket.event_select(&event, READ).unwrap();
    other.set().unwrap();
    event.set().unwrap();
    assert!(socket.enum_network_events(Some(&other)).unwrap().is_empty());
    assert!(!other.is_set().unwrap());
    assert!(event.is_set().unwrap());
    // Not registered at all.
    let (socket, _) = udp();
    assert!(socket.enum_network_events(Some(&event)).unwrap().is_empty());
    assert!(!event.is_set().unwrap());
}

#[test]
fn enumerating_finds_what_nobody_has_waited_for() {
    let (_place, event, mut client, socket) = quiet("es-enum-direct");
    client.write_all(b"x").unwrap();
    let started = std::time::Instant::now();
    while !socket.enum_network_events(None).unwrap().contains(READ) {
        assert!(started.elapsed() < LONG);
    }
    let _ = event;
}

#[test]
fn resetting_by_hand_instead_loses_what_came_between() {
    let (_place, event, mut client, socket) = quiet("es-reset-by-hand");
    client.write_all(b"x").unwrap();
    assert!(event.wait(Some(LONG)).unwrap());
    assert_eq!(socket.enum_network_events(None).unwrap().events(), READ);
    client.write_all(b"y").unwrap();
    peer_has(&socket, 2);
    event.reset().unwrap();
    assert!(!event.wait(Some(Duration::ZERO)).unwrap());
    // It is recorded all the same.
    assert_eq!(socket.enum_network_events(None).unwrap().events(), READ);
}

/// Waits until so many bytes lie in the socket's queue.
fn peer_has(socket: &Socket, bytes: u64) {
    while rustix::io::ioctl_fionread(socket).unwrap() < bytes {}
}

#[test]
fn an_automatic_event_object_ends_one_wait_for_each_time_it_is_set() {
    let (_place, domain, _) = stage("es-automatic");
    let event = Event::automatic(&domain).unwrap();
    let (mut client, socket) = accepted();
    socket.event_select(&event, READ).unwrap();
    for _ in 0..3 {
        client.write_all(b"x").unwrap();
        assert!(event.wait(Some(LONG)).unwrap());
        assert!(!event.wait(Some(Duration::ZERO)).unwrap());
        assert_eq!(socket.enum_network_events(Some(&event)).unwrap().events(), READ);
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    }
}
