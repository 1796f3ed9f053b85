//! Descriptors in messages (`SCM_RIGHTS`).

use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, RecvMsg, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most descriptors that the kernel takes in one message.
pub(crate) const MOST_RIGHTS: usize = 253;
/// The most descriptors that come with a frame.
const MOST_WITH_FRAME: usize = 2;

/// Descriptors that came with one frame.
pub(crate) type Rights = [Option<OwnedFd>; MOST_WITH_FRAME];

/// One message that arrived with at most two descriptors.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// Bytes of the message; more than the buffer has when it was longer.
    pub(crate) length: usize,
    /// The descriptors that came with it, in order, close-on-exec.
    pub(crate) descriptors: Rights,
}

/// One message that arrived with descriptors, or that lost some.
#[derive(Debug)]
pub(crate) struct Load {
    /// Bytes of the message; more than the buffer has when it was longer.
    pub(crate) length: usize,
    /// Whether descriptors were lost, because there was no place for them.
    pub(crate) lost: bool,
}

/// Sends one message with descriptors, two at the most, without waiting and without a signal.
pub(crate) fn send_rights(link: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> rustix::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_WITH_FRAME))];
    send(link, &[IoSlice::new(bytes)], descriptors, &mut space)
}

/// Sends one message of many parts with up to 253 descriptors, without waiting and without a signal.
pub(crate) fn send_load(
    link: impl AsFd,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> rustix::io::Result<()> {
    if descriptors.len() <= MOST_WITH_FRAME {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_WITH_FRAME))];
        return send(link, parts, descriptors, &mut space);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_RIGHTS))];
    send(link, parts, descriptors, &mut space)
}

fn send(
    link: impl AsFd,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
    space: &mut [MaybeUninit<u8>],
) -> rustix::io::Result<()> {
    let mut control = SendAncillaryBuffer::new(space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::INVAL);
    }
    loop {
        match sendmsg(&link, parts, &mut control, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.map(drop),
        }
    }
}

/// Takes one message with at most two descriptors, without waiting. `None` is the end of the link.
///
/// Unless there is `ample` room for them, the message is looked at first and taken only when its descriptors found
/// places in this process's table. Taken at once, a full table would make the kernel throw them away.
///
/// # Errors
/// `MFILE` when no descriptor is free: the message waits, unless room was said to be ample. `AGAIN` when there is
/// none. `PROTO` when it carries more descriptors than any message of ours.
pub(crate) fn receive_rights(link: impl AsFd, buffer: &mut [u8], ample: bool) -> rustix::io::Result<Option<Arrival>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_WITH_FRAME))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let look = if ample { RecvFlags::empty() } else { RecvFlags::PEEK };
    let message = receive(&link, buffer, &mut control, look)?;
    let mut descriptors = Rights::default();
    let mut count = 0;
    for (place, descriptor) in descriptors.iter_mut().zip(arrived(&mut control)) {
        *place = Some(descriptor);
        count += 1;
    }
    if message.flags.contains(ReturnFlags::CTRUNC) {
        return Err(if count < MOST_WITH_FRAME { Errno::MFILE } else { Errno::PROTO });
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    if !ample {
        drop_message(&link)?;
    }
    Ok(Some(Arrival { length: message.bytes, descriptors }))
}

/// Takes one message that was looked at, without its descriptors.
fn drop_message(link: impl AsFd) -> rustix::io::Result<()> {
    loop {
        match rustix::net::recv(&link, &mut [0_u8; 0], RecvFlags::DONTWAIT) {
            Err(Errno::INTR) => {}
            taken => return taken.map(|_| ()),
        }
    }
}

/// Takes one message with any number of descriptors, without waiting. `None` is the end of the link.
///
/// Descriptors that find no place are lost here: its sender still has them.
pub(crate) fn receive_load(
    link: impl AsFd,
    buffer: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> rustix::io::Result<Option<Load>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_RIGHTS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = receive(&link, buffer, &mut control, RecvFlags::empty())?;
    descriptors.extend(arrived(&mut control));
    let lost = message.flags.contains(ReturnFlags::CTRUNC);
    Ok((message.bytes > 0).then_some(Load { length: message.bytes, lost }))
}

fn receive(
    link: impl AsFd,
    buffer: &mut [u8],
    control: &mut RecvAncillaryBuffer<'_>,
    flags: RecvFlags,
) -> rustix::io::Result<RecvMsg> {
    let flags = flags | RecvFlags::TRUNC | RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    loop {
        match recvmsg(&link, &mut [IoSliceMut::new(buffer)], control, flags) {
            Err(Errno::INTR) => {}
            received => return received,
        }
    }
}

fn arrived<'a>(control: &'a mut RecvAncillaryBuffer<'_>) -> impl Iterator<Item = OwnedFd> + 'a {
    let rights = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    rights.flatten()
}
