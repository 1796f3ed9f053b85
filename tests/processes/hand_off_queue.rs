//! The queue of a sender, of which either end can take a lock, or hide what is in it.

use crate::peer::{Peer, Place, pair, wait_for_end};
use crate::stranger::{
    connect, hello, is_closed, is_closed_in_order, load, make_sticky, name_of, queue, receive, send, seqpacket,
};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::net::SocketAddrUnix;
use sharesock::{Parcel, Process, Socket};
use std::collections::VecDeque;

/// A peer with a receiver. Of 64 descriptors never so many are free that it takes without a look before.
fn worker(place: &Place, descriptors: &str) -> Peer {
    let limit = format!("--nofile={descriptors}");
    let mut command = Peer::command_by(place, "prlimit", &[&limit]);
    let mut worker = Peer::from_command(&mut command, std::process::Command::spawn);
    assert_eq!(worker.ask("receiver"), "ok");
    worker
}

/// A link of this process to the receiver of `worker`, and both ends of the queue that it greeted with.
fn greet(place: &Place, worker: &Peer) -> (OwnedFd, OwnedFd, OwnedFd) {
    let link = connect(&name_of(place, worker.pid(), "-hand-off"));
    let (one, two) = queue();
    send(&link, &hello(&Process::current().unwrap()), &[two.as_fd()]);
    (link, one, two)
}

#[test]
fn a_receiver_closes_a_queue_that_its_sender_locks() {
    let place = Place::new("locked-queue");
    let _endpoint = place.endpoint();
    let mut worker = worker(&place, "64");
    let (mut client, socket) = pair();
    let (link, one, two) = greet(&place, &worker);
    send(&one, &load(1, &[0], 0), &[socket.as_fd()]);
    assert_eq!(worker.ask("try-receive"), format!("ok {}", socket.id().unwrap().as_u64()));
    assert_eq!(worker.ask("close"), "ok");
    fcntl_lock(&two, FlockOperation::NonBlockingLockExclusive).unwrap();
    send(&one, &load(1, &[0], 0), &[socket.as_fd()]);
    // What is locked is being taken back, and nothing comes after.
    assert_eq!(worker.ask("try-receive"), "ok nothing");
    assert_eq!(worker.ask("is-woken"), "ok false");
    assert!(is_closed(&link));
    drop((one, two, socket));
    wait_for_end(&mut client);
}

#[test]
fn a_receiver_closes_a_queue_that_hides_what_is_in_it() {
    let place = Place::new("hidden-queue");
    let endpoint = place.endpoint();
    // One that looks before it takes, and one that looks how many came in a message.
    for (descriptors, many) in [("64", false), ("64", true), ("1024", true)] {
        let mut worker = worker(&place, descriptors);
        if many {
            let sender = endpoint.sender(worker.pid()).unwrap();
            sender.hand_off(pair().1).unwrap();
            assert_eq!(worker.ask("receive-many 100"), "ok 1");
        }
        let (mut client, socket) = pair();
        let (link, one, two) = greet(&place, &worker);
        set_peek_offset(&two, 1 << 20);
        send(&one, &load(1, &[0], 0), &[socket.as_fd()]);
        assert_eq!(worker.ask("try-receive"), "ok nothing");
        assert_eq!(worker.ask("is-woken"), "ok false", "{descriptors} {many}");
        if many {
            assert_eq!(receive(&link).0.len(), 40, "it says how many it takes of one message");
        }
        assert!(is_closed(&link));
        drop((one, two, socket));
        wait_for_end(&mut client);
    }
}

/// Sets `SO_PEEK_OFF`: who looks at the queue begins so far behind its start.
#[allow(unsafe_code)]
fn set_peek_offset(socket: &OwnedFd, offset: libc::c_int) {
    use std::os::fd::AsRawFd;
    // SAFETY: the kernel reads four bytes from `offset`.
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEEK_OFF, (&raw const offset).cast(), 4)
    };
    assert_eq!(set, 0);
}

#[test]
fn what_a_target_keeps_locked_is_reclaimed_when_it_lets_go() {
    let place = Place::new("locked-by-target");
    let endpoint = place.endpoint();
    let me = std::process::id();
    let mut source = worker(&place, "1024");
    let (mut clients, sockets): (Vec<_>, Vec<_>) = (0..3).map(|_| pair()).unzip();
    let ids: Vec<_> = sockets.iter().map(|socket| socket.id().unwrap().as_u64().to_string()).collect();
    endpoint.sender(source.pid()).unwrap().hand_off_many(&mut sockets.into_iter().map(Parcel::new).collect()).unwrap();
    for _ in 0..3 {
        assert_eq!(source.ask("receive-many 1"), "ok 1");
    }
    // This process plays a target that is stopped while it takes something: it listens by hand, and has the lock.
    let receiver = endpoint.receiver().unwrap();
    let name = name_of(&place, me, "-hand-off");
    drop(receiver);
    let listener = seqpacket();
    rustix::net::bind(&listener, &SocketAddrUnix::new(&name).unwrap()).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    assert_eq!(source.ask(&format!("hand-off-attic {me}")), "ok 3");
    let link = rustix::net::accept(&listener).unwrap();
    let queue = receive(&link).1.remove(0);
    fcntl_lock(&queue, FlockOperation::NonBlockingLockExclusive).unwrap();
    for _ in 0..3 {
        let answer = source.ask("reclaim-some");
        assert!(answer.contains("its target was stopped") && answer.contains("os error 16"), "{answer}");
    }
    fcntl_lock(&queue, FlockOperation::NonBlockingUnlock).unwrap();
    assert_eq!(source.ask("reclaim-some"), format!("ok {}", ids.join(" ")));
    assert_eq!(source.ask("clear-attic"), "ok");
    clients.iter_mut().for_each(wait_for_end);
}

#[test]
fn a_batch_whose_first_connection_lingers_is_received_without_waiting() {
    let place = Place::new("lingering-batch");
    let endpoint = place.endpoint();
    // With room for all that a message can have, whether that is sure or has to be tried.
    for descriptors in ["400", "1024"] {
        let mut worker = worker(&place, descriptors);
        let sender = endpoint.sender(worker.pid()).unwrap();
        sender.hand_off(pair().1).unwrap();
        assert_eq!(worker.ask("receive-many 10"), "ok 1");
        let (mut client, connection) = pair();
        let copy = connection.try_clone().unwrap();
        let other = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let id = other.id().unwrap().as_u64();
        let mut parcels: VecDeque<_> = [connection, other].map(Parcel::new).into();
        assert_eq!(sender.try_hand_off_many(&mut parcels).unwrap(), 2);
        // It lingers from now on. Before, its sender would have had a thread close it, which could have been the last.
        make_sticky(&copy);
        drop(copy);
        assert!(worker.ask("receive").starts_with("ok"));
        // The message has the connection still. It goes with the second, and then for the last time.
        assert_eq!(worker.ask("close"), "ok");
        assert_eq!(worker.ask("receive").trim_end(), format!("ok {id}"));
        is_closed_in_order(&mut client);
    }
}
