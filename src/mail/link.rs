//! Links to the endpoints of other processes: opened once and kept.

use super::Token;
use super::frame::Frame;
use crate::domain::{Domain, endpoint_name};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::sys::send_rights;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// The kernel's bound on what waits unread on a link, in bytes; it takes what `wmem_max` allows.
const SEND_BUFFER: usize = 4 << 20;

/// All links of this process to others, by target.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<HashMap<Process, OwnedFd>>);

impl Links {
    /// Sends one duplicate to `target`, opening a link when there is none.
    pub(crate) fn deliver(
        &self,
        domain: &Domain,
        me: &Process,
        target: &Process,
        (token, cookie): (Token, u64),
        descriptor: BorrowedFd<'_>,
    ) -> Result<()> {
        let frame = Frame::Deliver { token, cookie }.to_bytes();
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = match links.get(target) {
            Some(link) => match send_rights(link, &frame, descriptor) {
                Err(Errno::PIPE | Errno::CONNRESET) => {
                    // The target closed this link: it ended, or it opened a new endpoint.
                    links.remove(target);
                    let link = connect(domain, me, target)?;
                    send_rights(links.entry(*target).or_insert(link), &frame, descriptor)
                }
                sent => sent,
            },
            None => {
                let link = connect(domain, me, target)?;
                send_rights(links.entry(*target).or_insert(link), &frame, descriptor)
            }
        };
        sent.map_err(|errno| match errno {
            Errno::AGAIN => Error::QueueFull { target: *target },
            Errno::TOOMANYREFS => Error::TooManyInFlight,
            Errno::PIPE | Errno::CONNRESET => Error::no_endpoint(*target, domain),
            errno => Error::system("delivering a duplicate")(errno),
        })
    }
}

/// Opens a link to the endpoint of `target`, and says who is there.
fn connect(domain: &Domain, me: &Process, target: &Process) -> Result<OwnedFd> {
    let refused = Error::system("opening a link");
    let name = endpoint_name(target.pid(), target.tag());
    let link = seqpacket().map_err(&refused)?;
    if let Err(errno) = connect_to(&link, domain, &name) {
        return Err(match errno {
            Errno::NOENT => Error::no_endpoint(*target, domain),
            Errno::CONNREFUSED => {
                domain.remove(&name);
                Error::no_endpoint(*target, domain)
            }
            Errno::AGAIN => Error::QueueFull { target: *target },
            errno => refused(errno),
        });
    }
    // Who listens is the kernel's word, not the name's. Id 0 is a process outside of this PID namespace.
    let answered = peer_pid(link.as_fd()).map_err(&refused)?;
    if target.shares_namespace_with(me) && answered != target.pid() {
        return Err(Error::Impostor { target: *target, answered });
    }
    sockopt::set_socket_send_buffer_size(&link, SEND_BUFFER).map_err(&refused)?;
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    net::send(&link, &Frame::Hello(*me).to_bytes(), flags).map_err(&refused)?;
    Ok(link)
}

pub(super) fn seqpacket() -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

pub(super) fn connect_to(link: &OwnedFd, domain: &Domain, name: &str) -> rustix::io::Result<()> {
    net::connect(link, &SocketAddrUnix::new(domain.short_path(name))?)
}

/// The id of the process at the other end, as the kernel knows it.
pub(super) fn peer_pid(link: BorrowedFd<'_>) -> rustix::io::Result<u32> {
    let pid = rustix::process::Pid::as_raw(Some(sockopt::socket_peercred(link)?.pid));
    Ok(u32::try_from(pid).unwrap_or(0))
}
