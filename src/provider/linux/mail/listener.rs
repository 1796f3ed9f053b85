//! Where others reach this process: a listening socket with a name in the domain.

use super::link::{connect_to, seqpacket};
use super::{MOST_LINKS, Purpose};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::{Process, Who};
use crate::provider::linux::closer::Link;
use crate::provider::linux::place::{birth_name, endpoint_name, parse_name};
use crate::provider::linux::sys::ForkMark;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A socket of this process that others connect to; its name goes with it.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Arc<Link>,
    domain: Domain,
    name: String,
    mark: ForkMark,
}

impl Listener {
    /// Listens in the domain under the name of this process, and removes the names of processes that have ended.
    pub(crate) fn open(domain: &Domain, me: &Process, purpose: Purpose) -> Result<Self> {
        let refused = Error::system("opening an endpoint");
        if purpose == Purpose::Mail {
            sweep(domain, me);
        }
        let name = endpoint_name(me.who(), purpose.suffix());
        // This process may have executed another program since, which closed what it had there.
        if domain.names().contains(&name) && !refuses(domain, &name) {
            return Err(Error::System { doing: purpose.opening_again(), os_code: Errno::EXIST.raw_os_error() });
        }
        let socket = seqpacket().map_err(&refused)?;
        let unborn = Self::bind(domain, socket, birth_name(me.who(), purpose.suffix()))?;
        let backlog = i32::try_from(MOST_LINKS).unwrap_or(i32::MAX);
        net::listen(&*unborn.socket, backlog).map_err(&refused)?;
        domain.publish(&unborn.name, &name)?;
        Ok(unborn.renamed(name))
    }

    /// A socket for datagrams by which others wake owner `number` of registrations in this process.
    pub(crate) fn bell(domain: &Domain, me: &Process, number: u32) -> Result<Self> {
        let refused = Error::system("making a place to be woken at");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).map_err(&refused)?;
        let unborn = Self::bind(domain, socket, birth_name(me.who(), &bell_suffix(number)))?;
        let name = endpoint_name(me.who(), &bell_suffix(number));
        domain.publish(&unborn.name, &name)?;
        Ok(unborn.renamed(name))
    }

    /// A socket for a child that is yet to be born: its name says that it is this process's to remove.
    pub(crate) fn unborn(domain: &Domain, me: &Process) -> Result<Self> {
        let refused = Error::system("making a child's endpoint");
        let socket = seqpacket().map_err(&refused)?;
        let cookie = sockopt::socket_cookie(&socket).map_err(&refused)?;
        Self::bind(domain, socket, birth_name(me.who(), &format!("-child-{cookie}")))
    }

    fn bind(domain: &Domain, socket: OwnedFd, born: String) -> Result<Self> {
        let refused = Error::system("opening an endpoint");
        domain.remove(&born);
        let address = SocketAddrUnix::new(domain.short_path(&born)).map_err(&refused)?;
        net::bind(&socket, &address).map_err(&refused)?;
        Self::of(socket, domain, born)
    }

    /// Gives the socket's name to the child that listens on it.
    pub(crate) fn pass_on(self, name: &str) {
        let _ = self.domain.publish(&self.name, name);
        let socket = self.socket.clone();
        drop(self);
        // It is the child's: this process closes its descriptor, and does not end it.
        drop(Arc::into_inner(socket).map(Link::into_owned));
    }

    fn renamed(mut self, name: String) -> Self {
        self.name = name;
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Takes over a socket that listens under `name` already.
    pub(crate) fn of(socket: OwnedFd, domain: &Domain, name: String) -> Result<Self> {
        let mark = ForkMark::new().map_err(Error::system("marking an endpoint"))?;
        Ok(Listener { socket: Arc::new(domain.closer().guard_link(socket)), domain: domain.clone(), name, mark })
    }

    /// Readable when another process has opened a link.
    pub(crate) fn descriptor(&self) -> &Arc<Link> {
        &self.socket
    }

    /// The next link that another process opened, or nothing when there is none.
    pub(crate) fn accept(&self) -> Result<Option<OwnedFd>> {
        loop {
            match net::accept_with(&*self.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(link) => return Ok(Some(link)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Err(Error::system("accepting a link")(errno)),
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // In a forked child the name still belongs to the parent.
        if self.mark.is_mine() {
            self.domain.remove(&self.name);
        }
    }
}

/// What the name of such a place ends with.
pub(crate) fn bell_suffix(number: u32) -> String {
    format!("-events-{number}")
}

/// Removes the names that processes left when they ended: those whose socket nobody listens on.
fn sweep(domain: &Domain, me: &Process) {
    for name in domain.names() {
        let Some(who) = parse_name(&name) else { continue };
        if who != me.who() && living(who).is_none() && refuses(domain, &name) {
            domain.remove(&name);
        }
    }
}

/// The process, if it is seen to live: then it need not be bothered. One that is not may live in another PID namespace:
/// its name is stale when that [refuses].
pub(crate) fn living(who: Who) -> Option<Process> {
    Process::from_pid(who.0).ok().filter(|process| process.who() == who)
}

/// Whether nobody listens under a name.
pub(crate) fn refuses(domain: &Domain, name: &str) -> bool {
    seqpacket().is_ok_and(|link| connect_to(&link, domain, name) == Err(Errno::CONNREFUSED))
}
