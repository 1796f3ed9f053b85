//! The same work with bare system calls: what nothing built on them can be faster than.

use anyhow::{Result, bail};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most descriptors in one message.
pub(crate) const MOST: usize = 253;

/// Two ends of a SEQPACKET link with the buffer that the library asks for.
pub(crate) fn link() -> Result<(OwnedFd, OwnedFd)> {
    let (one, two) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_send_buffer_size(&one, 4 << 20)?;
    Ok((one, two))
}

/// Sends one message with descriptors, waiting while the queue is full.
pub(crate) fn send(link: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    loop {
        match sendmsg(link, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.map(drop).map_err(Into::into),
        }
    }
}

/// Takes one message and closes the descriptors that came with it; how many these were. 0 is the end.
pub(crate) fn receive(link: &OwnedFd, bytes: &mut [u8]) -> Result<usize> {
    receive_each(link, bytes, drop)
}

/// Takes one message, asks the socket that came with it for its identity, and closes it.
pub(crate) fn identify(link: &OwnedFd) -> Result<()> {
    let mut identity = Ok(0);
    receive_each(link, &mut [0; 64], |socket| identity = sockopt::socket_cookie(socket))?;
    identity.map(drop).map_err(Into::into)
}

/// Takes one message and writes one byte to the socket that came with it.
pub(crate) fn answer(link: &OwnedFd) -> Result<()> {
    let mut written = Ok(1);
    receive_each(link, &mut [0; 64], |socket| written = rustix::io::write(socket, b"x"))?;
    written.map(drop).map_err(Into::into)
}

fn receive_each(link: &OwnedFd, bytes: &mut [u8], each: impl FnMut(OwnedFd)) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(link, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let rights = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    match rights.flatten().map(each).count() {
        0 if message.bytes > 0 => bail!("a message came without its descriptors"),
        count => Ok(count),
    }
}

/// The descriptors of `sockets`, borrowed.
pub(crate) fn borrowed(sockets: &[sharesock::Socket]) -> Vec<BorrowedFd<'_>> {
    sockets.iter().map(AsFd::as_fd).collect()
}
