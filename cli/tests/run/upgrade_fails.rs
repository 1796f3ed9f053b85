//! Upgrades to what is no successor: what was there before goes on.

use crate::patience::WaitInTime;
use crate::running::{self, Setup, Supervisor, number, signal, until};
use rustix::process::Signal;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

const WEB: [&str; 4] = ["--listen", "web=127.0.0.1:0", "--workers", "2"];

/// A program in the supervisor's folder.
fn script(supervisor: &Supervisor, name: &str, text: &str) -> PathBuf {
    let path = supervisor.path(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The process that is being tried.
fn candidate(supervisor: &Supervisor) -> Option<u32> {
    let is_candidate = |pid: &u32| {
        let environment = running::environment_of(*pid);
        environment.get("SHARESOCK_TAKE_OVER").is_some_and(|role| role.starts_with("candidate"))
    };
    running::children(supervisor.pid()).into_iter().find(is_candidate)
}

/// Everything is as it was.
fn assert_goes_on(supervisor: &mut Supervisor, workers: &[u32]) {
    assert_eq!(supervisor.workers(), workers);
    let status = supervisor.status();
    assert_eq!(
        (&status["pid"], &status["upgrades"], &status["state"]),
        (&supervisor.pid().into(), &0.into(), &"running".into())
    );
    assert!(status["last_failure"].as_str().unwrap().starts_with("upgrade: "));
    assert_eq!(supervisor.ask("say still here")["generation"], 1);
    until("no candidate", || candidate(supervisor).is_none());
}

#[test]
fn what_ends_is_no_successor() {
    let mut supervisor = Setup::new(&WEB).start();
    let workers = supervisor.workers();
    let not_executable = supervisor.path("play");
    let loses = script(&supervisor, "loses", "echo lost >&2; exit 3");
    let other = script(&supervisor, "other", &format!("shift; exec {} version", env!("CARGO_BIN_EXE_sharesock")));
    for (program, reason) in [
        (PathBuf::from("/bin/false"), "it exited with code 1"),
        (PathBuf::from("/nowhere/sharesock"), "cannot run /nowhere/sharesock"),
        (not_executable, "Permission denied"),
        (loses, "it exited with code 3"),
        (other, "it exited with code 2"),
    ] {
        let said = supervisor.fail(&["upgrade", "--to", program.to_str().unwrap()], 3);
        assert!(said.contains(reason), "{said}");
        let event = supervisor.wait_for("upgrade_failed");
        assert!(event["why"].as_str().unwrap().contains(reason), "{event}");
        assert_goes_on(&mut supervisor, &workers);
    }
    supervisor.wait_for_line(" | still here");
    supervisor.do_it(&["upgrade"]);
    supervisor.do_it(&["reload"]);
    supervisor.end();
}

#[test]
fn an_upgrade_to_other_options_is_refused() {
    let setup = Setup::new(&["--name", "app"]);
    let file = setup.path("app.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("listen = [\"web=127.0.0.1:0\"]\n");
    let mut supervisor = setup.option("--config").option(&file).start();
    let workers = supervisor.workers();
    for (options, advice) in [
        ("listen = [\"web=127.0.0.1:0\", \"other=127.0.0.1:0\"]\n", "reload first"),
        ("listen = [\"web=127.0.0.1:0\"]\npass = \"connection\"\n", "stop the supervisor, and start it again"),
    ] {
        write(options);
        let said = supervisor.fail(&["upgrade"], 3);
        assert!(said.contains(advice), "{said}");
        assert_goes_on(&mut supervisor, &workers);
    }
    write("listen = [\"web=127.0.0.1:0\"]\n");
    supervisor.do_it(&["upgrade"]);
    supervisor.end();
}

#[test]
fn an_upgrade_is_refused_while_a_worker_has_not_read_its_connections() {
    let options = ["--listen", "web=127.0.0.1:0", "--pass", "connection", "--via", "info", "--ready", "time=0.1"];
    let mut supervisor = Setup::new(&options).command(&["sleep", "1000"]).start();
    let workers = supervisor.workers();
    let _given = supervisor.connect();
    until("a connection that is given", || supervisor.status()["workers"][0]["handed_off"] == 1);
    let said = supervisor.fail(&["upgrade"], 3);
    assert!(said.contains("workers have not read what they were given"), "{said}");
    assert_eq!(supervisor.workers(), workers);
    supervisor.wait_for("upgrade_failed");
    supervisor.end();
}

#[test]
fn what_hangs_is_no_successor() {
    let mut supervisor = Setup::new(&WEB).start();
    let workers = supervisor.workers();
    let hangs = script(&supervisor, "hangs", "exec sleep 1000");
    let said = supervisor.fail(&["upgrade", "--to", hangs.to_str().unwrap()], 3);
    assert!(said.contains("it did not begin to receive within 10 s"), "{said}");
    assert_goes_on(&mut supervisor, &workers);
    supervisor.end();
}

#[test]
fn a_candidate_that_is_killed_is_no_successor() {
    let mut supervisor = Setup::new(&WEB).start();
    let workers = supervisor.workers();
    let hangs = script(&supervisor, "hangs", "exec sleep 1000");
    let mut upgrade = supervisor.command(&["upgrade", "--to", hangs.to_str().unwrap()]);
    let mut upgrade = upgrade.stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut found = None;
    until("a candidate", || {
        found = candidate(&supervisor);
        found.is_some()
    });
    signal(found.unwrap(), Signal::KILL);
    assert_eq!(upgrade.wait_in_time().code(), Some(3));
    supervisor.wait_for("upgrade_failed");
    assert_goes_on(&mut supervisor, &workers);
    supervisor.end();
}

#[test]
fn a_candidate_that_is_killed_at_any_moment_does_no_harm() {
    let supervisor = Setup::new(&WEB).start();
    let workers = supervisor.workers();
    for round in 0..15_u64 {
        let mut upgrade = supervisor.command(&["upgrade"]);
        upgrade.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut upgrade = upgrade.spawn().unwrap();
        let mut found = None;
        until("a candidate, or the end", || {
            found = candidate(&supervisor);
            found.is_some() || upgrade.try_wait().unwrap().is_some()
        });
        // Each round a little later; when does not matter to what is asserted.
        std::thread::sleep(std::time::Duration::from_millis(round * 2));
        found.into_iter().for_each(running::kill);
        let code = upgrade.wait_in_time().code();
        assert!([Some(0), Some(3)].contains(&code), "{code:?}\n{}", supervisor.story());
        assert_eq!(
            (supervisor.workers(), supervisor.status()["pid"].clone()),
            (workers.clone(), supervisor.pid().into())
        );
        assert_eq!(supervisor.ask("who")["generation"], 1);
    }
    supervisor.do_it(&["upgrade"]);
    supervisor.end();
}

/// A program whose candidate is killed when the old supervisor has become it.
fn kills_candidate(supervisor: &Supervisor) -> PathBuf {
    let note = supervisor.path("candidate");
    let note = note.display();
    let of_role = format!(
        "case \"$SHARESOCK_TAKE_OVER\" in candidate*) echo $$ > {note};; *) kill -9 $(cat {note});; esac\nexec {} \"$@\"",
        running::PROGRAM
    );
    script(supervisor, "kills", &of_role)
}

#[test]
fn a_candidate_that_is_killed_after_the_exec_is_not_needed() {
    let mut supervisor = Setup::new(&[&WEB[..], &["--listen", "admin=127.0.0.1:0"]].concat()).start();
    let (workers, cookies) = (supervisor.workers(), supervisor.ask("listeners"));
    let held = supervisor.connect().hold();
    let said = supervisor.do_it(&["upgrade", "--to", kills_candidate(&supervisor).to_str().unwrap()]);
    assert!(said.contains(&format!("process {}", supervisor.pid())), "{said}");
    assert_eq!((supervisor.workers(), supervisor.ask("listeners")), (workers.clone(), cookies));
    assert!(workers.contains(&number(&held.let_go()["pid"])));
    // What stays open across exec is the supervisor's alone.
    let inherited = |worker: &u32| running::settled(|| running::count_of_descriptors(*worker));
    let before = inherited(&workers[0]);
    signal(workers[0], Signal::KILL);
    supervisor.wait_for("worker_ready");
    let new = supervisor.workers().into_iter().find(|pid| !workers.contains(pid)).unwrap();
    assert_eq!(inherited(&new), before);
    supervisor.end();
}

/// A program that can be a candidate, and fails as a successor.
fn half(supervisor: &Supervisor) -> PathBuf {
    let of_role = "case \"$SHARESOCK_TAKE_OVER\" in successor*) exit 1;; *) exec";
    script(supervisor, "half", &format!("{of_role} {} \"$@\";; esac", running::PROGRAM))
}

#[test]
fn when_the_successor_fails_the_candidate_is_the_supervisor() {
    let options = [&WEB[..], &["--listen", "admin=127.0.0.1:0"]].concat();
    let mut supervisor = Setup::new(&options).play("ready child").start();
    let (workers, cookies) = (supervisor.workers(), supervisor.ask("listeners"));
    let held = supervisor.connect().hold();
    let said = supervisor.do_it(&["upgrade", "--to", half(&supervisor).to_str().unwrap()]);
    assert!(said.contains("this process has taken over"), "{said}");
    assert_eq!(supervisor.wait().code(), Some(1), "the one of before is gone");
    let status = supervisor.status();
    let other = number(&status["pid"]);
    assert_ne!(other, supervisor.pid());
    assert!(said.contains(&format!("process {other}")), "{said}");
    assert_eq!(supervisor.ask("listeners"), cookies);
    assert!(workers.contains(&number(&held.let_go()["pid"])), "what was being served is");

    // Those of before that end are noticed, though they are no children, and replaced.
    let of_before = |supervisor: &Supervisor| {
        let now = supervisor.workers();
        workers.iter().copied().filter(|pid| now.contains(pid)).collect::<Vec<_>>()
    };
    of_before(&supervisor).first().into_iter().for_each(|pid| running::kill(*pid));
    until("other workers", || supervisor.workers().len() == 2 && of_before(&supervisor).len() < 2);
    supervisor.do_it(&["reload"]);
    until("the end of the last one", || workers.iter().all(|pid| !running::lives(*pid)));
    assert_eq!(supervisor.ask("listeners"), cookies);
    supervisor.do_it(&["upgrade", "--to", running::PROGRAM]);
    assert_eq!(number(&supervisor.status()["pid"]), other);
    supervisor.do_it(&["stop"]);
    supervisor.assert_nothing_left();
}

#[test]
fn when_the_successor_fails_the_workers_finish_and_are_replaced() {
    let mut supervisor = Setup::new(&WEB).start();
    let (workers, cookies) = (supervisor.workers(), supervisor.ask("listeners"));
    let held = supervisor.connect().hold();
    supervisor.do_it(&["upgrade", "--to", half(&supervisor).to_str().unwrap()]);
    supervisor.wait();
    // Their parent is gone, and they are told.
    assert!(workers.contains(&number(&held.let_go()["pid"])));
    until("the end of those of before", || workers.iter().all(|pid| !running::lives(*pid)));
    assert_eq!(supervisor.ask("listeners"), cookies);
    supervisor.do_it(&["stop"]);
    supervisor.assert_nothing_left();
}

#[test]
fn a_candidate_that_goes_on_replaces_a_guard_that_is_not_its_child() {
    let mut supervisor = Setup::new(&WEB).start();
    let guard = running::guard_of(supervisor.pid()).unwrap();
    supervisor.do_it(&["upgrade", "--to", half(&supervisor).to_str().unwrap()]);
    supervisor.wait();
    let other = number(&supervisor.status()["pid"]);
    running::kill(guard);
    until("another guard", || running::guard_of(other).is_some());
    // It knows what the first one did.
    running::kill(other);
    supervisor.assert_nothing_left();
}

#[test]
fn a_worker_that_ends_while_another_program_is_tried_is_replaced() {
    let mut supervisor = Setup::new(&WEB).start();
    let workers = supervisor.workers();
    let hangs = script(&supervisor, "hangs", "exec sleep 1000");
    let mut upgrade = supervisor.command(&["upgrade", "--to", hangs.to_str().unwrap()]).spawn().unwrap();
    until("a candidate", || candidate(&supervisor).is_some());
    signal(workers[0], Signal::KILL);
    let ended = supervisor.wait_for("worker_ended");
    assert_eq!(number(&ended["pid"]), workers[0]);
    supervisor.wait_for("worker_ready");
    signal(candidate(&supervisor).unwrap(), Signal::KILL);
    assert_eq!(upgrade.wait_in_time().code(), Some(3));
    supervisor.end();
}
