//! Listeners that a parent makes for its child, and that the child takes over.
//!
//! They are bound in a private directory before the child is born, listened on by the child before its program runs, and
//! named after it by whoever of the two is faster.

use super::link::seqpacket;
use super::{Listener, Purpose};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::place::{Presence, endpoint_name};
use crate::provider::linux::private::{PrivateDirectory, adopt};
use crate::provider::linux::sys::{adopt_listening, peer_credentials};
use rustix::net::{self, SocketAddrUnix, sockopt};
use std::os::fd::{OwnedFd, RawFd};

/// Names the inherited sockets: their numbers and cookies, the domain's digest, the private directory, and the name there.
pub(crate) const BIRTH_VARIABLE: &str = "SHARESOCK_ENDPOINT";

/// What a child listens for from birth: duplicates, and sockets that are handed off.
const PURPOSES: [Purpose; 2] = [Purpose::Mail, Purpose::HandOff];

/// The listeners of a child that is yet to be born.
#[derive(Debug)]
pub(crate) struct Unborn {
    domain: Domain,
    private: PrivateDirectory,
    sockets: [OwnedFd; 2],
    name: String,
}

impl Unborn {
    pub(crate) fn new(domain: &Domain, me: &Process) -> Result<Self> {
        let refused = Error::system("making a child's endpoint");
        let name = endpoint_name(me.who(), "");
        let private = PrivateDirectory::new(domain)?;
        let bind = |purpose: Purpose| -> Result<OwnedFd> {
            let socket = seqpacket().map_err(&refused)?;
            super::listener::bind(domain, &private, &socket, &inner(&name, purpose))?;
            Ok(socket)
        };
        let [mail, hand_off] = PURPOSES;
        let sockets = [bind(mail)?, bind(hand_off)?];
        Ok(Unborn { domain: domain.clone(), private, sockets, name })
    }

    pub(crate) fn sockets(&self) -> &[OwnedFd; 2] {
        &self.sockets
    }

    /// What the child learns of them, when it inherits them under these numbers.
    pub(crate) fn describe(&self, numbers: [RawFd; 2]) -> Result<String> {
        let cookie = |socket| sockopt::socket_cookie(socket).map_err(Error::system("making a child's endpoint"));
        let ([mail, hand_off], [one, two]) = (numbers, &self.sockets);
        let (digest, directory, name) = (self.domain.digest(), self.private.name(), &self.name);
        Ok(format!("{mail}:{}:{hand_off}:{}:{digest}:{directory}:{name}", cookie(one)?, cookie(two)?))
    }

    /// Gives them the names of the child that listens on them. One that was faster has its names already.
    pub(crate) fn pass_on(self, child: &Process) -> Result<()> {
        for purpose in PURPOSES {
            let name = endpoint_name(child.who(), purpose.suffix());
            match self.domain.publish(&self.private, &inner(&self.name, purpose), &name) {
                Err(Error::System { os_code, .. }) if os_code == rustix::io::Errno::NOENT.raw_os_error() => {}
                Err(_) if listens(&self.domain, &name, child.pid()) => {}
                published => published?,
            }
        }
        Ok(())
    }
}

/// The name that a listener has in the private directory.
fn inner(name: &str, purpose: Purpose) -> String {
    format!("{name}{}", purpose.suffix())
}

/// Whether process `pid` listens under `name`.
fn listens(domain: &Domain, name: &str, pid: u32) -> bool {
    let connected = seqpacket().and_then(|link| {
        net::connect(&link, &SocketAddrUnix::new(domain.short_path(name))?)?;
        peer_credentials(&link)
    });
    connected.is_ok_and(|listener| listener.pid == pid)
}

/// What [`Unborn::describe`] says.
struct Birth {
    sockets: [(RawFd, u64); 2],
    digest: u32,
    directory: String,
    name: String,
}

impl Birth {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let mut socket = || Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?));
        let sockets = [socket()?, socket()?];
        let digest = parts.next()?.parse().ok()?;
        let (directory, name) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let plain =
            PrivateDirectory::has_name(&directory) && ![&directory, &name].iter().any(|part| part.contains('/'));
        (plain && parts.next().is_none()).then_some(Birth { sockets, digest, directory, name })
    }
}

/// The endpoint that was made for this process at its birth, if there is one in this domain.
pub(super) fn inherited(domain: &Domain, me: &Process) -> Result<Option<Listener>> {
    let birth = std::env::var(BIRTH_VARIABLE).ok().and_then(|value| Birth::parse(&value));
    let Some(birth) = birth.filter(|birth| birth.digest == domain.digest()) else { return Ok(None) };
    let [mail, hand_off] = birth.sockets.map(|(number, cookie)| adopt_listening(number, cookie).ok());
    // The parent may have named them. If it was killed before, a sweep may have taken them: nothing has reached them.
    let named = |purpose: Purpose| {
        let name = endpoint_name(me.who(), purpose.suffix());
        let _ = adopt(domain, &birth.directory, &inner(&birth.name, purpose), &name);
        listens(domain, &name, me.pid()).then_some(name)
    };
    let (Some(mail), Some(name)) = (mail, named(Purpose::Mail)) else { return Ok(None) };
    let mut listener = Listener::of(mail, domain, name)?;
    if let (Some(hand_off), Some(name)) = (hand_off, named(Purpose::HandOff)) {
        domain.keep_newborn(hand_off);
        listener.expects_receiver(name);
    }
    Ok(Some(listener))
}

/// The socket that listens for this process's receiver since its birth.
pub(super) fn inherited_receiver(domain: &Domain, name: &str) -> Option<OwnedFd> {
    let socket = domain.take_newborn().filter(|_| domain.presence(name) == Presence::There)?;
    Some(socket.into_owned())
}
