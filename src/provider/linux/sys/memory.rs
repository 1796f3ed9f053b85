//! A page with a meaning to the kernel: a mark that is gone after `fork`.
#![allow(unsafe_code)]

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

/// Bytes of a mapping: one page on every system with pages of 4 KiB, a part of one elsewhere.
const SIZE: usize = 4096;

/// One mapped page of zeroes, readable and writable.
#[derive(Debug)]
struct Page(NonNull<std::ffi::c_void>);

// SAFETY: a mapping belongs to the process, not to a thread; what lies in it is only ever used as atomics.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    fn private() -> rustix::io::Result<Self> {
        // SAFETY: the kernel picks the address, so no memory that is in use is touched.
        let at = unsafe {
            mmap_anonymous(std::ptr::null_mut(), SIZE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }?;
        NonNull::new(at).map(Page).ok_or(Errno::NOMEM)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: the page was mapped by us with this size, and nothing borrows from it longer than `self` lives.
        let _ = unsafe { munmap(self.0.as_ptr(), SIZE) };
    }
}

/// Tells the process that made it from those forked of it, at the cost of reading one byte.
#[derive(Debug)]
pub(crate) struct ForkMark(Page);

impl ForkMark {
    pub(crate) fn new() -> rustix::io::Result<Self> {
        let page = Page::private()?;
        // SAFETY: advice on our own page, of its whole size; a child of `fork` finds zeroes in it.
        unsafe { madvise(page.0.as_ptr(), SIZE, Advice::LinuxWipeOnFork) }?;
        let mark = ForkMark(page);
        mark.byte().store(1, Ordering::Relaxed);
        Ok(mark)
    }

    /// Whether the process that made the mark asks.
    pub(crate) fn is_mine(&self) -> bool {
        self.byte().load(Ordering::Relaxed) == 1
    }

    fn byte(&self) -> &AtomicU8 {
        // SAFETY: the page lives as long as `self`, is aligned for anything, and is only used as this atomic.
        unsafe { self.0.0.cast().as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_mine_where_it_was_made() {
        assert!(ForkMark::new().unwrap().is_mine());
    }
}
