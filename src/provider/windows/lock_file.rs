//! A file of the domain whose bytes are locked.

use super::sys::{SharedFile, lock_range, try_lock_range, unlock_range};
use crate::domain::Domain;
use crate::error::{Error, Result};
use std::io;

/// One opening of such a file: to it belong the locks that are taken through it.
#[derive(Debug)]
pub(crate) struct LockFile(SharedFile);

impl LockFile {
    pub(crate) fn open(domain: &Domain, name: &str) -> Result<Self> {
        domain.0.folder().open_shared(name).map(LockFile).map_err(Error::io("opening a file of the domain"))
    }

    /// Waits for the byte at `place`.
    pub(crate) fn lock(&self, place: u64) -> io::Result<()> {
        lock_range(&self.0, place)
    }

    /// Takes the byte at `place` if nobody has it; whether it did.
    pub(crate) fn try_lock(&self, place: u64) -> io::Result<bool> {
        try_lock_range(&self.0, place)
    }

    pub(crate) fn unlock(&self, place: u64) -> io::Result<()> {
        unlock_range(&self.0, place)
    }
}
