//! Duplicates that could not be delivered: held at their source until the target claims them.
//!
//! A target without an endpoint, with a full queue, or a user with too many descriptors in flight: then the source
//! keeps the descriptor, and a thread, which is there only while it has something to do, answers the target's claim. A flush
//! delivers what has become deliverable.

use super::claimants::Claimants;
use super::holding::{Entry, Heir, Holding};
use super::{Links, Listener, Mail, Purpose, Refusal, Token, refuses, since_boot};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::closer::Link;
use crate::provider::linux::directory::endpoint_name;
use crate::provider::linux::process::{Handle, Seen};
use crate::provider::linux::sys::{ForkMark, spawn_masked};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, retry_on_intr};
use std::collections::HashMap;
use std::collections::hash_map::Entry as MapEntry;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    waker: OwnedFd,
    state: Mutex<HeldState>,
}

#[derive(Debug)]
struct HeldState {
    /// There while the thread is. Nothing in a forked child, where it belongs to the parent.
    listener: Option<Listener>,
    holding: Holding,
    claimants: Claimants,
    /// Those for whom something is held; nothing of one that has no id here.
    targets: HashMap<Process, Option<Arc<Handle>>>,
    asked: Instant,
    /// Each is told when nothing is held any more.
    flushes: Vec<Arc<OwnedFd>>,
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
        let state = HeldState {
            listener: None,
            holding: Holding::new(),
            claimants: Claimants::default(),
            targets: HashMap::new(),
            asked: Instant::now(),
            flushes: Vec::new(),
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
            waker: new_bell().map_err(&refused)?,
            state: Mutex::new(state),
        })
    }

    /// Holds one duplicate for `heir`.
    pub(crate) fn hold(
        self: &Arc<Self>,
        heir: Heir,
        mail: Mail,
        descriptor: OwnedFd,
        gate: Option<OwnedFd>,
    ) -> Result<()> {
        let descriptor = self.domain.closer().guard(descriptor);
        let mut state = self.lock();
        if state.holding.is_full() {
            return Err(Error::QueueFull { pid: heir.process().unwrap_or(self.me).pid() });
        }
        if let Some(target) = heir.process() {
            if let MapEntry::Vacant(new) = state.targets.entry(target) {
                new.insert(self.watch(&target)?);
            }
        }
        if state.listener.is_none() {
            state.listener = Some(Listener::open(&self.domain, &self.me, Purpose::Claims)?);
        }
        state.holding.insert(Entry { heir, mail, descriptor, gate });
        if !state.running {
            let held = self.clone();
            let started = spawn_masked("sharesock", move || held.run());
            let started = started.map_err(Error::io("starting the thread that answers claims"));
            match started {
                Ok(thread) => (state.thread, state.running) = (Some(thread), true),
                Err(error) => {
                    state.holding.remove(&mail.token);
                    return Err(error);
                }
            }
        }
        self.wake();
        Ok(())
    }

    /// Drops the duplicate `token`, whose gate its revocation has taken.
    pub(crate) fn revoke(&self, token: &Token) {
        if !self.mark.is_mine() {
            // The parent holds it; the gate is taken, and so nobody gets it.
            return;
        }
        self.lock().holding.end(token, Refusal::Revoked, Instant::now());
        // The thread tells those who flush.
        self.wake();
    }

    /// How many duplicates are held.
    pub(crate) fn len(&self) -> usize {
        self.lock().holding.len()
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
        self.wake();
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

    fn lock(&self) -> MutexGuard<'_, HeldState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        wake(&self.waker);
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
            // First the waker, then what it was written for: written in between, it stays readable.
            let _ = rustix::io::read(&self.waker, &mut [0_u8; 8]);
            let Some(wait) = self.tend() else { return };
            wait.sleep(&self.waker);
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
        if !state.flushes.is_empty() && state.holding.len() > 0 {
            self.deliver(&mut state.holding);
            wait.at_most(PAUSE);
        }
        if state.holding.len() == 0 {
            state.flushes.iter().for_each(|flush| wake(flush));
        }
        if state.stopping || (state.holding.is_done() && state.claimants.is_empty()) {
            state.running = false;
            // Whoever comes now finds nobody listening.
            state.listener = None;
            state.claimants.clear();
            state.flushes.iter().for_each(|flush| wake(flush));
            return None;
        }
        Some(wait)
    }

    fn forget_the_dead(&self, state: &mut HeldState, wait: &mut Wait) {
        let HeldState { targets, holding, asked, .. } = state;
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
                None => ask && refuses(&self.domain, &endpoint_name(target.who(), "")),
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
            // An offer waits for its taker.
            let Some(target) = entry.heir.process().filter(|target| !cannot.contains(target)) else { continue };
            let descriptors = entry.descriptors();
            match self.links.deliver(&self.domain, &self.me, &target, &entry.mail, &descriptors) {
                Ok(()) => delivered.push(*token),
                Err(_) => cannot.push(target),
            }
        }
        for token in delivered {
            holding.remove(&token);
        }
    }
}

fn wake(waker: &OwnedFd) {
    // Who is not woken waits in vain.
    let _ = retry_on_intr(|| rustix::io::write(waker, &1_u64.to_ne_bytes()));
}

fn new_bell() -> rustix::io::Result<OwnedFd> {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
}

/// A flush that goes on: while there is one, what has become deliverable is delivered.
#[derive(Debug)]
pub(crate) struct Flushing {
    /// Nothing when this process never held anything.
    held: Option<Arc<Held>>,
    /// Readable when nothing may be held any more.
    done: Arc<OwnedFd>,
}

impl Flushing {
    pub(crate) fn new(held: Option<Arc<Held>>) -> Result<Self> {
        let done = Arc::new(new_bell().map_err(Error::system("making a descriptor to wait for a flush"))?);
        match &held {
            Some(held) => {
                held.lock().flushes.push(done.clone());
                held.wake();
            }
            None => wake(&done),
        }
        let mut flushing = Flushing { held, done };
        flushing.left();
        Ok(flushing)
    }

    /// How many duplicates are still held.
    pub(crate) fn left(&mut self) -> usize {
        // In a forked child nothing is held: that is the parent's.
        let Some(held) = self.held.as_ref().filter(|held| held.mark.is_mine()) else { return 0 };
        let state = held.lock();
        match state.holding.len() {
            0 => wake(&self.done),
            // It was told of an earlier time.
            _ => _ = rustix::io::read(&self.done, &mut [0_u8; 8]),
        }
        state.holding.len()
    }
}

impl AsFd for Flushing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }
}

impl Drop for Flushing {
    fn drop(&mut self) {
        if let Some(held) = self.held.as_ref().filter(|held| held.mark.is_mine()) {
            held.lock().flushes.retain(|flush| !Arc::ptr_eq(flush, &self.done));
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

    fn sleep(&self, waker: &OwnedFd) {
        let inputs = self.inputs.iter().filter_map(Input::descriptor);
        let mut inputs: Vec<_> = inputs.map(|input| PollFd::from_borrowed_fd(input, PollFlags::IN)).collect();
        inputs.push(PollFd::new(waker, PollFlags::IN));
        let timeout = self.at_most.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut inputs, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            // Nothing that a caller could mend; going on at once would spin.
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
