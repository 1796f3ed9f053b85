//! What happens to the record when two are at it at a bad moment, when a process dies there, and when a member of the
//! domain writes into it.

use super::cell::Cell;
use super::claim::cookie_in;
use super::observe::{Observed, remains};
use super::table::{CODE, COOKIE, INSERTED, SLOTS, Table, WORD};
use super::word::{Record, Seen};
use crate::domain::Domain;
use crate::{Event, Message, MessageQueue, NetworkEvents, Socket};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

const READ: NetworkEvents = NetworkEvents::READ;
const WRITE: NetworkEvents = NetworkEvents::WRITE;
const OOB: NetworkEvents = NetworkEvents::OOB;
const CONNECT: NetworkEvents = NetworkEvents::CONNECT;
/// Far longer than anything takes.
const LONG: Duration = Duration::from_secs(20);

/// A domain that is removed at the end.
struct TestDomain(Domain);

impl TestDomain {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sharesock-mishap-{name}-{}", std::process::id()));
        TestDomain(Domain::at(path).unwrap())
    }

    /// The same domain, as another process sees it.
    fn elsewhere(&self) -> Domain {
        Domain::at(self.0.path()).unwrap()
    }
}

impl Drop for TestDomain {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.path());
    }
}

fn udp() -> (Socket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket.into(), address)
}

fn connection() -> (TcpStream, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, Socket::from(listener.accept().unwrap().0))
}

fn fill(socket: &Socket) {
    while socket.send(&[0; 65536]).is_ok() {}
}

/// Reads until the other side is told that it has room, by what `told` says.
fn make_room(client: &mut TcpStream, told: impl Fn() -> bool) {
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut bytes = vec![0; 1 << 20];
    while !told() {
        let _ = client.read(&mut bytes);
    }
}

fn all_told(socket: &Socket, event: &Event, events: NetworkEvents) {
    let mut all = NetworkEvents::empty();
    while !all.contains(events) {
        assert!(event.wait(Some(LONG)).unwrap(), "{events} awaited, {all} told");
        all |= socket.enum_network_events(Some(event)).unwrap().events();
    }
}

#[test]
fn room_that_is_told_while_a_receive_empties_the_queue_hides_no_message_about_the_next_arrival() {
    let place = TestDomain::new("messages");
    let queue = MessageQueue::new(&place.0).unwrap();
    let (mut client, socket) = connection();
    socket.async_select(&queue, 1, READ | WRITE).unwrap();
    assert!(matches!(queue.get().unwrap(), Message::Network { event: CONNECT | WRITE, .. }));
    fill(&socket);
    client.write_all(b"x").unwrap();
    assert!(matches!(queue.get_within(LONG).unwrap(), Some(Message::Network { event: READ, .. })));
    let received = socket.taking(READ, |mut inner| {
        let length = inner.read(&mut [0; 9]);
        make_room(&mut client, || matches!(queue.try_get().unwrap(), Some(Message::Network { event: WRITE, .. })));
        length
    });
    assert_eq!(received.unwrap(), 1);
    client.write_all(b"y").unwrap();
    assert!(matches!(queue.get_within(LONG).unwrap(), Some(Message::Network { event: READ, .. })));
}

#[test]
fn the_same_with_an_event_object() {
    let place = TestDomain::new("object");
    let event = Event::manual(&place.0).unwrap();
    let (mut client, socket) = connection();
    socket.event_select(&event, READ | WRITE).unwrap();
    all_told(&socket, &event, WRITE);
    fill(&socket);
    client.write_all(b"x").unwrap();
    all_told(&socket, &event, READ);
    let received = socket.taking(READ, |mut inner| {
        let length = inner.read(&mut [0; 9]);
        make_room(&mut client, || socket.enum_network_events(Some(&event)).unwrap().contains(WRITE));
        length
    });
    assert_eq!(received.unwrap(), 1);
    client.write_all(b"y").unwrap();
    all_told(&socket, &event, READ);
}

#[test]
fn data_that_arrives_while_urgent_data_is_received_does_not_hide_the_next() {
    let place = TestDomain::new("urgent");
    let event = Event::manual(&place.0).unwrap();
    let (client, socket) = connection();
    socket.event_select(&event, READ | OOB).unwrap();
    let client = socket2::Socket::from(client);
    client.send_out_of_band(b"!").unwrap();
    all_told(&socket, &event, OOB);
    let received = socket.taking(OOB, |inner| {
        let received = rustix::net::recv(inner, &mut [0_u8; 1], rustix::net::RecvFlags::OOB)?;
        client.send(b"data")?;
        all_told(&socket, &event, READ);
        Ok(received.0)
    });
    assert_eq!(received.unwrap(), 1);
    socket.recv(&mut [0; 99]).unwrap();
    client.send_out_of_band(b"?").unwrap();
    all_told(&socket, &event, OOB);
}

#[test]
fn urgent_data_is_none_to_receive_also_when_the_kernel_says_so_for_want_of_memory() {
    let place = TestDomain::new("urgent-pressure");
    let (client, socket) = connection();
    let slot = Table::of(&place.0).unwrap().insert(socket.id().unwrap().as_u64()).unwrap();
    let told = || {
        let seen = Seen { holds: READ | WRITE, ..Seen::default() };
        let mut observed = Observed { seen, failure: None, urgent: true };
        slot.keep(&mut observed, socket.as_fd());
        observed.seen.holds
    };
    let client = socket2::Socket::from(client);
    client.send_out_of_band(b"!").unwrap();
    while !remains(socket.as_fd(), OOB) {}
    assert_eq!(told(), WRITE);
    client.send(b"data").unwrap();
    while !remains(socket.as_fd(), READ) {}
    assert_eq!(told(), READ | WRITE);
}

#[test]
fn urgent_data_that_was_told_and_not_received_is_not_told_again() {
    let place = TestDomain::new("urgent-once");
    let [event, second] = [0, 1].map(|_| Event::manual(&place.0).unwrap());
    let (client, socket) = connection();
    socket.event_select(&event, READ | WRITE | OOB).unwrap();
    let client = socket2::Socket::from(client);
    client.send_out_of_band(b"!").unwrap();
    all_told(&socket, &event, WRITE | OOB);
    let told = |event: &Event| socket.enum_network_events(Some(event)).unwrap().events();
    let quiet = |event: &Event| !event.is_set().unwrap() && told(event).is_empty();
    // Registered again: with the same object, another one, after a cancellation, and when data has come meanwhile.
    for (round, object) in [&event, &second, &event].into_iter().enumerate() {
        socket.event_select(object, READ | OOB).unwrap();
        assert!(quiet(object), "round {round}");
    }
    socket.cancel_select().unwrap();
    client.send(b"data").unwrap();
    while !socket.as_socket().peek(&mut [std::mem::MaybeUninit::uninit()]).is_ok_and(|length| length > 0) {}
    socket.event_select(&event, READ | OOB).unwrap();
    all_told(&socket, &event, READ);
    assert!(quiet(&event));
    // Once received, the next is told.
    socket.taking(OOB, |inner| Ok(rustix::net::recv(inner, &mut [0_u8; 1], rustix::net::RecvFlags::OOB)?.0)).unwrap();
    assert!(!told(&event).contains(OOB));
    client.send_out_of_band(b"?").unwrap();
    all_told(&socket, &event, OOB);
    assert!(told(&event).is_empty());
}

#[test]
fn a_code_that_is_none_panics_nobody() {
    let place = TestDomain::new("code");
    let event = Event::manual(&place.0).unwrap();
    let (socket, _) = udp();
    socket.event_select(&event, CONNECT | READ).unwrap();
    let table = Table::of(&place.0).unwrap();
    let slot = table.find(socket.id().unwrap().as_u64()).unwrap();
    for code in [0, 5000, u64::MAX] {
        slot.field(CODE).store(code, Ordering::SeqCst);
        slot.change(|record| {
            record.pending |= CONNECT;
            record.failed = true;
        });
        let occurred = socket.enum_network_events(Some(&event)).unwrap();
        assert_eq!(occurred.code(CONNECT), 10107);
    }
}

#[test]
fn a_slot_that_was_not_counted_is_found_by_those_who_looked_before() {
    let place = TestDomain::new("counted");
    let event = Event::manual(&place.0).unwrap();
    let (socket, address) = udp();
    let other = socket.try_clone().unwrap();
    other.join(&place.elsewhere()).unwrap();
    other.as_socket().set_nonblocking(true).unwrap();
    // It remembers that there is no slot.
    assert!(other.recv(&mut [0; 1]).is_err());
    // A process gives the socket a slot, and is killed before it has counted it.
    let table = Table::of(&place.0).unwrap();
    let (cookie, before) = (socket.id().unwrap().as_u64(), table.word(INSERTED).load(Ordering::SeqCst));
    let slot = table.insert(cookie).unwrap();
    slot.field(WORD).store(Record { moving: true, ..Record::default() }.pack(), Ordering::SeqCst);
    table.word(INSERTED).store(before, Ordering::SeqCst);
    assert_eq!(cookie_in(slot.field(COOKIE).load(Ordering::SeqCst)), cookie);

    socket.event_select(&event, READ).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"1", address).unwrap();
    sender.send_to(b"2", address).unwrap();
    all_told(&socket, &event, READ);
    while event.wait(Some(Duration::from_millis(10))).unwrap() {
        socket.enum_network_events(Some(&event)).unwrap();
    }
    other.recv(&mut [0; 1]).unwrap();
    all_told(&socket, &event, READ);
}

#[test]
fn a_socket_whose_slot_was_given_away_can_be_registered_again() {
    let place = TestDomain::new("moved");
    let event = Event::manual(&place.0).unwrap();
    let (socket, address) = udp();
    socket.event_select(&event, READ).unwrap();
    // Another process cancels the registration, and the slot is given to another socket, which is registered.
    socket.try_clone().unwrap().cancel_select().unwrap();
    let table = Table::of(&place.0).unwrap();
    let cookie = socket.id().unwrap().as_u64();
    let slot = table.find(cookie).unwrap();
    slot.vacate();
    slot.field(COOKIE).store(cookie + SLOTS as u64, Ordering::SeqCst);
    let owner = table.add_owner(&crate::Process::current().unwrap(), false, |_| Ok(())).unwrap().0;
    slot.field(WORD).store(Record { owner, ..Record::default() }.pack(), Ordering::SeqCst);

    socket.event_select(&event, READ).unwrap();
    assert_ne!(table.find(cookie).unwrap().index(), slot.index());
    UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"1", address).unwrap();
    all_told(&socket, &event, READ);
}

#[test]
fn whoever_is_killed_before_ringing_keeps_the_next_arrival_from_nobody() {
    let place = TestDomain::new("unrung");
    let queue = MessageQueue::new(&place.0).unwrap();
    let (socket, address) = udp();
    socket.async_select(&queue, 1, READ).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"1", address).unwrap();
    sender.send_to(b"2", address).unwrap();
    assert!(queue.get_within(LONG).unwrap().is_some());
    assert!(queue.try_get().unwrap().is_none());
    // Another process receives, records that something is left, and is killed.
    socket.as_socket().recv(&mut [std::mem::MaybeUninit::uninit()]).unwrap();
    let table = Table::of(&place.0).unwrap();
    let slot = table.find(socket.id().unwrap().as_u64()).unwrap();
    slot.update(|record| record.take(READ, &{ *record }, true)).unwrap();
    sender.send_to(b"3", address).unwrap();
    assert!(queue.get_within(LONG).unwrap().is_some());
}

#[test]
fn a_full_waker_that_is_emptied_at_once_loses_no_wake_up() {
    let place = TestDomain::new("unheard");
    let event = Event::manual(&place.0).unwrap();
    let (socket, _) = udp();
    socket.event_select(&event, READ).unwrap();
    let there = place.elsewhere();
    let table = Table::of(&there).unwrap();
    let slot = table.find(socket.id().unwrap().as_u64()).unwrap();
    let owner = slot.load().unwrap().owner;
    for _ in 0..10_000 {
        table.wake(owner, u32::MAX);
    }
    assert!(table.missed_wake_ups(owner), "the waker is not full");
    // Whoever wakes it now finds it full, and says so; the owner empties it, and looks at everything.
    slot.change(|record| {
        record.recorded |= READ;
        record.pending |= READ;
    });
    table.wake(owner, u32::MAX);
    assert!(event.wait(Some(LONG)).unwrap());
}

#[test]
fn the_word_holds_what_a_record_can_hold() {
    let word = Record { stamp: 0x3ff, epoch: 0xfff, owner: 0x7fff, ..Record::default() };
    let cell = std::sync::atomic::AtomicU64::new(0);
    assert!(cell.replace(0, word.pack()));
    assert_eq!(Record::unpack(cell.get()), word);
}
