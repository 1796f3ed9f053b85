//! The guard: a process that cleans up after a supervisor that was killed.
//!
//! The kernel tells workers of their parent's death, but not what they started; so the guard knows every process group,
//! and what lies on disk. It learns of the supervisor's end from the end of its standard input, a stream that a supervisor
//! hands over to its successor. It says nothing, and does nothing, before.

use super::event::WorkerEvent;
use super::{launch, readable};
use crate::address::Address;
use crate::procfs::processes::{pids, variables};
use crate::procfs::stat::{Stat, own_group};
use crate::run::control::folder::Folder;
use crate::run::signals;
use crate::run::spec::Spec;
use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use serde::{Deserialize, Serialize};
use sharesock::Process;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Poll interval of groups that were asked to end.
const GUARD_POLL: Duration = Duration::from_millis(50);
/// Write timeout of the guard: one that does not read is of no use, and is replaced.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Number of attempts to remove a path at which somebody listens.
const REMOVE_ATTEMPTS: u32 = 40;

/// A command to the guard: a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum GuardCommand {
    /// A process group that must end with the supervisor.
    Group(i32),
    /// It has ended.
    NoGroup(i32),
    /// The path of a socket that must go.
    Path(PathBuf),
    NoPath(PathBuf),
    /// The supervisor, as its processes find it in their environment.
    Supervisor(String),
    /// The supervisor ends, and leaves nothing to do.
    Bye,
}

/// Options of `sharesock guard`, which `run` starts itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long, value_parser = signals::parse)]
    stop_signal: Signal,
    /// In seconds.
    #[arg(long)]
    stop_timeout: f64,
    /// The supervisor's folder.
    #[arg(long)]
    folder: PathBuf,
}

/// The supervisor's end of it.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) pid: Pid,
    line: UnixStream,
}

impl Guard {
    pub(crate) fn start(stop_signal: Signal, stop_timeout: Duration, folder: &Path) -> Result<Self> {
        let (line, other) = UnixStream::pair().context("a line to the guard")?;
        line.set_write_timeout(Some(WRITE_TIMEOUT)).context("bounding a wait")?;
        let (signal, timeout) = (stop_signal.as_raw().to_string(), stop_timeout.as_secs_f64().to_string());
        let options = ["--stop-signal", &signal, "--stop-timeout", &timeout, "--folder"].map(std::ffi::OsStr::new);
        let options = [&options[..], &[folder.as_os_str()]].concat();
        let pid = launch::start_helper("guard", &options, other.into())?;
        let guard = Guard { pid, line };
        guard.supervisor()?;
        Ok(guard)
    }

    /// Names this process as one whose workers must end with it.
    pub(crate) fn supervisor(&self) -> Result<()> {
        self.send(&GuardCommand::Supervisor(Process::current()?.to_string()));
        Ok(())
    }

    /// The one that a predecessor started.
    pub(crate) fn take_over(pid: Pid, line: UnixStream) -> Self {
        Guard { pid, line }
    }

    /// Tells of its end, though it be the child of a predecessor: nothing else is ever to be read from its line.
    pub(crate) fn watch(&self, events: &UnboundedSender<WorkerEvent>) -> Result<()> {
        let line = self.line.try_clone().context("watching the guard")?;
        let (pid, events) = (self.pid, events.clone());
        tokio::task::spawn_local(async move {
            readable(line.into()).await;
            let _ = events.send(WorkerEvent::GuardGone(pid));
        });
        Ok(())
    }

    pub(crate) fn line(&self) -> &UnixStream {
        &self.line
    }

    pub(crate) fn group(&self, group: Pid, lives: bool) {
        let group = group.as_raw_pid();
        self.send(&if lives { GuardCommand::Group(group) } else { GuardCommand::NoGroup(group) });
    }

    pub(crate) fn path(&self, path: &Path, there: bool) {
        let path = path.to_owned();
        self.send(&if there { GuardCommand::Path(path) } else { GuardCommand::NoPath(path) });
    }

    /// Tells of the paths of these listeners.
    pub(crate) fn paths(&self, listeners: &[Spec]) {
        let places = listeners.iter().filter_map(|spec| spec.place.as_ref());
        places.filter_map(Address::path).for_each(|path| self.path(path, true));
    }

    pub(crate) fn dismiss(&self) {
        self.send(&GuardCommand::Bye);
    }

    fn send(&self, command: &GuardCommand) {
        // A guard that was killed is replaced, and told everything again.
        let line = serde_json::to_string(command).unwrap_or_default();
        let sent = (&self.line).write_all(format!("{line}\n").as_bytes());
        if sent.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// Whether there is more of it than what nobody has waited for yet: the first process may take its time for that.
fn lives(group: Pid) -> bool {
    let of_it = |pid: i32| Stat::of(pid).is_some_and(|stat| stat.group == group.as_raw_pid() && stat.lives());
    test_kill_process_group(group).is_ok() && pids().into_iter().flatten().any(of_it)
}

/// The process groups of all that these supervisors have started, daemons that have left the groups of workers and
/// commands that check workers among them.
fn groups_of(supervisors: &BTreeSet<String>) -> impl Iterator<Item = i32> {
    let is_named = |pid: &i32| {
        let named = variables(*pid).ok().and_then(|all| all.get("SHARESOCK_SUPERVISOR")?.to_str().map(str::to_owned));
        named.is_some_and(|named| supervisors.contains(&named))
    };
    let groups = pids().into_iter().flatten().filter(is_named).filter_map(|pid| Stat::of(pid)?.group());
    groups.filter(|group| Some(*group) != own_group()).map(Pid::as_raw_pid)
}

/// Removes the path of a socket, unless somebody goes on to listen there.
pub(crate) fn remove_path(path: &Path) {
    // Another process that has the listener, such as a candidate or a new worker, may be about to end.
    for _ in 0..REMOVE_ATTEMPTS {
        if crate::system::remove_stale(path).is_ok() {
            return;
        }
        std::thread::sleep(GUARD_POLL);
    }
}

/// Runs as a guard.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (mut groups, mut paths, mut supervisors) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in BufReader::new(std::io::stdin()).lines() {
        match line.ok().and_then(|line| serde_json::from_str(&line).ok()) {
            Some(GuardCommand::Group(group)) => _ = groups.insert(group),
            Some(GuardCommand::NoGroup(group)) => _ = groups.remove(&group),
            Some(GuardCommand::Path(path)) => _ = paths.insert(path),
            Some(GuardCommand::NoPath(path)) => _ = paths.remove(&path),
            Some(GuardCommand::Supervisor(process)) => _ = supervisors.insert(process),
            Some(GuardCommand::Bye) => return Ok(ExitCode::SUCCESS),
            None => {}
        }
    }
    groups.extend(groups_of(&supervisors));
    let mut groups: Vec<_> = groups.into_iter().filter_map(Pid::from_raw).collect();
    let deadline = Instant::now() + Duration::try_from_secs_f64(options.stop_timeout).unwrap_or_default();
    groups.iter().for_each(|group| _ = kill_process_group(*group, options.stop_signal));
    loop {
        // One may have been started while the others were looked at: it is found the second time.
        groups.retain(|group| lives(*group) || lives(*group));
        if groups.is_empty() || Instant::now() >= deadline {
            break;
        }
        std::thread::sleep(GUARD_POLL);
    }
    // Some may have been made meanwhile.
    groups.extend(groups_of(&supervisors).filter_map(Pid::from_raw));
    groups.iter().for_each(|group| _ = kill_process_group(*group, Signal::KILL));
    for path in paths {
        remove_path(&path);
    }
    Folder::remove(&options.folder)?;
    Ok(ExitCode::SUCCESS)
}
