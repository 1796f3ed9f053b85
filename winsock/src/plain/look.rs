//! Who holds a socket, and taking turns on it.
#![allow(unsafe_code)]

use super::failure::{Failure, Result, plain};
use super::object::{Object, give, lent};
use crate::memory::Out;
use crate::state;
use sharesock::{Direction, Socket, Turn};
use std::time::Duration;

/// `struct sharesock_holder`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Holder {
    pid: u32,
    descriptor: u32,
    command: [u8; 32],
}

/// A descriptor of our own of a socket that the caller lends.
pub(super) fn copy(fd: i32) -> Result<Socket> {
    let copy = lent(fd)?.try_clone_to_owned();
    let copy = copy.map_err(|error| Failure::of(error.raw_os_error().unwrap_or(libc::EIO), error.to_string()))?;
    Ok(Socket::try_from(copy)?)
}

plain! {
    /// `sharesock_holders`: every descriptor of a socket in every process that may be looked at.
    fn sharesock_holders(fd: i32, list: Out<Holder>, room: usize) {
        let socket = copy(fd)?;
        let ours = (std::process::id(), u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&socket)).unwrap_or(u32::MAX));
        // Not the one that was made for the question.
        let seen: Vec<_> =
            socket.holders()?.seen.into_iter().filter(|holder| (holder.pid, holder.descriptor) != ours).collect();
        for (at, holder) in seen.iter().take(room).enumerate() {
            let mut command = [0; 32];
            // The last byte is the null.
            command.iter_mut().take(31).zip(holder.command.bytes()).for_each(|(place, byte)| *place = byte);
            list.put_at(at, Holder { pid: holder.pid, descriptor: holder.descriptor, command })?;
        }
        Ok(i32::try_from(seen.len()).unwrap_or(i32::MAX))
    }

    /// `sharesock_turn_take`: the turn on one direction of a socket.
    fn sharesock_turn_take(fd: i32, direction: i32, timeout_ms: i64, place: Out<*mut Turn>) {
        let direction = match direction {
            0 => Direction::Receive,
            1 => Direction::Send,
            _ => return Err(Failure::of(libc::EINVAL, "give SHARESOCK_RECEIVE or SHARESOCK_SEND")),
        };
        let (socket, domain) = (copy(fd)?, state::shared()?.0);
        let turn = match u64::try_from(timeout_ms) {
            Err(_) => Some(Turn::take(&domain, &socket, direction)?),
            Ok(time) => Turn::take_within(&domain, &socket, direction, Duration::from_millis(time))?,
        };
        give(place, turn.ok_or_else(|| Failure::of(libc::EAGAIN, "somebody else had the turn all the while"))?)?;
        Ok(0)
    }

    /// `sharesock_turn_close`: gives a turn up.
    fn sharesock_turn_close(turn: Object<Turn>) {
        drop(turn.take());
        Ok(0)
    }
}
