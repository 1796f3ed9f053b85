//! What workers and the guard are started with, whoever started the supervisor, and how.

use crate::running::{self, Setup, Supervisor, blocked_signals, family, ignored_signals, until};
use nix::sys::signal::{SigSet, Signal as Number};
use rustix::process::Signal;
use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

/// A supervisor that a shell becomes after it has done this.
fn started_after(script: &str) -> Setup {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{script}\nexec \"$@\""), "sh", running::PROGRAM]);
    Setup::by(shell, &["--listen", "web=127.0.0.1:0", "--ready", "time=0.01"]).command(&["sleep", "1000"])
}

/// What a process has open beside its standard descriptors.
fn open_files(pid: u32) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let others = entries.filter(|entry| entry.file_name().to_str().is_none_or(|name| !["0", "1", "2"].contains(&name)));
    others.filter_map(|entry| std::fs::read_link(entry.path()).ok()).collect()
}

/// The worker that serves, when it is the command.
fn worker(supervisor: &Supervisor) -> u32 {
    let worker = supervisor.workers()[0];
    let file = format!("/proc/{worker}/comm");
    until("a worker to become its command", || std::fs::read_to_string(&file).is_ok_and(|name| name == "sleep\n"));
    worker
}

#[test]
fn no_descriptor_that_was_left_open_gets_further() {
    let script = "exec 4</etc/hostname 7>>left.open 9<.\necho there >&7";
    let mut setup = started_after(script);
    let folder = setup.path("");
    setup.process.current_dir(&folder);
    let supervisor = setup.start();
    let left: HashSet<_> =
        [PathBuf::from("/etc/hostname"), folder.join("left.open"), folder.components().collect()].into();
    for change in ["reload", "upgrade", "reload"] {
        let others = family(supervisor.pid()).into_iter().filter(|pid| *pid != supervisor.pid());
        for pid in others {
            let open = open_files(pid);
            assert!(!open.iter().any(|file| left.contains(file)), "process {pid} has {open:?}");
        }
        // Its listener, and nothing else.
        assert_eq!(open_files(worker(&supervisor)).len(), 1);
        supervisor.do_it(&[change]);
    }
    assert!(!open_files(supervisor.pid()).iter().any(|file| left.contains(file)), "an upgrade drops it");
    supervisor.end();
}

#[test]
fn signals_that_a_starter_blocked_or_ignored_hurt_nobody() {
    // They are inherited; this thread is the test's own.
    let blocked: SigSet = [Number::SIGTERM, Number::SIGHUP, Number::SIGCHLD, Number::SIGUSR1].into_iter().collect();
    blocked.thread_block().unwrap();
    let mut supervisor = started_after("trap '' HUP INT QUIT USR2 PIPE CHLD ALRM").start();
    blocked.thread_unblock().unwrap();
    // 32 and 33 are the C library's own, and nobody may change them.
    let state = |pid: u32| (blocked_signals(pid), ignored_signals(pid) & !(3 << 31));
    assert_eq!(state(worker(&supervisor)), (0, 0));
    // Also with nohup: who sends it wants a reload.
    supervisor.signal(Signal::HUP);
    supervisor.wait_for("reloaded");
    supervisor.do_it(&["upgrade"]);
    supervisor.do_it(&["reload"]);
    assert_eq!(state(worker(&supervisor)), (0, 0));
    supervisor.signal(Signal::TERM);
    assert!(supervisor.wait().success());
    supervisor.assert_nothing_left();
}
