//! Receiving a datagram into initialised memory.
#![allow(unsafe_code)]

use socket2::{SockAddr, Socket};
use std::io;
use std::mem::MaybeUninit;

/// Receives one datagram: how many bytes, and from where.
pub(crate) fn receive_from(socket: &Socket, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    // SAFETY: the two types have one layout, and `socket2` promises to put only initialised bytes there.
    socket.recv_from(unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) })
}
