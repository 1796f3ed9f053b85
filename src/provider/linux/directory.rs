//! The directory of a domain, and what lies in it.

use super::closer::{Closer, Link};
use super::private::PrivateDirectory;
use super::shared_segment::{SharedSegment, Wait};
use super::trust;
use crate::digest::digest32;
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::Who;
use rustix::fs::{self, AtFlags, Mode};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::geteuid;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Somebody else changes a name of the domain so often only to keep us.
const ATTEMPTS: usize = 100;
/// Milliseconds until memory that could not be had is asked for again.
const ASK_AGAIN: u64 = 10;

/// Where the descriptors of this process are, also after its first thread has ended.
pub(crate) const DESCRIPTORS: &str = "/proc/thread-self/fd/";

/// The directory.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    folder: OwnedFd,
    identity: (u64, u64),
    digest: u32,
    /// Mode of an endpoint's name, and the group that it must have when others are admitted.
    name_mode: Mode,
    group: Option<rustix::process::Gid>,
    /// The memory that its processes have in common, once it was needed; and when to ask again if it could
    /// not be had, in milliseconds.
    shared_segment: OnceLock<SharedSegment>,
    ask_again: AtomicU64,
    /// Sends datagrams to names of the domain.
    sender: OnceLock<OwnedFd>,
    /// Closes what strangers gave.
    closer: Closer,
    /// A socket that listens since this process was born, for the receiver that is yet to be opened.
    newborn: Mutex<Option<Link>>,
}

/// Whether somebody is there under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// A socket is bound to it, in a process that lives.
    There,
    /// The kernel says that no socket is bound to it any more.
    Refuses,
    /// There is no such name.
    NoName,
    /// The kernel does not tell this process.
    Unknown,
}

impl Directory {
    /// The default: it must not depend on anything that differs between two processes of one user.
    pub(crate) fn open_default() -> Result<Self> {
        let base = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
        let place = Self::open(format!("{base}/sharesock-{}", geteuid().as_raw()).into())?;
        match place.group {
            None => Ok(place),
            Some(_) => Err(Error::UntrustedDomain {
                path: place.path,
                why: "the default domain must be closed to its group: chmod 700 it".into(),
            }),
        }
    }

    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let trust::Trusted { folder, identity: (device, inode), group } = trust::open(&path)?;
        let digest = digest32(&[&device.to_le_bytes(), &inode.to_le_bytes()]);
        let name_mode = match group {
            Some(_) => Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP,
            None => Mode::RUSR | Mode::WUSR,
        };
        Ok(Directory {
            path,
            folder,
            identity: (device, inode),
            digest,
            name_mode,
            group,
            shared_segment: OnceLock::new(),
            ask_again: AtomicU64::new(0),
            sender: OnceLock::new(),
            closer: Closer::new()?,
            newborn: Mutex::default(),
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

    /// The directory itself.
    pub(crate) fn folder(&self) -> &OwnedFd {
        &self.0.folder
    }

    /// Its device and inode.
    pub(crate) fn identity(&self) -> (u64, u64) {
        self.0.identity
    }

    /// Lets the members of the domain, and nobody else, use what is called `name` in a private directory.
    pub(crate) fn admit(&self, private: &PrivateDirectory, name: &str) -> rustix::io::Result<()> {
        private.admit(name, self.0.name_mode, self.0.group)
    }

    /// Moves the socket `born` from a private directory to where others look for it. A stale name gives way.
    ///
    /// The socket listens already: so a name that refuses connections is always stale.
    ///
    /// # Errors
    /// [`Error::NameTaken`] when another user holds the name, [`Error::System`] with `EEXIST` when a socket of this user
    /// has it.
    pub(crate) fn publish(&self, private: &PrivateDirectory, born: &str, name: &str) -> Result<()> {
        for _ in 0..ATTEMPTS {
            match private.publish(born, name) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(Error::system("publishing an endpoint's name")(errno)),
            }
            match self.presence(name) {
                Presence::NoName => {}
                Presence::Refuses => match private.bury(name) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(errno) => return Err(self.taken(name, errno)),
                },
                Presence::There | Presence::Unknown => return Err(self.taken(name, Errno::EXIST)),
            }
        }
        Err(self.taken(name, Errno::EXIST))
    }

    /// Why a name cannot be had.
    pub(crate) fn taken(&self, name: &str, errno: Errno) -> Error {
        match fs::statat(&self.0.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if stat.st_uid != geteuid().as_raw() => {
                Error::NameTaken { path: self.path().join(name), uid: stat.st_uid }
            }
            _ => Error::system("publishing an endpoint's name")(errno),
        }
    }

    /// Whether a socket is bound to `name`, by the kernel's word. A listener sees a link that ends at once.
    pub(crate) fn presence(&self, name: &str) -> Presence {
        self.presence_at(&self.short_path(name))
    }

    /// The same for a short path.
    pub(crate) fn presence_at(&self, path: &Path) -> Presence {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let connected = net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
            .and_then(|link| net::connect(&link, &SocketAddrUnix::new(path)?));
        match connected {
            // Its queue is full, or it is of another type, such as a socket for datagrams.
            Ok(()) | Err(Errno::AGAIN | Errno::PROTOTYPE) => Presence::There,
            Err(Errno::CONNREFUSED) => Presence::Refuses,
            Err(Errno::NOENT) => Presence::NoName,
            Err(_) => Presence::Unknown,
        }
    }

    /// Keeps a socket that listens for this process's receiver until that is opened.
    pub(crate) fn keep_newborn(&self, socket: OwnedFd) {
        let socket = self.closer().guard_link(socket);
        *self.0.newborn.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    }

    pub(crate) fn take_newborn(&self) -> Option<Link> {
        self.0.newborn.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The memory that the processes of the domain have in common, made if nobody has it.
    pub(crate) fn shared_segment(&self, words: usize) -> Result<&SharedSegment> {
        self.shared_segment_within(words, Wait::Patient)
    }

    fn shared_segment_within(&self, words: usize, wait: Wait) -> Result<&SharedSegment> {
        if let Some(shared_segment) = self.0.shared_segment.get() {
            return Ok(shared_segment);
        }
        let opened = SharedSegment::open(self, words, wait)?;
        Ok(self.0.shared_segment.get_or_init(|| opened))
    }

    /// The same, if somebody has it.
    pub(crate) fn shared_segment_if_made(&self, words: usize) -> Result<Option<&SharedSegment>> {
        if let Some(shared_segment) = self.0.shared_segment.get() {
            return Ok(Some(shared_segment));
        }
        let existing = SharedSegment::existing(self, words)?;
        Ok(existing.map(|shared_segment| self.0.shared_segment.get_or_init(|| shared_segment)))
    }

    /// The same as [`shared_segment`](Domain::shared_segment), for those who do well without: they do not wait, and do not ask
    /// again at once when it cannot be used.
    pub(crate) fn shared_segment_if_any(&self, words: usize) -> Option<&SharedSegment> {
        if let Some(shared_segment) = self.0.shared_segment.get() {
            return Some(shared_segment);
        }
        let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        let now =
            u64::try_from(Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?).as_millis()).ok()?;
        if now < self.0.ask_again.load(Ordering::Relaxed) {
            return None;
        }
        let opened = self.shared_segment_within(words, Wait::No);
        // What the system refuses now it may grant at once.
        if matches!(opened, Err(Error::BadTable { .. })) {
            self.0.ask_again.store(now + ASK_AGAIN, Ordering::Relaxed);
        }
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

/// The process that a name made by [`endpoint_name`] is of.
pub(crate) fn parse_name(name: &str) -> Option<Who> {
    split_name(name).map(|(who, _)| who)
}

/// The same, and the suffix.
pub(crate) fn split_name(name: &str) -> Option<(Who, &str)> {
    let (pid, rest) = name.split_once('-')?;
    let (tag, suffix) = rest.split_at_checked(8)?;
    let is_ours = matches!(suffix, "" | "-claims") || is_receiver(suffix) || suffix.starts_with("-events-");
    is_ours.then_some(())?;
    Some(((pid.parse().ok()?, u32::from_str_radix(tag, 16).ok()?), suffix))
}

/// Whether names with this suffix are those of receivers, named ones among them.
pub(crate) fn is_receiver(suffix: &str) -> bool {
    suffix.strip_prefix("-hand-off").is_some_and(|name| name.is_empty() || name.starts_with('-'))
}
