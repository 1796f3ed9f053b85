//! Memory that processes share, that nobody can shrink, and that the kernel frees when the last of them has ended.
//!
//! It is a System V segment, marked for removal as soon as it is attached: Linux lets others attach it by its number
//! for as long as somebody has it attached. A file in `/dev/shm` could be truncated by any of those who may open it,
//! and then a mere look at it would end the process (`SIGBUS`).
#![allow(unsafe_code)]

use rustix::io::Errno;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Marks the segments of this library until they are marked for removal, in the upper half of their key.
const KEY: i32 = 0x5348 << 16;

/// Commands of `shmctl`, by the kernel's numbers.
const SHM_STAT: libc::c_int = 13;
const SHM_INFO: libc::c_int = 14;

/// An attached segment.
#[derive(Debug)]
pub(crate) struct Segment {
    at: NonNull<AtomicU64>,
    words: usize,
    number: i32,
    /// Stands in for words beyond the end.
    nowhere: AtomicU64,
}

// SAFETY: an attachment belongs to the process, not to a thread; what lies in it is only ever used as atomics.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// A new segment of zeroes, for the members of `group` too if there is one.
    pub(crate) fn create(words: usize, group: Option<u32>) -> Result<Self, Errno> {
        let number = loop {
            let mut random = [0; 2];
            rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
            let key = KEY | i32::from(u16::from_le_bytes(random));
            let mode = if group.is_some() { 0o660 } else { 0o600 };
            // SAFETY: plain numbers; no memory of this process is touched.
            match unsafe { libc::shmget(key, words * 8, libc::IPC_CREAT | libc::IPC_EXCL | mode) } {
                -1 if last_error() == Errno::EXIST => {}
                -1 => return Err(last_error()),
                number => break number,
            }
        };
        let made = Self::attach(number, words).and_then(|segment| {
            if let Some(group) = group {
                let mut status = status(number)?;
                status.shm_perm.gid = group;
                // SAFETY: `status` outlives the call, and was filled by the kernel.
                check(unsafe { libc::shmctl(number, libc::IPC_SET, &raw mut status) })?;
            }
            Ok(segment)
        });
        remove(number);
        made
    }

    /// Attaches a segment that another process has attached.
    pub(crate) fn attach(number: i32, words: usize) -> Result<Self, Errno> {
        if status(number)?.shm_segsz != words * 8 {
            return Err(Errno::INVAL);
        }
        // SAFETY: the kernel picks the address, so no memory that is in use is touched.
        let at = unsafe { libc::shmat(number, std::ptr::null(), 0) };
        if at.addr() == usize::MAX {
            return Err(last_error());
        }
        let at = NonNull::new(at.cast()).ok_or(Errno::NOMEM)?;
        let segment = Segment { at, words, number, nowhere: AtomicU64::new(0) };
        // The number may have been given to another segment in between; what is attached cannot change any more.
        match status(number)?.shm_segsz == words * 8 {
            true => Ok(segment),
            false => Err(Errno::INVAL),
        }
    }

    /// The number by which others attach it.
    pub(crate) fn number(&self) -> i32 {
        self.number
    }

    /// One of its words; beyond the end, one of no meaning.
    pub(crate) fn word(&self, index: usize) -> &AtomicU64 {
        if index >= self.words {
            return &self.nowhere;
        }
        // SAFETY: `index` is within the segment, which has `words` words (its size was compared), is aligned to a page,
        // cannot shrink, and stays attached as long as `self` lives; any bytes are a valid atomic.
        unsafe { self.at.add(index).as_ref() }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: it was attached at this address, and nothing borrows from it longer than `self` lives.
        unsafe { libc::shmdt(self.at.as_ptr().cast()) };
    }
}

/// Removes segments of this library and of this size whose creator was killed before anybody else could attach them.
pub(crate) fn remove_abandoned_segments(words: usize, has_ended: impl Fn(u32) -> bool) {
    // SAFETY: for `SHM_INFO` the kernel fills a `shm_info`, which is smaller than the `shmid_ds` given here.
    let mut last = unsafe { std::mem::zeroed::<libc::shmid_ds>() };
    // SAFETY: as above; `last` outlives the call.
    let highest = unsafe { libc::shmctl(0, SHM_INFO, &raw mut last) };
    for index in 0..=highest {
        // SAFETY: `shmid_ds` is plain numbers, for which all zeroes is a value.
        let mut status = unsafe { std::mem::zeroed::<libc::shmid_ds>() };
        // SAFETY: `status` outlives the call.
        let number = unsafe { libc::shmctl(index, SHM_STAT, &raw mut status) };
        let ours = number != -1 && status.shm_segsz == words * 8 && key_of(&status.shm_perm) >> 16 == KEY >> 16;
        // A creator in another PID namespace has the id 0 here: nobody can say that it has ended.
        let may_live = u32::try_from(status.shm_cpid).is_ok_and(|pid| pid == 0 || !has_ended(pid));
        if ours && status.shm_nattch == 0 && !may_live {
            remove(number);
        }
    }
}

/// The key is the kernel's first member; the field has another name for each C library, and for musl a deprecated one.
fn key_of(permissions: &libc::ipc_perm) -> libc::key_t {
    // SAFETY: `ipc_perm` begins with a `key_t`, as the kernel's `struct ipc64_perm` does, and is borrowed here.
    unsafe { (&raw const *permissions).cast::<libc::key_t>().read() }
}

fn status(number: i32) -> Result<libc::shmid_ds, Errno> {
    // SAFETY: `shmid_ds` is plain numbers, for which all zeroes is a value.
    let mut status = unsafe { std::mem::zeroed::<libc::shmid_ds>() };
    // SAFETY: `status` outlives the call.
    check(unsafe { libc::shmctl(number, libc::IPC_STAT, &raw mut status) })?;
    Ok(status)
}

/// Marks a segment for removal: the kernel frees it when nobody has it attached.
fn remove(number: i32) {
    // SAFETY: nothing is written for this command.
    unsafe { libc::shmctl(number, libc::IPC_RMID, std::ptr::null_mut()) };
}

fn check(result: libc::c_int) -> Result<(), Errno> {
    if result == -1 { Err(last_error()) } else { Ok(()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_segment_is_shared_by_number_and_gone_after_the_last() {
        let one = Segment::create(1024, None).unwrap();
        let number = one.number();
        let two = Segment::attach(number, 1024).unwrap();
        one.word(1023).store(7, Ordering::SeqCst);
        assert_eq!(two.word(1023).load(Ordering::SeqCst), 7);
        assert!(Segment::attach(number, 512).is_err());
        drop(one);
        drop(two);
        assert!(Segment::attach(number, 1024).is_err());
    }

    #[test]
    fn a_word_beyond_the_end_means_nothing() {
        let segment = Segment::create(512, None).unwrap();
        segment.word(512).store(7, Ordering::SeqCst);
        assert_eq!(segment.word(511).load(Ordering::SeqCst), 0);
    }

    #[test]
    fn what_a_killed_creator_left_is_removed() {
        const WORDS: usize = 512 * 3;
        // SAFETY: plain numbers.
        let number = unsafe { libc::shmget(KEY | 0x7777, WORDS * 8, libc::IPC_CREAT | 0o600) };
        assert!(status(number).is_ok());
        remove_abandoned_segments(WORDS, |_| false);
        assert!(status(number).is_ok());
        remove_abandoned_segments(WORDS, |_| true);
        assert!(status(number).is_err());
    }
}
