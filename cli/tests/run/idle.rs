//! Nothing of a supervisor wakes up while nothing happens.

use crate::running::{self, Setup, Supervisor, guard_of, kill, until};
use std::time::Duration;

const WEB: [&str; 4] = ["--listen", "web=127.0.0.1:0", "--workers", "3"];
/// Longer than the longest interval at which anything was ever looked at.
const STRETCH: Duration = Duration::from_secs(5);

/// Number of stretches of which one must be quiet: whoever stops and continues all processes wakes them.
const STRETCHES: u32 = 24;

/// Number of times that each thread of a process has waited.
fn waits(pid: u32) -> Vec<(String, u64)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let count = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((task.file_name().into_string().unwrap(), count.trim().parse().unwrap()))
    };
    tasks.filter_map(count).collect()
}

/// Waits until supervisor and guard sleep through a whole stretch; what begins may take a while to settle.
fn sleeps(supervisor: &Supervisor, when: &str) {
    let look = || [supervisor.pid(), guard_of(supervisor.pid()).unwrap()].map(waits);
    let mut story = Vec::new();
    let mut sleeps_through = || {
        let before = look();
        std::thread::sleep(STRETCH);
        story.push((before, look()));
        story.last().is_some_and(|(before, after)| before == after)
    };
    if !(0..STRETCHES).any(|_| sleeps_through()) {
        panic!("{when}, it wakes up in each stretch: {story:?}\n{}", supervisor.story());
    }
}

#[test]
fn an_idle_supervisor_sleeps() {
    let local = tempfile::tempdir().unwrap();
    let local = format!("local=unix:{}", local.path().join("local.sock").display());
    let options = [&WEB[..], &["--stop-timeout", "600", "--listen"]].concat();
    let supervisor = Setup::new(&options).option(local).start();
    sleeps(&supervisor, "at first");
    supervisor.do_it(&["upgrade"]);
    sleeps(&supervisor, "after an upgrade");
    // Old workers go on with what they have, and what they could do to listeners is told.
    let held = supervisor.connect().hold();
    supervisor.do_it(&["reload"]);
    sleeps(&supervisor, "while a worker drains");
    drop(held);
    supervisor.end();
}

#[test]
fn one_that_gives_connections_away_sleeps() {
    for (options, play) in
        [(&["--pass", "connection"][..], "receiver"), (&["--pass", "connection", "--via", "info"], "info")]
    {
        let supervisor = Setup::new(&[&WEB[..], options].concat()).play(play).start();
        let held = supervisor.connect().hold();
        sleeps(&supervisor, play);
        drop(held);
        supervisor.end();
    }
}

/// Whatever was started in a worker's group and lives on is waited for without looking.
#[test]
fn one_that_waits_for_what_a_worker_left_sleeps() {
    let options = [&WEB[..], &["--stop-timeout", "600"]].concat();
    let mut supervisor = Setup::new(&options).play("ready stubborn-child").start();
    let line = supervisor.wait_for_line("child ");
    let child: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let of_it = |pid: &u32| running::group_of(*pid) == running::group_of(child);
    kill(supervisor.workers().into_iter().find(of_it).unwrap());
    supervisor.wait_for("worker_ended");
    supervisor.wait_for("worker_ready");
    sleeps(&supervisor, "beside what a worker left");
    kill(child);
    let names = || running::files_under(&supervisor.path("domain")).len();
    until("the names of three workers alone", || names() == 2 + 3 * 3);
    // They would be given ten minutes.
    let family = running::family(supervisor.pid()).into_iter();
    family.filter(|pid| *pid != supervisor.pid() && guard_of(supervisor.pid()) != Some(*pid)).for_each(kill);
    kill(supervisor.pid());
    supervisor.wait();
}
