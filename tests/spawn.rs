//! Children that have their endpoint from birth.
#![cfg(target_os = "linux")]

mod peer;

use peer::{Peer, Place, pair, wait_for_end};
use sharesock::SpawnExt;
use std::process::{Command, Stdio};

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
    assert!(child.ask("open").contains("second endpoint"));
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
    child.wait().unwrap();
    wait_for_end(&mut client);
    assert!(Command::new("/nonexistent").spawn_with_endpoint(&endpoint).is_err());
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
