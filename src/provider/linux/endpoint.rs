//! What a process has in a domain: its inbox, its links, what it holds for others.

use super::Revoker;
use crate::domain::Domain;
use crate::duplicate::DuplicateOptions;
use crate::error::{Error, Result};
use crate::process::{Process, Target, Who};
use crate::protocol_info::{Delivery, ProtocolInfo};
use crate::provider::linux::mail::{Flushing, Heir, Held, Inbox, Links, Mail, Token, Tokens, since_boot};
use crate::provider::linux::process::clock_shift;
use crate::provider::linux::redeeming::wait_for;
use crate::provider::linux::sys::{ForkMark, new_gate};
use crate::socket::SocketRef;
use crate::wait::Wait;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// An endpoint, and those of the processes that were forked while they held it.
#[derive(Debug, Clone)]
pub(crate) struct InnerEndpoint(Arc<Generation>);

/// The endpoint of one process, and those of the processes forked from it while they held it.
#[derive(Debug)]
struct Generation {
    live: Live,
    forked: OnceLock<Arc<Generation>>,
}

/// What one process has in a domain.
#[derive(Debug)]
pub(crate) struct Live {
    mark: ForkMark,
    pub(crate) domain: Domain,
    pub(crate) me: Process,
    /// Its id and tag.
    pub(super) who: Who,
    pub(super) inbox: Mutex<Inbox>,
    links: Arc<Links>,
    held: Mutex<Option<Arc<Held>>>,
    tokens: Tokens,
    /// How far the clock since boot is shifted for this process.
    clock_shift: i128,
}

impl InnerEndpoint {
    pub(crate) fn open(domain: &Domain) -> Result<Self> {
        Ok(InnerEndpoint(Arc::new(Generation { live: Live::open(domain)?, forked: OnceLock::new() })))
    }

    pub(crate) fn process(&self) -> Result<Process> {
        self.with_live(|live| Ok(live.me))
    }

    pub(crate) fn duplicate(
        &self,
        socket: &SocketRef<'_>,
        target: &impl Target,
        options: &DuplicateOptions,
    ) -> Result<ProtocolInfo> {
        let cookie = socket.id()?;
        self.with_live(|live| {
            let target = live.find(target)?;
            Ok(live.duplicate(socket, &target, live.mail(cookie, options)?, None)?.0)
        })
    }

    pub(crate) fn duplicate_revocable(
        &self,
        socket: &SocketRef<'_>,
        target: &impl Target,
        options: &DuplicateOptions,
    ) -> Result<(ProtocolInfo, Revoker)> {
        let cookie = socket.id()?;
        let gate = new_gate(1).map_err(Error::system("making a duplicate revocable"))?;
        self.with_live(|live| {
            let (target, mail) = (live.find(target)?, live.mail(cookie, options)?);
            let (info, held) = live.duplicate(socket, &target, mail, Some(gate.as_fd()))?;
            Ok((info, held.map(|held| (Arc::downgrade(&held), mail.token))))
        })
        .map(|(info, held)| (info, Revoker { gate, held }))
    }

    pub(crate) fn find(&self, target: &impl Target) -> Result<Process> {
        self.with_live(|live| live.find(target))
    }

    pub(crate) fn flush(&self, wait: Wait) -> Result<()> {
        let deadline = wait.begin();
        if deadline.is_over() {
            // It only asks, and has nothing delivered.
            return match self.held()?.map_or(0, |held| held.len()) {
                0 => Ok(()),
                count => Err(Error::StillHeld { count }),
            };
        }
        let mut flushing = self.start_flush()?;
        loop {
            match flushing.left() {
                0 => return Ok(()),
                count if deadline.is_over() => return Err(Error::StillHeld { count }),
                _ => wait_for(flushing.as_fd(), deadline.left(), &deadline)?,
            }
        }
    }

    pub(crate) fn start_flush(&self) -> Result<Flushing> {
        Flushing::new(self.held()?)
    }

    fn held(&self) -> Result<Option<Arc<Held>>> {
        self.with_live(|live| Ok(live.held.lock().unwrap_or_else(PoisonError::into_inner).clone()))
    }

    pub(crate) fn close_inherited(&self) {
        let mut generation = &self.0;
        while !generation.live.mark.is_mine() {
            generation.live.abandon();
            let Some(forked) = generation.forked.get() else { return };
            generation = forked;
        }
    }

    /// Calls `act` with the endpoint of the process that runs, which a child makes at its first use after `fork`.
    pub(crate) fn with_live<T>(&self, act: impl FnOnce(&Live) -> Result<T>) -> Result<T> {
        let mut generation = &self.0;
        while !generation.live.mark.is_mine() {
            if let Some(forked) = generation.forked.get() {
                generation = forked;
                continue;
            }
            generation.live.abandon();
            match Live::open(&self.0.live.domain) {
                Ok(live) => drop(generation.forked.set(Arc::new(Generation { live, forked: OnceLock::new() }))),
                // Another thread was faster.
                Err(_) if generation.forked.get().is_some() => {}
                Err(error) => return Err(error),
            }
        }
        act(&generation.live)
    }
}

impl Live {
    fn open(domain: &Domain) -> Result<Self> {
        let (me, clock_shift) = (Process::current()?, clock_shift()?);
        Ok(Live {
            mark: ForkMark::new().map_err(Error::system("marking an endpoint"))?,
            domain: domain.clone(),
            me,
            who: me.who(),
            inbox: Mutex::new(Inbox::open(domain, &me, clock_shift)?),
            links: Arc::default(),
            held: Mutex::default(),
            tokens: Tokens::default(),
            clock_shift,
        })
    }

    pub(super) fn mail(&self, cookie: u64, options: &DuplicateOptions) -> Result<Mail> {
        // A duplicate that never expires needs no clock.
        let expires = options.expiry(|| since_boot(self.clock_shift));
        Ok(Mail { token: self.tokens.next(cookie)?, cookie, expires })
    }

    fn find(&self, target: &impl Target) -> Result<Process> {
        target.bare_pid().map_or_else(|| target.process(), |pid| self.links.find(pid))
    }

    /// Delivers to `child` over a link that it has inherited.
    pub(super) fn adopt_link(&self, child: &Process, link: OwnedFd) -> Result<()> {
        self.links.adopt(child, self.domain.closer().guard_link(link))
    }

    /// Delivers, or holds what cannot be delivered now.
    fn duplicate(
        &self,
        socket: &SocketRef<'_>,
        target: &Process,
        mail: Mail,
        gate: Option<BorrowedFd<'_>>,
    ) -> Result<(ProtocolInfo, Option<Arc<Held>>)> {
        let entry = socket.catalog_entry()?;
        socket.share_in(&self.domain);
        let both = gate.map(|gate| [socket.descriptor(), gate]);
        let one = [socket.descriptor()];
        let descriptors = both.as_ref().map_or(&one[..], |both| &both[..]);
        let held = match self.links.deliver(&self.domain, &self.me, target, &mail, descriptors) {
            Ok(()) => None,
            Err(Error::NoEndpoint { .. } | Error::QueueFull { .. } | Error::TooManyInFlight) => {
                Some(self.hold(socket, Heir::Process(*target), mail, gate)?)
            }
            Err(error) => return Err(error),
        };
        let delivery = self.delivery(mail.token, target.who(), self.who, held.is_some());
        Ok((ProtocolInfo::new(entry, delivery), held))
    }

    pub(super) fn delivery(&self, token: Token, target: Who, source: Who, held: bool) -> Delivery {
        let ((target_pid, target_tag), (source_pid, source_tag)) = (target, source);
        let token = token.to_bytes();
        Delivery { token, target_pid, target_tag, source_pid, source_tag, domain: self.domain.digest(), held }
    }

    pub(super) fn hold(
        &self,
        socket: &SocketRef<'_>,
        heir: Heir,
        mail: Mail,
        gate: Option<BorrowedFd<'_>>,
    ) -> Result<Arc<Held>> {
        let no_place = Error::io("holding a duplicate for its target");
        let copy = socket.descriptor().try_clone_to_owned().map_err(&no_place)?;
        let gate = gate.map(|gate| gate.try_clone_to_owned()).transpose().map_err(&no_place)?;
        let held = self.held()?;
        held.hold(heir, mail, copy, gate)?;
        Ok(held)
    }

    fn held(&self) -> Result<Arc<Held>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = &*held {
            return Ok(held.clone());
        }
        let opened = Arc::new(Held::new(&self.domain, &self.me, &self.links, self.clock_shift)?);
        *held = Some(opened.clone());
        Ok(opened)
    }

    /// Closes what a forked child inherited. What another thread was just using at the fork stays.
    fn abandon(&self) {
        if let Ok(mut inbox) = self.inbox.try_lock() {
            inbox.abandon();
        }
        self.links.abandon();
        if let Ok(held) = self.held.try_lock() {
            held.iter().for_each(|held| held.abandon());
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let (Some(held), true) = (held, self.mark.is_mine()) {
            held.stop();
        }
    }
}
