//! Children that have their endpoint from birth.

use crate::patience::WaitInTime;
use crate::peer::{Peer, Place, pair, wait_for_end};
use sharesock::{Error, Parcel, SpawnExt};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn a_child_has_its_endpoint_before_it_opens_it_and_the_source_may_end() {
    let place = Place::new("spawn");
    let endpoint = place.endpoint();
    let mut command = Peer::command(&place);
    let mut child = Peer::from_command(command.env("SHARESOCK_TEST_PEER_LATER", "1"), |command| {
        command.spawn_with_endpoint(&endpoint)
    });
    // The same command again: each child has its own.
    let mut sibling = Peer::from_command(&mut command, |command| command.spawn_with_endpoint(&endpoint));
    let mut third = Peer::start(&place);
    let (mut client, socket) = pair();
    let id = socket.id().unwrap().as_u64();
    let infos = [child.pid(), sibling.pid()].map(|pid| endpoint.duplicate(&socket, pid).unwrap());
    assert!(infos.iter().all(|info| !info.delivery().unwrap().held));
    // Others than its parent reach it, too.
    let inward = endpoint.duplicate(&socket, third.pid()).unwrap();
    assert!(third.ask(&format!("redeem {inward}")).starts_with("ok"));
    let from_third = third.ask(&format!("duplicate {}", child.pid()));
    third.kill();
    drop((endpoint, socket));
    assert_eq!((child.ask("open"), sibling.ask("open")), ("ok".to_owned(), "ok".to_owned()));
    assert_eq!(child.ask(&format!("redeem {}", infos[0])), format!("ok {id}"));
    assert_eq!(sibling.ask(&format!("redeem {}", infos[1])), format!("ok {id}"));
    assert_eq!(child.ask(&format!("redeem {}", &from_third[3..])), format!("ok {id}"));
    assert!(child.ask("open").contains("has an endpoint in"));
    assert_eq!((child.ask("close"), sibling.ask("close")), ("ok".to_owned(), "ok".to_owned()));
    wait_for_end(&mut client);
}

#[test]
fn a_child_that_ends_takes_its_duplicates_and_its_name_is_removed() {
    let place = Place::new("spawn-dies");
    let endpoint = place.endpoint();
    let mut child = Command::new("sleep").arg("1000").spawn_with_endpoint(&endpoint).unwrap();
    let (mut client, socket) = pair();
    endpoint.duplicate(&socket, child.id()).unwrap();
    drop(socket);
    child.kill().unwrap();
    child.wait_in_time();
    wait_for_end(&mut client);
    assert!(Command::new("/nonexistent").spawn_with_endpoint(&endpoint).is_err());
    let _next = Peer::start(&place);
    let names = std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(names, 2, "this process and the next peer");
}

#[test]
fn a_child_is_handed_sockets_before_it_opens_its_receiver_and_the_sender_may_end() {
    let place = Place::new("spawn-hand-off");
    let endpoint = place.endpoint();
    let mut command = Peer::command(&place);
    let mut child = Peer::from_command(command.env("SHARESOCK_TEST_PEER_LATER", "1"), |command| {
        command.spawn_with_endpoint(&endpoint)
    });
    let mut third = Peer::start(&place);
    let (mut client, socket) = pair();
    let id = socket.id().unwrap().as_u64();
    let sender = endpoint.sender(child.pid()).unwrap();
    sender.hand_off(Parcel::new(socket).with_bytes(b"early".to_vec())).unwrap();
    // Others than its parent reach it, too, before and after it has opened its endpoint.
    let (_other, second) = pair();
    let info = endpoint.duplicate(&second, third.pid()).unwrap();
    assert!(third.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(child.ask("open"), "ok");
    assert_eq!(third.ask(&format!("hand-off {} from the third", child.pid())), "ok");
    assert_eq!(child.ask("receiver"), "ok");
    let mut received = [child.ask("receive"), child.ask("receive")];
    received.sort();
    let mut expected = [format!("ok {id} early"), format!("ok {} from the third", second.id().unwrap().as_u64())];
    expected.sort();
    assert_eq!(received, expected);
    assert!(child.ask("receiver").contains("has the receiver"));
    // Once closed, it is opened as in any process.
    assert_eq!(child.ask("close-receiver"), "ok");
    assert!(matches!(endpoint.sender(child.pid()), Err(Error::NoEndpoint { .. })));
    assert_eq!(child.ask("receiver"), "ok");
    assert!(sender.reclaim().is_empty());
    let (mut client_of_last, last) = pair();
    endpoint.sender(child.pid()).unwrap().hand_off(last).unwrap();
    assert!(child.ask("receive").starts_with("ok"));
    child.kill();
    wait_for_end(&mut client);
    wait_for_end(&mut client_of_last);
}

#[test]
fn what_is_handed_to_a_child_without_receiver_comes_back_when_it_closes_its_endpoint_or_ends() {
    let place = Place::new("spawn-no-receiver");
    let endpoint = place.endpoint();
    for last in ["close-endpoint", "end"] {
        let mut command = Peer::command(&place);
        let mut child = Peer::from_command(&mut command, |command| command.spawn_with_endpoint(&endpoint));
        let sender = endpoint.sender(child.pid()).unwrap();
        let (_client, socket) = pair();
        sender.hand_off(socket).unwrap();
        match last {
            "end" => child.kill(),
            _ => assert_eq!(child.ask("close-endpoint"), "ok"),
        }
        assert!(matches!(sender.flush(Duration::from_secs(60)), Err(Error::TargetGone { .. })), "{last}");
        assert_eq!(sender.reclaim().len(), 1);
        assert!(matches!(endpoint.sender(child.pid()), Err(Error::NoEndpoint { .. } | Error::NoSuchProcess { .. })));
    }
    let _next = Peer::start(&place);
    let names = std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(names, 2, "this process and the next peer");
}

#[test]
fn a_grandchild_does_not_take_its_parents_endpoint() {
    let place = Place::new("grandchild");
    let endpoint = place.endpoint();
    // The shell is the child; the peer is its child, and inherits the variable and the descriptor.
    let peer = Peer::command(&place);
    let program = peer.get_program().to_str().unwrap().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{program} --exact peer::peer --nocapture; exit 0")]);
    shell.envs(peer.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut peer = Peer::from_command(shell.stdin(Stdio::piped()), |command| command.spawn_with_endpoint(&endpoint));
    let (_client, socket) = pair();
    let info = endpoint.duplicate(&socket, peer.pid()).unwrap();
    assert!(peer.ask(&format!("redeem {info}")).contains(&format!("is for process {}", peer.pid())));
}
