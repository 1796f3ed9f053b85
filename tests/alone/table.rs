//! The table of events under processes that are killed, and under members of the domain that spoil it.
//!
//! `SHARESOCK_SEED` repeats a run of the campaign, `SHARESOCK_KILLS` sets how many are killed.
#![allow(unsafe_code)] // A hostile member writes to the memory directly.

use crate::occurring::{LONG, expect};
use crate::peer::{Peer, Place, pair, wait_for_end};
use sharesock::{Direction, Error, Event, NetworkEvents, Socket, Turn};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
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
    in_a_process_of_its_own!();
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
    let of_others: Vec<_> = names().filter(|name| !name.starts_with(&format!("{}-", std::process::id()))).collect();
    assert!(of_others.is_empty(), "{of_others:?}");
}

#[test]
fn whoever_is_killed_while_it_makes_the_table_the_next_makes_it_and_no_memory_is_left() {
    in_a_process_of_its_own!();
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
fn there_is_one_table_though_all_names_in_the_domain_are_removed() {
    in_a_process_of_its_own!();
    let place = Place::new("table-removed");
    let (mut peer, _client) = attached(&place);
    for _ in 0..3 {
        let endpoint = place.endpoint();
        let (mut client, socket) = pair();
        let info = endpoint.duplicate(&socket, peer.pid()).unwrap();
        assert!(peer.ask(&format!("redeem {info}")).starts_with("ok"));
        assert_eq!(peer.ask("event-select 1"), "ok");
        for name in fs::read_dir(place.path()).unwrap().flatten() {
            let name = name.path();
            // Its own names are what a process is reached by.
            if !name.file_name().unwrap().to_str().unwrap().starts_with(&peer.pid().to_string()) {
                fs::remove_file(name).unwrap();
            }
        }
        let event = Event::manual(&place.domain()).unwrap();
        works(&mut client, &socket, &event);
        assert_eq!(peer.ask("registration"), format!("{} READ false", std::process::id()));
        drop(event);
        peer_works(&mut peer, &mut client);
    }
}

#[test]
fn a_turn_is_held_once_though_its_file_is_removed() {
    in_a_process_of_its_own!();
    let place = Place::new("turn-file");
    let (domain, file) = (place.domain(), place.path().join("turns"));
    let (_client, socket) = pair();
    let take = || Turn::try_take(&domain, &socket, Direction::Receive).unwrap();
    let first = take().unwrap();
    for _ in 0..2 {
        fs::remove_file(&file).unwrap();
        assert!(take().is_none());
        assert!(Turn::try_take(&domain, &socket, Direction::Send).unwrap().is_some());
    }
    // Two that wait: one at the file that was removed, one at the new one. Each has it alone.
    let waiting = |turn: Result<Turn, Error>| {
        let alone = turn.unwrap();
        assert!(take().is_none());
        drop(alone);
    };
    std::thread::scope(|scope| {
        scope.spawn(|| waiting(Turn::take(&domain, &socket, Direction::Receive)));
        scope.spawn(|| waiting(Turn::take(&domain, &socket, Direction::Receive)));
        fs::remove_file(&file).unwrap();
        scope.spawn(|| waiting(Turn::take(&domain, &socket, Direction::Receive)));
        drop(first);
    });
    assert!(take().is_some());
}

#[test]
fn whoever_starts_while_the_last_ends_gets_a_table_and_no_error() {
    in_a_process_of_its_own!();
    let place = Place::new("table-end");
    let start = || {
        let mut peer = Peer::start_without_endpoint(&place);
        assert_eq!(peer.ask("socket"), "ok");
        peer
    };
    let mut peers: Vec<Peer> = (0..8).map(|_| start()).collect();
    for round in 0..15 {
        // They attach it at once, and end at once; those who come meanwhile find it, or make it.
        peers.iter_mut().for_each(|peer| peer.tell("event-select 1"));
        let mut next: Vec<Peer> = (0..8).map(|_| start()).collect();
        next.iter_mut().for_each(|peer| peer.tell("event-select 1"));
        for peer in &mut peers {
            assert_eq!(peer.answer(), "ok", "round {round}");
            peer.kill();
        }
        next.iter_mut().for_each(|peer| assert_eq!(peer.answer(), "ok", "round {round}"));
        // The last of these ends while the first of the others starts.
        let mut last = start();
        drop(next);
        assert_eq!(last.ask("event-select 1"), "ok", "round {round}");
        peers = (0..7).map(|_| start()).collect();
        peers.push(start());
    }
}

#[test]
fn a_member_that_is_stopped_whatever_it_did_keeps_nobody() {
    in_a_process_of_its_own!();
    let mut random = random();
    let place = Place::new("table-stopped");
    let domain = place.domain();
    let mut peer = Peer::start_without_endpoint(&place);
    assert_eq!(peer.ask("storm-of-new"), "ok");
    let signal = |signal| {
        let pid = rustix::process::Pid::from_raw(peer.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    };
    for round in 0..variable("SHARESOCK_KILLS", 300) {
        std::thread::sleep(Duration::from_micros(random(500)));
        signal(rustix::process::Signal::STOP);
        let event = Event::manual(&domain).unwrap();
        for _ in 0..4 {
            let (mut client, socket) = pair();
            if let Err(error) = socket.event_select(&event, READ) {
                panic!("round {round}: {error}");
            }
            works(&mut client, &socket, &event);
        }
        signal(rustix::process::Signal::CONT);
    }
    assert!(peer.ask("calm").starts_with("ok"));
}

#[test]
fn whoever_is_stopped_while_it_makes_the_table_keeps_nobody() {
    in_a_process_of_its_own!();
    let mut random = random();
    for _ in 0..60 {
        let place = Place::new("table-half-made");
        let mut peer = Peer::start_without_endpoint(&place);
        peer.tell("storm-of-new");
        std::thread::sleep(Duration::from_micros(random(400)));
        let pid = rustix::process::Pid::from_raw(peer.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
        // Made here, or there: it is one, and that of both.
        let event = Event::manual(&place.domain()).unwrap();
        let (mut client, socket) = pair();
        works(&mut client, &socket, &event);
        rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
        assert_eq!(peer.answer(), "ok");
        let endpoint = place.endpoint();
        assert_eq!((peer.ask("calm").get(..2), peer.ask("open")), (Some("ok"), "ok".to_owned()));
        let info = endpoint.duplicate(&socket, peer.pid()).unwrap();
        assert!(peer.ask(&format!("redeem {info}")).starts_with("ok"));
        assert_eq!(peer.ask("registration"), format!("{} READ false", std::process::id()));
    }
}

#[test]
fn a_member_that_keeps_the_directory_locked_is_an_error() {
    in_a_process_of_its_own!();
    let place = Place::new("table-locked");
    let folder = fs::File::open(place.path()).unwrap();
    // SAFETY: the lock is plain numbers, and the descriptor is open.
    unsafe {
        let mut lock: libc::flock64 = std::mem::zeroed();
        lock.l_type = libc::F_RDLCK.try_into().unwrap();
        assert_eq!(libc::fcntl(folder.as_raw_fd(), libc::F_OFD_SETLK, &raw mut lock), 0);
    }
    let event = Event::manual(&place.domain()).unwrap();
    let refused = pair().1.event_select(&event, READ).unwrap_err();
    assert!(matches!(refused, Error::BadTable { why, .. } if why.contains("locked")), "{refused}");
    assert_eq!(refused.winsock_code(), 10050);
    // What does without the table goes on without it.
    let (mut client, socket) = pair();
    socket.join(&place.domain()).unwrap();
    client.write_all(b"x").unwrap();
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 1);
    drop(folder);
    works_here(&place);
}

/// Attaches the memory past the library.
fn scribble(place: &Place, mut write: impl FnMut(&mut [u64])) {
    let folder = fs::File::open(place.path()).unwrap();
    // SAFETY: both are plain numbers, and the kernel fills them; the descriptor is open.
    let (number, words) = unsafe {
        // Whoever has it attached shows it by a lock on the directory.
        let mut lock: libc::flock64 = std::mem::zeroed();
        (lock.l_type, lock.l_start) = (libc::F_WRLCK.try_into().unwrap(), 1 << 62);
        assert_eq!(libc::fcntl(folder.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock), 0);
        let number = i32::try_from(lock.l_start & 0xffff_ffff).unwrap();
        let mut status: libc::shmid_ds = std::mem::zeroed();
        assert_eq!(libc::shmctl(number, libc::IPC_STAT, &raw mut status), 0);
        (number, status.shm_segsz / 8)
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
    in_a_process_of_its_own!();
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
    in_a_process_of_its_own!();
    let place = Place::new("table-zeroes");
    let (mut peer, mut client) = attached(&place);
    scribble(&place, |words| words.get_mut(8..).unwrap().fill(0));
    assert_eq!(peer.ask("registration"), "none");
    assert_eq!(peer.ask("event-select 1"), "ok");
    client.write_all(b"x").unwrap();
    let _ = LONG;
    assert_eq!(peer.ask("wait 20000"), "true");
}
