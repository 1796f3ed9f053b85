//! Listeners that a parent makes for its child, and that the child takes over.
//!
//! They are bound in a private directory before the child is born, listened on by the child before its program runs, and
//! named after it by whoever of the two is faster.

use super::Listener;
use super::link::seqpacket;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::directory::{Presence, endpoint_name};
use crate::provider::linux::private::{PrivateDirectory, adopt};
use crate::provider::linux::process::Peer;
use crate::provider::linux::sys::{adopt_link, adopt_listening, peer_credentials};
use rustix::net::{self, SocketAddrUnix, sockopt};
use std::os::fd::{OwnedFd, RawFd};

/// Names the inherited sockets: their numbers and cookies, the domain's digest, the private directory, and the name there.
pub(crate) const BIRTH_VARIABLE: &str = "SHARESOCK_ENDPOINT";

/// Names an inherited link: its number and cookie, the domain's digest, and the process that has the other end.
pub(crate) const SEAT_VARIABLE: &str = "SHARESOCK_SEAT";

/// What the names end with of what a child listens for from birth: duplicates, and sockets that are handed off.
const SUFFIXES: [&str; 2] = ["", "-hand-off"];

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
        let bind = |suffix: &str| -> Result<OwnedFd> {
            let socket = seqpacket().map_err(&refused)?;
            super::listener::bind(domain, &private, &socket, &inner(&name, suffix))?;
            Ok(socket)
        };
        let [mail, hand_off] = SUFFIXES;
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
        for suffix in SUFFIXES {
            let name = endpoint_name(child.who(), suffix);
            match self.domain.publish(&self.private, &inner(&self.name, suffix), &name) {
                Err(Error::System { os_code, .. }) if os_code == rustix::io::Errno::NOENT.raw_os_error() => {}
                Err(_) if listens(&self.domain, &name, child.pid()) => {}
                published => published?,
            }
        }
        Ok(())
    }
}

/// The name that a listener has in the private directory.
fn inner(name: &str, suffix: &str) -> String {
    format!("{name}{suffix}")
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

    /// Takes the listeners over, if they were made for this process in this domain.
    fn inherit(&self, domain: &Domain, me: &Process) -> Result<Option<Listener>> {
        if self.digest != domain.digest() {
            return Ok(None);
        }
        let [mail, hand_off] = self.sockets.map(|(number, cookie)| adopt_listening(number, cookie).ok());
        // A child of the process that it was made for has the descriptor, too, and may be here before it has its names.
        let Some(mail) = mail else { return Ok(None) };
        let [mail_suffix, hand_off_suffix] = SUFFIXES;
        // The parent may have named them. If it was killed before, a sweep may have taken them: nothing has reached them.
        let named = |suffix: &str| {
            let name = endpoint_name(me.who(), suffix);
            let _ = adopt(domain, &self.directory, &inner(&self.name, suffix), &name);
            listens(domain, &name, me.pid()).then_some(name)
        };
        let Some(name) = named(mail_suffix) else { return Ok(None) };
        let mut listener = Listener::of(mail, domain, name)?;
        if let Some((hand_off, name)) = hand_off.and_then(|hand_off| Some((hand_off, named(hand_off_suffix)?))) {
            domain.keep_newborn(hand_off);
            listener.expects_receiver(name);
        }
        Ok(Some(listener))
    }
}

/// The endpoint that was made for this process at its birth, if there is one in this domain.
pub(super) fn inherited(domain: &Domain, me: &Process) -> Result<Option<Listener>> {
    let birth = std::env::var(BIRTH_VARIABLE).ok().and_then(|value| Birth::parse(&value));
    birth.map_or(Ok(None), |birth| birth.inherit(domain, me))
}

/// The link that this process inherited, and whose other end its parent has, if there is one in this domain.
pub(super) fn inherited_link(domain: &Domain, me: &Process) -> Option<(OwnedFd, Process, u32)> {
    let value = std::env::var(SEAT_VARIABLE).ok()?;
    let mut parts = value.splitn(4, ':');
    let (number, cookie) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let (digest, parent): (u32, _) = (parts.next()?.parse().ok()?, parts.next().filter(|text| text.contains(':'))?);
    let parent: Process = parent.parse().ok()?;
    if digest != domain.digest() {
        return None;
    }
    let link = adopt_link(number, cookie).ok()?;
    // Whose link it is, the kernel says, not the variable.
    let peer = Peer::of(&link).ok().filter(|peer| peer.is(&parent, me))?;
    Some((link, parent, peer.uid))
}

/// Removes the names that a process has from its birth.
pub(crate) fn remove_names(domain: &Domain, process: &Process) {
    SUFFIXES.iter().for_each(|suffix| domain.remove(&endpoint_name(process.who(), suffix)));
}

/// The socket that listens for this process's receiver since its birth.
pub(super) fn inherited_receiver(domain: &Domain, name: &str) -> Option<OwnedFd> {
    let socket = domain.take_newborn().filter(|_| domain.presence(name) == Presence::There)?;
    Some(socket.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::linux::sys::{beyond_standard, spawn_listening};
    use std::os::fd::AsRawFd;
    use std::process::Command;

    #[test]
    fn who_inherits_the_listeners_of_another_leaves_them_their_names() {
        let path = std::env::temp_dir().join(format!("sharesock-birth-{}", std::process::id()));
        let domain = Domain::at(&path).unwrap();
        let me = Process::current().unwrap();
        let unborn = Unborn::new(&domain, &me).unwrap();
        let sockets = unborn.sockets().each_ref().map(|socket| beyond_standard(socket).unwrap());
        let mut command = Command::new("sleep");
        let mut child = spawn_listening(command.arg("60"), sockets.each_ref(), 8).unwrap();
        // This process is here before its parent has given the child its names, as a child of the child can be.
        let birth = Birth::parse(&unborn.describe(sockets.each_ref().map(AsRawFd::as_raw_fd)).unwrap()).unwrap();
        assert!(birth.inherit(&domain, &me).unwrap().is_none());
        let process = Process::from_pid(child.id()).unwrap();
        unborn.pass_on(&process).unwrap();
        for suffix in SUFFIXES {
            let presence = |process: &Process| domain.presence(&endpoint_name(process.who(), suffix));
            assert_eq!((presence(&me), presence(&process)), (Presence::NoName, Presence::There));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        std::fs::remove_dir_all(&path).unwrap();
    }
}
