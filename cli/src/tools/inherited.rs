//! Taking a descriptor that this process was started with, by its number.

use crate::procfs::descriptors::path;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use sharesock::Socket;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

/// One more descriptor of the socket that is open as `number`.
///
/// To be called before this process opens any: a number that was not inherited would name one of its own.
pub(super) fn socket(number: i32) -> Result<Socket> {
    ensure!(
        std::fs::symlink_metadata(path("self", number)).is_ok(),
        "descriptor {number} is not open here: let the shell pass it, such as {number}<&0"
    );
    let descriptor = duplicate(number).with_context(|| format!("taking descriptor {number}"))?;
    Socket::try_from(descriptor).with_context(|| format!("descriptor {number} cannot be given"))
}

/// A message to itself makes one of a number: it needs neither `unsafe` nor the rights that `pidfd_getfd` needs, which
/// containers take away.
fn duplicate(number: i32) -> Result<OwnedFd> {
    let (to, from) = UnixDatagram::pair()?;
    sendmsg::<()>(
        to.as_raw_fd(),
        &[IoSlice::new(&[0])],
        &[ControlMessage::ScmRights(&[number])],
        MsgFlags::empty(),
        None,
    )?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(&from, &mut [IoSliceMut::new(&mut [0])], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
            return descriptors.next().context("the kernel gave none");
        }
    }
    bail!("no descriptor is free: raise the limit of open files")
}
