//! `sharesock run` as process 1, as it is in a container: it inherits orphans, and no signal has a default for it.

use crate::needs::lacks;
use crate::patience::WaitInTime;
use crate::serving::{lives, signal_process, until};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

/// How a namespace of processes is made: as root, or as a user who may be root in one of their own.
const WAYS: [&[&str]; 2] = [&[], &["--user", "--map-root-user"]];
/// The child goes with `unshare`, whatever becomes of the test.
const UNSHARE: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];

fn unshare() -> Option<Command> {
    let command = |way: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(way).args(UNSHARE);
        command
    };
    let works =
        |way: &&&[&str]| command(way).arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    let way = WAYS.iter().find(works);
    lacks("PID namespaces (`unshare --pid`)", way.is_some());
    way.map(|way| command(way))
}

/// A supervisor that is process 1; killed when dropped.
struct First {
    unshare: Child,
    lines: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl First {
    fn start(options: &[&str], script: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            folder.path().join("fifo"),
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        )
        .unwrap();
        let mut unshare = unshare()?
            .arg(env!("CARGO_BIN_EXE_sharesock"))
            .args(["run", "--json", "--name", "first", "--ready", "time=0.01", "--domain"])
            .arg(folder.path().join("domain"))
            .args(options)
            .args(["--", "sh", "-c", script])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(unshare.stdout.take().unwrap());
        Some(First { unshare, lines, folder })
    }

    /// Reads what it prints until there was a line with each of these, in whatever order.
    fn says(&mut self, what: &[&str]) {
        let mut left = what.to_vec();
        while !left.is_empty() {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended before it said {left:?}");
            left.retain(|what| !line.contains(what));
        }
    }

    /// Until workers are sent signals, and this one has said what it does with them.
    fn is_ready(&mut self) {
        self.says(&["\"event\":\"ready\"", r#""line":"up""#]);
    }

    /// Its process id as it is seen from here.
    fn pid(&self) -> u32 {
        match children(self.unshare.id()).as_slice() {
            [pid] => *pid,
            others => panic!("unshare has the children {others:?}"),
        }
    }

    fn signal(&self, signal: Signal) {
        signal_process(self.pid(), signal);
    }

    fn wait(&mut self) -> ExitStatus {
        self.unshare.wait_in_time()
    }
}

impl Drop for First {
    fn drop(&mut self) {
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn runs(pid: u32, program: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == program)
}

#[test]
fn orphans_are_reaped_and_the_worker_that_left_them_goes_on() {
    // Two orphans: one ends at once, one when it is let.
    let script = "sh -c 'true & cat fifo >fifo.copy & exit'; trap 'echo ended in order; exit 0' TERM; echo up
        while :; do sleep 1000 & wait $!; done";
    let Some(mut first) = First::start(&[], script) else { return };
    first.is_ready();
    let me = first.pid();
    let orphan = || children(me).into_iter().find(|pid| runs(*pid, "cat"));
    until("the orphan is a child of process 1", || orphan().is_some());
    let orphan = orphan().unwrap();
    std::fs::write(first.folder.path().join("fifo"), "go on").unwrap();
    until("the orphan is reaped", || !exists(orphan));
    until("no child is a zombie", || children(me).into_iter().all(lives));
    first.signal(Signal::TERM);
    first.says(&[r#""line":"ended in order""#]);
    assert_eq!(first.wait().code(), Some(0));
}

#[test]
fn signals_are_passed_on_though_none_has_a_default() {
    let script = "for name in USR1 USR2 WINCH; do trap \"echo got $name\" $name; done
        trap 'echo got TERM; exit 0' TERM; echo up; while :; do sleep 1000 & wait $!; done";
    let Some(mut first) = First::start(&[], script) else { return };
    first.is_ready();
    for (signal, name) in [(Signal::USR1, "USR1"), (Signal::USR2, "USR2"), (Signal::WINCH, "WINCH")] {
        first.signal(signal);
        first.says(&[&format!(r#""line":"got {name}""#)]);
    }
    first.signal(Signal::TERM);
    first.says(&[r#""line":"got TERM""#]);
    assert_eq!(first.wait().code(), Some(0));
}

#[test]
fn a_reload_replaces_the_worker() {
    let script = "trap 'exit 0' TERM; echo up; while :; do sleep 1000 & wait $!; done";
    let Some(mut first) = First::start(&["--listen", "web=127.0.0.1:0"], script) else { return };
    first.is_ready();
    first.signal(Signal::HUP);
    first.says(&["\"event\":\"reloaded\""]);
    first.signal(Signal::TERM);
    assert_eq!(first.wait().code(), Some(0));
}

#[test]
fn the_exit_code_says_how_it_ended() {
    let Some(mut failing) = First::start(&["--restart-limit", "1"], "exit 5") else { return };
    assert_eq!(failing.wait().code(), Some(1));
    let Some(mut wrong) = First::start(&["--workers", "0"], "true") else { return };
    assert_eq!(wrong.wait().code(), Some(2));
    // A worker that does not end is killed.
    let script = "trap '' TERM; echo up; while :; do sleep 1000; done";
    let Some(mut stubborn) = First::start(&["--stop-timeout", "0.1"], script) else { return };
    stubborn.is_ready();
    let worker = children(stubborn.pid()).into_iter().find(|pid| runs(*pid, "sh")).unwrap();
    stubborn.signal(Signal::TERM);
    assert!(matches!(stubborn.wait().code(), Some(0 | 1)));
    until("the worker is gone", || !exists(worker));
}
