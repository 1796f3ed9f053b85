//! Making the sockets of listeners.

use super::{BACKLOG, Resolved};
use crate::address::{Address, parts};
use crate::run::spec::Spec;
use crate::system::{explain_bind, find_stale, is_abstract, remove_stale};
use anyhow::{Context, Result, bail};
use rustix::fs::{Access, access};
use socket2::{Domain, Protocol, SockAddr, Type};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A socket that was bound, and the addresses of its host that were not.
type Bound = (socket2::Socket, Vec<SocketAddr>);

/// A socket for what is asked for; `addresses` is what its host stands for.
pub(super) fn bind(spec: &Spec, place: &Address, addresses: &io::Result<Vec<SocketAddr>>) -> Result<Bound> {
    match place {
        Address::Tcp(address) => bind_ip(spec, is_everywhere(address), addresses, Type::STREAM, listen_at),
        Address::Udp(address) => bind_ip(spec, is_everywhere(address), addresses, Type::DGRAM, listen_at),
        Address::Unix(path) => Ok((bind_unix(spec, path)?, Vec::new())),
    }
}

/// Tries whether there could be such a socket now. Nobody can connect to it meanwhile, and no path is touched.
pub(in crate::run) fn try_bind(spec: &Spec, resolved: &Resolved) -> Result<()> {
    let try_ip = |address: &String, kind| match resolved.get(address) {
        Some(addresses) => bind_ip(spec, is_everywhere(address), addresses, kind, bind_at).map(drop),
        None => Ok(()),
    };
    match &spec.place {
        Some(Address::Tcp(address)) => try_ip(address, Type::STREAM),
        Some(Address::Udp(address)) => try_ip(address, Type::DGRAM),
        Some(Address::Unix(path)) if !is_abstract(path) => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            access(folder, Access::WRITE_OK | Access::EXEC_OK)
                .with_context(|| format!("a socket cannot be made in {}", folder.display()))?;
            find_stale(path).map(drop)
        }
        Some(Address::Unix(_)) | None => Ok(()),
    }
}

/// Whether `HOST:PORT` means all addresses, of IPv6 and of IPv4.
fn is_everywhere(address: &str) -> bool {
    parts(address).is_some_and(|(host, _)| host.is_empty())
}

/// Makes a socket at an address.
type Make = fn(&Spec, SocketAddr, Type) -> io::Result<socket2::Socket>;

fn bind_ip(
    spec: &Spec,
    everywhere: bool,
    addresses: &io::Result<Vec<SocketAddr>>,
    kind: Type,
    make: Make,
) -> Result<Bound> {
    let addresses = match addresses {
        Ok(addresses) => addresses,
        Err(error) => bail!("the host is not known: {error}; is its name right, and can this machine look it up?"),
    };
    let udp = if kind == Type::DGRAM { "udp:" } else { "" };
    let explain = |error, address: &SocketAddr| explain_bind(error, &format!("{udp}{address}"));
    let mut failure = None;
    for address in addresses {
        match make(spec, *address, kind) {
            Ok(socket) => {
                let others = addresses.iter().filter(|other| *other != address && !everywhere).copied().collect();
                return Ok((socket, others));
            }
            // The address of IPv4 is for machines without IPv6, and not for ports that are in use.
            Err(error) if everywhere && !has_no_such_address(&error) => {
                return Err(explain(error, address));
            }
            Err(error) => failure = Some(explain(error, address)),
        }
    }
    Err(failure.context("the host has no address")?)
}

fn has_no_such_address(error: &io::Error) -> bool {
    let unsupported = error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    unsupported || error.kind() == ErrorKind::AddrNotAvailable
}

pub(super) fn listen_at(spec: &Spec, address: SocketAddr, kind: Type) -> io::Result<socket2::Socket> {
    let socket = bind_at(spec, address, kind)?;
    if kind == Type::STREAM {
        socket.listen(spec.backlog.unwrap_or(BACKLOG))?;
    }
    Ok(socket)
}

fn bind_at(spec: &Spec, address: SocketAddr, kind: Type) -> io::Result<socket2::Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
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
    Ok(socket)
}

pub(super) fn bind_unix(spec: &Spec, path: &Path) -> Result<socket2::Socket> {
    remove_stale(path)?;
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let bound = socket.bind(&SockAddr::unix(as_bound(path)).context("the path is too long for a socket")?);
    match bound {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            return Err(error).context("the name is in use: stop who has it, or choose another");
        }
        bound => bound?,
    }
    // Nobody gets in before: it does not listen yet.
    set_permissions(spec, path).inspect_err(|_| _ = std::fs::remove_file(path))?;
    socket.listen(spec.backlog.unwrap_or(BACKLOG))?;
    Ok(socket)
}

/// Gives a path its owner, group and mode.
pub(super) fn set_permissions(spec: &Spec, path: &Path) -> Result<()> {
    if spec.owner.is_some() || spec.group.is_some() {
        std::os::unix::fs::chown(path, spec.owner, spec.group).context("giving the path its owner and group")?;
    }
    if let Some(mode) = spec.mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).context("giving the path its mode")?;
    }
    Ok(())
}

/// As `bind` takes it: an abstract name begins with a zero byte.
fn as_bound(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().as_bytes().to_vec();
    if let (true, Some(first)) = (is_abstract(path), name.first_mut()) {
        *first = 0;
    }
    OsString::from_vec(name).into()
}
