//! A connection that is made to see who takes it.

use crate::procfs::connections::Fate;
use crate::system::is_now;
use rustix::event::PollFlags;
use rustix::fs::fstat;
use socket2::SockRef;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time for a connection to be made, and to be taken.
pub(super) const TRIAL: Duration = Duration::from_millis(300);
/// Pause between two looks at who has taken it.
const TRIAL_LOOK: Duration = Duration::from_millis(10);

/// Place at which a listener is reached from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run) enum At {
    Ip(SocketAddr),
    /// A path, or an abstract name.
    Unix(PathBuf),
}

/// A connection that was made.
pub(super) enum Trial {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// The name of a socket as the kernel takes it: an abstract one begins with a zero.
fn socket_name(path: &Path) -> PathBuf {
    match path.as_os_str().as_bytes() {
        [b'@', name @ ..] => OsString::from_vec([b"\0", name].concat()).into(),
        _ => path.to_owned(),
    }
}

impl At {
    pub(super) fn ip(&self) -> Option<SocketAddr> {
        if let At::Ip(address) = self { Some(*address) } else { None }
    }
}

impl Trial {
    /// Connects, if that is possible now.
    pub(super) fn begin(at: &At) -> Option<Self> {
        match at {
            At::Ip(address) => TcpStream::connect_timeout(address, TRIAL).ok().map(Trial::Tcp),
            At::Unix(path) => {
                let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).ok()?;
                // The queue may be full.
                socket.set_nonblocking(true).ok()?;
                let address = socket2::SockAddr::unix(socket_name(path));
                socket.connect(&address.ok()?).ok()?;
                Some(Trial::Unix(std::os::fd::OwnedFd::from(socket).into()))
            }
        }
    }

    pub(super) fn socket(&self) -> SockRef<'_> {
        match self {
            Trial::Tcp(stream) => stream.into(),
            Trial::Unix(stream) => stream.into(),
        }
    }

    /// Its fate by now.
    pub(super) fn fate(&self) -> Fate {
        match self {
            Trial::Tcp(stream) => {
                let ends = stream.peer_addr().ok().zip(stream.local_addr().ok());
                Fate::of(&[ends]).pop().unwrap_or(Fate::Waiting)
            }
            Trial::Unix(stream) if is_now(stream, PollFlags::empty()) => Fate::Over,
            Trial::Unix(stream) => fstat(stream).map_or(Fate::Waiting, |stat| Fate::of_unix(stat.st_ino)),
        }
    }

    /// Its fate, once somebody has taken it, or nobody has for long enough.
    pub(super) fn outcome(&self) -> Fate {
        let until = Instant::now() + TRIAL;
        loop {
            match self.fate() {
                Fate::Waiting if Instant::now() < until => std::thread::sleep(TRIAL_LOOK),
                fate => return fate,
            }
        }
    }
}
