//! A supervisor that replaces itself, and its workers that do not notice.

use crate::patience::WaitInTime;
use crate::running::{self, Connection, Setup, count_of_descriptors, lives, number, signal, stop_process, until};
use rustix::process::Signal;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const WEB: [&str; 4] = ["--listen", "web=127.0.0.1:0", "--workers", "2"];

#[test]
fn the_process_its_workers_and_its_listeners_stay() {
    let setup = Setup::new(&[&WEB[..], &["--listen", "names=udp:127.0.0.1:0"]].concat());
    let path = setup.path("a.sock");
    let mut supervisor = setup.option("--listen").option(format!("local=unix:{}", path.display())).start();
    let (pid, workers) = (supervisor.pid(), supervisor.workers());
    let (cookies, held) = (supervisor.ask("listeners"), supervisor.connect().hold());
    let guard = running::guard_of(pid);
    let said = supervisor.do_it(&["upgrade"]);
    assert!(said.contains("upgraded") && said.contains(&format!("process {pid}")), "{said}");
    supervisor.wait_for("upgraded");
    let status = supervisor.status();
    assert_eq!((&status["pid"], &status["upgrades"], &status["state"]), (&pid.into(), &1.into(), &"running".into()));
    assert_eq!(supervisor.workers(), workers);
    assert_eq!(supervisor.ask("listeners"), cookies, "the sockets are the same");
    assert_eq!(held.let_go()["generation"], 1);
    assert_eq!(running::guard_of(pid), guard);

    // It supervises.
    signal(workers[0], Signal::KILL);
    assert_eq!(supervisor.wait_for("worker_ready")["place"], 0);
    supervisor.do_it(&["reload"]);
    until("the second", || supervisor.ask("who")["generation"] == 2);
    assert_eq!(supervisor.ask("listeners"), cookies, "nothing was bound again");
    let local = supervisor.address("local");
    until("the second there", || running::ask(&local, "who")["generation"] == 2);
    assert!(path.exists());
    supervisor.end();
}

#[test]
fn what_waits_in_the_backlog_stays_there() {
    let supervisor = Setup::new(&WEB).start();
    let workers = supervisor.workers();
    workers.iter().for_each(|pid| stop_process(*pid));
    let mut waiting: Vec<_> = (0..200).map(|_| supervisor.connect()).collect();
    waiting.iter_mut().for_each(|connection| connection.send("who"));
    supervisor.do_it(&["upgrade"]);
    assert_eq!(supervisor.status()["listeners"][0]["queued"], 200);
    workers.iter().for_each(|pid| signal(*pid, Signal::CONT));
    let answers = waiting.iter_mut().map(|connection| number(&connection.answer()["pid"]));
    assert!(answers.collect::<HashSet<_>>().iter().all(|pid| workers.contains(pid)));
    supervisor.end();
}

#[test]
fn ten_upgrades_leave_nothing_behind() {
    let mut supervisor = Setup::new(&WEB).start();
    let workers = supervisor.workers();
    supervisor.do_it(&["upgrade"]);
    supervisor.wait_for("upgraded");
    let quiet = || running::settled(|| count_of_descriptors(supervisor.pid()));
    let before = quiet();
    let files = running::files_under(&supervisor.path("domain")).len();
    for _ in 0..10 {
        supervisor.do_it(&["upgrade"]);
    }
    assert_eq!(quiet(), before, "descriptors");
    assert_eq!(running::files_under(&supervisor.path("domain")).len(), files);
    assert_eq!(supervisor.workers(), workers);
    assert_eq!(supervisor.status()["upgrades"], 11);
    let zombies = || running::children(supervisor.pid()).iter().filter(|pid| !lives(**pid)).count();
    until("no zombies", || zombies() == 0);
    supervisor.end();
}

#[test]
fn no_line_is_lost_on_the_way() {
    let supervisor = Setup::new(&["--listen", "web=127.0.0.1:0"]).play("ready count").start();
    for _ in 0..5 {
        supervisor.wait_for_line("line 100");
        supervisor.do_it(&["upgrade"]);
    }
    let (output, errors) = (supervisor.output.clone(), supervisor.errors.clone());
    supervisor.end();
    let lines = output.to_the_end();
    let lines = lines.iter().filter_map(|line| line.strip_prefix("0 | line ")?.parse::<usize>().ok());
    let lines: Vec<_> = lines.collect();
    let gap = lines.iter().enumerate().find(|(expected, number)| expected != *number);
    assert!(gap.is_none() && lines.len() > 100, "{gap:?} of {}; {:?}", lines.len(), errors.all());
}

#[test]
fn a_worker_may_end_while_it_happens() {
    let mut supervisor = Setup::new(&WEB).start();
    for _ in 0..5 {
        let workers = supervisor.workers();
        let mut upgrade = supervisor.command(&["upgrade"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        supervisor.wait_for("upgrading");
        signal(workers[0], Signal::KILL);
        assert!(upgrade.wait_in_time().success());
        supervisor.wait_for("worker_ended");
        supervisor.wait_for("worker_ready");
        let after = supervisor.workers();
        assert!(!after.contains(&workers[0]) && after.contains(&workers[1]) && after.len() == 2);
    }
    supervisor.end();
}

#[test]
fn connections_that_are_given_wait_for_workers_that_stand_still() {
    for via in ["hand-off", "info"] {
        let play = if via == "info" { "ready info" } else { "ready receiver" };
        let options = [&WEB[..], &["--pass", "connection", "--via", via]].concat();
        let mut supervisor = Setup::new(&options).play(play).start();
        let workers = supervisor.workers();
        assert!(workers.contains(&number(&supervisor.ask("who")["pid"])));
        workers.iter().for_each(|pid| stop_process(*pid));
        let mut waiting: Vec<_> = (0..50).map(|_| supervisor.connect()).collect();
        waiting.iter_mut().for_each(|connection| connection.send("who"));
        supervisor.do_it(&["upgrade"]);
        supervisor.wait_for("upgraded");
        assert_eq!(supervisor.workers(), workers);
        workers.iter().for_each(|pid| signal(*pid, Signal::CONT));
        let answers: Vec<_> = waiting.iter_mut().map(Connection::answer).collect();
        assert!(answers.iter().all(|answer| workers.contains(&number(&answer["pid"]))), "{via}");
        assert_eq!(supervisor.ask("who")["generation"], 1);
        supervisor.do_it(&["reload"]);
        until("the second", || supervisor.ask("who")["generation"] == 2);
        supervisor.end();
    }
}

#[test]
fn single_connections_go_on_over_an_upgrade() {
    let options = [&WEB[..], &["--pass", "connection", "--via", "stdio"]].concat();
    let supervisor = Setup::new(&options).shell("read a; echo got $a; read b; echo got $b").start();
    let mut served: Vec<_> = (0..2).map(|_| supervisor.connect()).collect();
    for connection in &mut served {
        connection.send("one");
        assert_eq!(connection.line(), "got one");
    }
    // There is room for two at a time.
    let mut waiting = supervisor.connect();
    waiting.send("three");
    supervisor.do_it(&["upgrade"]);
    for mut connection in served {
        connection.send("two");
        assert_eq!((connection.line(), connection.line()), ("got two".to_owned(), String::new()));
    }
    assert_eq!(waiting.line(), "got three");
    drop(waiting);
    supervisor.end();
}

#[test]
fn signals_for_the_workers_may_come_while_it_happens() {
    let mut supervisor = Setup::new(&WEB).start();
    let pid = supervisor.pid();
    for _ in 0..5 {
        let mut upgrade = supervisor.command(&["upgrade"]).stdout(std::process::Stdio::null()).spawn().unwrap();
        while upgrade.try_wait().unwrap().is_none() {
            signal(pid, Signal::USR1);
        }
        assert!(upgrade.wait_in_time().success());
        assert!(!supervisor.has_ended(), "{}", supervisor.story());
    }
    assert_eq!(supervisor.status()["upgrades"], 5);
    supervisor.do_it(&["reload"]);
    let [held, worker] = [pid, supervisor.workers()[0]].map(running::blocked_signals);
    assert_eq!((held, worker), (0, 0), "none is held back for good");
    supervisor.end();
}

#[test]
fn a_reload_may_be_asked_for_while_it_happens() {
    let mut supervisor = Setup::new(&WEB).start();
    let pid = supervisor.pid();
    let mut upgrade = supervisor.command(&["upgrade"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    supervisor.wait_for("upgrading");
    while upgrade.try_wait().unwrap().is_none() {
        signal(pid, Signal::HUP);
    }
    // Either it came in time to be obeyed first, or the successor obeys it.
    assert!([Some(0), Some(3)].contains(&upgrade.wait_in_time().code()));
    supervisor.wait_for("reloaded");
    assert_eq!(supervisor.status()["pid"], pid);
    supervisor.end();
}

#[test]
fn its_end_may_be_asked_for_while_it_happens() {
    for round in 0..5 {
        let mut supervisor = Setup::new(&WEB).start();
        let mut upgrade = supervisor.command(&["upgrade"]);
        upgrade.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut upgrade = upgrade.spawn().unwrap();
        supervisor.wait_for("upgrading");
        std::thread::sleep(std::time::Duration::from_millis(round * 3));
        supervisor.signal(Signal::TERM);
        assert_eq!(supervisor.wait().code(), Some(0), "{}", supervisor.story());
        upgrade.wait_in_time();
        supervisor.assert_nothing_left();
    }
}

#[test]
fn the_program_is_looked_for_again_as_it_was_started() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let link = |target: &Path, name: &str| {
        std::fs::create_dir_all(path(name).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, path("link")).unwrap();
        std::fs::rename(path("link"), path(name)).unwrap();
    };
    // By another process: a child that another test forks meanwhile would have the copy open for writing.
    assert!(Command::new("cp").arg(running::PROGRAM).arg(path("new")).status().unwrap().success());
    let (old, new) = (Path::new(running::PROGRAM).canonicalize().unwrap(), path("new").canonicalize().unwrap());
    // By a path whose link leads elsewhere by now, and by a name of which there is another earlier on PATH.
    link(&old, "current/sharesock");
    link(&old, "second/sharesock");
    let paths = format!("{}:{}:{}", path("first").display(), path("second").display(), std::env::var("PATH").unwrap());
    for (started, moved) in [(path("current/sharesock"), "current/sharesock"), ("sharesock".into(), "first/sharesock")]
    {
        let mut supervisor = Setup::by(Command::new(started), &WEB).env("PATH", &paths).start();
        let program = || std::fs::read_link(format!("/proc/{}/exe", supervisor.pid())).unwrap();
        assert_eq!(program(), old);
        link(&new, moved);
        let said = supervisor.do_it(&["upgrade"]);
        assert_eq!(program(), new);
        let [old, new] = [&old, &new].map(|path| format!("({})", path.display()));
        assert!(said.contains(&old) && said.contains(&new), "{said}");
        // The next time as well.
        let path = supervisor.wait_for("upgraded")["path"].as_str().map(PathBuf::from);
        link(&path.unwrap(), moved);
        supervisor.do_it(&["upgrade"]);
        std::fs::remove_file(folder.path().join(moved)).unwrap();
        supervisor.do_it(&["upgrade"]);
        supervisor.end();
    }
}
