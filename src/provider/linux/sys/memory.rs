//! Pages with a meaning to the kernel: a mark that is gone after `fork`, and words that two processes share.
#![allow(unsafe_code)]

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

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

    fn shared(file: &OwnedFd) -> rustix::io::Result<Self> {
        // SAFETY: as above; the callers have made sure that the file keeps at least `SIZE` bytes.
        let at =
            unsafe { mmap(std::ptr::null_mut(), SIZE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0) }?;
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

/// Words that a sender and a receiver share: how much was taken, and whether the sender wants to be told.
#[derive(Debug)]
pub(crate) struct Tally(Page);

#[repr(C)]
struct Words {
    taken: AtomicU64,
    ask: AtomicU32,
}

/// Set by the sender: nothing more can be taken.
const CLOSED: u64 = 1 << 63;
/// Set by the receiver: it had no descriptor free for what comes next.
const NO_DESCRIPTORS: u64 = 1 << 62;

impl Tally {
    /// A tally, and the descriptor by which one other process adopts it.
    pub(crate) fn new() -> rustix::io::Result<(Self, OwnedFd)> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Before Linux 6.3 the kernel does not know the flag, and after it may insist on it.
        let file = match memfd_create("sharesock-tally", flags | MemfdFlags::NOEXEC_SEAL) {
            Err(Errno::INVAL) => memfd_create("sharesock-tally", flags)?,
            file => file?,
        };
        ftruncate(&file, SIZE as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((Tally(Page::shared(&file)?), file))
    }

    /// The tally that another process made. One that could shrink under us is refused.
    pub(crate) fn adopt(file: &OwnedFd) -> rustix::io::Result<Self> {
        let sealed = fcntl_get_seals(file)?.contains(SealFlags::SHRINK);
        let size = fstat(file)?.st_size;
        match sealed && size >= i64::try_from(SIZE).map_err(|_| Errno::INVAL)? {
            true => Page::shared(file).map(Tally),
            false => Err(Errno::INVAL),
        }
    }

    fn words(&self) -> &Words {
        // SAFETY: the page lives as long as `self`, cannot shrink, is aligned, and any bytes are valid atomics,
        // whatever the other process writes.
        unsafe { self.0.0.cast().as_ref() }
    }

    /// How much the receiver's program has taken.
    pub(crate) fn taken(&self) -> u64 {
        self.words().taken.load(Ordering::SeqCst) & !(CLOSED | NO_DESCRIPTORS)
    }

    /// Receiver: takes one more, unless the sender has closed.
    pub(crate) fn take(&self) -> bool {
        let next = |taken: u64| (taken & CLOSED == 0).then_some(taken + 1);
        self.words().taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok()
    }

    /// Receiver: whether the sender asked to be told, which it is once.
    pub(crate) fn was_asked(&self) -> bool {
        self.words().ask.load(Ordering::SeqCst) != 0 && self.words().ask.swap(0, Ordering::SeqCst) != 0
    }

    /// Receiver: leaves word why it closes the link.
    pub(crate) fn lack_descriptors(&self) {
        self.words().taken.fetch_or(NO_DESCRIPTORS, Ordering::SeqCst);
    }

    /// Sender: whether the receiver closed the link for lack of descriptors.
    pub(crate) fn lacked_descriptors(&self) -> bool {
        self.words().taken.load(Ordering::SeqCst) & NO_DESCRIPTORS != 0
    }

    /// Sender: asks to be told when something is taken.
    pub(crate) fn ask(&self) {
        self.words().ask.store(1, Ordering::SeqCst);
    }

    /// Sender: from now on nothing can be taken.
    pub(crate) fn close(&self) {
        self.words().taken.fetch_or(CLOSED, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_is_seen_by_both_and_closes_once() {
        let (mine, file) = Tally::new().unwrap();
        let theirs = Tally::adopt(&file).unwrap();
        assert!(theirs.take() && theirs.take());
        assert!(!theirs.was_asked());
        mine.ask();
        assert_eq!((mine.taken(), theirs.was_asked(), theirs.was_asked()), (2, true, false));
        mine.close();
        theirs.lack_descriptors();
        assert_eq!((theirs.take(), mine.taken(), mine.lacked_descriptors()), (false, 2, true));
    }

    #[test]
    fn what_could_shrink_is_no_tally() {
        let unsealed = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        ftruncate(&unsealed, SIZE as u64).unwrap();
        assert!(Tally::adopt(&unsealed).is_err());
        let short = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        fcntl_add_seals(&short, SealFlags::SHRINK).unwrap();
        assert!(Tally::adopt(&short).is_err());
        let (stream, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Tally::adopt(&OwnedFd::from(stream)).is_err());
    }

    #[test]
    fn a_mark_is_mine_where_it_was_made() {
        assert!(ForkMark::new().unwrap().is_mine());
    }
}
