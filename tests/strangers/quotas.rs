//! No source, sender or stranger takes what others need.

use crate::peer::{Peer, Place, at_end, pair, wait_for_end};
use crate::stranger::{SUFFIXES, Victim, hello, is_closed, send};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use sharesock::{Endpoint, Error, Parcel, Process, Sender, Socket};
use std::time::Duration;

fn socket() -> Socket {
    Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None).unwrap()
}

#[test]
fn ended_sources_do_not_fill_an_endpoint() {
    let mut victim = Victim::with_few_descriptors("ended-sources", 160);
    let (mut client, socket) = pair();
    for n in 0..150 {
        let mut source = Peer::start(&victim.place);
        assert_eq!(source.ask("socket"), "ok");
        // Nobody ever learns of the first.
        let lost = source.ask(&format!("duplicate {}", victim.peer.pid()));
        let info = source.ask(&format!("duplicate {}", victim.peer.pid()));
        assert!(lost.starts_with("ok"));
        source.kill();
        let answer = victim.peer.ask(&format!("redeem {}", &info[3..]));
        assert!(answer.starts_with("ok"), "source {n}: {answer}");
    }
    let info = victim.endpoint.duplicate(&socket, victim.peer.pid()).unwrap();
    drop(socket);
    assert!(victim.peer.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(victim.peer.ask("close"), "ok");
    wait_for_end(&mut client);
    victim.is_well();
}

#[test]
fn what_one_source_leaves_unredeemed_leaves_room_for_others() {
    let mut victim = Victim::with_few_descriptors("unredeemed", 120);
    let mut other = Peer::start(&victim.place);
    assert_eq!(other.ask("socket"), "ok");
    let socket = socket();
    let infos: Vec<_> = (0..300).map(|_| victim.endpoint.duplicate(&socket, victim.peer.pid()).unwrap()).collect();
    // It looks for the last, and finds all before.
    let answer = victim.peer.ask(&format!("redeem {}", infos[299]));
    assert!(answer.contains("duplicates wait here unredeemed"), "{answer}");
    for _ in 0..3 {
        let info = other.ask(&format!("duplicate {}", victim.peer.pid()));
        assert!(victim.peer.ask(&format!("redeem {}", &info[3..])).starts_with("ok"));
    }
    // It can do something about it, and then all arrive.
    for info in &infos {
        let answer = victim.peer.ask(&format!("redeem {info}"));
        assert!(answer.starts_with("ok"), "{answer}");
    }
    victim.is_well();
}

#[test]
fn silent_links_do_not_keep_others_out() {
    for limit in [200, 500, 1024] {
        let mut victim = Victim::with_few_descriptors("silent", limit);
        let mut links = Vec::new();
        for _ in 0..3 {
            for suffix in SUFFIXES {
                links.extend((0..600).map(|_| victim.connect(suffix)));
            }
            victim.is_well();
        }
        drop(links);
        victim.is_well();
    }
}

#[test]
fn a_process_claims_over_so_many_links_and_no_more() {
    let mut victim = Victim::new("claiming");
    let me = hello(&Process::current().unwrap());
    let greeted = |_| {
        let link = victim.connect("-claims");
        send(&link, &me, &[]);
        link
    };
    let links: Vec<_> = (0..1030).map(greeted).collect();
    // In the order in which they came.
    links[1024..].iter().for_each(|link| assert!(is_closed(link)));
    let nothing = |link: &OwnedFd| recv(link, &mut [0_u8; 64], RecvFlags::DONTWAIT).err() == Some(Errno::AGAIN);
    assert!(links[..1024].iter().all(nothing), "some of the first were closed, too");
    drop(links);
    victim.is_well();
}

#[test]
fn a_link_that_says_nothing_is_closed_after_a_while() {
    let victim = Victim::new("silence");
    let link = victim.connect("-claims");
    assert!(is_closed(&link));
}

#[test]
fn too_many_senders_of_one_process_are_turned_away_with_what_they_sent() {
    let place = Place::new("turned-away");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let me = std::process::id();
    let mut senders = Vec::new();
    let (mut taken, mut turned_away) = (0, 0);
    for n in 0..300 {
        let sender = endpoint.sender(me).unwrap();
        let (mut client, socket) = pair();
        sender.hand_off(socket).unwrap();
        match receiver.try_receive().unwrap() {
            Some(parcel) => {
                taken += 1;
                drop(parcel);
                sender.flush(Duration::ZERO).unwrap();
            }
            None => {
                turned_away += 1;
                // Asked; otherwise it may be taken for open for a moment.
                assert!(sender.is_closed());
                let refused = sender.hand_off(pair().1).unwrap_err();
                assert_eq!(refused.error, Error::TurnedAway { pid: me }, "sender {n}");
                assert_eq!(sender.flush(Duration::ZERO), Err(Error::TurnedAway { pid: me }));
                assert!(!at_end(&mut client));
                let back = sender.reclaim();
                assert_eq!(back.len(), 1);
                drop(back);
                wait_for_end(&mut client);
                continue;
            }
        }
        wait_for_end(&mut client);
        senders.push(sender);
    }
    assert_eq!((taken, turned_away), (256, 44));
    // Those that are there go on, another process is let in, and one that is dropped makes room.
    senders[0].hand_off(socket()).unwrap();
    assert!(receiver.receive().is_ok());
    let mut other = Peer::start(&place);
    assert_eq!(other.ask("socket"), "ok");
    assert_eq!(other.ask(&format!("hand-off {me} other")), "ok");
    assert_eq!(receiver.receive().unwrap().bytes(), b"other");
    drop(senders.pop());
    assert!(receiver.try_receive().unwrap().is_none());
    endpoint.sender(me).unwrap().hand_off(socket()).unwrap();
    assert!(receiver.receive().is_ok());
}

/// A receiver with as many queues as it may have, while one more waits: its peer, the senders and the last client.
fn full_receiver(place: &Place, endpoint: &Endpoint) -> (Peer, Vec<Sender>, String) {
    // It may have a queue for every four descriptors.
    let mut worker =
        Peer::from_command(&mut Peer::command_by(place, "prlimit", &["--nofile=64:256"]), std::process::Command::spawn);
    assert_eq!(worker.ask("receiver"), "ok");
    let mut senders = Vec::new();
    for n in 0..17 {
        let sender = endpoint.sender(worker.pid()).unwrap();
        let (_client, socket) = pair();
        let expected = format!("ok {}", socket.id().unwrap().as_u64());
        sender.hand_off(socket).unwrap();
        senders.push(sender);
        if n == 16 {
            return (worker, senders, expected);
        }
        assert_eq!(worker.ask("try-receive"), expected);
    }
    unreachable!()
}

#[test]
fn a_receiver_with_as_many_queues_as_it_may_have_sleeps_until_one_goes() {
    let place = Place::new("full-receiver");
    let endpoint = place.endpoint();
    let (mut worker, mut senders, expected) = full_receiver(&place, &endpoint);
    for _ in 0..3 {
        assert_eq!(worker.ask("try-receive"), "ok nothing");
        assert_eq!(worker.ask("is-woken"), "ok false");
    }
    // Those that it has go on.
    let (_client, socket) = pair();
    let other = format!("ok {}", socket.id().unwrap().as_u64());
    senders[3].hand_off(socket).unwrap();
    assert_eq!(worker.ask("is-woken"), "ok true");
    assert_eq!(worker.ask("try-receive"), other);
    assert_eq!(worker.ask("is-woken"), "ok false");
    drop(senders.remove(5));
    assert_eq!(worker.ask("is-woken"), "ok true");
    assert_eq!(worker.ask("try-receive"), expected);
}

#[test]
fn a_receiver_whose_limit_of_descriptors_is_raised_lets_in_those_that_wait() {
    let place = Place::new("raised-limit");
    let endpoint = place.endpoint();
    for waits in [false, true] {
        let (mut worker, _senders, expected) = full_receiver(&place, &endpoint);
        assert_eq!(worker.ask("try-receive"), "ok nothing");
        let pid = rustix::process::Pid::from_raw(worker.pid().try_into().unwrap());
        let raised = rustix::process::Rlimit { current: Some(256), maximum: Some(256) };
        let raise = || rustix::process::prlimit(pid, rustix::process::Resource::Nofile, raised).unwrap();
        if waits {
            worker.tell("receive");
            while !waits_in_epoll(worker.pid()) {
                std::thread::yield_now();
            }
            raise();
            assert_eq!(worker.answer().trim_end(), expected);
        } else {
            raise();
            assert_eq!(worker.ask("try-receive"), expected);
        }
    }
}

#[test]
fn waiting_for_as_long_as_there_is_waits_for_the_next_parcel() {
    let place = Place::new("for-ever");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| receiver.receive_within(Duration::MAX).unwrap().unwrap());
        while !waits_in_epoll(std::process::id()) {
            std::thread::yield_now();
        }
        sender.hand_off(Parcel::new(socket()).with_bytes(b"late")).unwrap();
        assert_eq!(waiting.join().unwrap().bytes(), b"late");
    });
}

/// Whether a thread of a process waits for a parcel.
fn waits_in_epoll(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let call = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("syscall")).unwrap_or_default();
    let waits = [libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2].map(|number| format!("{number} "));
    #[cfg(target_arch = "x86_64")]
    let also = format!("{} ", libc::SYS_epoll_wait);
    #[cfg(not(target_arch = "x86_64"))]
    let also = waits[0].clone();
    tasks.map(call).any(|call| waits.iter().chain([&also]).any(|wait| call.starts_with(wait)))
}
