//! Objects that C holds by pointer, and descriptors that it lends and is given.
#![allow(unsafe_code)]

use super::failure::{Failure, Result};
use crate::memory::{Out, is_nowhere};
use sharesock::Socket;
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};

/// An object of ours that C has a pointer to.
#[repr(transparent)]
#[derive(Debug)]
pub struct Object<T>(*mut T);

impl<T> Object<T> {
    /// The object itself, during a call.
    pub(super) fn get(&self) -> Result<&T> {
        if is_nowhere(self.0.addr()) {
            return Err(null());
        }
        // SAFETY: the caller promises that the pointer is one that we gave, and that it was not given back since.
        Ok(unsafe { &*self.0 })
    }

    /// The object, which C gives back; nothing for null, as with `free`.
    pub(super) fn take(self) -> Option<T> {
        // SAFETY: the caller promises that we gave the pointer, by `give`, and that nobody uses it any more.
        (!is_nowhere(self.0.addr())).then(|| *unsafe { Box::from_raw(self.0) })
    }
}

/// Gives C an object.
pub(super) fn give<T>(place: Out<*mut T>, object: T) -> Result<()> {
    if place.is_null() {
        return Err(null());
    }
    Ok(place.put(Box::into_raw(Box::new(object)))?)
}

/// A descriptor that the caller lends for the call.
pub(super) fn lent<'a>(descriptor: RawFd) -> Result<BorrowedFd<'a>> {
    // SAFETY: the kernel is only asked whether it is open.
    if descriptor < 0 || unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
        return Err(Failure::of(libc::EBADF, format!("{descriptor} is no open descriptor")));
    }
    // SAFETY: it is open, and the caller promises that it stays open during the call.
    Ok(unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// Closes a descriptor that the caller has given away.
pub(super) fn close(descriptor: RawFd) {
    // SAFETY: the caller promises that it was its own, and by the call gave it to us.
    unsafe { libc::close(descriptor) };
}

/// The descriptor of a socket, for the caller to own.
pub(super) fn given(socket: Socket) -> RawFd {
    OwnedFd::from(socket).into_raw_fd()
}

fn null() -> Failure {
    Failure::of(libc::EFAULT, "a pointer is null that must not be")
}
