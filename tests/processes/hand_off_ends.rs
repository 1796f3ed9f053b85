//! Handing off when one of both sides ends: nothing is lost, nothing is there twice.

use crate::peer::{Peer, Place, at_end, pair, wait_for_end};
use sharesock::{Endpoint, Error, Parcel, Sender};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Hangs are bounded by this; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

fn worker(place: &Place) -> Peer {
    let mut worker = Peer::start(place);
    assert_eq!(worker.ask("receiver"), "ok");
    worker
}

/// Hands off so many connections with their numbers; the clients.
fn hand_off(sender: &Sender, count: u8) -> Vec<TcpStream> {
    let one = |n| {
        let (client, socket) = pair();
        sender.hand_off(Parcel::new(socket).with_bytes(vec![n])).unwrap();
        client
    };
    (0..count).map(one).collect()
}

/// What comes back are the parcels with these numbers, in order; whoever has them lets their clients live.
fn comes_back(sender: Sender, numbers: std::ops::Range<u8>, clients: &mut [TcpStream]) {
    let back = sender.reclaim();
    assert_eq!(back.iter().map(|parcel| parcel.bytes()[0]).collect::<Vec<_>>(), numbers.clone().collect::<Vec<_>>());
    let (taken, left) = clients.split_at_mut(numbers.start.into());
    taken.iter_mut().for_each(wait_for_end);
    assert!(!left.iter_mut().any(at_end));
    drop(back);
    left.iter_mut().for_each(wait_for_end);
}

fn kill(pid: &str) {
    let pid = rustix::process::Pid::from_raw(pid.strip_prefix("ok ").unwrap().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn a_receiver_that_was_killed_is_gone_at_once_although_a_child_has_its_descriptors() {
    let place = Place::new("forked-receiver");
    let endpoint = place.endpoint();
    let mut worker = worker(&place);
    let sender = endpoint.sender(worker.pid()).unwrap();
    let mut clients = hand_off(&sender, 3);
    assert!(worker.ask("receive").starts_with("ok"));
    assert_eq!(worker.ask("close"), "ok");
    // The child has the links and the queue, and never executes another program.
    let child = worker.ask("fork-idle");
    clients.extend((3..6).map(|n| {
        let (client, socket) = pair();
        sender.hand_off(Parcel::new(socket).with_bytes(vec![n])).unwrap();
        client
    }));
    assert!(worker.ask("receive").starts_with("ok"));
    worker.kill();
    assert!(sender.is_closed());
    assert!(matches!(sender.hand_off(pair().1).unwrap_err().error, Error::TargetGone { .. }));
    assert!(matches!(sender.flush(LONG), Err(Error::TargetGone { .. })));
    assert_eq!(sender.outstanding(), 4);
    comes_back(sender, 2..6, &mut clients);
    kill(&child);
}

#[test]
fn a_duplicate_for_a_process_whose_child_has_its_endpoint_is_refused() {
    let place = Place::new("forked-endpoint");
    let endpoint = place.endpoint();
    let mut target = Peer::start(&place);
    let process = sharesock::Process::from_pid(target.pid()).unwrap();
    let (mut client, socket) = pair();
    endpoint.duplicate(&socket, process).unwrap();
    let child = target.ask("fork-idle");
    target.kill();
    let refused = endpoint.duplicate(&socket, process).unwrap_err();
    assert!(matches!(refused, Error::NoSuchProcess { .. } | Error::NoEndpoint { .. }), "{refused}");
    assert!(endpoint.sender(process).is_err());
    drop(socket);
    kill(&child);
    wait_for_end(&mut client);
}

#[test]
fn a_receiver_that_executes_another_program_is_gone() {
    let place = Place::new("exec-receiver");
    let endpoint = place.endpoint();
    let mut worker = worker(&place);
    let sender = endpoint.sender(worker.pid()).unwrap();
    let mut clients = hand_off(&sender, 5);
    for _ in 0..2 {
        assert!(worker.ask("receive").starts_with("ok"));
    }
    assert_eq!(worker.ask("close"), "ok");
    worker.tell("exec");
    while !sender.is_closed() {
        std::thread::yield_now();
    }
    assert!(matches!(sender.try_hand_off(pair().1).unwrap_err().error, Error::TargetGone { .. }));
    comes_back(sender, 2..5, &mut clients);
}

#[test]
fn a_sender_that_rests_learns_of_its_targets_end_by_itself() {
    let place = Place::new("rests");
    let endpoint = place.endpoint();
    let mut target = worker(&place);
    let sender = endpoint.sender(target.pid()).unwrap();
    sender.try_hand_off(pair().1).unwrap();
    target.kill();
    // Longer than a sender is sure that its target lives.
    std::thread::sleep(Duration::from_millis(5));
    assert!(matches!(sender.try_hand_off(pair().1).unwrap_err().error, Error::TargetGone { .. }));
    assert_eq!(sender.reclaim().len(), 1);
}

#[test]
fn what_a_dropped_receiver_did_not_take_comes_back() {
    let place = Place::new("dropped-receiver");
    let endpoint = place.endpoint();
    let mut worker = worker(&place);
    for (taken, count) in [(0, 5), (1, 5), (2, 200), (5, 5)] {
        let sender = endpoint.sender(worker.pid()).unwrap();
        let mut clients = hand_off(&sender, count);
        for _ in 0..taken {
            assert!(worker.ask("receive").starts_with("ok"));
        }
        assert_eq!(worker.ask("close"), "ok");
        assert_eq!(worker.ask("close-receiver"), "ok");
        assert!(sender.is_closed());
        assert!(matches!(sender.hand_off(pair().1).unwrap_err().error, Error::TargetGone { .. }));
        assert_eq!(sender.outstanding(), usize::from(count - taken));
        comes_back(sender, taken..count, &mut clients);
        assert_eq!(worker.ask("receiver"), "ok");
    }
}

/// A peer that has so many connections of these clients.
fn source(place: &Place, endpoint: &Endpoint, count: u8) -> (Peer, Vec<TcpStream>, Vec<u64>) {
    let mut source = worker(place);
    let sender = endpoint.sender(source.pid()).unwrap();
    let (clients, sockets): (Vec<_>, Vec<_>) = (0..count).map(|_| pair()).unzip();
    let ids = sockets.iter().map(|socket| socket.id().unwrap().as_u64()).collect();
    sender.hand_off_many(&mut sockets.into_iter().map(Parcel::new).collect()).unwrap();
    for _ in 0..count {
        assert_eq!(source.ask("receive-many 1"), "ok 1");
    }
    (source, clients, ids)
}

#[test]
fn all_that_a_sender_handed_off_arrives_however_it_ended() {
    let place = Place::new("sender-ends");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    for round in 0..10_u8 {
        let count = 1 + round * 7;
        let mut source = Peer::start(&place);
        let (mut client, socket) = pair();
        let info = endpoint.duplicate(&socket, source.pid()).unwrap();
        drop(socket);
        assert!(source.ask(&format!("redeem {info}")).starts_with("ok"));
        // Taken while more are handed off, and after; acknowledged or not.
        let received = std::thread::scope(|scope| {
            let receiver = &receiver;
            let taker = scope.spawn(move || (0..count).map(|_| receiver.receive().unwrap()).collect::<Vec<_>>());
            let answer = source.ask(&format!("hand-off-copies {} {count}", std::process::id()));
            assert_eq!(answer, format!("ok {count} false"));
            if round % 2 == 0 {
                source.kill()
            } else {
                source.finish()
            }
            taker.join().unwrap()
        });
        assert!(!at_end(&mut client));
        assert!(receiver.try_receive().unwrap().is_none());
        drop(received);
        wait_for_end(&mut client);
    }
}

#[test]
fn a_sender_that_ended_while_its_receiver_had_no_free_descriptor_loses_nothing() {
    let place = Place::new("full-receiver");
    let endpoint = place.endpoint();
    let mut worker = worker(&place);
    for known in [true, false] {
        let (mut source, mut clients, ids) = source(&place, &endpoint, 4);
        assert_eq!(source.ask(&format!("hand-off-attic {}", worker.pid())), "ok 4");
        let mut left = &ids[..];
        if known {
            // Its link is known before the descriptors are short.
            assert!(worker.ask("receive").starts_with(&format!("ok {}", ids[0])));
            left = &ids[1..];
        }
        assert_eq!(worker.ask("limit-descriptors"), "ok");
        source.kill();
        for _ in 0..20 {
            let answer = worker.ask("receive");
            assert!(answer.contains("no descriptor is free") || answer.contains("Too many open files"), "{answer}");
        }
        assert_eq!(worker.ask("free-descriptors"), "ok");
        for id in left {
            assert_eq!(worker.ask("receive"), format!("ok {id}"));
        }
        assert_eq!(worker.ask("close"), "ok");
        clients.iter_mut().for_each(wait_for_end);
    }
}

#[test]
fn of_a_batch_that_a_killed_receiver_began_exactly_the_rest_comes_back() {
    let place = Place::new("begun");
    let endpoint = place.endpoint();
    let mut worker = worker(&place);
    let sender = endpoint.sender(worker.pid()).unwrap();
    // It says that its program takes many at a time.
    sender.hand_off(pair().1).unwrap();
    assert_eq!(worker.ask("receive-many 100"), "ok 1");
    let (mut clients, sockets): (Vec<_>, Vec<_>) = (0..10_u8)
        .map(|n| {
            let (client, socket) = pair();
            (client, Parcel::new(socket).with_bytes(vec![n]))
        })
        .unzip();
    assert_eq!(sender.try_hand_off_many(&mut VecDeque::from(sockets)).unwrap(), 10);
    // Then the program takes one at a time.
    for n in 0..4 {
        assert!(worker.ask("receive").starts_with("ok"));
        assert_eq!(sender.outstanding(), 9 - n);
    }
    worker.kill();
    assert!(sender.is_closed());
    assert_eq!(sender.outstanding(), 6);
    comes_back(sender, 4..10, &mut clients);
}

#[test]
fn of_a_batch_the_peers_of_those_taken_see_their_end_when_all_are_taken() {
    let place = Place::new("begun-closed");
    let endpoint = place.endpoint();
    let mut worker = worker(&place);
    let sender = endpoint.sender(worker.pid()).unwrap();
    sender.hand_off(pair().1).unwrap();
    assert_eq!(worker.ask("receive-many 100"), "ok 1");
    let (mut clients, sockets): (Vec<_>, Vec<_>) = (0..5).map(|_| pair()).unzip();
    let mut parcels = sockets.into_iter().map(Parcel::new).collect();
    assert_eq!(sender.try_hand_off_many(&mut parcels).unwrap(), 5);
    for _ in 0..5 {
        assert!(worker.ask("receive").starts_with("ok"));
        assert_eq!(worker.ask("close"), "ok");
    }
    clients.iter_mut().for_each(wait_for_end);
    // From now on they come one by one, and each sees its end when the worker closes it.
    let (mut clients, sockets): (Vec<_>, Vec<_>) = (0..5).map(|_| pair()).unzip();
    let mut parcels = sockets.into_iter().map(Parcel::new).collect();
    assert_eq!(sender.try_hand_off_many(&mut parcels).unwrap(), 5);
    for client in &mut clients {
        assert!(worker.ask("receive").starts_with("ok"));
        assert_eq!(worker.ask("close"), "ok");
        wait_for_end(client);
    }
}

#[test]
fn unix_sockets_outlive_the_kernels_collector_when_their_sender_has_ended() {
    let place = Place::new("collector");
    let endpoint = place.endpoint();
    let mut source = worker(&place);
    let (mut other, socket) = UnixStream::pair().unwrap();
    let to_source = endpoint.sender(source.pid()).unwrap();
    to_source.hand_off(sharesock::Socket::from(socket)).unwrap();
    assert_eq!(source.ask("receive-many 1"), "ok 1");
    // Nobody has accepted the link in which the queue lies, in which the socket lies.
    let receiver = endpoint.receiver().unwrap();
    assert_eq!(source.ask(&format!("hand-off-attic {}", std::process::id())), "ok 1");
    source.kill();
    collect();
    let mut socket = receiver.receive().unwrap().into_parts().0;
    other.write_all(b"there").unwrap();
    let mut bytes = [0; 5];
    socket.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"there");
}

/// Makes the kernel look for sockets that only lie in the queues of each other, by leaving some.
fn collect() {
    for _ in 0..20 {
        let (one, two) = UnixStream::pair().unwrap();
        let (one, two) = (sharesock::Socket::from(one), sharesock::Socket::from(two));
        for (over, sent) in [(&one, &two), (&two, &one)] {
            let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
            let sent = [std::os::fd::AsFd::as_fd(sent)];
            assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&sent)));
            let parts = [rustix::io::IoSlice::new(b"x")];
            rustix::net::sendmsg(over, &parts, &mut control, rustix::net::SendFlags::empty()).unwrap();
        }
    }
}

#[test]
fn reclaiming_with_few_descriptors_loses_none() {
    // From a worker that was killed, from one that closed its receiver, and from one that has it still.
    for how in ["kill", "close-receiver", "threads"] {
        reclaim_with_few_descriptors(how);
    }
}

fn reclaim_with_few_descriptors(how: &str) {
    let place = Place::new(&format!("few-back-{how}"));
    let endpoint = place.endpoint();
    let mut worker = worker(&place);
    let (mut source, mut clients, ids) = source(&place, &endpoint, 150);
    assert_eq!(source.ask(&format!("hand-off-attic {}", worker.pid())), "ok 150");
    assert_eq!(source.ask("limit-descriptors"), "ok");
    match how {
        "kill" => worker.kill(),
        how => _ = worker.ask(how),
    }
    assert!(source.ask("reclaim-some").contains("Too many open files"));
    assert_eq!(source.ask("free-descriptors"), "ok");
    let mut back = Vec::new();
    loop {
        let answer = source.ask("reclaim-some");
        let some: Vec<u64> = answer
            .strip_prefix("ok")
            .unwrap_or_else(|| panic!("{answer}"))
            .split_whitespace()
            .map(|id| id.parse().unwrap())
            .collect();
        if some.is_empty() {
            break;
        }
        assert!(some.len() < 64);
        back.extend(some);
        // They are used, and closed.
        assert!(!at_end(&mut clients[back.len() - 1]));
        assert_eq!(source.ask("clear-attic"), "ok");
        wait_for_end(&mut clients[back.len() - 1]);
    }
    assert_eq!(back, ids);
}
