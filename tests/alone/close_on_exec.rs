//! No descriptor that the library opens or receives outlives `exec`: programs that this one starts get none of them.
//!
//! One test in a program of its own, for it looks at all that the process has open.

use crate::needs::lacks;
use crate::patience::WaitInTime;
use crate::peer::{Peer, Place, pair};
use sharesock::{Direction, DuplicateOptions, Event, MessageQueue, NetworkEvents, Parcel, Socket, SpawnExt, Turn};
use std::collections::{BTreeMap, VecDeque};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

/// What stays open when another program is executed: numbers, and what they are.
fn inheritable() -> BTreeMap<u32, PathBuf> {
    let numbers = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().file_name());
    let numbers: Vec<u32> = numbers.map(|name| name.to_str().unwrap().parse().unwrap()).collect();
    let stays = |number: &u32| {
        // The folder that was just read is closed by now.
        let facts = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
        let flags = facts.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let closes = u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0;
        (!closes).then(|| (*number, std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default()))
    };
    numbers.iter().filter_map(stays).collect()
}

#[test]
fn every_descriptor_closes_on_exec() {
    in_a_process_of_its_own!();
    let at_first = inheritable();
    let check = |what: &str| {
        let now = inheritable();
        let new: Vec<_> = now.iter().filter(|(number, file)| at_first.get(number) != Some(*file)).collect();
        assert!(new.is_empty(), "after {what}: {new:?}");
    };
    let place = Place::new("close-on-exec");
    let domain = place.domain();
    let endpoint = place.endpoint();
    let me = std::process::id();
    check("opening an endpoint");

    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let copy = socket.try_clone().unwrap();
    check("making a socket and cloning it");
    let (client, connection) = pair();
    let info = endpoint.duplicate(&connection, me).unwrap();
    check("duplicating");
    let redeemed = endpoint.redeem(&info).unwrap();
    check("redeeming");
    let options = DuplicateOptions::default();
    let (info, revocation) = endpoint.duplicate_revocable(&connection, me, &options).unwrap();
    check("duplicating revocably");
    let gated = endpoint.redeem(&info).unwrap();
    check("redeeming what was revocable");

    // What is held for a process that has no endpoint yet, and claimed by it.
    let mut later = Peer::start_without_endpoint(&place);
    let held = endpoint.duplicate(&connection, later.pid()).unwrap();
    check("holding a duplicate");
    assert_eq!(later.ask("open"), "ok");
    assert!(later.ask(&format!("redeem {held}")).starts_with("ok"));
    endpoint.flush(Duration::from_secs(60)).unwrap();
    check("answering a claim");
    let mut source = Peer::start(&place);
    assert_eq!(source.ask("socket"), "ok");
    let foreign = source.ask(&format!("duplicate {me}"));
    let foreign = endpoint.redeem(&foreign[3..].parse().unwrap()).unwrap();
    check("redeeming what another process sent");

    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(me).unwrap();
    check("opening a receiver and a sender");
    let mut kept = Vec::new();
    sender.hand_off(Parcel::new(pair().1)).unwrap();
    kept.push(receiver.receive().unwrap());
    check("receiving a parcel");
    let mut parcels: VecDeque<_> = (0..8).map(|_| Parcel::new(pair().1)).collect();
    kept.extend(receiver.try_receive().unwrap());
    sender.hand_off_many(&mut parcels).unwrap();
    kept.extend(receiver.receive_many(5).unwrap());
    while let Some(parcel) = receiver.try_receive().unwrap() {
        kept.push(parcel);
    }
    assert_eq!(kept.len(), 9);
    check("receiving many");
    sender.hand_off(Parcel::new(pair().1)).unwrap();
    assert!(sender.flush(Duration::from_millis(1)).is_err());
    check("waiting until it is taken");
    let back = sender.reclaim();
    assert_eq!(back.len(), 1);
    check("reclaiming");

    let event = Event::manual(&domain).unwrap();
    let queue = MessageQueue::new(&domain).unwrap();
    redeemed.event_select(&event, NetworkEvents::READ).unwrap();
    gated.async_select(&queue, 7, NetworkEvents::CLOSE).unwrap();
    check("registering for events");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Socket::from(listener);
    listener.event_select(&event, NetworkEvents::ACCEPT | NetworkEvents::READ).unwrap();
    let _clients = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    assert!(event.wait(Some(Duration::from_secs(60))).unwrap());
    let accepted = [listener.accept().unwrap().0, listener.accept_apart().unwrap().0];
    check("accepting");
    let turn = Turn::take(&domain, &connection, Direction::Send).unwrap();
    connection.holders().unwrap();
    endpoint.process().unwrap();
    domain.members().unwrap();
    check("taking turns and looking around");
    let mut child = std::process::Command::new("true").spawn_with_endpoint(&endpoint).unwrap();
    check("starting a process with its endpoint");
    assert!(child.wait_in_time().success());
    let info = endpoint.duplicate(&redeemed, source.pid()).unwrap();
    assert!(source.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(source.ask("event-select 1"), "ok");
    redeemed.event_select(&event, NetworkEvents::READ).unwrap();
    check("taking a registration over");
    drop((client, copy, revocation, foreign, back, accepted, turn));
}

/// Another thread may execute a program at any moment: no descriptor may lack the flag even for an instant.
#[test]
fn no_descriptor_is_made_without_it() {
    in_a_process_of_its_own!();
    let calls = "openat,openat2,socket,socketpair,accept,accept4,eventfd2,epoll_create1,memfd_create,pipe,pipe2,dup,fcntl,\
                 recvmsg,timerfd_create,inotify_init1,signalfd4,memfd_secret,open_tree";
    let folder = std::env::temp_dir().join(format!("sharesock-test-close-on-exec-{}-traces", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    // A file for each thread, so that no line is torn.
    let mut traced = std::process::Command::new("strace");
    traced.args(["-ff", "-qq", "-s", "0", "-e", &format!("trace={calls}"), "-o"]).arg(folder.join("trace"));
    traced.arg(std::env::current_exe().unwrap()).args(["--exact", "close_on_exec::every_descriptor_closes_on_exec"]);
    let output = traced.output();
    let files = std::fs::read_dir(&folder).unwrap();
    let trace: String = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    std::fs::remove_dir_all(&folder).unwrap();
    match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            lacks("strace", false);
            return;
        }
        output => assert!(output.unwrap().status.success()),
    }
    let makes = |call: &&str| {
        let passive = call.starts_with("fcntl(") && !call.contains("F_DUPFD");
        let bare = call.starts_with("recvmsg(") && !call.contains("SCM_RIGHTS");
        // What is no call, failed, or makes no descriptor.
        !(call.starts_with(['-', '+']) || call.contains(" = -1 ") || call.contains(" = ?") || passive || bare)
    };
    let made: Vec<_> = trace.lines().filter(makes).collect();
    assert!(made.len() > 100, "{trace}");
    let without: Vec<_> = made.iter().filter(|call| !call.contains("CLOEXEC")).collect();
    assert!(without.is_empty(), "{without:#?}");
}
