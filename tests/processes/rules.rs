//! The rules R1–R9 and R12, each with real processes: a source, a target and a third.
//!
//! A peer is this same test program, run with only the test `peer`, which obeys commands from standard input.

use crate::outside::{Kind, Outside};
use crate::patience::WaitInTime;
use crate::peer::{Peer, Place, hear, pair, sockets};
use sharesock::{Direction, Endpoint, Error, Parcel, ProtocolInfo, Socket, Turn};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Waits until these processes hold the socket, each with one descriptor, and no other. Others may for a moment: the
/// processes that other tests start are copies of this one until they execute their program.
fn wait_for_holders(socket: &Socket, expected: &[u32]) {
    let started = std::time::Instant::now();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    loop {
        let holders: Vec<_> = socket.holders().unwrap().seen.iter().map(|holder| holder.pid).collect();
        if holders == expected {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{holders:?} hold it instead of {expected:?}");
    }
}

#[test]
fn r1_duplicate_names_one_target_process() {
    let place = Place::new("r1");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let mut third = Peer::start(&place);
    for socket in sockets() {
        let info = source.duplicate(&socket, target.pid()).unwrap();
        assert_eq!(info.delivery().unwrap().target_pid, target.pid());
        assert!(third.ask(&format!("redeem {info}")).contains(&format!("is for process {}", target.pid())));
        assert!(matches!(source.redeem(&info), Err(Error::WrongProcess { .. })));
        assert_eq!(target.ask(&format!("redeem {info}")), format!("ok {}", socket.id().unwrap().as_u64()));
    }
}

#[test]
fn r1_a_target_that_is_no_process_is_refused() {
    let place = Place::new("r1-nobody");
    let source = place.endpoint();
    let (_client, socket) = pair();
    let mut ended = Peer::start(&place);
    let pid = ended.pid();
    ended.kill();
    for pid in [0, u32::MAX, pid] {
        let error = source.duplicate(&socket, pid).unwrap_err();
        assert_eq!((&error, error.winsock_code()), (&Error::NoSuchProcess { pid }, 10022));
    }
}

#[test]
fn r2_the_info_travels_over_any_channel() {
    let place = Place::new("r2");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    for kind in Kind::ALL {
        let (_outside, socket) = Outside::new(kind);
        let cookie = format!("ok {}", socket.id().unwrap().as_u64());
        let info = || source.duplicate(&socket, target.pid()).unwrap();

        let by_standard_input = info().to_string();
        let (wide, narrow) = (info().to_wide_bytes(), info().to_narrow_bytes());
        assert_eq!(target.ask(&format!("redeem {by_standard_input}")), cookie);

        let file = place.path().with_extension("info");
        std::fs::write(&file, narrow).unwrap();
        assert_eq!(target.ask(&format!("redeem-file {}", file.display())), cookie);
        std::fs::remove_file(&file).unwrap();

        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        target.tell(&format!("redeem-file {}", file.display()));
        std::fs::write(&file, wide).unwrap();
        assert_eq!(target.answer(), cookie, "through a pipe");
        std::fs::remove_file(&file).unwrap();

        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let bytes = source.duplicate(&socket, target.pid()).unwrap().to_wide_bytes();
        target.tell(&format!("redeem-tcp {}", listener.local_addr().unwrap()));
        listener.accept().unwrap().0.write_all(&bytes).unwrap();
        assert_eq!(target.answer(), cookie, "through TCP");
    }
}

#[test]
fn r2_the_info_travels_in_the_environment() {
    let place = Place::new("r2-environment");
    let source = place.endpoint();
    let (_client, socket) = pair();
    // A process keeps its id when it executes another program: the shell learns the info, the peer finds it.
    let peer = Peer::command(&place);
    let mut shell = Command::new("sh");
    let script = "read -r SHARESOCK_TEST_INFO; export SHARESOCK_TEST_INFO; exec \"$0\" --exact peer::peer --nocapture";
    shell.args(["-c", script]).arg(peer.get_program());
    shell.envs(peer.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let info = source.duplicate(&socket, &child).unwrap();
    let mut input = child.stdin.take().unwrap();
    write!(input, "{info}\nredeem-environment\n").unwrap();
    let expected = format!("peer> ok {}", socket.id().unwrap().as_u64());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(&expected)), "the peer did not redeem it");
    drop(input);
    child.wait_in_time();
}

#[test]
fn r3_redeeming_gives_one_more_descriptor_of_the_same_socket() {
    let place = Place::new("r3");
    let endpoint = place.endpoint();
    let mut target = Peer::start(&place);
    for socket in sockets() {
        let cookie = format!("ok {}", socket.id().unwrap().as_u64());
        let info = endpoint.duplicate(&socket, target.pid()).unwrap();
        assert_eq!(target.ask(&format!("redeem {info}")), cookie);
        assert!(target.ask(&format!("redeem {info}")).contains("redeemed already"));
        // One more descriptor, and one only.
        wait_for_holders(&socket, &[std::process::id(), target.pid()]);
        // The own process is allowed, too.
        let info = endpoint.duplicate(&socket, std::process::id()).unwrap();
        let redeemed = endpoint.redeem(&info).unwrap();
        assert_eq!(redeemed, socket);
        assert_ne!(std::os::fd::AsRawFd::as_raw_fd(&redeemed), std::os::fd::AsRawFd::as_raw_fd(&socket));
        assert_eq!(endpoint.redeem(&info), Err(Error::AlreadyRedeemed));
    }
}

#[test]
fn r3_connections_that_waited_in_a_backlog_are_accepted_by_the_target() {
    let place = Place::new("r3-backlog");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let clients: Vec<_> = (0..5)
        .map(|n| {
            let mut client = std::net::TcpStream::connect(address).unwrap();
            write!(client, "{n}").unwrap();
            client
        })
        .collect();
    let socket = Socket::from(listener);
    let info = source.duplicate(&socket, target.pid()).unwrap();
    drop(socket);
    assert!(target.ask(&format!("redeem {info}")).starts_with("ok"));
    for n in 0..clients.len() {
        assert_eq!(target.ask("hear 1"), format!("ok {n}"));
    }
}

#[test]
fn r3_of_two_threads_exactly_one_redeems() {
    let place = Place::new("r3-race");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    for _ in 0..200 {
        let info = endpoint.duplicate(&socket, std::process::id()).unwrap();
        let results = std::thread::scope(|scope| {
            let racers = [0; 4].map(|_| scope.spawn(|| endpoint.redeem(&info).is_ok()));
            racers.map(|racer| racer.join().unwrap())
        });
        assert_eq!(results.iter().filter(|won| **won).count(), 1);
    }
}

#[test]
fn r4_a_descriptor_is_valid_in_all_threads() {
    for kind in Kind::ALL {
        let (mut outside, socket) = Outside::new(kind);
        (0..4).for_each(|_| outside.say("x"));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_eq!(hear(&socket, 1).unwrap(), "x"));
            }
        });
    }
}

#[test]
fn r5_all_descriptors_do_io_independently() {
    let place = Place::new("r5");
    let source = place.endpoint();
    let (mut target, mut third) = (Peer::start(&place), Peer::start(&place));
    for kind in Kind::ALL {
        let (mut outside, socket) = Outside::new(kind);
        for peer in [&mut target, &mut third] {
            let info = source.duplicate(&socket, peer.pid()).unwrap();
            assert!(peer.ask(&format!("redeem {info}")).starts_with("ok"));
        }
        for round in ["a", "b", "c"] {
            outside.say(round);
            assert_eq!(hear(&socket, 1).unwrap(), round);
            outside.say(round);
            assert_eq!(target.ask("hear 1"), format!("ok {round}"));
            outside.say(round);
            assert_eq!(third.ask("hear 1"), format!("ok {round}"));
            if outside.listens() {
                assert_eq!(target.ask("send t"), "ok");
                assert_eq!(third.ask("send u"), "ok");
                assert_eq!(outside.hear(2), "tu");
            }
        }
    }
}

#[test]
fn r6_turns_bind_those_who_take_them_and_end_with_their_holder() {
    let place = Place::new("r6");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (_client, socket) = pair();
    let info = source.duplicate(&socket, target.pid()).unwrap();
    target.ask(&format!("redeem {info}"));
    let ask = format!("turn {}", place.path().display());
    assert_eq!(target.ask(&ask), "taken");
    let domain = place.domain();
    let take = |direction| Turn::try_take(&domain, &socket, direction).unwrap();
    assert!(take(Direction::Send).is_none());
    assert!(take(Direction::Receive).is_some(), "the directions are independent");
    assert!(Turn::take_within(&domain, &socket, Direction::Send, Duration::from_millis(20)).unwrap().is_none());
    (&socket).write_all(b"unforced").unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| Turn::take(&domain, &socket, Direction::Send).unwrap());
        target.kill();
        drop(waiter.join().unwrap());
    });
    assert!(Turn::take_within(&domain, &socket, Direction::Send, Duration::from_secs(60)).unwrap().is_some());
}

#[test]
fn r7_sockets_of_every_kind_are_handed_off_and_used_there() {
    let place = Place::new("r7-kinds");
    let source = place.endpoint();
    let mut worker = Peer::start(&place);
    assert_eq!(worker.ask("receiver"), "ok");
    let sender = source.sender(worker.pid()).unwrap();
    for kind in Kind::ALL {
        let (mut outside, socket) = Outside::new(kind);
        let id = socket.id().unwrap().as_u64();
        outside.say("early");
        sender.hand_off(Parcel::new(socket).with_bytes(b"state".to_vec())).unwrap();
        assert_eq!(worker.ask("receive"), format!("ok {id} state"));
        assert_eq!(worker.ask("hear 5"), "ok early");
        outside.say("late");
        assert_eq!(worker.ask("hear 4"), "ok late");
        sender.flush(Duration::from_secs(60)).unwrap();
        assert!(outside.is_open());
        assert_eq!(worker.ask("close"), "ok");
        outside.wait_for_end();
    }
}

#[test]
fn r8_an_option_set_through_one_is_seen_through_all() {
    let place = Place::new("r8");
    let source = place.endpoint();
    let (mut target, mut third) = (Peer::start(&place), Peer::start(&place));
    for kind in Kind::ALL {
        let (_outside, socket) = Outside::new(kind);
        for peer in [&mut target, &mut third] {
            let info = source.duplicate(&socket, peer.pid()).unwrap();
            peer.ask(&format!("redeem {info}"));
        }
        for on in [true, false, true] {
            assert_eq!(target.ask(&format!("broadcast {on}")), "ok");
            assert_eq!(socket.as_socket().broadcast().unwrap(), on);
            socket.as_socket().set_broadcast(!on).unwrap();
            assert_eq!(third.ask("is-broadcast"), (!on).to_string());
        }
    }
}

#[test]
fn r9_the_socket_lives_until_its_last_descriptor_is_closed() {
    let place = Place::new("r9");
    let (mut target, mut third) = (Peer::start(&place), Peer::start(&place));
    for kind in Kind::ALL {
        let source = place.endpoint();
        let (mut outside, socket) = Outside::new(kind);
        let infos = [target.pid(), third.pid()].map(|pid| source.duplicate(&socket, pid).unwrap());
        drop(socket); // before it is redeemed
        drop(source); // and the source's endpoint with it
        assert!(outside.is_open());
        assert!(target.ask(&format!("redeem {}", infos[0])).starts_with("ok"));
        assert!(third.ask(&format!("redeem {}", infos[1])).starts_with("ok"));
        outside.say("x");
        assert_eq!(target.ask("hear 1"), "ok x");
        assert_eq!(target.ask("close"), "ok");
        assert!(outside.is_open());
        outside.say("y");
        assert_eq!(third.ask("hear 1"), "ok y");
        assert_eq!(third.ask("close"), "ok");
        outside.wait_for_end();
    }
}

#[test]
fn r9_a_listener_ends_with_its_last_descriptor_and_not_by_a_shutdown() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (socket, other) = (Socket::from(listener.try_clone().unwrap()), Socket::from(listener));
    for how in [std::net::Shutdown::Read, std::net::Shutdown::Write, std::net::Shutdown::Both] {
        assert_eq!(socket.shutdown(how).unwrap_err().winsock_code(), 10057);
    }
    let _client = TcpStream::connect(address).unwrap();
    other.accept().unwrap();
}

#[test]
fn r9_a_duplicate_that_its_target_discards_keeps_nothing_open() {
    let place = Place::new("r9-discard");
    let (source, mut target) = (place.endpoint(), Peer::start(&place));
    for kind in Kind::ALL {
        let (mut outside, socket) = Outside::new(kind);
        let info = source.duplicate(&socket, target.pid()).unwrap();
        drop(socket);
        assert_eq!(source.discard(&info).unwrap_err().winsock_code(), 10022, "only its target can");
        assert!(outside.is_open());
        assert_eq!(target.ask(&format!("discard {info}")), "ok");
        outside.wait_for_end();
        assert!(target.ask(&format!("redeem {info}")).starts_with("error"), "it was discarded");
    }
}

#[test]
fn r9_a_target_that_is_killed_takes_unredeemed_duplicates_with_it() {
    let place = Place::new("r9-kill");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (mut client, socket) = pair();
    source.duplicate(&socket, target.pid()).unwrap();
    drop(socket);
    target.kill();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    // Its name is removed by whoever comes next.
    let name = |name: &str| {
        std::fs::read_dir(place.path())
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_str().unwrap().starts_with(name))
    };
    assert!(name(&format!("{}-", target.pid())));
    let _next = Peer::start(&place);
    assert!(!name(&format!("{}-", target.pid())));
}

#[test]
fn r12_threads_of_one_process_coordinate_tightly() {
    let (mut client, socket) = pair();
    let exchange = std::sync::Mutex::new(());
    client.write_all(&b"q".repeat(200)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let _turn = exchange.lock().unwrap();
                    (&socket).read_exact(&mut [0; 1]).unwrap();
                    (&socket).write_all(b"<").unwrap();
                    (&socket).write_all(b">").unwrap();
                }
            });
        }
    });
    let mut answers = vec![0; 400];
    client.read_exact(&mut answers).unwrap();
    assert_eq!(answers, b"<>".repeat(200));
}

#[test]
fn holders_are_listed_with_their_descriptors() {
    let place = Place::new("holders");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (_client, socket) = pair();
    let info = source.duplicate(&socket, target.pid()).unwrap();
    wait_for_holders(&socket, &[std::process::id()]);
    target.ask(&format!("redeem {info}"));
    wait_for_holders(&socket, &[std::process::id(), target.pid()]);
    target.kill();
    wait_for_holders(&socket, &[std::process::id()]);
}

#[test]
fn a_source_that_is_killed_leaves_what_it_delivered() {
    let place = Place::new("source-kill");
    let mut source = Peer::start(&place);
    let target = place.endpoint();
    let (mut client, socket) = pair();
    let inward = target.duplicate(&socket, source.pid()).unwrap();
    drop(socket);
    source.ask(&format!("redeem {inward}"));
    let text = source.ask(&format!("duplicate {}", std::process::id()));
    source.kill();
    let info: ProtocolInfo = text.strip_prefix("ok ").unwrap().parse().unwrap();
    let mut redeemed = target.redeem(&info).unwrap();
    redeemed.write_all(b"!").unwrap();
    let mut read = [0; 1];
    client.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"!");
    drop(redeemed);
    assert_eq!(client.read(&mut read).unwrap(), 0);
}

#[test]
fn an_info_of_another_domain_is_refused() {
    let (here, there) = (Place::new("domain-a"), Place::new("domain-b"));
    let (endpoint, other) = (here.endpoint(), there.endpoint());
    let (_client, socket) = pair();
    let info = endpoint.duplicate(&socket, std::process::id()).unwrap();
    assert!(matches!(other.redeem(&info), Err(Error::WrongDomain { .. })));
    assert_eq!(endpoint.redeem(&info).unwrap(), socket);
    // A second endpoint of one process in one domain would take what is meant for the first.
    assert!(matches!(Endpoint::open(&here.domain()), Err(Error::EndpointOpen { .. })));
}

#[test]
fn a_domain_that_others_can_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new("open");
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(sharesock::Domain::at(place.path()), Err(Error::UntrustedDomain { .. })));
    let link = place.path().with_extension("link");
    std::os::unix::fs::symlink(place.path(), &link).unwrap();
    assert!(matches!(sharesock::Domain::at(&link), Err(Error::UntrustedDomain { .. })));
    std::fs::remove_file(link).unwrap();
}
