//! Duplicates that could not be delivered: held at their source until the target claims them.
//!
//! A target without an endpoint, with a full queue, or a user with too many descriptors in flight: then the source
//! keeps the descriptor, and the courier answers the target's claim. A flush delivers what has become deliverable.

use super::{Duty, Frame, Links, Listener, MOST_LINKS, Mail, Purpose, Refusal, SIZE, Token, Wait, is_from, since_boot};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::sys::{ForkMark, receive_rights, send_rights};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most duplicates that are held at a time.
const MOST_HELD: usize = 16_384;
/// How many expired and revoked duplicates are remembered, to answer claims of them.
const MOST_ENDED: usize = 16_384;
/// Between two attempts to deliver during a flush, or to answer when too many descriptors are in flight.
const PAUSE: Duration = Duration::from_millis(10);

/// What a source holds for its targets.
#[derive(Debug)]
pub(crate) struct Held {
    domain: Domain,
    me: Process,
    links: Arc<Links>,
    mark: ForkMark,
    state: Mutex<State>,
    /// Notified when something left the table.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Nothing in a forked child, where it belongs to the parent.
    listener: Option<Listener>,
    entries: HashMap<Token, Entry>,
    ended: HashMap<Token, (Process, Refusal)>,
    order: VecDeque<Token>,
    claimants: Vec<Claimant>,
    targets: HashMap<Process, Target>,
    /// When the next duplicate expires, or earlier; nanoseconds since boot.
    next_expiry: u64,
    flushing: usize,
}

/// One duplicate that is held.
#[derive(Debug)]
struct Entry {
    target: Process,
    mail: Mail,
    descriptor: OwnedFd,
    gate: Option<OwnedFd>,
}

/// A process for which something is held.
#[derive(Debug)]
struct Target {
    /// Tells when it ends; none where it cannot be seen from here.
    watch: Option<Arc<OwnedFd>>,
    held: usize,
}

/// A link over which a target claims.
#[derive(Debug)]
struct Claimant {
    link: Arc<OwnedFd>,
    process: Option<Process>,
    /// A claim that could not be answered yet.
    unanswered: Option<Token>,
}

impl Held {
    pub(crate) fn open(domain: &Domain, me: &Process, links: &Arc<Links>) -> Result<Self> {
        let state = State {
            listener: Some(Listener::open(domain, me, Purpose::Claims)?),
            entries: HashMap::new(),
            ended: HashMap::new(),
            order: VecDeque::new(),
            claimants: Vec::new(),
            targets: HashMap::new(),
            next_expiry: u64::MAX,
            flushing: 0,
        };
        let (domain, links) = (domain.clone(), links.clone());
        let mark = ForkMark::new().map_err(Error::system("marking a place for claims"))?;
        Ok(Held { domain, me: *me, links, mark, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Holds one duplicate for `target`. The courier must be rung after it.
    pub(crate) fn hold(&self, target: Process, mail: Mail, descriptor: OwnedFd, gate: Option<OwnedFd>) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.entries.len() >= MOST_HELD {
            return Err(Error::QueueFull { pid: target.pid() });
        }
        match state.targets.entry(target) {
            MapEntry::Occupied(mut known) => known.get_mut().held += 1,
            MapEntry::Vacant(new) => drop(new.insert(Target { watch: self.watch(&target)?, held: 1 })),
        }
        if mail.expires != 0 {
            state.next_expiry = state.next_expiry.min(mail.expires);
        }
        state.entries.insert(mail.token, Entry { target, mail, descriptor, gate });
        Ok(())
    }

    /// Drops the duplicate `token`, whose gate its revocation has taken.
    pub(crate) fn revoke(&self, token: &Token) {
        if !self.mark.is_mine() {
            // The parent holds it; the gate is taken, and so nobody gets it.
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = state.remove(token) {
            state.end(*token, entry.target, Refusal::Revoked);
        }
        self.changed.notify_all();
    }

    /// Waits until nothing is held any more; the number of those that still are when `timeout` has passed.
    ///
    /// `ring` makes the courier look.
    pub(crate) fn flush(&self, timeout: Duration, ring: impl Fn()) -> usize {
        let started = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.flushing += 1;
        ring();
        while !state.entries.is_empty() {
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.flushing -= 1;
        state.entries.len()
    }

    /// Closes everything, in a forked child.
    pub(crate) fn abandon(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            state.clear();
        }
    }

    /// A descriptor that tells the end of `target`.
    fn watch(&self, target: &Process) -> Result<Option<Arc<OwnedFd>>> {
        if target.namespace != self.me.namespace {
            return Ok(None);
        }
        let gone = || Error::NoSuchProcess { pid: target.pid() };
        let pid = i32::try_from(target.pid()).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
        let watch = pidfd_open(pid, PidfdFlags::empty()).map_err(|_| gone())?;
        match Process::from_pid(target.pid())? == *target {
            true => Ok(Some(Arc::new(watch))),
            false => Err(gone()),
        }
    }
}

impl Duty for Held {
    fn tend(&self, wait: &mut Wait) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.accept() {
            if let Some(listener) = &state.listener {
                wait.ready(listener.descriptor(), PollFlags::IN);
            }
        } else {
            wait.at_most(PAUSE);
        }
        state.answer(&self.me, wait);
        state.expire(wait);
        state.forget_dead_targets(wait);
        if state.flushing > 0 && !state.entries.is_empty() {
            self.deliver(&mut state);
            wait.at_most(PAUSE);
        }
        self.changed.notify_all();
        true
    }
}

impl Held {
    /// Delivers what has become deliverable.
    fn deliver(&self, state: &mut State) {
        let (mut delivered, mut cannot) = (Vec::new(), Vec::new());
        for (token, entry) in &state.entries {
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
            state.remove(&token);
        }
    }
}

impl Entry {
    /// Its descriptor, and its gate if it has one.
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        std::iter::once(&self.descriptor).chain(&self.gate).map(AsFd::as_fd).collect()
    }
}

impl State {
    /// Accepts those who want to claim; `false` when no descriptor is free for them, and they wait in the backlog.
    fn accept(&mut self) -> bool {
        while let Some(accepted) = self.listener.as_ref().map(Listener::accept) {
            let Ok(Some(link)) = accepted else { return accepted.is_ok() };
            if self.claimants.len() >= MOST_LINKS {
                self.claimants.remove(0);
            }
            self.claimants.push(Claimant { link: Arc::new(link), process: None, unanswered: None });
        }
        true
    }

    fn answer(&mut self, me: &Process, wait: &mut Wait) {
        let mut claimants = std::mem::take(&mut self.claimants);
        claimants.retain_mut(|claimant| {
            let more = self.serve(claimant, me);
            if more && claimant.unanswered.is_some() {
                wait.at_most(PAUSE);
            } else if more {
                wait.ready(&claimant.link, PollFlags::IN);
            }
            more
        });
        self.claimants = claimants;
    }

    /// Reads what a claimant says, and answers; `false` when its link is at its end.
    fn serve(&mut self, claimant: &mut Claimant, me: &Process) -> bool {
        loop {
            if let Some(token) = claimant.unanswered {
                match self.give(token, claimant) {
                    Ok(()) => claimant.unanswered = None,
                    Err(Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM) => return true,
                    Err(_) => return false,
                }
            }
            let mut bytes = [0; SIZE];
            let arrival = match receive_rights(&claimant.link, &mut bytes, false) {
                Ok(Some(arrival)) if arrival.length == SIZE => arrival,
                Err(Errno::AGAIN) => return true,
                _ => return false,
            };
            match (Frame::from_bytes(&bytes), arrival.descriptors, claimant.process) {
                (Some(Frame::Hello(process)), [None, None], None) if is_from(&claimant.link, &process, me) => {
                    claimant.process = Some(process);
                }
                (Some(Frame::Claim(token)), [None, None], Some(_)) => claimant.unanswered = Some(token),
                _ => return false,
            }
        }
    }

    fn give(&mut self, token: Token, claimant: &Claimant) -> rustix::io::Result<()> {
        let process = claimant.process;
        match self.entries.get(&token).filter(|entry| Some(entry.target) == process) {
            Some(entry) => {
                let frame = entry.mail.to_frame(entry.gate.is_some()).to_bytes();
                send_rights(&claimant.link, &frame, &entry.descriptors())?;
                self.remove(&token);
                Ok(())
            }
            None => {
                let ended = self.ended.get(&token).filter(|(target, _)| Some(*target) == process);
                let refusal = ended.map_or(Refusal::NotHeld, |(_, refusal)| *refusal);
                send_rights(&claimant.link, &Frame::Refuse(token, refusal).to_bytes(), &[])
            }
        }
    }

    fn expire(&mut self, wait: &mut Wait) {
        let now = since_boot();
        if self.next_expiry <= now {
            let expired = self.entries.iter().filter(|(_, entry)| (1..=now).contains(&entry.mail.expires));
            for (token, target) in expired.map(|(token, entry)| (*token, entry.target)).collect::<Vec<_>>() {
                self.remove(&token);
                self.end(token, target, Refusal::Expired);
            }
            let left = self.entries.values().map(|entry| entry.mail.expires).filter(|expires| *expires != 0);
            self.next_expiry = left.min().unwrap_or(u64::MAX);
        }
        if self.next_expiry != u64::MAX {
            wait.at_most(Duration::from_nanos(self.next_expiry.saturating_sub(now)));
        }
    }

    fn forget_dead_targets(&mut self, wait: &mut Wait) {
        self.targets.retain(|process, target| {
            let dead = target.watch.as_ref().is_some_and(|watch| has_ended(watch));
            if dead {
                self.entries.retain(|_, entry| entry.target != *process);
            }
            let needed = !dead && target.held > 0;
            if let (true, Some(watch)) = (needed, &target.watch) {
                wait.ready(watch, PollFlags::IN);
            }
            needed
        });
    }

    fn remove(&mut self, token: &Token) -> Option<Entry> {
        let entry = self.entries.remove(token)?;
        if let Some(target) = self.targets.get_mut(&entry.target) {
            target.held -= 1;
        }
        Some(entry)
    }

    fn end(&mut self, token: Token, target: Process, refusal: Refusal) {
        self.ended.insert(token, (target, refusal));
        self.order.push_back(token);
        while self.order.len() > MOST_ENDED {
            self.order.pop_front().map(|oldest| self.ended.remove(&oldest));
        }
    }

    fn clear(&mut self) {
        self.listener = None;
        self.entries.clear();
        self.claimants.clear();
        self.targets.clear();
    }
}

fn has_ended(watch: &OwnedFd) -> bool {
    let mut descriptors = [rustix::event::PollFd::new(watch, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(rustix::event::poll(&mut descriptors, Some(&now)), Ok(1..))
}
