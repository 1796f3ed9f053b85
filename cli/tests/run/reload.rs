//! Replacing a generation of workers by the next.

use crate::patience::WaitInTime;
use crate::running::{self, Connection, Setup, Supervisor, lives, number, signal, stop_process, until};
use rustix::process::Signal;
use serde_json::Value;

const WEB: [&str; 4] = ["--listen", "web=127.0.0.1:0", "--workers", "2"];

fn generations(supervisor: &Supervisor) -> Vec<Value> {
    let status = supervisor.status();
    status["workers"].as_array().unwrap().iter().map(|worker| worker["generation"].clone()).collect()
}

#[test]
fn all_workers_are_replaced() {
    let mut supervisor = Setup::new(&WEB).start();
    let before = supervisor.workers();
    assert_eq!(supervisor.do_it(&["reload"]), "generation 2 has taken over\n");
    until("the end of the old ones", || before.iter().all(|pid| !lives(*pid)));
    let after = supervisor.workers();
    assert_eq!(after.len(), 2);
    assert!(after.contains(&number(&supervisor.ask("who")["pid"])));
    supervisor.signal(Signal::HUP);
    let reloaded = supervisor.wait_for("reloaded");
    assert_eq!(reloaded["generation"], 2);
    let reloaded = supervisor.wait_for("reloaded");
    assert_eq!(reloaded["generation"], 3);
    supervisor.until_served_by(3);
    let status = supervisor.status();
    assert_eq!((&status["reloads"], &status["restarts"]), (&2.into(), &0.into()));
    let ready: Value = serde_json::from_slice(&std::fs::read(supervisor.path("ready.json")).unwrap()).unwrap();
    assert_eq!(ready["workers"], reloaded["workers"], "the ready file tells of the new ones");
    supervisor.end();
}

#[test]
fn what_waits_in_the_backlog_is_served_by_the_next_generation() {
    let supervisor = Setup::new(&WEB).start();
    let before = supervisor.workers();
    before.iter().for_each(|pid| stop_process(*pid));
    let mut waiting: Vec<_> = (0..200).map(|_| supervisor.connect()).collect();
    waiting.iter_mut().for_each(|connection| connection.send("who"));
    assert_eq!(supervisor.status()["listeners"][0]["queued"], 200);
    supervisor.do_it(&["reload"]);
    let answers: Vec<_> = waiting.iter_mut().map(Connection::answer).collect();
    assert!(answers.iter().all(|answer| answer["generation"] == 2), "{answers:?}");
    before.iter().for_each(|pid| signal(*pid, Signal::CONT));
    until("the end of the old ones", || before.iter().all(|pid| !lives(*pid)));
    supervisor.end();
}

#[test]
fn one_that_is_asked_for_before_the_first_is_ready_waits_for_it() {
    let mut supervisor = Setup::new(&[&WEB[..], &["--ready", "time=0.3"]].concat()).spawn();
    supervisor.wait_for("worker_started");
    supervisor.do_it(&["reload"]);
    supervisor.wait_for("ready");
    supervisor.until_served_by(2);
    supervisor.end();
}

#[test]
fn how_it_goes_is_told_if_it_takes_a_while() {
    let options = [&WEB[..], &["--ready", "notify", "--ready-timeout", "3", "--stop-timeout", "3"]].concat();
    let mut supervisor = Setup::new(&options).start();
    supervisor.play("silent");
    let said = supervisor.fail(&["reload"], 3);
    let hint = "(goes on if this command is ended; `sharesock reload --cancel` gives it up)";
    assert!(said.contains(&format!("generation 2 is starting: 0 of 2 workers ready {hint}\n")), "{said}");
    until("those of before alone", || generations(&supervisor) == [1, 1]);
    supervisor.play("ready stubborn");
    supervisor.do_it(&["reload"]);
    let said = supervisor.call(&["stop"]);
    assert!(running::text(&said.stderr).contains("workers to finish\n"), "{said:?}");
    assert!(supervisor.wait().success());
}

#[test]
fn one_that_the_end_interrupts_has_not_failed() {
    let options = [&WEB[..], &["--ready", "notify", "--ready-timeout", "1000"]].concat();
    let mut supervisor = Setup::new(&options).start();
    supervisor.play("silent");
    let mut reload = supervisor.command(&["reload"]);
    let reload = reload.stderr(std::process::Stdio::piped()).spawn().unwrap();
    supervisor.wait_for("reloading");
    supervisor.do_it(&["stop"]);
    let said = reload.wait_with_output().unwrap();
    assert!(running::text(&said.stderr).contains("the supervisor was asked to stop meanwhile"), "{said:?}");
    assert_eq!(said.status.code(), Some(5));
    assert!(supervisor.wait().success());
}

#[test]
fn when_the_next_one_fails_the_old_one_goes_on() {
    let options = [&WEB[..], &["--ready", "notify", "--ready-timeout", "3"]].concat();
    let mut supervisor = Setup::new(&options).start();
    let before = supervisor.workers();
    for (play, reason) in [("fail", "this is the reason"), ("silent", "it did not say READY=1 within 3 s")] {
        supervisor.play(play);
        let said = supervisor.fail(&["reload"], 3);
        assert!(said.contains(reason), "{said}");
        assert!(supervisor.wait_for("reload_failed")["why"].as_str().unwrap().contains(reason));
        until("none of the new ones", || generations(&supervisor) == [1, 1]);
        assert_eq!(supervisor.workers(), before);
        assert_eq!(supervisor.ask("who")["generation"], 1);
        let status = supervisor.status();
        assert_eq!((&status["state"], &status["reloads"]), (&"running".into(), &0.into()));
        assert!(status["last_failure"].as_str().unwrap().starts_with("reload: "));
    }
    supervisor.play("ready");
    supervisor.do_it(&["reload"]);
    supervisor.end();
}

#[test]
fn a_reload_during_a_reload_is_refused_or_follows() {
    let options = [&WEB[..], &["--ready", "notify"]].concat();
    let mut supervisor = Setup::new(&options).start();
    supervisor.play("silent");
    let mut first = supervisor.command(&["reload"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    supervisor.wait_for("reloading");
    supervisor.wait_until_played("silent", 2);
    assert!(supervisor.fail(&["reload"], 5).contains("a reload is under way"));
    assert!(supervisor.fail(&["upgrade"], 5).contains("a reload is under way"));
    assert_eq!(supervisor.status()["state"], "reloading");
    // By a signal another one is asked for, which has what was written meanwhile.
    supervisor.play("ready");
    supervisor.signal(Signal::HUP);
    let new = |worker: &Value| (worker["generation"] == 2).then(|| number(&worker["pid"]));
    let new: Vec<_> = supervisor.status()["workers"].as_array().unwrap().iter().filter_map(new).collect();
    new.iter().for_each(|pid| signal(*pid, Signal::KILL));
    assert_eq!(supervisor.wait_for("reload_failed")["event"], "reload_failed");
    assert_eq!(supervisor.wait_for("reloaded")["generation"], 3);
    assert_eq!(first.wait_in_time().code(), Some(3));
    supervisor.end();
}

#[test]
fn a_worker_that_dies_during_a_reload_is_replaced_by_it() {
    let options = [&WEB[..], &["--ready", "notify"]].concat();
    let mut supervisor = Setup::new(&options).start();
    supervisor.play("silent");
    supervisor.signal(Signal::HUP);
    supervisor.wait_for("reloading");
    supervisor.wait_until_played("silent", 2);
    let old = supervisor.output.all().iter().find_map(|line| {
        let event: Value = serde_json::from_str(line).ok()?;
        (event["event"] == "ready").then(|| number(&event["workers"][0]))
    });
    supervisor.play("ready");
    signal(old.unwrap(), Signal::KILL);
    let replaced =
        |worker: &Value| worker["generation"] == 1 && worker["state"] == "ready" && worker["pid"] != old.unwrap();
    let ready = || supervisor.status()["workers"].as_array().unwrap().iter().filter(|worker| replaced(worker)).count();
    until("another", || ready() == 2);
    assert_eq!(supervisor.status()["state"], "reloading");
    supervisor.signal(Signal::TERM);
    assert!(supervisor.wait().success());
}

#[test]
fn an_old_worker_finishes_what_it_has() {
    let supervisor = Setup::new(&WEB).start();
    let held: Vec<_> = (0..5).map(|_| supervisor.connect().hold()).collect();
    supervisor.do_it(&["reload"]);
    supervisor.do_it(&["reload"]);
    let status = supervisor.status();
    assert!(status["workers"].as_array().unwrap().iter().any(|worker| worker["state"] == "draining"));
    supervisor.until_served_by(3);
    assert!(held.into_iter().map(Connection::let_go).all(|answer| answer["generation"] == 1));
    until("their end", || generations(&supervisor) == [3, 3]);
    supervisor.end();
}

#[test]
fn listeners_come_and_go_with_the_file() {
    let setup = Setup::new(&["--name", "app"]);
    let (file, path) = (setup.path("app.toml"), setup.path("local.sock"));
    let local = format!("local=unix:{}", path.display());
    let write = |listen: &[&str]| std::fs::write(&file, format!("listen = {listen:?}\n")).unwrap();
    write(&["web=127.0.0.1:0", "gone=127.0.0.1:0"]);
    let supervisor = setup.option("--config").option(&file).start();
    let (web, gone) = (supervisor.address("web"), supervisor.address("gone"));

    write(&["web=127.0.0.1:0", &local]);
    supervisor.do_it(&["reload"]);
    until("an answer at the same port", || running::ask(&web, "who")["generation"] == 2);
    assert_eq!(running::ask(&supervisor.address("local"), "environment")["LISTEN_FDNAMES"], "web:local");
    until("nobody to listen there", || std::net::TcpStream::connect(&gone).is_err());

    // A listener that cannot be had fails the reload; what was made for it goes.
    let other = supervisor.path("other.sock");
    let unix = format!("other=unix:{}", other.display());
    write(&["web=127.0.0.1:0", &local, &unix, "bad=unix:/nowhere/x"]);
    assert!(supervisor.fail(&["reload"], 3).contains("/nowhere/x"));
    assert!(path.exists() && !other.exists());
    std::fs::write(&file, "listen = 3 = 4").unwrap();
    assert!(supervisor.fail(&["reload"], 3).contains("app.toml:1"));
    until("an answer of the second", || running::ask(&web, "who")["generation"] == 2);

    write(&["web=127.0.0.1:0"]);
    supervisor.do_it(&["reload"]);
    assert!(!path.exists());
    until("one listener alone", || supervisor.ask("environment")["LISTEN_FDNAMES"] == "web");
    supervisor.end();
}
