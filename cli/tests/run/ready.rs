//! When a worker is ready, what becomes of one that never is, and of those that end.

use crate::running::{Setup, lives, number, signal};
use rustix::process::Signal;
use serde_json::Value;

const WEB: [&str; 2] = ["--listen", "web=127.0.0.1:0"];

fn why(event: &Value) -> &str {
    event["why"].as_str().unwrap()
}

/// A supervisor with a listener and this readiness, whose workers do this: why they do not become ready.
fn not_ready(ready: &str, play: &str) -> String {
    outcome(&WEB, ready, "0.4", play).expect("they are ready")
}

/// The same, and they become ready, however busy the machine is.
fn become_ready(listeners: &[&str], ready: &str, play: &str) {
    assert_eq!(outcome(listeners, ready, "60", play), None);
}

fn outcome(listeners: &[&str], ready: &str, timeout: &str, play: &str) -> Option<String> {
    let options = [listeners, &["--ready", ready, "--ready-timeout", timeout, "--restart-limit", "0"]].concat();
    let setup = Setup::new(&options).play(play);
    let mut supervisor = setup.spawn();
    let first = supervisor.output.find(0, |line| {
        let event = serde_json::from_str::<Value>(line).ok()?;
        let name = event["event"].as_str()?.to_owned();
        ["worker_ready", "killed"].contains(&name.as_str()).then_some((name, event.clone()))
    });
    let (_, (name, event)) = first.unwrap_or_else(|| panic!("neither:\n{}", supervisor.story()));
    if name == "worker_ready" {
        supervisor.end();
        return None;
    }
    let reason = why(&event).to_owned();
    assert!(reason.contains(&format!("within {timeout} s")), "{reason}");
    let ended = supervisor.wait_for("worker_ended");
    assert!(why(&ended).starts_with(&format!("was killed: {reason}")), "{ended}");
    assert_eq!(supervisor.wait().code(), Some(1));
    supervisor.assert_nothing_left();
    assert!(!supervisor.path("ready.json").exists());
    Some(reason)
}

/// Of such a server nothing is seen but that it takes the connection that is made to try it.
#[test]
fn a_server_that_sleeps_is_tried_by_a_connection_also_at_a_unix_listener() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("local=unix:{}", folder.path().join("local.sock").display());
    let name = format!("local=unix:@sharesock-test-ready-{}", std::process::id());
    for listener in [WEB[1], &path, &name] {
        become_ready(&["--listen", listener], "connect", "naps");
        let reason = outcome(&["--listen", listener], "connect", "1.5", "ready deaf").unwrap();
        assert!(reason.contains("it did not accept from "), "{reason}");
    }
}

#[test]
fn by_itself_a_worker_is_ready_when_it_accepts_and_else_when_it_says_so_or_lives_a_while() {
    let reason = not_ready("auto", "ready deaf");
    assert!(reason.contains("it did not accept from web within 0.4 s"), "whatever it says: {reason}");
    become_ready(&[], "auto", "ready");
    let reason = outcome(&[], "auto", "0.4", "silent").unwrap();
    assert_eq!(reason, "it was not ready within 0.4 s", "the timeout is shorter");
    let mut supervisor = Setup::new(&[]).play("silent").start();
    supervisor.status();
    supervisor.signal(Signal::TERM);
    assert!(supervisor.wait().success());
}

#[test]
fn a_worker_that_is_to_say_so_must() {
    become_ready(&WEB, "notify", "ready");
    assert_eq!(not_ready("notify", "silent"), "it did not say READY=1 within 0.4 s");
}

#[test]
fn a_worker_may_be_ready_after_a_time() {
    become_ready(&WEB, "time=0.05", "silent");
    let reason = not_ready("time=30", "ready");
    assert_eq!(reason, "it was not ready within 0.4 s", "it must live so long, and the timeout comes first");
}

#[test]
fn a_worker_may_be_ready_when_it_accepts() {
    let accepts = ["--ready", "connect", "--ready-timeout", "20"];
    let supervisor = Setup::new(&[&WEB[..], &accepts].concat()).play("silent").start();
    assert_eq!(number(&supervisor.ask("who")["pid"]), supervisor.workers()[0]);
    supervisor.do_it(&["reload"]);
    supervisor.until_served_by(2);
    supervisor.end();
    assert!(not_ready("connect", "deaf").contains("it did not accept from web within 0.4 s"));
}

#[test]
fn a_worker_may_be_ready_when_it_listens_elsewhere() {
    // Free, and nobody else's for as long as this test has it without listening.
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    held.set_reuse_port(true).unwrap();
    held.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let address = held.local_addr().unwrap().as_socket().unwrap();
    become_ready(&WEB, &format!("connect={address}"), &format!("also={address}"));
    let reason = not_ready(&format!("connect={address}"), "ready");
    assert!(reason.contains(&format!("did not listen on {address}")), "{reason}");
    // Somebody answers there, who is none of the worker's.
    held.listen(8).unwrap();
    let reason = not_ready(&format!("connect={address}"), "ready");
    assert!(reason.contains(&format!("did not listen on {address}")), "{reason}");
}

#[test]
fn one_that_is_killed_is_replaced_and_the_others_go_on() {
    let mut supervisor = Setup::new(&[&WEB[..], &["--workers", "3"]].concat()).start();
    let before = supervisor.workers();
    signal(before[1], Signal::KILL);
    let ended = supervisor.wait_for("worker_ended");
    assert_eq!((number(&ended["pid"]), &ended["place"]), (before[1], &1.into()));
    assert!(why(&ended).contains("SIGKILL"), "{ended}");
    let ready = supervisor.wait_for("worker_ready");
    assert_eq!(ready["place"], 1);
    let after = supervisor.workers();
    assert_eq!(after.len(), 3);
    assert!(after.contains(&before[0]) && after.contains(&before[2]) && after.contains(&number(&ready["pid"])));
    assert!(before.iter().filter(|pid| lives(**pid)).count() == 2);
    let status = supervisor.status();
    assert_eq!((&status["restarts"], &status["state"]), (&1.into(), &"running".into()));
    assert!(status["last_failure"].as_str().unwrap().contains("SIGKILL"));
    supervisor.end();
}

#[test]
fn the_signal_that_ended_it_is_named() {
    let mut supervisor = Setup::new(&WEB).start();
    signal(supervisor.workers()[0], Signal::KILL);
    assert_eq!(why(&supervisor.wait_for("worker_ended")), "was ended by SIGKILL");
    supervisor.end();
}

#[test]
fn what_fails_too_often_in_a_row_ends_everything() {
    let options = [&WEB[..], &["--restart-limit", "2"]].concat();
    let mut supervisor = Setup::new(&options).play("fail").spawn();
    for another in [true, true, false] {
        let ended = supervisor.wait_for("worker_ended");
        assert_eq!(ended["another_in_ms"].is_u64(), another);
        assert!(why(&ended).starts_with("exited with code 7, after printing: "), "{ended}");
        assert!(why(&ended).ends_with("this is the reason"), "{ended}");
    }
    assert_eq!(supervisor.wait().code(), Some(1));
    supervisor.wait_for_line("times in a row (--restart-limit");
    supervisor.assert_nothing_left();
}

#[test]
fn a_command_that_is_none_ends_it_at_once() {
    for (command, reason) in [("/nowhere/server", "No such file"), ("/etc/passwd", "Permission denied")] {
        let mut supervisor = Setup::new(&WEB).command(&[command]).spawn();
        let ended = supervisor.wait_for("worker_ended");
        assert!(why(&ended).contains(command) && why(&ended).contains(reason), "{ended}");
        assert!(ended["another_in_ms"].is_null());
        assert_eq!(supervisor.wait().code(), Some(1));
        supervisor.assert_nothing_left();
        assert_eq!(supervisor.story().matches("worker_started").count(), 1);
    }
}
