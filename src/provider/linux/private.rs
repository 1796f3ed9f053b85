//! A directory in the domain that only this user can enter: what is made there gets its mode and its group before
//! anybody else can see it, and then moves to its place.
//!
//! No mode is changed by a name that another member could replace, and nobody else can make, guess or use a name that is
//! not published yet. Its maker holds a lock on the directory, from whichever PID namespace: one that is not locked was
//! left by a process that has ended, and is swept.

use super::directory::{DESCRIPTORS, Presence};
use crate::domain::Domain;
use crate::error::{Error, Result};
use rustix::fs::{self, AtFlags, FlockOperation, Gid, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

/// What the names of such directories begin with.
const PREFIX: &str = "new-";
/// A sweep may take a directory between its making and its locking.
const ATTEMPTS: usize = 100;

/// A private directory, removed when it is dropped.
#[derive(Debug)]
pub(crate) struct PrivateDirectory {
    domain: Domain,
    name: String,
    folder: OwnedFd,
}

impl PrivateDirectory {
    pub(crate) fn new(domain: &Domain) -> Result<Self> {
        let refused = Error::system("making a private directory in the domain");
        for _ in 0..ATTEMPTS {
            let mut random = [0; 8];
            rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).map_err(&refused)?;
            let name = format!("{PREFIX}{}-{:016x}", std::process::id(), u64::from_le_bytes(random));
            match fs::mkdirat(domain.folder(), &name, Mode::RWXU) {
                Ok(()) => {}
                Err(Errno::EXIST) => continue,
                Err(errno) => return Err(refused(errno)),
            }
            let folder = match open(domain, &name) {
                Ok(folder) => folder,
                Err(Errno::NOENT) => continue,
                Err(errno) => {
                    let _ = fs::unlinkat(domain.folder(), &name, AtFlags::REMOVEDIR);
                    return Err(refused(errno));
                }
            };
            let made = PrivateDirectory { domain: domain.clone(), name, folder };
            if made.is_kept() {
                return Ok(made);
            }
        }
        Err(refused(Errno::BUSY))
    }

    /// Locks it; `false` when a sweep was faster, or when it is not what was made.
    fn is_kept(&self) -> bool {
        let locked = fs::flock(&self.folder, FlockOperation::NonBlockingLockExclusive).is_ok();
        locked
            && fs::fstat(&self.folder).is_ok_and(|stat| {
                let closed = !Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO);
                stat.st_nlink > 0 && stat.st_uid == rustix::process::geteuid().as_raw() && closed
            })
    }

    /// A short path to `name` in it.
    pub(crate) fn short_path(&self, name: &str) -> PathBuf {
        format!("{DESCRIPTORS}{}/{name}", self.folder.as_raw_fd()).into()
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    /// Lets the members of the domain use what is called `name` here.
    pub(crate) fn admit(&self, name: &str, mode: Mode, group: Option<Gid>) -> rustix::io::Result<()> {
        if group.is_some() {
            fs::chownat(&self.folder, name, None, group, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        fs::chmodat(&self.folder, name, mode, AtFlags::empty())
    }

    /// Moves what is called `name` here to where others look for `public`, if nothing is there.
    pub(crate) fn publish(&self, name: &str, public: &str) -> rustix::io::Result<()> {
        move_to(&self.folder, name, self.domain.folder(), public)
    }

    /// Removes the name of a process that has ended. If a living one has taken it meanwhile, it is put back.
    pub(crate) fn bury(&self, public: &str) -> rustix::io::Result<()> {
        const GRAVE: &str = "stale";
        fs::renameat(self.domain.folder(), public, &self.folder, GRAVE)?;
        if self.domain.presence_at(&self.short_path(GRAVE)) != Presence::Refuses {
            let _ = self.publish(GRAVE, public);
        }
        let _ = fs::unlinkat(&self.folder, GRAVE, AtFlags::empty());
        Ok(())
    }

    /// Whether this is the name of such a directory.
    pub(crate) fn has_name(name: &str) -> bool {
        name.starts_with(PREFIX)
    }

    /// Removes the directory `name` if its maker has ended.
    pub(crate) fn sweep(domain: &Domain, name: &str) {
        // Those of other users cannot be opened, and are theirs to sweep.
        let Ok(folder) = open(domain, name) else { return };
        if fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
            drop(PrivateDirectory { domain: domain.clone(), name: name.to_owned(), folder });
        }
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // Mostly it is empty: what was made there has moved.
        if fs::unlinkat(self.domain.folder(), &self.name, AtFlags::REMOVEDIR) != Err(Errno::NOTEMPTY) {
            return;
        }
        for entry in fs::Dir::read_from(&self.folder).into_iter().flatten().flatten() {
            let _ = fs::unlinkat(&self.folder, entry.file_name(), AtFlags::empty());
        }
        let _ = fs::unlinkat(self.domain.folder(), &self.name, AtFlags::REMOVEDIR);
    }
}

/// Moves a name that another process of this user made in its private directory, if nothing is in its place.
pub(crate) fn adopt(domain: &Domain, directory: &str, name: &str, public: &str) -> rustix::io::Result<()> {
    move_to(&open(domain, directory)?, name, domain.folder(), public)
}

fn open(domain: &Domain, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    fs::openat(domain.folder(), name, flags, Mode::empty())
}

fn move_to(from: &OwnedFd, name: &str, to: &OwnedFd, public: &str) -> rustix::io::Result<()> {
    match fs::renameat_with(from, name, to, public, RenameFlags::NOREPLACE) {
        // Some file systems do not know the flag.
        Err(Errno::INVAL | Errno::NOSYS) => {
            fs::linkat(from, name, to, public, AtFlags::empty())?;
            fs::unlinkat(from, name, AtFlags::empty())
        }
        moved => moved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn what_is_alive_is_not_buried_and_what_is_held_is_not_swept() {
        let path = std::env::temp_dir().join(format!("sharesock-private-{}", std::process::id()));
        let domain = Domain::at(&path).unwrap();
        let mut names = ["one", "two"].map(|name| Some((name, UnixListener::bind(path.join(name)).unwrap())));
        names[1] = None;
        let private = PrivateDirectory::new(&domain).unwrap();
        private.bury("one").unwrap();
        private.bury("two").unwrap();
        assert_eq!(private.bury("two"), Err(Errno::NOENT));
        assert_eq!((domain.presence("one"), domain.presence("two")), (Presence::There, Presence::NoName));

        PrivateDirectory::sweep(&domain, private.name());
        assert!(private.is_kept());
        // Its maker ends.
        let name = private.name.clone();
        fs::openat(&private.folder, "left", OFlags::CREATE | OFlags::RDWR, Mode::RUSR).unwrap();
        fs::flock(&private.folder, FlockOperation::Unlock).unwrap();
        PrivateDirectory::sweep(&domain, &name);
        assert!(!private.is_kept());
        assert!(!path.join(&name).exists());
        std::fs::remove_dir_all(&path).unwrap();
    }
}
