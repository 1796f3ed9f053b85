//! Who is at the other end of a link.

use super::find;
use super::handle::{Handle, Seen};
use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::sys::{Credentials, peer_credentials, peer_pidfd};
use rustix::io::Errno;
use std::fs;
use std::os::fd::AsFd;
use std::os::linux::fs::MetadataExt;

/// Who is at the other end of a link, or listens there: what the kernel noted when the link was made.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) uid: u32,
    /// The process; nothing where the kernel keeps none of a process that has ended, or that has no id here.
    pub(crate) handle: Option<Handle>,
    credentials: Credentials,
    seen: Seen,
}

impl Peer {
    pub(crate) fn of(link: impl AsFd) -> Result<Self> {
        let unknown = Error::system("asking who is at the other end of a link");
        let credentials = peer_credentials(&link).map_err(&unknown)?;
        let handle = match peer_pidfd(&link) {
            Ok(pidfd) => Some(Handle::Pidfd(pidfd)),
            Err(errno @ (Errno::MFILE | Errno::NFILE)) => return Err(unknown(errno)),
            // Before Linux 6.5: whoever has the id now, if it is that user's.
            Err(Errno::NOPROTOOPT) => Handle::open(credentials.pid).ok().filter(|_| is_of(credentials)),
            Err(_) => None,
        };
        let seen = match &handle {
            _ if credentials.pid == 0 => Seen::Outside,
            Some(handle) => handle.look()?,
            None => Seen::Ended,
        };
        Ok(Peer { uid: credentials.uid, handle, credentials, seen })
    }

    /// A process that this one started, and named by its id.
    pub(crate) fn of_child(child: &Process) -> Result<Self> {
        let gone = || Error::NoSuchProcess { pid: child.pid() };
        // Of one in a PID namespace below, the id here is not that which it gives itself.
        let handle = Handle::open(child.pid()).map_err(|_| gone())?;
        let seen = handle.look()?;
        match seen {
            Seen::Whole(process) if process == *child => {}
            _ => return Err(gone()),
        }
        let credentials = Credentials { pid: child.pid(), uid: rustix::process::geteuid().as_raw() };
        Ok(Peer { uid: credentials.uid, handle: Some(handle), credentials, seen })
    }

    /// The id that the process has here; 0 is none.
    pub(crate) fn pid(&self) -> u32 {
        self.credentials.pid
    }

    /// Whether it has ended, as far as the kernel tells.
    pub(crate) fn has_ended(&self) -> bool {
        self.seen == Seen::Ended || self.handle.as_ref().is_some_and(Handle::has_ended)
    }

    /// Whether what this process says of itself agrees with all that the kernel knows.
    ///
    /// Of one without an id here, and of one that has ended, that is not all there is to know: then its word is added.
    pub(crate) fn is(&self, claim: &Process, me: &Process) -> bool {
        let foreign = claim.namespace != me.namespace;
        match self.seen {
            Seen::Whole(process) => process == *claim,
            Seen::Part { pid, start } => foreign && *claim == Process::from_parts(pid, start, claim.namespace),
            Seen::Hidden { pid, below } => foreign == below && claim.pid() == pid,
            Seen::Outside => foreign,
            // One that lives is not the one that has ended.
            Seen::Ended => foreign || (claim.pid() == self.credentials.pid && find(claim.pid()).ok() != Some(*claim)),
            Seen::Kernel => false,
        }
    }

    /// The same of a process of which only the id and the tag are known.
    pub(crate) fn may_be(&self, who: crate::process::Who) -> bool {
        match self.seen {
            Seen::Whole(process) => process.who() == who,
            Seen::Part { pid, .. } | Seen::Hidden { pid, .. } => pid == who.0,
            Seen::Outside => true,
            Seen::Ended | Seen::Kernel => false,
        }
    }

    /// Whether who it is rests on nothing but its word: it has ended, and says that it was of another PID namespace.
    pub(crate) fn is_hearsay(&self, claim: &Process, me: &Process) -> bool {
        self.seen == Seen::Ended && claim.namespace != me.namespace
    }
}

fn is_of(credentials: Credentials) -> bool {
    fs::metadata(format!("/proc/{}", credentials.pid)).is_ok_and(|folder| folder.st_uid() == credentials.uid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::linux::process::current;

    #[test]
    fn a_process_that_has_ended_is_not_one_that_lives_with_its_id() {
        let (me, pid) = (current().unwrap(), std::os::unix::process::parent_id());
        let living = find(pid).unwrap();
        let ended = Peer { uid: 0, handle: None, credentials: Credentials { pid, uid: 0 }, seen: Seen::Ended };
        let says = |pid: u32, start: u64| ended.is(&Process::from_parts(pid, start, me.namespace), &me);
        assert!(!ended.is(&living, &me));
        assert!(says(pid, 1) && !says(me.pid(), 1) && !says(u32::MAX, 1));
    }
}
