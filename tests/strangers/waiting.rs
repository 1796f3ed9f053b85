//! Nothing of the library waits for what another process left in a descriptor, and its threads disturb nobody.
//!
//! The connections here linger for a day: whoever waits for their close waits until the test gives up.

use crate::needs::{lacks, works};
use crate::peer::{Peer, Place, at_end, pair, wait_for_end};
use crate::stranger::{SUFFIXES, Victim, hello, is_closed_in_order, load, queue, send, sticky, without_waiting};
use rustix::fd::{AsFd, OwnedFd};
use sharesock::{Error, Parcel, Process};
use std::net::TcpStream;
use std::time::Duration;

fn me() -> Process {
    Process::current().unwrap()
}

/// Sends a connection that lingers, and keeps no descriptor of it.
fn send_sticky(link: &OwnedFd, bytes: &[u8]) -> TcpStream {
    let (client, socket) = sticky();
    send(link, bytes, &[socket.as_fd()]);
    // Who receives it may have closed it already: then this is the last close, and waits until the client reads.
    std::thread::spawn(move || drop(socket));
    client
}

#[test]
fn noise_with_a_lingering_connection_holds_up_nobody() {
    let mut victim = Victim::new("sticky-noise");
    for suffix in SUFFIXES {
        for greeted in [false, true] {
            eprintln!("at {suffix} {greeted}");
            let link = victim.connect(suffix);
            let (one, two) = queue();
            match (greeted, suffix) {
                (true, "-hand-off") => send(&link, &hello(&me()), &[two.as_fd()]),
                (true, _) => send(&link, &hello(&me()), &[]),
                _ => {}
            }
            let mut client = send_sticky(&link, b"noise");
            victim.is_well();
            drop((link, one));
            victim.is_well();
            is_closed_in_order(&mut client);
        }
    }
}

#[test]
fn a_malformed_load_with_a_lingering_connection_holds_up_nobody() {
    let mut victim = Victim::new("sticky-load");
    for bytes in [b"noise".to_vec(), load(1, &[7], 0), load(2, &[0, 0], 0), Vec::new()] {
        let (one, two) = queue();
        send(&victim.connect("-hand-off"), &hello(&me()), &[two.as_fd()]);
        drop(two);
        let mut client = send_sticky(&one, &bytes);
        victim.is_well();
        drop(one);
        victim.is_well();
        is_closed_in_order(&mut client);
    }
}

#[test]
fn an_endpoint_is_closed_without_waiting_whatever_lies_in_its_queues() {
    let mut victim = Victim::new("sticky-endpoint");
    let mut clients = Vec::new();
    let mut links = Vec::new();
    for greets in [false, true] {
        for bytes in [&b"noise"[..], &[]] {
            let link = victim.connect("");
            if greets {
                send(&link, &hello(&me()), &[]);
                // It knows the link, and does not read it again.
                victim.is_well();
            }
            clients.push(send_sticky(&link, bytes));
            links.push(link);
        }
    }
    // Behind many others, and in a socket that itself lies in a queue.
    let link = victim.connect("");
    (0..200).for_each(|_| send(&link, b"noise", &[]));
    clients.push(send_sticky(&link, b"noise"));
    let (one, two) = queue();
    clients.push(send_sticky(&one, b"inner"));
    send(&link, b"noise", &[two.as_fd()]);
    drop((links, link, one, two));
    assert_eq!(victim.peer.ask("close-receiver"), "ok");
    assert_eq!(victim.peer.ask("close-endpoint"), "ok");
    clients.iter_mut().for_each(is_closed_in_order);
}

#[test]
fn a_receiver_is_closed_without_waiting_whatever_lies_in_its_queues() {
    let mut victim = Victim::new("sticky-receiver");
    let well_formed = load(1, &[0], 0);
    let mut clients = Vec::new();
    let greet = |victim: &Victim| {
        let (one, two) = queue();
        send(&victim.connect("-hand-off"), &hello(&me()), &[two.as_fd()]);
        (one, two)
    };
    let mut queues: Vec<_> = (0..4).map(|_| greet(&victim)).collect();
    // It knows these, and not those.
    victim.is_well();
    queues.extend((0..4).map(|_| greet(&victim)));
    for (n, (one, two)) in queues.into_iter().enumerate() {
        if n % 2 == 0 {
            // Whoever looks at the queue sees nothing of it.
            set_peek_offset(&two, 1 << 20);
        }
        clients.push(send_sticky(&one, if n % 4 < 2 { &well_formed } else { &[] }));
    }
    assert_eq!(victim.peer.ask("close-receiver"), "ok");
    clients.iter_mut().for_each(is_closed_in_order);
}

/// Sets `SO_PEEK_OFF`.
fn set_peek_offset(socket: &OwnedFd, offset: i32) {
    #![allow(unsafe_code)]
    use std::os::fd::AsRawFd;
    // SAFETY: the kernel reads four bytes from `offset`.
    let set = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEEK_OFF, (&raw const offset).cast(), 4)
    };
    assert_eq!(set, 0);
}

#[test]
fn a_connection_that_lingers_is_handed_off_and_reclaimed_without_waiting() {
    let place = Place::new("sticky-honest");
    let endpoint = place.endpoint();
    for end in ["kill", "close-receiver", "nothing", "reclaim"] {
        let mut worker = Peer::start(&place);
        assert_eq!(worker.ask("receiver"), "ok");
        let sender = endpoint.sender(worker.pid()).unwrap();
        let (mut clients, sockets): (Vec<_>, Vec<_>) = (0..4).map(|_| sticky()).unzip();
        let mut parcels: std::collections::VecDeque<_> = sockets.into_iter().map(Parcel::new).collect();
        let (mut client, socket) = pair();
        parcels.push_back(Parcel::new(socket));
        let sender = without_waiting(move || {
            sender.hand_off_many(&mut parcels).unwrap();
            sender
        });
        // The worker keeps one: closing it would be the worker's own affair.
        assert!(worker.ask("receive").starts_with("ok"));
        match end {
            "kill" => worker.kill(),
            "close-receiver" => assert_eq!(worker.ask("close-receiver"), "ok"),
            "reclaim" => {
                let back = sender.reclaim();
                assert_eq!(back.len(), 4);
                // These are the program's: it gives them away again.
                assert_eq!(worker.ask("close-receiver"), "ok");
                assert_eq!(worker.ask("receiver"), "ok");
                let again = endpoint.sender(worker.pid()).unwrap();
                without_waiting(move || again.hand_off_many(&mut back.into()).unwrap());
                worker.kill();
                clients.iter_mut().for_each(is_closed_in_order);
                wait_for_end(&mut client);
                continue;
            }
            _ => {}
        }
        without_waiting(move || drop(sender));
        worker.kill();
        clients.iter_mut().for_each(is_closed_in_order);
        wait_for_end(&mut client);
    }
}

#[test]
fn a_connection_that_lingers_makes_no_sender_wait_whose_target_was_faster() {
    // Its sender stands still for a while after each message.
    let slow = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=sendmsg", "-e", "inject=sendmsg:delay_exit=500000"];
    if lacks("strace, and to be traced", works("strace", &[&slow[..], &["true"]].concat())) {
        return;
    }
    let place = Place::new("sticky-faster");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let mut sender = Peer::from_command(&mut Peer::command_by(&place, "strace", &slow), std::process::Command::spawn);
    let process: Process = sender.ask("process").parse().unwrap();
    let (mut client, socket) = sticky();
    let info = endpoint.duplicate(&socket, process).unwrap();
    assert!(sender.ask(&format!("redeem {info}")).starts_with("ok"));
    drop(socket);
    sender.tell(&format!("hand-off {} x", std::process::id()));
    drop(receiver.receive().unwrap());
    assert_eq!(sender.answer(), "ok");
    is_closed_in_order(&mut client);
}

#[test]
fn duplicates_of_a_connection_that_lingers_are_given_up_without_waiting() {
    let place = Place::new("sticky-duplicates");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let nobody = Peer::start_without_endpoint(&place);
    let (mut client, socket) = sticky();
    // Delivered and never redeemed, revoked, and held.
    source.duplicate(&socket, target.pid()).unwrap();
    let options = sharesock::DuplicateOptions::new();
    let (info, revocation) = source.duplicate_revocable(&socket, target.pid(), &options).unwrap();
    let (_, held) = source.duplicate_revocable(&socket, nobody.pid(), &options).unwrap();
    source.duplicate(&socket, nobody.pid()).unwrap();
    // The program's own descriptor goes in a way that does not wait.
    source.sender(target.pid()).unwrap_err();
    assert_eq!(target.ask("receiver"), "ok");
    let sender = source.sender(target.pid()).unwrap();
    sender.hand_off(socket).unwrap();
    without_waiting(move || drop(sender.reclaim()));
    without_waiting(move || (revocation.revoke().unwrap(), held.revoke().unwrap()));
    assert!(target.ask(&format!("redeem {info}")).contains("revoked"));
    assert_eq!(target.ask("close-receiver"), "ok");
    assert_eq!(target.ask("close-endpoint"), "ok");
    without_waiting(move || drop(source));
    is_closed_in_order(&mut client);
}

#[test]
fn a_program_that_waits_for_a_signal_gets_it_while_threads_of_the_library_run() {
    let place = Place::new("signals");
    let endpoint = place.endpoint();
    let mut command = Peer::command_by(&place, "env", &["--block-signal=TERM"]);
    let mut peer = Peer::from_command(&mut command, std::process::Command::spawn);
    let nobody = Peer::start_without_endpoint(&place);
    assert_eq!(peer.ask("socket"), "ok");
    // The library starts its thread from one that takes the signal.
    assert_eq!(peer.ask("unblock-signal"), "ok");
    let threads: usize = peer.ask("threads").parse().unwrap();
    assert!(peer.ask(&format!("duplicate {}", nobody.pid())).starts_with("ok"));
    assert_eq!(peer.ask("threads"), (threads + 1).to_string());
    assert_eq!(peer.ask("block-signal"), "ok");
    for _ in 0..20 {
        let pid = rustix::process::Pid::from_raw(peer.pid().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(peer.ask("await-signal"), format!("ok {}", libc::SIGTERM));
    }
    drop(endpoint);
}

#[test]
fn threads_end_when_nothing_is_left_to_do() {
    let place = Place::new("idle-threads");
    let endpoint = place.endpoint();
    let mut source = Peer::start(&place);
    let mut target = Peer::start_without_endpoint(&place);
    assert_eq!((source.ask("socket"), source.ask("receiver")), ("ok".to_owned(), "ok".to_owned()));
    let before = source.ask("threads");
    let wait_for_threads = |source: &mut Peer| {
        let started = std::time::Instant::now();
        while source.ask("threads") != before {
            assert!(started.elapsed() < Duration::from_secs(60), "{before} before, {} now", source.ask("threads"));
            std::thread::yield_now();
        }
    };
    for _ in 0..3 {
        let info = source.ask(&format!("duplicate {}", target.pid()));
        assert_ne!(source.ask("threads"), before);
        assert_eq!(target.ask("open"), "ok");
        assert!(target.ask(&format!("redeem {}", &info[3..])).starts_with("ok"));
        wait_for_threads(&mut source);
        // What lingers is closed by threads, too.
        let sender = endpoint.sender(source.pid()).unwrap();
        let (mut client, socket) = sticky();
        sender.hand_off(socket).unwrap();
        assert_eq!(source.ask("close-receiver"), "ok");
        without_waiting(move || drop(sender));
        assert_eq!(source.ask("receiver"), "ok");
        is_closed_in_order(&mut client);
        wait_for_threads(&mut source);
        assert_eq!(target.ask("close-endpoint"), "ok");
    }
}

#[test]
fn a_process_forks_while_threads_of_the_library_run() {
    let place = Place::new("fork-threads");
    let endpoint = place.endpoint();
    let mut source = Peer::start(&place);
    let mut target = Peer::start_without_endpoint(&place);
    let (mut client, socket) = pair();
    let mine = endpoint.duplicate(&socket, source.pid()).unwrap();
    assert!(source.ask(&format!("redeem {mine}")).starts_with("ok"));
    let info = source.ask(&format!("duplicate {}", target.pid()));
    for _ in 0..10 {
        let meant_for_source = endpoint.duplicate(&socket, source.pid()).unwrap();
        let answer = source.ask(&format!("fork {meant_for_source}"));
        let (child, said) = answer.strip_prefix("ok ").unwrap().split_once(' ').unwrap();
        assert_eq!(said, "has its own endpoint");
        let child = rustix::process::Pid::from_raw(child.parse().unwrap()).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    }
    // The parent's thread answers as before.
    assert_eq!(target.ask("open"), "ok");
    assert!(target.ask(&format!("redeem {}", &info[3..])).starts_with("ok"));
    assert!(matches!(endpoint.flush(Duration::ZERO), Ok(()) | Err(Error::StillHeld { .. })));
    drop(socket);
    source.kill();
    assert!(!at_end(&mut client));
    assert_eq!(target.ask("close"), "ok");
    wait_for_end(&mut client);
}
