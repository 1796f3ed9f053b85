//! What a process has in a domain: the right to redeem what the tickets under its name say.

use super::hand_off::{InnerReceiver, InnerSender};
use super::outcomes::{Outcome, OutcomeCache};
use super::revoker::Revoker;
use super::socket::Shared;
use super::sys::{self, Running, since_boot};
use super::ticket::{self, BUSY_AT_MOST, Blank, Taken, Ticket, Token};
use crate::domain::Domain;
use crate::duplicate::DuplicateOptions;
use crate::error::{Error, Result};
use crate::hand_off::ReceiverName;
use crate::offer::{Kept, OfferOptions};
use crate::process::{Process, Target};
use crate::protocol_info::{Delivery, ProtocolInfo};
use crate::socket::{Socket, SocketRef};
use crate::wait::Wait;
use std::convert::Infallible;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What expired or was revoked is looked for so often at the most, in nanoseconds.
const LOOK_EVERY: u64 = 1_000_000_000;

/// A socket is duplicated into the table of a process that is named: nobody else could be given it later.
const NO_OFFERS: Error =
    Error::NotOnThisSystem { what: "who will redeem an offer", instead: "duplicate for a target, or hand off to one" };

/// Nothing is kept here, so nothing is confirmed.
#[derive(Debug)]
pub(crate) struct Confirmation(Infallible);

impl Confirmation {
    pub(crate) fn new() -> Result<(Self, Socket)> {
        Err(NO_OFFERS)
    }

    pub(crate) fn wait(&self, _: Duration) -> Result<Option<bool>> {
        match self.0 {}
    }

    pub(crate) fn give(_: &Socket) {}
}

/// An endpoint.
///
/// A duplicate lies in the target's handle table when it is made, so nothing is ever held at its source. Only a source
/// that is killed between that and the writing of the ticket leaves a handle there that nobody can redeem: it keeps the
/// socket open until the target ends, as Winsock itself would.
#[derive(Debug, Clone)]
pub(crate) struct InnerEndpoint(Arc<Live>);

#[derive(Debug)]
struct Live {
    domain: Domain,
    me: Process,
    outcomes: Mutex<OutcomeCache>,
    /// When it next looks for what expired or was revoked.
    next_look: AtomicU64,
    /// Shows that this process has an endpoint here; gone when it is closed.
    _claim: File,
}

impl InnerEndpoint {
    pub(crate) fn open(domain: &Domain) -> Result<Self> {
        // Nothing else does in a process that only redeems.
        sys::start_winsock().map_err(Error::io("starting Winsock"))?;
        let me = Process::current()?;
        let name = format!("{}.endpoint", ticket::prefix(me.who()));
        let claim = domain.0.folder().claim(&name).map_err(|error| match ticket::is_busy(&error) {
            true => Error::EndpointOpen { domain: domain.path().to_owned() },
            false => Error::io("opening an endpoint")(error),
        })?;
        let live = Live { domain: domain.clone(), me, outcomes: Mutex::default(), next_look: 0.into(), _claim: claim };
        live.bury_the_dead();
        Ok(InnerEndpoint(Arc::new(live)))
    }

    pub(crate) fn process(&self) -> Result<Process> {
        Ok(self.0.me)
    }

    pub(crate) fn duplicate(
        &self,
        socket: &SocketRef<'_>,
        target: &impl Target,
        options: &DuplicateOptions,
    ) -> Result<ProtocolInfo> {
        self.0.duplicate(socket, target, options).map(|(info, _)| info)
    }

    pub(crate) fn duplicate_revocable(
        &self,
        socket: &SocketRef<'_>,
        target: &impl Target,
        options: &DuplicateOptions,
    ) -> Result<(ProtocolInfo, Revoker)> {
        let (info, name) = self.0.duplicate(socket, target, options)?;
        Ok((info, Revoker::new(self.0.domain.clone(), name)))
    }

    /// Nobody forks here.
    pub(crate) fn close_inherited(&self) {}

    pub(crate) fn offer(&self, _: &SocketRef<'_>, _: &OfferOptions) -> Result<ProtocolInfo> {
        Err(NO_OFFERS)
    }

    pub(crate) fn offer_revocable(&self, _: &SocketRef<'_>, _: &OfferOptions) -> Result<(ProtocolInfo, Revoker)> {
        Err(NO_OFFERS)
    }

    pub(crate) fn offer_by(&self, _: &SocketRef<'_>, _: Process, _: &OfferOptions) -> Result<(Kept, ProtocolInfo)> {
        Err(NO_OFFERS)
    }

    pub(crate) fn keep(&self, _: &Socket, _: &Kept) -> Result<()> {
        Err(NO_OFFERS)
    }

    pub(crate) fn find(&self, target: &impl Target) -> Result<Process> {
        target.process()
    }

    /// There is never a source to wait for.
    pub(crate) fn redeem(&self, delivery: &Delivery, _: Option<Wait>) -> Result<Socket> {
        self.0.redeem(delivery)
    }

    pub(crate) fn try_redeem(&self, delivery: &Delivery) -> Result<Option<Socket>> {
        self.0.redeem(delivery).map(Some)
    }

    pub(crate) fn start_redeem(&self, delivery: &Delivery) -> Result<Result<Socket, Redemption>> {
        self.0.redeem(delivery).map(Ok)
    }

    pub(crate) fn discard(&self, delivery: &Delivery) -> Result<()> {
        self.0.redeem(delivery).map(drop)
    }

    /// Nothing is ever held here.
    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn flush(&self, _: Wait) -> Result<()> {
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps)]
    pub(crate) fn start_flush(&self) -> Result<Flushing> {
        Ok(Flushing(()))
    }

    pub(crate) fn receiver(&self, name: &ReceiverName) -> Result<InnerReceiver> {
        InnerReceiver::open(&self.0.domain, self.0.me, name)
    }

    pub(crate) fn sender(&self, target: Process, receiver: &ReceiverName) -> Result<InnerSender> {
        InnerSender::open(&self.0.domain, self.0.me, target, receiver)
    }
}

/// A redemption that waits for a source: there is none.
#[derive(Debug)]
pub(crate) enum Redemption {}

impl Redemption {
    pub(crate) fn try_finish(&mut self) -> Result<Option<Socket>> {
        match *self {}
    }
}

/// A flush: there is nothing to wait for.
#[derive(Debug)]
pub(crate) struct Flushing(());

impl Flushing {
    pub(crate) fn left(&mut self) -> usize {
        0
    }
}

impl Live {
    fn duplicate(
        &self,
        socket: &SocketRef<'_>,
        target: &impl Target,
        options: &DuplicateOptions,
    ) -> Result<(ProtocolInfo, String)> {
        let refused = Error::io("duplicating a socket");
        let (entry, id) = (socket.catalog_entry()?, socket.id()?);
        let target = target.process()?;
        let gone = || Error::NoSuchProcess { pid: target.pid() };
        let running = Running::giving(target)?;
        let token: Token = sys::random().map_err(Error::io("asking for random bytes"))?;
        let name = ticket::name_of(target.who(), &token);
        let written_down = Error::io("writing down a duplicate");
        // First, because what Winsock has put into the target cannot be taken out again from here.
        let blank = Blank::create(self.domain.0.folder(), &name).map_err(&written_down)?;
        let genuine = sys::duplicate_for(&*socket.as_socket(), target.pid())
            .map_err(|error| if running.has_ended() { gone() } else { refused(error) })?;
        let ticket = Ticket { revoked: false, expires: options.expiry(since_boot), socket: id, genuine };
        blank.write(&ticket).map_err(&written_down)?;
        let delivery = Delivery {
            token,
            target_pid: target.who().0,
            target_tag: target.who().1,
            source_pid: self.me.who().0,
            source_tag: self.me.who().1,
            domain: self.domain.digest(),
            held: false,
        };
        Ok((ProtocolInfo::new(entry, delivery), name))
    }

    fn redeem(&self, delivery: &Delivery) -> Result<Socket> {
        if (delivery.target_pid, delivery.target_tag) != self.me.who() {
            return Err(Error::WrongProcess { meant_for: delivery.target_pid, here: self.me.pid() });
        }
        if delivery.domain != self.domain.digest() {
            return Err(Error::WrongDomain { here: self.domain.path().to_owned() });
        }
        let token = delivery.token;
        let Some(mut taken) = Taken::open(&self.domain, &ticket::name_of(self.me.who(), &token), BUSY_AT_MOST)? else {
            self.look_after_others();
            return Err(self.outcomes().of(&token).map_or(Error::UnknownDelivery, Error::from));
        };
        let Some(ticket) = taken.read() else {
            let _ = taken.use_up();
            return Err(Error::UnknownDelivery);
        };
        if let Some(outcome) = ticket.ended() {
            self.discard(token, &taken, &ticket, outcome);
            drop(taken);
            self.look_after_others();
            return Err(outcome.into());
        }
        // First, because the handle must never be taken twice: by then its number may be another's.
        taken.use_up().map_err(Error::io("using up a duplicate"))?;
        let socket = sys::redeem(&ticket.genuine).map_err(|error| {
            // For want of resources: the same info can be redeemed later.
            let _ = taken.spare();
            Error::io("redeeming a duplicate")(error)
        })?;
        // Who waits for the ticket must find out what became of it when it is gone.
        self.outcomes().note(token, Outcome::Redeemed);
        drop(taken);
        self.look_after_others();
        Ok(Socket::from_parts(socket, Shared::with_id(ticket.socket)))
    }

    /// Closes the handle of a duplicate, by making a socket of it: only Winsock knows which it is.
    fn discard(&self, token: Token, taken: &Taken, ticket: &Ticket, outcome: Outcome) {
        if taken.use_up().is_err() {
            return;
        }
        match sys::redeem(&ticket.genuine) {
            // It is looked for again.
            Err(error) if sys::is_lack(&error) => drop(taken.spare()),
            _ => self.outcomes().note(token, outcome),
        }
    }

    fn outcomes(&self) -> MutexGuard<'_, OutcomeCache> {
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what was duplicated for this process and expired, or was revoked, since.
    fn look_after_others(&self) {
        let (now, next) = (since_boot(), self.next_look.load(Ordering::Relaxed));
        let due = now >= next;
        let mine = || self.next_look.compare_exchange(next, now + LOOK_EVERY, Ordering::Relaxed, Ordering::Relaxed);
        if due && mine().is_ok() {
            // What somebody has open has its turn at the next look: who is stopped must not hold up this one.
            self.discard_where(Ticket::ended, Duration::ZERO);
        }
    }

    /// Discards those of this process's duplicates for which `outcome` tells one; for those that others have open it waits
    /// for at most `patience` in all.
    fn discard_where(&self, outcome: impl Fn(&Ticket) -> Option<Outcome>, patience: Duration) {
        let until = Instant::now() + patience;
        for name in self.domain.0.names() {
            let Some((who, Some(token))) = ticket::parse_name(&name) else { continue };
            if who != self.me.who() {
                continue;
            }
            let Ok(Some(mut taken)) = Taken::open(&self.domain, &name, until.saturating_duration_since(Instant::now()))
            else {
                continue;
            };
            match taken.read() {
                Some(ticket) => {
                    if let Some(outcome) = outcome(&ticket) {
                        self.discard(token, &taken, &ticket, outcome);
                    }
                }
                None => drop(taken.use_up()),
            }
        }
    }

    /// Removes what processes left that are no more: their handles are gone with them.
    fn bury_the_dead(&self) {
        for name in self.domain.0.names() {
            let Some(((pid, tag), _)) = ticket::parse_name(&name) else { continue };
            // Of one that cannot be looked at it is not known.
            let lives = match Process::from_pid(pid) {
                Ok(process) => process.who() == (pid, tag),
                Err(Error::NoSuchProcess { .. }) => false,
                Err(_) => true,
            };
            if !lives {
                let _ = self.domain.0.folder().remove(&name);
            }
        }
    }
}

impl Ticket {
    /// Why it cannot be redeemed any more.
    fn ended(&self) -> Option<Outcome> {
        let expired = self.expires != 0 && self.expires <= since_boot();
        if self.revoked { Some(Outcome::Revoked) } else { expired.then_some(Outcome::Expired) }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // Nobody can redeem them any more.
        self.discard_where(|_| Some(Outcome::Redeemed), BUSY_AT_MOST);
    }
}
