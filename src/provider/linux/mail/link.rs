//! Links to other processes: opened once and kept.

use super::{FEW_LINKS, Frame, Mail, Purpose};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::hand_off::ReceiverName;
use crate::process::{Process, Who};
use crate::provider::linux::closer::Link;
use crate::provider::linux::directory::endpoint_name;
use crate::provider::linux::process::Peer;
use crate::provider::linux::sys::send_rights;
use foldhash::HashMap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, IoSlice};
use rustix::net::{self, AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The kernel's bound on what waits unread on a link, in bytes; it takes what `wmem_max` allows.
const SEND_BUFFER: usize = 4 << 20;
/// A link that is turned away before its greeting came is opened again, so often.
const ATTEMPTS: usize = 4;

/// That a process lives is asked again after this.
const SURE_FOR: Duration = Duration::from_micros(50);
/// What the names of queues begin with.
pub(crate) const QUEUE_NAME: &str = "sharesock/";

/// The links of this process over which it delivers, by target.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    links: HashMap<Process, Outgoing>,
    /// Which of them has which id here.
    pids: HashMap<u32, Process>,
    /// With so many links, those to targets that have ended are closed.
    tidy_at: usize,
}

/// A link, and the process to which it leads.
#[derive(Debug)]
struct Outgoing {
    link: Link,
    /// It tells its end although children that it forked have the link still.
    peer: Peer,
    /// When that was asked last: what ended a moment since could as well have ended after.
    asked: Option<Instant>,
}

impl Table {
    /// Keeps a link that was opened, in the place of those that have come to their end.
    fn keep(&mut self, target: &Process, (link, peer): (Link, Peer)) -> &mut Outgoing {
        if self.links.len() >= self.tidy_at {
            self.links.retain(|_, outgoing| !outgoing.peer.has_ended() && !hung_up(&outgoing.link));
            self.pids.retain(|_, process| self.links.contains_key(process));
            self.tidy_at = (2 * self.links.len()).max(FEW_LINKS);
        }
        self.links.entry(*target).insert_entry(Outgoing { link, peer, asked: None }).into_mut()
    }
}

impl Outgoing {
    /// Whether its process lives, or did a moment ago.
    fn lives(&mut self) -> bool {
        let now = Instant::now();
        if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < SURE_FOR) {
            return true;
        }
        let lives = !self.peer.has_ended();
        self.asked = lives.then_some(now);
        lives
    }

    /// # Errors
    /// `PIPE` or `CONNRESET` when the link is at its end, `SRCH` when its process is.
    fn send(&mut self, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
        if !self.lives() {
            return Err(Errno::SRCH);
        }
        send_rights(&self.link, &[IoSlice::new(frame)], descriptors)
    }
}

impl Links {
    /// The process that has the id `pid` here. Who that is takes ten times as long to find out as to send it something; while
    /// a process to which a link leads lives, nobody else has its id.
    pub(crate) fn find(&self, pid: u32) -> Result<Process> {
        let known = || {
            let table = &mut *self.lock();
            let process = *table.pids.get(&pid)?;
            let outgoing = table.links.get_mut(&process).filter(|outgoing| outgoing.peer.handle.is_some())?;
            outgoing.lives().then_some(process)
        };
        if let Some(process) = known() {
            return Ok(process);
        }
        let process = Process::from_pid(pid)?;
        let table = &mut *self.lock();
        if table.pids.len() > table.links.len().max(FEW_LINKS) {
            table.pids.retain(|_, process| table.links.contains_key(process));
        }
        table.pids.insert(pid, process);
        Ok(process)
    }

    /// Keeps a link that `child` has inherited the other end of.
    pub(crate) fn adopt(&self, child: &Process, link: Link) -> Result<()> {
        let peer = Peer::of_child(child)?;
        self.lock().keep(child, (link, peer));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends one duplicate to `target`, opening a link when there is none. A second descriptor is its gate.
    ///
    /// # Errors
    /// [`Error::NoEndpoint`], [`Error::QueueFull`] and [`Error::TooManyInFlight`] may pass; others stay.
    pub(crate) fn deliver(
        &self,
        domain: &Domain,
        me: &Process,
        target: &Process,
        mail: &Mail,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<()> {
        let frame = mail.to_frame(descriptors.len() > 1).to_bytes();
        let mut table = self.lock();
        let open = || connect(domain, me, Addressee::Process(target), Purpose::Mail, &[]);
        let sent = match table.links.get_mut(target) {
            Some(outgoing) => match outgoing.send(&frame, descriptors) {
                Err(Errno::PIPE | Errno::CONNRESET) => {
                    // The target closed this link: it ended, or it opened a new endpoint.
                    table.links.remove(target);
                    table.keep(target, open()?).send(&frame, descriptors)
                }
                sent => sent,
            },
            None => table.keep(target, open()?).send(&frame, descriptors),
        };
        sent.map_err(|errno| match errno {
            Errno::AGAIN => Error::QueueFull { pid: target.pid() },
            Errno::TOOMANYREFS => Error::TooManyInFlight,
            Errno::PIPE | Errno::CONNRESET => Error::no_endpoint(target.pid(), domain),
            Errno::SRCH => {
                table.links.remove(target);
                Error::NoSuchProcess { pid: target.pid() }
            }
            errno => Error::system("delivering a duplicate")(errno),
        })
    }

    /// Closes all links, in a forked child; those of another thread's call at that moment stay.
    pub(crate) fn abandon(&self) {
        if let Ok(mut table) = self.0.try_lock() {
            *table = Table::default();
        }
    }
}

impl Mail {
    pub(crate) fn to_frame(self, gated: bool) -> Frame {
        Frame::Deliver { token: self.token, cookie: self.cookie, expires: self.expires, gated }
    }
}

/// Who is to listen at the other end of a link.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Addressee<'a> {
    Process(&'a Process),
    /// A process of which only a protocol info tells.
    Named(Who),
}

impl Addressee<'_> {
    fn who(self) -> Who {
        match self {
            Addressee::Process(process) => process.who(),
            Addressee::Named(who) => who,
        }
    }

    /// Who listens is the kernel's word, not the name's.
    fn is(self, peer: &Peer, me: &Process) -> bool {
        match self {
            Addressee::Process(process) => peer.is(process, me),
            Addressee::Named(who) => peer.may_be(who),
        }
    }
}

/// Opens a link to where `addressee` listens for `purpose`, and says who is here, with these descriptors.
///
/// # Errors
/// [`Error::NoEndpoint`] when nobody listens; [`Error::QueueFull`] when too many links wait to be accepted;
/// [`Error::Impostor`] when another process does.
pub(crate) fn connect(
    domain: &Domain,
    me: &Process,
    addressee: Addressee<'_>,
    purpose: Purpose<'_>,
    with_hello: &[BorrowedFd<'_>],
) -> Result<(Link, Peer)> {
    let refused = Error::system("opening a link");
    let pid = addressee.who().0;
    for _ in 0..ATTEMPTS {
        let (link, peer) = reach(domain, me, addressee, purpose)?;
        // A child that it forked may have its listener still.
        if peer.has_ended() {
            return Err(Error::no_endpoint(pid, domain));
        }
        if !addressee.is(&peer, me) {
            return Err(Error::Impostor { pid, answered: peer.pid() });
        }
        sockopt::set_socket_send_buffer_size(&link, SEND_BUFFER).map_err(&refused)?;
        match send_rights(&link, &[IoSlice::new(&Frame::Hello(*me).to_bytes())], with_hello) {
            Ok(()) => return Ok((link, peer)),
            // It made room for other links, or has ended.
            Err(Errno::PIPE | Errno::CONNRESET) => {}
            Err(Errno::TOOMANYREFS) => return Err(Error::TooManyInFlight),
            Err(errno) => return Err(refused(errno)),
        }
    }
    Err(Error::no_endpoint(pid, domain))
}

/// Whether the process that an info names is there to be asked.
pub(crate) fn listens(domain: &Domain, me: &Process, who: Who) -> bool {
    let reached = reach(domain, me, Addressee::Named(who), Purpose::Mail);
    reached.is_ok_and(|(_, peer)| !peer.has_ended() && peer.may_be(who))
}

fn reach(domain: &Domain, me: &Process, addressee: Addressee<'_>, purpose: Purpose<'_>) -> Result<(Link, Peer)> {
    let refused = Error::system("opening a link");
    let who = addressee.who();
    let name = endpoint_name(who, &purpose.suffix());
    let link = domain.closer().guard_link(seqpacket().map_err(&refused)?);
    if let Err(errno) = connect_to(&link, domain, &name) {
        return Err(match errno {
            Errno::NOENT => Error::no_endpoint(who.0, domain),
            Errno::CONNREFUSED => match addressee {
                // It cannot be seen from here, but it did not remove its name, as whoever closes its endpoint does.
                Addressee::Process(process) if process.namespace != me.namespace => Error::NoSuchProcess { pid: who.0 },
                _ => Error::no_endpoint(who.0, domain),
            },
            Errno::AGAIN => Error::QueueFull { pid: who.0 },
            errno => refused(errno),
        });
    }
    let peer = Peer::of(&link)?;
    Ok((link, peer))
}

/// A queue for what is handed off to `target`: where it goes in, and where it comes out.
///
/// The second end has an abstract name, by which `Domain::members` and `ss -x` tell whose it is. Nobody can connect to it.
pub(crate) fn make_queue(target: &Process, receiver: &ReceiverName) -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (one, two) = net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    sockopt::set_socket_send_buffer_size(&one, SEND_BUFFER)?;
    let name =
        format!("{QUEUE_NAME}{}/{}", endpoint_name(target.who(), &receiver.suffix()), sockopt::socket_cookie(&two)?);
    // It does without as well.
    let _ = SocketAddrUnix::new_abstract_name(name.as_bytes()).and_then(|address| net::bind(&two, &address));
    Ok((one, two))
}

/// A link whose other end a child is to inherit: ours, which takes as much as others, and the child's.
pub(crate) fn make_link() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (ours, theirs) = net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    sockopt::set_socket_send_buffer_size(&ours, SEND_BUFFER)?;
    Ok((ours, theirs))
}

pub(super) fn seqpacket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

pub(super) fn connect_to(link: impl AsFd, domain: &Domain, name: &str) -> rustix::io::Result<()> {
    net::connect(link, &SocketAddrUnix::new(domain.short_path(name))?)
}

/// Whether the other side of a link is gone and nothing of it waits.
pub(crate) fn at_end(link: impl AsFd) -> bool {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    !matches!(net::recv(link, &mut [0_u8; 1], flags), Ok((1.., _)) | Err(Errno::AGAIN | Errno::INTR))
}

/// Whether the other side of a link is gone.
pub(crate) fn hung_up(link: impl AsFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut links = [PollFd::new(&link, PollFlags::empty())];
    matches!(poll(&mut links, Some(&now)), Ok(1..))
}
