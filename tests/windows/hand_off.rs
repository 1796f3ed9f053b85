//! Handing off on Windows, with real processes.

use crate::peer::{Peer, Place, is_open, pair, talk, wait_for_end};
use sharesock::{Error, Parcel, Process};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
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
    assert_eq!(sender.target().pid(), worker.pid());
    for n in 0..20 {
        let (mut client, socket) = pair();
        client.write_all(b"request").unwrap();
        sender.hand_off(Parcel::new(socket).with_bytes(format!("session-{n}"))).unwrap();
        assert_eq!(worker.ask("receive"), format!("ok session-{n}"));
        assert_eq!(worker.ask("echo 7"), "ok");
        client.read_exact(&mut [0; 7]).unwrap();
        assert_eq!(worker.ask("close"), "ok");
        assert_eq!(sender.outstanding(), 0);
        wait_for_end(&mut client);
    }
    sender.flush(LONG).unwrap();
}

#[test]
fn bytes_arrive_whole_up_to_their_bound() {
    let place = Place::new("bytes");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    for length in [0, 1, 4096, 65_535, Parcel::MOST_BYTES] {
        let bytes: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
        let (mut client, socket) = pair();
        let id = socket.id().unwrap();
        sender.hand_off(Parcel::new(socket).with_bytes(bytes.clone())).unwrap();
        let parcel = receiver.receive().unwrap();
        assert_eq!(parcel.bytes(), bytes);
        assert_eq!(parcel.source(), Some(endpoint.process().unwrap()));
        assert_eq!(parcel.socket().id().unwrap(), id);
        talk(&mut client, parcel.socket());
    }
    let too_many = Parcel::new(pair().1).with_bytes(vec![0; Parcel::MOST_BYTES + 1]);
    let refused = sender.hand_off(too_many).unwrap_err();
    assert_eq!(refused.error, Error::TooManyBytes { given: 65_537, limit: 65_536 });
    assert_eq!(refused.parcel.bytes().len(), 65_537);
    assert!(receiver.try_receive().unwrap().is_none());
    assert!(receiver.receive_within(Duration::from_millis(5)).unwrap().is_none());
}

#[test]
fn many_go_in_one_message_and_more_are_split() {
    let place = Place::new("many");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let sockets = [pair(), pair(), pair()];
    let parcels = |count: usize, bytes: usize| -> VecDeque<Parcel> {
        let clone = |n: usize| sockets[n % 3].1.try_clone().unwrap();
        (0..count).map(|n| Parcel::new(clone(n)).with_bytes(vec![u8::try_from(n % 256).unwrap(); bytes])).collect()
    };
    for (count, bytes) in [(1, 0), (253, 0), (254, 3), (1000, 0), (300, 1000), (5, 60_000)] {
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
fn what_came_in_one_message_is_there_for_every_thread() {
    let place = Place::new("batch");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let (_client, socket) = pair();
    for _ in 0..20 {
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
            sender.try_hand_off_many(&mut (0..4).map(|_| Parcel::new(socket.try_clone().unwrap())).collect()).unwrap();
        });
    }
    sender.flush(LONG).unwrap();
}

#[test]
fn threads_share_a_receiver_and_a_sender() {
    let place = Place::new("threads");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let (_client, socket) = pair();
    let (each, threads) = (500_u32, 4_u32);
    let count = AtomicU32::new(0);
    let take = || {
        let mut taken = Vec::new();
        while count.load(Ordering::SeqCst) < each * threads {
            if let Some(parcel) = receiver.receive_within(Duration::from_millis(20)).unwrap() {
                count.fetch_add(1, Ordering::SeqCst);
                taken.push(u32::from_le_bytes(parcel.bytes().try_into().unwrap()));
            }
        }
        taken
    };
    let mut all: Vec<u32> = std::thread::scope(|scope| {
        for start in 0..threads {
            let (sender, socket) = (&sender, &socket);
            scope.spawn(move || {
                for n in 0..each {
                    let number = (start * each + n).to_le_bytes().to_vec();
                    sender.hand_off(Parcel::new(socket.try_clone().unwrap()).with_bytes(number)).unwrap();
                }
                // Several flush at once, and each hears of the end.
                sender.flush(LONG).unwrap();
            });
        }
        let takers: Vec<_> = (0..3).map(|_| scope.spawn(&take)).collect();
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
    });
    all.sort_unstable();
    assert_eq!(all, (0..each * threads).collect::<Vec<_>>());
}

#[test]
fn a_full_target_is_seen_and_loses_nothing() {
    let place = Place::new("full");
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
    assert_eq!(refused.parcel.bytes(), sent.to_le_bytes());
    assert_eq!(sender.outstanding(), usize::try_from(sent).unwrap());
    assert!(matches!(sender.flush(Duration::from_millis(5)), Err(Error::NotTaken { .. })));
    std::thread::scope(|scope| {
        // One that waits is let in as soon as there is room.
        scope.spawn(|| (0..3000).for_each(|n| sender.hand_off(parcel(sent + n)).unwrap()));
        for n in 0..sent + 3000 {
            assert_eq!(receiver.receive().unwrap().bytes(), n.to_le_bytes());
        }
    });
    sender.flush(LONG).unwrap();
    assert_eq!(sender.outstanding(), 0);
}

#[test]
fn no_more_are_kept_than_the_bound_however_fast_they_are_read() {
    let place = Place::new("kept");
    let endpoint = place.endpoint();
    let _receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let (_client, socket) = pair();
    let mut parcels: VecDeque<_> = (0..5000).map(|_| Parcel::new(socket.try_clone().unwrap())).collect();
    let sent = sender.try_hand_off_many(&mut parcels).unwrap();
    assert!(sent <= 4096 && sent >= 1500, "{sent}");
    assert!(matches!(sender.try_hand_off_many(&mut parcels), Err(Error::HandOffFull { .. })));
    assert_eq!((parcels.len(), sender.reclaim().len()), (5000 - sent, sent));
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
    std::thread::scope(|scope| {
        // One that waits hears of the end.
        let flushing = scope.spawn(|| sender.flush(LONG));
        worker.kill();
        assert!(matches!(flushing.join().unwrap(), Err(Error::TargetGone { .. })));
    });
    assert!(sender.is_closed());
    let refused = sender.hand_off(pair().1).unwrap_err();
    assert!(matches!(refused.error, Error::TargetGone { .. }));
    let back = sender.reclaim();
    assert_eq!(back.iter().map(|parcel| parcel.bytes()[0]).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
    // The dead worker's four are at their end; the others live.
    for client in clients.iter_mut().take(4) {
        wait_for_end(client);
    }
    for (client, parcel) in clients.iter_mut().skip(4).zip(&back) {
        assert!(is_open(client));
        talk(client, parcel.socket());
    }
    drop(back);
    clients.iter_mut().skip(4).for_each(wait_for_end);
}

#[test]
fn a_target_that_closes_its_receiver_discards_what_it_did_not_take() {
    let place = Place::new("dropped");
    let endpoint = place.endpoint();
    let mut worker = Peer::start(&place);
    for taken in 0..3 {
        assert_eq!(worker.ask("receiver"), "ok");
        let sender = endpoint.sender(worker.pid()).unwrap();
        let (mut clients, sockets): (Vec<_>, Vec<_>) = (0..5).map(|_| pair()).unzip();
        sender.hand_off_many(&mut sockets.into_iter().map(Parcel::new).collect()).unwrap();
        for _ in 0..taken {
            assert_eq!(worker.ask("receive"), "ok");
        }
        assert_eq!(worker.ask("drop-receiver"), "ok");
        while !sender.is_closed() {
            std::thread::yield_now();
        }
        assert!(matches!(sender.flush(LONG), Err(Error::TargetGone { .. })));
        let back = sender.reclaim();
        assert_eq!(back.len(), 5 - taken);
        drop(back);
        // None is left in the worker, which lives.
        clients.iter_mut().skip(taken).for_each(wait_for_end);
        assert!(clients.iter_mut().take(taken).all(|client| is_open(client)));
        assert_eq!(worker.ask("close"), "ok");
        clients.iter_mut().take(taken).for_each(wait_for_end);
        assert!(matches!(endpoint.sender(worker.pid()), Err(Error::NoEndpoint { .. })));
    }
}

#[test]
fn a_living_target_cannot_take_what_was_reclaimed() {
    let place = Place::new("reclaim");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    for taken in 0..5_u8 {
        let sender = endpoint.sender(std::process::id()).unwrap();
        let (mut clients, sockets): (Vec<_>, Vec<_>) = (0..5).map(|_| pair()).unzip();
        let mut parcels =
            sockets.into_iter().zip(0..).map(|(socket, n)| Parcel::new(socket).with_bytes(vec![n])).collect();
        sender.try_hand_off_many(&mut parcels).unwrap();
        for n in 0..taken {
            assert_eq!(receiver.receive().unwrap().bytes(), [n]);
        }
        let back = sender.reclaim();
        assert_eq!(back.iter().map(|parcel| parcel.bytes()[0]).collect::<Vec<_>>(), (taken..5).collect::<Vec<_>>());
        assert!(receiver.try_receive().unwrap().is_none());
        drop(back);
        // The receiver discarded its duplicates.
        clients.iter_mut().for_each(wait_for_end);
    }
}

#[test]
fn reclaiming_while_another_takes_loses_and_doubles_nothing() {
    let place = Place::new("reclaim-race");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let (_client, socket) = pair();
    let mut both = 0;
    for round in 0..1000_u32 {
        let sender = endpoint.sender(std::process::id()).unwrap();
        let mut parcels =
            (0..20).map(|n| Parcel::new(socket.try_clone().unwrap()).with_bytes(vec![n])).collect::<VecDeque<_>>();
        sender.try_hand_off_many(&mut parcels).unwrap();
        let start = std::sync::Barrier::new(2);
        let (taken, back) = std::thread::scope(|scope| {
            let (receiver, begin) = (&receiver, &start);
            let taker = scope.spawn(move || {
                begin.wait();
                let mut taken = Vec::new();
                while let Some(parcel) = receiver.try_receive().unwrap() {
                    taken.push(parcel.bytes()[0]);
                }
                taken
            });
            start.wait();
            (0..round % 100 * 200).for_each(|_| std::hint::spin_loop());
            let back: Vec<u8> = sender.reclaim().iter().map(|parcel| parcel.bytes()[0]).collect();
            (taker.join().unwrap(), back)
        });
        both += u32::from(!taken.is_empty() && !back.is_empty());
        assert_eq!([taken, back].concat(), (0..20).collect::<Vec<_>>());
    }
    println!("both had some in {both} rounds");
}

#[test]
fn what_was_handed_off_arrives_after_the_sender_died() {
    let place = Place::new("sender-dies");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for (count, together, killed) in [(1, 1, true), (40, 7, true), (300, 300, true), (40, 7, false)] {
        let mut source = Peer::start(&place);
        source.tell(&format!("hand-off {} {address} {count} {together}", std::process::id()));
        let mut clients: Vec<_> = (0..count).map(|_| listener.accept().unwrap().0).collect();
        assert_eq!(source.listen().unwrap(), "ok");
        // The receiver has not looked yet.
        let from = Process::from_pid(source.pid()).unwrap();
        match killed {
            true => source.kill(),
            false => assert_eq!(source.ask("drop-senders"), "ok"),
        }
        for (n, client) in clients.iter_mut().enumerate() {
            let parcel = receiver.receive().unwrap();
            assert_eq!(parcel.bytes(), n.to_string().as_bytes());
            assert_eq!(parcel.source(), Some(from));
            talk(client, parcel.socket());
            drop(parcel);
            wait_for_end(client);
        }
        assert!(receiver.try_receive().unwrap().is_none());
    }
}

#[test]
fn senders_take_turns() {
    let place = Place::new("turns");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let (_client, socket) = pair();
    let senders: Vec<_> = (0..3).map(|_| endpoint.sender(std::process::id()).unwrap()).collect();
    for (n, sender) in senders.iter().enumerate() {
        for _ in 0..200 {
            let parcel = Parcel::new(socket.try_clone().unwrap()).with_bytes(vec![u8::try_from(n).unwrap()]);
            sender.hand_off(parcel).unwrap();
        }
    }
    let order: Vec<u8> = (0..600).map(|_| receiver.receive().unwrap().bytes()[0]).collect();
    let first = |n: u8| order.iter().position(|m| *m == n).unwrap();
    assert!((0..3).all(|n| first(n) < 200), "{order:?}");
}

#[test]
fn a_process_has_one_receiver_in_a_domain() {
    let place = Place::new("twice");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let refused = endpoint.receiver().unwrap_err();
    assert!(matches!(refused, Error::ReceiverOpen { .. }), "{refused}");
    drop(receiver);
    drop(endpoint.receiver().unwrap());
}

#[test]
fn more_senders_than_the_backlog_get_in_one_after_the_other() {
    let place = Place::new("backlog");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let mut senders = Vec::new();
    let full = loop {
        match endpoint.sender(std::process::id()) {
            Ok(sender) => senders.push(sender),
            Err(error) => break error,
        }
    };
    assert_eq!(full, Error::QueueFull { pid: std::process::id() });
    assert!(receiver.try_receive().unwrap().is_none());
    while senders.len() < 200 {
        senders.push(endpoint.sender(std::process::id()).unwrap());
        assert!(receiver.try_receive().unwrap().is_none());
    }
    for sender in &senders {
        sender.hand_off(pair().1).unwrap();
    }
    for _ in &senders {
        drop(receiver.receive().unwrap());
    }
}
