//! Processes are killed at any moment; the survivors go on, nothing is lost, doubled or left over.
//!
//! Three peers pass sockets around in a ring, by hand-off, with duplicates beside them that are redeemed, revoked or
//! expired. One is killed at a random moment: to its neighbours it is source and target, to the sockets in flight
//! between the others a bystander. `SHARESOCK_SEED` repeats a run, `SHARESOCK_KILLS` sets how many are killed.

use crate::peer::{Peer, Place, at_end, pair, wait_for_end};
use std::collections::HashSet;
use std::time::{Duration, Instant};

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn whoever_is_killed_the_others_go_on_and_nothing_is_lost_doubled_or_left_over() {
    in_a_process_of_its_own!();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut seed = variable("SHARESOCK_SEED", u64::from(now.subsec_nanos()) | 1);
    println!("SHARESOCK_SEED={seed}");
    let mut random = |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let place = Place::new("kill");
    for round in 0..variable("SHARESOCK_KILLS", 200) {
        one_round(&place, round, &mut random);
    }
    // Only what processes left that were killed is there, and whoever comes next removes it.
    let endpoint = place.endpoint();
    let names: Vec<_> = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(names[0].starts_with(&format!("{}-", std::process::id())));
    drop(endpoint);
}

fn one_round(place: &Place, round: u64, random: &mut impl FnMut(u64) -> u64) {
    let endpoint = place.endpoint();
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::start_without_endpoint(place)).collect();
    let before: Vec<_> = peers.iter_mut().map(|peer| (peer.ask("descriptors"), peer.ask("threads"))).collect();
    for peer in &mut peers {
        assert_eq!((peer.ask("open"), peer.ask("receiver")), ("ok".to_owned(), "ok".to_owned()));
    }
    let mut clients = Vec::new();
    for n in 0..9 {
        let (client, socket) = pair();
        clients.push((socket.id().unwrap().as_u64().to_string(), client));
        let sender = endpoint.sender(peers[n % 3].pid()).unwrap();
        sender.hand_off(socket).unwrap();
    }
    for n in 0..3 {
        let next = peers[(n + 1) % 3].pid();
        assert_eq!(peers[n].ask(&format!("ring {next} {}", random(u64::MAX) | 1)), "ok");
    }
    std::thread::sleep(Duration::from_micros(random(4000)));
    let victim = usize::try_from(random(3)).unwrap();
    peers[victim].kill();

    // What the survivors say they have, each socket once.
    let mut alive = HashSet::new();
    for (n, peer) in peers.iter_mut().enumerate().filter(|(n, _)| *n != victim) {
        let answer = peer.ask("halt");
        let ids = answer.strip_prefix("ok").unwrap_or_else(|| panic!("round {round}, peer {n}: {answer}"));
        for id in ids.split_whitespace() {
            assert!(alive.insert(id.to_owned()), "round {round}: socket {id} is there twice");
        }
    }
    drop(endpoint);
    for (id, client) in &mut clients {
        match alive.contains(id) {
            true => assert!(!at_end(client), "round {round}: socket {id} was closed"),
            // Its last descriptor went with the victim.
            false => wait_for_end(client),
        }
    }
    for (n, peer) in peers.iter_mut().enumerate().filter(|(n, _)| *n != victim) {
        assert_eq!(peer.ask("clear-attic"), "ok");
        // A thread of its own closes the queues in which something was left.
        let until = Instant::now() + Duration::from_secs(60);
        let mut left = (peer.ask("descriptors"), peer.ask("threads"));
        while left != before[n] && Instant::now() < until {
            left = (peer.ask("descriptors"), peer.ask("threads"));
        }
        assert_eq!(left, before[n], "round {round}: left over in peer {n}");
    }
    clients.iter_mut().filter(|(id, _)| alive.contains(id)).for_each(|(_, client)| wait_for_end(client));
}
