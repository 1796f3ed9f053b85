//! A file of the domain whose bytes are locked.

use super::sys::{lock_range, locked_by_others, try_lock_range, try_share_range, unlock_range};
use crate::domain::Domain;
use crate::error::Result;
use rustix::io::Errno;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Places of locks on the directory below this are those of locked files.
const PLACES: u64 = 1 << 62;
/// Between two attempts when the file was removed while others have it locked.
const PAUSE: Duration = Duration::from_millis(2);

/// One opening of such a file: to it belong the locks that are taken through it.
///
/// The file may be removed, and made anew, while bytes of the first are locked. So whoever has locked a byte shows it by
/// a shared lock on the directory, which cannot be removed, and has it only when nobody else shows it.
#[derive(Debug)]
pub(crate) struct LockFile {
    domain: Domain,
    name: &'static str,
    file: Mutex<OwnedFd>,
    folder: OwnedFd,
}

/// What became of an attempt to show a lock.
enum Shown {
    Alone,
    /// Somebody has the same byte of another file of this name.
    WithOthers,
    /// The file was not the one that others open any more; now it is.
    Reopened,
}

impl LockFile {
    pub(crate) fn open(domain: &Domain, name: &'static str) -> Result<Self> {
        let (file, folder) = (Mutex::new(domain.open_file(name)?), domain.reopen()?);
        Ok(LockFile { domain: domain.clone(), name, file, folder })
    }

    /// Waits for the byte at `place`.
    pub(crate) fn lock(&self, place: u64) -> io::Result<()> {
        loop {
            let mut file = self.file();
            lock_range(&file, place)?;
            match self.show(&mut file, place)? {
                Shown::Alone => return Ok(()),
                Shown::Reopened => {}
                Shown::WithOthers => {
                    drop(file);
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }

    /// Takes the byte at `place` if nobody has it; whether it did.
    pub(crate) fn try_lock(&self, place: u64) -> io::Result<bool> {
        loop {
            let mut file = self.file();
            match try_lock_range(&file, place) {
                Ok(()) => {}
                Err(Errno::AGAIN | Errno::ACCESS) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
            match self.show(&mut file, place)? {
                Shown::Alone => return Ok(true),
                Shown::WithOthers => return Ok(false),
                Shown::Reopened => {}
            }
        }
    }

    pub(crate) fn unlock(&self, place: u64) -> io::Result<()> {
        unlock_range(&self.folder, place % PLACES)?;
        Ok(unlock_range(&self.file(), place)?)
    }

    fn file(&self) -> MutexGuard<'_, OwnedFd> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows that a byte is locked here. It is not any more unless nobody else shows the same.
    fn show(&self, file: &mut OwnedFd, place: u64) -> io::Result<Shown> {
        if !self.domain.is_current(file, self.name) {
            unlock_range(file, place)?;
            let reopened = self.domain.open_file(self.name);
            *file = reopened.map_err(|error| io::Error::from_raw_os_error(error.os_code().unwrap_or(libc::EACCES)))?;
            return Ok(Shown::Reopened);
        }
        // Shown first: of two who are at it at once, at least one sees the other.
        let here = place % PLACES;
        try_share_range(&self.folder, here)?;
        if locked_by_others(&self.folder, here, here)?.is_none() {
            return Ok(Shown::Alone);
        }
        unlock_range(&self.folder, here)?;
        unlock_range(file, place)?;
        Ok(Shown::WithOthers)
    }
}
