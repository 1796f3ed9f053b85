//! The supervisor's listeners: made once, and passed on for as long as it, or its successor, lives.

use super::report::Report;
use super::spec::Spec;
use crate::address::Address;
use crate::procfs::machine::setting;
use crate::system::remove_stale;
use anyhow::{Context, Result, bail, ensure};
use sharesock::Socket;
use socket2::{Domain, Protocol, SockAddr, Type};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// As many connections wait to be accepted if nothing else is said; the system's own limit holds, too.
const BACKLOG: i32 = 4096;

/// A socket that listens, or, of UDP, is bound.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) spec: Spec,
    pub(crate) socket: Socket,
    /// As `--listen` spells it, with the port that was picked.
    pub(crate) address: String,
    /// It was passed to the supervisor: its path is whose who made it.
    pub(crate) passed: bool,
}

impl Listener {
    pub(crate) fn bind(spec: &Spec) -> Result<Self> {
        let socket = match &spec.place {
            Some(Address::Tcp(address)) => bind_ip(spec, address, Type::STREAM, Protocol::TCP),
            Some(Address::Udp(address)) => bind_ip(spec, address, Type::DGRAM, Protocol::UDP),
            Some(Address::Unix(path)) => bind_unix(spec, path),
            None => {
                bail!(
                    "nobody passed a listener named {}: start this by socket activation, or give an address",
                    spec.name
                )
            }
        };
        let socket = socket.with_context(|| format!("cannot listen on {} for {}", spec.place(), spec.name))?;
        Listener::from_socket(spec.clone(), socket.into(), false)
    }

    /// One that was made by another process.
    pub(crate) fn adopt(spec: &Spec, socket: Socket) -> Result<Self> {
        let listener = Listener::from_socket(spec.clone(), socket, true)?;
        if let Some(Address::Tcp(wanted) | Address::Udp(wanted)) = &spec.place {
            let port = |address: &str| address.rsplit_once(':').map(|(_, port)| port.to_owned()).unwrap_or_default();
            let (wanted, found) = (port(wanted), port(&listener.address));
            ensure!(
                wanted == "0" || wanted == found,
                "the listener named {} that was passed is at {}, not at {}: make them the same, or give {}=inherited",
                spec.name,
                listener.address,
                spec.place(),
                spec.name
            );
        }
        Ok(listener)
    }

    /// One that the predecessor had.
    pub(crate) fn inherit(spec: &Spec, socket: Socket, passed: bool) -> Result<Self> {
        Listener::from_socket(spec.clone(), socket, passed)
    }

    /// The same socket, under another name, or with what can be changed of it changed.
    pub(crate) fn again(&self, spec: &Spec) -> Result<Self> {
        let context = || format!("cannot change {} at {}", self.spec.name, self.address);
        let socket = self.socket.try_clone().with_context(context)?;
        if self.accepts() && spec.backlog != self.spec.backlog {
            socket.as_socket().listen(spec.backlog.unwrap_or(BACKLOG)).with_context(context)?;
        }
        if let (Some(Address::Unix(path)), Some(mode)) =
            (&spec.place, spec.mode.filter(|mode| Some(*mode) != self.spec.mode))
        {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).with_context(context)?;
        }
        Listener::from_socket(spec.clone(), socket, self.passed)
    }

    /// As many connections may wait to be accepted; the system's own limit holds, too.
    pub(crate) fn backlog(&self) -> u64 {
        let limit = setting("net/core/somaxconn");
        u64::from(self.spec.backlog.unwrap_or(BACKLOG).unsigned_abs()).min(limit.unwrap_or(u64::MAX))
    }

    /// The number by which the kernel's tables name it.
    pub(crate) fn inode(&self) -> Option<u64> {
        rustix::fs::fstat(self.socket.as_fd()).ok().map(|stat| stat.st_ino)
    }

    /// Where a connection to it can be made from here.
    pub(crate) fn reached_at(&self) -> Option<SocketAddr> {
        let mut address = self.socket.as_socket().local_addr().ok()?.as_socket()?;
        match address {
            SocketAddr::V4(_) if address.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) if address.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Some(address)
    }

    pub(crate) fn report(&self) -> Report {
        Report::Listening { name: self.spec.name.clone(), address: self.address.clone() }
    }

    fn from_socket(spec: Spec, socket: Socket, passed: bool) -> Result<Self> {
        let bound = socket.as_socket().local_addr().context("asking for the bound address")?;
        let datagrams = socket.as_socket().r#type().context("asking for the kind of socket")? == Type::DGRAM;
        let address = match bound.as_socket() {
            Some(address) if datagrams => format!("udp:{address}"),
            Some(address) => address.to_string(),
            None => bound.as_pathname().map_or_else(|| "unix:".to_owned(), |path| format!("unix:{}", path.display())),
        };
        if spec.nonblock {
            socket.as_socket().set_nonblocking(true).context("making a listener non-blocking")?;
        }
        Ok(Listener { spec, socket, address, passed })
    }

    /// Whether connections can be accepted from it.
    pub(crate) fn accepts(&self) -> bool {
        self.socket.as_socket().is_listener().unwrap_or(false)
    }

    /// The path that must go when nobody listens there any more.
    pub(crate) fn path(&self) -> Option<&Path> {
        match &self.spec.place {
            Some(Address::Unix(path)) if !self.passed => Some(path),
            _ => None,
        }
    }
}

fn bind_ip(spec: &Spec, address: &str, kind: Type, protocol: Protocol) -> Result<socket2::Socket> {
    let mut failure = None;
    for address in address.to_socket_addrs().context("the host is not known")? {
        match bind_at(spec, address, kind, protocol) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = Some(error),
        }
    }
    let failure = failure.context("the host has no address")?;
    match failure.kind() {
        std::io::ErrorKind::AddrInUse => Err(failure).context("the port is in use: stop who has it, or name another"),
        _ => Err(failure.into()),
    }
}

fn bind_at(spec: &Spec, address: SocketAddr, kind: Type, protocol: Protocol) -> std::io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    if spec.reuse_port {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(spec.v6_only)?;
    }
    socket.bind(&address.into())?;
    if kind == Type::STREAM {
        socket.listen(spec.backlog.unwrap_or(BACKLOG))?;
    }
    Ok(socket)
}

fn bind_unix(spec: &Spec, path: &Path) -> Result<socket2::Socket> {
    remove_stale(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(path).context("the path is too long for a socket")?)?;
    if let Some(mode) = spec.mode {
        // Nobody gets in before: it does not listen yet.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    socket.listen(spec.backlog.unwrap_or(BACKLOG))?;
    Ok(socket)
}
