//! Where one process receives duplicates: the links over which others deliver, and what is read from them.

use super::arrived::{Arrived, Key, Waiting};
use super::birth::{inherited, inherited_link};
use super::outcomes::Outcome;
use super::{FEW_LINKS, Frame, Listener, MOST_LINKS, Purpose, Quota, Refusal, Token, at_end, hung_up};
use super::{is_passing, read_frame};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::{Process, Who};
use crate::provider::linux::closer::{Closer, Link};
use crate::provider::linux::process::Peer;
use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown, sockopt};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So much is read, and so many links are accepted, before others get their turn at the inbox.
const BUDGET: usize = 256;
/// A link is to say whose it is within this time.
const GREETING_WITHIN: Duration = Duration::from_secs(5);
/// So many links that did not say whose they are may be open.
const MOST_SILENT: usize = 256;
/// So many links may be of one process, which needs one.
const OF_A_PROCESS: usize = 64;
/// So many links whose sources have ended are kept for what was delivered over them; the oldest go first.
const MOST_ENDED: usize = 1024;

/// The receiving half of an endpoint.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Nothing in a forked child, where it belongs to the parent.
    listener: Option<Listener>,
    me: Process,
    closer: Closer,
    links: Vec<Incoming>,
    /// With so many links, those that are at their end are closed.
    tidy_at: usize,
    arrived: Arrived,
}

/// A link over which another process delivers to this one.
#[derive(Debug)]
struct Incoming {
    link: Arc<Link>,
    /// The process at its other end; unknown until it said so and the kernel agreed.
    source: Option<Who>,
    /// The same, and its user, of a link that it opened.
    opener: Option<(Process, u32)>,
    since: Instant,
    /// What it says who it is, until the kernel was asked.
    greeting: Option<Process>,
    /// What this process claimed over it and still waits for.
    claim: Option<Token>,
}

/// How many links may still be among those that waited to be accepted when a search began.
///
/// What is looked for came over one of these: so a search ends, however fast others open links.
#[derive(Debug)]
pub(crate) struct Backlog {
    left: usize,
    answered: bool,
}

impl Backlog {
    /// All that may wait.
    pub(crate) fn whole() -> Self {
        // The kernel lets one more wait than it is told.
        Backlog { left: MOST_LINKS + 1, answered: false }
    }

    /// As many as there are when nobody opens links for their own sake: for what is rather had by asking its source.
    pub(crate) fn first() -> Self {
        Backlog { left: BUDGET, answered: false }
    }

    /// Its source has said that it does not hold it any longer: it may have delivered it just before.
    fn answered(&mut self) {
        if !self.answered {
            *self = Backlog { answered: true, ..Backlog::whole() };
        }
    }
}

/// What looking for a duplicate came to.
#[derive(Debug)]
pub(crate) enum Found {
    It(OwnedFd),
    /// It has not arrived.
    Nothing,
    /// There is more to read.
    Perhaps,
}

/// What reading a link came to.
enum Read {
    /// A duplicate was taken.
    Duplicate(Key, Waiting),
    /// Another frame was taken.
    Frame,
    /// Nothing more waits on it now.
    Drained,
    /// It is at its end, or what came over it was no frame of ours.
    Closed,
}

impl Inbox {
    pub(crate) fn open(domain: &Domain, me: &Process, clock_shift: i128) -> Result<Self> {
        let listener = match inherited(domain, me)? {
            Some(listener) => listener,
            None => Listener::open(domain, me, Purpose::Mail)?,
        };
        let closer = domain.closer();
        let seat = inherited_link(domain, me).map(|(link, parent, uid)| Incoming {
            source: Some(parent.who()),
            opener: Some((parent, uid)),
            ..Incoming::new(closer.guard_link(link))
        });
        Ok(Inbox {
            listener: Some(listener),
            me: *me,
            closer,
            links: seat.into_iter().collect(),
            tidy_at: FEW_LINKS.min(Quota::here(OF_A_PROCESS).links.div_ceil(4)),
            arrived: Arrived::new(clock_shift),
        })
    }

    /// Takes the duplicate `key`, if it has arrived. It reads no more than is fair to others who wait for the inbox.
    ///
    /// # Errors
    /// Those of its outcome, if that is known; [`Error::System`], [`Error::TooManyUnredeemed`] and [`Error::TooManyLinks`]
    /// when there is no room.
    pub(crate) fn take(&mut self, key: &Key, backlog: &mut Backlog) -> Result<Found> {
        if let Some(outcome) = self.arrived.final_outcome(key) {
            return Err(outcome.error());
        }
        let mut found = self.look_for(key, backlog)?;
        if matches!(found, Ok(None)) && self.arrived.outcome(key).is_some() {
            backlog.answered();
            found = self.look_for(key, backlog)?;
        }
        match found {
            Err(TooMuch) => Ok(Found::Perhaps),
            Ok(Some(waiting)) => self.arrived.open(key, waiting).map(Found::It),
            Ok(None) => self.arrived.consult(key).map_or(Ok(Found::Nothing), |outcome| Err(outcome.error())),
        }
    }

    /// The link on which the answer to a claim of `key` is awaited, and since when.
    pub(crate) fn claim_of(&self, key: &Key) -> Option<(Arc<Link>, Instant)> {
        self.links.iter().find(|incoming| incoming.claims(key)).map(|incoming| (incoming.link.clone(), incoming.since))
    }

    /// Awaits the answer to a claim of `key` on `link`.
    pub(crate) fn await_claim(&mut self, key: &Key, link: Link) {
        // A source that never answers is asked over so many links, and no more.
        let asks = |incoming: &&Incoming| incoming.claim.is_some() && incoming.source == Some(key.source);
        if self.links.iter().filter(asks).count() >= OF_A_PROCESS {
            if let Some(oldest) = self.links.iter().position(|incoming| asks(&incoming)) {
                self.links.remove(oldest).close();
            }
        }
        let incoming = Incoming { source: Some(key.source), claim: Some(key.token), ..Incoming::new(link) };
        self.links.push(incoming);
    }

    /// Notes what became of `key`, of which its source cannot be asked.
    pub(crate) fn note(&mut self, key: &Key, outcome: Outcome) {
        self.arrived.note(*key, outcome);
    }

    /// Closes everything, in a forked child.
    pub(crate) fn abandon(&mut self) {
        self.listener = None;
        self.links.clear();
        self.arrived.clear();
    }

    fn look_for(&mut self, key: &Key, backlog: &mut Backlog) -> Result<Result<Option<Waiting>, TooMuch>> {
        if let Some(waiting) = self.arrived.take(key) {
            return Ok(Ok(Some(waiting)));
        }
        match self.read_links(key)? {
            Ok(None) => {}
            found => return Ok(found),
        }
        // Not on a link that was known: the source has opened one since.
        let all = self.accept(backlog)?;
        let found = self.read_links(key)?;
        Ok(if all || !matches!(found, Ok(None)) { found } else { Err(TooMuch) })
    }

    /// Reads the links of `key`'s source, then those that did not say whose they are, until `key` turns up.
    fn read_links(&mut self, key: &Key) -> Result<Result<Option<Waiting>, TooMuch>> {
        let mut left = BUDGET;
        for source in [Some(key.source), None] {
            match self.read_links_of(source, key, &mut left)? {
                Ok(None) => {}
                found => return Ok(found),
            }
        }
        Ok(Ok(None))
    }

    fn read_links_of(
        &mut self,
        source: Option<Who>,
        key: &Key,
        left: &mut usize,
    ) -> Result<Result<Option<Waiting>, TooMuch>> {
        let mut at = 0;
        while let Some(incoming) = self.links.get(at) {
            // One that has just said that it is the source's is read to its end.
            let wanted = incoming.source == source || incoming.source == Some(key.source);
            if !wanted {
                at += 1;
                continue;
            }
            let has_more = |source| self.links.iter().any(|other| other.source == Some(source));
            self.arrived.make_room(key.source, has_more)?;
            let Some(incoming) = self.links.get_mut(at) else { break };
            if *left == 0 {
                return Ok(Err(TooMuch));
            }
            let greets = incoming.source.is_none();
            let read = incoming.read(&self.me, &self.closer, &mut self.arrived)?;
            // A link on which nothing is costs others no turn.
            *left -= usize::from(!matches!(read, Read::Drained));
            match read {
                Read::Duplicate(arrived, waiting) if arrived == *key => return Ok(Ok(Some(waiting))),
                // A token that comes twice is no honest source's.
                Read::Duplicate(arrived, waiting) => {
                    if !self.arrived.keep(arrived, waiting) {
                        self.links.swap_remove(at).close();
                    }
                }
                Read::Frame if greets && !self.may_stay(at) => self.links.swap_remove(at).close(),
                Read::Frame => {}
                Read::Drained => at += 1,
                Read::Closed => self.links.swap_remove(at).close(),
            }
        }
        Ok(Ok(None))
    }

    /// Whether the process and the user whose link this is may have one more than the others.
    fn may_stay(&self, at: usize) -> bool {
        let Some(new) = self.links.get(at) else { return true };
        let others = self.links.iter().filter(|other| !Arc::ptr_eq(&other.link, &new.link));
        let open = others.filter_map(|other| other.opener);
        new.opener.is_none_or(|opener| Quota::here(OF_A_PROCESS).admits(opener, open))
    }

    /// Accepts links that others opened; `false` when there may be more of the backlog than is fair at once.
    fn accept(&mut self, backlog: &mut Backlog) -> Result<bool> {
        let most = Quota::here(OF_A_PROCESS).links;
        self.hush();
        for accepted in 0..BUDGET {
            if self.links.len() >= self.tidy_at {
                self.tidy();
            }
            // More wait in the backlog, with all that was delivered over them.
            if self.links.len() >= most {
                if accepted > 0 {
                    // What came over these may show that some need not stay.
                    return Ok(false);
                }
                return Err(Error::TooManyLinks { limit: most });
            }
            let Some(listener) = &self.listener else { return Ok(true) };
            if backlog.left == 0 {
                return Ok(true);
            }
            let Some(link) = listener.accept()? else { return Ok(true) };
            backlog.left -= 1;
            let link = self.closer.guard_link(link);
            if at_end(&link) {
                continue;
            }
            self.links.push(Incoming::new(link));
            // Each leaves room for the next.
            if accepted % FEW_LINKS == FEW_LINKS - 1 {
                self.hush();
            }
        }
        Ok(backlog.left == 0)
    }

    /// Closes links that have not said for too long whose they are, and the oldest of too many such.
    fn hush(&mut self) {
        let silent = self.links.iter().filter(|incoming| incoming.source.is_none()).count();
        let most = Quota::here(OF_A_PROCESS).silent(MOST_SILENT);
        if silent == 0 {
            return;
        }
        let (now, mut surplus) = (Instant::now(), silent.saturating_sub(most));
        self.links.retain(|incoming| {
            if incoming.source.is_some() {
                return true;
            }
            let late = now.saturating_duration_since(incoming.since) > GREETING_WITHIN;
            // Those that came first are first; one whose greeting has come is read next.
            let goes = (late || surplus > 0) && !incoming.has_input();
            surplus = surplus.saturating_sub(goes.into());
            !goes
        });
    }

    /// Closes links that are at their end, and of those that have something left the oldest, if they are too many.
    fn tidy(&mut self) {
        self.links.retain(|incoming| !at_end(&*incoming.link));
        let ended = self.links.iter().filter(|incoming| hung_up(&*incoming.link)).count();
        let mut surplus = ended.saturating_sub(MOST_ENDED.min(Quota::here(OF_A_PROCESS).links / 4));
        self.links.retain(|incoming| {
            let goes = surplus > 0 && hung_up(&*incoming.link);
            surplus = surplus.saturating_sub(goes.into());
            !goes
        });
        let most = Quota::here(OF_A_PROCESS).links;
        self.tidy_at = (2 * self.links.len()).clamp(FEW_LINKS.min(most.div_ceil(4)), most);
    }
}

/// More is to be read than is fair at once.
#[derive(Debug, Clone, Copy)]
struct TooMuch;

impl Incoming {
    fn new(link: Link) -> Self {
        let since = Instant::now();
        Incoming { link: Arc::new(link), source: None, opener: None, since, greeting: None, claim: None }
    }

    /// Wakes those who wait for the answer to a claim of theirs on it: nothing comes.
    fn close(self) {
        if self.claim.is_some() {
            let _ = shutdown(&*self.link, Shutdown::Both);
        }
    }

    fn claims(&self, key: &Key) -> bool {
        self.claim == Some(key.token) && self.source == Some(key.source)
    }

    fn has_input(&self) -> bool {
        matches!(rustix::net::recv(&*self.link, &mut [0_u8; 1], rustix::net::RecvFlags::PEEK), Ok((_, 1..)))
    }

    fn read(&mut self, me: &Process, closer: &Closer, arrived: &mut Arrived) -> Result<Read> {
        if let (None, Some(process)) = (self.source, self.greeting) {
            // Who it was does not matter when nothing came with it: to ask takes longer than all else.
            if at_end(&*self.link) {
                return Ok(Read::Closed);
            }
            let peer = Peer::of(&*self.link)?;
            if !peer.is(&process, me) {
                return Ok(Read::Closed);
            }
            // What one says that has ended uses up nobody's quota.
            self.opener = (!peer.has_ended()).then_some((process, peer.uid));
            self.source = Some(process.who());
            return Ok(Read::Frame);
        }
        let ample = arrived.headroom.is_ample(2);
        let (frame, [descriptor, gate]) = match read_frame(&self.link, closer, ample) {
            Ok(Some(read)) => read,
            Err(Errno::AGAIN) => return Ok(Read::Drained),
            Err(errno) if is_passing(errno) => return Err(Error::system("receiving a duplicate")(errno)),
            Ok(None) | Err(_) => {
                if let (Some(source), Some(token)) = (self.source, self.claim) {
                    arrived.note(Key { source, token }, Outcome::SourceGone);
                }
                return Ok(Read::Closed);
            }
        };
        match (frame, descriptor, gate, self.source) {
            (Frame::Hello(process), None, None, None) => {
                // Asked when it is read next: that may fail for want of a descriptor, and is then repeated.
                self.greeting = Some(process);
                Ok(Read::Frame)
            }
            (Frame::Deliver { token, cookie, expires, gated }, Some(descriptor), gate, Some(source))
                if gated == gate.is_some() =>
            {
                // Of which socket the info speaks, its token says: nobody can put another in its place.
                if token.cookie() != cookie || sockopt::socket_cookie(&descriptor) != Ok(cookie) {
                    return Ok(Read::Closed);
                }
                if self.claim == Some(token) {
                    // Another thread may wait for the same answer: this wakes it.
                    self.claim = None;
                    let _ = shutdown(&*self.link, Shutdown::Both);
                }
                let key = Key { source, token };
                Ok(Read::Duplicate(key, Waiting { descriptor, expires, gate }))
            }
            (Frame::Refuse(token, refusal), None, None, Some(source)) if self.claim == Some(token) => {
                let outcome = match refusal {
                    Refusal::NotHeld => Outcome::NotHeld,
                    Refusal::Expired => Outcome::Expired,
                    Refusal::Revoked => Outcome::Revoked,
                };
                arrived.note(Key { source, token }, outcome);
                Ok(Read::Closed)
            }
            _ => Ok(Read::Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn link() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn a_source_that_never_answers_is_asked_over_so_many_links_and_no_more() {
        let path = std::env::temp_dir().join(format!("sharesock-inbox-{}", std::process::id()));
        let domain = Domain::at(&path).unwrap();
        let mut inbox = Inbox::open(&domain, &Process::current().unwrap(), 0).unwrap();
        let key = |source: u32, number: u8| Key { source: (source, 1), token: Token::from_bytes([number; 16]) };
        let mut ask = |key: &Key| {
            let (link, other) = link();
            inbox.await_claim(key, domain.closer().guard_link(link));
            other
        };
        let _answers = ask(&key(2, 0));
        let silent: Vec<_> = (0..70).map(|number| ask(&key(1, number))).collect();
        // The oldest of that source gave way.
        assert_eq!(silent.iter().filter(|other| hung_up(other)).count(), 70 - OF_A_PROCESS);
        let asked: Vec<_> = (0..70).map(|number| inbox.claim_of(&key(1, number)).is_some()).collect();
        assert_eq!(asked, (0..70).map(|number| number >= 70 - OF_A_PROCESS).collect::<Vec<_>>());
        assert!(inbox.claim_of(&key(2, 0)).is_some());
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn whoever_waits_for_an_answer_that_another_thread_read_is_woken() {
        let path = std::env::temp_dir().join(format!("sharesock-inbox-woken-{}", std::process::id()));
        let domain = Domain::at(&path).unwrap();
        let mut inbox = Inbox::open(&domain, &Process::current().unwrap(), 0).unwrap();
        let key = |number: u8| Key { source: (1, 1), token: Token::from_bytes([number; 16]) };
        for answer in [Frame::Refuse(key(1).token, Refusal::Revoked).to_bytes().to_vec(), b"noise".to_vec()] {
            let (link, other) = link();
            rustix::io::ioctl_fionbio(&link, true).unwrap();
            inbox.await_claim(&key(1), domain.closer().guard_link(link));
            let (awaited, _) = inbox.claim_of(&key(1)).unwrap();
            assert!(!hung_up(&*awaited));
            rustix::net::send(&other, &answer, rustix::net::SendFlags::empty()).unwrap();
            assert!(matches!(inbox.take(&key(2), &mut Backlog::whole()), Ok(Found::Nothing)));
            assert!(hung_up(&*awaited));
        }
        std::fs::remove_dir_all(&path).unwrap();
    }
}
