//! Links to other processes: opened once and kept.

use super::{FEW_LINKS, Frame, Mail, Purpose, at_end};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::{Process, Who};
use crate::provider::linux::place::endpoint_name;
use crate::provider::linux::sys::{peer_pid, send_rights};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// The kernel's bound on what waits unread on a link, in bytes; it takes what `wmem_max` allows.
const SEND_BUFFER: usize = 4 << 20;

/// The links of this process over which it delivers, by target.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    links: HashMap<Process, OwnedFd>,
    /// With so many links, those to targets that have ended are closed.
    tidy_at: usize,
}

impl Table {
    /// Keeps a link that was opened, in the place of those that have come to their end.
    fn keep(&mut self, target: &Process, link: OwnedFd) -> &OwnedFd {
        if self.links.len() >= self.tidy_at {
            self.links.retain(|_, link| !at_end(link));
            self.tidy_at = (2 * self.links.len()).max(FEW_LINKS);
        }
        self.links.entry(*target).insert_entry(link).into_mut()
    }
}

impl Links {
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
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || connect(domain, me, target.who(), Purpose::Mail, &[]);
        let sent = match table.links.get(target) {
            Some(link) => match send_rights(link, &frame, descriptors) {
                Err(Errno::PIPE | Errno::CONNRESET) => {
                    // The target closed this link: it ended, or it opened a new endpoint.
                    table.links.remove(target);
                    send_rights(table.keep(target, open()?), &frame, descriptors)
                }
                sent => sent,
            },
            None => send_rights(table.keep(target, open()?), &frame, descriptors),
        };
        sent.map_err(|errno| match errno {
            Errno::AGAIN => Error::QueueFull { pid: target.pid() },
            Errno::TOOMANYREFS => Error::TooManyInFlight,
            Errno::PIPE | Errno::CONNRESET => Error::no_endpoint(target.pid(), domain),
            errno => Error::system("delivering a duplicate")(errno),
        })
    }

    /// Closes all links, in a forked child; those of another thread's call at that moment stay.
    pub(crate) fn abandon(&self) {
        if let Ok(mut table) = self.0.try_lock() {
            table.links.clear();
        }
    }
}

impl Mail {
    pub(crate) fn to_frame(self, gated: bool) -> Frame {
        Frame::Deliver { token: self.token, cookie: self.cookie, expires: self.expires, gated }
    }
}

/// Opens a link to where `target` listens for `purpose`, and says who is there.
///
/// # Errors
/// [`Error::NoEndpoint`] when nobody listens; [`Error::QueueFull`] when too many links wait to be accepted.
pub(crate) fn connect(
    domain: &Domain,
    me: &Process,
    target: Who,
    purpose: Purpose,
    with_hello: &[BorrowedFd<'_>],
) -> Result<OwnedFd> {
    let refused = Error::system("opening a link");
    let pid = target.0;
    let name = endpoint_name(target, purpose.suffix());
    let link = seqpacket().map_err(&refused)?;
    if let Err(errno) = connect_to(&link, domain, &name) {
        return Err(match errno {
            Errno::NOENT => Error::no_endpoint(pid, domain),
            Errno::CONNREFUSED => {
                domain.remove(&name);
                Error::no_endpoint(pid, domain)
            }
            Errno::AGAIN => Error::QueueFull { pid },
            errno => refused(errno),
        });
    }
    // Who listens is the kernel's word, not the name's. Id 0 is a process outside of this PID namespace, of which
    // nothing more can be asked.
    let answered = peer_pid(&link).map_err(&refused)?;
    match Process::from_pid(answered) {
        _ if answered == 0 => {}
        Ok(process) if process.who() == target => {}
        // It ended just now.
        _ if answered == pid => return Err(Error::no_endpoint(pid, domain)),
        _ => return Err(Error::Impostor { pid, answered }),
    }
    sockopt::set_socket_send_buffer_size(&link, SEND_BUFFER).map_err(&refused)?;
    send_rights(&link, &Frame::Hello(*me).to_bytes(), with_hello).map_err(|errno| match errno {
        Errno::PIPE | Errno::CONNRESET => Error::no_endpoint(pid, domain),
        Errno::TOOMANYREFS => Error::TooManyInFlight,
        errno => refused(errno),
    })?;
    Ok(link)
}

pub(super) fn seqpacket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

pub(super) fn connect_to(link: &OwnedFd, domain: &Domain, name: &str) -> rustix::io::Result<()> {
    net::connect(link, &SocketAddrUnix::new(domain.short_path(name))?)
}
