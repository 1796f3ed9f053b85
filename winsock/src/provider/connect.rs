//! Binding, listening, connecting, shutting down; and the names of both sides.

use super::{is_listening, is_stream, socket};
use crate::address::{self, from_caller, is_nowhere, is_unnamed};
use crate::code::{Code, Result};
use crate::memory::{In, Out};
use crate::sock::Sock;
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
    Ok(sock.socket.bind(&address)?)
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
    Ok(sock.socket.as_socket().listen(backlog.checked_abs().unwrap_or(LONGEST_BACKLOG).min(LONGEST_BACKLOG))?)
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
    sock.socket.connect(&address).map_err(|error| match error.raw_os_error() {
        // An attempt that goes on has this code in Winsock.
        Some(libc::EINPROGRESS) => Code::WOULDBLOCK,
        _ => error.into(),
    })
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
        let _ = sock.peer.set(peer);
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
        Ok(peer) => sock.peer.get_or_init(|| peer),
        Err(error) => sock.peer.get().ok_or(error)?,
    };
    address::to_caller(peer, name, length)
}
