//! A descriptor that somebody else closes when it is dropped.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Closes a descriptor for whoever drops it.
pub(crate) trait Bury {
    fn bury(&self, descriptor: OwnedFd);
}

/// A descriptor that is given to `B` when it is dropped.
pub(crate) struct Entrusted<B: Bury> {
    descriptor: ManuallyDrop<OwnedFd>,
    by: ManuallyDrop<B>,
}

impl<B: Bury> Entrusted<B> {
    pub(crate) fn new(descriptor: OwnedFd, by: B) -> Self {
        Entrusted { descriptor: ManuallyDrop::new(descriptor), by: ManuallyDrop::new(by) }
    }

    /// From now on it is closed as any other.
    pub(crate) fn into_owned(self) -> OwnedFd {
        let mut whole = ManuallyDrop::new(self);
        // SAFETY: `whole` is not dropped, and neither part is used after it was taken, which is once.
        let (descriptor, by) =
            unsafe { (ManuallyDrop::take(&mut whole.descriptor), ManuallyDrop::take(&mut whole.by)) };
        drop(by);
        descriptor
    }
}

impl<B: Bury> Drop for Entrusted<B> {
    fn drop(&mut self) {
        // SAFETY: it is being dropped: neither part is used after it was taken, which is once.
        let (descriptor, by) = unsafe { (ManuallyDrop::take(&mut self.descriptor), ManuallyDrop::take(&mut self.by)) };
        by.bury(descriptor);
    }
}

impl<B: Bury> AsFd for Entrusted<B> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl<B: Bury> fmt::Debug for Entrusted<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.descriptor.fmt(f)
    }
}
