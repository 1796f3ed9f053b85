//! Messages between a supervisor and the service manager that started it (`sd_notify`).
//!
//! Messages are datagrams to the socket that `NOTIFY_SOCKET` names. Each is sent by itself, to the address: a manager that
//! started anew under the same address gets the next one. The environment stays as it is, since the successor of an
//! upgrade needs it; [`VARIABLES`] must be kept from children.

use crate::activation::{LISTEN_FDNAMES, LISTEN_FDS, LISTEN_PID, LISTEN_PIDFDID};
use crate::system::inherited::is_name;
use anyhow::{Context, Result, anyhow, ensure};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
    sendmsg_addr, socket_with, sockopt,
};
use rustix::time::{ClockId, clock_gettime};
use std::ffi::{OsStr, OsString};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// Variables for this process alone: children that got them would speak for it, or take its listeners.
pub(crate) const VARIABLES: [&str; 8] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    LISTEN_FDS,
    LISTEN_PID,
    LISTEN_PIDFDID,
    LISTEN_FDNAMES,
    "FDSTORE",
];

/// Largest status, in bytes; systemd takes messages of up to 4096.
const LONGEST_STATUS: usize = 1024;
/// Write timeout of a manager that does not read: the supervisor has other things to do.
const SEND_TIMEOUT: Duration = Duration::from_secs(2);

/// The service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Manager {
    address: Option<Address>,
    watchdog: Option<Duration>,
    /// Number of descriptors that it keeps for us.
    room: u32,
}

#[derive(Debug)]
struct Address {
    socket: OwnedFd,
    to: SocketAddrUnix,
    /// For messages.
    name: OsString,
}

impl Manager {
    /// The one that the environment names.
    pub(crate) fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var_os(name), std::process::id())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<OsString>, me: u32) -> Result<Self> {
        let address = variable("NOTIFY_SOCKET").filter(|name| !name.is_empty()).map(Address::new).transpose()?;
        let number = |name: &str| -> Result<Option<u64>> {
            let Some(value) = variable(name) else { return Ok(None) };
            let number = value.to_str().and_then(|text| text.parse().ok());
            number.map(Some).with_context(|| format!("{name} is {value:?}, which is no number"))
        };
        let period = number("WATCHDOG_USEC")?.filter(|period| (1..u64::MAX).contains(period));
        let is_mine = number("WATCHDOG_PID")?.is_none_or(|pid| pid == u64::from(me));
        let watchdog = period.filter(|_| is_mine && address.is_some()).map(Duration::from_micros);
        // Before version 254 systemd keeps descriptors without saying so; whoever keeps none closes what it is sent.
        let room = number("FDSTORE")?.unwrap_or(u64::MAX);
        let room = if address.is_some() { u32::try_from(room).unwrap_or(u32::MAX) } else { 0 };
        Ok(Manager { address, watchdog, room })
    }

    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        self.address.is_some()
    }

    /// Started, or reloaded.
    pub(crate) fn ready(&self, status: &str) -> Result<()> {
        self.tell(&format!("READY=1\nSTATUS={}", line(status)))
    }

    /// Reloading, until [`ready`](Self::ready) is told. The manager takes the time to know the answer to its own request.
    pub(crate) fn reloading(&self) -> Result<()> {
        let now = clock_gettime(ClockId::Monotonic);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000))
    }

    /// Draining, and then ending.
    pub(crate) fn stopping(&self) -> Result<()> {
        self.tell("STOPPING=1")
    }

    /// Another process goes on for this one.
    pub(crate) fn main_pid(&self, pid: u32) -> Result<()> {
        self.tell(&format!("MAINPID={pid}"))
    }

    /// Text that `systemctl status` shows.
    pub(crate) fn status(&self, text: &str) -> Result<()> {
        self.tell(&format!("STATUS={}", line(text)))
    }

    /// More time than was given for starting, reloading or stopping: so long from now.
    pub(crate) fn extend(&self, time: Duration) -> Result<()> {
        self.tell(&format!("EXTEND_TIMEOUT_USEC={}", time.as_micros()))
    }

    /// Pause between two calls of [`watchdog`](Self::watchdog), if it is wanted: half of the time that the manager waits.
    pub(crate) fn watchdog_period(&self) -> Option<Duration> {
        self.watchdog.map(|period| period / 2)
    }

    /// Still alive.
    pub(crate) fn watchdog(&self) -> Result<()> {
        self.tell("WATCHDOG=1")
    }

    /// Number of descriptors that it offers to keep: without a limit if it does not say.
    pub(crate) fn room(&self) -> u32 {
        self.room
    }

    /// Lets it keep a descriptor, which it passes back under this name when it starts the service anew.
    pub(crate) fn store(&self, name: &str, fd: BorrowedFd<'_>) -> Result<()> {
        ensure!(is_name(name), "the service manager keeps nothing by the name {name:?}");
        self.send(&format!("FDSTORE=1\nFDNAME={name}"), &[fd])
    }

    /// Lets it close what it keeps under this name.
    pub(crate) fn forget(&self, name: &str) -> Result<()> {
        ensure!(is_name(name), "the service manager keeps nothing by the name {name:?}");
        self.tell(&format!("FDSTOREREMOVE=1\nFDNAME={name}"))
    }

    fn tell(&self, message: &str) -> Result<()> {
        self.send(message, &[])
    }

    fn send(&self, message: &str, fds: &[BorrowedFd<'_>]) -> Result<()> {
        let Some(address) = &self.address else { return Ok(()) };
        address.send(message, fds).map_err(|error| {
            let first = message.lines().next().unwrap_or_default();
            anyhow!(error)
                .context(format!("telling the service manager at {} {first}", Path::new(&address.name).display()))
        })
    }
}

impl Address {
    fn new(name: OsString) -> Result<Self> {
        let to = match name.as_bytes() {
            [b'@', abstract_name @ ..] => SocketAddrUnix::new_abstract_name(abstract_name),
            [b'/', ..] => SocketAddrUnix::new(OsStr::as_bytes(&name)),
            _ => Err(Errno::INVAL),
        };
        let to = to.with_context(|| format!("NOTIFY_SOCKET is {name:?}: it must be a path or an abstract name"))?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
        let socket = socket.context("a socket for the service manager")?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(SEND_TIMEOUT)).context("bounding a wait")?;
        Ok(Address { socket, to, name })
    }

    fn send(&self, message: &str, fds: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::TOOBIG);
        }
        // A peer that is gone is an error, not a signal.
        let flags = SendFlags::NOSIGNAL;
        let parts = [IoSlice::new(message.as_bytes())];
        rustix::io::retry_on_intr(|| sendmsg_addr(&self.socket, &self.to, &parts, &mut control, flags)).map(drop)
    }
}

/// A text of which no part is read as another message: a worker may have chosen it.
fn line(text: &str) -> String {
    let one_line = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut length = 0;
    one_line
        .take_while(|letter| {
            length += letter.len_utf8();
            length <= LONGEST_STATUS
        })
        .collect()
}

#[cfg(test)]
#[path = "systemd_tests.rs"]
mod tests;
