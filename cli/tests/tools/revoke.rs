//! `sharesock revoke`, and what is left when `give` or `take` is killed.

use crate::stage::{Place, connection, exchange_tcp, start, text, until};
use rustix::process::Signal;
use sharesock::ProtocolInfo;
use std::io::{Read, Write};
use std::process::Stdio;

/// A process that has no endpoint, and becomes `take` when it is told the info.
const LATE: &str = "read info; exec sharesock take \"$info\" -- tr a-z A-Z";

fn info(line: &str) -> ProtocolInfo {
    line.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn a_revocable_one_stays_until_it_is_redeemed() {
    let place = Place::new();
    let (client, theirs) = connection();
    let mut taker = place.taker(&["tr", "a-z", "A-Z"]);
    let mut giving = place.tool_with(&["give", "--revocable", "--to", &taker.pid().to_string()], theirs);
    let line = giving.line();
    assert!(!info(&line).delivery().unwrap().held && giving.lives());
    taker.send(&line);
    giving.end().expect(0, "");
    assert_eq!(exchange_tcp(&client, "hello"), "HELLO");
    place.run(&["revoke", line.trim()], "").expect(4, "nobody can revoke it");
    taker.end().expect(0, "");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn what_is_revoked_cannot_be_redeemed() {
    for held in [false, true] {
        let place = Place::new();
        let (mut client, theirs) = connection();
        let mut target = match held {
            true => start(place.command("sh").args(["-c", LATE]), Stdio::piped()),
            false => place.taker(&["cat"]),
        };
        let mut giving = place.tool_with(&["give", "--revocable", "--to", &target.pid().to_string()], theirs);
        let line = giving.line();
        assert_eq!(info(&line).delivery().unwrap().held, held);
        let revoked = place.run(&["revoke", "-"], &line);
        revoked.expect(0, "");
        assert_eq!(revoked.output, "revoked\n");
        giving.end().expect(3, "it was revoked");
        target.send(&line);
        target.end().expect(1, if held { "the source process ended" } else { "revoked by its source" });
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "nobody has the connection any more");
        place.run(&["revoke", "-"], &line).expect(4, "nobody can revoke it");
        assert!(place.names().is_empty(), "{:?}", place.names());
    }
}

#[test]
fn who_revokes_too_late_is_told_so() {
    let place = Place::new();
    let (mut client, theirs) = connection();
    let mut taker = place.taker(&["tr", "a-z", "A-Z"]);
    let mut giving = place.tool_with(&["give", "--revocable", "--to", &taker.pid().to_string()], theirs);
    let line = giving.line();
    // It stands still, and does not see that it was redeemed before somebody asks.
    giving.signal(Signal::STOP);
    until("give to stand still", || {
        std::fs::read_to_string(format!("/proc/{}/stat", giving.pid())).is_ok_and(|stat| stat.contains(") T "))
    });
    taker.send(&line);
    // It still has the connection itself, so there is no end yet.
    client.write_all(b"hello").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    let revoking = place.tool(&["revoke", line.trim()]);
    // Two sockets have its name then: the one that listens, and the one that was connected.
    let name = format!("/give-{:032x}", u128::from_be_bytes(info(&line).delivery().unwrap().token));
    until("revoke to ask", || {
        let table = std::fs::read_to_string("/proc/self/net/unix").unwrap();
        table.lines().filter(|line| line.contains(&name)).count() >= 2
    });
    giving.signal(Signal::CONT);
    revoking.end().expect(3, "it had been redeemed before");
    giving.end().expect(0, "");
    taker.end().expect(0, "");
}

#[test]
fn a_killed_source_that_held_it_is_told_of() {
    let place = Place::new();
    let (_client, theirs) = connection();
    let mut late = start(place.command("sh").args(["-c", LATE]), Stdio::piped());
    let mut giving = place.tool_with(&["give", "--to", &late.pid().to_string()], theirs);
    let line = giving.line();
    giving.kill();
    assert!(!place.names().is_empty());
    late.send(line);
    late.end().expect(1, "the source process ended");
    assert!(place.names().is_empty(), "take removed what give left: {:?}", place.names());
}

#[test]
fn a_killed_source_that_waited_has_delivered() {
    let place = Place::new();
    let (client, theirs) = connection();
    let mut taker = place.taker(&["tr", "a-z", "A-Z"]);
    let mut giving = place.tool_with(&["give", "--revocable", "--to", &taker.pid().to_string()], theirs);
    let line = giving.line();
    giving.kill();
    assert!(place.names().iter().any(|name| name.starts_with("give-")));
    place.run(&["revoke", line.trim()], "").expect(4, "nobody can revoke it");
    assert!(!place.names().iter().any(|name| name.starts_with("give-")), "revoke removed what give left");
    taker.send(line);
    assert_eq!(exchange_tcp(&client, "hello"), "HELLO");
    taker.end().expect(0, "");
    // Who opens an endpoint next removes the rest.
    place.run(&["take", "--", "true"], "").expect(1, "standard input ended");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn a_killed_target_takes_it_along() {
    for killed_before in [true, false] {
        let place = Place::new();
        let (mut client, theirs) = connection();
        let taker = place.taker(&["cat"]);
        let to = taker.pid().to_string();
        match killed_before {
            true => {
                taker.kill();
                place.tool_with(&["give", "--to", &to], theirs).end().expect(1, "there is no process");
            }
            false => {
                let mut giving = place.tool_with(&["give", "--revocable", "--to", &to], theirs);
                giving.line();
                taker.kill();
                giving.end().expect(4, "the target ended");
            }
        }
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "nobody has the connection any more");
        place.run(&["take", "--", "true"], "").expect(1, "standard input ended");
        assert!(place.names().is_empty(), "{:?}", place.names());
    }
}

#[test]
fn a_signal_ends_it_and_leaves_nothing() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let place = Place::new();
        let (_client, theirs) = connection();
        let taker = place.taker(&["cat"]);
        let mut giving = place.tool_with(&["give", "--revocable", "--to", &taker.pid().to_string()], theirs);
        giving.line();
        giving.signal(signal);
        giving.end().expect(1, "ended by a signal");
        taker.end().expect(1, "standard input ended");
        assert!(place.names().is_empty(), "{:?}", place.names());
    }
}

#[test]
fn another_domain_is_told_of() {
    let (place, other) = (Place::new(), Place::new());
    let (_client, theirs) = connection();
    let taker = place.taker(&["cat"]);
    let to = taker.pid().to_string();
    let there = other.path();
    let mut giving = other.tool_with(&["give", "--revocable", "--to", &to], theirs);
    let line = giving.line();
    place.run(&["revoke", line.trim()], "").expect(1, "made in another domain");
    place.run(&["revoke", line.trim(), "--domain", text(&there)], "").expect(0, "");
    giving.end().expect(3, "it was revoked");
    let mut taker = taker;
    taker.send(line);
    taker.end().expect(1, "made in another domain");
}
