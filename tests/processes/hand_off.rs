//! Handing off, with real processes.

use crate::peer::{Peer, Place, at_end, pair, sockets, wait_for_end};
use sharesock::{Error, Parcel};
use std::collections::VecDeque;
use std::io::Write;
use std::time::Duration;

/// Hangs are bounded by this; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn r7_connections_are_established_here_and_served_there() {
    let place = Place::new("r7");
    let endpoint = place.endpoint();
    let mut worker = Peer::start(&place);
    assert!(matches!(endpoint.sender(worker.pid()), Err(Error::NoEndpoint { .. })));
    assert_eq!(worker.ask("receiver"), "ok");
    let sender = endpoint.sender(worker.pid()).unwrap();
    for n in 0..20 {
        let (mut client, socket) = pair();
        let id = socket.id().unwrap().as_u64();
        client.write_all(b"request").unwrap();
        sender.hand_off(Parcel::new(socket).with_bytes(format!("session {n}"))).unwrap();
        assert_eq!(worker.ask("receive"), format!("ok {id} session {n}"));
        assert_eq!(worker.ask("receive-from 7"), "ok request");
        // The last close is the worker's: the sender keeps nothing of what was taken.
        assert_eq!(worker.ask("close"), "ok");
        wait_for_end(&mut client);
    }
    sender.flush(LONG).unwrap();
    assert_eq!(sender.outstanding(), 0);
}

#[test]
fn every_kind_of_socket_is_handed_off() {
    let place = Place::new("kinds");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    for socket in sockets() {
        let id = socket.id().unwrap();
        sender.hand_off(socket).unwrap();
        let parcel = receiver.receive().unwrap();
        assert_eq!(parcel.socket().id().unwrap(), id);
        assert_eq!(parcel.source(), Some(endpoint.process().unwrap()));
    }
    assert!(receiver.try_receive().unwrap().is_none());
    assert!(receiver.receive_within(Duration::from_millis(5)).unwrap().is_none());
}

#[test]
fn bytes_arrive_whole_up_to_their_bound() {
    let place = Place::new("bytes");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    for length in [0, 1, 4096, 65_535, Parcel::MOST_BYTES] {
        let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
        sender.hand_off(Parcel::new(pair().1).with_bytes(bytes.clone())).unwrap();
        assert_eq!(receiver.receive().unwrap().bytes(), bytes);
    }
    let too_many = Parcel::new(pair().1).with_bytes(vec![0; Parcel::MOST_BYTES + 1]);
    let refused = sender.hand_off(too_many).unwrap_err();
    assert_eq!(refused.error, Error::TooManyBytes { given: 65_537, limit: 65_536 });
    assert_eq!(refused.parcel.bytes().len(), 65_537);
}

#[test]
fn many_go_in_one_message_and_more_are_split() {
    let place = Place::new("many");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let sockets = sockets();
    let parcels = |count: usize, bytes: usize| -> VecDeque<Parcel> {
        let clone = |n: usize| sockets[n % sockets.len()].try_clone().unwrap();
        (0..count).map(|n| Parcel::new(clone(n)).with_bytes(vec![u8::try_from(n % 256).unwrap(); bytes])).collect()
    };
    for (count, bytes) in [(1, 0), (253, 0), (254, 3), (1000, 0), (700, 1000), (5, 60_000)] {
        let mut sending = parcels(count, bytes);
        let ids: Vec<_> = sending.iter().map(|parcel| parcel.socket().id().unwrap()).collect();
        assert_eq!(sender.try_hand_off_many(&mut sending).unwrap(), count);
        assert!(sending.is_empty());
        let mut received = Vec::new();
        while received.len() < count {
            received.extend(receiver.receive_many(count - received.len()).unwrap());
        }
        assert_eq!(received.iter().map(|parcel| parcel.socket().id().unwrap()).collect::<Vec<_>>(), ids);
        for (n, parcel) in received.iter().enumerate() {
            assert_eq!(parcel.bytes(), vec![u8::try_from(n % 256).unwrap(); bytes]);
        }
    }
}

#[test]
fn what_came_in_one_message_is_there_for_every_thread_and_for_poll_loops() {
    let place = Place::new("batch");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let (_client, socket) = pair();
    let batch = || (0..4).map(|_| Parcel::new(socket.try_clone().unwrap())).collect::<VecDeque<_>>();
    // Each thread keeps its first parcel until all have one.
    let all = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let parcel = receiver.receive().unwrap();
                all.wait();
                drop(parcel);
            });
        }
        sender.try_hand_off_many(&mut batch()).unwrap();
    });
    sender.try_hand_off_many(&mut batch()).unwrap();
    let is_readable = || {
        let mut descriptors = [rustix::event::PollFd::new(&receiver, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut descriptors, Some(&now)).unwrap() == 1
    };
    for _ in 0..4 {
        assert!(is_readable());
        assert!(receiver.try_receive().unwrap().is_some());
    }
    assert!(receiver.try_receive().unwrap().is_none());
    assert!(!is_readable());
}

#[test]
fn a_full_target_is_seen_and_loses_nothing() {
    let place = Place::new("hand-off-full");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let (_client, socket) = pair();
    let parcel = |n: u32| Parcel::new(socket.try_clone().unwrap()).with_bytes(n.to_le_bytes().to_vec());
    let mut sent = 0;
    let refused = loop {
        match sender.try_hand_off(parcel(sent)) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused.error, Error::HandOffFull { .. }), "{refused}");
    assert_eq!(refused.error.winsock_code(), 10035);
    assert_eq!(refused.parcel.bytes(), sent.to_le_bytes());
    assert_eq!(sender.outstanding(), usize::try_from(sent).unwrap());
    std::thread::scope(|scope| {
        // One that waits is let in as soon as there is room.
        scope.spawn(|| (0..5000).for_each(|n| sender.hand_off(parcel(sent + n)).unwrap()));
        for n in 0..sent + 5000 {
            assert_eq!(receiver.receive().unwrap().bytes(), n.to_le_bytes());
        }
    });
    sender.flush(LONG).unwrap();
}

#[test]
fn many_wait_for_room_and_all_arrive_in_order() {
    let place = Place::new("many-wait");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let (_client, socket) = pair();
    let parcel = |n: u32| Parcel::new(socket.try_clone().unwrap()).with_bytes(n.to_le_bytes().to_vec());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for start in (0..9000).step_by(500) {
                sender.hand_off_many(&mut (start..start + 500).map(parcel).collect()).unwrap();
            }
        });
        // Now and then nothing is taken for a while: who waits must not miss what is taken after it.
        for n in 0..9000_u32 {
            if n % 1500 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
            assert_eq!(receiver.receive().unwrap().bytes(), n.to_le_bytes());
        }
    });
    sender.flush(LONG).unwrap();
}

#[test]
fn what_a_dead_target_did_not_take_comes_back_exactly() {
    let place = Place::new("estate");
    let endpoint = place.endpoint();
    let mut worker = Peer::start(&place);
    assert_eq!(worker.ask("receiver"), "ok");
    let sender = endpoint.sender(worker.pid()).unwrap();
    let mut clients = Vec::new();
    for n in 0..10_u8 {
        let (client, socket) = pair();
        clients.push(client);
        sender.hand_off(Parcel::new(socket).with_bytes(vec![n])).unwrap();
    }
    for _ in 0..4 {
        assert!(worker.ask("receive").starts_with("ok"));
    }
    worker.kill();
    while !sender.is_closed() {
        std::thread::yield_now();
    }
    assert!(matches!(sender.flush(LONG), Err(Error::TargetGone { .. })));
    let refused = sender.hand_off(pair().1).unwrap_err();
    assert!(matches!(refused.error, Error::TargetGone { .. }));
    let back = sender.reclaim();
    assert_eq!(back.iter().map(|parcel| parcel.bytes()[0]).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
    // The dead worker's four are at their end; the others live.
    for client in clients.iter_mut().take(4) {
        wait_for_end(client);
    }
    assert!(clients.iter_mut().skip(4).all(|client| !at_end(client)));
    drop(back);
    clients.iter_mut().skip(4).for_each(wait_for_end);
}

#[test]
fn what_a_receiver_that_closes_did_not_take_comes_back_exactly() {
    let place = Place::new("closed-receiver");
    let endpoint = place.endpoint();
    for (singly, taken) in [(true, 2), (false, 0), (false, 3)] {
        let receiver = endpoint.receiver().unwrap();
        let sender = endpoint.sender(std::process::id()).unwrap();
        sender.hand_off(pair().1).unwrap();
        assert_eq!(receiver.receive_many(if singly { 1 } else { 8 }).unwrap().len(), 1);
        let (mut clients, sockets): (Vec<_>, Vec<_>) = (0..5).map(|_| pair()).unzip();
        sender.hand_off_many(&mut sockets.into_iter().map(Parcel::from).collect()).unwrap();
        (0..taken).for_each(|_| drop(receiver.receive().unwrap()));
        drop(receiver);
        assert!(matches!(sender.flush(LONG), Err(Error::TargetGone { .. })));
        let back = sender.reclaim();
        assert_eq!(back.len(), 5 - taken);
        assert!(clients.iter_mut().skip(taken).all(|client| !at_end(client)));
        drop(back);
        clients.iter_mut().for_each(wait_for_end);
    }
}

#[test]
fn a_sender_that_is_dropped_after_its_target_died_keeps_nothing_open() {
    let place = Place::new("forgotten");
    let endpoint = place.endpoint();
    let mut worker = Peer::start(&place);
    assert_eq!(worker.ask("receiver"), "ok");
    let sender = endpoint.sender(worker.pid()).unwrap();
    let (mut client, socket) = pair();
    sender.hand_off(socket).unwrap();
    worker.kill();
    drop(sender);
    wait_for_end(&mut client);
}

#[test]
fn a_living_target_cannot_take_what_was_reclaimed() {
    let place = Place::new("reclaim");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    for taken in 0..5_u8 {
        let sender = endpoint.sender(std::process::id()).unwrap();
        let mut parcels = (0..5).map(|n| Parcel::new(pair().1).with_bytes(vec![n])).collect();
        sender.try_hand_off_many(&mut parcels).unwrap();
        for n in 0..taken {
            assert_eq!(receiver.receive().unwrap().bytes(), [n]);
        }
        let back = sender.reclaim();
        assert_eq!(back.iter().map(|parcel| parcel.bytes()[0]).collect::<Vec<_>>(), (taken..5).collect::<Vec<_>>());
        assert!(receiver.try_receive().unwrap().is_none());
    }
}

#[test]
fn reclaiming_while_another_takes_loses_and_doubles_nothing() {
    let place = Place::new("reclaim-race");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let (_client, socket) = pair();
    for round in 0..100 {
        let sender = endpoint.sender(std::process::id()).unwrap();
        let mut parcels =
            (0..100).map(|n| Parcel::new(socket.try_clone().unwrap()).with_bytes(vec![n])).collect::<VecDeque<_>>();
        sender.try_hand_off_many(&mut parcels).unwrap();
        let (taken, back) = std::thread::scope(|scope| {
            let taker = scope.spawn(|| {
                let mut taken = Vec::new();
                while let Some(parcel) = receiver.receive_within(Duration::from_millis(2)).unwrap() {
                    taken.push(parcel.bytes()[0]);
                }
                taken
            });
            (0..round * 20).for_each(|_| std::hint::spin_loop());
            let back: Vec<u8> = sender.reclaim().iter().map(|parcel| parcel.bytes()[0]).collect();
            (taker.join().unwrap(), back)
        });
        // Both take from one queue, in its order.
        assert!(taken.is_sorted() && back.is_sorted());
        let mut all = [taken, back].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}

#[test]
fn a_target_without_free_descriptors_says_so_and_loses_nothing() {
    let place = Place::new("no-descriptors");
    let endpoint = place.endpoint();
    let mut worker = Peer::start(&place);
    assert_eq!(worker.ask("receiver"), "ok");
    let sender = endpoint.sender(worker.pid()).unwrap();
    sender.hand_off(Parcel::new(pair().1).with_bytes(b"first")).unwrap();
    assert!(worker.ask("receive").ends_with("first"));
    assert_eq!(worker.ask("limit-descriptors"), "ok");
    let (mut client, socket) = pair();
    sender.hand_off(Parcel::new(socket).with_bytes(b"second")).unwrap();
    for _ in 0..50 {
        assert!(worker.ask("receive").contains("no descriptor is free"));
    }
    // It waits where it is, also when its sender has ended.
    assert_eq!((sender.is_closed(), sender.outstanding()), (false, 1));
    assert!(matches!(sender.flush(Duration::ZERO), Err(Error::NotTaken { count: 1, .. })));
    drop(sender);
    assert_eq!(worker.ask("free-descriptors"), "ok");
    assert!(worker.ask("receive").ends_with("second"));
    assert_eq!(worker.ask("close"), "ok");
    wait_for_end(&mut client);
}

#[test]
fn what_was_handed_off_arrives_after_the_sender_died() {
    let place = Place::new("sender-dies");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let mut source = Peer::start(&place);
    let (mut client, socket) = pair();
    let info = endpoint.duplicate(&socket, source.pid()).unwrap();
    drop(socket);
    source.ask(&format!("redeem {info}"));
    assert_eq!(source.ask(&format!("hand-off {} last words", std::process::id())), "ok");
    source.kill();
    let parcel = receiver.receive().unwrap();
    assert_eq!(parcel.bytes(), b"last words");
    assert!(!at_end(&mut client));
    drop(parcel);
    wait_for_end(&mut client);
}

#[test]
fn a_flush_that_waits_keeps_no_other_call_waiting() {
    let place = Place::new("flush-and-others");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    sender.hand_off(pair().1).unwrap();
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| sender.flush(Duration::from_secs(3600)));
        // It would wait for an hour if these waited for it.
        for n in 1..100 {
            assert_eq!((sender.is_closed(), sender.outstanding()), (false, n));
            sender.try_hand_off(pair().1).unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
        for _ in 0..100 {
            receiver.receive().unwrap();
        }
        assert_eq!(flush.join().unwrap(), Ok(()));
    });
}
