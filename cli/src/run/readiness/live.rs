//! Whether workers that serve still do.

use super::http::Check;
use super::{Serves, Target, exec};
use crate::procfs::processes::Processes;
use crate::procfs::waits::Waits;
use crate::run::machine::{Sign, WorkerId};
use crate::run::worker::event::WorkerEvent;
use rustix::process::Pid;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

/// How often a worker is looked at that took no request, and the pause in between: it may be busy for a moment.
const LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(20);
/// How many requests are made, at most, until one is taken by the worker that is meant.
const MOST_ASKED: u32 = 16;

/// How workers are checked, how often, and how many times in a row one may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::run) struct Pace {
    pub(in crate::run) interval: Duration,
    pub(in crate::run) failures: u32,
}

/// Checks the workers again and again, and tells of those that are not well.
pub(super) async fn watch(shared: Rc<super::Shared>, events: UnboundedSender<WorkerEvent>) {
    let mut failures: HashMap<WorkerId, u32> = HashMap::new();
    loop {
        let (targets, pace) = (shared.live.borrow().clone(), *shared.pace.borrow());
        let Some(pace) = pace.filter(|_| !targets.is_empty()) else {
            failures.clear();
            shared.live_changed.notified().await;
            continue;
        };
        sleep(pace.interval).await;
        // Each on a thread of its own: one that is not well takes its time.
        let checks: Vec<_> = targets
            .into_iter()
            .map(|target| tokio::task::spawn_blocking(move || (target.worker, is_well(&target))))
            .collect();
        let mut checked = HashSet::new();
        for check in checks {
            let Ok((worker, is_well)) = check.await else { continue };
            checked.insert(worker);
            let count = failures.entry(worker).or_default();
            *count = if is_well { 0 } else { *count + 1 };
            if *count >= pace.failures {
                *count = 0;
                let _ = events.send(WorkerEvent::Sign(worker, Sign::Hung));
            }
        }
        failures.retain(|worker, _| checked.contains(worker));
    }
}

fn is_well(target: &Target) -> bool {
    match &target.serves {
        Serves::Exec(_, command) => exec::succeeds(command, target.pid).unwrap_or(false),
        Serves::Http(_, check) => answers(target, check),
        Serves::Listeners(_) | Serves::Address(_) => true,
    }
}

/// Whether it answers a request, or waits for one that others take.
fn answers(target: &Target, check: &Check) -> bool {
    let Serves::Http(listeners, _) = &target.serves else { return true };
    let Some(address) = listeners.iter().find_map(|listener| listener.address) else { return true };
    let Some(pid) = Pid::from_raw(target.pid) else { return true };
    let family = Processes::look().family(pid);
    for _ in 0..target.rivals.saturating_add(1).saturating_mul(2).min(MOST_ASKED) {
        if let Some(is_right) = check.answer(address, Some(&family)) {
            return is_right;
        }
    }
    let wanted = listeners.iter().map(|listener| listener.inode).collect();
    let waits = || {
        // What may not be looked at is not ended for that.
        let waits =
            |pid: &i32| Waits::of(*pid, &wanted).map_or(true, |waits| !waits.sockets.is_empty() || waits.has_ring);
        family.iter().any(waits)
    };
    (0..LOOKS).any(|_| {
        let is_waiting = waits();
        if !is_waiting {
            std::thread::sleep(LOOK);
        }
        is_waiting
    })
}
