//! The table of events under processes that are killed, and under members of the domain that spoil it.
//!
//! `SHARESOCK_SEED` repeats a run of the campaign, `SHARESOCK_KILLS` sets how many are killed.
#![cfg(target_os = "linux")]
#![allow(unsafe_code)] // A hostile member writes to the memory directly.

mod occurring;
mod peer;

use occurring::{LONG, expect};
use peer::{Peer, Place, pair, wait_for_end};
use sharesock::{Error, Event, NetworkEvents, Socket};
use std::fs;
use std::io::Write;
use std::time::Duration;

const READ: NetworkEvents = NetworkEvents::READ;

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A seeded source of numbers below a bound.
fn random() -> impl FnMut(u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut seed = variable("SHARESOCK_SEED", u64::from(now.subsec_nanos()) | 1);
    println!("SHARESOCK_SEED={seed}");
    move |below| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    }
}

/// Registering, receiving and enumerating work in this process.
#[track_caller]
fn works_here(place: &Place) {
    let event = Event::manual(&place.domain()).unwrap();
    let (mut client, socket) = pair();
    works(&mut client, &socket, &event);
}

#[track_caller]
fn works(client: &mut impl Write, socket: &Socket, event: &Event) {
    socket.event_select(event, READ).unwrap();
    event.reset().unwrap();
    client.write_all(b"abc").unwrap();
    expect(socket, event, READ);
    assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    expect(socket, event, READ);
    while socket.recv(&mut [0; 64]).is_ok() {}
    assert!(socket.enum_network_events(Some(event)).unwrap().is_empty());
}

/// A peer that has the table attached, and a registration.
fn attached(place: &Place) -> (Peer, std::net::TcpStream) {
    let (endpoint, mut peer) = (place.endpoint(), Peer::start(place));
    let (client, socket) = pair();
    let info = endpoint.duplicate(&socket, peer.pid()).unwrap();
    assert!(peer.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(peer.ask("event-select 1"), "ok");
    (peer, client)
}

fn peer_works(peer: &mut Peer, client: &mut impl Write) {
    client.write_all(b"x").unwrap();
    assert_eq!(peer.ask("event-select 1"), "ok");
    assert_eq!(peer.ask("wait 20000"), "true");
    assert_eq!(peer.ask("enumerate"), "READ");
    assert_eq!(peer.ask("take 64"), "ok 1");
    assert_eq!(peer.ask("enumerate"), "none");
}

#[test]
fn whoever_is_killed_whatever_it_did_the_others_register_receive_and_enumerate() {
    let mut random = random();
    let place = Place::new("table-kill");
    let endpoint = place.endpoint();
    let mut survivor = Peer::start(&place);
    let before = survivor.ask("descriptors");
    for round in 0..variable("SHARESOCK_KILLS", 300) {
        let mut victim = Peer::start(&place);
        let (mut client, socket) = pair();
        for peer in [&mut survivor, &mut victim] {
            let info = endpoint.duplicate(&socket, peer.pid()).unwrap();
            assert!(peer.ask(&format!("redeem {info}")).starts_with("ok"));
            assert_eq!(peer.ask(&format!("storm {}", random(u64::MAX) | 1)), "ok");
        }
        let _ = client.write_all(b"some input");
        std::thread::sleep(Duration::from_micros(random(3000)));
        victim.kill();
        let calm = survivor.ask("calm");
        assert!(calm.starts_with("ok"), "round {round}: {calm}");
        // The survivor, then a third process.
        assert_eq!(survivor.ask("event-select 1"), "ok");
        assert!(survivor.ask("registration").starts_with(&survivor.pid().to_string()), "round {round}");
        let event = Event::manual(&place.domain()).unwrap();
        socket.event_select(&event, READ).unwrap();
        while socket.recv(&mut [0; 64]).is_ok() {}
        socket.enum_network_events(Some(&event)).unwrap();
        works(&mut client, &socket, &event);
        drop(socket);
        assert_eq!((survivor.ask("close"), survivor.ask("no-events")), ("ok".to_owned(), "ok".to_owned()));
        wait_for_end(&mut client);
        // What it has now, it has once: the table's file and the socket that wakes others.
        let left: usize = survivor.ask("descriptors").parse().unwrap();
        assert!(left <= before.parse::<usize>().unwrap() + 6, "round {round}: {left} descriptors, {before} before");
    }
    survivor.kill();
    drop(endpoint);
    // Whoever comes next removes the names of the dead.
    let _endpoint = place.endpoint();
    let names = || fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let of_others: Vec<_> =
        names().filter(|name| name != "events" && !name.starts_with(&format!("{}-", std::process::id()))).collect();
    assert!(of_others.is_empty(), "{of_others:?}");
}

#[test]
fn whoever_is_killed_while_it_makes_the_table_the_next_makes_it_and_no_memory_is_left() {
    let mut random = random();
    for _ in 0..60 {
        let place = Place::new("table-birth");
        let mut victim = Peer::start(&place);
        assert_eq!(victim.ask("socket"), "ok");
        victim.tell("event-select 1");
        std::thread::sleep(Duration::from_micros(random(400)));
        victim.kill();
        works_here(&place);
    }
    // Those that nobody can attach any more are removed by whoever makes a table.
    works_here(&Place::new("table-birth-last"));
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let abandoned = segments.lines().skip(1).filter(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        fields[0].parse::<i64>().is_ok_and(|key| key >> 16 == 0x5348) && fields[6] == "0"
    });
    assert_eq!(abandoned.count(), 0, "{segments}");
}

#[test]
fn a_file_that_holds_something_else_is_replaced_when_nobody_uses_the_table() {
    let place = Place::new("table-file");
    let file = place.path().join("events");
    for contents in [&b""[..], b"shareev", b"noise", &[0xff; 4096], b"shareev\x02 of another version  "] {
        fs::write(&file, contents).unwrap();
        works_here(&place);
    }
}

#[test]
fn a_file_that_is_spoilt_while_the_table_is_used_is_an_error_for_others_and_nothing_for_those_who_use_it() {
    let place = Place::new("table-spoilt");
    let (mut peer, mut client) = attached(&place);
    let file = place.path().join("events");
    let whole = fs::read(&file).unwrap();
    let other_version = [b"shareev\x02", whole.get(8..).unwrap()].concat();
    let gone = [whole.get(..8).unwrap(), &[0xff, 0xff, 0xff, 0x7f], whole.get(12..).unwrap()].concat();
    for (contents, why) in
        [(&b""[..], "something else"), (b"noise", "something else"), (&other_version, "version"), (&gone, "namespace")]
    {
        fs::write(&file, contents).unwrap();
        let event = Event::manual(&place.domain()).unwrap();
        let refused = pair().1.event_select(&event, READ).unwrap_err();
        assert!(matches!(refused, Error::BadTable { why: found, .. } if found.contains(why)), "{refused}");
        assert_eq!(refused.winsock_code(), 10050);
        peer_works(&mut peer, &mut client);
        // What does without the table goes on without it.
        let (mut client, socket) = pair();
        socket.join(&place.domain()).unwrap();
        client.write_all(b"x").unwrap();
        assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    }
    fs::write(&file, &whole).unwrap();
    works_here(&place);
}

#[test]
fn a_member_that_keeps_the_table_locked_is_an_error() {
    let place = Place::new("table-locked");
    works_here(&place);
    let file = fs::File::options().read(true).write(true).open(place.path().join("events")).unwrap();
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let event = Event::manual(&place.domain()).unwrap();
    let refused = pair().1.event_select(&event, READ).unwrap_err();
    assert!(matches!(refused, Error::BadTable { why, .. } if why.contains("locked")), "{refused}");
    drop(file);
    works_here(&place);
}

/// Attaches the memory past the library.
fn scribble(place: &Place, mut write: impl FnMut(&mut [u64])) {
    let file = fs::read(place.path().join("events")).unwrap();
    let number = i32::from_le_bytes(*file.get(8..).unwrap().first_chunk().unwrap());
    // SAFETY: `status` is plain numbers, and the kernel fills it.
    let words = unsafe {
        let mut status: libc::shmid_ds = std::mem::zeroed();
        assert_eq!(libc::shmctl(number, libc::IPC_STAT, &raw mut status), 0);
        status.shm_segsz / 8
    };
    // SAFETY: the segment is attached here and detached at the end; that others write to it at once is the point.
    unsafe {
        let at = libc::shmat(number, std::ptr::null(), 0);
        assert_ne!(at.addr(), usize::MAX);
        write(std::slice::from_raw_parts_mut(at.cast(), words));
        libc::shmdt(at);
    }
}

#[test]
fn memory_full_of_noise_ends_nobody_and_nobody_spins() {
    let mut random = random();
    let place = Place::new("table-noise");
    let (mut peer, mut client) = attached(&place);
    for round in 0..16 {
        scribble(&place, |words| match round % 4 {
            0 => words.fill(u64::MAX),
            1 => words.fill(0),
            2 => words.iter_mut().step_by(4).for_each(|word| *word = random(u64::MAX)),
            _ => (0..100_000).for_each(|_| {
                let at = usize::try_from(random(words.len() as u64)).unwrap();
                words[at] ^= 1 << random(64);
            }),
        });
        // Every one of these answers, be it with an error.
        for command in
            ["event-select 1", "wait 0", "enumerate", "registration", "take 8", "async-select 7 63", "get 0", "cancel"]
        {
            let _ = client.write_all(b"x");
            let _answer = peer.ask(command);
        }
        let busy: u64 = peer.ask("cpu 50").parse().unwrap_or(0);
        assert!(busy < 40, "round {round}: {busy} of 50 ms were spent");
    }
    // When all who use it have ended, the next makes a new one.
    drop(peer);
    works_here(&place);
}

#[test]
fn a_registration_lost_by_noise_is_made_anew() {
    let place = Place::new("table-zeroes");
    let (mut peer, mut client) = attached(&place);
    scribble(&place, |words| words.get_mut(8..).unwrap().fill(0));
    assert_eq!(peer.ask("registration"), "none");
    assert_eq!(peer.ask("event-select 1"), "ok");
    client.write_all(b"x").unwrap();
    let _ = LONG;
    assert_eq!(peer.ask("wait 20000"), "true");
}
