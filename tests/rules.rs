//! The rules R1–R5, R8 and R9, each with real processes.
//!
//! A peer is this same test program, run with only the test `peer`, which obeys commands from standard input.

mod peer;

use peer::{Peer, Place, pair, sockets};
use sharesock::{Direction, Endpoint, Error, ProtocolInfo, Turn};
use std::io::{Read, Write};
use std::time::Duration;

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
fn r2_the_info_travels_as_bytes_and_as_text() {
    let place = Place::new("r2");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (_client, socket) = pair();
    let cookie = format!("ok {}", socket.id().unwrap().as_u64());
    for narrow in [false, true] {
        let info = source.duplicate(&socket, target.pid()).unwrap();
        let file = place.path().with_extension("info");
        match narrow {
            true => std::fs::write(&file, info.to_narrow_bytes()).unwrap(),
            false => std::fs::write(&file, info.to_wide_bytes()).unwrap(),
        }
        assert_eq!(target.ask(&format!("redeem-file {}", file.display())), cookie);
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn r3_redeeming_gives_one_more_descriptor_of_the_same_socket() {
    let place = Place::new("r3");
    let endpoint = place.endpoint();
    for socket in sockets() {
        // Own process is allowed.
        let info = endpoint.duplicate(&socket, std::process::id()).unwrap();
        let redeemed = endpoint.redeem(&info).unwrap();
        assert_eq!(redeemed, socket);
        use std::os::fd::AsRawFd;
        assert_ne!(redeemed.as_raw_fd(), socket.as_raw_fd());
        assert_eq!(endpoint.redeem(&info).unwrap_err(), Error::AlreadyRedeemed);
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
    let (mut client, socket) = pair();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (&socket).write_all(b"x").unwrap());
        }
    });
    let mut read = [0; 4];
    client.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"xxxx");
}

#[test]
fn r5_both_descriptors_do_io_independently() {
    let place = Place::new("r5");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (mut client, mut socket) = pair();
    let info = source.duplicate(&socket, target.pid()).unwrap();
    target.ask(&format!("redeem {info}"));
    let mut read = [0; 1];
    for _ in 0..3 {
        assert_eq!(target.ask("send t"), "ok");
        client.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"t");
        socket.write_all(b"s").unwrap();
        client.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"s");
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
fn holders_are_listed_with_their_descriptors() {
    let place = Place::new("holders");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (_client, socket) = pair();
    let info = source.duplicate(&socket, target.pid()).unwrap();
    let pids = || socket.holders().unwrap().seen.iter().map(|holder| holder.pid).collect::<Vec<_>>();
    assert_eq!(pids(), [std::process::id()]);
    target.ask(&format!("redeem {info}"));
    let mut expected = [std::process::id(), target.pid()];
    expected.sort_unstable();
    assert_eq!(pids(), expected);
    target.kill();
    assert_eq!(pids(), [std::process::id()]);
}

#[test]
fn r8_an_option_set_through_one_is_seen_through_the_other() {
    let place = Place::new("r8");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (_client, socket) = pair();
    let info = source.duplicate(&socket, target.pid()).unwrap();
    target.ask(&format!("redeem {info}"));
    for on in [true, false, true] {
        assert_eq!(target.ask(&format!("keepalive {on}")), "ok");
        assert_eq!(socket.as_socket().keepalive().unwrap(), on);
    }
}

#[test]
fn r9_the_socket_lives_until_its_last_descriptor_is_closed() {
    let place = Place::new("r9");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (mut client, socket) = pair();
    let info = source.duplicate(&socket, target.pid()).unwrap();
    drop(socket); // before it is redeemed
    drop(source); // and the source's endpoint with it
    assert!(target.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(target.ask("send a"), "ok");
    let mut read = [0; 1];
    client.read_exact(&mut read).unwrap();
    client.set_nonblocking(true).unwrap();
    assert_eq!(client.read(&mut read).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    assert_eq!(target.ask("close"), "ok");
    assert_eq!(client.read(&mut read).unwrap(), 0, "the last close is seen as the end of the stream");
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
    assert_eq!(Endpoint::open(&here.domain()).unwrap_err().os_code(), Some(17));
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
