//! Descriptors run out: in the table of a process, and in flight for a user.

use crate::needs::lacks_root;
use crate::peer::{Peer, Place, pair, program_for_all, wait_for_end};
use std::os::unix::fs::chown;
use std::process::Command;

#[test]
fn a_target_without_a_free_descriptor_loses_nothing() {
    let place = Place::new("full-table");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (mut client, socket) = pair();
    let first = source.duplicate(&socket, target.pid()).unwrap();
    assert!(target.ask(&format!("redeem {first}")).starts_with("ok"));
    assert_eq!(target.ask("close"), "ok");
    let info = source.duplicate(&socket, target.pid()).unwrap();
    drop(socket);
    assert_eq!(target.ask("limit-descriptors"), "ok");
    for _ in 0..50 {
        let answer = target.ask(&format!("redeem {info}"));
        assert!(answer.contains("Too many open files"), "{answer}");
    }
    assert_eq!(target.ask("free-descriptors"), "ok");
    assert!(target.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(target.ask("close"), "ok");
    wait_for_end(&mut client);
}

#[test]
fn a_greeting_that_lacks_a_descriptor_is_heard_again() {
    let place = Place::new("lacking-greeting");
    let endpoint = place.endpoint();
    let mut answers = Vec::new();
    // The link needs one, the queue that it brings another, and who sent it is asked with two more.
    for free in 0..6 {
        let mut target = Peer::start(&place);
        assert_eq!(target.ask("receiver"), "ok");
        assert_eq!(target.ask("limit-descriptors"), "ok");
        assert_eq!(target.ask(&format!("free-descriptors {free}")), "ok");
        let (mut client, socket) = pair();
        let expected = format!("ok {}", socket.id().unwrap().as_u64());
        let sender = endpoint.sender(target.pid()).unwrap();
        sender.hand_off(socket).unwrap();
        let answer = target.ask("try-receive");
        if answer != expected {
            assert_eq!(target.ask("free-descriptors"), "ok");
            assert_eq!(target.ask("try-receive"), expected, "after {answer}");
        }
        answers.push(answer);
        assert_eq!(target.ask("close"), "ok");
        wait_for_end(&mut client);
    }
    // It failed after the greeting had been taken out of the link, too.
    let is_late =
        |answer: &String| answer.contains("who is at the other end") && answer.contains("Too many open files");
    assert!(answers.iter().any(is_late), "{answers:#?}");
}

#[test]
fn a_source_without_a_free_descriptor_says_so_and_recovers() {
    let place = Place::new("full-source");
    let endpoint = place.endpoint();
    let (mut source, mut target) = (Peer::start(&place), Peer::start(&place));
    assert_eq!(target.ask("receiver"), "ok");
    let (mut client, socket) = pair();
    let inward = endpoint.duplicate(&socket, source.pid()).unwrap();
    drop(socket);
    assert!(source.ask(&format!("redeem {inward}")).starts_with("ok"));
    assert_eq!(source.ask("limit-descriptors"), "ok");
    let commands = [format!("duplicate {}", target.pid()), format!("hand-off-copies {} 1", target.pid())];
    for command in &commands {
        let answer = source.ask(command);
        assert!(answer.contains("Too many open files"), "{command}: {answer}");
    }
    assert_eq!(source.ask("free-descriptors"), "ok");
    let info = source.ask(&commands[0]);
    assert!(target.ask(&format!("redeem {}", &info[3..])).starts_with("ok"));
    assert_eq!(source.ask(&commands[1]), "ok 1 false");
    assert_eq!(source.ask("close"), "ok");
    assert!(target.ask("receive").starts_with("ok"));
    assert_eq!(target.ask("close"), "ok");
    wait_for_end(&mut client);
}

#[test]
fn too_many_descriptors_in_flight_of_an_ordinary_user_are_held_and_nothing_is_lost() {
    if lacks_root() {
        return;
    }
    let place = Place::new("in-flight");
    let (uid, program) = (61_010, program_for_all(&place));
    chown(place.path(), Some(uid), Some(uid)).unwrap();
    let start = |files: &str| {
        let mut command = Command::new("setpriv");
        let uid = uid.to_string();
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "prlimit"]).arg(format!("--nofile={files}"));
        command.arg(&program).args(["--exact", "peer::peer", "--nocapture"]);
        command.env("SHARESOCK_TEST_PEER_DOMAIN", place.path());
        Peer::from_command(&mut command, Command::spawn)
    };
    // The limit of files is also the limit of descriptors in flight for the user who sends.
    let (mut source, mut target) = (start("60"), start("1024"));
    assert_eq!(target.ask("receiver"), "ok");
    assert_eq!(source.ask("socket"), "ok");
    let infos: Vec<_> = (0..80)
        .map(|n| {
            let answer = source.ask(&format!("duplicate {}", target.pid()));
            answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{n}: {answer}")).to_owned()
        })
        .collect();
    let held = |text: &String| text.parse::<sharesock::ProtocolInfo>().unwrap().delivery().unwrap().held;
    assert!(infos.iter().any(held) && !infos.iter().all(held));
    for info in &infos {
        let answer = target.ask(&format!("redeem {info}"));
        assert!(answer.starts_with("ok"), "{answer}");
    }
    assert_eq!(source.ask("flush 60"), "ok");

    // Handed off: refused while too many are in flight, and accepted again afterwards.
    let answer = source.ask(&format!("hand-off-copies {} 30", target.pid()));
    assert_eq!(answer, "ok 30 false");
    for _ in 0..30 {
        assert!(target.ask("receive").starts_with("ok"));
    }
    assert_eq!(source.ask("flush-hand-offs"), "ok");
    let answer = source.ask(&format!("hand-off-copies {} 300", target.pid()));
    let accepted =
        answer.strip_prefix("ok ").and_then(|rest| rest.strip_suffix(" true")).unwrap_or_else(|| panic!("{answer}"));
    for _ in 0..accepted.parse::<u32>().unwrap() {
        assert!(target.ask("receive").starts_with("ok"));
    }
    assert_eq!(source.ask("flush-hand-offs"), "ok");
    assert_eq!(source.ask(&format!("hand-off-copies {} 10", target.pid())), "ok 10 false");
    std::fs::remove_file(program).unwrap();
}
