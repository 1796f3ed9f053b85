//! The system calls that take and send bytes, with the caller's own buffers.
#![allow(unsafe_code)]

use crate::code::{Code, Result};
use crate::layout::WsaBuf;
use crate::memory::{In, is_nowhere};
use socket2::{SockAddr, SockAddrStorage};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// So many buffers the kernel takes at a time.
const MOST: usize = 1024;

/// The buffers of one call. The kernel checks each: what cannot be reached is `WSAEFAULT`.
#[derive(Debug)]
pub(crate) struct Buffers {
    parts: Vec<libc::iovec>,
    only: Option<libc::iovec>,
    /// One of them is nowhere.
    lost: bool,
}

/// One buffer, and whether it is nowhere.
fn part(bytes: usize, iov_len: usize) -> (libc::iovec, bool) {
    let iov_base = std::ptr::with_exposed_provenance_mut(bytes);
    (libc::iovec { iov_base, iov_len }, iov_len > 0 && is_nowhere(bytes))
}

impl Buffers {
    /// One buffer.
    pub(crate) fn one(bytes: *mut u8, length: i32) -> Result<Self> {
        let length = usize::try_from(length).map_err(|_| Code::FAULT)?;
        let (only, lost) = part(bytes.expose_provenance(), length);
        Ok(Buffers { parts: Vec::new(), only: Some(only), lost })
    }

    /// Several.
    pub(crate) fn of(buffers: In<WsaBuf>, count: u32) -> Result<Self> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        if count == 0 {
            return Err(Code::INVAL);
        }
        if count > MOST {
            return Err(Code::NOBUFS);
        }
        let parts = buffers.many(count)?.into_iter();
        let parts = parts.map(|given| part(given.bytes, usize::try_from(given.length).unwrap_or(0)));
        let (parts, lost): (Vec<_>, Vec<_>) = parts.unzip();
        Ok(Buffers { parts, only: None, lost: lost.contains(&true) })
    }

    /// Refuses buffers that are nowhere.
    fn check(&self) -> io::Result<()> {
        if self.lost { Err(io::Error::from_raw_os_error(libc::EFAULT)) } else { Ok(()) }
    }

    fn parts(&mut self) -> &mut [libc::iovec] {
        match &mut self.only {
            Some(only) => std::slice::from_mut(only),
            None => &mut self.parts,
        }
    }

    /// All bytes.
    pub(crate) fn length(&mut self) -> usize {
        self.parts().iter().map(|part| part.iov_len).sum()
    }

    /// The first bytes are done with.
    pub(crate) fn advance(&mut self, mut bytes: usize) {
        for part in self.parts() {
            let done = bytes.min(part.iov_len);
            part.iov_base = part.iov_base.cast::<u8>().wrapping_add(done).cast();
            part.iov_len -= done;
            bytes -= done;
        }
    }
}

/// What came in.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) length: usize,
    pub(crate) flags: i32,
    pub(crate) from: Option<SockAddr>,
}

/// Receives without waiting.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffers: &mut Buffers, flags: i32, from: bool) -> io::Result<Received> {
    buffers.check()?;
    let parts = buffers.parts();
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a msghdr of zeroes is one without anything.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    (header.msg_iov, header.msg_iovlen) = (parts.as_mut_ptr(), parts.len() as _);
    if from {
        header.msg_name = (&raw mut storage).cast();
        header.msg_namelen = storage.size_of();
    }
    // SAFETY: the header describes `parts` and `storage`, which live until after the call; the memory behind the parts
    // is the caller's, who promised it, and the kernel refuses what is not mapped.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags | libc::MSG_DONTWAIT) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has written an address of that length.
    let from = (header.msg_namelen > 0).then(|| unsafe { SockAddr::new(storage, header.msg_namelen) });
    Ok(Received { length, flags: header.msg_flags, from })
}

/// Sends without waiting, and without a signal.
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    buffers: &mut Buffers,
    flags: i32,
    to: Option<&SockAddr>,
) -> io::Result<usize> {
    buffers.check()?;
    let parts = buffers.parts();
    // SAFETY: a msghdr of zeroes is one without anything.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    (header.msg_iov, header.msg_iovlen) = (parts.as_mut_ptr(), parts.len() as _);
    if let Some(to) = to {
        header.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_namelen = to.len();
    }
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the header describes `parts` and `to`, which live until after the call, and of which the kernel only
    // reads; it refuses what is not mapped.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}
