//! `sharesock exec` and `sharesock keep`.

use crate::stage::{Place, connection, exchange_tcp, start, until};
use sharesock::{Endpoint, OfferOptions, ProtocolInfo, SocketRef};
use std::process::Stdio;
use std::time::Duration;

/// Becomes `take`, which opens the endpoint, when it is told the info.
const LATE: &str = "read info; exec sharesock take \"$info\" -- tr a-z A-Z";

#[test]
fn a_command_that_is_executed_can_be_given_sockets_before_it_opens_its_endpoint() {
    let place = Place::new();
    let (client, theirs) = connection();
    let mut late = start(place.command("sharesock").args(["exec", "sh", "-c", LATE]), Stdio::piped());
    // It has its names when it is the shell.
    let has_both = || place.domain().members().unwrap().iter().any(|member| member.endpoint && member.receiver);
    until("the command to have its endpoint", has_both);
    let given = place.tool_with(&["give", "--to", &late.pid().to_string()], theirs).end();
    given.expect(0, "");
    let info: ProtocolInfo = given.output.trim().parse().unwrap();
    assert!(!info.delivery().unwrap().held, "it lies with its target though that has not opened its endpoint");
    late.send(given.output);
    assert_eq!(exchange_tcp(&client, "hello"), "HELLO");
    late.end().expect(0, "");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn a_command_that_cannot_be_executed_leaves_nothing() {
    let place = Place::new();
    let found = place.run(&["exec", "--", "/no/such/program"], "");
    assert_eq!(found.code, Some(127), "{}", found.errors);
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn an_offer_that_is_kept_is_had_though_its_source_has_closed_it() {
    let place = Place::new();
    let (client, theirs) = connection();
    let mut keeping = start(place.command("sharesock").arg("keep"), Stdio::null());
    let keeper: sharesock::Process = keeping.line().trim().parse().unwrap();
    let endpoint = Endpoint::open(&place.domain()).unwrap();
    assert_eq!(place.domain().keepers(), Ok(vec![keeper]));
    let options = OfferOptions::expiring_in(Duration::from_secs(60));
    let info = endpoint.offer_kept(SocketRef::from(&theirs), keeper, &options).unwrap();
    drop((theirs, endpoint));
    let shown = place.run(&["inspect", &info.to_string()], "");
    shown.expect(0, "");
    assert!(shown.output.contains("bearer token") && shown.output.contains("keep it secret"), "{}", shown.output);
    let taking =
        start(place.command("sharesock").args(["take", &info.to_string(), "--", "tr", "a-z", "A-Z"]), Stdio::null());
    assert_eq!(exchange_tcp(&client, "hello"), "HELLO");
    taking.end().expect(0, "");
    let again = place.run(&["take", &info.to_string(), "--", "true"], "");
    assert!(again.code == Some(1) && again.errors.contains("redeemed already"), "{}", again.errors);
    keeping.signal(rustix::process::Signal::TERM);
    keeping.end().expect(0, "");
    assert!(place.names().is_empty(), "{:?}", place.names());
}
