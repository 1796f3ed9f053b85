//! How duplicates on Windows end unredeemed: they expire, are revoked or discarded, or somebody is killed.

use crate::peer::{Peer, Place, is_open, pair, wait_for_end};
use sharesock::{DuplicateOptions, Error};
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

const ME: fn() -> u32 = std::process::id;

#[test]
fn an_expired_duplicate_is_refused_and_closed() {
    let place = Place::new("expiry");
    let endpoint = place.endpoint();
    let (mut client, socket) = pair();
    let soon = DuplicateOptions::new().expires_in(Duration::from_millis(30));
    let info = endpoint.duplicate_with(&socket, ME(), &soon).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    for _ in 0..2 {
        assert_eq!(endpoint.redeem(&info), Err(Error::Expired));
    }
    drop(socket);
    wait_for_end(&mut client);
    assert_eq!(place.tickets(), Vec::<String>::new());
    let (_client, socket) = pair();
    let late = DuplicateOptions::new().expires_in(Duration::from_secs(3600));
    let info = endpoint.duplicate_with(&socket, ME(), &late).unwrap();
    assert_eq!(endpoint.redeem(&info).unwrap(), socket);
}

#[test]
fn an_expired_duplicate_is_closed_when_its_target_looks_for_another() {
    let place = Place::new("expiry-looked");
    let endpoint = place.endpoint();
    let mut target = Peer::start(&place);
    let (mut client, socket) = pair();
    let soon = DuplicateOptions::new().expires_in(Duration::from_millis(30));
    let info = endpoint.duplicate_with(&socket, target.pid(), &soon).unwrap();
    drop(socket);
    let (_other, other) = pair();
    while place.tickets().len() > 0 {
        let another = endpoint.duplicate(&other, target.pid()).unwrap();
        assert!(target.ask(&format!("redeem {another}")).starts_with("ok"));
    }
    wait_for_end(&mut client);
    let answer = target.ask(&format!("redeem {info}"));
    assert!(answer.contains("has expired"), "{answer}");
}

#[test]
fn a_ticket_that_somebody_keeps_open_holds_up_no_other() {
    let place = Place::new("kept-open");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    let info = endpoint.duplicate(&socket, ME()).unwrap();
    let ticket = place.tickets().remove(0);
    let (mine, _) = ticket.rsplit_once('-').unwrap();
    // A source that is stopped between making its ticket and writing it.
    let other = place.path().join(format!("{mine}-{:032x}.ticket", 7));
    let kept = OpenOptions::new().write(true).create_new(true).share_mode(0).open(other).unwrap();
    let started = Instant::now();
    assert_eq!(endpoint.redeem(&info).unwrap(), socket);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    drop(kept);
}

#[test]
fn a_revoked_duplicate_is_refused_and_closed_when_its_target_looks_for_another() {
    let place = Place::new("revoke");
    let endpoint = place.endpoint();
    let mut target = Peer::start(&place);
    let options = DuplicateOptions::new();
    let (mut client, socket) = pair();
    let (info, revocation) = endpoint.duplicate_revocable(&socket, ME(), &options).unwrap();
    revocation.revoke().unwrap();
    for _ in 0..2 {
        assert_eq!(endpoint.redeem(&info), Err(Error::Revoked));
    }
    let (info, revocation) = endpoint.duplicate_revocable(&socket, ME(), &options).unwrap();
    assert_eq!(endpoint.redeem(&info).unwrap(), socket);
    assert_eq!(revocation.revoke(), Err(Error::AlreadyRedeemed));

    let (info, revocation) = endpoint.duplicate_revocable(&socket, target.pid(), &options).unwrap();
    drop(socket);
    revocation.revoke().unwrap();
    let (_other, other) = pair();
    while place.tickets().len() > 0 {
        let another = endpoint.duplicate(&other, target.pid()).unwrap();
        assert!(target.ask(&format!("redeem {another}")).starts_with("ok"));
    }
    wait_for_end(&mut client);
    let answer = target.ask(&format!("redeem {info}"));
    assert!(answer.contains("was revoked"), "{answer}");
}

#[test]
fn revoking_and_redeeming_at_once_has_one_winner() {
    let place = Place::new("revoke-race");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    let mut won = [0; 2];
    for _ in 0..1000 {
        let (info, revocation) = endpoint.duplicate_revocable(&socket, ME(), &DuplicateOptions::new()).unwrap();
        let both_are_ready = std::sync::Barrier::new(2);
        let (revoked, redeemed) = std::thread::scope(|scope| {
            let redeemed = scope.spawn(|| {
                both_are_ready.wait();
                endpoint.redeem(&info).map(drop)
            });
            both_are_ready.wait();
            (revocation.revoke(), redeemed.join().unwrap())
        });
        match (revoked, redeemed) {
            (Ok(()), Err(Error::Revoked)) => won[0] += 1,
            (Err(Error::AlreadyRedeemed), Ok(())) => won[1] += 1,
            both => panic!("{both:?}"),
        }
    }
    println!("revoked {}, redeemed {}", won[0], won[1]);
}

#[test]
fn a_target_that_is_killed_leaves_nothing() {
    let place = Place::new("target-killed");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (mut client, socket) = pair();
    let unredeemed = source.duplicate(&socket, target.pid()).unwrap();
    let redeemed = source.duplicate(&socket, target.pid()).unwrap();
    let (_, revocation) = source.duplicate_revocable(&socket, target.pid(), &DuplicateOptions::new()).unwrap();
    assert!(target.ask(&format!("redeem {redeemed}")).starts_with("ok"));
    drop(socket);
    assert!(is_open(&client));
    target.kill();
    wait_for_end(&mut client);
    assert!(matches!(source.redeem(&unredeemed), Err(Error::WrongProcess { .. })));
    revocation.revoke().unwrap();
    // Whoever opens an endpoint next cleans up.
    let _next = Peer::start(&place);
    assert_eq!(place.tickets(), Vec::<String>::new());
    drop(source);
}

#[test]
fn a_source_may_be_killed_right_after_it_duplicated() {
    let place = Place::new("source-killed");
    let endpoint = place.endpoint();
    for _ in 0..5 {
        let mut source = Peer::start(&place);
        let (mut client, socket) = pair();
        let inward = endpoint.duplicate(&socket, source.pid()).unwrap();
        drop(socket);
        assert!(source.ask(&format!("redeem {inward}")).starts_with("ok"));
        let answer = source.ask(&format!("duplicate {}", ME()));
        source.kill();
        let mut socket = endpoint.redeem(&answer[3..].parse().unwrap()).unwrap();
        socket.write_all(b"alive").unwrap();
        let mut heard = [0; 5];
        client.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"alive");
        drop(socket);
        wait_for_end(&mut client);
    }
}

#[test]
fn processes_that_are_killed_in_the_middle_leave_nothing() {
    let place = Place::new("killed-anywhere");
    let endpoint = place.endpoint();
    for round in 0..20 {
        let mut source = Peer::start(&place);
        source.tell(&format!("duplicate-own {}", ME()));
        // Sooner or later in what it does.
        std::thread::sleep(Duration::from_micros(300 * round));
        source.kill();
        let mut target = Peer::start(&place);
        let (mut client, socket) = pair();
        let info = endpoint.duplicate(&socket, target.pid()).unwrap();
        drop(socket);
        target.tell(&format!("redeem {info}"));
        std::thread::sleep(Duration::from_micros(300 * round));
        target.kill();
        wait_for_end(&mut client);
    }
    let _next = Peer::start(&place);
    // Of the living, this process, what arrived whole may be left.
    let mine = format!("{}-", ME());
    assert!(place.tickets().iter().all(|name| name.starts_with(&mine)), "{:?}", place.tickets());
    drop(endpoint);
    assert_eq!(place.tickets(), Vec::<String>::new());
}

#[test]
fn what_is_discarded_is_closed() {
    let place = Place::new("discard");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (mut client, socket) = pair();
    let info = source.duplicate(&socket, target.pid()).unwrap();
    drop(socket);
    assert!(is_open(&client));
    assert_eq!(target.ask(&format!("discard {info}")), "ok");
    wait_for_end(&mut client);
    assert!(target.ask(&format!("redeem {info}")).contains("redeemed already"));
    assert_eq!(place.tickets(), Vec::<String>::new());
}

#[test]
fn many_duplicates_leave_no_handle() {
    let place = Place::new("handles");
    let endpoint = place.endpoint();
    let mut target = Peer::start(&place);
    let (_client, socket) = pair();
    let number = |answer: String| answer[3..].parse::<u64>().unwrap();
    let round = |target: &mut Peer| {
        for count in 0..250 {
            let info = endpoint.duplicate(&socket, target.pid()).unwrap();
            assert!(target.ask(&format!("redeem {info}")).starts_with("ok"), "{count}");
            let info = endpoint.duplicate(&socket, target.pid()).unwrap();
            assert_eq!(target.ask(&format!("discard {info}")), "ok");
            drop(endpoint.redeem(&endpoint.duplicate(&socket, ME()).unwrap()).unwrap());
            let (info, revocation) = endpoint.duplicate_revocable(&socket, ME(), &DuplicateOptions::new()).unwrap();
            revocation.revoke().unwrap();
            assert_eq!(endpoint.redeem(&info), Err(Error::Revoked));
        }
        assert_eq!(target.ask("close"), "ok");
    };
    round(&mut target);
    let before = number(target.ask("next-handle"));
    round(&mut target);
    let after = number(target.ask("next-handle"));
    // Other tests run in this process at the same time; the target is alone. Numbers go in steps of four.
    assert!(after < before + 4 * 50, "{before} before and {after} after");
    assert_eq!(place.tickets(), Vec::<String>::new());
}
