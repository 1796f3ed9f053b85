//! Duplicates that could not be delivered: held at their source until the target claims them.
//!
//! A target without an endpoint, with a full queue, or a user with too many descriptors in flight: then the source
//! keeps the descriptor, and a thread, which is there only while it has something to do, answers the target's claim. A flush
//! delivers what has become deliverable.

use super::claimants::Claimants;
use super::holding::{Entry, Holding};
use super::{Links, Listener, Mail, Purpose, Refusal, Token, refuses, since_boot};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::closer::Link;
use crate::provider::linux::place::endpoint_name;
use crate::provider::linux::process::{Handle, Seen};
use crate::provider::linux::sys::{ForkMark, spawn_deaf};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, retry_on_intr};
use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two attempts to deliver during a flush, or to answer when too many descriptors are in flight.
const PAUSE: Duration = Duration::from_millis(10);
/// How often it is asked whether a target lives that has no id here.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// What a source holds for its targets.
#[derive(Debug)]
pub(crate) struct Held {
    domain: Domain,
    me: Process,
    clock_shift: i128,
    links: Arc<Links>,
    mark: ForkMark,
    bell: OwnedFd,
    state: Mutex<State>,
    /// Notified when something is not held any more.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// There while the thread is. Nothing in a forked child, where it belongs to the parent.
    listener: Option<Listener>,
    holding: Holding,
    claimants: Claimants,
    /// Those for whom something is held; nothing of one that has no id here.
    targets: HashMap<Process, Option<Arc<Handle>>>,
    asked: Instant,
    flushing: usize,
    thread: Option<JoinHandle<()>>,
    running: bool,
    stopping: bool,
}

/// Something that the thread waits for.
enum Input {
    Link(Arc<Link>),
    End(Arc<Handle>),
}

/// What the thread waits for before it looks again.
#[derive(Default)]
struct Wait {
    inputs: Vec<Input>,
    at_most: Option<Duration>,
}

impl Held {
    pub(crate) fn new(domain: &Domain, me: &Process, links: &Arc<Links>, clock_shift: i128) -> Result<Self> {
        let refused = Error::system("preparing to hold duplicates");
        let state = State {
            listener: None,
            holding: Holding::new(),
            claimants: Claimants::default(),
            targets: HashMap::new(),
            asked: Instant::now(),
            flushing: 0,
            thread: None,
            running: false,
            stopping: false,
        };
        Ok(Held {
            domain: domain.clone(),
            me: *me,
            clock_shift,
            links: links.clone(),
            mark: ForkMark::new().map_err(&refused)?,
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(&refused)?,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// Holds one duplicate for `target`.
    pub(crate) fn hold(
        self: &Arc<Self>,
        target: Process,
        mail: Mail,
        descriptor: OwnedFd,
        gate: Option<OwnedFd>,
    ) -> Result<()> {
        let descriptor = self.domain.closer().guard(descriptor);
        let mut state = self.lock();
        if state.holding.is_full() {
            return Err(Error::QueueFull { pid: target.pid() });
        }
        if let MapEntry::Vacant(new) = state.targets.entry(target) {
            new.insert(self.watch(&target)?);
        }
        if state.listener.is_none() {
            state.listener = Some(Listener::open(&self.domain, &self.me, Purpose::Claims)?);
        }
        state.holding.insert(Entry { target, mail, descriptor, gate });
        if !state.running {
            let held = self.clone();
            let started = spawn_deaf("sharesock", move || held.run());
            let started = started.map_err(Error::io("starting the thread that answers claims"));
            match started {
                Ok(thread) => (state.thread, state.running) = (Some(thread), true),
                Err(error) => {
                    state.holding.remove(&mail.token);
                    return Err(error);
                }
            }
        }
        self.ring();
        Ok(())
    }

    /// Drops the duplicate `token`, whose gate its revocation has taken.
    pub(crate) fn revoke(&self, token: &Token) {
        if !self.mark.is_mine() {
            // The parent holds it; the gate is taken, and so nobody gets it.
            return;
        }
        self.lock().holding.end(token, Refusal::Revoked, Instant::now());
        self.ring();
        self.changed.notify_all();
    }

    /// Waits until nothing is held any more; the number of those that still are when `timeout` has passed.
    pub(crate) fn flush(&self, timeout: Duration) -> usize {
        let started = Instant::now();
        let mut state = self.lock();
        state.flushing += 1;
        self.ring();
        while state.holding.len() > 0 {
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.flushing -= 1;
        state.holding.len()
    }

    /// Ends the thread, and waits for that; it never waits for anybody itself.
    pub(crate) fn stop(&self) {
        if !self.mark.is_mine() {
            return;
        }
        let mut state = self.lock();
        state.stopping = true;
        let thread = state.thread.take();
        drop(state);
        self.ring();
        // The last handle of an endpoint may be dropped by the thread: it does not wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }

    /// Closes everything, in a forked child.
    pub(crate) fn abandon(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            state.listener = None;
            state.holding = Holding::new();
            state.claimants.clear();
            state.targets.clear();
            // The thread did not follow.
            std::mem::forget(state.thread.take());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self) {
        // A thread that is not woken is waited for in vain.
        let _ = retry_on_intr(|| rustix::io::write(&self.bell, &1_u64.to_ne_bytes()));
    }

    /// What tells the end of `target`; nothing when it has no id here.
    fn watch(&self, target: &Process) -> Result<Option<Arc<Handle>>> {
        if target.namespace != self.me.namespace {
            return Ok(None);
        }
        let gone = || Error::NoSuchProcess { pid: target.pid() };
        let handle = Handle::open(target.pid()).map_err(|_| gone())?;
        match handle.look()? {
            Seen::Whole(process) if process != *target => Err(gone()),
            Seen::Ended => Err(gone()),
            _ => Ok(Some(Arc::new(handle))),
        }
    }

    fn run(&self) {
        loop {
            // First the bell, then what it was rung for: rung in between, it rings on.
            let _ = rustix::io::read(&self.bell, &mut [0_u8; 8]);
            let Some(wait) = self.tend() else { return };
            self.changed.notify_all();
            wait.sleep(&self.bell);
        }
    }

    /// Does what is due, without waiting; nothing when that was the last.
    fn tend(&self) -> Option<Wait> {
        let mut wait = Wait::default();
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(listener) = &state.listener {
            match state.claimants.accept(listener, &self.domain.closer()) {
                Ok(false) => wait.inputs.push(Input::Link(listener.descriptor().clone())),
                Ok(true) => wait.at_most(Duration::ZERO),
                Err(_) => wait.at_most(PAUSE),
            }
        }
        let looked = state.claimants.answer(&mut state.holding, &self.domain.closer(), &self.me);
        wait.inputs.extend(looked.quiet.into_iter().map(Input::Link));
        if looked.more {
            wait.at_most(Duration::ZERO);
        } else if looked.later {
            wait.at_most(PAUSE);
        }
        if let Some(left) = state.holding.expire(since_boot(self.clock_shift), Instant::now()) {
            wait.at_most(left);
        }
        self.forget_the_dead(state, &mut wait);
        if state.flushing > 0 && state.holding.len() > 0 {
            self.deliver(&mut state.holding);
            wait.at_most(PAUSE);
        }
        if state.stopping || (state.holding.is_done() && state.claimants.is_empty()) {
            state.running = false;
            // Whoever comes now finds nobody listening.
            state.listener = None;
            state.claimants.clear();
            self.changed.notify_all();
            return None;
        }
        Some(wait)
    }

    fn forget_the_dead(&self, state: &mut State, wait: &mut Wait) {
        let State { targets, holding, asked, .. } = state;
        targets.retain(|target, _| holding.is_for(target));
        let foreign = targets.values().any(Option::is_none);
        let ask = foreign && asked.elapsed() >= ASK_AFTER;
        if ask {
            *asked = Instant::now();
        }
        if foreign {
            wait.at_most(ASK_AFTER);
        }
        targets.retain(|target, watch| {
            let dead = match watch {
                Some(watch) => watch.has_ended(),
                // A name that refuses is that of a process which has ended: whoever closes its endpoint removes it.
                None => ask && refuses(&self.domain, &endpoint_name(target.who(), Purpose::Mail.suffix())),
            };
            if dead {
                holding.forget(target, Instant::now());
            } else if let Some(watch) = watch {
                if watch.end().is_none() {
                    // Nothing tells its end.
                    wait.at_most(ASK_AFTER);
                }
                wait.inputs.push(Input::End(watch.clone()));
            }
            !dead
        });
    }

    /// Delivers what has become deliverable.
    fn deliver(&self, holding: &mut Holding) {
        let (mut delivered, mut cannot) = (Vec::new(), Vec::new());
        for (token, entry) in holding.entries() {
            if cannot.contains(&entry.target) {
                continue;
            }
            let descriptors = entry.descriptors();
            match self.links.deliver(&self.domain, &self.me, &entry.target, &entry.mail, &descriptors) {
                Ok(()) => delivered.push(*token),
                Err(_) => cannot.push(entry.target),
            }
        }
        for token in delivered {
            holding.remove(&token);
        }
    }
}

impl Input {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Input::Link(link) => Some(link.as_fd()),
            Input::End(handle) => handle.end(),
        }
    }
}

impl Wait {
    fn at_most(&mut self, time: Duration) {
        self.at_most = Some(self.at_most.map_or(time, |least| least.min(time)));
    }

    fn sleep(&self, bell: &OwnedFd) {
        let inputs = self.inputs.iter().filter_map(Input::descriptor);
        let mut inputs: Vec<_> = inputs.map(|input| PollFd::from_borrowed_fd(input, PollFlags::IN)).collect();
        inputs.push(PollFd::new(bell, PollFlags::IN));
        let timeout = self.at_most.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut inputs, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            // Nothing that a caller could mend; going on at once would spin.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
