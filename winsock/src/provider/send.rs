//! Sending.

use super::{is_stream, socket};
use crate::code::{Code, Result};
use crate::sock::Sock;
use crate::transfer::{Buffers, send as give};
use rustix::event::PollFlags;
use sharesock::Connection;
use socket2::SockAddr;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

/// Flags by Winsock's numbers.
const OOB: i32 = 0x1;
const DONTROUTE: i32 = 0x4;
const PARTIAL: i32 = 0x8000;
const KNOWN: i32 = OOB | DONTROUTE | PARTIAL;

/// Sends: how many bytes. A blocking stream sends all of them.
pub(crate) fn send(handle: usize, buffers: &mut Buffers, flags: i32, to: Option<&SockAddr>) -> Result<u32> {
    let sock = socket(handle)?;
    if flags & !KNOWN != 0 {
        return Err(Code::OPNOTSUPP);
    }
    if sock.sending_ended.load(Ordering::Relaxed) {
        return Err(Code::SHUTDOWN);
    }
    let mut system = 0;
    let mut also = |ours: i32, theirs: i32| {
        if flags & ours != 0 {
            system |= theirs
        }
    };
    also(OOB, libc::MSG_OOB);
    also(DONTROUTE, libc::MSG_DONTROUTE);
    // A connected stream has one address to send to.
    let to = to.filter(|_| !is_stream(&sock));
    let length = buffers.length();
    let mut sent = 0;
    loop {
        let left = length - sent;
        let attempt = || sock.socket.sending(left, |socket| give(socket.as_fd(), buffers, system, to));
        match sock.block(PollFlags::OUT, socket2::Socket::write_timeout, attempt) {
            Ok(some) => sent += some,
            // What was sent before is told first.
            Err(_) if sent > 0 => break,
            Err(code) => return Err(told(&sock, code)),
        }
        if sent >= length || !sock.is_blocking() {
            break;
        }
        buffers.advance(sent - (length - left));
    }
    Ok(u32::try_from(sent).unwrap_or(u32::MAX))
}

/// A connection that is over for sending: by this side's own doing, through whatever descriptor, or by the other's.
fn told(sock: &Sock, code: Code) -> Code {
    match (code, sock.socket.connection()) {
        (Code::CONNRESET, Some(Connection::Open | Connection::Ended)) => Code::SHUTDOWN,
        (Code::CONNRESET, Some(Connection::Never)) | (Code::DESTADDRREQ, _) => Code::NOTCONN,
        (Code::CONNRESET, None) if !is_stream(sock) => Code::SHUTDOWN,
        _ => code,
    }
}
