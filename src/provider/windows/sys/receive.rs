//! Receiving into initialised memory.
#![allow(unsafe_code)]

use socket2::{SockAddr, Socket};
use std::io;
use std::mem::MaybeUninit;

/// Receives one datagram: how many bytes, and from where.
pub(crate) fn receive_from(socket: &Socket, buffer: &mut [u8]) -> io::Result<(usize, SockAddr)> {
    socket.recv_from(uninitialised(buffer))
}

/// Receives urgent data: how many bytes.
pub(crate) fn receive_urgent(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    socket.recv_out_of_band(uninitialised(buffer))
}

fn uninitialised(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: the two types have one layout, and `socket2` promises to put only initialised bytes there.
    unsafe { &mut *(std::ptr::from_mut(buffer) as *mut [MaybeUninit<u8>]) }
}
