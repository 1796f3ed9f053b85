//! Where one process receives: its listening socket in the domain, and what came in.

use super::Token;
use super::frame::{Frame, SIZE};
use super::link::{connect_to, peer_pid, seqpacket};
use crate::domain::{Domain, birth_name, endpoint_name, parse_name};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::sys::receive_rights;
use rustix::io::Errno;
use rustix::net::{self, SocketAddrUnix, SocketFlags, sockopt};
use std::collections::{HashMap, HashSet, VecDeque};
use std::os::fd::{AsFd, OwnedFd};

/// The most duplicates taken from the kernel that wait here for their infos.
const MOST_READY: usize = 16_384;
/// The most links that others may keep open to this process.
const MOST_LINKS: usize = 4096;
/// How many redemptions are remembered, to tell a second use from an unknown info.
const MOST_SPENT: usize = 65_536;
/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// What identifies a duplicate at its target: who sent it, by the kernel's word, and its token.
type Key = ((u32, u32), Token);

/// The receiving half of an endpoint.
#[derive(Debug)]
pub(crate) struct Inbox {
    listener: OwnedFd,
    links: Vec<Incoming>,
    ready: HashMap<Key, OwnedFd>,
    spent: HashSet<Key>,
    spent_order: VecDeque<Key>,
}

/// A link that another process opened to this one.
#[derive(Debug)]
struct Incoming {
    link: OwnedFd,
    /// Id and tag of the process at its other end; unknown until it said so and the kernel agreed.
    source: Option<(u32, u32)>,
}

/// What reading a link came to.
enum Read {
    /// One frame was taken.
    Frame,
    /// Nothing more waits on it now.
    Drained,
    /// It is at its end, or what came over it was no frame of ours.
    Closed,
}

impl Inbox {
    /// Listens in the domain under the name of this process, and removes the names of processes that have ended.
    pub(crate) fn open(domain: &Domain, me: &Process) -> Result<Self> {
        let refused = Error::system("opening the endpoint");
        sweep(domain, me);
        let listener = seqpacket().map_err(&refused)?;
        let (born, name) = (birth_name(me), endpoint_name(me.pid(), me.tag()));
        if domain.names().contains(&name) {
            return Err(Error::System {
                doing: "opening a second endpoint (clone the first)",
                os_code: Errno::EXIST.raw_os_error(),
            });
        }
        domain.remove(&born);
        let address = SocketAddrUnix::new(domain.short_path(&born)).map_err(&refused)?;
        net::bind(&listener, &address).map_err(&refused)?;
        let listening = net::listen(&listener, BACKLOG).map_err(&refused);
        if let Err(error) = listening.and_then(|()| domain.publish(&born, &name)) {
            domain.remove(&born);
            return Err(error);
        }
        let (ready, spent) = (HashMap::new(), HashSet::new());
        Ok(Inbox { listener, links: Vec::new(), ready, spent, spent_order: VecDeque::new() })
    }

    /// Takes the duplicate that `source` sent under `token`, if it has arrived and was not taken before.
    pub(crate) fn take(&mut self, me: &Process, source: (u32, u32), token: Token) -> Result<OwnedFd> {
        let key = (source, token);
        if self.spent.contains(&key) {
            return Err(Error::AlreadyRedeemed);
        }
        let descriptor = match self.look_for(me, &key)? {
            Some(descriptor) => descriptor,
            None => return Err(Error::UnknownDelivery),
        };
        if self.spent_order.len() == MOST_SPENT {
            self.spent_order.pop_front().map(|oldest| self.spent.remove(&oldest));
        }
        self.spent_order.push_back(key);
        self.spent.insert(key);
        Ok(descriptor)
    }

    fn look_for(&mut self, me: &Process, key: &Key) -> Result<Option<OwnedFd>> {
        if let Some(descriptor) = self.ready.remove(key) {
            return Ok(Some(descriptor));
        }
        if let Some(descriptor) = self.read_links(me, key)? {
            return Ok(Some(descriptor));
        }
        // Not on a link that was known: the source has opened one since.
        self.accept()?;
        self.read_links(me, key)
    }

    /// Reads the links of `key`'s source, and those that did not say whose they are, until `key` turns up.
    fn read_links(&mut self, me: &Process, key: &Key) -> Result<Option<OwnedFd>> {
        let mut at = 0;
        while let Some(incoming) = self.links.get_mut(at) {
            if incoming.source.is_some_and(|source| source != key.0) {
                at += 1;
                continue;
            }
            match incoming.read(me, &mut self.ready)? {
                Read::Frame => {
                    if let Some(descriptor) = self.ready.remove(key) {
                        return Ok(Some(descriptor));
                    }
                }
                Read::Drained => at += 1,
                Read::Closed => drop(self.links.swap_remove(at)),
            }
        }
        Ok(None)
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            match net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(link) => {
                    if self.links.len() >= MOST_LINKS {
                        self.links.retain(|incoming| !incoming.at_end());
                    }
                    if self.links.len() < MOST_LINKS {
                        self.links.push(Incoming { link, source: None });
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Err(Error::system("accepting a link")(errno)),
            }
        }
    }
}

impl Incoming {
    fn read(&mut self, me: &Process, ready: &mut HashMap<Key, OwnedFd>) -> Result<Read> {
        if ready.len() >= MOST_READY {
            return Err(Error::TooManyUnredeemed { limit: MOST_READY });
        }
        let mut bytes = [0; SIZE];
        let arrival = match receive_rights(&self.link, &mut bytes) {
            Ok(Some(arrival)) => arrival,
            Err(Errno::AGAIN) => return Ok(Read::Drained),
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => {
                return Err(Error::system("receiving a duplicate (no descriptor is free; it waits)")(errno));
            }
            Ok(None) | Err(_) => return Ok(Read::Closed),
        };
        let frame = if arrival.length == SIZE { Frame::from_bytes(&bytes) } else { None };
        match (frame, arrival.descriptor, self.source) {
            (Some(Frame::Hello(process)), None, None) if self.is_from(&process, me) => {
                self.source = Some((process.pid(), process.tag()));
                Ok(Read::Frame)
            }
            (Some(Frame::Deliver { token, cookie }), Some(descriptor), Some(source)) => {
                match sockopt::socket_cookie(&descriptor) {
                    Ok(arrived) if arrived == cookie => drop(ready.insert((source, token), descriptor)),
                    _ => return Ok(Read::Closed),
                }
                Ok(Read::Frame)
            }
            _ => Ok(Read::Closed),
        }
    }

    /// Whether the kernel agrees that `process` opened this link.
    ///
    /// A process outside of this PID namespace has no id here: then its word is all there is, and that it could
    /// enter the domain.
    fn is_from(&self, process: &Process, me: &Process) -> bool {
        !process.shares_namespace_with(me) || peer_pid(self.link.as_fd()).is_ok_and(|pid| pid == process.pid())
    }

    /// Whether the other side is gone and nothing of it waits.
    fn at_end(&self) -> bool {
        let flags = net::RecvFlags::PEEK | net::RecvFlags::DONTWAIT;
        !matches!(net::recv(&self.link, &mut [0_u8; 1], flags), Ok((1.., _)) | Err(Errno::AGAIN | Errno::INTR))
    }
}

/// Removes the names that processes left when they ended: those whose socket nobody listens on.
fn sweep(domain: &Domain, me: &Process) {
    for name in domain.names() {
        let Some((pid, tag, born)) = parse_name(&name) else { continue };
        if (pid, tag) == (me.pid(), me.tag()) {
            continue;
        }
        // A name that is not yet published may not listen yet: it is stale when its process is gone.
        let alive = || Process::from_pid(pid).is_ok_and(|process| process.tag() == tag);
        let refuses = || seqpacket().is_ok_and(|link| connect_to(&link, domain, &name) == Err(Errno::CONNREFUSED));
        if !(born && alive()) && refuses() {
            domain.remove(&name);
        }
    }
}
