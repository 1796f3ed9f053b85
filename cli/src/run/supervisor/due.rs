//! What is due: trying who is ready, giving connections away, ending workers that took too long, starting others.

use super::Supervisor;
use crate::run::clock::Moment;
use crate::run::options::{Ready, Via};
use crate::run::report::Report;
use crate::run::signals::with_signals_blocked;
use crate::run::systemd::Manager;
use crate::run::worker::Worker;
use crate::run::worker::generation::Plan;
use crate::run::worker::link::Link;
use crate::run::worker::probe::{find_ready, tried_at};
use crate::status::WorkerState;
use std::time::Duration;

/// Between two looks, when something is to be looked for.
pub(crate) const LOOK: Duration = Duration::from_millis(20);
/// The same, while connections are on their way to workers.
const SHORT_LOOK: Duration = Duration::from_millis(1);
/// Between two looks when nothing is known to be due.
const LONG_LOOK: Duration = Duration::from_secs(60);

/// Why a worker that took too long is ended, and what to do.
fn not_ready(plan: &Plan) -> String {
    let time = plan.options.ready_timeout.as_secs_f64();
    match (&plan.options.ready, tried_at(plan)) {
        (_, Some(address)) => format!(
            "within {time} s it accepted no connection made to {address} to try it: does it take the listener that it is \
             passed? Else choose by --ready how to tell that it is ready"
        ),
        (Ready::Notify, _) => format!("it did not say READY=1 within {time} s"),
        (Ready::Connect(address), _) => format!("within {time} s it did not listen on {address}"),
        _ => format!("it was not ready within {time} s"),
    }
}

impl Supervisor {
    /// Does what is due.
    pub(crate) async fn look(&mut self) {
        self.look_at_gone().await;
        if self.watchdog.is_some_and(|due| due <= Moment::now()) {
            self.tell_manager(Manager::watchdog);
            self.watchdog = self.manager.watchdog_period().map(|period| Moment::now().after(period));
        }
        self.find_ready();
        self.link();
        let now = Moment::now();
        let past = |at: Option<Moment>| at.is_some_and(|at| at <= now);
        let alive: Vec<_> = self
            .workers
            .iter()
            .filter(|worker| past(worker.record.ready_at))
            .map(|worker| worker.record.number)
            .collect();
        for number in alive {
            self.ready(number);
        }
        self.dispatch();
        let late: Vec<_> = self.workers.iter_mut().filter(|worker| past(worker.record.due)).collect();
        for worker in late {
            let starting = worker.is(WorkerState::Starting);
            let why = match starting {
                true => not_ready(&worker.plan),
                false => format!("it did not end within {} s", worker.plan.options.stop_timeout.as_secs_f64()),
            };
            self.reporter.say(&Report::Killed { pid: worker.record.pid, why: &why });
            worker.record.failure = starting.then_some(why);
            worker.kill();
        }
        self.restart_due();
        self.look_at_orphans().await;
    }

    /// Tries by connections who is ready, as long as somebody is to be tried.
    fn find_ready(&mut self) {
        let starting = |worker: &&Worker| worker.is(WorkerState::Starting) && tried_at(&worker.plan).is_some();
        let tried: Vec<_> = self.workers.iter().filter(starting).collect();
        let newest = tried.iter().max_by_key(|worker| worker.record.generation);
        let Some((generation, address)) = newest.and_then(|it| Some((it.record.generation, tried_at(&it.plan)?)))
        else {
            self.probing.take().into_iter().for_each(|(_, probe)| probe.abort());
            return;
        };
        if self.probing.as_ref().is_none_or(|(of, _)| *of != generation) {
            let probe = find_ready(address, tried.len(), self.context.events.clone());
            let former = self.probing.replace((generation, tokio::task::spawn_local(probe)));
            former.into_iter().for_each(|(_, probe)| probe.abort());
        }
    }

    /// Tries to find the receivers of workers that connections are to be handed off to.
    fn link(&mut self) {
        let Some(dispatcher) = &self.dispatcher else { return };
        let mut linked = Vec::new();
        for worker in &mut self.workers {
            if matches!(worker.link, Link::Awaited) && !worker.is(WorkerState::Draining) {
                if let Ok(sender) =
                    with_signals_blocked(|| dispatcher.endpoint.sender(worker.record.pid.unsigned_abs()))
                {
                    worker.link = Link::hand_off(sender);
                    if worker.record.said_ready || worker.plan.options.ready == Ready::Auto {
                        linked.push(worker.record.number);
                    }
                }
            }
        }
        linked.into_iter().for_each(|number| self.ready(number));
    }

    /// Gives connections away, and asks workers to end that have taken what they got.
    fn dispatch(&mut self) {
        if self.serving.plan.options.giving() == Some(Via::Stdio) {
            self.serve_singly();
        }
        let Some(dispatcher) = &mut self.dispatcher else { return };
        // In this order: what is written makes room.
        dispatcher.settle(&mut self.workers);
        dispatcher.dispatch(&mut self.workers, self.serving.number);
        for worker in self.workers.iter_mut().filter(|worker| worker.is(WorkerState::Draining)) {
            let Some(until) = worker.record.settled_by else { continue };
            let settled = worker.link.outstanding() == 0;
            if settled || until <= Moment::now() {
                worker.ask_to_end();
                if !settled {
                    worker.link.reclaim().into_iter().for_each(|parcel| dispatcher.put_back(parcel));
                }
            }
        }
        // What came back is not to wait for something to happen.
        dispatcher.dispatch(&mut self.workers, self.serving.number);
    }

    /// How long nothing is due.
    pub(super) fn pause(&self) -> Duration {
        let dues = |worker: &Worker| [worker.record.ready_at, worker.record.settled_by, worker.record.due];
        let due = self.workers.iter().flat_map(dues).flatten();
        let due = due
            .chain(self.serving.next_restart())
            .chain(self.orphans.iter().map(|orphan| orphan.due))
            .chain(self.watchdog)
            .min();
        let mut pause = due.map_or(LONG_LOOK, Moment::remaining);
        let awaited = |worker: &Worker| matches!(worker.link, Link::Awaited) && !worker.is(WorkerState::Draining);
        if !self.orphans.is_empty() || self.workers.iter().any(awaited) {
            pause = pause.min(LOOK);
        }
        // Nothing tells that a worker has room again.
        if self.dispatcher.as_ref().is_some_and(|dispatcher| !dispatcher.waiting.is_empty()) {
            pause = pause.min(LOOK);
        }
        if self.dispatcher.is_some() && self.workers.iter().any(|worker| worker.link.outstanding() > 0) {
            pause = pause.min(SHORT_LOOK);
        }
        pause
    }
}
