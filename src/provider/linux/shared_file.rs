//! Files of a domain whose bytes its members lock.

use super::private::PrivateDirectory;
use crate::domain::Domain;
use crate::error::{Error, Result};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Somebody else makes and removes a file so often only to keep us.
const ATTEMPTS: usize = 100;

impl Domain {
    /// Opens the shared file `name`, made for the members of the domain when it does not exist.
    pub(crate) fn open_file(&self, name: &str) -> Result<OwnedFd> {
        let refused = Error::system("opening a file of the domain");
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        for _ in 0..ATTEMPTS {
            match fs::openat(self.folder(), name, flags, Mode::empty()) {
                Ok(file) => {
                    let stat = fs::fstat(&file).map_err(&refused)?;
                    return match FileType::from_raw_mode(stat.st_mode) {
                        FileType::RegularFile => Ok(file),
                        _ => Err(self.taken(name, Errno::EXIST)),
                    };
                }
                Err(Errno::NOENT) => self.make_file(name)?,
                Err(errno @ (Errno::ACCESS | Errno::LOOP | Errno::NXIO)) => return Err(self.taken(name, errno)),
                Err(errno) => return Err(refused(errno)),
            }
        }
        Err(refused(Errno::BUSY))
    }

    /// Makes an empty file, which is complete when others see it. That another process was faster is no mistake.
    fn make_file(&self, name: &str) -> Result<()> {
        let refused = Error::system("making a file of the domain");
        let private = PrivateDirectory::new(self)?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
        fs::openat(private.folder(), name, flags, Mode::RUSR | Mode::WUSR).map_err(&refused)?;
        self.admit(&private, name).map_err(&refused)?;
        match private.publish(name, name) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(refused(errno)),
        }
    }

    /// Whether `file` still is what `name` leads to.
    pub(crate) fn is_current(&self, file: &OwnedFd, name: &str) -> bool {
        let named = fs::statat(self.folder(), name, AtFlags::SYMLINK_NOFOLLOW);
        let (Ok(named), Ok(stat)) = (named, fs::fstat(file)) else { return false };
        (named.st_dev, named.st_ino) == (stat.st_dev, stat.st_ino)
    }

    /// The directory, as an open file of its own: to it belong the locks that are taken through it.
    pub(crate) fn reopen(&self) -> Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        fs::openat(self.folder(), ".", flags, Mode::empty()).map_err(Error::system("opening the domain's directory"))
    }
}
