//! Offers, seats, and programs that are executed with an endpoint; each with real processes.
#![allow(unsafe_code)] // What is done between fork and exec.

use crate::peer::{Peer, Place, pair, wait_for_end};
use sharesock::{Domain, Error, ExecExt, OfferOptions, ProtocolInfo, Wait};
use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(60);

fn for_long() -> OfferOptions {
    OfferOptions::expiring_in(LONG)
}

#[test]
fn whoever_redeems_an_offer_first_has_it_and_nobody_else() {
    let place = Place::new("offer-once");
    let source = place.endpoint();
    let (mut client, socket) = pair();
    let id = socket.id().unwrap().as_u64();
    let info = source.offer(&socket, &for_long()).unwrap();
    drop(socket);
    assert!(info.delivery().unwrap().is_offer());
    assert_eq!(ProtocolInfo::from_bytes(&info.to_narrow_bytes()), Ok(info));
    // Nobody need take it: a flush does not wait.
    source.flush(LONG).unwrap();
    let mut peers: Vec<_> = (0..4).map(|_| Peer::start(&place)).collect();
    peers.iter_mut().for_each(|peer| peer.tell(&format!("redeem {info}")));
    let answers: Vec<_> = peers.iter_mut().map(Peer::answer).collect();
    let had = answers.iter().filter(|answer| **answer == format!("ok {id}")).count();
    let refused = answers.iter().filter(|answer| answer.contains("redeemed already")).count();
    assert_eq!((had, refused), (1, 3), "{answers:?}");
    // Neither its source nor whoever had it gets it again.
    assert_eq!(source.redeem(&info), Err(Error::AlreadyRedeemed));
    for peer in &mut peers {
        assert!(peer.ask(&format!("redeem {info}")).contains("redeemed already"));
        peer.ask("close");
    }
    wait_for_end(&mut client);
}

#[test]
fn an_offer_is_revoked_expires_and_ends_with_its_source() {
    let place = Place::new("offer-ends");
    let source = place.endpoint();
    let (mut client, socket) = pair();
    let mut peer = Peer::start(&place);
    let (info, revocation) = source.offer_revocable(&socket, &for_long()).unwrap();
    assert!(revocation.is_open().unwrap());
    revocation.revoke().unwrap();
    assert!(peer.ask(&format!("redeem {info}")).contains("revoked"));
    let (info, revocation) = source.offer_revocable(&socket, &for_long()).unwrap();
    assert!(peer.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(revocation.revoke(), Err(Error::AlreadyRedeemed));
    peer.ask("close");
    let info = source.offer(&socket, &OfferOptions::expiring_in(Duration::ZERO)).unwrap();
    assert!(peer.ask(&format!("redeem {info}")).contains("expired"));
    let info = source.offer(&socket, &for_long()).unwrap();
    drop((source, socket));
    wait_for_end(&mut client);
    assert!(peer.ask(&format!("redeem {info}")).contains("ended while it held"));
}

#[test]
fn an_offer_for_one_user_is_for_no_other() {
    let place = Place::new("offer-user");
    let source = place.endpoint();
    let (_client, socket) = pair();
    let me = rustix::process::geteuid().as_raw();
    let mut peer = Peer::start(&place);
    let info = source.offer(&socket, &for_long().for_user(me + 1)).unwrap();
    assert!(peer.ask(&format!("redeem {info}")).contains("redeemed already"));
    let info = source.offer(&socket, &for_long().for_user(me)).unwrap();
    assert!(peer.ask(&format!("redeem {info}")).starts_with("ok"));
}

#[test]
fn an_offer_that_names_a_target_is_no_offer() {
    // It weakens nothing for those who name one: of a held duplicate only its target gets anything.
    let place = Place::new("offer-target");
    let source = place.endpoint();
    let (_client, socket) = pair();
    let (target, mut other) = (Peer::start_without_endpoint(&place), Peer::start(&place));
    let info = source.duplicate(&socket, target.pid()).unwrap();
    assert!(info.delivery().unwrap().held && !info.delivery().unwrap().is_offer());
    assert!(other.ask(&format!("redeem {info}")).contains(&format!("is for process {}", target.pid())));
}

#[test]
fn a_kept_offer_survives_its_source() {
    let place = Place::new("offer-kept");
    let keeping = place.endpoint();
    assert_eq!(place.domain().keepers(), Ok(vec![]));
    let keeper = keeping.keeper().unwrap();
    let me = keeping.process().unwrap();
    assert_eq!(place.domain().keepers(), Ok(vec![me]));
    let mut source = Peer::start(&place);
    let (mut client, socket) = pair();
    let id = socket.id().unwrap().as_u64();
    let inward = keeping.duplicate(&socket, source.pid()).unwrap();
    drop(socket);
    source.ask(&format!("redeem {inward}"));
    source.tell(&format!("offer-kept {me}"));
    assert!(keeper.keep_next(LONG).unwrap());
    let answer = source.answer();
    let info = answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{answer}"));
    source.kill();
    let mut taker = Peer::start(&place);
    assert_eq!(taker.ask(&format!("redeem {info}")), format!("ok {id}"));
    taker.ask("close");
    wait_for_end(&mut client);
    // What is no offer is closed, and so is what asks for a confirmation of one that never comes.
    let sender = keeping.sender_named(me, "keeper").unwrap();
    sender.hand_off_copy(&UdpSocket::bind("127.0.0.1:0").unwrap(), b"noise", None).unwrap();
    for _ in 0..3 {
        let word = [&b"SSC\x01"[..], &[7; 16]].concat();
        sender.hand_off_copy(&UdpSocket::bind("127.0.0.1:0").unwrap(), &word, None).unwrap();
    }
    assert_eq!(keeper.keep_next(Wait::none()), Ok(false));
}

/// That a keeper has taken an offer from its queue does not mean that it holds it.
#[test]
fn an_offer_is_made_only_when_its_keeper_holds_it() {
    let place = Place::new("offer-held");
    let keeping = place.endpoint();
    let (taking, me) = (keeping.receiver_named("keeper").unwrap(), keeping.process().unwrap());
    let mut source = Peer::start(&place);
    let (mut client, socket) = pair();
    let inward = keeping.duplicate(&socket, source.pid()).unwrap();
    drop(socket);
    source.ask(&format!("redeem {inward}"));
    source.tell(&format!("offer-kept {me}"));
    let next = || taking.receive_within(LONG).unwrap().expect("an offer, and the stream to confirm it on");
    drop([next(), next()]);
    assert_eq!(source.answer(), format!("error {}", Error::QueueFull { pid: me.pid() }));
    source.ask("close");
    wait_for_end(&mut client);
}

#[test]
fn a_child_with_a_seat_has_what_its_parent_duplicated_before_it_ran() {
    let place = Place::new("seat");
    let endpoint = place.endpoint();
    let (mut client, socket) = pair();
    let id = socket.id().unwrap().as_u64();
    let seat = endpoint.seat().unwrap();
    let copy = rustix::io::fcntl_dupfd_cloexec(seat.as_fd(), 50).unwrap();
    let (name, value) = seat.variable(copy.as_raw_fd()).unwrap();
    let number = copy.as_raw_fd();
    let mut command = Peer::command(&place);
    command.env(name, value).env("SHARESOCK_TEST_PEER_LATER", "1");
    let inherit = move || {
        // SAFETY: the descriptor is open in the child, which has no other thread.
        let copy = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        Ok(rustix::io::fcntl_setfd(copy, rustix::io::FdFlags::empty())?)
    };
    // SAFETY: it makes one system call.
    unsafe { command.pre_exec(inherit) };
    let mut child = Peer::from_command(&mut command, Command::spawn);
    drop(copy);
    seat.tell(child.pid()).unwrap();
    let info = endpoint.duplicate(&socket, child.pid()).unwrap();
    assert!(!info.delivery().unwrap().held);
    // Its source may end: here it closes its endpoint.
    drop((endpoint, socket));
    assert_eq!(child.ask("open"), "ok");
    assert_eq!(child.ask(&format!("redeem {info}")), format!("ok {id}"));
    assert_eq!(child.ask("close"), "ok");
    wait_for_end(&mut client);
}

#[test]
fn a_seat_is_its_parents_by_the_kernels_word() {
    let place = Place::new("seat-word");
    let endpoint = place.endpoint();
    let seat = endpoint.seat().unwrap();
    let copy = rustix::io::fcntl_dupfd_cloexec(seat.as_fd(), 60).unwrap();
    let number = copy.as_raw_fd();
    let (name, value) = seat.variable(number).unwrap();
    let (me, ppid) = (endpoint.process().unwrap(), std::os::unix::process::parent_id());
    let another = sharesock::Process::from_pid(ppid).unwrap();
    let inherit = move || {
        // SAFETY: the descriptor is open in the child, which has no other thread.
        let copy = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        Ok(rustix::io::fcntl_setfd(copy, rustix::io::FdFlags::empty())?)
    };
    let seats = [
        // It says that another process has the other end.
        (value.replace(&me.to_string(), &another.to_string()), "closed"),
        // Another number, another socket, another domain, nothing that is a seat.
        (value.replacen(&number.to_string(), "1", 1), "left"),
        (value.replacen(':', ":1", 1), "left"),
        (value.replace(&format!(":{}:", place.domain().digest()), ":1:"), "left"),
        ("noise".to_owned(), "left"),
        (value.clone(), "taken"),
    ];
    for (value, fate) in seats {
        let mut command = Peer::command(&place);
        command.env(name, &value);
        // SAFETY: it makes one system call.
        unsafe { command.pre_exec(inherit) };
        let peer = Peer::from_command(&mut command, Command::spawn);
        let found = match std::fs::read_to_string(format!("/proc/{}/fdinfo/{number}", peer.pid())) {
            Err(_) => "closed",
            Ok(info) => {
                let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
                let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
                if flags & libc::O_CLOEXEC != 0 { "taken" } else { "left" }
            }
        };
        assert_eq!(found, fate, "{value}");
    }
    let ended = Command::new("true").spawn().and_then(|mut child| child.wait().map(|_| child.id())).unwrap();
    assert_eq!(seat.tell(ended), Err(Error::NoSuchProcess { pid: ended }));
}

#[test]
fn a_program_that_is_executed_with_an_endpoint_has_it_from_its_first_instruction() {
    let place = Place::new("exec");
    let path = place.path().to_owned();
    let mut next = Peer::command(&place);
    next.env("SHARESOCK_TEST_PEER_LATER", "1");
    // In the child, as a program that executes another does it.
    let become_peer = move || {
        let domain = Domain::at(&path).map_err(std::io::Error::from)?;
        let _endpoint = next.inherit_endpoint(&domain).map_err(std::io::Error::from)?;
        Err(next.exec())
    };
    let mut command = Command::new("true");
    // SAFETY: the child is a copy of a program with threads, of which none holds a lock that this needs but the allocator's,
    // which the C library gives to the child.
    unsafe { command.pre_exec(become_peer) };
    let mut child = Peer::from_command(&mut command, Command::spawn);
    let endpoint = place.endpoint();
    let (mut client, socket) = pair();
    let id = socket.id().unwrap().as_u64();
    let info = endpoint.duplicate(&socket, child.pid()).unwrap();
    assert!(!info.delivery().unwrap().held, "it has no endpoint yet, and receives all the same");
    endpoint.sender(child.pid()).unwrap().hand_off(socket).unwrap();
    drop(endpoint);
    assert_eq!(child.ask("open"), "ok");
    assert_eq!(child.ask(&format!("redeem {info}")), format!("ok {id}"));
    assert_eq!(child.ask("receiver"), "ok");
    assert_eq!(child.ask("receive"), format!("ok {id}"));
    child.finish();
    wait_for_end(&mut client);
}
