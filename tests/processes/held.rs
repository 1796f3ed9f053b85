//! Duplicates that cannot be delivered at once, that expire, and that are revoked; each with real processes.

use crate::peer::{Peer, Place, pair, wait_for_end};
use sharesock::{DuplicateOptions, Endpoint, Error, ProtocolInfo};
use std::time::Duration;

/// Hangs are bounded by this; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_target_without_an_endpoint_claims_what_is_held_for_it() {
    let place = Place::new("held");
    let source = place.endpoint();
    let mut target = Peer::start_without_endpoint(&place);
    let (mut client, socket) = pair();
    let id = socket.id().unwrap().as_u64();
    let info = source.duplicate(&socket, target.pid()).unwrap();
    assert!(info.delivery().unwrap().held);
    drop(socket);
    assert_eq!(source.flush(Duration::from_millis(20)), Err(Error::StillHeld { count: 1 }));
    assert_eq!(target.ask("open"), "ok");
    assert_eq!(target.ask(&format!("redeem {info}")), format!("ok {id}"));
    source.flush(LONG).unwrap();
    assert!(target.ask(&format!("redeem {info}")).contains("redeemed already"));
    assert_eq!(target.ask("close"), "ok");
    wait_for_end(&mut client);
}

#[test]
fn a_flush_delivers_what_has_become_deliverable_so_that_the_source_may_end() {
    let place = Place::new("flush");
    let mut source = Peer::start(&place);
    let mut target = Peer::start_without_endpoint(&place);
    let (mut client, socket) = pair();
    let own = place.endpoint();
    let inward = own.duplicate(&socket, source.pid()).unwrap();
    source.ask(&format!("redeem {inward}"));
    let text = source.ask(&format!("duplicate {}", target.pid()));
    let info = text.strip_prefix("ok ").unwrap();
    source.tell("flush 60");
    assert_eq!(target.ask("open"), "ok");
    assert_eq!(source.answer(), "ok");
    source.kill();
    drop(socket);
    assert!(target.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(target.ask("close"), "ok");
    wait_for_end(&mut client);
}

#[test]
fn a_source_that_ends_with_held_duplicates_is_noticed() {
    let place = Place::new("held-source");
    let mut source = Peer::start(&place);
    let mut target = Peer::start_without_endpoint(&place);
    let (mut client, socket) = pair();
    let inward = place.endpoint().duplicate(&socket, source.pid()).unwrap();
    drop(socket);
    source.ask(&format!("redeem {inward}"));
    let text = source.ask(&format!("duplicate {}", target.pid()));
    let info = text.strip_prefix("ok ").unwrap();
    source.kill();
    wait_for_end(&mut client);
    assert_eq!(target.ask("open"), "ok");
    for _ in 0..2 {
        assert!(target.ask(&format!("redeem {info}")).contains("ended while it held"));
    }
}

#[test]
fn a_target_that_ends_frees_what_is_held_for_it() {
    let place = Place::new("held-target");
    let source = place.endpoint();
    let mut target = Peer::start_without_endpoint(&place);
    let (mut client, socket) = pair();
    source.duplicate(&socket, target.pid()).unwrap();
    drop(socket);
    assert_eq!(source.flush(Duration::ZERO), Err(Error::StillHeld { count: 1 }));
    target.kill();
    wait_for_end(&mut client);
    source.flush(LONG).unwrap();
}

#[test]
fn more_than_a_queue_takes_is_held_without_the_caller_noticing() {
    let place = Place::new("full");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    let mut infos = Vec::new();
    // The kernel's queue holds what fits into the buffer of a link; the rest is held here.
    while infos.iter().filter(|info: &&ProtocolInfo| info.delivery().unwrap().held).count() < 100 {
        infos.push(endpoint.duplicate(&socket, std::process::id()).unwrap());
    }
    for info in infos.iter().rev() {
        let redeemed = endpoint.redeem(info);
        match redeemed {
            Ok(redeemed) => assert_eq!(redeemed, socket),
            // Redeeming in reverse takes all others from the queue first.
            Err(error) => assert_eq!(error.os_code(), Some(24), "{error}"),
        }
    }
    for info in &infos {
        match endpoint.redeem(info) {
            Ok(redeemed) => assert_eq!(redeemed, socket),
            Err(error) => assert_eq!(error, Error::AlreadyRedeemed),
        }
    }
    endpoint.flush(LONG).unwrap();
    assert!(!endpoint.duplicate(&socket, std::process::id()).unwrap().delivery().unwrap().held);
}

#[test]
fn of_two_threads_exactly_one_claims() {
    let place = Place::new("claim-race");
    let source = place.endpoint();
    let (_client, socket) = pair();
    let mut held = Vec::new();
    while held.len() < 50 {
        let info = source.duplicate(&socket, std::process::id()).unwrap();
        if info.delivery().unwrap().held {
            held.push(info);
        }
    }
    for info in &held {
        let results = std::thread::scope(|scope| {
            let racers = [0; 3].map(|_| scope.spawn(|| source.redeem(info)));
            racers.map(|racer| racer.join().unwrap().map(drop))
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(Error::AlreadyRedeemed))), "{results:?}");
    }
}

#[test]
fn an_expired_duplicate_is_refused_whether_delivered_or_held() {
    let place = Place::new("expiry");
    let source = place.endpoint();
    let (mut client, socket) = pair();
    let soon = DuplicateOptions::new().expires_in(Duration::from_millis(30));
    let delivered = source.duplicate_with(&socket, std::process::id(), &soon).unwrap();
    let mut target = Peer::start_without_endpoint(&place);
    let held = source.duplicate_with(&socket, target.pid(), &soon).unwrap();
    std::thread::sleep(Duration::from_millis(40));
    for _ in 0..2 {
        assert_eq!(source.redeem(&delivered), Err(Error::Expired));
    }
    source.flush(LONG).unwrap();
    assert_eq!(target.ask("open"), "ok");
    for _ in 0..2 {
        assert!(target.ask(&format!("redeem {held}")).contains("expired"));
    }
    assert_eq!(Error::Expired.winsock_code(), 10022);
    drop(socket);
    wait_for_end(&mut client);
    let (_client, socket) = pair();
    let late = DuplicateOptions::new().expires_in(LONG);
    let info = source.duplicate_with(&socket, std::process::id(), &late).unwrap();
    assert_eq!(source.redeem(&info).unwrap(), socket);
}

#[test]
fn a_revoked_duplicate_is_refused_whether_delivered_or_held() {
    let place = Place::new("revoke");
    let source = place.endpoint();
    let (_client, socket) = pair();
    let options = DuplicateOptions::new();
    let (info, revocation) = source.duplicate_revocable(&socket, std::process::id(), &options).unwrap();
    revocation.revoke().unwrap();
    for _ in 0..2 {
        assert_eq!(source.redeem(&info), Err(Error::Revoked));
    }
    let (info, revocation) = source.duplicate_revocable(&socket, std::process::id(), &options).unwrap();
    assert_eq!(source.redeem(&info).unwrap(), socket);
    assert_eq!(revocation.revoke(), Err(Error::AlreadyRedeemed));

    let mut target = Peer::start_without_endpoint(&place);
    let (mut client, socket) = pair();
    let (info, revocation) = source.duplicate_revocable(&socket, target.pid(), &options).unwrap();
    drop(socket);
    revocation.revoke().unwrap();
    wait_for_end(&mut client);
    assert_eq!(target.ask("open"), "ok");
    assert!(target.ask(&format!("redeem {info}")).contains("revoked"));
}

#[test]
fn revoking_and_redeeming_at_once_has_one_winner() {
    let place = Place::new("revoke-race");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    for _ in 0..500 {
        let options = DuplicateOptions::new();
        let (info, revocation) = endpoint.duplicate_revocable(&socket, std::process::id(), &options).unwrap();
        let (redeemed, revoked) = std::thread::scope(|scope| {
            let redeemed = scope.spawn(|| endpoint.redeem(&info).map(drop));
            (revocation.revoke(), redeemed.join().unwrap())
        });
        match (redeemed, revoked) {
            (Ok(()), Err(Error::Revoked)) | (Err(Error::AlreadyRedeemed), Ok(())) => {}
            both => panic!("{both:?}"),
        }
    }
}

#[test]
fn an_endpoint_that_was_dropped_refuses_politely() {
    let place = Place::new("reopened");
    let endpoint = place.endpoint();
    let (mut client, socket) = pair();
    let info = endpoint.duplicate(&socket, std::process::id()).unwrap();
    drop((endpoint, socket));
    wait_for_end(&mut client);
    let endpoint = Endpoint::open(&place.domain()).unwrap();
    assert_eq!(endpoint.redeem(&info), Err(Error::UnknownDelivery));
}
