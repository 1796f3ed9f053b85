//! Connections that the supervisor accepts, and gives to workers.

use crate::running::{self, Connection, Setup, Supervisor, kill, lives, number, signal, stop_process, until};
use rustix::process::Signal;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const WEB: [&str; 4] = ["--listen", "web=127.0.0.1:0", "--workers", "2"];

fn start(via: &str) -> Supervisor {
    let play = if via == "info" { "ready info" } else { "ready receiver" };
    Setup::new(&[&WEB[..], &["--pass", "connection", "--via", via]].concat()).play(play).start()
}

fn asked(supervisor: &Supervisor, count: usize) -> Vec<Connection> {
    let asked = |_| {
        let mut connection = supervisor.connect();
        connection.send("who");
        connection
    };
    (0..count).map(asked).collect()
}

#[test]
fn workers_get_connections_one_after_the_other() {
    for via in ["hand-off", "info"] {
        let supervisor = start(via);
        let workers: HashSet<_> = supervisor.workers().into_iter().collect();
        let served = asked(&supervisor, 6).iter_mut().map(|connection| number(&connection.answer()["pid"])).collect();
        assert_eq!(workers, served);
        let environment = supervisor.ask("environment");
        assert!(environment.get("LISTEN_FDS").is_none() && environment.get("LISTEN_PID").is_none());
        let status = supervisor.status();
        assert_eq!((&status["hand_offs"]["total"], &status["hand_offs"]["waiting"]), (&7.into(), &0.into()));
        supervisor.end();
    }
}

#[test]
fn a_process_for_each_connection() {
    let options = [&WEB[..], &["--pass", "connection", "--via", "stdio"]].concat();
    let mut supervisor = Setup::new(&options).shell("read a; echo $$ $a; echo spoke >&2; read b; echo $b").start();
    let mut both: Vec<_> = (0..2).map(|_| supervisor.connect()).collect();
    let mut pids = HashSet::new();
    for connection in &mut both {
        connection.send("one");
        let line = connection.line();
        assert!(line.ends_with(" one"), "{line}");
        pids.insert(line);
    }
    assert_eq!(pids.len(), 2);
    let mut spoken = 0;
    let both_spoke = |line: &str| {
        spoken += usize::from(line.ends_with("| spoke"));
        (spoken == 2).then_some(())
    };
    assert!(supervisor.output.find(0, both_spoke).is_some(), "{}", supervisor.story());
    // The third waits for one of the two.
    let mut third = supervisor.connect();
    third.send("three");
    until("it to wait", || supervisor.status()["hand_offs"]["waiting"] == 1);
    both[0].send("end");
    assert_eq!((both[0].line(), both[0].line()), ("end".to_owned(), String::new()));
    assert!(third.line().ends_with(" three"));
    supervisor.do_it(&["reload"]);
    both[1].send("end");
    assert_eq!(both[1].line(), "end", "a reload does not end what is served");
    drop((both, third));
    supervisor.signal(Signal::TERM);
    assert!(supervisor.wait().success());
}

#[test]
fn at_the_end_single_connections_are_finished() {
    let options = [&WEB[..], &["--pass", "connection", "--via", "stdio"]].concat();
    let mut supervisor = Setup::new(&options).shell("read a; echo got $a; read b; echo got $b").start();
    let mut served = supervisor.connect();
    served.send("one");
    assert_eq!(served.line(), "got one");
    supervisor.signal(Signal::TERM);
    supervisor.wait_for("draining");
    served.send("two");
    assert_eq!(served.line(), "got two");
    assert!(supervisor.wait().success());
    supervisor.assert_nothing_left();
}

/// An info that was written is given to another if the worker tells what it has received.
#[test]
fn what_a_worker_did_not_take_is_served_by_another() {
    for (via, play) in [("hand-off", "ready receiver"), ("info", "ready info counts")] {
        let options = ["--pass", "connection", "--via", via, "--policy", "round-robin"];
        let mut supervisor = Setup::new(&[&WEB[..], &options].concat()).play(play).start();
        let workers = supervisor.workers();
        stop_process(workers[0]);
        let mut waiting = asked(&supervisor, 40);
        // The other one has answered its part; the rest was given to the one that stands still.
        let total = || supervisor.status()["hand_offs"]["total"] == 40;
        until("all of them given", total);
        kill(workers[0]);
        let served: Vec<_> = waiting.iter_mut().map(|connection| number(&connection.answer()["pid"])).collect();
        assert!(served.iter().all(|pid| *pid != workers[0]));
        supervisor.wait_for("worker_ended");
        supervisor.end();
    }
}

#[test]
fn the_worker_that_says_it_has_least_open_gets_the_next() {
    for (via, play) in [("hand-off", "ready receiver counts"), ("info", "ready info counts")] {
        let options = ["--listen", "web=127.0.0.1:0", "--workers", "3", "--pass", "connection", "--via", via];
        let supervisor = Setup::new(&options).play(play).start();
        let mut held: Vec<_> = (0..6).map(|_| supervisor.connect().hold()).collect();
        let [one, other] = [3, 0].map(|at| number(&held.remove(at).let_go()["pid"]));
        assert_eq!(one, other, "those that have as many are served in turn");
        let open = |pid: u32| {
            let status = supervisor.status();
            let worker = status["workers"].as_array().unwrap().iter().find(|worker| worker["pid"] == pid).unwrap();
            worker["open"].as_u64()
        };
        until("nothing open", || open(one) == Some(0));
        let next: Vec<_> = (0..2).map(|_| supervisor.connect().hold()).collect();
        assert_eq!(open(one), Some(2));
        assert!(
            next.into_iter().chain(held).map(Connection::let_go).filter(|who| number(&who["pid"]) == one).count() == 2
        );
        supervisor.end();
    }
}

#[test]
fn what_is_queued_when_everything_ends_is_served_and_whoever_comes_later_refused() {
    for via in ["hand-off", "info"] {
        let mut supervisor = start(via);
        let held = supervisor.connect().hold();
        supervisor.signal(Signal::STOP);
        let mut queued = asked(&supervisor, 100);
        supervisor.signal(Signal::TERM);
        supervisor.signal(Signal::CONT);
        queued.iter_mut().for_each(|connection| assert!(connection.answer()["pid"].is_u64()));
        let address = supervisor.address("web");
        until("a refusal", || std::net::TcpStream::connect(&address).is_err());
        held.let_go();
        assert!(supervisor.wait().success());
        supervisor.assert_nothing_left();
    }
}

#[test]
fn when_all_stand_still_and_are_replaced_nothing_is_lost() {
    let options = ["--pass", "connection", "--stop-timeout", "1000"];
    let supervisor = Setup::new(&[&WEB[..], &options].concat()).play("ready receiver").start();
    let workers = supervisor.workers();
    workers.iter().for_each(|pid| stop_process(*pid));
    let mut waiting = asked(&supervisor, 150);
    supervisor.do_it(&["reload"]);
    let answers: Vec<_> = waiting.iter_mut().map(Connection::answer).collect();
    assert!(answers.iter().all(|answer| answer["generation"] == 2), "{answers:?}");
    // They may have been given up by now.
    workers.iter().filter(|pid| lives(**pid)).for_each(|pid| signal(*pid, Signal::CONT));
    supervisor.end();
}

/// Clients that ask without a pause, while something is done; the answers that they got.
fn under_load(supervisor: &Supervisor, what: impl FnOnce()) -> usize {
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let address = supervisor.address("web");
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        assert!(running::ask(&address, "who")["pid"].is_u64());
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        until("answers", || answered.load(Ordering::SeqCst) > 20 || clients.iter().any(|client| client.is_finished()));
        what();
        over.store(true, Ordering::SeqCst);
    });
    answered.into_inner()
}

/// In each way to serve: clients that ask without a pause, while something is done three times; nobody is let down.
fn nothing_is_lost(what: &str, generation: u32) {
    for (pass, via, play) in [
        ("listener", "hand-off", "ready"),
        ("connection", "hand-off", "ready receiver"),
        ("connection", "info", "ready info"),
    ] {
        let options = [&WEB[..], &["--pass", pass, "--via", via]].concat();
        let supervisor = Setup::new(&options).play(play).start();
        let answered = under_load(&supervisor, || (0..3).for_each(|_| _ = supervisor.do_it(&[what])));
        assert!(answered > 20, "{pass} {via}");
        until("the last", || supervisor.ask("who")["generation"] == generation);
        supervisor.end();
    }
}

#[test]
fn nothing_is_lost_when_workers_are_replaced_under_load() {
    nothing_is_lost("reload", 4);
}

#[test]
fn nothing_is_lost_when_the_supervisor_is_replaced_under_load() {
    nothing_is_lost("upgrade", 1);
}
