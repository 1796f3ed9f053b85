//! Binding, listening, connecting, shutting down; and the names of both sides.

use super::{is_listening, is_stream, socket};
use crate::address::{self, from_caller, is_nowhere, is_unnamed};
use crate::code::{Code, Result};
use crate::memory::{In, Out};
use crate::sock::Sock;
use rustix::event::PollFlags;
use sharesock::Connection;
use socket2::SockAddr;
use std::net::Shutdown;

/// `SOMAXCONN`, and the largest backlog that `SOMAXCONN_HINT` gives.
const LONGEST_BACKLOG: i32 = 65_535;

fn is_connected(sock: &Sock) -> bool {
    sock.socket.as_socket().peer_addr().is_ok()
}

fn local(sock: &Sock) -> Result<SockAddr> {
    Ok(sock.socket.as_socket().local_addr()?)
}

pub(crate) fn bind(handle: usize, address: In<u8>, length: i32) -> Result<()> {
    let sock = socket(handle)?;
    let address = from_caller(address, length)?;
    let family = sock.socket.as_socket().domain()?;
    if i32::from(address.family()) != i32::from(family) {
        return Err(Code::AFNOSUPPORT);
    }
    sock.socket.bind(&address).map_err(|error| match error.raw_os_error() {
        // A path that cannot be made.
        Some(libc::ENOENT | libc::ENOTDIR | libc::EROFS) => Code::ADDRNOTAVAIL,
        _ => error.into(),
    })
}

pub(crate) fn listen(handle: usize, backlog: i32) -> Result<()> {
    let sock = socket(handle)?;
    if !is_stream(&sock) && super::create::describe(&sock)?.socket_type != 5 {
        return Err(Code::OPNOTSUPP);
    }
    if is_connected(&sock) {
        return Err(Code::ISCONN);
    }
    if is_unnamed(&local(&sock)?) {
        return Err(Code::INVAL);
    }
    // SOMAXCONN_HINT(n) is -n.
    sock.socket.as_socket().listen(backlog.checked_abs().unwrap_or(LONGEST_BACKLOG).min(LONGEST_BACKLOG))?;
    sock.wake();
    Ok(())
}

pub(crate) fn connect(handle: usize, address: In<u8>, length: i32) -> Result<()> {
    let sock = socket(handle)?;
    let address = from_caller(address, length)?;
    if is_listening(&sock) {
        return Err(Code::INVAL);
    }
    if is_stream(&sock) && is_nowhere(&address) {
        return Err(Code::ADDRNOTAVAIL);
    }
    sock.memory().peer = None;
    let done = match is_stream(&sock) && address.as_socket().is_some() && sock.is_blocking() {
        true => connect_and_wait(&sock, &address),
        false => sock.socket.connect(&address).map_err(|error| match error.raw_os_error() {
            // An attempt that goes on has this code in Winsock.
            Some(libc::EINPROGRESS) => Code::WOULDBLOCK,
            _ => error.into(),
        }),
    };
    // Whoever waits for the socket in another thread was not told by the system that there is an attempt now.
    sock.wake();
    done
}

/// Connects a blocking socket. The attempt is begun without waiting, for the system's waiting ends at signals and with
/// the time to send, and does not end when the handle is closed.
fn connect_and_wait(sock: &Sock, address: &SockAddr) -> Result<()> {
    let inner = sock.socket.as_socket();
    inner.set_nonblocking(true)?;
    let begun = sock.socket.connect(address);
    // If somebody has registered the socket meanwhile, it stays as that needs it.
    let _ = sock.socket.set_nonblocking(false);
    match begun {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        done => return Ok(done?),
    }
    while sock.socket.connection() == Some(Connection::Connecting) {
        sock.wait(PollFlags::OUT, None)?;
    }
    // Once more, it says how the attempt went.
    match sock.socket.connect(address) {
        Err(error) if error.raw_os_error() != Some(libc::EISCONN) => Err(error.into()),
        _ => Ok(()),
    }
}

pub(crate) fn shutdown(handle: usize, how: i32) -> Result<()> {
    let sock = socket(handle)?;
    let how = match how {
        0 => Shutdown::Read,
        1 => Shutdown::Write,
        2 => Shutdown::Both,
        _ => return Err(Code::INVAL),
    };
    if is_listening(&sock) {
        return Err(Code::NOTCONN);
    }
    if let Ok(peer) = sock.socket.as_socket().peer_addr() {
        sock.memory().peer = Some(peer);
    }
    match sock.socket.shutdown(how) {
        // A socket for datagrams needs no connection to be shut down.
        Err(error) if error.os_code() == Some(libc::ENOTCONN) && is_stream(&sock) && !was_connected(&sock) => {
            return Err(error.into());
        }
        Err(error) if error.os_code() != Some(libc::ENOTCONN) => return Err(error.into()),
        _ => {}
    }
    sock.note_ended(how != Shutdown::Write, how != Shutdown::Read);
    Ok(())
}

/// Whether it had a connection that has ended since.
fn was_connected(sock: &Sock) -> bool {
    use std::sync::atomic::Ordering::Relaxed;
    sock.receiving_ended.load(Relaxed) || sock.sending_ended.load(Relaxed)
}

pub(crate) fn local_name(handle: usize, name: Out<u8>, length: Out<i32>) -> Result<()> {
    let sock = socket(handle)?;
    if name.is_null() || length.is_null() {
        return Err(Code::FAULT);
    }
    let address = local(&sock)?;
    if address.as_socket().is_some() && is_unnamed(&address) {
        return Err(Code::INVAL);
    }
    address::to_caller(&address, name, length)
}

pub(crate) fn peer_name(handle: usize, name: Out<u8>, length: Out<i32>) -> Result<()> {
    let sock = socket(handle)?;
    if name.is_null() || length.is_null() {
        return Err(Code::FAULT);
    }
    let peer = match sock.socket.as_socket().peer_addr() {
        Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) && is_stream(&sock) => {
            sock.memory().peer.clone().ok_or(error)?
        }
        peer => peer?,
    };
    address::to_caller(&peer, name, length)
}
