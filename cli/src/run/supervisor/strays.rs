//! Processes that workers started and that have left their groups: daemons, which make a session of their own.
//!
//! The supervisor is a subreaper, so one that has lost its parent is its child. Whose it was its environment tells: one whose
//! environment is hidden, cleared or another one is nobody's, and left alone.

use super::Supervisor;
use crate::procfs::processes::{children, command, variables};
use crate::procfs::stat::{Stat, own_group};
use crate::run::clock::Moment;
use crate::run::machine::{Event, WorkerId};
use crate::run::readiness::running_checks;
use crate::run::worker::orphan::Orphan;
use rustix::process::Pid;
use sharesock::Process;
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// Pause before a look at all processes: many workers may end at a time.
const STRAYS_DELAY: Duration = Duration::from_millis(100);

/// A process that a worker left.
#[derive(Debug)]
struct Stray {
    pid: i32,
    group: Pid,
    worker: WorkerId,
}

impl Supervisor {
    /// Notices groups in which nothing is left, when all that the worker left outside of its group has ended, too.
    pub(super) fn look_at_orphans(&mut self) {
        for gone in self.orphans.values_mut().flat_map(Orphan::forget_gone) {
            self.context.guard.group(gone, false);
        }
        if self.orphans.values().all(Orphan::lives) {
            return;
        }
        let delay = if self.workers.is_empty() && self.machine.is_stopping() { Duration::ZERO } else { STRAYS_DELAY };
        if *self.look_for_strays.get_or_insert(Moment::now().after(delay)) > Moment::now() {
            return;
        }
        self.look_for_strays = None;
        self.adopt_strays();
        let over: Vec<_> = self.orphans.iter().filter(|(_, orphan)| !orphan.lives()).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|worker| self.handle(Event::OrphansGone { worker }));
    }

    /// Asks strays of workers that have ended to end, as the rest of their groups was.
    fn adopt_strays(&mut self) {
        for stray in self.strays() {
            let Some(orphan) = self.orphans.get_mut(&stray.worker) else { continue };
            if orphan.adopt(stray.group) {
                self.context.guard.group(stray.group, true);
                let (worker, name, pid) = (orphan.group.as_raw_pid(), command(stray.pid.unsigned_abs()), stray.pid);
                self.reporter.trouble(&format!(
                    "worker {worker} left {name} (process {pid}) outside of its process group, which is ended, too: have \
                     servers stay in the foreground"
                ));
            }
        }
    }

    /// Children of this process that are none of its own, nor in a group that it knows.
    fn strays(&self) -> Vec<Stray> {
        let known: HashSet<_> = self.workers.values().filter_map(super::Worker::pid).collect();
        let known = known.into_iter().chain(self.orphans.values().flat_map(Orphan::groups)).chain(running_checks());
        let known = known.chain([self.context.guard.pid]).chain(self.upgrade.candidate).chain(own_group());
        let known: HashSet<_> = known.collect();
        let supervisor = Process::current().map(|process| process.to_string()).unwrap_or_default();
        let stray = |(pid, stat): (i32, Stat)| {
            let group = stat.group().filter(|group| !known.contains(group))?;
            let variables = variables(pid).ok()?;
            let text = |name| variables.get(name)?.to_str();
            let number = |name| text(name)?.parse().ok();
            let worker = match variables.get("NOTIFY_SOCKET") {
                Some(path) => self.context.folder.worker_at(Path::new(path)),
                // A program may remove it after use.
                None if text("SHARESOCK_SUPERVISOR") == Some(&*supervisor) => {
                    self.ended_in(number("SHARESOCK_WORKER")?, number("SHARESOCK_GENERATION")?, stat.started)
                }
                None => None,
            };
            Some(Stray { pid, group, worker: worker? })
        };
        children(rustix::process::getpid().as_raw_pid()).into_iter().filter_map(stray).collect()
    }

    /// The last worker of this slot that has ended, if none lives there that can have started what began then (in ticks).
    fn ended_in(&self, slot: u32, generation: u32, began: u64) -> Option<WorkerId> {
        let here =
            self.machine.workers().values().filter(|worker| (worker.slot, worker.generation) == (slot, generation));
        let mut living = here.filter_map(|worker| Stat::of(worker.pid?));
        if living.any(|worker| worker.started <= began) {
            return None;
        }
        self.orphans.iter().rev().find(|(_, orphan)| orphan.echo.source.place == slot).map(|(id, _)| *id)
    }
}
