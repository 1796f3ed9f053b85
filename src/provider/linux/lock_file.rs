//! A file of the domain whose bytes are locked.

use super::sys::{lock_range, try_lock_range, unlock_range};
use crate::domain::Domain;
use crate::error::Result;
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;

/// One opening of such a file: to it belong the locks that are taken through it.
#[derive(Debug)]
pub(crate) struct LockFile(OwnedFd);

impl LockFile {
    pub(crate) fn open(domain: &Domain, name: &str) -> Result<Self> {
        domain.open_file(name).map(LockFile)
    }

    /// Waits for the byte at `place`.
    pub(crate) fn lock(&self, place: u64) -> io::Result<()> {
        Ok(lock_range(&self.0, place)?)
    }

    /// Takes the byte at `place` if nobody has it; whether it did.
    pub(crate) fn try_lock(&self, place: u64) -> io::Result<bool> {
        match try_lock_range(&self.0, place) {
            Ok(()) => Ok(true),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(crate) fn unlock(&self, place: u64) -> io::Result<()> {
        Ok(unlock_range(&self.0, place)?)
    }
}
