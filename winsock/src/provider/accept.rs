//! Accepting connections, with a condition or without.
#![allow(unsafe_code)]

use super::{is_listening, is_stream, socket};
use crate::address::{check_room, to_bytes, to_caller};
use crate::code::{Code, Result};
use crate::layout::{Condition, WsaBuf};
use crate::memory::{In, Out};
use crate::sock::Sock;
use crate::state;
use crate::waiting::poll_until;
use rustix::event::{PollFd, PollFlags};
use sharesock::Socket;
use socket2::SockAddr;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// What a condition answers.
const ACCEPT: i32 = 0;
const REJECT: i32 = 1;
const DEFER: i32 = 2;

pub(crate) fn accept(
    handle: usize,
    place: Out<u8>,
    length: Out<i32>,
    condition: Option<Condition>,
    data: usize,
) -> Result<usize> {
    let listener = socket(handle)?;
    if !is_listening(&listener) {
        return Err(if is_stream(&listener) { Code::INVAL } else { Code::OPNOTSUPP });
    }
    let (accepted, address) = next(&listener)?;
    if let Err(code) = check_room(&address, place, length) {
        listener.memory().deferred.push_front((accepted, address));
        return Err(code);
    }
    match condition.map_or(ACCEPT, |condition| ask(condition, &address, accepted.as_socket(), data)) {
        ACCEPT => {}
        REJECT => {
            let _ = accepted.as_socket().set_linger(Some(Duration::ZERO));
            return Err(Code::CONNREFUSED);
        }
        DEFER => {
            listener.memory().deferred.push_back((accepted, address));
            // Whoever waits in another thread may want it.
            listener.wake();
            return Err(Code::TRY_AGAIN);
        }
        _ => return Err(Code::NOTSOCK),
    }
    to_caller(&address, place, length)?;
    inherit_options(&listener, &accepted);
    let sock = Arc::new(Sock::new(accepted));
    {
        let told_by = listener.memory().told_by;
        let mut memory = sock.memory();
        (memory.peer, memory.told_by) = (Some(address), told_by);
    }
    // The handle is there before the first event is told of it.
    let accepted = state::insert_socket(sock.clone())?;
    listener.socket.pass_registration(&sock.socket)?;
    Ok(accepted)
}

/// The next connection: one that was deferred comes first.
fn next(listener: &Sock) -> Result<(Socket, SockAddr)> {
    let attempt = || {
        if let Some(deferred) = listener.memory().deferred.pop_front() {
            return Ok(deferred);
        }
        if !listener.is_blocking() {
            return listener.socket.accept_apart();
        }
        // A blocking listener is asked only when a connection waits, by one thread at a time: the system would have the
        // others wait where closing the handle does not end it. So would it if another process was faster.
        let accepted = listener.alone(|| match waits(listener) {
            Ok(true) => listener.socket.accept_apart(),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        });
        accepted.unwrap_or_else(|| {
            std::thread::yield_now();
            Err(io::ErrorKind::WouldBlock.into())
        })
    };
    listener.block(PollFlags::IN, |_| Ok(None), attempt)
}

/// Whether a connection waits.
fn waits(listener: &Sock) -> Result<bool> {
    poll_until(&mut [PollFd::new(listener, PollFlags::IN)], Some(std::time::Instant::now()))
}

fn ask(condition: Condition, caller: &SockAddr, accepted: &socket2::Socket, data: usize) -> i32 {
    let mut caller = to_bytes(caller);
    let mut callee = accepted.local_addr().map_or_else(|_| Vec::new(), |address| to_bytes(&address));
    let buffer = |bytes: &mut Vec<u8>| WsaBuf {
        length: u32::try_from(bytes.len()).unwrap_or(0),
        bytes: bytes.as_mut_ptr().expose_provenance(),
    };
    let (caller, callee) = (buffer(&mut caller), buffer(&mut callee));
    let nothing = WsaBuf { length: 0, bytes: 0 };
    let (mut answer, mut group) = (nothing, 0_u32);
    // SAFETY: the program gave a function of this type; what it is shown lives until it returns.
    unsafe {
        condition(
            In::from_raw(&raw const caller),
            In::from_raw(&raw const nothing),
            0,
            0,
            In::from_raw(&raw const callee),
            Out::from_raw(&raw mut answer),
            Out::from_raw(&raw mut group),
            data,
        )
    }
}

/// What Windows passes on, and Linux does not.
fn inherit_options(listener: &Sock, accepted: &Socket) {
    let (from, to) = (listener.socket.as_socket(), accepted.as_socket());
    // What cannot be set is left as it is: the connection is there.
    let _ = from.read_timeout().and_then(|time| to.set_read_timeout(time));
    let _ = from.write_timeout().and_then(|time| to.set_write_timeout(time));
}
