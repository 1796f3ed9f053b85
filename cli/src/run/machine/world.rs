//! A world for the machine under test: it does what it is told, and checks what must always hold.

use super::{Action, AskerId, End, Event, Machine, Notice, ReadyRule, Reply, Rules, Sign, WorkerId, Workers};
use crate::run::clock::Moment;
use crate::run::report::Report;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub(super) const READY_TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn rules(slots: u32) -> Rules {
    Rules {
        workers: Workers::Slots(slots),
        ready: ReadyRule::Serves,
        unserved: "nobody accepts".to_owned(),
        unwell: "it hangs".to_owned(),
        hands_off: false,
        ready_timeout: READY_TIMEOUT,
        stop_timeout: STOP_TIMEOUT,
        drain_timeout: STOP_TIMEOUT,
        restart_limit: 3,
    }
}

/// A process of a worker.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) generation: u32,
    pub(super) slot: Option<u32>,
    pub(super) serves: bool,
    hangs: bool,
    pub(super) asked: bool,
    pub(super) killed: bool,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) now: Moment,
    pub(super) processes: BTreeMap<WorkerId, Process>,
    pub(super) orphans: BTreeSet<WorkerId>,
    killed_orphans: BTreeSet<WorkerId>,
    /// Workers that have not taken what they were given.
    pub(super) settling: BTreeSet<WorkerId>,
    pub(super) unanswered: BTreeSet<AskerId>,
    pub(super) replies: Vec<(AskerId, Reply)>,
    pub(super) said: Vec<Report>,
    pub(super) planning: BTreeSet<u32>,
    pub(super) serving: u32,
    pub(super) upgrading: bool,
    pub(super) stop_asked: bool,
    pub(super) stopping: bool,
    pub(super) waiting: usize,
    pub(super) finished: Option<Option<String>>,
    /// Processes cannot be started.
    pub(super) is_full: bool,
    /// SIGKILL does nothing.
    pub(super) is_stuck: bool,
    next_asker: AskerId,
    events: VecDeque<Event>,
}

impl World {
    pub(super) fn new(rules: Rules) -> Self {
        let now = Moment::start();
        let mut world = World {
            machine: Machine::new(rules, now),
            now,
            processes: BTreeMap::new(),
            orphans: BTreeSet::new(),
            killed_orphans: BTreeSet::new(),
            settling: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            replies: Vec::new(),
            said: Vec::new(),
            planning: BTreeSet::new(),
            serving: 1,
            upgrading: false,
            stop_asked: false,
            stopping: false,
            waiting: 0,
            finished: None,
            is_full: false,
            is_stuck: false,
            next_asker: 0,
            events: VecDeque::new(),
        };
        world.tell(Event::Tick);
        world
    }

    pub(super) fn asker(&mut self) -> AskerId {
        self.next_asker += 1;
        self.unanswered.insert(self.next_asker);
        self.next_asker
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push_back(event);
        while let Some(event) = self.events.pop_front() {
            self.stop_asked |= matches!(event, Event::Stop { .. });
            for action in self.machine.handle(event, self.now) {
                self.perform(action);
            }
            assert!(self.machine.due().is_none_or(|due| due > self.now) || self.finished.is_none());
        }
    }

    /// Time passes; whatever becomes due meanwhile is done at its time.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(due) = self.machine.due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.tell(Event::Tick);
            let next = self.machine.due();
            assert!(next.is_none_or(|next| next > self.now), "{next:?} is due at {:?}, and nothing is done", self.now);
        }
        self.now = end;
    }

    pub(super) fn serve(&mut self, worker: WorkerId) {
        if let Some(process) = self.processes.get_mut(&worker).filter(|process| !process.killed && !process.hangs) {
            process.serves = true;
            self.tell(Event::Sign { worker, sign: Sign::Serves });
        }
    }

    /// A worker does not serve any more; or it is let be for now, and does.
    pub(super) fn hang(&mut self, worker: WorkerId) {
        let Some(process) = self.processes.get_mut(&worker) else { return };
        let served = std::mem::take(&mut process.serves);
        process.hangs = true;
        self.tell(Event::Sign { worker, sign: Sign::Hung });
        let is_asked = self.settling.contains(&worker);
        if let Some(process) = self.processes.get_mut(&worker) {
            process.hangs = is_asked || process.asked;
            process.serves = served && !process.hangs;
        }
    }

    pub(super) fn serve_all(&mut self) {
        let workers: Vec<_> = self.processes.keys().copied().collect();
        workers.into_iter().for_each(|worker| self.serve(worker));
    }

    pub(super) fn end(&mut self, worker: WorkerId, how: End, leaves_orphans: bool) {
        if self.processes.remove(&worker).is_some() {
            self.settling.remove(&worker);
            if leaves_orphans {
                self.orphans.insert(worker);
            }
            self.tell(Event::Ended { worker, how, printed: vec!["a line".to_owned()], leaves_orphans });
        }
    }

    /// A reload by somebody who waits for it.
    pub(super) fn reload(&mut self) -> AskerId {
        let asker = self.asker();
        self.tell(Event::Reload { asker: Some(asker) });
        asker
    }

    pub(super) fn plan(&mut self, rules: Result<Rules, String>) {
        if let Some(generation) = self.planning.pop_first() {
            self.tell(Event::Planned { generation, result: rules });
        }
    }

    pub(super) fn last_reply(&self, asker: AskerId) -> Option<&Reply> {
        self.replies.iter().rev().find(|(to, reply)| *to == asker && reply.is_last()).map(|(_, reply)| reply)
    }

    pub(super) fn of(&self, generation: u32) -> Vec<WorkerId> {
        self.processes.iter().filter(|(_, process)| process.generation == generation).map(|(id, _)| *id).collect()
    }

    fn perform(&mut self, action: Action) {
        // A plan that comes too late is dropped.
        let late = matches!(action, Action::Discard { .. });
        assert!(self.finished.is_none() || late, "{action:?} after the end");
        match action {
            Action::Start { worker, generation, slot } => {
                let same = |process: &Process| process.generation == generation && process.slot == Some(slot);
                let twice = self.processes.values().any(|process| same(process) && !process.asked && !process.killed);
                assert!(!twice, "slot {slot} of generation {generation} is started twice");
                self.start(worker, generation, Some(slot));
            }
            Action::StartForConnection { worker, generation } => {
                assert!(self.waiting > 0, "there is no connection");
                self.waiting -= 1;
                self.start(worker, generation, None);
            }
            Action::Unserved { drop, .. } => self.waiting += usize::from(!drop),
            Action::Settle { worker } => {
                self.check_may_end(worker);
                self.settling.insert(worker);
            }
            Action::AskToEnd { worker } => {
                self.check_may_end(worker);
                self.settling.remove(&worker);
                if let Some(process) = self.processes.get_mut(&worker) {
                    process.asked = true;
                }
            }
            Action::Kill { worker } => {
                self.check_may_end(worker);
                if let Some(process) = self.processes.get_mut(&worker) {
                    process.killed = true;
                    if !self.is_stuck {
                        self.processes.remove(&worker);
                        let how = End::Signal("SIGKILL".to_owned());
                        self.events.push_back(Event::Ended { worker, how, printed: Vec::new(), leaves_orphans: false });
                    }
                }
            }
            Action::Cut { worker, why } => {
                self.check_may_end(worker);
                self.events.push_back(Event::Cut { pid: 1, why, connections: Some(2) });
                self.perform(Action::Kill { worker });
            }
            Action::KillOrphans { worker } => {
                assert!(self.orphans.contains(&worker), "nothing is left of worker {worker}");
                self.killed_orphans.insert(worker);
                if !self.is_stuck {
                    self.orphans.remove(&worker);
                    self.events.push_back(Event::OrphansGone { worker });
                }
            }
            Action::EndOrphans { worker } => assert!(self.orphans.contains(&worker)),
            Action::Bury { worker } => {
                let killed = self.processes.remove(&worker).is_none_or(|process| process.killed);
                let killed = killed && (!self.orphans.remove(&worker) || self.killed_orphans.contains(&worker));
                assert!(killed, "worker {worker} is buried alive");
            }
            Action::Plan { generation } => assert!(self.planning.insert(generation)),
            Action::Adopt { generation } => {
                let serves =
                    self.processes.values().filter(|process| process.generation == generation && process.serves);
                let wanted = self.machine.serving().slots.len();
                assert!(serves.count() >= wanted, "generation {generation} is adopted, and does not serve");
                self.serving = generation;
            }
            Action::Serving { generation, .. } => assert_eq!(generation, self.serving),
            Action::Discard { generation } => assert_ne!(generation, self.serving, "what serves is discarded"),
            Action::Upgrade => self.upgrading = true,
            Action::CancelUpgrade => self.upgrading = false,
            Action::CloseDoor => assert!(self.stopping),
            Action::DropWaiting => self.waiting = 0,
            Action::Answer { asker, reply } => {
                assert!(self.unanswered.contains(&asker), "asker {asker} is told {reply:?} after the last word");
                if reply.is_last() {
                    self.unanswered.remove(&asker);
                }
                self.replies.push((asker, reply));
            }
            Action::Say(report) => self.said.push(report),
            Action::Tell(Notice::Stopping { .. }) => {
                let serves =
                    self.processes.values().any(|process| process.generation == self.serving && process.serves);
                assert!(self.stop_asked || !serves, "what serves is ended, and nobody asked for it");
                self.stopping = true;
            }
            Action::Tell(_) => {}
            Action::Finish { failure } => {
                assert!(self.processes.is_empty() && self.orphans.is_empty(), "something is left");
                assert!(self.unanswered.is_empty(), "{:?} wait for ever", self.unanswered);
                self.finished = Some(failure);
            }
        }
    }

    fn start(&mut self, worker: WorkerId, generation: u32, slot: Option<u32>) {
        let result = match self.is_full {
            true => Err("no process can be started".to_owned()),
            false => Ok(i32::try_from(worker).unwrap() + 1000),
        };
        if result.is_ok() {
            let process = Process { generation, slot, serves: false, hangs: false, asked: false, killed: false };
            assert!(self.processes.insert(worker, process).is_none(), "worker {worker} is started twice");
        }
        self.events.push_back(Event::Started { worker, result });
    }

    /// What serves is not ended before its successor serves, unless all is.
    fn check_may_end(&self, worker: WorkerId) {
        let process = self.processes.get(&worker);
        let serves = process.is_some_and(|process| process.serves && process.generation == self.serving);
        assert!(!serves || self.stopping, "worker {worker} serves, and is ended");
    }
}
