//! Gates: what is in them, each is taken by exactly one of all holders, in whatever process.
//!
//! A gate is an eventfd that counts. With one in it, it travels with a revocable duplicate: who reads the one first, the
//! target to redeem or the source to revoke, has decided. With as many in it as there are parcels, it travels with many
//! parcels in one message: one is read for each that a program takes.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, IoSliceMut, ReadWriteFlags, preadv2};
use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// A gate with `count` in it.
pub(crate) fn new_gate(count: u32) -> rustix::io::Result<OwnedFd> {
    eventfd(count, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE)
}

/// Takes one; `false` when there is none left. It never waits, whatever a peer gave us as a gate.
pub(crate) fn take_gate(gate: impl AsFd) -> rustix::io::Result<bool> {
    let mut count = [0; 8];
    loop {
        // Offset -1 reads without a position, which an eventfd does not have.
        match preadv2(&gate, &mut [IoSliceMut::new(&mut count)], u64::MAX, ReadWriteFlags::NOWAIT) {
            Ok(8) => return Ok(true),
            Ok(_) => return Err(Errno::PROTO),
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Takes all that are left, but no more than `most`; how many these were.
pub(crate) fn take_gates(gate: impl AsFd, most: usize) -> usize {
    (0..most).take_while(|_| take_gate(&gate) == Ok(true)).count()
}

/// How many are left; nothing when it is no gate.
pub(crate) fn gates_left(gate: &OwnedFd) -> Option<usize> {
    let info = fs::read_to_string(format!("/proc/thread-self/fdinfo/{}", gate.as_raw_fd())).ok()?;
    let count = info.lines().find_map(|line| line.strip_prefix("eventfd-count:"))?;
    usize::from_str_radix(count.trim(), 16).ok()
}

/// Whether a descriptor is one that could be a gate: closing it waits for nobody.
pub(crate) fn is_gate(descriptor: impl AsFd) -> bool {
    let path = format!("/proc/thread-self/fd/{}", descriptor.as_fd().as_raw_fd());
    fs::read_link(path).is_ok_and(|link| link.as_os_str() == "anon_inode:[eventfd]")
}

/// Whether one is left.
pub(crate) fn gate_is_open(gate: impl AsFd) -> rustix::io::Result<bool> {
    let mut gates = [PollFd::new(&gate, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        match poll(&mut gates, Some(&now)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_takes_it() {
        let gate = new_gate(1).unwrap();
        let copy = gate.try_clone().unwrap();
        assert_eq!(gate_is_open(&copy), Ok(true));
        assert_eq!((take_gate(&copy), take_gate(&gate), take_gate(&copy)), (Ok(true), Ok(false), Ok(false)));
        assert_eq!(gate_is_open(&gate), Ok(false));
    }

    #[test]
    fn of_many_each_is_taken_once() {
        let gate = new_gate(5).unwrap();
        assert_eq!((take_gate(&gate), take_gates(&gate, 3), take_gates(&gate, 3)), (Ok(true), 3, 1));
        let gate = new_gate(20).unwrap();
        assert!(take_gate(&gate).unwrap() && is_gate(&gate));
        assert_eq!(gates_left(&gate), Some(19));
    }

    #[test]
    fn what_is_no_gate_does_not_block() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_ne!(take_gate(one), Ok(true));
        let (one, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
        assert_ne!(take_gate(one), Ok(true));
    }
}
