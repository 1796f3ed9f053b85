//! However a supervisor ends, nothing of it is left; and what workers leave is not left, either.

use crate::patience::WaitInTime;
use crate::running::{self, Setup, Supervisor, children, guard_of, kill, lives, number, signal, until};
use rustix::process::Signal;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const WEB: [&str; 2] = ["--listen", "web=127.0.0.1:0"];
/// A shell, its child the server, and a child of that.
const FAMILY: &str = r#""$@" & wait"#;

fn setup() -> Setup {
    setup_with("5")
}

fn setup_with(stop_timeout: &str) -> Setup {
    let options = ["--stop-timeout", stop_timeout, "--workers", "2", "--ready", "notify"];
    let setup = Setup::new(&[&WEB[..], &options].concat());
    let local = format!("local=unix:{}", setup.path("local.sock").display());
    setup.option("--listen").option(local).shell(FAMILY).play("ready child")
}

/// Kills it; then there is no process, no file in the domain, and no path.
fn killed(supervisor: &mut Supervisor) {
    kill(supervisor.pid());
    supervisor.wait();
    supervisor.assert_nothing_left();
}

/// Each round waits a little longer before it kills; when that is does not matter to what is asserted.
fn rounds(count: u64, round: impl Fn(u64) + Sync) {
    let (next, round) = (&AtomicU64::new(0), &round);
    let numbers = || std::iter::from_fn(|| Some(next.fetch_add(1, Ordering::SeqCst))).take_while(|at| *at < count);
    std::thread::scope(|scope| {
        (0..4).for_each(|_| _ = scope.spawn(move || numbers().for_each(round)));
    });
}

#[test]
fn a_supervisor_that_is_killed_leaves_nothing() {
    let mut supervisor = setup().start();
    // A shell, the server and its child for each worker, the guard, the supervisor.
    until("the whole family", || running::family(supervisor.pid()).len() == 8);
    assert!(supervisor.path("local.sock").exists());
    killed(&mut supervisor);
}

#[test]
fn one_that_is_killed_when_it_starts_leaves_nothing() {
    rounds(8, |round| {
        let mut supervisor = setup().spawn();
        std::thread::sleep(Duration::from_millis(round * 8));
        killed(&mut supervisor);
    });
}

#[test]
fn one_that_is_killed_when_it_reloads_leaves_nothing() {
    rounds(8, |round| {
        let mut supervisor = setup().start();
        supervisor.signal(Signal::HUP);
        supervisor.wait_for("reloading");
        std::thread::sleep(Duration::from_millis(round * 8));
        killed(&mut supervisor);
    });
}

#[test]
fn one_that_is_killed_when_it_upgrades_leaves_nothing() {
    rounds(20, |round| {
        let mut supervisor = setup().start();
        let mut upgrade = supervisor.command(&["upgrade"]);
        let mut upgrade = upgrade.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        supervisor.wait_for("upgrading");
        std::thread::sleep(Duration::from_millis(round * 2));
        kill(supervisor.pid());
        supervisor.wait();
        upgrade.wait_in_time();
        // It may have been the successor that was killed: then its candidate goes on, perhaps with workers that are just starting.
        supervisor.settle_after_the_end();
        supervisor.call(&["stop"]);
        supervisor.assert_nothing_left();
    });
}

#[test]
fn what_does_not_end_for_the_guard_is_killed() {
    let options = ["--listen", "web=127.0.0.1:0", "--stop-timeout", "0.2"];
    let mut supervisor = Setup::new(&options).shell(FAMILY).play("ready stubborn stubborn-child").start();
    supervisor.wait_for_line("child ");
    kill(supervisor.pid());
    supervisor.wait();
    supervisor.assert_nothing_left();
}

#[test]
fn a_guard_that_is_killed_is_replaced() {
    let mut supervisor = setup().start();
    let first = guard_of(supervisor.pid()).unwrap();
    kill(first);
    until("another guard", || guard_of(supervisor.pid()).is_some_and(|guard| guard != first));
    supervisor.do_it(&["upgrade"]);
    kill(guard_of(supervisor.pid()).unwrap());
    let second = || guard_of(supervisor.pid());
    until("a third", || second().is_some());
    until("the whole family", || running::family(supervisor.pid()).len() == 8);
    assert_eq!(supervisor.status()["state"], "running");
    killed(&mut supervisor);
}

#[test]
fn without_a_guard_workers_end_with_their_parent() {
    let mut supervisor = Setup::new(&[&WEB[..], &["--workers", "2"]].concat()).start();
    let (workers, guard) = (supervisor.workers(), guard_of(supervisor.pid()).unwrap());
    // It cannot replace the guard any more when that ends.
    running::stop_process(supervisor.pid());
    kill(guard);
    until("the guard's end", || !lives(guard));
    kill(supervisor.pid());
    supervisor.wait();
    until("the end of the workers", || workers.iter().all(|pid| !lives(*pid)));
    // Nobody was there to remove it; the next supervisor does.
    std::fs::remove_dir_all(supervisor.path("domain")).unwrap();
}

#[test]
fn there_are_no_zombies() {
    let supervisor = Setup::new(&WEB).start();
    for _ in 0..5 {
        let child = number(&supervisor.ask("orphan"));
        until("its adoption", || children(supervisor.pid()).contains(&child));
        kill(child);
    }
    let zombies = || children(supervisor.pid()).into_iter().filter(|pid| !lives(*pid)).count();
    until("no zombies", || zombies() == 0);
    supervisor.do_it(&["upgrade"]);
    let child = number(&supervisor.ask("orphan"));
    kill(child);
    until("its end", || !children(supervisor.pid()).contains(&child));
    supervisor.end();
}

#[test]
fn what_a_worker_leaves_is_ended() {
    for (play, how) in [("ready child", Signal::TERM), ("ready stubborn-child", Signal::KILL)] {
        let options = ["--listen", "web=127.0.0.1:0", "--stop-timeout", "0.3"];
        let mut supervisor = Setup::new(&options).play(play).start();
        let line = supervisor.wait_for_line("child ");
        let child: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
        kill(supervisor.workers()[0]);
        supervisor.wait_for("worker_ended");
        until("its end", || !lives(child));
        supervisor.wait_for("worker_ready");
        assert_eq!(supervisor.ask("who")["generation"], 1, "{how:?}");
        let names = || running::files_under(&supervisor.path("domain"));
        until("the names of one worker alone", || names().len() == 2 + 3);
        supervisor.end();
    }
}

#[test]
fn what_a_worker_left_before_an_upgrade_is_ended_after_it() {
    let options = ["--listen", "web=127.0.0.1:0", "--stop-timeout", "2"];
    let mut supervisor = Setup::new(&options).play("ready stubborn-child").start();
    let line = supervisor.wait_for_line("child ");
    let child: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    supervisor.play("ready");
    kill(supervisor.workers()[0]);
    supervisor.wait_for("worker_ready");
    assert!(lives(child));
    supervisor.do_it(&["upgrade"]);
    until("its end", || !lives(child));
    let names = || running::files_under(&supervisor.path("domain"));
    until("the names of one worker alone", || names().len() <= 2 + 3 + 2);
    supervisor.end();
}

/// A worker whose daemon has a session of its own, and no parent.
fn daemon(options: &[&str], script: &str) -> Setup {
    let setup = Setup::new(&[&WEB[..], options].concat());
    setup.shell(&format!("sleep 0.1; setsid sh -c '{script} & echo daemon $!'; exec \"$@\""))
}

fn daemon_of(supervisor: &Supervisor) -> u32 {
    supervisor.wait_for_line("daemon ").rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_daemon_that_a_worker_left_is_named_and_ended() {
    let stubborn = "(trap \"\" TERM; while :; do sleep 0.1; done)";
    for script in ["sleep 1000", "env -u NOTIFY_SOCKET sleep 1000", stubborn] {
        let supervisor = daemon(&["--stop-timeout", "0.3"], script).start();
        let daemon = daemon_of(&supervisor);
        let worker = supervisor.workers()[0];
        kill(worker);
        until("its end", || !lives(daemon));
        supervisor.wait_for_line(&format!("worker {worker} left "));
        supervisor.wait_for_line(&format!("(process {daemon}) outside of its process group"));
        supervisor.until_served_by(1);
        supervisor.end();
    }
}

#[test]
fn a_daemon_ends_at_its_workers_stop_deadline() {
    let setup = daemon(&["--stop-timeout", "0.3"], "(trap \"\" TERM; while :; do sleep 0.1; done)");
    let mut supervisor = setup.play("ready stubborn").start();
    let daemon = daemon_of(&supervisor);
    supervisor.play("ready");
    supervisor.do_it(&["reload"]);
    supervisor.wait_for("killed");
    until("its end", || !lives(daemon));
    supervisor.end();
}

#[test]
fn a_daemon_ends_with_its_supervisor_however_that_ends() {
    for script in ["sleep 1000", "env -u NOTIFY_SOCKET sleep 1000"] {
        let mut supervisor = daemon(&[], script).start();
        let daemon = daemon_of(&supervisor);
        signal(supervisor.pid(), Signal::TERM);
        assert!(supervisor.wait().success());
        assert!(!lives(daemon), "{script}");
    }
    let mut supervisor = daemon(&[], "sleep 1000").start();
    let daemon = daemon_of(&supervisor);
    supervisor.do_it(&["upgrade"]);
    killed(&mut supervisor);
    until("its end", || !lives(daemon));
}

/// A process that was there before the supervisor is none of its workers'.
#[test]
fn a_sidecar_of_a_supervisor_is_let_be() {
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "sleep 1000 & echo $! >&2; sleep 0.1; exec \"$0\" \"$@\"", running::PROGRAM]);
    let supervisor = Setup::by(shell, &WEB).start();
    let sidecar: u32 = supervisor.errors.all()[0].parse().unwrap();
    kill(supervisor.workers()[0]);
    supervisor.signal(Signal::TERM);
    let mut supervisor = supervisor;
    assert!(supervisor.wait().success());
    assert!(lives(sidecar));
    kill(sidecar);
}

/// Nobody can tell whose a process was that has an environment of its own: a shell in the container of a supervisor has.
#[test]
fn a_process_without_the_environment_of_a_worker_is_let_be() {
    let mut supervisor = daemon(&[], "env -i sleep 1000").start();
    let other = daemon_of(&supervisor);
    kill(supervisor.workers()[0]);
    supervisor.until_served_by(1);
    signal(supervisor.pid(), Signal::TERM);
    assert!(supervisor.wait().success());
    assert!(lives(other));
    kill(other);
}

#[test]
fn a_check_ends_with_its_supervisor_however_that_ends() {
    for how in [Signal::KILL, Signal::TERM] {
        let setup = Setup::new(&WEB);
        let told = setup.path("told");
        let check = format!("exec=sleep 1000 & echo $! > {}; wait", told.display());
        let mut supervisor = setup.option("--ready").option(check).spawn();
        let mut check = 0;
        until("a check", || {
            check = std::fs::read_to_string(&told).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default();
            check != 0
        });
        supervisor.signal(how);
        supervisor.wait();
        until("its end", || !lives(check));
    }
}

#[test]
fn an_end_in_order_leaves_nothing_of_families() {
    let mut supervisor = setup_with("0.3").play("ready stubborn-child").start();
    let pids = running::family(supervisor.pid());
    signal(supervisor.pid(), Signal::TERM);
    assert!(supervisor.wait().success());
    // The guard is the last: it sees the end of the supervisor.
    until("the end of all", || running::alive(&pids).is_empty());
    supervisor.assert_nothing_left();
}
