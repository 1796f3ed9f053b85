//! Processes that workers started and that have left their groups: daemons, which make a session of their own.
//!
//! The supervisor is a subreaper, so one that has lost its parent is its child. Whose it was its environment tells, or the
//! times at which they began, where only workers that have ended began before it.

use super::Supervisor;
use crate::procfs::processes::{children, command, variables};
use crate::procfs::stat::{Stat, own_group};
use crate::run::clock::Moment;
use crate::run::machine::{Event, WorkerId};
use crate::run::readiness::running_checks;
use crate::run::worker::orphan::Orphan;
use rustix::process::Pid;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

/// Pause before a look at all processes: many workers may end at a time.
const STRAYS_DELAY: Duration = Duration::from_millis(100);

/// A process that was left.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stray {
    pid: i32,
    group: Pid,
    /// When it began, in ticks.
    started: u64,
    named: Name,
}

/// Worker that the environment of a process names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Worker(WorkerId),
    /// It has one, and no worker gave it that.
    Other,
    /// It is hidden, cleared or overwritten.
    Unknown,
}

impl Supervisor {
    /// Notices groups in which nothing is left, when all that the worker left outside of its group has ended, too.
    pub(super) fn look_at_orphans(&mut self) {
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
        let began = self.orphans.iter().map(|(id, orphan)| (*id, orphan.started)).collect();
        let living: Vec<_> = self.workers.values().map(|worker| worker.started).collect();
        for stray in self.strays() {
            let Some(orphan) = whose(&stray, &began, &living).and_then(|id| self.orphans.get_mut(&id)) else {
                continue;
            };
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
        let me = rustix::process::getpid().as_raw_pid();
        let stray = |(pid, stat): (i32, Stat)| {
            let group = stat.group().filter(|group| !known.contains(group))?;
            let name = |variables: HashMap<_, _>| match variables.get("NOTIFY_SOCKET") {
                _ if variables.is_empty() => Name::Unknown,
                Some(path) => self.context.folder.worker_at(Path::new(path)).map_or(Name::Other, Name::Worker),
                None => Name::Other,
            };
            let named = variables(pid).map_or(Name::Unknown, name);
            Some(Stray { pid, group, started: stat.started, named })
        };
        children(me).into_iter().filter_map(stray).collect()
    }
}

/// The worker, of those that have ended, that left this; `ended` and `living` say when they began.
fn whose(stray: &Stray, ended: &BTreeMap<WorkerId, u64>, living: &[u64]) -> Option<WorkerId> {
    // A sidecar of the supervisor, or a shell that somebody opened in its container, may begin at any time.
    match stray.named {
        Name::Worker(id) => return Some(id).filter(|id| ended.contains_key(id)),
        Name::Other => return None,
        Name::Unknown => {}
    }
    let before = |began: u64| began < stray.started;
    // When a worker began may not be known.
    let last = ended.iter().rev().find(|(_, began)| **began > 0 && before(**began))?;
    (!living.iter().any(|began| before(*began))).then_some(*last.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stray_is_the_one_that_it_names_or_of_those_that_can_have_left_it() {
        let ended = BTreeMap::from([(1, 100), (2, 200), (3, 0)]);
        let stray = |started, named| Stray { pid: 9, group: Pid::from_raw(9).unwrap(), started, named };
        let whose = |started, named, living: &[u64]| whose(&stray(started, named), &ended, living);
        for (started, named, living, expected) in [
            (150, Name::Worker(2), &[10][..], Some(2)),
            (150, Name::Worker(4), &[], None),
            (250, Name::Other, &[], None),
            (250, Name::Unknown, &[], Some(2)),
            (150, Name::Unknown, &[200], Some(1)),
            (250, Name::Unknown, &[200], None),
            (250, Name::Unknown, &[0], None),
            (100, Name::Unknown, &[], None),
            (50, Name::Unknown, &[], None),
        ] {
            assert_eq!(whose(started, named, living), expected, "{started} {named:?} {living:?}");
        }
    }
}
