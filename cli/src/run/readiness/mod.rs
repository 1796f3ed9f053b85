//! Whether workers that start serve: seen from what their threads wait for, and tried only where that shows nothing.
//!
//! Nothing here relies on who answers: an old worker at the same listener, or another server at the same address, answers
//! too. A worker serves when one of its own threads waits for what comes to the listener, or one of its own processes has
//! the connection that was made to try it.

mod exec;
mod http;
mod judge;
mod live;
mod look;
mod trial;
mod woken;

use super::background;
use super::machine::{Sign, WorkerId};
use super::worker::event::WorkerEvent;
pub(super) use exec::{Command, running_checks};
pub(super) use http::Check;
use judge::Evidence;
pub(super) use live::Pace;
use look::look;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use tokio::time::sleep;
pub(super) use trial::At;

/// Shortest pause between two looks. On a busy machine a look takes longer, and so does the pause.
const PAUSE: Duration = Duration::from_millis(25);
/// Part of a processor's time that the looks may take: one in this many.
const SHARE: u32 = 5;

/// A worker that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) worker: WorkerId,
    pub(super) pid: i32,
    pub(super) generation: u32,
    pub(super) serves: Serves,
    /// Listeners, by inode, that it need not serve.
    pub(super) ignored: Vec<u64>,
    /// Number of others that may accept there. Without any, this worker, or one that starts with it, takes each connection.
    pub(super) rivals: u32,
}

/// Services that a worker is to give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Serves {
    /// All of these.
    Listeners(Vec<Served>),
    /// All of these, and this request at one of them.
    Http(Vec<Served>, Check),
    /// All of these, and this command succeeds.
    Exec(Vec<Served>, Command),
    /// A listener of its own at this address.
    Address(String),
}

/// A listener that is to be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) inode: u64,
    /// Place at which a connection can be made to see who takes it.
    pub(super) at: Option<At>,
}

/// Looks at workers in the background.
#[derive(Debug)]
pub(super) struct Observer {
    shared: Rc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug, Default)]
struct Shared {
    targets: RefCell<Vec<Target>>,
    /// Listeners that workers were not seen to serve, of those who serve others.
    unserved: RefCell<HashMap<WorkerId, Vec<u64>>>,
    /// Listeners that workers were seen to serve, though they need not.
    also_served: RefCell<HashMap<WorkerId, HashSet<u64>>>,
    changed: Notify,
    /// Workers that serve and are checked, and how often.
    live: RefCell<Vec<Target>>,
    pace: RefCell<Option<Pace>>,
    live_changed: Notify,
}

impl Observer {
    pub(super) fn start(events: &UnboundedSender<WorkerEvent>) -> Self {
        let shared = Rc::new(Shared::default());
        let starting = tokio::task::spawn_local(observe(Rc::clone(&shared), events.clone()));
        let serving = tokio::task::spawn_local(live::watch(Rc::clone(&shared), events.clone()));
        Observer { shared, tasks: [starting, serving] }
    }

    /// Looks at these from now on, and at no others.
    pub(super) fn set(&self, targets: Vec<Target>) {
        if *self.shared.targets.borrow() != targets {
            self.shared.targets.replace(targets);
            self.shared.changed.notify_one();
        }
    }
}

impl Observer {
    /// Checks these, which serve, from now on.
    pub(super) fn keep(&self, targets: Vec<Target>, pace: Option<Pace>) {
        if *self.shared.live.borrow() != targets || *self.shared.pace.borrow() != pace {
            self.shared.live.replace(targets);
            self.shared.pace.replace(pace);
            self.shared.live_changed.notify_one();
        }
    }

    /// Listeners that workers were not seen to serve, of those who serve others, by inode; of these workers.
    pub(super) fn take_unserved(&self, of: impl Fn(&WorkerId) -> bool) -> Vec<u64> {
        let mut unserved = self.shared.unserved.borrow_mut();
        let workers: Vec<_> = unserved.keys().filter(|worker| of(worker)).copied().collect();
        workers.iter().filter_map(|worker| unserved.remove(worker)).flatten().collect()
    }
}

impl Observer {
    /// Listeners that all of these workers were seen to serve, though they need not, by inode. It is forgotten then.
    pub(super) fn take_also_served(&self, by: &[WorkerId]) -> Vec<u64> {
        let seen = self.shared.also_served.take();
        let all = |inode: &u64| by.iter().all(|worker| seen.get(worker).is_some_and(|inodes| inodes.contains(inode)));
        by.first().and_then(|worker| seen.get(worker)).into_iter().flatten().copied().filter(all).collect()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

async fn observe(shared: Rc<Shared>, events: UnboundedSender<WorkerEvent>) {
    let mut evidence: HashMap<WorkerId, Evidence> = HashMap::new();
    let mut told: HashMap<WorkerId, Sign> = HashMap::new();
    loop {
        let targets = shared.targets.borrow().clone();
        evidence.retain(|worker, _| targets.iter().any(|target| target.worker == *worker));
        told.retain(|worker, _| targets.iter().any(|target| target.worker == *worker));
        if targets.is_empty() {
            shared.changed.notified().await;
            continue;
        }
        let mut taken = std::mem::take(&mut evidence);
        let looked = background::start(move || {
            let used = processor_time();
            look(&targets, &mut taken);
            (targets, taken, processor_time().saturating_sub(used))
        });
        let Ok(looked) = looked else {
            // There is no thread to be had now; what was seen before begins anew.
            sleep(PAUSE).await;
            continue;
        };
        let Ok((targets, returned, used)) = looked.await else {
            sleep(PAUSE).await;
            continue;
        };
        evidence = returned;
        for target in &targets {
            let left =
                evidence.get(&target.worker).map(|evidence| evidence.ignored(&target.serves)).unwrap_or_default();
            shared.unserved.borrow_mut().insert(target.worker, left);
            let also = evidence.get(&target.worker).map(|evidence| evidence.also.clone()).unwrap_or_default();
            shared.also_served.borrow_mut().insert(target.worker, also);
            if let Some(why) = evidence.get_mut(&target.worker).and_then(|evidence| evidence.attempt.news()) {
                let _ = events.send(WorkerEvent::Failing(target.worker, why));
            }
            let sign = evidence.get(&target.worker).map(|evidence| evidence.sign(&target.serves));
            if let Some(sign) = sign.filter(|sign| told.insert(target.worker, *sign) != Some(*sign)) {
                let _ = events.send(WorkerEvent::Sign(target.worker, sign));
            }
        }
        sleep(PAUSE.max(used * (SHARE - 1))).await;
    }
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}
