//! Receiving.

use super::{is_stream, socket};
use crate::address::{is_unnamed, to_caller};
use crate::code::{Code, Result};
use crate::memory::Out;
use crate::sock::Sock;
use crate::transfer::{Buffers, Received, receive as take};
use rustix::event::PollFlags;
use sharesock::{Connection, NetworkEvents};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

/// Flags by Winsock's numbers.
const OOB: i32 = 0x1;
const PEEK: i32 = 0x2;
const WAITALL: i32 = 0x8;
const PUSH_IMMEDIATE: i32 = 0x20;
const PARTIAL: i32 = 0x8000;
const KNOWN: i32 = OOB | PEEK | WAITALL | PUSH_IMMEDIATE | PARTIAL;

/// Receives: how many bytes, and the flags that came with them.
pub(crate) fn receive(
    handle: usize,
    buffers: &mut Buffers,
    flags: i32,
    from: Option<(Out<u8>, Out<i32>)>,
) -> Result<(u32, i32)> {
    let sock = socket(handle)?;
    if flags & !KNOWN != 0 {
        return Err(Code::OPNOTSUPP);
    }
    let mut system = 0;
    let mut also = |ours: i32, theirs: i32| {
        if flags & ours != 0 {
            system |= theirs
        }
    };
    also(OOB, libc::MSG_OOB);
    also(PEEK, libc::MSG_PEEK);
    let wanted = buffers.length();
    let asks_all = flags & WAITALL != 0;
    if asks_all && !is_stream(&sock) {
        return Err(Code::OPNOTSUPP);
    }
    if let Some((place, length)) = from {
        check_room_for(&sock, place, length)?;
    }
    let mut received = once(&sock, buffers, system, from.is_some())?;
    let mut last = received.length;
    while asks_all && flags & PEEK == 0 && last > 0 && received.length < wanted && sock.is_blocking() {
        buffers.advance(last);
        // What has come before is not lost when no more comes.
        let Ok(more) = once(&sock, buffers, system, false) else { break };
        last = more.length;
        received.length += last;
    }
    if let (Some((place, length)), Some(address)) = (from, &received.from) {
        to_caller(address, place, length)?;
    }
    if received.flags & libc::MSG_TRUNC != 0 {
        return Err(Code::MSGSIZE);
    }
    let flags = if received.flags & libc::MSG_OOB != 0 { OOB } else { 0 };
    Ok((u32::try_from(received.length).unwrap_or(u32::MAX), flags))
}

/// Whether the address of a sender would fit: a datagram whose sender cannot be told is not taken.
fn check_room_for(sock: &Sock, place: Out<u8>, length: Out<i32>) -> Result<()> {
    if length.is_null() {
        return Ok(());
    }
    let least = match super::create::describe(sock)?.address_family {
        2 => size_of::<libc::sockaddr_in>(),
        23 => size_of::<libc::sockaddr_in6>(),
        _ => 0,
    };
    let room = usize::try_from(length.get()?).map_err(|_| Code::FAULT)?;
    if !place.is_null() && room < least { Err(Code::FAULT) } else { Ok(()) }
}

fn once(sock: &Sock, buffers: &mut Buffers, flags: i32, from: bool) -> Result<Received> {
    if sock.receiving_ended.load(Ordering::Relaxed) {
        return Err(Code::SHUTDOWN);
    }
    let urgent = flags & libc::MSG_OOB != 0;
    let (event, waits_for) = match urgent {
        true => (NetworkEvents::OOB, PollFlags::PRI),
        false => (NetworkEvents::READ, PollFlags::IN),
    };
    let attempt = || sock.socket.taking(event, |socket| take(socket.as_fd(), buffers, flags, from));
    let timeout = |socket: &socket2::Socket| match is_datagram_without_address(socket) {
        true => Err(std::io::Error::from_raw_os_error(libc::EINVAL)),
        false => socket.read_timeout(),
    };
    let received = sock.block(waits_for, timeout, attempt);
    match received {
        Err(Code::WOULDBLOCK) if is_datagram_without_address(sock.socket.as_socket()) => Err(Code::INVAL),
        Ok(received) if received.length == 0 && buffers.length() > 0 && this_side_ended(sock) => Err(Code::SHUTDOWN),
        other => other,
    }
}

/// Nothing can come in where there is no address to send it to.
fn is_datagram_without_address(socket: &socket2::Socket) -> bool {
    !matches!(socket.r#type(), Ok(socket2::Type::STREAM))
        && socket.local_addr().is_ok_and(|address| address.as_socket().is_some() && is_unnamed(&address))
}

/// Whether the end of a stream is this side's own doing, through whatever descriptor: the other may still send.
fn this_side_ended(sock: &Sock) -> bool {
    sock.socket.connection() == Some(Connection::Open)
}
