//! Descriptors in messages (`SCM_RIGHTS`).

use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most descriptors that a message of ours carries.
const MOST: usize = 1;

/// One message that arrived.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Bytes of the message; more than the buffer has when it was longer.
    pub(crate) length: usize,
    /// The descriptor that came with it, close-on-exec.
    pub(crate) descriptor: Option<OwnedFd>,
}

/// Sends one message with a descriptor, without waiting and without a signal.
pub(crate) fn send_rights(link: impl AsFd, bytes: &[u8], descriptor: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let descriptors = [descriptor];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    loop {
        match sendmsg(&link, &[IoSlice::new(bytes)], &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.map(drop),
        }
    }
}

/// Takes one message with at most one descriptor, without waiting. `None` is the end of the link.
///
/// The message is looked at first and taken only when its descriptor found a place in this process's table. Taken
/// at once, a full table would make the kernel throw the descriptor away.
///
/// # Errors
/// `MFILE` when no descriptor is free: the message waits. `AGAIN` when there is none. `PROTO` when it carries more
/// descriptors than any message of ours.
pub(crate) fn receive_rights(link: impl AsFd, buffer: &mut [u8]) -> rustix::io::Result<Option<Arrival>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::PEEK | RecvFlags::TRUNC | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let message = loop {
        match recvmsg(&link, &mut [IoSliceMut::new(buffer)], &mut control, flags) {
            Err(Errno::INTR) => {}
            peeked => break peeked?,
        }
    };
    let mut descriptors = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let mut descriptors = descriptors.by_ref().flatten().collect::<Vec<_>>();
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(if descriptors.len() < MOST { Errno::MFILE } else { Errno::PROTO });
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    loop {
        match rustix::net::recv(&link, &mut [0_u8; 0], RecvFlags::DONTWAIT) {
            Err(Errno::INTR) => {}
            taken => {
                let _ = taken?;
                break;
            }
        }
    }
    Ok(Some(Arrival { length: message.bytes, descriptor: descriptors.pop() }))
}
