//! Seats: a link to a child that is made before the child, for programs that start children by other means than this library.

use super::endpoint::InnerEndpoint;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::{Process, Target};
use crate::provider::linux::mail::{BIRTH_VARIABLE, MOST_LINKS, SEAT_VARIABLE, Unborn, make_link, remove_names};
use crate::provider::linux::sys::beyond_standard;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{self, sockopt};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::process::Command;

/// Both ends of a link to a child that is yet to be born.
#[derive(Debug)]
pub(crate) struct Seat {
    endpoint: InnerEndpoint,
    ours: OwnedFd,
    theirs: OwnedFd,
    me: Process,
    digest: u32,
}

impl InnerEndpoint {
    pub(crate) fn seat(&self) -> Result<Seat> {
        let (ours, theirs) = make_link().map_err(Error::system("making a child's seat"))?;
        self.with_live(|live| {
            let digest = live.domain.digest();
            Ok(Seat { endpoint: self.clone(), ours, theirs, me: live.me, digest })
        })
    }
}

impl Seat {
    pub(crate) fn variable(&self, number: RawFd) -> Result<(&'static str, String)> {
        let cookie = sockopt::socket_cookie(&self.theirs).map_err(Error::system("describing a child's seat"))?;
        Ok((SEAT_VARIABLE, format!("{number}:{cookie}:{}:{}", self.digest, self.me)))
    }

    /// From now on what is duplicated for the child goes there.
    pub(crate) fn tell(self, child: &impl Target) -> Result<()> {
        let child = self.endpoint.find(child)?;
        let ours = self.ours;
        self.endpoint.with_live(|live| match live.me == self.me {
            true => live.adopt_link(&child, ours),
            false => Err(Error::Forked),
        })
    }
}

impl AsFd for Seat {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.theirs.as_fd()
    }
}

/// Listeners of this process, for the program that it becomes by `exec`.
#[derive(Debug)]
pub(crate) struct Legacy {
    domain: Domain,
    me: Process,
    _sockets: [OwnedFd; 2],
}

impl Legacy {
    pub(crate) fn leave(command: &mut Command, domain: &Domain) -> Result<Self> {
        let refused = Error::system("making an endpoint for another program");
        let me = Process::current()?;
        let unborn = Unborn::new(domain, &me)?;
        let [mail, hand_off] = unborn.sockets();
        let sockets = [beyond_standard(mail).map_err(&refused)?, beyond_standard(hand_off).map_err(&refused)?];
        let backlog = i32::try_from(MOST_LINKS).unwrap_or(i32::MAX);
        for socket in &sockets {
            net::listen(socket, backlog).map_err(&refused)?;
            fcntl_setfd(socket, FdFlags::empty()).map_err(&refused)?;
        }
        command.env(BIRTH_VARIABLE, unborn.describe(sockets.each_ref().map(AsRawFd::as_raw_fd))?);
        let legacy = Legacy { domain: domain.clone(), me, _sockets: sockets };
        unborn.pass_on(&me)?;
        Ok(legacy)
    }
}

impl Drop for Legacy {
    /// The program was not executed.
    fn drop(&mut self) {
        remove_names(&self.domain, &self.me);
    }
}
