//! Redeeming: looking for a duplicate, and asking its source for one that it holds.

use super::endpoint::{InnerEndpoint, Live};
use crate::error::{Error, Result};
use crate::protocol_info::Delivery;
use crate::provider::linux::closer::Link;
use crate::provider::linux::mail::{Addressee, Backlog, Found, Frame, Key, Outcome, Purpose, Token, connect, listens};
use crate::provider::linux::sys::{send_rights, timer};
use crate::socket::Socket;
use crate::wait::{Deadline, Wait};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// How long a source may take to answer a claim, unless the caller says.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// So long after a source was asked, all that waits is read: a source that lives answers sooner; and once more at the end.
const READ_ALL_AFTER: Duration = Duration::from_millis(10);
/// A redemption for which no descriptor is free is tried again after this: what waits for it would be readable all the time.
const PAUSE: Duration = Duration::from_millis(50);

/// One redemption, over as many looks as it takes.
#[derive(Debug)]
struct Attempt {
    delivery: Delivery,
    /// How long the source may take; without a limit each look is one of its own.
    limit: Option<Duration>,
    backlog: Backlog,
    /// When the source was asked, and how often all that waits was read since.
    claimed: Option<Instant>,
    reads: usize,
    /// Why the source could not be asked.
    refused: Option<Error>,
}

/// What a look came to.
enum Step {
    Done(Socket),
    /// The answer comes on this link, or there is something to be done after so long.
    Wait(Arc<Link>, Option<Duration>),
}

impl Attempt {
    fn new(delivery: &Delivery, limit: Option<Duration>) -> Self {
        let backlog = if delivery.held { Backlog::first() } else { Backlog::whole() };
        Attempt { delivery: *delivery, limit, backlog, claimed: None, reads: 0, refused: None }
    }

    /// How long until all that waits is to be read; nothing when that is never to be done again.
    fn due(&self, since: Instant) -> Result<Option<Duration>> {
        let first = self.limit.map_or(READ_ALL_AFTER, |limit| limit.min(READ_ALL_AFTER));
        let due = match (self.reads, self.limit) {
            (0, _) => first,
            (1, Some(limit)) => limit,
            (_, None) => return Ok(None),
            (_, Some(_)) => return Err(Error::SourceSilent { source_pid: self.delivery.source_pid }),
        };
        Ok(Some(due.saturating_sub(since.elapsed())))
    }
}

impl InnerEndpoint {
    pub(crate) fn redeem(&self, delivery: &Delivery, wait: Option<Wait>) -> Result<Socket> {
        let deadline = wait.unwrap_or(Wait::at_most(ANSWER_WITHIN)).begin();
        // A wait without an end asks as often as one that is much longer than any program runs.
        let mut attempt = Attempt::new(delivery, Some(deadline.left().unwrap_or(Duration::MAX)));
        self.with_live(|live| {
            loop {
                match live.look(&mut attempt)? {
                    Step::Done(socket) => return Ok(socket),
                    Step::Wait(link, left) => wait_for(&*link, left, &deadline)?,
                }
            }
        })
    }

    pub(crate) fn try_redeem(&self, delivery: &Delivery) -> Result<Option<Socket>> {
        match self.with_live(|live| live.look(&mut Attempt::new(delivery, None)))? {
            Step::Done(socket) => Ok(Some(socket)),
            Step::Wait(..) => Ok(None),
        }
    }

    pub(crate) fn start_redeem(&self, delivery: &Delivery) -> Result<Result<Socket, Redemption>> {
        let mut attempt = Attempt::new(delivery, Some(ANSWER_WITHIN));
        match self.with_live(|live| live.look(&mut attempt))? {
            Step::Done(socket) => Ok(Ok(socket)),
            Step::Wait(link, left) => Ok(Err(Redemption::new(self.clone(), attempt, link, left)?)),
        }
    }

    /// The kernel gives a descriptor up only by handing it out.
    pub(crate) fn discard(&self, delivery: &Delivery) -> Result<()> {
        self.redeem(delivery, None).map(drop)
    }
}

impl Live {
    /// Looks for a duplicate, and asks its source if that holds it, without waiting for the answer.
    fn look(&self, attempt: &mut Attempt) -> Result<Step> {
        let delivery = attempt.delivery;
        if !delivery.is_offer() && (delivery.target_pid, delivery.target_tag) != self.who {
            return Err(Error::WrongProcess { meant_for: delivery.target_pid, here: self.me.pid() });
        }
        if delivery.domain != self.domain.digest() {
            return Err(Error::WrongDomain { here: self.domain.path().to_owned() });
        }
        let token = Token::from_bytes(delivery.token);
        let key = Key { source: (delivery.source_pid, delivery.source_tag), token };
        loop {
            let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
            let found = inbox.take(&key, &mut attempt.backlog);
            // Of an offer that is not held any more, its holder says no more than that: somebody has it.
            let taken = delivery.is_offer() && matches!(found, Err(Error::UnknownDelivery));
            match if taken { Err(Error::AlreadyRedeemed) } else { found }? {
                Found::It(descriptor) => {
                    // That it has the promised cookie shows that it is a socket.
                    return Ok(Step::Done(Socket::received(descriptor, &self.domain, token.cookie())));
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
            if let Some(error) = attempt.refused.take() {
                return Err(error);
            }
            let Some((link, asked)) = inbox.claim_of(&key) else {
                match self.claim(&key) {
                    Ok(link) => inbox.await_claim(&key, link),
                    // A source that lives and does not listen for claims holds nothing any more.
                    Err(Error::NoEndpoint { .. }) if listens(&self.domain, &self.me, key.source) => {
                        inbox.note(&key, Outcome::NotHeld);
                    }
                    Err(Error::NoEndpoint { .. }) => inbox.note(&key, Outcome::SourceGone),
                    // It may have delivered it before.
                    Err(error) => (attempt.refused, attempt.backlog) = (Some(error), Backlog::whole()),
                }
                continue;
            };
            drop(inbox);
            let since = match attempt.limit {
                Some(_) => *attempt.claimed.get_or_insert_with(Instant::now),
                None => asked,
            };
            match attempt.due(since)? {
                // It may have delivered it before it was stopped.
                Some(Duration::ZERO) => (attempt.reads, attempt.backlog) = (attempt.reads + 1, Backlog::whole()),
                left => return Ok(Step::Wait(link, left)),
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
}

/// A redemption whose source was asked, with a descriptor that is readable when there is something to do.
#[derive(Debug)]
pub(crate) struct Redemption {
    endpoint: InnerEndpoint,
    attempt: Attempt,
    /// Watches the link, unless descriptors have run out, and the timer.
    watch: OwnedFd,
    timer: OwnedFd,
    link: Option<Arc<Link>>,
}

impl Redemption {
    fn new(endpoint: InnerEndpoint, attempt: Attempt, link: Arc<Link>, left: Option<Duration>) -> Result<Self> {
        let refused = Error::system("making a descriptor to wait for a duplicate");
        let watch = epoll::create(CreateFlags::CLOEXEC).map_err(&refused)?;
        let timer = timer::new().map_err(&refused)?;
        epoll::add(&watch, &timer, EventData::new_u64(0), EventFlags::IN).map_err(&refused)?;
        let mut redemption = Redemption { endpoint, attempt, watch, timer, link: None };
        redemption.await_answer(Some(link), left)?;
        Ok(redemption)
    }

    pub(crate) fn try_finish(&mut self) -> Result<Option<Socket>> {
        let Redemption { endpoint, attempt, .. } = self;
        match endpoint.with_live(|live| live.look(attempt)) {
            Ok(Step::Done(socket)) => Ok(Some(socket)),
            Ok(Step::Wait(link, left)) => self.await_answer(Some(link), left).map(|()| None),
            Err(error) => {
                if error.is_lack() {
                    // The answer waits, and so the link would be readable all the time.
                    self.await_answer(None, Some(PAUSE))?;
                }
                Err(error)
            }
        }
    }

    /// Waits for an answer on the link, if there is one, and for at most so long.
    fn await_answer(&mut self, link: Option<Arc<Link>>, left: Option<Duration>) -> Result<()> {
        let refused = Error::system("waiting for a duplicate");
        let same = matches!((&self.link, &link), (Some(one), Some(two)) if Arc::ptr_eq(one, two));
        if !same {
            if let Some(before) = self.link.take() {
                let _ = epoll::delete(&self.watch, &*before);
            }
            if let Some(link) = &link {
                epoll::add(&self.watch, &**link, EventData::new_u64(1), EventFlags::IN).map_err(&refused)?;
            }
            self.link = link;
        }
        timer::set(&self.timer, left).map_err(&refused)
    }
}

impl AsFd for Redemption {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// Waits until a descriptor is readable or at its end, or the time is over.
pub(super) fn wait_for(descriptor: impl AsFd, left: Option<Duration>, deadline: &Deadline) -> Result<()> {
    let timeout = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], timeout.as_ref()) {
        Ok(_) => Ok(()),
        Err(Errno::INTR) => deadline.signalled(),
        Err(errno) => Err(Error::system("waiting")(errno)),
    }
}
