//! Where others reach this process: a listening socket with a name in the domain.

use super::birth::inherited_receiver;
use super::link::{connect_to, seqpacket};
use super::{MOST_LINKS, Purpose};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::{Process, Who};
use crate::provider::linux::closer::Link;
use crate::provider::linux::directory::{Presence, endpoint_name, parse_name};
use crate::provider::linux::private::PrivateDirectory;
use crate::provider::linux::sys::{ForkMark, refuse_descriptors};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// A socket of this process that others connect to; its name goes with it.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Arc<Link>,
    domain: Domain,
    name: String,
    mark: ForkMark,
    /// The name under which sockets are handed off to this process since its birth, whether it opens a receiver or not.
    receiver: Option<String>,
}

impl Listener {
    /// Listens in the domain under the name of this process, and removes the names of processes that have ended.
    pub(crate) fn open(domain: &Domain, me: &Process, purpose: Purpose<'_>) -> Result<Self> {
        let refused = Error::system("opening an endpoint");
        let name = endpoint_name(me.who(), &purpose.suffix());
        match purpose {
            Purpose::Mail => sweep(domain, me),
            Purpose::Claims => {}
            // Only the unnamed one is made at birth.
            Purpose::HandOff(receiver) if !receiver.as_str().is_empty() => {}
            Purpose::HandOff(_) => {
                if let Some(socket) = inherited_receiver(domain, &name) {
                    return Self::of(socket, domain, name);
                }
            }
        }
        let socket = seqpacket().map_err(&refused)?;
        if purpose == Purpose::Claims {
            // Links that are accepted there have it from here.
            refuse_descriptors(&socket);
        }
        let private = PrivateDirectory::new(domain)?;
        bind(domain, &private, &socket, &name)?;
        let backlog = i32::try_from(MOST_LINKS).unwrap_or(i32::MAX);
        net::listen(&socket, backlog).map_err(&refused)?;
        // This process may have executed another program since, which closed what it had there: then its name gives way.
        domain.publish(&private, &name, &name).map_err(|error| match error {
            Error::System { os_code, .. } if os_code == Errno::EXIST.raw_os_error() => purpose.open_already(domain),
            error => error,
        })?;
        Self::of(socket, domain, name)
    }

    /// A socket for datagrams by which others wake owner `number` of registrations in this process.
    pub(crate) fn waker(domain: &Domain, me: &Process, number: u32) -> Result<Self> {
        let refused = Error::system("making a place to be woken at");
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).map_err(&refused)?;
        refuse_descriptors(&socket);
        let name = endpoint_name(me.who(), &waker_suffix(number));
        let private = PrivateDirectory::new(domain)?;
        bind(domain, &private, &socket, &name)?;
        domain.publish(&private, &name, &name)?;
        Self::of(socket, domain, name)
    }

    /// Takes over a socket that listens under `name` already.
    pub(crate) fn of(socket: OwnedFd, domain: &Domain, name: String) -> Result<Self> {
        let mark = ForkMark::new().map_err(Error::system("marking an endpoint"))?;
        let socket = Arc::new(domain.closer().guard_link(socket));
        Ok(Listener { socket, domain: domain.clone(), name, mark, receiver: None })
    }

    /// Takes care of the socket that listens for a receiver which may never be opened.
    pub(super) fn expects_receiver(&mut self, name: String) {
        self.receiver = Some(name);
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
        if let Some(name) = &self.receiver {
            // Nothing when a receiver has it.
            let unopened = self.domain.take_newborn();
            if unopened.is_some() && self.mark.is_mine() {
                self.domain.remove(name);
            }
        }
    }
}

/// Binds a socket to `name` in a private directory, for the members of the domain.
pub(super) fn bind(domain: &Domain, private: &PrivateDirectory, socket: &OwnedFd, name: &str) -> Result<()> {
    let refused = Error::system("opening an endpoint");
    let address = SocketAddrUnix::new(private.short_path(name)).map_err(&refused)?;
    net::bind(socket, &address).map_err(&refused)?;
    domain.admit(private, name).map_err(&refused)
}

/// What the name of such a place ends with.
pub(crate) fn waker_suffix(number: u32) -> String {
    format!("-events-{number}")
}

/// Removes what processes left when they ended: names whose socket nobody listens on, and private directories that nobody
/// holds. What is being made is in a directory that is held.
fn sweep(domain: &Domain, me: &Process) {
    let mut private = None;
    for name in domain.names() {
        if PrivateDirectory::has_name(&name) {
            PrivateDirectory::sweep(domain, &name);
        }
        let Some(who) = parse_name(&name) else { continue };
        if who == me.who() || living(who).is_some() || domain.presence(&name) != Presence::Refuses {
            continue;
        }
        if private.is_none() {
            private = PrivateDirectory::new(domain).ok();
        }
        if let Some(private) = &private {
            let _ = private.bury(&name);
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
