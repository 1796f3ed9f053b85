//! Threads of the library: they take no signals, which are the program's.
#![allow(unsafe_code)]

use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::thread::JoinHandle;

/// Starts a thread that blocks every signal from its first instruction on: one that it took would be lost to a program that
/// waits for it elsewhere (`sigwait`, `signalfd`), or would end it.
pub(crate) fn spawn_masked<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is filled before it is used; both outlive the calls. A thread inherits the mask of who starts it.
    let blocked = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr())
    };
    if blocked != 0 {
        return Err(io::Error::from_raw_os_error(blocked));
    }
    let started = std::thread::Builder::new().name(name.into()).stack_size(128 << 10).spawn(run);
    // SAFETY: `before` was filled by the call above, which succeeded.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
    started
}

/// Gives the calling thread a table of descriptors of its own, in which only the numbers `kept` are open.
///
/// What it keeps is closed by the kernel when the thread ends, which, unlike `close`, waits for nobody (`SO_LINGER`).
pub(crate) fn keep_only(kept: &[RawFd]) -> Result<(), Errno> {
    let mut numbers: Vec<_> = kept.iter().filter_map(|kept| u32::try_from(*kept).ok()).collect();
    numbers.sort_unstable();
    // First what is above them, so that it is not even copied.
    let above = numbers.last().map_or(0, |last| last + 1);
    close_range(above, u32::MAX, libc::CLOSE_RANGE_UNSHARE)?;
    let mut from = 0;
    for number in numbers {
        if from < number {
            close_range(from, number - 1, 0)?;
        }
        from = number + 1;
    }
    Ok(())
}

fn close_range(first: u32, last: u32, flags: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: once the table is the thread's own, which is the first thing that the first call does, what is closed in it
    // stays open for everybody else, and this thread uses none of it any more.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsRawFd, OwnedFd};

    #[test]
    fn a_thread_of_ours_blocks_every_signal() {
        let mask = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let blocked = |status: String| {
            let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:").map(str::trim).map(str::to_owned));
            u64::from_str_radix(&line.unwrap(), 16).unwrap()
        };
        let before = blocked(mask());
        let theirs = blocked(spawn_masked("test", mask).unwrap().join().unwrap());
        // SIGKILL and SIGSTOP cannot be blocked, and glibc keeps 32 and 33.
        let some = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD, libc::SIGUSR1, libc::SIGALRM];
        assert!(some.iter().all(|signal| theirs & (1 << (signal - 1)) != 0), "{theirs:x}");
        assert_eq!(blocked(mask()), before);
    }

    #[test]
    fn a_thread_keeps_only_what_it_is_told_to() {
        let kept: Vec<_> = (0..3).map(|_| OwnedFd::from(std::fs::File::open("/dev/null").unwrap())).collect();
        let other = std::fs::File::open("/dev/null").unwrap();
        let ours: Vec<_> = kept.iter().map(AsRawFd::as_raw_fd).collect();
        let thread = spawn_masked("test", move || {
            keep_only(&ours).unwrap();
            let open = (0..200).filter(|number| {
                // SAFETY: only asks whether the number is in use.
                unsafe { libc::fcntl(*number, libc::F_GETFD) >= 0 }
            });
            (open.collect::<Vec<_>>(), ours)
        });
        let (open, mut ours) = thread.unwrap().join().unwrap();
        ours.sort_unstable();
        assert_eq!(open, ours);
        // Only in that thread.
        assert!(other.metadata().is_ok() && kept.iter().all(|kept| kept.try_clone().is_ok()));
    }
}
