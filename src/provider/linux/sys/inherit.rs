//! Listening sockets that a child process inherits, and listens on in its own name.
#![allow(unsafe_code)]

use super::peer::peer_credentials;
use crate::spawn::Spawn;
use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};
use rustix::net::sockopt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// A descriptor of the same socket that is none of the standard ones, which a child replaces.
pub(crate) fn beyond_standard(socket: impl AsFd) -> rustix::io::Result<OwnedFd> {
    fcntl_dupfd_cloexec(socket, 3)
}

/// Spawns a child that inherits `sockets` and listens on them, so that the kernel names the child as the listener.
pub(crate) fn spawn_listening<C: Spawn>(command: &mut C, sockets: [&OwnedFd; 2], backlog: i32) -> io::Result<C::Child> {
    // A command keeps what is to run in its children: in later ones there is nothing to do.
    let numbers = Arc::new(sockets.map(|socket| AtomicI32::new(socket.as_raw_fd())));
    let in_child = numbers.clone();
    let listen = move || {
        for number in in_child.iter().map(|number| number.load(Ordering::SeqCst)) {
            // SAFETY: the descriptor was open when the child was forked, and nothing in the child closes it before this.
            if number >= 0 && unsafe { libc::fcntl(number, libc::F_SETFD, 0) | libc::listen(number, backlog) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: it makes system calls that may be made after `fork`, and neither allocates nor locks.
    unsafe { command.command().pre_exec(listen) };
    let child = command.start();
    numbers.iter().for_each(|number| number.store(-1, Ordering::SeqCst));
    child
}

/// Takes the socket that this process inherited under `number`, if it is the one with this cookie, if this process
/// listens on it, and if nobody took it before.
pub(crate) fn adopt_listening(number: RawFd, cookie: u64) -> rustix::io::Result<OwnedFd> {
    let is_mine = |asked: BorrowedFd<'_>| {
        Ok(sockopt::socket_acceptconn(asked)? && peer_credentials(asked)?.pid == std::process::id())
    };
    adopt(number, cookie, is_mine)
}

/// Takes the end of a link that this process inherited under `number`, if it is the one with this cookie, and if nobody
/// took it before.
pub(crate) fn adopt_link(number: RawFd, cookie: u64) -> rustix::io::Result<OwnedFd> {
    adopt(number, cookie, |asked| Ok(!sockopt::socket_acceptconn(asked)?))
}

fn adopt(
    number: RawFd,
    cookie: u64,
    is_meant: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<bool>,
) -> rustix::io::Result<OwnedFd> {
    if number < 3 {
        return Err(Errno::BADF);
    }
    // SAFETY: the kernel is only asked about it; if it is not open, or not what it should be, it says so.
    let asked = unsafe { BorrowedFd::borrow_raw(number) };
    let taken = fcntl_getfd(asked)?.contains(FdFlags::CLOEXEC);
    if taken || sockopt::socket_cookie(asked)? != cookie || !is_meant(asked)? {
        return Err(Errno::BADF);
    }
    fcntl_setfd(asked, FdFlags::CLOEXEC)?;
    // SAFETY: it was inherited for us under this number: the cookie is that of no other socket, and only whoever sets
    // close-on-exec first, which was us, takes it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
