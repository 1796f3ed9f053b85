//! One event registration per underlying socket, whichever process made it (R10, R11), with three processes.

use crate::occurring::LONG;
use crate::peer::{Peer, Place, pair};
use sharesock::{Endpoint, Error, Event, Message, MessageQueue, NetworkEvents, Socket};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

const READ: u16 = NetworkEvents::READ.bits();
const WRITE: u16 = NetworkEvents::WRITE.bits();
const ACCEPT: u16 = NetworkEvents::ACCEPT.bits();
/// Milliseconds: as long as it takes, and what is not to happen may take.
const AWAIT: &str = "20000";
const BRIEFLY: &str = "30";

/// A socket to be shared, what makes something happen at it, and what then happens.
struct Kind {
    name: &'static str,
    socket: Socket,
    provoke: Box<dyn FnMut()>,
    event: NetworkEvents,
    /// What a peer does to consume it.
    consume: &'static str,
}

/// One of each kind that the rules are shown with.
fn kinds() -> Vec<Kind> {
    let (mut client, tcp) = pair();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = udp.local_addr().unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut clients = Vec::new();
    let (mut stream, other) = UnixStream::pair().unwrap();
    let (datagram, another) = UnixDatagram::pair().unwrap();
    let kind = |name, socket, provoke, event, consume| Kind { name, socket, provoke, event, consume };
    let (read, take) = (NetworkEvents::READ, "take 8");
    vec![
        kind("TCP", tcp, Box::new(move || client.write_all(b"x").unwrap()) as _, read, take),
        kind("UDP", udp.into(), Box::new(move || assert_eq!(sender.send_to(b"x", to).unwrap(), 1)), read, take),
        kind(
            "a listener",
            listener.into(),
            Box::new(move || clients.push(TcpStream::connect(address).unwrap())),
            NetworkEvents::ACCEPT,
            "accept-one",
        ),
        kind("AF_UNIX stream", other.into(), Box::new(move || stream.write_all(b"x").unwrap()), read, take),
        kind(
            "AF_UNIX datagram",
            another.into(),
            Box::new(move || assert_eq!(datagram.send(b"x").unwrap(), 1)),
            read,
            take,
        ),
    ]
}

/// This process and two others, which hold `socket`, too.
struct Three {
    _place: Place,
    endpoint: Endpoint,
    a: Peer,
    b: Peer,
}

impl Three {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        let (endpoint, a, b) = (place.endpoint(), Peer::start(&place), Peer::start(&place));
        Three { _place: place, endpoint, a, b }
    }

    fn share(&mut self, socket: &Socket) {
        for peer in [&mut self.a, &mut self.b] {
            let info = self.endpoint.duplicate(socket, peer.pid()).unwrap();
            assert!(peer.ask(&format!("redeem {info}")).starts_with("ok"));
        }
    }
}

/// With a connection that all three hold.
fn connection(name: &str) -> (Three, TcpStream, Socket) {
    let mut three = Three::new(name);
    let (client, socket) = pair();
    three.share(&socket);
    (three, client, socket)
}

fn ok(peer: &mut Peer, command: &str) {
    let answer = peer.ask(command);
    assert!(answer.starts_with("ok"), "{command}: {answer}");
}

#[test]
fn r10_the_last_event_select_in_whatever_process_has_the_registration() {
    let mut three = Three::new("r10-event");
    for mut kind in kinds() {
        three.share(&kind.socket);
        let Three { a, b, .. } = &mut three;
        let (name, select) = (kind.name, format!("event-select {}", kind.event.bits()));
        for _ in 0..2 {
            for owner_is_a in [true, false] {
                let (owner, other) = if owner_is_a { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
                ok(owner, &select);
                (kind.provoke)();
                assert_eq!(owner.ask(&format!("wait {AWAIT}")), "true", "{name}");
                assert_eq!(other.ask(&format!("wait {BRIEFLY}")), "false", "{name}");
                assert_eq!(owner.ask("enumerate"), kind.event.to_string(), "{name}");
                assert_eq!(other.ask("enumerate"), "none", "{name}");
                ok(owner, kind.consume);
                let pid = owner.pid().to_string();
                assert!(other.ask("registration").starts_with(&pid), "{name}");
            }
        }
        // The third process.
        let event = Event::manual(&three._place.domain()).unwrap();
        kind.socket.event_select(&event, kind.event).unwrap();
        (kind.provoke)();
        assert!(event.wait(Some(LONG)).unwrap(), "{name}");
        assert_eq!(three.a.ask(&format!("wait {BRIEFLY}")), "false", "{name}");
        assert_eq!(three.b.ask(&format!("wait {BRIEFLY}")), "false", "{name}");
    }
}

#[test]
fn r10_the_last_async_select_in_whatever_process_has_the_registration() {
    let mut three = Three::new("r10-message");
    for mut kind in kinds() {
        three.share(&kind.socket);
        let Three { a, b, .. } = &mut three;
        let (name, select) = (kind.name, format!("async-select 7 {}", kind.event.bits()));
        let message = format!("7 {} 0", kind.event);
        for owner_is_a in [true, false, true] {
            let (owner, other) = if owner_is_a { (&mut *a, &mut *b) } else { (&mut *b, &mut *a) };
            ok(owner, &select);
            (kind.provoke)();
            assert_eq!(owner.ask(&format!("get {AWAIT}")), message, "{name}");
            assert_eq!(other.ask(&format!("get {BRIEFLY}")), "none", "{name}");
            ok(owner, kind.consume);
        }
        // An event object takes over from a queue, and a queue from an event object.
        ok(&mut three.b, &format!("event-select {}", kind.event.bits()));
        (kind.provoke)();
        assert_eq!(three.b.ask(&format!("wait {AWAIT}")), "true", "{name}");
        assert_eq!(three.a.ask(&format!("get {BRIEFLY}")), "none", "{name}");
        assert_eq!(three.b.ask("enumerate"), kind.event.to_string(), "{name}");
        let queue = MessageQueue::new(&three._place.domain()).unwrap();
        kind.socket.async_select(&queue, 9, kind.event).unwrap();
        let first = queue.get_within(LONG).unwrap();
        assert!(matches!(first, Some(Message::Network { id: 9, event, .. }) if event == kind.event), "{name}");
        assert_eq!(three.b.ask(&format!("wait {BRIEFLY}")), "false", "{name}");
    }
}

#[test]
fn r10_cancelling_through_any_descriptor_cancels() {
    let (mut three, mut client, socket) = connection("r10-cancel");
    for cancel in ["cancel", "event-select 0", "async-select 7 0"] {
        ok(&mut three.a, &format!("event-select {READ}"));
        ok(&mut three.b, cancel);
        assert_eq!(three.a.ask("registration"), "none");
        client.write_all(b"x").unwrap();
        assert_eq!(three.a.ask(&format!("wait {BRIEFLY}")), "false");
        assert_eq!(three.a.ask("enumerate"), "none");
        ok(&mut three.a, "take 8");
    }
    ok(&mut three.a, &format!("event-select {READ}"));
    socket.cancel_select().unwrap();
    ok(&mut three.b, "blocking");
}

#[test]
fn r10_back_to_blocking_is_refused_in_every_process() {
    let (mut three, _client, socket) = connection("r10-blocking");
    ok(&mut three.a, &format!("event-select {READ}"));
    assert!(socket.as_socket().nonblocking().unwrap());
    assert_eq!(socket.set_nonblocking(false), Err(Error::Registered));
    assert_eq!(three.b.ask("blocking"), format!("error {}", Error::Registered));
}

#[test]
fn r11_one_process_cannot_be_told_fd_read_while_another_is_told_fd_write() {
    for (select, wait) in [("event-select", "wait"), ("async-select 7", "get")] {
        let (mut three, mut client, _socket) = connection("r11");
        let silent = if wait == "wait" { "false" } else { "none" };
        ok(&mut three.a, &format!("{select} {READ}"));
        ok(&mut three.b, &format!("{select} {WRITE}"));
        assert_ne!(three.b.ask(&format!("{wait} {AWAIT}")), silent);
        if wait == "wait" {
            assert_eq!(three.b.ask("enumerate"), "WRITE");
        }
        client.write_all(b"x").unwrap();
        assert_eq!(three.a.ask(&format!("{wait} {BRIEFLY}")), silent, "it lost the registration");
        assert_eq!(three.b.ask(&format!("{wait} {BRIEFLY}")), silent, "it did not ask for FD_READ");
        // Who wants both asks for both.
        ok(&mut three.a, &format!("{select} {}", READ | WRITE));
        assert_ne!(three.a.ask(&format!("{wait} {AWAIT}")), silent);
    }
}

#[test]
fn enumerating_through_any_descriptor_consumes() {
    let (mut three, mut client, _socket) = connection("enumerate-elsewhere");
    ok(&mut three.a, &format!("event-select {READ}"));
    client.write_all(b"x").unwrap();
    assert_eq!(three.a.ask(&format!("wait {AWAIT}")), "true");
    assert_eq!(three.b.ask("enumerate"), "READ");
    assert_eq!(three.a.ask("enumerate"), "none");
    // What nobody has waited for yet is found there, too.
    ok(&mut three.b, "take 8");
    client.write_all(b"y").unwrap();
    while three.b.ask("enumerate") != "READ" {}
}

#[test]
fn receiving_in_another_process_re_enables_and_wakes_the_owner() {
    for (select, wait, told) in [("event-select", "wait", "true"), ("async-select 7", "get", "7 READ 0")] {
        let (mut three, mut client, _socket) = connection("re-enable-read");
        ok(&mut three.a, &format!("{select} {READ}"));
        client.write_all(b"abc").unwrap();
        assert_eq!(three.a.ask(&format!("{wait} {AWAIT}")), told);
        for _ in 0..2 {
            if wait == "wait" {
                assert_eq!(three.a.ask("enumerate"), "READ");
            }
            // It waits already when the other receives.
            three.a.tell(&format!("{wait} {AWAIT}"));
            ok(&mut three.b, "take 1");
            assert_eq!(three.a.answer(), told);
        }
        if wait == "wait" {
            assert_eq!(three.a.ask("enumerate"), "READ");
        }
        ok(&mut three.b, "take 8");
        assert_ne!(three.a.ask(&format!("{wait} {BRIEFLY}")), told);
    }
}

#[test]
fn accepting_in_another_process_re_enables_and_wakes_the_owner() {
    let mut three = Three::new("re-enable-accept");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    three.share(&listener.into());
    ok(&mut three.a, &format!("event-select {ACCEPT}"));
    let _clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(three.a.ask(&format!("wait {AWAIT}")), "true");
    assert_eq!(three.a.ask("enumerate"), "ACCEPT");
    three.a.tell(&format!("wait {AWAIT}"));
    // An accepted socket has the listener's registration in the process that has it, and none in another.
    assert_eq!(three.b.ask("accept-one"), "ok None");
    assert_eq!(three.a.answer(), "true");
    assert_eq!(three.a.ask("enumerate"), "ACCEPT");
    let pid = three.a.pid();
    assert_eq!(three.a.ask("accept-one"), format!("ok Some({pid})"));
}

#[test]
fn a_send_that_would_block_in_another_process_has_the_owner_told_of_room() {
    let (mut three, mut client, _socket) = connection("re-enable-write");
    ok(&mut three.a, &format!("event-select {WRITE}"));
    assert_eq!(three.a.ask(&format!("wait {AWAIT}")), "true");
    assert_eq!(three.a.ask("enumerate"), "WRITE");
    three.a.tell(&format!("wait {AWAIT}"));
    let sent = three.b.ask("fill");
    let mut bytes = vec![0; sent.strip_prefix("ok ").unwrap().parse().unwrap()];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(three.a.answer(), "true");
    assert_eq!(three.a.ask("enumerate"), "WRITE");
}

#[test]
fn the_death_of_the_owner_frees_the_registration_and_leaves_the_socket() {
    let (mut three, mut client, socket) = connection("owner-dies");
    ok(&mut three.a, &format!("event-select {READ}"));
    client.write_all(b"x").unwrap();
    assert_eq!(three.a.ask(&format!("wait {AWAIT}")), "true");
    three.a.kill();
    assert_eq!(three.b.ask("registration"), "none");
    ok(&mut three.b, "blocking");
    // Input that the dead process may have been told of is told to the next.
    ok(&mut three.b, &format!("event-select {READ}"));
    assert_eq!(three.b.ask(&format!("wait {AWAIT}")), "true");
    assert_eq!(three.b.ask("enumerate"), "READ");
    assert_eq!((&socket).read(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn ringing_a_dead_owner_frees_its_registration() {
    let (mut three, mut client, _socket) = connection("owner-dead");
    ok(&mut three.a, &format!("event-select {READ}"));
    three.a.kill();
    client.write_all(b"ab").unwrap();
    ok(&mut three.b, "take 1");
    assert_eq!(three.b.ask("registration"), "none");
}

#[test]
fn who_wants_to_hear_of_a_take_over_does() {
    let (mut three, _client, _socket) = connection("hear");
    ok(&mut three.a, "hear-losses");
    ok(&mut three.a, &format!("event-select {READ}"));
    three.a.tell(&format!("losses {AWAIT}"));
    ok(&mut three.b, &format!("event-select {READ}"));
    assert_eq!(three.a.answer(), "true 1");
    ok(&mut three.a, &format!("async-select 7 {READ}"));
    ok(&mut three.b, &format!("async-select 7 {READ}"));
    assert!(three.a.ask(&format!("get {AWAIT}")).starts_with("TakenOver"));
    // The other does not want to.
    assert_eq!(three.b.ask(&format!("losses {BRIEFLY}")), "false 0");
}

#[test]
fn nobody_spins_when_a_registered_socket_lives_on_elsewhere() {
    let (mut three, mut client, socket) = connection("spin");
    let Three { a, b, endpoint, .. } = &mut three;
    // Closed, handed off, and taken over; its duplicates live on.
    for lose in ["close", "hand-off", "taken over"] {
        let info = endpoint.duplicate(&socket, a.pid()).unwrap();
        assert!(a.ask(&format!("redeem {info}")).starts_with("ok"));
        ok(a, &format!("event-select {READ}"));
        match lose {
            "close" => ok(a, "close"),
            "hand-off" => {
                ok(b, "receiver");
                ok(a, &format!("hand-off {} bytes", b.pid()));
                assert!(b.ask("receive").starts_with("ok"));
            }
            _ => ok(b, &format!("event-select {READ}")),
        }
        client.write_all(b"unread").unwrap();
        a.tell("cpu 500");
        for _ in 0..100 {
            client.write_all(b"more").unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        let busy: u64 = a.answer().parse().unwrap();
        assert!(busy < 100, "{lose}: {busy} of 500 ms were spent");
        ok(b, "take 65536");
    }
}

#[test]
fn two_processes_that_fight_for_a_registration_end_with_one_owner_who_is_told() {
    let rounds: u32 = std::env::var("SHARESOCK_FIGHTS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let (mut three, mut client, _socket) = connection("fight");
    let Three { a, b, .. } = &mut three;
    for peer in [&mut *a, &mut *b] {
        peer.tell(&format!("fight {rounds}"));
    }
    assert_eq!((a.answer(), b.answer()), ("ok".to_owned(), "ok".to_owned()));
    let (of_a, of_b) = (a.ask("registration"), b.ask("registration"));
    assert_eq!(of_a, of_b);
    let owner_is_a = of_a.starts_with(&format!("{} ", a.pid()));
    let (owner, other) = if owner_is_a { (a, b) } else { (b, a) };
    assert!(of_b.starts_with(&format!("{} READ false", owner.pid())), "{of_b}");
    client.write_all(b"x").unwrap();
    assert_eq!(owner.ask(&format!("wait {AWAIT}")), "true");
    assert_eq!(owner.ask("enumerate"), "READ");
    assert_eq!(other.ask(&format!("wait {BRIEFLY}")), "false");
}
