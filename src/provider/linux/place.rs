//! The directory of a domain, and what lies in it.

use super::closer::Closer;
use super::commons::{self, Commons};
use crate::digest::digest32;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::Who;
use rustix::fs::{self, Access, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::{getegid, geteuid, getgroups};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Where the descriptors of this process are, also after its first thread has ended.
pub(crate) const DESCRIPTORS: &str = "/proc/thread-self/fd/";

/// The directory.
#[derive(Debug)]
pub(crate) struct Place {
    path: PathBuf,
    folder: OwnedFd,
    digest: u32,
    /// Mode of an endpoint's name, and the group that it must have when others are admitted.
    name_mode: Mode,
    group: Option<rustix::process::Gid>,
    /// The memory that its processes have in common, once it was needed; and that it could not be had.
    commons: OnceLock<Commons>,
    no_commons: AtomicBool,
    /// Sends datagrams to names of the domain.
    sender: OnceLock<OwnedFd>,
    /// Closes what strangers gave.
    closer: Closer,
}

impl Place {
    /// The default: it must not depend on anything that differs between two processes of one user.
    pub(crate) fn open_default() -> Result<Self> {
        let base = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
        let place = Self::open(format!("{base}/sharesock-{}", geteuid().as_raw()).into())?;
        match place.group {
            None => Ok(place),
            Some(_) => Err(Error::UntrustedDomain {
                path: place.path,
                why: "the default domain must be closed to its group: chmod 700 it",
            }),
        }
    }

    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        match fs::mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(Error::system("creating the domain's directory")(errno)),
        }
        let untrusted = |why| Error::UntrustedDomain { path: path.clone(), why };
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let folder = fs::open(&path, flags, Mode::empty()).map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => untrusted("it is not a real directory: name one, or remove what is there"),
            Errno::ACCESS => untrusted("this user may not enter it: ask its owner, or name another domain"),
            errno => Error::system("opening the domain's directory")(errno),
        })?;
        let stat = fs::fstat(&folder).map_err(Error::system("looking at the domain's directory"))?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        if mode.intersects(Mode::RWXO) {
            return Err(untrusted("it is open to everybody: chmod o-rwx it"));
        }
        let group = rustix::process::Gid::from_raw(stat.st_gid);
        let admits_group = mode.contains(Mode::RWXG);
        let is_member = || getegid() == group || getgroups().is_ok_and(|groups| groups.contains(&group));
        if stat.st_uid != geteuid().as_raw() && !(admits_group && is_member()) {
            return Err(untrusted(
                "it belongs to another user and admits no group of this process: name another domain",
            ));
        }
        let digest = digest32(&[&stat.st_dev.to_le_bytes(), &stat.st_ino.to_le_bytes()]);
        let (name_mode, group) = match admits_group {
            true => (Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP, Some(group)),
            false => (Mode::RUSR | Mode::WUSR, None),
        };
        Ok(Place {
            path,
            folder,
            digest,
            name_mode,
            group,
            commons: OnceLock::new(),
            no_commons: AtomicBool::new(false),
            sender: OnceLock::new(),
            closer: Closer::new()?,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn digest(&self) -> u32 {
        self.digest
    }
}

impl Domain {
    /// A path to `name` that is short enough for the address of a Unix socket, however long the domain's own path.
    pub(crate) fn short_path(&self, name: &str) -> PathBuf {
        format!("{DESCRIPTORS}{}/{name}", self.0.folder.as_raw_fd()).into()
    }

    /// Gives a name to the members of the domain alone, then moves it to where they look for it.
    ///
    /// Nobody meets a name before its socket listens: so a name that refuses connections is always stale.
    pub(crate) fn publish(&self, born: &str, name: &str) -> Result<()> {
        let refused = Error::system("publishing an endpoint's name");
        let folder = &self.0.folder;
        if self.0.group.is_some() {
            fs::chownat(folder, born, None, self.0.group, AtFlags::SYMLINK_NOFOLLOW).map_err(&refused)?;
        }
        fs::chmodat(folder, born, self.0.name_mode, AtFlags::empty()).map_err(&refused)?;
        fs::renameat(folder, born, folder, name).map_err(&refused)
    }

    /// Opens the shared file `name`, made for the members of the domain when it does not exist.
    pub(crate) fn open_file(&self, name: &str) -> Result<OwnedFd> {
        let refused = Error::system("opening a file of the domain");
        let folder = &self.0.folder;
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match fs::openat(folder, name, flags | OFlags::CREATE | OFlags::EXCL, self.0.name_mode) {
            Ok(file) => {
                if self.0.group.is_some() {
                    fs::fchown(&file, None, self.0.group).map_err(&refused)?;
                }
                fs::fchmod(&file, self.0.name_mode).map_err(&refused)?;
                Ok(file)
            }
            Err(Errno::EXIST) => fs::openat(folder, name, flags, Mode::empty()).map_err(&refused),
            Err(errno) => Err(refused(errno)),
        }
    }

    /// The memory that the processes of the domain have in common.
    pub(crate) fn commons(&self, words: usize) -> Result<&Commons> {
        if let Some(commons) = self.0.commons.get() {
            return Ok(commons);
        }
        let opened = Commons::open(self, words)?;
        Ok(self.0.commons.get_or_init(|| opened))
    }

    /// Whether it was ever needed; asking does not make it.
    pub(crate) fn has_commons(&self) -> bool {
        let exists = || fs::accessat(&self.0.folder, commons::FILE, Access::EXISTS, AtFlags::empty()).is_ok();
        self.0.commons.get().is_some() || exists()
    }

    /// The same for those who do well without: that the table cannot be used is remembered, so that it costs nothing.
    /// What the system refuses now it may grant later.
    pub(crate) fn commons_if_any(&self, words: usize) -> Option<&Commons> {
        if let Some(commons) = self.0.commons.get() {
            return Some(commons);
        }
        if self.0.no_commons.load(Ordering::Relaxed) {
            return None;
        }
        let opened = self.commons(words);
        self.0.no_commons.store(matches!(opened, Err(Error::BadTable { .. })), Ordering::Relaxed);
        opened.ok()
    }

    /// Whether both are the same directory.
    pub(crate) fn is(&self, other: &Domain) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.digest == other.0.digest
    }

    /// Whether both are clones of one value.
    pub(crate) fn is_same_value(&self, other: &Domain) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The group whose members are admitted.
    pub(crate) fn group(&self) -> Option<u32> {
        self.0.group.map(rustix::process::Gid::as_raw)
    }

    /// What closes descriptors that could make `close` wait, in the process that runs.
    pub(crate) fn closer(&self) -> Closer {
        self.0.closer.here()
    }

    /// Sends a datagram to whoever listens under `name`, without waiting.
    pub(crate) fn send_to(&self, name: &str, bytes: &[u8]) -> Result<(), Errno> {
        let sender = match self.0.sender.get() {
            Some(sender) => sender,
            None => {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                let made = net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
                self.0.sender.get_or_init(|| made)
            }
        };
        net::sendto(sender, bytes, SendFlags::DONTWAIT, &SocketAddrUnix::new(self.short_path(name))?).map(drop)
    }

    /// Removes a name. That it is gone already, or that only its owner may do so, is no mistake.
    pub(crate) fn remove(&self, name: &str) {
        let _ = fs::unlinkat(&self.0.folder, name, AtFlags::empty());
    }

    /// All names in the domain that could be an endpoint's.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::Dir::read_from(&self.0.folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned)).collect()
    }
}

/// The name under which a process listens in its domain.
pub(crate) fn endpoint_name((pid, tag): Who, suffix: &str) -> String {
    format!("{pid}-{tag:08x}{suffix}")
}

/// The name that it has before it listens.
pub(crate) fn birth_name(who: Who, suffix: &str) -> String {
    format!("new-{}", endpoint_name(who, suffix))
}

/// The process that a name made by [`endpoint_name`] or [`birth_name`] is of.
pub(crate) fn parse_name(name: &str) -> Option<Who> {
    split_name(name).map(|(who, _)| who)
}

/// The same, and the suffix.
pub(crate) fn split_name(name: &str) -> Option<(Who, &str)> {
    let rest = name.strip_prefix("new-").unwrap_or(name);
    let (pid, rest) = rest.split_once('-')?;
    let (tag, suffix) = rest.split_at_checked(8)?;
    (matches!(suffix, "" | "-claims" | "-hand-off") || suffix.starts_with("-child-") || suffix.starts_with("-events-"))
        .then_some(())?;
    Some(((pid.parse().ok()?, u32::from_str_radix(tag, 16).ok()?), suffix))
}
