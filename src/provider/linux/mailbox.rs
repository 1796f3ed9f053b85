//! What a process has in a domain: its inbox, its links, what it holds for others.

use super::Revoker;
use crate::domain::Domain;
use crate::duplicate::DuplicateOptions;
use crate::error::{Error, Result};
use crate::process::{Process, Target, Who};
use crate::protocol_info::{Delivery, ProtocolInfo};
use crate::provider::linux::closer::Link;
use crate::provider::linux::mail::{
    Addressee, Backlog, Fate, Found, Frame, Held, Inbox, Key, Links, Mail, Purpose, Token, Tokens, connect, listens,
    since_boot,
};
use crate::provider::linux::process::clock_shift;
use crate::provider::linux::sys::{ForkMark, new_gate, send_rights};
use crate::socket::Socket;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// How long a source may take to answer a claim.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// So long after a source was asked, all that waits is read: a source that lives answers sooner; and once more at the end.
const READ_ALL_AFTER: [Duration; 2] = [Duration::from_millis(10), ANSWER_WITHIN];

/// An endpoint, and those of the processes that were forked while they held it.
#[derive(Debug, Clone)]
pub(crate) struct Mailbox(Arc<Generation>);

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
    who: Who,
    inbox: Mutex<Inbox>,
    links: Arc<Links>,
    held: Mutex<Option<Arc<Held>>>,
    tokens: Tokens,
    /// How far the clock since boot is shifted for this process.
    clock_shift: i128,
}

impl Mailbox {
    pub(crate) fn open(domain: &Domain) -> Result<Self> {
        Ok(Mailbox(Arc::new(Generation { live: Live::open(domain)?, forked: OnceLock::new() })))
    }

    pub(crate) fn process(&self) -> Result<Process> {
        self.with_live(|live| Ok(live.me))
    }

    pub(crate) fn duplicate(
        &self,
        socket: &Socket,
        target: &impl Target,
        options: &DuplicateOptions,
    ) -> Result<ProtocolInfo> {
        let cookie = socket.id()?.as_u64();
        let target = target.process()?;
        self.with_live(|live| Ok(live.duplicate(socket, &target, live.mail(cookie, options)?, None)?.0))
    }

    pub(crate) fn duplicate_revocable(
        &self,
        socket: &Socket,
        target: &impl Target,
        options: &DuplicateOptions,
    ) -> Result<(ProtocolInfo, Revoker)> {
        let cookie = socket.id()?.as_u64();
        let target = target.process()?;
        let gate = new_gate(1).map_err(Error::system("making a duplicate revocable"))?;
        self.with_live(|live| {
            let mail = live.mail(cookie, options)?;
            let (info, held) = live.duplicate(socket, &target, mail, Some(gate.as_fd()))?;
            Ok((info, held.map(|held| (Arc::downgrade(&held), mail.token))))
        })
        .map(|(info, held)| (info, Revoker { gate, held }))
    }

    pub(crate) fn redeem(&self, delivery: &Delivery) -> Result<Socket> {
        self.with_live(|live| live.redeem(delivery))
    }

    /// The kernel gives a descriptor up only by handing it out.
    pub(crate) fn discard(&self, delivery: &Delivery) -> Result<()> {
        self.redeem(delivery).map(drop)
    }

    pub(crate) fn flush(&self, timeout: Duration) -> Result<()> {
        self.with_live(|live| {
            let Some(held) = live.held.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return Ok(()) };
            match held.flush(timeout) {
                0 => Ok(()),
                count => Err(Error::StillHeld { count }),
            }
        })
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

    fn mail(&self, cookie: u64, options: &DuplicateOptions) -> Result<Mail> {
        // A duplicate that never expires needs no clock.
        let expires = options.expiry(|| since_boot(self.clock_shift));
        Ok(Mail { token: self.tokens.next(cookie)?, cookie, expires })
    }

    /// Delivers, or holds what cannot be delivered now.
    fn duplicate(
        &self,
        socket: &Socket,
        target: &Process,
        mail: Mail,
        gate: Option<BorrowedFd<'_>>,
    ) -> Result<(ProtocolInfo, Option<Arc<Held>>)> {
        let entry = socket.catalog_entry()?;
        socket.share_in(&self.domain);
        let both = gate.map(|gate| [socket.as_fd(), gate]);
        let one = [socket.as_fd()];
        let descriptors = both.as_ref().map_or(&one[..], |both| &both[..]);
        let held = match self.links.deliver(&self.domain, &self.me, target, &mail, descriptors) {
            Ok(()) => None,
            Err(Error::NoEndpoint { .. } | Error::QueueFull { .. } | Error::TooManyInFlight) => {
                Some(self.hold(socket, target, mail, gate)?)
            }
            Err(error) => return Err(error),
        };
        let ((target_pid, target_tag), (source_pid, source_tag)) = (target.who(), self.who);
        let delivery = Delivery {
            token: mail.token.to_bytes(),
            target_pid,
            target_tag,
            source_pid,
            source_tag,
            domain: self.domain.digest(),
            held: held.is_some(),
        };
        Ok((ProtocolInfo::new(entry, delivery), held))
    }

    fn hold(&self, socket: &Socket, target: &Process, mail: Mail, gate: Option<BorrowedFd<'_>>) -> Result<Arc<Held>> {
        let no_place = Error::io("holding a duplicate for its target");
        let copy = socket.as_fd().try_clone_to_owned().map_err(&no_place)?;
        let gate = gate.map(|gate| gate.try_clone_to_owned()).transpose().map_err(&no_place)?;
        let held = self.held()?;
        held.hold(*target, mail, copy, gate)?;
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

    fn redeem(&self, delivery: &Delivery) -> Result<Socket> {
        if (delivery.target_pid, delivery.target_tag) != self.who {
            return Err(Error::WrongProcess { meant_for: delivery.target_pid, here: self.me.pid() });
        }
        if delivery.domain != self.domain.digest() {
            return Err(Error::WrongDomain { here: self.domain.path().to_owned() });
        }
        let token = Token::from_bytes(delivery.token);
        let key = Key { source: (delivery.source_pid, delivery.source_tag), token };
        let mut backlog = if delivery.held { Backlog::first() } else { Backlog::whole() };
        // When its source was asked, how often all that waits was read since, and why it could not be asked.
        let (mut claimed, mut reads, mut refused) = (None, 0, None);
        loop {
            let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
            match inbox.take(&key, &mut backlog)? {
                Found::It(descriptor) => {
                    // That it has the promised cookie shows that it is a socket.
                    return Ok(Socket::received(descriptor, &self.domain, token.cookie()));
                }
                Found::Perhaps => {
                    drop(inbox);
                    // Others who wait for the inbox come first.
                    std::thread::yield_now();
                    continue;
                }
                Found::Nothing if delivery.held => {}
                Found::Nothing => return Err(Error::UnknownDelivery),
            }
            if let Some(error) = refused {
                return Err(error);
            }
            let Some(link) = inbox.claim_of(&key) else {
                match self.claim(&key) {
                    Ok(link) => inbox.await_claim(&key, link),
                    // A source that lives and does not listen for claims holds nothing any more.
                    Err(Error::NoEndpoint { .. }) if listens(&self.domain, &self.me, key.source) => {
                        inbox.note(&key, Fate::NotHeld);
                    }
                    Err(Error::NoEndpoint { .. }) => inbox.note(&key, Fate::SourceGone),
                    // It may have delivered it before.
                    Err(error) => (refused, backlog) = (Some(error), Backlog::whole()),
                }
                continue;
            };
            drop(inbox);
            let Some(due) = READ_ALL_AFTER.get(reads) else {
                return Err(Error::SourceSilent { source_pid: delivery.source_pid });
            };
            let left = due.saturating_sub(claimed.get_or_insert_with(Instant::now).elapsed());
            if left.is_zero() {
                // It may have delivered it before it was stopped.
                (reads, backlog) = (reads + 1, Backlog::whole());
            } else {
                wait_for(&*link, left)?;
            }
        }
    }

    /// Asks the source of a duplicate that it holds for this process.
    fn claim(&self, key: &Key) -> Result<Link> {
        let gone = || Error::no_endpoint(key.source.0, &self.domain);
        let (link, _) = connect(&self.domain, &self.me, Addressee::Named(key.source), Purpose::Claims, &[])?;
        match send_rights(&link, &[IoSlice::new(&Frame::Claim(key.token).to_bytes())], &[]) {
            Ok(()) => Ok(link),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(gone()),
            Err(errno) => Err(Error::system("claiming a duplicate")(errno)),
        }
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

/// Waits until a descriptor is readable or at its end, or the time is over.
pub(crate) fn wait_for(descriptor: impl AsFd, time: Duration) -> Result<()> {
    let timeout = Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
    match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timeout)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(Error::system("waiting")(errno)),
    }
}
