//! `sharesock inspect`, `sharesock holders` and `sharesock doctor`.

use crate::patience::OutputInTime;
use crate::stage::{Place, connection, start, text, until};
use serde_json::Value;
use sharesock::{CatalogEntry, Endpoint, Event, NetworkEvents, ProtocolInfo, Socket};
use std::net::{TcpListener, UdpSocket};
use std::process::Stdio;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn an_info_is_explained() {
    let place = Place::new();
    let (_client, theirs) = connection();
    let taker = place.taker(&["cat"]);
    let mut giving = place.tool_with(&["give", "--revocable", "--to", &taker.pid().to_string()], theirs);
    let line = giving.line();
    let info: ProtocolInfo = line.parse().unwrap();
    let delivery = *info.delivery().unwrap();

    let found = place.run(&["inspect", line.trim(), "--json"], "");
    found.expect(0, "");
    let whole = json(&found.output);
    assert_eq!(whole["form"], "text");
    assert_eq!(whole["protocol"]["address_family"]["name"], "AF_INET");
    assert_eq!(whole["protocol"]["socket_type"]["name"], "SOCK_STREAM");
    assert_eq!(whole["protocol"]["provider_id"], "{E70F1AA0-AB8B-11CF-8CA3-00805F48A192}");
    let duplicate = &whole["duplicate"];
    assert_eq!(duplicate["token"], format!("{:032x}", u128::from_be_bytes(delivery.token)));
    assert_eq!((&duplicate["way"], &duplicate["domain_is_here"]), (&"delivered".into(), &true.into()));
    for (who, pid) in [("target", taker.pid()), ("source", giving.pid())] {
        assert_eq!(duplicate[who]["pid"], pid);
        assert_eq!((&duplicate[who]["state"], &duplicate[who]["endpoint"]), (&"lives".into(), &true.into()));
    }

    for (bytes, form) in [(&info.to_wide_bytes()[..], "wide"), (&info.to_narrow_bytes()[..], "narrow")] {
        let found = place.run(&["inspect"], bytes);
        found.expect(0, "");
        assert!(found.output.starts_with(&format!("form                {form}")), "{}", found.output);
        assert!(
            found.output.contains("MSAFD Tcpip [TCP/IP]") && found.output.contains("delivered: "),
            "{}",
            found.output
        );
    }
    let other = Place::new();
    assert_eq!(json(&other.run(&["inspect", "--json"], &line).output)["duplicate"]["domain_is_here"], false);

    giving.kill();
    taker.kill();
    let whole = json(&place.run(&["inspect", "-", "--json"], &line).output);
    assert_eq!(whole["duplicate"]["target"]["state"], "ended");
    assert_eq!(whole["duplicate"]["source"]["endpoint"], false);
}

#[test]
fn an_entry_of_the_catalog_and_noise_are_told_apart() {
    let place = Place::new();
    for entry in CatalogEntry::all() {
        let text = ProtocolInfo::from(entry).to_string();
        let found = place.run(&["inspect", &text], "");
        found.expect(0, "");
        assert!(found.output.contains("it only describes a protocol") && found.output.contains(entry.name));
        assert!(json(&place.run(&["inspect", &text, "--json"], "").output)["duplicate"].is_null());
    }
    assert!(!place.path().exists(), "it looked for no domain");
    for (options, input, code, says) in [
        (&["inspect", "noise"][..], "", 1, "not a usable protocol info"),
        (&["inspect"], "", 1, "standard input ended"),
        (&["inspect"], "noise", 1, "not a usable protocol info: it has 5 bytes"),
        (&["inspect", "--yaml"], "", 2, "--yaml"),
    ] {
        place.run(options, input).expect(code, says);
    }
}

#[test]
fn everybody_who_holds_a_socket_is_listed() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let socket = Socket::from(listener);
    let me = std::process::id();
    let look = |options: &[&str]| {
        let found = place.run(&[&["holders", "--json"][..], options].concat(), "");
        found.expect(0, "");
        json(&found.output)
    };
    let is_ours = |whole: &Value| {
        whole["sockets"].as_array().unwrap().iter().find(|found| found["local"] == format!("127.0.0.1:{port}")).cloned()
    };
    // Children of other tests have what this process has until they have become another program.
    let held_by = |options: &[&str], pids: &[u32]| {
        let mut found = None;
        until("the right holders", || {
            found = is_ours(&look(options));
            let holders = found.iter().flat_map(|found| found["holders"].as_array().unwrap());
            holders.map(|holder| holder["pid"].clone()).eq(pids.iter().map(|pid| Value::from(*pid)))
        });
        found.unwrap()
    };
    let alone = held_by(&["--port", &port], &[me]);
    assert_eq!((&alone["kind"], &alone["state"]), (&"tcp".into(), &"listening".into()));
    assert_eq!(alone["local"], format!("127.0.0.1:{port}"));
    assert!(alone["registration"].is_null());
    assert!(place.names().is_empty(), "looking makes nothing: {:?}", place.names());

    // One more process, and a registration.
    let passed: std::os::fd::OwnedFd = socket.try_clone().unwrap().into();
    let child = start(place.command("sleep").arg("60"), passed.into());
    let event = Event::manual(&place.domain()).unwrap();
    socket.event_select(&event, NetworkEvents::ACCEPT).unwrap();
    let pid = child.pid().to_string();
    for options in [&["--port", &port][..], &["--pid", &pid], &[], &["--all"]] {
        let mut both = [me, child.pid()];
        both.sort_unstable();
        let found = held_by(options, &both);
        assert_eq!(found["id"], socket.id().unwrap().as_u64());
        assert_eq!((&found["registration"]["pid"], &found["registration"]["events"]), (&me.into(), &"ACCEPT".into()));
    }
    let told = place.run(&["holders", "--port", &port], "").output;
    assert!(told.contains(&format!("  process {pid} (sleep), which began ")), "{told}");
    assert!(told.contains(&format!("events ACCEPT: process {me} is registered")), "{told}");
    place.run(&["holders", "--pid", "0"], "").expect(1, "there is no process 0");
    place.run(&["holders", "--pid", "1", "--all"], "").expect(2, "cannot be used with");
}

#[test]
fn what_waits_is_listed() {
    let place = Place::new();
    let endpoint = Endpoint::open(&place.domain()).unwrap();
    let socket = Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut taker = place.taker(&["sh", "-c", "cat 2>&1 >/dev/null; :"]);
    let of = |pid: u32| {
        let whole = json(&place.run(&["holders", "--json", "--pid", &pid.to_string()], "").output);
        whole["endpoints"][0].clone()
    };
    assert_eq!(of(taker.pid())["unredeemed_descriptors"], 0);
    let first = endpoint.duplicate(&socket, taker.pid()).unwrap();
    endpoint.duplicate(&socket, taker.pid()).unwrap();
    assert_eq!(of(taker.pid())["unredeemed_descriptors"], 2);
    let told = place.run(&["holders", "--pid", &taker.pid().to_string()], "").output;
    assert!(told.contains("has not redeemed 2 descriptors that were delivered"), "{told}");

    let receiver = endpoint.receiver().unwrap();
    assert_eq!(of(std::process::id())["unreceived_descriptors"], 0);
    let sender = endpoint.sender(std::process::id()).unwrap();
    sender.hand_off(sharesock::Parcel::new(socket.try_clone().unwrap())).unwrap();
    assert!(of(std::process::id())["unreceived_descriptors"].as_u64().unwrap() > 0);
    receiver.receive().unwrap();
    assert_eq!(of(std::process::id())["unreceived_descriptors"], 0);

    // One without an endpoint: what is for it is held here.
    let late = start(place.command("cat").args([""; 0]), Stdio::piped());
    assert_eq!(of(std::process::id())["answers_claims"], false);
    assert!(endpoint.duplicate(&socket, late.pid()).unwrap().delivery().unwrap().held);
    assert_eq!(of(std::process::id())["answers_claims"], true);

    taker.send(format!("{first}\n"));
    until("take to go", || !place.receives(taker.pid()));
    taker.kill();
}

#[test]
fn changes_are_told_as_they_occur() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut watching = place.tool(&["holders", "--watch", "--json", "--port", &port]);
    let mut told = place.tool(&["holders", "--watch", "--port", &port]);
    // Children of other tests have what this process has until they have become another program.
    let mut next = |begins: bool, sign: &str| {
        let me = std::process::id();
        let is_it = |line: &Value| line["fact"] == "holds" && line["begins"] == begins && line["pid"] == me;
        while !is_it(&json(&watching.line())) {}
        let says = format!("process {me} ");
        while !Some(told.line()).is_some_and(|line| line.starts_with(sign) && line.contains(&says)) {}
    };
    next(true, "+ tcp 127.0.0.1:");
    drop(listener);
    next(false, "- tcp 127.0.0.1:");
    // Nobody reads any more: it ends by itself when it has something to say.
    drop((watching, told));
}

#[test]
fn the_doctor_finds_what_works() {
    let place = Place::new();
    let found = place.run(&["doctor", "--json"], "");
    found.expect(0, "");
    let whole = json(&found.output);
    assert_eq!(whole["ok"], true);
    let status = |whole: &Value, name: &str| {
        let checks = whole["checks"].as_array().unwrap().iter();
        checks.filter(|check| check["name"] == name).map(|check| check["status"].clone()).next().unwrap()
    };
    for name in
        ["kernel", "pidfd", "duplicate and redeem", "hand off", "events in shared memory", "OFD locks", "domain"]
    {
        assert_eq!(status(&whole, name), "ok", "{name}");
    }
    assert!(place.run(&["doctor"], "").output.contains("ok   duplicate and redeem      works\n"));

    let killed = place.taker(&["true"]);
    killed.kill();
    let whole = json(&place.run(&["doctor", "--json"], "").output);
    assert_eq!(status(&whole, "stale names"), "warn");

    let open = place.folder.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let found = place.run(&["doctor", "--domain", text(&open)], "");
    assert_eq!(found.code, Some(1));
    assert!(found.output.contains("FAIL domain") && found.output.contains("chmod o-rwx"), "{}", found.output);
    let few = place.command("sh").args(["-c", "ulimit -n 100; exec sharesock doctor"]).output_in_time();
    let few = String::from_utf8(few.stdout).unwrap();
    assert!(few.contains("warn open files") && few.contains("ulimit"), "{few}");
}

#[test]
fn every_tool_explains_itself() {
    let place = Place::new();
    for tool in ["listen", "connect", "give", "take", "inspect", "revoke", "holders", "doctor"] {
        let help = place.run(&[tool, "--help"], "");
        help.expect(0, "");
        assert!(help.output.contains("Example") && help.output.contains("Exit codes: "), "{}", help.output);
    }
}
