//! The commands that ask a supervisor, and what else may come to its control socket.

use crate::needs::lacks_namespaces;
use crate::patience::{OutputInTime, WaitInTime};
use crate::running::{self, LONG, Setup, Supervisor, text};
use std::io::{Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::process::Command;

const WEB: [&str; 4] = ["--listen", "web=127.0.0.1:0", "--name", "app"];

#[test]
fn status_tells_what_there_is() {
    let supervisor = Setup::new(&[&WEB[..], &["--workers", "2"]].concat()).start();
    let status = supervisor.status();
    assert_eq!(
        (&status["name"], &status["state"], &status["generation"]),
        (&"app".into(), &"running".into(), &1.into())
    );
    assert_eq!(status["pid"], supervisor.pid());
    assert_eq!(status["listeners"][0]["address"], supervisor.address("web"));
    assert_eq!(status["listeners"][0]["queued"], 0);
    assert_eq!(status["workers"].as_array().map(Vec::len), Some(2));
    let held: Vec<_> = (0..4).map(|_| supervisor.connect().hold()).collect();
    let status = supervisor.status();
    let connections =
        status["workers"].as_array().unwrap().iter().map(|worker| worker["connections"].as_u64().unwrap());
    assert_eq!(connections.sum::<u64>(), 4);
    held.into_iter().for_each(|held| _ = held.let_go());
    supervisor.ask("notify STATUS=serving cake");

    running::until("what a worker says", || supervisor.do_it(&["status", "app", "--json"]).contains("serving cake"));
    let human = supervisor.do_it(&["status", "app"]);
    assert!(human.contains("app") && human.contains(&supervisor.address("web")), "{human}");
    let metrics = supervisor.do_it(&["status", "--prometheus"]);
    assert!(metrics.lines().any(|line| line.starts_with("# TYPE sharesock_")), "{metrics}");
    supervisor.end();
}

#[test]
fn where_there_is_no_supervisor_the_code_is_4() {
    let supervisor = Setup::new(&WEB).start();
    for command in
        [vec!["status"], vec!["status", "--json"], vec!["reload"], vec!["upgrade"], vec!["stop"], vec!["top"]]
    {
        let words = [&command[..1], &["other"], &command[1..]].concat();
        let said = supervisor.fail(&words, 4);
        assert!(said.starts_with("sharesock: no supervisor named other runs in "), "{said}");
    }
    assert!(supervisor.fail(&["status", "--json", "--prometheus"], 2).contains("cannot be used with"));
    supervisor.end();
}

#[test]
fn of_several_status_shows_all_and_other_commands_need_a_name() {
    let supervisor = Setup::new(&WEB).start();
    let another = |name: &str| {
        let mut command = supervisor.command(&["run", "--name", name, "--listen", "web=127.0.0.1:0"]);
        command
            .args(["--ready", "time=0.01", "--json", "--", "sleep", "1000"])
            .env("SHARESOCK_TEST_PLAY", supervisor.path("play"));
        command
    };
    let same = another("app").output_in_time();
    assert_eq!(same.status.code(), Some(1));
    assert!(text(&same.stderr).contains("a supervisor named app runs in "), "{same:?}");
    assert_eq!(supervisor.status()["name"], "app", "it is not disturbed");

    let mut second = another("second").stdout(std::process::Stdio::null()).spawn().unwrap();
    running::until("the second", || supervisor.call(&["status", "second"]).status.success());
    let all = supervisor.do_it(&["status"]);
    assert!(all.contains("app: running") && all.contains("\nsecond: running"), "{all}");
    let all = supervisor.do_it(&["status", "--json"]);
    let all: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&all).into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().map(|one| &one["name"]).collect::<Vec<_>>(), ["app", "second"]);
    assert_eq!(supervisor.do_it(&["names"]), "app\nsecond\n");
    for command in [&["status", "--prometheus"][..], &["reload"], &["upgrade"], &["stop"]] {
        let said = supervisor.fail(command, 1);
        assert!(said.contains("several supervisors run in ") && said.contains("name one of app, second"), "{said}");
    }
    supervisor.do_it(&["stop", "second"]);
    assert!(second.wait_in_time().success());
    assert_eq!(supervisor.status()["name"], "app");
    supervisor.end();
}

/// The answer to something that is no request.
fn say(supervisor: &Supervisor, request: &[u8]) -> String {
    let mut stream = UnixStream::connect(supervisor.path("domain/run-app/control")).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // It may have been refused before all of it was sent.
    let _ = stream.write_all(request);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    text(&answer)
}

#[test]
fn what_is_no_request_does_no_harm() {
    let supervisor = Setup::new(&WEB).start();
    let before = running::count_of_descriptors(supervisor.pid());
    for wrong in [&b"\xff\xfe\n"[..], b"{}\n", b"{\"stop\":3}\n", b"[[[[\n", b"{\"status\":{\"lines\":-1}}\n", b"stop"]
    {
        let answer = say(&supervisor, wrong);
        assert!(answer.contains("failed") && answer.contains("malformed request"), "{answer}");
    }
    assert_eq!(say(&supervisor, b""), "");
    assert_eq!(say(&supervisor, b"\n"), "");
    for long in [vec![b'x'; 1 << 20], vec![b'['; 1 << 20]] {
        say(&supervisor, &long);
    }
    let spaces = " ".repeat(16 << 10);
    let long = say(&supervisor, format!("{{\"status\":{{{spaces}}}}}\n").as_bytes());
    assert!(long.contains("malformed request"), "a request of more than 16 KiB: {long}");
    // The last line break may be missing, and what follows a request is not read.
    assert!(say(&supervisor, b"{\"status\":{}}").contains("\"name\":\"app\""));
    assert!(say(&supervisor, b"{\"status\":{\"lines\":99999999}}\nstop\n").contains("\"name\":\"app\""));
    assert_eq!(supervisor.status()["state"], "running");
    let fewer = || running::count_of_descriptors(supervisor.pid()) <= before;
    running::until("their descriptors to be closed", fewer);
    supervisor.end();
}

#[test]
fn who_says_nothing_holds_nobody_up_for_ever() {
    let supervisor = Setup::new(&WEB).start();
    // As many as are heard at a time; others wait until these are given up.
    let silent = || UnixStream::connect(supervisor.path("domain/run-app/control")).unwrap();
    let mut silent: Vec<_> = (0..16).map(|_| silent()).collect();
    assert_eq!(supervisor.status()["state"], "running");
    let given_up = |stream: &mut UnixStream| {
        stream.set_nonblocking(true).unwrap();
        let read = stream.read(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        matches!(read, Ok(0))
    };
    assert!(silent.iter_mut().any(given_up), "more than sixteen are heard at a time");
    for mut stream in silent {
        stream.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    supervisor.end();
}

#[test]
fn what_a_supervisor_that_was_killed_left_is_no_obstacle() {
    let domain = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&domain, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let folder = domain.path().join("run-app");
    std::fs::DirBuilder::new().mode(0o700).create(&folder).unwrap();
    drop(std::os::unix::net::UnixListener::bind(folder.join("control")).unwrap());
    std::fs::write(folder.join("out-1"), "").unwrap();
    let status = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sharesock"));
        command.args(["status", "app", "--domain"]).arg(domain.path()).output_in_time().status.code()
    };
    assert_eq!(status(), Some(4));
    let mut run = Command::new(env!("CARGO_BIN_EXE_sharesock"));
    run.args(["run", "--name", "app", "--ready", "time=0.01", "--domain"])
        .arg(domain.path())
        .args(["--", "sleep", "1000"]);
    let mut child = run.stderr(std::process::Stdio::null()).spawn().unwrap();
    running::until("a supervisor", || UnixStream::connect(folder.join("control")).is_ok());
    running::until("a worker", || status() == Some(0));
    running::signal(child.id(), rustix::process::Signal::TERM);
    assert!(child.wait_in_time().success());
    assert!(!folder.exists());
}

#[test]
fn names_that_were_removed_are_made_again() {
    let mut supervisor = Setup::new(&WEB).start();
    let worker = supervisor.workers()[0];
    for (removed, whole) in [("domain", true), ("domain/run-app", true), ("domain/run-app/control", false)] {
        let path = supervisor.path(removed);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).unwrap()
        } else {
            std::fs::remove_file(&path).unwrap()
        }
        assert_eq!(supervisor.ask("say still here")["generation"], 1);
        let said = supervisor.wait_for("trouble");
        assert!(said["why"].as_str().unwrap().contains("run-app was removed, and is made again"), "{said}");
        assert_eq!(supervisor.workers(), [worker]);
        supervisor.ask("notify STATUS=at the same path");
        running::until("what it says", || supervisor.do_it(&["status", "--json"]).contains("at the same path"));
        if whole {
            // What it prints to has no name any more, and is still read.
            let said = supervisor.fail(&["upgrade"], 3);
            assert!(said.contains(&format!("{worker} print to were removed: reload first")), "{said}");
        }
        assert_eq!(supervisor.ask("say after all")["generation"], 1);
    }
    supervisor.wait_for_line(" | after all");
    running::signal(worker, rustix::process::Signal::KILL);
    supervisor.wait_for("worker_ready");
    supervisor.do_it(&["reload"]);
    supervisor.wait_for("worker_ended");
    running::until("the pipes of before to be gone", || supervisor.call(&["upgrade"]).status.success());
    supervisor.end();
}

#[test]
fn workers_are_handed_connections_in_a_domain_that_was_made_again() {
    for (via, play) in [("hand-off", "ready receiver"), ("info", "ready info")] {
        let options = [&WEB[..], &["--pass", "connection", "--via", via]].concat();
        let mut supervisor = Setup::new(&options).play(play).start();
        std::fs::remove_dir_all(supervisor.path("domain")).unwrap();
        supervisor.wait_for("trouble");
        if via == "hand-off" {
            assert_eq!(supervisor.ask("who")["generation"], 1);
            supervisor.do_it(&["reload"]);
        }
        supervisor.wait_for("reloaded");
        supervisor.until_served_by(2);
        supervisor.end();
    }
}

#[test]
fn a_supervisor_that_stands_still_is_given_up() {
    let mut supervisor = Setup::new(&WEB).start();
    running::stop_process(supervisor.pid());
    for command in ["status", "reload", "upgrade", "stop", "top"] {
        let said = supervisor.fail(&[command, "--timeout", "0.2"], 7);
        assert!(said.contains("does not answer within 0.2 s"), "{said}");
        assert!(said.contains(&format!("kill -CONT {}", supervisor.pid())), "{said}");
    }
    supervisor.signal(rustix::process::Signal::CONT);
    // Whoever asked was told that it is not done, and so it is not done later.
    assert_eq!(supervisor.status()["generation"], 1);
    supervisor.do_it(&["reload"]);
    assert_eq!(supervisor.wait_for("reloading")["generation"], 2);
    supervisor.end();
}

#[test]
fn status_fails_while_nobody_serves() {
    let mut supervisor = Setup::new(&WEB).play("deaf").spawn();
    supervisor.wait_for("worker_started");
    let said = supervisor.fail(&["status"], 3);
    assert!(said.contains("app: starting"), "{said}");
    supervisor.play("ready");
    running::kill(supervisor.workers()[0]);
    supervisor.wait_for("ready");
    supervisor.do_it(&["status"]);
    supervisor.end();
}

#[test]
fn a_reload_that_is_under_way_can_be_waited_for_and_given_up() {
    let mut supervisor = Setup::new(&WEB).start();
    let said = supervisor.fail(&["reload", "--cancel"], 1);
    assert!(said.contains("no reload is under way"), "{said}");
    supervisor.play("deaf");
    let spawn = |words: &[&str]| supervisor.command(words).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let hangs = spawn(&["reload"]);
    running::until("a reload", || supervisor.status()["state"] == "reloading");
    supervisor.wait_until_played("deaf", 1);
    for command in ["reload", "upgrade"] {
        let said = supervisor.fail(&[command], 5);
        assert!(said.contains("a reload is under way"), "{said}");
    }
    supervisor.play("ready");
    let mut waits = spawn(&["reload", "--wait"]);
    assert!(supervisor.do_it(&["reload", "--cancel"]).contains("generation 1 goes on"));
    let hung = hangs.wait_with_output().unwrap();
    assert_eq!(hung.status.code(), Some(3));
    assert!(text(&hung.stderr).contains("the old workers go on: it was cancelled"), "{hung:?}");
    assert!(waits.wait_in_time().success());
    supervisor.wait_for("reloaded");
    assert_eq!(supervisor.ask("who")["generation"], 3);
    supervisor.end();
}

#[test]
fn a_supervisor_of_another_namespace_of_processes_is_asked() {
    let apart = ["--pid", "--fork", "--kill-child", "--mount-proc"];
    if lacks_namespaces() {
        return;
    }
    let mut supervisor = Setup::new(&WEB).start();
    let ask = |words: &[&str], code: i32| {
        let mut command = Command::new("unshare");
        command.args(apart).arg(running::PROGRAM).args(words).arg("--domain").arg(supervisor.path("domain"));
        let output = command.output_in_time();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        said
    };
    assert!(ask(&["status"], 0).contains("app: running"));
    assert!(ask(&["reload"], 0).contains("generation 2 has taken over"));
    // All but the terminal is there.
    assert!(ask(&["top"], 1).contains("terminal"));
    running::stop_process(supervisor.pid());
    assert!(ask(&["status", "--timeout", "0.2"], 7).contains("it may be stopped or wedged"));
    supervisor.signal(rustix::process::Signal::CONT);
    ask(&["stop"], 0);
    assert!(supervisor.wait().success());
}

#[test]
fn one_place_that_fails_again_and_again_is_told_until_it_is_mended() {
    let mut supervisor = Setup::new(&[&WEB[..], &["--workers", "2"]].concat()).start();
    let metric = |name: &str| {
        let metrics = supervisor.do_it(&["status", "--prometheus"]);
        let line = metrics.lines().find(|line| line.starts_with(&format!("sharesock_{name}{{"))).map(str::to_owned);
        line.and_then(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
    };
    assert_eq!([metric("workers_wanted"), metric("workers_ready")], [Some(2.0), Some(2.0)]);
    assert_eq!(metric("last_reload_duration_seconds"), None);
    supervisor.play("fail");
    running::kill(supervisor.workers()[0]);
    running::until("failures", || {
        supervisor.status()["last_failure"].as_str().is_some_and(|why| why.contains("code 7"))
    });
    assert_eq!(supervisor.status()["state"], "degraded");
    let text = supervisor.do_it(&["status"]);
    let mut lines = text.lines();
    assert!(lines.next().unwrap().starts_with("app: degraded (1 of 2 workers are ready), "), "{text}");
    let failure = lines.next().unwrap();
    assert!(failure.starts_with("last failure ") && failure.contains(" ago: ") && failure.contains("code 7"), "{text}");
    assert_eq!([metric("workers_wanted"), metric("workers_ready")], [Some(2.0), Some(1.0)]);
    supervisor.fail(&["reload"], 3);
    supervisor.fail(&["upgrade", "--to", "/bin/false"], 3);
    assert_eq!([metric("reloads_failed_total"), metric("upgrades_failed_total")], [Some(1.0), Some(1.0)]);
    supervisor.do_it(&["upgrade"]);
    assert_eq!(metric("reloads_failed_total"), Some(1.0));

    supervisor.play("ready");
    supervisor.do_it(&["reload"]);
    let status = supervisor.status();
    assert_eq!((&status["state"], &status["last_failure"]), (&"running".into(), &serde_json::Value::Null));
    assert!(metric("last_reload_duration_seconds").is_some() && metric("last_reload_timestamp_seconds").is_some());
    supervisor.wait_for("reloaded");
    supervisor.end();
}
