//! `sharesock give` and `sharesock take`.

use crate::stage::{DESCRIPTORS, Place, connection, exchange_tcp, start, until};
use sharesock::ProtocolInfo;
use std::io::Read;
use std::net::TcpStream;
use std::process::Stdio;

/// A process that has no endpoint, and becomes `take` when it is told the info.
const LATE: &str = "read info; exec sharesock take \"$info\" -- tr a-z A-Z";

fn info(line: &str) -> ProtocolInfo {
    line.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// Plays a line of a shell that serves one connection, in capitals.
fn play(shell: &str, line: &str) {
    let place = Place::new();
    let mut played = start(place.command(shell).args(["-c", line]).current_dir(place.folder.path()), Stdio::null());
    let said = played.error_line();
    let address = said.strip_prefix("sharesock: listening on ").unwrap_or_else(|| panic!("{said}"));
    let stream = TcpStream::connect(address).unwrap();
    assert_eq!(exchange_tcp(&stream, "hello\nyou\n"), "HELLO\nYOU\n");
    played.end().expect(0, "");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn a_connection_goes_through_a_pipe() {
    for shell in ["sh", "bash"] {
        play(shell, "sharesock listen 127.0.0.1:0 -v --accept --as 0 -- sharesock give | sharesock take -- tr a-z A-Z");
    }
}

#[test]
fn a_connection_goes_to_a_process_that_is_named() {
    for shell in ["sh", "bash"] {
        play(
            shell,
            "mkfifo p; sharesock take -- tr a-z A-Z < p & \
             sharesock listen 127.0.0.1:0 -v --accept --as 3 -- sharesock give --fd 3 --to $! > p; wait",
        );
    }
}

#[test]
fn what_is_delivered_needs_no_source() {
    let place = Place::new();
    let (client, theirs) = connection();
    let mut taker = place.taker(&["tr", "a-z", "A-Z"]);
    let given = place.tool_with(&["give", "--to", &taker.pid().to_string()], theirs).end();
    given.expect(0, "");
    let delivery = *info(&given.output).delivery().unwrap();
    assert!(!delivery.held && delivery.target_pid == taker.pid());
    taker.send(given.output);
    assert_eq!(exchange_tcp(&client, "hello"), "HELLO");
    taker.end().expect(0, "");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn what_is_held_stays_until_it_is_claimed() {
    for process in [false, true] {
        let place = Place::new();
        let (client, theirs) = connection();
        let mut late = start(place.command("sh").args(["-c", LATE]), Stdio::piped());
        let to = match process {
            true => sharesock::Process::from_pid(late.pid()).unwrap().to_string(),
            false => late.pid().to_string(),
        };
        let mut giving = place.tool_with(&["give", "--to", &to], theirs);
        let line = giving.line();
        assert!(info(&line).delivery().unwrap().held);
        assert!(giving.lives());
        late.send(line);
        giving.end().expect(0, "");
        assert_eq!(exchange_tcp(&client, "hello"), "HELLO");
        late.end().expect(0, "");
        assert!(place.names().is_empty(), "{:?}", place.names());
    }
}

#[test]
fn what_is_held_is_delivered_when_the_target_opens_its_endpoint() {
    let place = Place::new();
    let (client, theirs) = connection();
    let late = "read go; exec sharesock take -- tr a-z A-Z";
    let mut late = start(place.command("sh").args(["-c", late]), Stdio::piped());
    let mut giving = place.tool_with(&["give", "--to", &late.pid().to_string()], theirs);
    let line = giving.line();
    late.send("go\n");
    giving.end().expect(0, "");
    late.send(line);
    assert_eq!(exchange_tcp(&client, "hello"), "HELLO");
    late.end().expect(0, "");
}

#[test]
fn raw_bytes_are_taken_and_what_follows_is_left_to_the_command() {
    for wide in [true, false] {
        let place = Place::new();
        let (mut client, theirs) = connection();
        let mut taker = place.tool(&["take", "-", "--as", "5", "--", "sh", "-c", "cat; echo done >&5"]);
        until("the endpoint of take", || place.receives(taker.pid()));
        let given = place.tool_with(&["give", "--to", &taker.pid().to_string()], theirs).end();
        let info = info(&given.output);
        match wide {
            true => taker.send(info.to_wide_bytes()),
            false => taker.send(info.to_narrow_bytes()),
        }
        taker.send("the rest");
        let ended = taker.end();
        ended.expect(0, "");
        assert_eq!(ended.output, "the rest");
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "done\n");
    }
}

#[test]
fn the_command_gets_the_socket_and_nothing_else() {
    let place = Place::new();
    let (_client, theirs) = connection();
    let mut taker = place.tool(&["take", "--as", "7", "--", "sh", "-c", DESCRIPTORS]);
    until("the endpoint of take", || place.receives(taker.pid()));
    taker.send(place.tool_with(&["give", "--to", &taker.pid().to_string()], theirs).end().output);
    let found = taker.end().output;
    let direct = start(place.command("sh").args(["-c", DESCRIPTORS]), Stdio::null()).end().output;
    let found: Vec<_> = found.split_whitespace().filter(|number| *number != "7").collect();
    assert_eq!(found, direct.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn it_stays_for_no_longer_than_it_is_told() {
    for (options, says) in [
        (&["--timeout", "0.1"][..], "not redeemed in time"),
        (&["--revocable", "--timeout", "0.1"], "not redeemed in time"),
        (&["--expires", "0.1"], "it has expired"),
        (&["--revocable", "--expires", "0.1"], "it has expired"),
    ] {
        let place = Place::new();
        let (mut client, theirs) = connection();
        let mut late = start(place.command("sh").args(["-c", LATE]), Stdio::piped());
        let given = place.tool_with(&[&["give", "--to", &late.pid().to_string()][..], options].concat(), theirs).end();
        given.expect(4, says);
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "nobody has the connection any more");
        late.send(given.output);
        late.end().expect(1, "the source process ended");
        assert!(place.names().is_empty(), "{:?}", place.names());
    }
}

#[test]
fn it_does_not_wait_for_the_dead() {
    for options in [&[][..], &["--revocable"]] {
        let place = Place::new();
        let (mut client, theirs) = connection();
        let late = start(place.command("sh").args(["-c", LATE]), Stdio::piped());
        let mut giving = place.tool_with(&[&["give", "--to", &late.pid().to_string()][..], options].concat(), theirs);
        giving.line();
        late.kill();
        giving.end().expect(4, "the target ended");
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        assert!(place.names().is_empty(), "{:?}", place.names());
    }
}

#[test]
fn without_a_target_it_is_who_reads() {
    let place = Place::new();
    let (_client, theirs) = connection();
    // Nobody with an endpoint does: this test.
    place.tool_with(&["give", "--timeout", "0.1"], theirs).end().expect(4, "not redeemed in time");
    let (_client, theirs) = connection();
    let line = "set -o pipefail; sharesock give | true";
    start(place.command("bash").args(["-c", line]), theirs.into()).end().expect(1, "nobody reads this output any more");
    let (_client, theirs) = connection();
    let line = "sharesock give > /dev/null";
    start(place.command("sh").args(["-c", line]), theirs.into()).end().expect(2, "--to PID");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn mistakes_are_explained() {
    let place = Place::new();
    let entry = ProtocolInfo::from(&sharesock::CatalogEntry::all()[0]).to_string();
    for (options, input, code, says) in [
        (&["give", "--to", "noise"][..], "", 2, "the id of a process"),
        (&["give", "--to", "1", "--fd", "three"], "", 2, "--fd"),
        (&["give", "--to", "1", "--timeout", "soon"], "", 2, "a number of seconds"),
        (&["give", "--to", "1", "--expires=-1"], "", 2, "not negative"),
        (&["give", "--to", "1", "--fd", "99"], "", 1, "descriptor 99 is not open here"),
        (&["give", "--to", "1"], "", 1, "descriptor 0 cannot be given: the descriptor is not a socket"),
        (&["take"], "", 2, "-- <COMMAND>..."),
        (&["take", "--", "true"], "", 1, "standard input ended before a protocol info came"),
        (&["take", "--", "true"], "\n", 1, "an empty line came"),
        (&["take", "--", "true"], "error: no\n", 1, "it has 10 bytes"),
        (&["take", "--", "true"], "sharesock1:00\n", 1, "232 hexadecimal digits"),
        (&["take", "no:ise", "--", "true"], "", 1, "not a usable protocol info"),
        (&["take", &entry, "--", "true"], "", 1, "names no duplicate"),
        (&["revoke"], "", 2, "<INFO>"),
        (&["revoke", "noise"], "", 1, "not a usable protocol info"),
        (&["revoke", &entry], "", 1, "names no duplicate"),
        (&["take", "--domain", "/no/such/place", "--", "true"], "", 1, "creating the domain /no/such/place"),
    ] {
        place.run(options, input).expect(code, says);
    }
    let (_client, theirs) = connection();
    let mut nobody = start(place.command("true").args([""; 0]), Stdio::null());
    until("its end", || !nobody.lives());
    place.tool_with(&["give", "--to", &nobody.pid().to_string()], theirs).end().expect(1, "there is no process");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn two_meet_by_name_whoever_is_first() {
    for giver_first in [true, false] {
        let place = Place::new();
        let (client, theirs) = connection();
        let take = |place: &Place| place.tool(&["take", "door", "--", "tr", "a-z", "A-Z"]);
        let give = |place: &Place| place.tool_with(&["give", "--as", "door"], theirs);
        let (giver, taker) = match giver_first {
            true => {
                let giver = give(&place);
                until("the name", || place.names().contains(&"give-as-door".to_owned()));
                (giver, take(&place))
            }
            false => {
                let mut taker = take(&place);
                let said = taker.error_line();
                assert!(said.starts_with("sharesock: waiting for `sharesock give --as door` in "), "{said}");
                (give(&place), taker)
            }
        };
        let given = giver.end();
        given.expect(0, "");
        assert_eq!(given.output, "", "the info went to the taker alone");
        assert_eq!(exchange_tcp(&client, "hello"), "HELLO");
        taker.end().expect(0, "");
        assert!(place.names().is_empty(), "{:?}", place.names());
    }
}

#[test]
fn a_name_is_one_givers_until_it_has_a_taker() {
    let place = Place::new();
    let (_client, theirs) = connection();
    let mut first = place.tool_with(&["give", "--as", "door"], theirs.try_clone().unwrap());
    until("the name", || place.names().contains(&"give-as-door".to_owned()));
    let second = place.tool_with(&["give", "--as", "door"], theirs.try_clone().unwrap()).end();
    second.expect(1, "another `sharesock give` has the name door");
    assert!(first.lives());
    // Its name is stale then, and the next has it.
    first.kill();
    let late = place.tool_with(&["give", "--as", "door", "--timeout", "0.2"], theirs).end();
    late.expect(4, "it was not redeemed in time");
    assert!(place.names().is_empty(), "{:?}", place.names());
    place
        .run(&["take", "door", "--timeout", "0.2", "--", "true"], "")
        .expect(1, "nobody gave under the name door within ");
}
