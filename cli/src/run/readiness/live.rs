//! Whether workers that serve still do.

use super::http::Check;
use super::look::asked_at;
use super::{Served, Serves, Target};
use crate::procfs::processes::{Processes, waited};
use crate::procfs::waits::Waits;
use crate::run::background;
use crate::run::machine::{Sign, WorkerId};
use crate::run::worker::event::WorkerEvent;
use rustix::process::Pid;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::sleep;

/// Number of looks at a worker that took no request, and the pause in between: it may be busy for a moment.
const WORKER_POLLS: u32 = 10;
const WORKER_POLL: Duration = Duration::from_millis(20);
/// Most requests that are made until the worker in question takes one.
const MOST_ASKED: u32 = 16;

/// Pause between two checks of workers, and failures in a row that end one.
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
        let begin = |target: Target| Some((target.worker, background::start(move || check(&target)).ok()?));
        let checks: Vec<_> = targets.into_iter().filter_map(begin).collect();
        let mut checked = HashSet::new();
        for (worker, check) in checks {
            checked.insert(worker);
            // A check without a result says nothing.
            let Ok(Some(checked)) = check.await else { continue };
            let count = failures.entry(worker).or_default();
            *count = if checked.is_ok() { 0 } else { *count + 1 };
            if *count >= pace.failures {
                *count = 0;
                let _ = events.send(WorkerEvent::Failing(worker, checked.err().unwrap_or_default()));
                let _ = events.send(WorkerEvent::Sign(worker, Sign::Hung));
            }
        }
        failures.retain(|worker, _| checked.contains(worker));
    }
}

/// Fault of a worker; nothing if there is none, or if that cannot be told.
fn check(target: &Target) -> Option<Result<(), String>> {
    match &target.serves {
        Serves::Exec(_, command) => match command.succeeds(target.pid).ok()? {
            true => Some(Ok(())),
            false => Some(Err("its last run failed".to_owned())),
        },
        Serves::Http(listeners, check) => answers(target, listeners, check),
        Serves::Listeners(_) | Serves::Address(_) => None,
    }
}

/// Whether it answers a request, or waits for one that others take, or is at work.
fn answers(target: &Target, listeners: &[Served], check: &Check) -> Option<Result<(), String>> {
    let at = asked_at(listeners)?;
    let family = Processes::look().family(Pid::from_raw(target.pid)?);
    for _ in 0..target.rivals.saturating_add(1).saturating_mul(2).min(MOST_ASKED) {
        let answer = check.answer(at, &family);
        if answer.is_some() {
            return answer;
        }
    }
    let wanted = listeners.iter().map(|listener| listener.inode).collect();
    let moves = || family.iter().map(|pid| waited(*pid)).sum::<u64>();
    let before = moves();
    for _ in 0..WORKER_POLLS {
        for pid in &family {
            // A hidden worker is not ended for being hidden.
            if !Waits::of(*pid, &wanted).ok()?.sockets.is_empty() {
                return Some(Ok(()));
            }
        }
        std::thread::sleep(WORKER_POLL);
    }
    // One that serves a long answer waits now and then, in the middle of it.
    Some(if moves() == before { Err("it takes no request, and does not work".to_owned()) } else { Ok(()) })
}
