//! Nothing is left over: no descriptor, no name, no thread. One test, for others would disturb its counts.

use crate::peer::{Peer, Place, open_descriptors, pair};
use sharesock::{DuplicateOptions, Error};
use std::time::{Duration, Instant};

/// Threads of the library, which have its name; the test harness has others.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks
        .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "sharesock\n"))
        .count()
}

#[test]
fn nothing_is_left_over() {
    in_a_process_of_its_own!();
    let place = Place::new("left-over");
    let before = (open_descriptors(), threads());
    for _ in 0..3 {
        let endpoint = place.endpoint();
        let idle = (open_descriptors(), threads());
        assert_eq!(idle.1, before.1, "an endpoint starts no thread");

        // Delivered and redeemed; delivered and abandoned.
        let (_client, socket) = pair();
        let me = std::process::id();
        drop(endpoint.redeem(&endpoint.duplicate(&socket, me).unwrap()).unwrap());
        let (info, revocation) = endpoint.duplicate_revocable(&socket, me, &DuplicateOptions::new()).unwrap();
        revocation.revoke().unwrap();
        assert_eq!(endpoint.redeem(&info), Err(Error::Revoked));
        endpoint.duplicate(&socket, me).unwrap();

        // Held and claimed; held and abandoned.
        let mut held = Vec::new();
        while held.len() < 2 {
            let info = endpoint.duplicate(&socket, me).unwrap();
            held.extend(info.delivery().unwrap().held.then_some(info));
        }
        drop(endpoint.redeem(&held[0]).unwrap());
        assert_eq!(endpoint.flush(Duration::ZERO), Err(Error::StillHeld { count: 1 }));

        // Handed off and taken; handed off and abandoned.
        let receiver = endpoint.receiver().unwrap();
        let sender = endpoint.sender(me).unwrap();
        sender.hand_off(pair().1).unwrap();
        drop(receiver.receive().unwrap());
        sender.hand_off(pair().1).unwrap();
        assert_eq!(threads(), 1);
    }
    // A thread closes what could have made this one wait.
    let started = Instant::now();
    while (open_descriptors(), threads()) != before && started.elapsed() < Duration::from_secs(60) {
        std::thread::yield_now();
    }
    assert_eq!((open_descriptors(), threads()), before);

    // A source that serves many short-lived targets does not keep their links.
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    let few = open_descriptors();
    for _ in 0..200 {
        let mut target = Peer::start(&place);
        endpoint.duplicate(&socket, target.pid()).unwrap();
        target.kill();
    }
    assert!(open_descriptors() <= few + 70, "{few} before, {} after", open_descriptors());
    drop((endpoint, socket, _client));
    drop(place.endpoint()); // it sweeps
    assert_eq!(open_descriptors(), before.0);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
