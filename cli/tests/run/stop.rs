//! How `sharesock run` is asked to end, and other signals.

use crate::patience::WaitInTime;
use crate::running::{self, Setup, lives};
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;

const WEB: [&str; 2] = ["--listen", "web=127.0.0.1:0"];

#[test]
fn what_is_being_served_is_answered_before_the_end() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let mut supervisor = Setup::new(&WEB).start();
        let held = supervisor.connect().hold();
        supervisor.signal(signal);
        supervisor.wait_for("draining");
        running::until("no more of it", || supervisor.status()["workers"][0]["state"] == "draining");
        assert_eq!(held.let_go()["generation"], 1);
        supervisor.wait_for("ended");
        assert_eq!(supervisor.wait().code(), Some(0));
        assert!(std::net::TcpStream::connect(supervisor.address("web")).is_err());
        supervisor.assert_nothing_left();
    }
}

#[test]
fn what_is_heard_while_it_begins_is_obeyed() {
    for _ in 0..10 {
        let mut supervisor = Setup::new(&WEB).spawn();
        // From this moment on it does not just end.
        running::until("its ears", || running::catches(supervisor.pid(), Signal::TERM) || supervisor.has_ended());
        supervisor.signal(Signal::TERM);
        assert_eq!(supervisor.wait().code(), Some(0), "{}", supervisor.story());
        supervisor.assert_nothing_left();
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut supervisor = Setup::new(&[&WEB[..], &["--stop-timeout", "1000"]].concat()).play("ready stubborn").start();
    supervisor.signal(Signal::TERM);
    supervisor.wait_for("draining");
    assert!(!supervisor.has_ended());
    supervisor.signal(Signal::INT);
    assert_eq!(supervisor.wait_for("killed")["why"], "a second signal came");
    supervisor.wait();
    supervisor.assert_nothing_left();
}

#[test]
fn who_asked_it_to_end_hears_what_a_second_signal_cut_off() {
    let options = [&WEB[..], &["--stop-timeout", "1000"]].concat();
    let mut supervisor = Setup::new(&options).play("ready stubborn").start();
    let _held = supervisor.connect().hold();
    let mut stop = supervisor.command(&["stop"]);
    let stopping = stop.stdout(std::process::Stdio::piped()).spawn().unwrap();
    supervisor.wait_for("draining");
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.wait_for("killed")["connections"], 1);
    let said = stopping.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("cut off: 1 connection"), "{said:?}");
    supervisor.wait();
    supervisor.assert_nothing_left();
}

#[test]
fn who_does_not_end_is_killed_after_a_while() {
    let mut supervisor = Setup::new(&[&WEB[..], &["--stop-timeout", "0.1"]].concat()).play("ready stubborn").start();
    let worker = supervisor.workers()[0];
    supervisor.signal(Signal::TERM);
    assert_eq!(supervisor.wait_for("killed")["why"], "it did not end within 0.1 s");
    assert_eq!(supervisor.wait().code(), Some(0));
    assert!(!lives(worker));
    supervisor.assert_nothing_left();
}

#[test]
fn a_worker_is_asked_by_the_signal_that_it_wants() {
    // A shell accepts nothing.
    let options = ["--stop-signal", "usr2", "--stop-timeout", "1000"];
    let setup =
        Setup::new(&options).shell("trap 'echo asked; exit 0' USR2; echo go; while :; do sleep 1000 & wait; done");
    let mut supervisor = setup.spawn();
    supervisor.wait_for("ready");
    supervisor.signal(Signal::TERM);
    supervisor.wait_for_line("0 | asked");
    assert_eq!(supervisor.wait().code(), Some(0));
    supervisor.assert_nothing_left();
}

#[test]
fn signals_for_the_workers_are_passed_on() {
    let supervisor = Setup::new(&[&WEB[..], &["--workers", "2"]].concat()).start();
    supervisor.signal(Signal::USR1);
    supervisor.wait_for_line("0 | heard USR1");
    supervisor.wait_for_line("1 | heard USR1");
    supervisor.end();
}

#[test]
fn stop_waits_for_the_end() {
    let mut supervisor = Setup::new(&WEB).start();
    let held = supervisor.connect().hold();
    let mut stop = supervisor.command(&["stop"]).spawn().unwrap();
    supervisor.wait_for("draining");
    // A second one waits as well.
    let mut second = supervisor.command(&["stop"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    running::until("both waiting", || supervisor.status()["state"] == "stopping");
    assert!(stop.try_wait().unwrap().is_none());
    held.let_go();
    assert_eq!(stop.wait_in_time().code(), Some(0));
    let second = second.wait_in_time();
    assert!(second.signal().is_none());
    assert_eq!(supervisor.wait().code(), Some(0));
    assert!(supervisor.fail(&["stop"], 4).contains("no supervisor runs in"));
    supervisor.assert_nothing_left();
}

#[test]
fn it_can_be_stopped_before_it_is_ready() {
    let mut supervisor = Setup::new(&[&WEB[..], &["--ready", "notify"]].concat()).play("silent").spawn();
    supervisor.wait_for("worker_started");
    running::until("the state of it", || supervisor.status()["state"] == "starting");
    supervisor.do_it(&["stop"]);
    assert_eq!(supervisor.wait().code(), Some(0));
    supervisor.assert_nothing_left();
}

#[test]
fn connections_that_are_cut_at_the_deadline_are_told_and_counted() {
    let mut supervisor = Setup::new(&[&WEB[..], &["--stop-timeout", "0.1"]].concat()).start();
    let held = [supervisor.connect().hold(), supervisor.connect().hold()];
    supervisor.do_it(&["reload"]);
    let killed = supervisor.wait_for("killed");
    assert_eq!((&killed["connections"], &killed["why"]), (&2.into(), &"it did not end within 0.1 s".into()));
    drop(held);
    assert_eq!(supervisor.status()["connections_cut"], 2);
    assert!(supervisor.do_it(&["status"]).contains("2 connections cut off at the stop deadline"));
    let metrics = supervisor.do_it(&["status", "--prometheus"]);
    assert!(metrics.lines().any(|line| line.starts_with("sharesock_connections_cut_total{") && line.ends_with("} 2")));
    supervisor.end();
}
