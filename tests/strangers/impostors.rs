//! Processes are who the kernel says that they are: nobody poses as another, gets what is meant for another, or puts something
//! in its place.

use crate::needs::{lacks, lacks_namespaces, lacks_root};
use crate::peer::{Peer, Place, pair, program_for_all, wait_for_end};
use crate::stranger::{
    self, TOKEN, Victim, claim, connect, deliver, hello, is_closed, name_of, queue, receive, send, seqpacket, token,
    twin, with,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::SocketAddrUnix;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, pidfd_open, waitid};
use sharesock::{Endpoint, Error, Process, ProtocolInfo};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

/// A peer in a PID namespace of its own, and its name.
fn inside(place: &Place) -> (Peer, Process) {
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let mut peer = Peer::from_command(&mut Peer::command_by(place, "unshare", &unshare), Command::spawn);
    let process = peer.ask("process").parse().unwrap();
    (peer, process)
}

/// The process that this one has started, as it is called here.
fn child_of(parent: u32) -> Pid {
    let stats = std::fs::read_dir("/proc").unwrap().flatten();
    let stats = stats.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    let is_it = |stat: &String| stat.rsplit_once(") ").unwrap().1.split(' ').nth(1) == Some(&*parent.to_string());
    let pid = stats.into_iter().find(is_it).unwrap();
    Pid::from_raw(pid.split(' ').next().unwrap().parse().unwrap()).unwrap()
}

fn info(answer: &str) -> ProtocolInfo {
    answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{answer}")).parse().unwrap()
}

/// A socket of the peer, which has its number afterwards.
fn give(endpoint: &Endpoint, peer: &mut Peer) -> String {
    let (client, socket) = pair();
    // The other side lives as long as the test.
    std::mem::forget(client);
    let info = endpoint.duplicate(&socket, peer.pid()).unwrap();
    let answer = peer.ask(&format!("redeem {info}"));
    assert!(answer.starts_with("ok"), "{answer}");
    answer
}

#[test]
fn a_forged_identity_with_the_tag_of_a_source_substitutes_nothing() {
    for source_is_known in [true, false] {
        let mut victim = Victim::new("substitution");
        let mut source = Peer::start(&victim.place);
        let real: Process = source.ask("process").parse().unwrap();
        let given = give(&victim.endpoint, &mut source);
        if source_is_known {
            let first = source.ask(&format!("duplicate {}", victim.peer.pid()));
            assert_eq!(victim.peer.ask(&format!("redeem {}", &first[3..])), given);
        }
        let (mut client, evil) = pair();
        let links: Vec<_> = [twin(&real), real, twin(&Process::current().unwrap())]
            .iter()
            .map(|pose| {
                let link = victim.connect("");
                send(&link, &hello(pose), &[]);
                link
            })
            .collect();
        let info = info(&source.ask(&format!("duplicate {}", victim.peer.pid())));
        let theirs = info.delivery().unwrap().token;
        for link in &links {
            // With its own identity of a socket, and with the other's.
            send(link, &deliver(theirs, &evil), &[evil.as_fd()]);
            let mut lie = deliver(theirs, &evil);
            lie[20..28].copy_from_slice(&theirs[8..]);
            send(link, &lie, &[evil.as_fd()]);
        }
        assert_eq!(victim.peer.ask(&format!("redeem {info}")), given);
        assert!(victim.peer.ask(&format!("redeem {info}")).contains("redeemed already"));
        victim.is_well();
        assert!(links.iter().all(is_closed));
        drop(evil);
        wait_for_end(&mut client);
    }
}

#[test]
fn an_info_says_of_which_socket_it_is() {
    let mut victim = Victim::new("token");
    let me = Process::current().unwrap();
    let (mut client, promised) = pair();
    let (mut other_client, other) = pair();
    // Even the source itself cannot deliver another socket under the token of this one.
    let link = victim.connect("");
    send(&link, &hello(&me), &[]);
    send(&link, &deliver(token(1, &promised), &other), &[other.as_fd()]);
    victim.is_well();
    assert!(is_closed(&link));
    drop((promised, other));
    wait_for_end(&mut client);
    wait_for_end(&mut other_client);
}

#[test]
fn what_is_held_for_a_process_of_another_namespace_is_not_given_to_one_of_this() {
    let place = Place::new("claim-foreign");
    let endpoint = place.endpoint();
    let mut source = Peer::start(&place);
    give(&endpoint, &mut source);
    let foreign: Process = "7:123456:4026539999".parse().unwrap();
    let info = info(&source.ask(&format!("duplicate-for {foreign}")));
    let delivery = info.delivery().unwrap();
    assert!(delivery.held);
    let mine = twin(&Process::current().unwrap());
    for pose in [foreign, mine, Process::current().unwrap()] {
        let link = connect(&name_of(&place, source.pid(), "-claims"));
        send(&link, &hello(&pose), &[]);
        send(&link, &claim(delivery.token), &[]);
        match pose == Process::current().unwrap() {
            // This one is believed, and told that nothing is held for it.
            true => assert!(receive(&link).1.is_empty()),
            false => assert!(is_closed(&link)),
        }
    }
    assert!(source.ask("flush 0").contains("1 duplicates are still held"));
}

/// A link of `peer` to `name`, which this process has. For the kernel it stays the link of `peer`.
fn link_of(peer: &mut Peer, endpoint: &Endpoint, name: &std::path::Path) -> OwnedFd {
    let receiver = endpoint.receiver().unwrap();
    assert_eq!(peer.ask(&format!("connect-to {}", name.file_name().unwrap().to_str().unwrap())), "ok");
    assert_eq!(peer.ask(&format!("hand-off {} link", std::process::id())), "ok");
    receiver.receive().unwrap().into_parts().0.into()
}

#[test]
fn whoever_has_the_link_of_a_process_that_ended_claims_nothing_of_its() {
    let place = Place::new("claim-of-ended");
    let endpoint = place.endpoint();
    let (mut source, mut target) = (Peer::start(&place), Peer::start_without_endpoint(&place));
    let (mut client, socket) = pair();
    let inward = endpoint.duplicate(&socket, source.pid()).unwrap();
    drop(socket);
    assert!(source.ask(&format!("redeem {inward}")).starts_with("ok"));
    let infos = [0; 2].map(|_| info(&source.ask(&format!("duplicate {}", target.pid()))));
    assert!(infos.iter().all(|info| info.delivery().unwrap().held));
    assert_eq!(source.ask("close"), "ok");
    assert_eq!(target.ask("open"), "ok");
    assert!(target.ask(&format!("redeem {}", infos[0])).starts_with("ok"), "it claims while it lives");
    assert_eq!(target.ask("close"), "ok");
    let real: Process = target.ask("process").parse().unwrap();
    let link = link_of(&mut target, &endpoint, &name_of(&place, source.pid(), "-claims"));
    // The source sees the claim and the end of its target at once, and answers claims first.
    let stopped = Pid::from_raw(source.pid().try_into().unwrap()).unwrap();
    kill_process(stopped, Signal::STOP).unwrap();
    waitid(WaitId::Pid(stopped), WaitIdOptions::STOPPED).unwrap();
    target.kill();
    send(&link, &hello(&real), &[]);
    send(&link, &claim(infos[1].delivery().unwrap().token), &[]);
    kill_process(stopped, Signal::CONT).unwrap();
    assert!(is_closed(&link));
    // Nobody has it.
    wait_for_end(&mut client);
}

#[test]
fn the_link_of_a_process_that_ended_is_nobody_elses() {
    let mut victim = Victim::new("link-of-ended");
    let living = Peer::start(&victim.place);
    let mut ended = Peer::start(&victim.place);
    let others = [living.pid(), ended.pid()].map(|pid| Process::from_pid(pid).unwrap());
    ended.kill();
    let (mut client, socket) = pair();
    for suffix in ["", "-hand-off"] {
        for other in others {
            let mut opener = Peer::start(&victim.place);
            let name = name_of(&victim.place, victim.peer.pid(), suffix);
            let link = link_of(&mut opener, &victim.endpoint, &name);
            opener.kill();
            let (one, two) = queue();
            match suffix {
                "" => {
                    send(&link, &hello(&other), &[]);
                    send(&link, &deliver(token(1, &socket), &socket), &[socket.as_fd()]);
                }
                _ => {
                    send(&link, &hello(&other), &[two.as_fd()]);
                    send(&one, &stranger::load(1, &[0], 0), &[socket.as_fd()]);
                }
            }
            drop(two);
            victim.is_well();
            assert!(is_closed(&link), "{suffix}: {other}");
        }
    }
    drop(socket);
    wait_for_end(&mut client);
}

#[test]
fn who_listens_under_the_name_of_another_gets_nothing() {
    let place = Place::new("listens-for");
    let endpoint = place.endpoint();
    let (mut client, socket) = pair();
    let idle = Peer::start_without_endpoint(&place);
    let here = Process::from_pid(idle.pid()).unwrap();
    let elsewhere: Process = "9:123456:4026539999".parse().unwrap();
    for target in [here, elsewhere] {
        for suffix in ["", "-hand-off"] {
            let listener = seqpacket();
            let path = place.path().join(format!("{}-{:08x}{suffix}", target.pid(), target.tag()));
            rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
            rustix::net::listen(&listener, 8).unwrap();
            let refused = match suffix {
                "" => endpoint.duplicate(&socket, target).unwrap_err(),
                _ => endpoint.sender(target).map(drop).unwrap_err(),
            };
            assert_eq!(refused, Error::Impostor { pid: target.pid(), answered: std::process::id() });
            std::fs::remove_file(path).unwrap();
        }
    }
    drop(socket);
    wait_for_end(&mut client);
}

#[test]
fn who_listens_under_the_name_of_a_source_is_not_asked() {
    let place = Place::new("listens-as-source");
    let (mut source, mut target) = (Peer::start(&place), Peer::start_without_endpoint(&place));
    give(&place.endpoint(), &mut source);
    let info = info(&source.ask(&format!("duplicate {}", target.pid())));
    let path = name_of(&place, source.pid(), "-claims");
    // It lives, so that only who answers is wrong.
    std::fs::remove_file(&path).unwrap();
    let listener = seqpacket();
    rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    assert_eq!(target.ask("open"), "ok");
    let refused = target.ask(&format!("redeem {info}"));
    let expected = Error::Impostor { pid: source.pid(), answered: std::process::id() };
    assert_eq!(refused, format!("error {expected}"));
    let link = rustix::net::accept(&listener).unwrap();
    assert!(is_closed(&link), "it said nothing");
}

#[test]
fn a_process_outside_of_a_pid_namespace_poses_as_nobody_inside() {
    if lacks_namespaces() {
        return;
    }
    let place = Place::new("poses-from-outside");
    let (mut victim, process) = inside(&place);
    let (_client, socket) = pair();
    let inward = place.endpoint().duplicate(&socket, process).unwrap();
    assert!(victim.ask(&format!("redeem {inward}")).starts_with("ok"));
    let own = info(&victim.ask(&format!("duplicate {}", process.pid())));
    // Another socket, delivered as if by the victim itself.
    let (_other_client, other) = pair();
    let link = connect(&name_of(&place, process.pid(), ""));
    send(&link, &hello(&process), &[]);
    let chosen = token(7, &other);
    send(&link, &deliver(chosen, &other), &[other.as_fd()]);
    let answer = victim.ask(&format!("redeem {}", with(&own, TOKEN, &chosen)));
    assert!(answer.contains("no duplicate waits"), "{answer}");
    assert!(victim.ask(&format!("redeem {own}")).starts_with("ok"));
    assert!(is_closed(&link));
}

#[test]
fn of_a_sender_of_another_namespace_that_has_ended_nobody_says_who_it_was() {
    if lacks_namespaces() {
        return;
    }
    let place = Place::new("hearsay");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    for ended in [false, true] {
        let (mut sender, process) = inside(&place);
        let (_client, socket) = pair();
        let inward = endpoint.duplicate(&socket, process).unwrap();
        assert!(sender.ask(&format!("redeem {inward}")).starts_with("ok"));
        assert_eq!(sender.ask(&format!("hand-off-to {}", Process::current().unwrap())), "ok");
        if ended {
            let end = pidfd_open(child_of(sender.pid()), PidfdFlags::empty()).unwrap();
            sender.kill();
            // Its links are closed earlier.
            poll(&mut [PollFd::new(&end, PollFlags::IN)], None).unwrap();
        }
        assert_eq!(receiver.receive().unwrap().source(), (!ended).then_some(process));
    }
}

#[test]
fn a_sender_that_poses_as_another_is_not_greeted() {
    let mut victim = Victim::new("poses-as-sender");
    let source = Peer::start(&victim.place);
    let real = Process::from_pid(source.pid()).unwrap();
    let (mut client, socket) = pair();
    for pose in [real, twin(&real), twin(&Process::current().unwrap())] {
        let link = victim.connect("-hand-off");
        let (one, two) = queue();
        send(&link, &hello(&pose), &[two.as_fd()]);
        drop(two);
        send(&one, &stranger::load(1, &[0], 0), &[socket.as_fd()]);
        victim.is_well();
        assert!(is_closed(&link));
    }
    drop(socket);
    wait_for_end(&mut client);
}

#[test]
fn a_process_with_the_id_of_an_earlier_one_gets_nothing_of_its() {
    if lacks_root() {
        return;
    }
    let place = Place::new("recycled-id");
    let endpoint = place.endpoint();
    let (mut client, socket) = pair();
    let mut again = None;
    for _ in 0..50 {
        let mut first = Peer::start_without_endpoint(&place);
        let before = Process::from_pid(first.pid()).unwrap();
        let info = endpoint.duplicate(&socket, before).unwrap();
        first.kill();
        let last = (before.pid() - 1).to_string();
        std::fs::write("/proc/sys/kernel/ns_last_pid", last).unwrap();
        let second = Peer::start(&place);
        // One that started in the same clock tick is the same process, for all that anybody can see.
        if second.pid() == before.pid() && Process::from_pid(second.pid()).unwrap() != before {
            again = Some((before, second, info));
            break;
        }
    }
    if lacks("that few other processes start", again.is_some()) {
        return;
    }
    let (before, mut second, info) = again.unwrap();
    let now = Process::from_pid(second.pid()).unwrap();
    assert!(now != before && now.pid() == before.pid());
    assert!(matches!(endpoint.duplicate(&socket, before), Err(Error::NoSuchProcess { .. } | Error::NoEndpoint { .. })));
    assert!(endpoint.sender(before).is_err());
    let answer = second.ask(&format!("redeem {info}"));
    assert!(answer.starts_with("error") && !answer.contains("ended while"), "{answer}");
    drop(socket);
    wait_for_end(&mut client);
}

#[test]
fn a_target_of_another_namespace_that_ended_is_forgotten() {
    if lacks_namespaces() {
        return;
    }
    let place = Place::new("foreign-dead");
    let endpoint = place.endpoint();
    let (mut peer, there) = inside(&place);
    let (mut client, socket) = pair();
    // Delivered until its queue is full, and then held.
    while !endpoint.duplicate(&socket, there).unwrap().delivery().unwrap().held {}
    peer.kill();
    while !matches!(endpoint.duplicate(&socket, there), Err(Error::NoSuchProcess { .. })) {
        std::thread::yield_now();
    }
    assert!(endpoint.sender(there).is_err());
    endpoint.flush(std::time::Duration::from_secs(60)).unwrap();
    drop(socket);
    wait_for_end(&mut client);
}

#[test]
fn a_process_whose_namespace_cannot_be_read_is_not_taken_for_one_of_this() {
    if lacks_root() || lacks_namespaces() {
        return;
    }
    let place = Place::new("unreadable");
    let program = program_for_all(&place);
    chown(place.path(), Some(0), Some(54_321)).unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o3770)).unwrap();
    let start = |uid: &str, before: &[&str], later: bool| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", uid, "--regid", "54321", "--clear-groups"]).args(before);
        command
            .args([&program, "--exact", "peer::peer", "--nocapture"])
            .env("SHARESOCK_TEST_PEER_DOMAIN", place.path());
        if later {
            command.env("SHARESOCK_TEST_PEER_LATER", "1");
        }
        Peer::from_command(&mut command, Command::spawn)
    };
    let target = start("61001", &[], true);
    let pid = target.pid();
    // In a PID namespace of its own, where it has the id of the target.
    let last = format!("echo {} > /proc/sys/kernel/ns_last_pid; \"$@\"; true", pid - 1);
    let unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let before = [&unshare[..], &["sh", "-c", &last, "sh"]].concat();
    let mut attacker = start("61003", &before, true);
    let mut source = start("61002", &[], false);
    let tag = Process::from_pid(pid).unwrap().tag();
    for suffix in ["", "-hand-off"] {
        assert_eq!(attacker.ask(&format!("listen-as {pid}-{tag:08x}{suffix}")), "ok");
    }
    assert_eq!(source.ask("socket"), "ok");
    for command in [format!("duplicate {pid}"), format!("hand-off {pid} secret")] {
        let answer = source.ask(&command);
        assert!(answer.starts_with("error") && answer.contains(&pid.to_string()), "{answer}");
        let answered = answer.split_once("is answered by process ").unwrap().1.split_once(':').unwrap().0;
        let status = std::fs::read_to_string(format!("/proc/{answered}/status")).unwrap();
        let ids = status.lines().find(|line| line.starts_with("NSpid:")).unwrap();
        assert!(ids.ends_with(&format!("\t{pid}")), "where it is, it has the id of the target: {ids}");
        assert_eq!(source.ask("socket"), "ok");
    }
    drop((attacker, source, target));
    std::fs::remove_file(program).unwrap();
}
